//! Lines to read with a first one shown; and a row of tabs above them.

use super::super::action::Action;
use super::super::app::Look;
use super::super::fmt;
use super::super::theme::Role;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use std::cell::Cell;

/// Where a text that may be longer than its pane stands.
#[derive(Debug, Default)]
pub struct Scroll {
    top: usize,
    /// Rows of the pane, and of the text, as last drawn.
    height: Cell<usize>,
    total: Cell<usize>,
}

impl Scroll {
    /// Moves; false for an action that does not move.
    pub fn act(&mut self, action: Action) -> bool {
        let page = self.height.get().max(1);
        let last = self.total.get().saturating_sub(page);
        self.top = match action {
            Action::Down => self.top + 1,
            Action::Up => self.top.saturating_sub(1),
            Action::PageDown => self.top + page,
            Action::PageUp => self.top.saturating_sub(page),
            Action::Top => 0,
            Action::Bottom => last,
            _ => return false,
        }
        .min(last);
        true
    }

    /// Back to the top, for another text.
    pub fn reset(&mut self) {
        self.top = 0;
    }

    pub fn draw(&self, frame: &mut Frame, area: Rect, lines: &[Line]) {
        self.height.set(usize::from(area.height));
        self.total.set(lines.len());
        let top = self.top.min(lines.len().saturating_sub(usize::from(area.height)));
        super::lines(frame, area, &lines[top..]);
    }
}

/// Draws titles of tabs in one line, the chosen one standing out; returns what is left below.
pub fn tabs(look: &Look, frame: &mut Frame, area: Rect, titles: &[&str], chosen: usize) -> Rect {
    let mut spans = vec![Span::raw(" ")];
    for (at, title) in titles.iter().enumerate() {
        let role = if at == chosen { Role::TabActive } else { Role::Tab };
        spans.push(Span::styled(format!(" {title} "), look.style(role)));
        spans.push(Span::raw(" "));
    }
    super::lines(frame, Rect { height: area.height.min(1), ..area }, &[Line::from(spans)]);
    let used = area.height.min(1);
    Rect { x: area.x + 1, y: area.y + used, width: area.width.saturating_sub(1), height: area.height - used }
}

/// `name   value`, the name dim and in a column of its own; long values go on below.
pub fn field(look: &Look, name: &str, value: &str, role: Role, columns: u16) -> Vec<Line<'static>> {
    const NAME: usize = 13;
    // A long name keeps its distance from its value.
    let column = NAME.max(fmt::width(name) + 1);
    let value = if value.is_empty() { "-" } else { value };
    let wrapped = super::wrap(value, usize::from(columns).saturating_sub(column).max(10));
    let mut name = name;
    wrapped
        .into_iter()
        .map(|text| {
            let head = format!("{:<column$}", std::mem::take(&mut name));
            Line::from(vec![Span::styled(head, look.style(Role::Dim)), Span::styled(text, look.style(role))])
        })
        .collect()
}
