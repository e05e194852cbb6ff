//! What the keys for acts and jumps mean for a selected object; every view with objects uses it.

use super::action::Action;
use super::app::{Cx, Target};
use super::layer::explain::Explain;
use super::page::Page;
use crate::model::message::{ExplainWhat, Level, LogTarget};
use crate::model::{Command, InstanceKey, ServerId, Snapshot, State, TenantId};

/// What is selected: as much of tenant, server and instance as the row knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub tenant: Option<TenantId>,
    pub server: Option<ServerId>,
    /// Names the instances that acts are meant for.
    pub key: Option<InstanceKey>,
}

impl Subject {
    pub fn instance(key: InstanceKey) -> Self {
        Self { tenant: key.tenant.clone(), server: Some(key.server.clone()), key: Some(key) }
    }

    pub fn server(id: ServerId) -> Self {
        Self { tenant: None, server: Some(id.clone()), key: Some(InstanceKey::shared(id)) }
    }

    pub fn tenant(id: TenantId) -> Self {
        Self { tenant: Some(id), server: None, key: None }
    }

    /// A tenant at a server, and the instance that serves it.
    pub fn cell(tenant: TenantId, server: ServerId, key: Option<InstanceKey>) -> Self {
        Self { tenant: Some(tenant), server: Some(server), key }
    }
}

/// Carries out an action that is about objects; false if it is none of these.
pub fn act(action: Action, subjects: &[Subject], cx: &mut Cx) -> bool {
    match action {
        Action::Logs => logs(subjects, cx),
        Action::Explain => explain(subjects, cx),
        Action::Console => console(subjects, cx),
        Action::Enable | Action::Revert => switch(action, subjects, cx),
        _ if verb(action).is_some() => {
            let keys: Vec<&InstanceKey> = subjects.iter().filter_map(|s| s.key.as_ref()).collect();
            if keys.is_empty() && !subjects.is_empty() {
                let why = nothing_to_act_on(&subjects[0], cx);
                cx.notice(Level::Info, why);
                return true;
            }
            let commands = keys.into_iter().filter_map(|key| command(action, key, cx.snap)).collect();
            cx.run(commands);
        }
        _ => return false,
    }
    true
}

/// Why an act finds no instance in what is selected, and the key that helps.
fn nothing_to_act_on(subject: &Subject, cx: &Cx) -> String {
    match (&subject.tenant, &subject.server) {
        (Some(tenant), Some(server)) => {
            let enable = cx.shared.keymap.shown(Action::Enable);
            format!("{server} is not enabled for {tenant}: there is no instance; {enable} enables it")
        }
        _ => "select a server or an instance to act on".to_owned(),
    }
}

fn verb(action: Action) -> Option<fn(InstanceKey) -> Command> {
    Some(match action {
        Action::Start => Command::Start,
        Action::Stop => Command::Stop,
        Action::Sleep => Command::Sleep,
        Action::Restart => Command::Restart,
        Action::Kill => Command::Kill,
        Action::Fence => Command::Fence,
        Action::Probe => Command::Probe,
        _ => return None,
    })
}

/// `D` is one key for both directions: what is fenced is put back.
fn command(action: Action, key: &InstanceKey, snap: &Snapshot) -> Option<Command> {
    let fenced = |k: &InstanceKey| {
        snap.instances.iter().filter(|i| k.covers(&i.key)).any(|i| i.state == State::Fenced || i.fenced.is_some())
    };
    match action {
        Action::Fence if fenced(key) => Some(Command::Unfence(key.clone())),
        other => verb(other).map(|make| make(key.clone())),
    }
}

fn switch(action: Action, subjects: &[Subject], cx: &mut Cx) {
    let mut commands = Vec::new();
    for subject in subjects {
        let (Some(tenant), Some(server)) = (&subject.tenant, &subject.server) else { continue };
        let (tenant, server) = (tenant.clone(), server.clone());
        let on = cx.snap.tenant(tenant.as_str()).and_then(|t| t.cell(&server)).is_some_and(|c| c.enabled);
        commands.push(match (action, on) {
            (Action::Revert, _) => Command::Revert { server, tenant },
            (_, true) => Command::Disable { server, tenant },
            (_, false) => Command::Enable { server, tenant },
        });
    }
    if commands.is_empty() {
        return cx.notice(Level::Info, "select a customer at a server to enable or disable it there");
    }
    cx.run(commands);
}

fn logs(subjects: &[Subject], cx: &mut Cx) {
    let mut sources: Vec<LogTarget> = Vec::new();
    for subject in subjects {
        match (&subject.key, &subject.tenant) {
            (Some(key), _) => sources.push(LogTarget::Instance(key.clone())),
            (None, Some(tenant)) => {
                let own = cx.snap.instances.iter().filter(|i| i.key.tenant.as_ref() == Some(tenant));
                sources.extend(own.map(|i| LogTarget::Instance(i.key.clone())));
            }
            (None, None) => {}
        }
    }
    if sources.is_empty() {
        return cx.notice(Level::Info, "nothing here has logs of its own; 8 shows mcpdeck's");
    }
    cx.go(Page::Logs, Target::Logs(sources));
}

fn explain(subjects: &[Subject], cx: &mut Cx) {
    let what = subjects.first().and_then(|s| match (&s.key, &s.tenant) {
        (Some(key), _) => Some(ExplainWhat::Instance(key.clone())),
        (None, Some(tenant)) => Some(ExplainWhat::Tenant(tenant.clone())),
        (None, None) => None,
    });
    match what {
        Some(what) => Explain::open(cx, what),
        None => cx.notice(Level::Info, "nothing is selected to explain"),
    }
}

fn console(subjects: &[Subject], cx: &mut Cx) {
    let Some(subject) = subjects.first() else { return };
    let users = subject.server.iter().flat_map(|s| cx.snap.users(s)).next().cloned();
    let tenant = subject.tenant.clone().or(cx.shared.limit.clone()).or(users);
    let request = Target::Request { tenant, server: subject.server.clone(), method: None, tool: None, params: None };
    cx.go(Page::Console, request);
}
