//! The data plane: carries MCP messages from a caller, under a tenant, to an upstream and back.
//! Imports `model` and `config` only; knows no backend, store, control or face.

mod account;
mod aggregate;
mod aside;
mod breaker;
mod call;
mod cells;
mod client;
mod context;
mod era;
mod failover;
mod fanout;
mod feed;
mod flight;
mod gate;
mod home;
mod hub;
mod inspect;
mod ledger;
mod lifetime;
mod limits;
mod listing;
mod lists;
mod message;
mod meter;
mod mirror;
mod open;
mod outcome;
mod payload;
mod people;
mod probe;
mod redact;
mod route;
mod serve;
mod session;
mod slot;
mod table;
mod upstream;
mod wire;

use crate::model::call::{CallDetail, Origin};
use crate::model::guard::Guards;
use crate::model::instance::{ProbeFacts, Transport};
use crate::model::message::{CallEvent, Catalog, ConsoleCall, Operator, Preview};
use crate::model::principal::Role;
use crate::model::route::Routing;
use crate::model::secret::{Hidden, Secret};
use crate::model::server::EraChoice;
use crate::model::{
    CallId, CallRecord, Era, InstanceKey, PendingCall, ServerDef, ServerId, Short, Stamp, State, TenantDef, TenantId,
};
pub use aggregate::{ALL_SERVERS, AllReply, SERVERS_KEY};
use arc_swap::ArcSwap;
pub use aside::aside;
use bytes::Bytes;
pub use call::LONG_WAKE;
pub use client::{Client, ClientRequest, Endpoint, Level, Modern, Outbox};
pub use era::{CAPABILITIES_KEY, HEADER_MISMATCH, KNOWN_LEGACY, MODERN, UNSUPPORTED_VERSION, VERSION_KEY};
pub use failover::{ROUTE_KEY, RoutedReply, RoutedRequest, RoutedWhat, asked_in, with_meta};
use flight::Flights;
use lifetime::Lifetimes;
pub use lifetime::{BOUNDS_US, Lifetime};
pub use limits::{Counter, Exceeded, Place, counters};
pub use message::{Kind, Message, Meta, Unreadable};
use meter::Meter;
pub use mirror::text_of as header_text;
use payload::Payloads;
use people::People;
pub use redact::is_secret_name;
pub use route::{Nowhere, read_ask, texts_of};
pub use serve::Served;
use session::Sessions;
pub use session::{Hello, MAX_SUBSCRIPTIONS, MAX_URI, NoSession, OpenStream, Owner, Session, SessionLimits};
use slot::Slots;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use table::Index;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
pub use wire::apart;

/// Room in the queues to control. A full one refuses the call (demands), counts (records) or loses news (notes).
const DEMANDS: usize = 4096;
const RECORDS: usize = 8192;
const NOTES: usize = 1024;

/// The router. Cheap to share; no lock is held over an await and none is shared by all calls.
pub struct Router {
    table: ArcSwap<Index>,
    slots: Slots,
    flights: Flights,
    meter: Meter,
    lifetimes: Lifetimes,
    payloads: Payloads,
    sessions: Sessions,
    people: People,
    /// Ends the streams that clients hold open.
    streams: CancellationToken,
    next_call: AtomicU64,
    dropped_records: AtomicU64,
    demands: mpsc::Sender<Demand>,
    records: mpsc::Sender<Arc<CallRecord>>,
    notes: mpsc::Sender<Note>,
}

/// The other ends of the router's queues; control owns them.
pub struct RouterEnds {
    /// Instances that must be started (or woken) for a call.
    pub demands: mpsc::Receiver<Demand>,
    /// Finished calls.
    pub records: mpsc::Receiver<Arc<CallRecord>>,
    pub notes: mpsc::Receiver<Note>,
}

/// A call waits until `key` serves.
pub struct Demand {
    pub key: InstanceKey,
    /// The call gives up after this.
    pub deadline: tokio::time::Instant,
    /// `Ok`: try the gate again. `Err`: the reason, for the caller.
    pub reply: oneshot::Sender<Result<(), String>>,
}

