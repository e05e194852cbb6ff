//! What concerns several definitions at once: names that must exist, names given twice, circles, missing values.

use super::draft::Draft;
use super::reader::Field;
use super::server::start_texts;
use super::{ExampleTraffic, pass::Report};
use crate::model::server::{EnvValue, Environment, Run, Scope, ServerDef};
use crate::model::template::Hole;
use crate::model::tenant::{ServerOverride, TenantDef};
use crate::model::{ServerId, near};
use std::collections::{BTreeMap, BTreeSet, HashMap};

type Servers<'d, 't> = BTreeMap<&'d str, &'d Draft<'t, ServerDef>>;

/// Checks all definitions against each other.
pub(super) fn definitions(servers: &[Draft<'_, ServerDef>], tenants: &[Draft<'_, TenantDef>]) {
    let by_id = unique_servers(servers);
    unique_tenants(tenants);
    needs(servers, &by_id);
    for server in servers {
        secrets_exist(server, tenants);
    }
    for tenant in tenants {
        let enabled = tenant.def.enabled.iter().filter(|(_, on)| **on).map(|(name, _)| name);
        for name in tenant.def.enabled.keys() {
            if !by_id.contains_key(name.as_str()) {
                warn_unknown(tenant, &["enabled", name.as_str()], name, &by_id);
            }
        }
        for server in enabled.filter_map(|name| by_id.get(name.as_str())) {
            pair(tenant, &server.def);
        }
        for (name, change) in &tenant.def.servers {
            match by_id.get(name.as_str()) {
                Some(server) => fits(tenant, &server.def, change),
                None => warn_unknown(tenant, &["server", name.as_str()], name, &by_id),
            }
        }
    }
}

fn unique_servers<'d, 't>(servers: &'d [Draft<'t, ServerDef>]) -> Servers<'d, 't> {
    let mut by_id: Servers<'d, 't> = BTreeMap::new();
    for server in servers {
        let id = server.def.id.as_str();
        match by_id.get(id) {
            Some(first) => {
                let help = format!("it is already defined at {}: rename or remove one of them", first.def.defined_at);
                server.problem(&["id"], format!("the server `{id}` is defined twice"), help);
            }
            None => {
                by_id.insert(id, server);
            }
        }
    }
    by_id
}

