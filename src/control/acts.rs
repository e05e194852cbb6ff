//! Acts: judged, made durable where they change what is wanted, then carried out by the actor.

use super::actor::{Actor, Msg, event_of};
use super::durable::{Change, Write};
use super::fleet::marked;
use super::impact;
use super::jobs::verdict;
use super::journal;
use super::lifecycle::Event;
use super::reap;
use crate::model::container::{ContainerAct, ContainerKey};
use crate::model::instance::Mark;
use crate::model::message::{EventKind, JobOutcome};
use crate::model::stack::that_go_on;
use crate::model::{Act, Command, InstanceKey, JobId, Refusal, ServerId, Stamp, TenantId};
use crate::store::MarkKind;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a container that is stopped by itself may take before it is killed.
const GRACE: Duration = Duration::from_secs(10);

type Reply = oneshot::Sender<Result<JobId, Refusal>>;

impl Actor {
    /// Accepts or refuses. The reply comes when the act is durable.
    pub(super) fn act(&mut self, mut act: Act, reply: Reply) {
        if let Some(command) = impact::redirected(&self.deck.picture.get(), &act.command) {
            act.command = command;
        }
        // Nobody waiting for the answer is fine.
        match self.accept(&act) {
            Err(refusal) => {
                journal::refused(&self.deck, &act, &refusal);
                drop(reply.send(Err(refusal)));
            }
            Ok(targets) => self.begin(act, targets, reply),
        }
    }

    fn accept(&mut self, act: &Act) -> Result<Vec<InstanceKey>, Refusal> {
        if self.deck.closing.is_cancelled() {
            return Err(Refusal::Refused("the platform is shutting down".to_owned()));
        }
        self.publish();
        let under_way = match act.command.interrupts() {
            true => self.jobs.under_way(&act.operator.name),
            false => BTreeSet::new(),
        };
        let cap = self.deck.config().platform.bulk_cap;
        let targets = impact::judge(&self.deck.picture.get(), act, cap, &under_way)?;
        match &act.command {
            Command::ExampleTraffic(_) if self.deck.config().example_traffic.is_none() => {
                Err(Refusal::NotFound("this platform has no example traffic".to_owned()))
            }
            Command::CancelJob(id) if self.jobs.act(*id).is_none() => {
                Err(Refusal::NotFound(format!("{id} is not running")))
            }
            Command::CancelCall(id) if !self.deck.router.cancel(*id) => {
                Err(Refusal::NotFound(format!("{id} is not in flight")))
            }
            Command::Deploy(stack) => self.accept_stack(stack, false).map(|()| targets),
            Command::Undeploy(stack) => self.accept_stack(stack, true).map(|()| targets),
            _ => Ok(targets),
        }
    }

    fn begin(&mut self, act: Act, targets: Vec<InstanceKey>, reply: Reply) {
        let changes = self.changes(&act, &targets);
        let (command, operator) = (act.command.clone(), act.operator.clone());
        let Some(job) = self.jobs.open(act, targets) else {
            return drop(reply.send(Err(Refusal::Busy("too many jobs are under way".to_owned()))));
        };
        let write = Write { job, begun: self.jobs.journal(job), changes, reply };
        if let Err(error) = self.durable.try_send(write) {
            let write = error.into_inner();
            self.jobs.finish(job, JobOutcome::Failed, "too busy".to_owned());
            return drop(write.reply.send(Err(Refusal::Busy("too many acts wait for the store".to_owned()))));
        }
        self.deck.events.emit(EventKind::Act { job, operator, command: command.told() });
    }

