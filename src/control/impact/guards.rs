//! The guardrails that stand around an act: those of the environments it reaches into, and of the tenants whose objects
//! it touches. What they forbid no confirmation lifts. Pure: over a snapshot.

use super::{container_of, environment, stacks, tenant_of};
use crate::model::guard::{Cap, Guard};
use crate::model::stack::StackOwner;
use crate::model::{Command, Environment, InstanceKey, Refusal, Snapshot, TenantId};
use std::collections::BTreeSet;

/// What an act reaches: each has rules of its own.
pub struct Reach<'a> {
    environments: BTreeSet<Environment>,
    tenants: BTreeSet<&'a TenantId>,
}

impl<'a> Reach<'a> {
    pub fn of(snapshot: &'a Snapshot, command: &'a Command, instances: &'a [InstanceKey]) -> Self {
        let rows = instances.iter().filter_map(|key| snapshot.instance(key)).map(|row| row.environment);
        let whole = [is_about_the_platform(command), matches!(command, Command::Shutdown)].contains(&true);
        let own = match whole {
            true => snapshot.platform.environment,
            false => environment(snapshot, command, instances),
        };
        let stack = stacks::of(snapshot, command).and_then(|row| match &row.owner {
            StackOwner::Tenant(tenant) => Some(tenant),
            StackOwner::Server(_) => None,
        });
        let container = container_of(snapshot, command).and_then(|row| row.owner.tenant.as_ref());
        let owners = instances.iter().filter_map(|key| key.tenant.as_ref());
        let named = tenant_of(command).map(|(_, tenant)| tenant);
        Self {
            environments: rows.chain([own]).collect(),
            tenants: owners.chain(named).chain(container).chain(stack).collect(),
        }
    }

    /// One place that belongs to one tenant, or to none.
    pub fn place(environment: Environment, tenant: Option<&'a TenantId>) -> Self {
        Self { environments: [environment].into(), tenants: tenant.into_iter().collect() }
    }
}

/// Acts on no object of a tenant or a server: the rules of the platform's own environment hold.
fn is_about_the_platform(command: &Command) -> bool {
    command.is_about_principals()
        || matches!(
            command,
            Command::Reload | Command::ReloadSecrets | Command::ReapOrphans | Command::ExampleTraffic(_)
        )
}

/// Whether anything of what an act reaches is read-only.
pub fn check_read_only(snapshot: &Snapshot, reach: &Reach) -> Result<(), Refusal> {
    if snapshot.platform.read_only {
        return Err(Refusal::ReadOnly(format!("the platform {} is read-only", snapshot.platform.name)));
    }
    let guards = &snapshot.platform.guards;
    let tenants = reach.tenants.iter().filter_map(|id| snapshot.tenant(id.as_str()));
    let tenants = tenants.filter_map(|tenant| guards.frozen(&tenant.def));
    let environments = reach.environments.iter().rev().filter_map(|env| guards.frozen_environment(*env));
    match tenants.chain(environments).next() {
        Some(why) => Err(Refusal::ReadOnly(why)),
        None => Ok(()),
    }
}

/// Whether the act (as it is called on the command line) is denied anywhere it reaches.
pub fn check_denied(snapshot: &Snapshot, reach: &Reach, verb: &str) -> Result<(), Refusal> {
    let denied = places(snapshot, reach).find_map(|(place, guard)| Some((place, guard.deny.get(verb)?)));
    match denied {
        Some((place, why)) => Err(Refusal::Denied(format!("{verb} is denied {place}: {why}"))),
        None => Ok(()),
    }
}

/// Whether so many instances may be acted on at once: `instances`, and those that the operator acts on already.
pub fn check_caps(
    snapshot: &Snapshot,
    reach: &Reach,
    instances: &[InstanceKey],
    under_way: &BTreeSet<InstanceKey>,
    whole: u32,
) -> Result<(), Refusal> {
    let all: BTreeSet<&InstanceKey> = instances.iter().chain(under_way).collect();
    let with = match under_way.len() {
        0 => String::new(),
        n => format!(" with the {n} you act on already"),
    };
    let refuse = |n: usize, place: &str, cap: u32, why: &str| {
        let most = format!("at most {cap} at once{why}");
        Err(Refusal::Refused(format!(
            "it would touch {n} instances{place}{with}; {most}: name a tenant, or go step by step"
        )))
    };
    if all.len() > whole as usize {
        return refuse(all.len(), "", whole, " (platform.bulk_cap)");
    }
    for (place, cap, counts) in caps(snapshot, reach) {
        let n = all.iter().filter(|key| counts(snapshot, key)).count();
        if n > cap.instances as usize {
            return refuse(n, &format!(" {place}"), cap.instances, &format!(", because {}", cap.reason));
        }
    }
    Ok(())
}

type Counts<'a> = Box<dyn Fn(&Snapshot, &InstanceKey) -> bool + 'a>;

fn caps<'a>(snapshot: &'a Snapshot, reach: &'a Reach) -> impl Iterator<Item = (String, &'a Cap, Counts<'a>)> {
    let environments = reach.environments.iter().filter_map(|environment| {
        let cap = snapshot.platform.guards.of(*environment)?.bulk_cap.as_ref()?;
        let counts: Counts = Box::new(|snapshot: &Snapshot, key: &InstanceKey| {
            snapshot.instance(key).is_some_and(|row| row.environment == *environment)
        });
        Some((format!("in {}", environment.name()), cap, counts))
    });
    let tenants = reach.tenants.iter().filter_map(|tenant| {
        let cap = snapshot.tenant(tenant.as_str())?.def.guard.bulk_cap.as_ref()?;
        let counts: Counts = Box::new(|_: &Snapshot, key: &InstanceKey| key.tenant.as_ref() == Some(*tenant));
        Some((format!("of {tenant}"), cap, counts))
    });
    environments.chain(tenants)
}

/// What most narrowly bounds how many instances may be acted on at once.
pub fn smallest_cap(snapshot: &Snapshot, reach: &Reach, whole: u32) -> Cap {
    let own = Cap { instances: whole, reason: "platform.bulk_cap says so".to_owned() };
    let narrowest = caps(snapshot, reach).map(|(_, cap, _)| cap).min_by_key(|cap| cap.instances);
    narrowest.filter(|cap| cap.instances < whole).cloned().unwrap_or(own)
}

/// Every guard that counts, the tenants' own first, with where it stands.
fn places<'a>(snapshot: &'a Snapshot, reach: &'a Reach) -> impl Iterator<Item = (String, &'a Guard)> {
    let tenants =
        reach.tenants.iter().filter_map(|id| Some((format!("for {id}"), &snapshot.tenant(id.as_str())?.def.guard)));
    let environments = reach.environments.iter().rev();
    let environments =
        environments.filter_map(|env| Some((format!("in {}", env.name()), snapshot.platform.guards.of(*env)?)));
    tenants.chain(environments)
}
