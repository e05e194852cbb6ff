//! Calls on their way to the database. Each is in the audit file already; the database keeps the newest of each tenant
//! alone, so of a flood only what will stay is written, and that once in a while. Imports `model` only.

use super::prune::minute_of;
use super::write::int;
use crate::model::hash::Map;
use crate::model::{CallRecord, ServerId, TenantId};
use crate::store::StoreError;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The database gets calls at once if it had none for so long, else when that is over.
const EVERY: Duration = Duration::from_secs(2);
/// With so many waiting it gets them at once; what it cannot take is let go beyond that, the oldest first.
const MOST: usize = 20_000;

/// Calls of one operation within one minute.
#[derive(Default)]
pub struct Sum {
    pub calls: i64,
    pub errors: i64,
    pub total_us: i64,
    pub max_us: i64,
}

/// What a sum is of; a call without a tool has tool ''.
#[derive(PartialEq, Eq, Hash)]
pub struct Operation {
    pub minute: i64,
    pub tenant: TenantId,
    pub server: ServerId,
    pub method: String,
    pub tool: String,
}

/// One tenant's calls, the oldest first, each with its place in the order in which all of them came.
#[derive(Default)]
struct Newest {
    good: VecDeque<(u64, Arc<CallRecord>)>,
    failed: VecDeque<(u64, Arc<CallRecord>)>,
}

/// What the database does not have yet.
pub struct Tail {
    /// Of each tenant and kind.
    keep: usize,
    tenants: Map<TenantId, Newest>,
    sums: Map<Operation, Sum>,
    rows: usize,
    came: u64,
    tried: Option<Instant>,
    /// Why the database did not take it the last time.
    failed: Option<StoreError>,
}

impl Tail {
    pub fn new(keep: u32) -> Self {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        let (tenants, sums) = (Map::new(), Map::new());
        Self { keep, tenants, sums, rows: 0, came: 0, tried: None, failed: None }
    }

    pub fn add(&mut self, calls: &[Arc<CallRecord>]) {
        for call in calls {
            self.keep(call);
        }
        self.sum(calls);
    }

    fn keep(&mut self, call: &Arc<CallRecord>) {
        self.came += 1;
        if !self.tenants.contains_key(&call.tenant) {
            self.tenants.insert(call.tenant.clone(), Newest::default());
        }
        let Some(newest) = self.tenants.get_mut(&call.tenant) else { return };
        let calls = if call.outcome.is_error() { &mut newest.failed } else { &mut newest.good };
        calls.push_back((self.came, call.clone()));
        self.rows += 1;
        if calls.len() > self.keep {
            calls.pop_front();
            self.rows -= 1;
        }
    }

    /// Most calls of a batch are of the same few operations: a name is copied for the first of them.
    fn sum(&mut self, calls: &[Arc<CallRecord>]) {
        let mut sums: Map<_, Sum> = Map::new();
        for call in calls {
            let tool = call.tool.as_deref().unwrap_or_default();
            let sum = sums.entry((minute_of(call.at), &call.tenant, &call.server, &*call.method, tool)).or_default();
            let took_us = int(call.took_us);
            let errors = i64::from(call.outcome.is_error());
            sum.add(&Sum { calls: 1, errors, total_us: took_us, max_us: took_us });
        }
        for ((minute, tenant, server, method, tool), sum) in sums {
            let (tenant, server) = (tenant.clone(), server.clone());
            let of = Operation { minute, tenant, server, method: method.to_owned(), tool: tool.to_owned() };
            self.sums.entry(of).or_default().add(&sum);
        }
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.sums.is_empty()
    }

    /// When the database is to get it; `None` while nothing waits.
    pub fn due(&self) -> Option<Instant> {
        let wait = if self.is_full() { Duration::ZERO } else { EVERY };
        (!self.is_empty()).then(|| self.tried.map_or_else(Instant::now, |tried| tried + wait))
    }

    /// In the order in which they came.
    pub fn calls(&self) -> Vec<Arc<CallRecord>> {
        let newest = self.tenants.values().flat_map(|newest| newest.good.iter().chain(&newest.failed));
        let mut calls: Vec<_> = newest.collect();
        calls.sort_unstable_by_key(|(at, _)| *at);
        calls.into_iter().map(|(_, call)| call.clone()).collect()
    }

    pub fn sums(&self) -> impl Iterator<Item = (&Operation, &Sum)> {
        self.sums.iter()
    }

    /// The database was asked to take everything.
    pub fn settled(&mut self, outcome: Result<(), StoreError>) {
        self.tried = Some(Instant::now());
        self.failed = outcome.err();
        if self.failed.is_none() {
            self.tenants.clear();
            self.sums.clear();
            self.rows = 0;
        } else if self.is_full() {
            self.shed();
        }
    }

