//! Who held GPU memory in the last 24 hours: a graph of each device, a cursor in time, and the holders at it.

mod holding;

use crate::model::gpu::{GpuHeld, Gpus, HELD_FOR, held_at};
use crate::model::message::Level;
use crate::model::{Answer, Query, Refusal, Snapshot, Stamp};
use crate::ui::action::Action;
use crate::ui::acts::Subject;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::Table;
use crate::ui::widget::{self, graph, words};
use holding::Holding;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use std::time::Duration;

const MINUTE: u64 = 60_000;
/// How far back it reaches.
const DAY: u64 = 24 * 60 * MINUTE;
/// What one key moves the cursor by.
const STEP: u64 = 10 * MINUTE;
const PAGE: u64 = 60 * MINUTE;
/// Between two looks of a graph.
const LOOK: usize = 5 * MINUTE as usize;
/// Columns before a device's graph.
const LABEL: u16 = 8;

/// The pane that takes the view's place while it is open.
#[derive(Default)]
pub struct Past {
    open: bool,
    pub table: Table<Holding>,
    rows: Vec<GpuHeld>,
    /// Where the cursor is; `None`: now.
    cursor: Option<Stamp>,
    now: Stamp,
    asked: Option<Token>,
    asked_at: Stamp,
    prompt: Option<Token>,
    error: Option<String>,
    answered: bool,
}

impl Past {
    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn toggle(&mut self, cx: &mut Cx) {
        self.open = !self.open;
        self.asked_at = Stamp::default();
        self.sync(cx);
    }

    pub fn close(&mut self) {
        self.open = false;
    }

    /// Asks again every minute while it is looked at.
    pub fn sync(&mut self, cx: &mut Cx) {
        if !self.open {
            return;
        }
        self.now = cx.shared.now;
        if self.now.since(self.asked_at) >= Duration::from_millis(MINUTE) {
            self.asked_at = self.now;
            // The row that counts at the far end was written up to some minutes before it.
            let since = Stamp(self.now.0.saturating_sub(DAY + HELD_FOR.as_millis() as u64));
            self.asked = Some(cx.ask(Query::GpuHeld { since }));
        }
        self.derive(&cx.snap.gpus);
    }

    fn derive(&mut self, gpus: &Gpus) {
        let at = self.at();
        self.table.set_rows(Holding::all(&self.rows, at, self.now, gpus), self.now);
    }

    fn at(&self) -> Stamp {
        self.cursor.unwrap_or(self.now)
    }

