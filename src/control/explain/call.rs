//! Why a call ended as it did, or where it is.

use super::{Hit, Rule, span, state};
use crate::model::call::Call;
use crate::model::timeline::{Station, Timeline};
use crate::model::{Outcome, Snapshot, Stamp};
use std::sync::Arc;

/// One call, over or under way.
pub struct CallCase {
    pub snapshot: Arc<Snapshot>,
    pub call: Call,
    pub timeline: Timeline,
    pub now: Stamp,
}

pub const RULES: &[Rule<CallCase>] = &[
    Rule { check: "outcome", next: None, find: outcome },
    Rule { check: "outcome", next: Some("cancel"), find: under_way },
    Rule { check: "came from", next: None, find: came_from },
    Rule { check: "served by", next: Some("explain"), find: served_by },
    Rule { check: "served by", next: None, find: served_by_nobody },
    Rule { check: "time", next: None, find: times },
    Rule { check: "station", next: None, find: stations },
    Rule { check: "meaning", next: None, find: meaning },
    Rule { check: "now", next: Some("explain"), find: now },
];

fn outcome(case: &CallCase) -> Vec<Hit> {
    let Call::Done(record) = &case.call else { return Vec::new() };
    let error = record.error.as_ref().map_or_else(String::new, |e| format!(": {e}"));
    vec![Hit::new(!record.outcome.is_error(), format!("{}{error}", record.outcome))]
}

fn under_way(case: &CallCase) -> Vec<Hit> {
    let Call::Pending(call) = &case.call else { return Vec::new() };
    let progress = call.progress.map_or_else(String::new, |percent| format!(", at {percent:.0} %"));
    vec![Hit::told(format!("none yet, after {}{progress}", span(case.now.since(call.at))))]
}

fn came_from(case: &CallCase) -> Vec<Hit> {
    let call = &case.call;
    vec![Hit::told(format!("{} as {} by {}", call.origin().name(), call.tenant(), call.principal()))]
}

fn served_by(case: &CallCase) -> Vec<Hit> {
    case.call.instance().map(|key| Hit::new(true, key.to_string()).at(key)).into_iter().collect()
}

fn served_by_nobody(case: &CallCase) -> Vec<Hit> {
    let refused = || Hit::new(false, "refused before an instance was chosen");
    case.call.instance().is_none().then(refused).into_iter().collect()
}

/// Of a call whose way is not known: what its record says.
fn times(case: &CallCase) -> Vec<Hit> {
    let Some(record) = case.call.done().filter(|_| case.timeline.is_empty()) else { return Vec::new() };
    let (all, wake, upstream) = (ms(record.took_us), ms(record.wake_us), ms(record.upstream_us));
    vec![Hit::told(format!("{all} in all, {wake} waiting for a start, {upstream} at the upstream"))]
}

/// Where its time went; one under way is at the last of them.
fn stations(case: &CallCase) -> Vec<Hit> {
    if case.timeline.is_empty() {
        return Vec::new();
    }
    let took = u64::try_from(case.call.took(case.now).as_micros()).unwrap_or(u64::MAX);
    let spent = case.timeline.spent(took);
    let last = spent.len().saturating_sub(1);
    let hit = |(at, (station, us)): (usize, (Station, u64))| {
        let here = match (at == last, &case.call) {
            (true, Call::Pending(_)) => "; it is there now",
            (true, Call::Done(_)) if station != Station::Answer => "; it ended there",
            _ => "",
        };
        Hit::told(format!("{}: {}{here}", ms(us), station.doc())).named(station.name())
    };
    spent.into_iter().enumerate().map(hit).collect()
}

fn meaning(case: &CallCase) -> Vec<Hit> {
    let Call::Done(record) = &case.call else { return Vec::new() };
    vec![Hit::told(match record.outcome {
        Outcome::Ok => "answered",
        Outcome::Tool => "the tool itself answered with an error; the platform did its part",
        Outcome::Auth => "the upstream refused the credentials: look at the secret and when it was loaded",
        Outcome::Timeout => "no answer and no progress within the timeout",
        Outcome::Transport => "the upstream could not be reached, or died in the middle",
        Outcome::Protocol => "a JSON-RPC error, or an answer that is none",
        Outcome::Refused => "refused at the gate: not enabled, stopped, fenced, full or read-only",
        Outcome::Cancelled => "the caller took it back",
    })]
}

/// How whoever serves it is now, where that may be why.
fn now(case: &CallCase) -> Vec<Hit> {
    let troubled = case.call.done().is_none_or(|record| record.outcome.is_error());
    let Some(key) = case.call.instance().filter(|_| troubled) else { return Vec::new() };
    let now = case.snapshot.instance(key).map_or_else(|| "gone".to_owned(), |row| state(row, case.now));
    vec![Hit::told(format!("{key} is {now}")).at(key)]
}

fn ms(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1000.0)
}
