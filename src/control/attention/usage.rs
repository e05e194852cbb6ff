//! What is at the limit of its memory or its processor, and has been for a while: rules as data, with a step between
//! the beginning and the end, so that nothing flickers. Pure; must never import a task or a clock.

use super::{Hit, View, containers};
use crate::model::Stamp;
use crate::model::usage::{InstanceUsage, Subject};
use std::collections::BTreeMap;
use std::time::Duration;

/// What presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    Memory,
    Cpu,
}

/// Something that is at its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Pressed {
    pub subject: Subject,
    pub by: Pressure,
    pub since: Stamp,
    pub text: String,
}

/// When it begins and when it ends, as parts of the limit.
struct Rule {
    by: Pressure,
    from: f64,
    until: f64,
    /// So long in a row.
    lasts: Duration,
    part: fn(&InstanceUsage) -> Option<f64>,
    text: fn(&InstanceUsage) -> String,
}

const RULES: [Rule; 2] = [
    Rule {
        by: Pressure::Memory,
        from: 0.90,
        until: 0.85,
        lasts: Duration::from_secs(10),
        part: |usage| part(usage.memory? as f64, usage.memory_limit? as f64),
        text: |usage| format!("memory over 90 % of its limit of {} MiB", usage.memory_limit.unwrap_or(0) >> 20),
    },
    Rule {
        by: Pressure::Cpu,
        from: 0.95,
        until: 0.80,
        lasts: Duration::from_secs(60),
        part: |usage| part(f64::from(usage.cpu?), f64::from(usage.cpu_limit?)),
        text: |usage| format!("cpu at its limit of {:.0} % of a core", usage.cpu_limit.unwrap_or(0.0)),
    },
];

fn part(used: f64, limit: f64) -> Option<f64> {
    (limit > 0.0).then(|| used / limit)
}

/// Follows samples.
#[derive(Default)]
pub struct Gauge {
    /// What was over its line at the last sample.
    over: BTreeMap<(Subject, Pressure), Over>,
}

struct Over {
    since: Stamp,
    told: bool,
    text: String,
}

impl Gauge {
    /// Takes a sample.
    pub fn see(&mut self, now: Stamp, subject: &Subject, usage: &InstanceUsage) {
        for rule in &RULES {
            let key = (subject.clone(), rule.by);
            let Some(part) = (rule.part)(usage) else {
                self.over.remove(&key);
                continue;
            };
            let told = self.over.get(&key).is_some_and(|over| over.told);
            if part < if told { rule.until } else { rule.from } {
                self.over.remove(&key);
                continue;
            }
            let text = (rule.text)(usage);
            let over = self.over.entry(key).or_insert(Over { since: now, told: false, text: String::new() });
            over.told |= now.since(over.since) >= rule.lasts;
            over.text = text;
        }
    }

    /// Forgets what is no longer there.
    pub fn keep(&mut self, lives: impl Fn(&Subject) -> bool) {
        self.over.retain(|(subject, _), _| lives(subject));
    }

    /// What needs attention now.
    pub fn pressed(&self) -> Vec<Pressed> {
        let told = self.over.iter().filter(|(_, over)| over.told);
        let pressed = told.map(|((subject, by), over)| Pressed {
            subject: subject.clone(),
            by: *by,
            since: over.since,
            text: over.text.clone(),
        });
        pressed.collect()
    }
}

pub(super) fn memory(view: &View<'_>) -> Vec<Hit> {
    hits(view, Pressure::Memory)
}

pub(super) fn cpu(view: &View<'_>) -> Vec<Hit> {
    hits(view, Pressure::Cpu)
}

/// What presses an instance's container is told of the instance, and what is not ours is not our business.
fn hits(view: &View<'_>, by: Pressure) -> Vec<Hit> {
    let hit = |pressed: &Pressed| match &pressed.subject {
        Subject::Instance(key) => Some(view.hit(key, pressed.text.clone(), pressed.since)),
        Subject::Container(key) => {
            let row = view.snapshot.container(key)?;
            let minded = containers::is_minded(row) && row.owner.instance.is_none();
            minded.then(|| containers::hit(view, row, pressed.text.clone(), pressed.since))
        }
        Subject::Tenant(_) | Subject::Server(_) => None,
    };
    view.conditions.pressed.iter().filter(|pressed| pressed.by == by).filter_map(hit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn subject() -> Subject {
        Subject::Instance("vllm@eaton".parse().unwrap())
    }

    fn memory(percent: u64) -> InstanceUsage {
        let memory = Some(GIB / 100 * percent);
        InstanceUsage { memory, memory_limit: Some(GIB), ..InstanceUsage::default() }
    }

    fn cpu(percent: f32) -> InstanceUsage {
        InstanceUsage { cpu: Some(percent), cpu_limit: Some(200.0), ..InstanceUsage::default() }
    }

    #[test]
    fn it_begins_after_a_while_and_ends_below_the_lower_line() {
        let unlimited = InstanceUsage { memory: Some(GIB), ..InstanceUsage::default() };
        type Samples = Vec<(u64, InstanceUsage, bool)>;
        let cases: Vec<(&str, Samples)> = vec![
            (
                "a peak",
                vec![(0, memory(99), false), (9, memory(99), false), (10, memory(50), false), (20, memory(99), false)],
            ),
            ("a while", vec![(0, memory(91), false), (10, memory(91), true), (11, memory(95), true)]),
            (
                "no flicker",
                vec![(0, memory(91), false), (10, memory(91), true), (11, memory(86), true), (12, memory(91), true)],
            ),
            (
                "over",
                vec![(0, memory(91), false), (10, memory(91), true), (11, memory(84), false), (12, memory(91), false)],
            ),
            ("slow samples", vec![(0, memory(91), false), (60, memory(91), true)]),
            ("the limit is gone", vec![(0, memory(91), false), (10, memory(91), true), (11, unlimited, false)]),
            ("unknown", vec![(0, InstanceUsage::default(), false), (100, InstanceUsage::default(), false)]),
            (
                "cpu",
                vec![(0, cpu(199.0), false), (59, cpu(195.0), false), (60, cpu(195.0), true), (61, cpu(150.0), false)],
            ),
        ];
        for (name, samples) in cases {
            let mut gauge = Gauge::default();
            for (second, usage, expected) in samples {
                gauge.see(Stamp(second * 1000), &subject(), &usage);
                assert_eq!(!gauge.pressed().is_empty(), expected, "{name} at {second} s");
            }
        }
    }

    #[test]
    fn it_says_since_when_and_of_what() {
        let mut gauge = Gauge::default();
        for second in [5, 20, 70] {
            gauge.see(
                Stamp(second * 1000),
                &subject(),
                &InstanceUsage { memory_limit: Some(GIB), memory: Some(GIB), ..cpu(200.0) },
            );
        }
        let said: Vec<_> = gauge.pressed().into_iter().map(|p| (p.by, p.since, p.text)).collect();
        let expected = [
            (Pressure::Memory, Stamp(5000), "memory over 90 % of its limit of 1024 MiB".to_owned()),
            (Pressure::Cpu, Stamp(5000), "cpu at its limit of 200 % of a core".to_owned()),
        ];
        assert_eq!(said, expected);
        gauge.keep(|_| false);
        assert!(gauge.pressed().is_empty());
    }
}
