//! A JSON text as foldable rows, built only where it was opened: a node's children are found by one scan of its text, a
//! page at a time. The text is never copied and never laid out as a whole, so 50 MB stay as smooth as 5 KB.

mod media;

use super::json::{self, Item, JsonError, Kind, Scanner, Step};
use super::letters::written_out;
pub use media::Media;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Children shown of one container before a row asks for more.
const PAGE: usize = 500;
/// Rows opened at first, and the largest container opened at first, in bytes.
const FIRST_ROWS: usize = 200;
const FIRST_BYTES: usize = 64 << 10;
/// Lines of one unfolded string.
const MAX_LINES: usize = 5_000;

/// The rows of one text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    text: Arc<str>,
    nodes: Vec<Branch>,
    rows: Vec<Row>,
    /// Unfolded strings, as wrapped lines.
    unfolded: HashMap<usize, Vec<String>>,
    /// Nobody looked at the text yet.
    unread: bool,
    /// Why there are no rows.
    pub error: Option<JsonError>,
    pub cursor: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Branch {
    parent: Option<usize>,
    depth: usize,
    name: Name,
    /// Where its key (or itself) begins.
    start: usize,
    item: Item,
    open: bool,
    children: Vec<usize>,
    /// Where the next child begins; `None` once all are known (or it was never opened: see `children`).
    next: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Top,
    /// The key with its quotes.
    Key(Range<usize>),
    Index(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Node(usize),
    /// A line of an unfolded string.
    Line(usize, usize),
    /// The rest of a container's children.
    More(usize),
}

/// A row as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub depth: usize,
    /// `Some(open)` for what can be opened.
    pub fold: Option<bool>,
    /// Key or index; empty at the top.
    pub name: String,
    /// Elements or members of a container.
    pub count: Option<usize>,
    pub kind: Kind,
    /// The value's text, never much longer than asked for.
    pub value: Cow<'a, str>,
}

