//! An upstream over streamable HTTP: legacy with sessions, modern without. Every request is its own exchange.

pub mod client;
pub mod events;
pub mod reply;
mod sessions;

use super::serverside::Observer;
use super::{Answer, Ask, Expects, Fault, Whose};
use crate::model::Era;
use crate::model::secret::Secret;
use crate::router::era;
use crate::router::flight::Flight;
use crate::router::home::home;
use crate::router::mirror;
use crate::router::session::{Reply, Session as ClientSession};
use crate::router::wire::{self, ErrorObject};
use bytes::Bytes;
use client::{Body, Client};
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use reply::Reader;
use sessions::{Place, Session, Sessions};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Threads that are told apart.
const ASKING: usize = 8;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// JSON-RPC code with which some servers say that a session is gone (HTTP 400).
const SESSION_GONE: i64 = -32000;
/// Nobody waits longer for a farewell: a cancel, a reply, the end of a session.
const FAREWELL: Duration = Duration::from_secs(5);
/// What a server that knows HTTP+SSE alone says to a POST (2025-11-25, transports, backwards compatibility).
const OLDER: [StatusCode; 3] = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
/// Headers of a request that are neither configured nor put in for the caller, `Host` and the length among them.
const COMPUTED: usize = 7;
/// Ids of handshakes; far from those of calls.
const HANDSHAKES: u64 = 1 << 52;

pub struct Http {
    shared: Arc<Shared>,
}

struct Shared {
    url: Uri,
    /// Without user, password and query.
    shown: String,
    client: Client,
    headers: HeaderMap,
    sessions: Sessions,
    handshakes: AtomicU64,
    observer: Observer,
    max_message: u64,
    /// It answered a handshake as servers of HTTP+SSE do.
    may_be_sse: AtomicBool,
    /// One for each of the threads that ask, so that they do not fight for it.
    closing: [CancellationToken; ASKING],
    closed: OnceLock<Arc<str>>,
}

