//! `oneOf` and `anyOf` of more than one form: which there are, which of them a value is, and how a value becomes another.

use super::json::{self, Kind, Node, Step, edit};
use super::schema::{Property, Schema, Shape, bare};

/// More forms than these are edited as text.
const MOST: usize = 50;

/// One of the forms that a value may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    pub label: String,
    /// JSON text of a first value.
    pub seed: String,
    /// Members of an object of this form that a person fills in.
    keys: Vec<String>,
}

impl Alternative {
    /// A value of this form that keeps what it can of an earlier one.
    pub fn value_from(&self, earlier: Option<&str>) -> String {
        let Some((text, root)) = earlier.and_then(|text| Some((text, json::parse(text).ok()?))) else {
            return self.seed.clone();
        };
        let kept = root.children.iter().filter(|child| root.kind == Kind::Object && self.keys.contains(&child.key));
        kept.fold(self.seed.clone(), |seed, child| {
            let path = [Step::Key(child.key.clone())];
            edit::set(&seed, &path, child.node.source(text)).unwrap_or(seed)
        })
    }
}

impl Schema {
    /// The forms of a schema node; `None` if it has none that a person would choose from.
    pub(super) fn forms<'a>(&'a self, node: &'a Node) -> Option<Vec<&'a Node>> {
        let list = ["oneOf", "anyOf"].iter().find_map(|key| node.get(key))?;
        let null = |form: &&Node| self.word(form, "type").as_deref() == Some("null");
        let forms: Vec<&Node> = list.children.iter().map(|child| &child.node).filter(|form| !null(form)).collect();
        // Forms that say no more than which members must be there are conditions, and checked as such.
        let says = ["type", "properties", "$ref", "const", "enum", "items", "oneOf", "anyOf", "allOf"];
        let chosen = forms.iter().all(|form| says.iter().any(|key| form.get(key).is_some()));
        (chosen && (2..=MOST).contains(&forms.len())).then_some(forms)
    }

    /// `schema`: whose form it is, and what holds for all of them.
    pub(super) fn alternative(&self, schema: &Node, form: &Node) -> Alternative {
        let value = self.value(form);
        let base = self.resolve(schema).map(|node| self.properties(node)).unwrap_or_default();
        let mut keys: Vec<String> = match &value.shape {
            Shape::Object(properties) => {
                properties.iter().filter(|p| !self.is_fixed(p)).map(|p| p.name.clone()).collect()
            }
            _ => Vec::new(),
        };
        keys.extend(base.into_iter().map(|property| property.name));
        Alternative { label: self.label(form, &value.shape, &value.hint), seed: self.seed(form), keys }
    }

    /// Its title, what tells it from the others, or what it is.
    fn label(&self, form: &Node, shape: &Shape, hint: &str) -> String {
        let resolved = self.resolve(form).unwrap_or(form);
        if let Some(title) = self.word(form, "title").or_else(|| self.word(resolved, "title")) {
            return title;
        }
        let Shape::Object(properties) = shape else { return hint.to_owned() };
        let fixed = properties.iter().find_map(|p| match self.value(p.schema).shape {
            Shape::Const(only) => Some(format!("{} {}", p.name, bare(&only))),
            _ => None,
        });
        let names = || properties.iter().take(3).map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
        fixed
            .or_else(|| self.word(form, "$ref").and_then(|path| path.rsplit('/').next().map(str::to_owned)))
            .unwrap_or_else(names)
    }

    fn is_fixed(&self, property: &Property) -> bool {
        matches!(self.value(property.schema).shape, Shape::Const(_))
    }

    /// What is said of an object's members: of several forms, what holds for all of them and for the one that it has.
    pub(super) fn members<'a>(&'a self, schema: &'a Node, value: Option<&Node>, text: &str) -> Vec<Property<'a>> {
        let forms = match self.value(schema).shape {
            Shape::Object(properties) => return properties,
            Shape::OneOf(forms) => forms,
            _ => return Vec::new(),
        };
        let mut found = self.resolve(schema).map(|node| self.properties(node)).unwrap_or_default();
        let chosen = value.and_then(|value| forms.get(self.chosen(&forms, value, text)?));
        if let Some(Shape::Object(own)) = chosen.map(|form| self.value(form).shape) {
            for property in own {
                match found.iter_mut().find(|known| known.name == property.name) {
                    // What the form says is closer.
                    Some(known) => *known = Property { required: known.required || property.required, ..property },
                    None => found.push(property),
                }
            }
        }
        found
    }

    /// The form that a value looks most like.
    pub(super) fn chosen(&self, forms: &[&Node], value: &Node, text: &str) -> Option<usize> {
        let scores = forms.iter().enumerate().filter_map(|(at, form)| Some((self.likeness(form, value, text)?, at)));
        scores.max_by_key(|(score, at)| (*score, std::cmp::Reverse(*at))).map(|(_, at)| at)
    }

    /// How much a value looks like a form; `None` if it cannot be one.
    fn likeness(&self, form: &Node, value: &Node, text: &str) -> Option<i64> {
        let source = value.source(text);
        let is = |kind: Kind| (value.kind == kind).then_some(1);
        match self.value(form).shape {
            Shape::Object(properties) if value.kind == Kind::Object => {
                let known =
                    properties.iter().map(|property| self.member(property, value, text)).sum::<Option<i64>>()?;
                let strange = |key: &str| !properties.iter().any(|property| property.name == key);
                let strangers = value.children.iter().filter(|child| strange(&child.key)).count();
                Some(known - i64::try_from(strangers).unwrap_or(i64::MAX))
            }
            Shape::Object(_) => None,
            Shape::Array(_) => is(Kind::Array),
            Shape::Text(_) => is(Kind::String),
            Shape::Integer => is(Kind::Number).filter(|_| !source.contains(['.', 'e', 'E'])).map(|n| n + 1),
            Shape::Number => is(Kind::Number),
            Shape::Bool => is(Kind::Bool),
            Shape::Choice(choices) => choices.iter().any(|choice| same(choice, source)).then_some(2),
            Shape::Const(only) => same(&only, source).then_some(3),
            Shape::OneOf(_) | Shape::Json => Some(0),
        }
    }

    fn member(&self, property: &Property, value: &Node, text: &str) -> Option<i64> {
        let found = value.get(&property.name);
        match (found, self.value(property.schema).shape) {
            (Some(found), Shape::Const(only)) => same(&only, found.source(text)).then_some(4),
            (Some(_), _) => Some(2),
            (None, _) if property.required => Some(-1),
            (None, _) => Some(0),
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    json::print::compact(a) == json::print::compact(b)
}
