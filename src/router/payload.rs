//! What calls said, kept in memory only, in a bounded ring: failed calls are let go last. Masked when it is read.

use super::flight::lock;
use super::redact::CUT_BYTES;
use crate::model::{CallId, CallRecord};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const SHARDS: u64 = 8;
/// Bytes over all shards; failed calls get half of it for themselves.
const MAX_BYTES: usize = 8 << 20;
const SHARD_BYTES: usize = MAX_BYTES / SHARDS as usize / 2;
/// What an entry costs beside its bytes.
const OVERHEAD: usize = 512;

/// Both sides of one call.
#[derive(Clone)]
pub struct Payload {
    pub record: Arc<CallRecord>,
    pub request: Bytes,
    pub sent: Bytes,
    pub response: Bytes,
}

#[derive(Default)]
pub struct Payloads {
    shards: [Mutex<Shard>; SHARDS as usize],
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
        self.request.len() + self.sent.len() + self.response.len() + OVERHEAD
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
    pub fn keep(&self, record: &Arc<CallRecord>, request: &Bytes, sent: &Bytes, response: &Bytes) {
        let payload =
            Payload { record: record.clone(), request: own(request), sent: own(sent), response: own(response) };
        let mut shard = lock(&self.shards[(record.id.0 % SHARDS) as usize]);
        let ring = if record.error.is_some() { &mut shard.failed } else { &mut shard.good };
        ring.push(payload);
    }

    pub fn get(&self, id: CallId) -> Option<Payload> {
        let shard = lock(&self.shards[(id.0 % SHARDS) as usize]);
        shard.good.calls.get(&id).or_else(|| shard.failed.calls.get(&id)).cloned()
    }
}

/// A small body is shared with the caller; of a large one a piece is copied, so that it does not hold the whole.
fn own(bytes: &Bytes) -> Bytes {
    if bytes.len() <= CUT_BYTES { bytes.clone() } else { Bytes::copy_from_slice(&bytes[..=CUT_BYTES]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call::Origin;
    use crate::model::{Outcome, Stamp};

    fn record(id: u64, error: Option<&str>) -> Arc<CallRecord> {
        Arc::new(CallRecord {
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
        })
    }

    #[test]
    fn memory_is_bounded_and_failed_calls_stay() {
        let payloads = Payloads::default();
        let body = Bytes::from(vec![b'x'; 100_000]);
        payloads.keep(&record(0, Some("boom")), &body, &body, &body);
        for id in 1..2_000 {
            payloads.keep(&record(id, None), &body, &body, &body);
        }
        assert!(payloads.get(CallId(0)).is_some() && payloads.get(CallId(1_999)).is_some());
        assert!(payloads.get(CallId(1)).is_none());
        let held: usize = payloads.shards.iter().map(|s| lock(s)).map(|s| s.good.bytes + s.failed.bytes).sum();
        assert!(held <= MAX_BYTES, "{held}");
    }
}
