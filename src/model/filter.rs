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
mod hint;
mod rows;
mod word;
mod yard;

use super::{Stamp, near};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::time::Duration;
use word::Word;

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

#[derive(Clone, Debug, PartialEq)]
struct Term {
    negated: bool,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Word(Word),
    Begins {
        field: &'static str,
        values: Vec<String>,
    },
    /// `field~value`: anywhere in it.
    Holds {
        field: &'static str,
        values: Vec<String>,
    },
    Empty {
        field: &'static str,
    },
    Compares {
        field: &'static str,
        order: Order,
        number: f64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Equal,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// What a field holds, and so what it may be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Count,
    Percent,
    Bytes,
    Time,
}

/// Every field that some row has. A name means one thing everywhere.
pub const FIELDS: &[(&str, FieldKind)] = &[
    ("age", FieldKind::Time),
    ("backend", FieldKind::Text),
    ("by", FieldKind::Text),
    ("capability", FieldKind::Text),
    ("claim", FieldKind::Text),
    ("cpu", FieldKind::Percent),
    ("desired", FieldKind::Text),
    ("engine", FieldKind::Text),
    ("env", FieldKind::Text),
    ("era", FieldKind::Text),
    ("error", FieldKind::Text),
    ("errors", FieldKind::Count),
    ("exit", FieldKind::Count),
    ("face", FieldKind::Text),
    ("garbage", FieldKind::Count),
    ("gpu", FieldKind::Bytes),
    ("health", FieldKind::Text),
    ("id", FieldKind::Text),
    ("image", FieldKind::Text),
    ("in_flight", FieldKind::Count),
    ("instance", FieldKind::Text),
    ("instances", FieldKind::Count),
    ("io", FieldKind::Bytes),
    ("kind", FieldKind::Text),
    ("label", FieldKind::Text),
    ("last", FieldKind::Time),
    ("level", FieldKind::Text),
    ("limit", FieldKind::Percent),
    ("mem", FieldKind::Bytes),
    ("method", FieldKind::Text),
    ("name", FieldKind::Text),
    ("net", FieldKind::Bytes),
    ("network", FieldKind::Text),
    ("object", FieldKind::Text),
    ("oldest", FieldKind::Time),
    ("origin", FieldKind::Text),
    ("outcome", FieldKind::Text),
    ("owner", FieldKind::Text),
    ("p95", FieldKind::Time),
    ("part", FieldKind::Text),
    ("pid", FieldKind::Count),
    ("pids", FieldKind::Count),
    ("port", FieldKind::Text),
    ("project", FieldKind::Text),
    ("rate", FieldKind::Count),
    ("read_only", FieldKind::Text),
    ("ready", FieldKind::Count),
    ("reason", FieldKind::Text),
    ("restarts", FieldKind::Count),
    ("scope", FieldKind::Text),
    ("server", FieldKind::Text),
    ("size", FieldKind::Bytes),
    ("source", FieldKind::Text),
    ("stack", FieldKind::Text),
    ("state", FieldKind::Text),
    ("tenant", FieldKind::Text),
    ("tenants", FieldKind::Count),
    ("took", FieldKind::Time),
    ("tool", FieldKind::Text),
    ("tools", FieldKind::Count),
    ("transport", FieldKind::Text),
    ("upstream", FieldKind::Time),
    ("uptime", FieldKind::Time),
    ("verb", FieldKind::Text),
    ("waiting", FieldKind::Count),
    ("wake", FieldKind::Time),
];

/// Other names that people type.
const ALIASES: &[(&str, &str)] = &[
    ("customer", "tenant"),
    ("customers", "tenants"),
    ("environment", "env"),
    ("memory", "mem"),
    ("duration", "took"),
    ("operator", "by"),
    ("inflight", "in_flight"),
];

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

/// The terms with their places: split at spaces that are not inside quotes.
fn split(text: &str) -> Result<Vec<(usize, &str)>, FilterError> {
    let mut terms = Vec::new();
    let mut start = None;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('"', None) => quote = Some(at),
            ('"', Some(_)) => quote = None,
            (c, None) if c.is_whitespace() => {
                terms.extend(start.take().map(|from| (from, &text[from..at])));
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    if let Some(at) = quote {
        return Err(FilterError { at: at..text.len(), message: "`\"` without its end".to_owned() });
    }
    terms.extend(start.map(|from| (from, &text[from..])));
    Ok(terms)
}

impl Term {
    fn word(&self) -> Option<(&Word, bool)> {
        match &self.test {
            Test::Word(word) => Some((word, self.negated)),
            _ => None,
        }
    }

    fn parse(raw: &str, at: usize, known: &dyn Fn(&str) -> bool, allowed: &str) -> Result<Self, FilterError> {
        let whole = at..at + raw.len();
        let (excluded, body) = match raw.strip_prefix('!') {
            Some(rest) if !rest.starts_with('=') => (true, rest),
            _ => (false, raw),
        };
        let Some((name, operator, value)) = split_operator(body) else {
            let word = unquote(body);
            if word.is_empty() {
                return Err(FilterError { at: whole, message: "`!` needs a word after it".to_owned() });
            }
            return Ok(Self { negated: excluded, test: Test::Word(Word::new(&word)) });
        };
        let (field, kind) = lookup(name, known, allowed).map_err(|message| FilterError {
            at: whole.start + usize::from(excluded)..whole.start + usize::from(excluded) + name.len(),
            message,
        })?;
        let from = whole.end - value.len();
        let (test, different) = Test::parse(field, kind, operator, &unquote(value))
            .map_err(|message| FilterError { at: from..whole.end, message })?;
        Ok(Self { negated: excluded != different, test })
    }
}

/// `name`, operator and value; `None` if it is a plain word.
fn split_operator(body: &str) -> Option<(&str, &str, &str)> {
    let at = body.find(['=', '<', '>', '!', '~', '"'])?;
    let (name, rest) = body.split_at(at);
    let operator = ["!=", ">=", "<=", "=", ">", "<", "~"].into_iter().find(|o| rest.starts_with(o))?;
    (!name.is_empty()).then_some((name, operator, &rest[operator.len()..]))
}

fn unquote(text: &str) -> String {
    text.replace('"', "")
}

fn lookup(name: &str, known: &dyn Fn(&str) -> bool, allowed: &str) -> Result<(&'static str, FieldKind), String> {
    let lower = name.to_lowercase();
    let name_of = ALIASES.iter().find(|(alias, _)| *alias == lower).map_or(lower.as_str(), |(_, field)| field);
    if let Some((field, kind)) = FIELDS.iter().find(|(field, _)| *field == name_of && known(field)) {
        return Ok((field, *kind));
    }
    let names = FIELDS.iter().map(|(field, _)| *field).filter(|field| known(field));
    let guess = near::nearest(&lower, names.clone()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    let allowed = if allowed.is_empty() { names.collect::<Vec<_>>().join(", ") } else { allowed.to_owned() };
    Err(format!("no field `{name}` here{guess} (fields: {allowed}; in quotes it is looked for as text)"))
}

impl Test {
    /// The test and whether its outcome is to be turned round (`!=`).
    fn parse(field: &'static str, kind: FieldKind, operator: &str, value: &str) -> Result<(Self, bool), String> {
        let different = operator == "!=";
        if value.is_empty() {
            return match operator {
                "=" | "!=" => Ok((Self::Empty { field }, different)),
                _ => Err(format!("`{field}{operator}` needs a value, for example {}", kind.example())),
            };
        }
        if kind == FieldKind::Text {
            let values = value.split(',').filter(|v| !v.is_empty()).map(|v| word::fold(v.to_owned())).collect();
            return match operator {
                "=" | "!=" => Ok((Self::Begins { field, values }, different)),
                "~" => Ok((Self::Holds { field, values }, false)),
                _ => Err(format!("`{field}` is a text: use `=`, `!=` or `~`")),
            };
        }
        if operator == "~" {
            return Err(format!("`{field}` is a {}: compare it with `=`, `<` or `>`", kind.noun()));
        }
        let number = kind.read(value).ok_or_else(|| {
            format!(
                "`{value}` does not compare with `{field}`: write a {}, for example {}",
                kind.noun(),
                kind.example()
            )
        })?;
        let order = match operator {
            ">" => Order::Above,
            ">=" => Order::AtLeast,
            "<" => Order::Below,
            "<=" => Order::AtMost,
            _ => Order::Equal,
        };
        Ok((Self::Compares { field, order, number }, different))
    }

    fn holds<T: Fields>(&self, row: &T, now: Stamp) -> bool {
        match self {
            Self::Word(_) => true,
            Self::Empty { field } => match row.field(field, now) {
                None => true,
                Some(Value::Text(text)) => text.is_empty(),
                Some(Value::Texts(texts)) => texts.is_empty(),
                Some(_) => false,
            },
            Self::Begins { field, values } => match row.field(field, now) {
                Some(Value::Text(text)) => values.iter().any(|v| word::begins(&text, v)),
                Some(Value::Texts(texts)) => values.iter().any(|v| texts.iter().any(|text| word::begins(text, v))),
                _ => false,
            },
            Self::Holds { field, values } => {
                let holds = |text: &str| {
                    let text = word::fold(text.to_owned());
                    values.iter().any(|value| text.contains(value))
                };
                match row.field(field, now) {
                    Some(Value::Text(text)) => holds(&text),
                    Some(Value::Texts(texts)) => texts.iter().any(|text| holds(text)),
                    _ => false,
                }
            }
            Self::Compares { field, order, number } => match row.field(field, now) {
                Some(Value::Number(value)) => order.holds(value, *number),
                Some(Value::Time(value)) => order.holds(value.as_secs_f64(), *number),
                _ => false,
            },
        }
    }
}

impl Order {
    fn holds(self, value: f64, number: f64) -> bool {
        match self {
            Self::Equal => (value - number).abs() < 1e-9,
            Self::Above => value > number,
            Self::AtLeast => value >= number,
            Self::Below => value < number,
            Self::AtMost => value <= number,
        }
    }
}

impl FieldKind {
    fn noun(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Count => "number",
            Self::Percent => "percentage",
            Self::Bytes => "size",
            Self::Time => "time",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Text => "`failed`",
            Self::Count => "`3`",
            Self::Percent => "`50%`",
            Self::Bytes => "`512M`",
            Self::Time => "`200ms`, `30s` or `2h`",
        }
    }

    /// A number with its unit in the base unit (seconds, bytes, percent). A time without a unit is refused, for
    /// nobody could tell whether seconds or milliseconds are meant.
    fn read(self, text: &str) -> Option<f64> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let number: f64 = digits.parse().ok()?;
        let factor = match (self, unit) {
            (Self::Count, "") | (Self::Percent, "" | "%") => 1.0,
            (Self::Count, "k") => 1e3,
            (Self::Bytes, unit) => bytes_unit(unit)?,
            (Self::Time, "us" | "µs") => 1e-6,
            (Self::Time, "ms") => 1e-3,
            (Self::Time, "s") => 1.0,
            (Self::Time, "m" | "min") => 60.0,
            (Self::Time, "h") => 3600.0,
            (Self::Time, "d") => 86_400.0,
            _ => return None,
        };
        Some(number * factor)
    }
}

/// `512M` is what a screen shows as 512M: powers of 1024 whatever the spelling.
fn bytes_unit(unit: &str) -> Option<f64> {
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    Some(1024_f64.powi(power))
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
