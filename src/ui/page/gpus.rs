//! GPUs: what each does, and whose processes hold its memory. Unknown is `n/a`, never 0.

use super::View;
use crate::control::handle::Interest;
use crate::model::gpu::GpuState;
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look};
use crate::ui::fmt;
use crate::ui::widget;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// State of the view.
#[derive(Default)]
pub struct Gpus;

impl View for Gpus {
    fn sync(&mut self, _cx: &mut Cx) {}

    fn act(&mut self, _action: Action, _cx: &mut Cx) -> bool {
        false
    }

    fn interest(&self) -> Interest {
        Interest { gpus: true, ..Interest::default() }
    }

    fn keys(&self) -> &'static [Action] {
        &[]
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let gpus = &look.snap.gpus;
        let inner = widget::pane(look, frame, area, "GPUs", true);
        match &gpus.state {
            GpuState::Unasked => widget::empty(look, frame, inner, "asking the driver ..."),
            GpuState::Absent(why) => widget::empty(look, frame, inner, why),
            GpuState::Present => {
                let line = |gpu: &crate::model::gpu::GpuRow| {
                    let memory = gpu.memory_used.map_or_else(|| fmt::UNKNOWN.to_owned(), fmt::bytes);
                    Line::from(format!(" gpu {}  {}  {memory}", gpu.index, gpu.name))
                };
                widget::lines(frame, inner, &gpus.devices.iter().map(line).collect::<Vec<_>>());
            }
        }
    }
}
