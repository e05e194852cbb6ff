//! Made-up MCP servers inside our own process: seeded, with scripted faults, ten thousand at a time. For tests, benches
//! and screens; the same seed gives the same answers after the same waits.

mod answer;
pub mod engine;
mod server;

use super::{Attached, Backend, BackendError, Exit, Fut, Orphan, StartSpec, Started, What};
use crate::model::instance::BackendKind;
use crate::model::server::SimulatedFault;
use crate::model::usage::InstanceUsage;
use crate::model::{InstanceKey, Stamp};
use server::Server;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::duplex;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Bytes that each pipe of an instance may hold; it takes memory only for what lies in it.
const PIPE: usize = 16 << 10;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

#[derive(Clone, Debug, Default)]
pub struct SimulatedOptions {
    /// They know only revisions with a handshake, and answer `server/discover` with "method not found".
    pub legacy_only: bool,
}

pub struct SimulatedBackend {
    options: SimulatedOptions,
    /// When the platform started, from which faults are counted.
    born: Instant,
    slots: Arc<Mutex<HashMap<InstanceKey, Instance>>>,
}

/// What a running instance is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Run,
    Doze,
    End { signal: i32 },
}

#[derive(Clone)]
struct Instance {
    ask: watch::Sender<Ask>,
    gone: CancellationToken,
    load: Load,
}

/// From which its made-up usage comes.
#[derive(Clone)]
struct Load {
    seed: u64,
    memory: u64,
    memory_limit: Option<u64>,
    started: Instant,
    calls: Arc<AtomicU64>,
}

impl SimulatedBackend {
    pub fn new(options: SimulatedOptions) -> Self {
        Self { options, born: Instant::now(), slots: Arc::default() }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<InstanceKey, Instance>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn instance(&self, key: &InstanceKey) -> Option<Instance> {
        self.slots().get(key).cloned()
    }

    fn launch(&self, spec: StartSpec) -> Result<Started, BackendError> {
        let What::Simulated(run, env) = spec.what else {
            return Err(BackendError::Unsupported { backend: "simulated", what: "run a program" });
        };
        if let Some(reason) = run.faults.iter().find_map(refusal) {
            return Err(BackendError::Spawn { program: format!("simulated {}", spec.key), reason });
        }
        let now = Instant::now();
        let exit_after = run.faults.iter().find_map(|fault| match fault {
            SimulatedFault::ExitAfter { after, code } => Some((now + *after, *code)),
            _ => None,
        });
        let load = Load {
            seed: seed(&spec.key, run.seed),
            memory: run.memory_bytes,
            memory_limit: spec.limits.memory,
            started: now,
            calls: Arc::default(),
        };
        let (ask, asked) = watch::channel(Ask::Run);
        let instance = Instance { ask, gone: CancellationToken::new(), load };
        match self.slots().entry(spec.key.clone()) {
            Entry::Occupied(_) => return Err(BackendError::Running(spec.key)),
            Entry::Vacant(slot) => slot.insert(instance.clone()),
        };
        let (stdin, their_stdin) = duplex(PIPE);
        let (stdout, their_stdout) = duplex(PIPE);
        let (stderr, their_stderr) = duplex(PIPE);
        let (sender, exit) = oneshot::channel();
        let mut server = Server::new(&spec.key, run, &env, self.options.legacy_only, self.born, &instance.load);
        server.attach(their_stdin, their_stdout, their_stderr);
        let slots = Arc::clone(&self.slots);
        tokio::spawn(async move {
            let exited = outlive(server, asked, exit_after).await;
            slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&spec.key);
            // Nobody may be interested in how it ended.
            let _ = sender.send(exited);
            instance.gone.cancel();
        });
        let attached = Attached::Stdio { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(stderr) };
        Ok(Started { attached, pid: None, container: None, notes: Vec::new(), exit })
    }

    fn ask(&self, key: &InstanceKey, ask: Ask) -> Result<(), BackendError> {
        let not_running = || BackendError::Io { what: key.to_string(), source: std::io::ErrorKind::NotFound.into() };
        self.instance(key).ok_or_else(not_running)?.ask.send_replace(ask);
        Ok(())
    }
}

