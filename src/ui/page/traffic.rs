//! The view Traffic: calls as they finish, those in flight on top, how long they took and how they ended.

mod detail;
mod row;

use super::{Page, View};
use crate::model::call::{CallDetail, CallId, CallRecord};
use crate::model::message::LogTarget;
use crate::model::message::{ExplainWhat, Level};
use crate::model::{Answer, Chunk, Command, Feed, Outcome, Query, Refusal, TenantId};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::console::json;
use crate::ui::fmt;
use crate::ui::latency::Histogram;
use crate::ui::layer::explain::Explain;
use crate::ui::ring::Ring;
use crate::ui::theme::Role;
use crate::ui::widget::table::Table;
use crate::ui::widget::{self, graph, histogram, words};
use detail::Detail;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use row::CallRow;
use std::sync::Arc;

/// Finished calls kept here, and asked for when the view is opened.
const KEPT: usize = 10_000;
const BACKLOG: u32 = 2_000;

/// State of the view.
pub struct Traffic {
    calls: Ring<Arc<CallRecord>>,
    table: Table<CallRow>,
    feed: Option<Token>,
    /// Why the stream ended, if it did.
    ended: Option<String>,
    /// Records the stream lost on its way.
    lost: u64,
    /// The newest row stays selected as it changes.
    follow: bool,
    limit: Option<TenantId>,
    /// Calls came while the picture was frozen: they are counted when it goes on.
    unseen: bool,
    took: Histogram,
    outcomes: [u64; Outcome::ALL.len()],
    detail: Option<Detail>,
    /// A call that goes to the console as soon as its arguments are here.
    to_console: Option<(Token, CallRow)>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            calls: Ring::new(KEPT, usize::MAX),
            table: Table::default(),
            feed: None,
            ended: None,
            lost: 0,
            follow: true,
            limit: None,
            unseen: false,
            took: Histogram::default(),
            outcomes: [0; Outcome::ALL.len()],
            detail: None,
            to_console: None,
        }
    }
}

impl Traffic {
    fn shows(&self, call: &CallRecord, now: crate::model::Stamp) -> bool {
        self.limit.as_ref().is_none_or(|tenant| *tenant == call.tenant)
            && (self.table.filter().is_empty() || self.table.filter().matches(call, now))
    }

    fn refilter(&mut self, cx: &Cx) {
        let now = cx.shared.now;
        let mut calls = std::mem::replace(&mut self.calls, Ring::new(0, 0));
        calls.refilter(|call| self.shows(call, now));
        self.calls = calls;
        self.took = Histogram::default();
        self.outcomes = [0; Outcome::ALL.len()];
        let shown: Vec<_> = self.calls.iter().cloned().collect();
        shown.iter().for_each(|call| self.count(call));
        self.derive(cx);
    }

    fn count(&mut self, call: &CallRecord) {
        self.took.add(call.took_us);
        self.outcomes[call.outcome as usize] += 1;
    }

    /// Rows for the table: calls in flight, oldest first, then finished ones, newest first.
    fn derive(&mut self, cx: &Cx) {
        let now = cx.shared.now;
        let in_flight = cx.snap.pending.iter().filter(|call| {
            self.limit.as_ref().is_none_or(|tenant| *tenant == call.tenant)
                && (self.table.filter().is_empty() || self.table.filter().matches(&***call, now))
        });
        let mut rows: Vec<CallRow> = in_flight.cloned().map(CallRow::Pending).collect();
        let waiting = rows.len();
        rows.extend(self.calls.iter().rev().cloned().map(CallRow::Done));
        // A call that has just ended stands in both until the next snapshot.
        let newest: Vec<CallId> = rows[waiting..].iter().take(200).map(CallRow::id).collect();
        let mut at = 0;
        rows.retain(|row| {
            at += 1;
            at > waiting || !newest.contains(&row.id())
        });
        rows.sort_by(|a, b| self.table.compare(a, b));
        let all = self.table.filter().is_empty() && self.limit.is_none();
        let total = if all { rows.len() } else { cx.snap.pending.len() + self.calls.kept() };
        let first = rows.first().map(CallRow::id);
        self.table.set_ordered(rows, total);
        if let Some(first) = first.filter(|_| self.follow) {
            self.table.select(&first);
        }
    }

