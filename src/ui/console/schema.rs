//! What a JSON Schema says about one value, as far as a form needs it. Reads the schema's text, so that properties keep
//! the order their author gave them. Whatever it cannot show as fields is `Shape::Json` and edited as text.

use super::json::{self, JsonError, Kind, Node, Step};

/// `$ref` chains longer than this (or in a circle) are edited as text.
const MAX_REFS: usize = 16;

/// A schema's text, read.
#[derive(Debug)]
pub struct Schema {
    text: String,
    root: Node,
}

/// One value as a form shows it.
#[derive(Clone, Debug)]
pub struct Value<'a> {
    pub shape: Shape<'a>,
    /// Type and bounds in a few words: `integer 1..100`.
    pub hint: String,
    pub description: String,
    /// JSON text.
    pub default: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Shape<'a> {
    Object(Vec<Property<'a>>),
    /// What the elements are; `None`: anything.
    Array(Option<&'a Node>),
    /// True if it must not be shown (`format: password`, `writeOnly`).
    Text(bool),
    Integer,
    Number,
    Bool,
    /// JSON texts to choose from.
    Choice(Vec<String>),
    /// The one JSON text allowed.
    Const(String),
    /// One of several forms.
    OneOf(Vec<&'a Node>),
    Json,
}

#[derive(Clone, Debug)]
pub struct Property<'a> {
    pub name: String,
    pub schema: &'a Node,
    pub required: bool,
}

impl Schema {
    /// Reads the text; an empty one allows anything.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        Ok(Self { root: json::parse(text)?, text: text.to_owned() })
    }

    pub fn root(&self) -> &Node {
        &self.root
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads one schema.
    pub fn value<'a>(&'a self, node: &'a Node) -> Value<'a> {
        let described = node;
        let Some(node) = self.resolve(node) else {
            return Value {
                shape: Shape::Json,
                hint: "JSON".to_owned(),
                description: self.word(described, "description").unwrap_or_default(),
                default: None,
            };
        };
        let (shape, hint) = self.shape(node);
        let from = |key: &str| described.get(key).or_else(|| node.get(key));
        Value {
            shape,
            hint,
            description: from("description")
                .or_else(|| from("title"))
                .and_then(|n| n.string(&self.text))
                .unwrap_or_default(),
            default: from("default").map(|n| n.source(&self.text).to_owned()),
        }
    }

    /// Follows local references, a lone `allOf`, and "this or null".
    pub(super) fn resolve<'a>(&'a self, mut node: &'a Node) -> Option<&'a Node> {
        for _ in 0..MAX_REFS {
            if let Some(reference) = self.word(node, "$ref") {
                node = self.lookup(&reference)?;
            } else if let Some(only) = self.only_form(node) {
                node = only;
            } else {
                return Some(node);
            }
        }
        None
    }

    fn only_form<'a>(&'a self, node: &'a Node) -> Option<&'a Node> {
        if node.get("properties").is_some() || node.get("type").is_some() {
            return None;
        }
        let list = ["allOf", "anyOf", "oneOf"].iter().find_map(|k| node.get(k))?;
        let mut forms =
            list.children.iter().map(|c| &c.node).filter(|n| self.word(n, "type").as_deref() != Some("null"));
        let first = forms.next()?;
        forms.next().is_none().then_some(first)
    }

    fn lookup(&self, reference: &str) -> Option<&Node> {
        let pointer = reference.strip_prefix('#')?;
        pointer.split('/').skip(1).try_fold(&self.root, |node, part| {
            let name = part.replace("~1", "/").replace("~0", "~");
            match node.kind {
                Kind::Array => node.step(&Step::Index(name.parse().ok()?)),
                _ => node.get(&name),
            }
        })
    }

    fn shape<'a>(&'a self, node: &'a Node) -> (Shape<'a>, String) {
        if let Some(only) = node.get("const") {
            let only = only.source(&self.text).to_owned();
            return (Shape::Const(only.clone()), format!("always {}", bare(&only)));
        }
        if let Some(choices) = self.choices(node) {
            let shown: Vec<_> = choices.iter().map(|c| bare(c)).collect();
            return (Shape::Choice(choices), format!("one of {}", shown.join(", ")));
        }
        if let Some(forms) = self.forms(node) {
            let hint = format!("one of {} forms", forms.len());
            return (Shape::OneOf(forms), hint);
        }
        let types = self.types(node);
        match types.as_slice() {
            [one] => self.typed(node, one),
            [] => self.untyped(node),
            many => (Shape::Json, many.join(" or ")),
        }
    }

    fn untyped<'a>(&'a self, node: &'a Node) -> (Shape<'a>, String) {
        if ["anyOf", "oneOf"].iter().any(|k| node.get(k).is_some()) {
            return (Shape::Json, "JSON".to_owned());
        }
        if node.get("properties").is_some() || node.get("allOf").is_some() {
            return self.typed(node, "object");
        }
        if node.get("items").is_some() {
            return self.typed(node, "array");
        }
        (Shape::Json, "any JSON".to_owned())
    }

    fn typed<'a>(&'a self, node: &'a Node, name: &str) -> (Shape<'a>, String) {
        match name {
            "object" => {
                let properties = self.properties(node);
                let hint = if properties.is_empty() { "object, any keys" } else { "object" };
                (if properties.is_empty() { Shape::Json } else { Shape::Object(properties) }, hint.to_owned())
            }
            "array" => {
                let items = node.get("items").filter(|n| n.kind == Kind::Object);
                let of = items.map(|n| self.value(n).hint).filter(|h| h != "any JSON").map(|h| format!(" of {h}"));
                let hint = format!("list{}{}", of.unwrap_or_default(), self.bounds(node, "minItems", "maxItems"));
                (Shape::Array(items), hint)
            }
            "string" => {
                let format = self.word(node, "format");
                let hidden = format.as_deref() == Some("password") || self.literal(node, "writeOnly") == Some("true");
                let named = format.map(|f| format!(" {f}")).unwrap_or_default();
                let pattern = self.word(node, "pattern").map(|p| format!(" /{p}/")).unwrap_or_default();
                let length = self.bounds(node, "minLength", "maxLength");
                let length = if length.is_empty() { length } else { format!("{length} characters") };
                (Shape::Text(hidden), format!("string{named}{length}{pattern}"))
            }
            "integer" => (Shape::Integer, format!("integer{}", self.range(node))),
            "number" => (Shape::Number, format!("number{}", self.range(node))),
            "boolean" => (Shape::Bool, "true or false".to_owned()),
            other => (Shape::Json, other.to_owned()),
        }
    }

    /// Its own properties and those of its `allOf`.
    pub(super) fn properties<'a>(&'a self, node: &'a Node) -> Vec<Property<'a>> {
        let parts = node.get("allOf").map(|n| n.children.as_slice()).unwrap_or_default();
        let parts = parts.iter().filter_map(|c| self.resolve(&c.node));
        let mut found: Vec<Property<'a>> = Vec::new();
        for part in std::iter::once(node).chain(parts) {
            let required: Vec<String> = part.get("required").map(|n| self.strings(n)).unwrap_or_default();
            for child in part.get("properties").map(|n| n.children.as_slice()).unwrap_or_default() {
                if !found.iter().any(|p| p.name == child.key) {
                    found.push(Property { name: child.key.clone(), schema: &child.node, required: false });
                }
            }
            for property in &mut found {
                property.required |= required.contains(&property.name);
            }
        }
        found
    }

    fn choices(&self, node: &Node) -> Option<Vec<String>> {
        let texts = |list: &Node| list.children.iter().map(|c| c.node.source(&self.text).to_owned()).collect();
        if let Some(list) = node.get("enum") {
            return Some(texts(list));
        }
        let forms = ["anyOf", "oneOf"].iter().find_map(|k| node.get(k))?;
        forms
            .children
            .iter()
            .map(|c| c.node.get("const").map(|n| n.source(&self.text).to_owned()))
            .collect::<Option<Vec<_>>>()
            .filter(|all| !all.is_empty())
    }

    fn types(&self, node: &Node) -> Vec<String> {
        let Some(found) = node.get("type") else { return Vec::new() };
        let mut names = if found.kind == Kind::Array {
            self.strings(found)
        } else {
            found.string(&self.text).into_iter().collect()
        };
        if names.len() > 1 {
            names.retain(|n| n != "null");
        }
        names
    }

    fn strings(&self, list: &Node) -> Vec<String> {
        list.children.iter().filter_map(|c| c.node.string(&self.text)).collect()
    }

    pub(super) fn word(&self, node: &Node, key: &str) -> Option<String> {
        node.get(key)?.string(&self.text)
    }

    fn literal<'a>(&'a self, node: &Node, key: &str) -> Option<&'a str> {
        node.get(key).filter(|n| !n.kind.is_container()).map(|n| n.source(&self.text))
    }

    fn bounds(&self, node: &Node, low: &str, high: &str) -> String {
        match (self.literal(node, low), self.literal(node, high)) {
            (Some(low), Some(high)) => format!(" {low}..{high}"),
            (Some(low), None) => format!(" {low} or more"),
            (None, Some(high)) => format!(" up to {high}"),
            (None, None) => String::new(),
        }
    }

    fn range(&self, node: &Node) -> String {
        let closed = self.bounds(node, "minimum", "maximum");
        let above = self.literal(node, "exclusiveMinimum").map(|n| format!(" over {n}"));
        let below = self.literal(node, "exclusiveMaximum").map(|n| format!(" under {n}"));
        format!("{closed}{}{}", above.unwrap_or_default(), below.unwrap_or_default())
    }

    /// A first value for a schema: its default, its only choice, or the emptiest of its type.
    pub fn seed(&self, node: &Node) -> String {
        self.seed_at(node, 0)
    }

    fn seed_at(&self, node: &Node, depth: usize) -> String {
        let value = self.value(node);
        if let Some(default) = value.default {
            return default;
        }
        match value.shape {
            Shape::Object(properties) if depth < MAX_REFS => {
                let members: Vec<String> = properties
                    .iter()
                    .filter(|p| p.required)
                    .map(|p| format!("{}: {}", json::quote(&p.name), self.seed_at(p.schema, depth + 1)))
                    .collect();
                if members.is_empty() { "{}".to_owned() } else { format!("{{{}}}", members.join(", ")) }
            }
            Shape::Object(_) => "{}".to_owned(),
            Shape::Array(_) => "[]".to_owned(),
            Shape::Text(_) => "\"\"".to_owned(),
            Shape::Integer | Shape::Number => {
                let low = self.resolve(node).and_then(|n| self.literal(n, "minimum"));
                low.unwrap_or("0").to_owned()
            }
            Shape::Bool => "false".to_owned(),
            Shape::Choice(choices) => choices.into_iter().next().unwrap_or_else(|| "null".to_owned()),
            Shape::Const(only) => only,
            Shape::OneOf(forms) if depth < MAX_REFS => {
                forms.first().map_or_else(|| "null".to_owned(), |form| self.seed_at(form, depth + 1))
            }
            Shape::OneOf(_) => "null".to_owned(),
            Shape::Json if value.hint.starts_with("object") => "{}".to_owned(),
            Shape::Json => "null".to_owned(),
        }
    }

    /// Which of the required members of an object can be filled in without a choice of the operator's.
    pub fn initial(&self) -> String {
        let properties = match self.value(&self.root).shape {
            Shape::Object(properties) => properties,
            Shape::OneOf(_) => self.properties(&self.root),
            _ => Vec::new(),
        };
        if properties.is_empty() {
            return "{}".to_owned();
        }
        let members: Vec<String> = properties
            .iter()
            .filter(|p| p.required)
            .filter_map(|p| {
                let value = self.value(p.schema);
                let known = value.default.is_some()
                    || matches!(value.shape, Shape::Const(_) | Shape::Object(_) | Shape::Array(_));
                known.then(|| format!("{}: {}", json::quote(&p.name), self.seed(p.schema)))
            })
            .collect();
        json::print::pretty(&format!("{{{}}}", members.join(", ")))
    }
}

