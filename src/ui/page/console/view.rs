//! Draws the console: four panes side by side where there is room, else the one that has the keys under a line of tabs.

use super::edit::Edit;
use super::send::sign;
use super::{Console, Pane, Shown, Stop};
use crate::model::message::Preview;
use crate::ui::app::Look;
use crate::ui::console::diff::Change;
use crate::ui::console::exchange::{End, Exchange, Wire, WireLine};
use crate::ui::console::{json, tree};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::form::FormView;
use crate::ui::widget::json_tree::clean;
use crate::ui::widget::{self, form, json_tree, scroll, words};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// From here on two columns stand side by side.
const WIDE: u16 = 100;

/// One item of the request's head.
struct Item {
    stop: Option<Stop>,
    label: &'static str,
    value: String,
    role: Role,
}

impl Console {
    pub(super) fn draw_panes(&self, look: &Look, frame: &mut Frame, area: Rect) {
        if area.width < WIDE || area.height < 14 {
            return self.draw_one(look, frame, area);
        }
        let left = area.width * 54 / 100;
        let history = (area.height / 4).clamp(4, 12);
        let wire = (area.height / 3).clamp(4, 14);
        let column = |x, width, y, height| Rect { x: area.x + x, y: area.y + y, width, height };
        for (pane, place) in [
            (Pane::Request, column(0, left, 0, area.height - history)),
            (Pane::History, column(0, left, area.height - history, history)),
            (Pane::Response, column(left, area.width - left, 0, area.height - wire)),
            (Pane::Wire, column(left, area.width - left, area.height - wire, wire)),
        ] {
            let inner = widget::pane(look, frame, place, &self.title(look, pane), pane == self.pane);
            self.draw_pane(look, frame, inner, pane);
        }
    }

    fn draw_one(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let mut spans = vec![Span::raw(" ")];
        for pane in Pane::ALL {
            let role = if pane == self.pane { Role::TabActive } else { Role::Tab };
            spans.push(Span::styled(self.tab(look, pane), look.style(role)));
            spans.push(Span::raw("  "));
        }
        widget::lines(frame, Rect { height: 1.min(area.height), ..area }, &[Line::from(spans)]);
        let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        let inner = widget::pane(look, frame, body, &self.title(look, self.pane), true);
        self.draw_pane(look, frame, inner, self.pane);
    }

    fn tab(&self, look: &Look, pane: Pane) -> String {
        match pane {
            Pane::Request => "Request".to_owned(),
            Pane::Response if self.exchange.is_none() || look.tiny => "Response".to_owned(),
            Pane::Response => format!("Response {}", self.status(look.now, words::dot(look))),
            Pane::Wire => format!("Wire {}", self.exchange.as_ref().map_or(0, |e| e.wire.len())),
            Pane::History => format!("History {}", self.history.len()),
        }
    }

    fn title(&self, look: &Look, pane: Pane) -> String {
        let tenant = || match &self.request.tenant {
            Some(tenant) => {
                look.snap.tenant(tenant.as_str()).map_or_else(|| tenant.to_string(), |row| row.def.name.clone())
            }
            None => "no customer yet".to_owned(),
        };
        match pane {
            Pane::Request => words::title(look, "Request", &[tenant()]),
            Pane::Response => words::title(look, "Response", &[self.status(look.now, words::dot(look))]),
            Pane::Wire => {
                let summary = self.exchange.as_ref().map(|e| e.wire_summary(words::dot(look))).unwrap_or_default();
                words::title(look, "Wire", &[summary])
            }
            Pane::History => words::title(look, "History", &[tenant()]),
        }
    }

    fn draw_pane(&self, look: &Look, frame: &mut Frame, area: Rect, pane: Pane) {
        if area.height == 0 || area.width < 4 {
            return;
        }
        match pane {
            Pane::Request => self.draw_request(look, frame, area),
            Pane::Response => self.draw_response(look, frame, area),
            Pane::Wire => self.draw_wire(look, frame, area),
            Pane::History => self.draw_history(look, frame, area),
        }
    }

