//! Base64 in an answer that says what it is: images and sounds of tools and prompts (`data`), binary resources (`blob`).
//! Shown as type and size; saved as what it is.

use super::{Name, Tree};
use crate::ui::console::json::Kind;
use crate::ui::fmt;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// Without quotes.
    pub base64: &'a str,
    /// `mimeType`, as the server says; a slice of the answer.
    mime: &'a str,
}

/// What a type of media is called in a file's name; all else is `bin`.
const EXTENSIONS: [(&str, &str); 15] = [
    ("image/png", "png"),
    ("image/jpeg", "jpg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/svg+xml", "svg"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("text/plain", "txt"),
    ("text/csv", "csv"),
];

impl<'a> Media<'a> {
    /// Bytes when decoded.
    pub fn size(&self) -> usize {
        self.base64.trim_end_matches('=').len() * 3 / 4
    }

    /// `image/png, 12.3 KiB`
    pub fn summary(&self) -> String {
        format!("{}, {}", self.mime, fmt::bytes(self.size() as u64))
    }

    pub fn extension(&self) -> &'static str {
        EXTENSIONS.iter().find(|(mime, _)| self.mime.eq_ignore_ascii_case(mime)).map_or("bin", |(_, name)| name)
    }
}

impl Tree {
    /// What a node holds, if that is media.
    pub(super) fn media(&self, node: usize) -> Option<Media<'_>> {
        let branch = &self.nodes[node];
        if branch.item.kind != Kind::String || !matches!(self.key(node), Some("\"data\"" | "\"blob\"")) {
            return None;
        }
        let beside = &self.nodes[branch.parent?].children;
        let mime = beside.iter().find(|at| self.key(**at) == Some("\"mimeType\""))?;
        let inside = |node: usize| self.source(node).strip_prefix('"')?.strip_suffix('"');
        let base64 = inside(node)?;
        // The beginning tells it from a word.
        let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_');
        let looks = base64.len() >= 4 && base64.bytes().take(4096).all(is_base64);
        looks.then_some(Media { base64, mime: inside(*mime)? })
    }

    /// Its key, quotes and all.
    fn key(&self, node: usize) -> Option<&str> {
        match &self.nodes[node].name {
            Name::Key(span) => Some(&self.text[span.clone()]),
            Name::Top | Name::Index(_) => None,
        }
    }

    fn source(&self, node: usize) -> &str {
        &self.text[self.nodes[node].item.span.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_told_by_their_type_and_size() {
        let tree = Tree::new(
            r#"{"content":[{"type":"image","data":"aGVsbG8=","mimeType":"image/png"},{"data":"a word","mimeType":"x"},{"data":"aGVsbG8="}]}"#,
        );
        let shown: Vec<_> = (0..tree.len()).filter_map(|row| tree.line(row, 40)).filter(|l| l.name == "data").collect();
        let values: Vec<_> = shown.iter().map(|line| &*line.value).collect();
        assert_eq!(values, ["image/png, 5 B", "\"a word\"", "\"aGVsbG8=\""]);
    }

    #[test]
    fn what_is_selected_is_found_from_the_object_and_from_beside_it() {
        let mut tree = Tree::new(r#"{"a":[{"type":"audio","data":"AAAA","mimeType":"audio/wav"}],"b":1}"#);
        for (row, found) in [(0, false), (1, false), (2, true), (3, true), (4, true), (5, true), (6, false)] {
            tree.cursor = row;
            assert_eq!(
                tree.selected_media().map(|m| (m.base64, m.extension())),
                found.then_some(("AAAA", "wav")),
                "{row}"
            );
        }
    }
}
