//! One line of text, asked for; the arrow keys bring back what was typed before.

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
    /// What was typed before, oldest first, and last what is typed now.
    earlier: Vec<String>,
    at: usize,
}

impl Prompt {
    pub fn new(title: &str, text: &str, token: Token) -> Self {
        Self { title: title.to_owned(), line: LineEdit::new(text), token, earlier: vec![text.to_owned()], at: 0 }
    }

    /// With what was typed before, oldest first.
    pub fn after(mut self, earlier: &[String]) -> Self {
        self.earlier.splice(0..0, earlier.iter().cloned());
        self.at = earlier.len();
        self
    }

    fn go(&mut self, at: usize) {
        self.earlier[self.at] = self.line.text().to_owned();
        self.at = at.min(self.earlier.len() - 1);
        self.line = LineEdit::new(&self.earlier[self.at]);
    }

    pub fn paste(&mut self, text: &str) -> bool {
        self.line.insert(text)
    }

    pub fn key(&mut self, key: KeyEvent, _cx: &mut Cx) -> Next {
        match key.code {
            KeyCode::Esc => Next::Close,
            KeyCode::Enter => Next::Picked(self.token, self.line.text().to_owned()),
            KeyCode::Up => {
                self.go(self.at.saturating_sub(1));
                Next::Stay
            }
            KeyCode::Down => {
                self.go(self.at + 1);
                Next::Stay
            }
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
        let hint = match self.earlier.len() {
            1 => "enter takes it, esc leaves".to_owned(),
            n => format!("enter takes it, esc leaves, up brings back {}", crate::ui::fmt::plural(n - 1, "earlier one")),
        };
        let hint = Line::styled(hint, look.style(Role::Dim));
        crate::ui::widget::lines(frame, inner, &[text, hint]);
    }
}
