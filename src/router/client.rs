//! How a caller speaks MCP, and what it is told beside its answer. Owns no I/O.

use super::aggregate::names::wrap_notice;
use super::flight::lock;
use super::hub::Filter;
use super::message::Message;
use super::session::Session;
use super::upstream::serverside::Notice;
use super::wire::{self, Change, Edit};
use crate::model::principal::Role;
use crate::model::{ServerId, Short, TenantId};
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Messages that wait for a client; the oldest goes first.
const OUTBOX: usize = 128;
/// By which a modern client knows what a notice answers.
pub const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";

/// What a client is connected to. This is the seam of the endpoints: the faces know MCP's transport (eras, sessions,
/// headers, streams) and hand every message to [`super::Router::serve`] and every wish to be told of changes to
/// [`super::Router::feed`], with the endpoint as it was addressed. Whatever an endpoint is, one server or all of a
/// tenant's, it answers the same messages there: `initialize`, `server/discover`, lists, calls, subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Server(ServerId),
    /// Every server that the caller's tenant has enabled.
    All,
}

/// How a caller speaks MCP.
#[derive(Clone, Default)]
pub enum Client {
    /// One message without a handshake: it gets the upstream's own words back.
    #[default]
    Bare,
    Legacy(Arc<Session>),
    Modern(Modern),
    /// Somebody at a console: the upstream's own words, as for one without a handshake, and a person who can be asked.
    Person(Arc<Session>),
}

/// What a modern request says of itself beside its message.
#[derive(Clone, Debug, Default)]
pub struct Modern {
    /// `Mcp-Param-*` as sent.
    pub params: Vec<(HeaderName, HeaderValue)>,
}

/// One message of a client at an endpoint.
pub struct ClientRequest {
    pub tenant: TenantId,
    pub principal: Short,
    pub role: Role,
    pub endpoint: Endpoint,
    pub client: Client,
    pub message: Box<Message>,
    /// Where progress, log messages and questions of the call go; `None`: the client takes its answer alone.
    pub outbox: Option<Arc<Outbox>>,
}

impl Client {
    pub fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Legacy(session) | Self::Person(session) => Some(session),
            Self::Bare | Self::Modern(_) => None,
        }
    }
}

/// How serious a log message is (RFC 5424, as MCP spells it); the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    const ALL: [(&'static str, Self); 8] = [
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("notice", Self::Notice),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("critical", Self::Critical),
        ("alert", Self::Alert),
        ("emergency", Self::Emergency),
    ];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// Messages on their way to one stream of a client. Bounded: what a slow client does not take is dropped and counted.
#[derive(Default)]
pub struct Outbox {
    queue: Mutex<VecDeque<Bytes>>,
    more: Notify,
    dropped: AtomicU64,
}

impl Outbox {
    /// Queues a whole message. One that waits already is not queued twice: a change told once is told.
    pub fn push(&self, message: Bytes) {
        {
            let mut queue = lock(&self.queue);
            if queue.back() == Some(&message) {
                return;
            }
            if queue.len() >= OUTBOX {
                queue.pop_front();
                self.dropped.fetch_add(1, Relaxed);
            }
            queue.push_back(message);
        }
        self.more.notify_one();
    }

    pub fn pop(&self) -> Option<Bytes> {
        lock(&self.queue).pop_front()
    }

    /// The next message; may be dropped between two.
    pub async fn next(&self) -> Bytes {
        loop {
            let more = self.more.notified();
            if let Some(message) = self.pop() {
                return message;
            }
            more.await;
        }
    }

    /// Messages that were dropped because the client was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

/// What a call's client is told while the call runs.
pub struct Relay {
    outbox: Arc<Outbox>,
    /// The client's own progress token, as JSON text; `None`: it asked for no progress, and must get none.
    token: Option<Box<str>>,
    /// The least serious log message that it wants; `None`: it wants none.
    level: Option<Level>,
    /// The client's id of a subscription, as JSON text: its notices bear it. `None` in a legacy session.
    subscription: Option<Box<str>>,
    /// The notices that it asked for; `None`: all.
    filter: Option<Filter>,
    /// The server that speaks, where its client listens to many.
    among: Option<ServerId>,
}

impl Relay {
    /// What the client of `message` wants to hear.
    pub fn new(outbox: Arc<Outbox>, client: &Client, message: &Message) -> Self {
        let level = match client {
            // A console hears of a call from its flight.
            Client::Bare | Client::Person(_) => None,
            Client::Legacy(session) => Some(session.level()),
            Client::Modern(_) => message.meta.level,
        };
        Self { outbox, token: message.meta.token.clone(), level, subscription: None, filter: None, among: None }
    }

    /// For the stream that a session holds open.
    pub fn of_session(session: &Session) -> Self {
        let (outbox, level) = (session.outbox.clone(), Some(session.level()));
        Self { outbox, token: None, level, subscription: None, filter: None, among: None }
    }

