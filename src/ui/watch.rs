//! Objects whose next change of state an operator wants to hear of, wherever the screen is then. Pure.

use super::acts::Subject;
use super::theme::Role;
use crate::model::container::{ContainerHealth, ContainerKey, ContainerState};
use crate::model::message::Level;
use crate::model::{CallId, InstanceKey, Snapshot, Stamp, State, TenantId};

/// Objects watched at one time.
const MOST: usize = 64;

/// What can be watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// The instances that the key names: the worst of them counts.
    Instance(InstanceKey),
    Container(ContainerKey),
    /// What needs attention of what the customer uses.
    Tenant(TenantId),
    /// Until it is over.
    Call(CallId),
}

impl Watched {
    /// What a selection means: the instance, else the container, else the customer.
    pub fn of(subject: &Subject) -> Option<Self> {
        let instance = subject.key.clone().map(Self::Instance);
        let container = || subject.container.clone().map(Self::Container);
        instance.or_else(container).or_else(|| subject.tenant.clone().map(Self::Tenant))
    }
}

/// How an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// A notice comes when this is another word.
    pub word: String,
    pub why: String,
    pub level: Level,
}

impl Standing {
    fn new(word: impl Into<String>, why: impl Into<String>, level: Level) -> Self {
        Self { word: word.into(), why: why.into(), level }
    }

    pub fn role(&self) -> Role {
        match self.level {
            Level::Error => Role::Bad,
            Level::Warn => Role::Warn,
            Level::Info | Level::Debug => Role::Text,
        }
    }
}

/// One object that is watched.
#[derive(Clone, Debug)]
pub struct Watch {
    pub what: Watched,
    pub name: String,
    pub now: Standing,
    /// When it was seen to change, or began to be watched.
    pub since: Stamp,
    pub changes: u32,
}

/// All that one screen watches.
#[derive(Clone, Debug, Default)]
pub struct Watches(Vec<Watch>);

impl Watches {
    pub fn all(&self) -> &[Watch] {
        &self.0
    }

    /// Watches an object, or no longer; what to tell.
    pub fn toggle(&mut self, what: Watched, snap: &Snapshot, now: Stamp) -> (Level, String) {
        let name = name(&what, snap);
        if let Some(at) = self.0.iter().position(|watch| watch.what == what) {
            self.0.remove(at);
            return (Level::Info, format!("{name} is not watched any more"));
        }
        if self.0.len() >= MOST {
            return (Level::Warn, format!("{MOST} objects are watched already: Activity lists them, W there ends one"));
        }
        let standing = standing(&what, snap);
        let told = format!("watching {name}, now {}: a notice comes when that changes", standing.word);
        self.0.push(Watch { what, name, now: standing, since: now, changes: 0 });
        (Level::Info, told)
    }

    /// Compares with a new snapshot; what to tell of what changed, the worst of it in words.
    pub fn look(&mut self, snap: &Snapshot, now: Stamp) -> Option<(Level, String)> {
        let mut told: Vec<(Level, String)> = Vec::new();
        for watch in &mut self.0 {
            let standing = standing(&watch.what, snap);
            if standing.word != watch.now.word {
                let why = if standing.why.is_empty() { String::new() } else { format!(": {}", standing.why) };
                told.push((standing.level, format!("{}: {} -> {}{why}", watch.name, watch.now.word, standing.word)));
                (watch.since, watch.changes) = (now, watch.changes + 1);
            }
            watch.now = standing;
        }
        // A call that is over does not change any more.
        self.0.retain(|watch| !matches!(watch.what, Watched::Call(_)) || watch.changes == 0);
        let others = told.len().saturating_sub(1);
        let (level, text) = told.into_iter().rev().max_by_key(|(level, _)| *level)?;
        let more = if others > 0 { format!(" (and {others} more watched)") } else { String::new() };
        Some((level, format!("{text}{more}")))
    }
}

fn name(what: &Watched, snap: &Snapshot) -> String {
    match what {
        Watched::Instance(key) => key.to_string(),
        Watched::Container(key) => snap.container(key).map_or_else(|| key.to_string(), |row| row.name.clone()),
        Watched::Tenant(id) => snap.tenant(id.as_str()).map_or_else(|| id.to_string(), |row| row.def.name.clone()),
        Watched::Call(id) => id.to_string(),
    }
}

fn standing(what: &Watched, snap: &Snapshot) -> Standing {
    match what {
        Watched::Instance(key) => instances(key, snap),
        Watched::Container(key) => container(key, snap),
        Watched::Tenant(id) => tenant(id, snap),
        Watched::Call(id) => match snap.pending.iter().find(|call| call.id == *id) {
            Some(call) if call.waking => Standing::new("waking", "", Level::Info),
            Some(_) => Standing::new("in flight", "", Level::Info),
            None => Standing::new("over", "Traffic has how it ended", Level::Info),
        },
    }
}

fn instances(key: &InstanceKey, snap: &Snapshot) -> Standing {
    let rows = || snap.instances.iter().filter(|row| key.covers(&row.key));
    let Some(worst) = rows().max_by_key(|row| row.state.severity()) else {
        return Standing::new("no instance", "", Level::Info);
    };
    let level = match worst.state {
        State::Failed => Level::Error,
        State::Degraded | State::Backoff | State::Unknown | State::Fenced | State::Stopped => Level::Warn,
        _ => Level::Info,
    };
    let why = match rows().count() {
        1 => worst.reason.clone(),
        n => format!("{} of {n}; {}", rows().filter(|row| row.state == worst.state).count(), worst.reason),
    };
    Standing::new(worst.state.name(), why, level)
}

fn container(key: &ContainerKey, snap: &Snapshot) -> Standing {
    let Some(row) = snap.container(key) else { return Standing::new("gone", "", Level::Warn) };
    let code = row.exit_code.filter(|_| !row.state.is_live()).map(|code| format!("exit code {code}"));
    let why = if row.oom { "killed for memory".to_owned() } else { code.unwrap_or_default() };
    match (row.state, row.health) {
        (ContainerState::Running, Some(ContainerHealth::Unhealthy)) => Standing::new("unhealthy", why, Level::Warn),
        (ContainerState::Running, _) => Standing::new("running", "", Level::Info),
        (state, _) => Standing::new(state.name(), why, Level::Warn),
    }
}

/// Of a customer, the worst of what needs attention.
fn tenant(id: &TenantId, snap: &Snapshot) -> Standing {
    match snap.findings.iter().find(|finding| finding.tenants.contains(id)) {
        None => Standing::new("nothing needs attention", "", Level::Info),
        Some(finding) => {
            let level = if finding.severity >= 3 { Level::Error } else { Level::Warn };
            Standing::new(format!("{} {}", finding.word, finding.object), finding.text.clone(), level)
        }
    }
}
