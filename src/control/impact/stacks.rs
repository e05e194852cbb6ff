//! The judgement of deployments. Pure: over a snapshot; what only the engine and the config know is judged by
//! `control::stacks::plan`.

use crate::model::stack::{StackOwner, StackRow, StackState};
use crate::model::{Command, Refusal, Snapshot, StackId, TenantId, near};
use std::collections::BTreeSet;

/// The stack that a command is about.
pub fn of<'a>(snapshot: &'a Snapshot, command: &Command) -> Option<&'a StackRow> {
    let (Command::Deploy(id) | Command::Undeploy(id)) = command else { return None };
    snapshot.stack(id.as_str()).map(AsRef::as_ref)
}

/// Refusals that no confirmation lifts.
pub fn forbidden(snapshot: &Snapshot, id: &StackId) -> Result<(), Refusal> {
    let Some(row) = snapshot.stack(id.as_str()) else {
        let near = near::nearest(id.as_str(), snapshot.stacks.iter().map(|row| row.id.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}? (mcpdeck get stacks)"));
        return Err(Refusal::NotFound(format!("no stack is called {id}{hint}")));
    };
    match row.state {
        StackState::Unknown => Err(Refusal::Refused(format!("{id}: {}", row.reason))),
        _ => Ok(()),
    }
}

/// Tenants that notice.
pub fn hit(snapshot: &Snapshot, row: &StackRow) -> BTreeSet<TenantId> {
    match &row.owner {
        StackOwner::Tenant(tenant) => [tenant.clone()].into(),
        StackOwner::Server(server) => snapshot.users(server).cloned().collect(),
    }
}

/// What follows, in sentences.
pub fn follows(row: &StackRow, undeploy: bool) -> Vec<String> {
    let n = row.parts.len();
    let parts = if n == 1 { "1 part".to_owned() } else { format!("{n} parts") };
    let behind = match &row.owner {
        StackOwner::Tenant(tenant) => format!("it stands behind the customer {tenant}"),
        StackOwner::Server(server) => format!("it stands behind the server {server}"),
    };
    let what = match (undeploy, row.adopted) {
        (false, false) => format!("{parts}, each when what it needs is ready; what runs as defined is left alone"),
        (false, true) => format!("{parts} are started; they are adopted and never made"),
        (true, false) => format!("{parts} stop in reverse order and are removed; data folders and volumes stay"),
        (true, true) => format!("{parts} stop; they are adopted and stay"),
    };
    vec![what, behind]
}

#[cfg(test)]
mod tests {
    use super::super::{impact, judge};
    use super::*;
    use crate::control::fixture;
    use crate::control::snapshot::Yard;
    use crate::model::message::{Face, Operator};
    use crate::model::{Act, Environment};
    use std::sync::Arc;

    fn snapshot() -> Arc<Snapshot> {
        let config = fixture::config(|c| {
            fixture::server(c, "etim", |_| {});
            fixture::tenant(c, "eaton", &["etim"], |_| {});
            fixture::tenant(c, "vatt", &["etim"], |t| t.read_only = true);
        });
        let row = |id: &str, owner, environment, state| {
            let (compose, reason) = (None, "engine local is silent".to_owned());
            Arc::new(StackRow {
                id: id.into(),
                owner,
                environment,
                adopted: false,
                compose,
                state,
                reason,
                parts: Vec::new(),
            })
        };
        let tenant = |id: &str| StackOwner::Tenant(id.into());
        let (lab, production) = (Environment::Lab, Environment::Production);
        let stacks = vec![
            row("behind", StackOwner::Server("etim".into()), production, StackState::Ready),
            row("models", tenant("eaton"), lab, StackState::Ready),
            row("quiet", tenant("vatt"), lab, StackState::Ready),
            row("silent", tenant("eaton"), lab, StackState::Unknown),
        ];
        fixture::snapshot(&config, &Yard { stacks, ..Yard::default() }, |_| {})
    }

    #[test]
    fn deployments_are_judged_like_every_act() {
        let snapshot = snapshot();
        let (deploy, undeploy) = (Command::Deploy, Command::Undeploy);
        for (command, confirm, want) in [
            (deploy("models".into()), None, "ok"),
            (undeploy("models".into()), None, "ok"),
            (deploy("modles".into()), None, "no stack is called modles; did you mean models? (mcpdeck get stacks)"),
            (deploy("quiet".into()), None, "read-only: the customer vatt is read-only"),
            (deploy("silent".into()), None, "silent: engine local is silent"),
            (deploy("behind".into()), None, "ok"),
            (undeploy("behind".into()), None, "undeploy behind in production needs --confirm behind"),
            (undeploy("behind".into()), Some("behind"), "ok"),
        ] {
            let operator = Operator { name: "ana".into(), face: Face::Cli, pid: 1, grant: None };
            let act = Act { command, operator, confirm: confirm.map(str::to_owned) };
            let judged = judge(&snapshot, &act, 10, &Default::default())
                .map_or_else(|refusal| refusal.to_string(), |_| "ok".to_owned());
            assert_eq!(judged, want, "{:?}", act.command);
        }
        let told = impact(&snapshot, &undeploy("behind".into()), 10);
        assert_eq!(told.tenants, ["eaton".into(), "vatt".into()], "whoever uses the server");
        assert_eq!(told.environment, Environment::Production);
        let want = "0 parts stop in reverse order and are removed; data folders and volumes stay";
        assert_eq!(told.follows, [want, "it stands behind the server etim"]);
    }
}