/// What the router noticed about an upstream.
pub enum Note {
    /// A line on stdout that was no JSON-RPC (cut at 4 KiB).
    Garbage { instance: InstanceKey, line: String },
    /// Upstream's `notifications/message` outside of a call.
    Log { instance: InstanceKey, level: String, text: String },
    /// The connection ended (EOF, reset) though nobody closed it.
    Closed { instance: InstanceKey, reason: String },
    /// `list_changed`, or a first listing.
    Listed { instance: InstanceKey, tools: u32 },
    /// The client session that was the instance's only one ended.
    SessionOver { instance: InstanceKey },
}

/// Who may use what; immutable, swapped whole.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub servers: Vec<Arc<ServerDef>>,
    pub tenants: Vec<(Arc<TenantDef>, Vec<ServerId>)>,
    /// Calls of tools not marked read-only are refused everywhere.
    pub read_only: bool,
    /// What is refused in each environment.
    pub guards: Guards,
    pub routing: Arc<Routing>,
}

/// What to connect to.
pub enum Connect {
    Stdio {
        stdin: Box<dyn AsyncWrite + Send + Sync + Unpin>,
        stdout: Box<dyn AsyncRead + Send + Sync + Unpin>,
        /// What it was started with and must not be shown.
        hidden: Hidden,
    },
    /// Streamable HTTP, and HTTP+SSE where the server refuses that.
    Http { url: String, headers: Vec<(String, Secret)> },
    /// HTTP+SSE (2024-11-05).
    Sse { url: String, headers: Vec<(String, Secret)> },
    /// A plain query endpoint.
    Query {
        /// What stands before `/{server}/query` and `/health`.
        url: String,
        headers: Vec<(String, Secret)>,
    },
}

#[derive(Clone, Debug)]
pub struct OpenOptions {
    pub era: EraChoice,
    /// What was found last time.
    pub hint: Option<Era>,
    pub probe_timeout: Duration,
    /// For the whole of probe and handshake.
    pub timeout: Duration,
    pub max_message: u64,
    pub max_in_flight: u32,
}

/// An open upstream.
#[derive(Clone, Debug)]
pub struct Opened {
    pub era: Era,
    /// `name version`
    pub server_info: Option<String>,
    pub instructions: Option<String>,
    /// JSON text.
    pub capabilities: String,
    /// What it turned out to speak.
    pub transport: Transport,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The child closed its pipes on the modern probe: start it again with `EraChoice::Legacy`.
    #[error("it exited when probed with server/discover")]
    ExitedOnProbe,
    #[error("no answer to {step} within {seconds} s")]
    Timeout { step: &'static str, seconds: u64 },
    #[error("{0}")]
    Protocol(String),
    #[error("refused for its credentials: {0}")]
    Auth(String),
    #[error("{0}")]
    Transport(String),
}

tokio::task_local! {
    /// What is known of the request that a task answers, for the calls made in it.
    pub static AMBIENT: Ambient;
}

/// Around the calls that one request leads to.
pub struct Ambient {
    /// Where the request stands in its caller's trace: calls are passed on a step further.
    pub trace: crate::model::trace::Trace,
    /// When it came; for its first call, which takes it out.
    pub arrived: std::cell::Cell<Option<tokio::time::Instant>>,
    /// The longest that one of its calls waited for an instance to serve.
    pub woke: std::cell::Cell<Duration>,
}

/// One message of a caller.
pub struct CallRequest {
    pub tenant: TenantId,
    pub server: ServerId,
    pub body: CallBody,
    /// Pin the era instead of the upstream's own.
    pub era: Option<Era>,
    pub timeout: Option<Duration>,
    pub origin: Origin,
    pub principal: Short,
    /// What the principal's credential allows; `None` for who needs none.
    pub role: Option<Role>,
    /// Session-scoped servers: which session.
    pub session: Option<u32>,
    /// Progress, wire and log messages while it runs (bounded; lossy).
    pub events: Option<mpsc::Sender<CallEvent>>,
}

pub enum CallBody {
    /// A method and the JSON text of its params (may be empty).
    Method { method: String, params: String },
    /// A whole message that is sent on as it is (after injection where it parses), malformed or not.
    Raw(Bytes),
    /// One that was read already.
    Read(Box<Message>),
}

/// The end of a call.
pub struct CallReply {
    pub record: Arc<CallRecord>,
    /// Of the JSON-RPC error, if the answer is one.
    pub code: Option<i64>,
    /// JSON-RPC answer: the upstream's, or an error of ours.
    pub body: Bytes,
    /// Something of it may have reached the upstream; if not, it may be tried elsewhere.
    pub sent: bool,
    /// The limit for whose sake it was refused.
    pub exceeded: Option<Exceeded>,
}

impl CallReply {
    /// Why it failed, as far as its caller is told, which may be less than what the record says.
    pub fn failure(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let told = body["error"]["message"].as_str().map(str::to_owned);
        let tool = || Some(body["result"]["content"].as_array()?.iter().find_map(|c| c["text"].as_str())?.to_owned());
        told.or_else(tool).unwrap_or_else(|| self.record.outcome.to_string())
    }
}

/// Where an instance stands, for idle stop, hang detection and the screen.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    pub in_flight: u32,
    pub waiting: u32,
    pub oldest: Option<Stamp>,
    /// End or start of the newest real call.
    pub last: Option<Stamp>,
    /// When the upstream last answered a call; a timeout or a cancel is no answer (so that a hang shows).
    pub finished: Option<Stamp>,
}

