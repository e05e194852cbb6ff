//! Styles by what they mean, read from a theme file. Imports `model` only.

use crate::model::{Environment, Outcome, State};
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr;

/// What a piece of screen means; a theme gives each a style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Text,
    Dim,
    Title,
    Border,
    BorderFocus,
    Tab,
    TabActive,
    Product,
    Key,
    /// The selected row of the pane that has the focus, and of one that has not.
    Selection,
    SelectionIdle,
    Mark,
    /// Where a filter or search matched.
    Match,
    Good,
    Busy,
    /// Something is on its way: starting, stopping.
    Work,
    Warn,
    Bad,
    /// An operator's hand: stopped, fenced.
    Held,
    Sleep,
    Production,
    Staging,
    Lab,
    Badge,
    Notice,
    Graph,
}

impl Role {
    const ALL: [(Role, &'static str); 26] = [
        (Role::Text, "text"),
        (Role::Dim, "dim"),
        (Role::Title, "title"),
        (Role::Border, "border"),
        (Role::BorderFocus, "border_focus"),
        (Role::Tab, "tab"),
        (Role::TabActive, "tab_active"),
        (Role::Product, "product"),
        (Role::Key, "key"),
        (Role::Selection, "selection"),
        (Role::SelectionIdle, "selection_idle"),
        (Role::Mark, "mark"),
        (Role::Match, "match"),
        (Role::Good, "good"),
        (Role::Busy, "busy"),
        (Role::Work, "work"),
        (Role::Warn, "warn"),
        (Role::Bad, "bad"),
        (Role::Held, "held"),
        (Role::Sleep, "sleep"),
        (Role::Production, "production"),
        (Role::Staging, "staging"),
        (Role::Lab, "lab"),
        (Role::Badge, "badge"),
        (Role::Notice, "notice"),
        (Role::Graph, "graph"),
    ];

    /// The role of a state; its symbol and word stand beside it, so colour is never the only sign.
    pub fn of_state(state: State, busy: bool) -> Role {
        match state {
            State::Ready if busy => Role::Busy,
            State::Ready => Role::Good,
            State::Degraded | State::Backoff | State::Unknown => Role::Warn,
            State::Starting | State::Stopping => Role::Work,
            State::Doze | State::Dormant => Role::Sleep,
            State::Stopped | State::Fenced => Role::Held,
            State::Failed => Role::Bad,
        }
    }

    pub fn of_environment(environment: Environment) -> Role {
        match environment {
            Environment::Production => Role::Production,
            Environment::Staging => Role::Staging,
            Environment::Lab => Role::Lab,
        }
    }

    pub fn of_outcome(outcome: Outcome) -> Role {
        match outcome {
            Outcome::Ok => Role::Good,
            Outcome::Tool | Outcome::Cancelled => Role::Warn,
            _ => Role::Bad,
        }
    }

    /// 3 error, 2 warning, 1 notice.
    pub fn of_severity(severity: u8) -> Role {
        match severity {
            3.. => Role::Bad,
            2 => Role::Warn,
            _ => Role::Text,
        }
    }
}

/// How many colours may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorMode {
    /// Bold, dim, underline and reverse only.
    None,
    #[default]
    Sixteen,
    Indexed,
    True,
}

impl ColorMode {
    /// What the environment asks for or advertises; the terminal itself is not asked.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        let term = get("TERM").unwrap_or_default();
        if get("NO_COLOR").is_some_and(|v| !v.is_empty()) || term == "dumb" {
            Self::None
        } else if get("COLORTERM").is_some_and(|v| v == "truecolor" || v == "24bit") {
            Self::True
        } else if term.contains("256color") {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }

    /// The nearest colour this mode can show; `None` if it shows none.
    fn keep(self, color: Color) -> Option<Color> {
        match (self, color) {
            (Self::None, _) => None,
            (Self::Sixteen, Color::Rgb(r, g, b)) => Some(nearest_sixteen(r, g, b)),
            (Self::Sixteen, Color::Indexed(n)) if n >= 16 => Some(Color::Reset),
            (Self::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_cube(r, g, b))),
            (_, color) => Some(color),
        }
    }
}

fn nearest_sixteen(r: u8, g: u8, b: u8) -> Color {
    const TABLE: [Color; 8] =
        [Color::Black, Color::Red, Color::Green, Color::Yellow, Color::Blue, Color::Magenta, Color::Cyan, Color::Gray];
    let on = |v: u8| usize::from(v >= 110);
    TABLE[on(r) | on(g) << 1 | on(b) << 2]
}

/// Index in the 6x6x6 cube of the 256-colour palette.
fn nearest_cube(r: u8, g: u8, b: u8) -> u8 {
    let level = |v: u8| if v < 48 { 0 } else { ((u16::from(v) - 35) / 40).min(5) as u8 };
    16 + 36 * level(r) + 6 * level(g) + level(b)
}

/// A style for every role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    pub name: String,
    styles: Vec<Style>,
}

/// What is wrong with a theme file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    #[error("no theme `{0}`; there are {names}, or give the path of a .toml file", names = Theme::NAMES.join(", "))]
    Unknown(String),
    #[error("theme {file}: {message}")]
    Bad { file: String, message: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    style: BTreeMap<String, String>,
}

