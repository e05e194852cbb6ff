//! Every container and process, ours and others: whose it is, how it is, what it uses; orphans; and everything about one.

mod columns;
mod detail;
mod inspect;
mod orphans;
mod unit;
mod usage;

use super::View;
use crate::control::handle::Interest;
use crate::model::container::{EngineRow, EngineState};
use crate::model::{Answer, Refusal};
use crate::ui::action::Action;
use crate::ui::acts::{self, Subject};
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::theme::Role;
use crate::ui::widget::table::{Row as _, Table, reorders};
use crate::ui::widget::{self, words};
use detail::Detail;
use orphans::Orphan;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use unit::{Unit, UnitKey};

pub use unit::state;

/// Most rows whose figures are asked to be fresh.
const WATCHED: usize = 200;

/// State of the view.
#[derive(Default)]
pub struct Containers {
    table: Table<Unit>,
    detail: Detail,
    /// The detail has the keys; on a small screen it stands in front of the table.
    in_detail: bool,
    orphans: Table<Orphan>,
    /// Only orphans are shown.
    finding: bool,
}

impl Containers {
    fn derive(&mut self, cx: &mut Cx) {
        self.table.set_rows(Unit::all(cx.snap, cx.shared.limit.as_ref()), cx.shared.now);
        self.orphans.set_rows(cx.snap.orphans.iter().cloned().map(Orphan), cx.shared.now);
        self.follow_selection(cx);
    }

    fn follow_selection(&mut self, cx: &mut Cx) {
        self.detail.show(self.table.selected().cloned(), self.in_detail, cx);
    }

    fn subjects(&self) -> Vec<Subject> {
        if self.finding {
            return self.orphans.selected().map(Orphan::subject).into_iter().collect();
        }
        self.table.targets().into_iter().map(Unit::subject).collect()
    }

    fn reveal(&mut self, key: &UnitKey, cx: &mut Cx) {
        self.finding = false;
        if !self.table.select(key) {
            // The filter hides it; the empty one always reads.
            let _ = self.table.set_filter("");
            self.derive(cx);
            self.table.select(key);
        }
        self.follow_selection(cx);
    }

    fn focus_detail(&mut self, on: bool, cx: &mut Cx) {
        self.in_detail = on;
        self.follow_selection(cx);
    }

    fn act_in_orphans(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::Orphans | Action::Escape => self.finding = false,
            Action::Open => {
                let Some(key) = self.orphans.selected().and_then(|o| o.0.container.clone()) else { return false };
                self.reveal(&UnitKey::Container(key), cx);
                self.focus_detail(true, cx);
            }
            _ if acts::act(action, &self.subjects(), cx) => {}
            _ => {
                let taken = self.orphans.act(action, cx);
                if reorders(action) {
                    self.derive(cx);
                }
                return taken;
            }
        }
        true
    }
}

impl View for Containers {
    fn sync(&mut self, cx: &mut Cx) {
        self.derive(cx);
        self.detail.refresh(cx);
    }

    fn place(&self) -> Target {
        if self.finding {
            return Target::Orphans;
        }
        match self.table.selected().map(|unit| (unit.container().map(|row| row.key.clone()), unit.instance().cloned()))
        {
            Some((Some(key), _)) => Target::Container(key),
            Some((None, Some(key))) => Target::Instance(key),
            _ => Target::Nothing,
        }
    }

    fn arrive(&mut self, target: &Target, cx: &mut Cx) {
        self.in_detail = false;
        match target {
            Target::Container(key) => self.reveal(&UnitKey::Container(key.clone()), cx),
            Target::Inspect(key) => {
                self.reveal(&UnitKey::Container(key.clone()), cx);
                self.act(Action::Inspect, cx);
            }
            Target::Instance(key) => {
                let container = cx.snap.instance(key).and_then(|row| row.container.clone());
                self.reveal(&container.map_or(UnitKey::Process(key.clone()), UnitKey::Container), cx);
            }
            Target::Orphans => self.finding = true,
            Target::Filter(text) => drop(self.set_filter(text, cx)),
            _ => {}
        }
    }

    fn leave(&mut self, _cx: &mut Cx) {
        self.in_detail = false;
        self.finding = false;
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        if self.finding {
            return self.act_in_orphans(action, cx);
        }
        match action {
            Action::NextPane | Action::PrevPane => self.focus_detail(!self.in_detail, cx),
            Action::Open if !self.in_detail => self.focus_detail(true, cx),
            Action::Escape if self.in_detail && self.detail.clear_search() => {}
            Action::Escape if self.in_detail => self.focus_detail(false, cx),
            Action::Escape => return self.table.clear_marks(),
            Action::Orphans => {
                self.finding = true;
                self.in_detail = false;
            }
            Action::Inspect => {
                self.detail.open_inspect();
                self.focus_detail(true, cx);
            }
            _ if self.in_detail && self.detail.act(action, cx) => {}
            _ if acts::act(action, &self.subjects(), cx) => {}
            _ if self.in_detail => return false,
            _ => {
                let taken = self.table.act(action, cx);
                if reorders(action) {
                    self.derive(cx);
                }
                self.follow_selection(cx);
                return taken;
            }
        }
        true
    }

    fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>, _cx: &mut Cx) {
        self.detail.answer(token, answer);
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if self.table.picked(token, &value) || self.orphans.picked(token, &value) {
            self.derive(cx);
        }
    }

    fn searches(&self) -> bool {
        self.in_detail && self.detail.is_tree()
    }

    fn filter(&self) -> &str {
        match (self.searches(), self.finding) {
            (true, _) => self.detail.search(),
            (_, true) => self.orphans.filter_text(),
            _ => self.table.filter_text(),
        }
    }

    fn set_filter(&mut self, text: &str, cx: &mut Cx) -> Result<(), String> {
        if self.searches() {
            return self.detail.set_search(text);
        }
        let read = if self.finding { self.orphans.set_filter(text) } else { self.table.set_filter(text) };
        self.derive(cx);
        read
    }

    fn interest(&self) -> Interest {
        let shown = if self.finding { &[] } else { self.table.visible() };
        let shown = shown.iter().chain(self.table.selected()).take(WATCHED);
        let mut interest = Interest::default();
        for unit in shown {
            match unit.key() {
                UnitKey::Container(key) => interest.containers.push(key),
                UnitKey::Process(key) => interest.instances.push(key),
            }
        }
        interest
    }

    fn keys(&self) -> &'static [Action] {
        use Action as A;
        match (self.finding, self.searches(), self.in_detail) {
            (true, ..) => &[A::Escape, A::ReapOrphans, A::Open, A::Logs, A::Explain],
            (_, true, _) => &[A::Escape, A::Open, A::SearchNext, A::CopyCell, A::CopyRow],
            (_, _, true) => &[A::Escape, A::Right, A::Inspect, A::Logs, A::Shell, A::Stop, A::Restart, A::Explain],
            _ => &[
                A::Open,
                A::Logs,
                A::Shell,
                A::Inspect,
                A::Start,
                A::Stop,
                A::Restart,
                A::Explain,
                A::Orphans,
                A::Sleep,
                A::Kill,
                A::Console,
                A::Deploy,
                A::Sort,
                A::Wide,
            ],
        }
    }

    fn crumb(&self) -> Option<String> {
        self.table.selected().map(Unit::name)
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        if self.finding {
            return self.draw_orphans(look, frame, area);
        }
        // A small screen has room for one of the two.
        if area.height < 30 && area.width < 160 {
            return if self.in_detail {
                self.detail.draw(look, frame, area, true)
            } else {
                self.draw_table(look, frame, area)
            };
        }
        let [table, detail] = if area.width >= 160 && area.height < 36 {
            Layout::horizontal([Constraint::Min(0), Constraint::Length(64)]).areas(area)
        } else {
            Layout::vertical([Constraint::Min(0), Constraint::Length(area.height * 2 / 5)]).areas(area)
        };
        self.draw_table(look, frame, table);
        self.detail.draw(look, frame, detail, self.in_detail);
    }
}

impl Containers {
    fn draw_table(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let orphans = look.snap.orphans.len();
        let orphans = if orphans == 0 { String::new() } else { crate::ui::fmt::plural(orphans, "orphan") };
        let title = words::title(look, &format!("Containers {}", self.table.count()), &[orphans]);
        let inner = widget::pane(look, frame, area, &title, !self.in_detail);
        let notes = engine_notes(look, inner.width);
        if self.table.rows().is_empty() {
            return widget::empty(look, frame, inner, &self.nothing(look));
        }
        let below = if look.tiny { 0 } else { notes.len().min(usize::from(inner.height) / 3) as u16 };
        let [table, said] = Layout::vertical([Constraint::Min(0), Constraint::Length(below)]).areas(inner);
        self.table.draw(look, frame, table, !self.in_detail);
        widget::lines(frame, said, &notes);
    }

    fn nothing(&self, look: &Look) -> String {
        if !self.table.filter_text().is_empty() {
            return self.table.nothing("no container or process matches the filter");
        }
        if look.shared.limit.is_some() {
            return "this customer has no container and no process; esc lifts the limit".to_owned();
        }
        let reason = |engine: &EngineRow| match &engine.state {
            EngineState::Absent { reason } => Some(reason.clone()),
            _ => None,
        };
        match look.snap.engines.iter().find_map(|engine| reason(engine)) {
            Some(reason) => format!(
                "nothing runs. No container engine: {reason}. Once Docker or Podman is there its containers show up by \
                 themselves; `[[engine]]` names one elsewhere"
            ),
            None => "nothing runs: no container on any engine, and no server's process".to_owned(),
        }
    }

    fn draw_orphans(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let reap = look.shared.keymap.shown(Action::ReapOrphans);
        let what = format!("Orphans {}", self.orphans.count());
        let hint =
            if self.orphans.rows().is_empty() { String::new() } else { format!("{reap} reaps them all, after asking") };
        let inner = widget::pane(look, frame, area, &words::title(look, &what, &[hint]), true);
        if !self.orphans.rows().is_empty() {
            return self.orphans.draw(look, frame, inner, true);
        }
        let text = match self.orphans.filter_text() {
            "" => "no orphan: everything that is ours is wanted; esc goes back".to_owned(),
            _ => self.orphans.nothing("no orphan matches the filter"),
        };
        widget::empty(look, frame, inner, &text);
    }
}

/// Each engine that does not answer, or is not there; why is told in full.
fn engine_notes(look: &Look, columns: u16) -> Vec<Line<'static>> {
    let note = |engine: &EngineRow| match &engine.state {
        EngineState::Up => None,
        EngineState::Connecting => Some((format!("engine {}: connecting ...", engine.id), Role::Dim)),
        EngineState::Absent { reason } => Some((format!("no container engine: {reason}"), Role::Dim)),
        EngineState::Silent { since, reason } => {
            let age = look.age(*since);
            Some((format!("engine {} silent for {age}: {reason}; its rows are that old", engine.id), Role::Warn))
        }
    };
    let notes = look.snap.engines.iter().filter_map(|engine| note(engine));
    let lines = |(text, role): (String, Role)| {
        let wrapped = widget::wrap(&text, usize::from(columns).saturating_sub(2));
        wrapped.into_iter().map(move |line| Line::styled(format!(" {line}"), look.style(role)))
    };
    notes.flat_map(lines).collect()
}
