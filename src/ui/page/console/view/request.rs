//! The request: its head, the form or the text, what will be put in, and the button.

use super::super::edit::Edit;
use super::super::{Console, Pane, Stop};
use crate::model::message::Preview;
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::form::FormView;
use crate::ui::widget::json_tree::clean;
use crate::ui::widget::{self, form, words};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// One item of the request's head.
struct Item {
    stop: Option<Stop>,
    label: &'static str,
    value: String,
    role: Role,
}

impl Console {
    pub(super) fn draw_request(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let head = self.head(look);
        let columns: u16 = if area.width >= 50 { 2 } else { 1 };
        let mut y = area.y;
        for row in head.chunks(2) {
            for (at, item) in row.iter().take(usize::from(columns)).enumerate() {
                let width = area.width / columns;
                let place = Rect { x: area.x + at as u16 * width, y, width, height: 1 };
                self.draw_item(look, frame, place, item);
            }
            // What has no room beside its neighbour and can be chosen stands below it.
            let below = row.get(1).filter(|item| columns == 1 && item.stop == Some(Stop::Tool));
            if let Some(item) = below {
                y += 1;
                self.draw_item(look, frame, Rect { y, height: 1, ..area }, item);
            }
            y += 1;
        }
        let left = area.bottom().saturating_sub(y);
        if left < 2 {
            return;
        }
        let foot = Rect { y: area.bottom() - 1, height: 1, ..area };
        self.draw_foot(look, frame, foot);
        self.draw_rule(look, frame, Rect { y, height: 1, ..area });
        let body = Rect { y: y + 1, height: left - 2, ..area };
        if body.height == 0 {
            return;
        }
        self.draw_body(look, frame, body);
    }

    pub(super) fn draw_body(&self, look: &Look, frame: &mut Frame, body: Rect) {
        if self.shows_text() { self.draw_text(look, frame, body) } else { self.draw_form(look, frame, body) }
    }

    fn head(&self, look: &Look) -> Vec<Item> {
        let request = &self.request;
        let tenant = request.tenant.as_ref().map(|t| {
            look.snap
                .tenant(t.as_str())
                .map_or_else(|| (t.to_string(), None), |row| (row.def.name.clone(), Some(row.def.environment)))
        });
        let (name, environment) = tenant.unwrap_or_else(|| ("choose one (enter)".to_owned(), None));
        let place = environment.map_or(String::new(), |e| format!("{}{}", words::dot(look), e.name()));
        let item = |stop, label, value: String, role| Item { stop, label, value, role };
        let server = request.server.as_ref().map_or_else(|| "choose one (enter)".to_owned(), |s| self.server(look, s));
        let mark =
            self.offer().map(|o| o.mark()).filter(|m| !m.is_empty()).map(|m| format!("  {m}")).unwrap_or_default();
        let tool = request.tool.as_ref().map_or_else(|| "choose one (enter)".to_owned(), |t| format!("{t}{mark}"));
        let method = if request.raw { "raw message".to_owned() } else { request.method().to_owned() };
        let (route, role) = self.route(look);
        let mut head = vec![
            item(
                Some(Stop::Tenant),
                "customer",
                format!("{name}{place}"),
                environment.map_or(Role::Text, Role::of_environment),
            ),
            item(Some(Stop::Era), "era", self.era(), Role::Text),
            item(Some(Stop::Server), "server", server, Role::Text),
            item(None, "route", route, role),
            item(Some(Stop::Method), "method", method, Role::Text),
        ];
        if request.takes_name() {
            let label = if request.method() == crate::ui::console::methods::PROMPTS_GET { "prompt" } else { "tool" };
            let role = if mark.contains("destroys") { Role::Warn } else { Role::Text };
            head.push(item(Some(Stop::Tool), label, tool, role));
        }
        head
    }

    fn server(&self, look: &Look, server: &crate::model::ServerId) -> String {
        let Some(row) = look.snap.server(server.as_str()) else { return server.to_string() };
        let scope = match row.def.scope {
            crate::model::Scope::Shared => "shared",
            crate::model::Scope::Tenant => "per customer",
            crate::model::Scope::Session => "per session",
        };
        format!("{server} ({scope})")
    }

    /// Where the call would go.
    fn route(&self, look: &Look) -> (String, Role) {
        let Some(preview) = &self.preview else { return ("-".to_owned(), Role::Dim) };
        let state = preview
            .state
            .map(|state| format!("{} {} ", state.symbol(false, look.ascii), state.name()))
            .unwrap_or_default();
        let role = preview.state.map_or(Role::Text, |state| Role::of_state(state, false));
        (format!("{state}{} {:.2}", preview.reason, preview.confidence), role)
    }

    fn draw_item(&self, look: &Look, frame: &mut Frame, area: Rect, item: &Item) {
        let area = area.intersection(frame.area());
        if area.is_empty() {
            return;
        }
        let label = format!("{:<9}", item.label);
        let columns = usize::from(area.width);
        frame.buffer_mut().set_stringn(area.x, area.y, &label, columns, look.style(Role::Dim));
        let room = columns.saturating_sub(label.len() + 1);
        let value = fmt::fit(&clean(&item.value), room, look.ascii);
        if room > 0 {
            frame.buffer_mut().set_stringn(area.x + label.len() as u16, area.y, &value, room, look.style(item.role));
        }
        if item.stop.is_some_and(|stop| self.is_at(stop)) {
            let width = ((label.len() + fmt::width(&value)) as u16).min(area.width);
            frame.buffer_mut().set_style(Rect { width, ..area }, self.selection(look));
        }
    }

