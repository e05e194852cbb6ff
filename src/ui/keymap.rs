//! From keys to actions: chords, the defaults of the action table, and the user's own. Imports `action` and `page` only.

use super::action::{Action, ROWS};
use super::page::Page;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// One key with its modifiers, in one spelling: `G`, never `shift-g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// Chords that terminals cannot tell from others, that tmux and screen keep, or that stop the output.
const FORBIDDEN: [&str; 8] = ["ctrl-j", "ctrl-m", "ctrl-i", "ctrl-h", "ctrl-a", "ctrl-b", "ctrl-s", "ctrl-q"];

/// Why a text is no chord, or one that cannot be bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "`{0}` is no key: write a character, or ctrl-x, alt-x, f1..f12, enter, esc, tab, backtab, space, up, down, left, right, home, end, pageup, pagedown, insert, delete, backspace"
    )]
    NoChord(String),
    #[error("`{0}` cannot be bound: terminals, tmux or screen take it for something else")]
    Forbidden(String),
    #[error("no action is called `{0}`; `?` on the screen lists them")]
    NoAction(String),
    #[error("`{chord}` means both `{first}` and `{second}` in {page}")]
    Clash { chord: String, first: &'static str, second: &'static str, page: &'static str },
}

impl Chord {
    /// The chord of a key event.
    pub fn of(key: KeyEvent) -> Self {
        let mut modifiers = key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let mut code = key.code;
        match code {
            // A shifted character already is another character.
            KeyCode::Char(_) | KeyCode::BackTab => modifiers.remove(KeyModifiers::SHIFT),
            KeyCode::Tab if modifiers.contains(KeyModifiers::SHIFT) => {
                code = KeyCode::BackTab;
                modifiers.remove(KeyModifiers::SHIFT);
            }
            _ => {}
        }
        Self { code, modifiers }
    }

    /// The key event that gives this chord.
    pub fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }
}

const NAMED: [(&str, KeyCode); 17] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
    ("insert", KeyCode::Insert),
    ("delete", KeyCode::Delete),
    ("backspace", KeyCode::Backspace),
    ("minus", KeyCode::Char('-')),
];

impl FromStr for Chord {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bad = || KeyError::NoChord(text.to_owned());
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((word, more)) = rest.split_once('-').filter(|(word, more)| !word.is_empty() && !more.is_empty())
        {
            modifiers |= match word {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return Err(bad()),
            };
            rest = more;
        }
        let mut chars = rest.chars();
        let code = match (chars.next(), chars.next()) {
            (Some(c), None) => KeyCode::Char(c),
            _ => match NAMED.iter().find(|(name, _)| *name == rest) {
                Some((_, code)) => *code,
                None => rest
                    .strip_prefix('f')
                    .and_then(|n| n.parse().ok())
                    .filter(|n| (1..=12).contains(n))
                    .map(KeyCode::F)
                    .ok_or_else(bad)?,
            },
        };
        Ok(Self::of(KeyEvent::new(code, modifiers)))
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (modifier, word) in
            [(KeyModifiers::CONTROL, "ctrl-"), (KeyModifiers::ALT, "alt-"), (KeyModifiers::SHIFT, "shift-")]
        {
            if self.modifiers.contains(modifier) {
                text.push_str(word);
            }
        }
        match self.code {
            KeyCode::Char('-') => text.push('-'),
            KeyCode::F(n) => text.push_str(&format!("F{n}")),
            code => match (NAMED.iter().find(|(_, c)| *c == code), code) {
                (Some((name, _)), _) => text.push_str(name),
                (None, KeyCode::Char(c)) => text.push(c),
                (None, _) => text.push('?'),
            },
        }
        f.pad(&text)
    }
}

/// Which chord does what, per view.
#[derive(Clone, Debug)]
pub struct Keymap {
    chords: BTreeMap<Action, Vec<Chord>>,
}

impl Keymap {
    /// The defaults with the user's changes; an action named there loses its default chords. Every problem is
    /// returned, and the defaults stand where there is one.
    pub fn new(user: &BTreeMap<String, Vec<String>>) -> (Self, Vec<KeyError>) {
        let mut chords: BTreeMap<Action, Vec<Chord>> =
            ROWS.iter().map(|row| (row.action, row.chords.iter().filter_map(|c| c.parse().ok()).collect())).collect();
        let mut errors = Vec::new();
        for (name, keys) in user {
            match read_override(name, keys) {
                Ok((action, own)) => {
                    chords.insert(action, own);
                }
                Err(error) => errors.push(error),
            }
        }
        let map = Self { chords };
        errors.extend(map.clashes());
        if errors.is_empty() || user.is_empty() { (map, errors) } else { (Self::new(&BTreeMap::new()).0, errors) }
    }

    /// The action of a key in a view.
    pub fn resolve(&self, page: Page, key: KeyEvent) -> Option<Action> {
        let chord = Chord::of(key);
        ROWS.iter().filter(|row| row.on.page(page)).map(|row| row.action).find(|a| self.chords(*a).contains(&chord))
    }

    /// Chords of an action, the one to show first.
    pub fn chords(&self, action: Action) -> &[Chord] {
        self.chords.get(&action).map_or(&[], Vec::as_slice)
    }

    /// True if a function key stands for the action: those work while text is edited, too.
    pub fn is_function(&self, action: Action) -> bool {
        self.chords(action).first().is_some_and(|chord| matches!(chord.code, KeyCode::F(_)))
    }

    /// The chord to show for an action; empty if it has none.
    pub fn shown(&self, action: Action) -> String {
        self.chords(action).first().map(Chord::to_string).unwrap_or_default()
    }

