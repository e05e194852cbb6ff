//! Draws a schema form: label, value, and at the right the type or what is wrong.

use super::json_tree::clean;
use super::line::LineEdit;
use super::scroll;
use crate::ui::app::Look;
use crate::ui::console::form::{Field, FieldKind};
use crate::ui::console::schema::bare;
use crate::ui::fmt;
use crate::ui::theme::Role;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::cell::Cell;

/// What is drawn.
pub struct FormView<'a> {
    pub fields: &'a [Field],
    pub cursor: Option<usize>,
    /// The value being typed in the row under the cursor.
    pub edit: Option<&'a LineEdit>,
    pub focused: bool,
    /// The rows show an older state: the buffer is no JSON now.
    pub frozen: bool,
    /// What the server offers for the value being typed, in words; may be empty.
    pub offered: String,
}

/// Draws the rows; the last line describes the one under the cursor.
pub fn draw(look: &Look, frame: &mut Frame, area: Rect, form: &FormView, top: &Cell<usize>) {
    let about = form.cursor.and_then(|at| form.fields.get(at)).map(about);
    let described =
        Some(form.offered.clone()).filter(|text| !text.is_empty()).or(about).filter(|text| !text.is_empty());
    let footer = u16::from(described.is_some() && area.height > 3);
    let rows = Rect { height: area.height - footer.min(area.height), ..area };
    let first = scroll::first_row(top, form.cursor.unwrap_or(0), usize::from(rows.height), form.fields.len());
    let labels = label_width(form.fields, usize::from(area.width));
    for (y, at) in (rows.y..rows.bottom()).zip(first..form.fields.len()) {
        let line = Rect { y, height: 1, ..rows };
        draw_row(look, frame, line, form, at, labels);
    }
    if let Some(text) = described.filter(|_| footer == 1) {
        let failed = form.cursor.and_then(|at| form.fields.get(at)).is_some_and(|f| f.error.is_some());
        let style = look.style(if failed { Role::Bad } else { Role::Dim });
        put(look, frame, Rect { y: rows.bottom(), height: 1, ..area }, &text, style);
    }
}

/// The error in full, else the description.
fn about(field: &Field) -> String {
    field.error.clone().unwrap_or_else(|| field.description.clone())
}

fn label_width(fields: &[Field], width: usize) -> usize {
    let longest = fields.iter().map(|f| fmt::width(&f.label) + f.depth * 2 + 4).max().unwrap_or(0);
    longest.min(width * 2 / 5).max(8)
}

fn draw_row(look: &Look, frame: &mut Frame, line: Rect, form: &FormView, at: usize, labels: usize) {
    let field = &form.fields[at];
    let here = form.cursor == Some(at);
    let label = Rect { width: (labels as u16).min(line.width), ..line };
    let rest = Rect { x: line.x + label.width, width: line.width - label.width, ..line };
    let style = if form.frozen { look.style(Role::Dim) } else { look.style(Role::Text) };
    put(look, frame, label, &label_text(look, field), if form.frozen { style } else { look.style(Role::Key) });
    if here && form.focused {
        frame
            .buffer_mut()
            .set_style(line, look.style(if form.edit.is_some() { Role::SelectionIdle } else { Role::Selection }));
    } else if here {
        frame.buffer_mut().set_style(line, look.style(Role::SelectionIdle));
    }
    if let (true, Some(edit)) = (here, form.edit) {
        return draw_edit(look, frame, rest, edit);
    }
    let hint = hint(field);
    let wide = fmt::width(&hint).min(usize::from(rest.width / 2)) as u16;
    let shows_hint = !hint.is_empty() && rest.width >= 24;
    let value = Rect { width: if shows_hint { rest.width - wide - 1 } else { rest.width }, ..rest };
    let (text, role) = value_text(look, field);
    let value_style = if form.frozen || here { style } else { look.style(role) };
    put(look, frame, value, &text, value_style);
    if shows_hint {
        let role = if field.error.is_some() { Role::Bad } else { Role::Dim };
        put(look, frame, Rect { x: rest.right() - wide, width: wide, ..rest }, &hint, look.style(role));
    } else if field.error.is_some() && rest.width > 2 {
        put(look, frame, Rect { x: rest.right() - 1, width: 1, ..rest }, "!", look.style(Role::Bad));
    }
}

