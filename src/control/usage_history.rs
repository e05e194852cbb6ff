//! Usage over the last 15 minutes, in a bounded number of bytes: by the second for what was looked at, thinned for the
//! rest. Pure; must never import a task or a clock.

use crate::model::Stamp;
use crate::model::usage::{InstanceUsage, Subject, UsageHistory};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// How far back it reaches.
const SPAN: Duration = Duration::from_secs(15 * 60);
/// Bytes of all histories together.
const CAP: usize = 4 << 20;
/// Without a sample for so long nobody knows what was: the machine slept, or the thing was not there.
const GAP: u32 = 120 * SECOND;
/// Time is counted in tenths of a second.
const SECOND: u32 = 10;
/// The steps that points are merged to, finest first. What is looked at has the finest.
const STEPS: [u32; 3] = [SECOND, 10 * SECOND, 60 * SECOND];
/// Points that a series grows by.
const GROWTH: usize = 16;
/// Bytes of a series without its points: its name twice over, as hash tables have room to spare.
const SERIES: usize = 2 * (size_of::<Subject>() + size_of::<Series>()) + 64;

/// Usage of everything over time.
pub struct Histories {
    cap: usize,
    bytes: usize,
    /// Time is counted from here.
    base: Option<Stamp>,
    series: HashMap<Subject, Series>,
}

#[derive(Default)]
struct Series {
    /// Oldest first.
    points: VecDeque<Point>,
    /// The step of new points: an index of [`STEPS`].
    level: usize,
    /// When it was last looked at.
    looked: u32,
    /// The newest; they seldom change.
    memory_limit: Option<u64>,
    cpu_limit: Option<f32>,
}

/// Values over `span` that ends at `end`; NaN is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    end: u32,
    span: u32,
    values: [f32; VALUES],
}

const VALUES: usize = 8;

impl Default for Histories {
    fn default() -> Self {
        Self::with_cap(CAP)
    }
}

impl Histories {
    fn with_cap(cap: usize) -> Self {
        Self { cap, bytes: 0, base: None, series: HashMap::new() }
    }

    /// Takes a sample; it stands for the time since the last one.
    pub fn record(&mut self, now: Stamp, subject: &Subject, usage: &InstanceUsage, looked_at: bool) {
        let base = *self.base.get_or_insert(Stamp(now.0.saturating_sub(millis(SPAN))));
        let Some(now) = tenths(now, base) else { return };
        if !self.series.contains_key(subject) {
            self.series.insert(subject.clone(), Series::default());
            self.bytes += SERIES;
        }
        let Some(series) = self.series.get_mut(subject) else { return };
        let before = series.bytes();
        if looked_at {
            (series.level, series.looked) = (0, now);
        }
        series.add(now, usage);
        self.bytes = self.bytes - before + series.bytes();
        if self.bytes > self.cap {
            self.relieve(now);
        }
    }

    /// What is known of a subject; empty if nothing is.
    pub fn of(&self, subject: &Subject) -> UsageHistory {
        let (Some(series), Some(base)) = (self.series.get(subject), self.base) else { return UsageHistory::default() };
        let stamp = |tenth: u32| Stamp(base.0 + u64::from(tenth) * 100);
        let mut points = Vec::with_capacity(series.points.len() + 1);
        let mut covered = None;
        for point in &series.points {
            if covered.is_some_and(|end| end < point.begin()) {
                points.push((stamp(point.begin()), InstanceUsage::default()));
            }
            points.push((stamp(point.end), series.usage(point)));
            covered = Some(point.end);
        }
        UsageHistory {
            reach: format!("{} ({} of {} KiB for all)", series.reach(), self.bytes >> 10, self.cap >> 10),
            points,
        }
    }

    /// Thins, and drops if that is not enough, until an eighth is free: first what was looked at longest ago.
    fn relieve(&mut self, now: u32) {
        let target = self.cap - self.cap / 8;
        let expired = |series: &Series| series.points.back().is_none_or(|p| p.end + tenths_of(SPAN) < now);
        self.series.retain(|_, series| !expired(series));
        let mut order: Vec<_> = self.series.iter().map(|(subject, s)| (s.looked, subject.clone())).collect();
        order.sort_unstable_by_key(|(looked, _)| *looked);
        self.bytes = self.series.values().map(|s| s.bytes() + SERIES).sum();
        for level in 1..STEPS.len() {
            for (_, subject) in &order {
                if self.bytes <= target {
                    return;
                }
                if let Some(series) = self.series.get_mut(subject) {
                    let before = series.bytes();
                    series.thin(level);
                    self.bytes = self.bytes - before + series.bytes();
                }
            }
        }
        for (_, subject) in order {
            if self.bytes <= target {
                return;
            }
            let freed = self.series.remove(&subject).map_or(0, |series| series.bytes() + SERIES);
            self.bytes -= freed;
        }
    }
}

