//! Cuts the bytes of a log stream into lines: framed ones (a header names stdout or stderr) and those of a terminal (bare).
//! Pure. Memory is bounded whatever comes in.

use crate::backend::engine::RawLine;
use crate::model::Stamp;
use std::collections::VecDeque;

/// Longest line that is kept.
const LINE: usize = 16 << 10;

/// Room for the time stamp before it.
const STAMP: usize = 40;

const HEADER: usize = 8;
const STDERR: u8 = 2;

/// What is being read.
#[derive(Clone, Copy)]
enum Place {
    /// Nothing yet: the first byte tells framed from bare.
    Beginning,
    Header,
    Payload {
        stderr: bool,
        left: usize,
    },
    Bare,
}

/// A line that is not whole yet; what goes beyond [`LINE`] is dropped.
#[derive(Default)]
struct Partial(Vec<u8>);

pub struct Cutter {
    place: Place,
    header: Vec<u8>,
    out: Partial,
    err: Partial,
    whole: VecDeque<RawLine>,
}

impl Default for Cutter {
    fn default() -> Self {
        Self {
            place: Place::Beginning,
            header: Vec::with_capacity(HEADER),
            out: Partial::default(),
            err: Partial::default(),
            whole: VecDeque::new(),
        }
    }
}

impl Cutter {
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(first) = bytes.first() {
            match self.place {
                Place::Beginning => self.place = if *first <= STDERR { Place::Header } else { Place::Bare },
                Place::Bare => {
                    self.text(false, bytes);
                    bytes = &[];
                }
                Place::Header => {
                    let (part, rest) = bytes.split_at(bytes.len().min(HEADER - self.header.len()));
                    self.header.extend_from_slice(part);
                    bytes = rest;
                    self.end_header();
                }
                Place::Payload { stderr, left } => {
                    let (part, rest) = bytes.split_at(bytes.len().min(left));
                    self.text(stderr, part);
                    bytes = rest;
                    let left = left - part.len();
                    self.place = if left == 0 { Place::Header } else { Place::Payload { stderr, left } };
                }
            }
        }
    }

    fn end_header(&mut self) {
        if let [stream, _, _, _, a, b, c, d] = self.header[..] {
            let left = u32::from_be_bytes([a, b, c, d]) as usize;
            self.header.clear();
            self.place = if left == 0 { Place::Header } else { Place::Payload { stderr: stream == STDERR, left } };
        }
    }

    fn text(&mut self, stderr: bool, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = if stderr { &mut self.err } else { &mut self.out };
            line.push(part.strip_suffix(b"\n").unwrap_or(part));
            if part.ends_with(b"\n") {
                let line = line.take(stderr);
                self.whole.push_back(line);
            }
        }
    }

    /// The next whole line.
    pub fn next(&mut self) -> Option<RawLine> {
        self.whole.pop_front()
    }

    /// What has no line end when the stream ends.
    pub fn rest(mut self) -> Vec<RawLine> {
        let partial = [(false, &mut self.out), (true, &mut self.err)];
        partial.into_iter().filter(|(_, line)| !line.0.is_empty()).map(|(stderr, line)| line.take(stderr)).collect()
    }
}

impl Partial {
    fn push(&mut self, bytes: &[u8]) {
        let room = (LINE + STAMP).saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take(&mut self, stderr: bool) -> RawLine {
        let bytes = std::mem::take(&mut self.0);
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes));
        let stamped = text.split_once(' ').and_then(|(at, rest)| Some((super::listed::stamp(at)?, rest)));
        let (at, text) = match stamped {
            Some((at, rest)) => (at, rest),
            // An empty line is a time stamp without the blank that was trimmed.
            None => super::listed::stamp(&text).map_or((Stamp::now(), &*text), |at| (at, "")),
        };
        RawLine { at, stderr, text: text[..text.floor_char_boundary(LINE)].to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: &str = "1970-01-01T00:00:01.5Z";

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![stream, 0, 0, 0];
        bytes.extend((text.len() as u32).to_be_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    fn lines(chunks: &[&[u8]]) -> Vec<(u64, bool, String)> {
        let mut cutter = Cutter::default();
        chunks.iter().for_each(|chunk| cutter.push(chunk));
        let mut lines: Vec<_> = std::iter::from_fn(|| cutter.next()).collect();
        lines.extend(cutter.rest());
        lines.into_iter().map(|line| (line.at.0, line.stderr, line.text)).collect()
    }

    #[test]
    fn framed_lines_keep_their_stream_and_bare_ones_have_none() {
        let framed =
            [frame(1, &format!("{AT} out\n")), frame(2, &format!("{AT} err é\n")), frame(1, &format!("{AT} \n"))];
        let expected = [(1500, false, "out".into()), (1500, true, "err é".into()), (1500, false, String::new())];
        assert_eq!(lines(&[&framed.concat()]), expected);
        let bare = format!("{AT} a\tb\r\n{AT} no end");
        assert_eq!(lines(&[bare.as_bytes()]), [(1500, false, "a\tb".into()), (1500, false, "no end".into())]);
    }

    #[test]
    fn an_endless_line_is_cut_and_costs_no_memory() {
        let mut cutter = Cutter::default();
        cutter.push(AT.as_bytes());
        cutter.push(b" ");
        for _ in 0..10_000 {
            cutter.push(&[b'x'; 1024]);
        }
        assert!(cutter.out.0.capacity() < 4 * LINE);
        cutter.push(b"\n");
        assert_eq!(cutter.next().map(|line| line.text.len()), Some(LINE));
    }

    #[test]
    fn a_character_is_not_cut_in_half() {
        let text = format!("{AT} {}\n", "é".repeat(LINE));
        assert_eq!(lines(&[text.as_bytes()])[0].2.chars().count(), LINE / 2);
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_split_changes_nothing(cuts in proptest::collection::vec(0usize..200, 0..6)) {
            let whole = [frame(1, &format!("{AT} one\n")), frame(2, &format!("{AT} two\n")), frame(1, &format!("{AT} three"))].concat();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&chunks), lines(&[&whole]));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            lines(&[&bytes]);
        }
    }
}
