//! YAML as a tree in which every key and value knows its place. Anchors, aliases and merge keys are resolved.
//! The one file that knows `serde-saphyr`.

use super::super::pass::{Pass, Report};
use super::super::tree::{Entry, Node, Place, Source, Table, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Options, Spanned};
use std::fmt;
use std::rc::Rc;

/// Reads a whole file. A syntax error is reported where it stands; then there is no tree.
pub fn parse(text: &str, source: &Rc<Source>, pass: &Pass<'_>) -> Option<Node> {
    let mut options = Options::default();
    options.strict_booleans = true;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    match serde_saphyr::from_str_with_options::<Yaml>(text, options) {
        Ok(yaml) => Some(node(yaml, source)),
        Err(error) => {
            let error = error.without_snippet();
            let at = error.location().map_or_else(|| Place::start_of(source), |location| place(location, source));
            let message = error.to_string();
            let message = message.lines().next().unwrap_or_default();
            pass.problem(Report::new(&at, "", format!("not YAML: {message}")).help("this is read as YAML 1.2"));
            None
        }
    }
}

struct Yaml(Spanned<Kind>);

enum Kind {
    Nothing,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Yaml>),
    Table(Vec<(Spanned<String>, Yaml)>),
}

fn node(yaml: Yaml, source: &Rc<Source>) -> Node {
    let at = place(yaml.0.referenced, source);
    let value = match yaml.0.value {
        Kind::Nothing => Value::Nothing,
        Kind::Bool(value) => Value::Bool(value),
        Kind::Integer(number) => Value::Integer(number),
        Kind::Float(number) => Value::Float(number),
        Kind::Text(text) => Value::Text(text),
        Kind::List(items) => Value::List(items.into_iter().map(|item| node(item, source)).collect()),
        Kind::Table(entries) => Value::Table(table(entries, source)),
    };
    Node { value, at }
}

fn table(entries: Vec<(Spanned<String>, Yaml)>, source: &Rc<Source>) -> Table {
    let entry = |(key, value): (Spanned<String>, Yaml)| {
        let at = place(key.referenced, source);
        (key.value, Entry { key: at, node: node(value, source) })
    };
    entries.into_iter().map(entry).collect()
}

fn place(location: Location, source: &Rc<Source>) -> Place {
    let text: &str = source.text.as_ref().map_or("", |lines| &lines.text);
    let number = |at: Option<u64>| at.and_then(|at| usize::try_from(at).ok());
    let span = location.span();
    // Errors of syntax know their line and column alone.
    let start = number(span.byte_offset()).filter(|at| *at > 0).unwrap_or_else(|| offset(text, location));
    let length = number(span.byte_len()).unwrap_or(0);
    // A scalar's place may reach to the line's end; the picture under a message is of one line.
    let written = text.get(start..start.saturating_add(length).min(text.len())).unwrap_or_default();
    let shown = written.lines().next().unwrap_or_default().trim_end();
    Place { source: source.clone(), span: start..start + shown.len() }
}

/// Where a line and column, both from 1, are in `text`.
fn offset(text: &str, location: Location) -> usize {
    let number = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).saturating_sub(1);
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(number(location.line())).map(str::len).sum();
    let line = lines.next().unwrap_or_default();
    before + line.chars().take(number(location.column())).map(char::len_utf8).sum::<usize>()
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Spanned::deserialize(from).map(Self)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Kind, E> {
        Ok(Kind::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Kind, E> {
        Ok(i64::try_from(number).map_or_else(|_| Kind::Text(number.to_string()), Kind::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Kind, E> {
        Ok(Kind::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(Kind::Table(entries))
    }
}
