//! `serve`, and the life of an owner without a screen.

use super::args::{Global, Output};
use super::error::{Code, Error};
use super::log;
use super::output::{json_line, note, print};
use super::service::{self, State};
use super::session::{self, load_options};
use crate::api::Listening;
use crate::config::Config;
use crate::control::Handle;
use crate::control::lock::Purpose;
use crate::control::logs::Logs;
use crate::control::owner::Owner;
use crate::model::{Act, Command, JobId, Operator};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Everything is stopped within this, or killed.
pub const STOP: Duration = Duration::from_secs(15);

/// Runs `serve` until it is told to stop.
pub fn run(global: &Global) -> Result<Code, Error> {
    let config = Arc::new(session::load(global)?);
    let logs = start_log(&config, true)?;
    let runtime = runtime()?;
    // From here on: a signal that comes during the start is one that ends it, and whoever was told that we are ready may send
    // SIGHUP at once.
    let (signals, hangup) = runtime.block_on(async { Signals::new().and_then(|all| Ok((all, hangup()?))) })?;
    let owner = runtime.block_on(Owner::start(config.clone(), Purpose::Own, logs, Some(load_options(global, None))))?;
    if let Err(error) = runtime.block_on(owner.ready()) {
        runtime.block_on(owner.stop(STOP));
        return Err(error.into());
    }
    let life = runtime.block_on(Life::begin(owner))?;
    tell_ready(global.output, &config, life.addresses())?;
    service::tell(State::Ready);
    runtime.block_on(async {
        let signals = tokio::select! {
            told = told(&life, signals) => told,
            never = reload_on_hangup(life.owner.handle(), hangup) => match never {},
        };
        service::tell(State::Stopping);
        stop(life, signals, STOP).await
    })
}

/// A platform that this process owns, and its gateway.
pub struct Life {
    pub owner: Owner,
    gateway: Option<Listening>,
}

impl Life {
    /// Opens the gateway, if the configuration has one; a platform that cannot listen is stopped again.
    pub async fn begin(owner: Owner) -> Result<Self, Error> {
        match Listening::open(owner.handle()).await {
            Ok(gateway) => Ok(Self { owner, gateway }),
            Err(error) => {
                owner.stop(STOP).await;
                Err(error.into())
            }
        }
    }

    fn addresses(&self) -> &[SocketAddr] {
        self.gateway.as_ref().map_or(&[], |gateway| &gateway.addresses)
    }

    /// Lets the gateway's calls end, then stops everything; returns what did not end in time.
    async fn end(self, deadline: Duration) -> Vec<String> {
        let begun = Instant::now();
        if let Some(gateway) = self.gateway {
            gateway.close(deadline).await;
        }
        self.owner.stop(deadline.saturating_sub(begun.elapsed())).await
    }
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    platform: &'a str,
    pid: u32,
    socket: String,
    /// Where the gateway listens.
    api: &'a [SocketAddr],
}

/// The one line of `serve` on standard output.
fn tell_ready(format: Output, config: &Config, api: &[SocketAddr]) -> Result<(), Error> {
    let ready = Ready {
        ready: true,
        platform: &config.platform.name,
        pid: std::process::id(),
        socket: config.paths.socket.display().to_string(),
        api,
    };
    let also: String = api.iter().map(|address| format!(", http://{address}")).collect();
    match format {
        Output::Json => print(&json_line(&ready)?),
        Output::Table => print(&format!("ready: {} (pid {}) at {}{also}\n", ready.platform, ready.pid, ready.socket)),
    }
}

/// A thread for what blocks is kept for so long: what is sampled each second needs one of them, not all that the start did.
const IDLE: Duration = Duration::from_millis(1500);

/// A runtime for an owner, which may open as many files as it is allowed to at all: pipes and sockets add up.
pub fn runtime() -> Result<Runtime, Error> {
    let limit = getrlimit(Resource::Nofile);
    // Where it may not be raised, there is less room.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(cores.clamp(2, 8)).thread_name("mcpdeck").enable_all();
    Ok(builder.thread_keep_alive(IDLE).build()?)
}

/// mcpdeck's own log: kept for the Logs view, and on standard error where nobody draws.
pub fn start_log(config: &Config, stderr: bool) -> Result<Arc<Logs>, Error> {
    let logs = Logs::new();
    let filter = |text: &str| {
        EnvFilter::try_new(text).map_err(|e| {
            Error::new(Code::Config, "config", format!("log = \"{text}\": {e}"))
                .help("a level (error, warn, info, debug, trace), or target=level pairs with commas")
        })
    };
    let lines = stderr.then(|| log::lines(config.platform.log_format));
    let all = logs.layer().and_then(lines).with_filter(filter(&config.log)?);
    // Fails only where a test has set another one before.
    let _ = tracing_subscriber::registry().with(all).try_init();
    Ok(logs)
}

/// The signals that matter to an owner.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Never ends an owner without a screen; caught so that it does not by default.
    _hangup: Signal,
}

impl Signals {
    /// Call it inside the runtime.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hangup: hangup()?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Every SIGHUP from here on. Call it inside the runtime.
fn hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// SIGHUP under `serve`: the configuration is read again, one reload after the other.
async fn reload_on_hangup(handle: Handle, mut hangup: Signal) -> Infallible {
    loop {
        if hangup.recv().await.is_none() {
            return std::future::pending().await;
        }
        service::tell(State::Reloading);
        let operator = Operator { name: "SIGHUP".to_owned(), ..session::operator() };
        match handle.run(Act { command: Command::Reload, operator, confirm: None }).await {
            Ok(job) => ended(&handle, job).await,
            Err(why) => tracing::warn!("SIGHUP does not reload: {why}"),
        }
        service::tell(State::Ready);
    }
}

/// Returns when the job is over; what became of it is an event, and in the log.
async fn ended(handle: &Handle, job: JobId) {
    let mut revisions = handle.revisions();
    loop {
        let state = handle.state();
        if let Some(row) = state.jobs.iter().find(|row| row.id == job && row.outcome.is_some()) {
            tracing::info!("SIGHUP: {}", row.message);
            return;
        }
        if revisions.changed().await.is_err() {
            return;
        }
    }
}

/// Serves until a signal or the shutdown command, then stops everything.
pub async fn until_told(life: Life, signals: Signals) -> Result<Code, Error> {
    let signals = told(&life, signals).await;
    stop(life, signals, STOP).await
}

/// Returns at a signal or the shutdown command.
async fn told(life: &Life, mut signals: Signals) -> Signals {
    tokio::select! {
        () = signals.any() => {}
        () = life.owner.asked_to_stop() => {}
    }
    signals
}

/// Stops everything in order; a second signal ends the process at once, and its helper kills what it started.
#[expect(clippy::disallowed_methods, reason = "the screen is gone, and whoever signals twice does not want to wait")]
pub async fn stop(life: Life, mut signals: Signals, deadline: Duration) -> Result<Code, Error> {
    let left = tokio::select! {
        left = life.end(deadline) => left,
        () = signals.any() => {
            note("killed while stopping; what was started is killed, too");
            std::process::exit(Code::Failed as i32);
        }
    };
    match left.is_empty() {
        true => Ok(Code::Ok),
        false => Err(Error::failed(format!("did not end in time: {}", left.join(", ")))),
    }
}
