//! `/mcp` and `/mcp/{server}`: MCP's transport for clients of both eras. Reads a request once, decides the era, and hands
//! the message to the router; everything about the connection (sessions, headers, streams) stays here.

mod head;
mod legacy;
mod modern;
mod reply;
mod stream;

use super::{Body, Error, Gateway, auth};
use crate::control::handle::Caller as Asking;
use crate::model::call::Origin;
use crate::model::principal::Role;
use crate::model::{ServerId, Short, TenantId};
use crate::router::{
    ALL_SERVERS, CallBody, CallRequest, Client, ClientRequest, Endpoint, Exceeded, Kind, Message, Outbox, Owner,
    Router, Unreadable, apart, aside,
};
use bytes::Bytes;
use head::{Accepts, Face};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use reply::{Refused, json};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::timeout;

/// Who calls, and what.
struct Caller {
    tenant: TenantId,
    principal: Short,
    role: Role,
    endpoint: Endpoint,
}

impl Caller {
    fn owner(&self) -> Owner {
        Owner {
            tenant: self.tenant.clone(),
            principal: self.principal.as_str().into(),
            endpoint: self.endpoint.clone(),
        }
    }

    fn request(self, client: Client, message: Box<Message>, outbox: Option<Arc<Outbox>>) -> ClientRequest {
        let Self { tenant, principal, role, endpoint } = self;
        ClientRequest { tenant, principal, role, endpoint, client, message, outbox }
    }

    /// A body as it came, and where to.
    fn whole(self, body: Bytes) -> (Endpoint, CallRequest) {
        let Self { tenant, principal, role, endpoint } = self;
        let server = match &endpoint {
            Endpoint::Server(server) => server.clone(),
            Endpoint::All => ServerId::from(ALL_SERVERS),
        };
        let request = CallRequest {
            tenant,
            server,
            body: CallBody::Raw(body),
            era: None,
            timeout: None,
            origin: Origin::Http,
            principal,
            role: Some(role),
            session: None,
            events: None,
        };
        (endpoint, request)
    }
}

/// Answers a request on an MCP path.
pub async fn answer(
    gateway: &Gateway,
    who: &Result<Asking, Error>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Error> {
    let principal = &who.as_ref().map_err(Error::clone)?.principal;
    let (head, body) = request.into_parts();
    let tenant = auth::tenant(gateway, principal, &head.headers)?;
    let endpoint = endpoint(head.uri.path())?;
    let caller = Caller { tenant, principal: principal.name.as_str().into(), role: principal.role, endpoint };
    let router = &gateway.inside.router;
    match head.method {
        Method::POST => post(gateway, caller, &head.headers, body).await,
        Method::GET | Method::DELETE if head::face(&head.headers, None) != Face::Legacy => Ok(reply::not_allowed()),
        Method::GET => Ok(legacy::get(router, caller, &head.headers)),
        Method::DELETE => Ok(legacy::delete(router, &caller, &head.headers)),
        _ => Ok(reply::not_allowed()),
    }
}

fn endpoint(path: &str) -> Result<Endpoint, Error> {
    if path == "/mcp" {
        return Ok(Endpoint::All);
    }
    let server = path.strip_prefix("/mcp/").filter(|name| !name.is_empty() && !name.contains('/'));
    let unknown = || Error::NotFound("name a server: POST /mcp/{server}, or all of them: POST /mcp".to_owned());
    Ok(Endpoint::Server(ServerId::from(server.ok_or_else(unknown)?)))
}

async fn post(gateway: &Gateway, caller: Caller, headers: &HeaderMap, body: Incoming) -> Result<Response<Body>, Error> {
    let server = match &caller.endpoint {
        Endpoint::Server(server) => Some(server.clone()),
        Endpoint::All => None,
    };
    let most = gateway.limits.body(Some(&caller.tenant), server.as_ref());
    let patience = gateway.inside.config.peek().api.read_timeout;
    let mut reading = pin!(read(body, most));
    // Most bodies are there with their head, and need no clock.
    let body = match poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
        Poll::Ready(body) => body,
        Poll::Pending => timeout(patience, reading).await.map_err(|_| Error::TooSlow)?,
    };
    let body = match body {
        Err(Error::TooLarge(most)) => return Ok(beyond(gateway, caller, Bytes::new(), Exceeded::Large(most)).await),
        body => body?,
    };
    come_back().await;
    // Judged after the body has come: who is refused is told for which request.
    let place = match gateway.limits.enter(Some(&caller.tenant)) {
        Ok(place) => place.map(Arc::new),
        Err(exceeded) => return Ok(beyond(gateway, caller, body, exceeded).await),
    };
    let text = body.clone();
    let message = aside(body.len(), move || Message::of_client(&text)).await;
    let face = head::face(headers, message.as_deref().ok());
    let router = &gateway.inside.router;
    let mut response = match (face, message) {
        (Face::Bare, message) => bare(router, caller, message, body).await,
        (_, Err(unreadable)) => malformed(face, &unreadable),
        (Face::Legacy, Ok(message)) => legacy::post(gateway, caller, headers, message).await?,
        (Face::Modern, Ok(message)) => modern::post(router, caller, headers, message).await,
    };
    // A stream keeps its place until it ends.
    if let Some(place) = place {
        response.extensions_mut().insert(place);
    }
    Ok(response)
}

