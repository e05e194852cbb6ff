//! Why an instance is in its state.

use super::super::attention::HANGING;
use super::tenant::decided;
use super::{Hit, Rule, apply, container, is_good, span, state};
use crate::model::instance::{BackendKind, Desired, Mark};
use crate::model::message::{Explained, LogLine};
use crate::model::secret::SecretRow;
use crate::model::snapshot::TenantRow;
use crate::model::{InstanceKey, InstanceRow, Refusal, ServerDef, Snapshot, Stamp, State};
use std::sync::Arc;

/// One instance, its definition, and what no row holds.
pub struct InstanceCase {
    pub snapshot: Arc<Snapshot>,
    pub row: Arc<InstanceRow>,
    pub def: Arc<ServerDef>,
    /// The last line that it wrote on stderr.
    pub stderr: Option<LogLine>,
    /// Its circuit breaker, if that is open.
    pub breaker: Option<String>,
    pub now: Stamp,
}

const RULES: &[Rule<InstanceCase>] = &[
    Rule { check: "state", next: None, find: |case| in_state(case, false) },
    // What it said before it fell is in its log.
    Rule { check: "state", next: Some("logs"), find: |case| in_state(case, true) },
    Rule { check: "enabled", next: None, find: enabled },
    Rule { check: "enabled", next: Some("enable"), find: enabled_by_nobody },
    Rule { check: "wanted", next: None, find: wanted },
    Rule { check: "stopped", next: Some("start"), find: |case| marked(case, "stopped", case.row.held.as_ref()) },
    Rule { check: "fenced", next: Some("unfence"), find: |case| marked(case, "fenced", case.row.fenced.as_ref()) },
    Rule { check: "needs", next: Some("explain"), find: needs },
    Rule { check: "process", next: None, find: runs },
    Rule { check: "process", next: Some("start"), find: runs_not },
    Rule { check: "engine", next: None, find: container::engine },
    Rule { check: "container", next: Some("start"), find: container::none_yet },
    Rule { check: "container", next: Some("logs"), find: container::containers },
    Rule { check: "memory", next: Some("logs"), find: container::killed },
    Rule { check: "health check", next: None, find: container::health },
    Rule { check: "network", next: None, find: container::network },
    Rule { check: "limits", next: None, find: container::limits },
    Rule { check: "secret", next: Some("roll"), find: old_secrets },
    Rule { check: "secret", next: None, find: secrets },
    Rule { check: "probe", next: None, find: probes_off },
    Rule { check: "probe", next: Some("probe"), find: probe },
    Rule { check: "last call", next: Some("traffic"), find: last_call },
    Rule { check: "in flight", next: Some("fence"), find: hanging },
    Rule { check: "in flight", next: Some("traffic"), find: in_flight },
    Rule { check: "circuit breaker", next: None, find: breaker },
    Rule { check: "idle stop", next: None, find: idle },
    Rule { check: "restarts", next: Some("logs"), find: restarts },
    Rule { check: "last stderr line", next: Some("logs"), find: stderr },
    Rule { check: "limits", next: None, find: notes },
];

/// The findings of an instance; `case` adds what no row holds. Where there is no such instance, what there is instead.
pub fn explain(
    snapshot: &Arc<Snapshot>,
    key: &InstanceKey,
    now: Stamp,
    case: impl FnOnce(Arc<InstanceRow>, Arc<ServerDef>) -> InstanceCase,
) -> Result<Vec<Explained>, Refusal> {
    let server = snapshot.server(key.server.as_str());
    let server = server.ok_or_else(|| Refusal::NotFound(format!("no server is called {}", key.server)))?;
    if let Some(row) = snapshot.instance(key) {
        return Ok(apply(RULES, &case(row.clone(), server.def.clone())));
    }
    let absent = Absent { snapshot: snapshot.clone(), key: key.clone(), now };
    match &key.tenant {
        None => Ok(apply(ABSENT, &absent)),
        Some(id) if snapshot.tenant(id.as_str()).is_some() => Ok(apply(ABSENT, &absent)),
        Some(id) => Err(Refusal::NotFound(format!("no customer is called {id}"))),
    }
}

