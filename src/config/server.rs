//! `[[server]]`: one definition, checked for itself; what concerns others is checked in `config::check`.

use super::draft::{self, Draft};
use super::engine::Engines;
use super::inject;
use super::platform::{ENVIRONMENTS, required};
use super::reader::{Field, Reader};
use super::route;
use super::run::{self, Origin};
use super::settings;
use crate::model::ServerId;
use crate::model::container::Speaks;
use crate::model::server::{
    EnvValue, Price, PricePer, ProcessRun, RestartPolicy, Run, Scope, ServerDef, Settings, Via,
};
use crate::model::template::{Hole, Template};
use std::collections::BTreeMap;

/// Words of [`Scope`].
pub(super) const SCOPES: [(&str, Scope); 3] =
    [("shared", Scope::Shared), ("tenant", Scope::Tenant), ("session", Scope::Session)];

/// Every `[[server]]` that can be used so far.
pub(super) fn servers<'t>(root: &mut Reader<'t>, defaults: &Settings, engines: &Engines) -> Vec<Draft<'t, ServerDef>> {
    draft::tables(root, "server").into_iter().filter_map(|field| server(field, defaults, engines)).collect()
}

fn server<'t>(field: Field<'t>, defaults: &Settings, engines: &Engines) -> Option<Draft<'t, ServerDef>> {
    let mut from = field.table()?;
    let identity = draft::identity(&mut from);
    let origin = run::origin(&mut from, engines);
    let preset = origin.as_ref().and_then(|origin| origin.preset.clone()).unwrap_or_default();
    let given_scope = from.opt("scope", |f| f.choice(&SCOPES));
    let environment = from.opt("environment", |f| f.choice(&ENVIRONMENTS));
    let description = from.text("description").unwrap_or(preset.description);
    let version = from.text("version");
    let capabilities = from.or("capabilities", preset.capabilities, Field::texts);
    let use_cases = from.or("use_cases", Vec::new(), Field::texts);
    let price = from.opt("price", price);
    let via = route::via(&mut from);
    let hints = route::hints(&mut from);
    let mut inject = from.or("inject", Default::default(), inject::inject);
    // What is no MCP learns of its tenant from what MCP says of it.
    inject.meta |= via == Via::Query;
    let needs = from.or("needs", Vec::new(), |f| f.list(|item| item.id().map(ServerId::from)));
    let secrets = from.or("secrets", Default::default(), |f| f.map(|_, secret| secret.secret()));
    let labels = from.or("labels", Default::default(), |f| f.map(|_, label| label.full_text().map(str::to_owned)));
    let mut settings = settings::settings(&mut from, defaults);
    let own_restart = from.has("restart");
    let defined_at = field.at().label();
    let asked = [from.has("autostart"), from.has("limits"), from.has("idle_doze")];
    from.finish();
    let (id, name) = identity?;
    // What is wrong with where it runs is told already; the rest is checked all the same.
    let run = origin.map_or_else(|| Run::Process(ProcessRun::default()), |Origin { run, .. }| run);
    let scope = given_scope.unwrap_or(match run {
        Run::PerTenant { .. } => Scope::Tenant,
        _ => preset.scope,
    });
    if matches!(run, Run::Remote { .. } | Run::PerTenant { .. }) && !own_restart {
        // Nothing is started there: asking again costs a connection, and somebody else brings it back at any time.
        let RestartPolicy { backoff_max, retry_failed, .. } = &mut settings.restart;
        *retry_failed = retry_failed.map(|wait| wait.min(*backoff_max));
    }
    let id = ServerId::from(id);
    let def = ServerDef {
        id,
        name,
        description,
        version,
        capabilities,
        use_cases,
        price,
        environment,
        scope,
        run,
        via,
        hints,
        inject,
        needs,
        settings,
        secrets,
        labels,
        defined_at,
    };
    let draft = Draft { def, from: field };
    check_scope(&draft);
    route::check_server(&draft);
    check_settings(&draft, asked);
    check_inject(&draft);
    Some(draft)
}

fn price(field: &Field<'_>) -> Option<Price> {
    let mut from = field.table()?;
    let amount = from.opt("amount", |f| f.number(0.0..=1e12));
    let currency = required(&mut from, "currency");
    let per = from.or("per", PricePer::Month, |f| f.choice(&[("month", PricePer::Month), ("call", PricePer::Call)]));
    if !from.has("amount") {
        field.problem("`amount` is missing", "price = { amount = 49, currency = \"EUR\", per = \"month\" }");
    }
    from.finish();
    let currency = currency?;
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
        field.problem(format!("currency {currency:?}"), "allowed: an ISO 4217 code such as EUR");
        return None;
    }
    Some(Price { amount: amount?, currency, per })
}