/// A JSON text without its quotes.
pub fn bare(text: &str) -> String {
    if text.starts_with('"') { json::unquote(text) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_say_type_and_bounds() {
        for (schema, hint) in [
            (r#"{"type":"integer","minimum":1,"maximum":100}"#, "integer 1..100"),
            (r#"{"type":"number","exclusiveMinimum":0}"#, "number over 0"),
            (r#"{"type":"string","format":"date"}"#, "string date"),
            (r#"{"type":"string","maxLength":5}"#, "string up to 5 characters"),
            (r#"{"enum":["ETIM-8","ETIM-9"]}"#, "one of ETIM-8, ETIM-9"),
            (r#"{"oneOf":[{"const":1},{"const":2}]}"#, "one of 1, 2"),
            (r#"{"const":"x"}"#, "always x"),
            (r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#, "string"),
            (r#"{"type":["integer","null"]}"#, "integer"),
            (r#"{"type":["integer","string"]}"#, "integer or string"),
            (r#"{"anyOf":[{"type":"string"},{"type":"integer"}]}"#, "one of 2 forms"),
            (r#"{"type":"array","items":{"type":"string"},"minItems":1}"#, "list of string 1 or more"),
            (r#"{"type":"object"}"#, "object, any keys"),
            (r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"boolean"}}}"##, "true or false"),
            (r##"{"$ref":"#"}"##, "JSON"),
            (r##"{"$ref":"https://example.com/x"}"##, "JSON"),
            ("true", "any JSON"),
        ] {
            let schema = Schema::parse(schema).unwrap();
            assert_eq!(schema.value(schema.root()).hint, hint, "{}", schema.text());
        }
    }

    #[test]
    fn properties_keep_their_order_and_join_all_of() {
        let schema = Schema::parse(
            r##"{"allOf":[{"$ref":"#/$defs/b"},{"required":["z"]}],"properties":{"z":{},"a":{}},"$defs":{"b":{"properties":{"m":{}}}}}"##,
        )
        .unwrap();
        let Shape::Object(found) = schema.value(schema.root()).shape else { panic!("no object") };
        let names: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.required)).collect();
        assert_eq!(names, [("z", true), ("a", false), ("m", false)]);
    }

    #[test]
    fn a_first_buffer_holds_what_needs_no_choice() {
        let schema = Schema::parse(
            r#"{"type":"object","required":["q","n","k"],"properties":{"q":{"type":"string"},"n":{"type":"integer","default":7},"k":{"const":"v"},"o":{"type":"string","default":"x"}}}"#,
        )
        .unwrap();
        assert_eq!(schema.initial(), "{\n  \"n\": 7,\n  \"k\": \"v\"\n}");
    }
}