    /// A caller can make up names of tools, so that sums are many as well.
    fn is_full(&self) -> bool {
        self.rows.max(self.sums.len()) >= MOST
    }

    /// Why the newest of what was added may be lost.
    pub fn state(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Lets the older half of the calls go, and all sums if they are too many.
    fn shed(&mut self) {
        if self.sums.len() >= MOST {
            self.sums.clear();
        }
        if self.rows < MOST {
            return;
        }
        let mut places: Vec<u64> =
            self.tenants.values().flat_map(|n| n.good.iter().chain(&n.failed)).map(|(at, _)| *at).collect();
        let (_, from, _) = places.select_nth_unstable(self.rows / 2);
        let from = *from;
        for newest in self.tenants.values_mut() {
            newest.good.retain(|(at, _)| *at >= from);
            newest.failed.retain(|(at, _)| *at >= from);
        }
        self.tenants.retain(|_, newest| !newest.good.is_empty() || !newest.failed.is_empty());
        self.rows = self.tenants.values().map(|newest| newest.good.len() + newest.failed.len()).sum();
    }
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.total_us = self.total_us.saturating_add(other.total_us);
        self.max_us = self.max_us.max(other.max_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call::Origin;
    use crate::model::{CallId, Outcome, Stamp};

    fn call(id: u64, tenant: &str, outcome: Outcome) -> Arc<CallRecord> {
        Arc::new(CallRecord {
            id: CallId(id),
            at: Stamp(0),
            tenant: tenant.into(),
            server: "s".into(),
            instance: None,
            method: "tools/call".into(),
            tool: None,
            outcome,
            took_us: id,
            wake_us: 0,
            upstream_us: 0,
            request_bytes: 0,
            response_bytes: 0,
            era: None,
            origin: Origin::Http,
            principal: "".into(),
            role: None,
            error: None,
        })
    }

    fn ids(tail: &Tail) -> Vec<u64> {
        tail.calls().iter().map(|call| call.id.0).collect()
    }

    #[test]
    fn of_a_flood_the_newest_of_each_tenant_and_kind_are_left_in_order_and_all_are_summed() {
        let mut tail = Tail::new(2);
        assert_eq!(tail.due(), None);
        tail.add(&[call(1, "quiet", Outcome::Ok), call(2, "loud", Outcome::Timeout)]);
        tail.add(&(3..100).map(|id| call(id, "loud", Outcome::Ok)).collect::<Vec<_>>());
        assert_eq!(ids(&tail), [1, 2, 98, 99]);
        let loud = tail.sums().find(|(of, _)| of.tenant == "loud".into()).unwrap().1;
        assert_eq!((loud.calls, loud.errors, loud.max_us), (98, 1, 99));
        assert!(tail.due().unwrap() <= Instant::now(), "the first is not held back");
        tail.settled(Ok(()));
        assert!(tail.is_empty() && tail.due().is_none());
        tail.add(&[call(100, "loud", Outcome::Ok)]);
        assert!(tail.due().unwrap() > Instant::now(), "the second is");
    }

    #[test]
    fn what_the_database_does_not_take_is_kept_up_to_a_limit() {
        let mut tail = Tail::new(u32::MAX);
        let failed = Err(StoreError::Closed);
        tail.add(&[call(0, "t", Outcome::Ok)]);
        tail.settled(failed.clone());
        assert!(tail.state().is_err());
        assert_eq!(ids(&tail), [0]);
        tail.add(&(1..=MOST as u64).map(|id| call(id, "t", Outcome::Ok)).collect::<Vec<_>>());
        assert!(tail.due().unwrap() <= Instant::now());
        tail.settled(failed);
        let left = ids(&tail);
        assert!(left.len() <= MOST && left.last() == Some(&(MOST as u64)) && left[0] > 0, "{}", left.len());
        tail.settled(Ok(()));
        assert!(tail.state().is_ok() && tail.is_empty());
    }

    #[test]
    fn sums_of_tools_that_callers_make_up_are_bounded() {
        let mut tail = Tail::new(1);
        let made_up = |id: u64| {
            Arc::new(CallRecord { tool: Some(id.to_string().into()), ..CallRecord::clone(&call(id, "t", Outcome::Ok)) })
        };
        tail.add(&(0..MOST as u64).map(made_up).collect::<Vec<_>>());
        assert_eq!(tail.sums().count(), MOST);
        tail.settled(Err(StoreError::Closed));
        assert_eq!((tail.sums().count(), ids(&tail)), (0, vec![MOST as u64 - 1]));
        assert!(!tail.is_empty(), "the newest call still waits");
    }
}
