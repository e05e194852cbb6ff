//! The HTTP gateway: agents, services and scripts reach the same router and the same acts as the screen.
//! Runs in the owner alone. Hands MCP bytes to the router and everything else to the handle; must never import a
//! backend, the store or a screen.

mod auth;
mod error;
mod listen;
mod mcp;
mod rest;

pub use listen::{ListenError, Listening};

use crate::control::handle::{Handle, Inside};
use bytes::Bytes;
use error::Error;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::{Request, Response};
use rest::Rest;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A body of ours: whole, or a stream of events.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What every request is answered from.
pub struct Gateway {
    pub handle: Handle,
    pub inside: Inside,
    /// Takes nothing new: streams end.
    pub closing: CancellationToken,
    rest: Rest,
}

impl Gateway {
    /// `None` where the platform is not in this process.
    pub fn new(handle: Handle) -> Option<Arc<Self>> {
        let inside = handle.inside()?;
        Some(Arc::new(Self { rest: Rest::new(), closing: CancellationToken::new(), handle, inside }))
    }

    /// Answers one request; whatever goes wrong becomes a response in the shape of its face.
    pub async fn answer(self: Arc<Self>, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let is_mcp = path == "/mcp" || path.starts_with("/mcp/");
        if let Err(error) = auth::check_sender(&self, request.headers()) {
            return if is_mcp { error.into_json_rpc() } else { error.into_rest() };
        }
        auth::identify(&self, peer, &mut request);
        if is_mcp {
            return mcp::answer(&self, request).await.unwrap_or_else(Error::into_json_rpc);
        }
        self.rest.answer(self.clone(), request).await
    }
}
