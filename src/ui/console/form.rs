//! A schema's fields over the JSON buffer: what each holds, what is wrong with it, and how an edit changes the buffer.
//! The buffer is the truth; the form is derived from it after each change.

use super::alternatives::Alternative;
use super::json::{self, JsonError, Kind, Node, Step, edit};
use super::schema::{Schema, Shape, bare};
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use std::collections::HashSet;

/// Deeper groups are edited as text.
const MAX_DEPTH: usize = 12;
/// More rows than this are not built; the raw editor has them.
const MAX_FIELDS: usize = 2_000;
/// An error's text is cut here, in characters.
const MAX_ERROR: usize = 160;

/// The form of one request.
pub struct Form {
    schema: Schema,
    validator: Option<Validator>,
    fields: Vec<Field>,
    closed: HashSet<Vec<Step>>,
    /// What is wrong but belongs to no field; why the schema cannot be checked.
    pub problems: Vec<String>,
    /// Set while the buffer is no JSON: the fields then show the last good state and cannot be changed.
    pub frozen: Option<JsonError>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub path: Vec<Step>,
    /// Steps below the top.
    pub depth: usize,
    pub label: String,
    pub kind: FieldKind,
    pub required: bool,
    /// What the buffer holds, as it is edited: strings without quotes, the rest as JSON text. `None`: not set.
    pub value: Option<String>,
    pub hint: String,
    pub description: String,
    /// As it would be edited.
    pub default: Option<String>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A nested object.
    Group {
        open: bool,
    },
    /// An array and how many elements it has.
    List {
        open: bool,
        len: usize,
    },
    /// The row below a list's elements; `seed` is the JSON text of a new one.
    Add {
        seed: String,
    },
    /// True: not shown in clear.
    Text {
        hidden: bool,
    },
    Integer,
    Number,
    Bool,
    /// JSON texts.
    Choice(Vec<String>),
    Const(String),
    /// Which of several forms the value has; the form's own rows stand below.
    OneOf {
        alternatives: Vec<Alternative>,
        chosen: Option<usize>,
    },
    /// Edited as JSON text.
    Json,
}

impl Field {
    /// True for what is typed (rather than toggled, picked or opened).
    pub fn is_typed(&self) -> bool {
        matches!(self.kind, FieldKind::Text { .. } | FieldKind::Integer | FieldKind::Number | FieldKind::Json)
    }
}

impl Form {
    /// The form of a schema's text. A schema that is no JSON, or that cannot be checked, still gives a form, which says so.
    pub fn new(schema: &str) -> Self {
        let mut problems = Vec::new();
        let (schema, validator) = match Schema::parse(schema) {
            Ok(read) => {
                let asks = !matches!(read.text().trim(), "" | "{}");
                let compiled = asks.then(|| compile(read.text())).transpose();
                let validator = compiled.map_err(|why| problems.push(format!("not checked: {why}"))).ok().flatten();
                (read, validator)
            }
            Err(error) => {
                problems.push(format!("the tool's schema is no JSON: {error}"));
                (empty(), None)
            }
        };
        Self { schema, validator, fields: Vec::new(), closed: HashSet::new(), problems, frozen: None }
    }

    /// A buffer to begin with.
    pub fn initial(&self) -> String {
        self.schema.initial()
    }

    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Fields with an error, and other problems.
    pub fn error_count(&self) -> usize {
        self.fields.iter().filter(|f| f.error.is_some()).count()
            + self.problems.len()
            + usize::from(self.frozen.is_some())
    }

    /// Derives the fields from the buffer. While it is no JSON the fields stay as they were.
    pub fn read(&mut self, buffer: &str) {
        let text = if buffer.trim().is_empty() { "{}" } else { buffer };
        let root = match json::parse(text) {
            Ok(root) => root,
            Err(error) => {
                self.frozen = Some(error);
                return;
            }
        };
        self.frozen = None;
        let mut rows = Rows { schema: &self.schema, text, closed: &self.closed, out: Vec::new() };
        rows.top(&root);
        self.fields = rows.out;
        self.problems.retain(|p| p.starts_with("not checked") || p.starts_with("the tool's schema"));
        self.check(text);
    }

