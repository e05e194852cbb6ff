//! Standard output: aligned tables for people, JSON for programs. Nothing here panics when a pipe closes.

use super::args::Output;
use super::error::{Code, Error};
use crate::model::Stamp;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

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
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&heads).chain(&self.rows).collect();
        let widths: Vec<usize> =
            (0..heads.len()).map(|at| lines.iter().map(|line| line[at].width()).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for line in lines {
            let mut row = String::new();
            for ((cell, (_, align)), width) in line.iter().zip(self.columns).zip(&widths) {
                let gap = " ".repeat(width - cell.width());
                match align {
                    Align::Left => row.extend([cell, &*gap, "  "]),
                    Align::Right => row.extend([&*gap, cell, "  "]),
                }
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Text that stays on its line and cannot drive a terminal.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text of several lines that cannot drive a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
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

/// Indented JSON with a line end.
pub fn json(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::failed(e.to_string()))?;
    Ok(escape_c1(text) + "\n")
}

/// JSON on one line, with a line end.
pub fn json_line(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(value).map_err(|e| Error::failed(e.to_string()))?;
    Ok(escape_c1(text) + "\n")
}

/// serde_json leaves DEL and the C1 controls as they are; some terminals obey them.
fn escape_c1(text: String) -> String {
    let drives = |c: char| ('\u{7f}'..='\u{9f}').contains(&c);
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
            print(&table.render())?;
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
    fn json_cannot_drive_a_terminal() {
        assert_eq!(json_line(&"a\u{9b}2J\u{7f}\x1b").unwrap(), "\"a\\u009b2J\\u007f\\u001b\"\n");
    }

    #[test]
    fn spans_use_their_largest_unit() {
        for (s, text) in [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (200_000, "2d")] {
            assert_eq!(span(Duration::from_secs(s)), text);
        }
    }
}
