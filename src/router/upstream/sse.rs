//! An upstream over HTTP+SSE (MCP 2024-11-05): one stream carries every answer, each message is a POST beside it. One
//! session serves all callers by rewritten ids, as on pipes. A stream that ended is opened anew by the next call.

use super::http::client::{Body, Client};
use super::http::events::{Event, Events};
use super::http::reply::{error_body, refusal};
use super::http::{own_headers, shown_url};
use super::mux::Mux;
use super::serverside::Observer;
use super::{Answer, Ask, Expects, Fault, Whose};
use crate::model::Era;
use crate::model::secret::Secret;
use crate::router::era;
use crate::router::flight::lock;
use crate::router::session::Reply;
use crate::router::wire::{self, ErrorObject};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// A new stream must say within this where to post.
const ENDPOINT: Duration = Duration::from_secs(10);
/// A POST is acknowledged within this, or was for nothing.
const ACKNOWLEDGED: Duration = Duration::from_secs(60);
/// Nobody waits longer for a cancel or a reply.
const FAREWELL: Duration = Duration::from_secs(5);
/// Longest address that is posted to.
const MAX_ENDPOINT: usize = 4 << 10;
/// Ids of handshakes; far from those of calls.
const HANDSHAKES: u64 = 1 << 52;

pub struct Sse {
    shared: Arc<Shared>,
}

struct Shared {
    url: Uri,
    /// Without user, password and query.
    shown: String,
    client: Client,
    headers: HeaderMap,
    observer: Observer,
    max_message: u64,
    /// The session now, made or being made.
    session: Mutex<Arc<OnceCell<Session>>>,
    handshakes: AtomicU64,
    closing: CancellationToken,
    closed: Mutex<Option<Arc<str>>>,
}

/// One stream and what waits on it.
struct Session {
    mux: Arc<Mux>,
    endpoint: Uri,
    reader: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.mux.fail_all("the session was ended");
        self.reader.abort();
    }
}

/// Why a message was not taken.
enum Refused {
    /// The session is not known any more: nothing was done.
    Gone,
    Fault(Fault),
}

impl Sse {
    /// Prepares a client; nothing is sent yet.
    pub fn connect(
        url: &str,
        headers: &[(String, Secret)],
        max_message: u64,
        observer: Observer,
    ) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("`{url}` is no URL: {e}"))?;
        let shown = shown_url(&uri);
        let client = Client::new(&uri).map_err(|e| format!("{shown}: {e}"))?;
        let shared = Shared {
            url: uri,
            shown,
            client,
            headers: own_headers(headers)?,
            observer,
            max_message,
            session: Mutex::default(),
            handshakes: AtomicU64::new(HANDSHAKES),
            closing: CancellationToken::new(),
            closed: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// See [`super::Upstream::ask`].
    pub async fn ask(&self, ask: &mut Ask<'_>) -> Result<Answer, Fault> {
        if ask.era == Era::Modern {
            return Err(Fault::Protocol("HTTP+SSE is spoken in the legacy era alone".to_owned()));
        }
        tokio::select! {
            biased;
            answer = self.shared.exchange(ask) => answer,
            () = self.shared.closing.cancelled() => Err(Fault::Closed(self.closed().unwrap_or_default())),
        }
    }

    pub fn closed(&self) -> Option<Arc<str>> {
        lock(&self.shared.closed).clone()
    }

    /// Fails what waits and hangs up: that is all that ends a session here.
    pub fn close(&self, reason: &str) {
        lock(&self.shared.closed).get_or_insert_with(|| reason.into());
        self.shared.closing.cancel();
        drop(std::mem::take(&mut *lock(&self.shared.session)));
    }
}

impl Drop for Sse {
    fn drop(&mut self) {
        self.close("the connection was dropped");
    }
}

impl Shared {
    async fn exchange(self: &Arc<Self>, ask: &mut Ask<'_>) -> Result<Answer, Fault> {
        let body = Bytes::from(std::mem::take(&mut ask.body));
        let place = self.place();
        // The first handshake is the caller's own: it wants to see the answer.
        let session = place.get_or_try_init(|| self.open(&ask.headers, ask.method != "initialize")).await?;
        match self.ask_on(session, ask, body.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(Refused::Fault(fault)) => return Err(fault),
            Err(Refused::Gone) => self.forget(&place),
        }
        // The message was refused for its session, so it may be repeated on a new one; once.
        let place = self.place();
        let session = place.get_or_try_init(|| self.open(&ask.headers, true)).await?;
        self.ask_on(session, ask, body).await.map_err(|refused| match refused {
            Refused::Fault(fault) => fault,
            Refused::Gone => Fault::Protocol(format!("{} forgets each session at once", self.shown)),
        })
    }

    /// The session now; one whose stream ended makes room for the next.
    fn place(&self) -> Arc<OnceCell<Session>> {
        let mut place = lock(&self.session);
        if place.get().is_some_and(|session| session.mux.closed().is_some()) {
            *place = Arc::default();
        }
        place.clone()
    }

