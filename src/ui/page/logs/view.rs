//! Draws log lines: only those seen, wrapped or scrolled sideways, with matches and the level marked.

use super::{Entry, Logs, Runs};
use crate::model::message::{Level, LogSource, LogTarget};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::words;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// What one line looks like on screen.
struct Shown {
    /// A rule above it where a new run begins.
    rule: Option<String>,
    prefix: String,
    /// The text in pieces, one a row.
    pieces: Vec<String>,
}

impl Shown {
    fn height(&self) -> usize {
        self.pieces.len() + usize::from(self.rule.is_some())
    }
}

impl Logs {
    pub(super) fn title(&self, look: &Look) -> String {
        let name = |source: &LogTarget| source.to_string();
        let mut parts = vec![self.sources.iter().map(name).collect::<Vec<_>>().join(" + ")];
        let mut add = |text: String| parts.push(text);
        add(if self.cursor.is_none() { "following".to_owned() } else { format!("line {}", self.position() + 1) });
        let kept = self.lines.kept();
        add(if self.lines.len() == kept {
            fmt::plural(kept, "line")
        } else {
            format!("{} of {}", self.lines.len(), fmt::plural(kept, "line"))
        });
        if self.lines.dropped + self.lost > 0 {
            add(format!("{} dropped", self.lines.dropped + self.lost));
        }
        if let Some(level) = self.least {
            add(format!("{} and worse", level.name()));
        }
        if !self.keep.is_empty() {
            add(format!("& {}", self.keep.source()));
        }
        if !self.paths.is_empty() {
            add(self.paths.source().to_owned());
        }
        if let Some(since) = self.since {
            add(format!("since {}", look.time(since)));
        }
        match self.runs {
            Runs::All => {}
            Runs::Newest => add("this run".to_owned()),
            Runs::Previous => add("the run before".to_owned()),
        }
        if let Some(why) = &self.ended {
            add(format!("ended: {why}"));
        }
        words::title(look, "Logs", &parts)
    }

    pub(super) fn draw_lines(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        self.height.set(height);
        if width < 4 || height == 0 {
            return;
        }
        let (first, mut cut) = self.first_seen(look, width, height);
        if let Some((number, _)) = self.lines.at(first) {
            self.top.set(number);
        }
        let mut y = area.y;
        for position in first..self.lines.len() {
            let Some((number, entry)) = self.lines.at(position) else { return };
            for (text, style) in self.rows(look, entry, width).into_iter().skip(std::mem::take(&mut cut)) {
                if y == area.bottom() {
                    return;
                }
                frame.buffer_mut().set_stringn(area.x, y, &text, width, style);
                self.mark_matches(look, frame, Rect { y, height: 1, ..area }, &text);
                if self.is_selected(number) {
                    frame.buffer_mut().set_style(Rect { y, height: 1, ..area }, look.style(Role::Selection));
                }
                y += 1;
            }
        }
    }

    fn rows(&self, look: &Look, entry: &Entry, width: usize) -> Vec<(String, Style)> {
        let shown = self.shown(look, entry, width);
        let style = look.style(match (entry.line.level, entry.line.source) {
            (Some(Level::Error), _) => Role::Bad,
            (Some(Level::Warn), _) | (_, LogSource::Garbage) => Role::Warn,
            (Some(Level::Debug), _) => Role::Dim,
            (_, LogSource::Deck) => Role::Notice,
            _ => Role::Text,
        });
        let indent = " ".repeat(fmt::width(&shown.prefix));
        let rule = shown.rule.map(|rule| (rule, look.style(Role::Dim)));
        let pieces = shown.pieces.into_iter().enumerate().map(|(at, piece)| {
            let before = if at == 0 { &shown.prefix } else { &indent };
            (format!("{before}{piece}"), style)
        });
        rule.into_iter().chain(pieces).collect()
    }

    /// The first position to draw, and how many of its rows are above the screen: as before if the cursor is then seen;
    /// from the end while following, so that no row at the bottom stays empty.
    fn first_seen(&self, look: &Look, width: usize, height: usize) -> (usize, usize) {
        let tall =
            |position: usize| self.lines.at(position).map_or(0, |(_, entry)| self.shown(look, entry, width).height());
        // The first position from which `last` is just seen to its end, and the rows of it that do not fit.
        let upwards = |last: usize| {
            let (mut first, mut used) = (last, tall(last));
            while first > 0 && used < height {
                first -= 1;
                used += tall(first);
            }
            (first, used.saturating_sub(height))
        };
        let end = upwards(self.lines.len().saturating_sub(1));
        let Some(number) = self.cursor else { return end };
        let chosen = self.lines.position(number).min(self.lines.len().saturating_sub(1));
        // A place further down is a larger pair: the cursor's end is seen, then its start, then no row stays empty.
        let before = (self.lines.position(self.top.get()), 0);
        before.max(upwards(chosen)).min((chosen, 0)).min(end)
    }