impl Theme {
    /// The built-in themes.
    pub const NAMES: [&'static str; 2] = ["default", "mono"];

    /// A built-in theme, or one read from a path that ends in `.toml`.
    pub fn load(name: &str, mode: ColorMode) -> Result<Self, ThemeError> {
        match name {
            "default" => Self::parse(name, include_str!("../../themes/default.toml"), mode),
            "mono" => Self::parse(name, include_str!("../../themes/mono.toml"), mode),
            path if path.ends_with(".toml") => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| ThemeError::Bad { file: path.to_owned(), message: e.to_string() })?;
                Self::parse(path, &text, mode)
            }
            other => Err(ThemeError::Unknown(other.to_owned())),
        }
    }

    /// Reads a theme; a role that the file leaves out is plain, one that does not exist is an error.
    pub fn parse(file: &str, text: &str, mode: ColorMode) -> Result<Self, ThemeError> {
        let bad = |message: String| ThemeError::Bad { file: file.to_owned(), message };
        let read: File = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
        if let Some(unknown) = read.style.keys().find(|k| !Role::ALL.iter().any(|(_, name)| name == k)) {
            return Err(bad(format!("no style is called `{unknown}`")));
        }
        let style = |name: &str| {
            let words = read.style.get(name).map_or("", String::as_str);
            parse_style(words, mode)
                .map_err(|word| bad(format!("style.{name}: `{word}` is no colour and no attribute")))
        };
        let mut styles = vec![Style::default(); Role::ALL.len()];
        for (role, name) in Role::ALL {
            styles[role as usize] = style(name)?;
        }
        Ok(Self { name: read.name, styles })
    }

    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }
}

impl Default for Theme {
    fn default() -> Self {
        Self::load("default", ColorMode::Sixteen)
            .unwrap_or(Self { name: "plain".to_owned(), styles: vec![Style::default(); Role::ALL.len()] })
    }
}

fn parse_style(words: &str, mode: ColorMode) -> Result<Style, String> {
    let mut style = Style::default();
    let mut background = false;
    for word in words.split_whitespace() {
        if word == "on" {
            background = true;
            continue;
        }
        if let Some(modifier) = modifier(word) {
            style = style.add_modifier(modifier);
            continue;
        }
        let color = Color::from_str(&word.replace('_', "")).map_err(|_| word.to_owned())?;
        let Some(color) = mode.keep(color) else {
            background = false;
            continue;
        };
        style = if std::mem::take(&mut background) { style.bg(color) } else { style.fg(color) };
    }
    Ok(style)
}

fn modifier(word: &str) -> Option<Modifier> {
    Some(match word {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "italic" => Modifier::ITALIC,
        "underline" => Modifier::UNDERLINED,
        "reverse" => Modifier::REVERSED,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_theme_reads() {
        for name in Theme::NAMES {
            Theme::load(name, ColorMode::Sixteen).unwrap();
        }
    }

    #[test]
    fn no_colour_keeps_bold_and_reverse() {
        let theme = Theme::load("default", ColorMode::None).unwrap();
        assert!(Role::ALL.iter().all(|(role, _)| theme.style(*role).fg.is_none() && theme.style(*role).bg.is_none()));
        assert!(theme.style(Role::Bad).add_modifier.contains(Modifier::BOLD));
        assert!(theme.style(Role::Selection).add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn wrong_words_are_named() {
        let error = |style: &str| {
            Theme::parse("x.toml", &format!("name = 'x'\n[style]\n{style}"), ColorMode::True).unwrap_err().to_string()
        };
        assert_eq!(error("bad = 'redd'"), "theme x.toml: style.bad: `redd` is no colour and no attribute");
        assert_eq!(error("worse = 'red'"), "theme x.toml: no style is called `worse`");
        assert!(Theme::load("nord", ColorMode::True).unwrap_err().to_string().contains("default, mono"));
    }

    #[test]
    fn rich_colours_come_down_to_what_the_terminal_has() {
        let theme = |mode| {
            Theme::parse("x", "name='x'\n[style]\nbad='#ff0000 on #000000 bold'", mode).unwrap().style(Role::Bad)
        };
        assert_eq!(theme(ColorMode::True).fg, Some(Color::Rgb(255, 0, 0)));
        assert_eq!(theme(ColorMode::Indexed).fg, Some(Color::Indexed(196)));
        assert_eq!(theme(ColorMode::Sixteen).fg, Some(Color::Red));
        assert_eq!(theme(ColorMode::Sixteen).bg, Some(Color::Black));
    }

    #[test]
    fn the_environment_decides_how_many_colours() {
        let mode = |vars: &[(&str, &str)]| {
            let vars: BTreeMap<String, String> = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            ColorMode::from_env(|name| vars.get(name).cloned())
        };
        assert_eq!(mode(&[("TERM", "xterm")]), ColorMode::Sixteen);
        assert_eq!(mode(&[("TERM", "tmux-256color")]), ColorMode::Indexed);
        assert_eq!(mode(&[("COLORTERM", "truecolor")]), ColorMode::True);
        assert_eq!(mode(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), ColorMode::None);
    }
}