    fn start(&mut self, cx: &mut Cx) {
        if self.feed.is_none() {
            self.calls.clear();
            self.lost = 0;
            self.ended = None;
            self.feed = Some(cx.follow(Feed::Traffic { filter: String::new(), backlog: BACKLOG }));
            self.refilter(cx);
        }
    }

    fn take(&mut self, calls: Vec<Arc<CallRecord>>, cx: &Cx) {
        for call in calls {
            let shown = self.shows(&call, cx.shared.now);
            if shown && !cx.shared.frozen {
                self.count(&call);
            }
            self.calls.push(call, 0, shown);
        }
        if cx.shared.frozen {
            self.unseen = true;
        } else {
            self.derive(cx);
        }
    }

    fn open(&mut self, cx: &mut Cx) {
        if let Some(call) = self.table.selected().map(CallRow::id) {
            self.open_call(call, cx);
        }
    }

    fn open_call(&mut self, call: CallId, cx: &mut Cx) {
        let token = cx.ask(Query::Call(call));
        self.detail = Some(Detail::new(call, token));
    }

    /// The call under the cursor, or the open one.
    fn current(&self) -> Option<CallRow> {
        match &self.detail {
            Some(detail) => match detail.kept() {
                Some(kept) => Some(CallRow::Done(Arc::new(kept.record.clone()))),
                None => self.table.rows().iter().find(|row| row.id() == detail.call).cloned(),
            },
            None => self.table.selected().cloned(),
        }
    }

    fn send_to_console(&mut self, cx: &mut Cx) {
        if let Some(row) = self.current() {
            let token = cx.ask(Query::Call(row.id()));
            self.to_console = Some((token, row));
        }
    }

    fn cancel(&self, cx: &mut Cx) {
        match self.current() {
            Some(CallRow::Pending(call)) => cx.run(vec![Command::CancelCall(call.id)]),
            Some(CallRow::Done(call)) => cx.notice(Level::Info, format!("{} is over: {}", call.id, call.outcome)),
            None => {}
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
        let mut parts = vec![self.table.count()];
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
}

/// The JSON text of a request's params: of a whole message, or as it is.
fn params_of(request: &str) -> String {
    let params = json::parse(request).ok().and_then(|root| {
        let is_message = root.get("method").is_some() || root.get("jsonrpc").is_some();
        is_message.then(|| root.get("params").map(|n| n.source(request).to_owned()).unwrap_or_default())
    });
    params.unwrap_or_else(|| request.to_owned())
}

impl View for Traffic {
    fn sync(&mut self, cx: &mut Cx) {
        self.start(cx);
        let thawed = self.unseen && !cx.shared.frozen;
        if self.limit != cx.shared.limit || thawed {
            self.unseen &= !thawed;
            self.limit.clone_from(&cx.shared.limit);
            return self.refilter(cx);
        }
        if !cx.shared.frozen {
            self.derive(cx);
        }
    }

    fn arrive(&mut self, target: &Target, cx: &mut Cx) {
        match target {
            Target::Call(id) => {
                self.follow = false;
                if !self.table.select(id) {
                    self.open_call(*id, cx);
                }
            }
            Target::Filter(text) => {
                let _ = self.set_filter(text, cx);
            }
            Target::Tenant(tenant) => {
                let _ = self.set_filter(&format!("tenant={tenant}"), cx);
            }
            Target::Server(server) => {
                let _ = self.set_filter(&format!("server={server}"), cx);
            }
            Target::Instance(key) => {
                let _ = self.set_filter(&format!("instance={key}"), cx);
            }
            Target::Cell(tenant, server) => {
                let _ = self.set_filter(&format!("tenant={tenant} server={server}"), cx);
            }
            _ => {}
        }
    }

    fn place(&self) -> Target {
        self.table.selected().filter(|_| !self.follow).map_or(Target::Nothing, |row| Target::Call(row.id()))
    }

    fn leave(&mut self, cx: &mut Cx) {
        if let Some(token) = self.feed.take() {
            cx.unfollow(token);
        }
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::Console => self.send_to_console(cx),
            Action::Cancel => self.cancel(cx),
            Action::Explain => {
                if let Some(row) = self.current() {
                    Explain::open(cx, ExplainWhat::Call(row.id()));
                }
            }
            Action::Logs => match self.current().and_then(|row| row.instance().cloned()) {
                Some(key) => cx.go(Page::Logs, Target::Logs(vec![LogTarget::Instance(key)])),
                None => cx.notice(Level::Info, "no instance was chosen for this call, so there is no log"),
            },
            Action::Escape => return self.detail.take().is_some(),
            _ if self.detail.as_mut().is_some_and(|detail| detail.act(action, cx)) => {}
            _ if self.detail.is_some() => return false,
            Action::Open => self.open(cx),
            Action::Refresh => {
                self.leave(cx);
                self.start(cx);
            }
            _ => {
                let taken = self.table.act(action, cx);
                let moves =
                    matches!(action, Action::Down | Action::Up | Action::PageDown | Action::PageUp | Action::Bottom);
                self.follow = action == Action::Top || (self.follow && !moves);
                if action == Action::SortReverse {
                    self.derive(cx);
                }
                return taken;
            }
        }
        true
    }

    fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>, cx: &mut Cx) {
        let answer: Result<Box<CallDetail>, String> = match answer {
            Ok(Answer::Call(detail)) => Ok(detail),
            Ok(_) => return,
            Err(refusal) => Err(refusal.to_string()),
        };
        if let Some((_, row)) = self.to_console.take_if(|(asked, _)| *asked == token) {
            let params = answer.ok().and_then(|detail| detail.request).map(|request| params_of(&request));
            if params.is_none() {
                cx.notice(Level::Info, format!("the arguments of {} are not kept any more", row.id()));
            }
            let target = Target::Request {
                tenant: Some(row.tenant().clone()),
                server: Some(row.server().clone()),
                method: Some(row.method().to_owned()),
                tool: row.tool().map(str::to_owned),
                params,
            };
            return cx.go(Page::Console, target);
        }
        if let Some(detail) = &mut self.detail {
            detail.take(token, answer);
        }
    }

