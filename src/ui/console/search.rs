//! A search through an answer, as a value: a large one takes longer than a frame, and is carried out beside the screen.

use super::tree::{Tree, find_in};
use std::ops::Range;
use std::sync::Arc;

/// What is looked for, and in what.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    pub needle: String,
    pub forward: bool,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// From the cursor of a tree.
    Tree(Tree),
    /// A text as it stands: the row that is looked at, which counts only if nothing was found there yet.
    Text { text: Arc<str>, row: Range<usize>, counts: bool },
}

/// Where it is.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// The tree, open there, with its cursor on it.
    Tree(Tree),
    /// Byte of the text.
    At(usize),
    Nothing,
}

impl Search {
    /// Bytes to go through at most.
    pub fn bytes(&self) -> usize {
        match &self.place {
            Place::Tree(tree) => tree.text().len(),
            Place::Text { text, .. } => text.len(),
        }
    }

    /// Finds the next place, round the ends.
    pub fn run(self) -> Found {
        let Self { needle, forward, place } = self;
        match place {
            Place::Tree(mut tree) => match tree.search(&needle, forward) {
                true => Found::Tree(tree),
                false => Found::Nothing,
            },
            Place::Text { .. } if needle.is_empty() => Found::Nothing,
            Place::Text { text, row, counts } => {
                let find = |range, forward| find_in(&text, &needle, range, forward);
                let hit = match forward {
                    true => find(if counts { row.start } else { row.end }..text.len(), true)
                        .or_else(|| find(0..row.end, true)),
                    false => find(0..row.start, false).or_else(|| find(row.start..text.len(), false)),
                };
                hit.map_or(Found::Nothing, Found::At)
            }
        }
    }
}
