//! How much callers may do: requests a second, under way, and their size. A counter stands for one tenant or one server;
//! nothing is locked, and who has no limits has no counter.

use crate::model::hash::Map;
use crate::model::limits::CallLimits;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// When whoever has too much under way may try again.
const SOON: Duration = Duration::from_secs(1);

/// What is beyond a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Too often, or too many at once; it may be tried again after `after`.
    #[error("{what}")]
    Many { what: String, after: Duration },
    /// A body of more than so many bytes.
    #[error("the body is larger than {0} bytes")]
    Large(u64),
}

/// What one tenant or server has used of its limits.
pub struct Counter {
    /// `server etim`
    who: String,
    pub limits: CallLimits,
    rate: Option<DefaultDirectRateLimiter>,
    in_flight: AtomicU32,
}

/// A request under way; dropping it makes room for another.
pub struct Place(Arc<Counter>);

/// A counter for each that has limits at all; `before` are those that counted until now, and go on where the limits stay.
pub fn counters<'l, K: Clone + Eq + Hash + 'l>(
    limits: impl Iterator<Item = (&'l K, &'l CallLimits)>,
    before: &Map<K, Arc<Counter>>,
    who: impl Fn(&K) -> String,
) -> Map<K, Arc<Counter>> {
    let limited = limits.filter(|(_, limits)| **limits != CallLimits::default());
    let counter = |(key, limits): (&K, &CallLimits)| {
        let kept = before.get(key).filter(|counter| counter.limits == *limits).cloned();
        (key.clone(), kept.unwrap_or_else(|| Arc::new(Counter::new(who(key), limits.clone()))))
    };
    limited.map(counter).collect()
}

impl Counter {
    fn new(who: String, limits: CallLimits) -> Self {
        let rate = limits.rate.and_then(|rate| quota(rate, limits.burst)).map(RateLimiter::direct);
        Self { who, limits, rate, in_flight: AtomicU32::new(0) }
    }

    /// Lets a request begin, or says when it may.
    pub fn enter(self: &Arc<Self>) -> Result<Place, Exceeded> {
        let most = self.limits.in_flight.unwrap_or(u32::MAX);
        let free = |now: u32| (now < most).then_some(now + 1);
        if self.in_flight.fetch_update(Relaxed, Relaxed, free).is_err() {
            return Err(Exceeded::Many { what: format!("{} has {most} requests under way", self.who), after: SOON });
        }
        // From here the place is given back when it is dropped.
        let place = Place(self.clone());
        if let Some(rate) = &self.rate
            && let Err(not_until) = rate.check()
        {
            let after = not_until.wait_time_from(DefaultClock::default().now());
            let most = self.limits.rate.unwrap_or_default();
            return Err(Exceeded::Many { what: format!("{} is limited to {most} requests a second", self.who), after });
        }
        Ok(place)
    }

    /// The same for a request of so many bytes.
    pub fn admit(self: &Arc<Self>, bytes: usize) -> Result<Place, Exceeded> {
        match self.limits.body {
            Some(most) if bytes as u64 > most => Err(Exceeded::Large(most)),
            _ => self.enter(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
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
        let limits = CallLimits { rate, burst, in_flight, body: Some(9) };
        Arc::new(Counter::new("server x".to_owned(), limits))
    }

    #[test]
    fn so_many_are_under_way_and_each_end_makes_room() {
        let counter = counter(None, None, Some(2));
        let (first, _second) = (counter.enter().unwrap(), counter.enter().unwrap());
        assert!(matches!(counter.enter(), Err(Exceeded::Many { .. })));
        drop(first);
        assert!(counter.enter().is_ok());
        assert_eq!(counter.in_flight.load(Relaxed), 1);
    }

    #[test]
    fn a_burst_is_let_in_and_then_told_when() {
        for (rate, burst, most, at_least) in [(0.5, Some(3), 3, 1), (0.1, None, 1, 9), (2.5, None, 3, 0)] {
            let counter = counter(Some(rate), burst, Some(100));
            for n in 0..most {
                assert!(counter.enter().is_ok(), "{rate} {n}");
            }
            let Err(Exceeded::Many { after, .. }) = counter.enter() else { panic!("{rate}: one too many") };
            assert!((at_least..=at_least + 10).contains(&after.as_secs()), "{rate}: {after:?}");
            assert_eq!(counter.in_flight.load(Relaxed), 0, "who is refused holds nothing");
        }
    }

    #[test]
    fn what_is_too_large_uses_nothing_of_the_rate() {
        let counter = counter(Some(0.1), None, None);
        assert!(matches!(counter.admit(10), Err(Exceeded::Large(9))));
        assert!(counter.admit(9).is_ok());
        assert!(matches!(counter.admit(9), Err(Exceeded::Many { .. })));
    }

    #[test]
    fn a_reload_keeps_what_was_counted_where_the_limits_stay() {
        let (one, two) = (CallLimits { in_flight: Some(1), ..CallLimits::default() }, CallLimits::default());
        let first = counters([(&"a", &one), (&"b", &two)].into_iter(), &Map::default(), |id| (*id).to_owned());
        assert!(!first.contains_key("b"), "without limits nothing is counted");
        let _place = first["a"].enter().unwrap();
        let same = counters([(&"a", &one)].into_iter(), &first, |id| (*id).to_owned());
        assert!(same["a"].enter().is_err());
        let more = CallLimits { in_flight: Some(2), ..CallLimits::default() };
        let other = counters([(&"a", &more)].into_iter(), &same, |id| (*id).to_owned());
        assert!(other["a"].enter().is_ok());
    }
}
