//! The state of the screen and the words it exchanges with the loop: messages in, effects out.
//! No I/O, no terminal; imports `control::{Link, Interest}` and `model` only.

use super::action::Action;
use super::console::search::{Found, Search};
use super::console::tree::Tree;
use super::earlier;
use super::keymap::{Chord, Keymap};
use super::layer::Layer;
use super::page::{Page, Views};
use super::shell::Left;
use super::theme::{ColorMode, Theme, ThemeError, files};
use super::watch::{Watched, Watches};
use super::widget::line::LineEdit;
use crate::config::request::NamedRequest;
use crate::control::handle::{Interest, Link};
use crate::model::container::ContainerKey;
use crate::model::message::{Exec, Face, Level, LogLine, LogTarget};
use crate::model::{
    Answer, CallId, Chunk, Command, Feed, InstanceKey, JobId, Operator, Query, Refusal, ServerId, Snapshot, Stamp,
    TenantId,
};
use crossterm::event::KeyEvent;
use std::path::PathBuf;
use std::sync::Arc;

/// What comes in. The snapshot beside it is the one that was last drawn, but for `Snapshot`.
#[derive(Debug)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
    Resize(u16, u16),
    /// The snapshot passed to `update` is a new one.
    Snapshot,
    /// A frame is about to be drawn.
    Paint,
    Link(Link),
    /// Wall clock, and seconds east of Greenwich.
    Tick(Stamp, i32),
    Answer(Token, Result<Answer, Refusal>),
    Chunk(Token, Chunk),
    /// What became of `Effect::Run`.
    Ran(Command, Result<JobId, Refusal>),
    /// What became of `Effect::Read`.
    Read(Token, Tree),
    /// What became of `Effect::Search`.
    Found(Token, Found),
    /// What became of `Effect::Requests`.
    Requests(Token, Result<Vec<RequestFile>, String>),
    /// What became of `Effect::Filter`.
    Filtered(Token, Result<Filtered, String>),
    /// The text that came back from `$EDITOR`, or why none did.
    Edited(Token, Result<String, String>),
    /// How a shell in a container, called by its name, ended.
    Shell(Exec, String, Left),
    Notice(Level, String),
    /// What became of `Effect::Theme`, or of a change of its files.
    Theme(Result<Theme, ThemeError>),
}

/// What the loop has to do; nothing of it blocks the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Run {
        command: Command,
        confirm: Option<String>,
    },
    Ask(Token, Query),
    Follow(Token, Feed),
    /// Ends a stream; a followed call is cancelled by it.
    Unfollow(Token),
    Interest(Interest),
    /// Looks for a theme of this name, and at its files from now on.
    Theme(String),
    /// To the clipboard of the operator's terminal.
    Copy(String),
    /// To a file; a notice says where it lies.
    Save {
        path: PathBuf,
        contents: Contents,
    },
    /// Lines of a log to a file, written as text beside the screen: there may be 100,000.
    SaveLog {
        path: PathBuf,
        lines: Vec<Arc<LogLine>>,
    },
    /// Read a JSON text beside the screen: a large one takes longer than a frame.
    Read(Token, Arc<str>),
    /// Search in a large text, likewise.
    Search(Token, Search),
    /// Filter a JSON text by a jq program beside the screen; [`Effect::Unfollow`] calls it off.
    Filter {
        token: Token,
        program: String,
        text: Arc<str>,
    },
    /// Remember a jq filter for later sessions.
    Remember {
        path: PathBuf,
        filter: String,
    },
    /// Read the named requests of a folder.
    Requests(Token, PathBuf),
    /// Edit a text in `$EDITOR`; `extension` without the dot.
    Editor {
        token: Token,
        text: String,
        extension: &'static str,
    },
    /// Hands the terminal to a command in a container until it ends; `name` is the container's.
    Shell {
        exec: Exec,
        name: String,
    },
    /// Ring the terminal's bell.
    Bell,
    /// Draw every cell anew: something else wrote on the terminal.
    Repaint,
    Suspend,
    /// The screen goes, the platform stays.
    Detach,
    /// The screen goes; `stop` takes the platform with it.
    Quit {
        stop: bool,
    },
}

/// What is written to a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Contents {
    Text(String),
    /// Decoded when it is written.
    Base64(String),
}

/// A named request and its file.
#[derive(Clone, Debug)]
pub struct RequestFile {
    pub name: String,
    /// Or why it is none.
    pub request: Result<NamedRequest, String>,
}

/// What a jq program made of a text, read as it is shown.
#[derive(Debug)]
pub struct Filtered {
    pub results: usize,
    /// There were more.
    pub cut: bool,
    /// The only result, or a list of all.
    pub tree: Tree,
}

