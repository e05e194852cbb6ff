//! The HTTP API beside MCP: plain JSON over the handle.

use super::error::whole;
use super::{Body, Error};
use axum::Router;
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tower_service::Service;

/// Every route.
pub fn router() -> Router {
    Router::new().route("/health", get(health)).fallback(unknown)
}

/// Answers a request on any path but MCP's.
pub async fn answer(router: &Router, request: Request<Incoming>) -> Response<Body> {
    let response = match router.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Error::Failed(error.to_string()).into_rest(),
    };
    Response::from_parts(head, whole(body))
}

async fn health() -> axum::Json<Value> {
    axum::Json(json!({ "status": "healthy", "timestamp": jiff::Timestamp::now().to_string() }))
}

async fn unknown(request: axum::extract::Request) -> Response<axum::body::Body> {
    let error = Error::NotFound(format!("nothing at {}", request.uri().path()));
    error.into_rest().map(axum::body::Body::new)
}
