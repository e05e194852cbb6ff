//! Jobs: what becomes of acts. Several instances are worked on a few at a time; each job ends once, with one outcome.
//! Pure bookkeeping: the actor carries out what [`Jobs::take`] hands out.

use super::journal;
use super::lifecycle::{Life, Phase};
use crate::model::message::{JobOutcome, JobRow, JournalEntry};
use crate::model::{Act, Command, InstanceKey, JobId, Stamp};
use crate::store::BEGAN;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Instances of one job that are worked on at once.
const AT_ONCE: usize = 4;
/// Finished jobs that are shown.
const KEPT: usize = 100;
/// Jobs under way; more acts are refused.
const RUNNING: usize = 256;

#[derive(Default)]
pub struct Jobs {
    last: u64,
    running: BTreeMap<JobId, Job>,
    finished: VecDeque<Arc<JobRow>>,
}

struct Job {
    row: Arc<JobRow>,
    act: Act,
    queue: VecDeque<InstanceKey>,
    active: BTreeSet<InstanceKey>,
    failures: Vec<String>,
    /// Instances that it did not come to.
    left: usize,
}

/// A job that is over.
pub struct Finished {
    pub row: Arc<JobRow>,
    pub journal: JournalEntry,
}

impl Jobs {
    /// A new job; `None` if too many are under way.
    pub fn open(&mut self, act: Act, targets: Vec<InstanceKey>) -> Option<JobId> {
        if self.running.len() >= RUNNING {
            return None;
        }
        self.last += 1;
        let id = JobId(self.last);
        let title = format!("{} {}", act.command.verb(), act.command.object()).trim_end().to_owned();
        let row = JobRow {
            id,
            operator: act.operator.clone(),
            title,
            started: Stamp::now(),
            finished: None,
            done: 0,
            total: targets.len().max(1).try_into().unwrap_or(u32::MAX),
            outcome: None,
            message: "accepted".to_owned(),
        };
        let job = Job {
            row: Arc::new(row),
            act,
            queue: targets.into(),
            active: BTreeSet::new(),
            failures: Vec::new(),
            left: 0,
        };
        self.running.insert(id, job);
        Some(id)
    }

    /// The line of the journal that a running job has so far.
    pub fn journal(&self, id: JobId) -> Option<JournalEntry> {
        self.running.get(&id).map(Job::journal)
    }

    pub fn act(&self, id: JobId) -> Option<&Act> {
        self.running.get(&id).map(|job| &job.act)
    }

    /// Instances that the job shall work on next.
    pub fn take(&mut self, id: JobId) -> Vec<InstanceKey> {
        let Some(job) = self.running.get_mut(&id) else { return Vec::new() };
        let room = job.at_once().saturating_sub(job.active.len()).min(job.queue.len());
        let next: Vec<_> = job.queue.drain(..room).collect();
        job.active.extend(next.iter().cloned());
        if !next.is_empty() {
            let names: Vec<_> = job.active.iter().map(ToString::to_string).collect();
            job.say(names.join(", "));
        }
        next
    }

    /// Instances that an operator's acts interrupt, or are about to.
    pub fn under_way(&self, operator: &str) -> BTreeSet<InstanceKey> {
        let own = self.running.values().filter(|job| job.act.operator.name == operator && job.act.command.interrupts());
        own.flat_map(|job| {
            // A roll goes on for as long as it takes, and never with more than it works on.
            let waiting = job.queue.iter().filter(|_| !matches!(job.act.command, Command::Roll(_)));
            waiting.chain(&job.active)
        })
        .cloned()
        .collect()
    }

    /// Jobs that work on `key` now, with their commands.
    pub fn working_on(&self, key: &InstanceKey) -> Vec<(JobId, Command)> {
        let on = |(_, job): &(&JobId, &Job)| job.active.contains(key);
        self.running.iter().filter(on).map(|(id, job)| (*id, job.act.command.clone())).collect()
    }

