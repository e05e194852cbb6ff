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

/// What a frame is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A key: it waits neither for a frame that data caused nor for newer data.
    Key,
    /// Data; keys that fell meanwhile are in it.
    Data,
}

/// Remembers the last frames and why there should be another.
#[derive(Debug)]
pub struct Pace {
    opened: Instant,
    answered: Instant,
    refreshed: Instant,
    key: Option<Instant>,
    data: Option<Instant>,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { opened: now, answered: now, refreshed: now, key: None, data: None }
    }

    /// A key fell.
    pub fn key(&mut self) {
        let at = self.answered + KEY;
        self.key = Some(self.key.map_or(at, |due| due.min(at)));
    }

    /// Data changed.
    pub fn data(&mut self) {
        let young = self.refreshed < self.opened + YOUNG;
        self.want(if young { FIRST } else { DATA });
    }

    /// An answer came, or the first piece of a stream.
    pub fn data_soon(&mut self) {
        self.want(ANSWER);
    }

    fn want(&mut self, gap: Duration) {
        let at = self.refreshed + gap;
        self.data = Some(self.data.map_or(at, |due| due.min(at)));
    }

    /// When the next frame is due, if one is wanted.
    pub fn due(&self) -> Option<Instant> {
        self.key.into_iter().chain(self.data).min()
    }

    /// What is to be drawn now, if anything.
    pub fn frame(&self, now: Instant) -> Option<Frame> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.data) { Some(Frame::Data) } else { is_due(self.key).then_some(Frame::Key) }
    }

    pub fn painted(&mut self, frame: Frame, now: Instant) {
        if self.key.take().is_some() {
            self.answered = now;
        }
        if frame == Frame::Data {
            self.refreshed = now;
            self.data = None;
        }
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
        assert_eq!(pace.frame(start + FIRST), Some(Frame::Data), "the first data are what an operator waits for");
        let start = start + YOUNG;
        pace.painted(Frame::Data, start);
        pace.data();
        assert_eq!(pace.frame(start + Duration::from_millis(100)), None);
        assert_eq!(pace.frame(start + DATA), Some(Frame::Data));
        pace.painted(Frame::Data, start + DATA);
        assert_eq!(pace.due(), None);
        // A key right after that frame waits for nothing; keys that are held come 30 times a second.
        pace.key();
        assert_eq!(pace.frame(start + DATA), Some(Frame::Key));
        pace.painted(Frame::Key, start + DATA);
        pace.key();
        assert_eq!(pace.due(), Some(start + DATA + KEY));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_held_do_not_put_data_off() {
        let start = Instant::now() + YOUNG;
        let mut pace = Pace::new(start - YOUNG);
        pace.painted(Frame::Data, start);
        pace.data();
        for n in 1..=7 {
            pace.key();
            assert_eq!(pace.frame(start + KEY * n), Some(Frame::Key));
            pace.painted(Frame::Key, start + KEY * n);
        }
        pace.key();
        assert_eq!(pace.frame(start + DATA), Some(Frame::Data));
        pace.painted(Frame::Data, start + DATA);
        assert_eq!(pace.due(), None, "the key is in that frame");
    }

    #[test]
    fn ticks_fall_on_the_steps_of_the_clock() {
        let pace = Pace::new(Instant::now());
        assert_eq!(pace.next_tick(Stamp(12_300), false), Duration::from_millis(2_700));
        assert_eq!(pace.next_tick(Stamp(12_300), true), Duration::from_millis(700));
    }
}
