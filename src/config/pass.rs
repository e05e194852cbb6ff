//! What one reading of a configuration shares: the environment it may ask, and the problems found so far.
//! Nothing stops at a problem: the reader goes on with the default, so that all of them are told at once.

use super::problem::Problem;
use super::tree::Place;
use super::watched::Watched;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

/// One reading of a configuration.
pub(super) struct Pass<'e> {
    env: &'e BTreeMap<String, String>,
    problems: RefCell<Vec<Ordered>>,
    warnings: RefCell<Vec<Ordered>>,
    /// Files that were read.
    pub watched: RefCell<Watched>,
    /// What can be read of a broken text is read.
    pub lenient: bool,
}

/// A problem with its position among the sources.
type Ordered = (usize, usize, Problem);

/// A problem in the making.
#[derive(Clone, Debug)]
pub(super) struct Report<'p> {
    at: &'p Place,
    key: &'p str,
    message: String,
    help: Option<String>,
    suggestion: Option<String>,
    hidden: bool,
}

impl<'p> Report<'p> {
    pub fn new(at: &'p Place, key: &'p str, message: impl Into<String>) -> Self {
        Self { at, key, message: message.into(), help: None, suggestion: None, hidden: false }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn suggest(mut self, name: Option<&str>) -> Self {
        self.suggestion = name.map(str::to_owned);
        self
    }

    /// Without the text around the place: a secret stands there.
    pub fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    fn finish(self) -> Ordered {
        let source = &self.at.source;
        let shown = source.text.as_ref().filter(|_| !self.hidden);
        let (line, column) = self.at.line_column();
        let problem = Problem {
            file: source.name.clone(),
            line,
            column,
            key: printable(self.key.to_owned()),
            message: printable(self.message),
            help: self.help.map(printable),
            suggestion: self.suggestion.map(printable),
            span: shown.is_some().then(|| self.at.span.clone()),
            text: shown.map(|lines| lines.text.clone()),
        };
        (source.order, self.at.span.start, problem)
    }
}

impl<'e> Pass<'e> {
    pub fn new(env: &'e BTreeMap<String, String>) -> Self {
        Self {
            env,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            watched: RefCell::default(),
            lenient: false,
        }
    }

    /// One that reads on where a text is broken.
    pub fn lenient(env: &'e BTreeMap<String, String>) -> Self {
        Self { lenient: true, ..Self::new(env) }
    }

    /// A change of this file is a change of the configuration.
    pub fn watch(&self, path: &Path) {
        self.watched.borrow_mut().files.insert(path.to_owned());
    }

    /// So is a file that comes to match.
    pub fn watch_pattern(&self, pattern: &str) {
        self.watched.borrow_mut().patterns.insert(pattern.to_owned());
    }

    /// A variable of the environment; an empty one counts as unset, as everywhere in the XDG rules.
    pub fn env(&self, name: &str) -> Option<&'e str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every variable, for the layer of `MCPDECK_*`.
    pub fn variables(&self) -> impl Iterator<Item = (&'e str, &'e str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn problem(&self, report: Report<'_>) {
        self.problems.borrow_mut().push(report.finish());
    }

    pub fn warning(&self, report: Report<'_>) {
        self.warnings.borrow_mut().push(report.finish());
    }

    /// The problems and the warnings, in file order.
    pub fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (in_order(self.problems.into_inner()), in_order(self.warnings.into_inner()))
    }
}

/// What stands in a file may be told on a terminal, so it must not be able to command it.
fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn in_order(mut found: Vec<Ordered>) -> Vec<Problem> {
    found.sort_by_key(|(source, at, _)| (*source, *at));
    found.into_iter().map(|(_, _, problem)| problem).collect()
}
