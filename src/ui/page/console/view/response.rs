//! The answer: as a tree, as it came, or beside another.

use super::super::send::sign;
use super::super::{Console, Pane, Shown};
use crate::ui::app::Look;
use crate::ui::console::diff::Change;
use crate::ui::console::exchange::{End, Exchange};
use crate::ui::console::{sides, tree};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::json_tree::clean;
use crate::ui::widget::{self, json_tree};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// From here on two answers stand side by side, in columns.
const SIDES: u16 = 60;

impl Console {
    pub(super) fn draw_response(&self, look: &Look, frame: &mut Frame, area: Rect) {
        self.tops.width.set(usize::from(area.width));
        if self.shown == Shown::Fan {
            return self.draw_fan(look, frame, area);
        }
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
        if let Some(filtering) = &self.filtering {
            let failed = matches!(filtering.found, Some(Err(_)));
            let role = if failed { Role::Warn } else { Role::Work };
            let text = format!("| {}: {}", filtering.program, filtering.summary());
            lines.push(Line::styled(clean(&text), look.style(role)));
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
        match (self.shown, self.tree()) {
            (Shown::Compared, _) => self.draw_compared(look, frame, body),
            (_, None) => {}
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
        let Some(compared) = &self.compared else { return };
        let lines = match &compared.lines {
            Ok(lines) => lines,
            Err(why) => return widget::empty(look, frame, area, why),
        };
        let titles = compared.titles.each_ref().map(|title| clean(title));
        if area.width >= SIDES {
            return self.draw_sides(look, frame, area, &titles, lines);
        }
        let head = Line::from(vec![
            Span::styled(format!("- {}  ", titles[0]), look.style(Role::Bad)),
            Span::styled(format!("+ {}", titles[1]), look.style(Role::Good)),
        ]);
        widget::lines(frame, Rect { height: 1.min(area.height), ..area }, &[head]);
        let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        let first = self.scroll.min(lines.len().saturating_sub(usize::from(area.height)));
        for (y, (change, text)) in (area.y..area.bottom()).zip(&lines[first..]) {
            let place = Rect { y, height: 1, ..area };
            self.draw_change(look, frame, place, *change, text);
        }
    }

    /// Both answers beside each other.
    fn draw_sides(&self, look: &Look, frame: &mut Frame, area: Rect, titles: &[String; 2], lines: &[(Change, String)]) {
        let half = (area.width - 1) / 2;
        let column = |at: u16, y| Rect { x: area.x + at * (half + 1), y, width: half, height: 1 };
        let rule = if look.ascii { "|" } else { "│" };
        for (at, (title, sign)) in (0u16..).zip(titles.iter().zip(["-", "+"])) {
            let style = look.style(Role::Title);
            let text = fmt::fit(&format!("{sign} {title}"), usize::from(half), look.ascii);
            frame.buffer_mut().set_stringn(column(at, area.y).x, area.y, text, usize::from(half), style);
        }
        let rows = sides::rows(lines);
        let height = usize::from(area.height.saturating_sub(1));
        let first = rows.partition_point(|row| row.line < self.scroll).min(rows.len().saturating_sub(height));
        for (y, row) in (area.y + 1..area.bottom()).zip(&rows[first..]) {
            let change = |change| if row.same { Change::Same } else { change };
            if let Some(text) = row.left {
                self.draw_change(look, frame, column(0, y), change(Change::Removed), text);
            }
            if let Some(text) = row.right {
                self.draw_change(look, frame, column(1, y), change(Change::Added), text);
            }
            frame.buffer_mut().set_stringn(area.x + half, y, rule, 1, look.style(Role::Border));
        }
    }

    fn draw_change(&self, look: &Look, frame: &mut Frame, area: Rect, change: Change, text: &str) {
        let role = match change {
            Change::Same => Role::Dim,
            Change::Added => Role::Good,
            Change::Removed => Role::Bad,
        };
        let columns = usize::from(area.width);
        let seen: String = clean(text).chars().skip(self.sideways).collect();
        let line = fmt::fit(&format!("{} {seen}", sign(change)), columns, look.ascii);
        frame.buffer_mut().set_stringn(area.x, area.y, line, columns, look.style(role));
    }
}
