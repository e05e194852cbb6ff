//! The view Logs: an instance, several merged, or mcpdeck's own; followed, searched, filtered, saved.

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
use crate::ui::fmt;
use crate::ui::layer::Layer;
use crate::ui::layer::pick::Item;
use crate::ui::layer::text::Reader;
use crate::ui::ring::Ring;
use crate::ui::widget::{self, json_tree, words};
use ratatui::Frame;
use ratatui::layout::Rect;
use sources::{offers, read_since};
use std::cell::Cell;
use std::collections::HashMap;
use text::{find_all, json_in, saved};

/// Lines and bytes kept here, and lines asked for when a log is opened.
const MAX_LINES: usize = 100_000;
const MAX_BYTES: usize = 64 << 20;
const TAIL: u32 = 5_000;
/// Longest text that is copied.
const MAX_COPY: usize = 1 << 20;

/// A line with what was found out about it once, when it came.
#[derive(Debug)]
struct Entry {
    line: LogLine,
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
        self.feed = Some(cx.follow(Feed::Logs { targets, tail: TAIL, follow: true, since: self.since }));
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
            let bytes = line.text.len() + std::mem::size_of::<Entry>();
            self.lines.push(Entry { line, new_run }, bytes, shown);
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

    fn position(&self) -> usize {
        let last = self.lines.len().saturating_sub(1);
        self.cursor.map_or(last, |number| self.lines.position(number).min(last))
    }

    fn go(&mut self, position: usize) {
        self.cursor = self.lines.at(position.min(self.lines.len().saturating_sub(1))).map(|(number, _)| number);
    }

    fn follow(&mut self) {
        (self.cursor, self.anchor) = (None, None);
    }

    /// Goes to the next line that matches, round the ends; `true` is towards newer lines.
    fn find(&mut self, from: usize, newer: bool) -> bool {
        let len = self.lines.len();
        let hit = (0..len).map(|by| if newer { (from + by) % len } else { (from + len - by) % len }).find(|position| {
            self.lines.at(*position).is_some_and(|(_, entry)| !find_all(&entry.line.text, &self.search).is_empty())
        });
        if let Some(position) = hit {
            self.go(position);
        }
        hit.is_some()
    }

    fn find_next(&mut self, newer: bool, cx: &mut Cx) {
        if self.search.is_empty() || self.lines.is_empty() {
            return cx.notice(Level::Info, "/ searches first");
        }
        let from = if newer { self.position() + 1 } else { self.position() + self.lines.len() - 1 };
        if !self.find(from % self.lines.len(), newer) {
            cx.notice(Level::Info, format!("nothing holds `{}`", self.search));
        }
    }

    /// The selected lines: a range, the one under the cursor, or the newest.
    fn selected(&self) -> Vec<&LogLine> {
        let Some(cursor) = self.cursor.or_else(|| self.lines.at(self.position()).map(|(number, _)| number)) else {
            return Vec::new();
        };
        let anchor = self.anchor.unwrap_or(cursor);
        let (low, high) = (self.lines.position(cursor.min(anchor)), self.lines.position(cursor.max(anchor)));
        (low..=high).filter_map(|position| self.lines.at(position)).map(|(_, entry)| &entry.line).collect()
    }

    fn copy(&self, as_json: bool, cx: &mut Cx) {
        let mut text = String::new();
        for line in self.selected() {
            if text.len() > MAX_COPY {
                cx.notice(Level::Warn, "copied up to 1 MiB; S saves everything to a file");
                break;
            }
            let json = if as_json { serde_json::to_string(line).unwrap_or_default() } else { String::new() };
            text.push_str(if as_json { &json } else { &line.text });
            text.push('\n');
        }
        cx.copy(text.trim_end().to_owned());
    }

    fn save(&self, cx: &mut Cx) {
        let name = self.sources[0].to_string().replace(['@', '#'], "-");
        let text: String = self.lines.iter().map(|entry| saved(&entry.line)).collect();
        cx.save(&format!("{name}.log"), text);
    }

    /// The selected line: as a tree if it holds JSON, else in full.
    fn read(&mut self, cx: &mut Cx) {
        let Some(line) = self.selected().first().map(|line| line.text.clone()) else { return };
        match json_in(&line) {
            Some(found) => self.json = Some((Tree::new(found.to_owned()), Cell::new(0))),
            None => {
                let columns = usize::from(cx.shared.size.0).clamp(20, 110) - 4;
                cx.open(Layer::Text(Reader::new("Line", &widget::wrap(&line, columns).join("\n"))));
            }
        }
    }

    fn choose(&mut self, what: Asked, cx: &mut Cx) {
        let offers = offers(cx.snap);
        let items = offers.iter().enumerate().map(|(at, (source, note))| {
            let shown = if self.sources.contains(source) { ", shown now" } else { "" };
            Item::new(at.to_string(), source.to_string()).with_note(format!("{note}{shown}"))
        });
        let title = if what == Asked::Merge { "Add a log, or take it out" } else { "Whose log" };
        self.asked = Some((cx.pick(title, items.collect()), what));
        self.offered = offers.into_iter().map(|(source, _)| source).collect();
    }

    fn chosen(&mut self, value: &str) -> Option<LogTarget> {
        let offered = std::mem::take(&mut self.offered);
        value.parse().ok().and_then(|at: usize| offered.into_iter().nth(at))
    }

