//! Columns of tables: their widths, what stands in a cell, and orders that many columns share.

use super::Row;
use crate::model::Snapshot;
use crate::model::gpu::GpuState;
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use std::cmp::Ordering;

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
    pub(super) fn least(self, table: u16) -> u16 {
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

/// Those that are on screen, in wide mode or not.
pub(super) fn shown_columns<R: Row>(wide: bool, snap: &Snapshot) -> Vec<&'static Column<R>> {
    R::columns().iter().filter(|c| (wide || !c.wide) && !R::hides(c, snap)).collect()
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
