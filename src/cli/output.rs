//! Standard output: aligned tables for people, JSON for programs. Nothing here panics when a pipe closes.

use super::args::Output;
use super::error::{Code, Error};
use crate::model::Stamp;
use crate::model::text::is_direction;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A column: its head, which holds the unit, and where its text stands.
pub type Column = (&'static str, Align);

/// Lines of cells under their heads.
pub struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &'static [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells.iter().map(|cell| one_line(cell)).collect());
    }

    /// The whole table; two spaces between columns, none at the ends of lines.
    pub fn render(&self) -> String {
        self.render_within(None)
    }

    /// The same in `room` cells: the widest column of words goes on below where it would not fit.
    pub fn render_within(&self, room: Option<usize>) -> String {
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&heads).chain(&self.rows).collect();
        let mut widths: Vec<usize> =
            (0..heads.len()).map(|at| lines.iter().map(|line| line[at].width()).max().unwrap_or(0)).collect();
        let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        let over = room.map_or(0, |room| total.saturating_sub(room));
        let words = (0..widths.len()).filter(|&at| self.columns[at].1 == Align::Left).max_by_key(|&at| widths[at]);
        if let Some(at) = words {
            widths[at] = widths[at].saturating_sub(over).max(WORDS).min(widths[at]);
        }
        let mut text = String::new();
        for line in lines {
            let cells: Vec<Vec<String>> = line.iter().zip(&widths).map(|(cell, width)| wrap(cell, *width)).collect();
            for at in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                text.push_str(self.line(&cells, at, &widths).trim_end());
                text.push('\n');
            }
        }
        text
    }

    fn line(&self, cells: &[Vec<String>], at: usize, widths: &[usize]) -> String {
        let mut row = String::new();
        for ((cell, (_, align)), width) in cells.iter().zip(self.columns).zip(widths) {
            let cell = cell.get(at).map_or("", String::as_str);
            let gap = " ".repeat(width.saturating_sub(cell.width()));
            match align {
                Align::Left => row.extend([cell, &*gap, "  "]),
                Align::Right => row.extend([&*gap, cell, "  "]),
            }
        }
        row
    }
}

/// A column of words is never squeezed below so many cells; what is wider then is the terminal's to break.
const WORDS: usize = 24;

/// `text` in lines of at most `width` cells, broken at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used > 0 && used + word.trim_end().width() > width {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let cells = c.width().unwrap_or(0);
            if used + cells > width && c != ' ' {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().unwrap_or(&mut String::new()).push(c);
            used += cells;
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Text that stays on its line and cannot drive a terminal, nor turn its order around.
pub fn one_line(text: &str) -> String {
    text.chars().filter(|c| !is_direction(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text of several lines that cannot drive a terminal, nor turn its order around.
pub fn plain(text: &str) -> String {
    let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_direction(c);
    text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()
}

/// Writes to standard output; a reader that went away ends the program quietly.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
    Ok(())
}

/// Writes a line about what is going on, for people, to standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", plain(text));
}

/// The same for people and programs: a line of text, or of JSON.
pub fn remark(format: Output, text: &str) {
    #[derive(Serialize)]
    struct Remark<'a> {
        note: &'a str,
    }
    match format {
        Output::Table => note(text),
        Output::Json => note(&serde_json::to_string(&Remark { note: text }).unwrap_or_default()),
    }
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Columns of the terminal on standard output; none where there is no terminal or it does not tell.
pub fn terminal_width() -> Option<usize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into()).filter(|columns| *columns > 0)
}

/// Indented JSON with a line end.
pub fn json(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::failed(e.to_string()))?;
    Ok(escaped(text) + "\n")
}

/// JSON on one line, with a line end.
pub fn json_line(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(value).map_err(|e| Error::failed(e.to_string()))?;
    Ok(escaped(text) + "\n")
}

