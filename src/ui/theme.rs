//! Styles by what they mean, read from a theme file. Imports `model` only.

use crate::model::{Environment, Outcome, State};
use ratatui::style::{Color, Modifier, Style};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

mod color;
pub mod files;
pub mod watch;

pub use color::ColorMode;

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

/// A style for every role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    pub name: String,
    styles: Vec<Style>,
}

/// What is wrong with a theme file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    #[error("no theme `{0}`; there are {names}, those in the folder that `mcpdeck paths` tells, or a path that ends in .toml", names = files::NAMES.join(", "))]
    Unknown(String),
    #[error("{message} (theme {file})")]
    Bad { file: String, message: String },
}

impl Theme {
    /// A built-in theme, or one read from a path that ends in `.toml`.
    pub fn load(name: &str, mode: ColorMode) -> Result<Self, ThemeError> {
        files::find(name, None::<&Path>, mode).map(|found| found.theme)
    }

    /// A theme of these words for each role; one that has none is plain, a role that does not exist is an error.
    fn of_words(name: String, words: &BTreeMap<String, String>, mode: ColorMode) -> Result<Self, String> {
        if let Some(unknown) = words.keys().find(|k| !Role::ALL.iter().any(|(_, name)| name == k)) {
            return Err(format!("no style is called `{unknown}`"));
        }
        let mut styles = vec![Style::default(); Role::ALL.len()];
        for (role, name) in Role::ALL {
            let words = words.get(name).map_or("", String::as_str);
            styles[role as usize] = parse_style(words, mode)
                .map_err(|word| format!("style.{name}: `{word}` is no colour and no attribute"))?;
        }
        Ok(Self { name, styles })
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

/// A background that the terminal cannot show is a reversal: what stands out does so everywhere.
fn parse_style(words: &str, mode: ColorMode) -> Result<Style, String> {
    let mut style = Style::default();
    let mut background = false;
    let mut reversed = false;
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
        style = match (std::mem::take(&mut background), mode.keep(color), mode.keep_background(color)) {
            (true, _, Some(kept)) => style.bg(kept),
            (true, _, None) => {
                reversed = true;
                style.add_modifier(Modifier::REVERSED)
            }
            (false, Some(kept), _) => style.fg(kept),
            (false, None, _) => style,
        };
    }
    if reversed {
        // The text's colour was meant to be read on that background, not to become it.
        style.fg = style.fg.map(|_| Color::Reset);
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
    use std::collections::BTreeSet;

    const MODES: [ColorMode; 4] = [ColorMode::None, ColorMode::Sixteen, ColorMode::Indexed, ColorMode::True];

    fn of(words: &[(&str, &str)], mode: ColorMode) -> Result<Theme, String> {
        let words = words.iter().map(|(role, words)| ((*role).to_owned(), (*words).to_owned())).collect();
        Theme::of_words("x".to_owned(), &words, mode)
    }

    #[test]
    fn every_built_in_theme_shows_what_is_selected_in_every_mode() {
        for (name, mode) in files::NAMES.iter().flat_map(|name| MODES.map(|mode| (name, mode))) {
            let theme = Theme::load(name, mode).unwrap();
            assert_eq!(theme.name, *name);
            for role in [Role::Selection, Role::TabActive, Role::SelectionIdle] {
                let style = theme.style(role);
                let marked = style.add_modifier.intersects(Modifier::REVERSED | Modifier::UNDERLINED);
                assert!(marked || style.bg.is_some(), "{name} {mode:?} {role:?}");
            }
            assert_eq!(
                (theme.style(Role::Text).bg, theme.style(Role::Dim).bg),
                (None, None),
                "{name}: its own background"
            );
        }
    }

    #[test]
    fn no_colour_keeps_bold_and_reverse() {
        for name in files::NAMES {
            let theme = Theme::load(name, ColorMode::None).unwrap();
            let plain = |style: Style| style.fg.is_none_or(|c| c == Color::Reset) && style.bg.is_none();
            assert!(Role::ALL.iter().all(|(role, _)| plain(theme.style(*role))), "{name}");
            assert!(theme.style(Role::Bad).add_modifier.contains(Modifier::BOLD), "{name}");
            assert!(theme.style(Role::Selection).add_modifier.contains(Modifier::REVERSED), "{name}");
        }
    }

    #[test]
    fn a_state_has_a_symbol_and_a_word_of_its_own_beside_its_colour() {
        for ascii in [false, true] {
            let signs = State::ALL.iter().flat_map(|s| [s.symbol(false, ascii), s.symbol(true, ascii)]);
            let signs: BTreeSet<&str> = signs.collect();
            assert_eq!(signs.len(), State::ALL.len() + 1, "ready has two: {signs:?}");
            assert!(!ascii || signs.iter().all(|sign| sign.is_ascii()), "{signs:?}");
        }
        let words: BTreeSet<&str> = State::ALL.iter().map(|state| state.name()).collect();
        assert_eq!(words.len(), State::ALL.len());
        let outcomes: BTreeSet<&str> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
        assert_eq!(outcomes.len(), Outcome::ALL.len());
    }

    #[test]
    fn wrong_words_are_named() {
        assert_eq!(
            of(&[("bad", "redd")], ColorMode::True).unwrap_err(),
            "style.bad: `redd` is no colour and no attribute"
        );
        assert_eq!(of(&[("worse", "red")], ColorMode::True).unwrap_err(), "no style is called `worse`");
        assert!(Theme::load("nord", ColorMode::True).unwrap_err().to_string().contains("default, dark, light"));
    }

    #[test]
    fn a_background_that_cannot_be_shown_is_a_reversal() {
        let selection = |mode| of(&[("selection", "#ffffff on #2a3140")], mode).unwrap().style(Role::Selection);
        assert_eq!(selection(ColorMode::True).bg, Some(Color::Rgb(0x2a, 0x31, 0x40)));
        assert_eq!(selection(ColorMode::Indexed).bg, Some(Color::Indexed(236)));
        for mode in [ColorMode::Sixteen, ColorMode::None] {
            assert!(selection(mode).add_modifier.contains(Modifier::REVERSED) && selection(mode).bg.is_none());
        }
    }
}
