//! Whether an instance takes a call: its state and the calls in flight in one atomic word. Owns no queue and waits
//! for nothing.

use crate::model::State;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};

const STATE_SHIFT: u32 = 32;
const COUNT: u64 = (1 << STATE_SHIFT) - 1;

/// State (upper half) and calls in flight (lower half).
#[derive(Debug)]
pub struct Gate(AtomicU64);

/// What the gate says to a call.
#[derive(Debug)]
pub enum Entry {
    /// Counted in until the pass is dropped.
    In(Pass),
    /// Something has to happen first; ask for it.
    Wait,
    Refused(State),
    /// So many are in already.
    Full(u32),
}

/// One call counted in.
#[derive(Debug)]
pub struct Pass(Arc<Gate>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, AcqRel);
    }
}

fn pack(state: State, count: u32) -> u64 {
    (state as u64) << STATE_SHIFT | u64::from(count)
}

fn unpack(word: u64) -> (State, u32) {
    let state = State::ALL[(word >> STATE_SHIFT) as usize];
    (state, u32::try_from(word & COUNT).unwrap_or(u32::MAX))
}

/// True if calls pass in this state, given that an upstream is connected.
pub fn serves(state: State) -> bool {
    matches!(state, State::Ready | State::Degraded | State::Unknown)
}

impl Gate {
    pub fn new(state: State) -> Self {
        Self(AtomicU64::new(pack(state, 0)))
    }

    pub fn state(&self) -> State {
        unpack(self.0.load(Acquire)).0
    }

    pub fn in_flight(&self) -> u32 {
        unpack(self.0.load(Acquire)).1
    }

    /// Changes the state and nothing else.
    pub fn set_state(&self, state: State) {
        // The closure always answers, so there is no error to see.
        let _ = self.0.fetch_update(AcqRel, Acquire, |word| Some(pack(state, 0) | word & COUNT));
    }

    /// Counts a call in if the state serves and fewer than `cap` are in flight.
    pub fn enter(self: &Arc<Self>, cap: u32) -> Entry {
        let step = self.0.fetch_update(AcqRel, Acquire, |word| {
            let (state, count) = unpack(word);
            (serves(state) && count < cap).then_some(word + 1)
        });
        match step {
            Ok(_) => Entry::In(Pass(self.clone())),
            Err(word) => match unpack(word) {
                (state, count) if serves(state) => Entry::Full(count),
                (state @ (State::Stopped | State::Fenced | State::Failed), _) => Entry::Refused(state),
                _ => Entry::Wait,
            },
        }
    }

    /// (serving, nothing in flight) -> stopping. False, and nothing changed, if a call was first.
    pub fn begin_stop(&self) -> bool {
        self.0
            .fetch_update(AcqRel, Acquire, |word| {
                let (state, count) = unpack(word);
                (serves(state) && count == 0).then_some(pack(State::Stopping, 0))
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_answers_a_call_as_the_product_says() {
        for (state, want) in [
            (State::Ready, "in"),
            (State::Degraded, "in"),
            (State::Unknown, "in"),
            (State::Starting, "wait"),
            (State::Backoff, "wait"),
            (State::Doze, "wait"),
            (State::Dormant, "wait"),
            (State::Stopping, "wait"),
            (State::Stopped, "refused"),
            (State::Fenced, "refused"),
            (State::Failed, "refused"),
        ] {
            let gate = Arc::new(Gate::new(state));
            let got = match gate.enter(8) {
                Entry::In(_) => "in",
                Entry::Wait => "wait",
                Entry::Refused(_) => "refused",
                Entry::Full(_) => "full",
            };
            assert_eq!(got, want, "{state}");
            assert_eq!((gate.state(), gate.in_flight()), (state, 0));
        }
    }

    #[test]
    fn stops_only_when_nothing_is_in_flight() {
        let gate = Arc::new(Gate::new(State::Ready));
        let pass = gate.enter(1);
        assert!(matches!(gate.enter(1), Entry::Full(1)));
        assert!(!gate.begin_stop());
        gate.set_state(State::Degraded);
        assert_eq!((gate.state(), gate.in_flight()), (State::Degraded, 1));
        drop(pass);
        assert!(gate.begin_stop());
        assert!(!gate.begin_stop());
        assert_eq!(gate.state(), State::Stopping);
    }

    #[test]
    fn no_call_is_in_flight_while_a_stop_has_begun() {
        let gate = Arc::new(Gate::new(State::Ready));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if let Entry::In(_pass) = gate.enter(u32::MAX) {
                            assert_ne!(gate.state(), State::Stopping);
                        }
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..20_000 {
                    if gate.begin_stop() {
                        assert_eq!(gate.in_flight(), 0);
                        gate.set_state(State::Ready);
                    }
                }
            });
        });
        assert_eq!(gate.in_flight(), 0);
    }
}
