//! A table of objects: its selection belongs to the object and not to the row; only visible rows are built.
//!
//! Rows are filtered and sorted when they are set (a new snapshot, filter or order), never while drawing.

mod column;
mod draw;

pub use column::{Cell, Column, GPU, Width, descending, gpu, hides_gpu};

use crate::model::filter::{Fields, Filter};
use crate::model::{Snapshot, Stamp};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Token};
use crate::ui::layer::pick::Item;
use column::shown_columns;
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
}

/// True for an action after which rows must be set again; moving and marking leave them as they are.
pub fn reorders(action: Action) -> bool {
    action == Action::SortReverse
}
