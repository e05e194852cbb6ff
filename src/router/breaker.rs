//! When a server is not worth trying for a while. Owns no call; time comes from outside.

use crate::model::Outcome;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

/// Failures in a row that open it.
const FAILURES: u64 = 5;
/// How long it is open at first; doubled with each probe that fails.
const OPEN_MS: u64 = 2_000;
const DOUBLINGS: u64 = 5;
/// A probe that never came back (its caller went away) is forgotten after this.
const PROBE_MS: u64 = 30_000;

/// A circuit breaker: counts failures in a row, then keeps callers away, then lets one through to see. One atomic word:
/// milliseconds of the end of its time (48 bits), times opened (7), probing (1), failures (8).
#[derive(Debug, Default)]
pub struct Breaker(AtomicU64);

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    Closed,
    /// For so many milliseconds more.
    Open(u64),
    /// The next call is the probe.
    HalfOpen,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Word {
    until: u64,
    opened: u64,
    probing: bool,
    failures: u64,
}

impl Word {
    fn unpack(word: u64) -> Self {
        Self { until: word >> 16, opened: word >> 9 & 0x7f, probing: word >> 8 & 1 == 1, failures: word & 0xff }
    }

    fn pack(self) -> u64 {
        self.until << 16 | self.opened.min(0x7f) << 9 | u64::from(self.probing) << 8 | self.failures.min(0xff)
    }

    fn circuit(self, now: u64) -> Circuit {
        match self.until {
            0 => Circuit::Closed,
            until if now < until => Circuit::Open(until - now),
            _ => Circuit::HalfOpen,
        }
    }

    fn failed(self, now: u64, jitter: u64) -> Self {
        let word = Self { failures: self.failures + 1, ..self };
        // What goes on failing while it is open was known.
        if (self.until > 0 && !self.probing) || (self.until == 0 && word.failures < FAILURES) {
            return Self { failures: word.failures.min(FAILURES), ..word };
        }
        let open = OPEN_MS << self.opened.min(DOUBLINGS);
        // Between 80 and 120 %: many that failed together do not come back together.
        let open = open * (80 + jitter % 41) / 100;
        Self { until: now + open, opened: self.opened + 1, probing: false, failures: 0 }
    }
}

impl Breaker {
    pub fn circuit(&self, now: u64) -> Circuit {
        Word::unpack(self.0.load(Acquire)).circuit(now)
    }

    /// True if a call may go there; where it is half open, for the first who asks.
    pub fn admits(&self, now: u64) -> bool {
        let step = self.0.fetch_update(AcqRel, Acquire, |word| {
            let word = Word::unpack(word);
            let probe = Word { until: now + PROBE_MS, probing: true, ..word };
            (word.circuit(now) == Circuit::HalfOpen).then(|| probe.pack())
        });
        step.is_ok() || self.circuit(now) == Circuit::Closed
    }

    /// A call to it ended. Only what says something of the server counts.
    pub fn note(&self, outcome: Outcome, now: impl Fn() -> u64) {
        match outcome {
            Outcome::Refused | Outcome::Cancelled => {}
            Outcome::Ok | Outcome::Tool | Outcome::Auth | Outcome::Protocol => {
                if self.0.load(Relaxed) != 0 {
                    self.0.store(0, Relaxed);
                }
            }
            Outcome::Timeout | Outcome::Transport => {
                let (now, jitter) = (now(), fastrand::u64(..));
                // The closure always answers, so there is no error to see.
                let _ =
                    self.0.fetch_update(AcqRel, Acquire, |word| Some(Word::unpack(word).failed(now, jitter).pack()));
            }
        }
    }
}

impl Circuit {
    /// `open for 4s`
    pub fn text(self) -> String {
        match self {
            Self::Closed => "closed".to_owned(),
            Self::Open(ms) => format!("open for {}s", ms.div_ceil(1000)),
            Self::HalfOpen => "half-open".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments in milliseconds; each failure is one of these.
    fn failing(times: u64) -> Breaker {
        let breaker = Breaker::default();
        (0..times).for_each(|_| breaker.note(Outcome::Transport, || 1_000));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_closes_it() {
        assert_eq!(failing(FAILURES - 1).circuit(1_000), Circuit::Closed);
        let breaker = failing(FAILURES);
        let Circuit::Open(ms) = breaker.circuit(1_000) else { panic!("not open") };
        assert!((1_600..=2_400).contains(&ms), "{ms}");
        assert!(!breaker.admits(1_000));
        breaker.note(Outcome::Ok, || 1_001);
        assert!(breaker.admits(1_001));
        let mixed = failing(FAILURES - 1);
        mixed.note(Outcome::Tool, || 1_000);
        mixed.note(Outcome::Timeout, || 1_000);
        assert_eq!(mixed.circuit(1_000), Circuit::Closed);
    }

    #[test]
    fn one_probe_at_a_time_and_longer_after_each_that_fails() {
        let breaker = failing(FAILURES);
        assert_eq!(breaker.circuit(4_000), Circuit::HalfOpen);
        assert!(breaker.admits(4_000));
        assert!(!breaker.admits(4_000), "a second probe");
        breaker.note(Outcome::Timeout, || 4_100);
        let Circuit::Open(ms) = breaker.circuit(4_100) else { panic!("not open") };
        assert!((3_200..=4_800).contains(&ms), "{ms}");
        // A probe whose caller went away is forgotten.
        assert!(breaker.admits(10_000));
        assert!(breaker.admits(10_000 + PROBE_MS));
        breaker.note(Outcome::Ok, || 50_000);
        assert_eq!(breaker.circuit(50_000), Circuit::Closed);
    }

    #[test]
    fn what_fails_while_it_is_open_changes_nothing() {
        let breaker = failing(FAILURES);
        let before = breaker.circuit(1_100);
        (0..20).for_each(|_| breaker.note(Outcome::Transport, || 1_100));
        assert_eq!(breaker.circuit(1_100), before);
        breaker.note(Outcome::Refused, || 1_100);
        assert_eq!(breaker.circuit(1_100), before);
    }
}
