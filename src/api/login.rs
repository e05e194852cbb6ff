//! `POST /api/auth/login`: a token for an email and a password.

use super::error::{Error, whole};
use super::{Body, Gateway};
use crate::control::handle::LoginError;
use crate::model::secret::Secret;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response};
use serde::Deserialize;
use std::net::SocketAddr;
use tokio::time::timeout;

pub const PATH: &str = "/api/auth/login";

/// An email, a password and some air.
const LARGEST: usize = 8 << 10;

#[derive(Deserialize)]
struct Asked {
    email: String,
    password: String,
}

/// Answers `{"token"}`, or why not. Who knows neither email nor password learns nothing about either.
pub async fn answer(gateway: &Gateway, peer: SocketAddr, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    if request.method() != Method::POST {
        return Err(Error::Method(request.method().to_string()));
    }
    let patience = gateway.inside.config.get().api.read_timeout;
    let body = Limited::new(request.into_body(), LARGEST).collect();
    let body = timeout(patience, body).await.map_err(|_| Error::TooSlow)?;
    let body = body.map_err(|_| Error::TooLarge(LARGEST as u64))?.to_bytes();
    // What is wrong with it is not repeated: a password may stand there.
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|_| Error::BadRequest(r#"the body is not {"email": "...", "password": "..."}"#.to_owned()))?;
    let (email, password) = (asked.email, Secret::new(asked.password));
    let outcome = gateway.inside.principals.login(&email, password, peer.ip()).await;
    match &outcome {
        Ok(_) => tracing::info!(%peer, email = %shown(&email), "logged in"),
        Err(error) => tracing::warn!(%peer, email = %shown(&email), "not logged in: {error}"),
    }
    let token = outcome.map_err(told)?;
    let mut response = Response::new(whole(serde_json::json!({ "token": token }).to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // RFC 6749, 5.1.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn told(error: LoginError) -> Error {
    let text = error.to_string();
    match error {
        LoginError::Wrong => Error::Unauthorized(text),
        LoginError::TooOften(after) => Error::TooMany { what: text, after },
        LoginError::Busy | LoginError::NoTokens(_) => Error::Unavailable(text),
    }
}

/// What somebody wrote, on one line of a log.
fn shown(email: &str) -> String {
    email.chars().filter(|c| !c.is_control()).take(254).collect()
}
