//! What needs attention: rules as data over a snapshot and the few facts that are not in it, one line per cause.
//! Pure; must never import a task or a clock.

mod containers;
mod gpus;
mod stacks;
pub mod usage;

use super::gpus::watch::Watch;
use super::stacks::WatchedLine;
use crate::model::container::PULL_FAILED;
use crate::model::message::FindingRow;
use crate::model::reload::ConfigTrouble;
use crate::model::{InstanceKey, InstanceRow, ServerId, Snapshot, Stamp, State, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use usage::Pressed;

/// More instances than this with one state and one reason are one line.
const GROUP_ABOVE: usize = 3;
/// The word of an instance with calls in flight and none finishing.
pub const HANGING: &str = "HANGING";
/// Orphans that are named in one line.
const ORPHANS_NAMED: usize = 3;
/// How long a call that was refused for its credentials counts.
pub const AUTH_WINDOW: Duration = Duration::from_secs(300);

/// Facts that no row holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    pub hanging: BTreeMap<InstanceKey, Hang>,
    pub auth: BTreeMap<InstanceKey, AuthTrouble>,
    /// The newest failed write (or the failed opening) of the store, and since when.
    pub store: Option<(String, Stamp)>,
    /// Why the files as they are now are not taken over.
    pub config: Option<ConfigTrouble>,
    /// Addresses where the gateway should listen and cannot.
    pub shut: BTreeMap<SocketAddr, Shut>,
    /// Since when there are orphans.
    pub orphans_since: Stamp,
    pub dropped_since: Stamp,
    pub gpus: Watch,
    /// What is at the limit of its memory or processor.
    pub pressed: Vec<Pressed>,
    /// Lines of parts of stacks that the config watches for.
    pub watched: Vec<WatchedLine>,
}

/// Why an address of the gateway is not open, and since when. It is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    pub why: String,
    pub since: Stamp,
}

/// An instance with calls in flight and none finishing.
#[derive(Clone, Debug, PartialEq)]
pub struct Hang {
    pub since: Stamp,
    /// When it last answered a call.
    pub finished: Option<Stamp>,
}

/// Calls at one instance refused for their credentials inside [`AUTH_WINDOW`].
#[derive(Clone, Debug, PartialEq)]
pub struct AuthTrouble {
    pub since: Stamp,
    pub calls: u32,
    pub tenants: BTreeSet<TenantId>,
}

/// A rule: the word and what helps are the same for all its findings.
struct Rule {
    word: &'static str,
    severity: u8,
    next: &'static [&'static str],
    find: fn(&View<'_>) -> Vec<Hit>,
}

struct View<'a> {
    snapshot: &'a Snapshot,
    conditions: &'a Conditions,
    now: Stamp,
}

/// What a rule found.
struct Hit {
    object: String,
    target: Option<InstanceKey>,
    text: String,
    tenants: Vec<TenantId>,
    since: Stamp,
}

const RULES: &[Rule] = &[
    Rule { word: "STORE", severity: 3, next: &["activity"], find: store },
    Rule { word: "CONFIG", severity: 3, next: &["activity"], find: config },
    Rule { word: "LISTEN", severity: 3, next: &["activity"], find: shut },
    Rule { word: "FAILED", severity: 3, next: &["logs", "explain", "restart"], find: failed },
    Rule { word: HANGING, severity: 3, next: &["explain", "fence", "restart"], find: hanging },
    Rule { word: "AUTH", severity: 3, next: &["explain", "roll", "restart", "logs"], find: auth },
    Rule { word: "GPU LOST", severity: 3, next: &["gpus", "explain"], find: gpus::lost },
    Rule { word: "GPU FULL", severity: 2, next: &["gpus", "logs", "restart"], find: gpus::full },
    Rule { word: "THROTTLE", severity: 2, next: &["gpus"], find: gpus::hot },
    Rule { word: "ENGINE", severity: 3, next: &["explain", "logs"], find: containers::engine },
    Rule { word: "OOM", severity: 3, next: &["logs", "explain", "restart"], find: containers::oom },
    Rule { word: "UNHEALTHY", severity: 2, next: &["logs", "explain", "restart"], find: containers::unhealthy },
    Rule { word: "RESTARTING", severity: 2, next: &["logs", "explain", "stop"], find: containers::restarting },
    Rule { word: "STACK", severity: 3, next: &["logs", "deploy"], find: stacks::failed },
    Rule { word: "LOG", severity: 3, next: &["logs", "explain"], find: stacks::watched },
    Rule { word: "STACK", severity: 2, next: &["logs", "deploy"], find: stacks::degraded },
    Rule { word: "SECRET", severity: 2, next: &["reload-secrets", "explain"], find: secret },
    Rule { word: "DEGRADED", severity: 2, next: &["explain", "probe", "logs"], find: degraded },
    Rule { word: "BACKOFF", severity: 2, next: &["logs", "explain", "stop"], find: backoff },
    Rule { word: "UNKNOWN", severity: 2, next: &["explain", "probe", "kill"], find: unknown },
    Rule { word: "ORPHANS", severity: 2, next: &["reap"], find: orphans },
    Rule { word: "MEMORY", severity: 2, next: &["explain", "logs", "restart"], find: usage::memory },
    Rule { word: "CPU", severity: 1, next: &["explain", "logs"], find: usage::cpu },
    Rule { word: "RECORDS", severity: 2, next: &["traffic"], find: records },
    Rule { word: "THROTTLE", severity: 1, next: &["gpus"], find: gpus::capped },
    Rule { word: "OPEN", severity: 1, next: &["activity"], find: open },
    Rule { word: "FENCED", severity: 1, next: &["unfence", "explain"], find: fenced },
    Rule { word: "STOPPED", severity: 1, next: &["start", "explain"], find: stopped },
];

