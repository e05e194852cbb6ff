//! One running copy of a server: what is wanted, what is, and the facts that say so.

use super::call::{Era, Outcome};
use super::server::Environment;
use super::{InstanceKey, Stamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of an instance; meaning and symbols are the product's state table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum State {
    Ready,
    Degraded,
    Starting,
    Backoff,
    Doze,
    Dormant,
    Stopping,
    Stopped,
    Fenced,
    Failed,
    Unknown,
}

impl State {
    pub const ALL: [State; 11] = [
        Self::Ready,
        Self::Degraded,
        Self::Starting,
        Self::Backoff,
        Self::Doze,
        Self::Dormant,
        Self::Stopping,
        Self::Stopped,
        Self::Fenced,
        Self::Failed,
        Self::Unknown,
    ];

    /// Lower-case name, as in the CLI and in filters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Starting => "starting",
            Self::Backoff => "backoff",
            Self::Doze => "doze",
            Self::Dormant => "dormant",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Fenced => "fenced",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// One-column symbol; `busy` matters for `ready` alone (calls in flight or within the last seconds).
    pub fn symbol(self, busy: bool, ascii: bool) -> &'static str {
        match (self, ascii) {
            (Self::Ready, false) => ["○", "●"][usize::from(busy)],
            (Self::Ready, true) => ["o", "@"][usize::from(busy)],
            (Self::Degraded, _) => "!",
            (Self::Starting, false) => "…",
            (Self::Starting, true) => "~",
            (Self::Backoff, false) => "↻",
            (Self::Backoff, true) => "r",
            (Self::Doze, _) => "z",
            (Self::Dormant, false) => "◌",
            (Self::Dormant, true) => "Z",
            (Self::Stopping, false) => "↓",
            (Self::Stopping, true) => "v",
            (Self::Stopped, false) => "■",
            (Self::Stopped, true) => "#",
            (Self::Fenced, false) => "⊘",
            (Self::Fenced, true) => "/",
            (Self::Failed, false) => "✗",
            (Self::Failed, true) => "x",
            (Self::Unknown, _) => "?",
        }
    }

    /// The word of the HTTP API for it.
    pub fn api_word(self) -> &'static str {
        match self {
            Self::Ready | Self::Degraded => "running",
            Self::Starting | Self::Backoff => "starting",
            Self::Doze | Self::Dormant | Self::Stopped => "stopped",
            Self::Stopping => "stopping",
            Self::Fenced => "fenced",
            Self::Failed => "error",
            Self::Unknown => "unknown",
        }
    }

    /// How much it wants an operator's eye: larger is worse. Sorts tables "worst first".
    pub fn severity(self) -> u8 {
        match self {
            Self::Failed => 9,
            Self::Degraded => 8,
            Self::Backoff => 7,
            Self::Unknown => 6,
            Self::Fenced => 5,
            Self::Starting | Self::Stopping => 4,
            Self::Stopped => 3,
            Self::Ready => 2,
            Self::Doze => 1,
            Self::Dormant => 0,
        }
    }

    /// True if a process (or container, or connection) stands behind it now.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded | Self::Starting | Self::Stopping | Self::Doze | Self::Unknown)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an operator or the config wants of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Runs when called, sleeps when idle.
    #[default]
    OnDemand,
    /// Started by hand or `autostart`: comes back after a crash; idle stop still applies unless it is off.
    Running,
    /// Stopped and held by an operator: calls are refused.
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    Process,
    Docker,
    Kubernetes,
    Simulated,
    Remote,
}

impl BackendKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker => "docker",
            Self::Kubernetes => "kubernetes",
            Self::Simulated => "simulated",
            Self::Remote => "remote",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Stdio,
    Http,
    Sse,
    Query,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::Sse => "sse",
            Self::Query => "query",
        }
    }
}

/// Who did something that lasts (held, fenced), and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub by: String,
    pub at: Stamp,
    pub reason: String,
}

/// What probes found, kept apart from the state: alive, initialises in time, lists its tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFacts {
    pub at: Option<Stamp>,
    pub alive: Option<bool>,
    pub initialises: Option<bool>,
    pub lists: Option<bool>,
    pub took_ms: Option<u32>,
    /// Probes failed in a row.
    pub failures: u32,
    pub error: Option<String>,
}

/// The newest real call (never a probe).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCall {
    pub at: Stamp,
    pub outcome: Outcome,
    pub took_ms: u32,
    /// Short text of the error, if it failed.
    pub error: Option<String>,
}

/// One row of the Servers table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRow {
    pub key: InstanceKey,
    pub backend: BackendKind,
    pub transport: Transport,
    pub environment: Environment,
    pub era: Option<Era>,
    pub desired: Desired,
    pub state: State,
    /// Since when it is in `state`.
    pub since: Stamp,
    /// Why it is in `state`, as one line.
    pub reason: String,
    pub held: Option<Mark>,
    pub fenced: Option<Mark>,
    pub probe: ProbeFacts,
    pub last_call: Option<LastCall>,
    pub in_flight: u32,
    /// Calls waiting for a start.
    pub waiting: u32,
    /// When the oldest call in flight began.
    pub oldest: Option<Stamp>,
    /// When it will be put to sleep if nothing comes.
    pub idle_stop_at: Option<Stamp>,
    /// When a start is tried again (backoff, failed).
    pub retry_at: Option<Stamp>,
    /// Calls per second over the last 10 s.
    pub rate: f32,
    pub p95_ms: Option<f32>,
    /// Share of calls with an outcome other than `ok` and `tool`, over the last 5 minutes; 0..1.
    pub error_rate: f32,
    pub usage: super::usage::InstanceUsage,
    pub restarts: u32,
    pub started_at: Option<Stamp>,
    pub pid: Option<u32>,
    /// The container it runs in.
    pub container: Option<super::container::ContainerKey>,
    /// Lines on its stdout that were no JSON-RPC.
    pub garbage: u64,
    /// What could not be honoured: `memory unlimited: no cgroup`.
    pub notes: Vec<String>,
    /// Fingerprints of the secrets it was started with: (name, fingerprint).
    pub secrets: Vec<(String, String)>,
    /// `name version` as the server calls itself.
    pub server_info: Option<String>,
}
