//! What was kept of one call: request, what was sent after injection, response; and where its time went.

use super::timeline;
use crate::model::call::{Call, CallDetail, CallId};
use crate::model::{PendingCall, Query};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::console::tree::Tree;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::{self, json_tree, words};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use std::cell::Cell;
use std::sync::Arc;

/// A part of the call that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Request,
    Sent,
    Response,
    Timeline,
}

impl Part {
    const ALL: [(Part, &'static str); 4] =
        [(Part::Request, "request"), (Part::Sent, "sent"), (Part::Response, "response"), (Part::Timeline, "timeline")];
}

/// The open call.
pub struct Detail {
    pub call: CallId,
    token: Token,
    answer: Option<Result<Box<CallDetail>, String>>,
    /// What was known of a call under way when it was asked for.
    pending: Option<Arc<PendingCall>>,
    part: Part,
    tree: Tree,
    top: Cell<usize>,
    height: Cell<usize>,
    pub search: String,
}

impl Detail {
    pub fn new(call: CallId, token: Token) -> Self {
        Self {
            call,
            token,
            answer: None,
            pending: None,
            part: Part::Response,
            tree: Tree::default(),
            top: Cell::new(0),
            height: Cell::new(10),
            search: String::new(),
        }
    }

    /// Takes the answer if it is to its question.
    pub fn take(&mut self, token: Token, answer: Result<Box<CallDetail>, String>) {
        if token == self.token {
            let was_pending = self.pending.is_some();
            self.answer = Some(answer);
            self.pending = match self.kept().map(|kept| &kept.call) {
                Some(Call::Pending(call)) => Some(call.clone()),
                _ => None,
            };
            if was_pending && self.pending.is_some() {
                // It is looked at already, and what is shown of it has not changed.
                return;
            }
            let first = [Part::Response, Part::Sent, Part::Request].into_iter().find(|p| self.text(*p).is_some());
            let first = if self.pending.is_some() { Part::Timeline } else { first.unwrap_or(Part::Timeline) };
            self.show(first);
        }
    }

    /// Asks again about a call under way when it has moved on, or ended.
    pub fn sync(&mut self, cx: &mut Cx) {
        let Some(before) = &self.pending else { return };
        let now = cx.snap.pending.iter().find(|call| call.id == before.id);
        if now.is_none_or(|now| (now.waking, now.progress) != (before.waking, before.progress)) {
            self.token = cx.ask(Query::Call(self.call));
        }
    }

    pub fn is_under_way(&self) -> bool {
        self.pending.is_some()
    }

    pub fn kept(&self) -> Option<&CallDetail> {
        self.answer.as_ref().and_then(|a| a.as_ref().ok()).map(|d| &**d)
    }

    fn text(&self, part: Part) -> Option<&str> {
        let kept = self.kept()?;
        match part {
            Part::Request => kept.request.as_deref(),
            Part::Sent => kept.sent.as_deref(),
            Part::Response => kept.response.as_deref(),
            Part::Timeline => None,
        }
    }

    fn show(&mut self, part: Part) {
        self.part = part;
        self.tree = Tree::new(self.text(part).unwrap_or_default().to_owned());
        self.top.set(0);
    }

    fn turn(&mut self, forward: bool) {
        let at = Part::ALL.iter().position(|(p, _)| *p == self.part).unwrap_or(0);
        let by = if forward { 1 } else { Part::ALL.len() - 1 };
        self.show(Part::ALL[(at + by) % Part::ALL.len()].0);
    }

    pub fn find(&mut self, forward: bool) -> bool {
        let needle = self.search.clone();
        self.tree.search(&needle, forward)
    }

    /// True if the action is one of reading.
    pub fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        let page = self.height.get().max(2) as isize - 1;
        match action {
            Action::Down => self.tree.step(1),
            Action::Up => self.tree.step(-1),
            Action::PageDown => self.tree.step(page),
            Action::PageUp => self.tree.step(-page),
            Action::Top => self.tree.cursor = 0,
            Action::Bottom => self.tree.step(isize::MAX),
            Action::Open | Action::Fold => self.tree.toggle(usize::from(cx.shared.size.0).saturating_sub(12)),
            Action::Right => self.tree.enter(usize::from(cx.shared.size.0).saturating_sub(12)),
            Action::Left => self.tree.leave(),
            Action::NextPane => self.turn(true),
            Action::PrevPane => self.turn(false),
            Action::CopyCell => cx.copy(self.tree.value().unwrap_or_default()),
            Action::CopyRow => cx.copy(self.tree.text().to_string()),
            Action::SearchNext | Action::SearchPrev => {
                self.find(action == Action::SearchNext);
            }
            _ => return false,
        }
        true
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let inner = widget::pane(look, frame, area, &self.title(look), true);
        let mut lines = self.head(look);
        lines.push(self.tabs(look));
        let head = (lines.len() as u16).min(inner.height.saturating_sub(1));
        widget::lines(frame, Rect { height: head, ..inner }, &lines[lines.len() - usize::from(head)..]);
        let body = Rect { y: inner.y + head, height: inner.height - head, ..inner };
        self.height.set(usize::from(body.height));
        if let (Part::Timeline, Some(kept)) = (self.part, self.kept()) {
            return timeline::draw(look, frame, body, &kept.call, &kept.timeline);
        }
        match (&self.answer, self.text(self.part), &self.tree.error) {
            (None, ..) => widget::empty(look, frame, body, "asking"),
            (Some(Err(why)), ..) => widget::empty(look, frame, body, why),
            (_, None, _) => widget::empty(look, frame, body, self.nothing()),
            (_, Some(text), Some(error)) => {
                let clean = json_tree::clean(&text.chars().take(4_000).collect::<String>());
                widget::empty(look, frame, body, &format!("no JSON: {error}\n{clean}"));
            }
            _ => json_tree::draw(look, frame, body, &self.tree, &self.top, true),
        }
    }

    fn title(&self, look: &Look) -> String {
        match self.kept() {
            Some(CallDetail { call: Call::Done(record), .. }) => {
                let parts = [record.outcome.to_string(), fmt::took(record.took_us), fmt::bytes(record.response_bytes)];
                words::title(look, &record.id.to_string(), &parts)
            }
            Some(CallDetail { call: Call::Pending(call), .. }) => {
                let age = fmt::running(look.now.since(call.at));
                words::title(look, &call.id.to_string(), &["under way".to_owned(), age])
            }
            None => self.call.to_string(),
        }
    }

    /// Why a part of it is not there.
    fn nothing(&self) -> &'static str {
        match (self.kept().map(|kept| &kept.call), self.part) {
            (Some(Call::Pending(_)), Part::Response) => "no answer yet; K cancels it",
            (Some(Call::Pending(_)), Part::Sent) => "nothing was sent upstream yet",
            (Some(Call::Done(record)), Part::Sent) if record.upstream_us == 0 => {
                "nothing was sent upstream: the timeline tells where it ended"
            }
            _ => "not kept (the payload ring is bounded; failed calls are kept longest)",
        }
    }