/// All findings, worst first; among equals the one that hits most tenants, then the oldest.
pub fn findings(snapshot: &Snapshot, conditions: &Conditions, now: Stamp) -> Vec<FindingRow> {
    let view = View { snapshot, conditions, now };
    let mut rows: Vec<FindingRow> = RULES.iter().flat_map(|rule| rule.rows(&view)).collect();
    rows.sort_by(|a, b| {
        let order = |r: &FindingRow| (std::cmp::Reverse(r.severity), std::cmp::Reverse(r.tenants.len()), r.since);
        order(a).cmp(&order(b)).then_with(|| a.id.cmp(&b.id))
    });
    rows
}

impl Rule {
    fn rows(&self, view: &View<'_>) -> impl Iterator<Item = FindingRow> {
        (self.find)(view).into_iter().map(|hit| FindingRow {
            id: format!("{} {}", self.word, hit.object),
            word: self.word.to_owned(),
            severity: self.severity,
            object: hit.object,
            target: hit.target,
            text: hit.text,
            tenants: hit.tenants,
            since: hit.since,
            next: self.next.iter().map(|&s| s.to_owned()).collect(),
        })
    }
}

impl View<'_> {
    fn rows(&self, state: State) -> impl Iterator<Item = &InstanceRow> {
        self.snapshot.instances.iter().map(AsRef::as_ref).filter(move |row| row.state == state)
    }

    /// Tenants whose calls an instance serves.
    fn tenants(&self, key: &InstanceKey) -> Vec<TenantId> {
        if let Some(tenant) = &key.tenant {
            return vec![tenant.clone()];
        }
        let serves = |id: &&TenantId| {
            let cell = self.snapshot.tenant(id.as_str()).and_then(|t| t.cell(&key.server));
            cell.is_some_and(|c| c.instance.as_ref() == Some(key))
        };
        self.snapshot.users(&key.server).filter(serves).cloned().collect()
    }

    /// One hit an instance; many of one server with one reason are one hit, and so are all that want an image which
    /// cannot be pulled, of whatever server.
    fn grouped<'a>(
        &self,
        rows: impl Iterator<Item = &'a InstanceRow>,
        text: impl Fn(&InstanceRow) -> String,
    ) -> Vec<Hit> {
        let mut groups: BTreeMap<(Option<&ServerId>, &str), Vec<&InstanceRow>> = BTreeMap::new();
        for row in rows {
            let cause = match unpulled(&row.reason) {
                Some(image) => (None, image),
                None => (Some(&row.key.server), row.reason.as_str()),
            };
            groups.entry(cause).or_default().push(row);
        }
        let hits = groups.into_iter().flat_map(|((server, cause), rows)| {
            if rows.len() <= if server.is_some() { GROUP_ABOVE } else { 1 } {
                return rows.iter().map(|row| self.hit(&row.key, text(row), row.since)).collect::<Vec<_>>();
            }
            let key = InstanceKey::shared(server.unwrap_or(&rows[0].key.server).clone());
            let object = server.map_or_else(|| format!("image {cause}"), ToString::to_string);
            let since = rows.iter().map(|row| row.since).min().unwrap_or_default();
            let tenants: BTreeSet<TenantId> = rows.iter().flat_map(|row| self.tenants(&row.key)).collect();
            let text = format!("{} instances: {}", rows.len(), text(rows[0]));
            let tenants = tenants.into_iter().collect();
            vec![Hit { object, target: Some(key), text, tenants, since }]
        });
        hits.collect()
    }

    fn hit(&self, key: &InstanceKey, text: String, since: Stamp) -> Hit {
        Hit { object: key.to_string(), target: Some(key.clone()), text, tenants: self.tenants(key), since }
    }
}

