//! What the keys for acts and jumps mean for a selected object; every view with objects uses it.

use super::action::Action;
use super::app::{Cx, Target};
use super::layer::explain::Explain;
use super::layer::{confirm, shell::ShellDialog};
use super::page::Page;
use super::watch::Watched;
use crate::model::container::{Claim, ContainerAct, ContainerKey, ContainerRow, ContainerState};
use crate::model::message::{ExplainWhat, Level, LogTarget, Roll};
use crate::model::stack::{StackOwner, StackRow};
use crate::model::{Command, InstanceKey, ServerId, Snapshot, State, TenantId, why};

/// What is selected: as much of tenant, server and instance as the row knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub tenant: Option<TenantId>,
    pub server: Option<ServerId>,
    /// Names the instances that acts are meant for.
    pub key: Option<InstanceKey>,
    /// The container it is, where no instance answers for it.
    pub container: Option<ContainerKey>,
}

impl Subject {
    pub fn instance(key: InstanceKey) -> Self {
        Self { tenant: key.tenant.clone(), server: Some(key.server.clone()), key: Some(key), container: None }
    }

    /// A container, and the instance that answers for it.
    pub fn container(row: &ContainerRow) -> Self {
        let owner = &row.owner;
        // An orphan's instance is another one by now, if there is any.
        let key = owner.instance.clone().filter(|_| owner.claim != Claim::Orphan);
        Self { tenant: owner.tenant.clone(), server: owner.server.clone(), key, container: Some(row.key.clone()) }
    }

    pub fn server(id: ServerId) -> Self {
        Self { server: Some(id.clone()), key: Some(InstanceKey::shared(id)), ..Self::default() }
    }

    pub fn tenant(id: TenantId) -> Self {
        Self { tenant: Some(id), ..Self::default() }
    }

    /// A tenant at a server, and the instance that serves it.
    pub fn cell(tenant: TenantId, server: ServerId, key: Option<InstanceKey>) -> Self {
        Self { tenant: Some(tenant), server: Some(server), key, container: None }
    }
}

