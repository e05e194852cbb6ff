//! Before a shell in a container of production: its name is typed. Elsewhere the shell opens at once.

use super::Next;
use crate::model::container::ContainerRow;
use crate::model::message::Exec;
use crate::model::{Environment, Snapshot};
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
    name: String,
    line: LineEdit,
    /// True after enter with another name, until the next key.
    wrong: bool,
}

impl ShellDialog {
    /// Opens a shell, or asks for the name first.
    pub fn open(cx: &mut Cx, row: &ContainerRow) {
        let (columns, rows) = cx.shared.size;
        let operator = cx.shared.operator.clone();
        let exec =
            Exec { container: row.key.clone(), command: Vec::new(), tty: true, columns, rows, operator, confirm: None };
        let name = row.name.clone();
        if environment(row, cx.snap) != Environment::Production {
            return cx.effects.push(Effect::Shell { exec, name });
        }
        cx.open(super::Layer::Shell(Self { exec, name, line: LineEdit::default(), wrong: false }));
    }

    pub fn paste(&mut self, text: &str) {
        self.line.insert(text);
    }

    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        self.wrong = false;
        match key.code {
            KeyCode::Esc => return Next::Close,
            KeyCode::Enter if self.line.text().trim() == self.name => {
                let exec = Exec { confirm: Some(self.name.clone()), ..self.exec.clone() };
                cx.effects.push(Effect::Shell { exec, name: self.name.clone() });
                return Next::Close;
            }
            KeyCode::Enter => self.wrong = true,
            _ => drop(self.line.key(key)),
        }
        Next::Stay
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let inner = super::window(look, frame, area, 68, 6, "shell in production");
        let (head, tail) = self.line.split();
        let dim = look.style(Role::Dim);
        let hint = match self.wrong {
            true => Line::styled("that is not the name; nothing was opened", look.style(Role::Bad)),
            false => Line::styled("a shell can change anything in it; ctrl-] or exit leaves it", dim),
        };
        let lines = [
            Line::from(vec![Span::raw("type "), Span::styled(self.name.clone(), look.style(Role::Production))]),
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

/// The strictest environment that the container is known to belong to.
fn environment(row: &ContainerRow, snap: &Snapshot) -> Environment {
    let owner = &row.owner;
    let tenant = owner.tenant.as_ref().and_then(|id| snap.tenant(id.as_str())).map(|t| t.def.environment);
    let server = owner.server.as_ref().and_then(|id| snap.server(id.as_str())).map(|s| s.environment);
    let stack = owner.stack.as_ref().and_then(|id| snap.stack(id.as_str())).map(|s| s.environment);
    // What belongs to nobody we know is as serious as the platform beside it.
    [tenant, server, stack].into_iter().flatten().max().unwrap_or(snap.platform.environment)
}
