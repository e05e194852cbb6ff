//! Which thread this is. What a call leaves behind lies where its thread alone puts things, so that threads that carry
//! calls do not fight for the same memory; whoever looks for something looks everywhere.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The number of this thread: they count from 0 as they come here first.
pub fn home() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static HOME: usize = NEXT.fetch_add(1, Relaxed));
    HOME.with(|home| *home)
}
