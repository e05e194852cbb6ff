//! Server-sent events (HTML Living Standard 9.2), the data of each only: MCP needs no more of them.

use bytes::Bytes;

/// An event longer than the limit.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

/// Takes chunks, gives events.
pub struct Events {
    limit: usize,
    /// What has come of the line under way.
    line: Vec<u8>,
    data: Vec<u8>,
    after_cr: bool,
}

impl Events {
    pub fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, line: Vec::new(), data: Vec::new(), after_cr: false }
    }

    /// The data of the events that `chunk` completes; empty ones are left out.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<Vec<Bytes>, TooLong> {
        let mut events = Vec::new();
        if self.after_cr && chunk.first() == Some(&b'\n') {
            chunk = &chunk[1..];
        }
        self.after_cr = self.after_cr && chunk.is_empty();
        while let Some(end) = chunk.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            self.line.extend_from_slice(&chunk[..end]);
            let pair = chunk[end] == b'\r' && chunk.get(end + 1) == Some(&b'\n');
            self.after_cr = chunk[end] == b'\r' && end + 1 == chunk.len();
            chunk = &chunk[end + 1 + usize::from(pair)..];
            events.extend(self.end_line()?);
        }
        self.line.extend_from_slice(chunk);
        self.check(self.line.len())?;
        Ok(events)
    }

    fn end_line(&mut self) -> Result<Option<Bytes>, TooLong> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return Ok((!data.is_empty()).then(|| Bytes::from(data)));
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        self.check(self.data.len())?;
        Ok(None)
    }

    fn check(&self, bytes: usize) -> Result<(), TooLong> {
        if bytes > self.limit { Err(TooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] = b": hello\r\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nid: 3\ndata:\n\nretry: 5\n\ndata:x\r\rdata: half";

    #[test]
    fn chunks_may_be_cut_anywhere() {
        for size in 1..STREAM.len() {
            let mut events = Events::new(100);
            let got: Vec<Bytes> = STREAM.chunks(size).flat_map(|c| events.push(c).unwrap()).collect();
            assert_eq!(got, [&b"{\"a\":\n1}"[..], b"x"], "chunks of {size}");
        }
    }

    #[test]
    fn an_event_has_a_limit() {
        assert_eq!(Events::new(10).push(b"data: 12345678901"), Err(TooLong));
        let mut events = Events::new(10);
        events.push(b"data: 12345\n").unwrap();
        assert_eq!(events.push(b"data: 12345\n"), Err(TooLong));
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
