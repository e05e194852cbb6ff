//! Sending and cancelling: what stands against it, what came back.

use super::ask::Rounds;
use super::{Asked, Console, Pane, Shown};
use crate::model::message::{CallEvent, ConsoleCall, Level, Preview};
use crate::model::{Chunk, Command, Feed, Query, Refusal, Stamp, TenantId};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Effect};
use crate::ui::console::diff::{Change, diff};
use crate::ui::console::exchange::{End, Exchange, Wire};
use crate::ui::console::fan::Fan;
use crate::ui::console::json;
use crate::ui::console::methods::TOOLS_CALL;
use crate::ui::fmt;
use crate::ui::layer::Layer;
use crate::ui::layer::text::Reader;
use std::sync::Arc;

impl Console {
    /// F5: asks where the call would go, then confirms or sends.
    pub(super) fn send(&mut self, cx: &mut Cx) {
        if self.is_running() {
            return cx.notice(Level::Info, "a call is under way; esc cancels it");
        }
        if let Some(why) = self.request.missing() {
            return cx.notice(Level::Warn, why);
        }
        self.edit = None;
        // A message by hand may be wrong on purpose.
        let problems = if self.request.raw { 0 } else { self.request.sheet.form.error_count() };
        if problems > 0 && self.told != Some(self.version) {
            self.told = Some(self.version);
            let send = cx.shared.keymap.shown(Action::Send);
            let text =
                format!("{} with the arguments; {send} again sends them as they are", fmt::plural(problems, "problem"));
            return cx.notice(Level::Warn, text);
        }
        self.baseline = None;
        if let Some(call) = self.request.call(&cx.shared.operator, None) {
            let token = cx.ask(Query::Preview(call.clone()));
            self.expect(token, Asked::Send(Box::new(call)));
        }
    }

    /// Knows where the call goes: refuses, asks for the name, or sends.
    pub(super) fn confirm_or_send(&mut self, call: ConsoleCall, preview: Preview, cx: &mut Cx) {
        if let Some(why) = read_only(cx, &call, &preview) {
            return cx.notice(Level::Warn, why);
        }
        match preview.confirm.clone() {
            Some(name) => self.ask_name(call, name, "production", cx),
            None => self.dispatch(call, cx),
        }
        self.preview = Some(preview);
    }

    /// As another customer: always asks, whatever the environment.
    pub(super) fn confirm_as(&mut self, call: ConsoleCall, preview: &Preview, cx: &mut Cx) {
        if let Some(why) = read_only(cx, &call, preview) {
            return cx.notice(Level::Warn, why);
        }
        let name = preview.confirm.clone().unwrap_or_else(|| tenant_name(cx, &call.tenant));
        self.ask_name(call, name, "another customer", cx);
    }

    fn ask_name(&mut self, call: ConsoleCall, name: String, why: &str, cx: &mut Cx) {
        let what = call.method.as_deref().unwrap_or("a raw message");
        let title = format!("{why}: type {name} to send {what} to {} as {}", call.server, call.tenant);
        let token = cx.prompt(&title, "");
        self.expect(token, Asked::Confirm(Box::new(call), name));
    }

    pub(super) fn take_confirmation(&mut self, mut call: ConsoleCall, name: &str, typed: &str, cx: &mut Cx) {
        if typed.trim() != name {
            return cx.notice(Level::Warn, format!("not sent: `{typed}` is not {name}"));
        }
        call.confirm = Some(name.to_owned());
        self.dispatch(call, cx);
    }

    fn dispatch(&mut self, call: ConsoleCall, cx: &mut Cx) {
        if self.is_running() {
            return cx.notice(Level::Info, "a call is under way; esc cancels it");
        }
        self.rounds = Rounds::default();
        self.dispatch_round(call, cx);
    }

    /// One more exchange of a call.
    pub(super) fn dispatch_round(&mut self, call: ConsoleCall, cx: &mut Cx) {
        self.fan = None;
        self.inquiries.clear();
        self.exchange = Some(Exchange::new(cx.shared.now));
        self.sent_as = Some(call.tenant.clone());
        self.sent = Some(call.clone());
        (self.shown, self.scroll, self.wire_at) = (Shown::Tree, 0, 0);
        self.compared = None;
        self.call = Some(cx.follow(Feed::Call(Box::new(call))));
        // Where panes do not stand side by side, the answer is what one waits for.
        if self.pane == Pane::Request {
            self.pane = Pane::Response;
        }
    }

    /// A real cancellation goes to the server; the call then ends as cancelled.
    pub(super) fn cancel(&mut self, cx: &mut Cx) {
        if self.fan.as_ref().is_some_and(Fan::is_running) {
            return self.stop_fan(cx);
        }
        let Some(token) = self.call else { return cx.notice(Level::Info, "no call is under way") };
        let id = self.exchange.as_ref().and_then(|e| e.id);
        match id.filter(|_| cx.shared.refusal(cx.snap).is_none()) {
            Some(id) => cx.effects.push(Effect::Run { command: Command::CancelCall(id), confirm: None }),
            // Ending the stream cancels the call as well, but then its end is not told.
            None => {
                cx.unfollow(token);
                self.take_chunk(Chunk::End(Some(Refusal::Failed("cancelled".to_owned()))), cx);
            }
        }
    }

