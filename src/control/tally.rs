//! Counts of what happens in instances' lives since the start, per server: what only grows, for whoever scrapes it.

use crate::model::{ServerId, State};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What happened to the instances of one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    pub starts: u64,
    /// Starts and continuations out of sleep.
    pub wakes: u64,
    pub idle_stops: u64,
    pub dozes: u64,
    /// Starts that failed and runs that ended by themselves.
    pub failures: u64,
}

/// As many servers as the platform has; counted where nobody waits.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<ServerId, Lives>>);

impl Tally {
    pub fn count(&self, server: &ServerId, from: State, to: State, reason: &str) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !servers.contains_key(server) {
            servers.insert(server.clone(), Lives::default());
        }
        let Some(lives) = servers.get_mut(server) else { return };
        lives.starts += u64::from(to == State::Starting);
        let woken = matches!((from, to), (State::Dormant, State::Starting) | (State::Doze, State::Ready));
        lives.wakes += u64::from(woken);
        lives.idle_stops += u64::from(to == State::Stopping && reason == "idle");
        lives.dozes += u64::from(to == State::Doze);
        lives.failures += u64::from(matches!(to, State::Backoff | State::Failed));
    }

    /// By server.
    pub fn all(&self) -> BTreeMap<ServerId, Lives> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_are_counted_for_what_they_are() {
        let tally = Tally::default();
        for (from, to, reason) in [
            (State::Dormant, State::Starting, "a call came"),
            (State::Starting, State::Ready, "ready"),
            (State::Ready, State::Doze, "idle: paused"),
            (State::Doze, State::Ready, "a call came"),
            (State::Ready, State::Stopping, "idle"),
            (State::Stopping, State::Dormant, "idle"),
            (State::Ready, State::Stopping, "stopped by ana"),
            (State::Starting, State::Backoff, "exited with code 1"),
            (State::Backoff, State::Starting, "trying again"),
        ] {
            tally.count(&"etim".into(), from, to, reason);
        }
        let lives = Lives { starts: 2, wakes: 2, idle_stops: 1, dozes: 1, failures: 1 };
        assert_eq!(tally.all(), [("etim".into(), lives)].into());
    }
}
