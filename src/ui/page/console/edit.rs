//! Changing the request: typing into a field, or into the buffer as text. While this goes on every printable key is text.

use super::{Asked, Console, Pane, Shown, Stop};
use crate::model::message::Level;
use crate::ui::app::Cx;
use crate::ui::console::alternatives::Alternative;
use crate::ui::console::form::{Field, FieldKind};
use crate::ui::console::json::{JsonError, Step, path_text};
use crate::ui::console::methods::TOOLS_CALL;
use crate::ui::console::schema::bare;
use crate::ui::layer::pick::Item;
use crate::ui::widget::line::{self, LineEdit};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Style;
use tui_textarea::{CursorMove, TextArea};

/// A longer value is edited as JSON text or in `$EDITOR`.
const MAX_LINE: usize = 2_000;
/// A longer buffer is edited in `$EDITOR`, and one of more lines or columns: the text area counts both in 16 bits.
const MAX_TEXT: usize = 1 << 20;
const MAX_SIDE: usize = 60_000;
/// Columns of a tab.
const TAB: usize = 4;
const TOO_MUCH: &str = "more than can be edited here";

/// What is being edited.
pub(super) enum Edit {
    Field {
        path: Vec<Step>,
        line: LineEdit,
        /// The buffer before, for esc.
        before: String,
    },
    Text(Box<TextArea<'static>>),
}

impl Console {
    /// `enter` on a field: type, choose, toggle, open, add.
    pub(super) fn press_field(&mut self, at: usize, cx: &mut Cx) {
        let Some(field) = self.sheet().form.fields().get(at).cloned() else { return };
        if let Some(error) = &self.sheet().form.frozen {
            return cx.notice(Level::Warn, format!("the JSON is broken: {error}; F6 shows it"));
        }
        if let FieldKind::Choice(choices) = &field.kind {
            let items = choices.iter().map(|choice| Item::new(choice.clone(), bare(choice))).collect();
            let token = cx.pick(&path_text(&field.path), items);
            return self.expect(token, Asked::Choice(field.path));
        }
        if let FieldKind::OneOf { alternatives, .. } = &field.kind {
            let label = |at: usize, one: &Alternative| Item::new(at.to_string(), one.label.as_str());
            let items = alternatives.iter().enumerate().map(|(at, one)| label(at, one)).collect();
            let token = cx.pick(&format!("Form of {}", path_text(&field.path)), items);
            return self.expect(token, Asked::Form(field.path));
        }
        if field.is_typed() {
            return self.edit_field(&field, cx);
        }
        let buffer = self.sheet().buffer().to_owned();
        if let Some(result) = self.sheet_mut().form.press(&buffer, &field) {
            self.splice(result, cx);
        }
    }

    fn edit_field(&mut self, field: &Field, cx: &mut Cx) {
        let value = field.value.clone().unwrap_or_default();
        if value.len() > MAX_LINE || value.chars().any(char::is_control) {
            cx.notice(Level::Info, "a value of many lines: it is edited as JSON; E opens $EDITOR");
            self.as_text = true;
            return self.stand_on(Stop::Text);
        }
        let before = self.sheet().buffer().to_owned();
        self.complete(&field.path, &value, cx);
        self.edit = Some(Edit::Field { path: field.path.clone(), line: LineEdit::new(&value), before });
    }

    /// Takes a changed buffer.
    pub(super) fn splice(&mut self, result: Result<String, JsonError>, cx: &mut Cx) {
        match result {
            Ok(text) => {
                self.sheet_mut().set(text);
                self.changed(cx);
            }
            Err(error) => cx.notice(Level::Warn, format!("the JSON is broken: {error}; F6 shows it")),
        }
    }

    /// The choice for the field at a path.
    pub(super) fn choose(&mut self, path: &[Step], value: &str, cx: &mut Cx) {
        let form = &self.sheet().form;
        if let Some(field) = form.fields().iter().find(|f| f.path == path) {
            let result = form.put(self.sheet().buffer(), field, value);
            self.splice(result, cx);
        }
    }

