//! The keys of the current view, from the action table; typing searches.

use super::Next;
use super::pick::{Item, Pick};
use crate::ui::action::{Action, ROWS};
use crate::ui::app::{After, Cx, Look};
use crate::ui::keymap::Chord;
use crate::ui::page::Page;
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

/// Columns for what is pressed; few need more.
const CHORDS: usize = 10;

/// State of the help.
pub struct Help {
    list: Pick,
}

impl Help {
    /// The keys of a view; those that its key line would show come first.
    pub fn new(cx: &Cx, page: Page, useful: &[Action]) -> Self {
        let mut own: Vec<_> = ROWS.iter().filter(|row| row.on.page(page)).collect();
        own.sort_by_key(|row| {
            let place = useful.iter().position(|action| *action == row.action).unwrap_or(useful.len());
            // Then what only this view knows; last what every view knows.
            (place, Page::ALL.into_iter().filter(|p| row.on.page(*p)).count())
        });
        let items = own.into_iter().map(|row| {
            let chords = cx.shared.keymap.chords(row.action).iter().map(Chord::to_string).collect::<Vec<_>>().join(" ");
            Item::new(row.name, chords).with_note(format!("{}  ({})", row.doc, row.name))
        });
        let title = format!("Keys in {}: type to search, enter does it", page.title());
        Self { list: Pick::new(&title, items.collect(), None).with_labels(CHORDS) }
    }

    pub fn paste(&mut self, text: &str) -> bool {
        self.list.paste(text)
    }

    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        match key.code {
            KeyCode::Esc => Next::Close,
            KeyCode::Enter => {
                cx.after.extend(self.list.current().and_then(|item| Action::named(&item.value)).map(After::Act));
                Next::Close
            }
            _ => {
                self.list.browse(key);
                Next::Stay
            }
        }
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        self.list.draw(look, frame, area);
    }
}
