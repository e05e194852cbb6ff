//! JSON text, looked at without being read.

/// Bytes of the JSON string that `text` begins with, both quotes included; all of it where the string does not end.
pub fn string_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}
