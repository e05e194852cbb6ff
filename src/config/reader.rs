//! Reads a tree key by key. What is asked for is the schema: a key that nobody asked for is unknown. A value that
//! cannot be used is reported where it stands and read as absent, so that reading goes on.

use super::pass::{Pass, Report};
use super::tree::{Entry, Node, Place, Table, Value};
use super::units;
use crate::model::near;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A table that is being read. [`Reader::finish`] reports the keys that were not asked for.
pub(super) struct Reader<'t> {
    pub pass: &'t Pass<'t>,
    /// Where the table stands.
    pub at: &'t Place,
    /// Dotted key of the table; empty at the top.
    pub key: String,
    table: &'t Table,
    asked: Vec<&'static str>,
}

/// A value that is being read.
#[derive(Clone)]
pub(super) struct Field<'t> {
    pub pass: &'t Pass<'t>,
    pub node: &'t Node,
    /// Where its key stands (the value itself for an item of a list).
    pub key_at: &'t Place,
    /// Dotted key.
    pub key: String,
}

impl<'t> Reader<'t> {
    pub fn new(table: &'t Table, at: &'t Place, key: String, pass: &'t Pass<'t>) -> Self {
        Self { pass, at, key, table, asked: Vec::new() }
    }

    /// The field `name`, if it is given.
    pub fn get(&mut self, name: &'static str) -> Option<Field<'t>> {
        self.asked.push(name);
        self.table.get(name).map(|entry| self.field(name, entry))
    }

    /// The field read by `read`; `None` if it is absent or unusable (then it was reported).
    pub fn opt<T>(&mut self, name: &'static str, read: impl FnOnce(&Field<'t>) -> Option<T>) -> Option<T> {
        self.get(name).and_then(|field| read(&field))
    }

