//! One line a request in the log, at level debug of `mcpdeck::access` (errors of ours at info), tied to the caller's trace.

use super::Body;
use crate::model::trace::{self, Trace};
use crate::router::Ambient;
use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::{HeaderMap, Method, Request, Response, Uri};
use std::cell::Cell;
use std::net::SocketAddr;
use tokio::time::Instant;
use tracing::Level;

const TARGET: &str = "mcpdeck::access";
/// A path that is longer is cut in the log.
const PATH_MAX: usize = 200;
const TRACE: HeaderName = HeaderName::from_static(trace::KEY);

/// A request under way, as the log will tell it. Nothing of its query, headers or body.
pub struct Line {
    /// The caller's, or a new one.
    trace: Trace,
    began: Instant,
    what: Option<(SocketAddr, Method, Uri)>,
}

impl Line {
    pub fn begin(peer: SocketAddr, request: &Request<Incoming>) -> Self {
        let trace = named(request.headers()).unwrap_or_else(Trace::random);
        let told = tracing::enabled!(target: TARGET, Level::INFO);
        let what = told.then(|| (peer, request.method().clone(), request.uri().clone()));
        Self { trace, began: Instant::now(), what }
    }

    /// What the calls that it leads to should know of it.
    pub fn ambient(&self) -> Ambient {
        Ambient { trace: self.trace, arrived: Cell::new(Some(self.began)), woke: Cell::default() }
    }

    /// The answer begins.
    pub fn end(self, response: &Response<Body>) {
        let Some((peer, method, uri)) = self.what else { return };
        let failed = response.status().is_server_error();
        // Most requests are of no level that is told.
        if !failed && !tracing::enabled!(target: TARGET, Level::DEBUG) {
            return;
        }
        let took_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (trace, status) = (self.trace.id(), response.status().as_u16());
        let path: String = uri.path().chars().take(PATH_MAX).collect();
        if failed {
            tracing::info!(target: TARGET, trace, %peer, %method, path, status, took_us);
        } else {
            tracing::debug!(target: TARGET, trace, %peer, %method, path, status, took_us);
        }
    }
}

fn named(headers: &HeaderMap) -> Option<Trace> {
    Trace::parse(headers.get(TRACE)?.to_str().ok()?)
}

/// What whoever watches us must still be told while we end.
pub fn is_watching(path: &str) -> bool {
    matches!(path, "/health" | "/ready" | "/status" | "/metrics")
}
