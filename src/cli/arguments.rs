//! Arguments of a call: one JSON text, or pairs typed by the tool's schema.

use super::error::Error;
use crate::model::near::nearest;
use serde_json::{Map, Value};

/// What was typed behind the tool's name.
#[derive(Debug, PartialEq)]
pub enum Typed {
    /// JSON text of an object; empty if nothing was typed.
    Json(String),
    /// `key=value`, in order.
    Pairs(Vec<(String, String)>),
}

/// Tells JSON from pairs. `-` reads JSON with `stdin`.
pub fn parse(words: &[String], stdin: impl FnOnce() -> Result<String, Error>) -> Result<Typed, Error> {
    match words {
        [] => Ok(Typed::Json(String::new())),
        [one] if one == "-" => json(&stdin()?),
        [one] if one.trim_start().starts_with('{') => json(one),
        pairs => pairs.iter().map(|word| pair(word)).collect::<Result<_, _>>().map(Typed::Pairs),
    }
}

fn json(text: &str) -> Result<Typed, Error> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Ok(Typed::Json(text.trim().to_owned())),
        Ok(other) => Err(Error::usage(format!("the arguments are {}, not a JSON object", kind_of(&other)))),
        Err(error) => Err(Error::usage(format!("the arguments are no JSON: {error}"))),
    }
}

fn pair(word: &str) -> Result<(String, String), Error> {
    match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::usage(format!("`{word}` is neither key=value nor a JSON object"))
            .help("query=breaker limit=3, or '{\"query\": \"breaker\"}'")),
    }
}

/// The pairs as one object, each value read as the type that `schema` (the tool's `inputSchema`) wants. A key may lead
/// into nested objects: `filter.year=2024`. Without a schema a value is JSON if it reads as such, else text.
pub fn build(pairs: &[(String, String)], schema: &Value) -> Result<Map<String, Value>, Error> {
    let mut arguments = Map::new();
    for (key, text) in pairs {
        let path = path_of(key, schema);
        let wanted = wanted_at(&path, schema)?;
        let value = typed(key, text, wanted)?;
        insert(&mut arguments, &path, value).map_err(|()| Error::usage(format!("`{key}` is given twice")))?;
    }
    Ok(arguments)
}

/// A dot leads into an object unless the schema has the whole key.
fn path_of<'a>(key: &'a str, schema: &Value) -> Vec<&'a str> {
    if property(schema, key).is_some() { vec![key] } else { key.split('.').collect() }
}

fn property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(key)
}

/// The schema of the value at `path`; `Null` where nothing is said.
fn wanted_at<'a>(path: &[&str], schema: &'a Value) -> Result<&'a Value, Error> {
    let mut at = schema;
    for key in path {
        at = match property(at, key) {
            Some(inner) => inner,
            None if at.get("additionalProperties") == Some(&Value::Bool(false)) => return Err(unknown(key, at)),
            None => return Ok(&Value::Null),
        };
    }
    Ok(at)
}

fn unknown(key: &str, schema: &Value) -> Error {
    let names: Vec<&str> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|p| p.keys().map(String::as_str))
        .collect();
    let near = nearest(key, names.iter().copied()).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
    Error::usage(format!("the tool has no argument `{key}`")).help(format!("{near}it takes: {}", names.join(", ")))
}

fn typed(key: &str, text: &str, schema: &Value) -> Result<Value, Error> {
    let types = types_of(schema);
    let as_json = serde_json::from_str::<Value>(text).ok();
    if types.is_empty() {
        return Ok(as_json.unwrap_or_else(|| text.into()));
    }
    if let Some(value) = as_json.filter(|value| types.iter().any(|t| *t != "string" && is_a(value, t))) {
        return Ok(value);
    }
    if types.contains(&"string") {
        return Ok(text.into());
    }
    Err(Error::usage(format!("`{key}` is {}, not `{text}`", types.join(" or "))).help(example(types[0])))
}

/// The JSON types that a schema names, through `anyOf` and `oneOf`; empty if it leaves them open.
fn types_of(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => return vec![one],
        Some(Value::Array(many)) => return many.iter().filter_map(Value::as_str).collect(),
        _ => {}
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return if values.iter().all(Value::is_string) { vec!["string"] } else { Vec::new() };
    }
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    choices.into_iter().flatten().flat_map(types_of).collect()
}