fn label_text(look: &Look, field: &Field) -> String {
    let mark = match (&field.kind, look.ascii) {
        (FieldKind::Group { open: true } | FieldKind::List { open: true, .. }, false) if field.value.is_some() => "▾ ",
        (FieldKind::Group { .. } | FieldKind::List { .. }, false) => "▸ ",
        (FieldKind::Group { open: true } | FieldKind::List { open: true, .. }, true) if field.value.is_some() => "v ",
        (FieldKind::Group { .. } | FieldKind::List { .. }, true) => "> ",
        (FieldKind::Add { .. }, _) => "+ ",
        (FieldKind::OneOf { .. }, false) => "◆ ",
        (FieldKind::OneOf { .. }, true) => "* ",
        _ => "",
    };
    let star = if field.required { "*" } else { "" };
    format!("{}{mark}{}{star}", "  ".repeat(field.depth), clean(&field.label))
}

fn hint(field: &Field) -> String {
    match &field.error {
        Some(error) => format!("! {}", clean(error)),
        None => clean(&field.hint),
    }
}

fn value_text(look: &Look, field: &Field) -> (String, Role) {
    let hidden = |text: &str| if look.ascii { "*" } else { "•" }.repeat(text.chars().count().min(12));
    match (&field.kind, &field.value) {
        (FieldKind::List { len, .. }, Some(_)) => (format!("[{len}]"), Role::Dim),
        (FieldKind::Group { .. }, Some(_)) | (FieldKind::Add { .. }, _) => (String::new(), Role::Dim),
        (FieldKind::Text { hidden: true }, Some(value)) => (hidden(value), Role::Text),
        (FieldKind::Text { .. }, Some(value)) if value.is_empty() => ("\"\"".to_owned(), Role::Dim),
        (FieldKind::Const(only), None) => (format!("({})", clean(&bare(only))), Role::Dim),
        (_, Some(value)) => (clean(&value.replace('\n', if look.ascii { "\\n" } else { "⏎" })), Role::Text),
        (FieldKind::OneOf { .. }, None) => ("not set, enter chooses a form".to_owned(), Role::Dim),
        (FieldKind::Group { .. } | FieldKind::List { .. }, None) => ("not set, enter adds it".to_owned(), Role::Dim),
        (_, None) => match &field.default {
            Some(default) => (format!("{} (default)", clean(default)), Role::Dim),
            None => ("-".to_owned(), Role::Dim),
        },
    }
}

/// The part of a line being typed that is around its cursor.
pub fn draw_edit(look: &Look, frame: &mut Frame, area: Rect, edit: &LineEdit) {
    let (head, tail) = edit.split();
    let room = usize::from(area.width.saturating_sub(1));
    let mut head = head;
    while fmt::width(head) > room {
        let step = head.chars().next().map_or(1, char::len_utf8);
        head = &head[step..];
    }
    let used = fmt::width(head) as u16;
    frame.buffer_mut().set_stringn(area.x, area.y, clean(head), usize::from(area.width), look.style(Role::Text));
    if used < area.width {
        let at = Rect { x: area.x + used, width: area.width - used, ..area };
        frame.buffer_mut().set_stringn(at.x, at.y, "█", 1, look.style(Role::Key));
        let after = Rect { x: at.x + 1, width: at.width - 1, ..at };
        put(look, frame, after, &clean(tail), look.style(Role::Text));
    }
}

fn put(look: &Look, frame: &mut Frame, area: Rect, text: &str, style: Style) {
    let columns = usize::from(area.width);
    frame.buffer_mut().set_stringn(area.x, area.y, fmt::fit(text, columns, look.ascii), columns, style);
}