    /// For a subscription; `id`: the client's, as JSON text.
    pub fn of_subscription(outbox: Arc<Outbox>, id: &str, filter: Filter) -> Self {
        Self { outbox, token: None, level: None, subscription: Some(id.into()), filter: Some(filter), among: None }
    }

    /// What this server among many says, in the addresses of all.
    pub fn among(self, server: Option<ServerId>) -> Self {
        Self { among: server, ..self }
    }

    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// A progress message whose token, ours, stands at `place`: the client gets its own.
    pub fn progress(&self, line: &Bytes, place: Range<usize>) {
        if let Some(token) = &self.token {
            self.outbox.push(with(line, place, token));
        }
    }

    /// Its call waits for its server, the `nth` time that this is said. Progress must increase, and what the server itself
    /// will count begins at 0: so this counts up to it from below.
    pub fn waiting(&self, nth: u32, text: &str) {
        let Some(token) = &self.token else { return };
        let (progress, text) = (-1.0 / f64::from(nth.max(1)), serde_json::Value::from(text));
        self.outbox.push(Bytes::from(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{progress},"message":{text}}}}}"#
        )));
    }

    pub fn log(&self, line: &Bytes, level: &str) {
        let level = Level::parse(level).unwrap_or(Level::Info);
        if self.level.is_some_and(|least| level >= least) {
            self.outbox.push(in_one_line(line));
        }
    }

    /// A subscription begins. A legacy client has none.
    pub fn acknowledged(&self, line: &Bytes) {
        if self.subscription.is_some() && self.among.is_none() {
            self.notice(line);
        }
    }

    /// A change notice of a stream that tells everything.
    pub fn changed(&self, notice: &Notice, line: &Bytes) {
        if self.filter.as_ref().is_none_or(|filter| filter.wants(notice)) {
            self.notice(line);
        }
    }

    /// A change notice, in the words of the client's era.
    pub fn notice(&self, line: &Bytes) {
        let named = self.among.as_ref().and_then(|server| named(line, server));
        if let Some(notice) = marked(named.as_ref().unwrap_or(line), self.subscription.as_deref()) {
            self.outbox.push(notice);
        }
    }
}

/// `line` with `text` in place of what stands at `place`, in one line.
pub fn with(line: &Bytes, place: Range<usize>, text: &str) -> Bytes {
    let mut out = Vec::with_capacity(line.len() + text.len());
    out.extend_from_slice(&line[..place.start]);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&line[place.end..]);
    wire::to_one_line(&mut out);
    out.into()
}

/// `line` without line breaks: an event's data is one line.
pub fn in_one_line(line: &Bytes) -> Bytes {
    if !line.iter().any(|b| matches!(b, b'\n' | b'\r')) {
        return line.clone();
    }
    let mut out = line.to_vec();
    wire::to_one_line(&mut out);
    out.into()
}

/// A notice with the address of its resource as those who listen to many servers know it.
fn named(line: &Bytes, server: &ServerId) -> Option<Bytes> {
    let text = std::str::from_utf8(line).ok()?;
    let members = wire::members(text).ok()?;
    let params = members.iter().find(|member| member.key == "params")?;
    let named = wrap_notice(server, params.text(text));
    Some(with(line, params.place(), &named))
}

/// A notice that bears this subscription's id, or none.
pub fn marked(line: &Bytes, subscription: Option<&str>) -> Option<Bytes> {
    let text = std::str::from_utf8(line).ok()?;
    let mark = match subscription {
        Some(id) => Change::Set(id.into()),
        None if !text.contains(SUBSCRIPTION_KEY) => return Some(in_one_line(line)),
        None => Change::Remove,
    };
    let meta = Edit::new("_meta", Change::Within(vec![Edit::new(SUBSCRIPTION_KEY, mark)]));
    let mut out = String::with_capacity(text.len() + 96);
    wire::splice(text, &[Edit::new("params", Change::Within(vec![meta]))], &mut out).ok()?;
    let mut out = out.into_bytes();
    wire::to_one_line(&mut out);
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_bear_the_id_of_their_subscription_or_none() {
        let plain = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        let ours = r#"{"method":"n","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7},"uri":"a"}}"#;
        for (line, id, want) in [
            (plain, None, plain),
            (
                plain,
                Some("\"s\""),
                r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}"#,
            ),
            (ours, Some("9"), &*ours.replace('7', "9")),
            (ours, None, r#"{"method":"n","params":{"_meta":{},"uri":"a"}}"#),
        ] {
            let got = marked(&Bytes::copy_from_slice(line.as_bytes()), id).unwrap();
            assert_eq!(std::str::from_utf8(&got).unwrap(), want);
        }
    }

    #[test]
    fn a_slow_client_loses_the_oldest_and_hears_a_change_once() {
        let outbox = Outbox::default();
        for n in 0..OUTBOX + 3 {
            outbox.push(Bytes::from(n.to_string()));
            outbox.push(Bytes::from(n.to_string()));
        }
        assert_eq!((outbox.pop(), outbox.dropped()), (Some(Bytes::from("3")), 3));
    }
}
