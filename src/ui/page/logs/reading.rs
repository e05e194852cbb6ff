//! Moving in the lines, searching them, and taking some of them along.

use super::text::{holds, json_in};
use super::{Logs, MAX_COPY};
use crate::model::message::{Level, LogLine};
use crate::ui::action::Action;
use crate::ui::app::Cx;
use crate::ui::console::tree::Tree;
use crate::ui::layer::Layer;
use crate::ui::layer::text::Reader;
use crate::ui::widget;
use std::cell::Cell;

impl Logs {
    pub(super) fn position(&self) -> usize {
        let last = self.lines.len().saturating_sub(1);
        self.cursor.map_or(last, |number| self.lines.position(number).min(last))
    }

    pub(super) fn go(&mut self, position: usize) {
        self.cursor = self.lines.at(position.min(self.lines.len().saturating_sub(1))).map(|(number, _)| number);
    }

    pub(super) fn follow(&mut self) {
        (self.cursor, self.anchor) = (None, None);
    }

    /// Goes to the next line that matches, round the ends; `true` is towards newer lines.
    pub(super) fn find(&mut self, from: usize, newer: bool) -> bool {
        let len = self.lines.len();
        let hit = (0..len)
            .map(|by| if newer { (from + by) % len } else { (from + len - by) % len })
            .find(|position| self.lines.at(*position).is_some_and(|(_, entry)| holds(&entry.line.text, &self.search)));
        if let Some(position) = hit {
            self.go(position);
        }
        hit.is_some()
    }

    pub(super) fn find_next(&mut self, newer: bool, cx: &mut Cx) {
        if self.search.is_empty() || self.lines.is_empty() {
            return cx.notice(Level::Info, "/ searches first");
        }
        let from = if newer { self.position() + 1 } else { self.position() + self.lines.len() - 1 };
        if !self.find(from % self.lines.len(), newer) {
            cx.notice(Level::Info, format!("nothing holds `{}`", self.search));
        }
    }

    /// The selected lines: a range, the one under the cursor, or the newest.
    pub(super) fn selected(&self) -> Vec<&LogLine> {
        let Some(cursor) = self.cursor.or_else(|| self.lines.at(self.position()).map(|(number, _)| number)) else {
            return Vec::new();
        };
        let anchor = self.anchor.unwrap_or(cursor);
        let (low, high) = (self.lines.position(cursor.min(anchor)), self.lines.position(cursor.max(anchor)));
        (low..=high).filter_map(|position| self.lines.at(position)).map(|(_, entry)| &*entry.line).collect()
    }

    pub(super) fn copy(&self, as_json: bool, cx: &mut Cx) {
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

    pub(super) fn save(&self, cx: &mut Cx) {
        let name = self.sources[0].to_string().replace(['@', '#'], "-");
        cx.save_log(&format!("{name}.log"), self.lines.iter().map(|entry| entry.line.clone()).collect());
    }

    /// The selected line: as a tree if it holds JSON, else in full.
    pub(super) fn read(&mut self, cx: &mut Cx) {
        let Some(line) = self.selected().first().map(|line| line.text.clone()) else { return };
        match json_in(&line) {
            Some(found) => self.json = Some((Tree::new(found.to_owned()), Cell::new(0))),
            None => {
                let columns = usize::from(cx.shared.size.0).clamp(20, 110) - 4;
                cx.open(Layer::Text(Reader::new("Line", &widget::wrap(&line, columns).join("\n"))));
            }
        }
    }

    /// Moving in the lines; false if it is something else.
    pub(super) fn scroll(&mut self, action: Action) -> bool {
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

    pub(super) fn scroll_json(&mut self, action: Action, cx: &mut Cx) -> bool {
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
}
