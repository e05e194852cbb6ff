//! The difference between two configurations: what changes, what cannot while the platform runs, what counts later.
//! Pure.

use super::Config;
use super::server::{needs_tenant, start_texts};
use crate::model::guard::Guards;
use crate::model::reload::{Change, Changed, How, ReloadPlan};
use crate::model::server::{EnvValue, Run, ServerDef};
use crate::model::template::Template;
use crate::model::tenant::TenantDef;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where something stands is no part of what it is.
const PLACE: &str = "defined_at";

/// What taking `new` over would change, without the instances: those are control's.
pub fn difference(old: &Config, new: &Config) -> ReloadPlan {
    let mut changes = sections(old, new);
    changes.extend(list(&old.servers, &new.servers, |def| &def.id, Changed::Server));
    changes.extend(list(&old.tenants, &new.tenants, |def| &def.id, Changed::Tenant));
    changes.extend(list(&old.stacks, &new.stacks, |def| &def.id, Changed::Stack));
    ReloadPlan { refused: refused(old, new), later: later(old, new), changes, ..ReloadPlan::default() }
}

/// What others know the platform by, and what is opened once.
fn refused(old: &Config, new: &Config) -> Vec<String> {
    let mut out = Vec::new();
    let mut told = |same: bool, key: &str, why: &str| {
        if !same {
            out.push(format!("{key} cannot change while the platform runs: {why}; restart its owner"));
        }
    };
    told(old.platform.name == new.platform.name, "platform.name", "its containers and folders are known by it");
    told(old.paths.socket == new.paths.socket, "platform.socket", "consoles are attached to it");
    told(
        old.platform.socket_group == new.platform.socket_group,
        "platform.socket_group",
        "the socket is open with its rights",
    );
    told(old.store == new.store, "store", "it is open");
    let folders = (&old.paths.state, &old.paths.data, &old.paths.logs);
    told(folders == (&new.paths.state, &new.paths.data, &new.paths.logs), "paths", "what runs has its files there");
    told(old.engines == new.engines, "engine", "containers are watched over these connections");
    out
}

/// What is read once, and harms nobody until then.
fn later(old: &Config, new: &Config) -> Vec<String> {
    let mut out = Vec::new();
    let mut told = |same: bool, key: &str, when: &str| {
        if !same {
            out.push(format!("{key} counts {when}"));
        }
    };
    let log = |config: &Config| (config.log.clone(), config.platform.log_format);
    told(log(old) == log(new), "log", "when the owner starts again");
    told(old.platform.owner == new.platform.owner, "platform.owner", "when the owner starts again");
    told(old.platform.on_hangup == new.platform.on_hangup, "platform.on_hangup", "when the owner starts again");
    let driver = |config: &Config| (config.gpu.library.clone(), config.gpu.proc.clone());
    told(driver(old) == driver(new), "gpu", "when the owner starts again");
    told(old.example_traffic == new.example_traffic, "example_traffic", "when the owner starts again");
    told(old.ui == new.ui, "ui", "when a console starts");
    out
}

fn sections(old: &Config, new: &Config) -> Vec<Change> {
    let mut out = Vec::new();
    let mut section = |name: &str, keys: &[(&str, bool)]| {
        let keys: Vec<String> = keys.iter().filter(|(_, same)| !same).map(|(key, _)| (*key).to_owned()).collect();
        if !keys.is_empty() {
            out.push(Change { what: Changed::Section(name.to_owned()), how: How::Changed, keys });
        }
    };
    let (a, b) = (&old.platform, &new.platform);
    section(
        "platform",
        &[
            ("environment", a.environment == b.environment),
            ("read_only", a.read_only == b.read_only),
            ("bulk_cap", a.bulk_cap == b.bulk_cap),
        ],
    );
    let rules = |guards: &Guards| guards.0.iter().map(|(e, g)| (e.name(), g.clone())).collect::<BTreeMap<_, _>>();
    let (before, after) = (rules(&old.guards), rules(&new.guards));
    let same = |name: &'static str| (name, before.get(name) == after.get(name));
    section("guard", &[same("lab"), same("staging"), same("production")]);
    section("gpu", &[("every", old.gpu.every == new.gpu.every)]);
    let listen = old.api.listen == new.api.listen;
    section("api", &[("listen", listen), ("settings", !listen || old.api == new.api)]);
    let keys = differing(&*old.routing, &*new.routing);
    if !keys.is_empty() {
        out.push(Change { what: Changed::Section("routing".to_owned()), how: How::Changed, keys });
    }
    out
}

