//! Draws Traffic: the table that is looked at, and beside or above it how long calls took and how they ended.

use super::{TABS, Traffic};
use crate::model::Outcome;
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::pager::tabs;
use crate::ui::widget::{self, graph, histogram, words};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

impl Traffic {
    pub(super) fn draw_calls(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let side = self.by().is_none() && area.width >= 110 && area.height >= 12;
        let main = Rect { width: if side { area.width - 34 } else { area.width }, ..area };
        let inner =
            widget::pane(look, frame, main, &fmt::fit(&self.title(look), usize::from(main.width), look.ascii), true);
        let mut body = if look.tiny { inner } else { tabs(look, frame, inner, &TABS.map(|(name, _)| name), self.tab) };
        if !side && !look.tiny && inner.height > 8 {
            widget::lines(frame, Rect { height: 1, ..body }, &[self.summary(look)]);
            body = Rect { y: body.y + 1, height: body.height - 1, ..body };
        }
        match (self.by(), self.table.rows().is_empty()) {
            (Some(_), _) if !self.groups.rows().is_empty() => self.groups.draw(look, frame, body, true),
            (None, false) => self.table.draw(look, frame, body, true),
            _ => widget::empty(look, frame, body, self.nothing(look)),
        }
        if side {
            self.draw_side(look, frame, Rect { x: main.right(), width: 34, ..area });
        }
    }

    fn summary(&self, look: &Look) -> Line<'static> {
        let dot = words::dot(look);
        let mut spans = vec![Span::raw(" ")];
        for outcome in Outcome::ALL.into_iter().filter(|o| self.outcomes[*o as usize] > 0) {
            let text = format!("{outcome} {}", self.outcomes[outcome as usize]);
            spans.push(Span::styled(text, look.style(Role::of_outcome(outcome))));
            spans.push(Span::styled(dot, look.style(Role::Dim)));
        }
        let bars: Vec<f32> = self.took.counts.iter().map(|n| *n as f32).collect();
        spans.push(Span::styled("1 ms ", look.style(Role::Dim)));
        spans.push(Span::styled(graph::spark(&bars, bars.len(), None, look.ascii), look.style(Role::Graph)));
        spans.push(Span::styled(" 10 s", look.style(Role::Dim)));
        Line::from(spans)
    }

    fn title(&self, look: &Look) -> String {
        let mut parts = match (self.by(), self.calls.iter().next()) {
            (Some(_), Some(oldest)) => {
                let calls = fmt::plural(self.calls.len(), "finished call");
                vec![self.groups.count(), format!("{calls} since {}", look.time(oldest.at))]
            }
            _ => vec![self.table.count()],
        };
        for (n, what) in [(self.calls.dropped, "older dropped"), (self.lost + look.snap.totals.dropped_records, "lost")]
        {
            if n > 0 {
                parts.push(format!("{n} {what}"));
            }
        }
        if look.shared.frozen {
            parts.push("frozen".to_owned());
        }
        if let Some(why) = &self.ended {
            parts.push(format!("stream ended: {why}, ctrl-r asks again"));
        }
        words::title(look, "Traffic", &parts)
    }

    fn draw_side(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let outcomes: Vec<Line> = Outcome::ALL
            .into_iter()
            .filter(|o| self.outcomes[*o as usize] > 0)
            .map(|o| {
                Line::styled(
                    format!(" {:<10}{:>8}", o.name(), self.outcomes[o as usize]),
                    look.style(Role::of_outcome(o)),
                )
            })
            .collect();
        let below = (outcomes.len() as u16 + 2).clamp(3, area.height / 2);
        let top = Rect { height: area.height - below, ..area };
        let inner = widget::pane(look, frame, top, "Took", false);
        histogram::draw(look, frame, inner, &self.took);
        let inner = widget::pane(look, frame, Rect { y: top.bottom(), height: below, ..area }, "Outcomes", false);
        widget::lines(frame, inner, &outcomes);
    }

    fn nothing(&self, look: &Look) -> &'static str {
        if self.calls.kept() > 0 {
            "no call matches the filter; esc clears it"
        } else if look.snap.platform.example_traffic == Some(false) {
            "no calls yet; T turns example traffic on, 6 opens the console"
        } else {
            "no calls yet; 6 opens the console"
        }
    }
}