impl Series {
    fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
    }

    fn add(&mut self, now: u32, usage: &InstanceUsage) {
        (self.memory_limit, self.cpu_limit) = (usage.memory_limit, usage.cpu_limit);
        if self.points.back().is_some_and(|last| last.end >= now + GAP) {
            // The clock was set back: what lies ahead cannot be.
            self.points.clear();
        }
        let oldest = now.saturating_sub(tenths_of(SPAN));
        while self.points.front().is_some_and(|point| point.end < oldest) {
            self.points.pop_front();
        }
        let last = self.points.back().map(|last| last.end).filter(|end| now.saturating_sub(*end) <= GAP);
        let span = last.map_or(SECOND, |end| now.saturating_sub(end));
        if span == 0 {
            return;
        }
        self.push(Point { end: now, span, values: values(usage) }, STEPS[self.level]);
    }

    /// Adds a point, or merges it into the newest one if both fit into one step.
    fn push(&mut self, point: Point, step: u32) {
        match self.points.back_mut() {
            Some(last) if last.end == point.begin() && last.span + point.span <= step => *last = last.and(point),
            _ => {
                if self.points.len() == self.points.capacity() {
                    self.points.reserve_exact(GROWTH);
                }
                self.points.push_back(point);
            }
        }
    }

    fn thin(&mut self, level: usize) {
        self.level = self.level.max(level);
        for point in std::mem::take(&mut self.points) {
            self.push(point, STEPS[level]);
        }
        self.points.shrink_to_fit();
    }

    fn usage(&self, point: &Point) -> InstanceUsage {
        let known = |at: usize| Some(point.values[at]).filter(|v| !v.is_nan());
        let whole = |at: usize| known(at).map(|v| v as u64);
        InstanceUsage {
            cpu: known(0),
            cpu_limit: self.cpu_limit,
            memory: whole(1),
            memory_limit: self.memory_limit,
            pids: known(2).map(|v| v.round() as u32),
            net_in: whole(3),
            net_out: whole(4),
            disk_read: whole(5),
            disk_write: whole(6),
            gpu_memory: whole(7),
        }
    }

    /// `15 min by 1 to 10 s`
    fn reach(&self) -> String {
        let (Some(first), Some(last)) = (self.points.front(), self.points.back()) else { return "nothing".to_owned() };
        let seconds = |tenths: u32| tenths.div_ceil(SECOND).max(1);
        let length = match seconds(last.end - first.begin()) {
            s if s < 120 => format!("{s} s"),
            s => format!("{} min", s / 60),
        };
        let spans = || self.points.iter().map(|point| seconds(point.span));
        match (spans().min().unwrap_or(1), spans().max().unwrap_or(1)) {
            (fine, coarse) if fine == coarse => format!("{length} by {fine} s"),
            (fine, coarse) => format!("{length} by {fine} to {coarse} s"),
        }
    }
}

impl Point {
    fn begin(&self) -> u32 {
        self.end.saturating_sub(self.span)
    }

    /// Both as one: means over the time of both; where only one knows, it speaks for both.
    fn and(self, next: Self) -> Self {
        let (a, b) = (self.span as f32, next.span as f32);
        let mean = |at: usize| match (self.values[at], next.values[at]) {
            (x, y) if x.is_nan() => y,
            (x, y) if y.is_nan() => x,
            (x, y) => (x * a + y * b) / (a + b),
        };
        Self { end: next.end, span: self.span + next.span, values: std::array::from_fn(mean) }
    }
}

fn values(usage: &InstanceUsage) -> [f32; VALUES] {
    let whole = |value: Option<u64>| value.map_or(f32::NAN, |v| v as f32);
    [
        usage.cpu.unwrap_or(f32::NAN),
        whole(usage.memory),
        usage.pids.map_or(f32::NAN, |n| n as f32),
        whole(usage.net_in),
        whole(usage.net_out),
        whole(usage.disk_read),
        whole(usage.disk_write),
        whole(usage.gpu_memory),
    ]
}

fn tenths(now: Stamp, base: Stamp) -> Option<u32> {
    u32::try_from(now.0.checked_sub(base.0)? / 100).ok()
}

fn tenths_of(span: Duration) -> u32 {
    u32::try_from(millis(span) / 100).unwrap_or(u32::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "usage_history_tests.rs"]
mod tests;
