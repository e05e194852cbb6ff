//! Usage, sampled in the background: every second what is on screen, the rest now and then, and little while nobody
//! looks. What the kernel does not tell (a simulated instance, a container of a far engine) is asked of who runs it.

mod ask;
mod kernel;
mod turns;

use super::actor::Msg;
use super::attention::usage::Gauge;
use super::deck::Deck;
use super::engines::ContainerUsage;
use super::gpus::owner::Held;
use super::handle::Interest;
use super::usage::{coarse, coarse_host};
use super::yard::any_changed;
use crate::backend::engine::Inventory;
use crate::metrics::Target;
use crate::model::container::{ContainerKey, EngineId, EngineState};
use crate::model::instance::{BackendKind, InstanceRow};
use crate::model::usage::{HostUsage, InstanceUsage, Subject};
use crate::model::{InstanceKey, Snapshot, Stamp};
use ask::Asked;
use kernel::{Kernel, Measured, Wanted};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use turns::{Part, Turns};

/// Between two rounds while somebody looks, and while nobody does: then history and attention alone want to know.
const WATCHED: Duration = Duration::from_secs(1);
const UNWATCHED: Duration = Duration::from_secs(10);
/// Rounds of something new follow each other no faster.
const BURST: Duration = Duration::from_millis(50);
/// Of what is not on screen each has its turn within about ten seconds: every second a part, or all of it at once.
const WATCHED_PART: Part = Part { of: 10, most: 256 };
const UNWATCHED_PART: Part = Part { of: 1, most: 1024 };
/// An engine works for each answer.
const FAR: Part = Part { of: 10, most: 16 };
/// The host is sampled this often, sums go to the history this often: a sparkline steps no faster.
const HOST_EVERY: Duration = Duration::from_secs(2);
const SUMS_EVERY: Duration = Duration::from_secs(5);

/// Samples until the platform stops.
pub async fn sample(deck: Arc<Deck>) {
    let has_containers = deck.engines.all().iter().any(|engine| engine.is_local());
    let Some(kernel) = Kernel::open(&deck.config().paths.state, has_containers).await else { return };
    let mut sampler = Sampler::new(deck.clone(), kernel);
    let mut consoles = deck.consoles.version();
    loop {
        let begun = Instant::now();
        consoles.borrow_and_update();
        let interest = deck.consoles.interest();
        let watched = interest.watching;
        tokio::select! {
            round = sampler.round(&interest) => if round.is_break() { return },
            () = deck.stop.cancelled() => return,
        }
        let due = tokio::time::sleep_until(begun + if watched { WATCHED } else { UNWATCHED });
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => break,
                true = any_changed(&mut sampler.inventories) => if sampler.has_new() { break },
                Ok(()) = consoles.changed() => if !watched && deck.consoles.interest().watching { break },
                Some(told) = sampler.asked.told() => sampler.told(told).await,
                () = deck.stop.cancelled() => return,
            }
        }
        tokio::time::sleep_until(begun + BURST).await;
    }
}

struct Sampler {
    deck: Arc<Deck>,
    kernel: Kernel,
    /// By engine id; whether its containers' files are here.
    engines: Vec<(EngineId, bool)>,
    inventories: Vec<watch::Receiver<Arc<Inventory>>>,
    asked: Asked,
    instance_turns: Turns<InstanceKey>,
    container_turns: Turns<ContainerKey>,
    far_turns: Turns<ContainerKey>,
    /// What containers use, as it is shown.
    used: ContainerUsage,
    /// Containers of a local engine whose files are not to be found.
    hidden: BTreeSet<ContainerKey>,
    gauge: Gauge,
    host_at: Option<Instant>,
    sums_at: Option<Instant>,
}

/// A running container: its first process if known, and whether its files may be here.
type Running = BTreeMap<ContainerKey, (Option<u32>, bool)>;

impl Sampler {
    fn new(deck: Arc<Deck>, kernel: Kernel) -> Self {
        let engines = deck.engines.all();
        Self {
            kernel,
            engines: engines.iter().map(|engine| (engine.id().clone(), engine.is_local())).collect(),
            inventories: engines.iter().map(|engine| engine.watch()).collect(),
            asked: Asked::new(&deck),
            instance_turns: Turns::default(),
            container_turns: Turns::default(),
            far_turns: Turns::default(),
            used: HashMap::new(),
            hidden: BTreeSet::new(),
            gauge: Gauge::default(),
            host_at: None,
            sums_at: None,
            deck,
        }
    }