    /// Another of the forms that the field at a path may have.
    pub(super) fn choose_form(&mut self, path: &[Step], form: &str, cx: &mut Cx) {
        let sheet = self.sheet();
        let one_of = |f: &&Field| f.path == path && matches!(f.kind, FieldKind::OneOf { .. });
        if let (Some(field), Ok(form)) = (sheet.form.fields().iter().find(one_of), form.parse()) {
            let result = sheet.form.choose_form(sheet.buffer(), field, form);
            self.splice(result, cx);
        }
    }

    /// Takes the field under the cursor out of the buffer.
    pub(super) fn unset(&mut self, cx: &mut Cx) {
        if let (Pane::Request, Stop::Field(at)) = (self.pane, self.stop()) {
            let Some(field) = self.sheet().form.fields().get(at) else { return };
            let result = self.sheet().form.unset(self.sheet().buffer(), field);
            self.splice(result, cx);
        }
    }

    pub(super) fn fold_field(&mut self, open: bool) {
        let Stop::Field(at) = self.stop() else { return };
        let Some(field) = self.sheet().form.fields().get(at).cloned() else { return };
        let is_open = match field.kind {
            FieldKind::Group { open } | FieldKind::List { open, .. } if field.value.is_some() => open,
            _ => return,
        };
        if is_open != open {
            self.sheet_mut().form.fold(&field);
            let text = self.sheet().buffer().to_owned();
            self.sheet_mut().set(text);
        }
    }

    /// Edits the buffer as text.
    pub(super) fn edit_text(&mut self, cx: &mut Cx) {
        if !has_room(self.sheet().buffer()) {
            return cx.notice(Level::Warn, format!("{TOO_MUCH}; E opens $EDITOR"));
        }
        let lines: Vec<String> =
            self.sheet().buffer().split('\n').map(|l| l.trim_end_matches('\r').to_owned()).collect();
        let mut area = TextArea::new(lines);
        area.set_cursor_line_style(Style::default());
        area.move_cursor(CursorMove::Jump(0, 0));
        self.edit = Some(Edit::Text(Box::new(area)));
    }

    /// A key while something is edited; false lets it go on to the keymap.
    pub(super) fn edit_key(&mut self, key: KeyEvent, cx: &mut Cx) -> bool {
        if matches!(key.code, KeyCode::F(_))
            || (key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL))
        {
            return false;
        }
        match self.edit.take() {
            Some(Edit::Field { path, line, before }) => self.field_key(key, path, line, before, cx),
            Some(Edit::Text(mut area)) => {
                if key.code == KeyCode::Esc {
                    return true;
                }
                let changed = area.input(key);
                self.take_area(area, changed, cx);
                true
            }
            None => false,
        }
    }

    fn field_key(&mut self, key: KeyEvent, path: Vec<Step>, mut line: LineEdit, before: String, cx: &mut Cx) -> bool {
        match key.code {
            KeyCode::Esc => {
                self.sheet_mut().set(before);
                self.changed(cx);
            }
            KeyCode::Enter | KeyCode::Down => self.travel_by(1),
            KeyCode::Up | KeyCode::BackTab => self.travel_by(-1),
            KeyCode::Tab => {
                self.travel_by(1);
                // The next field at once, so that a form is filled in without a hand on enter.
                if let Stop::Field(at) = self.stop()
                    && let Some(field) = self.sheet().form.fields().get(at).cloned()
                    && field.is_typed()
                {
                    self.edit_field(&field, cx);
                }
            }
            _ => {
                // As in a shell: at the end of what is typed, right takes what is offered.
                let offered =
                    self.offered(line.text()).filter(|_| key.code == KeyCode::Right && line.split().1.is_empty());
                if let Some(offered) = offered {
                    line = LineEdit::new(&offered);
                    self.type_into(&path, line.text(), cx);
                    self.edit = Some(Edit::Field { path, line, before });
                    return true;
                }
                let taken = line.key(key);
                if taken {
                    self.type_into(&path, line.text(), cx);
                    self.complete(&path, line.text(), cx);
                }
                self.edit = Some(Edit::Field { path, line, before });
                return taken;
            }
        }
        true
    }

