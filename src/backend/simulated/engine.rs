//! A made-up container engine: seeded, with stacks of several tenants, compose projects and containers in trouble. For
//! tests, benches and screens; the same seed gives the same containers.

mod crowd;
mod shell;
mod story;

use crate::backend::engine::{Engine, ExecPipe, ExecSpec, Found, Inventory, LogRange, RawLine};
use crate::backend::{BackendError, ContainerSpec, Fut, Progress};
use crate::model::Stamp;
use crate::model::container::{
    ContainerAct, ContainerHealth, ContainerKey, ContainerState, EngineId, EngineState, SIMULATED,
    SimulatedEngine as Recipe, Speaks,
};
use crate::model::server::Limits;
use crate::model::usage::InstanceUsage;
use crowd::{Load, Made};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

const VERSION: &str = "Simulated 1.0";

/// Made containers by id.
type Crowd = BTreeMap<Arc<str>, Made>;

pub struct SimulatedEngine {
    id: EngineId,
    seed: u64,
    born: Instant,
    crowd: Mutex<Crowd>,
    inventory: watch::Sender<Arc<Inventory>>,
}

impl SimulatedEngine {
    /// Makes up what `recipe` says; what is ours in it bears the name of `platform`.
    pub fn open(id: EngineId, recipe: &Recipe, platform: &str) -> Self {
        let now = Stamp::now();
        let crowd = (0..recipe.containers).map(|index| Made::up(recipe.seed, index, platform, now));
        let crowd: Crowd = crowd.map(|made| (Arc::clone(&made.row.id), made)).collect();
        let inventory = Inventory {
            state: EngineState::Up,
            url: SIMULATED.to_owned(),
            version: Some(VERSION.to_owned()),
            seen: now,
            containers: crowd.values().map(|made| Arc::clone(&made.row)).collect(),
        };
        let inventory = watch::channel(Arc::new(inventory)).0;
        Self { id, seed: recipe.seed, born: Instant::now(), crowd: Mutex::new(crowd), inventory }
    }

    /// From now on it does not answer, for this reason; `None`: it answers again.
    pub fn silence(&self, reason: Option<&str>) {
        let since = Stamp::now();
        let state = reason.map_or(EngineState::Up, |reason| EngineState::Silent { since, reason: reason.to_owned() });
        self.inventory.send_modify(|inventory| *inventory = Arc::new(Inventory { state, ..(**inventory).clone() }));
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, reason: String) -> BackendError {
        BackendError::Engine { engine: self.id.to_string(), reason }
    }

    fn answers(&self) -> Result<(), BackendError> {
        match &self.inventory.borrow().state {
            EngineState::Silent { reason, .. } => Err(self.trouble(reason.clone())),
            _ => Ok(()),
        }
    }

    fn made(&self, id: &str) -> Result<Made, BackendError> {
        self.answers()?;
        self.crowd().get(id).cloned().ok_or_else(|| self.trouble(format!("no such container: {id}")))
    }

    /// Changes the containers and tells everybody.
    fn change(&self, change: impl FnOnce(&mut Crowd)) {
        let mut crowd = self.crowd();
        change(&mut crowd);
        let containers = crowd.values().map(|made| Arc::clone(&made.row)).collect();
        self.inventory.send_modify(|inventory| {
            *inventory = Arc::new(Inventory { seen: Stamp::now(), containers, ..(**inventory).clone() });
        });
    }

    fn act_now(&self, id: &str, act: ContainerAct) -> Result<(), BackendError> {
        let made = self.made(id)?;
        let Some(next) = after(made.row.state, act) else {
            let state = made.row.state.name();
            return Err(self.trouble(format!("cannot {} it: container {} is {state}", act.verb(), made.row.name)));
        };
        if next != made.row.state || act == ContainerAct::Restart {
            let row = Arc::new(moved(&made.row, next, act));
            self.change(|crowd| {
                crowd.insert(Arc::clone(&row.id), Made { row, ..made });
            });
        }
        Ok(())
    }

    fn deploy_now(&self, name: &str, spec: &ContainerSpec, limits: &Limits) -> Result<String, BackendError> {
        self.answers()?;
        let row = deployed(name, spec, self.seed);
        let load = Load { memory: limits.memory.map_or(200 << 20, |limit| limit / 2), limit: limits.memory, cpu: 2.0 };
        let id = row.id.to_string();
        let made = Made { row: Arc::new(row), seed: self.seed ^ fnv(name), load };
        self.change(|crowd| {
            crowd.retain(|_, other| other.row.name != name);
            crowd.insert(Arc::clone(&made.row.id), made);
        });
        Ok(id)
    }
}

