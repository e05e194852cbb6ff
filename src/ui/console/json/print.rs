//! JSON text laid out anew, token by token: order and digits stay.

use crate::model::json::string_end;

/// Two spaces a level, one member a line. A text that is no JSON comes back as it is.
pub fn pretty(text: &str) -> String {
    if !is_json(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0usize;
    for token in tokens(text) {
        match token {
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                if out.ends_with(['{', '[']) {
                    out.push_str(token);
                } else {
                    line(&mut out, depth);
                    out.push_str(token);
                }
            }
            "," => {
                out.push(',');
                line(&mut out, depth);
            }
            ":" => out.push_str(": "),
            _ => {
                if out.ends_with(['{', '[']) {
                    line(&mut out, depth);
                }
                out.push_str(token);
                depth += usize::from(matches!(token, "{" | "["));
            }
        }
    }
    out
}

/// On one line, without any space between tokens. A text that is no JSON comes back as it is.
pub fn compact(text: &str) -> String {
    if !is_json(text) {
        return text.to_owned();
    }
    tokens(text).collect()
}

fn is_json(text: &str) -> bool {
    let mut scanner = super::Scanner::new(text);
    scanner.value().and_then(|_| scanner.end()).is_ok()
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Brackets, commas, colons, strings and words of a text known to be JSON.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let end = match rest.as_bytes().first()? {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            b'"' => string_end(rest),
            _ => rest.find([' ', '\t', '\n', '\r', ',', '}', ']']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        rest = after;
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lays_out_and_keeps_order_and_digits() {
        let text = r#"{"z":1.10,"a":[{},[],{"k":"a,\"}b"}],"big":12345678901234567890}"#;
        let shown = pretty(text);
        assert_eq!(
            shown,
            "{\n  \"z\": 1.10,\n  \"a\": [\n    {},\n    [],\n    {\n      \"k\": \"a,\\\"}b\"\n    }\n  ],\n  \"big\": 12345678901234567890\n}"
        );
        assert_eq!(compact(&shown), text);
        assert_eq!(pretty("{oops"), "{oops");
    }

    proptest! {
        #[test]
        fn pretty_and_back_is_the_same(text in "(\\{\"[a-z{}\\[\\],:é]{0,4}\": ?(\\[\\]|\\{\\}|-?[1-9]|\"\\\\\\\\\"|null)\\}|\\[1, ?\\[2\\]\\])") {
            prop_assert_eq!(compact(&pretty(&text)), compact(&text));
        }
    }
}
