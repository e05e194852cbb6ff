//! What is shown of lines that hold JSON: the values at some paths instead of the whole line. Pure.

use super::text::json_in;
use crate::ui::console::json::{self, Kind, Node};

/// Most paths at one time, and columns of one value.
const MOST: usize = 8;

/// Paths like `.level .error.message .items[0].id`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    source: String,
    paths: Vec<Vec<Step>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Paths {
    /// Reads paths with spaces between them; nothing is no path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let paths: Result<Vec<_>, String> = text.split_whitespace().map(path).collect();
        let paths = paths?;
        if paths.len() > MOST {
            return Err(format!("{MOST} paths at most"));
        }
        Ok(Self { source: text.trim().to_owned(), paths })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The values in a line, those it has; `None` if it holds no JSON, or nothing at any of the paths.
    pub fn values(&self, line: &str) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let text = json_in(line)?;
        let root = json::parse(text).ok()?;
        let values: Vec<String> = self.paths.iter().filter_map(|path| value(&root, path, text)).collect();
        (!values.is_empty()).then(|| values.join("  "))
    }
}

fn path(text: &str) -> Result<Vec<Step>, String> {
    let wrong = || format!("`{text}` is no path: write .key, .key.key or .key[0]");
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or_else(wrong)?;
            steps.push(Step::Index(index.parse().map_err(|_| wrong())?));
            rest = after;
        } else {
            let after = rest.strip_prefix('.').ok_or_else(wrong)?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return Err(wrong());
            }
            steps.push(Step::Key(after[..end].to_owned()));
            rest = &after[end..];
        }
    }
    Ok(steps)
}

fn value(root: &Node, path: &[Step], text: &str) -> Option<String> {
    let node = path.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => node.get(key),
        Step::Index(index) => (node.kind == Kind::Array).then(|| Some(&node.children.get(*index)?.node)).flatten(),
    })?;
    Some(node.string(text).unwrap_or_else(|| node.source(text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_at_the_paths_stand_for_the_line() {
        let line = r#"12:04 {"level":"error","error":{"message":"no class","codes":[7,9]},"n":3}"#;
        for (paths, shown) in [
            (".level", Some("error")),
            (".level .error.message", Some("error  no class")),
            (".error.codes[1] .nothing .n", Some("9  3")),
            (".error", Some(r#"{"message":"no class","codes":[7,9]}"#)),
            (".nothing", None),
            (".level[0]", None),
            ("", None),
        ] {
            assert_eq!(Paths::parse(paths).unwrap().values(line).as_deref(), shown, "{paths}");
        }
        assert_eq!(Paths::parse(".level").unwrap().values("plain"), None);
        for text in ["level", ".", ".a..b", ".a[x]", ".a[0"] {
            assert!(Paths::parse(text).unwrap_err().contains("write .key"), "{text}");
        }
    }
}
