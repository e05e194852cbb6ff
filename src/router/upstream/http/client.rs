//! The HTTP client of one upstream: TLS only for `https`, no redirects, no proxies. Whoever asks drives the connection
//! itself until the answer is whole, so that nothing passes from task to task on the way; between requests connections
//! rest in a pool, each for the runtime on which it was opened: only there nobody has to wake another thread for it.

use super::super::Fault;
use crate::router::flight::lock;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::rt::{Read, Write};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{self, Handle};
use tokio::time::Instant;
use tower_service::Service;

const CONNECT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(60);
/// How often connections that rest for too long are looked for.
const SWEEP: Duration = Duration::from_secs(20);
const MAX_IDLE: usize = 64;
const MAX_HEADERS: usize = 100;
const MAX_HEAD_BYTES: usize = 64 << 10;

/// A client of one origin.
pub struct Client {
    connector: Connector,
    origin: Uri,
    host: HeaderValue,
    pool: Arc<Pool>,
}

enum Connector {
    Plain(HttpConnector),
    Tls(HttpsConnector<HttpConnector>),
}

trait Stream: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Stream for T {}

/// One connection and the handle to send on it. It makes progress only while it is polled.
struct Line {
    home: Option<runtime::Id>,
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it is over: what still waits in it learns of that only when it is dropped.
    connection: Option<Connection<Box<dyn Stream>, Full<Bytes>>>,
}

/// Connections that rest, the one that rested shortest at the end.
#[derive(Default)]
struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    lines: Vec<(Instant, Box<Line>)>,
    /// A task looks for those that rest for too long.
    swept: bool,
}

impl Client {
    /// A client for the origin of this address. TLS reads the system's certificates, which takes a moment.
    pub fn new(url: &Uri) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        // A peer that is gone without a word is noticed on a stream that waits.
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_connect_timeout(Some(CONNECT));
        let connector = match url.scheme_str() {
            Some("http") => Connector::Plain(connector),
            Some("https") => {
                let roots = HttpsConnectorBuilder::new().with_native_roots();
                let tls = roots.unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots());
                Connector::Tls(tls.https_only().enable_http1().wrap_connector(connector))
            }
            Some(scheme @ ("ws" | "wss")) => {
                return Err(format!("`{scheme}:` is not spoken by MCP; give an http: URL"));
            }
            _ => return Err("a URL begins with http: or https:".to_owned()),
        };
        let host = url.authority().and_then(|authority| host(authority, &connector));
        let host = host.ok_or_else(|| "it names no host".to_owned())?;
        Ok(Self { connector, origin: url.clone(), host, pool: Arc::default() })
    }

    /// One exchange, up to the head of the answer; `request` names a path of our origin. The error says what broke, from
    /// the inside out.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Body>, Broken> {
        if request.uri().authority() != self.origin.authority() {
            let text = format!("{} is of another origin", request.uri());
            return Err(Broken { text, unreachable: true });
        }
        if let Some(path) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = path.into();
        }
        request.headers_mut().entry(HOST).or_insert_with(|| self.host.clone());
        loop {
            let rested = self.pool.take();
            let fresh = rested.is_none();
            let mut line = match rested {
                Some(line) => line,
                None => Box::pin(self.connect()).await.map_err(|error| Broken::of(&*error, true))?,
            };
            match line.exchange(request).await {
                Ok(answer) => return Ok(answer.map(|incoming| Body::new(incoming, line, &self.pool))),
                // The peer has hung up while the connection rested: nothing was sent.
                Err((_, Some(unsent))) if !fresh => request = unsent,
                Err((error, _)) => return Err(Broken::of(&error, false)),
            }
        }
    }

    async fn connect(&self) -> Result<Box<Line>, Box<dyn Error + Send + Sync>> {
        let to = self.origin.clone();
        let stream: Box<dyn Stream> = match &self.connector {
            Connector::Plain(connector) => Box::new(connector.clone().call(to).await?),
            Connector::Tls(connector) => Box::new(connector.clone().call(to).await?),
        };
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
        let (sender, connection) = builder.handshake(stream).await?;
        Ok(Box::new(Line { home: here(), sender, connection: Some(connection) }))
    }
}

