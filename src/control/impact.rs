//! What an act would do, and whether it may be done: the one judgement behind dialogs, command lines and the actor.
//! Pure: over a snapshot. Must never do anything.

mod containers;
pub mod guards;
mod stacks;

use guards::Reach;

pub use containers::{environment as environment_of, redirected};

use crate::model::container::ContainerRow;
use crate::model::instance::{BackendKind, InstanceRow, State};
use crate::model::message::{Face, Impact, Roll};
use crate::model::stack::that_go_on;
use crate::model::{Act, Command, Environment, InstanceKey, Refusal, Run, ServerId, Snapshot, TenantId, near};
use std::collections::BTreeSet;

/// Judges `command` on what `snapshot` shows.
pub fn impact(snapshot: &Snapshot, command: &Command, bulk_cap: u32) -> Impact {
    let instead = redirected(snapshot, command);
    let command = instead.as_ref().unwrap_or(command);
    let refused = forbidden(snapshot, command, bulk_cap, &BTreeSet::new()).err();
    let instances = targets(snapshot, command).unwrap_or_default();
    let rows = || instances.iter().filter_map(|key| snapshot.instance(key));
    let tenants = hit(snapshot, command, &instances);
    let environment = environment(snapshot, command, &instances);
    let in_flight = match tenant_of(command) {
        Some((server, tenant)) => in_flight_of_cell(snapshot, server, tenant),
        None if matches!(command, Command::Shutdown) => snapshot.totals.in_flight,
        None => rows().map(|row| row.in_flight + row.waiting).sum(),
    };
    Impact {
        follows: follows(snapshot, command, rows().map(AsRef::as_ref), in_flight),
        type_name: name_to_type(snapshot, command, environment),
        tenants: tenants.into_iter().collect(),
        refused: refused.map(|r| r.to_string()),
        bulk_cap: guards::smallest_cap(snapshot, &Reach::of(snapshot, command, &instances), bulk_cap),
        instances,
        environment,
        in_flight,
    }
}

/// `Ok` with the instances if `act` may be carried out, while its operator acts on those `under_way` already.
///
/// Where a person types the name, a program over HTTP has shown an operator's credential instead; a name that it gives
/// nevertheless must be the right one.
pub fn judge(
    snapshot: &Snapshot,
    act: &Act,
    bulk_cap: u32,
    under_way: &BTreeSet<InstanceKey>,
) -> Result<Vec<InstanceKey>, Refusal> {
    forbidden(snapshot, &act.command, bulk_cap, under_way)?;
    let instances = targets(snapshot, &act.command)?;
    let environment = environment(snapshot, &act.command, &instances);
    let by_role = act.operator.face == Face::Api && act.confirm.is_none();
    match name_to_type(snapshot, &act.command, environment) {
        Some(name) if !by_role && act.confirm.as_deref() != Some(name.as_str()) => {
            let what = format!("{} {}", act.command.verb(), act.command.object()).trim_end().to_owned();
            Err(Refusal::NeedsConfirm { what, name })
        }
        _ => Ok(instances),
    }
}

/// The instances that a command means.
fn targets(snapshot: &Snapshot, command: &Command) -> Result<Vec<InstanceKey>, Refusal> {
    if let Some((server, tenant)) = tenant_of(command) {
        known(snapshot, server, Some(tenant))?;
        let own = InstanceKey { server: server.clone(), tenant: Some(tenant.clone()), session: None };
        let covered = snapshot.instances.iter().filter(|row| own.covers(&row.key));
        return Ok(covered.map(|row| row.key.clone()).collect());
    }
    if let Command::Roll(roll) = command {
        return to_roll(snapshot, roll);
    }
    let Some(key) = command.target() else { return Ok(Vec::new()) };
    let covered: Vec<_> =
        snapshot.instances.iter().filter(|row| key.covers(&row.key)).map(|row| row.key.clone()).collect();
    if covered.is_empty() {
        known(snapshot, &key.server, key.tenant.as_ref())?;
        let why = match &key.tenant {
            Some(tenant) => {
                format!("{key} does not exist: {tenant} has no instance of its own (mcpdeck status {})", key.server)
            }
            None => format!("{key} has no instance: no tenant has it enabled (mcpdeck enable {key} TENANT)"),
        };
        return Err(Refusal::NotFound(why));
    }
    Ok(covered)
}

