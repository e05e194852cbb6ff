//! Questions of upstreams to a client (sampling, elicitation, roots) that wait for its answer.

use crate::router::client::{Outbox, with};
use crate::router::flight::lock;
use crate::router::message::Message;
use crate::router::wire::{self, Edit};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

/// Questions that may wait for one client.
const MOST: usize = 32;
/// JSON-RPC code of ours: no answer in time.
const NOT_ANSWERED: i64 = -31504;

/// Takes the client's answer back to who asked.
pub type Reply = Box<dyn FnOnce(String) + Send>;

#[derive(Default)]
pub struct Questions {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    open: BTreeMap<u64, Question>,
}

struct Question {
    /// The id that the upstream gave it, as JSON text.
    id: Box<str>,
    reply: Reply,
}

impl Questions {
    /// Asks under a number of ours. With too many open, the oldest is taken as not answered.
    pub fn ask(&self, line: &Bytes, place: Range<usize>, via: &Outbox, reply: Reply) {
        let id = String::from_utf8_lossy(&line[place.clone()]).into();
        let (number, oldest) = {
            let mut waiting = lock(&self.waiting);
            let oldest = if waiting.open.len() >= MOST { waiting.open.pop_first() } else { None };
            waiting.last += 1;
            let number = waiting.last;
            waiting.open.insert(number, Question { id, reply });
            (number, oldest)
        };
        if let Some((_, question)) = oldest {
            (question.reply)(wire::error_body(&question.id, NOT_ANSWERED, "the client did not answer"));
        }
        via.push(with(line, place, &number.to_string()));
    }

    pub fn answered(&self, message: &Message) -> bool {
        let question = message.id.parse().ok().and_then(|number: u64| lock(&self.waiting).open.remove(&number));
        let Some(question) = question else { return false };
        let text = String::from_utf8_lossy(&message.text);
        let mut answer = String::with_capacity(text.len() + question.id.len());
        if wire::splice(&text, &[Edit::set("id", &*question.id)], &mut answer).is_ok() {
            (question.reply)(answer);
        }
        true
    }
}