/// JSON text that cannot drive a terminal: serde_json leaves DEL, the C1 controls and marks of direction as they are.
pub fn escaped(text: String) -> String {
    let drives = |c: char| ('\u{7f}'..='\u{9f}').contains(&c) || is_direction(c);
    if !text.contains(drives) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match drives(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
        out
    })
}

/// Prints rows as a table, or the values behind them as JSON.
pub fn print_rows(
    format: Output,
    columns: &'static [Column],
    rows: impl IntoIterator<Item = Vec<String>>,
    value: &impl Serialize,
) -> Result<Code, Error> {
    match format {
        Output::Json => print(&json(value)?)?,
        Output::Table => {
            let mut table = Table::new(columns);
            rows.into_iter().for_each(|row| table.push(row));
            print(&table.render_within(terminal_width()))?;
        }
    }
    Ok(Code::Ok)
}

/// Local date and time to the second.
pub fn time(stamp: Stamp) -> String {
    let instant =
        jiff::Timestamp::from_millisecond(stamp.0.try_into().unwrap_or(i64::MAX)).unwrap_or(jiff::Timestamp::MAX);
    instant.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A duration in its largest unit that fits: `12s`, `5m`, `3h`, `2d`.
pub fn span(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..86400 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86400),
    }
}

/// How long ago; `-` if never.
pub fn age(then: Option<Stamp>, now: Stamp) -> String {
    then.map_or_else(none, |then| span(now.since(then)))
}

/// `-`, for what is not known or does not apply.
pub fn none() -> String {
    "-".to_owned()
}

/// A value or `-`.
pub fn maybe<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(none, |v| v.to_string())
}

/// A number with so many digits behind the point, or `-`.
pub fn number(value: Option<f32>, digits: usize) -> String {
    value.map_or_else(none, |v| format!("{v:.digits$}"))
}

/// Mebibytes, or `-`.
pub fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(none, |b| format!("{:.0}", b as f64 / f64::from(1 << 20)))
}

/// Kibibytes, or `-`.
pub fn kibibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(none, |b| format!("{:.0}", b as f64 / 1024.0))
}

/// Microseconds as milliseconds.
pub fn millis(us: u64) -> String {
    format!("{:.1}", us as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_numbers_stand_right() {
        let mut table = Table::new(&[("NAME", Align::Left), ("CALLS/S", Align::Right), ("REASON", Align::Left)]);
        table.push(vec!["大阪".into(), "1.0".into(), "a\x1b[2J\nb".into()]);
        table.push(vec!["etim@eaton".into(), "12.0".into(), String::new()]);
        assert_eq!(table.render(), "NAME        CALLS/S  REASON\n大阪            1.0  a [2J b\netim@eaton     12.0\n");
    }

    #[test]
    fn on_a_narrow_terminal_words_go_on_below() {
        let mut table = Table::new(&[("CHECK", Align::Left), ("EVIDENCE", Align::Left), ("N", Align::Right)]);
        table.push(vec!["state".into(), "failed for 13 s: not found in /usr/local/bin:/usr/bin".into(), "7".into()]);
        let want = "CHECK  EVIDENCE                  N\n\
                    state  failed for 13 s: not      7\n       found in\n       /usr/local/bin:/usr/bin\n";
        assert_eq!(table.render_within(Some(34)), want);
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn json_cannot_drive_a_terminal() {
        assert_eq!(json_line(&"a\u{9b}2J\u{7f}\x1b").unwrap(), "\"a\\u009b2J\\u007f\\u001b\"\n");
        assert_eq!(json_line(&"a\u{202e}b").unwrap(), "\"a\\u202eb\"\n");
        assert_eq!((one_line("a\u{202e}\u{1b}b"), plain("a\u{202e}b")), ("a b".into(), "a\u{fffd}b".into()));
    }

    #[test]
    fn spans_use_their_largest_unit() {
        for (s, text) in [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (200_000, "2d")] {
            assert_eq!(span(Duration::from_secs(s)), text);
        }
    }
}
