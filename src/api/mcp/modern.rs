//! Modern clients (2026-07-28): every request stands for itself, and says in its body and again in its headers what it
//! is. Whoever reads the body holds the two against each other, or something between us could be told one thing and we
//! another.

use super::head::{self, Accepts};
use super::reply::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Refused, json, modern_status, served};
use super::stream::{self, Answered};
use super::{Caller, accepts};
use crate::api::Body;
use crate::router::{
    CAPABILITIES_KEY, Client, HEADER_MISMATCH, Kind, MODERN, Message, Modern, Router, UNSUPPORTED_VERSION, VERSION_KEY,
    header_text,
};
use bytes::Bytes;
use hyper::header::HeaderName;
use hyper::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

/// Methods that there were before; a client sends them to find that out.
const REMOVED: [&str; 5] = ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];

/// A message of a modern client.
pub async fn post(router: &Arc<Router>, caller: Caller, headers: &HeaderMap, message: Box<Message>) -> Response<Body> {
    match message.kind {
        Kind::Request => {}
        // Cancelling is closing the stream; there is nothing else that a client has to tell.
        Kind::Notification => return json(StatusCode::OK, Bytes::new()),
        _ => {
            let text = "answers are sent within a request here (inputResponses)";
            return Refused::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, text).respond(Some(&message.id));
        }
    }
    if let Err(refused) = check(headers, &message) {
        return refused.respond(Some(&message.id));
    }
    let accepts = match accepts(headers, &message.id) {
        Ok(accepts) => accepts,
        Err(refusal) => return *refusal,
    };
    if REMOVED.contains(&message.method.as_str()) {
        let text = format!("there is no `{}` in MCP {MODERN}", message.method);
        return Refused::new(StatusCode::NOT_FOUND, METHOD_NOT_FOUND, text).respond(Some(&message.id));
    }
    call(router, caller, headers, accepts, message).await
}

async fn call(
    router: &Arc<Router>,
    caller: Caller,
    headers: &HeaderMap,
    accepts: Accepts,
    message: Box<Message>,
) -> Response<Body> {
    let params = headers.iter().filter(|(name, _)| name.as_str().starts_with(head::PARAM));
    let modern = Modern { params: params.map(|(name, value)| (name.clone(), value.clone())).collect() };
    match stream::carry(router, caller.request(Client::Modern(modern), message, None), accepts).await {
        Answered::Whole(reply) => served(modern_status(reply.code), reply),
        Answered::Streamed(response) => response,
    }
}

/// Whether a request says what it must, and says the same in its headers (SEP-2243, SEP-2575).
fn check(headers: &HeaderMap, message: &Message) -> Result<(), Refused> {
    let missing = |key: &str| {
        let text = format!("_meta lacks `{key}`, which every request of MCP {MODERN} carries");
        Refused::new(StatusCode::BAD_REQUEST, INVALID_PARAMS, text)
    };
    let mismatch = |text: String| Refused::new(StatusCode::BAD_REQUEST, HEADER_MISMATCH, text);
    let version = message.meta.version.as_deref().ok_or_else(|| missing(VERSION_KEY))?;
    same(headers, &head::VERSION, Some(version)).map_err(mismatch)?;
    if version != MODERN {
        let text = format!("MCP {version} is not spoken here without a session; {MODERN} is");
        let data = format!(r#"{{"supported":["{MODERN}"],"requested":{}}}"#, serde_json::Value::from(version));
        return Err(Refused::new(StatusCode::BAD_REQUEST, UNSUPPORTED_VERSION, text).with_data(data));
    }
    if !message.meta.has_capabilities {
        return Err(missing(CAPABILITIES_KEY));
    }
    same(headers, &head::METHOD, Some(&message.method)).map_err(mismatch)?;
    match message.method.as_str() {
        "tools/call" | "prompts/get" | "resources/read" => {
            same(headers, &head::NAME, message.name.as_deref()).map_err(mismatch)
        }
        "tasks/get" | "tasks/update" | "tasks/cancel" => {
            same(headers, &head::NAME, task(message).as_deref()).map_err(mismatch)
        }
        _ => Ok(()),
    }
}

fn task(message: &Message) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        task_id: Cow<'a, str>,
    }
    serde_json::from_str::<Params<'_>>(message.params()?).ok().map(|params| params.task_id)
}

/// The error says what is missing or different. A body that lacks what a header repeats is the server's to refuse.
fn same(headers: &HeaderMap, header: &HeaderName, body: Option<&str>) -> Result<(), String> {
    let mut sent = headers.get_all(header).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return match body {
            Some(body) => Err(format!("header `{header}` must be sent once and say `{body}`, as the message does")),
            None => Ok(()),
        };
    };
    let text = header_text(value).ok_or_else(|| format!("header `{header}` cannot be decoded"))?;
    match body {
        Some(body) if body == text.trim() || body == text => Ok(()),
        Some(body) => Err(format!("header `{header}` says `{text}` and the message says `{body}`")),
        None => Err(format!("header `{header}` says `{text}` and the message names nothing")),
    }
}