    fn chunk(&mut self, token: Token, chunk: Chunk, cx: &mut Cx) {
        if self.feed != Some(token) {
            return;
        }
        match chunk {
            Chunk::Calls(calls) => self.take(calls, cx),
            Chunk::Lost(n) => self.lost += n,
            Chunk::End(reason) => {
                self.feed = None;
                self.ended = Some(reason.map_or_else(|| "the owner went".to_owned(), |why| why.to_string()));
            }
            Chunk::Logs(_) | Chunk::Events(_) | Chunk::Call(_) => {}
        }
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if self.table.picked(token, &value) {
            self.derive(cx);
        }
    }

    fn filter(&self) -> &str {
        match &self.detail {
            Some(detail) => &detail.search,
            None => self.table.filter_text(),
        }
    }

    fn set_filter(&mut self, text: &str, cx: &mut Cx) -> Result<(), String> {
        if let Some(detail) = &mut self.detail {
            text.clone_into(&mut detail.search);
            return if text.is_empty() || detail.find(true) { Ok(()) } else { Err(format!("nothing holds `{text}`")) };
        }
        let read = self.table.set_filter(text);
        self.refilter(cx);
        read
    }

    fn keys(&self) -> &'static [Action] {
        if self.detail.is_some() {
            return &[
                Action::Escape,
                Action::NextPane,
                Action::Console,
                Action::CopyCell,
                Action::Explain,
                Action::Logs,
            ];
        }
        &[
            Action::Open,
            Action::Console,
            Action::Cancel,
            Action::Logs,
            Action::Explain,
            Action::Freeze,
            Action::Sort,
            Action::ExampleTraffic,
        ]
    }

    fn crumb(&self) -> Option<String> {
        self.detail.as_ref().map(|detail| detail.call.to_string())
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        if let Some(detail) = &self.detail {
            return detail.draw(look, frame, area);
        }
        let side = area.width >= 110 && area.height >= 12;
        let main = Rect { width: if side { area.width - 34 } else { area.width }, ..area };
        let inner =
            widget::pane(look, frame, main, &fmt::fit(&self.title(look), usize::from(main.width), look.ascii), true);
        let strip = u16::from(!side && !look.tiny && inner.height > 8);
        if strip == 1 {
            widget::lines(frame, Rect { height: 1, ..inner }, &[self.summary(look)]);
        }
        let body = Rect { y: inner.y + strip, height: inner.height - strip, ..inner };
        if self.table.rows().is_empty() {
            widget::empty(look, frame, body, self.nothing(look));
        } else {
            self.table.draw(look, frame, body, true);
        }
        if side {
            self.draw_side(look, frame, Rect { x: main.right(), width: 34, ..area });
        }
    }
}

impl Traffic {
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
