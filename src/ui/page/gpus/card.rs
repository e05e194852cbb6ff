//! A card for each device, side by side where there is room.

use super::device::{self, Device, gib, pair, whole};
use crate::model::gpu::{GpuRow, Gpus};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::{self, graph, words};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Least columns of a card.
const LEAST: u16 = 76;
/// Columns of the figures beside the longest graph.
const FIGURES: u16 = 44;
/// A history is so long.
const HISTORY: u16 = 60;

/// How the cards lie.
pub struct Grid<'a> {
    devices: &'a [GpuRow],
    across: u16,
    /// Rows of one card, with its frame.
    each: u16,
}

/// The cards of `gpus` in an area of this width.
pub fn grid(gpus: &Gpus, width: u16) -> Grid<'_> {
    let sliced = gpus.devices.iter().any(|row| row.mig.is_some());
    let count = gpus.devices.len().max(1) as u16;
    Grid { devices: &gpus.devices, across: (width / LEAST).clamp(1, count), each: 5 + u16::from(sliced) }
}

impl Grid<'_> {
    /// Rows that all of them need.
    pub fn height(&self) -> u16 {
        (self.devices.len() as u16).div_ceil(self.across).saturating_mul(self.each)
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect, selected: Option<&Device>) {
        let width = area.width / self.across;
        for (at, row) in self.devices.iter().enumerate() {
            let (down, right) = (at as u16 / self.across, at as u16 % self.across);
            // The last of a row takes what the division left.
            let rest = if right + 1 == self.across { area.width - width * right } else { width };
            let place =
                Rect { x: area.x + right * width, y: area.y + down * self.each, width: rest, height: self.each };
            draw(look, frame, place, row, selected.is_some_and(|device| device.0.index == row.index));
        }
    }
}

fn draw(look: &Look, frame: &mut Frame, area: Rect, row: &GpuRow, selected: bool) {
    let (state, role) = device::state(row, look);
    let title = words::title(look, &format!("GPU {}", row.index), &[row.name.clone(), state.clone()]);
    let inner = widget::pane(look, frame, area, &title, selected);
    // The state keeps its colour in the title.
    if let Some(at) = title.find(&state).map(|at| fmt::width(&title[..at]) as u16 + 2) {
        let spot = Rect { x: area.x + at, y: area.y, width: fmt::width(&state) as u16, height: 1 };
        if spot.right() < area.right() {
            frame.buffer_mut().set_style(spot, look.style(role));
        }
    }
    if let Some(error) = &row.error {
        return widget::empty(look, frame, inner, error);
    }
    let wide = inner.width.saturating_sub(FIGURES).clamp(10, HISTORY);
    let mut lines = vec![load(look, row, wide), memory(look, row, wide), clocks(look, row, wide)];
    lines.extend(row.mig.as_ref().map(|_| slices(look, row)));
    widget::lines(frame, inner, &lines);
}

/// A name and its figure, the graph, and what stands beside it: everything keeps its place.
fn line(look: &Look, name: &str, figure: String, graph: String, rest: String) -> Line<'static> {
    Line::from(vec![
        Span::styled(format!(" {name:<7}"), look.style(Role::Dim)),
        Span::raw(format!("{figure:>4} ")),
        Span::styled(graph, look.style(Role::Graph)),
        Span::raw(format!("  {rest}")),
    ])
}

fn load(look: &Look, row: &GpuRow, wide: u16) -> Line<'static> {
    let degrees = if look.ascii { "C" } else { "°C" };
    let rest = format!(
        "{:>7} W  {:>6} {degrees}",
        pair(whole(row.power), whole(row.power_cap)),
        pair(whole(row.temperature), whole(row.temperature_limit))
    );
    let graph = graph::spark(&row.utilisation_history, wide.into(), Some(100.0), look.ascii);
    line(look, "load", fmt::percent(row.utilisation.map(|percent| percent as f32)), graph, rest)
}

fn memory(look: &Look, row: &GpuRow, wide: u16) -> Line<'static> {
    let rest = format!("{:>5}/{} GiB  free {:>5}", gib(row.memory_used), gib(row.memory_total), gib(row.memory_free));
    let percent = row.memory_percent();
    let graph = match percent {
        Some(percent) => graph::gauge(percent, wide.into(), look.ascii),
        None => " ".repeat(wide.into()),
    };
    line(look, "memory", fmt::percent(percent), graph, rest)
}

fn clocks(look: &Look, row: &GpuRow, wide: u16) -> Line<'static> {
    let why = device::trouble(row);
    let role = match why.as_str() {
        "none" | fmt::UNKNOWN => Role::Dim,
        _ => Role::Warn,
    };
    let clocks = format!("{:>9} MHz", pair(whole(row.clock), whole(row.clock_max)));
    let memory = format!("  memory {:>4} MHz", whole(row.memory_clock));
    let clocks = fmt::fit(&format!("{clocks}{memory}"), usize::from(wide) + 5, look.ascii);
    let gap = " ".repeat((usize::from(wide) + 5).saturating_sub(fmt::width(&clocks)));
    Line::from(vec![
        Span::styled(" clock  ", look.style(Role::Dim)),
        Span::raw(format!("{clocks}{gap}  ")),
        Span::styled("slowed by ", look.style(Role::Dim)),
        Span::styled(why, look.style(role)),
    ])
}

fn slices(look: &Look, row: &GpuRow) -> Line<'static> {
    let slices = row.mig.iter().flatten();
    let each = slices.map(|slice| format!("{}/{}", gib(slice.memory_used), gib(slice.memory_total)));
    let each: Vec<String> = each.collect();
    let text = if each.is_empty() { "on, no slice".to_owned() } else { format!("{} GiB", each.join("  ")) };
    Line::from(vec![Span::styled(" MIG    ", look.style(Role::Dim)), Span::raw(text)])
}
