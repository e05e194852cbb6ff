//! The layers under one roof: a file with what it includes (or the embedded default), then `MCPDECK_*`, then flags.

use super::import::{self, Format};
use super::pass::{Pass, Report};
use super::tree::{self, Entry, Node, Place, Source, Table, Value};
use super::{LoadOptions, include};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The settings and the example platform that ship inside mcpdeck.
const DEFAULT: &str = include_str!("../../config/default.toml");

/// Variables that are no keys.
const RESERVED: [&str; 1] = ["MCPDECK_CONFIG"];

/// Tables and keys at the top that a variable may name.
const SECTIONS: [&str; 8] = ["platform", "store", "paths", "gpu", "defaults", "ui", "example_traffic", "simulate"];

/// All layers, merged.
pub(super) struct Document {
    pub root: Table,
    pub at: Place,
    /// The file; `None`: the embedded default.
    pub file: Option<PathBuf>,
}

/// Reads and merges every layer. `None` if a layer cannot be read at all (that was reported).
pub(super) fn read(options: &LoadOptions, pass: &Pass<'_>) -> Option<Document> {
    let mut document = match find_file(options, pass) {
        Some(path) => from_file(path, pass),
        None => embedded(pass),
    }?;
    for (order, (name, value)) in pass.variables().filter(|(name, _)| name.starts_with("MCPDECK_")).enumerate() {
        apply_variable(name, value, 1_000_000 + order, &mut document.root, pass);
    }
    for (order, (key, value)) in options.set.iter().enumerate() {
        let source = overlay(format!("--set {key}"), 2_000_000 + order);
        let path: Vec<&str> = key.split('.').collect();
        apply(&path, tree::parse_value(value, &source, pass), &source, &mut document.root, pass);
    }
    Some(document)
}

/// `--config`, `$MCPDECK_CONFIG`, `$XDG_CONFIG_HOME/mcpdeck/config.toml`, `/etc/mcpdeck/config.toml`: the first two must
/// exist, the others are taken if they do.
fn find_file(options: &LoadOptions, pass: &Pass<'_>) -> Option<PathBuf> {
    let named = options.file.clone().or_else(|| pass.env("MCPDECK_CONFIG").map(PathBuf::from));
    named.or_else(|| {
        let home = super::paths::base(pass, "XDG_CONFIG_HOME", ".config");
        let places = home.into_iter().chain([PathBuf::from("/etc")]);
        places.map(|folder| folder.join("mcpdeck/config.toml")).find(|path| path.exists())
    })
}

fn from_file(path: PathBuf, pass: &Pass<'_>) -> Option<Document> {
    let path = std::path::absolute(&path).unwrap_or(path);
    let (root, at) = include::read_all(&path, pass)?;
    Some(Document { root, at, file: Some(path) })
}

/// Foreign files alone, as if they had been included in an empty file.
pub(super) fn imported(files: &[PathBuf], format: Option<Format>, pass: &Pass<'_>) -> Option<Document> {
    let command = Place::start_of(&overlay("mcpdeck import".to_owned(), 0));
    let (mut root, mut implied) = (Table::new(), Vec::new());
    for (order, path) in files.iter().enumerate() {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let Some(text) = include::read_text(pass, &path, &command, "") else { continue };
        let Some(made) = import::read(&path, &text, order, format, pass) else { continue };
        include::merge(&mut root, made.root, "", pass);
        implied.extend(made.implied);
    }
    import::take_implied(&mut root, &command, implied);
    Some(Document { root, at: command, file: files.first().cloned() })
}

fn embedded(pass: &Pass<'_>) -> Option<Document> {
    let source = Rc::new(Source {
        name: "embedded default".to_owned(),
        text: Some(DEFAULT.into()),
        folder: PathBuf::from("/"),
        order: 0,
        embedded: true,
    });
    let root = tree::parse(DEFAULT, &source, pass)?;
    Some(Document { root, at: Place::start_of(&source), file: None })
}

