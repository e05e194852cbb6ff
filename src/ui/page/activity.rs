//! What was done and what happened: jobs, the journal of acts, events, attached consoles; and what this one watches.

mod jobs;
mod rows;
mod watched;

use super::{Page, View};
use crate::model::message::{Event, EventKind, JobOutcome, Level};
use crate::model::{Answer, Command, Query, Refusal};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::layer::Layer;
use crate::ui::layer::text::Reader;
use crate::ui::theme::Role;
use crate::ui::watch::{Watch, Watched};
use crate::ui::widget::pager::tabs;
use crate::ui::widget::table::{Row, Table, reorders};
use crate::ui::widget::{self};
use jobs::Job;
use ratatui::Frame;
use ratatui::layout::Rect;
use rows::{Console, Happened, Journal};

const TABS: [&str; 5] = ["Jobs", "Journal", "Events", "Consoles", "Watched"];
const WATCHED: usize = TABS.len() - 1;
const ASKED: u32 = 1000;

/// State of the view.
#[derive(Default)]
pub struct Activity {
    tab: usize,
    jobs: Table<Job>,
    journal: Table<Journal>,
    events: Table<Happened>,
    consoles: Table<Console>,
    watched: Table<Watch>,
    /// The newest answers; rows derive from them when the filter changes.
    acts: Vec<Journal>,
    facts: Vec<Happened>,
    asked: Option<Token>,
    /// Jobs as of the last question: what is done since then is in the journal and among the events.
    jobs_seen: (usize, Option<u64>),
    error: Option<String>,
}

impl Activity {
    fn derive(&mut self, cx: &Cx) {
        let now = cx.shared.now;
        self.jobs.set_rows(cx.snap.jobs.iter().cloned().map(Job), now);
        self.consoles.set_rows(cx.snap.consoles.iter().cloned().map(Console), now);
        self.watched.set_rows(cx.shared.watches.all().iter().cloned(), now);
        self.journal.set_rows(self.acts.iter().cloned(), now);
        self.events.set_rows(self.facts.iter().cloned(), now);
    }

    /// Journal and events are asked for when something was done, and when one looks.
    fn ask(&mut self, cx: &mut Cx) {
        let query = match self.tab {
            1 => Query::Journal { limit: ASKED },
            2 => Query::Events { limit: ASKED },
            _ => return,
        };
        self.asked = Some(cx.ask(query));
    }

    fn cancel(&self, cx: &mut Cx) {
        match self.jobs.selected().filter(|_| self.tab == 0) {
            Some(Job(job)) if job.outcome.is_none() => cx.run(vec![Command::CancelJob(job.id)]),
            Some(_) => cx.notice(Level::Info, "that job is over"),
            None => cx.notice(Level::Info, "select a running job to cancel it"),
        }
    }

    fn open(&self, cx: &mut Cx) {
        let (title, text) = match self.tab {
            0 => ("Job", self.jobs.selected().map(Row::json)),
            1 => ("Act", self.journal.selected().map(Row::json)),
            2 => match self.events.selected().map(|e| &e.0.kind) {
                Some(EventKind::Transition { instance, .. }) => {
                    return cx.go(Page::Servers, Target::Instance(instance.clone()));
                }
                _ => ("Event", self.events.selected().map(Row::json)),
            },
            3 => ("Console", self.consoles.selected().map(Row::json)),
            _ => return self.open_watched(cx),
        };
        if let Some(text) = text {
            cx.open(Layer::Text(Reader::new(title, &text)));
        }
    }
}

impl Activity {
    fn open_watched(&self, cx: &mut Cx) {
        match self.watched.selected().map(|watch| watch.what.clone()) {
            Some(Watched::Instance(key)) => cx.go(Page::Servers, Target::Instance(key)),
            Some(Watched::Container(key)) => cx.go(Page::Containers, Target::Container(key)),
            Some(Watched::Tenant(id)) => cx.go(Page::Customers, Target::Tenant(id)),
            Some(Watched::Call(id)) => cx.go(Page::Traffic, Target::Call(id)),
            None => {}
        }
    }

    fn end_watch(&mut self, cx: &mut Cx) {
        match self.watched.selected().filter(|_| self.tab == WATCHED).map(|watch| watch.what.clone()) {
            Some(what) => {
                cx.watch(what);
                self.derive(cx);
            }
            None => cx.notice(Level::Info, "W on a customer, server, container or call under way watches it"),
        }
    }
}

impl View for Activity {
    fn sync(&mut self, cx: &mut Cx) {
        let seen =
            (cx.snap.jobs.iter().filter(|j| j.outcome.is_none()).count(), cx.snap.jobs.iter().map(|j| j.id.0).max());
        if self.asked.is_none() || seen != self.jobs_seen {
            self.jobs_seen = seen;
            self.ask(cx);
        }
        self.derive(cx);
    }

