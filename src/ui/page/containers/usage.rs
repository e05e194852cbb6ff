//! Usage over time as sparklines: one bar per 5 s, or per step where the history is coarser.

use crate::model::Stamp;
use crate::model::usage::{InstanceUsage, UsageHistory};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::graph;
use ratatui::text::{Line, Span};

/// Milliseconds of one bar: finer ones would move with every reading.
const STEP_MS: u64 = 5_000;
/// Columns before the bars (name and figure), and after them.
const BEFORE: u16 = 13 + 22;
const AFTER: u16 = 17;

/// One line each for cpu, memory, network and block io, and how far back they reach.
pub fn lines(look: &Look, history: &UsageHistory, now: &InstanceUsage, columns: u16) -> Vec<Line<'static>> {
    let bars = usize::from(columns.saturating_sub(BEFORE + AFTER).clamp(8, 90));
    let series = |of: fn(&InstanceUsage) -> Option<f32>| steps(history, of);
    let percent = |v: f32| format!("{v:.1} %");
    let bytes = |v: f32| fmt::bytes(v as u64);
    let per_second = |v: f32| format!("{}/s", fmt::bytes(v as u64));
    let limit = now.memory_limit.map(|l| l as f32);
    let memory = match (now.memory, now.memory_limit) {
        (Some(used), Some(limit)) => format!("{} of {}", fmt::bytes(used), fmt::bytes(limit)),
        (used, _) => known(used.map(|n| n as f32), &bytes),
    };
    let both = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (None, None) => fmt::UNKNOWN.to_owned(),
        (a, b) => format!("{} / {} K/s", fmt::kibibytes(a), fmt::kibibytes(b)),
    };
    let row = |name, figure, values, top, shown| line(look, Series { name, figure, values, top, shown }, bars);
    vec![
        row("cpu", known(now.cpu, &percent), series(|u| u.cpu), None, &percent),
        row("memory", memory, series(|u| u.memory.map(|n| n as f32)), limit, &bytes),
        row("net in/out", both(now.net_in, now.net_out), series(net), None, &per_second),
        row("io rd/wr", both(now.disk_read, now.disk_write), series(io), None, &per_second),
        Line::styled(format!("{:13}{}", "history", reach(history)), look.style(Role::Dim)),
    ]
}

/// One line's content.
struct Series<'a> {
    name: &'static str,
    /// What it is now.
    figure: String,
    values: Vec<f32>,
    /// What a full bar stands for; `None`: the largest value seen.
    top: Option<f32>,
    shown: &'a dyn Fn(f32) -> String,
}

fn reach(history: &UsageHistory) -> String {
    if history.points.is_empty() { "none yet".to_owned() } else { format!("{}, newest right", history.reach) }
}

fn net(usage: &InstanceUsage) -> Option<f32> {
    sum(usage.net_in, usage.net_out)
}

fn io(usage: &InstanceUsage) -> Option<f32> {
    sum(usage.disk_read, usage.disk_write)
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<f32> {
    (a.is_some() || b.is_some()).then(|| a.unwrap_or(0).saturating_add(b.unwrap_or(0)) as f32)
}

fn known(value: Option<f32>, shown: &dyn Fn(f32) -> String) -> String {
    value.map_or_else(|| fmt::UNKNOWN.to_owned(), shown)
}

fn line(look: &Look, series: Series<'_>, bars: usize) -> Line<'static> {
    let dim = look.style(Role::Dim);
    let Series { name, figure, values, top, shown } = series;
    let seen = &values[values.len().saturating_sub(bars)..];
    let most = seen.iter().copied().reduce(f32::max).map(|m| format!("  max {}", shown(m))).unwrap_or_default();
    Line::from(vec![
        Span::styled(format!("{name:<13}"), dim),
        Span::raw(format!("{figure:<20}  ")),
        Span::styled(graph::spark(&values, bars, top, look.ascii), look.style(Role::Graph)),
        Span::styled(most, dim),
    ])
}

/// The mean of each step, oldest first; steps of which nothing is known are left out.
fn steps(history: &UsageHistory, of: fn(&InstanceUsage) -> Option<f32>) -> Vec<f32> {
    let mut out: Vec<(u64, f32, f32)> = Vec::new();
    for (at, value) in history.points.iter().filter_map(|(at, usage): &(Stamp, _)| Some((at.0 / STEP_MS, of(usage)?))) {
        match out.last_mut() {
            Some((step, sum, n)) if *step == at => (*sum, *n) = (*sum + value, *n + 1.0),
            _ => out.push((at, value, 1.0)),
        }
    }
    out.into_iter().map(|(_, sum, n)| sum / n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_the_mean_of_its_five_seconds() {
        let point = |ms: u64, cpu: Option<f32>| (Stamp(ms), InstanceUsage { cpu, ..InstanceUsage::default() });
        let points = vec![
            point(1_000, Some(10.0)),
            point(4_000, Some(20.0)),
            point(5_000, None),
            point(6_000, Some(40.0)),
            point(60_000, Some(50.0)),
        ];
        let history = UsageHistory { points, reach: "1 min by 1 s".into() };
        assert_eq!(steps(&history, |u| u.cpu), [15.0, 40.0, 50.0]);
    }
}