/// A source of one value without lines.
fn overlay(name: String, order: usize) -> Rc<Source> {
    let folder = std::path::absolute(Path::new(".")).unwrap_or_default();
    Rc::new(Source { name, text: None, folder, order, embedded: false })
}

/// `MCPDECK_PLATFORM__READ_ONLY=true`: two underscores part the tables, the case does not matter.
fn apply_variable(name: &str, value: &str, order: usize, root: &mut Table, pass: &Pass<'_>) {
    if RESERVED.contains(&name) {
        return;
    }
    let source = overlay(name.to_owned(), order);
    let lower = name["MCPDECK_".len()..].to_lowercase();
    let path: Vec<&str> = lower.split("__").collect();
    if path.len() == 1 && lower != "log" {
        // Other variables of this name exist (a test's, a wrapper's): only what was surely meant for us is told.
        if let Some(section) = SECTIONS.iter().find(|s| lower.strip_prefix(**s).is_some_and(|r| r.starts_with('_'))) {
            let key = lower[section.len()..].trim_start_matches('_').to_uppercase();
            let at = Place::start_of(&source);
            let meant = format!("MCPDECK_{}__{key}", section.to_uppercase());
            let report = Report::new(&at, "", "this variable is not used").suggest(Some(&meant));
            pass.warning(report.help("two underscores stand between a table and its key"));
        }
        return;
    }
    apply(&path, tree::parse_value(value, &source, pass), &source, root, pass);
}

/// Puts `value` at `path`; tables that are missing on the way come to be.
fn apply(path: &[&str], value: Node, source: &Rc<Source>, root: &mut Table, pass: &Pass<'_>) {
    let at = Place::start_of(source);
    let key = path.join(".");
    if path.iter().any(|part| part.is_empty()) {
        return pass.problem(Report::new(&at, &key, "no key").help("write TABLE.KEY, for example platform.read_only"));
    }
    if let [list @ ("server" | "tenant" | "engine" | "stack"), id, ..] = path
        && !root.contains_key(*list)
    {
        return pass.problem(no_item(&at, &key, list, id));
    }
    let (mut table, mut rest) = (root, path);
    while let [name, tail @ ..] = rest
        && !tail.is_empty()
    {
        let entry = table.entry((*name).to_owned()).or_insert_with(|| Entry {
            key: at.clone(),
            node: Node { value: Value::Table(Table::new()), at: at.clone() },
        });
        let (next, used) = match &mut entry.node.value {
            Value::Table(inner) => (inner, 1),
            Value::List(items) => match items.iter_mut().find_map(|item| named(item, tail[0])) {
                Some(inner) if tail.len() > 1 => (inner, 2),
                _ => return pass.problem(no_item(&at, &key, name, tail[0])),
            },
            _ => return pass.problem(Report::new(&at, &key, format!("`{name}` is no table"))),
        };
        (table, rest) = (next, &rest[used..]);
    }
    if let [name] = rest {
        table.insert((*name).to_owned(), Entry { key: at, node: value });
    }
}

fn no_item<'p>(at: &'p Place, key: &'p str, list: &str, id: &str) -> Report<'p> {
    let help = format!("write {list}.ID.KEY with the id of one that is defined");
    Report::new(at, key, format!("no {list} `{id}` in the configuration")).help(help)
}

/// The table of a `[[server]]` or `[[tenant]]` with this id. A variable cannot hold `-`, so `_` stands for it too.
fn named<'n>(item: &'n mut Node, id: &str) -> Option<&'n mut Table> {
    let Value::Table(table) = &mut item.value else { return None };
    let own = ["id", "name"].iter().find_map(|key| table.get(*key)).and_then(|entry| entry.node.value.as_text())?;
    let same = |a: &str, b: &str| a.replace('-', "_").eq_ignore_ascii_case(&b.replace('-', "_"));
    same(own, id).then_some(table)
}
