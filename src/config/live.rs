//! The configuration that holds now. A reload swaps it whole; who works on something goes on with what it began with.

use super::Config;
use arc_swap::ArcSwap;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::watch;

/// Cheap to share and to ask; never waits.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    now: ArcSwap<Config>,
    turned: watch::Sender<()>,
}

impl Live {
    pub fn new(config: Arc<Config>) -> Self {
        Self(Arc::new(Inner { now: ArcSwap::new(config), turned: watch::Sender::new(()) }))
    }

    /// What holds now. Ask once for each piece of work, so that its parts agree.
    pub fn get(&self) -> Arc<Config> {
        self.0.now.load_full()
    }

    /// The same for a moment: cheaper, because nobody is told that it is held. Not to be kept over an await.
    pub fn peek(&self) -> impl Deref<Target = Arc<Config>> + use<> {
        self.0.now.load()
    }

    /// From now on `next` holds.
    pub fn set(&self, next: Arc<Config>) {
        self.0.now.store(next);
        self.0.turned.send_replace(());
    }

    /// Word of each swap.
    pub fn turned(&self) -> watch::Receiver<()> {
        self.0.turned.subscribe()
    }
}
