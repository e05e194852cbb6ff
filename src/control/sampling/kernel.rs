//! What the kernel's files tell, read on a thread that may block. What is looked at for the first time is read twice,
//! a tenth of a second apart, so that a rate is known at once.

use crate::metrics::{Containers, Groups, Host, Target};
use crate::model::InstanceKey;
use crate::model::container::ContainerKey;
use crate::model::usage::{HostUsage, InstanceUsage};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between the first two samples of something.
const SECOND_SAMPLE: Duration = Duration::from_millis(100);

/// What to read.
#[derive(Default)]
pub struct Wanted {
    pub host: bool,
    pub groups: Vec<(InstanceKey, u32)>,
    pub containers: Vec<Target>,
    /// Running ones; the files of others are let go.
    pub running: Arc<BTreeSet<ContainerKey>>,
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
    pub async fn open(state: &Path) -> Option<Self> {
        let state = state.to_owned();
        let opened = tokio::task::spawn_blocking(move || Samplers {
            host: Host::new(&state),
            groups: Groups::new(),
            containers: Containers::new(),
        });
        Some(Self { samplers: Arc::new(Mutex::new(opened.await.ok()?)) })
    }

    /// `None` if the reading panicked.
    pub async fn measure(&self, wanted: Wanted) -> Option<Measured> {
        let (mut measured, again) = self.read(wanted).await?;
        if !again.groups.is_empty() || !again.containers.is_empty() {
            tokio::time::sleep(SECOND_SAMPLE).await;
            let (second, _) = self.read(again).await?;
            measured.groups.extend(second.groups);
            measured.containers.extend(second.containers);
        }
        Some(measured)
    }

    /// One sample, and what of it is to be read again for its rates.
    async fn read(&self, wanted: Wanted) -> Option<(Measured, Wanted)> {
        let samplers = self.samplers.clone();
        let read = move || samplers.lock().unwrap_or_else(PoisonError::into_inner).read(wanted);
        tokio::task::spawn_blocking(read).await.ok()
    }
}

impl Samplers {
    fn read(&mut self, mut wanted: Wanted) -> (Measured, Wanted) {
        self.containers.keep(&wanted.running);
        let again = Wanted {
            host: false,
            groups: wanted.groups.iter().filter(|(_, pgid)| !self.groups.knows(*pgid)).cloned().collect(),
            containers: wanted.containers.iter().filter(|t| !self.containers.knows(&t.key)).cloned().collect(),
            running: std::mem::take(&mut wanted.running),
        };
        let measured = Measured {
            host: wanted.host.then(|| self.host.sample()),
            groups: self.groups.sample(&wanted.groups).into_iter().collect(),
            containers: self.containers.sample(&wanted.containers).into_iter().collect(),
        };
        let groups = again.groups.into_iter().filter(|(key, _)| measured.groups.contains_key(key)).collect();
        let containers = again.containers.into_iter().filter(|t| measured.containers.contains_key(&t.key)).collect();
        (measured, Wanted { groups, containers, ..again })
    }
}