/// Figures over a window, for rows.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Calls per second over the last 10 s.
    pub rate: f32,
    pub p50_ms: Option<f32>,
    pub p95_ms: Option<f32>,
    /// Finished, and failed with [`crate::model::Outcome::is_error`], in the last 5 minutes.
    pub calls: u32,
    pub errors: u32,
    pub last_call: Option<Stamp>,
}

impl Router {
    /// A router with an empty table, and the far ends of its queues.
    pub fn new() -> (Arc<Self>, RouterEnds) {
        let (demands, demands_end) = mpsc::channel(DEMANDS);
        let (records, records_end) = mpsc::channel(RECORDS);
        let (notes, notes_end) = mpsc::channel(NOTES);
        let router = Self {
            table: ArcSwap::default(),
            slots: Slots::default(),
            flights: Flights::default(),
            meter: Meter::default(),
            lifetimes: Lifetimes::default(),
            payloads: Payloads::default(),
            sessions: Sessions::default(),
            people: People::default(),
            streams: CancellationToken::new(),
            next_call: AtomicU64::new(1),
            dropped_records: AtomicU64::new(0),
            demands,
            records,
            notes,
        };
        (Arc::new(router), RouterEnds { demands: demands_end, records: records_end, notes: notes_end })
    }

    /// Swaps the table; calls under way keep the one they began with. Slots of instances no longer named stay
    /// until [`Router::remove`].
    pub fn set_table(&self, table: Table) {
        let index = Arc::new(Index::new(table, &self.table.load()));
        self.table.store(index.clone());
        self.slots.each(|slot| slot.hub.retain(|tenant| index.route(tenant, &slot.key.server).is_ok()));
    }

    /// Puts an instance's gate into a state (creating its slot), with the reason that a refused call is told.
    pub fn set_state(&self, key: &InstanceKey, state: State, reason: &str) {
        let slot = self.slots.get_or_add(key);
        slot.reason.store(Arc::new(reason.to_owned()));
        slot.gate.set_state(state);
        slot.changed.notify_waiters();
    }

    /// Connects, probes the era, shakes hands. On success calls flow once the state serves.
    pub async fn open(&self, key: &InstanceKey, connect: Connect, options: OpenOptions) -> Result<Opened, OpenError> {
        open::open(self, key, connect, options).await
    }

    /// Ends the upstream session and drops its pipes; pending calls fail at once as `transport` with `reason`.
    pub fn close(&self, key: &InstanceKey, reason: &str) {
        if let Some(link) = self.slots.get(key).and_then(|slot| slot.link.swap(None)) {
            link.upstream.close(reason);
        }
    }

    /// (serving, 0 in flight) -> stopping, atomically. False if a call came first; the state is then unchanged.
    pub fn begin_stop(&self, key: &InstanceKey) -> bool {
        self.slots.get(key).is_some_and(|slot| slot.gate.begin_stop())
    }

    /// Forgets an instance's slot (and closes it, if it is open).
    pub fn remove(&self, key: &InstanceKey) {
        self.close(key, "the instance was removed");
        self.slots.remove(key);
    }