    fn head(&self, look: &Look) -> Vec<Line<'static>> {
        let Some(kept) = self.kept() else { return Vec::new() };
        let call = &kept.call;
        let instance = call.instance().map_or_else(|| "no instance".to_owned(), ToString::to_string);
        let tool = call.tool().map(|t| format!(" {t}")).unwrap_or_default();
        let dim = look.style(Role::Dim);
        let what = format!("{instance} as {} at {}  {}{tool}", call.tenant(), look.time(call.at()), call.method());
        let who = format!("by {} ({})", call.principal(), call.origin().name());
        let took = call.done().map(|record| {
            let (all, wake, upstream) = (record.took_us, record.wake_us, record.upstream_us);
            format!("took {}: waking {}, upstream {}; ", fmt::took(all), fmt::took(wake), fmt::took(upstream))
        });
        let mut lines = vec![Line::from(what), Line::styled(format!("{}{who}", took.unwrap_or_default()), dim)];
        let error = call.done().and_then(|record| record.error.as_deref());
        lines.extend(error.map(|error| Line::styled(json_tree::clean(error), look.style(Role::Bad))));
        lines.extend(kept.notes.iter().map(|note| Line::styled(note.clone(), dim)));
        lines
    }

    fn tabs(&self, look: &Look) -> Line<'static> {
        let mut spans = Vec::new();
        for (part, name) in Part::ALL {
            let role = if part == self.part { Role::TabActive } else { Role::Tab };
            let size = match self.text(part) {
                Some(text) => fmt::bytes(text.len() as u64),
                None if part == Part::Timeline => String::new(),
                None => "-".to_owned(),
            };
            spans.push(Span::styled(format!(" {name} "), look.style(role)));
            spans.push(Span::styled(format!("{size}  "), look.style(Role::Dim)));
        }
        Line::from(spans)
    }
}
