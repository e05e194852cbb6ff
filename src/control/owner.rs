//! Open or attach: a process becomes the platform's owner (lock, platform, socket) or finds the one there is.

use super::client::{self, AttachError};
use super::door::{BindError, Door};
use super::handle::Handle;
use super::lock::{self, Lock, LockError, Purpose};
use super::logs::Logs;
use super::platform::{self, Platform, StartError, StartOptions};
use super::server::Server;
use super::snapshot::Builder;
use crate::config::{Config, LoadOptions, OnHangup, OwnerMode};
use crate::model::message::Face;
use crate::model::snapshot::PlatformInfo;
use crate::model::{Snapshot, Stamp};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an owner that is just starting, or another command's moment, is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What there was to find.
pub enum Found {
    /// Nobody owned the platform; this process does now.
    Owner(Box<Owner>),
    Attached(Handle),
}

/// A platform that this process owns.
pub struct Owner {
    platform: Platform,
    /// `None` for the length of one command.
    server: Option<Server>,
    /// Given up last.
    _lock: Lock,
}

/// Why this process does not own the platform.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// `owner = "serve"`.
    #[error("[platform] owner = \"serve\": only `mcpdeck serve` owns this platform, and it is not running")]
    ServeOnly,
    #[error("cannot find our own program: {0}")]
    Program(std::io::Error),
}

impl Owner {
    /// Takes the lock, starts the platform and, unless it is for a moment only, opens the socket. A few milliseconds:
    /// what is slow (the store, secrets, instances) comes behind it.
    /// Everything runs on the runtime that this is called in. `again`: how the configuration is read when it is reloaded.
    pub async fn start(
        config: Arc<Config>,
        purpose: Purpose,
        logs: Arc<Logs>,
        again: Option<LoadOptions>,
    ) -> Result<Self, OwnError> {
        let socket = config.paths.socket.clone();
        let lock = lock::take_soon(&socket, purpose, PATIENCE).await?;
        let momentary = purpose == Purpose::Moment;
        let listening = match momentary {
            true => None,
            false => Some(Door::open(&socket, config.platform.socket_group.as_deref(), &lock)?),
        };
        let program = std::env::current_exe().map_err(OwnError::Program)?;
        let options =
            StartOptions { runtime: tokio::runtime::Handle::current(), program, momentary, logs, reload: again };
        let platform = platform::start(config, options)?;
        let server = listening.map(|door| Server::start(door, platform.handle.clone()));
        Ok(Self { platform, server, _lock: lock })
    }

    pub fn handle(&self) -> Handle {
        self.platform.handle.clone()
    }

    /// Waits until the store is open and the router serves; the error if that cannot be.
    pub async fn ready(&self) -> Result<(), StartError> {
        self.platform.ready().await
    }

    /// Waits until an operator gives the shutdown command.
    pub async fn asked_to_stop(&self) {
        self.platform.asked_to_stop().await;
    }

    /// Stops everything before `deadline`, then hangs up on the consoles, and gives up the platform. Returns what did
    /// not end in time.
    pub async fn stop(self, deadline: Duration) -> Vec<String> {
        let left = self.platform.shutdown(deadline).await;
        if let Some(server) = self.server {
            server.stop().await;
        }
        left
    }
}

/// Attaches to the owner, or becomes it.
pub async fn open_or_attach(
    config: &Arc<Config>,
    face: Face,
    purpose: Purpose,
    logs: &Arc<Logs>,
    again: Option<LoadOptions>,
) -> Result<Found, OwnError> {
    match attach(&config.paths.socket, face).await {
        Ok(handle) => return Ok(Found::Attached(handle)),
        Err(AttachError::NoOwner(_)) if config.platform.owner == OwnerMode::Serve => {
            return Err(OwnError::ServeOnly);
        }
        Err(AttachError::NoOwner(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match Owner::start(config.clone(), purpose, logs.clone(), again).await {
        Ok(owner) => Ok(Found::Owner(Box::new(owner))),
        // Somebody else was quicker.
        Err(OwnError::Lock(LockError::Held(_))) => Ok(Found::Attached(attach(&config.paths.socket, face).await?)),
        Err(error) => Err(error),
    }
}

/// Attaches to a running owner; one that is just starting, or ending, is waited for.
pub async fn attach(socket: &Path, face: Face) -> Result<Handle, AttachError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client::attach(socket, face, &tokio::runtime::Handle::current()).await {
            Ok(handle) => return Ok(handle),
            Err(error) if !error.passes() || Instant::now() > deadline => return Err(error),
            Err(error @ AttachError::NoOwner(_)) if !owner_is_starting(socket) => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Somebody holds the lock for good, and its socket is not there yet.
fn owner_is_starting(socket: &Path) -> bool {
    lock::holder(socket).is_some_and(|holder| holder.purpose == Purpose::Own)
}

/// A handle that shows nothing until `mcpdeck serve` runs.
pub fn attach_later(config: &Config, face: Face, runtime: &tokio::runtime::Handle) -> Handle {
    let socket = &config.paths.socket;
    client::attach_later(socket, face, runtime, nothing_yet(config), AttachError::NoOwner(socket.clone()))
}

/// What a console shows that never saw an owner: the platform's name.
fn nothing_yet(config: &Config) -> Arc<Snapshot> {
    let platform = PlatformInfo {
        name: config.platform.name.clone(),
        environment: config.platform.environment,
        read_only: config.platform.read_only,
        guards: config.guards.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: 0,
        boot: Stamp::default(),
        config: config.source.as_ref().map(|path| path.display().to_string()),
        socket: config.paths.socket.display().to_string(),
        state_dir: config.paths.state.display().to_string(),
        example_traffic: None,
        keeps_running: config.platform.on_hangup == OnHangup::Keep,
        open_to: None,
        gateway: None,
        warnings: Vec::new(),
        config_trouble: None,
    };
    Builder::new(Arc::new(platform)).last().clone()
}