/// Carries out an action that is about objects; false if it is none of these.
pub fn act(action: Action, subjects: &[Subject], cx: &mut Cx) -> bool {
    match action {
        Action::Logs => logs(subjects, cx),
        Action::Explain => explain(subjects, cx),
        Action::Console => console(subjects, cx),
        Action::Watch => watch(subjects, cx),
        Action::Enable | Action::Revert => switch(action, subjects, cx),
        Action::Inspect => inspect(subjects, cx),
        Action::Shell => shell(subjects, cx),
        Action::Roll => roll(subjects, cx),
        Action::Deploy | Action::Undeploy => stacks(action, subjects, cx),
        _ if verb(action).is_some() => {
            let commands: Result<Vec<Command>, String> =
                subjects.iter().filter_map(|subject| command(action, subject, cx.snap).transpose()).collect();
            match commands {
                Err(why) => cx.notice(Level::Info, why),
                Ok(commands) if commands.is_empty() && !subjects.is_empty() => {
                    let why = nothing_to_act_on(&subjects[0], cx);
                    cx.notice(Level::Info, why);
                }
                Ok(commands) => cx.run(commands),
            }
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

/// The command for a subject: its instance's, else its container's; why there is none, if a container takes none.
fn command(action: Action, subject: &Subject, snap: &Snapshot) -> Result<Option<Command>, String> {
    match (&subject.key, subject.container.as_ref().and_then(|key| snap.container(key))) {
        (Some(key), _) => Ok(instance_command(action, key, snap)),
        (None, Some(row)) => {
            let (container, name) = (row.key.clone(), snap.container_name(row));
            container_act(action, row).map(|act| Some(Command::Container { container, name, act }))
        }
        (None, None) => Ok(None),
    }
}

/// `D` is one key for both directions: what is fenced is put back.
fn instance_command(action: Action, key: &InstanceKey, snap: &Snapshot) -> Option<Command> {
    let fenced = |k: &InstanceKey| {
        snap.instances.iter().filter(|i| k.covers(&i.key)).any(|i| i.state == State::Fenced || i.fenced.is_some())
    };
    match action {
        Action::Fence if fenced(key) => Some(Command::Unfence(key.clone())),
        other => verb(other).map(|make| make(key.clone())),
    }
}

/// `z` is one key for both directions, too: what is paused goes on.
fn container_act(action: Action, row: &ContainerRow) -> Result<ContainerAct, String> {
    if row.owner.claim == Claim::Other {
        return Err(format!("{} is not ours: mcpdeck acts only on what it made, or adopted by config", row.name));
    }
    match action {
        Action::Start => Ok(ContainerAct::Start),
        Action::Stop => Ok(ContainerAct::Stop),
        Action::Restart => Ok(ContainerAct::Restart),
        Action::Kill => Ok(ContainerAct::Kill),
        Action::Sleep if row.state == ContainerState::Paused => Ok(ContainerAct::Unpause),
        Action::Sleep => Ok(ContainerAct::Pause),
        other => Err(format!("{} serves no calls: there is nothing to {}", row.name, other.name())),
    }
}

fn inspect(subjects: &[Subject], cx: &mut Cx) {
    match subjects.first().and_then(|subject| container_of(subject, cx.snap)) {
        Some(row) => cx.go(Page::Containers, Target::Inspect(row.key.clone())),
        None => cx.notice(Level::Info, "it runs in no container: there is nothing to inspect"),
    }
}

fn shell(subjects: &[Subject], cx: &mut Cx) {
    let Some(row) = subjects.first().and_then(|subject| container_of(subject, cx.snap)) else {
        return cx.notice(Level::Info, "it runs in no container: there is nothing to open a shell in");
    };
    if let Some(why) = cx.shared.refusal(cx.snap) {
        return cx.notice(Level::Warn, why);
    }
    if row.state != ContainerState::Running {
        let text = format!("{} is {}: a shell needs it running", row.name, row.state.name());
        return cx.notice(Level::Info, text);
    }
    ShellDialog::open(cx, row);
}

/// The container a subject is, or that its instance runs in.
fn container_of<'a>(subject: &Subject, snap: &'a Snapshot) -> Option<&'a ContainerRow> {
    let of_instance = || snap.instance(subject.key.as_ref()?)?.container.clone();
    let key = subject.container.clone().or_else(of_instance)?;
    snap.container(&key).map(|row| &**row)
}

fn stacks(action: Action, subjects: &[Subject], cx: &mut Cx) {
    let ids =
        cx.snap.stacks.iter().filter(|stack| subjects.iter().any(|subject| stands_behind(stack, subject, cx.snap)));
    let make = if action == Action::Deploy { Command::Deploy } else { Command::Undeploy };
    let commands: Vec<Command> = ids.map(|stack| make(stack.id.clone())).collect();
    if commands.is_empty() {
        return cx.notice(Level::Info, "no stack stands behind it; [[stack]] in the config declares one");
    }
    confirm::run(cx, commands);
}

/// What a credential's older value is held by: of a customer or a server all of it, of an instance whatever holds the
/// same value as that does, because one that is restarted alone leaves the others refused.
fn roll(subjects: &[Subject], cx: &mut Cx) {
    let mut rolls: Vec<Roll> = Vec::new();
    for subject in subjects {
        let (server, tenant) = (subject.server.clone(), subject.tenant.clone());
        let found = match &subject.key {
            Some(key) if key.tenant.is_some() => rolls_of(key, cx.snap),
            _ => vec![Roll { secret: None, server, tenant, at_once: Roll::AT_ONCE }],
        };
        for roll in found {
            if !rolls.contains(&roll) && !roll.targets(&cx.snap.secrets).is_empty() {
                rolls.push(roll);
            }
        }
    }
    if rolls.is_empty() {
        let reload = Action::ReloadSecrets.name();
        let text = format!("nothing here holds an older credential; `:` {reload} reads them again");
        return cx.notice(Level::Info, text);
    }
    cx.run(rolls.into_iter().map(Command::Roll).collect());
}

fn rolls_of(key: &InstanceKey, snap: &Snapshot) -> Vec<Roll> {
    let rows = snap.secrets.iter().filter(|row| row.stale.contains(key));
    rows.map(|row| Roll {
        secret: Some(row.name.clone()),
        server: Some(key.server.clone()),
        tenant: row.tenant.clone(),
        at_once: Roll::AT_ONCE,
    })
    .collect()
}

/// True if acts on the stack are meant where the subject is selected.
fn stands_behind(stack: &StackRow, subject: &Subject, snap: &Snapshot) -> bool {
    if let Some(row) = subject.container.as_ref().and_then(|key| snap.container(key)) {
        return row.owner.stack.as_ref() == Some(&stack.id);
    }
    match (&stack.owner, &subject.server) {
        (StackOwner::Server(owner), Some(server)) => owner == server,
        (StackOwner::Tenant(owner), None) => subject.tenant.as_ref() == Some(owner),
        _ => false,
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
            (None, _) if subject.container.is_some() => {
                let row = subject.container.as_ref().and_then(|key| cx.snap.container(key));
                sources.extend(row.map(|row| LogTarget::Container(row.key.clone(), row.name.clone())));
            }
            (None, Some(tenant)) => {
                let own = cx.snap.instances.iter().filter(|i| i.key.tenant.as_ref() == Some(tenant));
                sources.extend(own.map(|i| LogTarget::Instance(i.key.clone())));
                let parts = cx.snap.containers.iter().filter(|c| c.owner.tenant.as_ref() == Some(tenant));
                let parts = parts.filter(|c| c.owner.instance.is_none());
                sources.extend(parts.map(|c| LogTarget::Container(c.key.clone(), c.name.clone())));
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
    let container = subjects.first().filter(|s| s.key.is_none()).and_then(|s| s.container.as_ref());
    if let Some(row) = container.and_then(|key| cx.snap.container(key)) {
        return Explain::tell(cx, &row.name, why::container(row, cx.snap));
    }
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

fn watch(subjects: &[Subject], cx: &mut Cx) {
    let watched: Vec<Watched> = subjects.iter().filter_map(Watched::of).collect();
    if watched.is_empty() {
        return cx.notice(Level::Info, "nothing is selected to watch");
    }
    for what in watched {
        cx.watch(what);
    }
}

fn console(subjects: &[Subject], cx: &mut Cx) {
    let Some(subject) = subjects.first() else { return };
    let users = subject.server.iter().flat_map(|s| cx.snap.users(s)).next().cloned();
    let tenant = subject.tenant.clone().or(cx.shared.limit.clone()).or(users);
    let request = Target::Request { tenant, server: subject.server.clone(), method: None, tool: None, params: None };
    cx.go(Page::Console, request);
}
