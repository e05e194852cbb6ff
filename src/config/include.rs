//! A file with all that it includes, ours and foreign ones (see `import`), as one tree. What comes as a list of tables
//! adds up; anything else is given once.

use super::import;
use super::pass::{Pass, Report};
use super::tree::{self, Entry, Node, Place, Source, Table, Value};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A larger file is no configuration.
const MAX_BYTES: u64 = 64 << 20;
/// Tables that come as lists and add up over files.
const LISTS: [&str; 5] = ["server", "tenant", "engine", "stack", "route"];

struct Includes<'p, 'e> {
    pass: &'p Pass<'e>,
    /// Canonical paths of what was read, with the place that asked for it.
    read: Vec<(PathBuf, String)>,
    /// What is being read now, outermost first.
    open: Vec<PathBuf>,
    /// Servers that foreign files speak of.
    implied: Vec<Node>,
}

/// Reads `path` and what it includes. `None` if the file itself cannot be used; an included one that cannot is reported.
pub(super) fn read_all(path: &Path, pass: &Pass<'_>) -> Option<(Table, Place)> {
    let mut includes = Includes { pass, read: Vec::new(), open: Vec::new(), implied: Vec::new() };
    let source = Rc::new(Source { name: shown(path), text: None, folder: PathBuf::new(), order: 0, embedded: false });
    let (mut root, at) = includes.file(path, shown(path), &Place::start_of(&source), "")?;
    import::take_implied(&mut root, &at, includes.implied);
    Some((root, at))
}

/// A path as short as it stays clear: from the current folder where it lies below it.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}

impl Includes<'_, '_> {
    fn file(&mut self, path: &Path, name: String, asked_at: &Place, key: &str) -> Option<(Table, Place)> {
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if self.refuse_again(&canonical, asked_at, key) {
            return None;
        }
        self.pass.watch(path);
        let text = read_text(self.pass, path, asked_at, key)?;
        let source = Rc::new(Source {
            name,
            text: Some(text.as_str().into()),
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            order: self.read.len(),
            embedded: false,
        });
        self.read.push((canonical.clone(), asked_at.label()));
        if import::is_foreign(path) {
            let made = import::read(path, &text, self.read.len() - 1, None, self.pass)?;
            self.implied.extend(made.implied);
            return Some((made.root, made.at));
        }
        let mut root = tree::parse(&text, &source, self.pass)?;
        self.open.push(canonical);
        if let Some(entry) = root.remove("include") {
            self.include(&entry, &source, &mut root);
        }
        self.open.pop();
        Some((root, Place::start_of(&source)))
    }

    /// True if the file was read before: a cycle, or a second inclusion that would define everything twice.
    fn refuse_again(&self, canonical: &Path, asked_at: &Place, key: &str) -> bool {
        let path = shown(canonical);
        if let Some(from) = self.open.iter().position(|open| open == canonical) {
            let mut round: Vec<_> = self.open[from..].iter().map(|path| shown(path)).collect();
            round.push(path);
            let message = format!("files include each other: {}", round.join(" -> "));
            self.pass.problem(Report::new(asked_at, key, message).help("remove one of these includes"));
            return true;
        }
        if let Some((_, first)) = self.read.iter().find(|(path, _)| path == canonical) {
            let message = format!("{path} is included a second time");
            self.pass.problem(Report::new(asked_at, key, message).help(format!("it is already included at {first}")));
            return true;
        }
        false
    }

    fn include(&mut self, entry: &Entry, source: &Rc<Source>, root: &mut Table) {
        let Value::List(patterns) = &entry.node.value else {
            let message = format!("found {}", entry.node.value.found());
            let report = Report::new(&entry.node.at, "include", message);
            return self
                .pass
                .problem(report.help("allowed: a list of files or patterns, include = [\"servers/*.toml\"]"));
        };
        for pattern in patterns {
            for path in self.matching(pattern, source) {
                // Without the `..` on the way there.
                let name = path.canonicalize().map_or_else(|_| shown(&path), |path| shown(&path));
                if let Some((part, _)) = self.file(&path, name, &pattern.at, "include") {
                    merge(root, part, "", self.pass);
                }
            }
        }
    }

    /// Files that a pattern names, sorted; a relative one starts at the folder of the file it stands in.
    fn matching(&self, pattern: &Node, source: &Source) -> Vec<PathBuf> {
        let Some(text) = pattern.value.as_text() else {
            let report = Report::new(&pattern.at, "include", format!("found {}", pattern.value.found()));
            self.pass.problem(report.help("allowed: text in quotes"));
            return Vec::new();
        };
        if !text.contains(['*', '?', '[']) {
            return vec![source.folder.join(text)];
        }
        // The folder's own name may hold what a pattern would take for a wildcard.
        let folder = glob::Pattern::escape(&source.folder.display().to_string());
        let whole = if text.starts_with('/') { text.to_owned() } else { format!("{folder}/{text}") };
        self.pass.watch_pattern(&whole);
        let found: Vec<PathBuf> = match glob::glob(&whole) {
            Ok(paths) => paths.filter_map(Result::ok).filter(|path| path.is_file()).collect(),
            Err(error) => {
                let report = Report::new(&pattern.at, "include", format!("no pattern: {error}"));
                self.pass.problem(report.help("`*` stands for any part of a name, `**` for any folders"));
                return Vec::new();
            }
        };
        if found.is_empty() {
            let report = Report::new(&pattern.at, "include", format!("no file matches {text}"));
            self.pass.warning(report.help("paths start at the folder of this file"));
        }
        found
    }
}

/// The text of a file that is asked for at a place. `None` if it cannot be read (that was reported).
pub(super) fn read_text(pass: &Pass<'_>, path: &Path, asked_at: &Place, key: &str) -> Option<String> {
    let report = |message: String, help: &str| {
        pass.problem(Report::new(asked_at, key, message).help(help));
        None
    };
    let name = shown(path);
    match std::fs::metadata(path) {
        Err(error) => {
            return report(format!("cannot read {name}: {error}"), "give a file that exists and that you may read");
        }
        Ok(meta) if !meta.is_file() => return report(format!("{name} is no file"), "give a file"),
        Ok(meta) if meta.len() > MAX_BYTES => {
            return report(format!("{name} has {} bytes", meta.len()), "a configuration file has 64 MiB at most");
        }
        Ok(_) => {}
    }
    match std::fs::read(path).map(String::from_utf8) {
        Err(error) => report(format!("cannot read {name}: {error}"), "give a file that you may read"),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            report(format!("{name} is not UTF-8 in line {line} (byte {at})"), "save it as UTF-8")
        }
        Ok(Ok(text)) => Some(text),
    }
}

/// Adds `part` to `whole`. What both give is a problem that names both places.
pub(super) fn merge(whole: &mut Table, part: Table, prefix: &str, pass: &Pass<'_>) {
    for (name, entry) in part {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let Some(first) = whole.get_mut(&name) else {
            whole.insert(name, entry);
            continue;
        };
        match (&mut first.node.value, entry.node.value) {
            (Value::List(items), Value::List(more)) if LISTS.contains(&key.as_str()) => items.extend(more),
            (Value::Table(table), Value::Table(more)) => merge(table, more, &key, pass),
            _ => {
                let message = format!("`{name}` is given twice");
                let help = format!("it is already given at {}: keep one of them", first.key.label());
                pass.problem(Report::new(&entry.key, prefix, message).help(help));
            }
        }
    }
}
