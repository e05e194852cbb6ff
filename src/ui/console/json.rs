//! JSON as text with spans: keeps key order and every digit, never holds a second copy of what it reads.
//! The console's buffer, schemas and answers all stand on this. Imports nothing of ours.

pub mod edit;
pub mod print;

use std::ops::Range;

/// Deeper nesting than this is refused by [`parse`] (never by [`Scanner`], which does not recurse).
pub const MAX_DEPTH: usize = 128;

/// Why a text is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
pub struct JsonError {
    /// Byte offset.
    pub at: usize,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub fn is_container(self) -> bool {
        matches!(self, Self::Array | Self::Object)
    }
}

/// One value found by the scanner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub span: Range<usize>,
    pub kind: Kind,
    /// Members or elements of a container.
    pub count: usize,
}

/// A value with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
    /// In the order of the text; keys are empty in an array.
    pub children: Vec<Child>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Unescaped.
    pub key: String,
    /// Where the key (or, in an array, the value) begins.
    pub start: usize,
    pub node: Node,
}

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    /// The member of that name; the last one if it is there twice, as most readers have it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        if self.kind != Kind::Object {
            return None;
        }
        self.children.iter().rev().find(|c| c.key == key).map(|c| &c.node)
    }

    pub fn step(&self, step: &Step) -> Option<&Node> {
        match step {
            Step::Key(key) => self.get(key),
            Step::Index(at) if self.kind == Kind::Array => self.children.get(*at).map(|c| &c.node),
            Step::Index(_) => None,
        }
    }

    pub fn at(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| node.step(step))
    }

    /// Its text.
    pub fn source<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.span.clone()).unwrap_or_default()
    }

    /// Its content, if it is a string.
    pub fn string(&self, text: &str) -> Option<String> {
        (self.kind == Kind::String).then(|| unquote(self.source(text)))
    }
}

/// The whole text as one value.
pub fn parse(text: &str) -> Result<Node, JsonError> {
    let mut scanner = Scanner::new(text);
    let node = scanner.node(0)?;
    scanner.end()?;
    Ok(node)
}

/// The content of a quoted JSON string; what cannot be decoded (a lone surrogate) stays as it is written.
pub fn unquote(source: &str) -> String {
    serde_json::from_str(source).unwrap_or_else(|_| source.trim_matches('"').to_owned())
}

/// A text as a JSON string.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads values from a text without recursion and without building anything.
pub struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self::starting_at(text, 0)
    }

    pub fn starting_at(text: &'a str, at: usize) -> Self {
        Self { text, bytes: text.as_bytes(), at }
    }

    pub fn offset(&self) -> usize {
        self.at
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Goes past `byte` (and the space before it) if it comes next.
    pub fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Nothing but space may follow.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.at < self.bytes.len() { Err(self.error("expected the end")) } else { Ok(()) }
    }

    /// A key with its colon; the span holds the quotes.
    pub fn key(&mut self) -> Result<Range<usize>, JsonError> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a key in double quotes"));
        }
        let span = self.string()?;
        if !self.take(b':') {
            return Err(self.error("expected `:` after the key"));
        }
        Ok(span)
    }

    /// The next value; everything inside is checked.
    pub fn value(&mut self) -> Result<Item, JsonError> {
        self.skip_space();
        let start = self.at;
        let mut count = 0;
        // One bit per open container: is it an object.
        let mut open: Vec<bool> = Vec::new();
        let mut kind = None;
        loop {
            self.skip_space();
            let found = self.begin()?;
            kind.get_or_insert(found);
            if found.is_container() && !self.take(closing(found)) {
                open.push(found == Kind::Object);
                if found == Kind::Object {
                    self.key()?;
                }
                count += usize::from(open.len() == 1);
                continue;
            }
            if !self.close(&mut open, &mut count)? {
                break;
            }
        }
        Ok(Item { span: start..self.at, kind: kind.unwrap_or(Kind::Null), count })
    }

    /// Reads a scalar, or the opening bracket of a container.
    fn begin(&mut self) -> Result<Kind, JsonError> {
        let kind = match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => {
                self.string()?;
                return Ok(Kind::String);
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                return Ok(Kind::Number);
            }
            Some(b't') => return self.word("true", Kind::Bool),
            Some(b'f') => return self.word("false", Kind::Bool),
            Some(b'n') => return self.word("null", Kind::Null),
            Some(_) => return Err(self.error("expected a value")),
            None => return Err(self.error("the text ends where a value is expected")),
        };
        self.at += 1;
        Ok(kind)
    }

    /// After a value: closes what ends here. True if another value follows.
    fn close(&mut self, open: &mut Vec<bool>, count: &mut usize) -> Result<bool, JsonError> {
        while let Some(&object) = open.last() {
            if self.take(b',') {
                if object {
                    self.key()?;
                }
                *count += usize::from(open.len() == 1);
                return Ok(true);
            }
            if !self.take(if object { b'}' } else { b']' }) {
                return Err(self.error(if object { "expected `,` or `}`" } else { "expected `,` or `]`" }));
            }
            open.pop();
        }
        Ok(false)
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn string(&mut self) -> Result<Range<usize>, JsonError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at);
                }
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.error("a control character must be escaped in a string")),
                Some(_) => self.at += 1,
                None => {
                    self.at = start;
                    return Err(self.error("this string has no end"));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let hex = self.bytes.get(self.at + 2..self.at + 6);
                if !hex.is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.error("expected four hexadecimal digits after \\u"));
                }
                self.at += 6;
            }
            _ => return Err(self.error("unknown escape; allowed: \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.error("expected a digit")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn node(&mut self, depth: usize) -> Result<Node, JsonError> {
        self.skip_space();
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply (128 levels are allowed)"));
        }
        let start = self.at;
        let kind = self.begin()?;
        let mut children = Vec::new();
        if kind.is_container() && !self.take(closing(kind)) {
            loop {
                self.skip_space();
                let start = self.at;
                let key = if kind == Kind::Object { unquote(&self.text[self.key()?]) } else { String::new() };
                children.push(Child { key, start, node: self.node(depth + 1)? });
                if self.take(b',') {
                    continue;
                }
                if self.take(closing(kind)) {
                    break;
                }
                return Err(self.error(if kind == Kind::Object {
                    "expected `,` or `}`"
                } else {
                    "expected `,` or `]`"
                }));
            }
        }
        Ok(Node { span: start..self.at, kind, children })
    }

    fn error(&self, what: &str) -> JsonError {
        let mut at = self.at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |nl| nl + 1);
        JsonError {
            at,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            what: what.to_owned(),
        }
    }
}

