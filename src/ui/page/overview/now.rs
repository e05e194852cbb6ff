//! The platform now: calls, what is in flight and since when, the machine, states.

use crate::model::container::EngineState;
use crate::model::gpu::GpuRow;
use crate::model::{State, TenantId};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::{self, graph};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use std::collections::BTreeMap;

/// Devices with a line of their own.
const DEVICES: usize = 4;

const GIB: f64 = (1_u64 << 30) as f64;

/// Columns of a line's name, and of the number behind it.
const LABEL: usize = 11;
const LOAD: usize = 5;
/// Columns of a sparkline.
const SPARK: usize = 12;
/// Of a GPU's: its customer needs the room.
const SHORT: usize = 5;

/// From this width on its lines stand in two columns.
const TWO_COLUMNS: u16 = 100;

/// Rows it needs to show everything in a pane so wide.
pub fn height(look: &Look, width: u16) -> u16 {
    let lines = lines(look, width).len();
    u16::try_from(if width >= TWO_COLUMNS { lines.div_ceil(2) } else { lines }).unwrap_or(u16::MAX)
}

/// Rows of the GPUs among these; none where there are no GPUs.
pub fn gpu_lines(look: &Look) -> u16 {
    match look.snap.gpus.devices.len() {
        more if more > DEVICES => 1,
        few => few as u16,
    }
}

pub fn draw(look: &Look, frame: &mut Frame, area: Rect) {
    let lines = lines(look, area.width);
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    if area.width < TWO_COLUMNS - 1 {
        return widget::lines(frame, area, &lines);
    }
    let half = area.width / 2;
    let (left, right) = lines.split_at(lines.len().div_ceil(2));
    widget::lines(frame, Rect { width: half, ..area }, left);
    widget::lines(frame, Rect { x: area.x + half, width: area.width - half, ..area }, right);
}

fn lines(look: &Look, width: u16) -> Vec<Line<'static>> {
    let column = usize::from(if width >= TWO_COLUMNS { width / 2 } else { width }).saturating_sub(1);
    let mut lines = vec![calls(look), in_flight(look)];
    lines.extend(gpus(look, column));
    lines.extend([cpu(look), memory(look), states(look)]);
    lines.extend(containers(look));
    lines.extend(problems(look));
    lines.extend(example(look));
    lines
}

fn label(look: &Look, text: &str) -> Span<'static> {
    Span::styled(format!("{text:<LABEL$}"), look.style(Role::Dim))
}

fn calls(look: &Look) -> Line<'static> {
    let totals = &look.snap.totals;
    Line::from(vec![
        label(look, "calls/s"),
        Span::raw(format!("{:>4} ", fmt::rate(totals.rate))),
        Span::styled(graph::spark(&totals.rate_history, SPARK, None, look.ascii), look.style(Role::Graph)),
        Span::raw(format!("  p95 {:>4} ms", fmt::millis(totals.p95_ms))),
    ])
}

/// A platform that hangs must not look calm.
fn in_flight(look: &Look) -> Line<'static> {
    let totals = &look.snap.totals;
    let mut spans = vec![label(look, "in flight"), Span::raw(format!("{:>4} ", totals.in_flight))];
    if let Some(oldest) = totals.oldest {
        let age = look.now.since(oldest);
        let role = if age.as_secs() >= 10 { Role::Warn } else { Role::Text };
        spans.push(Span::styled(format!("oldest {}", fmt::running(age)), look.style(role)));
    }
    Line::from(spans)
}

fn cpu(look: &Look) -> Line<'static> {
    let host = &look.snap.host;
    Line::from(vec![
        label(look, "cpu"),
        Span::raw(format!("{:>4} ", fmt::percent(host.cpu))),
        Span::styled(graph::spark(&host.cpu_history, SPARK, Some(100.0), look.ascii), look.style(Role::Graph)),
        Span::raw(format!("  {} cores", host.cores)),
    ])
}

fn memory(look: &Look) -> Line<'static> {
    let host = &look.snap.host;
    let percent = match (host.memory_used, host.memory_total) {
        (Some(used), Some(total)) if total > 0 => Some(used as f32 * 100.0 / total as f32),
        _ => None,
    };
    let sizes = match (host.memory_used, host.memory_total) {
        (Some(used), Some(total)) => format!("  {:.0} of {:.0} GiB", used as f64 / GIB, total as f64 / GIB),
        _ => String::new(),
    };
    Line::from(vec![
        label(look, "memory"),
        Span::raw(format!("{:>4} ", fmt::percent(percent))),
        Span::styled(graph::gauge(percent.unwrap_or(0.0), SPARK, look.ascii), look.style(Role::Graph)),
        Span::raw(sizes),
    ])
}

/// A line for each device: load, memory, and the customer who holds most of it. Of many, one line for all.
fn gpus(look: &Look, width: usize) -> Vec<Line<'static>> {
    let devices = &look.snap.gpus.devices;
    if devices.len() > DEVICES {
        return vec![all_gpus(look)];
    }
    // A number that is cut is a wrong one: the histories give way, then the name of the customer.
    let longest = devices.iter().map(|device| fmt::width(&held(device))).max().unwrap_or(0);
    let history = LABEL + LOAD + SHORT + longest <= width;
    devices.iter().map(|device| gpu(look, device, history, width)).collect()
}

/// What is not there must not look as if it were.
fn gpu_word(look: &Look) -> &'static str {
    if look.snap.gpus.is_simulated() { "sim gpu" } else { "gpu" }
}

