//! Why a container, an engine or a stack is as it is, check by check, from what the snapshot tells. Imports `model` only.

use super::Snapshot;
use super::container::{Claim, ContainerHealth, ContainerRow, ContainerState, EngineId, EngineState};
use super::message::Explained;
use super::stack::{PartRow, StackOwner, StackRow, StackState};
use super::usage::bytes;

/// Memory in percent of its limit from which on the next allocation may be its last.
const TIGHT: f32 = 90.0;

/// The checks of a container, those that say most first.
pub fn container(row: &ContainerRow, snap: &Snapshot) -> Vec<Explained> {
    let mut out = vec![engine(&row.key.engine, snap), runs(row, snap), memory(row)];
    out.extend(health(row));
    out.push(wanted(row, snap));
    out
}

fn found(check: &str, passed: Option<bool>, evidence: String, next: Option<&str>) -> Explained {
    Explained { check: check.to_owned(), passed, evidence, next: next.map(str::to_owned), target: None }
}

/// The checks of a stack: whose it is, how it is as a whole, then each of its parts.
pub fn stack(row: &StackRow, snap: &Snapshot) -> Vec<Explained> {
    let behind = match &row.owner {
        StackOwner::Tenant(tenant) => format!("the customer {tenant}"),
        StackOwner::Server(server) => format!("the server {server}"),
    };
    let how = if row.adopted { "adopted by config: started, stopped, never removed" } else { "deployed by mcpdeck" };
    let mut out =
        vec![found("it stands behind", None, format!("{behind}; {how}"), None), whole("all of it is ready", row)];
    out.extend(row.parts.iter().map(|part| self::part(part, snap)));
    out
}

/// How a stack is as a whole, in one check.
pub fn whole(check: &str, row: &StackRow) -> Explained {
    let reason = if row.reason.is_empty() { String::new() } else { format!(": {}", row.reason) };
    let (passed, next) = verdict(row.state);
    found(check, passed, format!("{}{reason}", row.state.name()), next)
}

fn part(part: &PartRow, snap: &Snapshot) -> Explained {
    let container = part.container.as_ref().and_then(|key| snap.container(key));
    let place = container.map_or_else(|| "it has no container".to_owned(), |row| row.name.clone());
    let message = if part.message.is_empty() { String::new() } else { format!(": {}", part.message) };
    let (passed, next) = verdict(part.state);
    let next = next.filter(|next| *next == "deploy" || container.is_some());
    found(&format!("part {}", part.name), passed, format!("{}{message} ({place})", part.state.name()), next)
}

/// Whether a state is as it should be, and what helps where it is not.
fn verdict(state: StackState) -> (Option<bool>, Option<&'static str>) {
    match state {
        StackState::Ready => (Some(true), None),
        StackState::Starting | StackState::Stopping => (None, Some("logs")),
        StackState::Stopped => (Some(false), Some("deploy")),
        StackState::Degraded | StackState::Failed => (Some(false), Some("logs")),
        StackState::Unknown => (None, None),
    }
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

fn runs(row: &ContainerRow, snap: &Snapshot) -> Explained {
    const CHECK: &str = "it runs";
    // What is not ours is started by somebody else.
    let start = matches!(row.owner.claim, Claim::Ours | Claim::Adopted).then_some("start");
    let code = row.exit_code.map(|code| format!(" with {code}")).unwrap_or_default();
    match row.state {
        ContainerState::Running => found(CHECK, Some(true), format!("{} restarts", row.restarts), None),
        ContainerState::Paused => {
            found(CHECK, Some(false), "paused: its processes get no cpu until it goes on".into(), start)
        }
        ContainerState::Restarting => {
            found(CHECK, Some(false), format!("restarting, {} times so far", row.restarts), Some("logs"))
        }
        ContainerState::Exited | ContainerState::Dead if snap.is_put_down(row) => {
            found(CHECK, None, format!("{}{code}", stopped(row, snap)), start)
        }
        ContainerState::Exited | ContainerState::Dead => {
            found(CHECK, Some(false), format!("ended{code}{}", meaning(row.exit_code)), Some("logs"))
        }
        ContainerState::Created => found(CHECK, Some(false), "created and never started".into(), start),
        ContainerState::Removing => found(CHECK, None, "it is being removed".into(), None),
    }
}

/// Who stopped it, as far as is known.
fn stopped(row: &ContainerRow, snap: &Snapshot) -> String {
    let stack = row.owner.stack.as_ref().and_then(|id| snap.stack(id.as_str()));
    let part = stack.and_then(|stack| stack.parts.iter().find(|part| part.container.as_ref() == Some(&row.key)));
    let instance = row.owner.instance.as_ref().and_then(|key| snap.instance(key));
    match (part, instance) {
        (Some(part), _) if !part.message.is_empty() => format!("{}; it ended", part.message),
        (_, Some(instance)) => format!("its instance is {}: {}; it ended", instance.state, instance.reason),
        _ => "it was stopped; it ended".to_owned(),
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
    let limit = row.usage.memory_limit.map(bytes);
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
            found(CHECK, Some(percent < TIGHT), format!("{} of {limit}, {percent:.0} %", bytes(used)), None)
        }
        (Some(used), ..) => found(CHECK, Some(true), format!("{}, without a limit of its own", bytes(used)), None),
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
