//! What a reload of the configuration would change, or why it is refused.

use super::{InstanceKey, ServerId, StackId, Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The difference between what runs and what the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadPlan {
    /// What is wrong with the files, each with file and line. Nothing is taken over while there is one.
    pub problems: Vec<String>,
    /// What cannot change while the platform runs, each with the reason. Nothing is taken over then, either.
    pub refused: Vec<String>,
    pub changes: Vec<Change>,
    /// Running instances that start anew between two calls.
    pub restarts: Vec<InstanceKey>,
    /// Running instances that end when their calls have.
    pub ends: Vec<InstanceKey>,
    /// What counts only when the owner or a console starts the next time.
    pub later: Vec<String>,
}

impl ReloadPlan {
    /// The first reason why nothing is taken over.
    pub fn trouble(&self) -> Option<&String> {
        self.problems.first().or(self.refused.first())
    }

    pub fn is_empty(&self) -> bool {
        self.trouble().is_none() && self.changes.is_empty() && self.later.is_empty()
    }
}

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub what: Changed,
    pub how: How,
    /// Keys that differ.
    pub keys: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    Server(ServerId),
    Tenant(TenantId),
    Stack(StackId),
    /// A table at the top, such as `api`.
    Section(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    Added,
    Removed,
    Changed,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            How::Added => f.write_str("+ ")?,
            How::Removed => f.write_str("- ")?,
            How::Changed => f.write_str("~ ")?,
        }
        match &self.what {
            Changed::Server(id) => write!(f, "server {id}")?,
            Changed::Tenant(id) => write!(f, "tenant {id}")?,
            Changed::Stack(id) => write!(f, "stack {id}")?,
            Changed::Section(name) => write!(f, "[{name}]")?,
        }
        if !self.keys.is_empty() {
            write!(f, ": {}", self.keys.join(", "))?;
        }
        Ok(())
    }
}

/// The files cannot be taken over; what ran before goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigTrouble {
    pub since: Stamp,
    /// The first reason, with file and line.
    pub first: String,
    /// So many more.
    pub more: u32,
}

impl fmt::Display for ConfigTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first)?;
        match self.more {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}