/// Combinations that cannot work.
fn check_scope(draft: &Draft<'_, ServerDef>) {
    let def = &draft.def;
    match (&def.run, def.scope) {
        (Run::Remote { .. }, Scope::Session) => draft.problem(
            &["scope"],
            "a remote server has no instance per session",
            "use scope = \"shared\", or \"tenant\" if the url depends on the tenant; its HTTP sessions are kept apart anyway",
        ),
        (Run::PerTenant { .. }, Scope::Shared | Scope::Session) => draft.problem(
            &["scope"],
            "a server without url, run, preset or builtin has scope tenant: every tenant gives its own url",
            "remove scope, or say where the server runs",
        ),
        _ => {}
    }
    if def.scope == Scope::Shared {
        for (path, template) in start_texts(&def.run) {
            if let Some(hole) = template.holes().find(|hole| needs_tenant(hole)) {
                let message = format!(
                    "`{{{hole}}}` in what starts a shared server: one instance serves all tenants and has none"
                );
                let help =
                    "use scope = \"tenant\", or inject the value into each call: inject = { arguments = { ... } }";
                draft.problem(path, message, help);
            }
        }
    }
}

/// What was asked for in the definition itself (autostart, limits, idle_doze) and cannot be honoured.
fn check_settings(draft: &Draft<'_, ServerDef>, [autostart, limits, doze]: [bool; 3]) {
    let def = &draft.def;
    if autostart && def.settings.autostart && def.scope == Scope::Session {
        draft.problem(&["autostart"], "a server of scope session starts with its session", "remove autostart");
    }
    if limits && matches!(def.run, Run::Remote { .. } | Run::PerTenant { .. }) {
        draft.problem(&["limits"], "what somebody else runs cannot be limited from here", "remove limits");
    }
    if doze && def.settings.idle_doze.is_some() && matches!(def.run, Run::Remote { .. } | Run::PerTenant { .. }) {
        draft.problem(&["idle_doze"], "what somebody else runs cannot be paused from here", "remove idle_doze");
    }
}

/// True for placeholders that mean something only for one tenant.
pub(super) fn needs_tenant(hole: &Hole) -> bool {
    match hole {
        Hole::TenantId | Hole::TenantName | Hole::TenantEnvironment | Hole::Context(_) | Hole::Config(_) => true,
        Hole::ServerId | Hole::Data | Hole::Router => false,
    }
}

/// Every text that is filled in when an instance starts or is connected to, with its key.
pub(super) fn start_texts(run: &Run) -> Vec<(&'static [&'static str], &Template)> {
    match run {
        Run::Process(process) => {
            let command = process.command.iter().map(|part| (&["run", "command"] as &'static [_], part));
            let cwd = process.cwd.iter().map(|part| (&["run", "cwd"] as &'static [_], part));
            command.chain(cwd).chain(of(&["run", "env"], &process.env)).collect()
        }
        Run::Builtin { env, .. } => of(&["env"], env).collect(),
        Run::Remote { url, headers, .. } => {
            std::iter::once((&["url"] as &'static [_], url)).chain(of(&["headers"], headers)).collect()
        }
        Run::PerTenant { headers } => of(&["headers"], headers).collect(),
        Run::Container(container) => {
            let lists = [&container.entrypoint, &container.command].into_iter().flatten().flatten();
            let mounts = container.mounts.iter().map(|mount| (&["run", "mounts"] as &'static [_], &mount.source));
            let image = std::iter::once((&["run", "image"] as &'static [_], &container.image));
            let command = lists.map(|part| (&["run", "command"] as &'static [_], part));
            image.chain(command).chain(mounts).chain(of(&["run", "env"], &container.env)).collect()
        }
        Run::Simulated(_) => Vec::new(),
    }
}

/// The texts among values of the environment or headers.
fn of<'r>(
    path: &'static [&'static str],
    values: &'r BTreeMap<String, EnvValue>,
) -> impl Iterator<Item = (&'static [&'static str], &'r Template)> {
    values.values().filter_map(move |value| match value {
        EnvValue::Text(template) => Some((path, template)),
        EnvValue::Secret(_) | EnvValue::Named(_) => None,
    })
}

/// Headers exist on HTTP alone, and one header has one origin.
fn check_inject(draft: &Draft<'_, ServerDef>) {
    let headers = match &draft.def.run {
        Run::Remote { headers, .. } | Run::PerTenant { headers } => headers,
        Run::Container(container) if matches!(container.speaks, Speaks::Http { .. }) => return,
        Run::Process(_) | Run::Builtin { .. } | Run::Container(_) | Run::Simulated(_) => {
            if !draft.def.inject.headers.is_empty() {
                let help = "a program on stdin and stdout has no headers: use meta = true, or arguments";
                draft.warning(&["inject", "headers"], "these headers reach nobody", help);
            }
            return;
        }
    };
    for name in draft.def.inject.headers.keys() {
        if let Some(other) = headers.keys().find(|other| other.eq_ignore_ascii_case(name)) {
            let message = format!("the header `{name}` is also given in headers (`{other}`)");
            draft.problem(&["inject", "headers", name], message, "keep one of the two");
        }
    }
}
