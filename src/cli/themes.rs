//! `themes`: which there are, and how each looks.

use super::args::{Color, Global, Output};
use super::error::{Code, Error};
use super::output::{json, print};
use crate::ui;
use crate::ui::theme::ColorMode;
use crate::ui::theme::files::{self, Found, NAMES};
use serde::Serialize;
use std::io::IsTerminal;

/// A theme, for scripts.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    /// The files that it is read from; empty if it is built in.
    files: &'a [std::path::PathBuf],
}

/// Runs `themes`.
pub fn run(global: &Global, name: Option<&str>, color: Option<Color>) -> Result<Code, Error> {
    let colors = color.map_or_else(of_output, Color::mode);
    let folder = files::folder(|name| std::env::var(name).ok());
    let own = files::own_names(folder.as_deref());
    let built_in = NAMES.iter().copied().filter(|name| !own.iter().any(|own| own == name));
    let names: Vec<&str> = match name {
        Some(name) => vec![name],
        None => built_in.chain(own.iter().map(String::as_str)).collect(),
    };
    let find = |name: &&str| files::find(name, folder.as_deref(), colors).map_err(|e| Error::usage(e.to_string()));
    let found: Vec<Found> = names.iter().map(find).collect::<Result<_, _>>()?;
    let rows: Vec<Row> = names.iter().zip(&found).map(|(name, found)| Row { name, files: &found.files }).collect();
    if global.output == Output::Json {
        return print(&json(&rows)?).map(|()| Code::Ok);
    }
    let mut text = String::new();
    for (row, found) in rows.iter().zip(&found) {
        let from = row.files.first().map_or_else(|| "built in".to_owned(), |file| file.display().to_string());
        text.push_str(&format!("{}  ({from})\n{}\n", row.name, ui::preview(&found.theme, colors, false)));
    }
    print(&text).map(|()| Code::Ok)
}

/// What standard output can show: nothing but text where it is no terminal.
fn of_output() -> ColorMode {
    match std::io::stdout().is_terminal() {
        true => ColorMode::from_env(|name| std::env::var(name).ok()),
        false => ColorMode::None,
    }
}
