//! Which rows of a list are seen.

use std::cell::Cell;

/// The first row to draw so that `cursor` is among the `height` rows seen; stays where it was if it can. `top` is what
/// drawing remembers of it.
pub fn first_row(top: &Cell<usize>, cursor: usize, height: usize, len: usize) -> usize {
    let height = height.max(1);
    let lowest = (cursor + 1).saturating_sub(height);
    let first = top.get().clamp(lowest, cursor).min(len.saturating_sub(height));
    top.set(first);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_always_seen_and_the_end_is_used() {
        for (top, cursor, height, len, first) in [
            (0, 0, 5, 3, 0),
            (0, 4, 5, 9, 0),
            (0, 5, 5, 9, 1),
            (3, 2, 5, 9, 2),
            (8, 8, 5, 9, 4),
            (4, 0, 0, 0, 0),
            (0, 5, 0, 9, 5),
            (0, 3, 1, 9, 3),
        ] {
            let cell = Cell::new(top);
            assert_eq!(first_row(&cell, cursor, height, len), first, "top {top} cursor {cursor}");
        }
    }
}
