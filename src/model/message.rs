//! What passes between the faces and control: commands in, events, answers and streams out.

mod command;
mod roll;
mod stream;

pub use command::*;
pub use roll::Roll;
pub use stream::*;

use super::call::{CallDetail, CallId, CallRecord, Era, Origin, Outcome};
use super::container::ContainerKey;
use super::gpu::GpuHeld;
use super::instance::State;
use super::principal::{Grant, KeyRow, Principal, UserRow};
use super::route::{RouteAsk, RoutePreview};
use super::stack::StackStep;
use super::usage::{Subject, UsageHistory};
use super::{InstanceKey, ServerId, StackId, Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Number of a job, unique within one owner process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{}", self.0)
    }
}

/// Who acts: a person at a face.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Login name.
    pub name: String,
    pub face: Face,
    pub pid: u32,
    /// What the credential allows, of somebody who acts over HTTP.
    pub grant: Option<Grant>,
}

impl Operator {
    /// Somebody who acts over HTTP.
    pub fn over_http(who: &Principal) -> Self {
        let grant = Grant { role: who.role, tenant: who.tenant.clone() };
        Self { name: who.name.clone(), face: Face::Api, pid: std::process::id(), grant: Some(grant) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Face {
    Screen,
    Cli,
    Api,
    /// mcpdeck itself (autostart, retries, example traffic).
    Platform,
}

/// A job: what became of an act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    pub id: JobId,
    pub operator: Operator,
    pub title: String,
    pub started: Stamp,
    pub finished: Option<Stamp>,
    pub done: u32,
    pub total: u32,
    /// `None` while running.
    pub outcome: Option<JobOutcome>,
    /// What it is doing, or how it ended.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobOutcome {
    Ok,
    Failed,
    Cancelled,
}

/// Something wrong now: one line per cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingRow {
    /// Stable name of the cause: rule and object.
    pub id: String,
    /// One of `FAILED`, `HANGING`, `DEGRADED`, `BACKOFF`, `AUTH`, `FENCED`, `STOPPED`, `STORE`, `ORPHANS`, `SECRET`, ...
    pub word: String,
    /// 3 error, 2 warning, 1 notice.
    pub severity: u8,
    /// What is meant: `genesys@vattenfall-de`.
    pub object: String,
    pub target: Option<InstanceKey>,
    /// What, why, since when, as one line.
    pub text: String,
    pub tenants: Vec<TenantId>,
    pub since: Stamp,
    /// Names of the actions that help next, most useful first: `logs`, `explain`, `restart`, `fence`, ...
    pub next: Vec<String>,
}

/// A fact, in order. Whatever a person must not miss is one of these and in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one per event of one owner; a gap means lost ones.
    pub seq: u64,
    pub at: Stamp,
    pub kind: EventKind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Transition {
        instance: InstanceKey,
        from: State,
        to: State,
        reason: String,
    },
    /// An act was accepted.
    Act {
        job: JobId,
        operator: Operator,
        command: Command,
    },
    Job {
        job: JobId,
        title: String,
        outcome: JobOutcome,
        message: String,
    },
    /// Enabled (or disabled) at run time.
    Enabled {
        server: ServerId,
        tenant: TenantId,
        on: bool,
        by: String,
    },
    Notice {
        level: Level,
        text: String,
    },
    Attached {
        operator: Operator,
        on: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// A line of the journal of acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    pub at: Stamp,
    pub operator: Operator,
    pub verb: String,
    pub object: String,
    pub outcome: String,
    pub command_line: String,
    /// From its acceptance to its end; `None` for what is only begun, or refused.
    pub took_ms: Option<u64>,
    /// False while it is in the owner's memory alone, because the store could not take it.
    pub kept: bool,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Tools (prompts, resources, templates) of a server under a tenant; starts it if it sleeps and `wake`. `person`:
    /// whose calls by hand they are for, who can be asked.
    Catalog {
        tenant: TenantId,
        server: ServerId,
        wake: bool,
        person: Option<Operator>,
    },
    Explain(ExplainWhat),
    Impact(Command),
    /// Newest first.
    Calls {
        filter: String,
        limit: u32,
    },
    Call(CallId),
    Journal {
        limit: u32,
    },
    Events {
        limit: u32,
    },
    /// Console history of one tenant (all tenants: `None`), newest first.
    History {
        tenant: Option<TenantId>,
        limit: u32,
    },
    /// Route and injection of a call before it is sent.
    Preview(ConsoleCall),
    /// An operator's answer to a [`CallEvent::Question`].
    Reply {
        tenant: TenantId,
        server: ServerId,
        operator: Operator,
        /// The whole JSON-RPC message, with the question's id.
        message: String,
    },
    /// Calls, latencies and errors per tenant, server and operation since `since`.
    Metrics {
        since: Stamp,
    },
    /// Everything the engine knows of a container, as JSON text, secrets masked.
    Inspect(ContainerKey),
    /// Usage over time.
    Usage(Subject),
    /// Who held GPU memory since `since`, oldest first.
    GpuHeld {
        since: Stamp,
    },
    /// Where a request would go that names no server, and why.
    Route {
        tenant: TenantId,
        ask: RouteAsk,
    },
    /// What a reload of the configuration would do.
    Reload,
    /// What a deployment (or its end) would do.
    StackPlan {
        stack: StackId,
        undeploy: bool,
    },
    /// API keys, the oldest first.
    Keys,
    /// People who may log in, by email.
    Users,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainWhat {
    Instance(InstanceKey),
    Tenant(TenantId),
    Call(CallId),
    Container(ContainerKey),
    Stack(StackId),
}

/// An answer, one variant per question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Catalog(Catalog),
    Explain(Vec<Explained>),
    Impact(Impact),
    Calls(Vec<Arc<CallRecord>>),
    Call(Box<CallDetail>),
    Journal(Vec<JournalEntry>),
    Events(Vec<Event>),
    History(Vec<HistoryEntry>),
    Preview(Preview),
    Metrics(Vec<MetricRow>),
    /// JSON text.
    Inspect(String),
    Usage(UsageHistory),
    GpuHeld(Vec<GpuHeld>),
    Route(Box<RoutePreview>),
    StackPlan(Vec<StackStep>),
    Keys(Vec<KeyRow>),
    Users(Vec<UserRow>),
    Reload(super::reload::ReloadPlan),
    /// It was taken to who asked.
    Replied,
}

/// What a server offers one tenant, each list as the JSON text of its array (`[]` if it has none).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    pub tools: String,
    pub prompts: String,
    pub resources: String,
    pub templates: String,
    /// `None` if never listed.
    pub listed_at: Option<Stamp>,
    pub era: Option<Era>,
    pub instructions: Option<String>,
    /// JSON text of the server's capabilities.
    pub capabilities: String,
    pub error: Option<String>,
}

