//! Why a container is as it is, check by check, from what the snapshot tells. Pure.

use crate::model::Snapshot;
use crate::model::container::{Claim, ContainerHealth, ContainerRow, ContainerState, EngineId, EngineState};
use crate::model::message::Explained;
use crate::ui::fmt;

/// Memory in percent of its limit from which on the next allocation may be its last.
const TIGHT: f32 = 90.0;

/// The checks, those that say most first.
pub fn findings(row: &ContainerRow, snap: &Snapshot) -> Vec<Explained> {
    let mut out = vec![engine(&row.key.engine, snap), runs(row), memory(row)];
    out.extend(health(row));
    out.push(wanted(row, snap));
    out
}

fn found(check: &str, passed: Option<bool>, evidence: String, next: Option<&str>) -> Explained {
    Explained { check: check.to_owned(), passed, evidence, next: next.map(str::to_owned), target: None }
}

/// Whether an engine answers, and why not.
pub fn engine(id: &EngineId, snap: &Snapshot) -> Explained {
    const CHECK: &str = "its engine answers";
    match snap.engines.iter().find(|engine| engine.id == *id).map(|engine| (&engine.state, engine)) {
        Some((EngineState::Up, engine)) => {
            found(CHECK, Some(true), format!("{} at {}", engine.version.as_deref().unwrap_or("it"), engine.url), None)
        }
        Some((EngineState::Silent { reason, .. } | EngineState::Absent { reason }, engine)) => {
            found(CHECK, Some(false), format!("{}: {reason}; everything below is as old as that", engine.url), None)
        }
        Some((EngineState::Connecting, engine)) => found(CHECK, None, format!("connecting to {}", engine.url), None),
        None => found(CHECK, None, format!("no engine `{id}` is known any more"), None),
    }
}

fn runs(row: &ContainerRow) -> Explained {
    const CHECK: &str = "it runs";
    let code = row.exit_code.map(|code| format!(" with {code}")).unwrap_or_default();
    match row.state {
        ContainerState::Running => found(CHECK, Some(true), format!("{} restarts", row.restarts), None),
        ContainerState::Paused => {
            found(CHECK, Some(false), "paused: its processes get no cpu until it goes on".into(), Some("sleep"))
        }
        ContainerState::Restarting => {
            found(CHECK, Some(false), format!("restarting, {} times so far", row.restarts), Some("logs"))
        }
        ContainerState::Exited | ContainerState::Dead => {
            found(CHECK, Some(false), format!("ended{code}{}", meaning(row.exit_code)), Some("logs"))
        }
        ContainerState::Created => found(CHECK, Some(false), "created and never started".into(), Some("start")),
        ContainerState::Removing => found(CHECK, None, "it is being removed".into(), None),
    }
}

/// What exit codes of container engines and shells mean.
fn meaning(code: Option<i64>) -> &'static str {
    match code {
        Some(125) => ": the engine could not start it",
        Some(126) => ": its command cannot be executed",
        Some(127) => ": its command was not found in the image",
        Some(137) => ": killed (SIGKILL), by somebody or for memory",
        Some(139) => ": it crashed (SIGSEGV)",
        Some(143) => ": it was asked to end (SIGTERM)",
        _ => "",
    }
}

fn memory(row: &ContainerRow) -> Explained {
    const CHECK: &str = "it has memory left";
    let limit = row.usage.memory_limit.map(fmt::bytes);
    if row.oom {
        let limit = limit.map(|l| format!(" of {l}")).unwrap_or_default();
        return found(
            CHECK,
            Some(false),
            format!("the kernel killed it when it reached its limit{limit}: give it more, or less to do"),
            Some("logs"),
        );
    }
    match (row.usage.memory, limit, row.usage.memory_percent()) {
        (Some(used), Some(limit), Some(percent)) => {
            found(CHECK, Some(percent < TIGHT), format!("{} of {limit}, {percent:.0} %", fmt::bytes(used)), None)
        }
        (Some(used), ..) => found(CHECK, Some(true), format!("{}, without a limit of its own", fmt::bytes(used)), None),
        (None, ..) => found(CHECK, None, "nothing is known of its memory now".into(), None),
    }
}

fn health(row: &ContainerRow) -> Option<Explained> {
    const CHECK: &str = "its own health check passes";
    Some(match row.health? {
        ContainerHealth::Healthy => found(CHECK, Some(true), "healthy".into(), None),
        ContainerHealth::Starting => found(CHECK, None, "not decided yet".into(), Some("logs")),
        ContainerHealth::Unhealthy => found(
            CHECK,
            Some(false),
            "unhealthy: what the check said is under State.Health of inspect".into(),
            Some("inspect"),
        ),
    })
}

fn wanted(row: &ContainerRow, snap: &Snapshot) -> Explained {
    const CHECK: &str = "somebody wants it";
    match row.owner.claim {
        Claim::Ours => found(CHECK, Some(true), "made by mcpdeck and wanted by its config".into(), None),
        Claim::Adopted => {
            found(CHECK, Some(true), "adopted by config: started, stopped, restarted, never removed".into(), None)
        }
        Claim::Other => {
            found(CHECK, None, "not ours: it is shown and never touched; `adopt` takes it over".into(), None)
        }
        Claim::Orphan => {
            let orphan = snap.orphans.iter().find(|orphan| orphan.container.as_ref() == Some(&row.key));
            let why = orphan.map_or_else(|| "made by mcpdeck, wanted by nobody any more".to_owned(), |o| o.why.clone());
            found(CHECK, Some(false), why, Some("reap"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_say_what_they_mean() {
        assert_eq!(meaning(Some(137)), ": killed (SIGKILL), by somebody or for memory");
        assert_eq!(meaning(Some(1)), "");
        assert_eq!(meaning(None), "");
    }
}
