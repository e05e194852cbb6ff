//! Looking after live instances once a second: idle ones stop, hanging ones are noticed, probes fall due.
//! Probes never count as activity and never wake anything.

use super::actor::Actor;
use super::attention::Hang;
use super::lifecycle::{Event, Phase};
use crate::model::instance::{BackendKind, ProbeFacts};
use crate::model::message::Level;
use crate::model::{InstanceKey, Stamp};
use crate::router::Activity;
use std::time::Duration;

/// Probes that are begun in one second at most; the others wait for the next.
const PROBES_A_SECOND: usize = 64;

impl Actor {
    /// One round over everything that is live.
    pub(super) fn look_after(&mut self) {
        let now = Stamp::now();
        let mut probes = PROBES_A_SECOND;
        for key in self.fleet.live.clone() {
            let activity = self.deck.router.activity(&key);
            self.watch_hang(&key, &activity, now);
            self.watch_stale(&key, &activity);
            self.watch_idle(&key, &activity, now);
            if probes > 0 && self.probe_due(&key) {
                probes -= 1;
                self.probe(&key);
            }
        }
        let live = &self.fleet.live;
        self.conditions.hanging.retain(|key, _| live.contains(key));
        if !self.conditions.hanging.is_empty() {
            // Its line counts seconds.
            self.mark();
        }
        self.tick_again();
    }

    fn watch_hang(&mut self, key: &InstanceKey, activity: &Activity, now: Stamp) {
        let Some(slot) = self.fleet.slot(key) else { return };
        let known = self.conditions.hanging.get(key);
        let hangs = matches!(slot.life.phase, Phase::Live(_)) && hangs(activity, known, slot.settings().timeout, now);
        if hangs == known.is_some() {
            return;
        }
        if hangs {
            let hang = Hang { since: now, finished: activity.finished };
            self.conditions.hanging.insert(key.clone(), hang);
        } else {
            self.conditions.hanging.remove(key);
        }
        let why = hangs.then(|| format!("hanging: {} calls in flight and none finishes", activity.in_flight));
        self.fleet.apply(&self.plan, key, Event::Hanging(why));
    }

    /// One whose definition changed starts anew between two calls. Where one call always follows the other, it lets those
    /// in flight finish after a while, and new ones wait for the start.
    fn watch_stale(&mut self, key: &InstanceKey, activity: &Activity) {
        let Some(slot) = self.fleet.slot_mut(key) else { return };
        let Some(since) = slot.stale_since() else { return };
        let changed = || "its definition changed".to_owned();
        match slot.life.phase {
            Phase::Live(_) => {
                let quiet = slot.life.fenced && activity.in_flight == 0;
                let patience = slot.settings().timeout / 2;
                slot.let_finish();
                if quiet || self.deck.router.begin_stop(key) || self.deck.clock.now() > since + patience {
                    self.fleet.apply(&self.plan, key, Event::Restart(changed()));
                }
            }
            Phase::Dozing => self.fleet.apply(&self.plan, key, Event::Sleep(changed())),
            _ => {}
        }
    }

    fn watch_idle(&mut self, key: &InstanceKey, activity: &Activity, now: Stamp) {
        let Some(slot) = self.fleet.slot(key) else { return };
        let live = matches!(slot.life.phase, Phase::Live(_));
        if !live && slot.life.phase != Phase::Dozing {
            return;
        }
        let busy = activity.in_flight > 0 || activity.waiting > 0 || slot.has_waiters();
        let idle_since = activity.last.map_or(slot.served_since, |last| last.max(slot.served_since));
        let stop_at = slot.settings().idle_stop.map(|wait| idle_since.after(wait));
        let doze_at = slot.settings().idle_doze.map(|wait| idle_since.after(wait));
        let can_doze = live && slot.kind != BackendKind::Remote && !slot.no_doze;
        let shown = if busy { None } else { stop_at };
        if let Some(row) = self.fleet.rows.get_mut(key).filter(|row| row.idle_stop_at != shown) {
            row.idle_stop_at = shown;
            self.fleet.dirty.insert(key.clone());
            self.mark();
        }
        if busy || self.deck.options.momentary {
            return;
        }
        let due = |at: Option<Stamp>| at.is_some_and(|at| at <= now);
        if due(stop_at) && !self.is_needed(key) {
            self.rest(key, live, Event::Idle);
        } else if can_doze && due(doze_at) {
            self.rest(key, live, Event::Doze);
        }
    }

    /// A call that comes in this moment wins.
    fn rest(&mut self, key: &InstanceKey, live: bool, event: Event) {
        if !live || self.deck.router.begin_stop(key) {
            self.fleet.apply(&self.plan, key, event);
        }
    }

    /// True if a live instance needs `key`.
    fn is_needed(&self, key: &InstanceKey) -> bool {
        let needs_it = |def: &&std::sync::Arc<crate::model::ServerDef>| def.needs.contains(&key.server);
        let needing: Vec<_> = self.plan.servers.values().filter(needs_it).map(|def| &def.id).collect();
        let live = self.fleet.live.iter().filter(|other| needing.contains(&&other.server));
        live.into_iter().any(|other| self.plan.needs(other).is_ok_and(|needs| needs.contains(key)))
    }

