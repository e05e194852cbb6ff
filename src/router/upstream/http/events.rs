//! Server-sent events (HTML Living Standard 9.2): the data of each and, because HTTP+SSE begins with one of another
//! kind, whether it says where to post. No event is held beyond a limit.

use bytes::Bytes;

/// So much of each end of an oversized event is kept.
const SCRAP: usize = 512;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Message(Bytes),
    /// `event: endpoint`
    Endpoint(Bytes),
    /// Longer than the limit: its length, and its two ends.
    TooLong {
        bytes: u64,
        head: Vec<u8>,
        tail: Vec<u8>,
    },
}

/// Takes chunks, gives events.
pub struct Events {
    limit: usize,
    /// What has come of the line under way.
    line: Text,
    data: Text,
    is_endpoint: bool,
    after_cr: bool,
}

/// Bytes up to a limit, then their two ends alone.
#[derive(Default)]
struct Text {
    kept: Vec<u8>,
    tail: Vec<u8>,
    bytes: u64,
}

impl Text {
    fn push(&mut self, piece: &[u8], limit: usize) {
        self.bytes += piece.len() as u64;
        if self.tail.is_empty() && self.kept.len() + piece.len() <= limit {
            return self.kept.extend_from_slice(piece);
        }
        if self.tail.is_empty() {
            self.tail.extend_from_slice(&self.kept[self.kept.len().saturating_sub(SCRAP)..]);
            self.kept.extend_from_slice(&piece[..piece.len().min(SCRAP)]);
            self.kept.truncate(SCRAP);
            self.kept.shrink_to_fit();
        }
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(SCRAP)..]);
        self.tail.drain(..self.tail.len().saturating_sub(SCRAP));
    }

    /// More than the limit by now, however it is counted: it ends as `line` does.
    fn cut(&mut self, line: &Text) {
        self.kept.truncate(SCRAP);
        self.tail.clone_from(&line.tail);
        self.bytes = line.bytes;
    }

    fn is_cut(&self) -> bool {
        !self.tail.is_empty()
    }
}

impl Events {
    pub fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, line: Text::default(), data: Text::default(), is_endpoint: false, after_cr: false }
    }

    /// The events that `chunk` completes; those without data are left out.
    pub fn push(&mut self, mut chunk: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        if self.after_cr && chunk.first() == Some(&b'\n') {
            chunk = &chunk[1..];
        }
        self.after_cr = self.after_cr && chunk.is_empty();
        // Room for the name of the field, so that what is within the limit is whole.
        let limit = self.limit.saturating_add(8);
        while let Some(end) = chunk.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            self.line.push(&chunk[..end], limit);
            let pair = chunk[end] == b'\r' && chunk.get(end + 1) == Some(&b'\n');
            self.after_cr = chunk[end] == b'\r' && end + 1 == chunk.len();
            chunk = &chunk[end + 1 + usize::from(pair)..];
            events.extend(self.end_line());
        }
        self.line.push(chunk, limit);
        events
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.bytes == 0 {
            return self.end_event();
        }
        if let Some(data) = line.kept.strip_prefix(b"data:") {
            if self.data.bytes > 0 {
                self.data.push(b"\n", self.limit);
            }
            self.data.push(data.strip_prefix(b" ").unwrap_or(data), self.limit);
            if line.is_cut() {
                self.data.cut(&line);
            }
        } else if let Some(kind) = line.kept.strip_prefix(b"event:") {
            self.is_endpoint = kind.strip_prefix(b" ").unwrap_or(kind) == b"endpoint";
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let data = std::mem::take(&mut self.data);
        let is_endpoint = std::mem::take(&mut self.is_endpoint);
        if data.bytes == 0 {
            return None;
        }
        if data.is_cut() {
            return Some(Event::TooLong { bytes: data.bytes, head: data.kept, tail: data.tail });
        }
        let text = Bytes::from(data.kept);
        Some(if is_endpoint { Event::Endpoint(text) } else { Event::Message(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] = b": hello\r\nevent: endpoint\r\ndata: /m\r\n\r\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nid: 3\ndata:\n\nretry: 5\n\ndata:x\r\rdata: half";

    fn message(text: &'static [u8]) -> Event {
        Event::Message(Bytes::from_static(text))
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        for size in 1..STREAM.len() {
            let mut events = Events::new(100);
            let got: Vec<Event> = STREAM.chunks(size).flat_map(|c| events.push(c)).collect();
            let want = [Event::Endpoint(Bytes::from_static(b"/m")), message(b"{\"a\":\n1}"), message(b"x")];
            assert_eq!(got, want, "chunks of {size}");
        }
    }

    #[test]
    fn what_is_too_long_is_its_two_ends_and_the_next_event_is_whole() {
        let long = format!("data: {}{}\n\ndata: next\n\n", "a".repeat(3000), "z".repeat(600));
        for size in [1, 7, 511, 513, 10_000] {
            let mut events = Events::new(1000);
            let got: Vec<Event> = long.as_bytes().chunks(size).flat_map(|c| events.push(c)).collect();
            let [Event::TooLong { bytes, head, tail }, next] = &got[..] else { panic!("{got:?}") };
            assert!(
                *bytes >= 3600 && head.iter().all(|b| *b == b'a') && tail.ends_with(&[b'z'; 500]),
                "{size} {bytes}"
            );
            assert!(head.len() + tail.len() <= 1000 + 8 + SCRAP, "{size}");
            assert_eq!(next, &message(b"next"));
        }
        let mut events = Events::new(10);
        assert_eq!(events.push(b"data: 1234567890\n\n"), [message(b"1234567890")]);
        assert!(matches!(events.push(b"data: 12345\ndata: 12345\n\n")[..], [Event::TooLong { .. }]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1usize..50) {
            let mut events = Events::new(64);
            for chunk in bytes.chunks(size) {
                let _ = events.push(chunk);
            }
        }
    }
}
