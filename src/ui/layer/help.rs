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

/// State of the help.
pub struct Help {
    list: Pick,
}

impl Help {
    pub fn new(cx: &Cx, page: Page) -> Self {
        let mut own: Vec<_> = ROWS.iter().filter(|row| row.on.page(page)).collect();
        // What only this view knows comes first, what every view knows last.
        own.sort_by_key(|row| Page::ALL.into_iter().filter(|p| row.on.page(*p)).count());
        let items = own.into_iter().map(|row| {
            let chords = cx.shared.keymap.chords(row.action).iter().map(Chord::to_string).collect::<Vec<_>>().join(" ");
            Item::new(row.name, chords).with_note(format!("{}  ({})", row.doc, row.name))
        });
        Self {
            list: Pick::new(&format!("Keys in {}: type to search, enter does it", page.title()), items.collect(), None),
        }
    }

    pub fn paste(&mut self, text: &str) {
        self.list.paste(text);
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
