//! The work that follows a step of an instance's life: start and connect, stop, kill, pause, probe. Each runs in a
//! task of its own and ends in one report to the actor. Decides nothing.

use super::actor::Msg;
use super::adopted;
use super::deck::Deck;
use super::gpus;
use super::launch::{Blueprint, Launch};
use super::logs;
use super::secrets::Used;
use crate::backend::{Attached, Exit, StartSpec, Started, What};
use crate::model::container::{ContainerKey, EngineState};
use crate::model::instance::BackendKind;
use crate::model::message::{Level, LogTarget};
use crate::model::secret::{Hidden, Secret};
use crate::model::server::{EraChoice, Via};
use crate::model::{Era, InstanceKey, Stamp};
use crate::router::{Connect, Demand, OpenError, OpenOptions, Opened};
use std::convert::Infallible;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A `restart_command` ends within this.
const RESTART_COMMAND: Duration = Duration::from_secs(60);
/// How long a child that closed its pipes may take to say how it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Between two attempts to reach what stands behind adopted containers.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Between two words of a start about how far it is.
const PROGRESS_PACE: Duration = Duration::from_millis(250);
/// How often a stop looks whether calls are still in flight.
const DRAIN_STEP: Duration = Duration::from_millis(20);

/// What became of the work.
pub enum Report {
    /// A process is there, its connection not yet.
    Attached {
        pid: Option<u32>,
        container: Option<ContainerKey>,
        notes: Vec<String>,
        used: Vec<Used>,
    },
    /// What the start is doing.
    Progress(String),
    Opened(Box<Opened>),
    StartFailed(String),
    Exited(Exit),
    Stopped,
    StopFailed(String),
    Dozed(Result<(), String>),
    Woken(Result<(), String>),
}

/// A creation that a stop may have to end first.
#[derive(Clone, Default)]
pub struct Creation {
    cancel: CancellationToken,
    done: CancellationToken,
}

impl Creation {
    async fn end(self) {
        self.cancel.cancel();
        self.done.cancelled().await;
    }
}

/// One instance's worker for one run.
#[derive(Clone)]
pub struct Worker {
    pub deck: Arc<Deck>,
    pub blueprint: Blueprint,
    pub kind: BackendKind,
    pub run: u32,
}

/// How to stop.
pub struct Stop {
    /// At once instead of in stages.
    pub kill: bool,
    /// With the containers that stand behind a remote one.
    pub take_down: bool,
    /// Calls in flight may take as long as the server's timeout.
    pub let_finish: bool,
    pub reason: String,
}

/// What a creation needs beside the blueprint.
pub struct Creating {
    pub needs: Result<Vec<InstanceKey>, String>,
    /// Era that was found last time.
    pub hint: Option<Era>,
    /// A remote's own command, if an operator asked for a restart.
    pub command: Option<Vec<String>>,
    pub creation: Creation,
}

impl Worker {
    fn key(&self) -> &InstanceKey {
        &self.blueprint.key
    }

    async fn report(&self, report: Report) {
        self.deck.tell(Msg::Work { key: self.key().clone(), run: self.run, report }).await;
    }

    /// Runs `work` to its report; a panic in it is the report `on_panic`.
    fn spawn(self, name: &'static str, on_panic: Report, work: impl Future<Output = Option<Report>> + Send + 'static) {
        let deck = self.deck.clone();
        let runtime = deck.options.runtime.clone();
        deck.clone().tasks.spawn_on(
            async move {
                let report = match tokio::spawn(work).await {
                    Ok(report) => report,
                    Err(error) => {
                        if error.is_panic() {
                            deck.panicked(name, error.into_panic().as_ref());
                        }
                        Some(on_panic)
                    }
                };
                if let Some(report) = report {
                    self.report(report).await;
                }
            },
            &runtime,
        );
    }