/// What still holds an older value; it is an error if nothing does.
fn to_roll(snapshot: &Snapshot, roll: &Roll) -> Result<Vec<InstanceKey>, Refusal> {
    if let Some(server) = &roll.server {
        known(snapshot, server, None)?;
    }
    let secrets = &snapshot.secrets;
    if let Some(name) = roll.secret.as_ref().filter(|name| !secrets.iter().any(|row| row.name == **name)) {
        let near = near::nearest(name, secrets.iter().map(|row| row.name.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        return Err(Refusal::NotFound(format!("no secret is called {name}{hint} (mcpdeck secrets)")));
    }
    let found = roll.targets(secrets);
    if found.is_empty() {
        let what = roll.secret.as_ref().map_or_else(|| "any secret".to_owned(), |name| format!("the secret {name}"));
        let why =
            format!("nothing that runs holds an older value of {what}; `mcpdeck secrets reload` reads them again");
        return Err(Refusal::Refused(why));
    }
    Ok(found)
}

fn known(snapshot: &Snapshot, server: &ServerId, tenant: Option<&TenantId>) -> Result<(), Refusal> {
    let near =
        |word: &str, near: Option<&str>| near.map_or_else(String::new, |n| format!("; did you mean {n}? ({word})"));
    if snapshot.server(server.as_str()).is_none() {
        let names = snapshot.servers.iter().map(|s| s.def.id.as_str());
        let hint = near("mcpdeck get servers", near::nearest(server.as_str(), names));
        return Err(Refusal::NotFound(format!("no server is called {server}{hint}")));
    }
    if let Some(tenant) = tenant
        && snapshot.tenant(tenant.as_str()).is_none()
    {
        let names = snapshot.tenants.iter().map(|t| t.def.id.as_str());
        let hint = near("mcpdeck get tenants", near::nearest(tenant.as_str(), names));
        return Err(Refusal::NotFound(format!("no customer is called {tenant}{hint}")));
    }
    Ok(())
}

fn tenant_of(command: &Command) -> Option<(&ServerId, &TenantId)> {
    match command {
        Command::Enable { server, tenant }
        | Command::Disable { server, tenant }
        | Command::Revert { server, tenant } => Some((server, tenant)),
        _ => None,
    }
}

/// Refusals that no confirmation lifts.
fn forbidden(
    snapshot: &Snapshot,
    command: &Command,
    bulk_cap: u32,
    under_way: &BTreeSet<InstanceKey>,
) -> Result<(), Refusal> {
    if command.changes() && snapshot.platform.read_only {
        // Before anything is said of what the command names.
        guards::check_read_only(snapshot, &Reach::of(snapshot, command, &[]))?;
    }
    let instances = targets(snapshot, command)?;
    match command {
        Command::Container { container, act, .. } => containers::forbidden(snapshot, container, *act)?,
        Command::Deploy(stack) | Command::Undeploy(stack) => stacks::forbidden(snapshot, stack)?,
        _ => {}
    }
    let reach = Reach::of(snapshot, command, &instances);
    if command.changes() {
        guards::check_read_only(snapshot, &reach)?;
    }
    guards::check_denied(snapshot, &reach, command.verb())?;
    match command {
        // However many there are, only so many at a time.
        Command::Roll(roll) => {
            let at_once = &instances[..instances.len().min(roll.at_once as usize)];
            guards::check_caps(snapshot, &reach, at_once, under_way, bulk_cap)?;
        }
        _ if command.target().is_some() => guards::check_caps(snapshot, &reach, &instances, under_way, bulk_cap)?,
        _ => {}
    }
    let mut rows = instances.iter().filter_map(|key| snapshot.instance(key));
    rows.try_for_each(|row| possible(snapshot, command, row))
}

/// Whether this can be done with this instance at all.
fn possible(snapshot: &Snapshot, command: &Command, row: &InstanceRow) -> Result<(), Refusal> {
    let key = &row.key;
    let refused = |why: String| Err(Refusal::Refused(why));
    match command {
        Command::Sleep(_) if row.held.is_some() => refused(format!("{key} is stopped and held; start releases it")),
        Command::Kill(_) if row.backend == BackendKind::Remote && !adopts(snapshot, key) => {
            refused(format!("{key} is run by somebody else; mcpdeck kills only what it started"))
        }
        Command::Restart(_) if row.backend == BackendKind::Remote && !has_restart_command(snapshot, key) => refused(
            format!("{key} is run by somebody else and its definition names no restart_command and adopts nothing"),
        ),
        _ => Ok(()),
    }
}

fn has_restart_command(snapshot: &Snapshot, key: &InstanceKey) -> bool {
    let def = snapshot.server(key.server.as_str()).map(|row| &row.def);
    def.is_some_and(|def| matches!(&def.run, Run::Remote { restart_command: Some(_), .. })) || adopts(snapshot, key)
}

/// True if containers that the config adopted stand behind it; not behind a tenant's own url.
fn adopts(snapshot: &Snapshot, key: &InstanceKey) -> bool {
    let adopted = |run: &Run| matches!(run, Run::Remote { adopt: Some(_), .. });
    let own_url = || {
        let tenant = snapshot.tenant(key.tenant.as_ref()?.as_str())?;
        tenant.def.servers.get(&key.server)?.url.as_ref()
    };
    snapshot.server(key.server.as_str()).is_some_and(|row| adopted(&row.def.run)) && own_url().is_none()
}

fn container_of<'a>(snapshot: &'a Snapshot, command: &Command) -> Option<&'a ContainerRow> {
    let Command::Container { container, .. } = command else { return None };
    snapshot.container(container).map(AsRef::as_ref)
}