fn list<D: Serialize, I: Ord + Clone>(
    old: &[Arc<D>],
    new: &[Arc<D>],
    id: impl Fn(&D) -> &I,
    what: impl Fn(I) -> Changed,
) -> Vec<Change> {
    let by_id =
        |list: &[Arc<D>]| list.iter().map(|def| (id(def).clone(), def.clone())).collect::<BTreeMap<I, Arc<D>>>();
    let (before, after) = (by_id(old), by_id(new));
    let change = |id: &I, how, keys| Change { what: what(id.clone()), how, keys };
    let removed = before.keys().filter(|id| !after.contains_key(*id)).map(|id| change(id, How::Removed, Vec::new()));
    let rest = after.iter().filter_map(|(id, def)| match before.get(id) {
        None => Some(change(id, How::Added, Vec::new())),
        Some(old) => {
            let keys = differing(&**old, &**def);
            (!keys.is_empty()).then(|| change(id, How::Changed, keys))
        }
    });
    removed.chain(rest).collect()
}

/// Keys whose values differ; those of `settings` count as the definition's own.
fn differing(old: &impl Serialize, new: &impl Serialize) -> Vec<String> {
    let (old, new) = (fields(old), fields(new));
    let differs = |key: &&String| old.get(*key) != new.get(*key);
    let mut keys: Vec<String> = old.keys().chain(new.keys()).filter(differs).cloned().collect();
    keys.sort();
    keys.dedup();
    keys
}

fn fields(def: &impl Serialize) -> Map<String, Value> {
    let Ok(mut value) = serde_json::to_value(def) else { return Map::new() };
    without_places(&mut value);
    let Value::Object(mut all) = value else { return Map::new() };
    if let Some(Value::Object(settings)) = all.remove("settings") {
        all.extend(settings);
    }
    all
}

fn without_places(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove(PLACE);
            fields.values_mut().for_each(without_places);
        }
        Value::Array(items) => items.iter_mut().for_each(without_places),
        _ => {}
    }
}

/// True if what runs by the old definitions has to start anew: what it was started with, or how it is spoken to, differs.
/// Everything else (times, injections, health) counts from the next call on.
pub fn restarts(old: (&ServerDef, Option<&TenantDef>), new: (&ServerDef, Option<&TenantDef>)) -> bool {
    let (a, b) = (old.0, new.0);
    let (x, y) = (&a.settings, &b.settings);
    (&a.run, a.via) != (&b.run, b.via)
        || a.secrets != b.secrets
        || (&x.limits, x.era, x.max_message, x.max_in_flight) != (&y.limits, y.era, y.max_message, y.max_in_flight)
        || match (old.1, new.1) {
            (Some(before), Some(after)) => tenant_restarts(b, before, after),
            (None, None) => false,
            _ => true,
        }
}

fn tenant_restarts(server: &ServerDef, old: &TenantDef, new: &TenantDef) -> bool {
    let change = new.servers.get(&server.id);
    let own = change.into_iter().flat_map(|change| change.env.values().chain(change.headers.values()));
    let own = own.filter_map(|value| if let EnvValue::Text(text) = value { Some(text) } else { None });
    let asks = |text: &Template| text.holes().any(needs_tenant);
    let asked = start_texts(&server.run).into_iter().map(|(_, text)| text).chain(own).any(asks)
        || matches!(server.run, Run::Simulated(_));
    old.servers.get(&server.id) != change
        || old.secrets != new.secrets
        || asked && (&old.name, old.environment, &old.context) != (&new.name, new.environment, &new.context)
}
