//! A list to choose from, narrowed by typing (fuzzy).

use super::Next;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::line::LineEdit;
use crossterm::event::{KeyCode, KeyEvent};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use std::cell::Cell;

/// Columns that the labels take at most where notes stand beside them.
const LABEL: usize = 24;

/// Least and most columns of the window.
const WIDTH: (usize, usize) = (72, 116);

/// Lines for the note of the chosen item.
const NOTE: u16 = 2;

/// One choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is handed over when it is chosen.
    pub value: String,
    pub label: String,
    /// Stands dim behind the label and is searched, too.
    pub note: String,
}

impl Item {
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), note: String::new() }
    }

    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// State of the list.
pub struct Pick {
    title: String,
    items: Vec<Item>,
    /// What is searched of each item. Lists of ten thousand are: nothing of this is worked out while drawing or typing.
    texts: Vec<String>,
    /// Columns of the labels, and those in which every item is whole.
    columns: (usize, usize),
    /// Indices of the items that match, best first.
    found: Vec<usize>,
    at: usize,
    /// Rows on screen, as last drawn.
    page: Cell<usize>,
    line: LineEdit,
    token: Option<Token>,
}

impl Pick {
    pub fn new(title: &str, items: Vec<Item>, token: Option<Token>) -> Self {
        let found = (0..items.len()).collect();
        let texts = items.iter().map(|item| format!("{} {}", item.label, item.note)).collect();
        // Notes stand in one column, but for labels that are longer than most.
        let labels = items.iter().map(|item| fmt::width(&item.label)).max().unwrap_or(0).min(LABEL);
        let whole = |item: &Item| fmt::width(&item.label).max(labels) + 2 + fmt::width(&item.note);
        let columns = (labels, items.iter().map(whole).max().unwrap_or(0));
        Self {
            title: title.to_owned(),
            items,
            texts,
            columns,
            found,
            at: 0,
            page: Cell::new(10),
            line: LineEdit::default(),
            token,
        }
    }

    /// With so many columns for labels, and those that are longer beside that.
    pub fn with_labels(mut self, columns: usize) -> Self {
        self.columns.0 = columns;
        self
    }

    /// The chosen item.
    pub fn current(&self) -> Option<&Item> {
        self.found.get(self.at).map(|at| &self.items[*at])
    }

    /// False if there is no room for it.
    pub fn paste(&mut self, text: &str) -> bool {
        let taken = self.line.insert(text);
        self.search();
        taken
    }

    /// Typing and moving; false if the key is neither.
    pub fn browse(&mut self, key: KeyEvent) -> bool {
        let last = self.found.len().saturating_sub(1);
        match key.code {
            KeyCode::Down | KeyCode::Tab => self.at = (self.at + 1).min(last),
            KeyCode::Up | KeyCode::BackTab => self.at = self.at.saturating_sub(1),
            KeyCode::PageDown => self.at = (self.at + self.page.get()).min(last),
            KeyCode::PageUp => self.at = self.at.saturating_sub(self.page.get()),
            // Where nothing is typed there is no text to move in.
            KeyCode::End if self.line.text().is_empty() => self.at = last,
            KeyCode::Home if self.line.text().is_empty() => self.at = 0,
            _ => {
                if !self.line.key(key) {
                    return false;
                }
                self.search();
            }
        }
        true
    }

    pub fn key(&mut self, key: KeyEvent, _cx: &mut Cx) -> Next {
        match (key.code, self.current(), self.token) {
            (KeyCode::Esc, ..) => Next::Close,
            (KeyCode::Enter, Some(item), Some(token)) => Next::Picked(token, item.value.clone()),
            (KeyCode::Enter, ..) => Next::Stay,
            _ => {
                self.browse(key);
                Next::Stay
            }
        }
    }

    fn search(&mut self) {
        self.at = 0;
        self.found = best(&self.texts, self.line.text());
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let (labels, wanted) = self.columns;
        let width = (wanted + 4).clamp(WIDTH.0, WIDTH.1) as u16;
        // Where a note has no room beside its label, that of the chosen item is read below.
        let below = if wanted + 4 > usize::from(width.min(area.width)) { NOTE } else { 0 };
        let rows = (self.items.len() as u16).clamp(1, 16);
        let inner = super::window(look, frame, area, width, rows + 3 + below, &self.title);
        let labels = labels.min(usize::from(inner.width) / 3);
        let (head, tail) = self.line.split();
        let prompt = Line::from(vec![
            Span::styled("> ", look.style(Role::Key)),
            Span::raw(head),
            Span::styled("█", look.style(Role::Key)),
            Span::raw(tail),
        ]);
        frame.buffer_mut().set_line(inner.x, inner.y, &prompt, inner.width);
        let below = below.min(inner.height.saturating_sub(2));
        let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1 + below), ..inner };
        if self.found.is_empty() {
            return crate::ui::widget::empty(look, frame, list, "nothing matches; esc closes");
        }
        let height = usize::from(list.height).max(1);
        self.page.set(height);
        let top = (self.at + 1).saturating_sub(height);
        let chosen = self.current().filter(|_| below > 0).map_or("", |item| &item.note);
        let note = crate::ui::widget::wrap(chosen, usize::from(inner.width)).into_iter();
        let note: Vec<Line> = note.map(|line| Line::styled(line, look.style(Role::Text))).collect();
        crate::ui::widget::lines(frame, Rect { y: list.bottom(), height: below, ..inner }, &note);
        for (row, at) in self.found.iter().skip(top).take(usize::from(list.height)).enumerate() {
            let item = &self.items[*at];
            let y = list.y + row as u16;
            let wide = usize::from(list.width);
            let label = fmt::fit(&item.label, wide, look.ascii);
            let used = fmt::width(&label).max(labels) as u16;
            frame.buffer_mut().set_stringn(list.x, y, &label, wide, look.style(Role::Text));
            if used + 3 < list.width {
                let room = usize::from(list.width - used - 2);
                frame.buffer_mut().set_stringn(
                    list.x + used + 2,
                    y,
                    fmt::fit(&item.note, room, look.ascii),
                    room,
                    look.style(Role::Dim),
                );
            }
            if top + row == self.at {
                frame.buffer_mut().set_style(Rect { y, height: 1, ..list }, look.style(Role::Selection));
            }
        }
    }
}

/// Indices of the items that match, best first, in their own order where equal.
fn best(texts: &[String], text: &str) -> Vec<usize> {
    let pattern = Pattern::parse(text, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut chars = Vec::new();
    let mut scored: Vec<(u32, usize)> = texts
        .iter()
        .enumerate()
        .filter_map(|(at, text)| {
            let score = pattern.score(Utf32Str::new(text, &mut chars), &mut matcher)?;
            Some((score, at))
        })
        .collect();
    scored.sort_by_key(|(score, at)| (std::cmp::Reverse(*score), *at));
    scored.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_narrows_best_first() {
        let items = ["restart", "start", "stop", "eaton"].map(str::to_owned);
        assert_eq!(best(&items, ""), [0, 1, 2, 3]);
        assert_eq!(best(&items, "st")[..2], [1, 2]);
        assert_eq!(best(&items, "etn"), [3]);
        assert_eq!(best(&items, "zzz"), [0; 0]);
    }
}
