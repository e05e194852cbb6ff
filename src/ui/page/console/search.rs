//! Searching the answer in whatever form it stands there: tree, text, or comparison.

use super::{Console, Shown};
use crate::model::message::Level;
use crate::ui::app::{Cx, Token};
use crate::ui::console::exchange::READ_AT_ONCE;
use crate::ui::console::search::{Found, Place, Search};
use crate::ui::console::tree;
use crate::ui::fmt;

impl Console {
    /// True if the answer stands there as text: asked for, or because there is no tree (yet).
    pub(super) fn shows_raw(&self) -> bool {
        self.shown == Shown::Raw || self.tree().is_some_and(|tree| tree.is_unread() || tree.error.is_some())
    }

    /// Whether the next place was found; `None`: it is looked for beside the screen, [`Self::take_search`] ends it.
    pub(super) fn find(&mut self, forward: bool, cx: &mut Cx) -> Option<bool> {
        if self.shown == Shown::Compared {
            return Some(self.find_compared(forward));
        }
        let Some(search) = self.search(forward) else { return Some(false) };
        let bytes = search.bytes();
        if bytes <= READ_AT_ONCE {
            return Some(self.show_found(search.run()));
        }
        cx.notice(Level::Info, format!("searching {}", fmt::bytes(bytes as u64)));
        self.searching = Some(cx.search(search));
        None
    }

    /// What a search beside the screen found, unless a key came since.
    pub(super) fn take_search(&mut self, token: Token, found: Found, cx: &mut Cx) {
        if self.searching != Some(token) {
            return;
        }
        self.searching = None;
        match self.show_found(found) {
            true => cx.notice(Level::Info, format!("found `{}`", self.search)),
            false => cx.notice(Level::Warn, format!("nothing in the answer holds `{}`", self.search)),
        }
    }

    fn search(&self, forward: bool) -> Option<Search> {
        let answer = self.tree()?;
        let place = match self.shows_raw() {
            true => {
                let (text, columns) = (answer.text().clone(), self.tops.width.get().max(1));
                let here = (self.scroll * columns).min(text.len());
                Place::Text { row: here..(here + columns).min(text.len()), text, counts: !self.found }
            }
            false => Place::Tree(answer.clone()),
        };
        Some(Search { needle: self.search.clone(), forward, place })
    }

    fn show_found(&mut self, found: Found) -> bool {
        match found {
            Found::Nothing => {
                self.found = false;
                return false;
            }
            Found::At(byte) => {
                self.found = true;
                self.scroll = byte / self.tops.width.get().max(1);
            }
            Found::Tree(tree) => {
                if let Some(shown) = self.tree_mut() {
                    *shown = tree;
                }
            }
        }
        true
    }

    fn find_compared(&mut self, forward: bool) -> bool {
        let lines = self.compared.as_ref().and_then(|compared| compared.lines.as_deref().ok()).unwrap_or_default();
        let (here, count) = (self.scroll, lines.len());
        let needle = &self.search;
        let holds = |at: &usize| {
            let text = &lines[*at].1;
            !needle.is_empty() && tree::find_in(text, needle, 0..text.len(), true).is_some()
        };
        let mut round = (1..=count).map(|step| if forward { here + step } else { here + count - step } % count.max(1));
        let hit = round.find(holds);
        self.scroll = hit.unwrap_or(here);
        hit.is_some()
    }
}
