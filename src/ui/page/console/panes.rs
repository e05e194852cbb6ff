//! Panes and what keys do in them: going through rows, opening what is selected, folding, leaving.

use super::{Compared, Console, Pane, Shown, Stop};
use crate::model::message::Level;
use crate::ui::action::Action;
use crate::ui::app::Cx;
use crate::ui::console::question::Verdict;

/// Columns that a comparison is scrolled to the side at most.
const MAX_SIDEWAYS: usize = 2_000;

impl Console {
    /// Every stop of the request pane, from the top.
    pub(super) fn stops(&self) -> Vec<Stop> {
        if self.question().is_some() {
            return self.question_stops();
        }
        let mut stops = vec![Stop::Tenant, Stop::Era, Stop::Server, Stop::Method];
        if self.request.takes_name() {
            stops.push(Stop::Tool);
        }
        if self.shows_text() {
            stops.push(Stop::Text);
        } else {
            stops.extend((0..self.sheet().form.fields().len()).map(Stop::Field));
        }
        stops.push(Stop::Send);
        stops
    }

    /// True if the buffer is shown as text: asked for, or because there is nothing a form could show.
    pub(super) fn shows_text(&self) -> bool {
        self.as_text || (self.request.raw && self.question().is_none())
    }

    fn question_stops(&self) -> Vec<Stop> {
        let fields = self.sheet().form.fields().len();
        let above = if self.shows_text() { vec![Stop::Text] } else { (0..fields).map(Stop::Field).collect() };
        above.into_iter().chain(Verdict::ALL.map(Stop::Verdict)).collect()
    }

    pub(super) fn stop(&self) -> Stop {
        let stops = self.stops();
        stops[self.at.min(stops.len() - 1)]
    }

    pub(super) fn stand_on(&mut self, stop: Stop) {
        let stops = self.stops();
        self.at = stops.iter().position(|s| *s == stop).unwrap_or(self.at.min(stops.len() - 1));
    }

    /// Moving in the pane that has the keys; false for an action that does not move.
    pub(super) fn travel(&mut self, action: Action) -> bool {
        let page = isize::try_from(self.tops.height.get().max(2) - 1).unwrap_or(1);
        let by = match action {
            Action::Down => 1,
            Action::Up => -1,
            Action::PageDown => page,
            Action::PageUp => -page,
            Action::Top => isize::MIN,
            Action::Bottom => isize::MAX,
            _ => return false,
        };
        let go = |at: usize, len: usize| at.saturating_add_signed(by).min(len.saturating_sub(1));
        match self.pane {
            Pane::Request => self.at = go(self.at, self.stops().len()),
            Pane::Wire => self.wire_at = go(self.wire_at, self.exchange.as_ref().map_or(0, |e| e.wire.len())),
            Pane::History => self.history_at = go(self.history_at, self.history.len()),
            Pane::Response if self.shown == Shown::Fan => {
                if let Some(fan) = &mut self.fan {
                    fan.cursor = go(fan.cursor, fan.legs.len());
                }
            }
            Pane::Response if self.shown == Shown::Tree => {
                if let Some(tree) = self.tree_mut() {
                    tree.step(by);
                }
            }
            Pane::Response => self.scroll = go(self.scroll, self.long_rows()),
        }
        true
    }

    /// Rows of what is not a tree: the raw answer, or the comparison.
    pub(super) fn long_rows(&self) -> usize {
        match self.shown {
            Shown::Compared => self.compared.as_ref().map_or(0, Compared::rows),
            _ => self.tree().map_or(0, |tree| tree.text().len().div_ceil(self.tops.width.get().max(1))),
        }
    }

    pub(super) fn turn_pane(&mut self, forward: bool) {
        let at = Pane::ALL.iter().position(|p| *p == self.pane).unwrap_or(0);
        let by = if forward { 1 } else { Pane::ALL.len() - 1 };
        self.pane = Pane::ALL[(at + by) % Pane::ALL.len()];
    }

    /// `enter` in the pane that has the keys.
    pub(super) fn open(&mut self, cx: &mut Cx) {
        match self.pane {
            Pane::Request => self.press(cx),
            Pane::Response if self.shown == Shown::Fan => self.open_leg(cx),
            Pane::Response => {
                let width = self.tops.width.get().saturating_sub(8);
                if let Some(tree) = self.tree_mut() {
                    tree.toggle(width);
                }
            }
            Pane::Wire => self.read_wire(cx),
            Pane::History => self.load_entry(cx),
        }
    }

    pub(super) fn press(&mut self, cx: &mut Cx) {
        match self.stop() {
            Stop::Tenant => self.pick_tenant(cx),
            Stop::Era => self.pick_era(cx),
            Stop::Server => self.pick_server(cx),
            Stop::Method => self.pick_method(cx),
            Stop::Tool => self.pick_offer(cx),
            Stop::Field(at) => self.press_field(at, cx),
            Stop::Text => self.edit_text(cx),
            Stop::Send => self.send(cx),
            Stop::Verdict(verdict) => self.answer_question(verdict, cx),
        }
    }

    pub(super) fn load_entry(&mut self, cx: &mut Cx) {
        let Some(entry) = self.entry().cloned() else { return };
        self.request.load_entry(&entry);
        self.as_text = entry.raw;
        self.pane = Pane::Request;
        self.ask_catalog(cx);
        self.changed(cx);
        self.stand_on(Stop::Send);
        cx.notice(Level::Info, "loaded; F5 sends it");
    }

    pub(super) fn fold(&mut self, open: bool) {
        let width = self.tops.width.get().saturating_sub(8);
        match (self.pane, self.shown) {
            (Pane::Request, _) => self.fold_field(open),
            (Pane::Response, Shown::Compared) => {
                self.sideways = self.sideways.saturating_add_signed(if open { 8 } else { -8 }).min(MAX_SIDEWAYS);
            }
            (Pane::Response, _) => {
                let Some(tree) = self.tree_mut() else { return };
                if open { tree.enter(width) } else { tree.leave() }
            }
            (Pane::Wire | Pane::History, _) => {}
        }
    }

    /// Up: first the call under way, then the pane.
    pub(super) fn escape(&mut self, cx: &mut Cx) -> bool {
        if self.question().is_some() {
            self.answer_question(Verdict::Dismiss, cx);
        } else if self.fan.is_some() && self.shown != Shown::Fan && self.pane == Pane::Response {
            self.leave_fan();
        } else if self.is_running() {
            self.cancel(cx);
        } else if !self.search.is_empty() {
            self.search.clear();
        } else if self.pane == Pane::Response && (self.leave_filter(cx) || self.leave_fan()) {
            // The pane shows something else now.
        } else if self.pane != Pane::Request {
            self.pane = Pane::Request;
        } else {
            return false;
        }
        true
    }
}
