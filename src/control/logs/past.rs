//! Lines that are in no ring any more, or were an earlier owner's: read back from the files, newest first and bounded.

use super::files::parse;
use super::{Logs, Wanted, cost};
use crate::model::Stamp;
use crate::model::message::{Level, LogLine, LogSource, LogTarget};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Logs whose files are read for one question, and bytes of lines that it may bring back.
const MAX_LOGS: usize = 64;
const MAX_BYTES: usize = 32 << 20;

/// How far back the rings go: the oldest lines of each log that is asked for.
pub type Oldest = BTreeMap<LogTarget, Vec<LogLine>>;

/// What the files hold.
#[derive(Debug, Default, PartialEq)]
pub struct Past {
    /// In order of time.
    pub lines: Vec<LogLine>,
    /// There is more, or some of it cannot be read: why, and where it is.
    pub cut: Option<String>,
}

impl Logs {
    /// Lines of files that are older than what the rings hold, at most `room` of them. Blocks: not for a task.
    pub(super) fn past(&self, oldest: &Oldest, wanted: Wanted, room: usize) -> Past {
        let Some(dir) = self.dir.get() else { return Past::default() };
        let mut past = Past::default();
        let mut bytes = 0;
        for (at, (target, first)) in oldest.iter().enumerate() {
            if at == MAX_LOGS || bytes > MAX_BYTES {
                past.cut = Some(format!("older lines of other logs are not shown: {} has them", dir.display()));
                break;
            }
            let path = super::files::path(dir, target);
            let mut taken = 0;
            let read = backwards(&path, |text| {
                let Some(line) = parse(text, target) else { return true };
                if wanted.since.is_some_and(|since| line.at < since) {
                    return false;
                }
                if !is_older(&line, first) {
                    return true;
                }
                if taken == room || bytes > MAX_BYTES {
                    // Who asked for the newest lines alone got what was asked for.
                    let cut = || format!("older lines are not shown: {} has them", path.display());
                    past.cut = wanted.since.is_some().then(cut);
                    return false;
                }
                taken += 1;
                bytes += cost(&line);
                // Runs are counted anew by each owner: what was before this one is the run before its first.
                let run = if line.at < self.began { 0 } else { line.run };
                past.lines.push(LogLine { run, ..line });
                true
            });
            if let Err(error) = read {
                past.cut = Some(format!("older lines cannot be read: {}: {error}", path.display()));
            }
        }
        // They came newest first; those of one moment stay in the order in which they were written.
        past.lines.reverse();
        past.lines.sort_by_key(|line| line.at);
        let excess = past.lines.len().saturating_sub(room);
        past.lines.drain(..excess);
        past
    }
}

/// True if a line of a file is in no ring. Of the moment at which a ring begins, both may have some.
fn is_older(line: &LogLine, first: &[LogLine]) -> bool {
    match first.first() {
        None => true,
        Some(oldest) if line.at != oldest.at => line.at < oldest.at,
        Some(_) => first.iter().all(|held| held.text != line.text),
    }
}

/// What stands in a log of mcpdeck's own words where older lines are missing.
pub fn remark(why: String, target: &LogTarget, at: Stamp) -> LogLine {
    LogLine { at, target: target.clone(), source: LogSource::Deck, level: Some(Level::Info), text: why, run: 0 }
}

