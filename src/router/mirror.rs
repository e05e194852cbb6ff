//! What modern HTTP repeats of a message in its headers (SEP-2243): values, and the arguments that a tool's schema
//! names with `x-mcp-header`. Pure.

use crate::model::trace::{self, Trace};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

const PREFIX: &str = "mcp-param-";
const TRACE: HeaderName = HeaderName::from_static(trace::KEY);
/// Deepest schema that is looked into.
const MAX_DEPTH: usize = 16;

/// An argument that is repeated in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub header: HeaderName,
    /// Names from `arguments` down.
    pub path: Vec<String>,
}

/// `traceparent` (W3C Trace Context section 3.2).
pub fn trace(trace: Trace) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_str(&trace.text());
    (TRACE, value.unwrap_or(HeaderValue::from_static("")))
}

/// Headers that are computed, never configured or injected.
pub fn is_reserved(name: &HeaderName) -> bool {
    const OURS: [&str; 8] =
        ["host", "content-length", "content-type", "accept", "connection", "transfer-encoding", "upgrade", "te"];
    name.as_str().starts_with("mcp-") || OURS.contains(&name.as_str())
}

/// `text` as it stands in a header: plain where that is unambiguous, else base64.
pub fn header_value(text: &str) -> HeaderValue {
    let visible = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    let padded = text.trim_matches([' ', '\t']).len() != text.len() || text.is_empty();
    let looks_encoded = text.starts_with("=?base64?");
    if visible
        && !padded
        && !looks_encoded
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let encoded = format!("=?base64?{}?=", STANDARD.encode(text));
    HeaderValue::from_str(&encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The mirrored arguments of a tool's input schema (JSON text). `Err`: the schema breaks the rules, so the tool must
/// not be offered over HTTP.
pub fn mirrors(schema: &str) -> Result<Vec<Mirror>, String> {
    if !schema.contains("x-mcp-header") {
        return Ok(Vec::new());
    }
    let schema: Value = serde_json::from_str(schema).map_err(|e| e.to_string())?;
    let mut found = Vec::new();
    collect(&schema, &mut Vec::new(), &mut found)?;
    let mut names: Vec<_> = found.iter().map(|m| m.header.clone()).collect();
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    if names.len() < found.len() {
        return Err("two arguments name the same x-mcp-header".to_owned());
    }
    Ok(found)
}

fn collect(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Mirror>) -> Result<(), String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|_| path.len() < MAX_DEPTH)
    else {
        return Ok(());
    };
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(header) = property.get("x-mcp-header") {
            let plain = matches!(property.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean"));
            let header = header.as_str().filter(|h| !h.is_empty() && plain);
            let header = header.and_then(|h| HeaderName::from_bytes(format!("{PREFIX}{h}").as_bytes()).ok());
            let header = header.ok_or_else(|| format!("x-mcp-header of `{}` is not valid", path.join(".")))?;
            found.push(Mirror { header, path: path.clone() });
        }
        collect(property, path, found)?;
        path.pop();
    }
    Ok(())
}

/// The headers for a message as it is sent (JSON text).
pub fn headers(mirrors: &[Mirror], message: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    if mirrors.is_empty() {
        return Vec::new();
    }
    let message: Value = serde_json::from_slice(message).unwrap_or_default();
    let arguments = &message["params"]["arguments"];
    let value = |mirror: &Mirror| {
        let value = mirror.path.iter().try_fold(arguments, |at, name| at.get(name))?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((mirror.header.clone(), header_value(&text)))
    };
    mirrors.iter().filter_map(value).collect()
}

