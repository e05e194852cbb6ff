//! One line of text, asked for.

use super::Next;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::theme::Role;
use crate::ui::widget::line::LineEdit;
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// State of the prompt.
pub struct Prompt {
    title: String,
    line: LineEdit,
    token: Token,
}

impl Prompt {
    pub fn new(title: &str, text: &str, token: Token) -> Self {
        Self { title: title.to_owned(), line: LineEdit::new(text), token }
    }

    pub fn paste(&mut self, text: &str) {
        self.line.insert(text);
    }

    pub fn key(&mut self, key: KeyEvent, _cx: &mut Cx) -> Next {
        match key.code {
            KeyCode::Esc => Next::Close,
            KeyCode::Enter => Next::Picked(self.token, self.line.text().to_owned()),
            _ => {
                self.line.key(key);
                Next::Stay
            }
        }
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        // The title is the question: it is not cut while there is room.
        let width = 64.max(crate::ui::fmt::width(&self.title) as u16 + 6);
        let inner = super::window(look, frame, area, width, 4, &self.title);
        let (head, tail) = self.line.split();
        let text = Line::from(vec![
            Span::styled("> ", look.style(Role::Key)),
            Span::raw(head),
            Span::styled("█", look.style(Role::Key)),
            Span::raw(tail),
        ]);
        let hint = Line::styled("enter takes it, esc leaves", look.style(Role::Dim));
        crate::ui::widget::lines(frame, inner, &[text, hint]);
    }
}
