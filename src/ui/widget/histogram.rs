//! Draws how long calls took: one bar per step, the longest as wide as there is room.

use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::latency::{Histogram, STEPS};
use crate::ui::theme::Role;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Columns of the name and of the count beside a bar.
const NAME: u16 = 8;
const COUNT: u16 = 6;

/// Draws the steps between the fastest and the slowest call; the slowest are kept if there is no room for all.
pub fn draw(look: &Look, frame: &mut Frame, area: Rect, histogram: &Histogram) {
    let Some((first, last)) = histogram.range() else {
        return super::empty(look, frame, area, "no calls yet");
    };
    let room = area.width.saturating_sub(NAME + COUNT + 1);
    let first = first.max((last + 1).saturating_sub(usize::from(area.height)));
    for (y, step) in (area.y..area.bottom()).zip(first..=last) {
        let count = histogram.counts[step];
        let style = look.style(Role::Dim);
        frame.buffer_mut().set_stringn(
            area.x,
            y,
            format!("{:>7}", STEPS[step].1),
            usize::from(NAME.min(area.width)),
            style,
        );
        // A step that holds anything shows at least a sliver.
        let columns = (count * u64::from(room)).div_ceil(histogram.most().max(1)) as usize;
        let bar = (if look.ascii { "#" } else { "█" }).repeat(columns);
        if room > 0 {
            frame.buffer_mut().set_stringn(area.x + NAME, y, bar, usize::from(room), look.style(Role::Graph));
        }
        if area.width > NAME + COUNT {
            let text = format!("{:>6}", fmt::fit(&count.to_string(), usize::from(COUNT), look.ascii));
            frame.buffer_mut().set_stringn(area.right() - COUNT, y, text, usize::from(COUNT), look.style(Role::Text));
        }
    }
}