    /// Starts and connects; reports nothing if it was ended by a stop.
    pub fn create(self, creating: Creating) {
        let worker = self.clone();
        let creation = creating.creation.clone();
        self.spawn("start", Report::StartFailed("internal error".to_owned()), async move {
            let _done = creation.done.drop_guard();
            tokio::select! {
                made = worker.make(creating) => Some(match made {
                    Ok(opened) => Report::Opened(Box::new(opened)),
                    // It may have said its own secret as its last word.
                    Err(why) => Report::StartFailed(worker.deck.logs.masked(&LogTarget::Instance(worker.key().clone()), why)),
                }),
                () = creation.cancel.cancelled() => None,
            }
        });
    }

    /// Stops in stages, or at once. Calls in flight get the first stage's time to end.
    pub fn stop(self, stop: Stop, creation: Option<Creation>) {
        let worker = self.clone();
        self.spawn("stop", Report::StopFailed("internal error".to_owned()), async move {
            if let Some(creation) = creation {
                creation.end().await;
            }
            Some(match worker.end(&stop).await {
                Ok(()) => Report::Stopped,
                Err(why) => Report::StopFailed(why),
            })
        });
    }

    /// Pauses or (`wake`) wakes.
    pub fn pause(self, wake: bool) {
        let worker = self.clone();
        let report = move |result| if wake { Report::Woken(result) } else { Report::Dozed(result) };
        self.spawn("pause", report(Err("internal error".to_owned())), async move {
            let Some(backend) = worker.deck.backends.of(worker.kind) else {
                return Some(report(Err("nothing to pause".to_owned())));
            };
            let done = if wake { backend.wake(worker.key()).await } else { backend.doze(worker.key()).await };
            Some(report(done.map_err(|e| e.to_string())))
        });
    }

    /// Asks it on the traffic path.
    pub fn probe(self) {
        let deck = self.deck.clone();
        deck.spawn("probe", async move {
            let timeout = self.blueprint.def.settings.health.timeout;
            let mut facts = self.deck.router.probe(self.key(), timeout).await;
            facts.at = facts.at.or(Some(Stamp::now()));
            self.deck.tell(Msg::Probed { key: self.key().clone(), run: self.run, facts }).await;
        });
    }

    async fn make(&self, creating: Creating) -> Result<Opened, String> {
        self.wait_for(creating.needs?).await?;
        if let Some(command) = &creating.command {
            self.run_command(command).await?;
        }
        let choice = self.blueprint.def.settings.era;
        match self.attempt(choice, creating.hint).await {
            Err(Attempt::ExitedOnProbe) if choice == EraChoice::Auto => {
                let text = "it ended when asked for the modern era; starting it again for the legacy one";
                self.deck.logs.say(self.key(), Level::Info, text);
                self.attempt(EraChoice::Legacy, Some(Era::Legacy)).await.map_err(Attempt::into_reason)
            }
            other => other.map_err(Attempt::into_reason),
        }
    }

    async fn attempt(&self, era: EraChoice, hint: Option<Era>) -> Result<Opened, Attempt> {
        let prepared = self.blueprint.prepare(&self.deck.vault, &self.deck.options.program).await?;
        self.deck.logs.begin_run(self.key(), prepared.hidden.clone());
        let options = self.open_options(era, hint);
        match prepared.launch {
            Launch::Remote { url, headers } => {
                let container = match self.blueprint.adopted() {
                    Some(adopt) => {
                        let tell = |what| self.report(Report::Progress(what));
                        Some(adopted::start(&self.deck, adopt, tell).await?)
                    }
                    None => None,
                };
                let patient = container.is_some();
                self.report(Report::Attached { pid: None, container, notes: Vec::new(), used: prepared.used }).await;
                let opened = match patient {
                    true => self.open_soon(&url, headers, options).await,
                    false => self.deck.router.open(self.key(), self.remote(url, headers), options).await,
                };
                opened.map_err(|e| Attempt::Failed(e.to_string()))
            }
            Launch::Local(spec) => self.attempt_local(*spec, prepared.used, prepared.hidden, options).await,
        }
    }

