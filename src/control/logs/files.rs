//! Log files: one a target below the log folder, rotated by size, written by one task in batches.

use super::Logs;
use crate::model::Stamp;
use crate::model::message::{Level, LogLine, LogSource, LogTarget};
use crate::store::rotate::RotatedFile;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Lines waiting for the disk.
const QUEUE: usize = 8192;
const BATCH: usize = 1024;
/// Lines are collected this long, so that a chatty server costs one write a batch.
const PACE: Duration = Duration::from_millis(200);
/// Files kept open.
const OPEN: usize = 64;
const ROTATE_BYTES: u64 = 4 << 20;
const KEEP: u32 = 3;

/// Lines on their way to files; full means lost (and counted), never a wait.
pub(super) struct Queue {
    to: mpsc::Sender<LogLine>,
    from: Mutex<Option<mpsc::Receiver<LogLine>>>,
    lost: AtomicU64,
}

impl Queue {
    pub(super) fn new() -> Self {
        let (to, from) = mpsc::channel(QUEUE);
        Self { to, from: Mutex::new(Some(from)), lost: AtomicU64::new(0) }
    }

    pub(super) fn offer(&self, line: LogLine) {
        if self.to.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes until `stopped`, and then what is still queued.
pub(super) async fn write(logs: Arc<Logs>, dir: PathBuf, stopped: CancellationToken) {
    let Some(mut queue) = logs.files.from.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let mut files = Files { dir, open: HashMap::new(), broken: HashSet::new() };
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            n = queue.recv_many(&mut batch, BATCH) => if n == 0 { return },
            () = stopped.cancelled() => return,
        }
        let lost = logs.files.lost.swap(0, Ordering::Relaxed);
        let written = tokio::task::spawn_blocking(move || {
            let problems = files.write(batch, lost);
            (files, problems)
        });
        let Ok((back, problems)) = written.await else { return };
        files = back;
        for problem in problems {
            logs.push(&LogTarget::Deck, LogSource::Deck, Some(Level::Error), problem);
        }
        if !stopped.is_cancelled() {
            tokio::time::sleep(PACE).await;
        }
    }
}

struct Files {
    dir: PathBuf,
    open: HashMap<LogTarget, RotatedFile>,
    /// Targets whose trouble was said; it is said once until they work again.
    broken: HashSet<LogTarget>,
}

impl Files {
    fn write(&mut self, batch: Vec<LogLine>, lost: u64) -> Vec<String> {
        let mut problems = Vec::new();
        if lost > 0 {
            problems.push(format!("{lost} log lines were not written to files: the disk was too slow"));
        }
        let mut touched = HashSet::new();
        for line in batch {
            let target = line.target.clone();
            let outcome = self.file(&target).and_then(|file| file.write_line(render(&line).as_bytes()));
            self.note(&target, outcome, &mut problems);
            touched.insert(target);
        }
        for target in touched {
            let outcome = self.open.get_mut(&target).map_or(Ok(()), RotatedFile::flush);
            self.note(&target, outcome, &mut problems);
        }
        problems
    }

    fn file(&mut self, target: &LogTarget) -> std::io::Result<&mut RotatedFile> {
        if self.open.len() >= OPEN && !self.open.contains_key(target) {
            // A dropped file is flushed by the batch before; which ones are reopened does not matter.
            self.open.clear();
        }
        match self.open.entry(target.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                Ok(entry.insert(RotatedFile::open(path(&self.dir, target), ROTATE_BYTES, KEEP)?))
            }
        }
    }

    fn note(&mut self, target: &LogTarget, outcome: std::io::Result<()>, problems: &mut Vec<String>) {
        match outcome {
            Ok(()) => drop(self.broken.remove(target)),
            Err(error) if self.broken.insert(target.clone()) => problems.push(format!("log file: {error}")),
            Err(_) => {}
        }
    }
}

/// The file of a log.
pub(super) fn path(dir: &Path, target: &LogTarget) -> PathBuf {
    match target {
        LogTarget::Deck => dir.join("mcpdeck.log"),
        LogTarget::Instance(key) => dir.join("instances").join(format!("{key}.log")),
        LogTarget::Container(_, name) => dir.join("containers").join(format!("{name}.log")),
    }
}

fn render(line: &LogLine) -> String {
    let at = i64::try_from(line.at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.map_or_else(String::new, |at| format!("{at:.3}"));
    let level = match line.level {
        Some(Level::Error) => "error",
        Some(Level::Warn) => "warn",
        Some(Level::Info) => "info",
        Some(Level::Debug) => "debug",
        None => "-",
    };
    let source = match line.source {
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Garbage => "garbage",
        LogSource::Deck => "deck",
    };
    format!("{at} {source} {level} run={} {}", line.run, line.text)
}

/// A line as [`render`] wrote it; `None` for one that somebody else wrote, or that was torn.
pub(super) fn parse(text: &str, target: &LogTarget) -> Option<LogLine> {
    let mut parts = text.splitn(5, ' ');
    let (at, source, level, run, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let at: jiff::Timestamp = at.parse().ok()?;
    Some(LogLine {
        at: Stamp(at.as_millisecond().try_into().ok()?),
        target: target.clone(),
        source: match source {
            "stdout" => LogSource::Stdout,
            "stderr" => LogSource::Stderr,
            "garbage" => LogSource::Garbage,
            "deck" => LogSource::Deck,
            _ => return None,
        },
        level: match level {
            "error" => Some(Level::Error),
            "warn" => Some(Level::Warn),
            "info" => Some(Level::Info),
            "debug" => Some(Level::Debug),
            _ => None,
        },
        run: run.strip_prefix("run=")?.parse().ok()?,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InstanceKey;

    #[tokio::test]
    async fn every_target_has_its_file_and_the_rest_is_written_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::new();
        let key: InstanceKey = "etim@eaton".parse().unwrap();
        logs.push(&LogTarget::Instance(key.clone()), LogSource::Stderr, None, "hello".into());
        logs.push(&LogTarget::Deck, LogSource::Deck, Some(Level::Info), "own".into());
        let stopped = CancellationToken::new();
        stopped.cancel();
        write(logs, dir.path().to_owned(), stopped).await;
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(read("instances/etim@eaton.log").ends_with("stderr - run=0 hello\n"));
        assert!(read("mcpdeck.log").contains(" deck info run=0 own"));
    }
}
