//! Bytes of a terminal -> keys and pastes. Pure, without a clock: whoever reads says when a lone escape is a key.
//!
//! We read the terminal ourselves: crossterm 0.29 never returns from `read` at the end of input and burns a core, and its
//! reader cannot be parked while an editor has the terminal.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Longest paste taken, in bytes; the rest of it is dropped and said so.
pub const MAX_PASTE: usize = 1 << 20;

/// Longest escape sequence; what is longer is noise.
const MAX_SEQUENCE: usize = 64;

/// Longest string that a terminal says by itself (a colour, its version); what is longer is noise.
const MAX_STRING: usize = 4096;

/// What an unfinished sequence waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It may be a key as it is: soon nothing more will come.
    Key,
    /// No person types this: the rest is on its way, however slow the line.
    Rest,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    Key(KeyEvent),
    /// A pasted text, and how many of its bytes were dropped.
    Paste(String, usize),
}

/// Collects bytes until they are something.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    paste: Option<(Vec<u8>, usize)>,
}

/// What the front of the buffer is: so many bytes, and what they mean.
enum Front {
    Incomplete,
    Took(usize, Option<KeyEvent>),
    PasteBegins(usize),
}

impl Decoder {
    /// Takes bytes; returns everything that is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        self.buffer.extend_from_slice(bytes);
        let mut out = Vec::new();
        loop {
            if self.paste.is_some() {
                match self.take_paste() {
                    Some(paste) => out.push(paste),
                    None => return out,
                }
            }
            match front(&self.buffer) {
                Front::Incomplete => return out,
                Front::Took(n, key) => {
                    self.buffer.drain(..n);
                    out.extend(key.map(Typed::Key));
                }
                Front::PasteBegins(n) => {
                    self.buffer.drain(..n);
                    self.paste = Some((Vec::new(), 0));
                }
            }
        }
    }

    /// What waits for more, if something does.
    pub fn waits(&self) -> Option<Wait> {
        match (&self.paste, self.buffer.as_slice()) {
            (Some(_), _) | (None, []) => None,
            (None, [_] | [0x1b, _]) => Some(Wait::Key),
            (None, _) => Some(Wait::Rest),
        }
    }

    /// Nothing followed in time: what waits is what it is. `ESC [` alone is alt-[; a torn sequence is nothing.
    pub fn settle(&mut self) -> Vec<Typed> {
        let key = match std::mem::take(&mut self.buffer).as_slice() {
            [0x1b] => plain(KeyCode::Esc),
            [0x1b, c] => KeyEvent::new(KeyCode::Char(char::from(*c)), KeyModifiers::ALT),
            _ => return Vec::new(),
        };
        vec![Typed::Key(key)]
    }

    fn take_paste(&mut self) -> Option<Typed> {
        const END: &[u8] = b"\x1b[201~";
        let end = self.buffer.windows(END.len()).position(|w| w == END);
        // What could be the beginning of the end stays in the buffer.
        let upto = end.unwrap_or_else(|| self.buffer.len().saturating_sub(END.len() - 1));
        let (text, dropped) = self.paste.as_mut()?;
        let room = MAX_PASTE.saturating_sub(text.len()).min(upto);
        text.extend_from_slice(&self.buffer[..room]);
        *dropped += upto - room;
        self.buffer.drain(..upto + end.map_or(0, |_| END.len()));
        end?;
        let (text, dropped) = self.paste.take()?;
        let text = String::from_utf8_lossy(&text).replace("\r\n", "\n").replace('\r', "\n");
        Some(Typed::Paste(text, dropped))
    }
}

