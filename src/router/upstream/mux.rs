//! Calls that share one session: each waits under an id of its own until its answer comes, whatever the wire.

use super::serverside::{Heard, Observer, hear, no_client};
use super::{Answer, Expects, Fault};
use crate::model::TenantId;
use crate::model::hash::Map;
use crate::model::message::CallEvent;
use crate::router::client::{Level, Relay, in_one_line};
use crate::router::flight::{Flight, lock};
use crate::router::session::Reply;
use crate::router::wire;
use bytes::Bytes;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::oneshot;

/// The waiting calls of one session.
pub struct Mux {
    waiting: Mutex<Waiting>,
    /// Why nothing comes any more; set while `waiting` is held, and asked without.
    closed: OnceLock<Arc<str>>,
    observer: Observer,
    max_message: u64,
}

#[derive(Default)]
struct Waiting {
    calls: Map<u64, Waiter>,
    /// Calls that were given up and whose answers may still come.
    left: u32,
    tenants: Tenants,
}

/// Whose calls the session has carried.
#[derive(Default, PartialEq, Eq)]
enum Tenants {
    #[default]
    None,
    One(TenantId),
    Many,
}

impl Tenants {
    fn count(&mut self, tenant: &TenantId) {
        match self {
            Self::None => *self = Self::One(tenant.clone()),
            Self::One(only) if only != tenant => *self = Self::Many,
            Self::One(_) | Self::Many => {}
        }
    }
}

struct Waiter {
    answer: oneshot::Sender<Result<Answer, Fault>>,
    flight: Option<Arc<Flight>>,
    expects: Expects,
}

/// A place among the waiting. Left early (the call was dropped, cancelled or timed out), it cancels upstream.
pub struct Place<'a, C: Fn(String)> {
    mux: &'a Mux,
    id: u64,
    answer: oneshot::Receiver<Result<Answer, Fault>>,
    /// Whoever answered took it out of the waiting.
    answered: bool,
    /// Nobody else waited when it was taken.
    pub alone: bool,
    /// Sends the cancellation; `None` while there is nothing to cancel.
    pub cancel: Option<C>,
}

impl<C: Fn(String)> Place<'_, C> {
    /// The answer, when it comes.
    pub async fn answer(&mut self) -> Result<Answer, Fault> {
        let answer = (&mut self.answer).await;
        (self.answered, self.cancel) = (true, None);
        answer.unwrap_or_else(|_| Err(self.mux.gone()))
    }
}

impl<C: Fn(String)> Drop for Place<'_, C> {
    fn drop(&mut self) {
        if !self.answered {
            let mut waiting = lock(&self.mux.waiting);
            let left = waiting.calls.remove(&self.id).is_some();
            waiting.left += u32::from(left);
        }
        if let Some(cancel) = &self.cancel {
            let params = format!(r#"{{"requestId":{},"reason":"the caller gave up"}}"#, self.id);
            cancel(wire::notification("notifications/cancelled", &params));
        }
    }
}

impl Mux {
    pub fn new(observer: Observer, max_message: u64) -> Self {
        Self { waiting: Mutex::default(), closed: OnceLock::new(), observer, max_message }
    }

    /// A message that is too long is not sent.
    pub fn check_length(&self, message: &[u8]) -> Result<(), Fault> {
        let (len, max) = (message.len(), self.max_message);
        if len as u64 > max {
            return Err(Fault::TooLong(format!("the message has {len} bytes; max_message is {max}")));
        }
        Ok(())
    }

