//! The loop: input, answers and snapshots in, effects and frames out. It waits for nothing but these.

use super::app::{App, Effect, Filtered, Msg, Options, Token};
use super::console::tree::Tree;
use super::decode::Typed;
use super::host::{Host, TtyHost};
use super::input::{Input, Reader};
use super::pace::{Frame, Pace};
use super::term::Tty;
use super::theme::watch::Watch;
use super::theme::{ColorMode, Theme, ThemeError, files};
use super::{draw, jq, shell, update::update};
use crate::control::Handle;
use crate::control::handle::Interest;
use crate::model::message::{Exec, Level};
use crate::model::{Act, Chunk, Refusal, Snapshot, Stamp};
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::layout::Rect;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Messages on their way to the screen; a full queue makes their tasks wait, never the screen.
const QUEUE: usize = 256;

/// How a screen ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The operator left an attached console.
    Quit,
    /// The operator left an owner's screen; the platform keeps running.
    Detach,
    /// The operator stops everything.
    Stop,
    /// The terminal vanished, or SIGHUP.
    Hangup,
    /// SIGTERM.
    Terminated,
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no terminal: {0}; mcpdeck's screen needs one (`mcpdeck serve` runs without, `mcpdeck frame` prints one picture)"
    )]
    NoTerminal(io::Error),
    #[error("TERM=dumb: this terminal cannot hold a screen; `mcpdeck status` and `mcpdeck get` tell the same in lines")]
    Dumb,
    #[error("the terminal failed: {0}")]
    Terminal(String),
    #[error("the screen failed: {0}")]
    Panicked(String),
}

/// Whether a screen may be tried at all, from the name of the terminal (`TERM`): asked before anything is started for it.
pub fn fits(term: Option<&str>) -> Result<(), Error> {
    match term {
        Some("dumb") => Err(Error::Dumb),
        _ => Ok(()),
    }
}

/// Runs a screen on a thread of its own, until it ends. The terminal is whole again when this returns.
pub fn run(handle: Handle, options: Options) -> Result<Ended, Error> {
    let tty = Tty::open(options.mouse).map_err(Error::NoTerminal)?;
    let (panics, caught) = mpsc::channel(16);
    let hook = super::panic::Hook::install(tty.clone(), panics);
    let screen = tty.clone();
    let thread = std::thread::Builder::new()
        .name(super::panic::SCREEN.to_owned())
        .spawn(move || on_thread(handle, options, screen, caught))
        .map_err(Error::NoTerminal)?;
    let ended = thread.join();
    tty.leave();
    drop(hook);
    ended.unwrap_or_else(|panic| Err(Error::Panicked(super::panic::text(&*panic))))
}

fn on_thread(handle: Handle, options: Options, tty: Tty, panics: mpsc::Receiver<String>) -> Result<Ended, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::NoTerminal)?;
    let failed = |e: io::Error| Error::Terminal(e.to_string());
    runtime.block_on(async move {
        tty.enter().map_err(failed)?;
        let mut terminal = tty.terminal().map_err(failed)?;
        let mut app = App::new(&options, handle.link());
        app.shared.size = tty.size();
        let signals = Signals::new().map_err(failed)?;
        let (reader, inputs) = Reader::start(tty.descriptor().map_err(failed)?).map_err(failed)?;
        let host = TtyHost::new(tty.clone(), reader);
        let ended =
            Screen::new(handle, app, host).with_theme_of(&options).drive(&mut terminal, inputs, signals, panics).await;
        // A frame on its way when the terminal vanished fails before the reader has told: that is no failure of the screen.
        let ended = if ended.is_err() && tty.is_gone() { Ok(Ended::Hangup) } else { ended };
        tty.leave();
        ended
    })
}

/// Signals that concern a screen.
pub struct Signals {
    resize: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            resize: signal(SignalKind::window_change())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// A running screen, generic over terminal and host, so that tests run the real one.
pub struct Screen<H> {
    handle: Handle,
    app: App,
    /// What is drawn; `update` sees no other.
    shown: Arc<Snapshot>,
    host: H,
    results: mpsc::Sender<Msg>,
    incoming: mpsc::Receiver<Msg>,
    streams: BTreeMap<Token, AbortHandle>,
    /// Streams that have not brought anything yet.
    opened: BTreeSet<Token>,
    /// What `update` asked for and is not done yet.
    effects: VecDeque<Effect>,
    pace: Pace,
    repaint: bool,
    themes: Themes,
}

/// Where themes are found, and word of changes in the one that is shown.
#[derive(Default)]
struct Themes {
    folder: Option<PathBuf>,
    shown: String,
    changed: Option<(mpsc::Receiver<()>, Watch)>,
}

impl Themes {
    /// The theme called `name`, watched from now on; one that cannot be read is not.
    fn find(&mut self, name: &str, colors: ColorMode) -> Result<Theme, ThemeError> {
        let found = files::find(name, self.folder.as_deref(), colors)?;
        let (tell, changed) = mpsc::channel(1);
        self.changed = (!found.files.is_empty()).then(|| (changed, Watch::new(&found.files, tell)));
        name.clone_into(&mut self.shown);
        Ok(found.theme)
    }