    async fn attempt_local(
        &self,
        spec: StartSpec,
        used: Vec<Used>,
        hidden: Hidden,
        options: OpenOptions,
    ) -> Result<Opened, Attempt> {
        let backend = self.deck.backends.of(self.kind).ok_or_else(|| format!("no backend runs {}", self.key()))?;
        self.check_engine(&spec.what)?;
        self.check_gpu(&spec.what)?;
        let progress = spec.progress.subscribe();
        let started = tokio::select! {
            started = backend.start(spec) => started,
            never = self.tell_progress(progress) => match never {},
        };
        let Started { attached, pid, container, notes, mut exit } = started.map_err(|e| e.to_string())?;
        self.report(Report::Attached { pid, container, notes, used }).await;
        let connect = self.attach(attached, hidden);
        match self.deck.router.open(self.key(), connect, options).await {
            Ok(opened) => {
                self.watch(exit);
                Ok(opened)
            }
            Err(error) => {
                let last = tokio::time::timeout(LAST_WORDS, &mut exit).await;
                self.deck.router.close(self.key(), "it did not start");
                // Whatever is left of it; that it cannot be killed shows at the next start.
                let _ = backend.kill(self.key()).await;
                Err(match error {
                    OpenError::ExitedOnProbe => Attempt::ExitedOnProbe,
                    other => Attempt::Failed(self.why(&other, last.ok().and_then(Result::ok))),
                })
            }
        }
    }

    /// Nobody waits for an engine that is known to be silent.
    fn check_engine(&self, what: &What) -> Result<(), String> {
        let What::Container(container) = what else { return Ok(()) };
        let engine = self.deck.engines.named(container.engine.as_ref())?;
        match &engine.watch().borrow().state {
            EngineState::Silent { reason, .. } => Err(format!("engine {} is silent: {reason}", engine.id())),
            EngineState::Absent { reason } => Err(format!("engine {} is not there: {reason}", engine.id())),
            EngineState::Connecting | EngineState::Up => Ok(()),
        }
    }

    /// Better refused now, with who holds the rest, than a start that fails for memory after minutes.
    fn check_gpu(&self, what: &What) -> Result<(), String> {
        let What::Container(container) = what else { return Ok(()) };
        let is_here = self.deck.engines.named(container.engine.as_ref()).is_ok_and(|engine| engine.is_here());
        let need = container.gpu.as_ref().filter(|_| is_here);
        need.map_or(Ok(()), |need| gpus::fits(need, &self.deck.picture.get().gpus))
    }

