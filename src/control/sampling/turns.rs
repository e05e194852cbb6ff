//! Whose turn it is: what is on screen every time, the rest a part at a time, each of it now and then. Pure.

use std::collections::BTreeSet;

/// On screen at once, of all consoles together; what is beyond takes its turn with the rest.
const SHOWN: usize = 1024;
/// How much of the rest has its turn each time.
#[derive(Clone, Copy)]
pub struct Part {
    /// One in so many,
    pub of: usize,
    /// and no more than this.
    pub most: usize,
}

/// Goes round all keys in their order.
pub struct Turns<K> {
    last: Option<K>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<K: Ord + Clone> Turns<K> {
    /// Of `all` (sorted): those in `shown`, those that are `new`, and the next part of the rest.
    pub fn next(&mut self, all: &[K], shown: &[K], part: Part, new: impl Fn(&K) -> bool) -> Vec<K> {
        let shown: BTreeSet<&K> = shown.iter().take(SHOWN).collect();
        let (now, rest): (Vec<&K>, Vec<&K>) = all.iter().partition(|key| shown.contains(key));
        let part = rest.len().div_ceil(part.of).min(part.most);
        let from = self.last.as_ref().map_or(0, |last| rest.partition_point(|key| *key <= last));
        let turn: Vec<&K> = rest.iter().cycle().skip(from).take(part).copied().collect();
        if let Some(last) = turn.last() {
            self.last = Some((*last).clone());
        }
        let turn: BTreeSet<&K> = turn.into_iter().collect();
        let fresh = rest.into_iter().filter(|key| !turn.contains(key) && new(key)).take(SHOWN);
        now.into_iter().chain(fresh).chain(turn.iter().copied()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PART: Part = Part { of: 10, most: 256 };

    #[test]
    fn what_is_shown_comes_each_time_and_the_rest_in_turn() {
        let all: Vec<u32> = (0..40).collect();
        let mut turns = Turns::default();
        let mut seen = BTreeSet::new();
        for _ in 0..PART.of {
            let next = turns.next(&all, &[7, 39, 99], PART, |_| false);
            assert!(next.len() <= 2 + 4 && next.starts_with(&[7, 39]), "{next:?}");
            seen.extend(next);
        }
        assert_eq!(seen.len(), 40, "all of them after {} rounds", PART.of);
    }

    #[test]
    fn what_is_new_does_not_wait() {
        let all: Vec<u32> = (0..1000).collect();
        assert_eq!(Turns::default().next(&all, &[], PART, |_| true).len(), 1000);
        assert_eq!(Turns::default().next(&all, &[], PART, |n| *n == 900).len(), 101);
        assert_eq!(Turns::<u32>::default().next(&[], &[1], PART, |_| true), [] as [u32; 0]);
    }

    proptest! {
        #[test]
        fn a_round_is_bounded_and_holds_nothing_twice(
            all in prop::collection::btree_set(0..30_000_u32, 0..6000),
            shown in prop::collection::vec(0..30_000_u32, 0..50),
            rounds in 1..5_usize,
        ) {
            let all: Vec<u32> = all.into_iter().collect();
            let mut turns = Turns::default();
            for _ in 0..rounds {
                let next = turns.next(&all, &shown, PART, |_| false);
                let distinct: BTreeSet<_> = next.iter().collect();
                prop_assert_eq!(distinct.len(), next.len());
                prop_assert!(next.len() <= shown.len() + PART.most);
                prop_assert!(next.iter().all(|key| all.binary_search(key).is_ok()));
            }
        }
    }
}