    /// What must be on disk before the act is acknowledged.
    fn changes(&self, act: &Act, targets: &[InstanceKey]) -> Vec<Change> {
        let mark = || Mark { by: act.operator.name.clone(), at: Stamp::now(), reason: String::new() };
        let each = |kind, mark: Option<Mark>| {
            targets.iter().map(|key| Change::Mark { key: key.clone(), kind, mark: mark.clone() }).collect()
        };
        let enable = |server: &ServerId, tenant: &TenantId, value| {
            vec![Change::Enable { server: server.clone(), tenant: tenant.clone(), value }]
        };
        match &act.command {
            Command::Stop(_) => each(MarkKind::Held, Some(mark())),
            Command::Start(_) | Command::Restart(_) => {
                let held = |key: &&InstanceKey| self.fleet.rows.get(*key).is_some_and(|row| row.held.is_some());
                let release = |key: &InstanceKey| Change::Mark { key: key.clone(), kind: MarkKind::Held, mark: None };
                targets.iter().filter(held).map(release).collect()
            }
            Command::Fence(_) => each(MarkKind::Fenced, Some(mark())),
            Command::Unfence(_) => each(MarkKind::Fenced, None),
            Command::Enable { server, tenant } => enable(server, tenant, Some((true, mark()))),
            Command::Disable { server, tenant } => enable(server, tenant, Some((false, mark()))),
            Command::Revert { server, tenant } => enable(server, tenant, None),
            command if command.is_about_principals() => {
                vec![Change::Principals { command: Box::new(command.clone()), by: act.operator.name.clone() }]
            }
            _ => Vec::new(),
        }
    }

    /// The act is on disk: now it is carried out.
    pub(super) fn durable(&mut self, job: JobId, result: Result<(), String>) {
        if let Err(why) = result {
            return self.finish(job, JobOutcome::Failed, why);
        }
        let Some(act) = self.jobs.act(job).cloned() else { return };
        match &act.command {
            command if command.target().is_some() || matches!(command, Command::Roll(_)) => self.advance(job),
            Command::Enable { server, tenant } => self.set_enabled(job, &act, server, tenant, Some(true)),
            Command::Disable { server, tenant } => self.set_enabled(job, &act, server, tenant, Some(false)),
            Command::Revert { server, tenant } => self.set_enabled(job, &act, server, tenant, None),
            Command::ExampleTraffic(on) => {
                self.set_example(*on);
                self.finish(job, JobOutcome::Ok, if *on { "on" } else { "off" }.to_owned());
            }
            Command::CancelCall(_) => self.finish(job, JobOutcome::Ok, "cancelled".to_owned()),
            Command::CancelJob(other) => {
                self.cancel_stack_job(*other, &act.operator.name);
                self.finish(*other, JobOutcome::Cancelled, format!("cancelled by {}", act.operator.name));
                self.finish(job, JobOutcome::Ok, "cancelled".to_owned());
            }
            Command::Reload => {
                if let Err(why) = self.deck.reloads.ask(job) {
                    self.finish(job, JobOutcome::Failed, why);
                }
            }
            Command::ReloadSecrets => self.reload_secrets(job),
            Command::ReapOrphans => self.reap_orphans(job),
            Command::Shutdown => {
                let stacks = that_go_on(&self.yard.stacks).map_or_else(String::new, |text| format!("; {text}"));
                self.finish(job, JobOutcome::Ok, format!("shutting down{stacks}"));
                self.deck.asked.cancel();
            }
            Command::Container { container, act: what, .. } => {
                self.hold_part(container, *what, &act.operator.name);
                self.act_on_container(job, container.clone(), *what);
            }
            Command::Deploy(stack) => self.deploy(Some(job), stack),
            Command::Undeploy(stack) => self.undeploy(job, stack),
            command if command.is_about_principals() => self.finish(job, JobOutcome::Ok, "done".to_owned()),
            _ => self.finish(job, JobOutcome::Failed, "an act that nobody carries out".to_owned()),
        }
    }

    /// Hands the job's next instances their event.
    fn advance(&mut self, job: JobId) {
        let Some(act) = self.jobs.act(job).cloned() else { return };
        for key in self.jobs.take(job) {
            self.give(&act, &key);
            let result = match self.fleet.slot(&key) {
                Some(slot) => verdict(&act.command, &slot.life),
                None => Some(Ok(())),
            };
            if let Some(result) = result {
                self.target_done(job, &key, result);
            }
        }
    }