    /// How far a job is that has nothing to do with instances.
    pub fn say(&mut self, id: JobId, message: String) {
        if let Some(job) = self.running.get_mut(&id) {
            job.say(message);
        }
    }

    /// How far one instance of a job is.
    pub fn tell(&mut self, id: JobId, key: &InstanceKey, what: &str) {
        if let Some(job) = self.running.get_mut(&id).filter(|job| job.active.contains(key)) {
            job.say(format!("{key}: {what}"));
        }
    }

    /// One instance of a job is done.
    pub fn done(&mut self, id: JobId, key: &InstanceKey, result: Result<(), String>) -> Option<Finished> {
        let job = self.running.get_mut(&id)?;
        if !job.active.remove(key) {
            return None;
        }
        Arc::make_mut(&mut job.row).done += 1;
        if let Err(why) = result {
            job.failures.push(format!("{key}: {why}"));
            if matches!(job.act.command, Command::Roll(_)) {
                // A new value that is no good must not take down what still works with the old one.
                job.left = std::mem::take(&mut job.queue).len();
            }
        }
        if !job.active.is_empty() || !job.queue.is_empty() {
            return None;
        }
        let failures = job.told_failures();
        let (outcome, message) = match (job.failures.is_empty(), job.row.total) {
            (true, _) => (JobOutcome::Ok, "done".to_owned()),
            (false, 1) => (JobOutcome::Failed, failures),
            (false, n) => (JobOutcome::Failed, format!("{} of {n}: {failures}", job.failures.len())),
        };
        self.finish(id, outcome, message)
    }

    /// Ends a job, whatever it was doing.
    pub fn finish(&mut self, id: JobId, outcome: JobOutcome, message: String) -> Option<Finished> {
        let mut job = self.running.remove(&id)?;
        let row = Arc::make_mut(&mut job.row);
        row.finished = Some(Stamp::now());
        row.outcome = Some(outcome);
        if outcome == JobOutcome::Ok {
            row.done = row.total;
        }
        row.message = message;
        self.finished.push_front(job.row.clone());
        self.finished.truncate(KEPT);
        let journal = job.journal();
        Some(Finished { row: job.row, journal })
    }

    /// Running ones first (newest first), then the newest finished.
    pub fn rows(&self) -> Vec<Arc<JobRow>> {
        self.running.values().rev().map(|job| &job.row).chain(&self.finished).cloned().collect()
    }
}

impl Job {
    /// Instances that it works on at a time.
    fn at_once(&self) -> usize {
        match &self.act.command {
            Command::Roll(roll) => roll.at_once.max(1) as usize,
            _ => AT_ONCE,
        }
    }

    fn told_failures(&self) -> String {
        let mut text = self.failures.join("; ");
        if self.left > 0 {
            text.push_str(&format!("; the other {} were left as they are", self.left));
        }
        text
    }

    fn say(&mut self, message: String) {
        Arc::make_mut(&mut self.row).message = message;
    }

    fn journal(&self) -> JournalEntry {
        let outcome = match self.row.outcome {
            None => BEGAN.to_owned(),
            Some(JobOutcome::Ok) => "ok".to_owned(),
            Some(JobOutcome::Failed) => format!("failed: {}", self.row.message),
            Some(JobOutcome::Cancelled) => "cancelled".to_owned(),
        };
        let took_ms = self.row.finished.map(|at| at.since(self.row.started).as_millis().try_into().unwrap_or(u64::MAX));
        JournalEntry { took_ms, ..journal::entry(&self.act, self.row.started, outcome) }
    }
}