    /// Waits until `url`, whose containers were started just now, answers.
    async fn open_soon(
        &self,
        url: &str,
        headers: Vec<(String, Secret)>,
        options: OpenOptions,
    ) -> Result<Opened, OpenError> {
        let begun = Instant::now();
        let deadline = begun + options.timeout;
        loop {
            let timeout = deadline.saturating_duration_since(Instant::now());
            let options = OpenOptions { timeout, ..options.clone() };
            let connect = self.remote(url.to_owned(), headers.clone());
            let error = match self.deck.router.open(self.key(), connect, options).await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if Instant::now() + ASK_AGAIN > deadline {
                return Err(error);
            }
            let waited = begun.elapsed().as_secs();
            self.report(Report::Progress(format!("waits for {url}, {waited} s: {error}"))).await;
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Passes on what a start is doing; a burst is one.
    async fn tell_progress(&self, mut progress: watch::Receiver<String>) -> Infallible {
        while progress.changed().await.is_ok() {
            let what = progress.borrow_and_update().clone();
            self.report(Report::Progress(what)).await;
            tokio::time::sleep(PROGRESS_PACE).await;
        }
        std::future::pending().await
    }

    /// How a server at a url is spoken to.
    fn remote(&self, url: String, headers: Vec<(String, Secret)>) -> Connect {
        match self.blueprint.def.via {
            Via::Auto => Connect::Http { url, headers },
            Via::Sse => Connect::Sse { url, headers },
            Via::Query => Connect::Query { url, headers },
        }
    }

    fn attach(&self, attached: Attached, hidden: Hidden) -> Connect {
        match attached {
            Attached::Http { url } => Connect::Http { url, headers: Vec::new() },
            Attached::Stdio { stdin, stdout, stderr } => {
                self.deck.spawn("log pump", logs::pump(stderr, self.deck.logs.clone(), self.key().clone()));
                Connect::Stdio { stdin, stdout, hidden }
            }
        }
    }

    /// The exit says more than the broken pipe that it left, and its last words say most.
    fn why(&self, error: &OpenError, exit: Option<Exit>) -> String {
        let Some(exit) = exit else { return error.to_string() };
        match self.deck.logs.last_stderr(self.key()) {
            Some(line) if line.run > 0 => format!("{exit}: {}", line.text.chars().take(160).collect::<String>()),
            _ => format!("{exit} before it answered"),
        }
    }

    fn watch(&self, exit: oneshot::Receiver<Exit>) {
        let worker = self.clone();
        self.deck.spawn("exit watch", async move {
            let gone = Exit { at: Stamp::now(), code: None, signal: None, oom: false };
            let exit = exit.await.unwrap_or(gone);
            worker.report(Report::Exited(exit)).await;
        });
    }

    fn open_options(&self, era: EraChoice, hint: Option<Era>) -> OpenOptions {
        let settings = &self.blueprint.def.settings;
        OpenOptions {
            era,
            hint,
            probe_timeout: settings.probe_timeout,
            timeout: settings.start_timeout,
            max_message: settings.max_message,
            max_in_flight: settings.max_in_flight,
        }
    }

    /// Starts what it needs, all at once, and waits until each serves.
    async fn wait_for(&self, needs: Vec<InstanceKey>) -> Result<(), String> {
        let timeout = self.blueprint.def.settings.start_timeout;
        let deadline = Instant::now() + timeout;
        let mut waiting = Vec::with_capacity(needs.len());
        for key in needs {
            let (reply, served) = oneshot::channel();
            self.deck.tell(Msg::Need(Demand { key: key.clone(), deadline, reply })).await;
            waiting.push((key, served));
        }
        for (key, served) in waiting {
            match tokio::time::timeout_at(deadline, served).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(why))) => return Err(format!("needs {key}: {why}")),
                Ok(Err(_)) => return Err(format!("needs {key}, which is gone")),
                Err(_) => return Err(format!("needs {key}, which was not ready within {} s", timeout.as_secs())),
            }
        }
        Ok(())
    }

    async fn run_command(&self, command: &[String]) -> Result<(), String> {
        let (program, arguments) = command.split_first().ok_or("restart_command is empty")?;
        let mut child = tokio::process::Command::new(program);
        child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let seconds = RESTART_COMMAND.as_secs();
        let ended = tokio::time::timeout(RESTART_COMMAND, child.status()).await;
        let status = ended.map_err(|_| format!("restart_command {program} did not end within {seconds} s"))?;
        match status.map_err(|e| format!("cannot run restart_command {program}: {e}"))? {
            status if status.success() => Ok(()),
            status => Err(format!("restart_command {program} ended with {status}")),
        }
    }

    async fn end(&self, stop: &Stop) -> Result<(), String> {
        let settings = &self.blueprint.def.settings;
        let left = self.deck.stop_time_left();
        let close = settings.stop_close.min(left / 2);
        if !stop.kill {
            self.drain(if stop.let_finish { settings.timeout.min(left) } else { close }).await;
        }
        self.deck.router.close(self.key(), &stop.reason);
        let term = settings.stop_term.min(left / 2);
        if let Some(adopt) = self.blueprint.adopted().filter(|_| stop.take_down) {
            return adopted::stop(&self.deck, adopt, stop.kill, close + term).await;
        }
        let Some(backend) = self.deck.backends.of(self.kind) else { return Ok(()) };
        let ended = match stop.kill {
            true => backend.kill(self.key()).await,
            false => backend.stop(self.key(), close, term).await,
        };
        ended.map_err(|e| e.to_string())
    }

    async fn drain(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.deck.router.activity(self.key()).in_flight > 0 && Instant::now() < deadline {
            tokio::time::sleep(DRAIN_STEP).await;
        }
    }
}

/// Why one attempt to start did not work.
enum Attempt {
    ExitedOnProbe,
    Failed(String),
}

impl Attempt {
    fn into_reason(self) -> String {
        match self {
            Self::ExitedOnProbe => OpenError::ExitedOnProbe.to_string(),
            Self::Failed(why) => why,
        }
    }
}

impl From<String> for Attempt {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}
