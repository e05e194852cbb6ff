//! `status`, `secrets` and `paths`: short facts about the platform.

use super::args::{Global, Output};
use super::error::{Code, Error};
use super::names;
use super::output::Align::{Left, Right};
use super::output::{self, Column, Table, age, json, maybe, none, number, plain, print, print_rows};
use super::rows::{Listed, environment};
use super::session::{self, Need, Session};
use super::yard_rows::engine_state;
use crate::control::Link;
use crate::model::container::{Claim, ContainerRow, EngineRow, EngineState};
use crate::model::gpu::{GpuRow, GpuState, Gpus};
use crate::model::message::{Face, FindingRow};
use crate::model::secret::{SecretRef, SecretRow};
use crate::model::snapshot::{PlatformInfo, Totals};
use crate::model::{InstanceRow, Snapshot, Stamp};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// `status`: the platform, or the instances of one server.
pub fn run(global: &Global, target: Option<&str>) -> Result<Code, Error> {
    let session = Session::open(global, Need::Owner)?;
    match target {
        Some(target) => instances(&session, target),
        None => platform(&session),
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    platform: &'a PlatformInfo,
    totals: &'a Totals,
    findings: &'a [Arc<FindingRow>],
    engines: &'a [Arc<EngineRow>],
    gpus: &'a Gpus,
}

fn platform(session: &Session) -> Result<Code, Error> {
    let state = session.state();
    if session.output == Output::Json {
        let whole = Whole {
            platform: &state.platform,
            totals: &state.totals,
            findings: &state.findings,
            engines: &state.engines,
            gpus: &state.gpus,
        };
        return print(&json(&whole)?).map(|()| Code::Ok);
    }
    let mut text = summary(&state, session.handle.link());
    if state.findings.is_empty() {
        text.push_str("\nnothing needs attention\n");
    } else {
        let mut table = Table::new(&[("ATTENTION", Left), ("OBJECT", Left), ("SINCE", Right), ("TEXT", Left)]);
        let now = Stamp::now();
        for f in &state.findings {
            table.push(vec![f.word.clone(), f.object.clone(), age(Some(f.since), now), f.text.clone()]);
        }
        text.push_str(&format!("\n{}", table.render_within(output::terminal_width())));
    }
    print(&text).map(|()| Code::Ok)
}

fn summary(state: &Snapshot, link: Link) -> String {
    let p = &state.platform;
    let now = Stamp::now();
    let states: Vec<String> =
        state.totals.states.iter().filter(|(_, n)| *n > 0).map(|(s, n)| format!("{n} {s}")).collect();
    let lines = [
        ("platform", format!("{} ({})", p.name, environment(p.environment))),
        ("mode", if p.read_only { "read-only" } else { "write" }.to_owned()),
        ("owner", format!("pid {}, mcpdeck {}, up {}", p.pid, p.version, age(Some(p.boot), now))),
        ("this command", if link == Link::Owner { "on a platform of its own" } else { "attached" }.to_owned()),
        ("config", p.config.clone().unwrap_or_else(|| "embedded default".to_owned())),
        ("socket", p.socket.clone()),
        ("tenants", state.tenants.len().to_string()),
        ("servers", state.servers.len().to_string()),
        ("instances", if states.is_empty() { "0".to_owned() } else { states.join(", ") }),
        ("engines", engines(state, now)),
        ("gpus", gpus(&state.gpus)),
        ("calls/s", format!("{}, p95 {} ms", number(Some(state.totals.rate), 1), number(state.totals.p95_ms, 1))),
        ("in flight", format!("{}, oldest {}", state.totals.in_flight, age(state.totals.oldest, now))),
        ("consoles", state.consoles.iter().filter(|c| c.operator.face == Face::Screen).count().to_string()),
    ];
    let mut text: String =
        lines.iter().map(|(name, value)| format!("{name:<13} {}\n", output::one_line(value))).collect();
    if let Some(trouble) = &p.config_trouble {
        let line = format!("not taken over: {trouble}");
        text.push_str(&format!("{:<13} {}\n", "config", output::one_line(&line)));
    }
    for warning in p.warnings.iter().chain(&state.totals.store_error).chain(&opened(&state.engines, &state.containers))
    {
        text.push_str(&format!("{:<13} {}\n", "warning", output::one_line(warning)));
    }
    text
}

/// `local up, Docker 20.10.24, 3 of 5 containers running`
fn engines(state: &Snapshot, now: Stamp) -> String {
    let line = |row: &Arc<EngineRow>| {
        let (word, reason) = engine_state(&row.state, now);
        match row.state {
            EngineState::Up => {
                let version = row.version.clone().unwrap_or_default();
                format!("{} up, {version}, {} of {} containers running", row.id, row.running, row.containers)
            }
            _ => format!("{} {word}{}{reason}", row.id, if reason.is_empty() { "" } else { ": " }),
        }
    };
    let lines: Vec<String> = state.engines.iter().map(line).collect();
    if lines.is_empty() { none() } else { lines.join("; ") }
}

/// Engines that open the networks of several customers to each other whenever a network is made.
fn opened(engines: &[Arc<EngineRow>], containers: &[Arc<ContainerRow>]) -> Vec<String> {
    let line = |engine: &Arc<EngineRow>| {
        let on_it =
            |c: &&Arc<ContainerRow>| c.key.engine == engine.id && c.owner.claim == Claim::Ours && c.state.is_live();
        let reached = |c: &&Arc<ContainerRow>| c.networks.iter().any(|name| name != "none");
        let ours = containers.iter().filter(on_it).filter(reached);
        let customers = ours.filter_map(|c| c.owner.tenant.as_ref()).collect::<BTreeSet<_>>().len();
        let version = engine.version.as_deref().filter(|_| customers > 1 && engine.opens_its_networks())?;
        Some(format!(
            "networks of {customers} customers on {} reach each other for milliseconds while a network is made ({version}); \
             Docker 28 and Podman keep them apart",
            engine.id
        ))
    };
    engines.iter().filter_map(line).collect()
}

fn gpus(gpus: &Gpus) -> String {
    match &gpus.state {
        GpuState::Unasked => "not asked yet".to_owned(),
        GpuState::Absent(why) => format!("none: {why}"),
        GpuState::Present => {
            let name = |row: &GpuRow| match &row.error {
                Some(error) => format!("{} {error}", row.name),
                None => row.name.clone(),
            };
            let names: Vec<String> = gpus.devices.iter().map(name).collect();
            format!("{}: {}", names.len(), names.join(", "))
        }
    }
}

fn instances(session: &Session, target: &str) -> Result<Code, Error> {
    let state = session.state();
    let key = names::target(&state, target)?;
    let rows: Vec<Arc<InstanceRow>> = state.instances.iter().filter(|row| key.covers(&row.key)).cloned().collect();
    if rows.is_empty() {
        return Err(Error::not_found(format!("{key} has no instance"))
            .help("is it enabled for the tenant? `mcpdeck explain` tells why"));
    }
    let now = Stamp::now();
    if session.output == Output::Json || rows.len() > 1 {
        return print_rows(session.output, InstanceRow::COLUMNS, rows.iter().map(|row| row.cells(now)), &rows);
    }
    print(&details(&rows[0], now)).map(|()| Code::Ok)
}

/// One instance, a fact a line.
fn details(row: &InstanceRow, now: Stamp) -> String {
    let mark = |m: &Option<crate::model::instance::Mark>| {
        m.as_ref().map(|m| {
            let reason = if m.reason.is_empty() { String::new() } else { format!(": {}", m.reason) };
            format!("by {} {} ago{reason}", m.by, age(Some(m.at), now))
        })
    };
    let probe = match (row.probe.alive, &row.probe.error) {
        (_, Some(error)) => format!("failed {} ago: {error}", age(row.probe.at, now)),
        (Some(true), None) => format!("ok {} ago in {} ms", age(row.probe.at, now), maybe(row.probe.took_ms)),
        _ => none(),
    };
    let last = row.last_call.as_ref().map(|c| {
        format!(
            "{} {} ago in {} ms{}",
            c.outcome,
            age(Some(c.at), now),
            c.took_ms,
            c.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default()
        )
    });
    let lines = [
        ("instance", row.key.to_string()),
        ("state", format!("{} for {}: {}", row.state, age(Some(row.since), now), row.reason)),
        ("environment", environment(row.environment).to_owned()),
        ("runs on", format!("{}, {}, pid {}", row.backend.name(), row.transport.name(), maybe(row.pid))),
        ("speaks", format!("{}, {}", maybe(row.era.map(|e| e.name())), maybe(row.server_info.clone()))),
        ("probe", probe),
        ("last call", maybe(last)),
        ("in flight", format!("{}, oldest {}, waiting {}", row.in_flight, age(row.oldest, now), row.waiting)),
        ("calls/s", format!("{}, p95 {} ms", number(Some(row.rate), 1), number(row.p95_ms, 1))),
        ("usage", format!("cpu {} %, memory {} MiB", number(row.usage.cpu, 1), output::mebibytes(row.usage.memory))),
        ("restarts", row.restarts.to_string()),
        ("held", maybe(mark(&row.held))),
        ("fenced", maybe(mark(&row.fenced))),
    ];
    let mut text: String =
        lines.iter().map(|(name, value)| format!("{name:<13} {}\n", output::one_line(value))).collect();
    row.notes.iter().for_each(|n| text.push_str(&format!("{:<13} {}\n", "note", output::one_line(n))));
    text
}

const SECRETS: &[Column] = &[
    ("TENANT", Left),
    ("SERVER", Left),
    ("SECRET", Left),
    ("SOURCE", Left),
    ("FINGERPRINT", Left),
    ("LOADED", Right),
    ("STALE", Right),
    ("ERROR", Left),
];

/// `secrets`: names, fingerprints and ages; never a value.
pub fn secrets(global: &Global) -> Result<Code, Error> {
    let session = Session::open(global, Need::Owner)?;
    let (state, now) = (session.state(), Stamp::now());
    print_rows(session.output, SECRETS, state.secrets.iter().map(|row| secret_cells(row, now)), &state.secrets)
}

fn secret_cells(row: &SecretRow, now: Stamp) -> Vec<String> {
    let source = match &row.source {
        SecretRef::Env(name) => format!("env {name}"),
        SecretRef::File(path) => format!("file {}", path.display()),
        SecretRef::Command(command) => format!("command {}", command.first().map_or("", String::as_str)),
    };
    vec![
        maybe(row.tenant.clone()),
        maybe(row.server.clone()),
        row.name.clone(),
        source,
        maybe(row.fingerprint.clone()),
        age(row.loaded_at, now),
        row.stale.len().to_string(),
        row.error.clone().unwrap_or_default(),
    ]
}

#[derive(Serialize)]
struct Paths {
    config: Option<String>,
    store: String,
    state: String,
    data: String,
    logs: String,
    socket: String,
    /// Where themes of one's own lie.
    themes: Option<String>,
}

/// `paths`: where everything lies.
pub fn paths(global: &Global) -> Result<Code, Error> {
    let config = session::load(global)?;
    let text = |path: &std::path::Path| path.display().to_string();
    let themes = crate::ui::theme::files::folder(|name| std::env::var(name).ok());
    let paths = Paths {
        config: config.source.as_deref().map(text),
        store: text(&config.store.path),
        state: text(&config.paths.state),
        data: text(&config.paths.data),
        logs: text(&config.paths.logs),
        socket: text(&config.paths.socket),
        themes: themes.as_deref().map(text),
    };
    if global.output == Output::Json {
        return print(&json(&paths)?).map(|()| Code::Ok);
    }
    let source = paths.config.clone().unwrap_or_else(|| "embedded default".to_owned());
    let themes = paths.themes.clone().unwrap_or_else(|| "nowhere: no HOME".to_owned());
    let lines = [
        ("config", &source),
        ("store", &paths.store),
        ("state", &paths.state),
        ("data", &paths.data),
        ("logs", &paths.logs),
        ("socket", &paths.socket),
        ("themes", &themes),
    ];
    let text: String = lines.iter().map(|(name, path)| format!("{name:<7} {path}\n")).collect();
    print(&plain(&text)).map(|()| Code::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::{ContainerKey, ContainerState, Owner};

    fn told(version: &str, customers: &[&str]) -> Vec<String> {
        let engine = EngineRow {
            id: "local".into(),
            url: "unix:///var/run/docker.sock".into(),
            version: Some(version.into()),
            local: true,
            state: EngineState::Up,
            containers: 2,
            running: 2,
        };
        let container = |customer: &&str| {
            Arc::new(ContainerRow {
                key: ContainerKey { engine: "local".into(), id: (*customer).into() },
                name: format!("web-{customer}"),
                image: "image".into(),
                state: ContainerState::Running,
                since: Stamp(1),
                exit_code: None,
                oom: false,
                restarts: 0,
                health: None,
                owner: Owner { claim: Claim::Ours, tenant: Some((*customer).into()), ..Owner::default() },
                compose_project: None,
                compose_service: None,
                ports: Vec::new(),
                networks: vec![format!("mcpdeck-test-tenant-{customer}")],
                usage: Default::default(),
            })
        };
        let containers: Vec<_> = customers.iter().map(container).collect();
        opened(&[Arc::new(engine)], &containers)
    }

    #[test]
    fn an_engine_that_opens_networks_is_told_once_customers_share_it() {
        assert_eq!(
            told("Docker 20.10.24", &["eaton", "rexel"]),
            ["networks of 2 customers on local reach each other for milliseconds while a network is made (Docker \
              20.10.24); Docker 28 and Podman keep them apart"]
        );
        for (version, customers) in [
            ("Docker 20.10.24", &["eaton", "eaton"]),
            ("Docker 28.0.1", &["eaton", "rexel"]),
            ("Podman 4.3.1", &["eaton", "rexel"]),
        ] {
            assert_eq!(told(version, customers), [""; 0], "{version}");
        }
    }
}