    async fn changed(&mut self) {
        let word = match &mut self.changed {
            Some((changed, _)) => changed.recv().await,
            None => None,
        };
        if word.is_none() {
            std::future::pending().await
        }
    }
}

impl<H: Host> Screen<H> {
    pub fn new(handle: Handle, app: App, host: H) -> Self {
        let (results, incoming) = mpsc::channel(QUEUE);
        let shown = handle.state();
        Self {
            handle,
            app,
            shown,
            host,
            results,
            incoming,
            streams: BTreeMap::new(),
            opened: BTreeSet::new(),
            effects: VecDeque::new(),
            pace: Pace::new(Instant::now()),
            repaint: false,
            themes: Themes::default(),
        }
    }

    /// Follows the theme that these options ask for: what changes in its files is seen at once.
    pub fn with_theme_of(mut self, options: &Options) -> Self {
        self.themes.folder.clone_from(&options.theme_folder);
        // What is wrong with it the screen was told when it was made.
        let _ = self.themes.find(options.theme_name(), options.colors);
        self
    }

    /// Runs until the operator, a signal or the terminal ends it.
    pub async fn drive<B: Backend>(
        mut self,
        terminal: &mut Terminal<B>,
        mut inputs: mpsc::Receiver<Input>,
        mut signals: Signals,
        mut panics: mpsc::Receiver<String>,
    ) -> Result<Ended, Error>
    where
        B::Error: std::fmt::Display,
    {
        let mut revisions = self.handle.revisions();
        let mut owner_answers = true;
        self.tick();
        let (width, height) = self.app.shared.size;
        self.step(Msg::Resize(width, height));
        self.step(Msg::Snapshot);
        self.paint(terminal, Frame::Data)?;
        loop {
            let due = self.pace.due();
            // By the clock, not by what is shown: events that come sooner than a tick must not put it off for ever.
            let tick = self.pace.next_tick(Stamp::now(), self.shown.totals.in_flight > 0);
            let ended = tokio::select! {
                biased;
                input = inputs.recv() => match input {
                    None | Some(Input::Gone) => Some(Ended::Hangup),
                    Some(Input::Typed(typed)) => {
                        self.typed(typed);
                        None
                    }
                },
                _ = signals.terminate.recv() => Some(Ended::Terminated),
                _ = signals.hangup.recv() => Some(Ended::Hangup),
                _ = signals.resize.recv() => {
                    let (width, height) = self.host.size();
                    terminal.resize(Rect::new(0, 0, width, height)).map_err(|e| Error::Terminal(e.to_string()))?;
                    self.pace.key();
                    self.step(Msg::Resize(width, height));
                    None
                },
                Some(text) = panics.recv() => {
                    self.pace.data();
                    self.step(Msg::Notice(Level::Error, format!("a task of mcpdeck failed: {text}")));
                    None
                },
                () = self.themes.changed() => {
                    self.pace.data();
                    let shown = self.themes.shown.clone();
                    self.theme(&shown);
                    None
                },
                Some(msg) = self.incoming.recv() => {
                    self.expect(&msg);
                    self.step(msg);
                    None
                },
                changed = revisions.changed(), if owner_answers => {
                    owner_answers = changed.is_ok();
                    self.news();
                    None
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => None,
                () = tokio::time::sleep(tick) => {
                    self.tick();
                    self.pace.data();
                    None
                },
            };
            let frame = self.pace.frame(Instant::now());
            if frame == Some(Frame::Data) {
                self.refresh();
            }
            if let Some(ended) = ended.or(self.carry_out().await) {
                self.handle.interest(Interest::default());
                return Ok(ended);
            }
            if let Some(frame) = frame {
                if std::mem::take(&mut self.repaint) {
                    let (width, height) = self.app.shared.size;
                    terminal.resize(Rect::new(0, 0, width, height)).map_err(|e| Error::Terminal(e.to_string()))?;
                }
                self.paint(terminal, frame)?;
            }
        }
    }

    fn paint<B: Backend>(&mut self, terminal: &mut Terminal<B>, drawn_for: Frame) -> Result<(), Error>
    where
        B::Error: std::fmt::Display,
    {
        self.step(Msg::Paint);
        let drawn = terminal.draw(|frame| draw::draw(&self.app, &self.shown, frame));
        self.pace.painted(drawn_for, Instant::now());
        drawn.map(drop).map_err(|e| Error::Terminal(e.to_string()))
    }

    fn typed(&mut self, typed: Typed) {
        self.tick();
        self.pace.key();
        match typed {
            Typed::Key(key) => {
                super::panic::provoke(key);
                self.step(Msg::Key(key));
            }
            Typed::Paste(text, dropped) => {
                if dropped > 0 {
                    self.step(Msg::Notice(
                        Level::Warn,
                        format!("the paste was too long: {dropped} bytes were dropped"),
                    ));
                }
                self.step(Msg::Paste(text));
            }
        }
    }

    /// Wants a frame for what came: soon for what somebody waits for, not for each piece of a stream.
    fn expect(&mut self, msg: &Msg) {
        match msg {
            Msg::Chunk(token, Chunk::Calls(_) | Chunk::Events(_) | Chunk::Logs(_) | Chunk::Lost(_))
                if !self.opened.remove(token) =>
            {
                self.pace.data();
            }
            _ => self.pace.data_soon(),
        }
    }

    /// Something changed at the owner: a snapshot, the link, or both.
    fn news(&mut self) {
        self.pace.data();
        let link = self.handle.link();
        if link != self.app.shared.link {
            self.step(Msg::Link(link));
        }
    }

    /// Takes the newest snapshot just before it is drawn, so that keys always act on what is seen.
    fn refresh(&mut self) {
        let newest = self.handle.state();
        if !self.app.shared.frozen && !Arc::ptr_eq(&newest, &self.shown) {
            self.shown = newest;
            self.tick();
            self.step(Msg::Snapshot);
        }
    }

    fn tick(&mut self) {
        let now = Stamp::now();
        let offset = self.host.utc_offset_s(now);
        self.step(Msg::Tick(now, offset));
    }

    fn step(&mut self, msg: Msg) {
        self.effects.extend(update(&mut self.app, &self.shown, msg));
    }

    async fn carry_out(&mut self) -> Option<Ended> {
        let mut ended = None;
        while let Some(effect) = self.effects.pop_front() {
            ended = ended.or(self.effect(effect).await);
        }
        ended
    }

    async fn effect(&mut self, effect: Effect) -> Option<Ended> {
        match effect {
            Effect::Run { command, confirm } => {
                let (handle, results) = (self.handle.clone(), self.results.clone());
                let act = Act { command: command.clone(), operator: self.app.shared.operator.clone(), confirm };
                tokio::spawn(async move {
                    let result = handle.run(act).await;
                    let _ = results.send(Msg::Ran(command, result)).await;
                });
            }
            Effect::Ask(token, query) => {
                let (handle, results) = (self.handle.clone(), self.results.clone());
                tokio::spawn(async move {
                    let answer = handle.ask(query).await;
                    let _ = results.send(Msg::Answer(token, answer)).await;
                });
            }
            Effect::Follow(token, feed) => self.follow(token, feed),
            Effect::Unfollow(token) => {
                self.opened.remove(&token);
                if let Some(stream) = self.streams.remove(&token) {
                    stream.abort();
                }
            }
            Effect::Interest(interest) => self.handle.interest(interest),
            Effect::Theme(name) => self.theme(&name),
            Effect::Copy(text) => {
                let (level, text) = self.host.copy(&text);
                self.say(level, text);
            }
            Effect::Save { path, contents } => {
                let results = self.results.clone();
                tokio::spawn(async move {
                    let _ = results.send(super::host::save(path, contents).await).await;
                });
            }
            Effect::SaveLog { path, lines } => {
                let results = self.results.clone();
                tokio::spawn(async move {
                    if let Ok(text) = tokio::task::spawn_blocking(move || super::host::log_text(&lines)).await {
                        let text = super::app::Contents::Text(text);
                        let _ = results.send(super::host::save(path, text).await).await;
                    }
                });
            }
            Effect::Read(token, text) => {
                let results = self.results.clone();
                tokio::spawn(async move {
                    if let Ok(tree) = tokio::task::spawn_blocking(move || Tree::new(text)).await {
                        let _ = results.send(Msg::Read(token, tree)).await;
                    }
                });
            }
            Effect::Search(token, search) => {
                let results = self.results.clone();
                tokio::spawn(async move {
                    if let Ok(found) = tokio::task::spawn_blocking(move || search.run()).await {
                        let _ = results.send(Msg::Found(token, found)).await;
                    }
                });
            }
            Effect::Remember { path, filter } => {
                // Where nothing can be kept, nothing is: the filter itself works all the same.
                tokio::task::spawn_blocking(move || super::earlier::remember(&path, &filter).ok());
            }
            Effect::Requests(token, folder) => {
                let results = self.results.clone();
                tokio::spawn(async move {
                    let read = tokio::task::spawn_blocking(move || super::host::requests(&folder)).await;
                    let files = read.unwrap_or_else(|error| Err(error.to_string()));
                    let _ = results.send(Msg::Requests(token, files)).await;
                });
            }
            Effect::Filter { token, program, text } => self.filter(token, program, text),
            Effect::Editor { token, text, extension } => {
                let edited = self.host.edit(&text, extension).await;
                self.repaint = true;
                self.step(Msg::Edited(token, edited));
            }
            Effect::Shell { exec, name } => self.shell(exec, &name).await,
            Effect::Suspend => {
                if let Err(error) = self.host.suspend() {
                    self.say(Level::Error, format!("cannot suspend: {error}"));
                }
                self.repaint = true;
            }
            Effect::Bell => self.host.bell(),
            Effect::Repaint => self.repaint = true,
            Effect::Detach => return Some(Ended::Detach),
            Effect::Quit { stop: true } => return Some(Ended::Stop),
            Effect::Quit { stop: false } => return Some(Ended::Quit),
        }
        None
    }

    /// The terminal is a container's until its command ends; nobody looks at the screen meanwhile.
    async fn shell(&mut self, exec: Exec, name: &str) {
        let left = match shell::begin(self.handle.pipe(exec.clone())).await {
            Err(refused) => refused,
            Ok(session) => {
                self.handle.interest(Interest::default());
                let left = self.host.shell(session, name).await;
                self.handle.interest(self.app.sent_interest.clone());
                self.repaint = true;
                left
            }
        };
        self.pace.key();
        self.step(Msg::Shell(exec, name.to_owned(), left));
    }

    fn theme(&mut self, name: &str) {
        let found = self.themes.find(name, self.app.shared.colors);
        self.step(Msg::Theme(found));
    }

    fn say(&mut self, level: Level, text: String) {
        self.step(Msg::Notice(level, text));
    }

    fn filter(&mut self, token: Token, program: String, text: Arc<str>) {
        let results = self.results.clone();
        let work = async move {
            let helper = std::env::current_exe().map_err(|error| format!("cannot filter: {error}"))?;
            let found = jq::filter(&helper, &program, &text).await?;
            let read = move || Filtered { results: found.values.len(), cut: found.cut, tree: Tree::new(found.text()) };
            tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())
        };
        let task = tokio::spawn(async move {
            let filtered = work.await;
            let _ = results.send(Msg::Filtered(token, filtered)).await;
        });
        self.keep(token, task.abort_handle());
    }

    fn follow(&mut self, token: Token, feed: crate::model::Feed) {
        let mut stream = self.handle.follow(feed);
        let results = self.results.clone();
        let task = tokio::spawn(async move {
            while let Some(chunk) = stream.recv().await {
                let last = matches!(chunk, Chunk::End(_));
                if results.send(Msg::Chunk(token, chunk)).await.is_err() || last {
                    return;
                }
            }
            let _ = results
                .send(Msg::Chunk(token, Chunk::End(Some(Refusal::Failed("the owner is gone".to_owned())))))
                .await;
        });
        self.opened.insert(token);
        self.keep(token, task.abort_handle());
    }

    /// What can be called off under its token.
    fn keep(&mut self, token: Token, task: AbortHandle) {
        // Streams that ended by themselves leave their handle behind; it is small, and goes here.
        self.streams.retain(|_, stream| !stream.is_finished());
        self.streams.insert(token, task);
    }
}

impl<H> Drop for Screen<H> {
    fn drop(&mut self) {
        self.streams.values().for_each(AbortHandle::abort);
    }
}
