//! Logs of instances and of mcpdeck itself: one bounded ring each, followed by cursor, and files on disk beside them.
//! Nothing here waits for a reader or a disk; what was dropped is counted and said. Must never call `tracing` itself:
//! mcpdeck's own log ends here.

mod containers;
mod files;
mod keep;
mod layer;
mod past;
mod text;

pub use containers::follow;
pub use keep::keep;
pub use layer::LogLayer;
pub use text::{clean_line, level_of, pump};

use crate::model::message::{Chunk, Level, LogLine, LogSource, LogTarget};
use crate::model::secret::Hidden;
use crate::model::{InstanceKey, Stamp};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Bytes that one ring holds, while all of them together stay below [`ALL_BYTES`].
const RING_BYTES: usize = 512 << 10;
/// Bytes of all rings; with many instances each gets its share.
const ALL_BYTES: usize = 32 << 20;
/// What a line costs beside its text.
const LINE_OVERHEAD: usize = 96;
/// Lines in one chunk.
const BATCH: usize = 512;
/// A follower is told at most this often.
const PACE: Duration = Duration::from_millis(50);

/// All logs of a platform.
pub struct Logs {
    rings: Mutex<Rings>,
    changed: watch::Sender<u64>,
    files: files::Queue,
    /// Where the files are, once there are any.
    dir: OnceLock<PathBuf>,
    /// When this owner began.
    began: Stamp,
}

#[derive(Default)]
struct Rings {
    by_target: BTreeMap<LogTarget, Ring>,
    /// Number of the newest line, over all rings.
    newest: u64,
}

#[derive(Default)]
struct Ring {
    /// With their number over all rings.
    lines: VecDeque<(u64, LogLine)>,
    bytes: usize,
    /// Lines that were pushed out.
    gone: u64,
    run: u32,
    /// When this run began.
    began: Stamp,
    /// Secrets of this run.
    hidden: Hidden,
}

/// Which part of a log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Newest lines to begin with.
    pub tail: usize,
    pub since: Option<Stamp>,
    pub follow: bool,
}