    fn set_since(&mut self, text: &str, cx: &mut Cx) {
        match read_since(text, cx.shared.now, cx.shared.utc_offset_s) {
            Ok(since) => {
                self.since = since;
                self.open(self.sources.clone(), cx);
            }
            Err(why) => cx.notice(Level::Warn, why),
        }
    }

    fn merge(&mut self, source: LogTarget, cx: &mut Cx) {
        let mut sources = self.sources.clone();
        match sources.iter().position(|s| *s == source) {
            Some(at) if sources.len() > 1 => drop(sources.remove(at)),
            Some(_) => return,
            None => sources.push(source),
        }
        self.open(sources, cx);
    }

    fn set_keep(&mut self, text: &str, cx: &mut Cx) {
        match Filter::parse_for::<LogLine>(text) {
            Ok(filter) => {
                self.keep = filter;
                self.refilter(cx.shared.now);
            }
            Err(why) => cx.notice(Level::Warn, format!("filter {why}")),
        }
    }

    /// Moving in the lines; false if it is something else.
    fn scroll(&mut self, action: Action) -> bool {
        let (at, page) = (self.position(), self.height.get().max(2) - 1);
        let last = self.lines.len().saturating_sub(1);
        match action {
            Action::Up => self.go(at.saturating_sub(1)),
            Action::PageUp => self.go(at.saturating_sub(page)),
            Action::Top => self.go(0),
            Action::Bottom => self.follow(),
            // Going down past the end follows again.
            Action::Down | Action::PageDown if self.cursor.is_none() || at == last => self.follow(),
            Action::Down => self.go(at + 1),
            Action::PageDown => self.go(at + page),
            Action::Left => self.skip = self.skip.saturating_sub(8),
            Action::Right => self.skip = if self.wrap { 0 } else { self.skip + 8 },
            _ => return false,
        }
        true
    }

    fn scroll_json(&mut self, action: Action, cx: &mut Cx) -> bool {
        let Some((tree, _)) = &mut self.json else { return false };
        let (page, width) = (self.height.get().max(2) as isize - 1, usize::from(cx.shared.size.0).saturating_sub(8));
        match action {
            Action::Down => tree.step(1),
            Action::Up => tree.step(-1),
            Action::PageDown => tree.step(page),
            Action::PageUp => tree.step(-page),
            Action::Top => tree.cursor = 0,
            Action::Bottom => tree.step(isize::MAX),
            Action::Open => tree.toggle(width),
            Action::Right => tree.enter(width),
            Action::Left => tree.leave(),
            Action::CopyCell => cx.copy(tree.value().unwrap_or_default()),
            Action::CopyRow => cx.copy(tree.text().to_string()),
            Action::Escape => self.json = None,
            _ => return false,
        }
        true
    }

    fn title(&self, look: &Look) -> String {
        let name = |source: &LogTarget| source.to_string();
        let mut parts = vec![self.sources.iter().map(name).collect::<Vec<_>>().join(" + ")];
        let mut add = |text: String| parts.push(text);
        add(if self.cursor.is_none() { "following".to_owned() } else { format!("line {}", self.position() + 1) });
        let kept = self.lines.kept();
        add(if self.lines.len() == kept {
            fmt::plural(kept, "line")
        } else {
            format!("{} of {}", self.lines.len(), fmt::plural(kept, "line"))
        });
        if self.lines.dropped + self.lost > 0 {
            add(format!("{} dropped", self.lines.dropped + self.lost));
        }
        if let Some(level) = self.least {
            add(format!("{} and worse", level.name()));
        }
        if !self.keep.is_empty() {
            add(format!("& {}", self.keep.source()));
        }
        if let Some(since) = self.since {
            add(format!("since {}", look.time(since)));
        }
        match self.runs {
            Runs::All => {}
            Runs::Newest => add("this run".to_owned()),
            Runs::Previous => add("the run before".to_owned()),
        }
        if let Some(why) = &self.ended {
            add(format!("ended: {why}"));
        }
        words::title(look, "Logs", &parts)
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
            _ if self.scroll(action) => {}
            Action::Follow if self.cursor.is_none() => self.go(self.position()),
            Action::Follow => self.follow(),
            Action::Open => self.read(cx),
            Action::Sources => self.choose(Asked::Source, cx),
            Action::MergeLogs => self.choose(Asked::Merge, cx),
            Action::KeepLines => {
                let text = self.keep.source().to_owned();
                self.asked =
                    Some((cx.prompt("Show only lines that match (word !word level=error age<5m)", &text), Asked::Keep));
            }
            Action::Since => {
                let title = "Lines since (10m, 2h, 03:00; nothing: all that is kept)";
                self.asked = Some((cx.prompt(title, ""), Asked::Since));
            }
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
        match self.asked.take_if(|(asked, _)| *asked == token) {
            Some((_, Asked::Source)) => {
                if let Some(source) = self.chosen(&value) {
                    self.open(vec![source], cx);
                }
            }
            Some((_, Asked::Merge)) => {
                if let Some(source) = self.chosen(&value) {
                    self.merge(source, cx);
                }
            }
            Some((_, Asked::Since)) => self.set_since(&value, cx),
            Some((_, Asked::Keep)) => self.set_keep(&value, cx),
            None => {}
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
