//! The live connection to an instance. Knows ids, pipes and streams; nothing of tenants or gates.

pub mod http;
mod inlet;
pub mod lines;
mod mux;
pub mod query;
pub mod serverside;
pub mod sse;
pub mod stdio;

use super::flight::Flight;
use super::session::Session;
use crate::model::instance::Transport;
use crate::model::{Era, TenantId};
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The connection ended, by whomever.
    #[error("{0}")]
    Closed(Arc<str>),
    /// There is no connection: nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Transport(String),
    #[error("{0}")]
    Auth(String),
    #[error("{0}")]
    Protocol(String),
    /// A message that is beyond `max_message`.
    #[error("{0}")]
    TooLong(String),
}

/// One message to an upstream.
pub struct Ask<'a> {
    /// Our number for it; unique per upstream.
    pub id: u64,
    /// The message with that id in it.
    pub body: Vec<u8>,
    pub expects: Expects,
    pub method: &'a str,
    /// Tool, prompt or resource name.
    pub name: Option<&'a str>,
    /// The caller's own revision, where it names one.
    pub version: Option<&'a str>,
    pub era: Era,
    /// HTTP only.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// HTTP only, legacy: whose session it is sent on.
    pub session: Whose<'a>,
    /// The legacy client whose message it is: a session that is its own is opened with what it said of itself.
    pub client: Option<&'a Arc<Session>>,
    pub flight: Option<&'a Arc<Flight>>,
    /// Drop it without `notifications/cancelled` (the handshake must not be cancelled).
    pub quiet: bool,
}

/// Whose a legacy session at an HTTP upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Ours, for probes and lists.
    Own,
    /// Of the bare and modern calls of a principal of a tenant.
    Pooled(&'a TenantId, &'a str),
    /// Of a legacy client's session, by its number.
    Client(u32),
}

/// What comes back for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// The answer that carries our id.
    Answer,
    /// Whatever names no request: the message has no id that we could set.
    Anything,
    Nothing,
}

/// An upstream's answer: its bytes, and where the parts lie.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub line: Bytes,
    pub id: Option<Range<usize>>,
    pub result: Option<Range<usize>>,
    pub error: Option<Range<usize>>,
}

impl Answer {
    pub fn result(&self) -> Option<&str> {
        std::str::from_utf8(self.line.get(self.result.clone()?)?).ok()
    }

    pub fn error(&self) -> Option<&str> {
        std::str::from_utf8(self.line.get(self.error.clone()?)?).ok()
    }
}

/// How to reach an instance.
pub enum Wire {
    Stdio(stdio::Stdio),
    Http(http::Http),
    Sse(sse::Sse),
    Query(Box<query::Query>),
}

/// An open connection.
pub struct Upstream {
    pub wire: Wire,
    next_id: AtomicU64,
}

impl Upstream {
    pub fn new(wire: Wire) -> Self {
        Self { wire, next_id: AtomicU64::new(1) }
    }

    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    /// Sends a message and waits for what it expects; has no timeout. Dropping the future cancels it upstream.
    /// Takes the body out of `ask`.
    pub async fn ask(&self, ask: &mut Ask<'_>) -> Result<Answer, Fault> {
        match &self.wire {
            Wire::Stdio(stdio) => stdio.ask(ask).await,
            Wire::Http(http) => http.ask(ask).await,
            Wire::Sse(sse) => Box::pin(sse.ask(ask)).await,
            Wire::Query(query) => Box::pin(query.ask(ask)).await,
        }
    }

    /// A legacy client has left.
    pub fn end_session(&self, client: u32) {
        if let Wire::Http(http) = &self.wire {
            http.end_session(client);
        }
    }

    /// Why it is closed, if it is.
    pub fn closed(&self) -> Option<Arc<str>> {
        match &self.wire {
            Wire::Stdio(stdio) => stdio.closed(),
            Wire::Http(http) => http.closed(),
            Wire::Sse(sse) => sse.closed(),
            Wire::Query(query) => query.closed(),
        }
    }

    /// Ends it; whatever waits fails with `reason`.
    pub fn close(&self, reason: &str) {
        match &self.wire {
            Wire::Stdio(stdio) => stdio.close(reason),
            Wire::Http(http) => http.close(reason),
            Wire::Sse(sse) => sse.close(reason),
            Wire::Query(query) => query.close(reason),
        }
    }

    pub fn transport(&self) -> Transport {
        match self.wire {
            Wire::Stdio(_) => Transport::Stdio,
            Wire::Http(_) => Transport::Http,
            Wire::Sse(_) => Transport::Sse,
            Wire::Query(_) => Transport::Query,
        }
    }

    /// Streamable HTTP: each message is an exchange of its own.
    pub fn is_http(&self) -> bool {
        matches!(self.wire, Wire::Http(_))
    }
}
