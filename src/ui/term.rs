//! The terminal: raw mode and back, whatever happens; frames out as one write each; copying.

use base64::Engine;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{TerminalOptions, Viewport};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Alternate screen, no cursor, pastes in brackets.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[2J";
/// The way back, in reverse; colours and attributes as they were.
const LEAVE: &[u8] = b"\x1b[?1006l\x1b[?1000l\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l";
const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";

/// Frames larger than this are shown at once where the terminal knows how (synchronised output).
const SYNCHRONISE_ABOVE: usize = 512;

/// Most bytes of a text that OSC 52 may carry; several terminals drop longer ones without a word.
pub const MAX_COPY: usize = 74_000;

/// The terminal as it was, kept where a panic can find it.
struct Before {
    tty: File,
    modes: Termios,
    entered: bool,
}

/// A terminal that is whole again when this is dropped, and when the screen's thread panics.
#[derive(Clone)]
pub struct Tty {
    before: Arc<Mutex<Before>>,
    mouse: bool,
}

impl Tty {
    /// The controlling terminal, still as it is.
    pub fn open(mouse: bool) -> io::Result<Self> {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let modes = tcgetattr(&tty)?;
        Ok(Self { before: Arc::new(Mutex::new(Before { tty, modes, entered: false })), mouse })
    }

    /// Another descriptor of it.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.lock().tty.try_clone()?.into())
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        match tcgetwinsize(&self.lock().tty) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        }
    }

    /// True once it hung up.
    pub fn is_gone(&self) -> bool {
        tcgetattr(&self.lock().tty).is_err()
    }

    /// Takes the terminal over.
    pub fn enter(&self) -> io::Result<()> {
        let mut before = self.lock();
        let mut raw = before.modes.clone();
        raw.make_raw();
        before.entered = true;
        tcsetattr(&before.tty, OptionalActions::Drain, &raw)?;
        before.tty.write_all(ENTER)?;
        if self.mouse {
            before.tty.write_all(MOUSE)?;
        }
        Ok(())
    }

    /// Gives it back as it was; harmless if it was given back before. Errors are those of a terminal that is gone.
    pub fn leave(&self) {
        let mut before = self.lock();
        if std::mem::take(&mut before.entered) {
            let _ = before.tty.write_all(LEAVE);
            let _ = tcsetattr(&before.tty, OptionalActions::Now, &before.modes);
        }
    }

    /// Gives the screen to somebody else and keeps the terminal raw: every key goes on as it is. `enter` takes it back.
    pub fn hand_over(&self) -> io::Result<()> {
        self.lock().tty.write_all(LEAVE)
    }

    /// What frames are drawn on.
    pub fn terminal(&self) -> io::Result<Terminal<CrosstermBackend<Out>>> {
        let out = Out { tty: self.lock().tty.try_clone()?, buffer: Vec::with_capacity(16 << 10) };
        let (width, height) = self.size();
        // A fixed viewport: the size is ours to tell, nobody opens /dev/tty for it at each frame.
        let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
        Terminal::with_options(CrosstermBackend::new(out), TerminalOptions { viewport })
    }

    /// Sends bytes past the frames.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.lock().tty.write_all(bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Before> {
        // A panic while it was held changes nothing about what the terminal was.
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects a frame and writes it in one go.
pub struct Out {
    tty: File,
    buffer: Vec<u8>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let frame = std::mem::take(&mut self.buffer);
        // ratatui resets colours and hides the cursor after every frame, changed or not; what moves the cursor (`H`), or
        // clears (`J`), has something to show.
        let result = if !frame.iter().any(|b| matches!(b, b'H' | b'J')) {
            Ok(())
        } else if frame.len() > SYNCHRONISE_ABOVE {
            self.tty.write_all(&[b"\x1b[?2026h", frame.as_slice(), b"\x1b[?2026l"].concat())
        } else {
            self.tty.write_all(&frame)
        };
        self.buffer = frame;
        self.buffer.clear();
        result
    }
}

/// The bytes that put `text` on the clipboard of the terminal in front of the operator: OSC 52, wrapped for tmux or screen.
/// `None` if it is too long for that.
pub fn osc52(text: &str, tmux: bool, screen: bool) -> Option<Vec<u8>> {
    if text.len() > MAX_COPY {
        return None;
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    let plain = format!("\x1b]52;c;{encoded}\x07");
    Some(if tmux {
        format!("\x1bPtmux;{}\x1b\\", plain.replace('\x1b', "\x1b\x1b")).into_bytes()
    } else if screen {
        // screen forgets strings longer than 768 bytes: they travel in pieces.
        plain.as_bytes().chunks(700).flat_map(|piece| [b"\x1bP", piece, b"\x1b\\"].concat()).collect()
    } else {
        plain.into_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_wrapped_for_what_stands_between() {
        assert_eq!(osc52("hi", false, false).unwrap(), b"\x1b]52;c;aGk=\x07");
        assert_eq!(osc52("hi", true, false).unwrap(), b"\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\");
        assert_eq!(osc52("hi", false, true).unwrap(), b"\x1bP\x1b]52;c;aGk=\x07\x1b\\");
        assert_eq!(osc52(&"x".repeat(MAX_COPY + 1), false, false), None);
    }
}