impl Logs {
    /// Empty logs; lines for files wait until [`Logs::write_files`].
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            rings: Mutex::default(),
            changed: watch::Sender::new(0),
            files: files::Queue::new(),
            dir: OnceLock::new(),
            began: Stamp::now(),
        })
    }

    /// A layer for `tracing_subscriber` that puts mcpdeck's own log here.
    pub fn layer(self: &Arc<Self>) -> LogLayer {
        LogLayer::new(self.clone())
    }

    /// Writes files below `dir` until `stopped`; the task ends after the last line is on disk. Without it there are
    /// only rings.
    pub fn write_files(
        self: &Arc<Self>,
        dir: PathBuf,
        stopped: tokio_util::sync::CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let _ = self.dir.set(dir.clone());
        files::write(self.clone(), dir, stopped)
    }

    /// Adds a line that is clean already (see `logs::text`); the instance's secrets in it are masked.
    pub fn push(&self, target: &LogTarget, source: LogSource, level: Option<Level>, text: String) {
        self.add(LogLine { at: Stamp::now(), target: target.clone(), source, level, text, run: 0 });
    }

    /// Adds a line that says itself when it was written; one from before this run belongs to the run before.
    pub fn add(&self, line: LogLine) {
        let text = self.masked(&line.target, line.text);
        let line = {
            let mut rings = self.lock();
            rings.newest += 1;
            let number = rings.newest;
            let share = RING_BYTES.min(ALL_BYTES / rings.by_target.len().max(1));
            let ring = rings.by_target.entry(line.target.clone()).or_default();
            let run = ring.run.saturating_sub(u32::from(line.at < ring.began));
            let line = LogLine { text, run, ..line };
            ring.push(number, line.clone(), share);
            line
        };
        self.files.offer(line);
        self.changed.send_modify(|n| *n += 1);
    }

    /// mcpdeck's own word about an instance.
    pub fn say(&self, key: &InstanceKey, level: Level, text: impl Into<String>) {
        self.push(&LogTarget::Instance(key.clone()), LogSource::Deck, Some(level), text.into());
    }

    /// A start of an instance with these secrets: lines belong to the next run from here.
    pub fn begin_run(&self, key: &InstanceKey, hidden: Hidden) {
        let mut rings = self.lock();
        let ring = rings.by_target.entry(LogTarget::Instance(key.clone())).or_default();
        ring.run += 1;
        ring.began = Stamp::now();
        ring.hidden = hidden;
    }

    /// `text` without the secrets of the target's newest run.
    pub fn masked(&self, target: &LogTarget, text: String) -> String {
        let hidden = self.lock().by_target.get(target).map(|ring| ring.hidden.clone());
        match hidden.unwrap_or_default().mask(&text) {
            (_, 0) => text,
            (masked, _) => masked.into_owned(),
        }
    }

    /// The newest line that the instance itself wrote on stderr.
    pub fn last_stderr(&self, key: &InstanceKey) -> Option<LogLine> {
        let rings = self.lock();
        let lines = &rings.by_target.get(&LogTarget::Instance(key.clone()))?.lines;
        lines.iter().rev().map(|(_, line)| line).find(|line| line.source == LogSource::Stderr).cloned()
    }

    /// When the instance itself last wrote something that is kept.
    fn last_written(&self, target: &LogTarget) -> Option<Stamp> {
        let rings = self.lock();
        let lines = &rings.by_target.get(target)?.lines;
        let own = |line: &&LogLine| matches!(line.source, LogSource::Stdout | LogSource::Stderr);
        lines.iter().rev().map(|(_, line)| line).find(own).map(|line| line.at)
    }

    /// Sends the newest lines of everything that `targets` cover, and what comes after if it is wanted, until `to` is
    /// dropped.
    async fn follow_rings(self: Arc<Self>, targets: Vec<LogTarget>, wanted: Wanted, to: mpsc::Sender<Chunk>) {
        let mut changed = self.changed.subscribe();
        let (mut cursor, lines, oldest) = {
            let rings = self.lock();
            let (cursor, lines) = rings.tail(&targets, wanted.tail);
            (cursor, lines, rings.oldest(&targets))
        };
        let lines = self.clone().with_past(lines, oldest, wanted).await;
        for part in lines.chunks(BATCH) {
            if to.send(Chunk::Logs(part.to_vec())).await.is_err() {
                return;
            }
        }
        if !wanted.follow {
            return;
        }
        loop {
            tokio::select! {
                more = changed.changed() => if more.is_err() { return },
                () = to.closed() => return,
            }
            let (lines, lost) = self.lock().after(&targets, &mut cursor);
            for chunk in chunks(lines, lost) {
                if to.send(chunk).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// The lines that are wanted, of files as well where the rings do not go back far enough.
    async fn with_past(self: Arc<Self>, lines: Vec<LogLine>, oldest: past::Oldest, wanted: Wanted) -> Vec<LogLine> {
        let wants = |line: &LogLine| wanted.since.is_none_or(|since| line.at >= since);
        let room = wanted.tail.saturating_sub(lines.len());
        let reaches = lines.first().is_some_and(|first| wanted.since.is_some_and(|since| first.at < since));
        if room == 0 || reaches {
            return lines.into_iter().filter(wants).collect();
        }
        let read = tokio::task::spawn_blocking(move || {
            let target = oldest.keys().next().cloned();
            (self.past(&oldest, wanted, room), target)
        });
        let Ok((past, target)) = read.await else { return lines };
        let first = past.lines.first().or(lines.first()).map_or(Stamp::now(), |line| line.at);
        let cut = past.cut.zip(target).map(|(why, target)| past::remark(why, &target, first));
        cut.into_iter().chain(past.lines).chain(lines.into_iter().filter(wants)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn chunks(lines: Vec<LogLine>, lost: u64) -> Vec<Chunk> {
    let lost = (lost > 0).then_some(Chunk::Lost(lost));
    lost.into_iter().chain(lines.chunks(BATCH).map(|part| Chunk::Logs(part.to_vec()))).collect()
}

/// Where a follower stands in each ring: lines it has seen or missed.
type Cursor = BTreeMap<LogTarget, u64>;

impl Rings {
    fn covered(&self, targets: &[LogTarget]) -> impl Iterator<Item = (&LogTarget, &Ring)> {
        let covers = |target: &LogTarget| {
            targets.iter().any(|wanted| match (wanted, target) {
                (LogTarget::Instance(wanted), LogTarget::Instance(key)) => wanted.covers(key),
                (wanted, target) => wanted == target,
            })
        };
        self.by_target.iter().filter(move |(target, _)| covers(target))
    }

    fn tail(&self, targets: &[LogTarget], tail: usize) -> (Cursor, Vec<LogLine>) {
        let cursor = self.covered(targets).map(|(t, ring)| (t.clone(), ring.end())).collect();
        let newest = self.covered(targets).flat_map(|(_, ring)| ring.lines.iter().rev().take(tail));
        let mut lines: Vec<&(u64, LogLine)> = newest.collect();
        lines.sort_by_key(|(number, line)| (line.at, *number));
        let from = lines.len().saturating_sub(tail);
        (cursor, lines[from..].iter().map(|(_, line)| line.clone()).collect())
    }

    /// The first lines of each log that is asked for: all those of its first moment.
    fn oldest(&self, targets: &[LogTarget]) -> past::Oldest {
        let first = |ring: &Ring| {
            let at = ring.lines.front().map(|(_, line)| line.at);
            let same = ring.lines.iter().map(|(_, line)| line).take_while(|line| Some(line.at) == at);
            same.cloned().collect::<Vec<_>>()
        };
        let unknown = targets.iter().map(|target| (target.clone(), Vec::new()));
        let known = self.covered(targets).map(|(target, ring)| (target.clone(), first(ring)));
        unknown.chain(known).collect()
    }

    fn after(&self, targets: &[LogTarget], cursor: &mut Cursor) -> (Vec<LogLine>, u64) {
        let mut lines: Vec<&(u64, LogLine)> = Vec::new();
        let mut lost = 0;
        for (target, ring) in self.covered(targets) {
            let seen = cursor.insert(target.clone(), ring.end()).unwrap_or(0);
            lost += ring.gone.saturating_sub(seen);
            let skip = usize::try_from(seen.saturating_sub(ring.gone)).unwrap_or(usize::MAX);
            lines.extend(ring.lines.iter().skip(skip));
        }
        lines.sort_by_key(|(number, _)| *number);
        (lines.into_iter().map(|(_, line)| line.clone()).collect(), lost)
    }
}

impl Ring {
    fn push(&mut self, number: u64, line: LogLine, limit: usize) {
        self.bytes += cost(&line);
        self.lines.push_back((number, line));
        while self.bytes > limit && self.lines.len() > 1 {
            if let Some((_, line)) = self.lines.pop_front() {
                self.bytes -= cost(&line);
                self.gone += 1;
            }
        }
    }

    /// Lines ever pushed.
    fn end(&self) -> u64 {
        self.gone + self.lines.len() as u64
    }
}

fn cost(line: &LogLine) -> usize {
    line.text.len() + LINE_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    fn key(text: &str) -> InstanceKey {
        text.parse().unwrap()
    }

    fn texts(chunk: Option<Chunk>) -> Vec<String> {
        match chunk {
            Some(Chunk::Logs(lines)) => lines.into_iter().map(|l| l.text).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_follower_merges_instances_in_order_and_goes_on() {
        let logs = Logs::new();
        logs.say(&key("etim"), Level::Info, "other");
        for n in 0..4 {
            logs.say(&key(["graf@a", "graf@b"][n % 2]), Level::Info, n.to_string());
        }
        let (to, mut from) = mpsc::channel(4);
        let wanted = Wanted { tail: 3, since: None, follow: true };
        tokio::spawn(logs.clone().follow_rings(vec![LogTarget::Instance(key("graf"))], wanted, to));
        assert_eq!(texts(from.recv().await), ["1", "2", "3"]);
        logs.say(&key("etim"), Level::Info, "other");
        logs.say(&key("graf@c"), Level::Info, "new");
        assert_eq!(texts(from.recv().await), ["new"], "one that is new since is covered as well");
    }

    #[test]
    fn rings_are_bounded_and_the_loss_is_counted() {
        let logs = Logs::new();
        let target = LogTarget::Instance(key("etim"));
        let (mut cursor, _) = logs.lock().tail(std::slice::from_ref(&target), 0);
        let line = "x".repeat(1000);
        for _ in 0..2000 {
            logs.push(&target, LogSource::Stderr, None, line.clone());
        }
        assert!(logs.lock().by_target[&target].bytes <= RING_BYTES);
        let (lines, lost) = logs.lock().after(&[target], &mut cursor);
        assert!(lost > 1000 && lines.len() as u64 + lost == 2000);
    }

    #[test]
    fn secrets_of_the_run_are_masked() {
        let logs = Logs::new();
        logs.begin_run(&key("etim"), Hidden::new(&[Secret::new("hunter-22".to_owned())]));
        logs.push(&LogTarget::Instance(key("etim")), LogSource::Stderr, None, "bad key hunter-22!".into());
        assert_eq!(logs.last_stderr(&key("etim")).unwrap().text, "bad key •••!");
    }

    #[test]
    fn lines_from_before_this_run_belong_to_the_run_before_and_stand_before_it() {
        let logs = Logs::new();
        let target = LogTarget::Instance(key("etim"));
        let line = |at, text: &str| LogLine {
            at,
            target: target.clone(),
            source: LogSource::Stdout,
            level: None,
            text: text.into(),
            run: 0,
        };
        logs.begin_run(&key("etim"), Hidden::default());
        logs.begin_run(&key("etim"), Hidden::default());
        logs.add(line(Stamp::now().after(Duration::from_secs(1)), "now"));
        logs.add(line(Stamp(5), "before"));
        let (_, lines) = logs.lock().tail(std::slice::from_ref(&target), 10);
        let lines: Vec<_> = lines.iter().map(|l| (l.text.as_str(), l.run)).collect();
        assert_eq!(lines, [("before", 1), ("now", 2)]);
        assert_eq!(logs.last_written(&target), Some(Stamp(5)));
    }

    #[test]
    fn runs_are_counted() {
        let logs = Logs::new();
        for _ in 0..2 {
            logs.begin_run(&key("etim"), Hidden::default());
            logs.push(&LogTarget::Instance(key("etim")), LogSource::Stderr, None, "hello".into());
        }
        assert_eq!(logs.last_stderr(&key("etim")).unwrap().run, 2);
        assert_eq!(logs.last_stderr(&key("graf")), None);
    }
}