/// Which question or stream an answer belongs to, and who asked: a view, or (`None`) a layer above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    pub page: Option<Page>,
    pub number: u64,
}

/// Where to go, and what to select or show there.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Target {
    #[default]
    Nothing,
    Instance(InstanceKey),
    Server(ServerId),
    Tenant(TenantId),
    /// A tenant at a server.
    Cell(TenantId, ServerId),
    Call(CallId),
    Container(ContainerKey),
    /// A container's inspection.
    Inspect(ContainerKey),
    /// The orphan finder.
    Orphans,
    /// Log sources; `None` is mcpdeck's own.
    Logs(Vec<LogTarget>),
    /// A request for the console, filled in as far as known; `params` as JSON text.
    Request {
        tenant: Option<TenantId>,
        server: Option<ServerId>,
        method: Option<String>,
        tool: Option<String>,
        params: Option<String>,
    },
    /// A text for the view's filter.
    Filter(String),
}

/// One message for the operator, on the line above the keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub level: Level,
    pub text: String,
    pub at: Stamp,
    /// It stays until a key replaces it: whoever looks away must not miss it.
    pub stays: bool,
}

/// What every view and layer shares.
#[derive(Clone, Debug)]
pub struct Shared {
    pub theme: Theme,
    /// Themes of the operator's own that were there when the screen was opened.
    pub own_themes: Vec<String>,
    pub colors: ColorMode,
    pub ascii: bool,
    pub now: Stamp,
    /// Seconds east of Greenwich.
    pub utc_offset_s: i32,
    pub link: Link,
    /// `--read-only` of this screen; the platform and tenants have theirs.
    pub read_only: bool,
    pub operator: Operator,
    /// Everything is limited to this tenant.
    pub limit: Option<TenantId>,
    pub wide: bool,
    pub frozen: bool,
    pub notice: Option<Notice>,
    /// What a notice is wanted of.
    pub watches: Watches,
    /// Most objects one bulk act may touch.
    pub bulk_cap: u32,
    /// Where files are saved.
    pub save_dir: PathBuf,
    /// jq filters of before, oldest first, and the file that keeps them.
    pub filters: Vec<String>,
    pub filters_file: Option<PathBuf>,
    pub keymap: Keymap,
    pub size: (u16, u16),
    next_token: u64,
}

impl Shared {
    /// Why acts are refused here, if they are.
    pub fn refusal(&self, snap: &Snapshot) -> Option<String> {
        if self.read_only {
            return Some("read-only: this screen was opened with --read-only".to_owned());
        }
        if snap.platform.read_only {
            return Some(format!(
                "read-only: {} says `read_only = true`",
                snap.platform.config.as_deref().unwrap_or("the config")
            ));
        }
        match &self.link {
            Link::Lost { reason, .. } => Some(format!("no owner to act: `mcpdeck serve` starts one ({reason})")),
            Link::Owner | Link::Attached => None,
        }
    }
}

/// All state of the screen.
pub struct App {
    pub page: Page,
    pub views: Views,
    /// What lies above the view; the last has the keys.
    pub layers: Vec<Layer>,
    pub shared: Shared,
    /// The line in which a filter or search is being typed.
    pub filter_line: Option<LineEdit>,
    pub history: History,
    /// Acts of this screen that have not ended yet; oldest first, bounded.
    pub jobs: Vec<JobId>,
    pub sent_interest: Interest,
}

/// Views seen, as in a browser.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub back: Vec<(Page, Target)>,
    pub forward: Vec<(Page, Target)>,
}

/// How a screen is opened.
#[derive(Clone, Debug)]
pub struct Options {
    pub view: Page,
    /// Built-in theme, one of the operator's own, or path of a `.toml`.
    pub theme: Option<String>,
    /// Where the operator's own themes lie.
    pub theme_folder: Option<PathBuf>,
    pub colors: ColorMode,
    pub ascii: bool,
    pub mouse: bool,
    /// Action name -> chords.
    pub keys: std::collections::BTreeMap<String, Vec<String>>,
    pub read_only: bool,
    pub operator: Operator,
    pub limit: Option<TenantId>,
    pub bulk_cap: u32,
    /// Where `save` puts files.
    pub save_dir: PathBuf,
    /// Keeps jq filters for later sessions.
    pub filters_file: Option<PathBuf>,
}