    /// The pinned era, or `auto` and what that means at this server.
    fn era(&self) -> String {
        let known = self.offers().and_then(|offers| offers.era);
        match (self.request.era, known) {
            (Some(era), _) => era.name().to_owned(),
            (None, Some(era)) => format!("auto ({})", era.name()),
            (None, None) => "auto".to_owned(),
        }
    }

    pub(super) fn is_at(&self, stop: Stop) -> bool {
        self.stop() == stop
    }

    pub(super) fn selection(&self, look: &Look) -> Style {
        look.style(if self.pane == Pane::Request { Role::Selection } else { Role::SelectionIdle })
    }

    pub(super) fn draw_rule(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let rule = if look.ascii { "-" } else { "─" };
        let style = look.style(Role::Border);
        frame.buffer_mut().set_stringn(
            area.x,
            area.y,
            rule.repeat(usize::from(area.width)),
            usize::from(area.width),
            style,
        );
        let on = |active| look.style(if active { Role::Title } else { Role::Dim });
        let raw = self.request.raw && self.question().is_none();
        let name = if self.question().is_some() { "answer" } else { self.request.buffer_name() };
        let mut spans = vec![Span::styled(format!("{rule} {name} "), look.style(Role::Text))];
        if !raw {
            spans.push(Span::styled(format!("{rule}{rule} "), style));
            spans.push(Span::styled("form", on(!self.as_text)));
            spans.push(Span::styled(" | ", look.style(Role::Dim)));
            spans.push(Span::styled("json", on(self.as_text)));
            spans.push(Span::raw(" "));
        }
        match (&self.sheet().form.frozen, self.sheet().form.error_count(), raw) {
            (_, 0, _) | (_, _, true) => {}
            (Some(error), ..) => {
                spans.push(Span::styled(format!("{rule}{rule} no JSON: {error} "), look.style(Role::Bad)))
            }
            (None, 1, _) => {
                spans.push(Span::styled(format!("{rule}{rule} {} ", self.first_problem()), look.style(Role::Warn)))
            }
            (None, n, _) => spans.push(Span::styled(format!("{rule}{rule} {n} problems "), look.style(Role::Warn))),
        }
        frame.buffer_mut().set_line(area.x, area.y, &Line::from(spans), area.width);
    }

    fn first_problem(&self) -> String {
        self.sheet().form.problems.first().map_or_else(|| "1 problem".to_owned(), |p| clean(p))
    }

    fn draw_form(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let fields = self.sheet().form.fields();
        if fields.is_empty() {
            let text = match (self.request.takes_name() && self.question().is_none(), &self.request.tool) {
                (true, None) => "choose a tool: its arguments become a form here",
                _ => "no arguments; F6 writes JSON all the same",
            };
            return widget::empty(look, frame, area, text);
        }
        let cursor = match self.stop() {
            Stop::Field(at) => Some(at),
            _ => None,
        };
        let edit = match &self.edit {
            Some(Edit::Field { line, .. }) => Some(line),
            _ => None,
        };
        let view = FormView {
            fields,
            cursor,
            edit,
            focused: self.pane == Pane::Request,
            frozen: self.sheet().form.frozen.is_some(),
            offered: edit.map(|line| self.offers_shown(line.text())).unwrap_or_default(),
        };
        form::draw(look, frame, area, &view, &self.tops.form);
    }

    fn draw_text(&self, look: &Look, frame: &mut Frame, area: Rect) {
        if let Some(Edit::Text(editor)) = &self.edit {
            return frame.render_widget(&**editor, area);
        }
        let here = self.stop() == Stop::Text;
        for (y, line) in (area.y..area.bottom()).zip(self.sheet().buffer().lines()) {
            let columns = usize::from(area.width);
            let text = fmt::fit(&clean(line), columns, look.ascii);
            frame.buffer_mut().set_stringn(area.x, y, text, columns, look.style(Role::Text));
        }
        if here {
            frame.buffer_mut().set_style(Rect { height: 1, ..area }, self.selection(look));
        }
    }

    /// What will be put in, and the button.
    fn draw_foot(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let button = format!("[ Send {} ]", look.shared.keymap.shown(crate::ui::action::Action::Send));
        let wide = (button.len() as u16).min(area.width);
        let place = Rect { x: area.right() - wide, width: wide, ..area };
        let (text, role) = self.injected();
        let room = usize::from(area.width.saturating_sub(wide + 1));
        frame.buffer_mut().set_stringn(
            area.x,
            area.y,
            fmt::fit(&clean(&text), room, look.ascii),
            room,
            look.style(role),
        );
        let style = if self.request.missing().is_none() { Role::Key } else { Role::Dim };
        frame.buffer_mut().set_stringn(place.x, place.y, &button, usize::from(wide), look.style(style));
        if self.is_at(Stop::Send) {
            frame.buffer_mut().set_style(place, self.selection(look));
        }
    }

    fn injected(&self) -> (String, Role) {
        if let Some(why) = self.request.missing() {
            return (why, Role::Dim);
        }
        let Some(preview) = &self.preview else { return (String::new(), Role::Dim) };
        if let Some(why) = &preview.refused {
            return (format!("refused: {why}"), Role::Bad);
        }
        (injects(preview), Role::Dim)
    }
}

/// `injects customer_id, X-Customer-ID, _meta`.
fn injects(preview: &Preview) -> String {
    let mut names: Vec<&str> = preview.arguments.iter().map(|(name, _)| name.as_str()).collect();
    names.extend(preview.headers.iter().map(|(name, _)| name.as_str()));
    if !preview.meta.is_empty() {
        names.push("_meta");
    }
    if names.is_empty() { "injects nothing".to_owned() } else { format!("injects {}", names.join(", ")) }
}
