//! The view Logs: an instance, several merged, or mcpdeck's own; followed, searched, filtered, saved.

mod asking;
mod path;
mod reading;
mod sources;
mod text;
mod view;

use super::View;
use crate::model::filter::Filter;
use crate::model::message::{Level, LogLine, LogTarget};
use crate::model::{Answer, Chunk, Feed, InstanceKey, Refusal, Stamp};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::console::tree::Tree;
use crate::ui::ring::Ring;
use crate::ui::widget::{self, json_tree};
use path::Paths;
use ratatui::Frame;
use ratatui::layout::Rect;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

/// Lines and bytes kept here, and lines asked for when a log is opened.
const MAX_LINES: usize = 100_000;
const MAX_BYTES: usize = 64 << 20;
const TAIL: u32 = 5_000;
/// The same where a time is asked for: everything since then, as far as it is kept here.
const TAIL_SINCE: u32 = MAX_LINES as u32;
/// What a line costs beside its text.
const LINE_BYTES: usize = std::mem::size_of::<Entry>() + std::mem::size_of::<LogLine>();
/// Longest text that is copied.
const MAX_COPY: usize = 1 << 20;

/// A line with what was found out about it once, when it came.
#[derive(Debug)]
struct Entry {
    line: Arc<LogLine>,
    /// The first line of a run that followed another one.
    new_run: bool,
}

/// Which runs are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Runs {
    #[default]
    All,
    Newest,
    Previous,
}

/// What a prompt or list was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Source,
    Merge,
    Keep,
    Since,
    Paths,
}

/// State of the view.
pub struct Logs {
    /// Whose lines.
    sources: Vec<LogTarget>,
    /// Only lines from then on were asked for.
    since: Option<Stamp>,
    feed: Option<Token>,
    ended: Option<String>,
    lines: Ring<Entry>,
    /// Lines the stream lost on its way.
    lost: u64,
    keep: Filter,
    least: Option<Level>,
    runs: Runs,
    /// The newest run of each source.
    newest: HashMap<LogTarget, u32>,
    /// The selected line; `None` follows the newest.
    cursor: Option<u64>,
    /// Where a range of lines began.
    anchor: Option<u64>,
    search: String,
    wrap: bool,
    times: bool,
    /// Characters scrolled to the left while lines are not wrapped.
    skip: usize,
    json: Option<(Tree, Cell<usize>)>,
    /// What is shown of lines that hold JSON.
    paths: Paths,
    asked: Option<(Token, Asked)>,
    /// What the list of sources offers, in its order.
    offered: Vec<LogTarget>,
    /// What drawing learnt: the first line seen, and how many rows there are.
    top: Cell<u64>,
    height: Cell<usize>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            sources: vec![LogTarget::Deck],
            since: None,
            feed: None,
            ended: None,
            lines: Ring::new(MAX_LINES, MAX_BYTES),
            lost: 0,
            keep: Filter::default(),
            least: None,
            runs: Runs::All,
            newest: HashMap::new(),
            cursor: None,
            anchor: None,
            search: String::new(),
            wrap: true,
            times: true,
            skip: 0,
            json: None,
            paths: Paths::default(),
            asked: None,
            offered: Vec::new(),
            top: Cell::new(0),
            height: Cell::new(10),
        }
    }
}

impl Logs {
    /// Follows other sources; what was shown goes.
    fn open(&mut self, sources: Vec<LogTarget>, cx: &mut Cx) {
        self.stop(cx);
        self.sources = if sources.is_empty() { vec![LogTarget::Deck] } else { sources };
        self.lines.clear();
        self.newest.clear();
        (self.lost, self.ended, self.cursor, self.anchor, self.json) = (0, None, None, None, None);
        let targets = self.sources.clone();
        let tail = if self.since.is_some() { TAIL_SINCE } else { TAIL };
        self.feed = Some(cx.follow(Feed::Logs { targets, tail, follow: true, since: self.since }));
    }

    fn stop(&mut self, cx: &mut Cx) {
        if let Some(token) = self.feed.take() {
            cx.unfollow(token);
        }
    }

    /// True if lines of more than one instance may stand here.
    fn is_merged(&self) -> bool {
        self.sources.len() > 1 || self.newest.len() > 1
    }

    fn take(&mut self, lines: Vec<LogLine>, now: Stamp) {
        let mut grown = false;
        for mut line in lines {
            if line.text.chars().any(|c| !json_tree::is_harmless(c)) {
                line.text = json_tree::clean(&line.text.replace('\t', "    "));
            }
            let newest = self.newest.entry(line.target.clone()).or_insert(line.run);
            let new_run = line.run > *newest;
            grown |= new_run;
            *newest = line.run.max(*newest);
            let shown = self.shows(&line, now);
            let bytes = line.text.len() + LINE_BYTES;
            self.lines.push(Entry { line: line.into(), new_run }, bytes, shown);
        }
        if grown && self.runs != Runs::All {
            self.refilter(now);
        }
    }

    fn shows(&self, line: &LogLine, now: Stamp) -> bool {
        let newest = self.newest.get(&line.target).copied().unwrap_or(line.run);
        let run = match self.runs {
            Runs::All => true,
            Runs::Newest => line.run == newest,
            Runs::Previous => line.run + 1 == newest,
        };
        // A line that names no level counts as information.
        let level = self.least.is_none_or(|least| line.level.unwrap_or(Level::Info) >= least);
        run && level && (self.keep.is_empty() || self.keep.matches(line, now))
    }

