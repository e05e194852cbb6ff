//! How a table is drawn: which columns fit, its head, and the rows that are visible.

use super::column::{Column, Width, shown_columns};
use super::{Row, Table};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::wrap;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

impl<R: Row> Table<R> {
    /// Draws head and visible rows.
    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect, focused: bool) {
        if area.height == 0 || area.width == 0 {
            return;
        }
        let head = u16::from(area.height > 1 && R::titled());
        let body = Rect { y: area.y + head, height: area.height - head, ..area };
        let height = usize::from(body.height);
        let top = self.scroll(height);
        let layout = self.layout(look, area.width);
        let buffer = frame.buffer_mut();
        if head == 1 {
            self.draw_head(look, buffer, area, &layout);
        }
        // Room beyond one line a row goes to the texts that need it, the first rows first.
        let mut spare = height.saturating_sub(self.rows.len());
        let mut y = body.y;
        for (at, row) in self.rows.iter().enumerate().skip(top).take(height) {
            let below = self.below(look, row, &layout, spare);
            spare -= below.len();
            let line = Rect { y, height: 1, ..body };
            self.draw_row(look, buffer, line, &layout, row, (at == self.cursor, focused), !below.is_empty());
            y += 1;
            for (place, text) in below {
                let style = look.style(if row.faded() { Role::Dim } else { Role::Text });
                buffer.set_stringn(body.x + place.x, y, text, usize::from(place.width), style);
                y += 1;
            }
        }
    }

    /// What the wrapped column of a row says on the lines below it; nothing if not all of it fits `spare` lines.
    fn below<'p>(&self, look: &Look, row: &R, layout: &'p [Place<R>], spare: usize) -> Vec<(&'p Place<R>, String)> {
        let Some(place) = layout.iter().find(|place| Some(place.column.title) == R::wraps()) else { return Vec::new() };
        let text = (place.column.cell)(row, look).text;
        let mut lines = wrap(&text, usize::from(place.width));
        if lines.len() > spare + 1 {
            return Vec::new();
        }
        lines.drain(1..).map(|line| (place, line)).collect()
    }

    /// Lines that all rows take in a table so wide, if no text of them is to be cut.
    pub fn lines_wanted(&self, look: &Look, width: u16) -> usize {
        let layout = self.layout(look, width);
        self.rows.iter().map(|row| 1 + self.below(look, row, &layout, usize::MAX - 1).len()).sum()
    }

    fn draw_head(&self, look: &Look, buffer: &mut Buffer, area: Rect, layout: &[Place<R>]) {
        for place in layout {
            let sorted = self.sort.is_some_and(|at| R::columns()[at].title == place.column.title);
            let arrow = match (sorted, self.reverse, look.ascii) {
                (false, ..) => "",
                (true, false, false) => "▾",
                (true, true, false) => "▴",
                (true, false, true) => "v",
                (true, true, true) => "^",
            };
            let title = format!("{}{arrow}", place.column.title);
            let spot = Rect { x: area.x + place.x, width: place.width, height: 1, ..area };
            put(buffer, spot, &title, look.style(Role::Dim), place.column.right, look.ascii);
        }
        let hidden = shown_columns::<R>(look.shared.wide, look.snap).len() > layout.len() + self.skip;
        if hidden && area.width > 10 {
            let mark = if look.ascii { ">" } else { "›" };
            // In the border, where there is one: the last title is not cut.
            let outside = u16::from(look.borders && area.right() < buffer.area.right());
            buffer.set_string(area.right() - 1 + outside, area.y, mark, look.style(Role::Key));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one row needs its place, its rank and its content")]
    fn draw_row(
        &self,
        look: &Look,
        buffer: &mut Buffer,
        line: Rect,
        layout: &[Place<R>],
        row: &R,
        (chosen, focused): (bool, bool),
        wrapped: bool,
    ) {
        let marked = self.is_marked(row);
        if marked {
            buffer.set_string(line.x, line.y, if look.ascii { "*" } else { "▌" }, look.style(Role::Mark));
        }
        for place in layout {
            let mut cell = (place.column.cell)(row, look);
            if wrapped && R::wraps() == Some(place.column.title) {
                cell.text = wrap(&cell.text, usize::from(place.width)).swap_remove(0);
            }
            let role = if row.faded() { Role::Dim } else { cell.role };
            let style = look.style(if marked { Role::Mark } else { role });
            let spot = Rect { x: line.x + place.x, width: place.width, ..line };
            put(buffer, spot, &cell.text, style, place.column.right, look.ascii);
            self.highlight(look, buffer, spot, place, &cell.text);
        }
        if chosen {
            buffer.set_style(line, look.style(if focused { Role::Selection } else { Role::SelectionIdle }));
        }
    }

    fn highlight(&self, look: &Look, buffer: &mut Buffer, spot: Rect, place: &Place<R>, text: &str) {
        if self.filter.is_empty() || place.column.right {
            return;
        }
        for range in self.filter.highlights(text) {
            let (Some(before), Some(found)) = (text.get(..range.start), text.get(range.clone())) else { continue };
            let start = fmt::width(before).min(usize::from(place.width));
            let wide = fmt::width(found).min(usize::from(place.width) - start);
            buffer.set_style(Rect { x: spot.x + start as u16, width: wide as u16, ..spot }, look.style(Role::Match));
        }
    }

    /// Which columns stand where: the first is pinned, `skip` are scrolled away, flexible ones share what is left.
    fn layout(&self, look: &Look, width: u16) -> Vec<Place<R>> {
        let all = shown_columns::<R>(look.shared.wide, look.snap);
        let mut places: Vec<Place<R>> = Vec::new();
        let mut x = 1;
        for (at, column) in all.iter().enumerate() {
            if at > 0 && at <= self.skip {
                continue;
            }
            let least = column.width.least(width);
            let room = width.saturating_sub(x);
            if least > room && !places.is_empty() {
                break;
            }
            let least = least.min(room);
            places.push(Place { column, x, width: least });
            x += least + 1;
        }
        let mut spare = (width + 1).saturating_sub(x);
        // A column more for each flexible one in turn, until there is none or all have enough.
        while spare > 0 {
            let before = spare;
            for place in &mut places {
                let most = if let Width::Flex(_, most) = place.column.width { most } else { 0 };
                if spare > 0 && place.width < most {
                    place.width += 1;
                    spare -= 1;
                }
            }
            if spare == before {
                break;
            }
        }
        let mut x = 1;
        for place in &mut places {
            place.x = x;
            x += place.width + 1;
        }
        places
    }
}

/// A column with its place on screen, relative to the table.
struct Place<R: 'static> {
    column: &'static Column<R>,
    x: u16,
    width: u16,
}

fn put(buffer: &mut Buffer, spot: Rect, text: &str, style: Style, right: bool, ascii: bool) {
    let (x, y, columns) = (spot.x, spot.y, usize::from(spot.width));
    let used = fmt::width(text);
    if used > columns {
        buffer.set_stringn(x, y, fmt::fit(text, columns, ascii), columns, style);
    } else {
        let shift = if right { columns - used } else { 0 };
        buffer.set_stringn(x + shift as u16, y, text, used, style);
    }
}
