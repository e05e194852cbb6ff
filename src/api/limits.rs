//! How much callers may do: requests per second, under way, and their size, per tenant and per server. Nothing is locked;
//! each tenant and server of the config has counters of its own, and there are no others.

use super::Error;
use crate::config::{Config, Live};
use crate::model::limits::CallLimits;
use crate::model::{ServerId, TenantId};
use arc_swap::ArcSwap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// When whoever has too much under way may try again.
const SOON: Duration = Duration::from_secs(1);

/// The counters of the config that holds.
pub struct Limits {
    config: Live,
    table: ArcSwap<Table>,
}

struct Table {
    of: Arc<Config>,
    tenants: HashMap<TenantId, Arc<Counter>>,
    servers: HashMap<ServerId, Arc<Counter>>,
}

/// What one tenant or server has used of its limits.
struct Counter {
    limits: CallLimits,
    rate: Option<DefaultDirectRateLimiter>,
    in_flight: AtomicU32,
}

/// A request under way; dropping it makes room for another.
pub struct Place {
    held: [Option<Arc<Counter>>; 2],
}

impl Limits {
    pub fn new(config: Live) -> Self {
        let table = ArcSwap::from_pointee(Table::new(config.get(), None));
        Self { config, table }
    }

    /// A reload keeps what was counted where the limits stay.
    fn table(&self) -> Arc<Table> {
        let config = self.config.get();
        let table = self.table.load_full();
        if Arc::ptr_eq(&table.of, &config) {
            return table;
        }
        let next = Arc::new(Table::new(config, Some(&table)));
        self.table.store(next.clone());
        next
    }

    /// Lets a request of `tenant` to `server` begin, or says when it may.
    pub fn enter(&self, tenant: Option<&TenantId>, server: Option<&ServerId>) -> Result<Place, Error> {
        let table = self.table();
        let tenant = tenant.and_then(|id| table.tenants.get_key_value(id));
        let server = server.and_then(|id| table.servers.get_key_value(id));
        let mut place = Place { held: [None, None] };
        if let Some((id, counter)) = tenant {
            place.held[0] = counter.enter(|| format!("customer {id}"))?;
        }
        if let Some((id, counter)) = server {
            place.held[1] = counter.enter(|| format!("server {id}"))?;
        }
        Ok(place)
    }

    /// The largest body of a request of `tenant` to `server`, in bytes.
    pub fn body(&self, tenant: Option<&TenantId>, server: Option<&ServerId>) -> u64 {
        let table = self.table();
        let of_tenant = tenant.and_then(|id| table.tenants.get(id)?.limits.body);
        let of_server = server.and_then(|id| table.servers.get(id)?.limits.body);
        [of_tenant, of_server].into_iter().flatten().fold(table.of.api.max_body, u64::min)
    }
}

impl Table {
    fn new(of: Arc<Config>, before: Option<&Self>) -> Self {
        let all = &of.api.call_limits;
        let tenants = of.tenants.iter().map(|def| (&def.id, def.call_limits.as_ref().unwrap_or(all)));
        let servers = of.servers.iter().map(|def| (&def.id, &def.settings.call_limits));
        Self {
            tenants: counters(tenants, before.map(|table| &table.tenants)),
            servers: counters(servers, before.map(|table| &table.servers)),
            of,
        }
    }
}

/// A counter for each that has limits at all.
fn counters<'l, K: Clone + Eq + Hash + 'l>(
    limits: impl Iterator<Item = (&'l K, &'l CallLimits)>,
    before: Option<&HashMap<K, Arc<Counter>>>,
) -> HashMap<K, Arc<Counter>> {
    let limited = limits.filter(|(_, limits)| **limits != CallLimits::default());
    let counter = |(key, limits): (&K, &CallLimits)| {
        let kept = before.and_then(|before| before.get(key)).filter(|counter| counter.limits == *limits);
        (key.clone(), kept.cloned().unwrap_or_else(|| Arc::new(Counter::new(limits.clone()))))
    };
    limited.map(counter).collect()
}

impl Counter {
    fn new(limits: CallLimits) -> Self {
        let rate = limits.rate.and_then(|rate| quota(rate, limits.burst)).map(RateLimiter::direct);
        Self { limits, rate, in_flight: AtomicU32::new(0) }
    }

    fn enter(self: &Arc<Self>, who: impl Fn() -> String) -> Result<Option<Arc<Self>>, Error> {
        if let Some(most) = self.limits.in_flight {
            let free = |now: u32| (now < most).then_some(now + 1);
            if self.in_flight.fetch_update(Relaxed, Relaxed, free).is_err() {
                return Err(Error::TooMany { what: format!("{} has {most} requests under way", who()), after: SOON });
            }
        } else {
            self.in_flight.fetch_add(1, Relaxed);
        }
        // From here the place is given back when it is dropped.
        let held = Place { held: [Some(self.clone()), None] };
        if let Some(rate) = &self.rate
            && let Err(not_until) = rate.check()
        {
            let after = not_until.wait_time_from(DefaultClock::default().now());
            let most = self.limits.rate.unwrap_or_default();
            return Err(Error::TooMany { what: format!("{} may send {most} requests a second", who()), after });
        }
        Ok(held.into_first())
    }
}

impl Place {
    fn into_first(mut self) -> Option<Arc<Counter>> {
        self.held[0].take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for counter in self.held.iter().flatten() {
            counter.in_flight.fetch_sub(1, Relaxed);
        }
    }
}

fn quota(rate: f64, burst: Option<u32>) -> Option<Quota> {
    let every = Duration::try_from_secs_f64(1.0 / rate).ok()?;
    // Clamped: a rate is at most a million.
    let second = NonZeroU32::new(rate.ceil() as u32).unwrap_or(NonZeroU32::MIN);
    let burst = burst.and_then(NonZeroU32::new).unwrap_or(second);
    Some(Quota::with_period(every)?.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(rate: Option<f64>, burst: Option<u32>, in_flight: Option<u32>) -> Arc<Counter> {
        Arc::new(Counter::new(CallLimits { rate, burst, in_flight, body: None }))
    }

    fn enter(counter: &Arc<Counter>) -> Result<Place, Error> {
        Ok(Place { held: [counter.enter(|| "x".to_owned())?, None] })
    }

    #[test]
    fn so_many_are_under_way_and_each_end_makes_room() {
        let counter = counter(None, None, Some(2));
        let (first, _second) = (enter(&counter).unwrap(), enter(&counter).unwrap());
        assert!(matches!(enter(&counter), Err(Error::TooMany { .. })));
        drop(first);
        assert!(enter(&counter).is_ok());
        assert_eq!(counter.in_flight.load(Relaxed), 1);
    }

    #[test]
    fn a_burst_is_let_in_and_then_told_when() {
        for (rate, burst, most, at_least) in [(0.5, Some(3), 3, 1), (0.1, None, 1, 9), (2.5, None, 3, 0)] {
            let counter = counter(Some(rate), burst, Some(100));
            for n in 0..most {
                assert!(enter(&counter).is_ok(), "{rate} {n}");
            }
            let Err(Error::TooMany { after, .. }) = enter(&counter) else { panic!("{rate}: one too many") };
            assert!((at_least..=at_least + 10).contains(&after.as_secs()), "{rate}: {after:?}");
            assert_eq!(counter.in_flight.load(Relaxed), 0, "who is refused holds nothing");
        }
    }
}
