//! What a refused or failed request is told: one error, two shapes (JSON-RPC on MCP paths, plain JSON elsewhere).

use super::Body;
use crate::model::Refusal;
use crate::router::Exceeded;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

const REALM: &str = "Bearer realm=\"mcpdeck\"";

/// Why a request is not answered as it wished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    BadRequest(String),
    /// No credential, where one is needed.
    #[error("{0}")]
    Unauthorized(String),
    /// A credential that is not good (any more).
    #[error("{0}")]
    BadCredential(String),
    /// A limit is reached.
    #[error("{what}")]
    TooMany { what: String, after: Duration },
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    NotFound(String),
    #[error("the method {0} is not offered here")]
    Method(String),
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("the body is encoded as {0}: send it as it is")]
    Encoded(String),
    #[error("the request did not come within its time")]
    TooSlow,
    /// What control does not do, or not now.
    #[error("{}", told(.0))]
    Refused(Refusal),
    /// Not now: it begins or ends, or its store does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// A tool answered an error, or there is none to ask.
    #[error("{0}")]
    Unprocessable(String),
    /// A server did not do what was asked of it.
    #[error("{0}")]
    Upstream(String),
    /// A server did not answer in time.
    #[error("{0}")]
    UpstreamTimeout(String),
    #[error("{0}")]
    Failed(String),
}

/// A refusal, with what the API's caller can do about it instead of the command line's.
fn told(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NeedsConfirm { what, name } => format!("{what} in production needs ?confirm={name}"),
        other => other.to_string(),
    }
}

fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::ReadOnly(_) | Refusal::Denied(_) => StatusCode::FORBIDDEN,
        Refusal::NeedsConfirm { .. } => StatusCode::PRECONDITION_REQUIRED,
        Refusal::Refused(_) => StatusCode::CONFLICT,
        Refusal::Busy(_) | Refusal::NoOwner(_) | Refusal::Silent(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Exceeded> for Error {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Many { what, after } => Self::TooMany { what, after },
            Exceeded::Large(most) => Self::TooLarge(most),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Error {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) | Self::BadCredential(_) => StatusCode::UNAUTHORIZED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoded(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Refused(refusal) => status_of(refusal),
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// `{"error": "..."}`
    pub fn into_rest(self) -> Response<Body> {
        let body = serde_json::json!({ "error": self.to_string() });
        self.respond(body.to_string())
    }

    /// A JSON-RPC error without an id, because none was read.
    pub fn into_json_rpc(self) -> Response<Body> {
        self.into_json_rpc_for(&[])
    }

    /// A JSON-RPC error with the id that `message` has, if it has one.
    pub fn into_json_rpc_for(self, message: &[u8]) -> Response<Body> {
        let code = match self {
            Self::BadRequest(_) | Self::TooLarge(_) | Self::Encoded(_) => -32600,
            Self::NotFound(_) => -32601,
            _ => -32000,
        };
        let error = serde_json::json!({ "code": code, "message": self.to_string() });
        self.respond(serde_json::json!({ "jsonrpc": "2.0", "id": id_of(message), "error": error }).to_string())
    }

    /// As a response around `body`, which says why already.
    pub fn respond(&self, body: impl Into<Bytes>) -> Response<Body> {
        let mut response = Response::new(whole(body));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let headers = response.headers_mut();
        match self {
            Self::Unauthorized(_) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(REALM));
            }
            // RFC 6750, 3.1.
            Self::BadCredential(_) => {
                let why = format!("{REALM}, error=\"invalid_token\"");
                headers
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_str(&why).unwrap_or(HeaderValue::from_static(REALM)));
            }
            Self::TooMany { after, .. } => {
                headers
                    .insert(RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).clamp(1, 86_400) as u64));
            }
            _ => {}
        }
        response
    }
}

/// The id of a JSON-RPC request; null if it has none that is a text or a number.
fn id_of(message: &[u8]) -> Value {
    #[derive(Deserialize)]
    struct Head {
        id: Value,
    }
    let id = serde_json::from_slice(message).map_or(Value::Null, |head: Head| head.id);
    if id.is_string() || id.is_number() { id } else { Value::Null }
}

/// A body that is there at once.
pub fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_status_and_says_what_to_do() {
        let confirm = Refusal::NeedsConfirm { what: "stop etim".into(), name: "etim".into() };
        for (refusal, status, says) in [
            (Refusal::NotFound("no server is called x".into()), 404, "no server is called x"),
            (Refusal::ReadOnly("lab is read-only".into()), 403, "read-only: lab is read-only"),
            (confirm, 428, "stop etim in production needs ?confirm=etim"),
            (Refusal::Refused("it is held".into()), 409, "it is held"),
            (Refusal::Busy("too many jobs".into()), 503, "too busy: too many jobs"),
            (Refusal::NoOwner("it ended".into()), 503, "no owner: it ended"),
            (Refusal::Silent("the engine local does not answer".into()), 503, "the engine local does not answer"),
            (Refusal::Failed("the disk is full".into()), 500, "the disk is full"),
        ] {
            let error = Error::from(refusal);
            assert_eq!((error.status().as_u16(), error.to_string().as_str()), (status, says));
        }
    }
}
