//! TOML as a tree in which every key and value knows its place. Nothing is checked here but the syntax.
//! Imports `config::pass` alone.

use super::pass::{Pass, Report};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A text that configuration was read from.
#[derive(Debug)]
pub(super) struct Source {
    /// Path, `embedded default`, `MCPDECK_...` or `--set ...`.
    pub name: String,
    /// `None` where there are no lines to point at (environment, flags).
    pub text: Option<Lines>,
    /// Folder that relative paths in it start from.
    pub folder: PathBuf,
    /// Position among the sources, for problems in file order.
    pub order: usize,
    /// True for what ships inside mcpdeck: its values are defaults, not somebody's wish.
    pub embedded: bool,
}

/// A text that knows where its lines begin, for a place is asked of every definition.
#[derive(Debug)]
pub(super) struct Lines {
    pub text: Arc<str>,
    starts: Vec<usize>,
}

impl From<&str> for Lines {
    fn from(text: &str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text: Arc::from(text), starts: std::iter::once(0).chain(after_breaks).collect() }
    }
}

/// Where a key or value stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub source: Rc<Source>,
    pub span: Range<usize>,
}

impl Place {
    /// The beginning of a source, for what is missing altogether.
    pub fn start_of(source: &Rc<Source>) -> Self {
        Self { source: source.clone(), span: 0..0 }
    }

    /// Line and column from 1; zeros where there is no text.
    pub fn line_column(&self) -> (usize, usize) {
        let Some(Lines { text, starts }) = &self.source.text else { return (0, 0) };
        let line = starts.partition_point(|start| *start <= self.span.start);
        let before = text.get(starts[line - 1]..self.span.start).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// `file:line`, or the source's name alone.
    pub fn label(&self) -> String {
        match self.line_column() {
            (0, _) => self.source.name.clone(),
            (line, _) => format!("{}:{line}", self.source.name),
        }
    }
}

/// A value at its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub value: Value,
    pub at: Place,
}

/// A key's place and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: Place,
    pub node: Node,
}

pub(super) type Table = BTreeMap<String, Entry>;

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// A TOML date or time; no key of ours takes one.
    Time(String),
    /// A YAML key without a value; TOML has none.
    Nothing,
    List(Vec<Node>),
    Table(Table),
}

/// Reads a whole source. Every syntax error is reported; then the tree is of no use.
pub(super) fn parse(text: &str, source: &Rc<Source>, pass: &Pass) -> Option<Table> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        let at = Place { source: source.clone(), span };
        pass.problem(Report::new(&at, "", format!("not TOML: {}", error.message())));
    }
    (errors.is_empty() || pass.lenient).then(|| table(document.get_ref(), source, pass))
}

/// Reads one value, as `--set key=VALUE` gives it; what is no TOML value is text.
pub(super) fn parse_value(text: &str, source: &Rc<Source>, pass: &Pass) -> Node {
    match DeValue::parse(text) {
        Ok(value) => node(&value, source, pass),
        Err(_) => Node { value: Value::Text(text.to_owned()), at: Place::start_of(source) },
    }
}

fn table(from: &DeTable<'_>, source: &Rc<Source>, pass: &Pass) -> Table {
    from.iter()
        .map(|(key, value)| {
            let at = Place { source: source.clone(), span: key.span() };
            (key.get_ref().to_string(), Entry { key: at, node: node(value, source, pass) })
        })
        .collect()
}

fn node(from: &Spanned<DeValue<'_>>, source: &Rc<Source>, pass: &Pass) -> Node {
    let at = Place { source: source.clone(), span: from.span() };
    let value = match from.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                pass.problem(Report::new(&at, "", format!("the integer {digits} is too large")));
                Value::Integer(0)
            }
        },
        DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(value) => Value::Time(value.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, source, pass)).collect()),
        DeValue::Table(entries) => Value::Table(table(entries, source, pass)),
    };
    Node { value, at }
}

impl Value {
    /// What was found, for a message: `text "fast"`, `integer 5`, `a table`.
    pub fn found(&self) -> String {
        match self {
            Self::Text(text) => format!("text {:?}", shorten(text)),
            Self::Integer(number) => format!("integer {number}"),
            Self::Float(number) => format!("number {number}"),
            Self::Bool(value) => format!("{value}"),
            Self::Time(text) => format!("date {text}"),
            Self::Nothing => "nothing".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// Text for a message: 40 characters at most.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}
