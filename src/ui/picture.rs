//! One frame of a view as text: ANSI for a terminal or a file, SVG for a document.

use super::app::{App, Msg, Options};
use super::fmt;
use super::theme::{ColorMode, Role, Theme};
use super::{draw, update::update};
use crate::control::handle::Link;
use crate::model::{Environment, Outcome, Snapshot, State};
use crossterm::QueueableCommand;
use crossterm::style::{Attribute, SetAttribute, SetStyle};
use ratatui::Terminal;
use ratatui::backend::{IntoCrossterm, TestBackend};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use ratatui::text::{Line, Span};
use std::fmt::Write as _;

/// How a frame is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Ansi,
    Svg,
}

/// Draws `snapshot` as a screen with these options would, once, `size` columns and rows large.
pub fn frame(snapshot: &Snapshot, link: Link, options: &Options, size: (u16, u16), format: Format) -> String {
    let mut app = App::new(options, link);
    for msg in [Msg::Tick(snapshot.taken, 0), Msg::Resize(size.0, size.1), Msg::Snapshot] {
        update(&mut app, snapshot, msg);
    }
    drawn(&app, snapshot, size, format)
}

/// What the screen shows now, as text.
pub fn drawn(app: &App, snapshot: &Snapshot, size: (u16, u16), format: Format) -> String {
    let buffer = paint(app, snapshot, size);
    match format {
        Format::Ansi => ansi(&buffer, app.shared.colors),
        Format::Svg => svg(&buffer),
    }
}

/// The cells of one frame.
pub fn paint(app: &App, snapshot: &Snapshot, (width, height): (u16, u16)) -> Buffer {
    // A test terminal cannot fail: it is memory.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| draw::draw(app, snapshot, frame));
    terminal.backend().buffer().clone()
}

fn rows(buffer: &Buffer) -> impl Iterator<Item = &[Cell]> {
    buffer.content().chunks(usize::from(buffer.area.width).max(1))
}

/// Cells that hold something: the second half of a wide character does not.
fn visible(row: &[Cell]) -> impl Iterator<Item = (usize, &Cell)> {
    let mut skip = 0;
    row.iter().enumerate().filter(move |(_, cell)| {
        if skip > 0 {
            skip -= 1;
            return false;
        }
        skip = fmt::width(cell.symbol()).saturating_sub(1);
        true
    })
}

