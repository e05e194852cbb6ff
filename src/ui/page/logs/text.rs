//! What is in a line: JSON, matches of a search; and how it is saved. Pure.

use crate::model::message::{Level, LogLine};
use crate::ui::console::json;
use std::ops::Range;

/// A line of a saved file.
pub fn saved(line: &LogLine) -> String {
    let at = i64::try_from(line.at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.map(|t| format!("{t:.3}")).unwrap_or_default();
    let who = line.target.to_string();
    let level = line.level.map_or("-", Level::name);
    format!("{at} {who} {level} {}\n", line.text)
}

/// The JSON in a line: from its first bracket to its end.
pub fn json_in(line: &str) -> Option<&str> {
    let found = line.get(line.find(['{', '['])?..)?.trim_end();
    json::parse(found).is_ok().then_some(found)
}

/// Where `needle` stands in `text`; letters match both cases unless the needle has a capital.
pub fn find_all(text: &str, needle: &str) -> Vec<Range<usize>> {
    if needle.is_empty() || needle.len() > text.len() {
        return Vec::new();
    }
    let exact = needle.chars().any(char::is_uppercase);
    let (hay, sought) = (text.as_bytes(), needle.as_bytes());
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(window) = hay.get(at..at + sought.len()) {
        let hit = if exact { window == sought } else { window.eq_ignore_ascii_case(sought) };
        if hit {
            found.push(at..at + sought.len());
        }
        at += if hit { sought.len() } else { 1 };
    }
    found
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