/// What its tenant's limits do not allow is recorded like any call, and told for which request it is.
async fn beyond(gateway: &Gateway, caller: Caller, body: Bytes, exceeded: Exceeded) -> Response<Body> {
    let error = Error::from(exceeded.clone());
    let answer = error.clone().into_json_rpc_for(&body);
    gateway.inside.router.refuse(caller.whole(body).1, exceeded).await;
    answer
}

/// A message without a handshake: made on a pooled session, answered as plain JSON.
async fn bare(
    router: &Arc<Router>,
    caller: Caller,
    message: Result<Box<Message>, Unreadable>,
    body: Bytes,
) -> Response<Body> {
    if let Ok(message) = message
        && message.kind != Kind::Response
    {
        return reply::served(StatusCode::OK, router.serve(caller.request(Client::Bare, message, None)).await);
    }
    // The router says what is wrong with it, and records it.
    let body = match caller.whole(body) {
        (Endpoint::Server(_), request) => Box::pin(router.call(request)).await.body,
        (Endpoint::All, request) => Box::pin(router.call_all(request, Client::Bare, None)).await.body,
    };
    json(StatusCode::OK, body)
}

/// The id of what cannot be read is unknown. Legacy messages say so by null, modern ones by leaving it out.
fn malformed(face: Face, unreadable: &Unreadable) -> Response<Body> {
    let refused = Refused::new(StatusCode::BAD_REQUEST, unreadable.code, unreadable.text.clone());
    refused.respond((face != Face::Modern).then_some("null"))
}

/// The two kinds of answer that a client takes; neither is an error.
fn accepts(headers: &HeaderMap, id: &str) -> Result<Accepts, Box<Response<Body>>> {
    let accepts = Accepts::read(headers);
    if accepts.json || accepts.events {
        return Ok(accepts);
    }
    let text = "answers are application/json or text/event-stream: accept one, or better both".to_owned();
    Err(Box::new(Refused::new(StatusCode::NOT_ACCEPTABLE, reply::INVALID_REQUEST, text).respond(Some(id))))
}

/// Lets the task begin anew. hyper wakes it for each part of a body that is taken, whether or not more is to come: the
/// look that follows costs least from here, before there is a call to look through. tokio's `yield_now` would come back
/// only after that look, and wake the task once more.
async fn come_back() {
    let mut gone = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gone, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The whole body, if it is not too large.
async fn read(body: Incoming, limit: u64) -> Result<Bytes, Error> {
    if body.size_hint().lower() > limit {
        // It says so itself: nothing of it need come.
        return Err(Error::TooLarge(limit));
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(apart(body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge(limit)),
        Err(error) => Err(Error::BadRequest(format!("the body broke off: {error}"))),
    }
}
