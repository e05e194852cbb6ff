//! Before a shell in production: a name is typed. Elsewhere the shell opens at once; the owner decides which it is.

use super::Next;
use crate::model::container::ContainerRow;
use crate::model::message::Exec;
use crate::ui::app::{Cx, Effect, Look};
use crate::ui::theme::Role;
use crate::ui::widget::line::LineEdit;
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// State of the dialog.
pub struct ShellDialog {
    exec: Exec,
    /// The container's.
    name: String,
    /// What is to be typed.
    wanted: String,
    line: LineEdit,
    /// True after enter with another name, until the next key.
    wrong: bool,
}

impl ShellDialog {
    /// Opens a shell; an owner that wants a name typed says so, and then the dialog asks for it.
    pub fn open(cx: &mut Cx, row: &ContainerRow) {
        let (columns, rows) = cx.shared.size;
        let operator = cx.shared.operator.clone();
        let (container, command) = (row.key.clone(), Vec::new());
        let exec = Exec { container, command, terminal: true, columns, rows, operator, confirm: None };
        cx.effects.push(Effect::Shell { exec, name: row.name.clone() });
    }

    /// Asks for the name that the owner wants.
    pub fn ask(cx: &mut Cx, exec: Exec, name: String, wanted: String) {
        cx.open(super::Layer::Shell(Self { exec, name, wanted, line: LineEdit::default(), wrong: false }));
    }

    pub fn paste(&mut self, text: &str) -> bool {
        self.line.insert(text)
    }

    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        self.wrong = false;
        match key.code {
            KeyCode::Esc => return Next::Close,
            KeyCode::Enter if self.line.text().trim() == self.wanted => {
                let exec = Exec { confirm: Some(self.wanted.clone()), ..self.exec.clone() };
                cx.effects.push(Effect::Shell { exec, name: self.name.clone() });
                return Next::Close;
            }
            KeyCode::Enter => self.wrong = true,
            _ => drop(self.line.key(key)),
        }
        Next::Stay
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let inner = super::window(look, frame, area, 68, 6, &format!("shell in {}", self.name));
        let (head, tail) = self.line.split();
        let dim = look.style(Role::Dim);
        let hint = match self.wrong {
            true => Line::styled("that is not the name; nothing was opened", look.style(Role::Bad)),
            false => Line::styled("a shell can change anything in it; ctrl-] or exit leaves it", dim),
        };
        let lines = [
            Line::from(vec![Span::raw("type "), Span::styled(self.wanted.clone(), look.style(Role::Production))]),
            Line::from(vec![
                Span::styled("> ", look.style(Role::Key)),
                Span::raw(head),
                Span::styled("█", look.style(Role::Key)),
                Span::raw(tail),
            ]),
            hint,
            Line::styled("enter opens it, esc leaves", dim),
        ];
        crate::ui::widget::lines(frame, inner, &lines);
    }
}