fn is_a(value: &Value, wanted: &str) -> bool {
    match wanted {
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn example(wanted: &str) -> &'static str {
    match wanted {
        "boolean" => "true or false",
        "array" => "an array is JSON: key='[1, 2]'",
        "object" => "an object is JSON, or one pair per part: key.part=value",
        _ => "a number, such as 3",
    }
}

fn insert(object: &mut Map<String, Value>, path: &[&str], value: Value) -> Result<(), ()> {
    match path {
        [] => Err(()),
        [last] => match object.insert((*last).to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(()),
        },
        [first, rest @ ..] => {
            let inner = object.entry(*first).or_insert_with(|| Value::Object(Map::new()));
            insert(inner.as_object_mut().ok_or(())?, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": false, "properties": {
            "query": { "type": "string" }, "limit": { "type": "integer" }, "exact": { "type": "boolean" },
            "weight": { "type": "number" }, "tags": { "type": "array" }, "a.b": { "type": "string" },
            "standard": { "enum": ["ETIM-8", "ETIM-9"] }, "any": {},
            "maybe": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
            "page": { "type": ["integer", "string"] },
            "filter": { "type": "object", "properties": { "year": { "type": "integer" } } }
        }})
    }

    fn pairs(words: &[&str]) -> Vec<(String, String)> {
        words.iter().map(|w| pair(w).unwrap()).collect()
    }

    #[test]
    fn values_take_the_type_of_their_schema() {
        for (word, value) in [
            ("query=42", json!({ "query": "42" })),
            ("query=a=b", json!({ "query": "a=b" })),
            ("limit=42", json!({ "limit": 42 })),
            ("weight=1.5", json!({ "weight": 1.5 })),
            ("exact=true", json!({ "exact": true })),
            ("tags=[1,2]", json!({ "tags": [1, 2] })),
            ("maybe=null", json!({ "maybe": null })),
            ("page=2", json!({ "page": 2 })),
            ("page=last", json!({ "page": "last" })),
            ("standard=ETIM-9", json!({ "standard": "ETIM-9" })),
            ("any=3", json!({ "any": 3 })),
            ("any=word", json!({ "any": "word" })),
            ("a.b=x", json!({ "a.b": "x" })),
            ("filter.year=2024", json!({ "filter": { "year": 2024 } })),
            ("query=", json!({ "query": "" })),
        ] {
            assert_eq!(Value::Object(build(&pairs(&[word]), &schema()).unwrap()), value, "{word}");
        }
    }

    #[test]
    fn what_does_not_fit_is_a_usage_error_that_says_what_does() {
        for (words, message) in [
            (&["limit=many"][..], "`limit` is integer, not `many`"),
            (&["limit=1.5"], "`limit` is integer, not `1.5`"),
            (&["exact=yes"], "`exact` is boolean, not `yes`"),
            (&["tags=a"], "`tags` is array, not `a`"),
            (&["qery=x"], "the tool has no argument `qery`"),
            (&["query=a", "query=b"], "`query` is given twice"),
        ] {
            let error = build(&pairs(words), &schema()).unwrap_err();
            assert_eq!((error.code as u8, &*error.message), (2, message));
        }
        let help = build(&pairs(&["qery=x"]), &schema()).unwrap_err().help.unwrap();
        assert!(help.starts_with("did you mean `query`?"), "{help}");
    }

    #[test]
    fn json_and_pairs_are_told_apart() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            super::parse(&words, || Ok(" {\"from\": \"stdin\"}\n".to_owned()))
        };
        assert_eq!(parse(&[]).unwrap(), Typed::Json(String::new()));
        assert_eq!(parse(&["{\"a\": 1}"]).unwrap(), Typed::Json("{\"a\": 1}".into()));
        assert_eq!(parse(&["-"]).unwrap(), Typed::Json("{\"from\": \"stdin\"}".into()));
        assert_eq!(parse(&["a=1", "b={}"]).unwrap(), Typed::Pairs(pairs(&["a=1", "b={}"])));
        for bad in [&["{"][..], &["word"], &["=x"], &["{\"a\":1}", "b=2"]] {
            assert_eq!(parse(bad).unwrap_err().code as u8, 2, "{bad:?}");
        }
    }
}