impl Options {
    /// From the config's `[ui]`; colours as the environment says.
    pub fn new(ui: &crate::config::UiConfig, operator: Operator) -> Self {
        let env = |name: &str| std::env::var(name).ok();
        Self {
            view: Page::Overview,
            theme: ui.theme.clone(),
            theme_folder: files::folder(env),
            colors: ColorMode::from_env(env),
            ascii: ui.ascii || lacks_symbols(env),
            mouse: ui.mouse,
            keys: ui.keys.clone(),
            read_only: false,
            operator,
            limit: None,
            bulk_cap: 10,
            save_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            filters_file: None,
        }
    }

    /// The theme that is asked for.
    pub fn theme_name(&self) -> &str {
        self.theme.as_deref().unwrap_or("default")
    }

    /// For frames and tests: the default theme in 16 colours, nobody's keys.
    pub fn plain() -> Self {
        let operator = Operator { name: "operator".to_owned(), face: Face::Screen, pid: 0, grant: None };
        Self {
            colors: ColorMode::Sixteen,
            ascii: false,
            theme_folder: None,
            save_dir: PathBuf::from("."),
            ..Self::new(&crate::config::UiConfig::default(), operator)
        }
    }
}

/// The console of the kernel has a font of 512 characters, and those for states are not among them.
fn lacks_symbols(env: impl Fn(&str) -> Option<String>) -> bool {
    env("TERM").is_some_and(|term| matches!(term.as_str(), "linux" | "vt100" | "vt102" | "vt220"))
}

impl App {
    /// A screen that has seen nothing yet; problems with theme and keys become a notice.
    pub fn new(options: &Options, link: Link) -> Self {
        let (keymap, errors) = Keymap::new(&options.keys);
        let mut problem = errors.first().map(|e| format!("[ui.keys] {e}; the default keys stand"));
        let theme =
            files::find(options.theme_name(), options.theme_folder.as_deref(), options.colors).map(|found| found.theme);
        let theme = theme.unwrap_or_else(|error| {
            problem = Some(error.to_string());
            Theme::load("default", options.colors).unwrap_or_default()
        });
        let shared = Shared {
            theme,
            own_themes: files::own_names(options.theme_folder.as_deref()),
            colors: options.colors,
            ascii: options.ascii,
            now: Stamp(0),
            utc_offset_s: 0,
            link,
            read_only: options.read_only,
            operator: options.operator.clone(),
            limit: options.limit.clone(),
            wide: false,
            frozen: false,
            notice: problem.map(|text| Notice { level: Level::Error, text, at: Stamp(0), stays: false }),
            watches: Watches::default(),
            bulk_cap: options.bulk_cap,
            save_dir: options.save_dir.clone(),
            filters: options.filters_file.as_deref().map(earlier::read).unwrap_or_default(),
            filters_file: options.filters_file.clone(),
            keymap,
            size: (80, 24),
            next_token: 0,
        };
        Self {
            page: options.view,
            views: Views::default(),
            layers: Vec::new(),
            shared,
            filter_line: None,
            history: History::default(),
            jobs: Vec::new(),
            sent_interest: Interest::default(),
        }
    }
}

/// What a view or layer works with while it handles a message.
pub struct Cx<'a> {
    pub snap: &'a Snapshot,
    pub shared: &'a mut Shared,
    /// Whose turn it is: the view, or `None` in a layer.
    pub owner: Option<Page>,
    /// The key that brought us here; a dialog does not take it as its answer.
    pub chord: Option<Chord>,
    pub effects: &'a mut Vec<Effect>,
    /// Done after the message: open a layer, go somewhere, run an action.
    pub after: Vec<After>,
}

/// What a view asks of the frame around it.
pub enum After {
    Open(Layer),
    Go(Page, Target),
    /// As if its key had been pressed in the current view.
    Act(Action),
    /// Limit every view to a tenant, or lift the limit.
    Limit(Option<TenantId>),
}

