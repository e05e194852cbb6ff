//! Rules over stacks: parts that failed or keep ending, and lines of their logs that the config watches for.

use super::{Hit, View};
use crate::model::TenantId;
use crate::model::stack::{StackOwner, StackRow, StackState};
use std::sync::Arc;
use std::time::Duration;

/// A line of a log is worth attention for so long.
const WATCHED: Duration = Duration::from_secs(24 * 3600);

/// Given up, until somebody looks at it or much later.
pub fn failed(view: &View<'_>) -> Vec<Hit> {
    hits(view, StackState::Failed)
}

/// Ends and is started again, or runs and does not serve.
pub fn degraded(view: &View<'_>) -> Vec<Hit> {
    hits(view, StackState::Degraded)
}

fn hits(view: &View<'_>, state: StackState) -> Vec<Hit> {
    let rows = view.snapshot.stacks.iter();
    let hit = |row: &Arc<StackRow>| {
        let parts: Vec<_> = row.parts.iter().filter(|part| part.state == state).collect();
        let text = parts.iter().map(|part| format!("part {}: {}", part.name, part.message)).collect::<Vec<_>>();
        let since = parts.iter().filter_map(|part| part.unwell_since).min().unwrap_or(view.snapshot.platform.boot);
        (!parts.is_empty()).then(|| Hit {
            object: format!("stack {}", row.id),
            target: None,
            text: text.join("; "),
            tenants: tenants(view, row),
            since,
        })
    };
    rows.filter_map(hit).collect()
}

/// Texts of `watch` that were seen since the stack was last deployed, for a day.
pub fn watched(view: &View<'_>) -> Vec<Hit> {
    let hit = |line: &crate::control::stacks::WatchedLine| {
        let row = view.snapshot.stack(line.stack.as_str());
        let times = if line.times > 1 { format!(" ({} times)", line.times) } else { String::new() };
        Hit {
            object: format!("stack {}/{}", line.stack, line.part),
            target: None,
            text: format!("part {} said{times}: {}", line.part, line.line),
            tenants: row.map(|row| tenants(view, row)).unwrap_or_default(),
            since: line.at,
        }
    };
    let recent = view.conditions.watched.iter().filter(|line| view.now.since(line.at) < WATCHED);
    recent.map(hit).collect()
}

fn tenants(view: &View<'_>, row: &StackRow) -> Vec<TenantId> {
    match &row.owner {
        StackOwner::Tenant(id) => vec![id.clone()],
        StackOwner::Server(id) => view.snapshot.users(id).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use crate::control::attention::{Conditions, findings};
    use crate::control::fixture;
    use crate::control::snapshot::Yard;
    use crate::control::stacks::WatchedLine;
    use crate::model::stack::{PartRow, StackOwner, StackRow, StackState};
    use crate::model::{Environment, Stamp};
    use std::sync::Arc;

    #[test]
    fn what_failed_keeps_ending_or_said_the_wrong_thing_is_told() {
        let config = fixture::config(|c| fixture::tenant(c, "eaton", &[], |_| {}));
        let part = |name: &str, state, message: &str| PartRow {
            name: name.into(),
            image: "image:1".into(),
            container: None,
            state,
            held: false,
            message: message.into(),
            unwell_since: Some(Stamp(7)),
            started: None,
            percent: None,
        };
        let row = StackRow {
            id: "models".into(),
            owner: StackOwner::Tenant("eaton".into()),
            environment: Environment::Lab,
            adopted: false,
            compose: None,
            state: StackState::Failed,
            reason: String::new(),
            parts: vec![
                part("vllm", StackState::Failed, "exited 1"),
                part("db", StackState::Degraded, "3 times in a row: exited 2; again in 4 s"),
                part("lake", StackState::Ready, ""),
            ],
        };
        let yard = Yard { stacks: vec![Arc::new(row)], ..Yard::default() };
        let snapshot = fixture::snapshot(&config, &yard, |_| {});
        let line = |at, times| WatchedLine {
            stack: "models".into(),
            part: "vllm".into(),
            pattern: "CUDA out of memory".into(),
            line: "CUDA out of memory. Tried 20 GiB".into(),
            at,
            times,
        };
        let now = Stamp(100_000_000_000);
        let day = 24 * 3600 * 1000;
        let watched = vec![line(Stamp(now.0 - 1), 3), line(Stamp(now.0 - day - 1), 1)];
        let found = findings(&snapshot, &Conditions { watched, ..Conditions::default() }, now);
        let told: Vec<_> =
            found.iter().map(|f| format!("{} {} {}: {}", f.severity, f.word, f.object, f.text)).collect();
        assert_eq!(
            told,
            [
                "3 STACK stack models: part vllm: exited 1",
                "3 LOG stack models/vllm: part vllm said (3 times): CUDA out of memory. Tried 20 GiB",
                "2 STACK stack models: part db: 3 times in a row: exited 2; again in 4 s",
            ]
        );
        let stacks = found.iter().filter(|f| f.word == "STACK");
        assert!(stacks.into_iter().all(|f| f.since == Stamp(7)), "since it is so, however old its container is");
        assert!(found.iter().all(|f| f.tenants == ["eaton".into()]));
    }
}