    fn give(&mut self, act: &Act, key: &InstanceKey) {
        let mark = || Mark { by: act.operator.name.clone(), at: Stamp::now(), reason: String::new() };
        let event = match &act.command {
            Command::Stop(_) => {
                let mark = mark();
                let event = Event::Hold(marked("stopped", &mark));
                self.fleet.take_down(&self.plan, key, "stopped");
                self.set_row(key, |row| row.held = Some(mark));
                event
            }
            Command::Fence(_) => {
                let mark = mark();
                let event = Event::Fence(marked("fenced", &mark));
                self.set_row(key, |row| row.fenced = Some(mark));
                event
            }
            Command::Probe(_) => return self.probe_now(key),
            command => {
                if matches!(command, Command::Restart(_) | Command::Roll(_)) {
                    self.fleet.command_next(key);
                }
                let ends =
                    matches!(command, Command::Restart(_) | Command::Roll(_) | Command::Sleep(_) | Command::Kill(_));
                let ending = ends && self.fleet.take_down(&self.plan, key, command.verb());
                if ending && matches!(command, Command::Kill(_)) {
                    return;
                }
                let Some(event) = event_of(command, &act.operator.name) else { return };
                event
            }
        };
        self.fleet.apply(&self.plan, key, event);
    }

    fn set_row(&mut self, key: &InstanceKey, change: impl FnOnce(&mut crate::model::InstanceRow)) {
        if let Some(row) = self.fleet.rows.get_mut(key) {
            change(row);
            self.fleet.dirty.insert(key.clone());
        }
    }

    pub(super) fn target_done(&mut self, job: JobId, key: &InstanceKey, result: Result<(), String>) {
        let finished = self.jobs.done(job, key, result);
        self.close(finished);
        self.advance(job);
    }

    fn set_enabled(&mut self, job: JobId, act: &Act, server: &ServerId, tenant: &TenantId, on: Option<bool>) {
        let mark = Mark { by: act.operator.name.clone(), at: Stamp::now(), reason: String::new() };
        self.plan.change(tenant.clone(), server.clone(), on.map(|on| (on, mark)));
        self.replan();
        let on = self.plan.enabled(tenant, server);
        let by = act.operator.name.clone();
        self.deck.events.emit(EventKind::Enabled { server: server.clone(), tenant: tenant.clone(), on, by });
        if !self.deck.options.momentary {
            self.autostart();
        }
        let (def, customer) = (self.plan.servers.get(server), self.plan.tenants.get(tenant));
        let nowhere = def.zip(customer).is_some_and(|(def, customer)| !def.has_url_for(customer));
        let said = match on {
            true if nowhere => format!("enabled; it has no url for {tenant} yet: give [tenant.server.{server}] one"),
            true => "enabled".to_owned(),
            false => "disabled".to_owned(),
        };
        self.finish(job, JobOutcome::Ok, said);
    }

    fn reload_secrets(&mut self, job: JobId) {
        let deck = self.deck.clone();
        self.deck.spawn("secrets", async move {
            deck.vault.load_all().await;
            let tokens = deck.principals.load_tokens(&deck.vault).await;
            deck.tell(Msg::Ended { job, result: tokens.map(|()| "read again".to_owned()) }).await;
        });
    }

    fn act_on_container(&mut self, job: JobId, container: ContainerKey, act: ContainerAct) {
        let deck = self.deck.clone();
        self.deck.spawn("container", async move {
            let result = match deck.engines.named(Some(&container.engine)) {
                Ok(engine) => engine.act(&container.id, act, GRACE).await.map_err(|error| error.to_string()),
                Err(why) => Err(why),
            };
            deck.tell(Msg::Ended { job, result: result.map(|()| "done".to_owned()) }).await;
        });
    }

    fn reap_orphans(&mut self, job: JobId) {
        let deck = self.deck.clone();
        self.deck.spawn("reap", async move {
            let result = reap::reap(&deck).await;
            deck.tell(Msg::Ended { job, result }).await;
        });
    }
}