/// A name that no instance has.
struct Absent {
    snapshot: Arc<Snapshot>,
    key: InstanceKey,
    now: Stamp,
}

const ABSENT: &[Rule<Absent>] = &[
    Rule { check: "instance", next: Some("explain"), find: covered },
    Rule { check: "instance", next: Some("explain"), find: served_by_another },
    Rule { check: "enabled", next: Some("enable"), find: not_enabled },
];

impl Absent {
    /// The instance that serves the customer instead, where it has the server enabled.
    fn instead(&self) -> Option<InstanceKey> {
        let row = self.snapshot.tenant(self.key.tenant.as_ref()?.as_str())?;
        let cell = row.cell(&self.key.server).filter(|cell| cell.enabled)?;
        Some(cell.instance.clone().unwrap_or_else(|| InstanceKey::shared(self.key.server.clone())))
    }
}

/// All instances of the server that the name means.
fn covered(case: &Absent) -> Vec<Hit> {
    let covered = case.snapshot.instances.iter().filter(|row| case.key.covers(&row.key));
    let hit = |row: &Arc<InstanceRow>| {
        Hit::new(is_good(row.state), state(row, case.now)).named(row.key.to_string()).at(&row.key)
    };
    covered.map(hit).collect()
}

fn served_by_another(case: &Absent) -> Vec<Hit> {
    let (Some(tenant), Some(other)) = (&case.key.tenant, case.instead()) else { return Vec::new() };
    vec![Hit::told(format!("{tenant} has no instance of its own: {other} serves it")).at(&other)]
}

fn not_enabled(case: &Absent) -> Vec<Hit> {
    let server = &case.key.server;
    match &case.key.tenant {
        Some(tenant) if case.instead().is_none() => {
            vec![Hit::new(false, format!("{tenant} has not enabled {server}: mcpdeck enable {server} {tenant}"))]
        }
        None if covered(case).is_empty() => {
            vec![Hit::new(false, format!("no customer has {server} enabled, so nothing of it exists"))]
        }
        _ => Vec::new(),
    }
}

fn in_state(case: &InstanceCase, fell: bool) -> Vec<Hit> {
    let falls = matches!(case.row.state, State::Failed | State::Backoff);
    let hit = || Hit::new(is_good(case.row.state), state(&case.row, case.now));
    let hit = || if fell { hit().at(&case.row.key) } else { hit() };
    (falls == fell).then(hit).into_iter().collect()
}

impl InstanceCase {
    /// Customers whose calls it serves.
    fn users(&self) -> Vec<&TenantRow> {
        let serves = |tenant: &&TenantRow| {
            let cell = tenant.cell(&self.row.key.server).filter(|cell| cell.enabled);
            let key = cell.and_then(|cell| cell.instance.as_ref());
            key.is_some_and(|key| key.covers(&self.row.key) && (key.tenant.is_some() || self.row.key.tenant.is_none()))
        };
        self.snapshot.tenants.iter().map(AsRef::as_ref).filter(serves).collect()
    }

    /// What is known of a secret that it was started with.
    fn secret(&self, name: &str) -> Option<&SecretRow> {
        let key = &self.row.key;
        let mine = |s: &&SecretRow| {
            s.name == name
                && s.tenant.as_ref().is_none_or(|tenant| key.tenant.as_ref() == Some(tenant))
                && s.server.as_ref().is_none_or(|server| *server == key.server)
        };
        self.snapshot.secrets.iter().map(AsRef::as_ref).find(mine)
    }
}

fn enabled(case: &InstanceCase) -> Vec<Hit> {
    let users = case.users();
    let Some(first) = users.first() else { return Vec::new() };
    let how = || first.cell(&case.row.key.server).map(decided).unwrap_or_default();
    let evidence = match users.len() {
        1 => format!("for {}, {}", first.def.id, how()),
        n => format!("for {n} customers ({}, ...)", first.def.id),
    };
    vec![Hit::new(true, evidence)]
}

