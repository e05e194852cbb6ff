//! Where a call spent its time: the stations on its way, and when each was behind it. Imports nothing of ours.

use serde::{Deserialize, Serialize};

/// A station on a call's way, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Station {
    /// At the gateway: reading the request, credential, limits.
    Auth,
    /// Reading the message, the tenant's route.
    Route,
    /// Through the gate; waiting for an instance to start, if it sleeps.
    Wake,
    /// The tenant's context goes in; the tool's marks are checked.
    Inject,
    /// The server works at it.
    Upstream,
    /// The answer is judged and put into the caller's words.
    Answer,
}

impl Station {
    pub const ALL: [Station; 6] = [Self::Auth, Self::Route, Self::Wake, Self::Inject, Self::Upstream, Self::Answer];
    /// Those that leave a mark when they are behind a call: its arrival is the mark of `Auth`, its end that of `Answer`.
    pub const MARKED: usize = 4;

    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Route => "route",
            Self::Wake => "wake",
            Self::Inject => "inject",
            Self::Upstream => "upstream",
            Self::Answer => "answer",
        }
    }

    /// What happens there, in a few words.
    pub fn doc(self) -> &'static str {
        match self {
            Self::Auth => "read, credential and limits checked",
            Self::Route => "tenant, server and instance found",
            Self::Wake => "through the gate, waiting for a start",
            Self::Inject => "context put in, tool checked",
            Self::Upstream => "the server works at it",
            Self::Answer => "judged, handed back",
        }
    }
}

/// When each station was behind a call. Microseconds; a call of more than an hour counts as an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// At the gateway, before it counts as arrived. `None`: it came another way, or is part of a request that was
    /// counted already.
    pub auth_us: Option<u32>,
    /// After its arrival, for `Route`, `Wake`, `Inject` and `Upstream`; 0: never.
    pub passed_us: [u32; Station::MARKED],
}

impl Timeline {
    /// The stations that it came to, and how long it was at each, microseconds; the last is where it ended, or is now.
    /// `took_us`: since its arrival.
    pub fn spent(&self, took_us: u64) -> Vec<(Station, u64)> {
        let mut spent: Vec<_> = self.auth_us.map(|us| (Station::Auth, u64::from(us))).into_iter().collect();
        let mut at = 0;
        for (station, passed) in Station::ALL[1..].iter().zip(self.passed_us.into_iter().chain([0])) {
            let until = if passed == 0 { took_us } else { u64::from(passed) };
            spent.push((*station, until.saturating_sub(at)));
            if passed == 0 {
                break;
            }
            at = until;
        }
        spent
    }

    /// Nothing was noted of it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Station as S;

    #[test]
    fn time_is_spent_at_the_stations_until_the_last_one_reached() {
        for (auth_us, passed_us, took_us, spent) in [
            (
                Some(90),
                [10, 30, 70, 970],
                1_000,
                &[(S::Auth, 90), (S::Route, 10), (S::Wake, 20), (S::Inject, 40), (S::Upstream, 900), (S::Answer, 30)][..],
            ),
            (None, [10, 30, 70, 0], 1_000, &[(S::Route, 10), (S::Wake, 20), (S::Inject, 40), (S::Upstream, 930)]),
            (None, [10, 0, 0, 0], 500, &[(S::Route, 10), (S::Wake, 490)]),
            (None, [0; 4], 7, &[(S::Route, 7)]),
        ] {
            assert_eq!(Timeline { auth_us, passed_us }.spent(took_us), spent);
        }
    }
}
