//! From a configuration to a handle: attached to the owner, or on a platform of this command's own for its moment.

use super::args::{Global, Output};
use super::error::{Error, config_error};
use super::{output, serve};
use crate::config::{self, Config, LoadOptions};
use crate::control::client::AttachError;
use crate::control::handle::Interest;
use crate::control::lock::{self, Purpose};
use crate::control::logs::Logs;
use crate::control::owner::{self, Found, Owner};
use crate::control::{Handle, Link, peer};
use crate::model::container::{ContainerRow, ContainerState, EngineState};
use crate::model::gpu::GpuState;
use crate::model::message::Face;
use crate::model::{Answer, Operator, Query, Snapshot};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An engine that is there answers sooner; one that is not is told as such.
const ENGINES: Duration = Duration::from_secs(3);
/// Two samples, a tenth of a second apart, on a busy machine.
const USAGE: Duration = Duration::from_secs(1);
/// A driver takes its time to begin.
const GPUS: Duration = Duration::from_secs(5);

/// Who must be there for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A running owner.
    Owner,
    /// An owner, else a platform of our own for this moment.
    Any,
}

/// A command's way to the platform.
pub struct Session {
    pub handle: Handle,
    pub output: Output,
    /// Acts are refused here, whatever the owner allows.
    pub read_only: bool,
    runtime: tokio::runtime::Runtime,
    /// The platform of our own, if nobody owned it.
    moment: Option<Owner>,
}

/// Where the layers of the configuration come from.
pub fn load_options(global: &Global, file: Option<PathBuf>) -> LoadOptions {
    let mut set = global.set.clone();
    if global.read_only {
        set.push(("platform.read_only".to_owned(), "true".to_owned()));
    }
    let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    LoadOptions { file: file.or_else(|| global.config.clone()), env: variables.collect(), set }
}

/// The checked configuration.
pub fn load(global: &Global) -> Result<Config, Error> {
    config::load(&load_options(global, None)).map_err(|problems| config_error(&problems))
}

/// The operator of this command.
pub fn operator() -> Operator {
    peer::own_operator(Face::Cli)
}

impl Session {
    /// Attaches to the owner; with none, what `need` says.
    pub fn open(global: &Global, need: Need) -> Result<Self, Error> {
        let config = match load(global) {
            Ok(config) => Arc::new(config),
            Err(error) => return Self::beside_broken(global, error),
        };
        if need == Need::Owner {
            return Ok(Self::attach(&config, global.output)??);
        }
        let runtime = serve::runtime()?;
        let found = runtime.block_on(owner::open_or_attach(&config, Face::Cli, Purpose::Moment, &Logs::new(), None))?;
        let (handle, moment) = match found {
            Found::Attached(handle) => (handle, None),
            Found::Owner(owner) => (owner.handle(), Some(*owner)),
        };
        if let Some(owner) = &moment {
            runtime.block_on(owner.ready())?;
        }
        let (output, read_only) = (global.output, config.platform.read_only);
        Ok(Self { handle, output, read_only, runtime, moment })
    }

    /// The owner runs by what the files said before they were broken: it must still be reached.
    fn beside_broken(global: &Global, error: Error) -> Result<Self, Error> {
        let config = config::salvage(&load_options(global, None));
        match config.filter(|config| lock::holder(&config.paths.socket).is_some()) {
            Some(config) => {
                output::remark(global.output, &format!("the owner runs an earlier configuration: {}", error.message));
                Ok(Self::attach(&config, global.output)??)
            }
            None => Err(error),
        }
    }

