//! A table of objects: its selection belongs to the object and not to the row; only visible rows are built.
//!
//! Rows are filtered and sorted when they are set (a new snapshot, filter or order), never while drawing.

use crate::model::filter::{Fields, Filter};
use crate::model::gpu::GpuState;
use crate::model::{Snapshot, Stamp};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::fmt;
use crate::ui::layer::pick::Item;
use crate::ui::theme::Role;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::cell::Cell as Shared;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Something that can be a row.
pub trait Row: Fields + Clone + 'static {
    /// What the object is called, for ever.
    type Key: Ord + Clone;

    fn key(&self) -> Self::Key;

    fn columns() -> &'static [Column<Self>];

    /// The row as JSON, for copying.
    fn json(&self) -> String;

    /// What copying the first cell gives, where that is not what stands there.
    fn label(&self) -> Option<String> {
        None
    }

    /// False for lists whose rows explain themselves: no line of titles.
    fn titled() -> bool {
        true
    }

    /// Title of the column whose text goes on below its row while there is room.
    fn wraps() -> Option<&'static str> {
        None
    }

    /// True for a row that shows the past: everything of it is dim.
    fn faded(&self) -> bool {
        false
    }

    /// True for a column that would say the same in every row.
    fn hides(_column: &Column<Self>, _snap: &Snapshot) -> bool {
        false
    }
}

/// One column. Its width does not depend on the rows, so that nothing jumps.
pub struct Column<R> {
    /// Title; also what `sort` calls it.
    pub title: &'static str,
    pub width: Width,
    /// Numbers stand at the right.
    pub right: bool,
    /// Shown in wide mode only.
    pub wide: bool,
    pub cell: fn(&R, &Look) -> Cell,
    /// Order of the rows by this column, what matters most first; `None`: cannot be sorted by it.
    pub order: Option<fn(&R, &R) -> Ordering>,
}

/// Columns of screen: just so many, between two bounds as space allows, or in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Fixed(u16),
    Flex(u16, u16),
    /// So many in a table at least so wide: `(table, columns)`, from the narrowest on.
    Steps(&'static [(u16, u16)]),
}

impl Width {
    fn least(self, table: u16) -> u16 {
        match self {
            Self::Fixed(n) | Self::Flex(n, _) => n,
            Self::Steps(steps) => steps.iter().rev().find(|(from, _)| *from <= table).map_or(0, |(_, n)| *n),
        }
    }
}

/// What stands in a cell.
pub struct Cell {
    pub text: String,
    pub role: Role,
}

impl Cell {
    pub fn new(text: impl Into<String>, role: Role) -> Self {
        Self { text: text.into(), role }
    }

    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Role::Text)
    }

    pub fn dim(text: impl Into<String>) -> Self {
        Self::new(text, Role::Dim)
    }
}

/// State of a table.
pub struct Table<R: Row> {
    rows: Vec<R>,
    /// Rows before the filter.
    total: usize,
    selected: Option<R::Key>,
    /// Where the selection is in `rows`; keeps the place when the object goes.
    cursor: usize,
    filter: Filter,
    filter_text: String,
    /// Column to sort by, and whether the order is turned around.
    sort: Option<usize>,
    reverse: bool,
    marks: BTreeSet<R::Key>,
    /// Where a range of marks began.
    range_from: Option<R::Key>,
    /// First scrolled column after the pinned one.
    skip: usize,
    sort_pick: Option<Token>,
    /// Why the filter leaves nothing, if a value in it is one that no row has.
    hint: Option<String>,
    /// First row and number of rows as last drawn: what drawing learns about the space it has.
    top: Shared<usize>,
    height: Shared<usize>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            total: 0,
            selected: None,
            cursor: 0,
            filter: Filter::default(),
            filter_text: String::new(),
            sort: None,
            reverse: false,
            marks: BTreeSet::new(),
            range_from: None,
            skip: 0,
            sort_pick: None,
            hint: None,
            top: Shared::new(0),
            height: Shared::new(10),
        }
    }
}

impl<R: Row> Table<R> {
    /// Takes new rows in their natural order; filters, sorts, and finds the selected object again.
    pub fn set_rows(&mut self, rows: impl IntoIterator<Item = R>, now: Stamp) {
        let mut rows: Vec<R> = rows.into_iter().collect();
        let total = rows.len();
        if !self.filter.is_empty() {
            let (kept, rest): (Vec<R>, Vec<R>) = rows.into_iter().partition(|row| self.filter.matches(row, now));
            self.hint = self.filter.hint(kept.is_empty(), &rest, now);
            rows = kept;
        }
        if self.sort.is_some() {
            rows.sort_by(|a, b| self.compare(a, b));
        }
        self.set_ordered(rows, total);
    }

