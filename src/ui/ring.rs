//! A bounded, numbered sequence with a filtered view: the newest rows of a stream. Imports nothing of ours.

use std::collections::VecDeque;

/// Rows in order of arrival, at most so many and so many bytes; the oldest go first and are counted.
#[derive(Debug)]
pub struct Ring<T> {
    rows: VecDeque<(T, usize)>,
    /// Number of the oldest row kept; numbers are never used again.
    first: u64,
    /// Numbers of the rows that the filter lets through, ascending.
    shown: VecDeque<u64>,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
    /// Rows that went because the ring was full.
    pub dropped: u64,
}

impl<T> Ring<T> {
    pub fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self { rows: VecDeque::new(), first: 0, shown: VecDeque::new(), bytes: 0, max_rows, max_bytes, dropped: 0 }
    }

    /// Appends a row of so many bytes; `shown` is what the filter says of it.
    pub fn push(&mut self, row: T, bytes: usize, shown: bool) {
        if shown {
            self.shown.push_back(self.end());
        }
        self.rows.push_back((row, bytes));
        self.bytes += bytes;
        while self.rows.len() > self.max_rows || (self.bytes > self.max_bytes && self.rows.len() > 1) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((_, bytes)) = self.rows.pop_front() else { return };
        self.bytes -= bytes;
        self.first += 1;
        self.dropped += 1;
        if self.shown.front().is_some_and(|number| *number < self.first) {
            self.shown.pop_front();
        }
    }

    /// Applies another filter to what is kept.
    pub fn refilter(&mut self, keep: impl Fn(&T) -> bool) {
        let first = self.first;
        self.shown = (first..).zip(&self.rows).filter(|(_, (row, _))| keep(row)).map(|(number, _)| number).collect();
    }

    /// Forgets everything; numbers go on.
    pub fn clear(&mut self) {
        self.first = self.end();
        self.rows.clear();
        self.shown.clear();
        (self.bytes, self.dropped) = (0, 0);
    }

    /// The number the next row will have.
    pub fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// Rows kept, shown or not.
    pub fn kept(&self) -> usize {
        self.rows.len()
    }

    /// Rows shown.
    pub fn len(&self) -> usize {
        self.shown.len()
    }

    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    pub fn get(&self, number: u64) -> Option<&T> {
        self.rows.get(usize::try_from(number.checked_sub(self.first)?).ok()?).map(|(row, _)| row)
    }

    /// The row shown at a position, with its number.
    pub fn at(&self, position: usize) -> Option<(u64, &T)> {
        let number = *self.shown.get(position)?;
        Some((number, self.get(number)?))
    }

    /// Where a number stands among the rows shown, or where it would.
    pub fn position(&self, number: u64) -> usize {
        self.shown.partition_point(|n| *n < number)
    }

    /// Rows shown, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.shown.iter().filter_map(|number| self.get(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let mut ring = Ring::new(3, 100);
        for n in 0..5 {
            ring.push(n, 1, n % 2 == 0);
        }
        assert_eq!((ring.kept(), ring.dropped, ring.iter().copied().collect::<Vec<_>>()), (3, 2, vec![2, 4]));
        assert_eq!((ring.at(1), ring.position(3), ring.get(1)), (Some((4, &4)), 1, None));
        ring.push(9, 99, true);
        assert_eq!((ring.kept(), ring.dropped), (2, 4));
        ring.refilter(|n| *n > 4);
        assert_eq!(ring.len(), 1);
    }

    proptest! {
        #[test]
        fn positions_and_numbers_agree(rows in proptest::collection::vec((0usize..9, any::<bool>()), 0..60)) {
            let mut ring = Ring::new(20, 60);
            for (bytes, shown) in rows {
                ring.push(shown, bytes, shown);
                for position in 0..ring.len() {
                    let (number, row) = ring.at(position).unwrap();
                    prop_assert!(*row);
                    prop_assert_eq!(ring.position(number), position);
                }
                prop_assert!(ring.kept() <= 20);
            }
        }
    }
}