fn ansi(buffer: &Buffer, colors: ColorMode) -> String {
    let mut out = Vec::new();
    for row in rows(buffer) {
        let mut last = None;
        let mut line = Vec::new();
        for (_, cell) in visible(row) {
            let style = cell.style();
            if last != Some(style) {
                // Writing to memory does not fail.
                let _ =
                    line.queue(SetAttribute(Attribute::Reset)).and_then(|l| l.queue(SetStyle(style.into_crossterm())));
                last = Some(style);
            }
            line.extend_from_slice(cell.symbol().as_bytes());
        }
        let _ = line.queue(SetAttribute(Attribute::Reset));
        out.extend(line);
        out.push(b'\n');
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    if colors == ColorMode::None { plain(buffer) } else { text }
}

/// What a theme makes of every state and of what else stands out.
pub fn preview(theme: &Theme, colors: ColorMode, ascii: bool) -> String {
    let role = |text: String, role: Role| Span::styled(text, theme.style(role));
    let states: Vec<Span> = State::ALL
        .iter()
        .flat_map(|state| match state {
            State::Ready => vec![(*state, true, "busy"), (*state, false, "quiet")],
            _ => vec![(*state, false, state.name())],
        })
        .map(|(state, busy, word)| role(format!("{} {word}", state.symbol(busy, ascii)), Role::of_state(state, busy)))
        .collect();
    let outcomes = Outcome::ALL.iter().map(|outcome| role(outcome.name().to_owned(), Role::of_outcome(*outcome)));
    let places = [Environment::Production, Environment::Staging, Environment::Lab]
        .map(|place| role(place.name().to_owned(), Role::of_environment(place)));
    let others = [
        ("title", Role::Title),
        ("key", Role::Key),
        ("badge", Role::Badge),
        ("mark", Role::Mark),
        ("match", Role::Match),
        ("notice", Role::Notice),
        ("dim", Role::Dim),
        ("graph", Role::Graph),
    ]
    .map(|(word, what)| role(word.to_owned(), what));
    let selected =
        [("selected", Role::Selection), ("selected elsewhere", Role::SelectionIdle), ("tab", Role::TabActive)]
            .map(|(word, what)| role(format!(" {word} "), what));
    let (first, second) = states.split_at(states.len() / 2);
    let outcomes: Vec<Span> = outcomes.collect();
    let lines = [first, second, &outcomes, &places, &others, &selected].map(|spans| {
        let gaps = spans.iter().cloned().flat_map(|span| [Span::raw("  "), span]);
        Line::from(gaps.collect::<Vec<_>>())
    });
    let mut buffer = Buffer::empty(Rect::new(0, 0, 80, lines.len() as u16));
    for (line, y) in lines.iter().zip(0..) {
        buffer.set_line(0, y, line, 80);
    }
    ansi(&buffer, colors)
}

/// The characters alone, without trailing blanks.
pub fn plain(buffer: &Buffer) -> String {
    let line = |row: &[Cell]| visible(row).map(|(_, cell)| cell.symbol()).collect::<String>().trim_end().to_owned();
    rows(buffer).map(line).fold(String::new(), |all, line| all + &line + "\n")
}

/// As high as the font, so that lines which are drawn meet.
const CELL: (f32, f32) = (8.4, 16.5);
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d8dee9";

/// A picture: one text element per run of cells with the same style, pinned to the grid by its length.
fn svg(buffer: &Buffer) -> String {
    let (width, height) = (f32::from(buffer.area.width) * CELL.0 + 16.0, f32::from(buffer.area.height) * CELL.1 + 16.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n"
    );
    for (y, row) in rows(buffer).enumerate() {
        let cells: Vec<(usize, &Cell)> = visible(row).collect();
        for run in cells.chunk_by(|a, b| a.1.style() == b.1.style()) {
            svg_run(&mut out, run, y);
        }
    }
    out.push_str("</svg>\n");
    out
}

fn svg_run(out: &mut String, run: &[(usize, &Cell)], y: usize) {
    let Some((x, first)) = run.first() else { return };
    let text: String = run.iter().map(|(_, cell)| cell.symbol()).collect();
    let modifier = first.modifier;
    let reverse = modifier.contains(Modifier::REVERSED);
    if text.trim().is_empty() && !reverse && first.bg == Color::Reset {
        return;
    }
    let (mut fg, mut bg) = (hex(first.fg, FOREGROUND), hex(first.bg, BACKGROUND));
    if reverse {
        std::mem::swap(&mut fg, &mut bg);
    }
    let columns = fmt::width(&text) as f32;
    let (left, top) = (8.0 + *x as f32 * CELL.0, 8.0 + y as f32 * CELL.1);
    if bg != BACKGROUND {
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{bg}\"/>",
            columns * CELL.0,
            CELL.1
        );
    }
    let mut extra = String::new();
    for (flag, attribute) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::DIM, " opacity=\"0.6\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
    ] {
        if modifier.contains(flag) {
            extra.push_str(attribute);
        }
    }
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" fill=\"{fg}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\"{extra}>{escaped}</text>",
        top + 13.0,
        columns * CELL.0
    );
}

fn hex(color: Color, default: &str) -> String {
    let fixed = match color {
        Color::Black => "#2e3440",
        Color::Red | Color::LightRed => "#e06c75",
        Color::Green | Color::LightGreen => "#8fbf7a",
        Color::Yellow | Color::LightYellow => "#e5c07b",
        Color::Blue | Color::LightBlue => "#61afef",
        Color::Magenta | Color::LightMagenta => "#c678dd",
        Color::Cyan | Color::LightCyan => "#56b6c2",
        Color::Gray | Color::White => "#eceff4",
        Color::DarkGray => "#7a8290",
        Color::Rgb(r, g, b) => return format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Indexed(_) | Color::Reset => default,
    };
    fixed.to_owned()
}
