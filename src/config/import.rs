//! Files in the shapes that teams have already, read into the tree that our own TOML becomes: what follows checks it as
//! our own, and every message points into the foreign file. What is mapped, ignored (and listed) and refused stands in
//! [`keys`], and for people in config/import.md.

mod customers;
mod desktop;
mod json;
mod keys;
mod on_demand;
mod print;
mod server;
mod values;
mod veil;

use super::compose::{Treatment, yaml};
use super::include;
use super::pass::{Pass, Report};
use super::reader::{Field, Reader};
use super::tree::{Entry, Node, Place, Source, Table, Value};
use crate::model::near;
pub(super) use print::{json as to_json, toml as to_toml};
use std::path::Path;
use std::rc::Rc;

/// A foreign shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `mcp_servers.json`: customers with their servers.
    Customers,
    /// `mcpServers` of desktop clients and editors.
    Desktop,
    /// One server a file, in YAML.
    Server,
    /// Shell-style settings of an on-demand router.
    OnDemand,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Json,
    Yaml,
    Env,
}

/// What a foreign file becomes.
pub(super) struct Made {
    /// As if it had been written in our own words.
    pub root: Table,
    pub at: Place,
    /// Servers that it speaks of and does not define: they hold unless another file defines them.
    pub implied: Vec<Node>,
}

/// True if a file of this name is none of ours.
pub(super) fn is_foreign(path: &Path) -> bool {
    syntax_by_name(path).is_some()
}

fn syntax_by_name(path: &Path) -> Option<Syntax> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("json" | "jsonc") => Some(Syntax::Json),
        Some("yaml" | "yml") => Some(Syntax::Yaml),
        Some("env") => Some(Syntax::Env),
        _ => None,
    }
}

/// The syntax of a file whose name does not say it.
fn syntax_by_look(text: &str) -> Syntax {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '/']));
    match lines.next() {
        Some(line) if line.starts_with('{') => Syntax::Json,
        Some(line) if line.split_once('=').is_some_and(|(name, _)| !name.contains([':', ' '])) => Syntax::Env,
        _ => Syntax::Yaml,
    }
}

/// Reads `text` of `path`. `None` if it cannot be used (that was reported).
pub(super) fn read(path: &Path, text: &str, order: usize, format: Option<Format>, pass: &Pass<'_>) -> Option<Made> {
    let syntax = match format {
        Some(Format::Customers | Format::Desktop) => Syntax::Json,
        Some(Format::Server) => Syntax::Yaml,
        Some(Format::OnDemand) => Syntax::Env,
        None => syntax_by_name(path).unwrap_or_else(|| syntax_by_look(text)),
    };
    let source = |text: &str| {
        Rc::new(Source {
            name: include::shown(path),
            text: Some(text.into()),
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            order,
            embedded: false,
        })
    };
    let parse = |text: &str| {
        let source = source(text);
        match syntax {
            Syntax::Json => json::parse(text, &source, pass),
            Syntax::Yaml => yaml::parse(text, &source, pass),
            Syntax::Env => on_demand::parse(text, &source, pass),
        }
    };
    // A message may show the lines around its place: no secret must be left in them before anything else is said.
    let root = parse(text)?;
    let root = match veil::veiled(text, &root) {
        Some(text) => parse(&text)?,
        None => root,
    };
    let field = Field { pass, node: &root, key_at: &root.at, key: String::new() };
    let format = format.or_else(|| format_of(syntax, &field))?;
    let mut made = Made { root: Table::new(), at: root.at.clone(), implied: Vec::new() };
    match format {
        Format::Customers => customers::read(&field, &mut made),
        Format::Desktop => desktop::read(&field, &mut made),
        Format::Server => server::read(&field, &mut made),
        Format::OnDemand => on_demand::read(&field, &mut made),
    }?;
    Some(made)
}

fn format_of(syntax: Syntax, root: &Field<'_>) -> Option<Format> {
    let Value::Table(table) = &root.node.value else {
        root.wrong("a file of one of the shapes in config/import.md");
        return None;
    };
    let has = |key: &str| table.contains_key(key);
    match syntax {
        Syntax::Env => Some(Format::OnDemand),
        Syntax::Json if has("customers") => Some(Format::Customers),
        Syntax::Json if has("mcpServers") || has("servers") => Some(Format::Desktop),
        Syntax::Json => {
            root.problem(
                "neither `customers` nor `mcpServers` stands in it",
                "config/import.md shows the shapes that are understood",
            );
            None
        }
        Syntax::Yaml if has("services") => {
            root.problem("this is a compose file", "it is a stack: [[stack]] compose = \"docker-compose.yml\"");
            None
        }
        Syntax::Yaml => Some(Format::Server),
    }
}

/// Adds a server that is spoken of; told twice, it is one.
fn imply(made: &mut Made, id: &str, at: &Place) {
    let known = |node: &Node| id_of(node) == Some(id);
    if !made.implied.iter().any(known) {
        let mut def = Table::new();
        put(&mut def, "id", at, Value::Text(id.to_owned()));
        made.implied.push(Node { value: Value::Table(def), at: at.clone() });
    }
}

/// Takes up what is implied and defined nowhere else.
pub(super) fn take_implied(root: &mut Table, at: &Place, implied: Vec<Node>) {
    for node in implied {
        let servers = root.entry("server".to_owned()).or_insert_with(|| Entry {
            key: at.clone(),
            node: Node { value: Value::List(Vec::new()), at: at.clone() },
        });
        let Value::List(servers) = &mut servers.node.value else { return };
        if !servers.iter().any(|server| id_of(server).is_some() && id_of(server) == id_of(&node)) {
            servers.push(node);
        }
    }
}

fn id_of(server: &Node) -> Option<&str> {
    let Value::Table(table) = &server.value else { return None };
    ["id", "name"].iter().find_map(|key| table.get(*key))?.node.value.as_text()
}

fn put(table: &mut Table, name: &str, at: &Place, value: Value) {
    table.insert(name.to_owned(), Entry { key: at.clone(), node: Node { value, at: at.clone() } });
}

/// Puts a table that is not empty.
fn put_table(table: &mut Table, name: &str, at: &Place, inner: Table) {
    if !inner.is_empty() {
        put(table, name, at, Value::Table(inner));
    }
}

/// Takes a value over as it stands.
fn keep(table: &mut Table, name: &str, from: &mut Reader<'_>, key: &'static str) {
    if let Some(field) = from.get(key) {
        table.insert(name.to_owned(), Entry { key: field.key_at.clone(), node: field.node.clone() });
    }
}

/// Tells the keys that are ignored, refused or unknown. A foreign file may hold anything, so that what is unknown is
/// listed and left out.
fn sort_out(from: &Reader<'_>, known: &[(&str, Treatment)]) {
    for (name, field) in from.entries() {
        let report = |message: String| Report::new(field.key_at, &field.key, message);
        match known.iter().find(|(key, _)| *key == name).map(|(_, treatment)| treatment) {
            Some(Treatment::Mapped(_) | Treatment::Silent(_)) => {}
            Some(Treatment::Ignored(why)) => {
                from.pass.warning(report(format!("`{name}` is ignored: {why}")).help("see config/import.md"));
            }
            Some(Treatment::Refused(help)) => {
                from.pass.problem(report(format!("`{name}` is not taken over")).help(*help));
            }
            None => {
                let guess = near::nearest(name, known.iter().map(|(key, _)| *key));
                let report = report(format!("`{name}` is not known and ignored")).suggest(guess);
                from.pass.warning(report.help("config/import.md lists the keys that are understood"));
            }
        }
    }
}