/// The image that a reason says cannot be pulled.
fn unpulled(reason: &str) -> Option<&str> {
    let (_, image) = reason.split_once(PULL_FAILED)?;
    image.split('`').next()
}

fn store(view: &View<'_>) -> Vec<Hit> {
    let hit = |(reason, since): &(String, Stamp)| Hit {
        object: "store".to_owned(),
        target: None,
        text: reason.clone(),
        tenants: Vec::new(),
        since: *since,
    };
    view.conditions.store.iter().map(hit).collect()
}

/// Whoever calls there finds nobody.
fn shut(view: &View<'_>) -> Vec<Hit> {
    let hit = |(address, Shut { why, since }): (&SocketAddr, &Shut)| Hit {
        object: address.to_string(),
        target: None,
        text: format!("{why}; it is tried again"),
        tenants: Vec::new(),
        since: *since,
    };
    view.conditions.shut.iter().map(hit).collect()
}

/// A reload that would have broken something: what ran before goes on.
fn config(view: &View<'_>) -> Vec<Hit> {
    let hit = |trouble: &ConfigTrouble| Hit {
        object: "config".to_owned(),
        target: None,
        text: format!("not taken over: {trouble}"),
        tenants: Vec::new(),
        since: trouble.since,
    };
    view.conditions.config.iter().map(hit).collect()
}

fn failed(view: &View<'_>) -> Vec<Hit> {
    view.grouped(view.rows(State::Failed), |row| match row.restarts {
        0 => row.reason.clone(),
        n => format!("{}, {n} {}", row.reason, plural(n, "restart", "restarts")),
    })
}

fn hanging(view: &View<'_>) -> Vec<Hit> {
    let rows = view.conditions.hanging.iter().filter_map(|(key, hang)| Some((view.snapshot.instance(key)?, hang)));
    let rows = rows.filter(|(row, _)| row.in_flight > 0);
    let hit = |(row, hang): (&std::sync::Arc<InstanceRow>, &Hang)| {
        let tenants = view.tenants(&row.key);
        let oldest = row.oldest.map_or(0, |at| view.now.since(at).as_secs());
        let silence = hang.finished.or(row.started_at).map_or(oldest, |at| view.now.since(at).as_secs());
        let customers = plural(tenants.len() as u32, "customer", "customers");
        let text = format!(
            "{} in flight, oldest {oldest} s, none finished in {silence} s, {} {customers}",
            row.in_flight,
            tenants.len()
        );
        Hit { object: row.key.to_string(), target: Some(row.key.clone()), text, tenants, since: hang.since }
    };
    rows.map(hit).collect()
}

/// Calls refused for their credentials: one line a secret that the instances were started with, else one an instance.
fn auth(view: &View<'_>) -> Vec<Hit> {
    #[derive(Default)]
    struct Cause<'a> {
        keys: Vec<&'a InstanceKey>,
        troubles: Vec<&'a AuthTrouble>,
        secret: Option<String>,
    }
    let mut causes: BTreeMap<String, Cause<'_>> = BTreeMap::new();
    for (key, trouble) in &view.conditions.auth {
        let secret = suspect(view, key);
        let cause = secret.as_ref().map_or_else(|| key.to_string(), |(cause, _)| cause.clone());
        let entry = causes.entry(cause).or_default();
        entry.keys.push(key);
        entry.troubles.push(trouble);
        entry.secret = secret.map(|(_, text)| text);
    }
    let hits = causes.into_iter().map(|(cause, Cause { keys, troubles, secret })| {
        let calls: u32 = troubles.iter().map(|t| t.calls).sum();
        let tenants: BTreeSet<_> = troubles.iter().flat_map(|t| t.tenants.iter().cloned()).collect();
        let places = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let what = plural(calls, "call", "calls");
        let mut text = format!("{calls} {what} refused for credentials at {places}");
        if let Some(secret) = secret {
            text = format!("{secret}; {text}");
        }
        Hit {
            object: cause,
            target: keys.first().map(|key| (*key).clone()),
            text,
            tenants: tenants.into_iter().collect(),
            since: troubles.iter().map(|t| t.since).min().unwrap_or_default(),
        }
    });
    hits.collect()
}