/// The acts that ask for the name in production.
fn name_to_type(snapshot: &Snapshot, command: &Command, environment: Environment) -> Option<String> {
    if environment != Environment::Production {
        return None;
    }
    match command {
        Command::Stop(key) | Command::Restart(key) | Command::Kill(key) | Command::Fence(key) => Some(key.to_string()),
        Command::Disable { tenant, .. } => Some(tenant.to_string()),
        Command::Revert { server, tenant } => {
            let cell = snapshot.tenant(tenant.as_str()).and_then(|t| t.cell(server));
            cell.is_some_and(|c| c.enabled && !c.in_file).then(|| tenant.to_string())
        }
        Command::Shutdown => Some(snapshot.platform.name.clone()),
        Command::Container { container, act, .. } => containers::name_to_type(snapshot, container, *act),
        Command::Undeploy(stack) => Some(stack.to_string()),
        Command::Roll(roll) => Some(roll.name().unwrap_or_else(|| snapshot.platform.name.clone())),
        _ => None,
    }
}

fn environment(snapshot: &Snapshot, command: &Command, instances: &[InstanceKey]) -> Environment {
    if let Command::Container { container, .. } = command {
        return containers::environment(snapshot, container);
    }
    if let Some(row) = stacks::of(snapshot, command) {
        return row.environment;
    }
    let rows = instances.iter().filter_map(|key| snapshot.instance(key)).map(|row| row.environment);
    let own = tenant_of(command).and_then(|(_, t)| snapshot.tenant(t.as_str())).map(|t| t.def.environment);
    let whole = matches!(command, Command::Shutdown).then_some(snapshot.platform.environment);
    rows.chain(own).chain(whole).max().unwrap_or_default()
}

fn hit(snapshot: &Snapshot, command: &Command, instances: &[InstanceKey]) -> BTreeSet<TenantId> {
    if let Some((_, tenant)) = tenant_of(command) {
        return [tenant.clone()].into();
    }
    if let Command::Container { container, .. } = command {
        return containers::hit(snapshot, container);
    }
    if let Some(row) = stacks::of(snapshot, command) {
        return stacks::hit(snapshot, row);
    }
    let mut tenants = BTreeSet::new();
    for key in instances {
        match &key.tenant {
            Some(tenant) => drop(tenants.insert(tenant.clone())),
            None => {
                let served = snapshot
                    .tenants
                    .iter()
                    .filter(|t| t.cell(&key.server).is_some_and(|c| c.instance.as_ref() == Some(key)));
                tenants.extend(served.map(|t| t.def.id.clone()));
            }
        }
    }
    tenants
}

fn in_flight_of_cell(snapshot: &Snapshot, server: &ServerId, tenant: &TenantId) -> u32 {
    snapshot.tenant(tenant.as_str()).and_then(|t| t.cell(server)).map_or(0, |c| c.in_flight)
}