    /// As [`Reader::opt`], with a value for the other case.
    pub fn or<T>(&mut self, name: &'static str, default: T, read: impl FnOnce(&Field<'t>) -> Option<T>) -> T {
        self.opt(name, read).unwrap_or(default)
    }

    /// The text of a key, owned.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.opt(name, |field| field.text().map(str::to_owned))
    }

    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        self.or(name, default, Field::flag)
    }

    /// Where `name` stands, or the table if it is not given.
    pub fn place(&self, name: &str) -> &'t Place {
        self.table.get(name).map_or(self.at, |entry| &entry.node.at)
    }

    pub fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Dotted key of `name` in this table.
    pub fn key_of(&self, name: &str) -> String {
        join(&self.key, name)
    }

    /// Every key with its field, for tables whose keys are the user's own.
    pub fn entries(&self) -> impl Iterator<Item = (&'t str, Field<'t>)> + use<'_, 't> {
        self.table.iter().map(|(name, entry)| (name.as_str(), self.field(name, entry)))
    }

    /// Reports what nobody asked for.
    pub fn finish(self) {
        for (name, entry) in self.table.iter().filter(|(name, _)| !self.asked.contains(&name.as_str())) {
            let mut known = self.asked.clone();
            known.sort_unstable();
            known.dedup();
            let guess = near::nearest(name, known.iter().copied());
            let message = format!("unknown key `{name}`");
            let report = Report::new(&entry.key, &self.key, message).suggest(guess);
            self.pass.problem(report.help(format!("allowed here: {}", known.join(", "))));
        }
    }

    fn field(&self, name: &str, entry: &'t Entry) -> Field<'t> {
        Field { pass: self.pass, node: &entry.node, key_at: &entry.key, key: join(&self.key, name) }
    }
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

impl<'t> Field<'t> {
    /// Where the value stands.
    pub fn at(&self) -> &'t Place {
        &self.node.at
    }

    /// Reports that the value is not what the key takes.
    pub fn wrong(&self, allowed: &str) {
        let report = Report::new(self.at(), &self.key, format!("found {}", self.node.value.found()));
        self.pass.problem(report.help(format!("allowed: {allowed}")));
    }

    /// Reports anything else about the value.
    pub fn problem(&self, message: impl Into<String>, help: impl Into<String>) {
        self.pass.problem(Report::new(self.at(), &self.key, message).help(help));
    }

    /// Text without control characters but line ends and tabs: it is shown on terminals and given to programs.
    pub fn text(&self) -> Option<&'t str> {
        match &self.node.value {
            Value::Text(text) if text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') => {
                self.refuse("text without control characters")
            }
            Value::Text(text) => Some(text),
            _ => self.refuse("text in quotes"),
        }
    }

    /// One line of text that is not empty.
    pub fn full_text(&self) -> Option<&'t str> {
        match self.text()? {
            "" => self.refuse("text that is not empty"),
            text if text.contains(char::is_control) => self.refuse("text on one line"),
            text => Some(text),
        }
    }

    pub fn flag(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => self.refuse("true or false"),
        }
    }

    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        match self.node.value {
            Value::Integer(number) if range.contains(&number) => Some(number),
            _ => self.refuse(&format!("a whole number from {} to {}", range.start(), range.end())),
        }
    }

    /// As [`Field::integer`], for what fits in 32 bits without a sign.
    pub fn count(&self, range: RangeInclusive<u32>) -> Option<u32> {
        self.integer(i64::from(*range.start())..=i64::from(*range.end())).and_then(|n| n.try_into().ok())
    }

    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let value = match self.node.value {
            // Whole numbers are written without a point by people; the few digits they use are exact.
            Value::Integer(number) => number as f64,
            Value::Float(number) => number,
            _ => f64::NAN,
        };
        if range.contains(&value) {
            return Some(value);
        }
        self.refuse(&format!("a number from {} to {}", range.start(), range.end()))
    }

    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let value = self.node.value.as_text().and_then(units::duration).filter(|value| range.contains(value));
        value.or_else(|| self.refuse(&allowed_duration(&range)))
    }

    pub fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.node.value.as_text().and_then(units::size).filter(|value| range.contains(value));
        value.or_else(|| self.refuse(&allowed_size(&range)))
    }

    /// `"off"`, or what `read` reads.
    pub fn or_off<T>(&self, read: impl FnOnce(&Self) -> Option<T>) -> Option<Option<T>> {
        if self.is_off() { Some(None) } else { read(self).map(Some) }
    }

    pub fn is_off(&self) -> bool {
        self.node.value.as_text() == Some("off")
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.node.value.as_text().unwrap_or_default();
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let guess = near::nearest(text, names.iter().copied());
        let report = Report::new(self.at(), &self.key, format!("found {}", self.node.value.found())).suggest(guess);
        self.pass.problem(report.help(format!("allowed: {}", names.join(", "))));
        None
    }

    /// Its items.
    pub fn items(&self) -> Option<Vec<Field<'t>>> {
        let Value::List(items) = &self.node.value else { return self.refuse("a list in [ ]") };
        Some(items.iter().map(|node| self.item(node)).collect())
    }

    fn item(&self, node: &'t Node) -> Field<'t> {
        Field { pass: self.pass, node, key_at: &node.at, key: self.key.clone() }
    }

    /// Its items, each read by `read`; unusable ones are left out (and reported).
    pub fn list<T>(&self, read: impl FnMut(&Field<'t>) -> Option<T>) -> Option<Vec<T>> {
        Some(self.items()?.iter().filter_map(read).collect())
    }

    pub fn texts(&self) -> Option<Vec<String>> {
        self.list(|item| item.full_text().map(str::to_owned))
    }

    /// Reads it as a table.
    pub fn table(&self) -> Option<Reader<'t>> {
        self.table_like("a table")
    }

    /// As [`Field::table`], with the shape for the message.
    pub fn table_like(&self, shape: &str) -> Option<Reader<'t>> {
        let Value::Table(table) = &self.node.value else { return self.refuse(shape) };
        Some(Reader::new(table, self.at(), self.key.clone(), self.pass))
    }

    /// A table with keys of the user's own, each value read by `read`.
    pub fn map<T, M: FromIterator<(String, T)>>(
        &self,
        mut read: impl FnMut(&str, &Field<'t>) -> Option<T>,
    ) -> Option<M> {
        let table = self.table()?;
        Some(table.entries().filter_map(|(name, field)| Some((name.to_owned(), read(name, &field)?))).collect())
    }

    fn refuse<T>(&self, allowed: &str) -> Option<T> {
        self.wrong(allowed);
        None
    }
}

impl Value {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn allowed_duration(range: &RangeInclusive<Duration>) -> String {
    let (from, to) = (units::show_duration(*range.start()), units::show_duration(*range.end()));
    format!("a duration such as \"250ms\", \"30s\", \"5m\" or \"1h30m\", from {from} to {to}")
}

fn allowed_size(range: &RangeInclusive<u64>) -> String {
    let (from, to) = (units::show_size(*range.start()), units::show_size(*range.end()));
    format!("a size such as \"512MiB\" or \"1GB\", from {from} to {to}")
}
