//! The HTTP API beside MCP: plain JSON over the handle. Each family of routes has its file and describes itself; what is
//! served is what is described at `/openapi.json`.

mod act;
mod caller;
mod customers;
mod events;
mod input;
mod login;
mod logs;
mod mcp_services;
mod memory;
mod metrics;
mod openapi;
mod records;
mod servers;
mod status;
mod stream;
mod times;
mod tool;
mod view;

use super::error::whole;
use super::{Body, Error, Gateway};
use crate::control::handle::Caller as Asking;
use crate::model::call::Origin;
use crate::model::principal::Principal;
use crate::router::{ALL_SERVERS, CallBody, CallRequest, Exceeded};
use axum::extract::Request as Asked;
use bytes::Bytes;
use caller::Via;
use futures_util::StreamExt;
use futures_util::future::ready;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use tower_service::Service;

/// What a handler answers with.
type Answer = Response<axum::body::Body>;

/// Every route, and their description.
pub struct Rest {
    router: axum::Router,
    /// The text at `/openapi.json`.
    document: Bytes,
}

impl Rest {
    pub fn new() -> Self {
        let (router, document) = openapi::routes().split_for_parts();
        let router = router.method_not_allowed_fallback(not_offered).fallback(unknown);
        Self { router, document: document.to_json().unwrap_or_default().into() }
    }

    /// Answers a request on any path but MCP's.
    pub async fn answer(&self, gateway: Arc<Gateway>, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Via { gateway, peer });
        let response = match self.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        response.map(until_broken)
    }
}

/// A request that is beyond a limit of its customer: recorded like the calls that are.
pub async fn beyond(
    gateway: &Gateway,
    caller: Option<&Asking>,
    request: &Request<Incoming>,
    exceeded: Exceeded,
) -> Response<Body> {
    if let Some(caller) = caller {
        record(gateway, &caller.principal, (request.method(), request.uri().path()), exceeded.clone()).await;
    }
    Error::from(exceeded).into_rest()
}

async fn record(gateway: &Gateway, who: &Principal, (method, path): (&Method, &str), exceeded: Exceeded) {
    let Some(tenant) = who.tenant.clone() else { return };
    let refused = CallRequest {
        tenant,
        server: ALL_SERVERS.into(),
        body: CallBody::Method { method: format!("{method} {path}"), params: String::new() },
        era: None,
        timeout: None,
        origin: Origin::Http,
        principal: who.name.as_str().into(),
        role: Some(who.role),
        session: None,
        events: None,
    };
    gateway.inside.router.refuse(refused, exceeded).await;
}

/// A body as it is, that ends where it breaks.
fn until_broken(body: axum::body::Body) -> Body {
    let good = BodyStream::new(body).take_while(|frame| ready(frame.is_ok()));
    StreamBody::new(good.filter_map(|frame| ready(frame.ok().map(Ok)))).boxed_unsync()
}

async fn unknown(request: Asked) -> Error {
    Error::NotFound(format!("nothing at {}; see /openapi.json", request.uri().path()))
}

/// A path that is there, by another method. Which there are, stands in `Allow`.
async fn not_offered(request: Asked) -> Answer {
    match *request.method() {
        Method::OPTIONS => {
            let mut response = Response::new(axum::body::Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        ref method => axum::response::IntoResponse::into_response(Error::Method(method.to_string())),
    }
}

impl axum::response::IntoResponse for Error {
    fn into_response(self) -> Answer {
        self.into_rest().map(axum::body::Body::new)
    }
}

/// JSON text that is there already.
fn json_text(text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(text));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}
