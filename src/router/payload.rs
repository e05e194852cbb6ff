//! What calls said, kept in memory only, in a bounded ring: failed calls are let go last. Masked when it is read.

use super::flight::lock;
use super::home::home;
use super::redact::CUT_BYTES;
use super::wire;
use crate::model::timeline::Timeline;
use crate::model::{CallId, CallRecord};
use bytes::Bytes;
use std::collections::BTreeMap;
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

#[derive(Default)]
struct Ring {
    calls: BTreeMap<CallId, Payload>,
    bytes: usize,
}

impl Payload {
    fn cost(&self) -> usize {
        self.trail.request.len() + self.trail.sent.len() + self.trail.response.len() + OVERHEAD
    }
}

impl Ring {
    fn push(&mut self, payload: Payload) {
        self.bytes += payload.cost();
        self.calls.insert(payload.record.id, payload);
        while self.bytes > SHARD_BYTES
            && let Some((_, oldest)) = self.calls.pop_first()
        {
            self.bytes -= oldest.cost();
        }
    }
}

impl Payloads {
    /// Keeps a finished call; each side is cut to what is ever shown (and a byte, so that the cut is noticed).
    pub fn keep(&self, mut payload: Payload) {
        let trail = &mut payload.trail;
        [&mut trail.request, &mut trail.response].into_iter().for_each(own);
        let mut shard = lock(&self.shards[home() % SHARDS]);
        let ring = if payload.record.error.is_some() { &mut shard.failed } else { &mut shard.good };
        ring.push(payload);
    }

    pub fn get(&self, id: CallId) -> Option<Payload> {
        self.shards.iter().find_map(|shard| {
            let shard = lock(shard);
            shard.good.calls.get(&id).or_else(|| shard.failed.calls.get(&id)).cloned()
        })
    }
}

/// Copies it: a slice of a connection's buffer would hold all of the buffer. A small one lies apart since it came, and what
/// was sent is a copy already.
fn own(bytes: &mut Bytes) {
    if bytes.len() > wire::SMALL {
        *bytes = Bytes::copy_from_slice(&bytes[..bytes.len().min(CUT_BYTES + 1)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call::Origin;
    use crate::model::{Outcome, Stamp};

    fn payload(id: u64, error: Option<&str>) -> Payload {
        let body = Bytes::from(vec![b'x'; 100_000]);
        let record = Arc::new(CallRecord {
            id: CallId(id),
            at: Stamp(0),
            tenant: "t".into(),
            server: "s".into(),
            instance: None,
            method: String::new(),
            tool: None,
            outcome: Outcome::Ok,
            took_us: 0,
            wake_us: 0,
            upstream_us: 0,
            request_bytes: 0,
            response_bytes: 0,
            era: None,
            origin: Origin::Cli,
            principal: String::new(),
            role: None,
            error: error.map(Into::into),
        });
        let (request, sent, response) = (body.clone(), body.clone(), body);
        Payload { record, trail: Trail { request, sent, response, timeline: Timeline::default() } }
    }

    #[test]
    fn memory_is_bounded_and_failed_calls_stay() {
        let payloads = Payloads::default();
        payloads.keep(payload(0, Some("boom")));
        for id in 1..2_000 {
            payloads.keep(payload(id, None));
        }
        assert!(payloads.get(CallId(0)).is_some() && payloads.get(CallId(1_999)).is_some());
        assert!(payloads.get(CallId(1)).is_none());
        let held: usize = payloads.shards.iter().map(|s| lock(s)).map(|s| s.good.bytes + s.failed.bytes).sum();
        assert!(held <= MAX_BYTES, "{held}");
    }
}
