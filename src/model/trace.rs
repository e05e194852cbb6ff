//! Trace context (W3C Trace Context, level 1): what ties together what several parties log of one request.

use std::ops::{Deref, Range};

/// The header that says it, and the key that does in `_meta` (SEP-414).
pub const KEY: &str = "traceparent";

/// A position in a trace: the caller's, or ours below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Big-endian. No `u128`: whatever holds one is aligned to 16 bytes, the state of every call among it.
    id: [u8; 16],
    span: u64,
    flags: u8,
}

impl Trace {
    /// `None` where one of the two is zero, which means nothing.
    pub fn new(id: u128, span: u64) -> Option<Self> {
        (id != 0 && span != 0).then_some(Self { id: id.to_be_bytes(), span, flags: 0 })
    }

    /// One that nobody began before us, and that nobody records.
    pub fn random() -> Self {
        let id = u128::from(fastrand::u64(1..)) << 64 | u128::from(fastrand::u64(..));
        Self { id: id.to_be_bytes(), span: fastrand::u64(1..), flags: 0 }
    }

    /// A `traceparent`: `00-TRACE-SPAN-FLAGS` in lower-case hex. Later versions may say more behind it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let more = parts.next().is_some();
        let lengths = (version.len(), id.len(), span.len(), flags.len()) == (2, 32, 16, 2);
        let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !lengths || ![version, id, span, flags].into_iter().all(hex) || version == "ff" || version == "00" && more {
            return None;
        }
        let flags = u8::from_str_radix(flags, 16).ok()?;
        let trace = Self::new(u128::from_str_radix(id, 16).ok()?, u64::from_str_radix(span, 16).ok()?)?;
        Some(Self { flags, ..trace })
    }

    /// A step below this one.
    pub fn child(self, span: u64) -> Self {
        Self { span: if span == 0 { self.span } else { span }, ..self }
    }

    /// What a log line names the whole by.
    pub fn id(&self) -> String {
        self.text()[ID].to_owned()
    }

    /// As a `traceparent`.
    pub fn text(&self) -> Text {
        let mut text = *b"00-................................-................-..";
        // The version is the highest whose flags we understand.
        put_hex(&self.id, &mut text[ID]);
        put_hex(&self.span.to_be_bytes(), &mut text[SPAN]);
        put_hex(&[self.flags & 1], &mut text[FLAGS]);
        Text(text)
    }
}

/// Where the parts of a `traceparent` stand.
const ID: Range<usize> = 3..35;
const SPAN: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;

/// A `traceparent` as it is written.
pub struct Text([u8; FLAGS.end]);

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        // Digits and dashes are all there is.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Each call writes its trace: the formatter would take ten times as long.
fn put_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_no_traceparent_is_not_taken_for_one() {
        for (text, good) in [
            (GOOD, true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false),
            ("", false),
            ("00-é", false),
        ] {
            assert_eq!(Trace::parse(text).is_some(), good, "{text}");
        }
    }

    #[test]
    fn a_child_stays_in_the_trace_under_a_span_of_its_own() {
        let caller = Trace::parse(GOOD).unwrap();
        let child = caller.child(0xabc);
        assert_eq!(child.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(&*child.text(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01");
        assert_eq!(&*caller.text(), GOOD);
    }
}
