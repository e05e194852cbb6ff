//! What the kernel's files tell, read on a thread that may block. What is looked at for the first time is read twice,
//! with the shortest time between that tells a rate, so that one is known soon; containers are looked at before anybody
//! asks.

use crate::metrics::{Containers, Groups, Host, Target};
use crate::model::InstanceKey;
use crate::model::container::ContainerKey;
use crate::model::usage::{HostUsage, InstanceUsage};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Between the first two samples of something.
const SECOND_SAMPLE: Duration = Duration::from_millis(100);

/// What to read.
#[derive(Default)]
pub struct Wanted {
    pub host: bool,
    pub groups: Vec<(InstanceKey, u32)>,
    pub containers: Vec<Target>,
    /// Running ones: the files of others are let go. `None` while no engine has said.
    pub running: Option<BTreeSet<ContainerKey>>,
}

/// What was read; a container that is not in it cannot be.
#[derive(Default)]
pub struct Measured {
    pub host: Option<HostUsage>,
    pub groups: BTreeMap<InstanceKey, InstanceUsage>,
    pub containers: BTreeMap<ContainerKey, InstanceUsage>,
}

/// The samplers of this machine.
#[derive(Clone)]
pub struct Kernel {
    samplers: Arc<Mutex<Samplers>>,
}

struct Samplers {
    host: Host,
    groups: Groups,
    containers: Containers,
}

impl Kernel {
    /// Reads a few small files.
    pub async fn open(state: &Path, has_containers: bool) -> Option<Self> {
        let state = state.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let mut containers = Containers::new();
            if has_containers {
                containers.look();
            }
            Samplers { host: Host::new(&state), groups: Groups::new(), containers }
        });
        Some(Self { samplers: Arc::new(Mutex::new(opened.await.ok()?)) })
    }

    /// `None` if the reading panicked.
    pub async fn measure(&self, wanted: Wanted) -> Option<Measured> {
        let (mut measured, again, ready_at) = self.read(wanted).await?;
        if !again.groups.is_empty() || !again.containers.is_empty() {
            tokio::time::sleep_until(ready_at).await;
            let (second, ..) = self.read(again).await?;
            measured.groups.extend(second.groups);
            measured.containers.extend(second.containers);
        }
        Some(measured)
    }

    /// One sample, what of it is to be read again for its rates, and when.
    async fn read(&self, wanted: Wanted) -> Option<(Measured, Wanted, Instant)> {
        let samplers = self.samplers.clone();
        let read = move || samplers.lock().unwrap_or_else(PoisonError::into_inner).read(wanted);
        tokio::task::spawn_blocking(read).await.ok()
    }
}

impl Samplers {
    fn read(&mut self, wanted: Wanted) -> (Measured, Wanted, Instant) {
        if let Some(running) = &wanted.running {
            self.containers.keep(running);
        }
        let fresh = |(_, pgid): &&(InstanceKey, u32)| !self.groups.knows(*pgid);
        let fresh: Vec<_> = wanted.groups.iter().filter(fresh).cloned().collect();
        let measured = Measured {
            host: wanted.host.then(|| self.host.sample()),
            groups: self.groups.sample(&wanted.groups).into_iter().collect(),
            containers: self.containers.sample(&wanted.containers).into_iter().collect(),
        };
        let no_rate = |key: &ContainerKey| measured.containers.get(key).is_some_and(|usage| usage.cpu.is_none());
        let containers: Vec<Target> = wanted.containers.into_iter().filter(|target| no_rate(&target.key)).collect();
        let groups: Vec<_> = fresh.into_iter().filter(|(key, _)| measured.groups.contains_key(key)).collect();
        let ready = containers.iter().filter_map(|target| self.containers.ready_at(&target.key));
        let latest = Instant::now() + SECOND_SAMPLE;
        let ready_at = if groups.is_empty() { ready.max().map_or(latest, Instant::from_std) } else { latest };
        (measured, Wanted { groups, containers, ..Wanted::default() }, ready_at)
    }
}