/// The state after `act`; `None` if an engine refuses it.
fn after(state: ContainerState, act: ContainerAct) -> Option<ContainerState> {
    use ContainerState::{Exited, Paused, Running};
    match act {
        ContainerAct::Start | ContainerAct::Restart => Some(Running),
        ContainerAct::Stop | ContainerAct::Kill if state.is_live() => Some(Exited),
        ContainerAct::Stop | ContainerAct::Kill => Some(state),
        ContainerAct::Pause => matches!(state, Running | Paused).then_some(Paused),
        ContainerAct::Unpause => state.is_live().then_some(Running),
    }
}

/// The row after `act` brought it to `next`.
fn moved(row: &Found, next: ContainerState, act: ContainerAct) -> Found {
    let ended = matches!(act, ContainerAct::Stop | ContainerAct::Kill);
    let paused = matches!(act, ContainerAct::Pause | ContainerAct::Unpause);
    let code = if act == ContainerAct::Kill { 137 } else { 0 };
    Found {
        state: next,
        since: if paused { row.since } else { Stamp::now() },
        exit_code: ended.then_some(code),
        oom: false,
        health: if ended { None } else { row.health.map(|_| ContainerHealth::Healthy) },
        ..row.clone()
    }
}

fn deployed(name: &str, spec: &ContainerSpec, seed: u64) -> Found {
    let mut random = fastrand::Rng::with_seed(seed ^ fnv(name));
    let ports = match &spec.speaks {
        Speaks::Http { port, .. } => vec![format!("127.0.0.1:{}->{port}/tcp", random.u16(32_768..60_999))],
        Speaks::Stdio | Speaks::Nothing => Vec::new(),
    };
    Found {
        id: crowd::hex_id(&mut random),
        name: name.to_owned(),
        image: spec.image.clone(),
        state: ContainerState::Running,
        since: Stamp::now(),
        exit_code: None,
        oom: false,
        restarts: 0,
        memory_limit: None,
        health: None,
        labels: spec.labels.iter().cloned().collect(),
        ports,
        networks: std::iter::once(&spec.network)
            .chain(&spec.networks)
            .filter(|name| !name.is_empty())
            .cloned()
            .collect(),
        pid: None,
    }
}

/// FNV-1a: the same in every run and version.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Engine for SimulatedEngine {
    fn id(&self) -> &EngineId {
        &self.id
    }

    fn watch(&self) -> watch::Receiver<Arc<Inventory>> {
        self.inventory.subscribe()
    }

    fn act(&self, id: &str, act: ContainerAct, _grace: Duration) -> Fut<'_, Result<(), BackendError>> {
        Box::pin(std::future::ready(self.act_now(id, act)))
    }

    fn deploy(
        &self,
        name: &str,
        spec: ContainerSpec,
        limits: Limits,
        progress: Progress,
    ) -> Fut<'_, Result<String, BackendError>> {
        progress.send_replace(format!("pulling {} 40 %", spec.image));
        Box::pin(std::future::ready(self.deploy_now(name, &spec, &limits)))
    }

    fn remove(&self, id: &str, _grace: Duration) -> Fut<'_, Result<(), BackendError>> {
        let removed = self.answers().map(|()| {
            self.change(|crowd| {
                crowd.remove(id);
            });
        });
        Box::pin(std::future::ready(removed))
    }

    fn logs(&self, id: &str, range: LogRange) -> mpsc::Receiver<RawLine> {
        story::tell(self.made(id), range, self.watch())
    }

    fn inspect(&self, id: &str) -> Fut<'_, Result<String, BackendError>> {
        let text = self.made(id).map(|made| made.inspected());
        Box::pin(std::future::ready(text))
    }

    fn exec(&self, id: &str, exec: ExecSpec) -> Fut<'_, Result<ExecPipe, BackendError>> {
        let pipe = self.made(id).and_then(|made| match made.row.state {
            ContainerState::Running => Ok(shell::open(&made.row.name, exec)),
            state => Err(self.trouble(format!("container {} is {}", made.row.name, state.name()))),
        });
        Box::pin(std::future::ready(pipe))
    }

    fn stats(&self, ids: &[ContainerKey]) -> Fut<'_, Vec<(ContainerKey, InstanceUsage)>> {
        let age = self.born.elapsed();
        let crowd = self.crowd();
        let usage = |key: &ContainerKey| crowd.get(&key.id)?.usage(age).map(|usage| (key.clone(), usage));
        let usage = self.answers().map(|()| ids.iter().filter_map(usage).collect());
        Box::pin(std::future::ready(usage.unwrap_or_default()))
    }

    fn is_local(&self) -> bool {
        false
    }

    fn is_here(&self) -> bool {
        true
    }
}