    /// Carries one call to its end; never panics, always answers. Dropping the future cancels the call upstream.
    pub async fn call(&self, request: CallRequest) -> CallReply {
        call::carry(self, request, Client::Bare, None).await
    }

    fn next_id(&self) -> CallId {
        CallId(self.next_call.fetch_add(1, Relaxed))
    }

    /// Cancels a call under way (its `call` answers with outcome `cancelled`). False if there is none.
    pub fn cancel(&self, id: CallId) -> bool {
        self.flights.cancel(id, "an operator")
    }

    /// Asks the upstream on the traffic path without counting as activity and without re-initialising: `ping` (legacy)
    /// or `server/discover` (modern), then `tools/list` if it has tools.
    pub async fn probe(&self, key: &InstanceKey, timeout: Duration) -> ProbeFacts {
        let link = self.slots.get(key).and_then(|slot| slot.live());
        probe::probe(link.as_deref(), timeout).await
    }

    pub fn activity(&self, key: &InstanceKey) -> Activity {
        self.slots.get(key).map(|slot| slot.activity(&self.flights)).unwrap_or_default()
    }

    /// Calls not answered yet, oldest first.
    pub fn pending(&self) -> Vec<PendingCall> {
        self.flights.rows()
    }

    /// What is still kept of a call.
    pub fn detail(&self, id: CallId) -> Option<CallDetail> {
        inspect::detail(self, id)
    }

    /// Tools, prompts, resources and templates of a server as a tenant sees them (injected arguments hidden). Answers
    /// from the cache when the server sleeps and `wake` is false. `person`: who calls by hand and can be asked, in whose
    /// own session the lists are those that its calls meet.
    pub async fn catalog(
        &self,
        tenant: &TenantId,
        server: &ServerId,
        wake: bool,
        person: Option<&Operator>,
    ) -> Result<Catalog, String> {
        inspect::catalog(self, tenant, server, wake, person).await
    }

    /// Where a call would go and what would be added, without sending it.
    pub fn preview(&self, call: &ConsoleCall) -> Preview {
        inspect::preview(self, call)
    }

    /// Where the circuit breaker of an instance stands, unless it is closed.
    pub fn open_breaker(&self, key: &InstanceKey) -> Option<String> {
        let circuit = self.slots.get(key)?.breaker.circuit(Stamp::now().0);
        (circuit != breaker::Circuit::Closed).then(|| circuit.text())
    }

    /// The instance that serves a tenant's calls to a server ([`ServerDef::instance_for`]); `None` if it is not enabled.
    pub fn instance_of(&self, tenant: &TenantId, server: &ServerId, session: Option<u32>) -> Option<InstanceKey> {
        self.table.load().route(tenant, server).ok().map(|route| route.instance(session))
    }

    /// Figures per instance, per (tenant, server), per tenant, per server, and over all. What had no call for five
    /// minutes is left out.
    pub fn figures(&self) -> AllFigures {
        AllFigures { dropped_records: self.dropped_records.load(Relaxed), ..self.meter.figures() }
    }

    /// Records that a full queue dropped since the start.
    pub fn dropped_records(&self) -> u64 {
        self.dropped_records.load(Relaxed)
    }

    /// What only grows, per tenant and server, since the start.
    pub fn lifetimes(&self) -> Vec<Lifetime> {
        self.lifetimes.all()
    }

    /// When a tenant's newest call to a server came, since the start.
    pub fn last_call(&self, tenant: &TenantId, server: &ServerId) -> Option<Stamp> {
        self.lifetimes.last(tenant, server)
    }
}

/// One reading of the meter.
#[derive(Clone, Debug, Default)]
pub struct AllFigures {
    pub total: Figures,
    /// Calls since the start, by outcome.
    pub outcomes: Vec<(crate::model::Outcome, u64)>,
    pub dropped_records: u64,
    pub by_cell: crate::model::hash::Map<(TenantId, ServerId), Figures>,
    pub by_tenant: crate::model::hash::Map<TenantId, Figures>,
    pub by_server: crate::model::hash::Map<ServerId, Figures>,
    pub by_instance: crate::model::hash::Map<InstanceKey, Figures>,
}
