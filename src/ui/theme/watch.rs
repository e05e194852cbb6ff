//! Tells when the files of a theme change, so that one sees at once what one writes.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Watches until it is dropped.
pub struct Watch {
    /// `None`: there is nothing to watch, or it cannot be watched; then the next start sees what changed.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Says `()` after each change of `files`; several at once are one.
    pub fn new(files: &[PathBuf], changed: mpsc::Sender<()>) -> Self {
        let own: BTreeSet<PathBuf> = files.iter().cloned().collect();
        let told = move |event: notify::Result<notify::Event>| {
            let ours =
                event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(|path| own.contains(path)));
            if ours {
                // Full means that it is known already.
                let _ = changed.try_send(());
            }
        };
        // Folders, because editors write a new file in place of the old one.
        let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        let watcher = (!folders.is_empty()).then(|| notify::recommended_watcher(told).ok()).flatten();
        let watcher = watcher.and_then(|mut watcher| {
            folders.iter().all(|folder| watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()).then_some(watcher)
        });
        Self { _watcher: watcher }
    }
}