    fn probe_due(&self, key: &InstanceKey) -> bool {
        let now = self.deck.clock.now();
        let probed = |slot: &&super::fleet::Slot| {
            matches!(slot.life.phase, Phase::Live(_)) && slot.settings().health.every.is_some()
        };
        !self.deck.options.momentary && self.fleet.slot(key).filter(probed).is_some_and(|slot| slot.next_probe <= now)
    }

    fn probe(&mut self, key: &InstanceKey) {
        let now = self.deck.clock.now();
        let Some(slot) = self.fleet.slot_mut(key) else { return };
        let every = slot.settings().health.every.unwrap_or(Duration::from_secs(30));
        let timeout = slot.settings().health.timeout;
        // Never while the last one may still run.
        slot.next_probe = now + every.max(timeout).mul_f64(0.9 + 0.2 * fastrand::f64());
        if let Some(worker) = self.fleet.worker(key) {
            worker.probe();
        }
    }

    /// An operator asks: at once, if there is something to ask.
    pub(super) fn probe_now(&mut self, key: &InstanceKey) {
        let live = self.fleet.slot(key).is_some_and(|slot| matches!(slot.life.phase, Phase::Live(_)));
        if live {
            return self.probe(key);
        }
        let state = self.fleet.slot(key).map(|slot| slot.life.state());
        let why = state.map_or_else(|| "it is gone".to_owned(), |s| format!("it is {s}; a probe never wakes it"));
        for (job, _) in self.jobs.working_on(key) {
            self.target_done(job, key, Err(why.clone()));
        }
    }

    /// A probe came back.
    pub(super) fn probed(&mut self, key: &InstanceKey, run: u32, mut facts: ProbeFacts) {
        if self.fleet.slot(key).is_none_or(|slot| slot.run != run) {
            return;
        }
        let Some(row) = self.fleet.rows.get_mut(key) else { return };
        facts.failures = if facts.error.is_some() { row.probe.failures + 1 } else { 0 };
        let (failures, error) = (facts.failures, facts.error.clone());
        if failures == 1 || (failures == 0 && row.probe.failures > 0) {
            let text = error.as_ref().map_or_else(|| "probe works again".to_owned(), |e| format!("probe failed: {e}"));
            let level = if failures > 0 { Level::Warn } else { Level::Info };
            self.deck.logs.say(key, level, text);
        }
        row.probe = facts;
        self.fleet.dirty.insert(key.clone());
        let reason = error.as_ref().map_or_else(String::new, |e| format!("probe fails: {e}"));
        self.fleet.apply(&self.plan, key, Event::Probed { failures, reason });
        for (job, command) in self.jobs.working_on(key) {
            if matches!(command, crate::model::Command::Probe(_)) {
                self.target_done(job, key, error.clone().map_or(Ok(()), Err));
            }
        }
    }
}

/// Calls in flight, the oldest over half its timeout, and no answer for as long. It lasts until an answer comes: callers
/// that give up and try again make every call young, and heal nothing.
fn hangs(activity: &Activity, known: Option<&Hang>, timeout: Duration, now: Stamp) -> bool {
    if let Some(hang) = known {
        return activity.in_flight > 0 && activity.finished == hang.finished;
    }
    let half = timeout / 2;
    let old = activity.oldest.is_some_and(|oldest| now.since(oldest) > half);
    let silent = activity.finished.is_none_or(|finished| now.since(finished) > half);
    activity.in_flight > 0 && old && silent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_is_an_old_call_and_no_answer_meanwhile() {
        let now = Stamp(100_000);
        let case = |in_flight, oldest: u64, finished: Option<u64>| {
            let ago = |s: u64| Stamp(now.0 - 1000 * s);
            let activity =
                Activity { in_flight, oldest: Some(ago(oldest)), finished: finished.map(ago), ..Activity::default() };
            hangs(&activity, None, Duration::from_secs(30), now)
        };
        assert!(case(37, 23, Some(20)));
        assert!(case(1, 16, None));
        assert!(!case(37, 23, Some(3)), "others are answered");
        assert!(!case(37, 14, Some(20)), "not old yet");
        assert!(!case(0, 23, None), "nothing in flight");
    }

    #[test]
    fn a_hang_lasts_until_an_answer_comes_however_young_the_calls_are() {
        let hang = Hang { since: Stamp(60_000), finished: Some(Stamp(40_000)) };
        let case = |in_flight, finished| {
            let activity =
                Activity { in_flight, oldest: Some(Stamp(99_000)), finished: Some(finished), ..Activity::default() };
            hangs(&activity, Some(&hang), Duration::from_secs(30), Stamp(100_000))
        };
        assert!(case(37, Stamp(40_000)), "everybody tried again a second ago");
        assert!(!case(37, Stamp(99_000)), "it answers");
        assert!(!case(0, Stamp(40_000)), "nobody waits");
    }
}
