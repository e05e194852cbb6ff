//! Figures of calls over sliding windows. Sharded; bounded per series, and series without calls are let go.

use super::flight::lock;
use super::{AllFigures, Figures};
use crate::model::hash::{Equivalent, Map, RandomState};
use crate::model::{CallRecord, InstanceKey, Outcome, ServerId, Stamp, TenantId};
use std::hash::{BuildHasher, Hash};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SHARDS: usize = 16;

/// Seconds of the window for rates.
const RATE_S: u64 = 10;
/// The five minutes of counts and percentiles, in slices.
const SLICE_S: u64 = 30;
const SLICES: u64 = 10;
/// Latency buckets: four to the octave from 16 us on, so a percentile is off by 9 % at most; the last is about 10 min.
const BUCKETS: usize = 104;
const FIRST_US: f64 = 16.0;

/// Whose calls are counted together.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Series {
    tenant: TenantId,
    server: ServerId,
    /// `None`: refused before one was chosen.
    instance: Option<InstanceKey>,
}

/// Whose calls a record is among; hashed as a [`Series`] is.
#[derive(Hash)]
struct Among<'r> {
    tenant: &'r TenantId,
    server: &'r ServerId,
    instance: Option<&'r InstanceKey>,
}

impl Equivalent<Series> for Among<'_> {
    fn equivalent(&self, key: &Series) -> bool {
        (self.tenant, self.server, self.instance) == (&key.tenant, &key.server, key.instance.as_ref())
    }
}

/// All series.
#[derive(Default)]
pub struct Meter {
    shards: [Mutex<Map<Series, Box<Window>>>; SHARDS],
    hasher: RandomState,
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

/// The last minutes of one series.
#[derive(Clone)]
struct Window {
    last: Stamp,
    seconds: [(u64, u32); RATE_S as usize],
    slices: [Slice; SLICES as usize],
    /// Percentiles over the current and the previous half of the window: `(half, counts)`.
    halves: [(u64, Box<[u32; BUCKETS]>); 2],
}

#[derive(Clone, Copy, Default)]
struct Slice {
    /// Which 30 s since the epoch it counts.
    at: u64,
    calls: u32,
    errors: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            last: Stamp(0),
            seconds: Default::default(),
            slices: Default::default(),
            halves: [(0, Box::new([0; BUCKETS])), (0, Box::new([0; BUCKETS]))],
        }
    }
}

impl Window {
    fn count(&mut self, now: Stamp, record: &CallRecord) {
        let second = now.0 / 1000;
        self.last = now;
        let bucket = &mut self.seconds[(second % RATE_S) as usize];
        *bucket = (second, if bucket.0 == second { bucket.1 + 1 } else { 1 });
        let at = second / SLICE_S;
        let slice = &mut self.slices[(at % SLICES) as usize];
        if slice.at != at {
            *slice = Slice { at, ..Slice::default() };
        }
        slice.calls += 1;
        slice.errors += u32::from(record.outcome.is_error());
        let half = at / (SLICES / 2);
        let (stamp, counts) = &mut self.halves[(half % 2) as usize];
        if *stamp != half {
            *stamp = half;
            counts.fill(0);
        }
        counts[bucket_of(record.took_us)] += 1;
    }

    fn is_idle(&self, now: Stamp) -> bool {
        now.since(self.last).as_secs() >= SLICE_S * SLICES
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "rounded on purpose"
)]
fn bucket_of(us: u64) -> usize {
    (((us as f64 / FIRST_US).max(1.0).log2() * 4.0) as usize).min(BUCKETS - 1)
}

/// Sums of several windows at one moment.
struct Sum {
    calls: u32,
    errors: u32,
    recent: u32,
    counts: Box<[u32; BUCKETS]>,
    last: Stamp,
}

impl Default for Sum {
    fn default() -> Self {
        Self { calls: 0, errors: 0, recent: 0, counts: Box::new([0; BUCKETS]), last: Stamp(0) }
    }
}

