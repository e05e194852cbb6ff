//! What passes between the faces and control: commands in, events, answers and streams out.

mod stream;

pub use stream::*;

use super::call::{CallDetail, CallId, CallRecord, Era, Origin, Outcome};
use super::container::{ContainerAct, ContainerKey};
use super::gpu::GpuHeld;
use super::instance::State;
use super::principal::{Grant, KeyHash, KeyRow, NewKey, NewUser, PasswordHash, Principal, UserRow};
use super::route::{RouteAsk, RoutePreview};
use super::server::Environment;
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

/// An act. A key without tenant or session names every instance below it ([`InstanceKey::covers`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Start(InstanceKey),
    /// Stop and hold: calls are refused until a start.
    Stop(InstanceKey),
    /// Put to sleep: the next call starts it again.
    Sleep(InstanceKey),
    Restart(InstanceKey),
    /// SIGKILL at once.
    Kill(InstanceKey),
    /// Out of rotation; the instance keeps running.
    Fence(InstanceKey),
    Unfence(InstanceKey),
    /// Probe now.
    Probe(InstanceKey),
    Enable {
        server: ServerId,
        tenant: TenantId,
    },
    Disable {
        server: ServerId,
        tenant: TenantId,
    },
    /// Forget the run-time change; the file decides again.
    Revert {
        server: ServerId,
        tenant: TenantId,
    },
    ExampleTraffic(bool),
    /// Read the configuration again and take it over, whole or not at all.
    Reload,
    /// Re-read every secret; running instances keep theirs until restarted.
    ReloadSecrets,
    CancelCall(CallId),
    CancelJob(JobId),
    /// Remove what is ours and wanted by nobody.
    ReapOrphans,
    /// Do something to one container, ours or adopted.
    Container {
        container: ContainerKey,
        /// Its name as it is told to people; the owner writes the one it knows.
        name: String,
        act: ContainerAct,
    },
    /// Start every part of a stack, in order of `needs`.
    Deploy(StackId),
    /// Stop every part of a stack, and remove what is ours.
    Undeploy(StackId),
    /// Make an API key. Its text stays with who made it.
    CreateKey(NewKey),
    /// The key with this id works no longer.
    RevokeKey(String),
    /// Make a key that may what the one with this id may, which works on for the overlap at most.
    RotateKey {
        id: String,
        next: String,
        hash: KeyHash,
        overlap_ms: u64,
    },
    /// Let a person log in.
    AddUser(NewUser),
    /// Give a person a new password; tokens from before are no longer good.
    SetPassword {
        email: String,
        password: PasswordHash,
    },
    /// Let a person log in no longer.
    RemoveUser(String),
    /// Stop everything and end the owner.
    Shutdown,
}

