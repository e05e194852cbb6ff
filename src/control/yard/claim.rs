//! Whose a container is: made by us and wanted, made by us and left over, adopted by config, or somebody else's.
//! Pure: over labels, the config and the newest snapshot. Must never do anything.

use super::mark::Mark;
use crate::backend::engine::Found;
use crate::config::Config;
use crate::model::container::{Adopt, Claim, EngineId, Owner, Speaks, labels};
use crate::model::instance::InstanceRow;
use crate::model::stack::{StackDef, StackOwner};
use crate::model::{InstanceKey, Run, Snapshot, State};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Labels of compose.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";

/// What decides.
pub struct Eyes<'a> {
    pub platform: &'a str,
    /// What our own containers are labelled with.
    pub boot: &'a str,
    pub snapshot: &'a Snapshot,
    pub rules: &'a Rules,
    /// Engines on which whatever goes on serving was offered to the instances.
    pub reconciled: &'a BTreeSet<EngineId>,
}

/// What the config says of containers, worked out once.
#[derive(Default)]
pub struct Rules {
    adopted: Vec<(Option<EngineId>, Adopt, Owner)>,
    stacks: Vec<(EngineId, Arc<StackDef>)>,
    first: Option<EngineId>,
}

/// Whose it is, and why it is an orphan if it is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    pub owner: Owner,
    pub why: Option<String>,
}

impl Rules {
    pub fn new(config: &Config) -> Self {
        let first = config.engines.first().map(|engine| engine.id.clone());
        let servers = config.servers.iter().filter_map(|def| {
            let Run::Remote { adopt: Some(adopt), .. } = &def.run else { return None };
            let key = InstanceKey::shared(def.id.clone());
            let owner = Owner { server: Some(def.id.clone()), instance: Some(key), ..adopted() };
            Some((None, adopt.clone(), owner))
        });
        let stacks = config.stacks.iter().filter_map(|def| {
            let engine = def.engine.clone().or_else(|| first.clone());
            Some((engine, def.adopt.clone()?, Owner { stack: Some(def.id.clone()), ..behind(&def.owner, adopted()) }))
        });
        let adopted = servers.chain(stacks).collect();
        let stacks = config.stacks.iter();
        let stacks = stacks.filter_map(|def| Some((def.engine.clone().or_else(|| first.clone())?, def.clone())));
        Self { adopted, stacks: stacks.collect(), first: first.clone() }
    }
}

fn adopted() -> Owner {
    Owner { claim: Claim::Adopted, ..Owner::default() }
}

/// The tenant or server that a stack stands behind.
fn behind(owner: &StackOwner, row: Owner) -> Owner {
    match owner {
        StackOwner::Tenant(tenant) => Owner { tenant: Some(tenant.clone()), ..row },
        StackOwner::Server(server) => Owner { server: Some(server.clone()), ..row },
    }
}

fn behind_whom(owner: &StackOwner) -> String {
    match owner {
        StackOwner::Tenant(tenant) => format!("the tenant {tenant}"),
        StackOwner::Server(server) => format!("the server {server}"),
    }
}

/// True if `found` was made for the owner that its stack has.
fn stands_behind(owner: &StackOwner, found: &Found) -> bool {
    let (label, id) = match owner {
        StackOwner::Tenant(tenant) => (labels::TENANT, tenant.as_str()),
        StackOwner::Server(server) => (labels::SERVER, server.as_str()),
    };
    found.labels.get(label).is_some_and(|found| found == id)
}

/// True if `found` is what `adopt` means.
pub fn adopts(adopt: &Adopt, found: &Found) -> bool {
    match adopt {
        Adopt::ComposeProject(project) => found.labels.get(COMPOSE_PROJECT) == Some(project),
        Adopt::Container(name) => found.name == *name,
    }
}

