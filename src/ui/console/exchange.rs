//! One call from sending to its end: what happened on the wire, how far it is, the answer. Bounded; says what it dropped.

use super::tree::Tree;
use crate::model::call::{CallId, CallRecord, Outcome};
use crate::model::message::CallEvent;
use crate::model::{Chunk, InstanceKey, Stamp};
use std::collections::VecDeque;

/// Lines of the wire pane, and their bytes.
const MAX_WIRE: usize = 1_000;
const MAX_WIRE_BYTES: usize = 8 << 20;
/// Bytes kept of an answer.
const MAX_BODY: usize = 64 << 20;

/// A longer answer is read, and searched, beside the screen.
pub const READ_AT_ONCE: usize = 256 << 10;

/// A call that was sent.
#[derive(Debug)]
pub struct Exchange {
    pub sent_at: Stamp,
    pub id: Option<CallId>,
    /// The instance it waits for.
    pub waking: Option<InstanceKey>,
    /// Newest progress: percent and text.
    pub progress: Option<(Option<f32>, String)>,
    pub wire: VecDeque<WireLine>,
    pub wire_dropped: u64,
    wire_bytes: usize,
    body: String,
    /// Bytes of the answer that were not kept.
    pub body_dropped: u64,
    /// How it ended.
    pub end: Option<End>,
    /// The answer; empty until the end.
    pub answer: Tree,
}

/// A line of the wire pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireLine {
    pub at: Stamp,
    pub what: Wire,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Sent,
    Received,
    Progress,
    Log,
    /// mcpdeck about the call.
    Deck,
}

#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Done(Box<CallRecord>),
    /// The stream ended without an answer.
    Broken(String),
}

impl Exchange {
    pub fn new(sent_at: Stamp) -> Self {
        Self {
            sent_at,
            id: None,
            waking: None,
            progress: None,
            wire: VecDeque::new(),
            wire_dropped: 0,
            wire_bytes: 0,
            body: String::new(),
            body_dropped: 0,
            end: None,
            answer: Tree::default(),
        }
    }

    /// What is kept of an earlier one: an answer and how it ended.
    pub fn kept(record: CallRecord, answer: &str) -> Self {
        let mut exchange = Self::new(record.at);
        exchange.id = Some(record.id);
        exchange.answer = Tree::new(answer);
        exchange.end = Some(End::Done(Box::new(record)));
        exchange
    }

    pub fn is_running(&self) -> bool {
        self.end.is_none()
    }

    pub fn record(&self) -> Option<&CallRecord> {
        match self.end.as_ref()? {
            End::Done(record) => Some(record),
            End::Broken(_) => None,
        }
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.record().map(|r| r.outcome)
    }

    /// Bytes of the answer so far.
    pub fn received(&self) -> usize {
        self.body.len().max(self.answer.text().len())
    }

    /// The message as it went out, after injection.
    pub fn sent(&self) -> Option<&str> {
        self.wire.iter().find(|w| w.what == Wire::Sent).map(|w| w.text.as_str())
    }

    /// Takes a piece of the stream.
    pub fn take(&mut self, chunk: Chunk, now: Stamp) {
        match chunk {
            Chunk::Call(event) => self.event(event, now),
            Chunk::Lost(n) => self.line(now, Wire::Deck, format!("{n} messages were dropped: the screen was slow")),
            Chunk::End(_) if self.end.is_some() => {}
            Chunk::End(reason) => {
                let reason =
                    reason.map_or_else(|| "the call ended without an answer".to_owned(), |why| why.to_string());
                self.line(now, Wire::Deck, reason.clone());
                self.finish(End::Broken(reason));
            }
            Chunk::Logs(_) | Chunk::Calls(_) | Chunk::Events(_) => {}
        }
    }