    /// The buffer after `field` was given `typed`. An emptied optional field is taken out.
    pub fn typed(&self, buffer: &str, field: &Field, typed: &str) -> Result<String, JsonError> {
        if typed.is_empty() && !(field.required && matches!(field.kind, FieldKind::Text { .. })) && !is_element(field) {
            return edit::remove(buffer, &field.path);
        }
        edit::set(buffer, &field.path, &encode(&field.kind, typed))
    }

    /// The buffer with `field` set to a JSON text.
    pub fn put(&self, buffer: &str, field: &Field, value: &str) -> Result<String, JsonError> {
        edit::set(buffer, &field.path, value)
    }

    /// The buffer with `field` in another of its forms; what both have stays.
    pub fn choose_form(&self, buffer: &str, field: &Field, form: usize) -> Result<String, JsonError> {
        let FieldKind::OneOf { alternatives, .. } = &field.kind else { return Ok(buffer.to_owned()) };
        let Some(alternative) = alternatives.get(form) else { return Ok(buffer.to_owned()) };
        let root = json::parse(buffer).ok();
        let earlier = root.as_ref().and_then(|root| root.at(&field.path)).map(|node| node.source(buffer));
        edit::set(buffer, &field.path, &alternative.value_from(earlier))
    }

    /// The buffer without `field`.
    pub fn unset(&self, buffer: &str, field: &Field) -> Result<String, JsonError> {
        match field.kind {
            FieldKind::Add { .. } => Ok(buffer.to_owned()),
            _ => edit::remove(buffer, &field.path),
        }
    }

    /// `enter` on a row that is not typed: toggles, opens, adds. `None`: it wants a picker or an editor.
    pub fn press(&mut self, buffer: &str, field: &Field) -> Option<Result<String, JsonError>> {
        match &field.kind {
            FieldKind::Bool => {
                let on = field.value.as_deref().or(field.default.as_deref()) == Some("true");
                Some(edit::set(buffer, &field.path, if on { "false" } else { "true" }))
            }
            FieldKind::Const(only) => Some(edit::set(buffer, &field.path, only)),
            FieldKind::Add { seed } => Some(edit::set(buffer, &field.path, seed)),
            FieldKind::Group { .. } if field.value.is_none() => {
                Some(edit::set(buffer, &field.path, &self.seed(field, "{}")))
            }
            FieldKind::List { .. } if field.value.is_none() => Some(edit::set(buffer, &field.path, "[]")),
            FieldKind::Group { .. } | FieldKind::List { .. } => {
                self.fold(field);
                Some(Ok(buffer.to_owned()))
            }
            _ => None,
        }
    }

    /// Closes an open group and opens a closed one.
    pub fn fold(&mut self, field: &Field) {
        if !self.closed.remove(&field.path) {
            self.closed.insert(field.path.clone());
        }
    }

    fn seed(&self, field: &Field, otherwise: &str) -> String {
        field.default.clone().unwrap_or_else(|| otherwise.to_owned())
    }

    fn check(&mut self, text: &str) {
        let Some(validator) = &self.validator else { return };
        let value = match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) => value,
            Err(error) => return self.problems.push(format!("not checked: {error}")),
        };
        for error in validator.iter_errors(&value).take(100) {
            let (path, text) = located(&error);
            match place(&self.fields, &path) {
                Some(at) => {
                    self.fields[at].error.get_or_insert(text);
                }
                None => self.problems.push(text),
            }
        }
    }
}

fn empty() -> Schema {
    Schema::parse("{}").unwrap_or_else(|_| unreachable!("`{{}}` is JSON"))
}

/// Never fetches a reference; a pattern cannot run away.
fn compile(schema: &str) -> Result<Validator, String> {
    let value: serde_json::Value = serde_json::from_str(schema).map_err(|e| e.to_string())?;
    jsonschema::options()
        .should_validate_formats(true)
        .with_pattern_options(jsonschema::PatternOptions::fancy_regex().backtrack_limit(100_000))
        .build(&value)
        .map_err(|e| cut(&e.to_string()))
}

