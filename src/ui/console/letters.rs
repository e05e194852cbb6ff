//! Letters that a server wrote as `\u00e4` are read as what they are; whatever else is escaped stays as it stands.

use std::borrow::Cow;
use std::char::{REPLACEMENT_CHARACTER, decode_utf16};
use unicode_width::UnicodeWidthChar;

/// JSON text with its escaped letters written out.
pub fn written_out(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (shown, taken) = letter(rest).unwrap_or_else(|| {
            // With what it escapes: a second backslash begins nothing.
            let taken = rest.chars().take(2).map(char::len_utf8).sum();
            (rest[..taken].into(), taken)
        });
        out.push_str(&shown);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out.into()
}

/// The letter that an escape stands for, and the bytes of the escape: two of them for a letter of two halves.
fn letter(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        // A sign is no digit, though numbers may begin with one.
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let units: Vec<u16> = [0, 6].into_iter().map_while(unit).collect();
    let first = decode_utf16(units).next()?.unwrap_or(REPLACEMENT_CHARACTER);
    // What takes no room (controls, direction marks) says more as it stands.
    let plain = !first.is_ascii_punctuation() && first.width() > Some(0) && first != REPLACEMENT_CHARACTER;
    plain.then(|| (first.to_string().into(), 6 * first.len_utf16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_written_out_and_nothing_else() {
        for (text, expected) in [
            (r#""plain""#, r#""plain""#),
            (r#""Geh\u00e4use 3\u00d7""#, r#""Gehäuse 3×""#),
            (r#""\u6f22\u5b57 \ud83d\ude00""#, r#""漢字 😀""#),
            (r#""\u001b[2J\u0000\n\t\"""#, r#""\u001b[2J\u0000\n\t\"""#),
            (r#""\\u00e4 \\\u00e4""#, r#""\\u00e4 \\ä""#),
            (r#""\u202e \u200b""#, r#""\u202e \u200b""#),
            (r#""\u0022\u005c""#, r#""\u0022\u005c""#),
            (r#""half \ud83d and \ude00""#, r#""half \ud83d and \ude00""#),
            (r#""cut \u00"#, r#""cut \u00"#),
            (r#""cut \"#, r#""cut \"#),
            (r#""\u+0e4 \u é""#, r#""\u+0e4 \u é""#),
        ] {
            assert_eq!(written_out(text), expected, "{text}");
        }
    }
}
