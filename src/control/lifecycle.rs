//! The life of one instance as a pure state machine: (life, event) -> (life, at most one effect).
//! Knows no clock, no process and no task; must never import anything that does I/O.

use crate::model::server::RestartPolicy;
use crate::model::{Desired, State};
use std::collections::VecDeque;
use std::time::Duration;

/// Probes failed in a row that make an instance degraded: one may be bad luck.
pub const DEGRADED_AFTER: u32 = 2;

/// What is wanted of an instance and what is. The shown [`State`] follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    pub desired: Desired,
    pub phase: Phase,
    /// Out of rotation; it may run all the same.
    pub fenced: bool,
    /// Why it is as it is, as one line.
    pub reason: String,
    /// Times of the failures inside the policy's window.
    failures: VecDeque<Duration>,
    /// The start under way is the scheduled try of a failed one: if it fails, the instance has failed again.
    last_chance: bool,
}

/// What is. Each phase with work under way names what ends it; every one has an event that leads out.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Nothing runs.
    Dormant,
    /// One creation is under way: ends with `Opened` or `StartFailed`.
    Starting,
    /// It runs and is connected.
    Live(Health),
    /// Being paused; `wake` if somebody came meanwhile. Ends with `Dozed` or `DozeFailed`.
    Pausing {
        wake: bool,
    },
    Dozing,
    /// Ends with `Woken` or `WakeFailed`.
    Waking,
    /// One removal is under way: ends with `Stopped` or `StopFailed`.
    Stopping(Then),
    /// A start is tried again at this time.
    Backoff {
        until: Duration,
    },
    /// Given up; tried again at this time, or by hand alone.
    Failed {
        until: Option<Duration>,
    },
}

/// What follows a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    Rest,
    Start,
    /// It was stopped because it had failed, for this reason.
    Fail(String),
}

/// What is wrong with one that runs, each with its reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    pub failing: Option<String>,
    pub hanging: Option<String>,
    /// The backend does not answer for it any more.
    pub silent: Option<String>,
    /// A stop that the silent backend did not carry out: it follows when the backend answers again.
    pub unstopped: Option<Then>,
}

/// What happens to an instance. Texts are reasons, as one line.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A call waits for it.
    Demand,
    Start(String),
    /// It runs since an earlier owner and is taken over as it is.
    TakeUp(String),
    /// Nothing of it runs for us, and what stands behind it is to end all the same.
    TakeDown(String),
    /// What the start under way is doing.
    Progress(String),
    Hold(String),
    Sleep(String),
    Restart(String),
    Kill(String),
    Fence(String),
    Unfence,
    /// Nobody used it for as long as its settings say.
    Idle,
    Doze,
    Opened,
    StartFailed(String),
    /// The process is gone and reaped.
    Exited(String),
    /// The connection ended while the process lives.
    Lost(String),
    Stopped,
    StopFailed(String),
    Dozed,
    DozeFailed(String),
    Woken,
    WakeFailed(String),
    /// A probe's result: failures in a row, and the newest reason.
    Probed {
        failures: u32,
        reason: String,
    },
    /// Calls in flight and none finishing; `None` when that is over.
    Hanging(Option<String>),
    /// Its backend stopped answering, for this reason; `None`: it answers again.
    Silent(Option<String>),
    /// The time that a backoff or a failed one names has come; `waiting`: calls wait for it.
    RetryDue {
        waiting: bool,
    },
}

impl Event {
    /// It would start something, and no call waits for that.
    pub fn begins(&self) -> bool {
        matches!(self, Self::Start(_) | Self::TakeUp(_) | Self::Restart(_) | Self::RetryDue { waiting: false })
    }
}

/// Work that follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start and connect.
    Create,
    /// Stop in stages.
    Stop,
    /// SIGKILL at once.
    Kill,
    Doze,
    Wake,
}

/// What a step may know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// Monotonic time since the platform started.
    pub at: Duration,
    pub policy: &'a RestartPolicy,
    /// 0..1, from a seeded generator.
    pub jitter: f64,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            desired: Desired::OnDemand,
            phase: Phase::Dormant,
            fenced: false,
            reason: "never started yet".to_owned(),
            failures: VecDeque::new(),
            last_chance: false,
        }
    }
}