    pub(super) fn take_chunk(&mut self, chunk: Chunk, cx: &mut Cx) {
        let now = cx.shared.now;
        let question = match &chunk {
            Chunk::Call(CallEvent::Question { id, method, params }) => Some((*id, method.clone(), params.clone())),
            _ => None,
        };
        let Some(exchange) = &mut self.exchange else { return };
        let at_end = self.wire_at + 1 >= exchange.wire.len();
        let was_running = exchange.is_running();
        let last = matches!(chunk, Chunk::End(_));
        exchange.take(chunk, now);
        if at_end {
            self.wire_at = exchange.wire.len().saturating_sub(1);
        }
        if was_running && !exchange.is_running() {
            let unread = exchange.answer.is_unread().then(|| Arc::clone(exchange.answer.text()));
            self.reading = unread.map(|text| cx.read(text));
            self.drop_questions(cx);
            self.compare();
            self.filter_answer(cx);
            self.ask_history(cx);
        }
        if let Some((id, method, params)) = question {
            self.asked_by_server(id, &method, &params, cx);
        }
        let over = was_running && self.exchange.as_ref().is_some_and(|e| !e.is_running());
        if last {
            self.call = None;
        } else if self.exchange.as_ref().is_some_and(|e| !e.is_running()) {
            // The answer is here; nothing of the stream is waited for.
            if let Some(token) = self.call.take() {
                cx.unfollow(token);
            }
        }
        if over {
            self.asks_for_input(cx);
        }
    }

    /// `e`: where the call would go and what would be put in.
    pub(super) fn explain(&mut self, cx: &mut Cx) {
        match self.request.call(&cx.shared.operator, None) {
            Some(call) => {
                let token = cx.ask(Query::Preview(call));
                self.expect(token, Asked::Explain);
            }
            None => cx.notice(Level::Warn, self.request.missing().unwrap_or_default()),
        }
    }

    pub(super) fn show_preview(&mut self, preview: &Preview, cx: &mut Cx) {
        let mut text = String::new();
        let mut line = |label: &str, value: String| text.push_str(&format!("{label:<10}{value}\n"));
        let target = preview.instance.as_ref().map_or_else(|| "nowhere".to_owned(), ToString::to_string);
        line("goes to", format!("{target}  {}", preview.state.map_or("", |s| s.name())));
        line("because", format!("{}, confidence {:.2}", preview.reason, preview.confidence));
        if let Some(why) = &preview.refused {
            line("refused", why.clone());
        }
        if let Some(name) = &preview.confirm {
            line("asks for", format!("{name}, typed: production, and not marked read-only"));
        }
        for (name, value) in &preview.headers {
            line("header", format!("{name}: {value}"));
        }
        text.push_str("\nThe message, + put in, - taken out:\n");
        for (change, row) in diff(&self.request.message(), &preview.after) {
            text.push_str(&format!("{} {row}\n", sign(change)));
        }
        cx.open(Layer::Text(Reader::new("What will be sent", &text)));
    }

    pub(super) fn read_wire(&mut self, cx: &mut Cx) {
        let Some(line) = self.exchange.as_ref().and_then(|e| e.wire.get(self.wire_at)) else { return };
        let (title, text) = match line.what {
            Wire::Sent => {
                let rows = diff(&self.request.message(), &line.text);
                let rows: Vec<String> =
                    rows.into_iter().map(|(change, row)| format!("{} {row}", sign(change))).collect();
                ("Sent, + put in, - taken out", rows.join("\n"))
            }
            Wire::Received => ("Received", json::print::pretty(&line.text)),
            Wire::Progress | Wire::Log | Wire::Deck => ("Message", line.text.clone()),
        };
        cx.open(Layer::Text(Reader::new(title, &text)));
    }

    /// How the call stands, in a few words.
    pub(super) fn status(&self, now: Stamp, dot: &str) -> String {
        let Some(exchange) = &self.exchange else {
            return if self.fan.is_some() { "fan-out" } else { "nothing sent yet" }.to_owned();
        };
        let mut parts = Vec::new();
        match self.shown {
            Shown::Tree => {}
            Shown::Raw => parts.push("raw".to_owned()),
            Shown::Compared => parts.push("compared".to_owned()),
            Shown::Fan => return "fan-out".to_owned(),
        }
        if let Some(tenant) = self.sent_as.as_ref().filter(|t| self.request.tenant.as_ref() != Some(t)) {
            parts.push(format!("as {tenant}"));
        }
        match &exchange.end {
            None => {
                let age = fmt::running(now.since(exchange.sent_at));
                parts.push(match &exchange.waking {
                    Some(instance) => format!("waking {instance} {age}"),
                    None => format!("running {age}"),
                });
                if let Some((Some(percent), _)) = exchange.progress {
                    parts.push(format!("{percent:.0}%"));
                }
            }
            Some(End::Done(record)) => {
                parts.push(record.outcome.to_string());
                parts.push(fmt::took(record.took_us));
            }
            Some(End::Broken(_)) => parts.push("no answer".to_owned()),
        }
        match exchange.received() {
            0 => {}
            n => parts.push(fmt::bytes(n as u64)),
        }
        if exchange.body_dropped > 0 {
            parts.push(format!("{} not kept", fmt::bytes(exchange.body_dropped)));
        }
        parts.extend(exchange.record().and_then(|record| record.era).map(|era| era.name().to_owned()));
        parts.join(dot)
    }
}

/// Why a call may not be sent from a screen that only reads.
pub(super) fn read_only(cx: &Cx, call: &ConsoleCall, preview: &Preview) -> Option<String> {
    let acts = call.method.as_deref().is_none_or(|method| method == TOOLS_CALL);
    if !acts || preview.read_only_tool || !cx.shared.read_only {
        return None;
    }
    Some("read-only: this screen sends only tools that are marked read-only".to_owned())
}

pub(super) fn tenant_name(cx: &Cx, tenant: &TenantId) -> String {
    cx.snap.tenant(tenant.as_str()).map_or_else(|| tenant.to_string(), |row| row.def.name.clone())
}

pub(super) fn sign(change: Change) -> char {
    match change {
        Change::Same => ' ',
        Change::Added => '+',
        Change::Removed => '-',
    }
}
