//! What stacks name must exist, and no two may claim the same.

use super::place;
use crate::config::check::circle;
use crate::config::draft::Draft;
use crate::config::pass::Report;
use crate::config::server::needs_tenant;
use crate::config::stack::{PartDraft, Spot, StackDraft};
use crate::model::server::{EnvValue, ServerDef};
use crate::model::stack::StackOwner;
use crate::model::template::{Hole, Template};
use crate::model::{TenantDef, near};
use std::collections::{BTreeMap, BTreeSet};

/// The owner exists; a tenant may be named as people name it.
pub fn owner(stack: &mut StackDraft<'_>, servers: &[Draft<'_, ServerDef>], tenants: &[Draft<'_, TenantDef>]) {
    let (key, name, known): (_, _, Vec<&str>) = match &stack.def.owner {
        StackOwner::Tenant(id) => {
            if let Some(tenant) = tenants.iter().find(|tenant| tenant.def.answers_to(id.as_str())) {
                stack.def.owner = StackOwner::Tenant(tenant.def.id.clone());
                return;
            }
            ("tenant", id.as_str(), tenants.iter().map(|tenant| tenant.def.id.as_str()).collect())
        }
        StackOwner::Server(id) => {
            if servers.iter().any(|server| server.def.id == *id) {
                return;
            }
            ("server", id.as_str(), servers.iter().map(|server| server.def.id.as_str()).collect())
        }
    };
    let field_key = format!("{}.{key}", stack.from.key);
    let report = Report::new(place(stack, key), &field_key, format!("no {key} `{name}`"));
    let report = report.suggest(near::nearest(name, known.iter().copied()));
    stack.from.pass.problem(report.help(format!("{key}s: {}", known.join(", "))));
}

