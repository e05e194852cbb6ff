//! What Logs asks an operator: whose log, since when, which lines, which values of JSON.

use super::path::Paths;
use super::sources::{offers, read_since};
use super::{Asked, Logs};
use crate::model::filter::Filter;
use crate::model::message::{Level, LogLine, LogTarget};
use crate::ui::action::Action;
use crate::ui::app::Cx;
use crate::ui::layer::pick::Item;

impl Logs {
    /// Asks for what an action needs to know; false if it is another action.
    pub(super) fn ask(&mut self, action: Action, cx: &mut Cx) -> bool {
        let (what, title, text) = match action {
            Action::Sources => {
                self.choose(Asked::Source, cx);
                return true;
            }
            Action::MergeLogs => {
                self.choose(Asked::Merge, cx);
                return true;
            }
            Action::KeepLines => {
                (Asked::Keep, "Show only lines that match (word !word level=error age<5m)", self.keep.source())
            }
            Action::Since => (Asked::Since, "Lines since (10m, 2h, 03:00; nothing: all that is kept)", ""),
            Action::JsonPath => (
                Asked::Paths,
                "Of JSON lines show only (.msg .error.code .items[0]; nothing: all)",
                self.paths.source(),
            ),
            _ => return false,
        };
        self.asked = Some((cx.prompt(title, text), what));
        true
    }

    /// Takes what a prompt or list brought.
    pub(super) fn answered(&mut self, what: Asked, value: &str, cx: &mut Cx) {
        match what {
            Asked::Source => {
                if let Some(source) = self.chosen(value) {
                    self.open(vec![source], cx);
                }
            }
            Asked::Merge => {
                if let Some(source) = self.chosen(value) {
                    self.merge(source, cx);
                }
            }
            Asked::Since => self.set_since(value, cx),
            Asked::Keep => self.set_keep(value, cx),
            Asked::Paths => self.set_paths(value, cx),
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

    pub(super) fn set_keep(&mut self, text: &str, cx: &mut Cx) {
        match Filter::parse_for::<LogLine>(text) {
            Ok(filter) => {
                self.keep = filter;
                self.refilter(cx.shared.now);
            }
            Err(why) => cx.notice(Level::Warn, format!("filter {why}")),
        }
    }

    fn set_paths(&mut self, text: &str, cx: &mut Cx) {
        match Paths::parse(text) {
            Ok(paths) => self.paths = paths,
            Err(why) => cx.notice(Level::Warn, why),
        }
    }
}
