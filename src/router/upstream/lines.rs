//! Lines of a byte stream, none of them held beyond a limit.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

const BUFFER: usize = 64 << 10;
/// So much of each end of an oversized line is kept.
const SCRAP: usize = 512;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Without its line break.
    Whole(Vec<u8>),
    /// Longer than the limit: its length, and its two ends.
    TooLong {
        bytes: u64,
        head: Vec<u8>,
        tail: Vec<u8>,
    },
    End,
}

pub struct Lines<R> {
    reader: BufReader<R>,
    limit: u64,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(reader: R, limit: u64) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER, reader), limit }
    }

    /// The next line. An unfinished one at the end of the stream counts as a line.
    pub async fn next(&mut self) -> std::io::Result<Line> {
        let mut line = Vec::new();
        (&mut self.reader).take(self.limit.saturating_add(1)).read_until(b'\n', &mut line).await?;
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Line::Whole(line));
        }
        if line.len() as u64 <= self.limit {
            return Ok(if line.is_empty() { Line::End } else { Line::Whole(line) });
        }
        self.skip(line).await
    }

    /// Reads the rest of a line that began with `begun`, keeping its ends.
    async fn skip(&mut self, begun: Vec<u8>) -> std::io::Result<Line> {
        let mut bytes = begun.len() as u64;
        let head = begun[..begun.len().min(SCRAP)].to_vec();
        let mut tail = begun[begun.len().saturating_sub(SCRAP)..].to_vec();
        drop(begun);
        let mut piece = Vec::with_capacity(BUFFER);
        loop {
            piece.clear();
            let got = (&mut self.reader).take(BUFFER as u64).read_until(b'\n', &mut piece).await?;
            let ended = piece.last() == Some(&b'\n');
            if ended {
                piece.pop();
            }
            bytes += piece.len() as u64;
            tail.extend_from_slice(&piece[piece.len().saturating_sub(SCRAP)..]);
            tail.drain(..tail.len().saturating_sub(SCRAP));
            if ended || got == 0 {
                return Ok(Line::TooLong { bytes, head, tail });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_or_as_their_two_ends() {
        let mut text = b"one\n\ntwo\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 200_000));
        text.extend_from_slice(b"\nafter\nhalf");
        let mut lines = Lines::new(&text[..], 100);
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"one".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(Vec::new()));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"two".to_vec()));
        let Line::TooLong { bytes, head, tail } = lines.next().await.unwrap() else { panic!("not too long") };
        assert_eq!((bytes, head.len(), tail.len()), (200_000, 101, SCRAP));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"after".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"half".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }

    #[tokio::test]
    async fn a_line_of_exactly_the_limit_is_whole() {
        let mut lines = Lines::new(&b"1234\n12345\n123456\n"[..], 5);
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"1234".to_vec()));
        assert_eq!(lines.next().await.unwrap(), Line::Whole(b"12345".to_vec()));
        assert!(matches!(lines.next().await.unwrap(), Line::TooLong { bytes: 6, .. }));
    }
}