    fn leave(&mut self, _cx: &mut Cx) {
        self.asked = None;
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::NextPane | Action::PrevPane => {
                let step = if action == Action::NextPane { 1 } else { TABS.len() - 1 };
                self.tab = (self.tab + step) % TABS.len();
                self.ask(cx);
            }
            Action::Open => self.open(cx),
            Action::Cancel => self.cancel(cx),
            Action::Watch => self.end_watch(cx),
            Action::Escape => return false,
            _ => {
                let taken = match self.tab {
                    0 => self.jobs.act(action, cx),
                    1 => self.journal.act(action, cx),
                    2 => self.events.act(action, cx),
                    3 => self.consoles.act(action, cx),
                    _ => self.watched.act(action, cx),
                };
                if reorders(action) {
                    self.derive(cx);
                }
                return taken;
            }
        }
        true
    }

    fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>, cx: &mut Cx) {
        if self.asked != Some(token) {
            return;
        }
        self.error = None;
        match answer {
            Ok(Answer::Journal(entries)) => self.acts = entries.into_iter().map(|e| Journal(e.into())).collect(),
            Ok(Answer::Events(events)) => self.facts = events.into_iter().map(|e| Happened(e.into())).collect(),
            Ok(_) => {}
            Err(refusal) => self.error = Some(refusal.to_string()),
        }
        self.derive(cx);
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        let sorted = self.jobs.picked(token, &value) | self.journal.picked(token, &value);
        let sorted = sorted | self.events.picked(token, &value) | self.consoles.picked(token, &value);
        if sorted | self.watched.picked(token, &value) {
            self.derive(cx);
        }
    }

    fn filter(&self) -> &str {
        match self.tab {
            0 => self.jobs.filter_text(),
            1 => self.journal.filter_text(),
            2 => self.events.filter_text(),
            3 => self.consoles.filter_text(),
            _ => self.watched.filter_text(),
        }
    }

    fn set_filter(&mut self, text: &str, cx: &mut Cx) -> Result<(), String> {
        let read = match self.tab {
            0 => self.jobs.set_filter(text),
            1 => self.journal.set_filter(text),
            2 => self.events.set_filter(text),
            3 => self.consoles.set_filter(text),
            _ => self.watched.set_filter(text),
        };
        self.derive(cx);
        read
    }

    fn keys(&self) -> &'static [Action] {
        use Action as A;
        match self.tab {
            0 => &[A::Open, A::Cancel, A::NextPane, A::Sort, A::CopyRow],
            WATCHED => &[A::Open, A::Watch, A::NextPane, A::Sort, A::CopyRow],
            _ => &[A::Open, A::NextPane, A::Sort, A::CopyRow, A::Refresh],
        }
    }

    fn crumb(&self) -> Option<String> {
        Some(TABS[self.tab].to_owned())
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let count = match self.tab {
            0 => self.jobs.count(),
            1 => self.journal.count(),
            2 => self.events.count(),
            3 => self.consoles.count(),
            _ => self.watched.count(),
        };
        let inner = widget::pane(look, frame, area, &format!("{} {count}", TABS[self.tab]), true);
        let below = tabs(look, frame, inner, &TABS, self.tab);
        if let Some(error) = &self.error {
            return widget::empty(look, frame, below, error);
        }
        let filtered = !self.filter().is_empty();
        match self.tab {
            0 => table(
                look,
                frame,
                below,
                &self.jobs,
                filtered,
                "no job yet: acts (start, stop, restart ...) become jobs",
            ),
            1 => table(look, frame, below, &self.journal, filtered, "nobody has done anything yet"),
            2 => table(look, frame, below, &self.events, filtered, "nothing has happened yet"),
            3 => table(look, frame, below, &self.consoles, filtered, "nobody is attached"),
            _ => table(look, frame, below, &self.watched, filtered, "nothing is watched: W watches what is selected"),
        }
    }
}

fn table<R: Row>(look: &Look, frame: &mut Frame, area: Rect, table: &Table<R>, filtered: bool, nothing: &str) {
    if table.rows().is_empty() {
        return widget::empty(
            look,
            frame,
            area,
            if filtered { "nothing matches the filter; esc clears it" } else { nothing },
        );
    }
    table.draw(look, frame, area, true);
}

/// An event in words, and how it reads.
pub fn event_text(event: &Event) -> (String, Role) {
    match &event.kind {
        EventKind::Transition { instance, from, to, reason } => {
            (format!("{instance}: {from} -> {to}: {reason}"), Role::of_state(*to, false))
        }
        EventKind::Act { job, operator, command } => {
            (format!("{} asked for {} {} ({job})", operator.name, command.verb(), command.object()), Role::Text)
        }
        EventKind::Job { job, title, outcome, message } => {
            let role = if *outcome == JobOutcome::Ok { Role::Good } else { Role::Warn };
            (format!("{job} {title}: {}: {message}", outcome.name()), role)
        }
        EventKind::Enabled { server, tenant, on, by } => {
            (format!("{by} {} {server} for {tenant}", if *on { "enabled" } else { "disabled" }), Role::Text)
        }
        EventKind::Notice { level, text } => (
            text.clone(),
            match level {
                Level::Error => Role::Bad,
                Level::Warn => Role::Warn,
                Level::Info | Level::Debug => Role::Text,
            },
        ),
        EventKind::Attached { operator, on } => {
            (format!("{} {}", operator.name, if *on { "attached" } else { "left" }), Role::Dim)
        }
    }
}