fn located(error: &jsonschema::ValidationError<'_>) -> (Vec<Step>, String) {
    let mut path: Vec<Step> = error
        .instance_path()
        .segments()
        .map(|segment| match segment {
            LocationSegment::Property(name) => Step::Key(name.into_owned()),
            LocationSegment::Index(at) => Step::Index(at),
        })
        .collect();
    let text = match error.kind() {
        ValidationErrorKind::Required { property } => {
            path.push(Step::Key(property.as_str().unwrap_or_default().to_owned()));
            "required".to_owned()
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names = unexpected.join(", ");
            if let Some(first) = unexpected.first() {
                path.push(Step::Key(first.clone()));
            }
            format!("not allowed here: {names}")
        }
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            "fits none of the allowed forms".to_owned()
        }
        _ => cut(&error.to_string()),
    };
    (path, text)
}

/// The field at `path`, or the nearest one above it.
fn place(fields: &[Field], path: &[Step]) -> Option<usize> {
    let not_add = |f: &Field| !matches!(f.kind, FieldKind::Add { .. });
    (1..=path.len()).rev().find_map(|len| fields.iter().position(|f| f.path == path[..len] && not_add(f)))
}

fn cut(text: &str) -> String {
    let mut out: String = text.chars().take(MAX_ERROR).collect();
    if out.len() < text.len() {
        out.push_str("...");
    }
    out
}

fn is_element(field: &Field) -> bool {
    matches!(field.path.last(), Some(Step::Index(_)))
}

/// What was typed as JSON. A number that is none goes in as a string: nothing typed is lost, and the check says so.
fn encode(kind: &FieldKind, typed: &str) -> String {
    let is_json = |kinds: &[Kind]| json::parse(typed).is_ok_and(|n| kinds.is_empty() || kinds.contains(&n.kind));
    let literal = match kind {
        FieldKind::Integer | FieldKind::Number => is_json(&[Kind::Number]),
        FieldKind::Text { .. } => false,
        _ => is_json(&[]),
    };
    if literal { typed.trim().to_owned() } else { json::quote(typed) }
}

/// Builds the rows.
struct Rows<'a> {
    schema: &'a Schema,
    text: &'a str,
    closed: &'a HashSet<Vec<Step>>,
    out: Vec<Field>,
}

