//! `POST /api/auth/login`: a token for an email and a password.

use super::Answer;
use super::caller::Via;
use super::openapi::Problem;
use crate::api::Error;
use crate::control::handle::LoginError;
use crate::model::secret::Secret;
use axum::Json;
use axum::extract::Request;
use axum::response::IntoResponse;
use http_body_util::{BodyExt, Limited};
use hyper::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;

/// An email, a password and some air.
const LARGEST: usize = 8 << 10;

/// Who wants a token.
#[derive(Deserialize, ToSchema)]
pub struct Login {
    email: String,
    password: String,
}

/// What later requests send as `Authorization: Bearer`.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// A JWT (RFC 7519).
    token: String,
}

/// Answers an email and a password with a token. Who knows neither learns nothing about either.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "platform", security(()), request_body = Login,
    responses(
        (status = 200, body = Token),
        (status = 400, body = Problem),
        (status = 401, body = Problem, description = "not this email with this password"),
        (status = 413, body = Problem),
        (status = 429, body = Problem, description = "too many attempts"),
        (status = 503, body = Problem, description = "no tokens are made here: see [api] jwt"),
    )
)]
pub async fn login(Via { gateway, peer }: Via, request: Request) -> Result<Answer, Error> {
    let patience = gateway.inside.config.get().api.read_timeout;
    let body = Limited::new(request.into_body(), LARGEST).collect();
    let body = timeout(patience, body).await.map_err(|_| Error::TooSlow)?;
    let body = body.map_err(|_| Error::TooLarge(LARGEST as u64))?.to_bytes();
    // What is wrong with it is not repeated: a password may stand there.
    let asked: Login = serde_json::from_slice(&body)
        .map_err(|_| Error::BadRequest(r#"the body is not {"email": "...", "password": "..."}"#.to_owned()))?;
    let (email, password) = (asked.email, Secret::new(asked.password));
    let outcome = gateway.inside.principals.login(&email, password, peer.ip()).await;
    match &outcome {
        Ok(_) => tracing::info!(%peer, email = %shown(&email), "logged in"),
        Err(error) => tracing::warn!(%peer, email = %shown(&email), "not logged in: {error}"),
    }
    let token = outcome.map_err(told)?;
    // RFC 6749, 5.1.
    Ok(([(CACHE_CONTROL, "no-store")], Json(Token { token })).into_response())
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
