//! What flows: streams that a face follows, the lines of a log, what happens to a call, a command inside a container.

use super::{ConsoleCall, Event, Level, Operator, Refusal};
use crate::model::call::{CallId, CallRecord};
use crate::model::container::ContainerKey;
use crate::model::{InstanceKey, Stamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A stream to follow; dropping it ends it (and cancels a call).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// Log lines of every instance that a key covers, of containers, of mcpdeck itself.
    Logs {
        targets: Vec<LogTarget>,
        tail: u32,
        follow: bool,
        since: Option<Stamp>,
    },
    /// Finished calls as they finish, after the newest `backlog` ones.
    Traffic {
        filter: String,
        backlog: u32,
    },
    Events {
        backlog: u32,
    },
    Call(Box<ConsoleCall>),
}

/// A piece of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chunk {
    Logs(Vec<LogLine>),
    Calls(Vec<Arc<CallRecord>>),
    Events(Vec<Event>),
    Call(CallEvent),
    /// So many were dropped because the reader was slow.
    Lost(u64),
    /// The stream is over; why, if it is not the normal end.
    End(Option<Refusal>),
}

/// Whose log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    /// mcpdeck's own.
    Deck,
    Instance(InstanceKey),
    /// With the name it is shown by.
    Container(ContainerKey, String),
}

impl LogTarget {
    pub fn instance(&self) -> Option<&InstanceKey> {
        match self {
            Self::Instance(key) => Some(key),
            Self::Deck | Self::Container(..) => None,
        }
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deck => f.pad("mcpdeck"),
            Self::Instance(key) => f.pad(&key.to_string()),
            Self::Container(_, name) => f.pad(name),
        }
    }
}

/// A command to run inside a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    pub container: ContainerKey,
    /// Empty: the first shell that is there.
    pub command: Vec<String>,
    /// It gets a terminal; false: plain pipes, bytes as they are.
    pub terminal: bool,
    pub columns: u16,
    pub rows: u16,
    pub operator: Operator,
    pub confirm: Option<String>,
}

/// What goes to a command inside a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecIn {
    Bytes(Vec<u8>),
    Resize {
        columns: u16,
        rows: u16,
    },
    /// The end of what it reads; without a terminal alone.
    End,
}

/// What comes from it; the last is `Exited`, `Refused` or `Failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecOut {
    Bytes(Vec<u8>),
    /// What it wrote on stderr; a terminal mixes both.
    Errors(Vec<u8>),
    /// It ended, with this exit code if it is known.
    Exited(Option<i64>),
    /// It may not be run.
    Refused(Refusal),
    /// It could not be run, or the way to it broke.
    Failed(String),
}

impl ExecOut {
    /// Nothing follows it.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Refused(_) | Self::Failed(_))
    }
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    pub at: Stamp,
    pub target: LogTarget,
    pub source: LogSource,
    /// Known for mcpdeck's own log; guessed from the text otherwise.
    pub level: Option<Level>,
    /// Without control characters; cut at 16 KiB.
    pub text: String,
    /// Counts the instance's starts; the newest is the largest.
    pub run: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// What a container without MCP on it writes to its stdout.
    Stdout,
    Stderr,
    /// A line on stdout that was no JSON-RPC.
    Garbage,
    /// mcpdeck about the instance: started, exited, probe failed.
    Deck,
}

/// What happens to a call that is followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallEvent {
    Accepted {
        id: CallId,
    },
    /// Waiting for the instance to start.
    Waking {
        instance: InstanceKey,
    },
    /// A message on the upstream's wire, redacted, cut at 64 KiB.
    Wire {
        at: Stamp,
        sent: bool,
        text: String,
    },
    Progress {
        percent: Option<f32>,
        text: String,
    },
    Log {
        level: String,
        text: String,
    },
    /// The server asks the person who called (elicitation, sampling, roots); [`super::Query::Reply`] answers it.
    Question {
        /// The id that the answer must bear.
        id: u64,
        method: String,
        /// JSON text.
        params: String,
    },
    /// A part of the answer's JSON text, in order, 256 KiB at most.
    Body(String),
    Done(Box<CallRecord>),
}