/// Goes through the lines of a log file and its rotated elders, from the newest, until `take` has enough.
fn backwards(path: &Path, mut take: impl FnMut(&str) -> bool) -> io::Result<()> {
    for age in 0.. {
        let name = if age == 0 { path.to_owned() } else { PathBuf::from(format!("{}.{age}", path.display())) };
        let bytes = match std::fs::read(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for line in String::from_utf8_lossy(&bytes).lines().rev() {
            if !take(line) {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    /// Logs over a folder in which an earlier owner left lines of `etim`.
    async fn restarted(dir: &Path) -> (Arc<Logs>, LogTarget) {
        let target = LogTarget::Instance("etim".parse().unwrap());
        let line = |at: u64, run, text: String| LogLine {
            at: Stamp(at),
            target: target.clone(),
            source: LogSource::Stderr,
            level: (run == 3).then_some(Level::Error),
            text,
            run,
        };
        let earlier = Logs::new();
        (0..10u64).for_each(|n| earlier.add(line(1_000 * n, 2 + u32::from(n > 5), format!("old {n}"))));
        let stopped = CancellationToken::new();
        stopped.cancel();
        earlier.write_files(dir.to_owned(), stopped.clone()).await;
        let logs = Logs::new();
        logs.push(&target, LogSource::Stderr, None, "new".to_owned());
        logs.write_files(dir.to_owned(), stopped).await;
        (logs, target)
    }

    async fn told(logs: &Arc<Logs>, target: &LogTarget, tail: usize, since: Option<Stamp>) -> Vec<(String, u32)> {
        let (to, mut from) = tokio::sync::mpsc::channel(64);
        let wanted = Wanted { tail, since, follow: false };
        logs.clone().follow_rings(vec![target.clone()], wanted, to).await;
        let mut all = Vec::new();
        while let Some(crate::model::Chunk::Logs(lines)) = from.recv().await {
            all.extend(lines.into_iter().map(|line| (line.text, line.run)));
        }
        all
    }

    #[tokio::test]
    async fn lines_of_an_earlier_owner_stand_before_those_of_this_one_as_a_run_before() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, target) = restarted(dir.path()).await;
        let all = told(&logs, &target, 100, None).await;
        assert_eq!((all.len(), &all[0], &all[10]), (11, &("old 0".to_owned(), 0), &("new".to_owned(), 0)));
        assert_eq!(told(&logs, &target, 100, Some(Stamp(8_000))).await.len(), 3, "old 8, old 9 and the new one");
        let later = Stamp::now().after(Duration::from_secs(60));
        assert!(told(&logs, &target, 100, Some(later)).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_left_out_is_said_with_the_place_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, target) = restarted(dir.path()).await;
        assert_eq!(told(&logs, &target, 4, None).await.len(), 4, "no more was asked for");
        let few = told(&logs, &target, 4, Some(Stamp(1))).await;
        let texts: Vec<&str> = few.iter().map(|(text, _)| text.as_str()).collect();
        assert!(texts[0].contains("older lines are not shown") && texts[0].contains("etim.log"), "{}", texts[0]);
        assert_eq!(texts[1..], ["old 7", "old 8", "old 9", "new"]);
    }

    #[tokio::test]
    async fn lines_of_one_moment_stay_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let target = LogTarget::Instance("etim".parse().unwrap());
        let earlier = Logs::new();
        for text in ["stopping", "dormant"] {
            let (source, level) = (LogSource::Deck, Some(Level::Info));
            earlier.add(LogLine { at: Stamp(7), target: target.clone(), source, level, text: text.to_owned(), run: 1 });
        }
        let stopped = CancellationToken::new();
        stopped.cancel();
        earlier.write_files(dir.path().to_owned(), stopped.clone()).await;
        let logs = Logs::new();
        logs.write_files(dir.path().to_owned(), stopped).await;
        let texts: Vec<_> = told(&logs, &target, 9, None).await.into_iter().map(|(text, _)| text).collect();
        assert_eq!(texts, ["stopping", "dormant"]);
    }

    #[test]
    fn of_the_moment_at_which_a_ring_begins_nothing_is_told_twice() {
        let line = |at, text: &str| LogLine {
            at: Stamp(at),
            target: LogTarget::Deck,
            source: LogSource::Deck,
            level: None,
            text: text.to_owned(),
            run: 1,
        };
        let held = [line(5, "a"), line(5, "b")];
        for (at, text, older) in [(4, "a", true), (5, "a", false), (5, "c", true), (6, "c", false)] {
            assert_eq!(is_older(&line(at, text), &held), older, "{at} {text}");
        }
    }
}
