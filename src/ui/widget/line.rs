//! One line of text with a cursor.

use crate::model::usage::bytes;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation;

/// Longest text in bytes; more is not taken.
const MAX: usize = 4096;

/// Why a pasted text was not taken, for whoever pasted it. Half of it would be nobody's wish.
pub fn no_room(pasted: &str) -> String {
    let pasted = bytes(pasted.len() as u64);
    format!("{pasted} were pasted and a line has room for {}: none of it was taken", bytes(MAX as u64))
}

/// A line being edited; the cursor stands before the byte `at`, on a grapheme boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineEdit {
    text: String,
    at: usize,
}

impl LineEdit {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), at: text.len() }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before and after the cursor.
    pub fn split(&self) -> (&str, &str) {
        self.text.split_at(self.at)
    }

    /// Puts text in at the cursor; control characters become spaces. False, and nothing is taken, if there is no room.
    pub fn insert(&mut self, text: &str) -> bool {
        if self.text.len() + text.len() > MAX {
            return false;
        }
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.text.insert_str(self.at, &clean);
        self.at += clean.len();
        true
    }

    /// Takes a key; false if it is none of editing.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if ctrl => {
                self.text.drain(..self.at);
                self.at = 0;
            }
            KeyCode::Char('w') if ctrl => {
                let head = self.text[..self.at].trim_end();
                let start = head.rfind(' ').map_or(0, |space| space + 1);
                self.text.drain(start..self.at);
                self.at = start;
            }
            KeyCode::Char(_) if ctrl || key.modifiers.contains(KeyModifiers::ALT) => return false,
            KeyCode::Char(c) => drop(self.insert(c.encode_utf8(&mut [0; 4]))),
            KeyCode::Backspace => {
                let start = self.before();
                self.text.drain(start..self.at);
                self.at = start;
            }
            KeyCode::Delete => {
                let end = self.after();
                self.text.drain(self.at..end);
            }
            KeyCode::Left => self.at = self.before(),
            KeyCode::Right => self.at = self.after(),
            KeyCode::Home => self.at = 0,
            KeyCode::End => self.at = self.text.len(),
            _ => return false,
        }
        true
    }

    fn before(&self) -> usize {
        self.text[..self.at].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.text[self.at..].graphemes(true).next().map_or(self.at, |g| self.at + g.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::keymap::parse_keys;

    #[test]
    fn keys_edit_the_line() {
        for (before, keys, after) in [
            ("", "a b c", "abc|"),
            ("etim", "<left> <left> x", "etx|im"),
            ("one two", "<ctrl-w>", "one |"),
            ("one two", "<home> <delete>", "|ne two"),
            ("e\u{301}x", "<backspace> <backspace>", "|"),
            ("日本", "<left> <backspace> 電", "電|本"),
            ("abc", "<ctrl-u> z", "z|"),
        ] {
            let mut line = LineEdit::new(before);
            for key in parse_keys(keys).unwrap() {
                assert!(line.key(key), "{keys}");
            }
            let (head, tail) = line.split();
            assert_eq!(format!("{head}|{tail}"), after, "{before} {keys}");
        }
    }

    #[test]
    fn pasted_control_characters_become_spaces() {
        let mut line = LineEdit::default();
        assert!(line.insert("a\n\x1bb"));
        assert_eq!(line.text(), "a  b");
    }

    #[test]
    fn what_has_no_room_is_not_taken_at_all() {
        let mut line = LineEdit::new("abc");
        assert!(!line.insert(&"x".repeat(MAX - 2)) && line.insert(&"y".repeat(MAX - 4)));
        assert_eq!((line.text().len(), line.text().contains('x')), (MAX - 1, false));
        assert_eq!(
            no_room(&"x".repeat(5000)),
            "4.9 KiB were pasted and a line has room for 4.0 KiB: none of it was taken"
        );
    }
}