    /// Attaches to a running owner, waiting for one that is just starting; the inner error if there is none.
    pub fn attach(config: &Config, output: Output) -> Result<Result<Self, AttachError>, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let attached = runtime.block_on(owner::attach(&config.paths.socket, Face::Cli));
        let read_only = config.platform.read_only;
        Ok(attached.map(|handle| Self { handle, output, read_only, runtime, moment: None }))
    }

    /// True on a platform of our own, which ends with this command.
    pub fn is_momentary(&self) -> bool {
        self.moment.is_some()
    }

    /// The newest snapshot.
    pub fn state(&self) -> Arc<Snapshot> {
        self.handle.state()
    }

    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub fn ask(&self, query: Query) -> Result<Answer, Error> {
        Ok(self.wait(self.handle.ask(query))?)
    }

    /// Waits until every engine said what it has, or that it is not there; not for a silent one.
    pub fn until_engines(&self) -> Result<(), Error> {
        let known = |state: &Snapshot| state.engines.iter().all(|row| row.state != EngineState::Connecting);
        // An owner that just started has none yet.
        self.until_within(ENGINES, |state| !state.engines.is_empty() && known(state))
    }

    /// The state to find `name` in: what is no server may be a container of an engine that is just being asked.
    pub fn state_with(&self, name: &str) -> Result<Arc<Snapshot>, Error> {
        let server = name.split(['@', '#']).next().unwrap_or(name);
        if self.state().server(server).is_none() {
            self.until_engines()?;
        }
        Ok(self.state())
    }

    /// Waits for the engines, then until what runs is sampled; it stays so while the session lasts.
    pub fn until_usage(&self, watching: bool) -> Result<(), Error> {
        self.until_engines()?;
        let state = self.state();
        let running = |row: &&Arc<ContainerRow>| row.state == ContainerState::Running;
        let containers = state.containers.iter().filter(running).map(|row| row.key.clone()).collect();
        let instances = state.instances.iter().map(|row| row.key.clone()).collect();
        self.handle.interest(Interest { watching: true, instances, containers, gpus: watching });
        let sampled = |state: &Snapshot| state.containers.iter().filter(running).all(|row| row.usage.cpu.is_some());
        self.until_within(USAGE, sampled)
    }

    /// Waits until the driver was asked; it is asked on while the session lasts.
    pub fn until_gpus(&self, watching: bool) -> Result<(), Error> {
        self.handle.interest(Interest { watching: true, gpus: true, ..Interest::default() });
        if watching {
            return Ok(());
        }
        self.until_within(GPUS, |state| state.gpus.state != GpuState::Unasked)
    }

    /// Waits for `found`, but no longer than `limit`: what is not known by then is shown as such.
    fn until_within(&self, limit: Duration, found: impl Fn(&Snapshot) -> bool) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        self.wait(async {
            let mut revisions = self.handle.revisions();
            loop {
                revisions.mark_unchanged();
                if found(&self.handle.state()) {
                    return Ok(());
                }
                if let Link::Lost { reason, .. } = self.handle.link() {
                    return Err(Error::no_owner(format!("the owner went away: {reason}")));
                }
                let changed = tokio::time::timeout_at(deadline, revisions.changed()).await;
                match changed {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(Error::no_owner("the owner went away")),
                    Err(_) => return Ok(()),
                }
            }
        })
    }

    /// Looks at each new snapshot until `found` finds something; an error once the owner is gone.
    pub fn until<T>(&self, mut found: impl FnMut(&Snapshot) -> Option<T>) -> Result<T, Error> {
        self.wait(async {
            let mut revisions = self.handle.revisions();
            loop {
                revisions.mark_unchanged();
                if let Some(result) = found(&self.handle.state()) {
                    return Ok(result);
                }
                if let Link::Lost { reason, .. } = self.handle.link() {
                    return Err(Error::no_owner(format!("the owner went away: {reason}")));
                }
                if revisions.changed().await.is_err() {
                    return Err(Error::no_owner("the owner went away"));
                }
            }
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(owner) = self.moment.take() {
            let left = self.runtime.block_on(owner.stop(serve::STOP));
            if !left.is_empty() {
                output::note(&format!("did not end in time: {}", left.join(", ")));
            }
        }
    }
}
