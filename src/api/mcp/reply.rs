//! Answers on MCP paths: bodies, statuses, refusals.

use super::super::error::whole;
use super::super::{Body, Error, ROUTE};
use crate::router::{HEADER_MISMATCH, Served, UNSUPPORTED_VERSION};
use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// JSON-RPC 2.0, section 5.1.
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
const MISSING_CAPABILITY: i64 = -32021;

/// A message that is not carried: a JSON-RPC error under an HTTP status.
pub struct Refused {
    status: StatusCode,
    code: i64,
    text: String,
    /// JSON text.
    data: Option<String>,
}

impl Refused {
    pub fn new(status: StatusCode, code: i64, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into(), data: None }
    }

    pub fn with_data(self, data: String) -> Self {
        Self { data: Some(data), ..self }
    }

    /// `id`: the message's own, as JSON text; `None` leaves it out.
    pub fn respond(self, id: Option<&str>) -> Response<Body> {
        let id = id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
        let data = self.data.map(|data| format!(r#","data":{data}"#)).unwrap_or_default();
        let (code, text) = (self.code, serde_json::Value::from(self.text));
        json(self.status, format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":{text}{data}}}}}"#))
    }
}

/// A JSON answer; an empty one means that the message was taken.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let body = body.into();
    let empty = body.is_empty();
    let mut response = Response::new(whole(body));
    *response.status_mut() = if empty && status == StatusCode::OK { StatusCode::ACCEPTED } else { status };
    if !empty {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

/// What the router answered; its head says where routing led.
pub fn served(status: StatusCode, served: Served) -> Response<Body> {
    if let Some(exceeded) = served.exceeded {
        return Error::from(exceeded).respond(served.body);
    }
    let mut response = json(status, served.body);
    if let Some(route) = served.route.and_then(|route| HeaderValue::from_str(&route).ok()) {
        response.headers_mut().insert(HeaderName::from_static(ROUTE), route);
    }
    response
}

/// The result of a request that is answered here.
pub fn result(id: &str, result: &str) -> Response<Body> {
    json(StatusCode::OK, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// Only POST, without a session.
pub fn not_allowed() -> Response<Body> {
    let text = "the method is not offered here: send messages by POST";
    let mut response = Refused::new(StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, text).respond(None);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// The status that goes with a JSON-RPC error for a modern client.
pub fn modern_status(code: Option<i64>) -> StatusCode {
    match code {
        Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(HEADER_MISMATCH | UNSUPPORTED_VERSION | MISSING_CAPABILITY) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}
