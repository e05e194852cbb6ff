//! Legacy clients (up to 2025-11-25): sessions that begin with `initialize` and end with DELETE, idleness or us. Streams
//! are not resumed: no event has an id, so that no client tries.

use super::head::{self, Accepts};
use super::reply::{self, INVALID_PARAMS, INVALID_REQUEST, Refused, json};
use super::stream::{self, Answered};
use super::{Caller, accepts};
use crate::api::{Body, Error, Gateway};
use crate::router::{
    Client, Hello, KNOWN_LEGACY, Kind, Level, MAX_SUBSCRIPTIONS, MAX_URI, Message, Router, Session, SessionLimits,
};
use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use std::sync::Arc;

/// JSON-RPC code for a session that is not (any more), as most servers give it.
const NO_SESSION: i64 = -32001;

/// A message of a legacy client.
pub async fn post(
    gateway: &Gateway,
    caller: Caller,
    headers: &HeaderMap,
    message: Box<Message>,
) -> Result<Response<Body>, Error> {
    let router = &gateway.inside.router;
    let accepts = match accepts(headers, &message.id) {
        Ok(accepts) => accepts,
        Err(refusal) => return Ok(*refusal),
    };
    if message.method == "initialize" && message.kind == Kind::Request {
        return Ok(Box::pin(initialize(gateway, caller, message)).await);
    }
    let session = match find(router, &caller, headers) {
        Ok(session) => session,
        Err(refused) => return Ok(refused.respond(Some(&message.id))),
    };
    match message.kind {
        Kind::Response => {
            session.answered(&message);
            Ok(json(StatusCode::OK, Bytes::new()))
        }
        Kind::Notification => Ok(notification(router, caller, session, message).await),
        _ => Ok(request(router, caller, session, accepts, message).await),
    }
}

/// The session that the request names, if it is the caller's.
fn find(router: &Router, caller: &Caller, headers: &HeaderMap) -> Result<Arc<Session>, Refused> {
    if let Some(version) = head::text(headers, &head::VERSION)
        && !KNOWN_LEGACY.contains(&version)
    {
        let known = KNOWN_LEGACY.join(", ");
        let text = format!("MCP-Protocol-Version `{version}` is not spoken here; sessions speak {known}");
        return Err(Refused::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, text));
    }
    let id = head::text(headers, &head::SESSION).unwrap_or_default();
    let gone = "no such session here (any more): begin a new one with initialize";
    router.session(id, &caller.owner()).ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, NO_SESSION, gone))
}

async fn initialize(gateway: &Gateway, caller: Caller, message: Box<Message>) -> Response<Body> {
    let router = &gateway.inside.router;
    let config = gateway.inside.config.get();
    let api = &config.api;
    let hello = match Hello::read(&message) {
        Ok(hello) => hello,
        Err(error) => {
            let text = format!("initialize: {error}");
            return Refused::new(StatusCode::BAD_REQUEST, INVALID_PARAMS, text).respond(Some(&message.id));
        }
    };
    let limits = SessionLimits { all: api.max_sessions, tenant: api.max_sessions.div_ceil(2) };
    let session = match router.begin_session(caller.owner(), hello, limits) {
        Ok(session) => session,
        Err(error) => {
            let refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, -31403, error.to_string());
            return refused.respond(Some(&message.id));
        }
    };
    // A client that leaves before it knows its session has none.
    let mut begun = Begun { router, session: &session, kept: false };
    let reply = router.serve(caller.request(Client::Legacy(session.clone()), message, None)).await;
    let mut response = json(StatusCode::OK, reply.body);
    if reply.code.is_none()
        && let Ok(id) = HeaderValue::from_str(&session.id)
    {
        begun.kept = true;
        response.headers_mut().insert(head::SESSION, id);
    }
    response
}

struct Begun<'a> {
    router: &'a Router,
    session: &'a Session,
    kept: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.router.end_session(self.session);
        }
    }
}

async fn notification(
    router: &Arc<Router>,
    caller: Caller,
    session: Arc<Session>,
    message: Box<Message>,
) -> Response<Body> {
    match message.method.as_str() {
        "notifications/cancelled" => {
            if let Some(id) = cancelled(&message) {
                router.cancel_of(&session, &id);
            }
        }
        // We have shaken hands already, and answers of a client come whole.
        "notifications/initialized" | "notifications/progress" => {}
        _ => drop(router.serve(caller.request(Client::Legacy(session), message, None)).await),
    }
    json(StatusCode::OK, Bytes::new())
}

/// The client's id of the call that it cancels, as JSON text.
fn cancelled(message: &Message) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        request_id: &'a serde_json::value::RawValue,
    }
    let params: Params<'_> = serde_json::from_str(message.params()?).ok()?;
    Some(params.request_id.get().to_owned())
}

async fn request(
    router: &Arc<Router>,
    caller: Caller,
    session: Arc<Session>,
    accepts: Accepts,
    message: Box<Message>,
) -> Response<Body> {
    let name = message.name.clone().unwrap_or_default();
    match message.method.as_str() {
        "ping" => return reply::result(&message.id, "{}"),
        "logging/setLevel" => match level(&message) {
            Some(level) => session.set_level(level),
            None => return invalid(&message, "level is one of debug, info, notice, warning, error, critical, ..."),
        },
        "resources/subscribe" if !session.subscribe(&name) => {
            let text =
                format!("a session subscribes to {MAX_SUBSCRIPTIONS} resources at most, of {MAX_URI} bytes each");
            return invalid(&message, &text);
        }
        "resources/unsubscribe" => session.unsubscribe(&name),
        _ => {}
    }
    let subscribes = message.method == "resources/subscribe";
    match stream::carry(router, caller.request(Client::Legacy(session.clone()), message, None), accepts).await {
        Answered::Whole(reply) => {
            if subscribes && reply.code.is_some() {
                session.unsubscribe(&name);
            }
            reply::served(StatusCode::OK, reply)
        }
        Answered::Streamed(response) => response,
    }
}

fn invalid(message: &Message, text: &str) -> Response<Body> {
    Refused::new(StatusCode::OK, INVALID_PARAMS, text).respond(Some(&message.id))
}

fn level(message: &Message) -> Option<Level> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        level: std::borrow::Cow<'a, str>,
    }
    let params: Params<'_> = serde_json::from_str(message.params()?).ok()?;
    Level::parse(&params.level)
}

/// The stream by which a client hears what belongs to none of its calls.
pub fn get(router: &Arc<Router>, caller: Caller, headers: &HeaderMap) -> Response<Body> {
    let session = match find(router, &caller, headers) {
        Ok(session) => session,
        Err(refused) => return refused.respond(None),
    };
    if !Accepts::read(headers).events {
        let text = "this is a stream: accept text/event-stream";
        return Refused::new(StatusCode::NOT_ACCEPTABLE, INVALID_REQUEST, text).respond(None);
    }
    let open = session.open_stream();
    let outbox = session.outbox.clone();
    let router = router.clone();
    let work = async move {
        tokio::select! {
            () = open.over() => {}
            () = router.feed(session) => {}
        }
        Bytes::new()
    };
    stream::stream(None, outbox, Box::pin(work))
}

/// The client ends its session.
pub fn delete(router: &Router, caller: &Caller, headers: &HeaderMap) -> Response<Body> {
    match find(router, caller, headers) {
        Ok(session) => {
            router.end_session(&session);
            json(StatusCode::NO_CONTENT, Bytes::new())
        }
        Err(refused) => refused.respond(None),
    }
}