/// The text that a header stands for; `None` if it is encoded and cannot be decoded.
pub fn text_of(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    match text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

/// Holds what a client repeated in headers against its message (JSON text of the params). The error says what differs.
pub fn check(mirrors: &[Mirror], sent: &[(HeaderName, HeaderValue)], params: &str) -> Result<(), String> {
    if mirrors.is_empty() {
        return Ok(());
    }
    let params: Value = serde_json::from_str(params).unwrap_or_default();
    for mirror in mirrors {
        let told: Vec<_> = sent.iter().filter(|(name, _)| *name == mirror.header).map(|(_, value)| value).collect();
        let value = mirror.path.iter().try_fold(&params["arguments"], |at, name| at.get(name));
        let (header, path) = (&mirror.header, mirror.path.join("."));
        let good = match (value, told.as_slice()) {
            (None | Some(Value::Null | Value::Array(_) | Value::Object(_)), []) => true,
            (Some(value), [told]) => text_of(told).is_some_and(|told| same(value, &told)),
            _ => false,
        };
        if !good {
            return Err(format!("header `{header}` is missing or does not say what argument `{path}` says"));
        }
    }
    Ok(())
}

fn same(value: &Value, told: &str) -> bool {
    match value {
        Value::String(text) => text == told,
        Value::Bool(is) => told == if *is { "true" } else { "false" },
        Value::Number(number) => told.parse::<f64>().is_ok_and(|told| number.as_f64() == Some(told)),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_plain_or_base64() {
        for (text, header) in [
            ("us-west1", "us-west1"),
            ("a b", "a b"),
            (" a", "=?base64?IGE=?="),
            ("", "=?base64??="),
            ("é", "=?base64?w6k=?="),
            ("a\nb", "=?base64?YQpi?="),
            ("=?base64?x", "=?base64?PT9iYXNlNjQ/eA==?="),
        ] {
            assert_eq!(header_value(text).to_str().unwrap(), header);
        }
    }

    #[test]
    fn what_a_client_repeats_must_be_what_it_says() {
        let schema = r#"{"properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "n":{"type":"integer","x-mcp-header":"N"}}}"#;
        let mirrors = mirrors(schema).unwrap();
        let header =
            |name: &'static str, value: &'static str| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let (eu, seven) = (header("mcp-param-region", "eu"), header("mcp-param-n", "7"));
        for (sent, params, good) in [
            (vec![eu.clone(), seven.clone()], r#"{"arguments":{"region":"eu","n":7}}"#, true),
            (vec![eu.clone(), header("mcp-param-n", "7.0")], r#"{"arguments":{"region":"eu","n":7}}"#, true),
            (vec![header("mcp-param-region", "=?base64?w6k=?=")], r#"{"arguments":{"region":"é"}}"#, true),
            (vec![header("mcp-param-region", "=?base64?!?=")], r#"{"arguments":{"region":"é"}}"#, false),
            (vec![], "{}", true),
            (vec![], r#"{"arguments":{"region":null}}"#, true),
            (vec![eu.clone()], "{}", false),
            (vec![], r#"{"arguments":{"region":"eu"}}"#, false),
            (vec![eu.clone(), eu.clone()], r#"{"arguments":{"region":"eu"}}"#, false),
            (vec![header("mcp-param-region", "EU")], r#"{"arguments":{"region":"eu"}}"#, false),
            (vec![eu, seven], r#"{"arguments":{"region":"eu","n":8}}"#, false),
        ] {
            assert_eq!(check(&mirrors, &sent, params).is_ok(), good, "{sent:?} {params}");
        }
    }

    #[test]
    fn arguments_named_by_the_schema_are_mirrored() {
        let schema = r#"{"properties":{"region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}"#;
        let mirrors = mirrors(schema).unwrap();
        let message = br#"{"params":{"arguments":{"region":"eu","deep":{"n":7}}}}"#;
        let sent: Vec<_> = headers(&mirrors, message)
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        assert_eq!(sent, ["mcp-param-n=7", "mcp-param-region=eu"]);
        assert!(headers(&mirrors, br#"{"params":{"arguments":{"region":null}}}"#).is_empty());
    }

    #[test]
    fn schemas_that_break_the_rules_are_told() {
        for schema in [
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"properties":{"a":{"type":"object","x-mcp-header":"a"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"X"},"b":{"type":"string","x-mcp-header":"x"}}}"#,
        ] {
            assert!(mirrors(schema).is_err(), "{schema}");
        }
    }
}