/// One finding of `explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// What was checked: `enabled for the tenant`.
    pub check: String,
    /// `None`: not applicable or unknown.
    pub passed: Option<bool>,
    pub evidence: String,
    /// Name of the action that jumps there or helps.
    pub next: Option<String>,
    pub target: Option<InstanceKey>,
}

/// A sent request of the console, durable, redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub id: u64,
    pub at: Stamp,
    pub tenant: TenantId,
    pub server: ServerId,
    pub method: String,
    pub tool: Option<String>,
    /// JSON text of `params`, or the raw message for `raw` calls.
    pub params: String,
    pub raw: bool,
    pub outcome: Outcome,
    pub took_us: u64,
    pub operator: String,
    /// JSON text of the answer, cut at 64 KiB.
    pub response: Option<String>,
}

/// A call as the console or `mcpdeck call` gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsoleCall {
    pub tenant: TenantId,
    pub server: ServerId,
    /// `None`: `body` is the whole message and is sent as it is, malformed or not.
    pub method: Option<String>,
    /// JSON text of `params` (may be empty), or the whole message.
    pub body: String,
    pub era: Option<Era>,
    /// Milliseconds; `None`: the server's setting.
    pub timeout_ms: Option<u64>,
    pub origin: Origin,
    pub operator: Operator,
    /// Confirmation for a tool not marked read-only in production.
    pub confirm: Option<String>,
    /// Keep it in the console's history.
    pub keep: bool,
}

/// Where a call would go and what would be added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    pub instance: Option<InstanceKey>,
    pub state: Option<State>,
    /// `explicit`, or the rule.
    pub reason: String,
    pub confidence: f32,
    pub headers: Vec<(String, String)>,
    /// JSON text of what is put under `_meta`; empty if nothing.
    pub meta: String,
    pub arguments: Vec<(String, String)>,
    /// JSON text of the whole message after injection.
    pub after: String,
    /// Why it would be refused.
    pub refused: Option<String>,
    /// True if the tool is marked read-only.
    pub read_only_tool: bool,
    /// The name to type before it may be sent (production, not read-only).
    pub confirm: Option<String>,
}

/// Usage metrics of one operation at one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    pub tenant: TenantId,
    pub server: ServerId,
    pub method: String,
    pub tool: Option<String>,
    pub calls: u64,
    pub errors: u64,
    pub total_us: u64,
    pub max_us: u64,
}