    /// Takes rows that are filtered and ordered already (trees), out of `total`.
    pub fn set_ordered(&mut self, rows: Vec<R>, total: usize) {
        self.total = total;
        self.rows = rows;
        let found = self.selected.as_ref().and_then(|key| self.rows.iter().position(|row| row.key() == *key));
        self.set_cursor(found.unwrap_or(self.cursor));
        if !self.marks.is_empty() {
            let alive: BTreeSet<R::Key> = self.rows.iter().map(Row::key).collect();
            self.marks.retain(|key| alive.contains(key));
        }
    }

    /// Order of two rows by the chosen column; equal if none is chosen.
    pub fn compare(&self, a: &R, b: &R) -> Ordering {
        let order = self.sort.and_then(|at| R::columns()[at].order).map_or(Ordering::Equal, |order| order(a, b));
        if self.reverse { order.reverse() } else { order }
    }

    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The filter's text as typed.
    pub fn filter_text(&self) -> &str {
        &self.filter_text
    }

    /// Takes a filter as typed; the last one that reads stays while it does not. Rows must be set again after it.
    pub fn set_filter(&mut self, text: &str) -> Result<(), String> {
        text.clone_into(&mut self.filter_text);
        self.hint = None;
        self.filter = Filter::parse_for::<R>(text).map_err(|e| e.to_string())?;
        Ok(())
    }

    /// What stands in a pane whose filter leaves nothing: that, and which value of it no row has.
    pub fn nothing(&self, what: &str) -> String {
        let hint = self.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
        format!("{what}{hint}; esc clears it")
    }

    /// For rows that are filtered elsewhere (trees): all of them, if the filter leaves none.
    pub fn explain_filter(&mut self, rows: &[R], now: Stamp) {
        self.hint = self.filter.hint(true, rows, now);
    }

    pub fn rows(&self) -> &[R] {
        &self.rows
    }

    pub fn selected(&self) -> Option<&R> {
        self.rows.get(self.cursor)
    }

    /// Marked rows, or the selected one.
    pub fn targets(&self) -> Vec<&R> {
        if self.marks.is_empty() {
            return self.selected().into_iter().collect();
        }
        self.rows.iter().filter(|row| self.marks.contains(&row.key())).collect()
    }

    pub fn clear_marks(&mut self) -> bool {
        self.range_from = None;
        !std::mem::take(&mut self.marks).is_empty()
    }

    /// Selects an object; false if it is not among the rows.
    pub fn select(&mut self, key: &R::Key) -> bool {
        let found = self.rows.iter().position(|row| row.key() == *key);
        if let Some(at) = found {
            self.set_cursor(at);
        } else {
            self.selected = Some(key.clone());
        }
        found.is_some()
    }

    fn set_cursor(&mut self, at: usize) {
        self.cursor = at.min(self.rows.len().saturating_sub(1));
        // An object that is gone (or filtered away) for a moment is not forgotten while nothing takes its place.
        if let Some(row) = self.rows.get(self.cursor) {
            self.selected = Some(row.key());
        }
    }

    /// Rows as last drawn.
    pub fn visible(&self) -> &[R] {
        let top = self.top.get().min(self.rows.len());
        &self.rows[top..(top + self.height.get()).min(self.rows.len())]
    }

