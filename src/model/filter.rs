//! Filters typed by people: `eton state=failed mem>512M age<2h !lab`. The same text filters a screen, a `get` and a
//! stream. Imports `model` only; the fields of each kind of row are in `filter::rows`.
//!
//! - a word is fuzzy: part of a text, or its letters in order within one word (`vtf` finds `vattenfall-de`);
//! - `!word` excludes; `"two words"` is one term;
//! - `field=value` means "begins with", whatever the case; `field=a,b` either of them; `field=` has no value; `!=` negates;
//! - `field~value` means "holds it anywhere";
//! - `field>number`, `<`, `>=`, `<=` with units: `50%`, `512M`, `200ms`, `2h`.
//!
//! Every term must hold. A row that lacks a field satisfies only its negation.

mod containers;
mod field;
mod hint;
mod records;
mod rows;
mod term;
mod word;
mod yard;

pub use field::{FIELDS, FieldKind};

use super::Stamp;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::time::Duration;
use term::{Term, Test, split};

/// A parsed filter. The empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    source: String,
    terms: Vec<Term>,
}

/// A kind of row that can be filtered.
pub trait Fields {
    /// Names that `field=value` takes here, for help and completion.
    fn names() -> &'static [&'static str];
    /// The row's value; `None` if it has none, or there is no such field.
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>>;
    /// Appends whatever words are looked for in, one text a line.
    fn text(&self, out: &mut String);
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    /// Any of them may match.
    Texts(Vec<Cow<'a, str>>),
    /// In the field's base unit: bytes, percent, calls per second, pieces.
    Number(f64),
    Time(Duration),
}

/// Why a text is no filter, with the place in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {}: {message}", .at.start + 1)]
pub struct FilterError {
    /// Bytes of the text that are meant.
    pub at: Range<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// Longest filter that is read, in bytes.
const MAX_LENGTH: usize = 4096;

impl Filter {
    /// Parses a filter for any kind of row.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::parse_with(text, &|_| true, "")
    }

    /// Parses a filter for rows of kind `T` and refuses fields that they do not have.
    pub fn parse_for<T: Fields>(text: &str) -> Result<Self, FilterError> {
        Self::parse_with(text, &|name| T::names().contains(&name), &T::names().join(", "))
    }

    fn parse_with(text: &str, known: &dyn Fn(&str) -> bool, allowed: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_LENGTH {
            let message = format!("a filter has {MAX_LENGTH} bytes at most");
            return Err(FilterError { at: MAX_LENGTH..text.len(), message });
        }
        let mut terms = Vec::new();
        for (at, raw) in split(text)? {
            terms.push(Term::parse(raw, at, known, allowed)?);
        }
        Ok(Self { source: text.trim().to_owned(), terms })
    }

    /// The text it was parsed from, without the spaces around it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// True if it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// True if every term holds for `row` at `now` (ages count from there).
    pub fn matches<T: Fields>(&self, row: &T, now: Stamp) -> bool {
        self.fields_hold(row, now) && self.words_hold(row)
    }

    fn fields_hold<T: Fields>(&self, row: &T, now: Stamp) -> bool {
        self.terms.iter().all(|term| match &term.test {
            Test::Word(_) => true,
            test => test.holds(row, now) != term.negated,
        })
    }

    fn words_hold<T: Fields>(&self, row: &T) -> bool {
        let mut words = self.terms.iter().filter_map(Term::word).peekable();
        if words.peek().is_none() {
            return true;
        }
        let mut text = String::with_capacity(160);
        row.text(&mut text);
        let text = word::fold(text);
        words.all(|(word, negated)| word.is_in(&text) != negated)
    }

    /// Byte ranges of `text` that its words found, in order, without overlap; for drawing.
    pub fn highlights(&self, text: &str) -> Vec<Range<usize>> {
        let words = self.terms.iter().filter_map(Term::word).filter(|(_, negated)| !negated);
        let mut found: Vec<Range<usize>> = words.flat_map(|(word, _)| word.places(text)).collect();
        found.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.source)
    }
}

impl<T: Fields> Fields for &T {
    fn names() -> &'static [&'static str] {
        T::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        (**self).field(name, now)
    }
    fn text(&self, out: &mut String) {
        (**self).text(out);
    }
}

impl<T: Fields> Fields for std::sync::Arc<T> {
    fn names() -> &'static [&'static str] {
        T::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        (**self).field(name, now)
    }
    fn text(&self, out: &mut String) {
        (**self).text(out);
    }
}

#[cfg(test)]
mod tests;
