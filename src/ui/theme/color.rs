//! How many colours a terminal has, and the nearest of them to one that a theme asks for. Pure.

use ratatui::style::Color;

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
    pub(super) fn keep(self, color: Color) -> Option<Color> {
        match (self, color) {
            (Self::None, _) => None,
            (Self::Sixteen, Color::Rgb(r, g, b)) => Some(nearest_sixteen(r, g, b)),
            (Self::Sixteen, Color::Indexed(n @ 16..)) => {
                let (r, g, b) = of_palette(n);
                Some(nearest_sixteen(r, g, b))
            }
            (Self::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_palette(r, g, b))),
            (_, color) => Some(color),
        }
    }

    /// The nearest background, as [`ColorMode::keep`]. `None` also where sixteen have nothing like it, because it is a
    /// shade of the terminal's own, dark or pale: the style is reversed instead.
    pub(super) fn keep_background(self, color: Color) -> Option<Color> {
        let (r, g, b) = match (self, color) {
            (Self::Sixteen, Color::Rgb(r, g, b)) => (r, g, b),
            (Self::Sixteen, Color::Indexed(n @ 16..)) => of_palette(n),
            _ => return self.keep(color),
        };
        let shade = r.max(g).max(b) < 96 || r.min(g).min(b) > 160;
        if shade { None } else { Some(nearest_sixteen(r, g, b)) }
    }
}

/// By hue where there is one: the sixteen differ in little else, and each terminal draws them as it likes.
fn nearest_sixteen(r: u8, g: u8, b: u8) -> Color {
    const DARK: [Color; 8] =
        [Color::Black, Color::Red, Color::Green, Color::Yellow, Color::Blue, Color::Magenta, Color::Cyan, Color::Gray];
    const LIGHT: [Color; 8] = [
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    if u16::from(high - low) * 5 < u16::from(high) || high < 24 {
        return match high {
            0..48 => Color::Black,
            48..128 => Color::DarkGray,
            128..216 => Color::Gray,
            216.. => Color::White,
        };
    }
    let middle = low + (high - low) / 2;
    let on = |v: u8| usize::from(v > middle);
    let table = if high >= 208 { LIGHT } else { DARK };
    table[on(r) | on(g) << 1 | on(b) << 2]
}

/// Steps of the 6x6x6 cube.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The colour of an index from 16 on in the palette of 256.
fn of_palette(n: u8) -> (u8, u8, u8) {
    match n {
        232.. => {
            let grey = 8 + 10 * (n - 232);
            (grey, grey, grey)
        }
        _ => {
            let n = usize::from(n.saturating_sub(16));
            (STEPS[n / 36], STEPS[n / 6 % 6], STEPS[n % 6])
        }
    }
}

/// The nearest of cube and greys; the first sixteen are the user's own and not to be relied on.
fn nearest_palette(r: u8, g: u8, b: u8) -> u8 {
    let distance = |n: &u8| {
        let (x, y, z) = of_palette(*n);
        [(r, x), (g, y), (b, z)].iter().map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum::<u32>()
    };
    (16..=255).min_by_key(distance).unwrap_or(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

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

    #[test]
    fn rich_colours_come_down_to_what_the_terminal_has() {
        for ((r, g, b), palette, sixteen) in [
            ((255, 0, 0), 196, Color::LightRed),
            ((139, 0, 0), 88, Color::Red),
            ((86, 180, 233), 74, Color::LightCyan),
            ((143, 191, 122), 108, Color::Green),
            ((240, 228, 66), 221, Color::LightYellow),
            ((8, 8, 8), 232, Color::Black),
            ((98, 98, 98), 241, Color::DarkGray),
            ((238, 238, 238), 255, Color::White),
        ] {
            let rich = Color::Rgb(r, g, b);
            assert_eq!(ColorMode::True.keep(rich), Some(rich));
            assert_eq!(ColorMode::Indexed.keep(rich), Some(Color::Indexed(palette)), "{rich}");
            assert_eq!(ColorMode::Sixteen.keep(rich), Some(sixteen), "{rich}");
            assert_eq!(ColorMode::Sixteen.keep(Color::Indexed(palette)), Some(sixteen), "{palette}");
            assert_eq!(ColorMode::None.keep(rich), None);
        }
        // What is written as one of the sixteen stays it.
        assert_eq!(ColorMode::Sixteen.keep(Color::Indexed(9)), Some(Color::Indexed(9)));
        for (background, kept) in [
            (Color::Rgb(40, 44, 52), None),
            (Color::Rgb(188, 215, 245), None),
            (Color::Rgb(97, 175, 239), Some(Color::LightCyan)),
        ] {
            assert_eq!(ColorMode::Sixteen.keep_background(background), kept, "{background}");
        }
        assert_eq!(ColorMode::Sixteen.keep_background(Color::Black), Some(Color::Black));
    }
}