/// Ids, aliases and display names are all accepted where a tenant is named, so no two tenants may share one.
fn unique_tenants(tenants: &[Draft<'_, TenantDef>]) {
    let mut owners: HashMap<String, usize> = HashMap::new();
    for (at, tenant) in tenants.iter().enumerate() {
        let def = &tenant.def;
        let ids = [("id", def.id.as_str()), ("name", def.name.as_str())];
        for (key, name) in ids.into_iter().chain(def.aliases.iter().map(|alias| ("aliases", alias.as_str()))) {
            let owner = *owners.entry(name.to_lowercase()).or_insert(at);
            if owner == at {
                continue;
            }
            let first = &tenants[owner];
            let help = format!("it already names the tenant `{}` at {}", first.def.id, first.from.at().label());
            tenant.problem(&[key], format!("`{name}` names two tenants"), help);
            if key == "id" {
                break;
            }
        }
    }
}

fn guess<'d>(name: &str, by_id: &Servers<'d, '_>) -> Option<&'d str> {
    near::nearest(name, by_id.keys().copied())
}

fn warn_unknown(tenant: &Draft<'_, TenantDef>, path: &[&str], name: &ServerId, by_id: &Servers<'_, '_>) {
    let key = tenant.key(path[0]);
    let report = Report::new(tenant.place(path), &key, format!("no server `{name}`"));
    let report = report.suggest(guess(name.as_str(), by_id));
    tenant.from.pass.warning(report.help("it counts once a server of this name is defined"));
}

fn needs(servers: &[Draft<'_, ServerDef>], by_id: &Servers<'_, '_>) {
    for server in servers {
        for name in &server.def.needs {
            match by_id.get(name.as_str()) {
                None => {
                    let key = server.key("needs");
                    let report = Report::new(server.place(&["needs"]), &key, format!("no server `{name}`"));
                    let known = by_id.keys().copied().collect::<Vec<_>>().join(", ");
                    let report = report.suggest(guess(name.as_str(), by_id));
                    server.from.pass.problem(report.help(format!("servers: {known}")));
                }
                Some(other) => can_wait(server, &other.def),
            }
        }
    }
    circles(servers, by_id);
}

/// An instance waits for one instance, so the other side must have exactly one for it.
fn can_wait(server: &Draft<'_, ServerDef>, other: &ServerDef) {
    let message = match (server.def.scope, other.scope) {
        (_, Scope::Session) => format!("`{}` has an instance per session: none of them can be waited for", other.id),
        (Scope::Shared, Scope::Tenant) => {
            format!("a shared server cannot wait for `{}`, which has one instance per tenant", other.id)
        }
        _ => return,
    };
    server.problem(&["needs"], message, "need a shared server, or give this one scope = \"tenant\"");
}

/// Each circle is told once, where the walk first met it.
fn circles(servers: &[Draft<'_, ServerDef>], by_id: &Servers<'_, '_>) {
    let next = |id: &str| {
        let needs = by_id.get(id).map(|server| server.def.needs.as_slice()).unwrap_or_default();
        needs.iter().filter_map(|id| by_id.get_key_value(id.as_str()).map(|(id, _)| *id)).collect()
    };
    let mut seen = BTreeSet::new();
    for server in servers {
        let Some(circle) = circle(server.def.id.as_str(), &next, &mut seen) else { continue };
        let first = by_id.get(circle[0]).copied().unwrap_or(server);
        let shown = circle.iter().chain(circle.first()).copied().collect::<Vec<_>>().join(" -> ");
        first.problem(&["needs"], format!("servers need each other: {shown}"), "remove one of these needs");
    }
}

/// The circle that a walk along `next` meets from `start`, if there is one; what was seen before is not walked again.
/// Without recursion, for a file may chain any number of names.
pub(super) fn circle<'n>(
    start: &'n str,
    next: &dyn Fn(&str) -> Vec<&'n str>,
    seen: &mut BTreeSet<&'n str>,
) -> Option<Vec<&'n str>> {
    if !seen.insert(start) {
        return None;
    }
    let mut trail = vec![(start, next(start).into_iter())];
    while let Some((_, left)) = trail.last_mut() {
        let Some(name) = left.next() else {
            trail.pop();
            continue;
        };
        if seen.insert(name) {
            trail.push((name, next(name).into_iter()));
        } else if let Some(from) = trail.iter().position(|(at, _)| *at == name) {
            return Some(trail[from..].iter().map(|(name, _)| *name).collect());
        }
    }
    None
}

/// A tenant and a server that it has enabled.
fn pair(tenant: &Draft<'_, TenantDef>, server: &ServerDef) {
    let name = server.id.as_str();
    let change = tenant.def.servers.get(&server.id);
    if !server.has_url_for(&tenant.def) {
        let message = format!("`{name}` has no url of its own, and this tenant gives none");
        tenant.problem(&["enabled", name], message, format!("add [tenant.server.{name}] with url = \"...\""));
    }
    if tenant.def.environment == Environment::Production
        && matches!(server.environment, Some(e) if e < Environment::Production)
    {
        let message = format!("a production tenant uses `{name}`, which says that it is not for production");
        tenant.warning(&["enabled", name], message, format!("the server is defined at {}", server.defined_at));
    }
    for hole in missing_values(&tenant.def, server, change) {
        let message = format!("`{{{hole}}}`, which `{name}` needs, has no value for this tenant");
        let help = match &hole {
            Hole::Config(key) => format!("add [tenant.server.{name}] with config = {{ {key} = \"...\" }}"),
            Hole::Context(key) => format!("add {key} to the tenant's context"),
            _ => continue,
        };
        tenant.warning(&["enabled", name], message, help);
    }
    for secret in named_secrets(&server.run, change) {
        let change_has = change.is_some_and(|change| change.secrets.contains_key(secret));
        // One instance for all has no tenant's secrets.
        let by_tenant = server.scope != Scope::Shared && (change_has || tenant.def.secrets.contains_key(secret));
        if !by_tenant && !server.secrets.contains_key(secret) {
            let message = format!("the secret `{secret}`, which `{name}` needs, is given nowhere for this tenant");
            tenant.warning(
                &["enabled", name],
                message,
                format!("add {secret} to the tenant's secrets or to the server's"),
            );
        }
    }
}

/// `{ secret = "NAME" }` of a server that no tenant has enabled is given by somebody all the same; for those that have,
/// [`pair`] looks.
fn secrets_exist(server: &Draft<'_, ServerDef>, tenants: &[Draft<'_, TenantDef>]) {
    let def = &server.def;
    if tenants.iter().any(|tenant| tenant.def.enabled.get(&def.id) == Some(&true)) {
        return;
    }
    let is_given = |name: &str| {
        let by_tenant = tenants.iter().any(|tenant| tenant.def.secrets.contains_key(name));
        def.secrets.contains_key(name) || def.scope != Scope::Shared && by_tenant
    };
    for name in named_secrets(&def.run, None).into_iter().filter(|name| !is_given(name)) {
        let help = format!("add it to the server's secrets: {name} = {{ file = \"/run/secrets/{name}\" }}");
        server.warning(&["run"], format!("the secret `{name}` is given nowhere"), help);
    }
}