impl Sum {
    fn add(&mut self, window: &Window, now: Stamp) {
        let second = now.0 / 1000;
        let slice = second / SLICE_S;
        let half = slice / (SLICES / 2);
        self.last = self.last.max(window.last);
        self.recent +=
            window.seconds.iter().filter(|(s, _)| second - s.min(&second) < RATE_S).map(|(_, n)| n).sum::<u32>();
        for s in window.slices.iter().filter(|s| s.at + SLICES > slice) {
            self.calls += s.calls;
            self.errors += s.errors;
        }
        for (_, counts) in window.halves.iter().filter(|(h, _)| h + 1 >= half) {
            self.counts.iter_mut().zip(counts.iter()).for_each(|(sum, n)| *sum += n);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    fn figures(&self) -> Figures {
        Figures {
            rate: self.recent as f32 / RATE_S as f32,
            p50_ms: self.percentile(0.50),
            p95_ms: self.percentile(0.95),
            calls: self.calls,
            errors: self.errors,
            last_call: Some(self.last).filter(|s| s.0 > 0),
        }
    }

    /// Geometric middle of the bucket in which the rank falls.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "shown with two digits")]
    fn percentile(&self, share: f64) -> Option<f32> {
        let total: u64 = self.counts.iter().map(|n| u64::from(*n)).sum();
        let rank = (total as f64 * share).ceil();
        let mut seen = 0u64;
        let at = self.counts.iter().position(|n| {
            seen += u64::from(*n);
            total > 0 && seen as f64 >= rank
        })?;
        Some((FIRST_US * ((at as f64 + 0.5) / 4.0).exp2() / 1000.0) as f32)
    }
}

impl Meter {
    /// Counts a finished call.
    pub fn count(&self, record: &CallRecord) {
        self.count_at(Stamp(record.at.0 + record.took_us / 1000), record);
    }

    fn count_at(&self, now: Stamp, record: &CallRecord) {
        self.outcomes[record.outcome as usize].fetch_add(1, Relaxed);
        let CallRecord { tenant, server, instance, .. } = record;
        // A caller can make up names; what was never routed counts in the totals only.
        if instance.is_none() {
            return;
        }
        let among = Among { tenant, server, instance: instance.as_ref() };
        let mut shard = lock(&self.shards[self.hasher.hash_one(&among) as usize % SHARDS]);
        if let Some(window) = shard.get_mut(&among) {
            return window.count(now, record);
        }
        let series = Series { tenant: tenant.clone(), server: server.clone(), instance: instance.clone() };
        shard.entry(series).or_default().count(now, record);
    }

    /// Figures now; series idle for the whole window are forgotten on the way.
    pub fn figures(&self) -> AllFigures {
        self.figures_at(Stamp::now())
    }

    fn figures_at(&self, now: Stamp) -> AllFigures {
        let mut total = Sum::default();
        let mut cells: Map<(TenantId, ServerId), Sum> = Map::default();
        let mut tenants: Map<TenantId, Sum> = Map::default();
        let mut servers: Map<ServerId, Sum> = Map::default();
        let mut instances: Map<InstanceKey, Sum> = Map::default();
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.retain(|_, window| !window.is_idle(now));
            for (series, window) in shard.iter() {
                total.add(window, now);
                cells.entry((series.tenant.clone(), series.server.clone())).or_default().add(window, now);
                tenants.entry(series.tenant.clone()).or_default().add(window, now);
                servers.entry(series.server.clone()).or_default().add(window, now);
                if let Some(key) = &series.instance {
                    instances.entry(key.clone()).or_default().add(window, now);
                }
            }
        }
        AllFigures {
            total: total.figures(),
            outcomes: Outcome::ALL.iter().map(|o| (*o, self.outcomes[*o as usize].load(Relaxed))).collect(),
            dropped_records: 0,
            by_cell: figures_of(cells),
            by_tenant: figures_of(tenants),
            by_server: figures_of(servers),
            by_instance: figures_of(instances),
        }
    }
}

fn figures_of<K: Eq + Hash>(sums: Map<K, Sum>) -> Map<K, Figures> {
    sums.into_iter().map(|(key, sum)| (key, sum.figures())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallId;
    use crate::model::call::Origin;

    fn record(tenant: &str, outcome: Outcome, took_us: u64) -> CallRecord {
        CallRecord {
            id: CallId(1),
            at: Stamp(0),
            tenant: tenant.into(),
            server: "etim".into(),
            instance: Some(InstanceKey::shared("etim".into())),
            method: "tools/call".into(),
            tool: None,
            outcome,
            took_us,
            wake_us: 0,
            upstream_us: 0,
            request_bytes: 0,
            response_bytes: 0,
            era: None,
            origin: Origin::Cli,
            principal: "".into(),
            role: None,
            error: None,
        }
    }

    #[test]
    fn windows_slide() {
        let meter = Meter::default();
        let start = 1_800_000_000_000;
        for i in 0..100 {
            let outcome = if i % 10 == 0 { Outcome::Transport } else { Outcome::Ok };
            let took = if i < 90 { 1_000 } else { 80_000 };
            meter.count_at(Stamp(start + i * 50), &record(["a", "b"][i as usize % 2], outcome, took));
        }
        let now = meter.figures_at(Stamp(start + 5_000));
        assert_eq!((now.total.calls, now.total.errors), (100, 10));
        assert!((now.total.rate - 10.0).abs() < 0.1, "{}", now.total.rate);
        let (p50, p95) = (now.total.p50_ms.unwrap(), now.total.p95_ms.unwrap());
        assert!((0.9..1.1).contains(&p50) && (72.0..88.0).contains(&p95), "{p50} {p95}");
        assert_eq!(now.by_tenant[&TenantId::from("a")].calls, 50);
        assert_eq!(now.by_instance.len(), 1);
        let later = meter.figures_at(Stamp(start + 60_000));
        assert_eq!((later.total.calls, later.total.rate), (100, 0.0));
        let gone = meter.figures_at(Stamp(start + 400_000));
        assert_eq!((gone.total.calls, gone.by_cell.len(), gone.total.p50_ms), (0, 0, None));
        assert_eq!(gone.outcomes[0], (Outcome::Ok, 90));
    }
}