impl Backend for SimulatedBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Simulated
    }

    fn start(&self, spec: StartSpec) -> Fut<'_, Result<Started, BackendError>> {
        Box::pin(async { self.launch(spec) })
    }

    fn stop(&self, key: &InstanceKey, close: Duration, term: Duration) -> Fut<'_, Result<(), BackendError>> {
        let instance = self.instance(key);
        Box::pin(async move {
            let Some(instance) = instance else { return Ok(()) };
            // A paused one would not see that its stdin is closed.
            instance.ask.send_if_modified(|ask| std::mem::replace(ask, Ask::Run) == Ask::Doze);
            if timeout(close, instance.gone.cancelled()).await.is_err() {
                instance.end(SIGTERM);
                let _ = timeout(term, instance.gone.cancelled()).await;
            }
            instance.gone.cancelled().await;
            Ok(())
        })
    }

    fn kill(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        let instance = self.instance(key);
        Box::pin(async move {
            if let Some(instance) = instance {
                instance.end(SIGKILL);
                instance.gone.cancelled().await;
            }
            Ok(())
        })
    }

    fn doze(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        Box::pin(std::future::ready(self.ask(key, Ask::Doze)))
    }

    fn wake(&self, key: &InstanceKey) -> Fut<'_, Result<(), BackendError>> {
        Box::pin(std::future::ready(self.ask(key, Ask::Run)))
    }

    fn usage(&self, keys: &[InstanceKey]) -> Fut<'_, Vec<(InstanceKey, InstanceUsage)>> {
        let slots = self.slots();
        let usage = keys.iter().filter_map(|key| Some((key.clone(), slots.get(key)?.usage()))).collect();
        Box::pin(std::future::ready(usage))
    }

    fn orphans(&self) -> Fut<'_, Vec<Orphan>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn reap(&self) -> Fut<'_, Result<u32, BackendError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

impl Instance {
    /// The first end that is asked for counts.
    fn end(&self, signal: i32) {
        self.ask.send_if_modified(|ask| {
            let first = !matches!(ask, Ask::End { .. });
            if first {
                *ask = Ask::End { signal };
            }
            first
        });
    }

    /// Wanders slowly around what was configured; a paused one keeps its memory and needs no cpu.
    fn usage(&self) -> InstanceUsage {
        let load = &self.load;
        let step = load.started.elapsed().as_secs() / 5;
        let mut random = fastrand::Rng::with_seed(load.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let calls = load.calls.load(Ordering::Relaxed).min(1000) as f64;
        let memory = load.memory as f64 * (0.9 + 0.1 * random.f64() + 0.0001 * calls);
        let cpu = if *self.ask.borrow() == Ask::Doze { 0.0 } else { 0.1 + 1.4 * random.f32() };
        InstanceUsage {
            cpu: Some(cpu),
            memory: Some(memory as u64),
            memory_limit: load.memory_limit,
            pids: Some(1),
            ..InstanceUsage::default()
        }
    }
}

fn refusal(fault: &SimulatedFault) -> Option<String> {
    match fault {
        SimulatedFault::RefuseStart(reason) => Some(reason.clone()),
        _ => None,
    }
}

/// Each instance has its own, the same in every run.
fn seed(key: &InstanceKey, seed: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, seed).hash(&mut hasher);
    hasher.finish()
}

/// Until it ends by itself, by its fault, or because it was asked to.
async fn outlive(server: Server, mut asked: watch::Receiver<Ask>, exit_after: Option<(Instant, i32)>) -> Exit {
    let mut ends = asked.clone();
    let asked_to_end = async {
        match ends.wait_for(|ask| matches!(ask, Ask::End { .. })).await.map(|ask| *ask) {
            Ok(Ask::End { signal }) => signal,
            _ => SIGKILL,
        }
    };
    let fault = async {
        match exit_after {
            Some((at, code)) => {
                sleep_until(at).await;
                code
            }
            None => std::future::pending().await,
        }
    };
    let (code, signal) = tokio::select! {
        biased;
        signal = asked_to_end => (None, Some(signal)),
        code = fault => (Some(code), None),
        code = server.serve(&mut asked) => (Some(code), None),
    };
    Exit { at: Stamp::now(), code, signal, oom: false }
}
