//! From a configuration to a handle: attached to the owner, or on a platform of this command's own for its moment.

use super::args::{Global, Output};
use super::error::{Error, config_error};
use crate::config::{self, Config, LoadOptions};
use crate::control::client::{self, AttachError};
use crate::control::lock::{self, Purpose};
use crate::control::{Handle, Link, peer};
use crate::model::message::Face;
use crate::model::{Answer, Operator, Query, Snapshot};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an owner that is just starting, or another command's moment, is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

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
        let config = load(global)?;
        match Self::attach(&config, global.output)? {
            Ok(session) => Ok(session),
            Err(AttachError::NoOwner { .. }) if need == Need::Any => Self::moment(config, global.output),
            Err(AttachError::NoOwner { path, .. }) => Err(no_owner(&path)),
            Err(error) => Err(error.into()),
        }
    }

    /// Attaches to a running owner, waiting for one that is just starting; the inner error if there is none.
    pub fn attach(config: &Config, output: Output) -> Result<Result<Self, AttachError>, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let attached = attach(&config.paths.socket, &runtime);
        Ok(attached.map(|handle| Self { handle, output, read_only: config.platform.read_only, runtime }))
    }

    /// A platform of our own, for as long as this command runs.
    fn moment(config: Config, _output: Output) -> Result<Self, Error> {
        Err(no_owner(&config.paths.socket))
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

fn attach(socket: &Path, runtime: &tokio::runtime::Runtime) -> Result<Handle, AttachError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match runtime.block_on(client::attach(socket, Face::Cli, runtime.handle())) {
            Ok(handle) => return Ok(handle),
            Err(error) if !error.passes() || Instant::now() > deadline => return Err(error),
            Err(error @ AttachError::NoOwner { .. }) if !owner_is_starting(socket) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Somebody holds the lock for good, and its socket is not there yet.
fn owner_is_starting(socket: &Path) -> bool {
    lock::holder(socket).is_some_and(|holder| holder.purpose == Purpose::Own)
}

fn no_owner(socket: &Path) -> Error {
    Error::no_owner(format!("nobody owns the platform at {}", socket.display()))
}
