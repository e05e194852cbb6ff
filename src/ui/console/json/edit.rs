//! Changes one value in a JSON text and leaves every other byte as it was.

use super::{Child, JsonError, Kind, Node, Step, parse, quote};

/// `text` with the value at `path` set to the JSON text `value`. Missing members (and the objects and arrays on the way)
/// are added at the end; an empty text counts as `{}`. Fails only if `text` is no JSON.
pub fn set(text: &str, path: &[Step], value: &str) -> Result<String, JsonError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let root = parse(text)?;
    let mut node = &root;
    for (depth, step) in path.iter().enumerate() {
        match node.step(step) {
            Some(child) => node = child,
            None => return Ok(add(text, node, step, &nest(&path[depth + 1..], value))),
        }
    }
    Ok(replace(text, node.span.clone(), value))
}

/// `text` without the member or element at `path`; unchanged if there is none.
pub fn remove(text: &str, path: &[Step]) -> Result<String, JsonError> {
    let root = parse(text)?;
    let Some((last, above)) = path.split_last() else { return Ok("{}".to_owned()) };
    let Some(parent) = root.at(above) else { return Ok(text.to_owned()) };
    let Some(at) = position(parent, last) else { return Ok(text.to_owned()) };
    let child = &parent.children[at];
    let span = match (at.checked_sub(1), parent.children.get(at + 1)) {
        (_, Some(next)) => child.start..next.start,
        (Some(before), None) => parent.children[before].node.span.end..child.node.span.end,
        (None, None) => parent.span.start + 1..parent.span.end - 1,
    };
    Ok(replace(text, span, ""))
}

fn position(parent: &Node, step: &Step) -> Option<usize> {
    match step {
        Step::Key(key) if parent.kind == Kind::Object => parent.children.iter().rposition(|c| c.key == *key),
        Step::Index(at) if parent.kind == Kind::Array => (*at < parent.children.len()).then_some(*at),
        _ => None,
    }
}

fn replace(text: &str, span: std::ops::Range<usize>, with: &str) -> String {
    let mut out = String::with_capacity(text.len() + with.len());
    out.push_str(&text[..span.start]);
    out.push_str(with);
    out.push_str(&text[span.end..]);
    out
}

/// Adds a child to `node`, or replaces `node` where it cannot have one.
fn add(text: &str, node: &Node, step: &Step, value: &str) -> String {
    let (wanted, entry) = match step {
        Step::Key(key) => (Kind::Object, format!("{}: {value}", quote(key))),
        Step::Index(_) => (Kind::Array, value.to_owned()),
    };
    if node.kind != wanted {
        return replace(text, node.span.clone(), &nest(std::slice::from_ref(step), value));
    }
    match node.children.last() {
        Some(last) => {
            let end = last.node.span.end;
            replace(text, end..end, &format!(",{}{entry}", gap(text, node, last)))
        }
        None => {
            let indent = line_indent(text, node.span.start);
            let inside = format!("\n{indent}  {entry}\n{indent}");
            replace(text, node.span.start + 1..node.span.end - 1, &inside)
        }
    }
}

/// The space that stands before `last`, so that its new neighbour looks alike.
fn gap<'a>(text: &'a str, parent: &Node, last: &Child) -> &'a str {
    let before = &text[parent.span.start + 1..last.start];
    let space = &before[before.trim_end_matches([' ', '\t', '\n', '\r']).len()..];
    if space.is_empty() { " " } else { space }
}

fn line_indent(text: &str, at: usize) -> &str {
    let line = text[..at].rfind('\n').map_or(0, |nl| nl + 1);
    let rest = &text[line..at];
    &rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()]
}

fn nest(path: &[Step], value: &str) -> String {
    path.iter().rev().fold(value.to_owned(), |inner, step| match step {
        Step::Key(key) => format!("{{ {}: {inner} }}", quote(key)),
        Step::Index(_) => format!("[{inner}]"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> Vec<Step> {
        text.split('.').map(|s| s.parse().map_or_else(|_| Step::Key(s.to_owned()), Step::Index)).collect()
    }

    #[test]
    fn one_value_changes_and_nothing_else() {
        for (before, at, value, after) in [
            ("", "a", "1", "{\n  \"a\": 1\n}"),
            (r#"{"b": 12345678901234567890.10, "a": 1}"#, "a", "2", r#"{"b": 12345678901234567890.10, "a": 2}"#),
            ("{\n  \"b\": 1\n}", "a", "2", "{\n  \"b\": 1,\n  \"a\": 2\n}"),
            ("{\"b\":1}", "c.d.0", "2", "{\"b\":1, \"c\": { \"d\": [2] }}"),
            ("{\"b\":[1,2]}", "b.9", "3", "{\"b\":[1,2, 3]}"),
            ("{\"b\":null}", "b.x", "3", "{\"b\":{ \"x\": 3 }}"),
            ("{\n  \"o\": {}\n}", "o.x", "3", "{\n  \"o\": {\n    \"x\": 3\n  }\n}"),
        ] {
            assert_eq!(set(before, &path(at), value).unwrap(), after);
        }
    }

    #[test]
    fn a_member_goes_with_its_comma() {
        for (before, at, after) in [
            (r#"{"a": 1, "b": 2, "c": 3}"#, "a", r#"{"b": 2, "c": 3}"#),
            (r#"{"a": 1, "b": 2, "c": 3}"#, "b", r#"{"a": 1, "c": 3}"#),
            (r#"{"a": 1, "b": 2, "c": 3}"#, "c", r#"{"a": 1, "b": 2}"#),
            (r#"{ "a": 1 }"#, "a", "{}"),
            ("[1, 2, 3]", "1", "[1, 3]"),
            ("[1]", "0", "[]"),
            ("[1]", "5", "[1]"),
            ("{}", "x.y", "{}"),
        ] {
            assert_eq!(remove(before, &path(at)).unwrap(), after);
        }
    }

    proptest! {
        #[test]
        fn what_was_set_is_read_back(keys in proptest::collection::vec("[a-c\"\\\\é]{0,3}", 1..4), value in any::<i64>(), base in "\\{( \"[a-c]\": [1-9],)* \"z\": \\[\\] \\}") {
            let path: Vec<Step> = keys.into_iter().map(Step::Key).collect();
            let text = set(&base, &path, &value.to_string()).unwrap();
            let root = parse(&text).unwrap();
            prop_assert_eq!(root.at(&path).unwrap().source(&text), value.to_string());
            let gone = remove(&text, &path).unwrap();
            prop_assert!(parse(&gone).is_ok());
        }
    }
}
