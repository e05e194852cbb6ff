//! Routing: where a request goes that names no server, and why.

use super::ServerId;
use serde::{Deserialize, Serialize};

/// `[[route]]` and `[routing]` as configured. Rules are tried in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    pub rules: Vec<RouteRule>,
    /// Where everything else goes.
    pub default: Option<Lead>,
}

/// One `[[route]]`: any of its words in any of its places leads to its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteRule {
    /// Words looked for in the request's context, in lower case.
    pub context: Vec<String>,
    /// Words looked for in its query, in lower case.
    pub query: Vec<String>,
    /// They may stand inside of longer words.
    pub substring: bool,
    pub lead: Lead,
    /// File and line, for explanations.
    pub defined_at: String,
}

/// Where a rule or the default leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    pub target: ServerId,
    /// 0 to 1: how sure it is.
    pub confidence: f32,
    /// In the order in which they are tried. Each is named on purpose, so it may be of another environment.
    pub fallback: Vec<ServerId>,
}

/// What a request says of where it wants to go. Its tenant is never among it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAsk {
    /// A server's name.
    pub target: Option<String>,
    /// Every text of the request's context.
    pub context: String,
    pub query: String,
}

/// What led to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteBy {
    /// The request names it.
    Explicit,
    Rule,
    Capability,
    UseCase,
    Default,
}

impl RouteBy {
    pub fn name(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::Rule => "rule",
            Self::Capability => "capability",
            Self::UseCase => "use case",
            Self::Default => "default",
        }
    }
}

/// Where a request goes, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub target: ServerId,
    pub by: RouteBy,
    /// One line: `rule 1: "finance-ssc" in the query`.
    pub reason: String,
    /// File and line of the rule that leads, for operators.
    pub defined_at: Option<String>,
    pub confidence: f32,
    /// Tried in this order if the target cannot serve.
    pub fallback: Vec<ServerId>,
    /// Everything that was looked at, in order.
    pub considered: Vec<Considered>,
}

/// One thing that was looked at on the way to a [`Decision`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// `rule 2 (deck.toml:20)`
    pub what: String,
    pub target: Option<ServerId>,
    pub chosen: bool,
    pub why: String,
}

/// An explained [`Decision`]: with where its targets stand now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutePreview {
    pub decision: Decision,
    /// Target first, then its fallback.
    pub candidates: Vec<Candidate>,
}

/// One server that a request may go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub server: ServerId,
    pub instance: super::InstanceKey,
    pub state: super::State,
    /// `closed`, `open for 4s`, `half-open`.
    pub breaker: String,
    /// Why it would be passed over now.
    pub passed_over: Option<String>,
}
