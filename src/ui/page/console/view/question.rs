//! A server's question in the request pane: who asks what, the form of the answer, and what can be said.

use super::super::{Console, Stop};
use crate::ui::action::Action;
use crate::ui::app::Look;
use crate::ui::console::question::{Question, Verdict};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget;
use crate::ui::widget::json_tree::clean;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Lines of the question that stand above the form; all of it is read with `e`.
const LINES: usize = 6;

impl Console {
    pub(super) fn draw_question(&self, look: &Look, frame: &mut Frame, area: Rect, question: &Question) {
        let columns = usize::from(area.width);
        let who =
            self.asker().map(|(server, tenant)| format!("{server} asks, in the call as {tenant}")).unwrap_or_default();
        let text = question.text.lines().flat_map(|line| widget::wrap(&clean(line), columns));
        let text: Vec<String> = text.take(LINES.min(usize::from(area.height / 2))).collect();
        let mut lines = vec![Line::styled(format!("{who}: {}", question.method), look.style(Role::Notice))];
        lines.extend(text.into_iter().map(|line| Line::styled(line, look.style(Role::Text))));
        widget::lines(frame, area, &lines);
        let y = area.y + (lines.len() as u16).min(area.height);
        let left = area.bottom().saturating_sub(y);
        if left < 2 {
            return;
        }
        self.draw_rule(look, frame, Rect { y, height: 1, ..area });
        self.draw_body(look, frame, Rect { y: y + 1, height: left - 2, ..area });
        self.draw_verdicts(look, frame, Rect { y: area.bottom() - 1, height: 1, ..area });
    }

    fn draw_verdicts(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let mut x = area.x;
        for verdict in Verdict::ALL {
            let key = match verdict {
                Verdict::Accept => look.shared.keymap.shown(Action::Send),
                Verdict::Decline => String::new(),
                Verdict::Dismiss => "esc".to_owned(),
            };
            let button = format!("[ {} ]", format!("{} {key}", verdict.word()).trim_end());
            let width = (fmt::width(&button) as u16).min(area.right().saturating_sub(x));
            let place = Rect { x, width, ..area };
            frame.buffer_mut().set_stringn(x, area.y, &button, usize::from(width), look.style(Role::Key));
            if self.is_at(Stop::Verdict(verdict)) {
                frame.buffer_mut().set_style(place, self.selection(look));
            }
            x = (x + width + 2).min(area.right());
        }
    }
}
