//! `$NAME`, `${NAME:-default}` and their kin in a compose file, and the `.env` files that give values.

use super::super::pass::Pass;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Defaults may hold variables, whose defaults may hold variables.
const DEEPEST: usize = 16;

/// What variables are filled in from: our environment, then the `.env` file.
pub struct Variables<'p> {
    pub pass: &'p Pass<'p>,
    pub file: BTreeMap<String, String>,
}

/// A text with its variables filled in.
#[derive(Debug, PartialEq, Eq)]
pub struct Filled {
    pub text: String,
    /// Variables that are set nowhere and became nothing.
    pub missing: Vec<String>,
}

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.pass.env(name).or_else(|| self.file.get(name).map(String::as_str))
    }

    /// Fills `text` in. `Err` says what is wrong with it, or what a `${NAME:?text}` demands.
    pub fn fill(&self, text: &str) -> Result<Filled, String> {
        fill(text, &|name| self.get(name).map(Cow::Borrowed), 0)
    }
}

type Lookup<'l> = dyn Fn(&str) -> Option<Cow<'l, str>> + 'l;

fn fill(text: &str, get: &Lookup<'_>, depth: usize) -> Result<Filled, String> {
    if depth > DEEPEST {
        return Err("variables stand inside each other too deep".to_owned());
    }
    let mut out = Filled { text: String::with_capacity(text.len()), missing: Vec::new() };
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(next) = after.strip_prefix('$') {
            out.text.push('$');
            rest = next;
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing(inner).ok_or("`${` without `}`")?;
            substitute(&inner[..end], get, depth, &mut out)?;
            rest = &inner[end + 1..];
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            if end == 0 || after.starts_with(|c: char| c.is_ascii_digit()) {
                return Err("`$` without a name (write `$$` for the sign itself)".to_owned());
            }
            substitute(&after[..end], get, depth, &mut out)?;
            rest = &after[end..];
        }
    }
    out.text.push_str(rest);
    Ok(out)
}

/// Where the brace that opened before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        previous = c;
    }
    None
}

/// `NAME`, `NAME:-default`, `NAME-default`, `NAME:?demand`, `NAME?demand`, `NAME:+instead`, `NAME+instead`.
fn substitute(inner: &str, get: &Lookup<'_>, depth: usize, out: &mut Filled) -> Result<(), String> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, tail) = inner.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`${{{inner}}}` names no variable"));
    }
    let (colon, tail) = tail.strip_prefix(':').map_or((false, tail), |tail| (true, tail));
    let value = get(name).filter(|value| !colon || !value.is_empty());
    let mut other = |text: &str| {
        let filled = fill(text, get, depth + 1)?;
        out.missing.extend(filled.missing);
        out.text.push_str(&filled.text);
        Ok::<(), String>(())
    };
    let mut modes = tail.chars();
    match (modes.next(), value) {
        (None, Some(value)) if !colon => out.text.push_str(&value),
        (None, None) if !colon => out.missing.push(name.to_owned()),
        (Some('-' | '?'), Some(value)) => out.text.push_str(&value),
        (Some('-'), None) => other(modes.as_str())?,
        (Some('?'), None) => {
            let demand = if tail.len() > 1 { modes.as_str() } else { "it must be set" };
            return Err(format!("the variable `{name}` is not set: {demand}"));
        }
        (Some('+'), Some(_)) => other(modes.as_str())?,
        (Some('+'), None) => {}
        _ => return Err(format!("`${{{inner}}}` is not understood")),
    }
    Ok(())
}

/// The lines of a `.env` file: `NAME=value`, with quotes, comments and `export`. `Err` is the number of a bad line.
pub fn dotenv(text: &str, pass: &Pass<'_>) -> Result<BTreeMap<String, String>, usize> {
    Ok(assignments(text, pass)?.into_iter().map(|(name, value, _)| (name, value)).collect())
}

/// A name, its value, and where its line stands.
pub type Assignment = (String, String, Range<usize>);

