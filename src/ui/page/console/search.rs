//! Searching the answer in whatever form it stands there: tree, text, or comparison.

use super::{Console, Shown};
use crate::ui::console::tree;

impl Console {
    /// True if the answer stands there as text: asked for, or because there is no tree (yet).
    pub(super) fn shows_raw(&self) -> bool {
        let tree = self.exchange.as_ref().map(|exchange| &exchange.answer);
        self.shown == Shown::Raw || tree.is_some_and(|tree| tree.is_unread() || tree.error.is_some())
    }

    pub(super) fn find(&mut self, forward: bool) -> bool {
        let needle = self.search.clone();
        match self.shown {
            Shown::Compared => self.find_compared(&needle, forward),
            _ if self.shows_raw() => self.find_raw(&needle, forward),
            _ => self.exchange.as_mut().is_some_and(|exchange| exchange.answer.search(&needle, forward)),
        }
    }

    /// The next row of the raw answer that holds it, round the ends.
    fn find_raw(&mut self, needle: &str, forward: bool) -> bool {
        let Some(text) = self.exchange.as_ref().map(|exchange| exchange.answer.text()) else { return false };
        if needle.is_empty() {
            return false;
        }
        let columns = self.tops.width.get().max(1);
        let here = (self.scroll * columns).min(text.len());
        let next = (here + columns).min(text.len());
        let find = |range, forward| tree::find_in(text, needle, range, forward);
        let hit = match forward {
            // The first row counts until a search has been there.
            true => find(if self.found { next } else { here }..text.len(), true).or_else(|| find(0..next, true)),
            false => find(0..here, false).or_else(|| find(here..text.len(), false)),
        };
        self.found = hit.is_some();
        self.scroll = hit.map_or(self.scroll, |at| at / columns);
        self.found
    }

    fn find_compared(&mut self, needle: &str, forward: bool) -> bool {
        let (here, count) = (self.scroll, self.compared.len());
        let holds = |at: &usize| {
            let text = &self.compared[*at].1;
            !needle.is_empty() && tree::find_in(text, needle, 0..text.len(), true).is_some()
        };
        let mut round = (1..=count).map(|step| if forward { here + step } else { here + count - step } % count.max(1));
        let hit = round.find(holds);
        self.scroll = hit.unwrap_or(here);
        hit.is_some()
    }
}