/// Placeholders of the server that stay empty for the tenant.
fn missing_values(tenant: &TenantDef, server: &ServerDef, change: Option<&ServerOverride>) -> BTreeSet<Hole> {
    let injected = server.inject.headers.values().chain(server.inject.arguments.values());
    let started = start_texts(&server.run).into_iter().map(|(_, template)| template);
    let missing = |hole: &&Hole| match hole {
        Hole::Context(key) => !tenant.context.contains_key(key),
        Hole::Config(key) => change.is_none_or(|change| !change.config.contains_key(key)),
        _ => false,
    };
    let changed = change.into_iter().flat_map(|change| change.env.values().chain(change.headers.values()));
    let changed = changed.filter_map(|value| if let EnvValue::Text(text) = value { Some(text) } else { None });
    started.chain(injected).chain(changed).flat_map(|template| template.holes()).filter(missing).cloned().collect()
}

fn named_secrets<'s>(run: &'s Run, change: Option<&'s ServerOverride>) -> BTreeSet<&'s str> {
    let own = match run {
        Run::Process(process) => Some(&process.env),
        Run::Builtin { env, .. } => Some(env),
        Run::Remote { headers, .. } | Run::PerTenant { headers } => Some(headers),
        Run::Container(container) => Some(&container.env),
        Run::Simulated(_) => None,
    };
    let changed = change.into_iter().flat_map(|change| [&change.env, &change.headers]);
    let values = own.into_iter().chain(changed).flat_map(BTreeMap::values);
    values.filter_map(|value| if let EnvValue::Named(name) = value { Some(name.as_str()) } else { None }).collect()
}

/// An override must have something to change.
fn fits(tenant: &Draft<'_, TenantDef>, server: &ServerDef, change: &ServerOverride) {
    let name = server.id.as_str();
    let remote = change.url.is_some() || matches!(server.run, Run::Remote { .. } | Run::PerTenant { .. });
    let simulated = matches!(server.run, Run::Simulated(_));
    if (remote || simulated) && !change.env.is_empty() {
        let message = format!("`{name}` does not run here for this tenant, so it has no environment");
        tenant.problem(&["server", name, "env"], message, "use headers, or config");
    }
    if !remote && !change.headers.is_empty() {
        let message = format!("`{name}` speaks over stdin and stdout, so it has no headers");
        tenant.problem(&["server", name, "headers"], message, "use env, or give the tenant's own url");
    }
}

/// The calls of `[example_traffic]`: names become ids.
pub(super) fn example_traffic(
    traffic: &mut ExampleTraffic,
    fields: &[Field<'_>],
    servers: &[Draft<'_, ServerDef>],
    tenants: &[Draft<'_, TenantDef>],
) {
    for (call, field) in traffic.calls.iter_mut().zip(fields) {
        let Some(tenant) = tenants.iter().find(|t| t.def.answers_to(call.tenant.as_str())) else {
            let guess = near::nearest(call.tenant.as_str(), tenants.iter().map(|t| t.def.id.as_str()));
            unknown(field, "tenant", call.tenant.as_str(), guess);
            continue;
        };
        call.tenant = tenant.def.id.clone();
        if !servers.iter().any(|s| s.def.id == call.server) {
            let guess = near::nearest(call.server.as_str(), servers.iter().map(|s| s.def.id.as_str()));
            unknown(field, "server", call.server.as_str(), guess);
        } else if tenant.def.enabled.get(&call.server) != Some(&true) {
            let message = format!("`{}` has not enabled `{}`: these calls will be refused", tenant.def.id, call.server);
            let report = Report::new(field.at(), &field.key, message);
            field.pass.warning(report.help("enable it, or remove the call"));
        }
    }
}

fn unknown(field: &Field<'_>, what: &str, name: &str, guess: Option<&str>) {
    let report = Report::new(field.at(), &field.key, format!("no {what} `{name}`")).suggest(guess);
    field.pass.problem(report.help(format!("give the id of a {what} that is defined")));
}
