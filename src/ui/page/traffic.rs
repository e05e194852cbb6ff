//! The view Traffic: calls as they finish, those in flight on top, how long they took and how they ended; the same calls
//! counted by customer, server and tool.

mod detail;
mod groups;
mod row;
mod timeline;
mod view;

use super::{Page, View};
use crate::model::call::{Call, CallDetail, CallId, CallRecord};
use crate::model::message::LogTarget;
use crate::model::message::{ExplainWhat, Level};
use crate::model::summary::{By, Group, groups};
use crate::model::{Answer, Chunk, Command, Feed, Outcome, Query, Refusal, TenantId};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::console::json;
use crate::ui::latency::Histogram;
use crate::ui::layer::explain::Explain;
use crate::ui::ring::Ring;
use crate::ui::watch::Watched;
use crate::ui::widget::table::{Table, reorders};
use detail::Detail;
use ratatui::Frame;
use ratatui::layout::Rect;
use std::sync::Arc;

/// Finished calls kept here, and asked for when the view is opened.
const KEPT: usize = 10_000;
const BACKLOG: u32 = 2_000;

/// Call by call, or counted together.
const TABS: [(&str, Option<By>); 4] =
    [("calls", None), ("by customer", Some(By::Tenant)), ("by server", Some(By::Server)), ("by tool", Some(By::Tool))];

/// State of the view.
pub struct Traffic {
    calls: Ring<Arc<CallRecord>>,
    table: Table<Call>,
    /// Which of `TABS`.
    tab: usize,
    /// The same calls counted together.
    groups: Table<Group>,
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
    /// Calls came since rows were derived: that waits for the next frame, because calls come more often than frames.
    stale: bool,
    took: Histogram,
    outcomes: [u64; Outcome::ALL.len()],
    detail: Option<Detail>,
    /// A call that goes to the console as soon as its arguments are here.
    to_console: Option<(Token, Call)>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            calls: Ring::new(KEPT, usize::MAX),
            table: Table::default(),
            tab: 0,
            groups: Table::default(),
            feed: None,
            ended: None,
            lost: 0,
            follow: true,
            limit: None,
            unseen: false,
            stale: false,
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

    fn by(&self) -> Option<By> {
        TABS[self.tab].1
    }

    fn turn(&mut self, forward: bool, cx: &Cx) {
        let by = if forward { 1 } else { TABS.len() - 1 };
        self.tab = (self.tab + by) % TABS.len();
        self.groups = Table::default();
        self.derive(cx);
    }

    /// Counts what the filter lets through.
    fn count_groups(&mut self, by: By, cx: &Cx) {
        self.groups.set_rows(groups(self.calls.iter().map(|call| &**call), by), cx.shared.now);
    }

    /// The calls of the group under the cursor.
    fn open_group(&mut self, by: By, cx: &mut Cx) {
        let Some(filter) = self.groups.selected().map(|group| by.filter(group)) else { return };
        let text = format!("{} {filter}", self.table.filter_text());
        self.tab = 0;
        if let Err(why) = self.set_filter(text.trim(), cx) {
            cx.notice(Level::Warn, why);
        }
    }

    /// Rows for the table that is looked at.
    fn derive(&mut self, cx: &Cx) {
        self.stale = false;
        match self.by() {
            Some(by) => self.count_groups(by, cx),
            None => self.list(cx),
        }
    }

    /// Rows for the table: calls in flight, oldest first, then finished ones, newest first.
    fn list(&mut self, cx: &Cx) {
        let now = cx.shared.now;
        let in_flight = cx.snap.pending.iter().filter(|call| {
            self.limit.as_ref().is_none_or(|tenant| *tenant == call.tenant)
                && (self.table.filter().is_empty() || self.table.filter().matches(&***call, now))
        });
        let mut rows: Vec<Call> = in_flight.cloned().map(Call::Pending).collect();
        let waiting = rows.len();
        rows.extend(self.calls.iter().rev().cloned().map(Call::Done));
        // A call that has just ended stands in both until the next snapshot.
        let newest: Vec<CallId> = rows[waiting..].iter().take(200).map(Call::id).collect();
        let mut at = 0;
        rows.retain(|row| {
            at += 1;
            at > waiting || !newest.contains(&row.id())
        });
        rows.sort_by(|a, b| self.table.compare(a, b));
        let all = self.table.filter().is_empty() && self.limit.is_none();
        let total = if all { rows.len() } else { cx.snap.pending.len() + self.calls.kept() };
        let first = rows.first().map(Call::id);
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
            self.stale = true;
        }
    }

    fn open(&mut self, cx: &mut Cx) {
        if let Some(call) = self.table.selected().map(Call::id) {
            self.open_call(call, cx);
        }
    }

    fn open_call(&mut self, call: CallId, cx: &mut Cx) {
        let token = cx.ask(Query::Call(call));
        self.detail = Some(Detail::new(call, token));
    }

    /// The call under the cursor, or the open one.
    fn current(&self) -> Option<Call> {
        match &self.detail {
            None if self.by().is_some() => None,
            Some(detail) => match detail.kept() {
                Some(kept) => Some(kept.call.clone()),
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

    fn watch(&self, cx: &mut Cx) {
        match self.current() {
            Some(Call::Pending(call)) => cx.watch(Watched::Call(call.id)),
            Some(Call::Done(call)) => cx.notice(Level::Info, format!("{} is over: {}", call.id, call.outcome)),
            None => {}
        }
    }

    fn cancel(&self, cx: &mut Cx) {
        match self.current() {
            Some(Call::Pending(call)) => cx.run(vec![Command::CancelCall(call.id)]),
            Some(Call::Done(call)) => cx.notice(Level::Info, format!("{} is over: {}", call.id, call.outcome)),
            None => {}
        }
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
        if let Some(detail) = &mut self.detail {
            detail.sync(cx);
        }
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

    fn settle(&mut self, cx: &mut Cx) {
        if self.stale && !cx.shared.frozen {
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
            Action::Watch => self.watch(cx),
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
            Action::NextPane | Action::PrevPane => self.turn(action == Action::NextPane, cx),
            _ if self.by().is_some() => return self.act_on_groups(action, cx),
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
        if self.table.picked(token, &value) | self.groups.picked(token, &value) {
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
        if self.detail.as_ref().is_some_and(Detail::is_under_way) {
            return &[Action::Escape, Action::NextPane, Action::Cancel, Action::Watch, Action::Explain, Action::Logs];
        }
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
        if self.by().is_some() {
            return &[Action::Open, Action::NextPane, Action::Sort, Action::SortReverse, Action::CopyRow];
        }
        &[
            Action::Open,
            Action::NextPane,
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
        self.draw_calls(look, frame, area);
    }
}

impl Traffic {
    fn act_on_groups(&mut self, action: Action, cx: &mut Cx) -> bool {
        if let (Action::Open, Some(by)) = (action, self.by()) {
            self.open_group(by, cx);
            return true;
        }
        let taken = self.groups.act(action, cx);
        if reorders(action) {
            self.derive(cx);
        }
        taken
    }
}