impl Tree {
    /// Reads a text; what is needed for the first screen is opened.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        let mut tree = Self { text: text.into(), ..Self::default() };
        let text = Arc::clone(&tree.text);
        let mut scanner = Scanner::new(&text);
        match scanner.value().and_then(|item| scanner.end().map(|()| item)) {
            Ok(item) => tree.plant(item),
            Err(error) => tree.error = Some(error),
        }
        tree
    }

    /// A text that is read elsewhere: there are no rows until then.
    pub fn unread(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), unread: true, ..Self::default() }
    }

    pub fn is_unread(&self) -> bool {
        self.unread
    }

    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Rows that can be scrolled through.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn plant(&mut self, item: Item) {
        self.nodes.push(Branch {
            parent: None,
            depth: 0,
            name: Name::Top,
            start: item.span.start,
            item,
            open: false,
            children: Vec::new(),
            next: None,
        });
        self.rows.push(Row::Node(0));
        let mut at = 0;
        while at < self.rows.len() && self.rows.len() < FIRST_ROWS {
            if let Row::Node(node) = self.rows[at] {
                let item = &self.nodes[node].item;
                let small = item.span.len() <= FIRST_BYTES && item.count <= 50;
                if item.kind.is_container() && item.count > 0 && (node == 0 || small) {
                    self.open(at);
                }
            }
            at += 1;
        }
    }

    /// One row, its value cut near `width` bytes.
    pub fn line(&self, row: usize, width: usize) -> Option<Line<'_>> {
        Some(match *self.rows.get(row)? {
            Row::Node(node) => self.node_line(node, width),
            Row::Line(node, line) => Line {
                depth: self.nodes[node].depth + 1,
                fold: None,
                name: String::new(),
                count: None,
                kind: Kind::String,
                value: self.unfolded.get(&node)?.get(line)?.into(),
            },
            Row::More(node) => Line {
                depth: self.nodes[node].depth + 1,
                fold: None,
                name: String::new(),
                count: None,
                kind: Kind::Null,
                value: format!(
                    "{} more, enter shows them",
                    self.nodes[node].item.count - self.nodes[node].children.len()
                )
                .into(),
            },
        })
    }

    fn node_line(&self, node: usize, width: usize) -> Line<'_> {
        let branch = &self.nodes[node];
        let container = branch.item.kind.is_container();
        let long = branch.item.kind == Kind::String && branch.item.span.len() > width.max(16);
        let fold = ((container && branch.item.count > 0) || long || self.unfolded.contains_key(&node))
            .then(|| branch.open || self.unfolded.contains_key(&node));
        Line {
            depth: branch.depth,
            fold,
            name: self.name(node),
            count: container.then_some(branch.item.count),
            kind: branch.item.kind,
            value: match self.media(node) {
                _ if container => "".into(),
                Some(media) => media.summary().into(),
                None => match head(&self.text[branch.item.span.clone()], width) {
                    Cow::Borrowed(text) => written_out(text),
                    Cow::Owned(text) => written_out(&text).into_owned().into(),
                },
            },
        }
    }

    fn name(&self, node: usize) -> String {
        match &self.nodes[node].name {
            Name::Top => String::new(),
            Name::Key(span) => json::unquote(&self.text[span.clone()]),
            Name::Index(at) => at.to_string(),
        }
    }

    /// Moves the cursor by so many rows.
    pub fn step(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.rows.len().saturating_sub(1));
    }

    /// `enter`: opens or closes the row under the cursor, or shows more. `width` wraps an unfolded string.
    pub fn toggle(&mut self, width: usize) {
        match self.rows.get(self.cursor).copied() {
            Some(Row::Node(node)) if self.unfolded.contains_key(&node) => self.close(self.cursor),
            Some(Row::Node(node)) if self.nodes[node].item.kind == Kind::String => self.unfold(self.cursor, width),
            Some(Row::Node(node)) if self.nodes[node].open => self.close(self.cursor),
            Some(Row::Node(_)) => self.open(self.cursor),
            Some(Row::More(node)) => self.more(self.cursor, node),
            Some(Row::Line(node, line)) => {
                self.cursor -= line + 1;
                debug_assert_eq!(self.rows.get(self.cursor), Some(&Row::Node(node)));
                self.close(self.cursor);
            }
            None => {}
        }
    }

    /// `right`: opens, then goes to the first child.
    pub fn enter(&mut self, width: usize) {
        match self.rows.get(self.cursor) {
            Some(Row::Node(node)) if self.nodes[*node].open || self.unfolded.contains_key(node) => self.step(1),
            _ => self.toggle(width),
        }
    }

    /// `left`: closes, or goes to the parent.
    pub fn leave(&mut self) {
        match self.rows.get(self.cursor).copied() {
            Some(Row::Node(node)) if self.nodes[node].open || self.unfolded.contains_key(&node) => {
                self.close(self.cursor)
            }
            Some(Row::Node(node)) => {
                if let Some(row) = self.nodes[node].parent.and_then(|parent| self.row_of(parent)) {
                    self.cursor = row;
                }
            }
            Some(Row::Line(node, _) | Row::More(node)) => self.cursor = self.row_of(node).unwrap_or(self.cursor),
            None => {}
        }
    }

    fn row_of(&self, node: usize) -> Option<usize> {
        self.rows.iter().position(|r| *r == Row::Node(node))
    }

    fn open(&mut self, row: usize) {
        let Some(&Row::Node(node)) = self.rows.get(row) else { return };
        let item = &self.nodes[node].item;
        if !item.kind.is_container() || item.count == 0 || self.nodes[node].open {
            return;
        }
        if self.nodes[node].children.is_empty() {
            self.nodes[node].next = Some(item.span.start + 1);
            self.load(node);
        }
        self.nodes[node].open = true;
        let rows = self.rows_below(node);
        self.rows.splice(row + 1..row + 1, rows);
    }

    /// The rows of an open node's children, as they were left.
    fn rows_below(&self, node: usize) -> Vec<Row> {
        let mut out = Vec::new();
        let mut todo = vec![Row::More(node)];
        todo.extend(self.nodes[node].children.iter().rev().map(|c| Row::Node(*c)));
        while let Some(row) = todo.pop() {
            match row {
                Row::Node(child) => {
                    out.push(row);
                    out.extend((0..self.unfolded.get(&child).map_or(0, Vec::len)).map(|line| Row::Line(child, line)));
                    if self.nodes[child].open {
                        todo.push(Row::More(child));
                        todo.extend(self.nodes[child].children.iter().rev().map(|c| Row::Node(*c)));
                    }
                }
                Row::More(parent) if self.nodes[parent].next.is_none() => {}
                other => out.push(other),
            }
        }
        out
    }

    fn close(&mut self, row: usize) {
        let Some(&Row::Node(node)) = self.rows.get(row) else { return };
        let depth = self.nodes[node].depth;
        let below = self.rows[row + 1..].iter().take_while(|r| self.depth(**r) > depth).count();
        self.rows.drain(row + 1..row + 1 + below);
        self.nodes[node].open = false;
        self.unfolded.remove(&node);
        self.cursor = if self.cursor > row + below { self.cursor - below } else { self.cursor.min(row) };
    }

    fn depth(&self, row: Row) -> usize {
        match row {
            Row::Node(node) => self.nodes[node].depth,
            Row::Line(node, _) | Row::More(node) => self.nodes[node].depth + 1,
        }
    }

    fn more(&mut self, row: usize, node: usize) {
        let known = self.nodes[node].children.len();
        self.load(node);
        let mut rows: Vec<Row> = self.nodes[node].children[known..].iter().map(|c| Row::Node(*c)).collect();
        if self.nodes[node].next.is_some() {
            rows.push(Row::More(node));
        }
        self.rows.splice(row..=row, rows);
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
    }

    /// Finds the next page of a container's children.
    fn load(&mut self, node: usize) {
        let Some(from) = self.nodes[node].next else { return };
        let text = Arc::clone(&self.text);
        let mut scanner = Scanner::starting_at(&text, from);
        let object = self.nodes[node].item.kind == Kind::Object;
        let count = self.nodes[node].item.count;
        for _ in 0..PAGE {
            let known = self.nodes[node].children.len();
            if known == count {
                break;
            }
            scanner.skip_space();
            let start = scanner.offset();
            let key = object.then(|| scanner.key()).transpose();
            let (Ok(key), Ok(item)) = (key, scanner.value()) else { break };
            scanner.take(b',');
            self.nodes.push(Branch {
                parent: Some(node),
                depth: self.nodes[node].depth + 1,
                name: key.map_or(Name::Index(known), Name::Key),
                start,
                item,
                open: false,
                children: Vec::new(),
                next: None,
            });
            let child = self.nodes.len() - 1;
            self.nodes[node].children.push(child);
        }
        self.nodes[node].next = (self.nodes[node].children.len() < count).then_some(scanner.offset());
    }

    fn unfold(&mut self, row: usize, width: usize) {
        let Some(&Row::Node(node)) = self.rows.get(row) else { return };
        let text = json::unquote(&self.text[self.nodes[node].item.span.clone()]);
        let lines = wrap(&text, width.max(8));
        let rows: Vec<Row> = (0..lines.len()).map(|line| Row::Line(node, line)).collect();
        self.unfolded.insert(node, lines);
        self.rows.splice(row + 1..row + 1, rows);
    }

    fn current(&self) -> Option<usize> {
        Some(match *self.rows.get(self.cursor)? {
            Row::Node(node) | Row::Line(node, _) | Row::More(node) => node,
        })
    }

    /// The value under the cursor, to be copied: strings without quotes, the rest as it stands.
    pub fn value(&self) -> Option<String> {
        let item = &self.nodes[self.current()?].item;
        let source = &self.text[item.span.clone()];
        Some(if item.kind == Kind::String { json::unquote(source) } else { source.to_owned() })
    }

    /// True if the cursor stands on a string.
    pub fn is_text(&self) -> bool {
        self.current().is_some_and(|node| self.nodes[node].item.kind == Kind::String)
    }

    /// The image, sound or binary resource under the cursor, or in the object that it stands on.
    pub fn selected_media(&self) -> Option<Media<'_>> {
        let node = self.current()?;
        let below = self.nodes[node].children.iter().copied();
        let beside = self.nodes[node].parent.map(|parent| self.nodes[parent].children.as_slice()).unwrap_or_default();
        let mut near = std::iter::once(node).chain(below).chain(beside.iter().copied());
        near.find_map(|node| self.media(node))
    }

    /// Where the cursor is, as jq writes it.
    pub fn path(&self) -> Option<String> {
        let mut steps = Vec::new();
        let mut at = Some(self.current()?);
        while let Some(node) = at {
            match &self.nodes[node].name {
                Name::Top => {}
                Name::Key(_) => steps.push(Step::Key(self.name(node))),
                Name::Index(index) => steps.push(Step::Index(*index)),
            }
            at = self.nodes[node].parent;
        }
        steps.reverse();
        Some(json::path_text(&steps))
    }

    /// Goes to the next (or the one before) place that holds `needle`, opening what hides it; round the ends. Letters
    /// match both cases unless the needle has a capital. False if there is none.
    pub fn search(&mut self, needle: &str, forward: bool) -> bool {
        if needle.is_empty() || self.is_empty() {
            return false;
        }
        let here = self.current().map_or(0, |node| self.nodes[node].start);
        let text = Arc::clone(&self.text);
        let find = |range: Range<usize>, forward| find_in(&text, needle, range, forward);
        let hit = if forward {
            let after = self.next_start();
            find(after..text.len(), true).or_else(|| find(0..text.len(), true))
        } else {
            find(0..here, false).or_else(|| find(0..text.len(), false))
        };
        hit.is_some_and(|at| self.reveal(at))
    }

    /// Where the search goes on: past this node's own key and value, or past its key if it has children.
    fn next_start(&self) -> usize {
        let Some(node) = self.current() else { return 0 };
        let branch = &self.nodes[node];
        if branch.item.kind.is_container() { branch.item.span.start + 1 } else { branch.item.span.end }
    }

    /// Opens what leads to a byte of the text and puts the cursor there.
    fn reveal(&mut self, at: usize) -> bool {
        let mut node = 0;
        loop {
            let Some(row) = self.row_of(node) else { return false };
            self.cursor = row;
            if !self.nodes[node].item.kind.is_container() || at < self.nodes[node].item.span.start {
                return true;
            }
            self.open(row);
            while self.nodes[node].next.is_some_and(|next| next <= at) {
                let known = self.nodes[node].children.len();
                let Some(more) = self.rows.iter().position(|r| *r == Row::More(node)) else { return true };
                self.more(more, node);
                if self.nodes[node].children.len() == known {
                    return true;
                }
            }
            let children = &self.nodes[node].children;
            let before = children.partition_point(|c| self.nodes[*c].start <= at);
            match before.checked_sub(1).map(|i| children[i]).filter(|c| at < self.nodes[*c].item.span.end) {
                Some(child) => node = child,
                None => return true,
            }
        }
    }
}

/// Finds in a range of the text, ASCII letters in either case unless the needle has a capital.
pub fn find_in(text: &str, needle: &str, range: Range<usize>, forward: bool) -> Option<usize> {
    let exact = needle.chars().any(char::is_uppercase);
    let (hay, needle) = (text.as_bytes().get(range.clone())?, needle.as_bytes());
    let hit = |window: &[u8]| if exact { window == needle } else { window.eq_ignore_ascii_case(needle) };
    let mut windows = hay.windows(needle.len());
    let at = if forward { windows.position(hit) } else { windows.rposition(hit) };
    at.map(|at| range.start + at)
}

/// The first `width` bytes, cut at a character.
fn head(text: &str, width: usize) -> Cow<'_, str> {
    if text.len() <= width {
        return text.into();
    }
    let mut end = width;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end]).into()
}

/// Lines of at most `width` characters; a text with too many is cut and says so.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        loop {
            if out.len() == MAX_LINES {
                out.push("cut here; save or copy the value to see the rest".to_owned());
                return out;
            }
            let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
            out.push(rest[..end].to_owned());
            rest = &rest[end..];
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
