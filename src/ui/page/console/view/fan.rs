//! The table of a fan-out: a customer a row, how it ended, how long it took, and whose answers are the same.

use super::super::{Console, Pane};
use crate::ui::app::Look;
use crate::ui::console::fan::{Fan, Leg, Stand, letter};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::json_tree::clean;
use crate::ui::widget::{self, scroll, words};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Columns of the customer's name and of the outcome.
const NAME: usize = 16;
const OUTCOME: usize = 9;

impl Console {
    pub(super) fn draw_fan(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let Some(fan) = &self.fan else { return };
        let head = [
            Line::styled(fan_summary(look, fan), look.style(Role::Text)),
            Line::styled(
                format!(
                    "{:<NAME$} {:<4} {:<OUTCOME$} {:>9} {:>9}  same  says",
                    "customer", "env", "outcome", "took", "size"
                ),
                look.style(Role::Dim),
            ),
        ];
        widget::lines(frame, area, &head);
        let body = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
        self.tops.height.set(usize::from(body.height));
        let first = scroll::first_row(&self.tops.fan, fan.cursor, usize::from(body.height), fan.legs.len());
        for (y, at) in (body.y..body.bottom()).zip(first..fan.legs.len()) {
            let line = row(look, &fan.legs[at]);
            frame.buffer_mut().set_line(body.x, y, &line, body.width);
            if at == fan.cursor {
                let role = if self.pane == Pane::Response { Role::Selection } else { Role::SelectionIdle };
                frame.buffer_mut().set_style(Rect { y, height: 1, ..body }, look.style(role));
            }
        }
    }
}

/// `12 customers · 10 ok · 2 timeout · 2 different answers`
pub(super) fn fan_summary(look: &Look, fan: &Fan) -> String {
    let mut parts = vec![fmt::plural(fan.legs.len(), "customer")];
    parts.extend(fan.tally().into_iter().map(|(word, count)| format!("{count} {word}")));
    match fan.different() {
        0 => {}
        1 => parts.push("all answers the same".to_owned()),
        n => parts.push(format!("{n} different answers")),
    }
    parts.join(words::dot(look))
}

fn row<'a>(look: &Look, leg: &Leg) -> Line<'a> {
    let tenant = look.snap.tenant(leg.tenant.as_str());
    let name = tenant.map_or_else(|| leg.tenant.to_string(), |row| row.def.name.clone());
    let environment = tenant.map(|row| row.def.environment);
    let role = match (&leg.stand, leg.stand.outcome()) {
        (_, Some(outcome)) => Role::of_outcome(outcome),
        (Stand::Running(_), _) => Role::Work,
        (Stand::Broken(_), _) => Role::Warn,
        _ => Role::Dim,
    };
    let took = match &leg.stand {
        Stand::Done(record) => fmt::took(record.took_us),
        Stand::Running(since) => fmt::running(look.now.since(*since)),
        _ => String::new(),
    };
    let size = match leg.answer.len() as u64 + leg.dropped {
        0 => String::new(),
        n => fmt::bytes(n),
    };
    let same = leg.same.map(letter).unwrap_or_default();
    let cell = |text: &str, columns: usize| {
        let text = fmt::fit(&clean(text), columns, look.ascii);
        format!("{text}{} ", " ".repeat(columns.saturating_sub(fmt::width(&text))))
    };
    Line::from(vec![
        Span::styled(cell(&name, NAME), look.style(Role::Text)),
        Span::styled(
            cell(environment.map_or("", |e| &e.name()[..e.name().len().min(4)]), 4),
            look.style(environment.map_or(Role::Text, Role::of_environment)),
        ),
        Span::styled(cell(leg.stand.word(), OUTCOME), look.style(role)),
        Span::styled(format!("{took:>9} {size:>9}  {same:<4}  "), look.style(Role::Text)),
        Span::styled(clean(&leg.says()), look.style(Role::Dim)),
    ])
}