    fn refilter(&mut self, now: Stamp) {
        let mut lines = std::mem::replace(&mut self.lines, Ring::new(0, 0));
        lines.refilter(|entry| self.shows(&entry.line, now));
        self.lines = lines;
    }
}

impl View for Logs {
    fn sync(&mut self, cx: &mut Cx) {
        if self.feed.is_none() && self.ended.is_none() {
            let sources = self.sources.clone();
            self.open(sources, cx);
        }
    }

    fn arrive(&mut self, target: &Target, cx: &mut Cx) {
        match target {
            Target::Logs(sources) if *sources != self.sources => self.open(sources.clone(), cx),
            Target::Instance(key) => self.open(vec![LogTarget::Instance(key.clone())], cx),
            Target::Server(server) => self.open(vec![LogTarget::Instance(InstanceKey::shared(server.clone()))], cx),
            Target::Filter(text) => self.set_keep(text, cx),
            _ => {}
        }
    }

    fn place(&self) -> Target {
        Target::Logs(self.sources.clone())
    }

    fn leave(&mut self, cx: &mut Cx) {
        self.stop(cx);
        self.ended = None;
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        if self.json.is_some() {
            return self.scroll_json(action, cx);
        }
        match action {
            _ if self.scroll(action) || self.ask(action, cx) => {}
            Action::Follow if self.cursor.is_none() => self.go(self.position()),
            Action::Follow => self.follow(),
            Action::Open => self.read(cx),
            Action::Level => {
                self.least = match self.least {
                    None => Some(Level::Info),
                    Some(Level::Debug | Level::Info) => Some(Level::Warn),
                    Some(Level::Warn) => Some(Level::Error),
                    Some(Level::Error) => None,
                };
                self.refilter(cx.shared.now);
            }
            Action::Previous => {
                self.runs = match self.runs {
                    Runs::All => Runs::Newest,
                    Runs::Newest => Runs::Previous,
                    Runs::Previous => Runs::All,
                };
                self.refilter(cx.shared.now);
            }
            Action::Wrap => (self.wrap, self.skip) = (!self.wrap, 0),
            Action::Times => self.times = !self.times,
            Action::SearchNext => self.find_next(true, cx),
            Action::SearchPrev => self.find_next(false, cx),
            Action::Range => {
                self.go(self.position());
                self.anchor = if self.anchor.is_none() { self.cursor } else { None };
            }
            Action::CopyCell => self.copy(false, cx),
            Action::CopyRow => self.copy(true, cx),
            Action::Save => self.save(cx),
            Action::Refresh => {
                let sources = self.sources.clone();
                self.open(sources, cx);
            }
            Action::Escape if self.anchor.take().is_some() => {}
            Action::Escape if self.search.is_empty() && !self.paths.is_empty() => self.paths = Paths::default(),
            Action::Escape if self.search.is_empty() && !self.keep.is_empty() => self.set_keep("", cx),
            _ => return false,
        }
        true
    }

    fn answer(&mut self, _token: Token, _answer: Result<Answer, Refusal>, _cx: &mut Cx) {}

    fn chunk(&mut self, token: Token, chunk: Chunk, cx: &mut Cx) {
        if self.feed != Some(token) {
            return;
        }
        match chunk {
            Chunk::Logs(lines) => self.take(lines, cx.shared.now),
            Chunk::Lost(n) => self.lost += n,
            Chunk::End(reason) => {
                self.feed = None;
                self.ended =
                    Some(reason.map_or_else(|| "no more lines; ctrl-r asks again".to_owned(), |why| why.to_string()));
            }
            Chunk::Calls(_) | Chunk::Events(_) | Chunk::Call(_) => {}
        }
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if let Some((_, what)) = self.asked.take_if(|(asked, _)| *asked == token) {
            self.answered(what, &value, cx);
        }
    }

    fn searches(&self) -> bool {
        true
    }

    fn filter(&self) -> &str {
        &self.search
    }

    fn set_filter(&mut self, text: &str, _cx: &mut Cx) -> Result<(), String> {
        text.clone_into(&mut self.search);
        if let Some((tree, _)) = &mut self.json {
            tree.search(text, true);
            return Ok(());
        }
        if text.is_empty() || self.lines.is_empty() || self.find(self.position(), false) {
            return Ok(());
        }
        Err(format!("nothing holds `{text}`"))
    }

    fn keys(&self) -> &'static [Action] {
        if self.json.is_some() {
            return &[Action::Escape, Action::Open, Action::CopyCell, Action::CopyRow];
        }
        &[
            Action::Sources,
            Action::Follow,
            Action::KeepLines,
            Action::Level,
            Action::Since,
            Action::Previous,
            Action::Wrap,
            Action::Open,
            Action::JsonPath,
            Action::Save,
            Action::MergeLogs,
            Action::SearchNext,
        ]
    }

    fn crumb(&self) -> Option<String> {
        self.sources.first().filter(|source| **source != LogTarget::Deck).map(ToString::to_string)
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let inner = widget::pane(look, frame, area, &self.title(look), true);
        if let Some((tree, top)) = &self.json {
            self.height.set(usize::from(inner.height));
            return json_tree::draw(look, frame, inner, tree, top, true);
        }
        match (self.lines.is_empty(), self.lines.kept()) {
            (true, 0) => widget::empty(look, frame, inner, "no lines yet; l chooses another log"),
            (true, _) => widget::empty(look, frame, inner, "no line passes the filters; esc, L and b lift them"),
            _ => self.draw_lines(look, frame, inner),
        }
    }
}
