//! What is in a line: JSON, and matches of a search. Pure.

use crate::ui::console::json;
use std::ops::Range;

/// The JSON in a line: from its first bracket to its end.
pub fn json_in(line: &str) -> Option<&str> {
    let found = line.get(line.find(['{', '['])?..)?.trim_end();
    json::parse(found).is_ok().then_some(found)
}

/// Where `needle` stands in `text`; letters match both cases unless the needle has a capital.
pub fn find_all(text: &str, needle: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = find(&text.as_bytes()[at..], needle) {
        found.push(at + start..at + start + needle.len());
        at += start + needle.len();
    }
    found
}

/// True if `needle` stands in `text`, as [`find_all`] finds it.
pub fn holds(text: &str, needle: &str) -> bool {
    find(text.as_bytes(), needle).is_some()
}

/// Where a needle begins first. A search goes through 100,000 lines between two frames, so it looks at whole words only
/// where their first letter stands.
fn find(hay: &[u8], needle: &str) -> Option<usize> {
    let sought = needle.as_bytes();
    let last = hay.len().checked_sub(sought.len())?;
    let (first, rest) = sought.split_first()?;
    if needle.chars().any(char::is_uppercase) {
        return (0..=last).find(|at| hay[*at] == *first && hay[at + 1..].starts_with(rest));
    }
    let (low, high) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let begins = |at: &usize| hay[*at] == low || hay[*at] == high;
    (0..=last).filter(begins).find(|at| hay[at + 1..at + sought.len()].eq_ignore_ascii_case(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_line_is_found() {
        for (line, found) in [
            (r#"INFO {"a":1}"#, Some(r#"{"a":1}"#)),
            ("x [1, 2] ", Some("[1, 2]")),
            ("no json {here", None),
            ("plain", None),
        ] {
            assert_eq!(json_in(line), found);
        }
    }

    #[test]
    fn search_takes_both_cases_unless_asked_for_one() {
        assert_eq!(find_all("Error error", "error"), [0..5, 6..11]);
        assert_eq!(find_all("Error error", "Error"), vec![0..5]);
        assert_eq!(find_all("aaa", "aa"), vec![0..2]);
        assert_eq!(find_all("é", "é"), vec![0..2]);
        assert!(find_all("x", "").is_empty());
    }
}