impl Cx<'_> {
    fn token(&mut self) -> Token {
        self.shared.next_token += 1;
        Token { page: self.owner, number: self.shared.next_token }
    }

    /// Asks; the answer comes to `View::answer` with this token.
    pub fn ask(&mut self, query: Query) -> Token {
        let token = self.token();
        self.effects.push(Effect::Ask(token, query));
        token
    }

    /// Follows; chunks come to `View::chunk` with this token until `Chunk::End` or [`Cx::unfollow`].
    pub fn follow(&mut self, feed: Feed) -> Token {
        let token = self.token();
        self.effects.push(Effect::Follow(token, feed));
        token
    }

    /// Reads a JSON text; its tree comes to `View::read` with this token.
    pub fn read(&mut self, text: Arc<str>) -> Token {
        let token = self.token();
        self.effects.push(Effect::Read(token, text));
        token
    }

    /// Searches beside the screen; what was found comes to `View::found` with this token.
    pub fn search(&mut self, search: Search) -> Token {
        let token = self.token();
        self.effects.push(Effect::Search(token, search));
        token
    }

    /// Reads the named requests of a folder where files are saved; they come to `View::requests`.
    pub fn requests(&mut self, folder: &str) -> Token {
        let token = self.token();
        self.effects.push(Effect::Requests(token, self.shared.save_dir.join(folder)));
        token
    }

    /// Keeps a jq filter for the next time somebody is asked for one.
    pub fn remember(&mut self, filter: &str) {
        earlier::add(&mut self.shared.filters, filter);
        if let Some(path) = self.shared.filters_file.clone() {
            self.effects.push(Effect::Remember { path, filter: filter.to_owned() });
        }
    }

    /// Filters a JSON text by a jq program; what comes of it comes to `View::filtered` until [`Cx::unfollow`].
    pub fn filter(&mut self, program: &str, text: Arc<str>) -> Token {
        let token = self.token();
        self.effects.push(Effect::Filter { token, program: program.to_owned(), text });
        token
    }

    pub fn unfollow(&mut self, token: Token) {
        self.effects.push(Effect::Unfollow(token));
    }

    /// Opens `$EDITOR`; the text comes to `View::edited`.
    pub fn editor(&mut self, text: String, extension: &'static str) -> Token {
        let token = self.token();
        self.effects.push(Effect::Editor { token, text, extension });
        token
    }

    /// Opens a list to choose from; the choice comes to `View::picked`.
    pub fn pick(&mut self, title: &str, items: Vec<super::layer::pick::Item>) -> Token {
        let token = self.token();
        self.after.push(After::Open(Layer::Pick(super::layer::pick::Pick::new(title, items, Some(token)))));
        token
    }

    /// Asks for one line of text; it comes to `View::picked`.
    pub fn prompt(&mut self, title: &str, text: &str) -> Token {
        self.prompt_after(title, text, &[])
    }

    /// The same, with what was typed before (oldest first) on the arrow keys.
    pub fn prompt_after(&mut self, title: &str, text: &str, earlier: &[String]) -> Token {
        let token = self.token();
        let prompt = super::layer::prompt::Prompt::new(title, text, token).after(earlier);
        self.after.push(After::Open(Layer::Prompt(prompt)));
        token
    }

    pub fn copy(&mut self, text: String) {
        self.effects.push(Effect::Copy(text));
    }

    /// Saves a file in the folder for saved files under `name`.
    pub fn save(&mut self, name: &str, contents: Contents) {
        self.effects.push(Effect::Save { path: self.shared.save_dir.join(name), contents });
    }

    /// Saves lines of a log under `name`, as [`Cx::save`] does a text.
    pub fn save_log(&mut self, name: &str, lines: Vec<Arc<LogLine>>) {
        self.effects.push(Effect::SaveLog { path: self.shared.save_dir.join(name), lines });
    }

    pub fn notice(&mut self, level: Level, text: impl Into<String>) {
        self.shared.notice = Some(Notice { level, text: text.into(), at: self.shared.now, stays: false });
    }

    /// Watches an object, or no longer.
    pub fn watch(&mut self, what: Watched) {
        let (level, text) = self.shared.watches.toggle(what, self.snap, self.shared.now);
        self.notice(level, text);
    }

    pub fn go(&mut self, page: Page, target: Target) {
        self.after.push(After::Go(page, target));
    }

    pub fn open(&mut self, layer: Layer) {
        self.after.push(After::Open(layer));
    }

    /// Carries commands out: at once if they harm nothing, after a dialog if they do. Refusals become notices.
    pub fn run(&mut self, commands: Vec<Command>) {
        super::layer::confirm::run(self, commands);
    }
}

/// What a view draws with.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub snap: &'a Snapshot,
    pub shared: &'a Shared,
    pub theme: &'a Theme,
    pub ascii: bool,
    pub now: Stamp,
    /// False below a size where borders cost more than they give.
    pub borders: bool,
    /// True at 40 columns or a dozen rows: a view is its main table alone.
    pub tiny: bool,
}

impl Look<'_> {
    pub fn style(&self, role: super::theme::Role) -> ratatui::style::Style {
        self.theme.style(role)
    }

    /// `HH:MM:SS` on the operator's clock.
    pub fn time(&self, at: Stamp) -> String {
        super::fmt::clock_s(at, self.shared.utc_offset_s)
    }

    /// Age of something that happened at `at`, in steps.
    pub fn age(&self, at: Stamp) -> String {
        super::fmt::age(self.now.since(at))
    }
}