fn plain(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn front(bytes: &[u8]) -> Front {
    match bytes {
        [] => Front::Incomplete,
        [0x1b] | [0x1b, b'[' | b'O' | b']' | b'P' | b'_'] => Front::Incomplete,
        [0x1b, b'[', rest @ ..] => csi(rest),
        [0x1b, c @ (b']' | b'P' | b'_'), rest @ ..] => string(*c, rest),
        [0x1b, b'O', c, ..] => Front::Took(3, ss3(*c)),
        // Two escapes: the first was a key.
        [0x1b, 0x1b, ..] => Front::Took(1, Some(plain(KeyCode::Esc))),
        [0x1b, rest @ ..] => match one(rest) {
            Front::Took(n, key) => {
                Front::Took(n + 1, key.map(|k| KeyEvent::new(k.code, k.modifiers | KeyModifiers::ALT)))
            }
            other => other,
        },
        bytes => one(bytes),
    }
}

/// What follows `ESC ]`, `ESC P` or `ESC _`: something that the terminal says, up to BEL or `ESC \\`. It is nobody's key.
fn string(begun: u8, rest: &[u8]) -> Front {
    let Some(end) = rest.iter().position(|b| matches!(b, 0x07 | 0x1b)) else {
        return if rest.len() > MAX_STRING { Front::Took(rest.len() + 2, None) } else { Front::Incomplete };
    };
    match (rest[end], rest.get(end + 1)) {
        (0x07, _) => Front::Took(end + 3, None),
        (_, Some(b'\\')) => Front::Took(end + 4, None),
        (_, None) => Front::Incomplete,
        // Another sequence: there was no string after all.
        (_, Some(_)) if end == 0 => {
            Front::Took(2, Some(KeyEvent::new(KeyCode::Char(char::from(begun)), KeyModifiers::ALT)))
        }
        (_, Some(_)) => Front::Took(end + 2, None),
    }
}

/// A single character or control code.
fn one(bytes: &[u8]) -> Front {
    let Some(first) = bytes.first().copied() else { return Front::Incomplete };
    let ctrl = |c: u8| Some(KeyEvent::new(KeyCode::Char(char::from(c)), KeyModifiers::CONTROL));
    match first {
        b'\r' | b'\n' => Front::Took(1, Some(plain(KeyCode::Enter))),
        b'\t' => Front::Took(1, Some(plain(KeyCode::Tab))),
        0x7f | 0x08 => Front::Took(1, Some(plain(KeyCode::Backspace))),
        0 => Front::Took(1, ctrl(b' ')),
        0x01..=0x1a => Front::Took(1, ctrl(first - 1 + b'a')),
        0x1b..=0x1f => Front::Took(1, None),
        _ => character(bytes),
    }
}

fn character(bytes: &[u8]) -> Front {
    let wanted = match bytes[0] {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return Front::Took(1, None),
    };
    let Some(piece) = bytes.get(..wanted) else { return Front::Incomplete };
    match std::str::from_utf8(piece).ok().and_then(|s| s.chars().next()) {
        Some(c) => Front::Took(wanted, Some(plain(KeyCode::Char(c)))),
        None => Front::Took(1, None),
    }
}

fn ss3(c: u8) -> Option<KeyEvent> {
    letter(c).map(plain)
}

/// The key that a final letter means.
fn letter(c: u8) -> Option<KeyCode> {
    Some(match c {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'M' => KeyCode::Enter,
        b'Z' => KeyCode::BackTab,
        b'P' => KeyCode::F(1),
        b'Q' => KeyCode::F(2),
        b'R' => KeyCode::F(3),
        b'S' => KeyCode::F(4),
        _ => return None,
    })
}

/// What follows `ESC [`.
fn csi(rest: &[u8]) -> Front {
    // The Linux console's F1 to F5: ESC [ [ A.
    if rest.first() == Some(&b'[') {
        return match rest.get(1) {
            None => Front::Incomplete,
            Some(c @ b'A'..=b'E') => Front::Took(4, Some(plain(KeyCode::F(c - b'A' + 1)))),
            Some(_) => Front::Took(4, None),
        };
    }
    let Some(end) = rest.iter().position(|b| (0x40..=0x7e).contains(b)) else {
        return if rest.len() > MAX_SEQUENCE { Front::Took(rest.len() + 2, None) } else { Front::Incomplete };
    };
    let length = end + 3;
    let Ok(text) = std::str::from_utf8(&rest[..end]) else { return Front::Took(length, None) };
    let mut parts = text.split(';');
    let first = parts.next().unwrap_or("");
    let (modifiers, kind) = modifiers(parts.next().unwrap_or(""));
    let number = first.split(':').next().and_then(|n| n.parse::<u32>().ok());
    let code = match (rest[end], number) {
        (b'~', Some(200)) => return Front::PasteBegins(length),
        (b'~', Some(n)) => numbered(n),
        (b'u', Some(n)) => char::from_u32(n).map(named_char),
        // An old mouse report has three more bytes.
        (b'M', None) if first.is_empty() => {
            return if rest.len() < 4 { Front::Incomplete } else { Front::Took(length + 3, None) };
        }
        // `ESC [ 24 ; 80 R` is where a cursor is, not F3.
        (c @ (b'A'..=b'H' | b'P'..=b'S' | b'Z'), None | Some(1)) => letter(c),
        _ => None,
    };
    Front::Took(length, code.map(|code| KeyEvent::new_with_kind(code, modifiers, kind)))
}

fn named_char(c: char) -> KeyCode {
    match c {
        '\r' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\x1b' => KeyCode::Esc,
        '\x7f' => KeyCode::Backspace,
        c => KeyCode::Char(c),
    }
}

/// `2` (shift), `5:2` (ctrl, repeated): one more than the bits of the modifiers, then the kind.
fn modifiers(text: &str) -> (KeyModifiers, KeyEventKind) {
    let mut parts = text.split(':');
    let bits = parts.next().and_then(|n| n.parse::<u8>().ok()).unwrap_or(1).saturating_sub(1);
    let mut out = KeyModifiers::NONE;
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        if bits & bit != 0 {
            out |= modifier;
        }
    }
    let kind = match parts.next() {
        Some("2") => KeyEventKind::Repeat,
        Some("3") => KeyEventKind::Release,
        _ => KeyEventKind::Press,
    };
    (out, kind)
}

