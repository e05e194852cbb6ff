//! The terms of a filter: how each is read, and whether it holds for a row. Imports `model` only.

use super::field::{FieldKind, lookup};
use super::word::{self, Word};
use super::{Fields, FilterError, Value};
use crate::model::Stamp;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    pub negated: bool,
    pub test: Test,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
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
pub(super) enum Order {
    Equal,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The terms with their places: split at spaces that are not inside quotes.
pub(super) fn split(text: &str) -> Result<Vec<(usize, &str)>, FilterError> {
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
    pub fn word(&self) -> Option<(&Word, bool)> {
        match &self.test {
            Test::Word(word) => Some((word, self.negated)),
            _ => None,
        }
    }

    pub fn parse(raw: &str, at: usize, known: &dyn Fn(&str) -> bool, allowed: &str) -> Result<Self, FilterError> {
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

    pub fn holds<T: Fields>(&self, row: &T, now: Stamp) -> bool {
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