    fn event(&mut self, event: CallEvent, now: Stamp) {
        match event {
            CallEvent::Accepted { id } => self.id = Some(id),
            CallEvent::Waking { instance } => {
                self.line(now, Wire::Deck, format!("waits for {instance} to start"));
                self.waking = Some(instance);
            }
            CallEvent::Wire { at, sent, text } => {
                self.waking = None;
                self.line(at, if sent { Wire::Sent } else { Wire::Received }, text);
            }
            CallEvent::Progress { percent, text } => {
                let shown = percent.map(|p| format!("{p:.0}% ")).unwrap_or_default();
                self.line(now, Wire::Progress, format!("{shown}{text}"));
                self.progress = Some((percent, text));
            }
            CallEvent::Log { level, text } => self.line(now, Wire::Log, format!("{level}: {text}")),
            CallEvent::Question { id, method, params } => {
                let text = format!(r#"{{"id":{id},"method":{},"params":{params}}}"#, super::json::quote(&method));
                self.line(now, Wire::Received, text);
            }
            CallEvent::Body(part) => self.body_part(&part),
            CallEvent::Done(record) => self.finish(End::Done(record)),
        }
    }

    fn body_part(&mut self, part: &str) {
        if self.body.len() + part.len() <= MAX_BODY && self.body_dropped == 0 {
            self.body.push_str(part);
        } else {
            self.body_dropped += part.len() as u64;
        }
    }

    fn finish(&mut self, end: End) {
        let body = std::mem::take(&mut self.body);
        self.answer = if body.len() > READ_AT_ONCE { Tree::unread(body) } else { Tree::new(body) };
        self.end = Some(end);
        self.waking = None;
    }

    /// Adds a line of our own making.
    pub fn note(&mut self, at: Stamp, what: Wire, text: String) {
        self.line(at, what, text);
    }

    fn line(&mut self, at: Stamp, what: Wire, text: String) {
        self.wire_bytes += text.len();
        self.wire.push_back(WireLine { at, what, text });
        while self.wire.len() > MAX_WIRE || (self.wire_bytes > MAX_WIRE_BYTES && self.wire.len() > 1) {
            if let Some(old) = self.wire.pop_front() {
                self.wire_bytes -= old.text.len();
                self.wire_dropped += 1;
            }
        }
    }

    /// `request · response · 2 progress`: what the wire pane holds.
    pub fn wire_summary(&self, dot: &str) -> String {
        let count = |what| self.wire.iter().filter(|w| w.what == what).count();
        let mut parts = Vec::new();
        for (what, one) in
            [(Wire::Sent, "sent"), (Wire::Received, "received"), (Wire::Progress, "progress"), (Wire::Log, "log")]
        {
            match count(what) {
                0 => {}
                n => parts.push(format!("{n} {one}")),
            }
        }
        if self.wire_dropped > 0 {
            parts.push(format!("{} dropped", self.wire_dropped));
        }
        parts.join(dot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Refusal;

    fn call(event: CallEvent) -> Chunk {
        Chunk::Call(event)
    }

    #[test]
    fn a_call_shows_what_happens_until_its_answer() {
        let mut exchange = Exchange::new(Stamp(0));
        let wire = |sent, text: &str| call(CallEvent::Wire { at: Stamp(2), sent, text: text.to_owned() });
        for chunk in [
            call(CallEvent::Accepted { id: CallId(7) }),
            call(CallEvent::Waking { instance: InstanceKey::shared("etim".into()) }),
            wire(true, "{}"),
            call(CallEvent::Progress { percent: Some(40.0), text: "half".to_owned() }),
            call(CallEvent::Body("{\"a\"".to_owned())),
            call(CallEvent::Body(":1}".to_owned())),
            wire(false, "{}"),
        ] {
            exchange.take(chunk, Stamp(1));
        }
        assert!(exchange.is_running() && exchange.answer.is_empty());
        assert_eq!(
            (exchange.received(), exchange.wire_summary(" · ").as_str()),
            (7, "1 sent · 1 received · 1 progress")
        );
        exchange.take(Chunk::End(Some(Refusal::Failed("the owner went".to_owned()))), Stamp(3));
        assert_eq!(exchange.end, Some(End::Broken("the owner went".to_owned())));
        assert_eq!(&**exchange.answer.text(), "{\"a\":1}");
    }

    #[test]
    fn a_flood_of_messages_is_bounded_and_counted() {
        let mut exchange = Exchange::new(Stamp(0));
        for n in 0..5_000 {
            exchange.take(call(CallEvent::Log { level: "info".to_owned(), text: n.to_string() }), Stamp(n));
        }
        assert_eq!((exchange.wire.len(), exchange.wire_dropped), (MAX_WIRE, 4_000));
    }
}