    /// Chords that mean two things in one view.
    pub fn clashes(&self) -> Vec<KeyError> {
        let mut found = Vec::new();
        for page in Page::ALL {
            let here: Vec<_> = ROWS.iter().filter(|row| row.on.page(page)).collect();
            for (at, first) in here.iter().enumerate() {
                for second in &here[at + 1..] {
                    let both = self.chords(first.action).iter().find(|c| self.chords(second.action).contains(c));
                    found.extend(both.map(|chord| KeyError::Clash {
                        chord: chord.to_string(),
                        first: first.name,
                        second: second.name,
                        page: page.name(),
                    }));
                }
            }
        }
        found
    }
}

fn read_override(name: &str, keys: &[String]) -> Result<(Action, Vec<Chord>), KeyError> {
    let action = Action::named(name).ok_or_else(|| KeyError::NoAction(name.to_owned()))?;
    let own = keys
        .iter()
        .map(|key| {
            let chord: Chord = key.parse()?;
            if FORBIDDEN.contains(&chord.to_string().as_str()) {
                return Err(KeyError::Forbidden(key.clone()));
            }
            Ok(chord)
        })
        .collect::<Result<_, _>>()?;
    Ok((action, own))
}

/// Reads a key string of tests and docs: `2 j j <enter> s`, `<ctrl-r>`, `/ a b <esc>`; words split at spaces.
pub fn parse_keys(text: &str) -> Result<Vec<KeyEvent>, KeyError> {
    text.split_whitespace()
        .map(|word| {
            let inner = word.strip_prefix('<').and_then(|w| w.strip_suffix('>')).filter(|w| !w.is_empty());
            inner.unwrap_or(word).parse::<Chord>().map(Chord::event)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, keys: &[&str]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(name.to_owned(), keys.iter().map(|k| (*k).to_owned()).collect())])
    }

    #[test]
    fn the_defaults_do_not_clash_and_all_parse() {
        let (map, errors) = Keymap::new(&BTreeMap::new());
        assert_eq!(errors, []);
        for row in ROWS {
            assert_eq!(map.chords(row.action).len(), row.chords.len(), "{}", row.name);
        }
    }

    #[test]
    fn no_default_is_a_chord_that_terminals_confuse() {
        for row in ROWS {
            for chord in row.chords {
                assert!(!FORBIDDEN.contains(chord), "{} on {chord}", row.name);
            }
        }
    }

    #[test]
    fn every_action_can_be_reached() {
        // By a key in some view, or from the palette, which lists what the view knows.
        for row in ROWS {
            assert!(Page::ALL.iter().any(|p| row.on.page(*p)), "{}", row.name);
        }
        let (map, _) = Keymap::new(&BTreeMap::new());
        for page in Page::ALL {
            assert_eq!(map.resolve(page, parse_keys("q").unwrap()[0]), Some(Action::Quit));
        }
    }

    #[test]
    fn every_action_can_be_bound_anew_on_its_own() {
        let key = parse_keys("<alt-f9>").unwrap()[0];
        for row in ROWS {
            let (map, errors) = Keymap::new(&user(row.name, &["alt-f9"]));
            assert_eq!(errors, [], "{}", row.name);
            for page in Page::ALL {
                let meant = row.on.page(page).then_some(row.action);
                assert_eq!(map.resolve(page, key), meant, "{} in {}", row.name, page.name());
                let old =
                    parse_keys(&row.chords.iter().map(|c| format!("<{c}>")).collect::<Vec<_>>().join(" ")).unwrap();
                assert!(old.iter().all(|key| map.resolve(page, *key) != Some(row.action)), "{}", row.name);
            }
        }
    }

    #[test]
    fn digits_of_views_that_are_not_built_are_unbound() {
        let (map, _) = Keymap::new(&BTreeMap::new());
        for page in Page::ALL {
            for key in parse_keys("9").unwrap() {
                assert_eq!(map.resolve(page, key), None);
            }
        }
    }

    #[test]
    fn chords_read_back_as_written() {
        for text in ["a", "G", "ctrl-r", "enter", "backtab", "space", "-", "?", "alt-x", "pageup", "["] {
            assert_eq!(text.parse::<Chord>().unwrap().to_string(), text);
        }
        assert_eq!("f5".parse::<Chord>().unwrap().to_string(), "F5");
        assert_eq!("shift-tab".parse::<Chord>(), "backtab".parse());
        for text in ["", "hyper-x", "f13", "enterr", "ctrl-"] {
            assert!(text.parse::<Chord>().is_err(), "{text}");
        }
    }

    #[test]
    fn own_keys_replace_the_defaults_or_say_what_is_wrong() {
        let (map, errors) = Keymap::new(&user("restart", &["f9"]));
        assert_eq!(errors, []);
        assert_eq!(map.resolve(Page::Servers, parse_keys("<f9>").unwrap()[0]), Some(Action::Restart));
        assert_eq!(map.resolve(Page::Servers, parse_keys("R").unwrap()[0]), None);
        for (name, keys, message) in [
            ("restrat", "r", "no action is called `restrat`; `?` on the screen lists them"),
            ("restart", "ctrl-s", "`ctrl-s` cannot be bound: terminals, tmux or screen take it for something else"),
            ("restart", "s", "`s` means both `start` and `restart` in overview"),
        ] {
            let (map, errors) = Keymap::new(&user(name, &[keys]));
            assert_eq!(errors[0].to_string(), message);
            assert_eq!(map.resolve(Page::Servers, parse_keys("R").unwrap()[0]), Some(Action::Restart));
        }
    }
}