/// Whether what `command` wants of an instance has come about. `None`: not yet.
pub fn verdict(command: &Command, life: &Life) -> Option<Result<(), String>> {
    let reason = || Err(life.reason.clone());
    match (command, &life.phase) {
        (Command::Start(_) | Command::Restart(_) | Command::Roll(_), phase) => match phase {
            Phase::Live(_) => Some(Ok(())),
            Phase::Backoff { .. } | Phase::Failed { .. } => Some(reason()),
            Phase::Dormant => Some(Err(format!("stopped meanwhile: {}", life.reason))),
            Phase::Starting | Phase::Pausing { .. } | Phase::Dozing | Phase::Waking | Phase::Stopping(_) => None,
        },
        (Command::Stop(_) | Command::Sleep(_) | Command::Kill(_), phase) => match phase {
            Phase::Stopping(_) => None,
            Phase::Live(health) if health.silent.is_some() => Some(reason()),
            _ => Some(Ok(())),
        },
        (Command::Probe(_), _) => None,
        _ => Some(Ok(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Operator;
    use crate::model::message::{Face, Roll};

    fn act(command: Command) -> Act {
        Act {
            command,
            operator: Operator { name: "ana".into(), face: Face::Cli, pid: 1, grant: None },
            confirm: Some("graf".into()),
        }
    }

    #[test]
    fn four_at_a_time_and_one_outcome() {
        let mut jobs = Jobs::default();
        let keys: Vec<InstanceKey> = (0..6).map(|n| format!("graf@t{n}").parse().unwrap()).collect();
        let id = jobs.open(act(Command::Restart("graf".parse().unwrap())), keys.clone()).unwrap();
        assert_eq!(jobs.take(id), keys[..4]);
        assert!(jobs.take(id).is_empty());
        assert!(jobs.done(id, &keys[1], Err("exited 1".into())).is_none());
        assert!(jobs.done(id, &keys[1], Ok(())).is_none(), "counted once");
        assert_eq!(jobs.take(id), keys[4..5]);
        assert_eq!((jobs.rows()[0].done, jobs.rows()[0].total), (1, 6));
        for key in [0, 2, 3, 4] {
            assert!(jobs.done(id, &keys[key], Ok(())).is_none());
        }
        assert_eq!(jobs.take(id), keys[5..]);
        let finished = jobs.done(id, &keys[5], Ok(())).unwrap();
        assert_eq!(finished.row.outcome, Some(JobOutcome::Failed));
        assert_eq!(finished.journal.outcome, "failed: 1 of 6: graf@t1: exited 1");
        assert_eq!(finished.journal.command_line, "mcpdeck restart graf --confirm graf");
        assert!(jobs.finish(id, JobOutcome::Ok, String::new()).is_none(), "it ends once");
    }

    #[test]
    fn a_roll_goes_step_by_step_and_ends_where_one_does_not_come_up() {
        let mut jobs = Jobs::default();
        let keys: Vec<InstanceKey> = (0..6).map(|n| format!("graf@t{n}").parse().unwrap()).collect();
        let roll = Roll { secret: Some("token".into()), at_once: 2, ..Roll::default() };
        let id = jobs.open(act(Command::Roll(roll)), keys.clone()).unwrap();
        assert_eq!(jobs.take(id), keys[..2]);
        assert!(jobs.under_way("ana").iter().eq(&keys[..2]), "what waits is nobody's burden");
        assert!(jobs.done(id, &keys[0], Ok(())).is_none());
        assert_eq!(jobs.take(id), keys[2..3]);
        assert!(jobs.done(id, &keys[1], Err("refused".into())).is_none());
        assert!(jobs.take(id).is_empty(), "nothing more is begun");
        let finished = jobs.done(id, &keys[2], Ok(())).unwrap();
        assert_eq!(finished.row.message, "1 of 6: graf@t1: refused; the other 3 were left as they are");
        assert_eq!(finished.row.outcome, Some(JobOutcome::Failed));
    }

    #[test]
    fn finished_ones_are_bounded_and_running_ones_refused_above_their_number() {
        let mut jobs = Jobs::default();
        for _ in 0..2 * KEPT {
            let id = jobs.open(act(Command::ReloadSecrets), vec![]).unwrap();
            jobs.finish(id, JobOutcome::Ok, "done".into());
        }
        assert_eq!(jobs.rows().len(), KEPT);
        let opened = (0..RUNNING + 1).filter(|_| jobs.open(act(Command::ReloadSecrets), vec![]).is_some());
        assert_eq!(opened.count(), RUNNING);
    }
}