    pub fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>, cx: &mut Cx) {
        if self.asked != Some(token) {
            return;
        }
        self.answered = true;
        match answer {
            Ok(Answer::GpuHeld(rows)) => {
                self.rows = rows;
                self.error = None;
            }
            Ok(_) => {}
            Err(refusal) => self.error = Some(refusal.to_string()),
        }
        self.derive(&cx.snap.gpus);
    }

    pub fn picked(&mut self, token: Token, value: &str, cx: &mut Cx) {
        if self.table.picked(token, value) {
            return self.derive(&cx.snap.gpus);
        }
        if self.prompt != Some(token) {
            return;
        }
        self.prompt = None;
        match time_of_day(value, self.now, cx.shared.utc_offset_s) {
            Some(at) => self.cursor = Some(at),
            None => cx.notice(Level::Warn, format!("`{value}` is no time of day: write 03:00")),
        }
        self.derive(&cx.snap.gpus);
    }

    /// What moves the cursor, asks for a time, or closes; the rest is the table's.
    pub fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::Escape => self.close(),
            Action::Left => self.step(-(STEP as i64)),
            Action::Right => self.step(STEP as i64),
            Action::PageUp => self.step(-(PAGE as i64)),
            Action::PageDown => self.step(PAGE as i64),
            Action::Top => self.cursor = Some(Stamp(self.now.0.saturating_sub(DAY))),
            Action::Bottom => self.cursor = None,
            Action::AtTime => self.prompt = Some(cx.prompt("Who held GPU memory at (HH:MM)", "")),
            _ => return false,
        }
        self.derive(&cx.snap.gpus);
        true
    }

    fn step(&mut self, millis: i64) {
        let earliest = self.now.0.saturating_sub(DAY);
        let to = self.at().0.saturating_add_signed(millis).max(earliest);
        self.cursor = (to < self.now.0).then_some(Stamp(to));
    }

    /// The selected holder, if it is one of those that are here now.
    pub fn subject(&self, snap: &Snapshot) -> Option<Subject> {
        self.table.selected().map(|holding| holding.subject(snap))
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let when = match self.cursor {
            None => "now".to_owned(),
            Some(at) => {
                let ago = fmt::running(Duration::from_secs(look.now.since(at).as_secs() / 60 * 60));
                let ago = ago.trim_end_matches(" 00s");
                format!("{}, {ago} ago", fmt::clock(at, look.shared.utc_offset_s))
            }
        };
        let title = words::title(look, "Who held GPU memory", &[when]);
        let inner = widget::pane(look, frame, area, &title, true);
        let devices = look.snap.gpus.devices.len() as u16;
        let graphs = if look.tiny { 0 } else { devices.min(inner.height / 3) + 1 };
        let [top, below] = Layout::vertical([Constraint::Length(graphs), Constraint::Min(0)]).areas(inner);
        if graphs > 0 {
            self.draw_graphs(look, frame, top);
        }
        let hint = u16::from(below.height > 8);
        let [below, last] = Layout::vertical([Constraint::Min(0), Constraint::Length(hint)]).areas(below);
        let keys = " left, right: 10 minutes; page keys: an hour; g: a day ago; G: now";
        widget::lines(frame, last, &[Line::styled(keys, look.style(Role::Dim))]);
        if !self.table.rows().is_empty() {
            return self.table.draw(look, frame, below, true);
        }
        let text = match (&self.error, self.answered, self.table.filter_text()) {
            (Some(error), ..) => error.clone(),
            (None, false, _) => "asking the store ...".to_owned(),
            (None, true, "") => "nobody held GPU memory then, or mcpdeck did not run".to_owned(),
            _ => self.table.nothing("no holder matches the filter"),
        };
        widget::empty(look, frame, below, &text);
    }

    /// One line a device, and the hours below.
    fn draw_graphs(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let wide = area.width.saturating_sub(LABEL + 1);
        if wide < 8 {
            return;
        }
        let shown = look.snap.gpus.devices.iter().take(usize::from(area.height.saturating_sub(1)));
        let lines: Vec<Line> = shown
            .map(|device| {
                let values = self.filled(&device.identity(), device.memory_total, wide);
                let bars = graph::spark(&values, wide.into(), Some(100.0), look.ascii);
                let label = format!(" gpu {:<3}", device.index);
                Line::from(vec![
                    Span::styled(label, look.style(Role::Dim)),
                    Span::styled(bars, look.style(Role::Graph)),
                ])
            })
            .collect();
        widget::lines(frame, area, &lines);
        let x = area.x + LABEL + self.column(self.at(), wide);
        let rows = Rect { x, y: area.y, width: 1, height: lines.len() as u16 };
        // Not the selection's style: turned inside out a full bar looks empty.
        frame.buffer_mut().set_style(rows, look.style(Role::Mark));
        self.draw_hours(look, frame, Rect { x: area.x + LABEL, y: area.bottom() - 1, width: wide, height: 1 });
    }

    /// Percent of a device's memory that was held, by column of the graph.
    fn filled(&self, device: &str, total: Option<u64>, columns: u16) -> Vec<f32> {
        let total = total.unwrap_or(1).max(1) as f32;
        let held = |at: u64| -> u64 {
            held_at(&self.rows, Stamp(at)).iter().filter(|row| row.device == device).map(|row| row.memory).sum()
        };
        let edge = |column: u16| self.start() + DAY * u64::from(column) / u64::from(columns);
        // The most in each column: what lasted for a few minutes must not fall between two of them.
        let most = |column: u16| (edge(column)..edge(column + 1)).step_by(LOOK).map(|at| held(at + LOOK as u64)).max();
        (0..columns).map(|column| most(column).unwrap_or(0) as f32 * 100.0 / total).collect()
    }

    fn start(&self) -> u64 {
        self.now.0.saturating_sub(DAY)
    }

    fn column(&self, at: Stamp, columns: u16) -> u16 {
        let passed = at.0.saturating_sub(self.start()).min(DAY);
        ((passed * u64::from(columns) / DAY) as u16).min(columns.saturating_sub(1))
    }

    /// The time at both ends, and where the cursor stands.
    fn draw_hours(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let clock = |at: u64| fmt::clock(Stamp(at), look.shared.utc_offset_s);
        let dim = look.style(Role::Dim);
        let buffer = frame.buffer_mut();
        buffer.set_string(area.x, area.y, clock(self.start()), dim);
        buffer.set_string(area.right().saturating_sub(3), area.y, "now", dim);
        let Some(at) = self.cursor else { return };
        // Beside both ends there is no room for a third.
        let x = self.column(at, area.width).saturating_sub(2).clamp(6, area.width.saturating_sub(9).max(6));
        buffer.set_string(area.x + x, area.y, clock(at.0), look.style(Role::Key));
    }
}

/// The newest time of day `HH:MM` before `now`, `offset_s` east of Greenwich.
fn time_of_day(text: &str, now: Stamp, offset_s: i32) -> Option<Stamp> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let local = now.0.saturating_add_signed(i64::from(offset_s) * 1000);
    let wanted = (hours * 60 + minutes) * MINUTE;
    let midnight = local / DAY * DAY;
    let at = if midnight + wanted <= local { midnight + wanted } else { (midnight + wanted).saturating_sub(DAY) };
    Some(Stamp(at.saturating_add_signed(-i64::from(offset_s) * 1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_newest_one_on_the_operators_clock() {
        let hour = 60 * MINUTE;
        let now = Stamp(10 * DAY + 13 * hour);
        for (text, offset_s, expected) in [
            ("03:00", 0, Some(10 * DAY + 3 * hour)),
            ("13:00", 0, Some(10 * DAY + 13 * hour)),
            ("13:01", 0, Some(9 * DAY + 13 * hour + MINUTE)),
            (" 3:05 ", 7200, Some(10 * DAY + hour + 5 * MINUTE)),
            ("23:00", -3600, Some(10 * DAY)),
            ("24:00", 0, None),
            ("3", 0, None),
            ("x:y", 0, None),
        ] {
            assert_eq!(time_of_day(text, now, offset_s), expected.map(Stamp), "{text}");
        }
    }
}
