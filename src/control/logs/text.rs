//! From bytes on stderr to clean lines: split, cut, without control characters, never faster than a reader can bear.

use super::Logs;
use crate::model::InstanceKey;
use crate::model::message::{Level, LogSource, LogTarget};
use crate::model::text::is_direction;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// Longer lines are cut.
const LINE_BYTES: usize = 16 << 10;
/// Lines a second that are kept for long, and at once. More are read (the child never waits for us) and dropped.
const LINES_A_SECOND: f64 = 1000.0;
const BURST: f64 = 2000.0;
/// How often a flood is mentioned.
const MENTION: Duration = Duration::from_secs(1);

/// Reads until the end. A child that floods is drained all the same.
pub async fn pump(mut reader: impl AsyncRead + Unpin, logs: Arc<Logs>, key: InstanceKey) {
    let mut lines = Lines::default();
    let mut flood = Flood::new(Instant::now());
    let mut buffer = vec![0; 16 << 10];
    let target = LogTarget::Instance(key.clone());
    loop {
        let read = reader.read(&mut buffer).await.unwrap_or(0);
        let now = Instant::now();
        let mut keep = |bytes: &[u8], cut: bool| {
            if flood.admits(now) {
                let text = clean(bytes, cut);
                logs.push(&target, LogSource::Stderr, guess_level(&text), text);
            }
        };
        match read {
            0 => lines.finish(&mut keep),
            n => lines.feed(&buffer[..n], &mut keep),
        }
        if let Some(dropped) = flood.mention(now, read == 0) {
            logs.say(&key, Level::Warn, flood_text(dropped));
        }
        if read == 0 {
            return;
        }
        // A flood must not keep its worker thread from others.
        tokio::task::yield_now().await;
    }
}

/// Splits at line feeds.
#[derive(Default)]
struct Lines {
    part: Vec<u8>,
    /// The line under way is longer than allowed: the rest of it is skipped.
    cut: bool,
}

impl Lines {
    fn feed(&mut self, mut bytes: &[u8], keep: &mut impl FnMut(&[u8], bool)) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.add(&bytes[..end]);
            self.finish(keep);
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES - self.part.len();
        self.part.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }

    fn finish(&mut self, keep: &mut impl FnMut(&[u8], bool)) {
        let line = self.part.strip_suffix(b"\r").unwrap_or(&self.part);
        if !line.is_empty() {
            keep(line, self.cut);
        }
        self.part.clear();
        self.cut = false;
    }
}

/// A bucket of lines that may be kept.
pub(super) struct Flood {
    tokens: f64,
    filled: Instant,
    dropped: u64,
    mentioned: Instant,
}

impl Flood {
    pub(super) fn new(now: Instant) -> Self {
        Self { tokens: BURST, filled: now, dropped: 0, mentioned: now }
    }

    pub(super) fn admits(&mut self, now: Instant) -> bool {
        self.tokens = (self.tokens + LINES_A_SECOND * (now - self.filled).as_secs_f64()).min(BURST);
        self.filled = now;
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        } else {
            self.dropped += 1;
        }
        admitted
    }

    /// How many were dropped, if it is time to say so.
    pub(super) fn mention(&mut self, now: Instant, last: bool) -> Option<u64> {
        if self.dropped == 0 || !(last || now - self.mentioned >= MENTION) {
            return None;
        }
        self.mentioned = now;
        Some(std::mem::take(&mut self.dropped))
    }
}

pub(super) fn flood_text(dropped: u64) -> String {
    format!("{dropped} lines dropped: it wrote more than {LINES_A_SECOND} lines a second")
}

/// Text without control characters and escape sequences, that a terminal may be given.
pub fn clean(bytes: &[u8], cut: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => out.push(' '),
            c if c.is_control() || is_direction(c) => {}
            c => out.push(c),
        }
    }
    if cut {
        out.push_str(" [cut]");
    }
    out
}

/// One line of a text that did not come from stderr.
pub fn clean_line(text: &str) -> String {
    let cut = text.len() > LINE_BYTES;
    clean(&text.as_bytes()[..text.len().min(LINE_BYTES)], cut)
}

/// A level of MCP's logging (RFC 5424 names).
pub fn level_of(name: &str) -> Option<Level> {
    match name {
        "debug" => Some(Level::Debug),
        "info" | "notice" => Some(Level::Info),
        "warning" => Some(Level::Warn),
        "error" | "critical" | "alert" | "emergency" => Some(Level::Error),
        _ => None,
    }
}

/// `ESC [ parameters final`, or `ESC ] text BEL`; of anything else the next character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
        Some(']') => while chars.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
        _ => {}
    }
}

/// The level that a line names near its beginning.
pub fn guess_level(text: &str) -> Option<Level> {
    const WORDS: [(&str, Level); 9] = [
        ("error", Level::Error),
        ("fatal", Level::Error),
        ("panic", Level::Error),
        ("critical", Level::Error),
        ("warning", Level::Warn),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Debug),
    ];
    let head = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).take(4);
    head.flat_map(|word| WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name))).map(|(_, level)| *level).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(parts: &[&[u8]]) -> Vec<(String, bool)> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let mut keep = |line: &[u8], cut: bool| out.push((clean(line, false), cut));
        for part in parts {
            lines.feed(part, &mut keep);
        }
        lines.finish(&mut keep);
        out
    }

    #[test]
    fn lines_are_split_wherever_the_reads_end() {
        assert_eq!(
            split(&[b"a\r\nb", b"c\n\n", b"d"]),
            [("a".into(), false), ("bc".into(), false), ("d".into(), false)]
        );
        let long = vec![b'x'; LINE_BYTES + 1];
        let lines = split(&[&long, b"yy\nz\n"]);
        assert_eq!((lines[0].0.len(), lines[0].1, lines[1].0.as_str()), (LINE_BYTES, true, "z"));
    }

    #[test]
    fn a_terminal_is_not_commanded() {
        for (raw, clean_text) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07x", "x"),
            ("a\tb\x08c", "a bc"),
            ("\u{202e}evil", "evil"),
            ("\x1b", ""),
        ] {
            assert_eq!(clean(raw.as_bytes(), false), clean_text);
        }
        assert_eq!(clean(b"\xff", true), "\u{fffd} [cut]");
    }

    #[test]
    fn levels_are_guessed_from_the_head() {
        for (text, level) in [
            ("2025-01-01 ERROR: no", Some(Level::Error)),
            ("[warn] x", Some(Level::Warn)),
            ("Server running on stdio", None),
            ("nothing here says that an error came", None),
        ] {
            assert_eq!(guess_level(text), level, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_drained_bounded_and_said() {
        let logs = Logs::new();
        let key: InstanceKey = "etim".parse().unwrap();
        let flood = b"noise\n".repeat(10_000);
        pump(&flood[..], logs.clone(), key.clone()).await;
        let target = LogTarget::Instance(key);
        let (_, lines) = logs.lock().tail(&[target], usize::MAX);
        let last = lines.last().unwrap();
        assert_eq!((lines.len(), last.source), (BURST as usize + 1, LogSource::Deck));
        assert!(last.text.starts_with("8000 lines dropped"));
    }
}
