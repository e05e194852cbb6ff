//! One stack's life: what each part does, and what follows from what happened. Pure: events in, effects out. Must never
//! import a task, a clock or an engine.

use crate::model::container::ContainerKey;
use crate::model::server::RestartPolicy;
use crate::model::stack::StackDef;
use crate::model::{JobId, Stamp};
use std::sync::Arc;
use std::time::Duration;

/// Of a part that ends well.
const DONE: &str = "has done its work";

/// What one part is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of it is kept.
    Down,
    /// Others that it needs come first.
    Waiting,
    Starting,
    Ready,
    /// It has ended well, as it should.
    Done,
    /// It runs and does not serve.
    Unwell,
    /// It ended and is started again in a moment.
    Backoff,
    Failed,
    /// An operator stopped it.
    Held,
    /// Others that need it go first.
    Leaving,
    Stopping,
}

impl Phase {
    fn serves(self) -> bool {
        matches!(self, Self::Ready | Self::Done)
    }
}

/// One part.
#[derive(Clone, Debug)]
pub struct Part {
    pub phase: Phase,
    pub message: String,
    /// When a start that goes on began.
    pub started: Option<Stamp>,
    pub percent: Option<u8>,
    pub container: Option<ContainerKey>,
    /// Since when it fails or does not serve, over all that was tried since.
    pub unwell_since: Option<Stamp>,
    /// Counts the work that was begun on it; what older work says no longer counts.
    pub run: u32,
    /// Ends in a row, each soon after the one before.
    failures: u32,
    ready_at: Duration,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Without a job nobody waits for it: what fails is tried again.
    Deploy(Option<JobId>),
    Undeploy(JobId),
    Cancel {
        job: JobId,
        why: String,
    },
    /// An earlier owner left these parts.
    Found(Vec<(usize, There)>),
    Hold {
        part: usize,
        why: String,
    },
    Resume(usize),
    Part {
        part: usize,
        run: u32,
        report: Report,
    },
}

/// What an earlier owner left of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    Runs,
    /// It ended while nobody looked.
    Ended,
    /// It has ended well, as it should.
    Done,
}

/// What became of the work on a part.
#[derive(Debug)]
pub enum Report {
    Told {
        message: String,
        percent: Option<u8>,
    },
    Container {
        key: ContainerKey,
        /// It was started now, and did not run before.
        fresh: bool,
    },
    Ready,
    Done,
    Unwell(String),
    Well,
    /// It was ready, and ended.
    Ended(String),
    Failed(String),
    Lowered(Result<(), String>),
    /// The pause is over.
    Retry,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make it run (or take up what runs, if not `make`), tell when it is ready and when it ends. A patient one waits
    /// for a silent engine.
    Keep {
        part: usize,
        run: u32,
        make: bool,
        patient: bool,
    },
    /// End the work on it.
    Drop(usize),
    /// Stop and remove it.
    Lower {
        part: usize,
        run: u32,
    },
    Retry {
        part: usize,
        run: u32,
        after: Duration,
    },
    Finish(JobId, Result<String, String>),
    /// How far the job is.
    Say(JobId, String),
    /// People must not miss it.
    Warn(String),
}

/// When something happened.
#[derive(Clone, Copy)]
pub struct Now {
    /// Since the platform started.
    pub at: Duration,
    pub stamp: Stamp,
}

/// A stack.
pub struct Life {
    pub def: Arc<StackDef>,
    /// As in the definition.
    pub parts: Vec<Part>,
    /// It shall run.
    pub up: bool,
    pub job: Option<JobId>,
    policy: RestartPolicy,
}

impl Life {
    pub fn new(def: Arc<StackDef>, policy: RestartPolicy) -> Self {
        let part = Part {
            phase: Phase::Down,
            message: String::new(),
            started: None,
            percent: None,
            container: None,
            unwell_since: None,
            run: 0,
            failures: 0,
            ready_at: Duration::ZERO,
        };
        Self { parts: vec![part; def.parts.len()], def, up: false, job: None, policy }
    }

