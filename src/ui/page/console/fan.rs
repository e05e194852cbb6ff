//! One request at all customers that have the server: asked for, sent a few at a time, shown as a table.

use super::send::read_only;
use super::{Asked, Console, Pane, Shown};
use crate::model::message::{ConsoleCall, Level, Preview};
use crate::model::{CallRecord, Chunk, Environment, Feed, Query, TenantId};
use crate::ui::app::{Cx, Token};
use crate::ui::console::exchange::Exchange;
use crate::ui::console::fan::{Fan, Stand};
use crate::ui::fmt;

impl Console {
    /// `F`: looks where it would go first.
    pub(super) fn fan_out(&mut self, cx: &mut Cx) {
        if self.is_running() {
            return cx.notice(Level::Info, "a call is under way; esc cancels it");
        }
        if let (Some(why), true) = (self.request.missing(), self.pane != Pane::History) {
            return cx.notice(Level::Warn, why);
        }
        if let Some((call, _)) = self.again(cx) {
            let token = cx.ask(Query::Preview(call.clone()));
            self.expect(token, Asked::FanOut(Box::new(call)));
        }
    }

    /// Knows what it is: refuses, asks for the server's name, or sends.
    pub(super) fn confirm_fan(&mut self, call: ConsoleCall, preview: &Preview, cx: &mut Cx) {
        if let Some(why) = read_only(cx, &call, preview) {
            return cx.notice(Level::Warn, why);
        }
        let tenants = targets(cx, &call);
        let reads = preview.read_only_tool || call.method.as_deref().is_some_and(|m| m != super::TOOLS_CALL);
        let cap = usize::try_from(cx.shared.bulk_cap).unwrap_or(usize::MAX);
        if !reads && tenants.len() > cap {
            let text = format!(
                "{} have {}, and the tool is not marked read-only: more than {cap} at once are refused (bulk_cap)",
                fmt::plural(tenants.len(), "customer"),
                call.server
            );
            return cx.notice(Level::Warn, text);
        }
        let environment = |t: &&TenantId| cx.snap.tenant(t.as_str()).map(|row| row.def.environment);
        let production = tenants.iter().filter(|t| environment(t) == Some(Environment::Production)).count();
        if reads && production == 0 {
            return self.begin_fan(call, tenants, cx);
        }
        let what = self.request.tool.as_deref().or(call.method.as_deref()).unwrap_or("a raw message").to_owned();
        let count = fmt::plural(tenants.len(), "customer");
        let title = format!("{count}, {production} in production: type {} to send {what} to all of them", call.server);
        let token = cx.prompt(&title, "");
        self.expect(token, Asked::ConfirmFan(Box::new(call)));
    }

    pub(super) fn take_fan_confirmation(&mut self, mut call: ConsoleCall, typed: &str, cx: &mut Cx) {
        if typed.trim() != call.server.as_str() {
            return cx.notice(Level::Warn, format!("not sent: `{typed}` is not {}", call.server));
        }
        call.confirm = Some(call.server.to_string());
        let tenants = targets(cx, &call);
        self.begin_fan(call, tenants, cx);
    }

    fn begin_fan(&mut self, call: ConsoleCall, tenants: Vec<TenantId>, cx: &mut Cx) {
        if tenants.is_empty() {
            return cx.notice(Level::Info, format!("no customer has {} enabled", call.server));
        }
        self.fan = Some(Fan::new(call, tenants));
        self.fan_calls.clear();
        self.leave_filter(cx);
        (self.exchange, self.compared, self.baseline) = (None, None, None);
        (self.shown, self.scroll, self.pane) = (Shown::Fan, 0, Pane::Response);
        self.feed_fan(cx);
    }

    /// Asks as many as may be asked at once.
    fn feed_fan(&mut self, cx: &mut Cx) {
        let Some(fan) = &mut self.fan else { return };
        while let Some((at, call)) = fan.next(cx.shared.now) {
            self.fan_calls.push((cx.follow(Feed::Call(Box::new(call))), at));
        }
    }

    /// True if the stream is one of a fan-out.
    pub(super) fn take_fan_chunk(&mut self, token: Token, chunk: Chunk, cx: &mut Cx) -> bool {
        let Some(place) = self.fan_calls.iter().position(|(t, _)| *t == token) else { return false };
        let at = self.fan_calls[place].1;
        let over = self.fan.as_mut().is_none_or(|fan| fan.take(at, chunk));
        if over {
            self.fan_calls.swap_remove(place);
            cx.unfollow(token);
            self.feed_fan(cx);
            if !self.fan.as_ref().is_some_and(Fan::is_running) {
                self.ask_history(cx);
            }
        }
        true
    }

    /// Ends every call of it that is under way; nobody else is asked.
    pub(super) fn stop_fan(&mut self, cx: &mut Cx) {
        for (token, _) in self.fan_calls.drain(..) {
            cx.unfollow(token);
        }
        if let Some(fan) = &mut self.fan {
            fan.stop();
        }
    }

    /// `enter` in the table: that customer's answer.
    pub(super) fn open_leg(&mut self, cx: &mut Cx) {
        let Some(leg) = self.fan.as_ref().and_then(|fan| fan.legs.get(fan.cursor)) else { return };
        match &leg.stand {
            Stand::Done(record) => {
                let mut exchange = Exchange::kept(CallRecord::clone(record), &leg.answer);
                exchange.body_dropped = leg.dropped;
                self.sent_as = Some(leg.tenant.clone());
                self.exchange = Some(exchange);
                (self.shown, self.scroll) = (Shown::Tree, 0);
            }
            Stand::Broken(why) => cx.notice(Level::Info, format!("{}: {why}", leg.tenant)),
            Stand::Waiting | Stand::Running(_) => {
                cx.notice(Level::Info, format!("{} has not answered yet", leg.tenant))
            }
        }
    }

    /// `esc`: from an answer to the table, and from there out of it.
    pub(super) fn leave_fan(&mut self) -> bool {
        match (&self.fan, self.shown) {
            (None, _) => false,
            (Some(_), Shown::Fan) => {
                self.fan = None;
                self.shown = Shown::Tree;
                true
            }
            (Some(_), _) => {
                (self.shown, self.scroll) = (Shown::Fan, 0);
                self.compared = None;
                true
            }
        }
    }
}

/// Everybody who has the server.
fn targets(cx: &Cx, call: &ConsoleCall) -> Vec<TenantId> {
    cx.snap.users(&call.server).cloned().collect()
}
