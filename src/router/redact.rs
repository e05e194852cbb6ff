//! Masks what must not be shown in a payload: by name, by a tool's schema, by value. Works on the text as it is, so
//! that malformed and cut payloads are masked as well.

use super::wire;
use crate::model::secret::{Hidden, MASK};

/// So much of a payload is kept.
pub const CUT_BYTES: usize = 64 << 10;

/// Parts of names (lower case, without `-`, `_` and spaces) whose values are secrets.
const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "credential",
    "bearer",
    "cookie",
    "token",
];

/// Names that look like it and are not.
const HARMLESS: [&str; 6] = ["progresstoken", "maxtokens", "tokens", "tokencount", "totaltokens", "nexttoken"];

/// `bytes` as it may be shown, and notes on what was masked or cut. `names`: more names to mask, as they stand;
/// `hidden`: texts to mask wherever they are.
pub fn shown(bytes: &[u8], names: &[String], hidden: &Hidden) -> (String, Vec<String>) {
    let mut notes = Vec::new();
    let cut = &bytes[..bytes.len().min(CUT_BYTES)];
    if cut.len() < bytes.len() {
        notes.push(format!("cut: {} of {} bytes", cut.len(), bytes.len()));
    }
    let text = String::from_utf8_lossy(cut);
    let (text, by_name) = mask_names(&text, names);
    let (text, by_value) = hidden.mask(&text);
    let (text, masked) = (text.into_owned(), by_name + by_value);
    if masked > 0 {
        notes.push(format!("masked: {masked}"));
    }
    (text, notes)
}

/// True if what has this name is a secret, wherever it stands.
pub fn is_secret_name(name: &str) -> bool {
    is_secret(name, &[])
}

fn is_secret(name: &str, names: &[String]) -> bool {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    names.iter().any(|n| n == name) || (NAMES.iter().any(|n| plain.contains(n)) && !HARMLESS.contains(&plain.as_str()))
}

/// Goes through the text token by token; after a secret's name and a colon, the value is left out.
fn mask_names(text: &str, names: &[String]) -> (String, u32) {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut copied, mut masked) = (0, 0, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if bytes[at] != b'"' {
            at += 1;
            continue;
        }
        let end = end_of_string(bytes, at);
        let value = skip_space(bytes, end);
        let key = (bytes.get(value) == Some(&b':')).then(|| wire::unquote(&text[at..end])).flatten();
        at = end;
        if key.is_some_and(|key| is_secret(&key, names)) {
            let value = skip_space(bytes, value + 1);
            // Objects are looked into: a schema's property may be called `password`.
            if !matches!(bytes.get(value), Some(b'{')) {
                out.push_str(&text[copied..value]);
                out.push_str(&wire::quote(MASK));
                masked += 1;
                at = end_of_value(bytes, value);
                copied = at;
            }
        }
    }
    out.push_str(&text[copied..]);
    (out, masked)
}

fn skip_space(bytes: &[u8], from: usize) -> usize {
    from + bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Past the closing quote of the string that begins at `from`.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Past the value that begins at `from`, however deep.
fn end_of_value(bytes: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0u32);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'[' | b'{' => {
                depth += 1;
                at += 1;
            }
            b']' | b'}' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b']' | b'}' | b',' if depth == 0 => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let hidden = Hidden::new(&["hunter22", "u"].map(|s| Secret::new(s.to_owned())));
        for (text, want) in [
            (r#"{"password":"x","user":"y"}"#, r#"{"password":"•••","user":"y"}"#),
            (r#"{"a":{"API_Key" : "x\"y"}}"#, r#"{"a":{"API_Key" : "•••"}}"#),
            (r#"{"api\u005fkey":7,"n":1}"#, r#"{"api\u005fkey":"•••","n":1}"#),
            (
                r#"{"tokens":["a",["b"]],"access_token":["a",["b"]],"z":0}"#,
                r#"{"tokens":["a",["b"]],"access_token":"•••","z":0}"#,
            ),
            (r#"{"properties":{"password":{"type":"string"}}}"#, r#"{"properties":{"password":{"type":"string"}}}"#),
            (r#"{"progressToken":3,"pin":9}"#, r#"{"progressToken":3,"pin":"•••"}"#),
            (r#"{"secret":"cut he"#, r#"{"secret":"•••""#),
            (r#"say "password" twice"#, r#"say "password" twice"#),
            (r#"{"note":"it is hunter22"}"#, r#"{"note":"it is •••"}"#),
        ] {
            assert_eq!(shown(text.as_bytes(), &["pin".to_owned()], &hidden).0, want);
        }
        let (text, notes) = shown(&vec![b'x'; CUT_BYTES + 1], &[], &Hidden::default());
        assert_eq!((text.len(), notes.len()), (CUT_BYTES, 1));
    }

    proptest! {
        #[test]
        fn any_text_is_masked_without_panic(text in ".*", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            shown(text.as_bytes(), &[], &Hidden::default());
            shown(&bytes, &[], &Hidden::default());
        }
    }
}
