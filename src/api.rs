//! The HTTP gateway: agents, services and scripts reach the same router and the same acts as the screen.
//! Runs in the owner alone. Hands MCP bytes to the router and everything else to the handle; must never import a
//! backend, the store or a screen.

mod access;
mod auth;
mod current;
mod error;
mod guard;
mod lanes;
mod limits;
mod linger;
mod listen;
mod mcp;
mod patience;
mod rest;
mod sender;

pub use listen::{ListenError, Listening};

use crate::control::handle::{Caller, Handle, Inside};
use crate::router::{AMBIENT, LONG_WAKE};
use bytes::Bytes;
use current::Current;
use error::Error;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response};
use limits::Limits;
use patience::UnderWay;
use rest::Rest;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The header that says where routing led and why: the same as in the answer, for whoever reads no bodies.
const ROUTE: &str = "x-mcpdeck-route";
/// The header that says how many milliseconds a call waited for a server to wake, if that was long.
const WAKE_MS: &str = "x-mcpdeck-wake-ms";

/// A body of ours: whole, or a stream of events.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What every request is answered from.
pub struct Gateway {
    pub handle: Handle,
    pub inside: Inside,
    pub limits: Limits,
    /// Whom operators have switched to.
    pub current: Current,
    /// Each open connection holds one.
    pub connections: Arc<()>,
    /// Takes nothing new: streams end.
    pub closing: CancellationToken,
    /// Requests under way, until the end of their answers.
    pub requests: TaskTracker,
    /// Made for the first who asks: a screen without a gateway need not hold all its routes.
    rest: OnceLock<Rest>,
}

impl Gateway {
    /// `None` where the platform is not in this process.
    pub fn new(handle: Handle) -> Option<Arc<Self>> {
        let inside = handle.inside()?;
        let limits = Limits::new(inside.config.clone());
        Some(Arc::new(Self {
            rest: OnceLock::new(),
            closing: CancellationToken::new(),
            requests: TaskTracker::new(),
            current: Current::default(),
            connections: Arc::default(),
            limits,
            handle,
            inside,
        }))
    }

    /// Answers one request; whatever goes wrong becomes a response in the shape of its face.
    pub async fn answer(
        self: &Arc<Self>,
        peer: SocketAddr,
        request: Request<Incoming>,
        of_connection: UnderWay,
    ) -> Response<Body> {
        let under_way = (self.requests.token(), of_connection);
        let _busy = linger::Busy::begin();
        let line = access::Line::begin(peer, &request);
        let response = AMBIENT.scope(line.ambient(), self.respond(peer, request)).await;
        line.end(&response);
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        // A stream is under way until it ends.
        response.map(|body| {
            body.map_frame(move |frame| {
                let _ = &under_way;
                frame
            })
            .boxed_unsync()
        })
    }

    async fn respond(self: &Arc<Self>, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let is_mcp = path == "/mcp" || path.starts_with("/mcp/");
        let refused = match self.closing.is_cancelled() && !access::is_watching(path) {
            true => Err(Error::Unavailable("the platform is shutting down: ask another one, or again soon".to_owned())),
            false => sender::check(self, &request),
        };
        if let Err(error) = refused {
            return if is_mcp { error.into_json_rpc() } else { error.into_rest() };
        }
        let page = sender::page(self, request.headers());
        if let Some(origin) = &page
            && let Some(response) = sender::preflight(&request)
        {
            return sender::readable(response, origin.clone());
        }
        let who = auth::identify(self, peer, &mut request);
        let response = match is_mcp {
            true => mcp::answer(self, &who, request).await.unwrap_or_else(Error::into_json_rpc),
            false => {
                auth::remember(who.clone(), &mut request);
                Box::pin(self.answer_rest(peer, who.as_ref().ok(), request)).await
            }
        };
        let response = guard::guard(told_of_wake(response), who.ok());
        match page {
            Some(origin) => sender::readable(response, origin),
            None => response,
        }
    }

    fn rest(&self) -> &Rest {
        self.rest.get_or_init(Rest::new)
    }

    async fn answer_rest(
        self: &Arc<Self>,
        peer: SocketAddr,
        caller: Option<&Caller>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let tenant = caller.and_then(|caller| caller.principal.tenant.as_ref());
        match self.limits.enter(tenant) {
            Ok(_place) => self.rest().answer(self.clone(), peer, request).await,
            Err(exceeded) => rest::beyond(self, caller, &request, exceeded).await,
        }
    }
}

/// A caller who was kept waiting learns why.
fn told_of_wake(mut response: Response<Body>) -> Response<Body> {
    let woke = AMBIENT.try_with(|around| around.woke.get()).unwrap_or_default();
    if woke > LONG_WAKE {
        let ms = u64::try_from(woke.as_millis()).unwrap_or(u64::MAX);
        response.headers_mut().insert(HeaderName::from_static(WAKE_MS), HeaderValue::from(ms));
    }
    response
}