impl Command {
    /// The verb, as on the command line.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Sleep(_) => "sleep",
            Self::Restart(_) => "restart",
            Self::Kill(_) => "kill",
            Self::Fence(_) => "fence",
            Self::Unfence(_) => "unfence",
            Self::Probe(_) => "probe",
            Self::Enable { .. } => "enable",
            Self::Disable { .. } => "disable",
            Self::Revert { .. } => "revert",
            Self::ExampleTraffic(_) => "example-traffic",
            Self::Reload => "reload",
            Self::ReloadSecrets => "secrets reload",
            Self::CancelCall(_) => "cancel-call",
            Self::CancelJob(_) => "cancel-job",
            Self::ReapOrphans => "reap",
            Self::Container { act, .. } => act.verb(),
            Self::Deploy(_) => "deploy",
            Self::Undeploy(_) => "undeploy",
            Self::CreateKey(_) => "keys create",
            Self::RevokeKey(_) => "keys revoke",
            Self::RotateKey { .. } => "keys rotate",
            Self::AddUser(_) => "users add",
            Self::SetPassword { .. } => "users passwd",
            Self::RemoveUser(_) => "users remove",
            Self::Shutdown => "shutdown",
        }
    }

    /// False for looking and for ending what one began: that is allowed on a read-only platform.
    pub fn changes(&self) -> bool {
        let looks = matches!(self, Self::Probe(_) | Self::CancelCall(_) | Self::CancelJob(_));
        !looks && !matches!(self, Self::ExampleTraffic(_) | Self::Shutdown)
    }

    /// The instances it names, if it names any.
    pub fn target(&self) -> Option<&InstanceKey> {
        match self {
            Self::Start(k)
            | Self::Stop(k)
            | Self::Sleep(k)
            | Self::Restart(k)
            | Self::Kill(k)
            | Self::Fence(k)
            | Self::Unfence(k)
            | Self::Probe(k) => Some(k),
            _ => None,
        }
    }

    /// The object, as on the command line.
    pub fn object(&self) -> String {
        match self {
            Self::Enable { server, tenant } | Self::Disable { server, tenant } | Self::Revert { server, tenant } => {
                format!("{server} {tenant}")
            }
            Self::ExampleTraffic(on) => if *on { "on" } else { "off" }.to_owned(),
            Self::CancelCall(id) => id.to_string(),
            Self::CancelJob(id) => id.to_string(),
            Self::Container { name, .. } => name.clone(),
            Self::Deploy(stack) | Self::Undeploy(stack) => stack.to_string(),
            Self::CreateKey(key) => key.id.clone(),
            Self::RevokeKey(id) | Self::RotateKey { id, .. } => id.clone(),
            Self::AddUser(user) => user.email.clone(),
            Self::SetPassword { email, .. } | Self::RemoveUser(email) => email.clone(),
            other => other.target().map(InstanceKey::to_string).unwrap_or_default(),
        }
    }

    /// True if it decides who may call: then it is carried out by being kept.
    pub fn is_about_principals(&self) -> bool {
        matches!(
            self,
            Self::CreateKey(_)
                | Self::RevokeKey(_)
                | Self::RotateKey { .. }
                | Self::AddUser(_)
                | Self::SetPassword { .. }
                | Self::RemoveUser(_)
        )
    }

    /// The same without what a key or a password could be recognised by, for everybody who only looks.
    pub fn told(mut self) -> Self {
        match &mut self {
            Self::CreateKey(NewKey { hash, .. }) | Self::RotateKey { hash, .. } => *hash = KeyHash([0; 32]),
            Self::AddUser(NewUser { password, .. }) | Self::SetPassword { password, .. } => {
                *password = PasswordHash::new(String::new());
            }
            _ => {}
        }
        self
    }

    /// The equivalent command line, for the journal and the lessons it gives.
    pub fn command_line(&self) -> String {
        match self {
            Self::CreateKey(NewKey { name, role, tenant, .. }) => {
                let mut line = format!("mcpdeck keys create --role {}", role.name());
                let tenant = tenant.as_ref().map_or("", TenantId::as_str);
                for (flag, value) in [("tenant", tenant), ("name", name)].into_iter().filter(|(_, v)| !v.is_empty()) {
                    line.push_str(&format!(" --{flag} {}", shell_word(value)));
                }
                return line;
            }
            Self::RotateKey { id, overlap_ms, .. } => {
                return format!("mcpdeck keys rotate {id} --overlap {overlap_ms}ms");
            }
            _ => {}
        }
        format!("mcpdeck {} {}", self.verb(), self.object()).trim_end().to_owned()
    }
}

/// `word` as it can be pasted into a shell.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_@#./:=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command with who gives it and the typed confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    pub command: Command,
    pub operator: Operator,
    /// What was typed (or `--confirm NAME`), where an act asks for the object's name.
    pub confirm: Option<String>,
}

/// Why an act or a question is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("{0}")]
    NotFound(String),
    #[error("read-only: {0}")]
    ReadOnly(String),
    /// Production asks for the name.
    #[error("{what} in production needs --confirm {name}")]
    NeedsConfirm { what: String, name: String },
    #[error("{0}")]
    Refused(String),
    #[error("too busy: {0}")]
    Busy(String),
    #[error("no owner: {0}")]
    NoOwner(String),
    #[error("{0}")]
    Failed(String),
}

/// What an act would do; shown before it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    pub instances: Vec<InstanceKey>,
    pub tenants: Vec<TenantId>,
    pub environment: Environment,
    pub in_flight: u32,
    /// What follows, in sentences: `3 calls in flight fail`, `the next call starts it again`.
    pub follows: Vec<String>,
    /// The name to type, in production.
    pub type_name: Option<String>,
    /// Why it would be refused, if it would.
    pub refused: Option<String>,
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
}

/// A question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Tools (prompts, resources, templates) of a server under a tenant; starts it if it sleeps and `wake`.
    Catalog {
        tenant: TenantId,
        server: ServerId,
        wake: bool,
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

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn words_can_be_pasted() {
        assert_eq!(shell_word("etim@eaton"), "etim@eaton");
        assert_eq!(shell_word("Vattenfall DE"), "'Vattenfall DE'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