    fn forget(&self, gone: &Arc<OnceCell<Session>>) {
        let mut place = lock(&self.session);
        if Arc::ptr_eq(&place, gone) {
            *place = Arc::default();
        }
    }

    async fn ask_on(self: &Arc<Self>, session: &Session, ask: &Ask<'_>, body: Bytes) -> Result<Answer, Refused> {
        session.mux.check_length(&body).map_err(Refused::Fault)?;
        let post = || self.clone().post(session.endpoint.clone(), ask.headers.clone(), body);
        if ask.expects == Expects::Nothing {
            return post().await.map(|()| Answer::default());
        }
        let place = session.mux.place(ask.id, ask.flight.cloned(), ask.expects);
        let mut place = place.map_err(|_| Refused::Gone)?;
        // In a task of its own: the answer may come before the acknowledgement, whose connection should serve again.
        let posting = tokio::spawn(post());
        let posted = async { posting.await.unwrap_or_else(|_| Err(Refused::Fault(session.mux.gone()))) };
        let cancels = !ask.quiet && ask.expects == Expects::Answer && ask.method != "initialize";
        place.cancel = cancels.then_some(|text| self.say(&session.endpoint, text));
        let answer = tokio::select! {
            biased;
            answer = place.answer() => answer,
            posted = posted => match posted {
                Ok(()) => place.answer().await,
                Err(refused) => {
                    place.cancel = None;
                    return Err(refused);
                }
            },
        };
        answer.map_err(Refused::Fault)
    }

    async fn post(
        self: Arc<Self>,
        endpoint: Uri,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<(), Refused> {
        let answered = tokio::time::timeout(ACKNOWLEDGED, async {
            let mut request = self.request(Method::POST, endpoint, &headers, body);
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let response = self.client.send(request).await.map_err(|e| Refused::Fault(e.fault(&self.shown)))?;
            match response.status() {
                // Read to its end, so that the connection serves again.
                status if status.is_success() => {
                    error_body(response).await;
                    Ok(())
                }
                StatusCode::NOT_FOUND => Err(Refused::Gone),
                _ => Err(Refused::Fault(refusal(&self.shown, response).await)),
            }
        });
        let silent = || Refused::Fault(Fault::Transport(format!("{} does not acknowledge messages", self.shown)));
        answered.await.unwrap_or_else(|_| Err(silent()))
    }

    /// Sends something that nobody waits for.
    fn say(self: &Arc<Self>, endpoint: &Uri, message: String) {
        let posting = self.clone().post(endpoint.clone(), Vec::new(), message.into());
        // Outside of a runtime (the last drop at exit) there is nobody to send it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(FAREWELL, posting));
        }
    }

    fn replier(self: &Arc<Self>, endpoint: &Uri) -> Reply {
        let (shared, endpoint) = (self.clone(), endpoint.clone());
        Box::new(move |text| shared.say(&endpoint, text))
    }

    fn request(
        &self,
        method: Method,
        to: Uri,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = to;
        let map = request.headers_mut();
        map.clone_from(&self.headers);
        for (name, value) in headers {
            map.insert(name, value.clone());
        }
        request
    }

    /// Opens a stream, learns where to post and (`shake`) shakes hands.
    async fn open(self: &Arc<Self>, headers: &[(HeaderName, HeaderValue)], shake: bool) -> Result<Session, Fault> {
        let silent = |_| Fault::Transport(format!("{} does not say where to post", self.shown));
        let session = tokio::time::timeout(ENDPOINT, self.listen(headers)).await.map_err(silent)??;
        if shake {
            self.shake(&session, headers).await?;
            // What the server offers may differ from before.
            self.observer.lists.set_stale();
        }
        Ok(session)
    }

