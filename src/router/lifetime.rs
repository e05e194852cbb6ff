//! Counts of calls since the start, per tenant and server: what only grows, for whoever scrapes it. Sharded and bounded.

use super::flight::lock;
use crate::model::hash::{Equivalent, Map, RandomState};
use crate::model::{CallRecord, Outcome, ServerId, Stamp, TenantId};
use std::hash::BuildHasher;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const SHARDS: usize = 16;
/// Pairs that are told apart; calls of further ones are counted together.
const PAIRS: u32 = 20_000;

/// Upper bounds of the latency buckets in microseconds, an octave each: 0.5 ms to 33.6 s. What takes longer is in none.
pub const BOUNDS_US: [u64; 17] = {
    let mut bounds = [512; 17];
    let mut at = 1;
    while at < bounds.len() {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
};

/// What one tenant had of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Counts the pairs as they came: the same for as long as the owner lives. `None` for all that are not told apart.
    pub number: Option<u32>,
    pub tenant: Option<TenantId>,
    /// `None`: refused before an instance was chosen. A caller can make up names.
    pub server: Option<ServerId>,
    /// As [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Calls that took at most a bound and more than the one before.
    pub latencies: [u64; BOUNDS_US.len()],
    pub total_us: u64,
    pub last: Stamp,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Pair(Option<(TenantId, Option<ServerId>)>);

/// The pair that a record is of; hashed as a [`Pair`] is.
#[derive(Hash)]
struct Of<'r>(Option<(&'r TenantId, Option<&'r ServerId>)>);

impl Equivalent<Pair> for Of<'_> {
    fn equivalent(&self, key: &Pair) -> bool {
        self.0 == key.0.as_ref().map(|(tenant, server)| (tenant, server.as_ref()))
    }
}

/// All pairs.
#[derive(Default)]
pub struct Lifetimes {
    shards: [Mutex<Map<Pair, Box<Lifetime>>>; SHARDS],
    hasher: RandomState,
    pairs: AtomicU32,
}

impl Lifetime {
    fn new(number: Option<u32>, pair: &Pair) -> Self {
        let (tenant, server) = pair.0.clone().map_or((None, None), |(tenant, server)| (Some(tenant), server));
        Self { number, tenant, server, outcomes: [0; 8], latencies: [0; 17], total_us: 0, last: Stamp(0) }
    }

    fn count(&mut self, record: &CallRecord) {
        self.outcomes[record.outcome as usize] += 1;
        if let Some(bucket) = BOUNDS_US.iter().position(|bound| record.took_us <= *bound) {
            self.latencies[bucket] += 1;
        }
        self.total_us += record.took_us;
        self.last = self.last.max(record.at);
    }

    /// Takes what another counted, too.
    pub fn add(&mut self, other: &Self) {
        self.outcomes.iter_mut().zip(other.outcomes).for_each(|(sum, n)| *sum += n);
        self.latencies.iter_mut().zip(other.latencies).for_each(|(sum, n)| *sum += n);
        self.total_us += other.total_us;
        self.last = self.last.max(other.last);
    }
}

impl Lifetimes {
    pub fn count(&self, record: &CallRecord) {
        let server = record.instance.as_ref().map(|_| &record.server);
        let of = Of(Some((&record.tenant, server)));
        let mut shard = lock(&self.shards[self.hasher.hash_one(&of) as usize % SHARDS]);
        if let Some(known) = shard.get_mut(&of) {
            return known.count(record);
        }
        let pair = Pair(Some((record.tenant.clone(), server.cloned())));
        let number = self.pairs.fetch_add(1, Relaxed);
        let (number, pair) = if number < PAIRS {
            (Some(number), pair)
        } else {
            self.pairs.fetch_sub(1, Relaxed);
            (None, Pair(None))
        };
        shard.entry(pair.clone()).or_insert_with(|| Box::new(Lifetime::new(number, &pair))).count(record);
    }

    /// When a tenant's newest call to a server came.
    pub fn last(&self, tenant: &TenantId, server: &ServerId) -> Option<Stamp> {
        let of = Of(Some((tenant, Some(server))));
        let shard = lock(&self.shards[self.hasher.hash_one(&of) as usize % SHARDS]);
        shard.get(&of).map(|known| known.last)
    }

    /// Every pair, in the order in which they came; at the end, if there are any, those that are not told apart.
    pub fn all(&self) -> Vec<Lifetime> {
        let mut rest = Lifetime::new(None, &Pair(None));
        let mut told = Vec::new();
        for shard in &self.shards {
            for known in lock(shard).values() {
                if known.number.is_some() { told.push((**known).clone()) } else { rest.add(known) }
            }
        }
        told.sort_by_key(|known| known.number);
        told.extend((rest.last != Stamp(0)).then_some(rest));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceKey;
    use crate::model::call::{CallId, Origin};

    fn record(tenant: &str, server: &str, routed: bool, outcome: Outcome, took_us: u64) -> CallRecord {
        CallRecord {
            id: CallId(1),
            at: Stamp(took_us),
            tenant: tenant.into(),
            server: server.into(),
            instance: routed.then(|| InstanceKey::shared(server.into())),
            method: "tools/call".into(),
            tool: None,
            outcome,
            took_us,
            wake_us: 0,
            upstream_us: 0,
            request_bytes: 0,
            response_bytes: 0,
            era: None,
            origin: Origin::Http,
            principal: "".into(),
            role: None,
            error: None,
        }
    }

    #[test]
    fn calls_are_counted_by_pair_outcome_and_octave() {
        let lifetimes = Lifetimes::default();
        for (tenant, server, routed, outcome, took) in [
            ("a", "s", true, Outcome::Ok, 512),
            ("a", "s", true, Outcome::Ok, 513),
            ("a", "s", true, Outcome::Timeout, 90_000_000),
            ("a", "made-up", false, Outcome::Refused, 10),
            ("a", "made-up-too", false, Outcome::Refused, 10),
        ] {
            lifetimes.count(&record(tenant, server, routed, outcome, took));
        }
        let all = lifetimes.all();
        assert_eq!(all.len(), 2, "made-up names are one: {all:?}");
        let served = &all[0];
        assert_eq!((served.outcomes[Outcome::Ok as usize], served.outcomes[Outcome::Timeout as usize]), (2, 1));
        assert_eq!((served.latencies[0], served.latencies[1], served.latencies.iter().sum::<u64>()), (1, 1, 2));
        assert_eq!((all[1].server.as_ref(), all[1].outcomes[Outcome::Refused as usize]), (None, 2));
        assert_eq!(lifetimes.last(&"a".into(), &"s".into()), Some(Stamp(90_000_000)));
        assert_eq!(lifetimes.last(&"b".into(), &"s".into()), None);
    }

    #[test]
    fn too_many_pairs_are_counted_together() {
        let lifetimes = Lifetimes::default();
        let more = 50;
        for n in 0..PAIRS + more {
            lifetimes.count(&record(&format!("t{n}"), "s", true, Outcome::Ok, 1));
        }
        let all = lifetimes.all();
        assert_eq!(all.len(), PAIRS as usize + 1);
        assert_eq!(all.last().map(|rest| (rest.number, rest.outcomes[0])), Some((None, u64::from(more))));
    }
}
