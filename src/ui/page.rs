//! The views: which there are, and what each has to be able to do. Draws through `widget`, speaks through `Cx`.

use super::action::Action;
use super::app::{Cx, Filtered, Look, RequestFile, Target, Token};
use super::console::search::Found;
use super::console::tree::Tree;
use crate::control::handle::Interest;
use crate::model::{Answer, Chunk, Refusal};
use crossterm::event::KeyEvent;
use ratatui::Frame;
use ratatui::layout::Rect;

pub mod activity;
pub mod console;
pub mod containers;
pub mod customers;
pub mod gpus;
pub mod logs;
pub mod overview;
pub mod servers;
pub mod traffic;

/// A view. Digits of views that are not built yet stay free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Page {
    Overview,
    Customers,
    Servers,
    Containers,
    Gpus,
    Console,
    Traffic,
    Logs,
    Activity,
}

impl Page {
    pub const ALL: [Page; 9] = [
        Self::Overview,
        Self::Customers,
        Self::Servers,
        Self::Containers,
        Self::Gpus,
        Self::Console,
        Self::Traffic,
        Self::Logs,
        Self::Activity,
    ];

    /// Title on the tab.
    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Customers => "Customers",
            Self::Servers => "Servers",
            Self::Containers => "Containers",
            Self::Gpus => "GPUs",
            Self::Console => "Console",
            Self::Traffic => "Traffic",
            Self::Logs => "Logs",
            Self::Activity => "Activity",
        }
    }

    /// Name on the command line (`--view`, `frame`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Customers => "customers",
            Self::Servers => "servers",
            Self::Containers => "containers",
            Self::Gpus => "gpus",
            Self::Console => "console",
            Self::Traffic => "traffic",
            Self::Logs => "logs",
            Self::Activity => "activity",
        }
    }

    /// The view of this name; any beginning of it will do.
    pub fn named(text: &str) -> Option<Page> {
        let text = text.to_lowercase();
        Self::ALL.into_iter().find(|p| !text.is_empty() && p.name().starts_with(&text))
    }

    /// Title where ten tabs share 80 columns.
    pub fn short(self) -> &'static str {
        match self {
            Self::Customers => "Cust",
            Self::Containers => "Cont",
            other => other.title(),
        }
    }

    /// The action that goes there.
    pub fn action(self) -> Action {
        match self {
            Self::Overview => Action::GoOverview,
            Self::Customers => Action::GoCustomers,
            Self::Servers => Action::GoServers,
            Self::Containers => Action::GoContainers,
            Self::Gpus => Action::GoGpus,
            Self::Console => Action::GoConsole,
            Self::Traffic => Action::GoTraffic,
            Self::Logs => Action::GoLogs,
            Self::Activity => Action::GoActivity,
        }
    }

    /// Its digit.
    pub fn digit(self) -> char {
        match self {
            Self::Overview => '1',
            Self::Customers => '2',
            Self::Servers => '3',
            Self::Containers => '4',
            Self::Gpus => '5',
            Self::Console => '6',
            Self::Traffic => '7',
            Self::Logs => '8',
            Self::Activity => '0',
        }
    }
}

/// What a view is able to do. All state is its own; `draw` changes nothing that can be seen.
pub trait View {
    /// The snapshot, the tenant limit or the clock changed, or the view comes to the front: derive rows, ask for details.
    fn sync(&mut self, cx: &mut Cx);

    /// A frame is about to be drawn: derive what streams brought since the last one. They may bring more than is drawn.
    fn settle(&mut self, _cx: &mut Cx) {}

    /// The view was gone to; select or show `target`. `sync` was called before.
    fn arrive(&mut self, _target: &Target, _cx: &mut Cx) {}

    /// What coming back should select again.
    fn place(&self) -> Target {
        Target::Nothing
    }

    /// Another view comes to the front: end what only this one needs (streams).
    fn leave(&mut self, _cx: &mut Cx) {}