/// What `Host` says (RFC 9110, 7.2): no user, and no port that goes without saying.
fn host(authority: &Authority, connector: &Connector) -> Option<HeaderValue> {
    let usual = match connector {
        Connector::Plain(_) => 80,
        Connector::Tls(_) => 443,
    };
    let port = authority.port_u16().filter(|port| *port != usual);
    let host = authority.host();
    let text = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    if host.is_empty() { None } else { HeaderValue::from_str(&text).ok() }
}

/// Why a request was not answered, and the request itself if nothing of it was sent.
type Unanswered = (hyper::Error, Option<Request<Full<Bytes>>>);

impl Line {
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let answer = poll_fn(|cx| {
            // Its end, good or bad, is told to the answer as well.
            drive(&mut self.connection, cx);
            answer.as_mut().poll(cx)
        });
        answer.await.map_err(|mut error| {
            let unsent = error.take_message();
            (error.into_error(), unsent)
        })
    }

    /// True if another request can be made on it now. From here on nobody is woken for it: not who asked last, and not who
    /// asks next for its own request.
    fn is_free(&mut self) -> bool {
        drive(&mut self.connection, &mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// Lets a connection go on, and drops it at its end.
fn drive<C: Future + Unpin>(connection: &mut Option<C>, cx: &mut Context<'_>) {
    if let Some(going) = connection
        && Pin::new(going).poll(cx).is_ready()
    {
        *connection = None;
    }
}

impl Pool {
    /// One that rests. Its peer may have hung up meanwhile: whoever sends on it learns that before anything is sent.
    fn take(&self) -> Option<Box<Line>> {
        lock(&self.idle).newest_of(here())
    }

    /// Takes back a connection on which an answer came to its end. Called by whoever will not poll it any more.
    fn put(self: &Arc<Self>, mut line: Box<Line>) {
        if !line.is_free() {
            return;
        }
        let mut idle = lock(&self.idle);
        if idle.lines.len() < MAX_IDLE {
            idle.lines.push((Instant::now(), line));
        }
        // Outside of a runtime (the last drop at exit) nothing rests for long.
        if !idle.swept
            && let Ok(runtime) = Handle::try_current()
        {
            idle.swept = true;
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what rested for too long; false once nothing rests.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut idle = lock(&self.idle);
        idle.lines.retain(|(since, _)| now.duration_since(*since) < IDLE);
        idle.swept = !idle.lines.is_empty();
        idle.swept
    }
}

impl Idle {
    fn newest_of(&mut self, home: Option<runtime::Id>) -> Option<Box<Line>> {
        let at = self.lines.iter().rposition(|(_, line)| line.home == home)?;
        Some(self.lines.remove(at).1)
    }
}

/// The runtime that this is called on.
fn here() -> Option<runtime::Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if !pool.upgrade().is_some_and(|pool| pool.sweep()) {
            return;
        }
    }
}

/// The body of an answer, and the connection that it comes on. Read to its end, the connection serves again; dropped
/// before, it is closed, which is how a peer learns that nobody listens any more.
pub struct Body {
    incoming: Incoming,
    ended: bool,
    line: Option<Box<Line>>,
    pool: Arc<Pool>,
}

impl Body {
    fn new(incoming: Incoming, line: Box<Line>, pool: &Arc<Pool>) -> Self {
        Self { incoming, ended: false, line: Some(line), pool: pool.clone() }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(line) = &mut self.line {
            drive(&mut line.connection, cx);
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        // The first look says that more is wanted, the connection brings it.
        let mut frame = Pin::new(&mut this.incoming).poll_frame(cx);
        if frame.is_pending() {
            this.drive(cx);
            frame = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        this.ended = matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let ended = self.ended || self.incoming.is_end_stream();
        if let Some(line) = self.line.take().filter(|_| ended) {
            self.pool.put(line);
        }
    }
}

/// Why there is no answer.
pub struct Broken {
    text: String,
    /// There was no connection, so nothing was sent.
    unreachable: bool,
}

impl Broken {
    fn of(error: &(dyn Error + 'static), unreachable: bool) -> Self {
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self { text: cause.to_string(), unreachable }
    }

    /// As a fault of the server at `shown`.
    pub fn fault(self, shown: &str) -> Fault {
        match self.unreachable {
            true => Fault::Unreachable(format!("{shown}: cannot connect: {}", self.text)),
            false => Fault::Transport(format!("{shown}: {}", self.text)),
        }
    }
}
