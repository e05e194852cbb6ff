//! One JSON-RPC request with tenant, server, outcome and timings.

use super::principal::Role;
use super::timeline::Timeline;
use super::{InstanceKey, ServerId, Short, Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Number of a call, unique within one owner process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// MCP revision family: `Legacy` up to 2025-11-25 (initialize handshake), `Modern` from 2026-07-28 (stateless).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    Legacy,
    Modern,
}

impl Era {
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// The tool answered `isError`.
    Tool,
    /// Refused by the upstream for its credentials, or `isError` with a text that means so.
    Auth,
    Timeout,
    /// The upstream could not be reached or died in the middle.
    Transport,
    /// A JSON-RPC error, or an answer that is none.
    Protocol,
    /// By the gate: not enabled, stopped, fenced, queue full, read-only.
    Refused,
    Cancelled,
}

impl Outcome {
    pub const ALL: [Outcome; 8] = [
        Self::Ok,
        Self::Tool,
        Self::Auth,
        Self::Timeout,
        Self::Transport,
        Self::Protocol,
        Self::Refused,
        Self::Cancelled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Tool => "tool",
            Self::Auth => "auth",
            Self::Timeout => "timeout",
            Self::Transport => "transport",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }

    /// True if the platform (not the caller or the tool's own answer) failed.
    pub fn is_error(self) -> bool {
        !matches!(self, Self::Ok | Self::Tool | Self::Cancelled)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Who sent a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Console,
    Cli,
    /// The embedded example client.
    Example,
    Http,
}

impl Origin {
    pub fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Cli => "cli",
            Self::Example => "example",
            Self::Http => "http",
        }
    }
}

/// A finished call, without payloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    pub id: CallId,
    /// When it arrived.
    pub at: Stamp,
    pub tenant: TenantId,
    pub server: ServerId,
    /// `None` if it was refused before an instance was chosen.
    pub instance: Option<InstanceKey>,
    pub method: Short,
    /// Tool, prompt or resource name.
    pub tool: Option<Short>,
    pub outcome: Outcome,
    /// Arrival to answer, microseconds.
    pub took_us: u64,
    /// Of which waiting for an instance to start.
    pub wake_us: u64,
    /// Of which waiting for the upstream.
    pub upstream_us: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub era: Option<Era>,
    pub origin: Origin,
    /// Operator or credential.
    pub principal: Short,
    /// What the credential allowed; `None` for who needs none: consoles and command lines.
    pub role: Option<Role>,
    /// First line of the error, 200 characters at most; no payload.
    pub error: Option<String>,
}

/// A call that has not been answered yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingCall {
    pub id: CallId,
    pub at: Stamp,
    pub tenant: TenantId,
    pub server: ServerId,
    pub instance: Option<InstanceKey>,
    pub method: Short,
    pub tool: Option<Short>,
    pub origin: Origin,
    pub principal: Short,
    /// True while it waits for an instance to start.
    pub waking: bool,
    /// Newest progress in percent, if the upstream tells.
    pub progress: Option<f32>,
}

/// A call that is over, or not yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    Pending(Arc<PendingCall>),
    Done(Arc<CallRecord>),
}

impl Call {
    pub fn id(&self) -> CallId {
        match self {
            Self::Pending(call) => call.id,
            Self::Done(call) => call.id,
        }
    }

    /// When it arrived.
    pub fn at(&self) -> Stamp {
        match self {
            Self::Pending(call) => call.at,
            Self::Done(call) => call.at,
        }
    }

    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Pending(call) => &call.tenant,
            Self::Done(call) => &call.tenant,
        }
    }

    pub fn server(&self) -> &ServerId {
        match self {
            Self::Pending(call) => &call.server,
            Self::Done(call) => &call.server,
        }
    }

    pub fn instance(&self) -> Option<&InstanceKey> {
        match self {
            Self::Pending(call) => call.instance.as_ref(),
            Self::Done(call) => call.instance.as_ref(),
        }
    }

    pub fn method(&self) -> &str {
        match self {
            Self::Pending(call) => &call.method,
            Self::Done(call) => &call.method,
        }
    }

    /// Tool, prompt or resource name.
    pub fn tool(&self) -> Option<&str> {
        match self {
            Self::Pending(call) => call.tool.as_deref(),
            Self::Done(call) => call.tool.as_deref(),
        }
    }

    pub fn origin(&self) -> Origin {
        match self {
            Self::Pending(call) => call.origin,
            Self::Done(call) => call.origin,
        }
    }

    /// Operator or credential.
    pub fn principal(&self) -> &str {
        match self {
            Self::Pending(call) => &call.principal,
            Self::Done(call) => &call.principal,
        }
    }

    /// Its record, if it is over.
    pub fn done(&self) -> Option<&Arc<CallRecord>> {
        match self {
            Self::Pending(_) => None,
            Self::Done(call) => Some(call),
        }
    }

    /// Arrival to answer, or to now.
    pub fn took(&self, now: Stamp) -> Duration {
        match self {
            Self::Pending(call) => now.since(call.at),
            Self::Done(call) => Duration::from_micros(call.took_us),
        }
    }
}

/// What was kept of one call: both sides, redacted, bounded; of one under way what there is so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallDetail {
    pub call: Call,
    pub timeline: Timeline,
    /// JSON text of the request as the caller sent it; `None` if it is no longer kept.
    pub request: Option<String>,
    /// What the upstream got after injection.
    pub sent: Option<String>,
    pub response: Option<String>,
    /// What was cut off or masked.
    pub notes: Vec<String>,
}