    /// An action of the keymap; false if it means nothing here.
    fn act(&mut self, action: Action, cx: &mut Cx) -> bool;

    /// True while text is edited: then every printable key is text and comes to `edit`.
    fn editing(&self) -> bool {
        false
    }

    /// Keys while `editing` that are no text, and what they do.
    fn edit_keys(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// A key while `editing`; false lets it go on to the keymap (function keys, tab, esc).
    fn edit(&mut self, _key: KeyEvent, _cx: &mut Cx) -> bool {
        false
    }

    /// Pasted text while `editing`.
    fn paste(&mut self, _text: &str, _cx: &mut Cx) {}

    fn answer(&mut self, _token: Token, _answer: Result<Answer, Refusal>, _cx: &mut Cx) {}

    fn chunk(&mut self, _token: Token, _chunk: Chunk, _cx: &mut Cx) {}

    /// The value chosen from a list ([`Cx::pick`]) or typed ([`Cx::prompt`]).
    fn picked(&mut self, _token: Token, _value: String, _cx: &mut Cx) {}

    /// The tree of a text that was given to [`Cx::read`].
    fn read(&mut self, _token: Token, _tree: Tree, _cx: &mut Cx) {}

    /// What was found by a [`Cx::search`].
    fn found(&mut self, _token: Token, _found: Found, _cx: &mut Cx) {}

    /// What came of [`Cx::requests`].
    fn requests(&mut self, _token: Token, _files: Result<Vec<RequestFile>, String>, _cx: &mut Cx) {}

    /// What came of [`Cx::filter`].
    fn filtered(&mut self, _token: Token, _filtered: Result<Filtered, String>, _cx: &mut Cx) {}

    /// The text that came back from [`Cx::editor`].
    fn edited(&mut self, _token: Token, _text: String, _cx: &mut Cx) {}

    /// The text of the focused pane's filter (or search).
    fn filter(&self) -> &str {
        ""
    }

    /// A new filter (or search) for the focused pane, as typed so far; why it does not read, if so.
    fn set_filter(&mut self, _text: &str, _cx: &mut Cx) -> Result<(), String> {
        Ok(())
    }

    /// True where `/` searches in a text; elsewhere it filters rows.
    fn searches(&self) -> bool {
        false
    }

    /// What is on screen and should be fresh: instances and containers, 200 of each at most, and whether GPUs are.
    fn interest(&self) -> Interest {
        Interest::default()
    }

    /// Actions for the key bar, most useful first.
    fn keys(&self) -> &'static [Action];

    /// What is open, for the breadcrumb.
    fn crumb(&self) -> Option<String> {
        None
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect);
}

/// Every view's state.
#[derive(Default)]
pub struct Views {
    pub overview: overview::Overview,
    pub customers: customers::Customers,
    pub servers: servers::Servers,
    pub containers: containers::Containers,
    pub gpus: gpus::Gpus,
    pub console: console::Console,
    pub traffic: traffic::Traffic,
    pub logs: logs::Logs,
    pub activity: activity::Activity,
}

impl Views {
    pub fn get(&self, page: Page) -> &dyn View {
        match page {
            Page::Overview => &self.overview,
            Page::Customers => &self.customers,
            Page::Servers => &self.servers,
            Page::Containers => &self.containers,
            Page::Gpus => &self.gpus,
            Page::Console => &self.console,
            Page::Traffic => &self.traffic,
            Page::Logs => &self.logs,
            Page::Activity => &self.activity,
        }
    }

    pub fn get_mut(&mut self, page: Page) -> &mut dyn View {
        match page {
            Page::Overview => &mut self.overview,
            Page::Customers => &mut self.customers,
            Page::Servers => &mut self.servers,
            Page::Containers => &mut self.containers,
            Page::Gpus => &mut self.gpus,
            Page::Console => &mut self.console,
            Page::Traffic => &mut self.traffic,
            Page::Logs => &mut self.logs,
            Page::Activity => &mut self.activity,
        }
    }
}
