//! Sessions of legacy clients: whose they are, what they said in their handshake, what waits for them. Owns no I/O.

mod questions;
mod registry;

use super::client::{Endpoint, Level, Outbox};
use super::era::{KNOWN_LEGACY, LEGACY};
use super::flight::lock;
use super::message::Message;
use crate::model::hash::Map;
use crate::model::{CallId, TenantId};
use bytes::Bytes;
use questions::Questions;
pub use questions::Reply;
pub use registry::{NoSession, SessionLimits, Sessions};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Resources that one session may subscribe to, bytes of the address of one, and of what its client says of itself.
pub const MAX_SUBSCRIPTIONS: usize = 256;
pub const MAX_URI: usize = 2 << 10;
const MAX_HELLO: usize = 4 << 10;

/// What a client said of itself in `initialize`; JSON texts.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The revision that was agreed on.
    pub version: &'static str,
    pub capabilities: Box<str>,
    pub info: Box<str>,
}

impl Hello {
    /// Reads the params of `initialize`. A revision that we do not know gets our newest, as the handshake wants it.
    pub fn read(message: &Message) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            protocol_version: String,
            #[serde(borrow)]
            capabilities: &'a RawValue,
            #[serde(borrow)]
            client_info: &'a RawValue,
        }
        let params: Params<'_> = serde_json::from_str(message.params().unwrap_or("{}")).map_err(|e| e.to_string())?;
        let (capabilities, info) = (params.capabilities.get(), params.client_info.get());
        if capabilities.len() + info.len() > MAX_HELLO {
            return Err(format!("capabilities and clientInfo are longer than {MAX_HELLO} bytes"));
        }
        if !capabilities.starts_with('{') || !info.starts_with('{') {
            return Err("capabilities and clientInfo are objects".to_owned());
        }
        let known = KNOWN_LEGACY.iter().find(|known| **known == params.protocol_version);
        Ok(Self { version: known.unwrap_or(&LEGACY), capabilities: capabilities.into(), info: info.into() })
    }
}

/// Whose a session is. A session is nothing to anybody else, and nothing at another endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub tenant: TenantId,
    pub principal: Box<str>,
    pub endpoint: Endpoint,
}

/// One legacy client.
pub struct Session {
    /// `Mcp-Session-Id`.
    pub id: Box<str>,
    /// Unique in this process; names the instances that are this session's own.
    pub number: u32,
    pub owner: Owner,
    pub hello: Hello,
    /// For the stream that the client holds open.
    pub outbox: Arc<Outbox>,
    /// Told when what the session listens to has changed.
    pub changed: Notify,
    pub ended: CancellationToken,
    level: AtomicU8,
    born: Instant,
    /// Milliseconds after `born`.
    used: AtomicU64,
    /// Counts its streams; the newest is the one that is told.
    streams: AtomicU32,
    open_streams: AtomicU32,
    calls: Mutex<Map<Box<str>, CallId>>,
    subscriptions: Mutex<BTreeSet<Box<str>>>,
    questions: Questions,
}

impl Session {
    fn new(id: Box<str>, number: u32, owner: Owner, hello: Hello) -> Self {
        Self {
            id,
            number,
            owner,
            hello,
            outbox: Arc::default(),
            changed: Notify::new(),
            ended: CancellationToken::new(),
            level: AtomicU8::new(Level::Info as u8),
            born: Instant::now(),
            used: AtomicU64::new(0),
            streams: AtomicU32::new(0),
            open_streams: AtomicU32::new(0),
            calls: Mutex::default(),
            subscriptions: Mutex::default(),
            questions: Questions::default(),
        }
    }

    /// The least serious log message that the client wants; until it says so: `info`.
    pub fn level(&self) -> Level {
        Level::from_repr(self.level.load(Relaxed))
    }

    pub fn set_level(&self, level: Level) {
        self.level.store(level as u8, Relaxed);
        self.changed.notify_waiters();
    }

    fn touch(&self) {
        self.used.store(self.born.elapsed().as_millis() as u64, Relaxed);
    }

    fn idle(&self) -> Duration {
        if self.open_streams.load(Relaxed) > 0 || !lock(&self.calls).is_empty() {
            return Duration::ZERO;
        }
        self.born.elapsed().saturating_sub(Duration::from_millis(self.used.load(Relaxed)))
    }

    /// A call of the client is under way until the guard is dropped.
    pub fn begin(self: &Arc<Self>, id: &str, call: CallId) -> UnderWay {
        lock(&self.calls).insert(id.into(), call);
        UnderWay { session: self.clone(), id: id.into(), call }
    }

    /// The call under way that the client knows by this id (JSON text).
    pub fn call(&self, id: &str) -> Option<CallId> {
        lock(&self.calls).get(id).copied()
    }

    /// A stream opens; an older one ends, for its client may have lost it without our knowing.
    pub fn open_stream(self: &Arc<Self>) -> OpenStream {
        self.open_streams.fetch_add(1, Relaxed);
        let number = self.streams.fetch_add(1, Relaxed) + 1;
        self.changed.notify_waiters();
        OpenStream { session: self.clone(), number }
    }

    /// False if there are too many already, or if it is too long to be kept for a client that may be gone.
    pub fn subscribe(&self, uri: &str) -> bool {
        if uri.len() > MAX_URI {
            return false;
        }
        let mut subscriptions = lock(&self.subscriptions);
        let room = subscriptions.len() < MAX_SUBSCRIPTIONS || subscriptions.contains(uri);
        if room && subscriptions.insert(uri.into()) {
            self.changed.notify_waiters();
        }
        room
    }

    pub fn unsubscribe(&self, uri: &str) {
        if lock(&self.subscriptions).remove(uri) {
            self.changed.notify_waiters();
        }
    }

    pub fn subscribes_to(&self, uri: &str) -> bool {
        lock(&self.subscriptions).contains(uri)
    }

    pub fn subscriptions(&self) -> Vec<Box<str>> {
        lock(&self.subscriptions).iter().cloned().collect()
    }

    /// Passes a question of an upstream to the client: its id stands at `place`, `reply` takes the answer.
    pub fn ask(&self, line: &Bytes, place: Range<usize>, via: &Outbox, reply: Reply) {
        self.questions.ask(line, place, via, reply);
    }

    /// The client answered a question. False if nobody asked it.
    pub fn answered(&self, message: &Message) -> bool {
        self.questions.answered(message)
    }
}

impl Level {
    fn from_repr(repr: u8) -> Self {
        [Self::Debug, Self::Info, Self::Notice, Self::Warning, Self::Error, Self::Critical, Self::Alert]
            .get(usize::from(repr))
            .copied()
            .unwrap_or(Self::Emergency)
    }
}

/// See [`Session::begin`].
pub struct UnderWay {
    session: Arc<Session>,
    id: Box<str>,
    call: CallId,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut calls = lock(&self.session.calls);
        // A client that uses an id twice has only its newest call under it.
        if calls.get(&self.id) == Some(&self.call) {
            calls.remove(&self.id);
        }
        drop(calls);
        self.session.touch();
    }
}

/// See [`Session::open_stream`].
pub struct OpenStream {
    session: Arc<Session>,
    number: u32,
}

impl OpenStream {
    /// Ready once the session ends or a newer stream opens.
    pub async fn over(&self) {
        loop {
            let changed = self.session.changed.notified();
            if self.session.streams.load(Relaxed) != self.number {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = self.session.ended.cancelled() => return,
            }
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.session.open_streams.fetch_sub(1, Relaxed);
        self.session.touch();
    }
}