/// Names and compose projects are claimed once; so is a part's name within one network.
pub fn alone(stacks: &[StackDraft<'_>]) {
    let mut ids: BTreeMap<&str, &StackDraft<'_>> = BTreeMap::new();
    let mut projects: BTreeMap<&str, &StackDraft<'_>> = BTreeMap::new();
    let mut names: BTreeMap<(&StackOwner, &str), &StackDraft<'_>> = BTreeMap::new();
    for stack in stacks {
        if let Some(first) = ids.insert(stack.def.id.as_str(), stack) {
            twice(stack, "name", format!("the stack `{}` is defined twice", stack.def.id), first);
        }
        if let Some(project) = &stack.project
            && let Some(first) = projects.insert(project, stack)
        {
            let key = if stack.def.adopt.is_some() { "adopt" } else { "compose" };
            let message =
                format!("two stacks claim the compose project `{project}`: `{}` has it already", first.def.id);
            twice(stack, key, message, first);
        }
        for part in &stack.parts {
            if let Some(first) = names.insert((&stack.def.owner, &part.def.name), stack)
                && first.def.id != stack.def.id
            {
                let message = format!(
                    "`{}` names a part of the stack `{}` too, in the same network",
                    part.def.name, first.def.id
                );
                let report = Report::new(part.place(Spot::Part), &part.key, message);
                stack
                    .from
                    .pass
                    .warning(report.help("rename one of them, or the name answers now for one, now for the other"));
            }
        }
    }
}

fn twice(stack: &StackDraft<'_>, key: &str, message: String, first: &StackDraft<'_>) {
    let help = format!("it is already claimed at {}: rename or remove one of them", first.def.defined_at);
    stack.from.pass.problem(Report::new(place(stack, key), &stack.from.key, message).help(help));
}

/// What the parts of one stack say of each other and of their owner.
pub fn parts(stack: &StackDraft<'_>, servers: &[Draft<'_, ServerDef>], tenants: &[Draft<'_, TenantDef>]) {
    let pass = stack.from.pass;
    let mut by_name: BTreeMap<&str, &PartDraft> = BTreeMap::new();
    for part in &stack.parts {
        if by_name.insert(&part.def.name, part).is_some() {
            let report =
                Report::new(part.place(Spot::Part), &part.key, format!("the part `{}` is given twice", part.def.name));
            pass.problem(report.help("rename or remove one of them"));
        }
    }
    for part in &stack.parts {
        for name in part.def.needs.iter().filter(|name| !by_name.contains_key(name.as_str())) {
            let report = Report::new(part.place(Spot::Needs(name)), &part.key, format!("no part `{name}` to wait for"));
            let report = report.suggest(near::nearest(name, by_name.keys().copied()));
            let known = by_name.keys().copied().collect::<Vec<_>>().join(", ");
            pass.problem(report.help(format!("parts of this stack: {known}")));
        }
        holes(stack, part);
        context(stack, part, tenants);
        secrets(stack, part, servers, tenants);
    }
    circles(stack, &by_name);
}

fn circles(stack: &StackDraft<'_>, by_name: &BTreeMap<&str, &PartDraft>) {
    let next = |name: &str| {
        let needs = by_name.get(name).map(|part| part.def.needs.as_slice()).unwrap_or_default();
        needs.iter().filter_map(|name| by_name.get_key_value(name.as_str()).map(|(name, _)| *name)).collect()
    };
    let mut seen = BTreeSet::new();
    for name in by_name.keys() {
        let Some(round) = circle(name, &next, &mut seen) else { continue };
        let shown = round.iter().chain(round.first()).copied().collect::<Vec<_>>().join(" -> ");
        let Some(part) = round.first().and_then(|name| by_name.get(name)) else { continue };
        let at = part.place(Spot::Needs(round.get(1).unwrap_or(&round[0])));
        let report = Report::new(at, &part.key, format!("parts need each other: {shown}"));
        stack.from.pass.problem(report.help("remove one of these needs: none of them could start first"));
    }
}

/// Placeholders that have no value for this owner.
fn holes(stack: &StackDraft<'_>, part: &PartDraft) {
    let empty = |hole: &Hole| match (&stack.def.owner, hole) {
        (_, Hole::Data | Hole::Router) => false,
        (_, Hole::Config(_)) => true,
        (StackOwner::Tenant(_), hole) => *hole == Hole::ServerId,
        (StackOwner::Server(_), hole) => needs_tenant(hole),
    };
    let found: BTreeSet<&Hole> = texts(part).flat_map(Template::holes).filter(|hole| empty(hole)).collect();
    for hole in found {
        let whose = match stack.def.owner {
            StackOwner::Tenant(_) => "a tenant's stack",
            StackOwner::Server(_) => "a server's stack",
        };
        let report = Report::new(part.place(Spot::Part), &part.key, format!("`{{{hole}}}` has no value in {whose}"));
        stack.from.pass.problem(report.help("write the value, or give the stack another owner"));
    }
}

/// `{tenant.context.KEY}` is one that the tenant has.
fn context(stack: &StackDraft<'_>, part: &PartDraft, tenants: &[Draft<'_, TenantDef>]) {
    let StackOwner::Tenant(id) = &stack.def.owner else { return };
    let Some(tenant) = tenants.iter().find(|tenant| tenant.def.id == *id) else { return };
    let missing = |hole: &&Hole| matches!(hole, Hole::Context(key) if !tenant.def.context.contains_key(key));
    let found: BTreeSet<&Hole> = texts(part).flat_map(Template::holes).filter(missing).collect();
    for hole in found {
        let message = format!("`{{{hole}}}` has no value for the tenant `{id}`");
        let report = Report::new(part.place(Spot::Part), &part.key, message);
        let known = tenant.def.context.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "nothing".to_owned() } else { known };
        stack.from.pass.problem(report.help(format!("its context has {known}; add the key there")));
    }
}

/// Every text of a part that is filled in.
fn texts(part: &PartDraft) -> impl Iterator<Item = &Template> {
    let run = &part.def.run;
    let env = run.env.values().filter_map(|value| if let EnvValue::Text(text) = value { Some(text) } else { None });
    let lists = [&run.entrypoint, &run.command].into_iter().flatten().flatten();
    env.chain(lists).chain(run.mounts.iter().map(|mount| &mount.source)).chain([&run.image])
}

/// `{ secret = "NAME" }` is one of the owner's.
fn secrets(
    stack: &StackDraft<'_>,
    part: &PartDraft,
    servers: &[Draft<'_, ServerDef>],
    tenants: &[Draft<'_, TenantDef>],
) {
    let known: Vec<&String> = match &stack.def.owner {
        StackOwner::Tenant(id) => {
            tenants.iter().filter(|t| t.def.id == *id).flat_map(|t| t.def.secrets.keys()).collect()
        }
        StackOwner::Server(id) => {
            servers.iter().filter(|s| s.def.id == *id).flat_map(|s| s.def.secrets.keys()).collect()
        }
    };
    for (variable, value) in &part.def.run.env {
        if let EnvValue::Named(name) = value
            && !known.contains(&name)
        {
            let report = Report::new(
                part.place(Spot::Env(variable)),
                &part.key,
                format!("the secret `{name}` is given nowhere for this owner"),
            );
            stack.from.pass.problem(report.help(format!("add {name} to the owner's secrets")));
        }
    }
}