    pub fn apply(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            Event::Deploy(job) => self.deploy(job, &mut out),
            Event::Undeploy(job) => self.undeploy(job, &mut out),
            Event::Cancel { job, why } if self.job == Some(job) => self.cancel(&why, &mut out),
            Event::Cancel { .. } => {}
            Event::Found(parts) => self.found(parts, now, &mut out),
            Event::Hold { part, why } => {
                self.begin(part, Phase::Held, why);
                out.push(Effect::Drop(part));
            }
            Event::Resume(part) => {
                self.up = true;
                self.keep(part, now, false, &mut out);
            }
            Event::Part { part, run, report } => {
                if self.parts.get(part).is_some_and(|p| p.run == run) {
                    self.report(part, report, now, &mut out);
                }
            }
        }
        self.go_on(now, &mut out);
        out
    }

    fn deploy(&mut self, job: Option<JobId>, out: &mut Vec<Effect>) {
        self.take_job(job, out);
        self.up = true;
        for part in 0..self.parts.len() {
            if self.parts[part].phase != Phase::Starting {
                self.begin(part, Phase::Waiting, String::new());
                out.push(Effect::Drop(part));
            }
            self.parts[part].failures = 0;
            self.parts[part].unwell_since = None;
        }
    }

    /// The stack was wanted: what runs is kept, what ended comes again, and with it what that needs.
    fn found(&mut self, parts: Vec<(usize, There)>, now: Now, out: &mut Vec<Effect>) {
        self.up = true;
        for (part, how) in parts {
            match how {
                There::Runs => self.keep(part, now, false, out),
                There::Ended => self.begin(part, Phase::Waiting, String::new()),
                There::Done => self.begin(part, Phase::Done, DONE.to_owned()),
            }
        }
        let is_needed = |life: &Self, at: usize| {
            let name = &life.def.parts[at].name;
            let parts = life.def.parts.iter().zip(&life.parts);
            let mut waiting = parts.filter(|(_, part)| part.phase == Phase::Waiting);
            life.parts[at].phase == Phase::Down && waiting.any(|(def, _)| def.needs.contains(name))
        };
        while let Some(at) = (0..self.parts.len()).find(|at| is_needed(self, *at)) {
            self.begin(at, Phase::Waiting, String::new());
        }
    }

    fn undeploy(&mut self, job: JobId, out: &mut Vec<Effect>) {
        self.take_job(Some(job), out);
        self.up = false;
        for part in 0..self.parts.len() {
            self.begin(part, Phase::Leaving, String::new());
            out.push(Effect::Drop(part));
        }
    }

    fn take_job(&mut self, job: Option<JobId>, out: &mut Vec<Effect>) {
        let old = std::mem::replace(&mut self.job, job);
        out.extend(old.map(|old| Effect::Finish(old, Err("another act on the stack came after it".to_owned()))));
    }

    /// What runs goes on; what was on its way stays where it is.
    fn cancel(&mut self, why: &str, out: &mut Vec<Effect>) {
        self.job = None;
        for part in 0..self.parts.len() {
            match self.parts[part].phase {
                Phase::Waiting | Phase::Starting => {
                    self.begin(part, Phase::Down, why.to_owned());
                    out.push(Effect::Drop(part));
                }
                Phase::Leaving => {
                    self.up = true;
                    self.begin(part, Phase::Starting, "it was to be stopped".to_owned());
                    let run = self.parts[part].run;
                    out.push(Effect::Keep { part, run, make: false, patient: true });
                }
                _ => {}
            }
        }
    }

    /// A new phase, in which older work no longer counts.
    fn begin(&mut self, part: usize, phase: Phase, message: String) {
        let part = &mut self.parts[part];
        part.run += 1;
        part.phase = phase;
        part.message = message;
        part.percent = None;
        part.started = None;
    }

    fn keep(&mut self, part: usize, now: Now, make: bool, out: &mut Vec<Effect>) {
        let message = if make { "starts" } else { "runs already" };
        self.begin(part, Phase::Starting, message.to_owned());
        self.parts[part].started = Some(now.stamp);
        out.push(Effect::Keep { part, run: self.parts[part].run, make, patient: self.job.is_none() });
    }

    fn report(&mut self, at: usize, report: Report, now: Now, out: &mut Vec<Effect>) {
        let name = &self.def.parts[at].name;
        let part = &mut self.parts[at];
        match report {
            Report::Told { message, percent } => {
                out.extend(self.job.map(|job| Effect::Say(job, format!("{name}: {message}"))));
                (part.message, part.percent) = (message, percent.or(part.percent));
            }
            Report::Container { key, .. } => part.container = Some(key),
            Report::Ready | Report::Well => {
                if part.phase == Phase::Starting {
                    part.ready_at = now.at;
                }
                (part.phase, part.started, part.percent) = (Phase::Ready, None, None);
                part.message = String::new();
                part.unwell_since = None;
            }
            Report::Done => {
                (part.phase, part.started, part.percent) = (Phase::Done, None, None);
                part.message = DONE.to_owned();
                part.unwell_since = None;
            }
            Report::Unwell(why) => {
                (part.phase, part.message) = (Phase::Unwell, why);
                part.unwell_since.get_or_insert(now.stamp);
            }
            Report::Ended(why) => {
                if now.at.saturating_sub(part.ready_at) > self.policy.window {
                    part.failures = 0;
                }
                out.push(Effect::Warn(format!("part {name} of stack {} ended: {why}", self.def.id)));
                self.failed(at, why, now, out);
            }
            Report::Failed(why) => self.failed(at, why, now, out),
            Report::Lowered(Ok(())) => {
                self.begin(at, Phase::Down, String::new());
                (self.parts[at].container, self.parts[at].unwell_since) = (None, None);
            }
            Report::Lowered(Err(why)) => {
                self.begin(at, Phase::Failed, why);
                self.parts[at].unwell_since.get_or_insert(now.stamp);
            }
            Report::Retry => self.begin(at, Phase::Waiting, String::new()),
        }
    }

    /// Somebody waits for the job: it fails. Nobody does: it is tried again, and after many times much later.
    fn failed(&mut self, at: usize, why: String, now: Now, out: &mut Vec<Effect>) {
        self.parts[at].unwell_since.get_or_insert(now.stamp);
        if self.job.is_some() {
            return self.begin(at, Phase::Failed, why);
        }
        let failures = self.parts[at].failures + 1;
        self.parts[at].failures = failures;
        let given_up = failures >= self.policy.max_failures;
        let pause = if given_up { self.policy.retry_failed } else { Some(self.pause(failures)) };
        let phase = if given_up { Phase::Failed } else { Phase::Backoff };
        let again = pause.map_or_else(String::new, |pause| format!("; again in {} s", pause.as_secs_f32().ceil()));
        let times = if failures > 1 { format!("{failures} times in a row: ") } else { String::new() };
        self.begin(at, phase, format!("{times}{why}{again}"));
        let (name, run) = (&self.def.parts[at].name, self.parts[at].run);
        if given_up {
            out.push(Effect::Warn(format!("part {name} of stack {} failed {failures} times: {why}", self.def.id)));
        }
        out.extend(pause.map(|after| Effect::Retry { part: at, run, after }));
    }

    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.policy.backoff_min.saturating_mul(1 << (failures - 1).min(16));
        doubled.min(self.policy.backoff_max)
    }

    /// Parts whose time has come, and jobs that are over.
    fn go_on(&mut self, now: Now, out: &mut Vec<Effect>) {
        for at in 0..self.parts.len() {
            match self.parts[at].phase {
                Phase::Waiting => match self.needed(at) {
                    Some(name) => self.parts[at].message = format!("waits for {name}"),
                    None => self.keep(at, now, true, out),
                },
                Phase::Leaving => match self.needing(at) {
                    Some(name) => self.parts[at].message = format!("waits until {name} is gone"),
                    None => {
                        self.begin(at, Phase::Stopping, "stops".to_owned());
                        out.push(Effect::Lower { part: at, run: self.parts[at].run });
                    }
                },
                _ => {}
            }
        }
        if self.job.is_some() {
            self.give_up_waiting();
            self.conclude(out);
        }
    }

    /// A part that this one needs and that does not serve yet.
    fn needed(&self, at: usize) -> Option<String> {
        let serves = |name: &String| self.part_of(name).is_none_or(|part| part.phase.serves());
        self.def.parts[at].needs.iter().find(|name| !serves(name)).cloned()
    }

    /// A part that needs this one and is not gone yet.
    fn needing(&self, at: usize) -> Option<String> {
        let name = &self.def.parts[at].name;
        let parts = self.def.parts.iter().zip(&self.parts);
        let mut needing = parts.filter(|(def, _)| def.needs.contains(name));
        let there = needing.find(|(_, part)| matches!(part.phase, Phase::Leaving | Phase::Stopping));
        there.map(|(def, _)| def.name.clone())
    }

    fn part_of(&self, name: &str) -> Option<&Part> {
        self.def.parts.iter().position(|def| def.name == name).map(|at| &self.parts[at])
    }

    /// Nobody shall wait for what has failed.
    fn give_up_waiting(&mut self) {
        loop {
            let hopeless = |at: &usize| {
                let needed = self.needed(*at).filter(|_| self.parts[*at].phase == Phase::Waiting);
                let phase = needed.as_ref().and_then(|name| self.part_of(name)).map(|part| part.phase);
                needed
                    .filter(|_| matches!(phase, Some(Phase::Failed | Phase::Down | Phase::Held)))
                    .map(|name| (*at, name))
            };
            let Some((at, name)) = (0..self.parts.len()).find_map(|at| hopeless(&at)) else { return };
            self.begin(at, Phase::Down, format!("not started: it needs {name}"));
        }
    }

    fn conclude(&mut self, out: &mut Vec<Effect>) {
        let under_way =
            |part: &Part| matches!(part.phase, Phase::Waiting | Phase::Starting | Phase::Leaving | Phase::Stopping);
        if self.parts.iter().any(under_way) {
            return;
        }
        let Some(job) = self.job.take() else { return };
        let parts = self.def.parts.iter().zip(&self.parts);
        let failed: Vec<String> = parts
            .filter(|(_, part)| part.phase == Phase::Failed)
            .map(|(def, part)| format!("part {}: {}", def.name, part.message))
            .collect();
        let n = self.parts.len();
        let done = match (self.up, n) {
            (true, 1) => "1 part is ready".to_owned(),
            (true, n) => format!("{n} parts are ready"),
            (false, _) => "stopped and removed".to_owned(),
        };
        out.push(Effect::Finish(job, if failed.is_empty() { Ok(done) } else { Err(failed.join("; ")) }));
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
