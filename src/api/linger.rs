//! A thread that serves connections stays awake for a moment where the next thing is about to come: sleep costs a lone
//! caller as much as the call itself does, for a core that slept is woken slowly and has forgotten what it was at. As a
//! hypervisor polls before it halts: where that paid before, and ever more rarely where it did not.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Longer waits are slept through.
const MOST: Duration = Duration::from_micros(50);
/// After so many waits at most that were too long, another is tried.
const RARELY: u8 = 127;

/// Threads that stay awake now: at most every second core, for whoever answers needs one.
static AWAKE: AtomicUsize = AtomicUsize::new(0);

thread_local!(static HERE: Linger = Linger::new(available_parallelism().map_or(1, usize::from) / 2));

/// What a thread knows of its waits.
struct Linger {
    /// So many threads may stay awake.
    room: usize,
    /// Requests that it is answering.
    busy: Cell<u32>,
    /// Counts their begins and ends.
    turns: Cell<u64>,
    /// The turns when it last had nothing to do.
    seen: Cell<u64>,
    stay: Cell<Option<Stay>>,
    luck: [Luck; Wait::ALL],
    /// Of a task that does nothing: woken, it keeps the thread from sleeping.
    waker: RefCell<Option<Waker>>,
}

/// What a thread waits for.
#[derive(Clone, Copy)]
enum Wait {
    Request,
    Answer,
}

impl Wait {
    const ALL: usize = 2;
}

/// It stays awake.
#[derive(Clone, Copy)]
struct Stay {
    wait: Wait,
    until: Instant,
}

/// How waits of one kind went.
#[derive(Default)]
struct Luck {
    /// So many are slept through after the next that is too long.
    skip: Cell<u8>,
    /// So many still are.
    left: Cell<u8>,
}

impl Luck {
    fn is_tried(&self) -> bool {
        self.left.replace(self.left.get().saturating_sub(1)) == 0
    }

    fn paid(&self) {
        self.skip.set(0);
    }

    fn missed(&self) {
        let skip = (self.skip.get() * 2 + 1).min(RARELY);
        self.skip.set(skip);
        self.left.set(skip);
    }
}

impl Linger {
    fn new(room: usize) -> Self {
        Self {
            room,
            busy: Cell::new(0),
            turns: Cell::new(0),
            seen: Cell::new(0),
            stay: Cell::new(None),
            luck: Default::default(),
            waker: RefCell::new(None),
        }
    }

    fn turn(&self, busy: u32) {
        self.busy.set(busy);
        self.turns.set(self.turns.get() + 1);
    }

    /// True if the thread, which has nothing to do at `now`, had better not sleep.
    fn stays(&self, now: Instant) -> bool {
        let turns = self.turns.get();
        if self.seen.replace(turns) != turns {
            if let Some(stay) = self.over() {
                self.luck[stay.wait as usize].paid();
            }
            self.begin(now);
        }
        let stays = self.stay.get().is_some_and(|stay| now < stay.until);
        if !stays && let Some(stay) = self.over() {
            self.luck[stay.wait as usize].missed();
        }
        stays
    }

    fn begin(&self, now: Instant) {
        let wait = match self.busy.get() {
            0 => Wait::Request,
            1 => Wait::Answer,
            // It rarely has nothing to do, and the cores are wanted.
            _ => return,
        };
        let enter = |awake| (awake < self.room).then_some(awake + 1);
        if self.luck[wait as usize].is_tried() && AWAKE.fetch_update(Relaxed, Relaxed, enter).is_ok() {
            self.stay.set(Some(Stay { wait, until: now + MOST }));
        }
    }

    fn over(&self) -> Option<Stay> {
        self.stay.take().inspect(|_| _ = AWAKE.fetch_sub(1, Relaxed))
    }
}

impl Drop for Linger {
    fn drop(&mut self) {
        self.over();
    }
}

/// A request that this thread is answering.
pub struct Busy(());

impl Busy {
    pub fn begin() -> Self {
        HERE.with(|here| here.turn(here.busy.get() + 1));
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // Dropped as the thread ends, there is nothing to note any more.
        let _ = HERE.try_with(|here| here.turn(here.busy.get().saturating_sub(1)));
    }
}

/// Runs for as long as a thread that lingers.
pub async fn keep() {
    let wait = |cx: &mut Context<'_>| {
        HERE.with(|here| _ = here.waker.borrow_mut().get_or_insert_with(|| cx.waker().clone()));
        Poll::Pending
    };
    poll_fn(wait).await
}

/// This thread has nothing to do, and would sleep: with a task woken, its runtime looks for news and comes back here.
pub fn before_sleep() {
    HERE.with(|here| {
        if here.stays(Instant::now())
            && let Some(waker) = &*here.waker.borrow()
        {
            waker.wake_by_ref();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(40);
    const LONG: Duration = Duration::from_micros(60);

    /// A wait that begins now and ends after `long`: true if the thread stayed awake at first.
    fn waits(linger: &Linger, busy: u32, long: Duration) -> bool {
        linger.turn(busy);
        let now = Instant::now();
        let stayed = linger.stays(now);
        assert_eq!(linger.stays(now + long), stayed && long < MOST);
        stayed
    }

    #[test]
    fn waits_that_were_short_are_waited_through_and_others_ever_more_rarely() {
        let linger = Linger::new(usize::MAX);
        assert!((0..9).all(|_| waits(&linger, 1, SHORT)));
        let tried: Vec<_> = (0..600).filter(|_| waits(&linger, 1, LONG)).collect();
        assert_eq!(tried, [0, 2, 6, 14, 30, 62, 126, 254, 382, 510]);
        assert!(waits(&linger, 0, SHORT), "waits of the other kind are judged by themselves");
        while !waits(&linger, 1, SHORT) {}
        assert!(waits(&linger, 1, LONG), "one that pays makes good for all");
        assert!(!waits(&linger, 2, SHORT) && !waits(&linger, 16, SHORT), "with more under way it sleeps");
    }

    #[test]
    fn not_all_threads_stay_awake() {
        let none = Linger::new(0);
        assert!(!waits(&none, 1, SHORT));
    }
}
