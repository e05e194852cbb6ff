//! What calls said, kept in memory only, in a bounded ring: failed calls are let go last. Masked when it is read.

use super::flight::lock;
use super::home::home;
use super::redact::CUT_BYTES;
use crate::model::timeline::Timeline;
use crate::model::{CallId, CallRecord};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Few, for each has its part of the bytes, and a thread fills only one.
const SHARDS: usize = 2;
/// Bytes over all shards; failed calls get half of it for themselves.
const MAX_BYTES: usize = 8 << 20;
const SHARD_BYTES: usize = MAX_BYTES / SHARDS / 2;
/// What an entry costs beside its bytes.
const OVERHEAD: usize = 512;

/// What one call leaves behind.
#[derive(Clone)]
pub struct Payload {
    pub record: Arc<CallRecord>,
    pub trail: Trail,
}

/// Both sides of one call, and where its time went.
#[derive(Clone)]
pub struct Trail {
    /// As the caller sent it.
    pub request: Bytes,
    /// As the upstream got it; empty if nothing was sent.
    pub sent: Bytes,
    pub response: Bytes,
    pub timeline: Timeline,
}

#[derive(Default)]
pub struct Payloads {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    good: Ring,
    failed: Ring,
}

/// The newest calls. Their bytes lie one after the other: buffers that are held until they are cold would be had again
/// for the next calls.
#[derive(Default)]
struct Ring {
    calls: VecDeque<Kept>,
    bytes: VecDeque<u8>,
}

struct Kept {
    record: Arc<CallRecord>,
    timeline: Timeline,
    /// Of request, message sent and response, which stand in this order.
    lengths: [usize; 3],
}

impl Kept {
    fn bytes(&self) -> usize {
        self.lengths.iter().sum()
    }
}

impl Ring {
    fn push(&mut self, call: Kept, said: [&[u8]; 3]) {
        self.make_room(call.bytes());
        said.iter().for_each(|part| self.bytes.extend(*part));
        self.calls.push_back(call);
    }

    fn make_room(&mut self, bytes: usize) {
        while self.cost() + bytes + OVERHEAD > SHARD_BYTES
            && let Some(oldest) = self.calls.pop_front()
        {
            self.bytes.drain(..oldest.bytes());
        }
        let full = self.bytes.len() + bytes;
        if full > self.bytes.capacity() {
            self.bytes.reserve_exact((2 * full).min(SHARD_BYTES) - self.bytes.len());
        }
    }

    fn cost(&self) -> usize {
        self.bytes.len() + self.calls.len() * OVERHEAD
    }

    fn get(&self, id: CallId) -> Option<Payload> {
        let at = self.calls.iter().rposition(|call| call.record.id == id)?;
        let Kept { record, timeline, lengths } = &self.calls[at];
        let mut begin: usize = self.calls.range(..at).map(Kept::bytes).sum();
        let [request, sent, response] = lengths.map(|length| {
            let end = begin + length;
            self.bytes.range(std::mem::replace(&mut begin, end)..end).copied().collect()
        });
        Some(Payload { record: record.clone(), trail: Trail { request, sent, response, timeline: *timeline } })
    }
}

impl Payloads {
    /// Keeps a finished call: its request, what was sent, the response. Each is cut to what is ever shown (and a byte, so
    /// that the cut is noticed).
    pub fn keep(&self, record: Arc<CallRecord>, said: [&[u8]; 3], timeline: Timeline) {
        let said = said.map(|part| &part[..part.len().min(CUT_BYTES + 1)]);
        let call = Kept { record, timeline, lengths: said.map(<[u8]>::len) };
        let mut shard = lock(&self.shards[home() % SHARDS]);
        let ring = if call.record.error.is_some() { &mut shard.failed } else { &mut shard.good };
        ring.push(call, said);
    }

    pub fn get(&self, id: CallId) -> Option<Payload> {
        self.shards.iter().find_map(|shard| {
            let shard = lock(shard);
            shard.good.get(id).or_else(|| shard.failed.get(id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call::Origin;
    use crate::model::{Outcome, Stamp};

    fn keep(payloads: &Payloads, id: u64, error: Option<&str>, said: [&[u8]; 3]) {
        let record = Arc::new(CallRecord {
            id: CallId(id),
            at: Stamp(0),
            tenant: "t".into(),
            server: "s".into(),
            instance: None,
            method: "".into(),
            tool: None,
            outcome: Outcome::Ok,
            took_us: 0,
            wake_us: 0,
            upstream_us: 0,
            request_bytes: 0,
            response_bytes: 0,
            era: None,
            origin: Origin::Cli,
            principal: "".into(),
            role: None,
            error: error.map(Into::into),
        });
        payloads.keep(record, said, Timeline::default());
    }

    #[test]
    fn each_call_gives_its_own_words_back_while_others_come_and_go() {
        let payloads = Payloads::default();
        let words = |id: u64| ["a", "b", "c"].map(|side| side.repeat(id as usize % 700));
        for id in 0..20_000 {
            let said = words(id);
            keep(&payloads, id, None, said.each_ref().map(|text| text.as_bytes()));
            for known in [id, id.saturating_sub(999)] {
                let trail = payloads.get(CallId(known)).expect("it came a moment ago").trail;
                assert_eq!([trail.request, trail.sent, trail.response], words(known).map(Bytes::from), "{known}");
            }
        }
        assert!(payloads.get(CallId(0)).is_none());
    }

    #[test]
    fn what_is_long_is_cut_so_that_it_shows() {
        let payloads = Payloads::default();
        keep(&payloads, 1, None, [&[b'x'; CUT_BYTES + 9], b"", b"y"]);
        let trail = payloads.get(CallId(1)).unwrap().trail;
        assert_eq!((trail.request.len(), trail.sent.len(), &*trail.response), (CUT_BYTES + 1, 0, &b"y"[..]));
    }

    #[test]
    fn memory_is_bounded_and_failed_calls_stay() {
        let payloads = Payloads::default();
        let body = vec![b'x'; 100_000];
        keep(&payloads, 0, Some("boom"), [&body; 3]);
        for id in 1..2_000 {
            keep(&payloads, id, None, [&body; 3]);
        }
        assert!(payloads.get(CallId(0)).is_some() && payloads.get(CallId(1_999)).is_some());
        assert!(payloads.get(CallId(1)).is_none());
        let held: usize = payloads.shards.iter().map(|s| lock(s)).map(|s| s.good.cost() + s.failed.cost()).sum();
        assert!(held <= MAX_BYTES, "{held}");
    }
}