/// What follows, in sentences.
fn follows<'a>(
    snapshot: &Snapshot,
    command: &Command,
    rows: impl Iterator<Item = &'a InstanceRow>,
    in_flight: u32,
) -> Vec<String> {
    let rows: Vec<_> = rows.collect();
    let live = rows.iter().filter(|row| row.state.is_live()).count();
    let calls = |what: &str| {
        (in_flight > 0)
            .then(|| format!("{in_flight} {} in flight {what}", if in_flight == 1 { "call" } else { "calls" }))
    };
    let needed = needed_by(snapshot, &rows);
    // What is out of rotation stays there: only calls of the others will get through.
    let after = |others: &'static str| match !rows.is_empty() && rows.iter().all(|row| row.fenced.is_some()) {
        true => "it stays fenced: calls are refused until it is put back",
        false => others,
    };
    let mut out: Vec<String> = Vec::new();
    match command {
        Command::Start(_) if live == rows.len() && !rows.is_empty() => out.push("it runs already".to_owned()),
        Command::Start(_) => out.push("it stays up after a crash; idle stop still applies".to_owned()),
        Command::Stop(_) => {
            out.extend(calls("will fail unless finished in time"));
            out.push("calls are refused, with your name, until it is started".to_owned());
            out.extend(needed);
        }
        Command::Sleep(_) => {
            out.extend(calls("will fail unless finished in time"));
            out.push(after("the next call starts it again").to_owned());
        }
        Command::Restart(_) => {
            out.extend(calls("will fail unless finished in time"));
            out.push(after("calls wait until it answers again").to_owned());
            out.extend(needed);
        }
        Command::Kill(_) => {
            out.extend(calls("will fail at once"));
            out.push(after("the next call starts it again").to_owned());
        }
        Command::Fence(_) => {
            out.push("calls are refused at once; it keeps running".to_owned());
            out.extend(calls("will go on"));
        }
        Command::Unfence(_) => out.push("calls reach it again".to_owned()),
        Command::Disable { server, tenant } => {
            out.extend(calls("will go on"));
            let own = snapshot
                .instances
                .iter()
                .any(|row| row.key.server == *server && row.key.tenant.as_ref() == Some(tenant));
            let after = if own { "its own instance stops" } else { "the shared instance goes on for the others" };
            out.push(format!("{tenant} no longer sees {server}; {after}"));
        }
        Command::Enable { server, tenant } => out.push(format!("{tenant} sees {server} at once")),
        Command::Revert { .. } => out.push("the file decides again".to_owned()),
        Command::Shutdown => {
            let running = snapshot.instances.iter().filter(|row| row.state.is_live()).count();
            out.push(format!("{running} running {} stop", if running == 1 { "instance" } else { "instances" }));
            out.extend(that_go_on(&snapshot.stacks));
            out.extend(calls("will fail unless finished in time"));
        }
        Command::Container { container, act, .. } => out = containers::follows(snapshot, container, *act),
        Command::ReapOrphans => out = containers::reaped(snapshot),
        Command::Deploy(_) | Command::Undeploy(_) => {
            let undeploy = matches!(command, Command::Undeploy(_));
            out.extend(stacks::of(snapshot, command).into_iter().flat_map(|row| stacks::follows(row, undeploy)));
        }
        Command::Roll(roll) => {
            out.extend(calls("will fail unless finished in time"));
            out.push(format!(
                "{} at a time are restarted; it ends at the first that does not come up again",
                roll.at_once
            ));
            out.extend(needed);
        }
        Command::ReloadSecrets => out.push("running instances keep the old values until they are restarted".to_owned()),
        Command::RevokeKey(_) => out.push("whoever sends it is refused at once, and open streams end".to_owned()),
        Command::RemoveUser(_) => {
            out.push("tokens of this person are refused at once, and open streams end".to_owned())
        }
        Command::CreateKey(_) | Command::RotateKey { .. } | Command::AddUser(_) | Command::SetPassword { .. } => {}
        Command::Reload => {
            out.push("what changed starts anew between two calls; a broken file changes nothing".to_owned())
        }
        Command::Probe(_) | Command::ExampleTraffic(_) | Command::CancelCall(_) | Command::CancelJob(_) => {}
    }
    out
}

fn needed_by(snapshot: &Snapshot, rows: &[&InstanceRow]) -> Option<String> {
    let servers: BTreeSet<&ServerId> = rows.iter().map(|row| &row.key.server).collect();
    let needs = snapshot.servers.iter().filter(|s| s.state != State::Dormant);
    let needing: Vec<_> =
        needs.filter(|s| s.def.needs.iter().any(|n| servers.contains(n))).map(|s| s.def.id.as_str()).collect();
    (!needing.is_empty()).then(|| format!("needed by {}", needing.join(", ")))
}

#[cfg(test)]
#[path = "impact_tests.rs"]
mod tests;
