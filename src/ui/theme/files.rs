//! Where themes come from: those built in, and files of one's own, which may inherit from either.

use super::{ColorMode, Theme, ThemeError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Themes that inherit from each other, at most.
const DEPTH: usize = 8;

const BUILT_IN: [(&str, &str); 6] = [
    ("default", include_str!("../../../themes/default.toml")),
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    ("high-contrast", include_str!("../../../themes/high-contrast.toml")),
    ("colour-blind", include_str!("../../../themes/colour-blind.toml")),
    ("mono", include_str!("../../../themes/mono.toml")),
];

/// A theme as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub theme: Theme,
    /// The files that it was read from; none if it is built in.
    pub files: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    /// The theme whose styles hold where this one has none.
    inherits: Option<String>,
    #[serde(default)]
    style: BTreeMap<String, String>,
}

/// Names of the built-in themes.
pub const NAMES: [&str; 6] = {
    let mut names = [""; 6];
    let mut at = 0;
    while at < BUILT_IN.len() {
        names[at] = BUILT_IN[at].0;
        at += 1;
    }
    names
};

/// The folder of one's own themes.
pub fn folder(get: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let full = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = full("XDG_CONFIG_HOME").or_else(|| full("HOME").map(|home| home.join(".config")))?;
    Some(config.join("mcpdeck/themes"))
}

/// Names of the themes that lie in `folder`, sorted.
pub fn own_names(folder: Option<&Path>) -> Vec<String> {
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let mut names: Vec<String> = paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// A theme by name (one's own before a built-in of the same name) or by the path of a `.toml` file.
pub fn find(name: &str, folder: Option<&Path>, mode: ColorMode) -> Result<Found, ThemeError> {
    let mut files = Vec::new();
    let mut styles = BTreeMap::new();
    let mut title = None;
    let mut next = Some((name.to_owned(), folder.map(Path::to_owned)));
    let mut seen = Vec::new();
    while let Some((name, near)) = next {
        if seen.len() == DEPTH || seen.contains(&name) {
            let message = format!("`{}` inherits from itself, or from more than {DEPTH}", seen.join("` -> `"));
            return Err(ThemeError::Bad { file: name, message });
        }
        let (place, text, path) = text_of(&name, near.as_deref().or(folder))?;
        let read = read(&place, &text, mode)?;
        for (role, words) in read.style {
            styles.entry(role).or_insert(words);
        }
        let beside = path.as_ref().and_then(|path| path.parent()).map(Path::to_owned);
        // One's own `dark` may build on the `dark` that is built in.
        next = read
            .inherits
            .map(|parent| if parent == name { (format!("built-in {parent}"), None) } else { (parent, beside) });
        title.get_or_insert((place, read.name));
        files.extend(path);
        seen.push(name);
    }
    let (place, title) = title.unwrap_or_default();
    let theme = Theme::of_words(title, &styles, mode).map_err(|message| ThemeError::Bad { file: place, message })?;
    Ok(Found { theme, files })
}

/// Where it is, what it says, and its path if it is a file.
fn text_of(name: &str, folder: Option<&Path>) -> Result<(String, String, Option<PathBuf>), ThemeError> {
    let built_in = |name: &str| BUILT_IN.iter().find(|(own, _)| *own == name).map(|(_, text)| (*text).to_owned());
    let own = |path: PathBuf| match std::fs::read_to_string(&path) {
        // Whoever watches it is told its full path.
        Ok(text) => Ok((path.display().to_string(), text, Some(std::path::absolute(&path).unwrap_or(path)))),
        Err(error) => Err(ThemeError::Bad { file: path.display().to_string(), message: error.to_string() }),
    };
    if let Some(text) = name.strip_prefix("built-in ").and_then(built_in) {
        return Ok((name.to_owned(), text, None));
    }
    if name.ends_with(".toml") {
        return own(folder.map_or_else(|| PathBuf::from(name), |folder| relative(folder, name)));
    }
    let named = folder.map(|folder| folder.join(format!("{name}.toml"))).filter(|path| path.is_file());
    match (named, built_in(name)) {
        (Some(path), _) => own(path),
        (None, Some(text)) => Ok((name.to_owned(), text, None)),
        (None, None) => Err(ThemeError::Unknown(name.to_owned())),
    }
}

/// A path in a theme is seen from that theme; one on the command line or in the config from where mcpdeck runs.
fn relative(folder: &Path, name: &str) -> PathBuf {
    let beside = folder.join(name);
    if beside.is_file() { beside } else { PathBuf::from(name) }
}

fn read(place: &str, text: &str, mode: ColorMode) -> Result<File, ThemeError> {
    let bad = |message: String| ThemeError::Bad { file: place.to_owned(), message };
    let read: File = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
    // Each file answers for its own words, also for those that another one covers.
    Theme::of_words(read.name.clone(), &read.style, mode).map_err(bad)?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;
    use ratatui::style::{Color, Modifier};

    fn write(folder: &Path, name: &str, text: &str) {
        std::fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn a_theme_of_ones_own_has_what_it_inherits() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        write(folder, "team.toml", "name = 'team'\ninherits = 'base.toml'\n[style]\nbad = 'magenta'\n");
        write(folder, "base.toml", "name = 'base'\ninherits = 'mono'\n[style]\nbad = 'blue'\ngood = 'cyan'\n");
        let found = find("team", Some(folder), ColorMode::Sixteen).unwrap();
        let fg = |role| found.theme.style(role).fg;
        assert_eq!(
            (found.theme.name.as_str(), fg(Role::Bad), fg(Role::Good)),
            ("team", Some(Color::Magenta), Some(Color::Cyan))
        );
        assert!(found.theme.style(Role::Selection).add_modifier.contains(Modifier::REVERSED), "from mono");
        assert_eq!(found.files, [folder.join("team.toml"), folder.join("base.toml")]);
        assert_eq!(own_names(Some(folder)), ["base", "team"]);
    }

    #[test]
    fn one_may_change_what_is_built_in() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "dark.toml", "name = 'dark'\ninherits = 'dark'\n[style]\nbad = 'blue'\n");
        let found = find("dark", Some(dir.path()), ColorMode::True).unwrap();
        let built_in = find("dark", None, ColorMode::True).unwrap();
        assert_eq!(found.theme.style(Role::Bad).fg, Some(Color::Blue));
        assert_eq!(found.theme.style(Role::Good), built_in.theme.style(Role::Good));
    }

    #[test]
    fn circles_and_strangers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.toml", "name = 'a'\ninherits = 'b'\n");
        write(dir.path(), "b.toml", "name = 'b'\ninherits = 'a'\n");
        write(dir.path(), "c.toml", "name = 'c'\ninherits = 'nord'\n");
        let error = |name: &str| find(name, Some(dir.path()), ColorMode::True).unwrap_err().to_string();
        assert_eq!(error("a"), "`a` -> `b` inherits from itself, or from more than 8 (theme a)");
        assert!(error("c").starts_with("no theme `nord`; there are default, dark, light"), "{}", error("c"));
        assert!(error("gone.toml").starts_with("No such file"), "{}", error("gone.toml"));
    }
}
