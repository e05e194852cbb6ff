//! The view Servers.

use super::View;
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look};
use ratatui::Frame;
use ratatui::layout::Rect;

/// State of the view.
#[derive(Default)]
pub struct Servers {}

impl View for Servers {
    fn sync(&mut self, _cx: &mut Cx) {}

    fn act(&mut self, _action: Action, _cx: &mut Cx) -> bool {
        false
    }

    fn keys(&self) -> &'static [Action] {
        &[]
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        crate::ui::widget::empty(look, frame, area, "nothing here yet");
    }
}