    fn shown(&self, look: &Look, entry: &Entry, width: usize) -> Shown {
        let prefix = self.prefix(look, entry);
        let room = width.saturating_sub(fmt::width(&prefix)).max(1);
        let values = self.paths.values(&entry.line.text);
        let text = values.as_ref().unwrap_or(&entry.line.text);
        let pieces = if self.wrap { pieces(text, room) } else { vec![text.graphemes(true).skip(self.skip).collect()] };
        let rule = entry.new_run.then(|| {
            let who = entry.line.target.to_string();
            let rule = if look.ascii { "--" } else { "──" };
            format!("{rule} {who}: run {} {rule}", entry.line.run)
        });
        Shown { rule, prefix, pieces }
    }

    fn prefix(&self, look: &Look, entry: &Entry) -> String {
        let mut out = String::new();
        if self.times && !look.tiny {
            out.push_str(&look.time(entry.line.at));
            out.push(' ');
        }
        out.push_str(match entry.line.level {
            Some(Level::Error) => "E ",
            Some(Level::Warn) => "W ",
            Some(Level::Info) => "I ",
            Some(Level::Debug) => "D ",
            None => "  ",
        });
        if self.is_merged() {
            let who = self.who(look, entry);
            let gap = who_columns(look).saturating_sub(fmt::width(&who)) + 1;
            out.push_str(&who);
            out.push_str(&" ".repeat(gap));
        }
        if entry.line.source == LogSource::Garbage {
            out.push_str("stdout: ");
        }
        out
    }

    /// Whose line it is. Our own containers begin alike: what tells them apart is the rest.
    fn who(&self, look: &Look, entry: &Entry) -> String {
        let who = entry.line.target.to_string();
        let ours = who.strip_prefix("mcpdeck-").and_then(|rest| rest.strip_prefix(&*look.snap.platform.name));
        let own = ours.and_then(|rest| rest.strip_prefix('-')).unwrap_or(&who);
        fmt::fit_middle(own, who_columns(look), look.ascii)
    }

    fn is_selected(&self, number: u64) -> bool {
        match (self.cursor, self.anchor) {
            (Some(cursor), Some(anchor)) => (cursor.min(anchor)..=cursor.max(anchor)).contains(&number),
            (Some(cursor), None) => number == cursor,
            (None, _) => false,
        }
    }

    fn mark_matches(&self, look: &Look, frame: &mut Frame, line: Rect, text: &str) {
        for range in super::text::find_all(text, &self.search) {
            let (Some(before), Some(found)) = (text.get(..range.start), text.get(range.clone())) else { continue };
            let start = fmt::width(before).min(usize::from(line.width));
            let wide = fmt::width(found).min(usize::from(line.width) - start);
            let place = Rect { x: line.x + start as u16, width: wide as u16, ..line };
            frame.buffer_mut().set_style(place, look.style(Role::Match));
        }
    }
}

/// Columns for the names of merged logs: the lines need the rest.
fn who_columns(look: &Look) -> usize {
    match look.shared.size.0 {
        ..100 => 16,
        100..140 => 24,
        _ => 32,
    }
}

/// A text in pieces of at most `columns`, none of which cuts a character; an empty text is one empty piece.
fn pieces(text: &str, columns: usize) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = grapheme.width();
        if used + wide > columns && used > 0 {
            out.push(String::new());
            used = 0;
        }
        used += wide;
        if let Some(last) = out.last_mut() {
            last.push_str(grapheme);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_lines_break_between_characters() {
        assert_eq!(pieces("", 4), [""]);
        assert_eq!(pieces("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(pieces("日本電気", 5), ["日本", "電気"]);
        assert_eq!(pieces("日", 1), ["日"]);
    }

    proptest! {
        #[test]
        fn nothing_of_a_line_is_lost(text in ".{0,60}", columns in 1usize..20) {
            prop_assert_eq!(pieces(&text, columns).concat(), text);
        }
    }
}
