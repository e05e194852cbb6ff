//! Calls counted together, by customer, server or tool: how many, how they ended, how long they took. Pure.

use super::CallRecord;
use super::call::Outcome;
use super::filter::{Fields, Value};
use super::time::Stamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;

/// What calls have in common that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Tenant,
    Server,
    /// A server's tool, prompt or resource; its method where a call names none.
    Tool,
}

impl By {
    fn key(self, call: &CallRecord) -> (&str, &str) {
        match self {
            Self::Tenant => (call.tenant.as_str(), ""),
            Self::Server => (call.server.as_str(), ""),
            Self::Tool => (call.server.as_str(), call.tool.as_deref().unwrap_or(&call.method)),
        }
    }

    /// A filter for the calls that a group of this name counts.
    pub fn filter(self, group: &Group) -> String {
        match self {
            Self::Tenant => format!("tenant={}", group.name),
            Self::Server => format!("server={}", group.name),
            Self::Tool => match &group.tool {
                Some(tool) => format!("server={} tool={tool}", group.name),
                None => format!("server={}", group.name),
            },
        }
    }
}

/// Calls of one customer, server or tool. Percentiles are exact: they are those of just these calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Customer or server.
    pub name: String,
    /// Tool or method, where calls are counted by it.
    pub tool: Option<String>,
    pub calls: u32,
    /// In the order of [`Outcome::ALL`].
    pub outcomes: [u32; Outcome::ALL.len()],
    pub p50_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

impl Group {
    /// Calls that the platform, not the tool or the caller, failed.
    pub fn errors(&self) -> u32 {
        Outcome::ALL.into_iter().filter(|outcome| outcome.is_error()).map(|outcome| self.count(outcome)).sum()
    }

    pub fn count(&self, outcome: Outcome) -> u32 {
        self.outcomes[outcome as usize]
    }
}

/// Counts calls together, those with most calls first.
pub fn groups<'c>(calls: impl Iterator<Item = &'c CallRecord>, by: By) -> Vec<Group> {
    #[derive(Default)]
    struct Counted {
        outcomes: [u32; Outcome::ALL.len()],
        took: Vec<u64>,
    }
    let mut counted: HashMap<(&str, &str), Counted> = HashMap::new();
    for call in calls {
        let group = counted.entry(by.key(call)).or_default();
        group.outcomes[call.outcome as usize] += 1;
        group.took.push(call.took_us);
    }
    let group = |((name, tool), mut counted): ((&str, &str), Counted)| {
        counted.took.sort_unstable();
        let took = |percent| percentile(&counted.took, percent);
        Group {
            name: name.to_owned(),
            tool: (!tool.is_empty()).then(|| tool.to_owned()),
            calls: u32::try_from(counted.took.len()).unwrap_or(u32::MAX),
            outcomes: counted.outcomes,
            p50_us: took(50),
            p95_us: took(95),
            p99_us: took(99),
            max_us: took(100),
        }
    };
    let mut groups: Vec<Group> = counted.into_iter().map(group).collect();
    groups.sort_unstable_by(|a, b| b.calls.cmp(&a.calls).then_with(|| (&a.name, &a.tool).cmp(&(&b.name, &b.tool))));
    groups
}

/// The smallest value that so many percent do not exceed; 0 of nothing.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

impl Fields for Group {
    fn names() -> &'static [&'static str] {
        &["name", "tool", "calls", "errors"]
    }

    fn field(&self, name: &str, _now: Stamp) -> Option<Value<'_>> {
        match name {
            "name" => Some(Value::Text(Cow::Borrowed(&self.name))),
            "tool" => Some(Value::Text(Cow::Borrowed(self.tool.as_deref()?))),
            "calls" => Some(Value::Number(f64::from(self.calls))),
            "errors" => Some(Value::Number(f64::from(self.errors()))),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        out.push_str(&self.name);
        out.push(' ');
        out.push_str(self.tool.as_deref().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<u64> = (1..=100).collect();
        for (sorted, percent, value) in [
            (&hundred[..], 50, 50),
            (&hundred, 95, 95),
            (&hundred, 100, 100),
            (&[7], 50, 7),
            (&[1, 1_000], 99, 1_000),
            (&[], 50, 0),
        ] {
            assert_eq!(percentile(sorted, percent), value, "{percent} of {}", sorted.len());
        }
    }
}