/// As [`dotenv`], in the order of the file and with places.
pub fn assignments(text: &str, pass: &Pass<'_>) -> Result<Vec<Assignment>, usize> {
    let mut known = BTreeMap::new();
    let mut out = Vec::new();
    let mut start = 0;
    for (number, whole) in text.split_inclusive('\n').enumerate() {
        let line = whole.trim();
        let at = start + (whole.len() - whole.trim_start().len());
        start += whole.len();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let span = at..at + line.len();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
            return Err(number + 1);
        }
        // A name without `=` is passed on from our own environment.
        let value = if line.contains('=') {
            env_value(value.trim(), &known, pass).ok_or(number + 1)?
        } else if let Some(value) = pass.env(name) {
            value.to_owned()
        } else {
            continue;
        };
        known.insert(name.to_owned(), value.clone());
        out.push((name.to_owned(), value, span));
    }
    Ok(out)
}

fn env_value(text: &str, known: &BTreeMap<String, String>, pass: &Pass<'_>) -> Option<String> {
    if let Some(rest) = text.strip_prefix('\'') {
        return Some(rest.split_once('\'')?.0.to_owned());
    }
    let inner = match text.strip_prefix('"') {
        Some(rest) => rest.split_once('"')?.0.replace("\\n", "\n"),
        None => text.split(" #").next().unwrap_or_default().trim_end().to_owned(),
    };
    let get =
        |name: &str| pass.env(name).map(Cow::Borrowed).or_else(|| known.get(name).map(|v| Cow::Borrowed(v.as_str())));
    fill(&inner, &get, 0).ok().map(|filled| filled.text)
}

/// A command line as a shell would split it; `None` if a quote is not closed.
pub fn words(text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    quote.is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_as_compose_does() {
        let get = |name: &str| match name {
            "SET" => Some(Cow::Borrowed("s")),
            "EMPTY" => Some(Cow::Borrowed("")),
            _ => None,
        };
        for (text, want) in [
            ("plain", Ok("plain")),
            ("$SET/${SET}", Ok("s/s")),
            ("${NONE:-d}${EMPTY:-d}${EMPTY-d}", Ok("dd")),
            ("${NONE:-${OTHER:-deep}}", Ok("deep")),
            ("${SET:+yes}${NONE:+no}${EMPTY+yes}", Ok("yesyes")),
            ("a$$b", Ok("a$b")),
            ("x${NONE}y", Ok("xy")),
            ("${NONE:?give it}", Err("the variable `NONE` is not set: give it")),
            ("${NONE?}", Err("the variable `NONE` is not set: it must be set")),
            ("${SET", Err("`${` without `}`")),
            ("${SET!x}", Err("`${SET!x}` is not understood")),
            ("$", Err("`$` without a name (write `$$` for the sign itself)")),
            ("${}", Err("`${}` names no variable")),
        ] {
            assert_eq!(fill(text, &get, 0).map(|filled| filled.text), want.map(str::to_owned).map_err(str::to_owned));
        }
        assert_eq!(fill("${NONE}", &get, 0).unwrap().missing, ["NONE"]);
        assert!(fill(&"${A:-".repeat(50), &get, 0).is_err());
    }

    #[test]
    fn command_lines_are_split_as_a_shell_does() {
        for (text, want) in [
            ("a b  c", Some(vec!["a", "b", "c"])),
            ("sh -c 'x y' \"z \\\" w\"", Some(vec!["sh", "-c", "x y", "z \" w"])),
            ("a\\ b ''", Some(vec!["a b", ""])),
            ("", Some(vec![])),
            ("'open", None),
        ] {
            assert_eq!(words(text), want.map(|words| words.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }

    #[test]
    fn env_files_are_read_as_written() {
        let env = BTreeMap::from([("HOST".to_owned(), "h".to_owned())]);
        let pass = Pass::new(&env);
        let text = "# c\nexport A=1\nB = 'x $A' # no\nC=\"${A}-$HOST\"\nD=v # c\nHOST\nNONE\n";
        let read = dotenv(text, &pass).unwrap();
        let pairs: Vec<_> = read.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["A=1", "B=x $A", "C=1-h", "D=v", "HOST=h"]);
        assert_eq!(dotenv("A=1\nB C=2\n", &pass), Err(2));
    }
}