fn enabled_by_nobody(case: &InstanceCase) -> Vec<Hit> {
    let nobody = || Hit::new(false, "no customer that it serves has it enabled");
    case.users().is_empty().then(nobody).into_iter().collect()
}

fn wanted(case: &InstanceCase) -> Vec<Hit> {
    let desired = case.row.desired;
    let evidence = match desired {
        Desired::OnDemand => "runs when called, sleeps when idle",
        Desired::Running => "was started by hand or with the platform; comes back after a crash",
        Desired::Held => "stopped and held by an operator",
    };
    vec![Hit::new(desired != Desired::Held, evidence)]
}

/// Who stopped or fenced it.
fn marked(case: &InstanceCase, what: &str, mark: Option<&Mark>) -> Vec<Hit> {
    let hit = |mark: &Mark| Hit::new(false, super::super::fleet::marked(what, mark)).at(&case.row.key);
    mark.map(hit).into_iter().collect()
}

fn needs(case: &InstanceCase) -> Vec<Hit> {
    let need = |id: &crate::model::ServerId| {
        let own = InstanceKey { server: id.clone(), tenant: case.row.key.tenant.clone(), session: None };
        let shared = InstanceKey::shared(id.clone());
        match case.snapshot.instance(&own).or_else(|| case.snapshot.instance(&shared)) {
            Some(need) => {
                let good = matches!(need.state, State::Ready | State::Degraded | State::Dormant | State::Doze);
                Hit::new(good, format!("{} is {}", need.key, need.state)).at(&need.key)
            }
            None => Hit::new(false, format!("{shared} has no instance")),
        }
    };
    case.def.needs.iter().map(need).collect()
}

fn runs(case: &InstanceCase) -> Vec<Hit> {
    let row = &case.row;
    let up = || row.started_at.map_or_else(String::new, |at| format!(", up {}", span(case.now.since(at))));
    vec![match (row.backend, row.pid) {
        (BackendKind::Remote, _) if row.container.is_some() => {
            Hit::told("it stands in containers that the config adopted")
        }
        (BackendKind::Remote, _) => Hit::told("somebody else runs it; mcpdeck only connects"),
        (_, Some(pid)) => Hit::new(true, format!("pid {pid}{}", up())),
        (_, None) if row.state.is_live() && row.started_at.is_some() => Hit::new(true, format!("runs{}", up())),
        (_, None) => return Vec::new(),
    }]
}

fn runs_not(case: &InstanceCase) -> Vec<Hit> {
    let nothing = || Hit::told("nothing runs").at(&case.row.key);
    runs(case).is_empty().then(nothing).into_iter().collect()
}

/// Secrets that were rotated since its start.
fn old_secrets(case: &InstanceCase) -> Vec<Hit> {
    let key = &case.row.key;
    let old = |(name, fingerprint): &(String, String)| {
        let secret = case.secret(name).filter(|secret| secret.stale.contains(key))?;
        let newest = secret.fingerprint.as_deref().unwrap_or("missing");
        Some(Hit::new(false, format!("started with {name} {fingerprint}; the newest is {newest}")).at(key))
    };
    case.row.secrets.iter().filter_map(old).collect()
}

fn secrets(case: &InstanceCase) -> Vec<Hit> {
    let current = |(name, _): &&(String, String)| !case.secret(name).is_some_and(|s| s.stale.contains(&case.row.key));
    let hit = |(name, print): &(String, String)| Hit::new(true, format!("started with {name} {print}"));
    case.row.secrets.iter().filter(current).map(hit).collect()
}

fn probes_off(case: &InstanceCase) -> Vec<Hit> {
    let off = || Hit::told("probes are off for it");
    case.def.settings.health.every.is_none().then(off).into_iter().collect()
}

