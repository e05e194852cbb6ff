//! Draws the console: four panes side by side where there is room, else the one that has the keys under a line of tabs.

mod fan;
mod question;
mod request;
mod response;

use super::{Console, Pane, Shown};
use crate::ui::app::Look;
use crate::ui::console::exchange::{Wire, WireLine};
use crate::ui::console::json;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::json_tree::clean;
use crate::ui::widget::{self, scroll, words};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// From here on two columns stand side by side.
const WIDE: u16 = 100;

impl Console {
    pub(super) fn draw_panes(&self, look: &Look, frame: &mut Frame, area: Rect) {
        // Two answers beside each other take all the room there is.
        let wide = self.pane == Pane::Response && matches!(self.shown, Shown::Compared | Shown::Fan);
        if wide || area.width < WIDE || area.height < 14 {
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
            Pane::Request if self.question().is_some() => "Question".to_owned(),
            Pane::Request => "Request".to_owned(),
            Pane::Response if (self.exchange.is_none() && self.fan.is_none()) || look.tiny => "Response".to_owned(),
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
            Pane::Request if self.question().is_some() => words::title(look, "Question", &[tenant()]),
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
            Pane::Request => match self.question() {
                Some(question) => self.draw_question(look, frame, area, question),
                None => self.draw_request(look, frame, area),
            },
            Pane::Response => self.draw_response(look, frame, area),
            Pane::Wire => self.draw_wire(look, frame, area),
            Pane::History => self.draw_history(look, frame, area),
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