impl Rows<'_> {
    /// Everything; where the whole has several forms, which it is stands first.
    fn top(&mut self, root: &Node) {
        let schema = self.schema.root();
        if let Shape::OneOf(forms) = self.schema.value(schema).shape {
            let kind = self.one_of(schema, &forms, Some(root));
            let value = self.shown(&kind, root);
            self.push_plain("form", kind, Some(value), &self.schema.value(schema).hint, &[]);
        }
        self.members(schema, Some(root), &mut Vec::new());
    }

    fn one_of(&self, schema: &Node, forms: &[&Node], node: Option<&Node>) -> FieldKind {
        let chosen = node.and_then(|node| self.schema.chosen(forms, node, self.text));
        FieldKind::OneOf {
            alternatives: forms.iter().map(|form| self.schema.alternative(schema, form)).collect(),
            chosen,
        }
    }

    /// The members of an object: first those of the schema, then whatever else the buffer holds.
    fn members(&mut self, schema: &Node, node: Option<&Node>, path: &mut Vec<Step>) {
        let properties = self.schema.members(schema, node, self.text);
        for property in &properties {
            let found = node.and_then(|n| n.get(&property.name));
            path.push(Step::Key(property.name.clone()));
            self.field(&property.name, property.required, property.schema, found, path);
            path.pop();
        }
        let mut seen = HashSet::new();
        for child in node.filter(|n| n.kind == Kind::Object).map(|n| n.children.as_slice()).unwrap_or_default() {
            if !properties.iter().any(|p| p.name == child.key) && seen.insert(child.key.as_str()) {
                path.push(Step::Key(child.key.clone()));
                self.unknown(&child.key, &child.node, path);
                path.pop();
            }
        }
    }

    fn field(&mut self, label: &str, required: bool, schema: &Node, node: Option<&Node>, path: &mut Vec<Step>) {
        if self.out.len() >= MAX_FIELDS {
            return;
        }
        let value = self.schema.value(schema);
        let open = !self.closed.contains(path);
        let fits = |kind: Kind| node.is_none_or(|n| n.kind == kind);
        let kind = match value.shape {
            Shape::Object(_) if path.len() <= MAX_DEPTH && fits(Kind::Object) => FieldKind::Group { open },
            Shape::Array(_) if path.len() <= MAX_DEPTH && fits(Kind::Array) => {
                FieldKind::List { open, len: node.map_or(0, |n| n.children.len()) }
            }
            Shape::Object(_) | Shape::Array(_) | Shape::Json => FieldKind::Json,
            Shape::Text(hidden) => FieldKind::Text { hidden },
            Shape::Integer => FieldKind::Integer,
            Shape::Number => FieldKind::Number,
            Shape::Bool => FieldKind::Bool,
            Shape::Choice(choices) => FieldKind::Choice(choices),
            Shape::Const(only) => FieldKind::Const(only),
            Shape::OneOf(ref forms) if path.len() <= MAX_DEPTH => self.one_of(schema, forms, node),
            Shape::OneOf(_) => FieldKind::Json,
        };
        let below = (kind.clone(), open && (node.is_some() || required));
        self.out.push(Field {
            depth: path.len().saturating_sub(1),
            path: path.clone(),
            label: label.to_owned(),
            value: node.map(|n| self.shown(&kind, n)),
            kind,
            required,
            hint: value.hint,
            description: value.description,
            default: value.default.map(|d| bare(&d)),
            error: None,
        });
        match below {
            (FieldKind::Group { .. }, true) => self.members(schema, node, path),
            (FieldKind::List { len, .. }, true) => self.elements(schema, node, len, path),
            (FieldKind::OneOf { chosen: Some(chosen), .. }, true) => self.chosen_form(schema, node, chosen, path),
            _ => {}
        }
    }

    /// The rows of the form that a value has: its members, or the value itself.
    fn chosen_form(&mut self, schema: &Node, node: Option<&Node>, chosen: usize, path: &mut Vec<Step>) {
        let Shape::OneOf(forms) = self.schema.value(schema).shape else { return };
        let Some(form) = forms.get(chosen) else { return };
        if matches!(self.schema.value(form).shape, Shape::Object(_)) {
            return self.members(schema, node, path);
        }
        let at = self.out.len();
        self.field("value", false, form, node, path);
        for row in &mut self.out[at..] {
            row.depth += 1;
        }
    }

    fn elements(&mut self, schema: &Node, node: Option<&Node>, len: usize, path: &mut Vec<Step>) {
        let Shape::Array(items) = self.schema.value(schema).shape else { return };
        for (at, child) in node.map(|n| n.children.as_slice()).unwrap_or_default().iter().enumerate() {
            path.push(Step::Index(at));
            match items {
                Some(items) => self.field(&at.to_string(), false, items, Some(&child.node), path),
                None => self.unknown(&at.to_string(), &child.node, path),
            }
            path.pop();
        }
        path.push(Step::Index(len));
        let seed = items.map_or_else(|| "null".to_owned(), |items| self.schema.seed(items));
        self.push_plain("add", FieldKind::Add { seed }, None, "", path);
        path.pop();
    }

    /// What the buffer holds and the schema does not name.
    fn unknown(&mut self, label: &str, node: &Node, path: &[Step]) {
        let kind = if node.kind == Kind::String { FieldKind::Text { hidden: false } } else { FieldKind::Json };
        let value = self.shown(&kind, node);
        self.push_plain(label, kind, Some(value), "not in the schema", path);
    }

    fn push_plain(&mut self, label: &str, kind: FieldKind, value: Option<String>, hint: &str, path: &[Step]) {
        if self.out.len() < MAX_FIELDS {
            self.out.push(Field {
                depth: path.len().saturating_sub(1),
                path: path.to_vec(),
                label: label.to_owned(),
                kind,
                required: false,
                value,
                hint: hint.to_owned(),
                description: String::new(),
                default: None,
                error: None,
            });
        }
    }

    fn shown(&self, kind: &FieldKind, node: &Node) -> String {
        let source = node.source(self.text);
        match kind {
            FieldKind::Json => json::print::compact(source),
            FieldKind::Group { .. } | FieldKind::List { .. } => String::new(),
            FieldKind::OneOf { alternatives, chosen } => {
                let label = chosen.and_then(|at| alternatives.get(at)).map(|one| one.label.clone());
                label.unwrap_or_else(|| "none of them".to_owned())
            }
            _ => bare(source),
        }
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