    pub fn place<C: Fn(String)>(
        &self,
        id: u64,
        flight: Option<Arc<Flight>>,
        expects: Expects,
    ) -> Result<Place<'_, C>, Fault> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        if let Some(reason) = self.closed() {
            return Err(Fault::Closed(reason));
        }
        if let Some(flight) = &flight {
            waiting.tenants.count(&flight.tenant);
        }
        let alone = waiting.calls.is_empty();
        waiting.calls.insert(id, Waiter { answer: sender, flight, expects });
        Ok(Place { mux: self, id, answer, answered: false, alone, cancel: None })
    }

    pub fn closed(&self) -> Option<Arc<str>> {
        self.closed.get().cloned()
    }

    pub fn gone(&self) -> Fault {
        Fault::Closed(self.closed().unwrap_or_else(|| "the connection is gone".into()))
    }

    /// Everyone who waits learns why; false if it was closed before.
    pub fn fail_all(&self, reason: &str) -> bool {
        let reason: Arc<str> = reason.into();
        let calls = {
            let mut waiting = lock(&self.waiting);
            if self.closed.set(reason.clone()).is_err() {
                return false;
            }
            std::mem::take(&mut waiting.calls)
        };
        for waiter in calls.into_values() {
            let _ = waiter.answer.send(Err(Fault::Closed(reason.clone())));
        }
        true
    }

    /// The wire ended though nobody here closed it.
    pub fn broke(&self, reason: &str) {
        if self.fail_all(reason) {
            self.observer.closed(reason);
        }
    }

    /// Takes one message of the server; `reply` makes what takes an answer back to it.
    pub fn take(&self, message: &Bytes, reply: impl Fn() -> Reply) {
        match hear(message) {
            Heard::Answer(id, answer) => self.deliver(id, Ok(answer)),
            Heard::Stray(answer) => self.deliver_stray(answer),
            Heard::Reply(text) => reply()(text),
            Heard::Question { place, method } => self.asked(message, place, &method, reply()),
            Heard::Progress { token, place, percent, text } => {
                if let Some(flight) = self.flight(token) {
                    flight.progress(percent, text);
                    flight.relay.iter().for_each(|relay| relay.progress(message, place.clone()));
                }
            }
            Heard::Log { level, text } => self.log(message, level, text),
            Heard::Changed { notice, subscription: Some(id) } => {
                if notice.is_list() {
                    self.observer.lists.set_stale();
                }
                self.tell_subscriber(id, |relay| relay.notice(message));
            }
            Heard::Changed { notice, subscription: None } => self.observer.changed(&notice, message),
            Heard::Acknowledged { subscription } => {
                subscription.into_iter().for_each(|id| self.tell_subscriber(id, |relay| relay.acknowledged(message)));
            }
            Heard::Nothing => {}
            Heard::Garbage => self.observer.garbage(message),
        }
    }

    fn flight(&self, id: u64) -> Option<Arc<Flight>> {
        lock(&self.waiting).calls.get(&id).and_then(|w| w.flight.clone())
    }

    fn tell_subscriber(&self, id: u64, tell: impl Fn(&Relay)) {
        if let Some(flight) = self.flight(id) {
            flight.relay.iter().for_each(|relay| tell(relay));
        }
    }

    /// A question is for the client whose own the instance is; where clients share it, nobody can be asked.
    fn asked(&self, line: &Bytes, place: Range<usize>, method: &str, reply: Reply) {
        let Some(session) = self.observer.session() else {
            return reply(no_client(line, place, method));
        };
        let flight = self.only_flight();
        let relay = flight.as_ref().and_then(|flight| flight.relay.as_ref());
        if let Some(flight) = &flight {
            flight.extend_to_cap();
        }
        session.ask(line, place, relay.map_or(&session.outbox, |relay| relay.outbox()), reply);
    }

    /// A log message names no call. It goes to the client of the one call that can be meant, unless it could be about a
    /// call of another tenant; a client whose own the instance is hears the rest, too.
    fn log(&self, line: &Bytes, level: String, text: String) {
        let (flight, session) = (self.only_flight(), self.observer.session());
        let mixed = lock(&self.waiting).tenants == Tenants::Many;
        if let (None, Some(session)) = (&flight, session)
            && Level::parse(&level).is_none_or(|level| level >= session.level())
        {
            session.outbox.push(in_one_line(line));
        }
        match flight {
            Some(flight) if mixed => flight.tell(|| CallEvent::Log { level, text }),
            flight => self.observer.log(flight.as_ref(), line, level, text),
        }
    }

    fn only_flight(&self) -> Option<Arc<Flight>> {
        let waiting = lock(&self.waiting);
        let only = waiting.calls.values().next().filter(|_| waiting.calls.len() == 1)?;
        only.flight.clone()
    }

    fn deliver(&self, id: u64, answer: Result<Answer, Fault>) {
        let waiter = {
            let mut waiting = lock(&self.waiting);
            let waiter = waiting.calls.remove(&id);
            if waiter.is_none() {
                waiting.left = waiting.left.saturating_sub(1);
            }
            waiter
        };
        // Nobody there: an answer that came after its call was given up.
        if let Some(waiter) = waiter {
            let _ = waiter.answer.send(answer);
        }
    }

    /// An answer to none of our ids belongs to the message that had none of them. One without any id may also belong to
    /// the only call that waits; but not if it could be about one that was given up, and that was another tenant's.
    fn deliver_stray(&self, answer: Answer) {
        let id = {
            let waiting = lock(&self.waiting);
            // With others waiting it may be theirs, and they may be another tenant's.
            let alone = waiting.left == 0 && waiting.calls.len() == 1;
            let only = waiting.calls.iter().next().filter(|_| alone);
            only.filter(|(_, w)| answer.id.is_none() || w.expects == Expects::Anything).map(|(id, _)| *id)
        };
        match id {
            Some(id) => self.deliver(id, Ok(answer)),
            None => self.observer.garbage(&answer.line),
        }
    }

    /// A message of so many bytes was dropped; its two ends are left. The call whose answer it was, if that can be told,
    /// fails; nobody else is concerned.
    pub fn too_long(&self, bytes: u64, head: &[u8], tail: &[u8]) {
        let fault = format!("a line of {bytes} bytes was dropped; max_message is {}", self.max_message);
        self.observer.garbage(format!("{fault}; it began: {}", String::from_utf8_lossy(head)).as_bytes());
        let id = {
            let waiting = lock(&self.waiting);
            let only = waiting.calls.keys().next().copied().filter(|_| waiting.calls.len() == 1);
            only.or_else(|| wire::id_of_scraps(head, tail))
        };
        if let Some(id) = id {
            self.deliver(id, Err(Fault::TooLong(fault)));
        }
    }
}
