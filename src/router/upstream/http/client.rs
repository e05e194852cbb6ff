//! The HTTP client: one small pool per upstream, TLS only for `https`, no redirects, no proxies.

use super::super::Fault;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(60);
const MAX_IDLE: usize = 32;
const MAX_HEADERS: usize = 100;
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Plain or TLS.
pub enum Client {
    Plain(Pool<HttpConnector, Full<Bytes>>),
    Tls(Pool<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Client {
    /// A client for this address. TLS reads the system's certificates, which takes a moment.
    pub fn new(url: &Uri) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        // A peer that is gone without a word is noticed on a stream that waits.
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_connect_timeout(Some(CONNECT));
        match url.scheme_str() {
            Some("http") => Ok(Self::Plain(pool().build(connector))),
            Some("https") => {
                let roots = HttpsConnectorBuilder::new().with_native_roots();
                let tls = roots.unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots());
                Ok(Self::Tls(pool().build(tls.https_only().enable_http1().wrap_connector(connector))))
            }
            Some(scheme @ ("ws" | "wss")) => Err(format!("`{scheme}:` is not spoken by MCP; give an http: URL")),
            _ => Err("a URL begins with http: or https:".to_owned()),
        }
    }

    /// One exchange, up to the head of the answer. The error says what broke, from the inside out.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
        let sent = match self {
            Self::Plain(pool) => pool.request(request).await,
            Self::Tls(pool) => pool.request(request).await,
        };
        sent.map_err(|error| {
            let mut cause: &dyn Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            Broken { text: cause.to_string(), unreachable: error.is_connect() }
        })
    }
}

/// Why there is no answer.
pub struct Broken {
    text: String,
    /// There was no connection, so nothing was sent.
    unreachable: bool,
}

impl Broken {
    /// As a fault of the server at `shown`.
    pub fn fault(self, shown: &str) -> Fault {
        match self.unreachable {
            true => Fault::Unreachable(format!("{shown}: cannot connect: {}", self.text)),
            false => Fault::Transport(format!("{shown}: {}", self.text)),
        }
    }
}

fn pool() -> hyper_util::client::legacy::Builder {
    let mut builder = Pool::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .http1_max_headers(MAX_HEADERS)
        .http1_max_buf_size(MAX_HEAD_BYTES);
    builder
}
