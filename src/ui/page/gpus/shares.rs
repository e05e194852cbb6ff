//! What each customer holds, over all devices.

use super::device::gib;
use crate::model::gpu::{self, GpuShare, NO_CUSTOMER};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::{self, graph};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

fn name(share: &GpuShare) -> &str {
    share.tenant.as_ref().map_or(NO_CUSTOMER, |tenant| tenant.as_str())
}

/// For a title: `eaton 61.2 GiB`, the largest first.
pub fn words(look: &Look) -> Vec<String> {
    let memory = |share: &GpuShare| share.memory.map_or_else(|| fmt::UNKNOWN.to_owned(), gpu::gib);
    look.snap.gpus.tenants.iter().map(|share| format!("{} {}", name(share), memory(share))).collect()
}

/// A pane with a line for each.
pub fn draw(look: &Look, frame: &mut Frame, area: Rect) {
    let inner = widget::pane(look, frame, area, "By customer, GiB", false);
    let gpus = &look.snap.gpus;
    if gpus.tenants.is_empty() {
        return widget::empty(look, frame, inner, "nobody holds GPU memory");
    }
    let total: u64 = gpus.devices.iter().filter_map(|device| device.memory_total).sum();
    let line = |share: &GpuShare| {
        let percent = share.memory.map_or(0.0, |bytes| bytes as f32 * 100.0 / total.max(1) as f32);
        let role = if share.tenant.is_some() { Role::Text } else { Role::Dim };
        Line::from(vec![
            Span::styled(format!(" {:<16}", fmt::fit(name(share), 16, look.ascii)), look.style(role)),
            Span::raw(format!("{:>6} ", gib(share.memory))),
            Span::styled(graph::gauge(percent, 12, look.ascii), look.style(Role::Graph)),
        ])
    };
    widget::lines(frame, inner, &gpus.tenants.iter().map(line).collect::<Vec<_>>());
}
