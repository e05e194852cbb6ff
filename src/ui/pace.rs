//! When to draw: only when something changed, at once after a key, a few times a second for data.

use crate::model::Stamp;
use std::time::Duration;
use tokio::time::Instant;

/// At most 30 frames a second after keys.
const KEY: Duration = Duration::from_millis(33);
/// At most 4 a second for data.
const DATA: Duration = Duration::from_millis(250);
/// While a screen is so young its first data come in, and whoever opened it waits for them.
const YOUNG: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_millis(8);
/// Answers to what the operator asked come sooner than data nobody asked for.
const ANSWER: Duration = Duration::from_millis(50);

/// Remembers the last frame and why there should be another.
#[derive(Debug)]
pub struct Pace {
    opened: Instant,
    painted: Instant,
    due: Option<Instant>,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { opened: now, painted: now, due: None }
    }

    /// A key fell.
    pub fn key(&mut self) {
        self.want(KEY);
    }

    /// Data changed.
    pub fn data(&mut self) {
        let young = self.painted < self.opened + YOUNG;
        self.want(if young { FIRST } else { DATA });
    }

    /// An answer or a piece of a stream came.
    pub fn data_soon(&mut self) {
        self.want(ANSWER);
    }

    fn want(&mut self, gap: Duration) {
        let at = self.painted + gap;
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When the next frame is due, if one is wanted.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// True if the frame is to be drawn now.
    pub fn take(&mut self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    pub fn painted(&mut self, now: Instant) {
        self.painted = now;
        self.due = None;
    }

    /// Until ages and clock may read differently: calls in flight count seconds, everything else steps by 10 s at least.
    pub fn next_tick(&self, now: Stamp, seconds: bool) -> Duration {
        let step = if seconds { 1_000 } else { 5_000 };
        Duration::from_millis(step - now.0 % step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_draw_at_once_and_data_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.due(), None);
        pace.data();
        assert!(pace.take(start + FIRST), "the first data are what an operator waits for");
        let start = start + YOUNG;
        pace.painted(start);
        pace.data();
        assert!(!pace.take(start + Duration::from_millis(100)));
        assert!(pace.take(start + DATA));
        pace.key();
        assert!(pace.take(start + KEY));
        pace.painted(start + KEY);
        assert_eq!(pace.due(), None);
        // After a pause the next key is drawn without waiting.
        pace.key();
        assert!(pace.take(start + Duration::from_secs(1)));
    }

    #[test]
    fn ticks_fall_on_the_steps_of_the_clock() {
        let pace = Pace::new(Instant::now());
        assert_eq!(pace.next_tick(Stamp(12_300), false), Duration::from_millis(2_700));
        assert_eq!(pace.next_tick(Stamp(12_300), true), Duration::from_millis(700));
    }
}