fn numbered(n: u32) -> Option<KeyCode> {
    Some(match n {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F((n - 10) as u8),
        17..=21 => KeyCode::F((n - 11) as u8),
        23 | 24 => KeyCode::F((n - 12) as u8),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::keymap::Chord;
    use proptest::prelude::*;

    fn typed(bytes: &[u8]) -> String {
        let mut decoder = Decoder::default();
        let mut all = decoder.feed(bytes);
        all.extend(decoder.settle());
        let word = |t: &Typed| match t {
            Typed::Key(key) => Chord::of(*key).to_string(),
            Typed::Paste(text, dropped) => format!("paste({text:?},{dropped})"),
        };
        all.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn bytes_are_keys() {
        for (bytes, keys) in [
            (&b"aG \r\t\x7f"[..], "a G space enter tab backspace"),
            (b"\x12\x1a", "ctrl-r ctrl-z"),
            (b"\x1b[A\x1bOB\x1b[1;5C", "up down ctrl-right"),
            (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~\x1b[Z", "pageup pagedown home end backtab"),
            (b"\x1bOP\x1b[15~\x1b[24~\x1b[[B", "F1 F5 F12 F2"),
            (b"\x1b", "esc"),
            (b"\x1b\x1b", "esc esc"),
            (b"\x1bx", "alt-x"),
            ("日é".as_bytes(), "日 é"),
            (b"\xff\xfea", "a"),
            (b"\x1b[<0;10;5Ma\x1b[M abb", "a b"),
            (b"\x1b[97;5u", "ctrl-a"),
            (b"\x1b[200~one\rtwo\x1b[201~j", "paste(\"one\\ntwo\",0) j"),
            (b"\x1b[?62;c", ""),
            (b"\x1b[24;80R", ""),
            (b"\x1b[1;2R\x1b[R", "shift-F3 F3"),
            (b"\x1b]11;rgb:1616/1818/1d1d\x1b\\a\x1b]4;1;rgb:0/0/0\x07b", "a b"),
            (b"\x1bP>|tmux 3.4\x1b\\\x1b_Gi=1;OK\x1b\\j", "j"),
            (b"\x1b]", "alt-]"),
            (b"\x1bP\x1bP", "alt-P alt-P"),
            (b"\x1b[24;", ""),
        ] {
            assert_eq!(typed(bytes), keys, "{bytes:?}");
        }
    }

    #[test]
    fn pieces_are_put_together() {
        let whole = b"\x1b[1;5Aj\x1b[200~a b\x1b[201~\x1b]11;rgb:1/1/1\x1b\\\xe6\x97\xa5";
        let mut all = Vec::new();
        let mut decoder = Decoder::default();
        for byte in whole {
            all.extend(decoder.feed(&[*byte]));
        }
        assert_eq!(all, Decoder::default().feed(whole));
        assert_eq!(decoder.waits(), None);
    }

    #[test]
    fn only_what_may_be_a_key_settles_soon() {
        let waits = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.feed(bytes);
            decoder.waits()
        };
        for (bytes, wait) in [
            (&b"\x1b"[..], Some(Wait::Key)),
            (b"\x1b[", Some(Wait::Key)),
            (b"\x1b[24;", Some(Wait::Rest)),
            (b"\x1b]11;rgb:16", Some(Wait::Rest)),
            (b"\x1b[200~half a paste", None),
            (b"j", None),
        ] {
            assert_eq!(waits(bytes), wait, "{bytes:?}");
        }
    }

    #[test]
    fn a_long_paste_is_cut_and_counted() {
        let mut bytes = b"\x1b[200~".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', MAX_PASTE + 10));
        bytes.extend(b"\x1b[201~");
        let out = Decoder::default().feed(&bytes);
        assert!(matches!(&out[..], [Typed::Paste(text, 10)] if text.len() == MAX_PASTE));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            for piece in bytes.chunks(7) {
                decoder.feed(piece);
            }
            decoder.settle();
            prop_assert!(decoder.buffer.is_empty());
        }
    }
}
