//! Pieces that views are made of. They know nothing of views; they import `model` and `ui::{app::Look, theme, fmt}`.

pub mod form;
pub mod graph;
pub mod histogram;
pub mod json_tree;
pub mod line;
pub mod pager;
pub mod scroll;
pub mod table;
pub mod words;

use super::app::Look;
use super::fmt;
use super::theme::Role;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType};
use unicode_segmentation::UnicodeSegmentation;

const ASCII_BORDER: border::Set = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Draws the frame of a pane with its title and returns the inside; the whole area where borders cost too much.
pub fn pane(look: &Look, frame: &mut Frame, area: Rect, title: &str, focused: bool) -> Rect {
    if !look.borders || area.height < 3 || area.width < 8 {
        return area;
    }
    let role = if focused { Role::BorderFocus } else { Role::Border };
    let title = fmt::fit(title, usize::from(area.width.saturating_sub(6)), look.ascii);
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(look.style(role)).title(Line::from(
        Span::styled(format!(" {title} "), look.style(if focused { Role::Title } else { Role::Text })),
    ));
    let block = if look.ascii { block.border_set(ASCII_BORDER) } else { block };
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// What stands in a pane without rows: what to do.
pub fn empty(look: &Look, frame: &mut Frame, area: Rect, text: &str) {
    for (at, line) in wrap(text, usize::from(area.width.saturating_sub(2))).iter().enumerate() {
        let y = area.y + at as u16;
        if y < area.bottom() {
            frame.buffer_mut().set_stringn(
                area.x + 1,
                y,
                line,
                usize::from(area.width.saturating_sub(2)),
                look.style(Role::Dim),
            );
        }
    }
}

/// Lines drawn from the top of `area`, each cut to its width.
pub fn lines(frame: &mut Frame, area: Rect, lines: &[Line]) {
    for (at, line) in lines.iter().take(usize::from(area.height)).enumerate() {
        frame.buffer_mut().set_line(area.x, area.y + at as u16, line, area.width);
    }
}

/// Breaks a text at spaces into lines of at most `columns`; a word longer than that (a path) is broken, too.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut out = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split(' ') {
            let wide = fmt::width(word);
            if used > 0 && used + 1 + wide > columns {
                out.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            for c in word.graphemes(true) {
                let w = fmt::width(c);
                if used + w > columns {
                    out.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push_str(c);
                used += w;
            }
        }
        out.push(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn texts_break_at_spaces_and_long_words_anywhere() {
        for (text, columns, lines) in [
            ("one two three", 7, &["one two", "three"][..]),
            ("/opt/a/long/path", 6, &["/opt/a", "/long/", "path"]),
            ("a\nb", 5, &["a", "b"]),
            ("", 5, &[""]),
            ("日本電気", 4, &["日本", "電気"]),
        ] {
            assert_eq!(wrap(text, columns), lines, "{text}");
        }
    }
}