fn gpu(look: &Look, device: &GpuRow, history: bool, width: usize) -> Line<'static> {
    let mut line = Line::from(label(look, &format!("{} {}", gpu_word(look), device.index)));
    if let Some(error) = &device.error {
        line.push_span(Span::styled(error.clone(), look.style(Role::Bad)));
        return line;
    }
    line.push_span(format!("{:>4} ", fmt::percent(device.utilisation.map(|percent| percent as f32))));
    if history {
        let spark = graph::spark(&device.utilisation_history, SHORT, Some(100.0), look.ascii);
        line.push_span(Span::styled(spark, look.style(Role::Graph)));
    }
    line.push_span(fmt::fit(&held(device), width.saturating_sub(line.width()), look.ascii));
    line
}

/// What of its memory is held, and by whom most of it.
fn held(device: &GpuRow) -> String {
    let most = largest(device).map(|(tenant, bytes)| format!("  {tenant} {}", one_decimal(bytes))).unwrap_or_default();
    format!(" {}{most}", sizes(device.memory_used, device.memory_total))
}

fn all_gpus(look: &Look) -> Line<'static> {
    let devices = &look.snap.gpus.devices;
    let lost = devices.iter().filter(|device| device.error.is_some()).count();
    let sum = |of: fn(&GpuRow) -> Option<u64>| devices.iter().filter_map(of).reduce(u64::saturating_add);
    let mut spans = vec![
        label(look, &format!("{}s {}", gpu_word(look), devices.len())),
        Span::raw(format!("{:>4} ", fmt::percent(look.snap.gpus.utilisation()))),
        Span::raw(format!("mean load  {}", sizes(sum(|d| d.memory_used), sum(|d| d.memory_total)))),
    ];
    if lost > 0 {
        spans.push(Span::styled(format!("  {lost} lost"), look.style(Role::Bad)));
    }
    Line::from(spans)
}

/// `58.1/80 GiB`
fn sizes(used: Option<u64>, total: Option<u64>) -> String {
    let used = used.map_or_else(|| fmt::UNKNOWN.to_owned(), one_decimal);
    let total = total.map_or_else(|| fmt::UNKNOWN.to_owned(), |bytes| format!("{:.0}", bytes as f64 / GIB));
    format!("{used:>5}/{total} GiB")
}

fn one_decimal(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / GIB)
}

/// The customer who holds most of a device.
fn largest(device: &GpuRow) -> Option<(TenantId, u64)> {
    let mut held: BTreeMap<&TenantId, u64> = BTreeMap::new();
    for process in device.processes.iter().flatten() {
        if let Some(tenant) = &process.owner.tenant {
            *held.entry(tenant).or_default() += process.memory.unwrap_or(0);
        }
    }
    held.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(tenant, bytes)| (tenant.clone(), bytes))
}

/// How many instances are in which state, as symbol and number; the worst first.
fn states(look: &Look) -> Line<'static> {
    let mut counts: Vec<(State, u32)> = look.snap.totals.states.iter().copied().filter(|(_, n)| *n > 0).collect();
    counts.sort_by_key(|(state, _)| std::cmp::Reverse(state.severity()));
    let mut spans = vec![label(look, "instances")];
    if counts.is_empty() {
        spans.push(Span::styled("none", look.style(Role::Dim)));
    }
    for (state, n) in counts {
        spans.push(Span::styled(
            format!("{}{n} ", state.symbol(false, look.ascii)),
            look.style(Role::of_state(state, false)),
        ));
    }
    Line::from(spans)
}

/// How many run, per engine that there is.
fn containers(look: &Look) -> Option<Line<'static>> {
    let engines: Vec<_> = look.snap.engines.iter().filter(|e| !matches!(e.state, EngineState::Absent { .. })).collect();
    let mut spans = vec![label(look, "containers")];
    for engine in &engines {
        let name = if engines.len() > 1 { format!("{} ", engine.id) } else { String::new() };
        let (text, role) = match &engine.state {
            EngineState::Silent { since, .. } => (format!("silent for {}", look.age(*since)), Role::Warn),
            EngineState::Connecting => ("connecting".to_owned(), Role::Dim),
            _ => {
                let made_up = if engine.is_simulated() { ", simulated" } else { "" };
                (format!("{} of {} running{made_up}", engine.running, engine.containers), Role::Text)
            }
        };
        spans.push(Span::styled(name, look.style(Role::Dim)));
        spans.push(Span::styled(format!("{text}  "), look.style(role)));
    }
    (!engines.is_empty()).then(|| Line::from(spans))
}

fn problems(look: &Look) -> Option<Line<'static>> {
    let totals = &look.snap.totals;
    let text = match (&totals.store_error, totals.dropped_records) {
        (Some(error), _) => format!("store: {error}"),
        (None, 0) => return None,
        (None, n) => format!("{n} call records dropped: the store is slower than the calls"),
    };
    Some(Line::styled(text, look.style(Role::Bad)))
}

fn example(look: &Look) -> Option<Line<'static>> {
    let on = look.snap.platform.example_traffic?;
    let key = look.shared.keymap.shown(crate::ui::action::Action::ExampleTraffic);
    Some(Line::from(vec![
        label(look, "example"),
        Span::raw(if on { "traffic is on, " } else { "traffic is off, " }),
        Span::styled(key, look.style(Role::Key)),
        Span::raw(if on { " turns it off" } else { " turns it on" }),
    ]))
}