impl Eyes<'_> {
    /// Whose `found` on `engine` is.
    pub fn claim(&self, engine: &EngineId, found: &Found) -> Claimed {
        match Mark::of(found, self.platform) {
            Some(Mark::Part { stack, part }) => return self.part(engine, stack, part, found),
            Some(Mark::Instance(key)) => return self.instance(engine, key, found),
            None => {}
        }
        let rule = self
            .rules
            .adopted
            .iter()
            .find(|(on, adopt, _)| on.as_ref().is_none_or(|on| on == engine) && adopts(adopt, found));
        let owner = rule.map(|(_, _, owner)| {
            let part = owner.stack.as_ref().and_then(|_| found.labels.get(COMPOSE_SERVICE).cloned());
            Owner { part, ..owner.clone() }
        });
        Claimed { owner: owner.unwrap_or_default(), why: None }
    }

    fn part(&self, engine: &EngineId, stack: &str, part: &str, found: &Found) -> Claimed {
        let def = self.rules.stacks.iter().find(|(_, def)| def.id.as_str() == stack);
        let owner = Owner { stack: Some(stack.into()), part: Some(part.to_owned()), ..Owner::default() };
        let Some((on, def)) = def else { return orphan(owner, format!("the stack {stack} is gone from the config")) };
        let owner = behind(&def.owner, owner);
        let has_part = def.parts.iter().any(|def| def.name == part);
        match (has_part, on == engine) {
            _ if !stands_behind(&def.owner, found) => {
                orphan(owner, format!("the stack {stack} stands behind {} now", behind_whom(&def.owner)))
            }
            (false, _) => orphan(owner, format!("the stack {stack} has no such part any more")),
            (true, false) => orphan(owner, format!("the stack {stack} is on the engine {on} now")),
            (true, true) => ours(owner),
        }
    }

    fn instance(&self, engine: &EngineId, key: InstanceKey, found: &Found) -> Claimed {
        let owner = Owner {
            tenant: key.tenant.clone(),
            server: Some(key.server.clone()),
            instance: Some(key.clone()),
            ..Owner::default()
        };
        match self.unwanted(engine, &key, found) {
            Some(why) => orphan(owner, why),
            None => ours(owner),
        }
    }

    /// Why nobody wants the container of `key`; `None` if somebody does or may.
    fn unwanted(&self, engine: &EngineId, key: &InstanceKey, found: &Found) -> Option<String> {
        let own = found.labels.get(labels::BOOT).is_some_and(|boot| boot == self.boot);
        let Some(row) = self.snapshot.instance(key) else {
            // A session's instance has a row only while it lives.
            let coming = own && key.session.is_some() && found.state.is_live();
            return (!coming).then(|| self.gone(key));
        };
        let Some(server) = self.snapshot.server(key.server.as_str()) else { return Some(self.gone(key)) };
        let Run::Container(run) = &server.def.run else {
            return Some(format!("{} no longer runs in a container", key.server));
        };
        let wanted = run.engine.as_ref().or(self.rules.first.as_ref());
        if wanted.is_some_and(|wanted| wanted != engine) {
            return Some(format!("{} is on another engine now", key.server));
        }
        if own || !found.state.is_live() || ran_it(row, engine, found) || row.state == State::Starting {
            return None;
        }
        self.earlier(engine, row, &run.speaks)
    }

    /// It runs, and an earlier owner started it.
    fn earlier(&self, engine: &EngineId, row: &InstanceRow, speaks: &Speaks) -> Option<String> {
        match speaks {
            Speaks::Http { .. } if row.held.is_some() => Some(format!("{} is stopped and held", row.key)),
            Speaks::Http { .. } if row.fenced.is_some() => Some(format!("{} is fenced", row.key)),
            // It may be taken up yet.
            Speaks::Http { .. } if !self.reconciled.contains(engine) => None,
            Speaks::Http { .. } => Some("an HTTP server of an earlier owner that was not taken up".to_owned()),
            Speaks::Stdio | Speaks::Nothing => Some("a stdio server of an earlier owner".to_owned()),
        }
    }

    fn gone(&self, key: &InstanceKey) -> String {
        match (self.snapshot.server(key.server.as_str()), &key.tenant, key.session) {
            (None, ..) => format!("the server {} is gone from the config", key.server),
            (Some(_), _, Some(_)) => "its session is over".to_owned(),
            (Some(_), Some(tenant), None) => format!("{tenant} has no instance of {} any more", key.server),
            (Some(_), None, None) => format!("{} has no instance of its own any more", key.server),
        }
    }
}

/// This owner has started the instance in it, though an earlier one made it.
fn ran_it(row: &InstanceRow, engine: &EngineId, found: &Found) -> bool {
    row.container.as_ref().is_some_and(|key| key.engine == *engine && key.id == found.id)
}

fn ours(owner: Owner) -> Claimed {
    Claimed { owner: Owner { claim: Claim::Ours, ..owner }, why: None }
}

fn orphan(owner: Owner, why: String) -> Claimed {
    Claimed { owner: Owner { claim: Claim::Orphan, ..owner }, why: Some(why) }
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
