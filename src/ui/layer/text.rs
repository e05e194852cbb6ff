//! A text to read, scrolled by line and page.

use super::Next;
use crate::ui::app::{Cx, Look};
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use std::cell::Cell;

/// State of the reader.
pub struct Reader {
    title: String,
    lines: Vec<String>,
    top: usize,
    height: Cell<usize>,
}

impl Reader {
    pub fn new(title: &str, text: &str) -> Self {
        Self {
            title: title.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            top: 0,
            height: Cell::new(10),
        }
    }

    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        let page = self.height.get().max(1);
        let last = self.lines.len().saturating_sub(page);
        match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => return Next::Close,
            KeyCode::Down | KeyCode::Char('j') => self.top = (self.top + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown => self.top = (self.top + page).min(last),
            KeyCode::PageUp => self.top = self.top.saturating_sub(page),
            KeyCode::Char('g') | KeyCode::Home => self.top = 0,
            KeyCode::Char('G') | KeyCode::End => self.top = last,
            KeyCode::Char('y' | 'Y') => cx.copy(self.lines.join("\n")),
            _ => {}
        }
        Next::Stay
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let height = (self.lines.len() as u16 + 2).max(5);
        let inner = super::window(look, frame, area, 110, height, &self.title);
        self.height.set(usize::from(inner.height));
        for (at, line) in self.lines.iter().skip(self.top).take(usize::from(inner.height)).enumerate() {
            let text = crate::ui::fmt::fit(line, usize::from(inner.width), look.ascii);
            frame.buffer_mut().set_string(inner.x, inner.y + at as u16, text, look.style(crate::ui::theme::Role::Text));
        }
    }
}
