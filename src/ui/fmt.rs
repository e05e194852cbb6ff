//! How figures read on screen: ages, durations, bytes, rates. Pure; imports nothing of ours but `model`.
//!
//! Units are constant within a column and texts keep their width, so that nothing jumps.

use crate::model::Stamp;
pub use crate::model::usage::bytes;
use std::cmp::Ordering;
use std::time::Duration;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// What stands where a figure is unknown; never 0.
pub const UNKNOWN: &str = "n/a";

/// An age: steps by 10 s under a minute, then by minutes, hours, days (`<10s`, `20s`, `3m`, `2h`, `5d`).
pub fn age(age: Duration) -> String {
    let s = age.as_secs();
    match s {
        0..10 => "<10s".to_owned(),
        10..60 => format!("{}s", s / 10 * 10),
        60..3600 => format!("{}m", s / 60),
        3600..86_400 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

/// Time until something happens, in the steps of [`age`], rounded up (`10s`, `4m`).
pub fn countdown(left: Duration) -> String {
    let s = left.as_secs();
    match s {
        0..60 => format!("{}s", (s / 10 + 1) * 10),
        60..3600 => format!("{}m", s / 60 + 1),
        _ => format!("{}h", s / 3600 + 1),
    }
}

/// The age of a call in flight: by the second (`4s`, `1m 05s`, `2h 03m`).
pub fn running(age: Duration) -> String {
    let s = age.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        _ => format!("{}h {:02}m", s / 3600, s / 60 % 60),
    }
}

/// How long something took: `430 us`, `43 ms`, `1.2 s`, `95 s`.
pub fn took(us: u64) -> String {
    match us {
        0..1000 => format!("{us} us"),
        1000..1_000_000 => format!("{} ms", us / 1000),
        1_000_000..10_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// Milliseconds as a plain number for a column headed `ms`; `-` while there is none.
pub fn millis(ms: Option<f32>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 9.95 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
    }
}

/// Percent of one core for a column headed `cpu%`: no digit after the point above a thousand.
pub fn cpu(percent: f32) -> String {
    if percent < 999.95 { format!("{percent:.1}") } else { format!("{percent:.0}") }
}

/// Memory in whole MiB for a column headed `MiB`.
pub fn mebibytes(n: Option<u64>) -> String {
    match n.map(|n| (n, (n + (1 << 19)) >> 20)) {
        None => UNKNOWN.to_owned(),
        Some((1.., 0)) => "<1".to_owned(),
        Some((_, whole)) => whole.to_string(),
    }
}

/// Bytes per second in KiB for a column headed `K/s`; `0` for none.
pub fn kibibytes(n: Option<u64>) -> String {
    match n {
        None => UNKNOWN.to_owned(),
        Some(0) => "0".to_owned(),
        Some(n) if n < 103 => "<0.1".to_owned(),
        Some(n) if n < 10_189 => format!("{:.1}", n as f64 / 1024.0),
        Some(n) => format!("{:.0}", n as f64 / 1024.0),
    }
}

/// Calls per second: one digit after the point below 10; `0` for none, so that silence looks like silence.
pub fn rate(per_second: f32) -> String {
    match per_second {
        r if r <= 0.0 => "0".to_owned(),
        r if r < 0.05 => "<0.1".to_owned(),
        r if r < 9.95 => format!("{r:.1}"),
        r => format!("{r:.0}"),
    }
}

/// Percent without decimals.
pub fn percent(value: Option<f32>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |v| format!("{v:.0}%"))
}

/// A count; `·` (or `.`) for none, so that figures stand out.
pub fn count(n: u32, ascii: bool) -> String {
    match (n, ascii) {
        (0, false) => "·".to_owned(),
        (0, true) => ".".to_owned(),
        (n, _) => n.to_string(),
    }
}

/// Hours and minutes of a wall clock `offset_s` east of Greenwich.
pub fn clock(at: Stamp, offset_s: i32) -> String {
    let s = seconds_of_day(at, offset_s);
    format!("{:02}:{:02}", s / 3600, s / 60 % 60)
}

/// Hours, minutes and seconds: for log lines and journals.
pub fn clock_s(at: Stamp, offset_s: i32) -> String {
    let s = seconds_of_day(at, offset_s);
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

fn seconds_of_day(at: Stamp, offset_s: i32) -> i64 {
    let s = i64::try_from(at.0 / 1000).unwrap_or(0) + i64::from(offset_s);
    s.rem_euclid(86_400)
}

/// Columns a text takes on screen.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` cut to `columns`, with an ellipsis where something was cut; never cuts a character in half.
pub fn fit(text: &str, columns: usize, ascii: bool) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut out = String::with_capacity(columns + 3);
    let mut used = 0;
    for g in text.graphemes(true) {
        let w = g.width();
        if used + w > columns - 1 {
            break;
        }
        out.push_str(g);
        used += w;
    }
    out.push_str(if ascii { "~" } else { "…" });
    out
}

/// The same, cut in the middle: names that belong together begin alike and differ at their ends.
pub fn fit_middle(text: &str, columns: usize, ascii: bool) -> String {
    if text.width() <= columns || columns < 3 {
        return fit(text, columns, ascii);
    }
    let mut tail = String::new();
    for g in text.graphemes(true).rev() {
        if tail.width() + g.width() > columns / 2 {
            break;
        }
        tail.insert_str(0, g);
    }
    format!("{}{tail}", fit(text, columns - tail.width(), ascii))
}

/// Order of names as people count: `web-2` before `web-10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let number = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let order = match (number(a), number(b)) {
            (0, _) | (_, 0) => {
                let (mut left, mut right) = (a.chars(), b.chars());
                let order = left.next().cmp(&right.next());
                if order.is_eq() && a.is_empty() {
                    return Ordering::Equal;
                }
                (a, b) = (left.as_str(), right.as_str());
                order
            }
            (long, other) => {
                let (left, right) = (a[..long].trim_start_matches('0'), b[..other].trim_start_matches('0'));
                (a, b) = (&a[long..], &b[other..]);
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// `1 call`, `2 calls`.
pub fn plural(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_step_by_ten_seconds_then_by_minutes() {
        for (s, text) in [
            (0, "<10s"),
            (9, "<10s"),
            (10, "10s"),
            (59, "50s"),
            (60, "1m"),
            (3599, "59m"),
            (7300, "2h"),
            (200_000, "2d"),
        ] {
            assert_eq!(age(Duration::from_secs(s)), text, "{s}");
        }
    }

    #[test]
    fn countdowns_round_up() {
        for (s, text) in [(0, "10s"), (9, "10s"), (10, "20s"), (59, "60s"), (60, "2m"), (299, "5m"), (3600, "2h")] {
            assert_eq!(countdown(Duration::from_secs(s)), text, "{s}");
        }
    }

    #[test]
    fn calls_in_flight_count_seconds() {
        for (s, text) in [(0, "0s"), (59, "59s"), (65, "1m 05s"), (7380, "2h 03m")] {
            assert_eq!(running(Duration::from_secs(s)), text, "{s}");
        }
    }

    #[test]
    fn long_names_keep_both_ends() {
        for (text, columns, want) in [
            ("etim", 4, "etim"),
            ("mcpdeck-vllm-1", 9, "mcpd…lm-1"),
            ("mcpdeck-vllm-2", 8, "mcp…lm-2"),
            ("大阪大阪大阪", 7, "大阪…阪"),
            ("abc", 2, "a…"),
        ] {
            let cut = fit_middle(text, columns, false);
            assert_eq!(cut, want);
            assert!(width(&cut) <= columns);
        }
        assert_eq!(fit_middle("mcpdeck-vllm-1", 9, true), "mcpd~lm-1");
    }

    #[test]
    fn figures_keep_few_characters() {
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_240, "10 KiB"),
            (1 << 20, "1.0 MiB"),
            (340 << 20, "340 MiB"),
            (1_048_575, "1.0 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(n), text, "{n}");
        }
        for (us, text) in [(430, "430 us"), (43_100, "43 ms"), (1_240_000, "1.2 s"), (95_000_000, "95 s")] {
            assert_eq!(took(us), text);
        }
        for (r, text) in [(0.0, "0"), (0.01, "<0.1"), (0.5, "0.5"), (9.97, "10"), (184.2, "184")] {
            assert_eq!(rate(r), text);
        }
        for (ms, text) in [(None, "-"), (Some(4.26), "4.3"), (Some(43.4), "43")] {
            assert_eq!(millis(ms), text);
        }
        for (n, text) in
            [(None, "n/a"), (Some(0), "0"), (Some(50), "<0.1"), (Some(1024), "1.0"), (Some(512 << 10), "512")]
        {
            assert_eq!(kibibytes(n), text, "{n:?}");
        }
        for (percent, text) in [(0.0, "0.0"), (118.44, "118.4"), (1599.9, "1600")] {
            assert_eq!(cpu(percent), text);
        }
        assert_eq!(mebibytes(None), "n/a");
        assert_eq!(mebibytes(Some(5 << 20)), "5");
        assert_eq!((mebibytes(Some(0)).as_str(), mebibytes(Some(448 << 10)).as_str()), ("0", "<1"));
    }

    #[test]
    fn names_are_ordered_as_people_count() {
        let mut names = ["web-10", "web-2", "web", "api", "web-02b", "", "web-2a", "日本", "9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["", "9", "api", "web", "web-2", "web-2a", "web-02b", "web-10", "日本"]);
    }

    #[test]
    fn cutting_respects_wide_characters() {
        assert_eq!(fit("abcdef", 6, false), "abcdef");
        assert_eq!(fit("abcdef", 4, false), "abc…");
        assert_eq!(fit("abcdef", 4, true), "abc~");
        assert_eq!(fit("日本電気", 5, false), "日本…");
        assert_eq!(fit("日本電気", 4, false), "日…");
        assert_eq!(fit("x", 0, false), "");
    }

    #[test]
    fn the_clock_follows_its_offset() {
        assert_eq!(clock(Stamp(0), 3600), "01:00");
        assert_eq!(clock_s(Stamp(86_399_000), 0), "23:59:59");
        assert_eq!(clock(Stamp(0), -60), "23:59");
    }
}