/// The secret that a refused instance most likely fails for: (cause, sentence).
fn suspect(view: &View<'_>, key: &InstanceKey) -> Option<(String, String)> {
    let row = view.snapshot.instance(key)?;
    let secrets = || view.snapshot.secrets.iter().filter(|s| row.secrets.iter().any(|(name, _)| *name == s.name));
    if let Some(secret) = secrets().find(|s| s.stale.contains(key)) {
        let old = secret.stale.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Some((
            format!("secret {}", secret.name),
            format!("{} is newer than what {old} started with", secret.name),
        ));
    }
    let (name, _) = row.secrets.first()?;
    Some((format!("secret {name}"), format!("it uses {name}, loaded in its newest form")))
}

fn secret(view: &View<'_>) -> Vec<Hit> {
    let broken = view.snapshot.secrets.iter().filter_map(|row| Some((row, row.error.as_ref()?)));
    let hit = |(row, error): (&std::sync::Arc<crate::model::secret::SecretRow>, &String)| {
        let owner = match (&row.tenant, &row.server) {
            (Some(tenant), Some(server)) => format!("{server}@{tenant}"),
            (Some(tenant), None) => tenant.to_string(),
            (None, Some(server)) => server.to_string(),
            (None, None) => "platform".to_owned(),
        };
        Hit {
            object: format!("{owner} {}", row.name),
            target: None,
            text: format!("{} is missing: {error}", row.name),
            tenants: row.tenant.iter().cloned().collect(),
            since: row.loaded_at.unwrap_or_default(),
        }
    };
    broken.map(hit).collect()
}

fn degraded(view: &View<'_>) -> Vec<Hit> {
    let rows = view.rows(State::Degraded).filter(|row| !view.conditions.hanging.contains_key(&row.key));
    view.grouped(rows, |row| row.reason.clone())
}

fn backoff(view: &View<'_>) -> Vec<Hit> {
    view.grouped(view.rows(State::Backoff), |row| row.reason.clone())
}

fn unknown(view: &View<'_>) -> Vec<Hit> {
    view.grouped(view.rows(State::Unknown), |row| row.reason.clone())
}

fn fenced(view: &View<'_>) -> Vec<Hit> {
    view.grouped(view.rows(State::Fenced), |row| row.reason.clone())
}

fn stopped(view: &View<'_>) -> Vec<Hit> {
    view.grouped(view.rows(State::Stopped), |row| row.reason.clone())
}

fn orphans(view: &View<'_>) -> Vec<Hit> {
    let list = &view.snapshot.orphans;
    if list.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<_> = list.iter().take(ORPHANS_NAMED).map(|row| row.what.as_str()).collect();
    names.extend((list.len() > ORPHANS_NAMED).then_some("..."));
    let text = format!("{} ours and wanted by nobody: {}", list.len(), names.join(", "));
    let since = view.conditions.orphans_since;
    vec![Hit { object: "orphans".to_owned(), target: None, text, tenants: Vec::new(), since }]
}

fn records(view: &View<'_>) -> Vec<Hit> {
    let dropped = view.snapshot.totals.dropped_records;
    if dropped == 0 {
        return Vec::new();
    }
    let text = format!("{dropped} call records were dropped because the queue was full");
    let since = view.conditions.dropped_since;
    vec![Hit { object: "records".to_owned(), target: None, text, tenants: Vec::new(), since }]
}

fn open(view: &View<'_>) -> Vec<Hit> {
    let Some(text) = view.snapshot.platform.open_to.clone() else { return Vec::new() };
    let since = view.snapshot.platform.boot;
    vec![Hit { object: "api".to_owned(), target: None, text, tenants: Vec::new(), since }]
}

fn plural<'a>(n: u32, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

#[cfg(test)]
#[path = "attention_tests.rs"]
mod tests;