fn probe(case: &InstanceCase) -> Vec<Hit> {
    if case.def.settings.health.every.is_none() {
        return Vec::new();
    }
    let probe = &case.row.probe;
    let hit = match (probe.at, &probe.error) {
        (None, _) => Hit::told("not probed since it started"),
        (Some(at), Some(error)) => {
            let age = span(case.now.since(at));
            Hit::new(false, format!("failed {} in a row, the last {age} ago: {error}", probe.failures))
        }
        (Some(at), None) => {
            let age = span(case.now.since(at));
            Hit::new(true, format!("{} ms, {age} ago", probe.took_ms.unwrap_or_default()))
        }
    };
    vec![hit.at(&case.row.key)]
}

fn last_call(case: &InstanceCase) -> Vec<Hit> {
    let hit = match &case.row.last_call {
        None => Hit::told("none since the platform started"),
        Some(call) => {
            let error = call.error.as_ref().map_or_else(String::new, |e| format!(": {e}"));
            let age = span(case.now.since(call.at));
            let evidence = format!("{} in {} ms, {age} ago{error}", call.outcome, call.took_ms);
            Hit::new(!call.outcome.is_error(), evidence)
        }
    };
    vec![hit.at(&case.row.key)]
}

/// Calls in flight, and none that finishes.
fn hanging(case: &InstanceCase) -> Vec<Hit> {
    let hangs =
        |f: &&Arc<crate::model::message::FindingRow>| f.word == HANGING && f.target.as_ref() == Some(&case.row.key);
    let hit = |f: &Arc<crate::model::message::FindingRow>| Hit::new(false, f.text.clone()).at(&case.row.key);
    case.snapshot.findings.iter().find(hangs).map(hit).into_iter().collect()
}

fn in_flight(case: &InstanceCase) -> Vec<Hit> {
    let row = &case.row;
    if !hanging(case).is_empty() {
        return Vec::new();
    }
    let Some(oldest) = row.oldest else { return vec![Hit::new(true, "nothing").at(&row.key)] };
    let age = case.now.since(oldest);
    let waiting = if row.waiting > 0 { format!(", {} wait for it to start", row.waiting) } else { String::new() };
    let evidence = format!("{}, the oldest for {}{waiting}", row.in_flight, span(age));
    vec![Hit::new(age <= case.def.settings.timeout / 2, evidence).at(&row.key)]
}

fn breaker(case: &InstanceCase) -> Vec<Hit> {
    let open = |text: &String| Hit::new(false, format!("{text}: calls that name no server pass over it"));
    case.breaker.iter().map(open).collect()
}

fn idle(case: &InstanceCase) -> Vec<Hit> {
    vec![Hit::told(match (case.def.settings.idle_stop, case.row.idle_stop_at) {
        (None, _) => "it is never stopped for being idle".to_owned(),
        (Some(_), Some(at)) => format!("stops in {} if no call comes", span(at.since(case.now))),
        (Some(wait), None) => format!("stops after {} without a call", span(wait)),
    })]
}

fn restarts(case: &InstanceCase) -> Vec<Hit> {
    let (restarts, policy) = (case.row.restarts, &case.def.settings.restart);
    let window = span(policy.window);
    let evidence =
        format!("{restarts} restarts after failures; gives up after {} within {window}", policy.max_failures);
    vec![Hit::new(restarts == 0, evidence).at(&case.row.key)]
}

fn stderr(case: &InstanceCase) -> Vec<Hit> {
    let hit = |line: &LogLine| {
        let age = span(case.now.since(line.at));
        let text: String = line.text.chars().take(200).collect();
        let garbage = case.row.garbage;
        let garbage = (garbage > 0).then(|| format!(" ({garbage} lines on stdout were no JSON-RPC)"));
        Hit::told(format!("{text} ({age} ago){}", garbage.unwrap_or_default())).at(&case.row.key)
    };
    case.stderr.iter().map(hit).collect()
}

/// Limits that could not be set as they are.
fn notes(case: &InstanceCase) -> Vec<Hit> {
    case.row.notes.iter().map(|note| Hit::told(note.clone())).collect()
}
