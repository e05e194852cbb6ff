//! Why something is as it is: rules as data, each with its evidence and what helps next.
//! Pure: over a snapshot and a few facts that are not in it. Must never do anything.

mod call;
mod container;
mod instance;
mod tenant;

use super::deck::Deck;
use crate::model::call::Call;
use crate::model::instance::State;
use crate::model::message::{ExplainWhat, Explained};
use crate::model::timeline::Timeline;
use crate::model::{InstanceKey, Refusal, Stamp, why};
use call::CallCase;
use instance::InstanceCase;
use tenant::TenantCase;

/// What is checked in one kind of case, and what helps: the same for all findings of a rule.
struct Rule<C: 'static> {
    check: &'static str,
    /// The action that shows more, or helps.
    next: Option<&'static str>,
    /// Empty where it does not apply.
    find: fn(&C) -> Vec<Hit>,
}

/// What a rule found.
struct Hit {
    /// Instead of the rule's name, where it checks several things.
    check: Option<String>,
    passed: Option<bool>,
    evidence: String,
    /// What the rule's key acts on.
    target: Option<InstanceKey>,
}

impl Hit {
    fn new(passed: impl Into<Option<bool>>, evidence: impl Into<String>) -> Self {
        Self { check: None, passed: passed.into(), evidence: evidence.into(), target: None }
    }

    /// Neither good nor bad.
    fn told(evidence: impl Into<String>) -> Self {
        Self::new(None, evidence)
    }

    fn named(self, check: impl Into<String>) -> Self {
        Self { check: Some(check.into()), ..self }
    }

    fn at(self, target: &InstanceKey) -> Self {
        Self { target: Some(target.clone()), ..self }
    }
}

/// Applies the rules to a case, in their order.
fn apply<C>(rules: &[Rule<C>], case: &C) -> Vec<Explained> {
    let explained = |rule: &Rule<C>| {
        let (check, next) = (rule.check, rule.next);
        (rule.find)(case).into_iter().map(move |hit| Explained {
            check: hit.check.unwrap_or_else(|| check.to_owned()),
            passed: hit.passed,
            evidence: hit.evidence,
            next: next.map(str::to_owned),
            target: hit.target,
        })
    };
    rules.iter().flat_map(explained).collect()
}

/// Explains one thing, most telling checks first in the order in which they decide.
pub fn explain_on(deck: &Deck, what: &ExplainWhat) -> Result<Vec<Explained>, Refusal> {
    let (snapshot, now) = (deck.picture.get(), Stamp::now());
    match what {
        ExplainWhat::Instance(key) => {
            let case = |row, def| InstanceCase {
                stderr: deck.logs.last_stderr(key),
                breaker: deck.router.open_breaker(key),
                snapshot: snapshot.clone(),
                row,
                def,
                now,
            };
            instance::explain(&snapshot, key, now, case)
        }
        ExplainWhat::Tenant(id) => {
            let row = snapshot.find_tenant(id.as_str()).cloned();
            let row = row.ok_or_else(|| Refusal::NotFound(format!("no customer is called {id}")))?;
            Ok(apply(tenant::RULES, &TenantCase { snapshot, row }))
        }
        ExplainWhat::Call(id) => {
            let kept = deck.router.detail(*id).map(|detail| (detail.call, detail.timeline));
            let kept = kept.or_else(|| Some((Call::Done(deck.calls.get(*id)?), Timeline::default())));
            let (call, timeline) = kept.ok_or_else(|| Refusal::NotFound(format!("{id} is no longer known")))?;
            Ok(apply(call::RULES, &CallCase { snapshot, call, timeline, now }))
        }
        ExplainWhat::Container(key) => match snapshot.container(key) {
            Some(row) => Ok(why::container(row, &snapshot)),
            None => Err(Refusal::NotFound(format!("there is no container {key} any more"))),
        },
        ExplainWhat::Stack(id) => match snapshot.stack(id.as_str()) {
            Some(row) => Ok(why::stack(row, &snapshot)),
            None => Err(Refusal::NotFound(format!("no stack is called {id}"))),
        },
    }
}

fn is_good(state: State) -> bool {
    matches!(state, State::Ready | State::Starting | State::Doze | State::Dormant | State::Stopping)
}

/// How an instance is, since when, and why.
fn state(row: &crate::model::InstanceRow, now: Stamp) -> String {
    let retry = row.retry_at.map(|at| format!("; tried again in {}", span(at.since(now))));
    format!("{} for {}: {}{}", row.state, span(now.since(row.since)), row.reason, retry.unwrap_or_default())
}

/// A length of time in its largest whole unit.
fn span(length: std::time::Duration) -> String {
    match length.as_secs() {
        0 => format!("{} ms", length.as_millis()),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