fn closing(kind: Kind) -> u8 {
    if kind == Kind::Object { b'}' } else { b']' }
}

/// `.result.content[0].text`, as jq writes it.
pub fn path_text(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Index(at) => out.push_str(&format!("[{at}]")),
            Step::Key(key) if is_plain(key) => {
                out.push('.');
                out.push_str(key);
            }
            Step::Key(key) => out.push_str(&format!("[{}]", quote(key))),
        }
    }
    if !out.starts_with('.') {
        out.insert(0, '.');
    }
    out
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn errors_say_what_and_where() {
        for (text, shown) in [
            ("", "the text ends where a value is expected at line 1, column 1"),
            ("{\n  \"a\": }", "expected a value at line 2, column 8"),
            ("{\"a\" 1}", "expected `:` after the key at line 1, column 6"),
            ("[1 2]", "expected `,` or `]` at line 1, column 4"),
            ("{\"ä\": 1,}", "expected a key in double quotes at line 1, column 9"),
            ("\"abc", "this string has no end at line 1, column 1"),
            ("01", "expected the end at line 1, column 2"),
            ("1.", "expected a digit at line 1, column 3"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), shown, "{text}");
            let mut s = Scanner::new(text);
            assert!(s.value().and_then(|_| s.end()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_million_open_brackets_do_not_overflow_the_stack() {
        let text = "[".repeat(1_000_000);
        assert!(parse(&text).is_err());
        assert!(Scanner::new(&text).value().is_err());
    }

    #[test]
    fn counts_the_children_of_the_outermost_container_alone() {
        for (text, count) in [("[]", 0), ("[[1,2],{\"a\":[3]}]", 2), ("{\"a\":{\"b\":1,\"c\":2}}", 1), ("3", 0)] {
            assert_eq!(Scanner::new(text).value().unwrap().count, count, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_what_is_json(text in "[\\[\\]{},:\"a0-2\\-.e\\\\ ntrulfs]{0,24}") {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            let mut s = Scanner::new(&text);
            prop_assert_eq!(s.value().and_then(|_| s.end()).is_ok(), theirs);
            prop_assert_eq!(parse(&text).is_ok(), theirs);
        }

        #[test]
        fn any_text_is_an_answer_never_a_panic(text in any::<String>()) {
            let _ = parse(&text);
            let _ = Scanner::new(&text).value();
        }
    }
}