    async fn listen(self: &Arc<Self>, headers: &[(HeaderName, HeaderValue)]) -> Result<Session, Fault> {
        let mut request = self.request(Method::GET, self.url.clone(), headers, Bytes::new());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        request.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let response = self.client.send(request).await.map_err(|e| e.fault(&self.shown))?;
        if !response.status().is_success() {
            return Err(refusal(&self.shown, response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != "text/event-stream" {
            return Err(Fault::Protocol(format!("{} answers GET with `{kind}`: no HTTP+SSE there", self.shown)));
        }
        let mut stream = Stream::new(response, self.max_message);
        let first = stream.next().await.map_err(|why| Fault::Transport(format!("{} {why}", self.shown)))?;
        let Event::Endpoint(text) = first else {
            return Err(Fault::Protocol(format!("{} does not begin with `endpoint`", self.shown)));
        };
        let endpoint = self.resolve(&text)?;
        let mux = Arc::new(Mux::new(self.observer.clone(), self.max_message));
        let reader = tokio::spawn(self.clone().read(stream, mux.clone(), endpoint.clone()));
        Ok(Session { mux, endpoint, reader: reader.abort_handle() })
    }

    fn resolve(&self, text: &[u8]) -> Result<Uri, Fault> {
        resolve(&self.url, text).map_err(|why| Fault::Protocol(format!("{}: {why}", self.shown)))
    }

    async fn shake(self: &Arc<Self>, session: &Session, headers: &[(HeaderName, HeaderValue)]) -> Result<(), Fault> {
        let id = self.handshakes.fetch_add(1, Relaxed);
        let body = wire::request(id, "initialize", &format!("{{{}}}", era::initialize_params(None)));
        let ask = |id, method, expects| Ask {
            id,
            body: Vec::new(),
            expects,
            method,
            name: None,
            version: None,
            era: Era::Legacy,
            headers: headers.to_vec(),
            session: Whose::Own,
            client: None,
            flight: None,
            quiet: true,
        };
        let fault = |refused| match refused {
            Refused::Fault(fault) => fault,
            Refused::Gone => Fault::Protocol(format!("{} forgets each session at once", self.shown)),
        };
        let answer = self.ask_on(session, &ask(id, "initialize", Expects::Answer), body.into()).await.map_err(fault)?;
        if let Some(error) = answer.error() {
            let why = ErrorObject::read(error).message;
            return Err(Fault::Protocol(format!("{} refuses a new session: {why}", self.shown)));
        }
        let done = wire::notification("notifications/initialized", "{}");
        let told = ask(0, "notifications/initialized", Expects::Nothing);
        self.ask_on(session, &told, done.into()).await.map(drop).map_err(fault)
    }

    /// Reads one stream to its end; whoever waits on it then learns why.
    async fn read(self: Arc<Self>, mut stream: Stream, mux: Arc<Mux>, endpoint: Uri) {
        loop {
            match stream.next().await {
                Ok(Event::Message(text)) => mux.take(&text, || self.replier(&endpoint)),
                Ok(Event::TooLong { bytes, head, tail }) => mux.too_long(bytes, &head, &tail),
                // Said once, at the beginning.
                Ok(Event::Endpoint(_)) => {}
                Err(why) => {
                    mux.fail_all(&format!("{} {why}", self.shown));
                    return;
                }
            }
        }
    }
}

/// The events of a response, one after the other.
struct Stream {
    body: Body,
    events: Events,
    ready: VecDeque<Event>,
}

impl Stream {
    fn new(response: Response<Body>, max_message: u64) -> Self {
        Self { body: response.into_body(), events: Events::new(max_message), ready: VecDeque::new() }
    }

    async fn next(&mut self) -> Result<Event, String> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        self.ready.extend(self.events.push(&chunk));
                    }
                }
                Some(Err(error)) => return Err(format!("broke off its stream: {error}")),
                None => return Err("ended its stream".to_owned()),
            }
        }
    }
}

/// The address that `endpoint` names, as seen from `base`. Another origin is refused: it would be given our credentials.
fn resolve(base: &Uri, endpoint: &[u8]) -> Result<Uri, String> {
    let bad = |why: &str| format!("its endpoint `{}` {why}", String::from_utf8_lossy(endpoint).escape_debug());
    let text = std::str::from_utf8(endpoint).map_err(|_| bad("is no text"))?.trim();
    if text.is_empty() || text.len() > MAX_ENDPOINT {
        return Err("its endpoint is empty, or too long".to_owned());
    }
    let scheme = base.scheme_str().unwrap_or("http");
    let authority = base.authority().map_or("", |a| a.as_str());
    let absolute = if text.contains("://") {
        text.to_owned()
    } else if text.starts_with("//") {
        format!("{scheme}:{text}")
    } else if text.starts_with('/') {
        format!("{scheme}://{authority}{text}")
    } else if text.starts_with('?') {
        format!("{scheme}://{authority}{}{text}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{text}")
    };
    let uri: Uri = absolute.parse().map_err(|_| bad("is no address"))?;
    let origin = |uri: &Uri| {
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let host = uri.host().map(str::to_ascii_lowercase);
        (uri.scheme_str().map(str::to_ascii_lowercase), host, uri.port_u16().unwrap_or(default))
    };
    if origin(&uri) != origin(base) {
        return Err(bad("is of another origin"));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_of_the_same_origin() {
        let base: Uri = "http://Host:8080/a/sse".parse().unwrap();
        for (endpoint, want) in [
            ("/message?sessionId=1", "http://Host:8080/message?sessionId=1"),
            ("message?s=1", "http://Host:8080/a/message?s=1"),
            ("?s=1", "http://Host:8080/a/sse?s=1"),
            ("http://host:8080/m", "http://host:8080/m"),
            ("//host:8080/m", "http://host:8080/m"),
        ] {
            assert_eq!(resolve(&base, endpoint.as_bytes()).unwrap().to_string(), want, "{endpoint}");
        }
        for endpoint in
            ["http://evil:8080/m", "//evil/m", "https://host:8080/m", "http://host/m", "ftp://host/", "", "a b"]
        {
            assert!(resolve(&base, endpoint.as_bytes()).is_err(), "{endpoint}");
        }
        let secure: Uri = "https://host/sse".parse().unwrap();
        assert!(resolve(&secure, b"https://host:443/m").is_ok());
    }
}
