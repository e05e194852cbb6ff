//! The configuration that holds now. A reload swaps it whole; who works on something goes on with what it began with.

use super::Config;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// Cheap to share and to ask; never waits.
#[derive(Clone)]
pub struct Live(Arc<ArcSwap<Config>>);

impl Live {
    pub fn new(config: Arc<Config>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// What holds now. Ask once for each piece of work, so that its parts agree.
    pub fn get(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// From now on `next` holds.
    pub fn set(&self, next: Arc<Config>) {
        self.0.store(next);
    }
}