    fn travel_by(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by).min(self.stops().len() - 1);
    }

    fn type_into(&mut self, path: &[Step], text: &str, cx: &mut Cx) {
        let form = &self.sheet().form;
        let Some(field) = form.fields().iter().find(|f| f.path == path && f.is_typed()) else {
            return;
        };
        let result = form.typed(self.sheet().buffer(), field, text);
        self.splice(result, cx);
    }

    pub(super) fn edit_paste(&mut self, text: &str, cx: &mut Cx) {
        match self.edit.take() {
            Some(Edit::Field { path, mut line, before }) => {
                match line.insert(text) {
                    true => self.type_into(&path, line.text(), cx),
                    false => cx.notice(Level::Warn, line::no_room(text)),
                }
                self.edit = Some(Edit::Field { path, line, before });
            }
            Some(Edit::Text(mut area)) => {
                let changed = area.insert_str(text);
                self.take_area(area, changed, cx);
            }
            None => {}
        }
    }

    /// The text area after a key or a paste, which is taken back if there is no room for it.
    fn take_area(&mut self, mut area: Box<TextArea<'static>>, changed: bool, cx: &mut Cx) {
        let text = changed.then(|| area.lines().join("\n"));
        if text.as_deref().is_some_and(|text| !has_room(text)) {
            area.undo();
            cx.notice(Level::Warn, format!("{TOO_MUCH}: none of it was taken; esc, then E opens $EDITOR"));
        } else if let Some(text) = text {
            self.sheet_mut().set(text);
            self.changed(cx);
        }
        self.edit = Some(Edit::Text(area));
    }

    /// F6: form or JSON; in the response tree, raw, comparison.
    pub(super) fn turn_shown(&mut self) {
        if self.pane == Pane::Response {
            self.shown = match self.shown {
                Shown::Tree => Shown::Raw,
                Shown::Raw if self.compared.is_some() => Shown::Compared,
                Shown::Raw | Shown::Compared => Shown::Tree,
                Shown::Fan => Shown::Fan,
            };
            self.scroll = 0;
            return;
        }
        self.edit = None;
        self.pane = Pane::Request;
        if !self.request.raw || self.question().is_some() {
            self.as_text = !self.as_text;
            let first = if self.as_text { Stop::Text } else { Stop::Field(0) };
            self.stand_on(first);
        }
    }

    /// F7: the whole message by hand, and back.
    pub(super) fn toggle_raw(&mut self, cx: &mut Cx) {
        self.edit = None;
        self.request.toggle_raw();
        self.pane = Pane::Request;
        self.describe();
        self.changed(cx);
        self.stand_on(if self.request.raw { Stop::Text } else { Stop::Send });
    }

    pub(super) fn open_editor(&mut self, cx: &mut Cx) {
        self.edit = None;
        let token = cx.editor(self.sheet().buffer().to_owned(), "json");
        self.expect(token, Asked::Buffer);
    }

    /// Fills in what another view knows of a request.
    pub(super) fn prefill(&mut self, method: Option<&str>, tool: Option<&str>, params: Option<&str>) {
        let method = method.unwrap_or(TOOLS_CALL);
        self.request.load(method, params.unwrap_or_default());
        self.as_text = false;
        if let Some(tool) = tool.filter(|_| self.request.takes_name() && self.request.tool.is_none()) {
            self.request.tool = Some(tool.to_owned());
            // The params were the arguments alone.
            if let Some(params) = params {
                self.sheet_mut().set(crate::ui::console::json::print::pretty(params));
            }
        }
    }
}

/// Whether a text can be edited on the screen.
fn has_room(text: &str) -> bool {
    let columns = |line: &str| line.chars().map(|c| if c == '\t' { TAB } else { c.len_utf8() }).sum::<usize>();
    text.len() <= MAX_TEXT && text.split('\n').count() <= MAX_SIDE && text.split('\n').all(|l| columns(l) <= MAX_SIDE)
}
