//! Word of changes in folders.

use crate::config::Watched;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokio::sync::mpsc;

pub struct Watch {
    /// `Err`: what the system said.
    watcher: Result<RecommendedWatcher, String>,
    changes: mpsc::Receiver<()>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    pub fn new() -> Self {
        // One word is enough: whoever hears it looks for himself.
        let (tell, changes) = mpsc::channel(1);
        let told = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // Full: word is on its way already.
                let _ = tell.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(told).map_err(|error| error.to_string());
        Self { watcher, changes, folders: BTreeSet::new() }
    }

    /// Looks at the folders of these files from now on. A folder that is not there is looked at when it is again.
    pub fn follow(&mut self, watched: &Watched) -> Result<(), String> {
        let watcher = self.watcher.as_mut().map_err(|why| why.clone())?;
        let wanted = watched.folders();
        let mut failed = Ok(());
        for gone in self.folders.difference(&wanted) {
            // It may be gone from the disk, too.
            let _ = watcher.unwatch(gone);
        }
        let mut now: BTreeSet<PathBuf> = self.folders.intersection(&wanted).cloned().collect();
        for folder in wanted.difference(&self.folders) {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(now.insert(folder.clone())),
                Err(error) if folder.exists() => failed = Err(error.to_string()),
                Err(_) => {}
            }
        }
        self.folders = now;
        failed
    }

    /// Something changed in one of the folders.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