    fn draw_request(&self, look: &Look, frame: &mut Frame, area: Rect) {
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
            item(Some(Stop::Era), "era", request.era.map_or("auto", |e| e.name()).to_owned(), Role::Text),
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

    fn is_at(&self, stop: Stop) -> bool {
        self.stop() == stop
    }

    fn selection(&self, look: &Look) -> Style {
        look.style(if self.pane == Pane::Request { Role::Selection } else { Role::SelectionIdle })
    }

    fn draw_rule(&self, look: &Look, frame: &mut Frame, area: Rect) {
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
        let mut spans = vec![Span::styled(format!("{rule} {} ", self.request.buffer_name()), look.style(Role::Text))];
        if !self.request.raw {
            spans.push(Span::styled(format!("{rule}{rule} "), style));
            spans.push(Span::styled("form", on(!self.as_text)));
            spans.push(Span::styled(" | ", look.style(Role::Dim)));
            spans.push(Span::styled("json", on(self.as_text)));
            spans.push(Span::raw(" "));
        }
        match (&self.request.form.frozen, self.request.form.error_count(), self.request.raw) {
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
        self.request.form.problems.first().map_or_else(|| "1 problem".to_owned(), |p| clean(p))
    }

    fn draw_form(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let fields = self.request.form.fields();
        if fields.is_empty() {
            let text = match (self.request.takes_name(), &self.request.tool) {
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
            frozen: self.request.form.frozen.is_some(),
        };
        form::draw(look, frame, area, &view, &self.tops.form);
    }

    fn draw_text(&self, look: &Look, frame: &mut Frame, area: Rect) {
        if let Some(Edit::Text(editor)) = &self.edit {
            return frame.render_widget(&**editor, area);
        }
        let here = self.stop() == Stop::Text;
        for (y, line) in (area.y..area.bottom()).zip(self.request.buffer().lines()) {
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

    fn draw_response(&self, look: &Look, frame: &mut Frame, area: Rect) {
        self.tops.width.set(usize::from(area.width));
        let Some(exchange) = &self.exchange else {
            return widget::empty(look, frame, area, "F5 sends the request; the answer stands here");
        };
        let mut lines = Vec::new();
        match &exchange.end {
            None => lines.push(self.progress(look, exchange)),
            Some(End::Broken(why)) => lines.push(Line::styled(clean(why), look.style(Role::Bad))),
            Some(End::Done(record)) => {
                lines.extend(
                    record.error.iter().map(|e| Line::styled(clean(e), look.style(Role::of_outcome(record.outcome)))),
                );
            }
        }
        if exchange.answer.is_unread() && self.shown == Shown::Tree {
            let size = fmt::bytes(exchange.answer.text().len() as u64);
            let text = format!("{size} are being read; this is how they begin");
            lines.push(Line::styled(text, look.style(Role::Work)));
        }
        let head = (lines.len() as u16).min(area.height);
        widget::lines(frame, area, &lines);
        let body = Rect { y: area.y + head, height: area.height - head, ..area };
        self.tops.height.set(usize::from(body.height));
        match (self.shown, self.answer_tree()) {
            (_, None) => {}
            (Shown::Compared, Some(_)) => self.draw_compared(look, frame, body),
            (Shown::Tree, Some(tree)) if !self.shows_raw() => {
                json_tree::draw(look, frame, body, tree, &self.tops.tree, self.pane == Pane::Response);
            }
            (_, Some(tree)) => self.draw_raw(look, frame, body, tree.text()),
        }
    }

    fn progress(&self, look: &Look, exchange: &Exchange) -> Line<'static> {
        let text = match (&exchange.progress, &exchange.waking) {
            (Some((Some(percent), text)), _) => {
                format!("{} {percent:>3.0}% {}", widget::graph::gauge(*percent, 20, look.ascii), clean(text))
            }
            (Some((None, text)), _) => clean(text),
            (None, Some(instance)) => format!("waits for {instance} to start; esc cancels"),
            (None, None) => "waits for the answer; esc cancels".to_owned(),
        };
        Line::styled(text, look.style(Role::Work))
    }

    /// The answer as it came, in rows of equal bytes: no size is too large, since only what is seen is looked at.
    fn draw_raw(&self, look: &Look, frame: &mut Frame, area: Rect, text: &str) {
        let columns = usize::from(area.width).max(1);
        let boundary = |mut at: usize| {
            while at < text.len() && !text.is_char_boundary(at) {
                at += 1;
            }
            at.min(text.len())
        };
        let rows = text.len().div_ceil(columns);
        let first = self.scroll.min(rows.saturating_sub(usize::from(area.height)));
        for (y, row) in (area.y..area.bottom()).zip(first..rows) {
            let piece = &text[boundary(row * columns)..boundary((row + 1) * columns)];
            let piece = clean(piece);
            frame.buffer_mut().set_stringn(area.x, y, &piece, columns, look.style(Role::Text));
            self.mark_hits(look, frame, Rect { y, height: 1, ..area }, &piece);
        }
    }

    /// What a search looks for stands out, where it lies within one row.
    fn mark_hits(&self, look: &Look, frame: &mut Frame, row: Rect, text: &str) {
        let mut from = 0;
        while !self.search.is_empty()
            && let Some(at) = tree::find_in(text, &self.search, from..text.len(), true)
        {
            from = at + self.search.len();
            let (Some(before), Some(hit)) = (text.get(..at), text.get(at..from)) else { return };
            let x = row.x.saturating_add(fmt::width(before) as u16);
            let place = Rect { x, width: fmt::width(hit) as u16, ..row }.intersection(row);
            frame.buffer_mut().set_style(place, look.style(Role::Match));
        }
    }

    fn draw_compared(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let first = self.scroll.min(self.compared.len().saturating_sub(usize::from(area.height)));
        for (y, (change, text)) in (area.y..area.bottom()).zip(&self.compared[first..]) {
            let role = match change {
                Change::Same => Role::Dim,
                Change::Added => Role::Good,
                Change::Removed => Role::Bad,
            };
            let columns = usize::from(area.width);
            let line = fmt::fit(&format!("{} {}", sign(*change), clean(text)), columns, look.ascii);
            frame.buffer_mut().set_stringn(area.x, y, line, columns, look.style(role));
        }
    }

    fn draw_wire(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let Some(exchange) = self.exchange.as_ref().filter(|e| !e.wire.is_empty()) else {
            return widget::empty(look, frame, area, "nothing on the wire yet");
        };
        let first = scroll::first_row(&self.tops.wire, self.wire_at, usize::from(area.height), exchange.wire.len());
        for (y, at) in (area.y..area.bottom()).zip(first..exchange.wire.len()) {
            let line = &exchange.wire[at];
            let (sign, role) = match line.what {
                Wire::Sent => (">", Role::Text),
                Wire::Received => ("<", Role::Text),
                Wire::Progress => ("<", Role::Work),
                Wire::Log => ("<", Role::Dim),
                Wire::Deck => ("-", Role::Notice),
            };
            let text = format!("{}.{:03} {sign} {}", look.time(line.at), line.at.0 % 1000, clean(&summary(line)));
            let columns = usize::from(area.width);
            frame.buffer_mut().set_stringn(area.x, y, fmt::fit(&text, columns, look.ascii), columns, look.style(role));
            if at == self.wire_at && self.pane == Pane::Wire {
                frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, look.style(Role::Selection));
            }
        }
    }

    fn draw_history(&self, look: &Look, frame: &mut Frame, area: Rect) {
        if self.history.is_empty() {
            return widget::empty(look, frame, area, "nothing was sent as this customer yet; what is sent is kept");
        }
        let first =
            scroll::first_row(&self.tops.history, self.history_at, usize::from(area.height), self.history.len());
        for (y, at) in (area.y..area.bottom()).zip(first..self.history.len()) {
            let entry = &self.history[at];
            let what = entry.tool.as_deref().unwrap_or(if entry.raw { "raw message" } else { &entry.method });
            let who = if self.request.tenant.is_none() { format!("{} ", entry.tenant) } else { String::new() };
            let start = format!("{} {who}{} {} ", look.time(entry.at), entry.server, clean(what));
            let end = Span::styled(
                format!("{} {}", entry.outcome, fmt::took(entry.took_us)),
                look.style(Role::of_outcome(entry.outcome)),
            );
            let line = Line::from(vec![
                Span::raw(start),
                end,
                Span::styled(format!("  {}", entry.operator), look.style(Role::Dim)),
            ]);
            frame.buffer_mut().set_line(area.x, y, &line, area.width);
            if at == self.history_at {
                let role = if self.pane == Pane::History { Role::Selection } else { Role::SelectionIdle };
                frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, look.style(role));
            }
        }
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

/// A message of the wire in a few words: method, result or error, and its id.
fn summary(line: &WireLine) -> String {
    if !matches!(line.what, Wire::Sent | Wire::Received) {
        return line.text.clone();
    }
    let text = &line.text;
    let Ok(root) = json::parse(text) else { return text.chars().take(200).collect() };
    let id = root.get("id").map(|id| format!(" id {}", id.source(text))).unwrap_or_default();
    if let Some(method) = root.get("method").and_then(|m| m.string(text)) {
        return format!("{method}{id}");
    }
    if let Some(error) = root.get("error") {
        let part = |key| {
            error.get(key).map(|n| n.string(text).unwrap_or_else(|| n.source(text).to_owned())).unwrap_or_default()
        };
        return format!("error {} {}{id}", part("code"), part("message"));
    }
    if root.get("result").is_some() {
        format!("result{id}")
    } else {
        json::print::compact(text).chars().take(200).collect()
    }
}