impl Life {
    /// One that an earlier owner of the platform held or fenced.
    pub fn marked(held: Option<String>, fenced: Option<String>) -> Self {
        let mut life = Self { fenced: fenced.is_some(), ..Self::default() };
        if held.is_some() {
            life.desired = Desired::Held;
        }
        if let Some(reason) = held.or(fenced) {
            life.reason = reason;
        }
        life
    }

    /// The state of product.md's table.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Stopping(_) => State::Stopping,
            _ if self.desired == Desired::Held => State::Stopped,
            _ if self.fenced => State::Fenced,
            Phase::Dormant => State::Dormant,
            Phase::Starting => State::Starting,
            Phase::Live(health) if health.silent.is_some() => State::Unknown,
            Phase::Live(health) if health.failing.is_some() || health.hanging.is_some() => State::Degraded,
            Phase::Live(_) => State::Ready,
            Phase::Pausing { .. } | Phase::Dozing | Phase::Waking => State::Doze,
            Phase::Backoff { .. } => State::Backoff,
            Phase::Failed { .. } => State::Failed,
        }
    }

    /// True if something of it runs or may run: a process, a connection, work under way.
    pub fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Dormant | Phase::Backoff { .. } | Phase::Failed { .. })
    }

    /// When [`Event::RetryDue`] is due.
    pub fn retry_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::Backoff { until } => Some(until),
            Phase::Failed { until } => until,
            _ => None,
        }
    }

    /// Failures inside the window.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// The machine. An event that means nothing in this phase changes nothing.
    pub fn step(mut self, event: Event, now: Now<'_>) -> (Self, Option<Effect>) {
        let effect = match event {
            Event::Demand => self.demand(),
            Event::Start(why) => self.start(why),
            Event::TakeUp(why) => self.take_up(&why),
            Event::Progress(what) if self.phase == Phase::Starting => {
                self.reason = what;
                None
            }
            Event::Hold(why) => {
                self.desired = Desired::Held;
                self.rest(why)
            }
            Event::TakeDown(why) if !self.is_live() => {
                self.go(Phase::Stopping(Then::Rest), &why);
                Some(Effect::Stop)
            }
            Event::Sleep(_) if self.desired == Desired::Held => None,
            Event::Sleep(why) => {
                self.desired = Desired::OnDemand;
                self.rest(why)
            }
            Event::Restart(why) => self.restart(why),
            Event::Kill(why) => self.kill(why),
            Event::Fence(why) => {
                self.fenced = true;
                self.reason = why;
                None
            }
            Event::Unfence => {
                self.fenced = false;
                self.reason = self.healthy_reason();
                None
            }
            Event::Idle => self.idle(),
            Event::Doze => self.doze(),
            Event::Opened if self.phase == Phase::Starting => {
                self.last_chance = false;
                self.go(Phase::Live(Health::default()), "answers")
            }
            Event::StartFailed(why) if self.phase == Phase::Starting => self.fail(why, now),
            Event::Exited(why) if self.is_live() && !matches!(self.phase, Phase::Stopping(_)) => self.fail(why, now),
            Event::Lost(why) if matches!(self.phase, Phase::Live(_)) => {
                self.reason.clone_from(&why);
                self.phase = Phase::Stopping(Then::Fail(why));
                Some(Effect::Stop)
            }
            Event::Stopped => self.stopped(now),
            Event::StopFailed(why) => self.stop_failed(why),
            Event::Dozed => self.dozed(),
            Event::DozeFailed(why) if matches!(self.phase, Phase::Pausing { .. }) => {
                self.go(Phase::Live(Health::default()), &why)
            }
            Event::Woken if self.phase == Phase::Waking => self.go(Phase::Live(Health::default()), "woken"),
            Event::WakeFailed(why) if self.phase == Phase::Waking => {
                self.reason.clone_from(&why);
                self.phase = Phase::Stopping(Then::Fail(why));
                Some(Effect::Kill)
            }
            Event::Probed { failures, reason } => {
                self.health(|h| h.failing = (failures >= DEGRADED_AFTER).then_some(reason));
                None
            }
            Event::Hanging(why) => {
                self.health(|h| h.hanging = why);
                None
            }
            Event::Silent(Some(why)) => {
                self.health(|h| h.silent = Some(why));
                None
            }
            Event::Silent(None) => self.answers_again(),
            Event::RetryDue { waiting } => self.retry(waiting, now),
            Event::Progress(_)
            | Event::TakeDown(_)
            | Event::Opened
            | Event::StartFailed(_)
            | Event::Exited(_)
            | Event::Lost(_)
            | Event::DozeFailed(_)
            | Event::Woken
            | Event::WakeFailed(_) => None,
        };
        (self, effect)
    }

    fn go(&mut self, phase: Phase, reason: &str) -> Option<Effect> {
        self.phase = phase;
        reason.clone_into(&mut self.reason);
        None
    }

    fn create(&mut self, reason: &str) -> Option<Effect> {
        self.go(Phase::Starting, reason);
        Some(Effect::Create)
    }

    /// A call may start what sleeps and wake what dozes; never what is held or fenced, never against a schedule.
    fn demand(&mut self) -> Option<Effect> {
        if self.desired == Desired::Held || self.fenced {
            return None;
        }
        match &mut self.phase {
            Phase::Dormant => self.create("a call came"),
            Phase::Stopping(then) if *then == Then::Rest => {
                *then = Then::Start;
                None
            }
            Phase::Pausing { wake } => {
                *wake = true;
                None
            }
            Phase::Dozing => self.wake("a call came"),
            _ => None,
        }
    }

    /// Never what is held or fenced: that stays an orphan until somebody decides.
    fn take_up(&mut self, why: &str) -> Option<Effect> {
        if self.desired == Desired::Held || self.fenced || self.phase != Phase::Dormant {
            return None;
        }
        self.create(why)
    }

    fn wake(&mut self, reason: &str) -> Option<Effect> {
        self.go(Phase::Waking, reason);
        Some(Effect::Wake)
    }

    fn start(&mut self, why: String) -> Option<Effect> {
        self.desired = Desired::Running;
        self.forgive();
        match &mut self.phase {
            Phase::Dormant | Phase::Backoff { .. } | Phase::Failed { .. } => self.create(&why),
            Phase::Dozing => self.wake(&why),
            Phase::Pausing { wake } => {
                *wake = true;
                None
            }
            Phase::Stopping(then) => {
                *then = Then::Start;
                None
            }
            Phase::Live(Health { unstopped: Some(then), .. }) => {
                *then = Then::Start;
                None
            }
            Phase::Starting | Phase::Live(_) | Phase::Waking => None,
        }
    }

    /// To nothing running, on purpose.
    fn rest(&mut self, why: String) -> Option<Effect> {
        self.forgive();
        self.reason = why;
        match &mut self.phase {
            Phase::Dormant | Phase::Backoff { .. } | Phase::Failed { .. } => {
                self.phase = Phase::Dormant;
                None
            }
            Phase::Stopping(then) => {
                *then = Then::Rest;
                None
            }
            _ => {
                self.phase = Phase::Stopping(Then::Rest);
                Some(Effect::Stop)
            }
        }
    }

    /// It stops only to be started again.
    pub fn comes_again(&self) -> bool {
        matches!(self.phase, Phase::Stopping(Then::Start))
    }

    fn restart(&mut self, why: String) -> Option<Effect> {
        if self.desired == Desired::Held || !self.is_live() {
            return self.start(why);
        }
        self.forgive();
        self.reason = why;
        if let Phase::Stopping(then) = &mut self.phase {
            *then = Then::Start;
            return None;
        }
        self.phase = Phase::Stopping(Then::Start);
        Some(Effect::Stop)
    }

    /// A killed one rests: the next call starts it again. A start or a hold that was asked for before stays.
    fn kill(&mut self, why: String) -> Option<Effect> {
        if !self.is_live() {
            return None;
        }
        self.forgive();
        self.reason = why;
        if self.desired == Desired::Running {
            self.desired = Desired::OnDemand;
        }
        if !matches!(self.phase, Phase::Stopping(Then::Start)) {
            self.phase = Phase::Stopping(Then::Rest);
        }
        Some(Effect::Kill)
    }

    fn idle(&mut self) -> Option<Effect> {
        if !self.answers() && self.phase != Phase::Dozing {
            return None;
        }
        self.desired = Desired::OnDemand;
        self.go(Phase::Stopping(Then::Rest), "idle");
        Some(Effect::Stop)
    }

    /// It runs, and its backend answers for it.
    fn answers(&self) -> bool {
        matches!(&self.phase, Phase::Live(health) if health.silent.is_none())
    }

    fn doze(&mut self) -> Option<Effect> {
        if !self.answers() {
            return None;
        }
        self.go(Phase::Pausing { wake: false }, "idle: paused");
        Some(Effect::Doze)
    }

    fn dozed(&mut self) -> Option<Effect> {
        match self.phase {
            Phase::Pausing { wake: true } => self.wake("a call came"),
            Phase::Pausing { wake: false } => {
                self.phase = Phase::Dozing;
                None
            }
            _ => None,
        }
    }

    fn stopped(&mut self, now: Now<'_>) -> Option<Effect> {
        let Phase::Stopping(then) = &self.phase else { return None };
        match then.clone() {
            Then::Rest => {
                self.phase = Phase::Dormant;
                None
            }
            Then::Start => {
                let why = self.reason.clone();
                self.create(&why)
            }
            Then::Fail(why) => self.fail(why, now),
        }
    }

    /// It may still be there: unknown, until an operator, an exit or its backend says more.
    fn stop_failed(&mut self, why: String) -> Option<Effect> {
        let Phase::Stopping(then) = &self.phase else { return None };
        let unstopped = Some(then.clone());
        self.go(Phase::Live(Health { silent: Some(why.clone()), unstopped, ..Health::default() }), &why)
    }

    /// What had to wait for the backend follows. What failed meanwhile may have failed for its sake alone.
    fn answers_again(&mut self) -> Option<Effect> {
        match &mut self.phase {
            Phase::Live(Health { unstopped, silent, .. }) => {
                let (then, was_silent) = (unstopped.take(), silent.take().is_some());
                if let Some(then) = then {
                    self.phase = Phase::Stopping(then);
                    return Some(Effect::Stop);
                }
                if was_silent && !self.fenced {
                    self.reason = self.healthy_reason();
                }
                None
            }
            Phase::Backoff { .. } | Phase::Failed { .. } => {
                self.forgive();
                if self.desired == Desired::Running {
                    return self.create("its backend answers again");
                }
                self.go(Phase::Dormant, "its backend answers again: the next call starts it")
            }
            _ => None,
        }
    }

    fn fail(&mut self, why: String, now: Now<'_>) -> Option<Effect> {
        let Now { at, policy, jitter } = now;
        self.failures.push_back(at);
        self.failures.retain(|t| at.saturating_sub(*t) <= policy.window);
        let most = policy.max_failures.max(1) as usize;
        if self.last_chance || self.failures.len() >= most {
            self.failures.truncate(most);
            let until = policy.retry_failed.map(|wait| at + wait);
            return self.go(Phase::Failed { until }, &why);
        }
        let until = at + backoff(policy, self.failures.len(), jitter);
        self.go(Phase::Backoff { until }, &why)
    }

    /// A backoff without anybody who wants it ends asleep; a failed one is tried once on its schedule.
    fn retry(&mut self, waiting: bool, now: Now<'_>) -> Option<Effect> {
        if self.retry_at().is_none_or(|due| due > now.at) {
            return None;
        }
        let failed = matches!(self.phase, Phase::Failed { .. });
        if !failed && !waiting && self.desired == Desired::OnDemand {
            self.phase = Phase::Dormant;
            return None;
        }
        self.last_chance = failed;
        let why = self.reason.clone();
        self.create(&why)
    }

    fn forgive(&mut self) {
        self.failures.clear();
        self.last_chance = false;
    }

    fn health(&mut self, change: impl FnOnce(&mut Health)) {
        let Phase::Live(health) = &mut self.phase else { return };
        let before = health.clone();
        change(health);
        if *health != before && !self.fenced {
            self.reason = self.healthy_reason();
        }
    }

    fn healthy_reason(&self) -> String {
        let Phase::Live(h) = &self.phase else { return self.phase_word().to_owned() };
        let worst = h.silent.as_ref().or(h.hanging.as_ref()).or(h.failing.as_ref());
        worst.map_or_else(|| "answers".to_owned(), Clone::clone)
    }

    fn phase_word(&self) -> &'static str {
        match self.phase {
            Phase::Dormant => "the next call starts it",
            Phase::Starting => "starting",
            Phase::Live(_) => "answers",
            Phase::Pausing { .. } | Phase::Dozing => "paused",
            Phase::Waking => "waking",
            Phase::Stopping(_) => "stopping",
            Phase::Backoff { .. } => "waits before the next try",
            Phase::Failed { .. } => "failed",
        }
    }
}

/// Doubles with each failure up to the cap; the upper half of it is jitter, so that many do not come back at once.
fn backoff(policy: &RestartPolicy, failures: usize, jitter: f64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
    let full = policy.backoff_min.saturating_mul(1 << doublings).min(policy.backoff_max);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
