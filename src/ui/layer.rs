//! What lies above a view and has the keys: dialogs, palette, help, lists to choose from, the explain overlay.

use super::app::{Cx, Look, Token};
use super::keymap::Chord;
use super::widget;
use crate::model::{Answer, Refusal};
use crossterm::event::KeyEvent;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::Clear;

pub mod confirm;
pub mod explain;
pub mod help;
pub mod palette;
pub mod pick;
pub mod prompt;
pub mod quit;
pub mod shell;
pub mod text;

/// One layer.
pub enum Layer {
    Confirm(confirm::Confirm),
    Quit(quit::QuitDialog),
    Palette(palette::Palette),
    Help(help::Help),
    Explain(explain::Explain),
    Pick(pick::Pick),
    Prompt(prompt::Prompt),
    Shell(shell::ShellDialog),
    /// A text to read.
    Text(text::Reader),
}

/// What becomes of a layer after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Stay,
    Close,
    /// Closes it and hands a value to the view that asked.
    Picked(Token, String),
}

impl Layer {
    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        match self {
            Self::Confirm(l) => l.key(key, cx),
            Self::Quit(l) => l.key(key, cx),
            Self::Palette(l) => l.key(key, cx),
            Self::Help(l) => l.key(key, cx),
            Self::Explain(l) => l.key(key, cx),
            Self::Pick(l) => l.key(key, cx),
            Self::Prompt(l) => l.key(key, cx),
            Self::Shell(l) => l.key(key, cx),
            Self::Text(l) => l.key(key, cx),
        }
    }

    /// Takes a pasted text; false if there is no room for it.
    pub fn paste(&mut self, text: &str) -> bool {
        match self {
            Self::Confirm(l) => l.paste(text),
            Self::Palette(l) => l.paste(text),
            Self::Help(l) => l.paste(text),
            Self::Pick(l) => l.paste(text),
            Self::Prompt(l) => l.paste(text),
            Self::Shell(l) => l.paste(text),
            Self::Quit(_) | Self::Explain(_) | Self::Text(_) => true,
        }
    }

    pub fn answer(&mut self, token: Token, answer: &Result<Answer, Refusal>) {
        match self {
            Self::Confirm(l) => l.answer(token, answer),
            Self::Explain(l) => l.answer(token, answer),
            Self::Quit(l) => l.answer(token, answer),
            _ => {}
        }
    }

    /// Its keys for the key line, and what they do.
    pub fn keys(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Confirm(l) => l.keys(),
            Self::Quit(_) => &[
                ("esc", "stay"),
                ("d", "detach"),
                ("s", "stop everything"),
                ("up down", "choose"),
                ("enter", "take it"),
            ],
            Self::Palette(_) | Self::Help(_) => {
                &[("enter", "do it"), ("up down", "choose"), ("esc", "close"), ("a-z", "narrow")]
            }
            Self::Pick(_) => &[("enter", "choose"), ("up down", "move"), ("esc", "close"), ("a-z", "narrow")],
            Self::Explain(_) => &[("enter", "go there"), ("up down", "move"), ("esc", "close")],
            Self::Prompt(_) => &[("enter", "take it"), ("esc", "leave")],
            Self::Shell(_) => &[("esc", "leave"), ("enter", "open it, once the name is typed")],
            Self::Text(_) => &[("up down", "scroll"), ("esc", "close")],
        }
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        match self {
            Self::Confirm(l) => l.draw(look, frame, area),
            Self::Quit(l) => l.draw(look, frame, area),
            Self::Palette(l) => l.draw(look, frame, area),
            Self::Help(l) => l.draw(look, frame, area),
            Self::Explain(l) => l.draw(look, frame, area),
            Self::Pick(l) => l.draw(look, frame, area),
            Self::Prompt(l) => l.draw(look, frame, area),
            Self::Shell(l) => l.draw(look, frame, area),
            Self::Text(l) => l.draw(look, frame, area),
        }
    }
}

/// Clears a box of at most `width` x `height` in the middle of `area`, draws its frame and returns the inside.
pub fn window(look: &Look, frame: &mut Frame, area: Rect, width: u16, height: u16, title: &str) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    // A window always has its border: nothing else sets it off from what lies below.
    let look = Look { borders: true, ..*look };
    let inner = widget::pane(&look, frame, place, title, true);
    Rect { x: inner.x + u16::from(inner.width > 2), width: inner.width.saturating_sub(2), ..inner }
}

/// True if `key` is the one that opened the layer, held down or pressed again.
pub fn same(key: KeyEvent, opened_by: Option<Chord>) -> bool {
    opened_by == Some(Chord::of(key))
}
