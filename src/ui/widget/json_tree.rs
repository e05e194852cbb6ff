//! Draws the rows of a [`Tree`] that are seen, and no other.

use crate::ui::app::Look;
use crate::ui::console::json::Kind;
use crate::ui::console::tree::{Line, Tree};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::scroll;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;
use std::cell::Cell;

/// Draws the tree; `top` remembers the first row.
pub fn draw(look: &Look, frame: &mut Frame, area: Rect, tree: &Tree, top: &Cell<usize>, focused: bool) {
    let (height, width) = (usize::from(area.height), usize::from(area.width));
    let first = scroll::first_row(top, tree.cursor, height, tree.len());
    for (y, row) in (area.y..area.bottom()).zip(first..tree.len()) {
        let Some(line) = tree.line(row, width * 4) else { return };
        let spans = ratatui::text::Line::from(spans(look, &line, width));
        frame.buffer_mut().set_line(area.x, y, &spans, area.width);
        if row == tree.cursor {
            let style = look.style(if focused { Role::Selection } else { Role::SelectionIdle });
            frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, style);
        }
    }
}

fn spans<'a>(look: &Look, line: &'a Line, width: usize) -> Vec<Span<'a>> {
    // Deep rows stay in sight on a narrow screen.
    let indent = (line.depth * 2).min(width / 2);
    let mut out = vec![Span::raw(" ".repeat(indent)), Span::raw("  ")];
    let name = &line.name;
    if !name.is_empty() {
        out.push(Span::styled(fmt::fit(&clean(name), width / 2, look.ascii), look.style(Role::Key)));
        out.push(Span::raw("  "));
    }
    if let Some(count) = line.count {
        let text = if line.kind == Kind::Array { format!("[{count}]") } else { format!("{{{count}}}") };
        out.push(Span::styled(text, look.style(Role::Dim)));
    }
    let used: usize = out.iter().map(|s| fmt::width(&s.content)).sum();
    let whole = clean(&line.value);
    let value = fmt::fit(&whole, width.saturating_sub(used), look.ascii);
    // A text of which only a part is seen can be opened, too.
    let fold = line.fold.or_else(|| (line.kind == Kind::String && !name.is_empty() && value != whole).then_some(false));
    out[1] = Span::styled(mark(fold, look.ascii), look.style(Role::Dim));
    out.push(Span::styled(value, look.style(role(line.kind))));
    out
}

fn mark(fold: Option<bool>, ascii: bool) -> &'static str {
    match (fold, ascii) {
        (None, _) => "  ",
        (Some(true), false) => "▾ ",
        (Some(false), false) => "▸ ",
        (Some(true), true) => "v ",
        (Some(false), true) => "> ",
    }
}

fn role(kind: Kind) -> Role {
    match kind {
        Kind::Null => Role::Dim,
        Kind::Bool | Kind::Number => Role::Work,
        Kind::String | Kind::Array | Kind::Object => Role::Text,
    }
}

/// What a terminal might take for a command is shown as a dot.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if is_harmless(c) { c } else { '·' }).collect()
}

/// No control characters, none that turn the direction of a line around, none without a width of their own at the start.
pub fn is_harmless(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_obeys_is_left() {
        assert_eq!(clean("a\u{1b}[31mb\u{9b}c\r\u{202e}d\té"), "a·[31mb·c··d·é");
    }
}