    /// Moving, marking, sorting, copying; false for an action that is none of a table's.
    pub fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        let page = self.height.get().max(2) - 1;
        match action {
            Action::Down => self.go(self.cursor + 1),
            Action::Up => self.go(self.cursor.saturating_sub(1)),
            Action::Top => self.go(0),
            Action::Bottom => self.go(usize::MAX),
            Action::PageDown => self.go(self.cursor.saturating_add(page)),
            Action::PageUp => self.go(self.cursor.saturating_sub(page)),
            Action::Left => self.skip = self.skip.saturating_sub(1),
            Action::Right => {
                self.skip = (self.skip + 1).min(shown_columns::<R>(cx.shared.wide, cx.snap).len().saturating_sub(2))
            }
            Action::Mark => self.mark(),
            Action::Range => self.range(),
            Action::Sort => self.choose_order(cx),
            Action::SortReverse => self.reverse = !self.reverse,
            Action::CopyCell | Action::CopyRow => self.copy(action, cx),
            _ => return false,
        }
        true
    }

    fn go(&mut self, to: usize) {
        self.set_cursor(to);
        let Some(from) = self.range_from.clone() else { return };
        let Some(start) = self.rows.iter().position(|row| row.key() == from) else { return };
        let (low, high) = (start.min(self.cursor), start.max(self.cursor));
        self.marks = self.rows[low..=high].iter().map(Row::key).collect();
    }

    fn mark(&mut self) {
        let Some(key) = self.selected().map(Row::key) else { return };
        if !self.marks.remove(&key) {
            self.marks.insert(key);
        }
        self.range_from = None;
        self.set_cursor(self.cursor + 1);
    }

    fn range(&mut self) {
        self.range_from = match self.range_from {
            Some(_) => None,
            None => self.selected().map(Row::key),
        };
        self.go(self.cursor);
    }

    fn choose_order(&mut self, cx: &mut Cx) {
        let natural = std::iter::once(Item::new("", "as it comes"));
        let columns = R::columns().iter().filter(|c| c.order.is_some()).map(|c| Item::new(c.title, c.title));
        self.sort_pick = Some(cx.pick("Sort by", natural.chain(columns).collect()));
    }

    /// The answer to `sort`; true if it was this table's question. Rows must be set again after it.
    pub fn picked(&mut self, token: Token, value: &str) -> bool {
        if self.sort_pick != Some(token) {
            return false;
        }
        self.sort_pick = None;
        self.sort = R::columns().iter().position(|c| c.title == value && c.order.is_some());
        self.reverse = false;
        true
    }

    fn copy(&self, action: Action, cx: &mut Cx) {
        let Some(row) = self.selected() else { return };
        if action == Action::CopyRow {
            return cx.copy(row.json());
        }
        let columns = shown_columns::<R>(cx.shared.wide, cx.snap);
        let at = if self.skip == 0 { 0 } else { self.skip + 1 };
        if let Some(label) = row.label().filter(|_| at == 0) {
            return cx.copy(label);
        }
        let Some(column) = columns.get(at).or(columns.first()) else { return };
        let text = {
            let look = super::super::draw::look(cx.snap, cx.shared);
            (column.cell)(row, &look).text
        };
        cx.copy(text.trim().to_owned());
    }

    /// `12` or, filtered, `3 of 12`; with the marks if there are any.
    pub fn count(&self) -> String {
        let mut text = if self.rows.len() == self.total {
            self.total.to_string()
        } else {
            format!("{} of {}", self.rows.len(), self.total)
        };
        if !self.marks.is_empty() {
            text.push_str(&format!(", {} marked", self.marks.len()));
        }
        if !self.filter_text.is_empty() {
            text.push_str(&format!(" /{}", self.filter_text));
        }
        text
    }

    /// First row to show where `height` rows fit, so that the selected one is among them; remembered for [`Table::visible`].
    pub fn scroll(&self, height: usize) -> usize {
        let highest = self.rows.len().saturating_sub(height);
        let top = self.top.get().clamp((self.cursor + 1).saturating_sub(height), self.cursor).min(highest);
        self.top.set(top);
        self.height.set(height);
        top
    }

    /// Where the selected row stands among the rows.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    pub fn is_marked(&self, row: &R) -> bool {
        !self.marks.is_empty() && self.marks.contains(&row.key())
    }

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
        let mut lines = super::wrap(&text, usize::from(place.width));
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
                cell.text = super::wrap(&cell.text, usize::from(place.width)).swap_remove(0);
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

fn shown_columns<R: Row>(wide: bool, snap: &Snapshot) -> Vec<&'static Column<R>> {
    R::columns().iter().filter(|c| (wide || !c.wide) && !R::hides(c, snap)).collect()
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

/// True for an action after which rows must be set again; moving and marking leave them as they are.
pub fn reorders(action: Action) -> bool {
    action == Action::SortReverse
}

/// Title of the column of GPU memory, which is there only where a GPU is.
pub const GPU: &str = "gpuMiB";

/// Most hold none of it: only what is held is shown.
pub fn gpu(held: Option<u64>) -> Cell {
    held.map_or_else(|| Cell::dim(""), |n| Cell::plain(fmt::mebibytes(Some(n))))
}

/// True for the column of GPU memory where there is no GPU.
pub fn hides_gpu<R>(column: &Column<R>, snap: &Snapshot) -> bool {
    column.title == GPU && snap.gpus.state != GpuState::Present
}

/// Larger first; what is unknown last.
pub fn descending<T: PartialOrd>(a: T, b: T) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}