    /// One sample of those whose turn it is; breaks if it cannot go on.
    async fn round(&mut self, interest: &Interest) -> ControlFlow<()> {
        let snapshot = self.deck.picture.get();
        let running = self.running();
        let rows = self.instances(&snapshot, interest);
        let wanted = self.wanted(&rows, &running, interest);
        let targets: Vec<ContainerKey> = wanted.containers.iter().map(|target| target.key.clone()).collect();
        self.ask(&running, interest);
        let Some(mut measured) = self.kernel.measure(wanted).await else { return ControlFlow::Break(()) };
        let containers = std::mem::take(&mut measured.containers);
        for key in targets {
            if containers.contains_key(&key) {
                self.hidden.remove(&key)
            } else {
                self.hidden.insert(key)
            };
        }
        self.hidden.retain(|key| running.contains_key(key));
        self.used.retain(|key, _| running.contains_key(key));
        let told = self.told_by_backends(&rows).await;
        let learnt = Learnt { containers, instances: merge(&measured, told), host: measured.host };
        self.sums(&snapshot);
        match self.take(learnt, &snapshot, interest).await {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    fn running(&mut self) -> Running {
        let mut running = Running::new();
        for ((engine, local), inventory) in self.engines.iter().zip(&mut self.inventories) {
            for found in inventory.borrow_and_update().containers.iter().filter(|found| found.state.is_live()) {
                let key = ContainerKey { engine: engine.clone(), id: found.id.clone() };
                running.insert(key, (found.pid, *local));
            }
        }
        running
    }

    /// True once some engine has said what it has, or that it is not there.
    fn answered(&self) -> bool {
        self.inventories.iter().any(|inventory| inventory.borrow().state != EngineState::Connecting)
    }

    /// True if something runs here that has not been sampled yet.
    fn has_new(&mut self) -> bool {
        self.running()
            .iter()
            .any(|(key, (_, local))| *local && !self.used.contains_key(key) && !self.hidden.contains(key))
    }

    /// The live instances whose turn it is, of those that are measured by themselves.
    fn instances(&mut self, snapshot: &Snapshot, interest: &Interest) -> Vec<Arc<InstanceRow>> {
        let live: Vec<InstanceKey> = snapshot
            .instances
            .iter()
            .filter(|row| row.state.is_live() || row.pid.is_some())
            .filter(|row| row.container.is_none() && row.backend != BackendKind::Remote)
            .map(|row| row.key.clone())
            .collect();
        let new = |key: &InstanceKey| snapshot.instance(key).is_some_and(|row| row.usage == InstanceUsage::default());
        let turn = self.instance_turns.next(&live, &interest.instances, part(interest), new);
        turn.iter().filter_map(|key| snapshot.instance(key).cloned()).collect()
    }

    fn wanted(&mut self, rows: &[Arc<InstanceRow>], running: &Running, interest: &Interest) -> Wanted {
        let here: Vec<ContainerKey> =
            running.iter().filter(|(_, (_, local))| *local).map(|(key, _)| key.clone()).collect();
        let (used, hidden) = (&self.used, &self.hidden);
        let new = |key: &ContainerKey| !used.contains_key(key) && !hidden.contains(key);
        let turn = self.container_turns.next(&here, &interest.containers, part(interest), new);
        let now = Instant::now();
        let host = self.host_at.is_none_or(|at| now - at >= HOST_EVERY);
        if host {
            self.host_at = Some(now);
        }
        Wanted {
            host,
            groups: process_groups(rows),
            containers: turn.into_iter().map(|key| Target { pid: running[&key].0, key }).collect(),
            running: self.answered().then(|| here.into_iter().collect()),
        }
    }

    /// Asks engines for what cannot be read here.
    fn ask(&mut self, running: &Running, interest: &Interest) {
        let far = |(key, (_, local)): &(&ContainerKey, &(Option<u32>, bool))| !local || self.hidden.contains(*key);
        let far: Vec<ContainerKey> = running.iter().filter(far).map(|(key, _)| key.clone()).collect();
        if !far.is_empty() {
            self.asked.ask(self.far_turns.next(&far, &interest.containers, FAR, |_| false));
        }
    }

    /// An engine has answered.
    async fn told(&mut self, told: Vec<(ContainerKey, InstanceUsage)>) {
        let running = self.running();
        let containers = told.into_iter().filter(|(key, _)| running.contains_key(key)).collect();
        let (snapshot, interest) = (self.deck.picture.get(), self.deck.consoles.interest());
        self.take(Learnt { containers, ..Learnt::default() }, &snapshot, &interest).await;
    }

    /// Keeps what was learnt, and shows it; false if nobody is there to show it.
    async fn take(&mut self, mut learnt: Learnt, snapshot: &Snapshot, interest: &Interest) -> bool {
        learnt.follow_containers(snapshot);
        self.keep(&learnt, &Held::of(&snapshot.gpus), interest);
        let used = &mut self.used;
        used.extend(learnt.containers.into_iter().map(|(key, usage)| (key, coarse(usage))));
        let lives = |key: &InstanceKey| snapshot.instance(key).is_some_and(|row| row.state.is_live());
        self.gauge.keep(|subject| match subject {
            Subject::Container(key) => used.contains_key(key),
            Subject::Instance(key) => lives(key),
            Subject::Tenant(_) | Subject::Server(_) => false,
        });
        self.deck.container_usage.send_if_modified(|last| {
            let changed = **last != *used;
            if changed {
                *last = Arc::new(used.clone());
            }
            changed
        });
        let instances = learnt.instances.into_iter().map(|(key, usage)| (key, coarse(usage))).collect();
        let (host, pressed) = (learnt.host.map(coarse_host), self.gauge.pressed());
        self.deck.tell(Msg::Usage { instances, host, pressed }).await
    }

    /// As measured, in the history, and for what needs attention.
    fn keep(&mut self, learnt: &Learnt, gpu: &Held, interest: &Interest) {
        let containers: BTreeSet<&ContainerKey> = interest.containers.iter().collect();
        let instances: BTreeSet<&InstanceKey> = interest.instances.iter().collect();
        let now = Stamp::now();
        let mut history = self.deck.usage_history.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keep = |subject: Subject, usage: InstanceUsage, looked_at: bool| {
            history.record(now, &subject, &usage, looked_at);
            self.gauge.see(now, &subject, &usage);
        };
        for (key, usage) in &learnt.containers {
            let usage = InstanceUsage { gpu_memory: gpu.containers.get(key).copied(), ..*usage };
            keep(Subject::Container(key.clone()), usage, containers.contains(key));
        }
        for (key, usage) in &learnt.instances {
            let usage = InstanceUsage { gpu_memory: gpu.instances.get(key).copied(), ..*usage };
            keep(Subject::Instance(key.clone()), usage, instances.contains(key));
        }
    }

    /// Tenants and servers, as the newest snapshot sums them up.
    fn sums(&mut self, snapshot: &Snapshot) {
        let at = Instant::now();
        if self.sums_at.is_some_and(|last| at - last < SUMS_EVERY) {
            return;
        }
        self.sums_at = Some(at);
        let now = Stamp::now();
        let tenants = snapshot.tenants.iter().map(|row| (Subject::Tenant(row.def.id.clone()), row.usage));
        let servers = snapshot.servers.iter().map(|row| (Subject::Server(row.def.id.clone()), row.usage));
        let mut history = self.deck.usage_history.lock().unwrap_or_else(PoisonError::into_inner);
        for (subject, usage) in tenants.chain(servers).filter(|(_, usage)| *usage != InstanceUsage::default()) {
            history.record(now, &subject, &usage, false);
        }
    }

    async fn told_by_backends(&self, rows: &[Arc<InstanceRow>]) -> Vec<(InstanceKey, InstanceUsage)> {
        let mut usage = Vec::new();
        for (backend, keys) in by_backend(rows.iter().map(|row| (row.backend, row.key.clone()))) {
            if let Some(backend) = self.deck.backends.of(backend) {
                usage.extend(backend.usage(&keys).await);
            }
        }
        usage
    }
}

fn part(interest: &Interest) -> Part {
    if interest.watching { WATCHED_PART } else { UNWATCHED_PART }
}

/// What was learnt in one go.
#[derive(Default)]
struct Learnt {
    containers: BTreeMap<ContainerKey, InstanceUsage>,
    instances: BTreeMap<InstanceKey, InstanceUsage>,
    host: Option<HostUsage>,
}

impl Learnt {
    /// An instance in a container uses what its container does.
    fn follow_containers(&mut self, snapshot: &Snapshot) {
        if self.containers.is_empty() {
            return;
        }
        for row in snapshot.instances.iter().filter(|row| row.state.is_live()) {
            if let Some(usage) = row.container.as_ref().and_then(|key| self.containers.get(key)) {
                self.instances.insert(row.key.clone(), *usage);
            }
        }
    }
}

/// Each local program leads a group of its own.
fn process_groups(rows: &[Arc<InstanceRow>]) -> Vec<(InstanceKey, u32)> {
    let processes = rows.iter().filter(|row| row.backend == BackendKind::Process);
    processes.filter_map(|row| Some((row.key.clone(), row.pid?))).collect()
}

/// What was measured, with what only the backend knows (a limit in force, the usage of what is no process).
fn merge(measured: &Measured, told: Vec<(InstanceKey, InstanceUsage)>) -> BTreeMap<InstanceKey, InstanceUsage> {
    let mut usage: BTreeMap<InstanceKey, InstanceUsage> = told.into_iter().collect();
    for (key, measured) in &measured.groups {
        let one = usage.entry(key.clone()).or_default();
        *one = measured.or(*one);
    }
    usage
}

fn by_backend(keys: impl Iterator<Item = (BackendKind, InstanceKey)>) -> BTreeMap<BackendKind, Vec<InstanceKey>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (backend, key) in keys {
        groups.entry(backend).or_default().push(key);
    }
    groups
}