impl Http {
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
        let headers = own_headers(headers)?;
        let shared = Shared {
            url: uri,
            shown,
            client,
            headers,
            sessions: Sessions::default(),
            handshakes: AtomicU64::new(HANDSHAKES),
            observer,
            max_message,
            may_be_sse: AtomicBool::new(false),
            closing: Default::default(),
            closed: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// See [`super::Upstream::ask`].
    pub async fn ask(&self, ask: &mut Ask<'_>) -> Result<Answer, Fault> {
        let shared = &self.shared;
        if ask.body.len() as u64 > shared.max_message {
            let (len, max) = (ask.body.len(), shared.max_message);
            return Err(Fault::TooLong(format!("the message has {len} bytes; max_message is {max}")));
        }
        tokio::select! {
            biased;
            answer = shared.exchange(ask) => answer,
            () = shared.closing[home() % ASKING].cancelled() => Err(Fault::Closed(self.closed().unwrap_or_default())),
        }
    }

    /// True if its answer to a handshake was one that a server of HTTP+SSE gives.
    pub fn may_be_sse(&self) -> bool {
        self.shared.may_be_sse.load(Relaxed)
    }

    pub fn closed(&self) -> Option<Arc<str>> {
        self.shared.closed.get().cloned()
    }

    /// Reads the stream on which a legacy server says what belongs to no call, until it ends. False: it has none.
    /// `opened` is called once it is open.
    pub async fn follow(
        &self,
        session: Whose<'_>,
        client: Option<&Arc<ClientSession>>,
        headers: Vec<(HeaderName, HeaderValue)>,
        flight: &Arc<Flight>,
        opened: impl FnOnce(),
    ) -> Result<bool, Fault> {
        let ask = Ask {
            id: u64::MAX,
            body: Vec::new(),
            expects: Expects::Answer,
            method: "",
            name: None,
            version: None,
            era: Era::Legacy,
            headers,
            session,
            client,
            flight: Some(flight),
            quiet: true,
        };
        tokio::select! {
            followed = self.shared.follow(&ask, opened) => followed,
            () = self.shared.closing[home() % ASKING].cancelled() => Err(Fault::Closed(self.closed().unwrap_or_default())),
        }
    }

    /// A legacy client has left: the session that was its own ends, in the background.
    pub fn end_session(&self, client: u32) {
        if let Some(session) = self.shared.sessions.take(Whose::Client(client)) {
            self.shared.clone().end_session(session);
        }
    }

    /// Fails what waits and ends the sessions, in the background.
    pub fn close(&self, reason: &str) {
        self.shared.closed.get_or_init(|| reason.into());
        self.shared.closing.iter().for_each(CancellationToken::cancel);
        for session in self.shared.sessions.take_all() {
            self.shared.clone().end_session(session);
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.close("the connection was dropped");
    }
}

impl Shared {
    async fn exchange(self: &Arc<Self>, ask: &mut Ask<'_>) -> Result<Answer, Fault> {
        let body = Bytes::from(std::mem::take(&mut ask.body));
        if ask.era == Era::Modern {
            let response = self.send(Method::POST, body, self.modern_head(ask)).await?;
            return self.read(ask, response, None).await;
        }
        if ask.method == "initialize" {
            return Box::pin(self.first_handshake(ask, body)).await;
        }
        let (place, session) = self.session(ask).await?;
        if session.id.is_none() {
            return self.ask_on(&session, ask, body).await?.1;
        }
        let (status, answer) = self.ask_on(&session, ask, body.clone()).await?;
        if !is_gone(status, &answer, &session) {
            return answer;
        }
        // The request was refused for its session, so it may be repeated on a new one; once.
        self.sessions.forget(ask.session, &place);
        let (_, session) = self.session(ask).await?;
        self.ask_on(&session, ask, body).await?.1
    }

    /// One legacy exchange; left early, it is cancelled upstream.
    async fn ask_on(
        self: &Arc<Self>,
        session: &Session,
        ask: &Ask<'_>,
        body: Bytes,
    ) -> Result<(StatusCode, Result<Answer, Fault>), Fault> {
        let mut cancel = Cancel { shared: self, session, id: (ask.expects == Expects::Answer).then_some(ask.id) };
        let done = async {
            let response = self.send(Method::POST, body, self.head(&ask.headers, Some(session))).await?;
            Ok((response.status(), self.read(ask, response, Some(session)).await))
        }
        .await;
        cancel.id = None;
        done
    }

    async fn follow(self: &Arc<Self>, ask: &Ask<'_>, opened: impl FnOnce()) -> Result<bool, Fault> {
        let (place, session) = self.session(ask).await?;
        let response = self.send(Method::GET, Bytes::new(), self.head(&ask.headers, Some(&session))).await?;
        match response.status() {
            StatusCode::OK => {
                opened();
                let reply = self.replier(Some(&session));
                self.reader(ask, &reply).follow(response).await;
            }
            StatusCode::NOT_FOUND if session.id.is_some() => self.sessions.forget(ask.session, &place),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The head of a request: what is configured, over it what is put in for the caller, over both what MCP wants there.
    fn head(&self, asked: &[(HeaderName, HeaderValue)], session: Option<&Session>) -> HeaderMap {
        let mut head = HeaderMap::with_capacity(self.headers.len() + asked.len() + COMPUTED);
        head.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        for (name, value) in asked {
            head.insert(name, value.clone());
        }
        if let Some(session) = session {
            head.insert(VERSION, session.version.clone());
            session.id.iter().for_each(|id| drop(head.insert(SESSION, id.clone())));
        }
        head.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        head
    }

    fn modern_head(&self, ask: &Ask<'_>) -> HeaderMap {
        let mut head = self.head(&ask.headers, None);
        head.insert(VERSION, mirror::header_value(ask.version.unwrap_or(era::MODERN)));
        head.insert(METHOD, mirror::header_value(ask.method));
        if let Some(name) = ask.name {
            head.insert(NAME, mirror::header_value(name));
        }
        head
    }

    /// Reads the answer to a message that was sent on this session.
    async fn read(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        response: Response<Body>,
        session: Option<&Session>,
    ) -> Result<Answer, Fault> {
        let reply = self.replier(session);
        self.reader(ask, &reply).read(response).await
    }

    /// Makes what takes the answer to a server's question back to it.
    fn replier(self: &Arc<Self>, session: Option<&Session>) -> impl Fn() -> Reply + Send + Sync {
        move || {
            let (shared, session) = (self.clone(), session.cloned());
            Box::new(move |text| shared.send_aside(Method::POST, text, session))
        }
    }

    fn reader<'a>(&'a self, ask: &'a Ask<'_>, reply: &'a (dyn Fn() -> Reply + Send + Sync)) -> Reader<'a> {
        Reader {
            url: &self.shown,
            id: ask.id,
            expects: ask.expects,
            flight: ask.flight,
            observer: &self.observer,
            max_message: self.max_message,
            client: ask.client,
            reply,
        }
    }

    async fn send(&self, method: Method, body: Bytes, head: HeaderMap) -> Result<Response<Body>, Fault> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = head;
        self.client.send(request).await.map_err(|e| e.fault(&self.shown))
    }

    /// The handshake that opens the upstream; its session is ours, for probes and lists.
    async fn first_handshake(self: &Arc<Self>, ask: &Ask<'_>, body: Bytes) -> Result<Answer, Fault> {
        let (place, _) = self.sessions.place(ask.session);
        let (answer, session) = self.shake(ask, body).await?;
        if let Some(session) = session {
            let _ = place.set(session);
        }
        Ok(answer)
    }

    /// Sends `initialize`; a session, if it was accepted.
    async fn shake(self: &Arc<Self>, ask: &Ask<'_>, body: Bytes) -> Result<(Answer, Option<Session>), Fault> {
        let response = self.send(Method::POST, body, self.head(&ask.headers, None)).await?;
        self.may_be_sse.store(OLDER.contains(&response.status()), Relaxed);
        let id = response.headers().get(&SESSION).cloned();
        let answer = self.read(ask, response, None).await?;
        let version = answer.result().and_then(era::agreed_version);
        let session = version.map(|version| Session { id, version: mirror::header_value(&version) });
        Ok((answer, session))
    }

    /// The session that this message belongs on. Upstreams that keep none serve everybody alike.
    async fn session(self: &Arc<Self>, ask: &Ask<'_>) -> Result<(Place, Session), Fault> {
        let ours = self.sessions.own();
        let stateless = ours.get().is_some_and(|session| session.id.is_none());
        let (place, gone) = if stateless { (ours, Vec::new()) } else { self.sessions.place(ask.session) };
        for session in gone {
            self.clone().end_session(session);
        }
        // Boxed: it is rare, and every call's future would hold room for it.
        let session = place.get_or_try_init(|| Box::pin(self.new_session(ask))).await?.clone();
        Ok((place, session))
    }

    async fn new_session(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Session, Fault> {
        let id = self.handshakes.fetch_add(1, Relaxed);
        let hello = Ask {
            id,
            body: Vec::new(),
            expects: Expects::Answer,
            method: "initialize",
            name: None,
            version: None,
            era: Era::Legacy,
            headers: ask.headers.clone(),
            session: ask.session,
            client: ask.client,
            flight: None,
            quiet: true,
        };
        let body =
            wire::request(id, "initialize", &format!("{{{}}}", era::initialize_params(ask.client.map(|s| &s.hello))));
        let (answer, session) = self.shake(&hello, body.into()).await?;
        let session = session.ok_or_else(|| {
            let why =
                answer.error().map_or_else(|| "no result".to_owned(), |e| ErrorObject::read(e).message.into_owned());
            Fault::Protocol(format!("{} refuses a new session: {why}", self.shown))
        })?;
        let done = wire::notification("notifications/initialized", "{}");
        self.send(Method::POST, done.into(), self.head(&ask.headers, Some(&session))).await?;
        Ok(session)
    }

    /// Sends something that nobody waits for.
    fn send_aside(self: &Arc<Self>, method: Method, body: String, session: Option<Session>) {
        let shared = self.clone();
        // Outside of a runtime (the last drop at exit) there is nobody to send it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let head = shared.head(&[], session.as_ref());
                let _ = tokio::time::timeout(FAREWELL, shared.send(method, body.into(), head)).await;
            });
        }
    }

    fn end_session(self: Arc<Self>, session: Session) {
        if session.id.is_some() {
            self.send_aside(Method::DELETE, String::new(), Some(session));
        }
    }
}

/// Left early (the call was dropped, cancelled or timed out), it tells the upstream: closing the stream says nothing there.
struct Cancel<'a> {
    shared: &'a Arc<Shared>,
    session: &'a Session,
    id: Option<u64>,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let params = format!(r#"{{"requestId":{id},"reason":"the caller gave up"}}"#);
            let body = wire::notification("notifications/cancelled", &params);
            self.shared.send_aside(Method::POST, body, Some(self.session.clone()));
        }
    }
}

/// True if upstream refused the message because it no longer knows the session.
fn is_gone(status: StatusCode, answer: &Result<Answer, Fault>, session: &Session) -> bool {
    let code = answer.as_ref().ok().and_then(Answer::error).map(|e| ErrorObject::read(e).code);
    let gone = status == StatusCode::NOT_FOUND || (status == StatusCode::BAD_REQUEST && code == Some(SESSION_GONE));
    gone && session.id.is_some()
}

/// The configured headers; values are marked so that no log of the library shows them.
pub fn own_headers(headers: &[(String, Secret)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, secret) in headers {
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no header name"))?;
        if mirror::is_reserved(&name) {
            return Err(format!("header `{name}` is set by the router and cannot be configured"));
        }
        let mut value = HeaderValue::from_bytes(secret.expose().as_bytes())
            .map_err(|_| format!("the value for header `{name}` has control characters"))?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

/// Without user, password and query.
pub fn shown_url(url: &Uri) -> String {
    let host = url.host().unwrap_or_default();
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme_str().unwrap_or("http"), url.path())
}
