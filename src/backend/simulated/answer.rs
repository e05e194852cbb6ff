//! What a simulated server says: the two MCP revision families, as far as tools go.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

const MODERN: &str = "2026-07-28";
const LEGACY: &[&str] = &["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const UNSUPPORTED_VERSION: i32 = -32022;

/// One message of a client.
#[derive(Deserialize)]
pub struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    pub method: String,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    name: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
    protocol_version: Option<String>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// JSON text of its id; `None` for a notification.
    pub fn id(&self) -> Option<&'a str> {
        self.id.map(RawValue::get).filter(|id| *id != "null")
    }

    /// The id of the request that this cancels.
    pub fn cancels(&self) -> Option<&'a str> {
        self.params.request_id.filter(|_| self.method == "notifications/cancelled").map(RawValue::get)
    }

    /// The revision it names for itself, as modern requests do.
    fn version(&self) -> Option<String> {
        let meta: serde_json::Value = serde_json::from_str(self.params.meta?.get()).ok()?;
        Some(meta.get(VERSION_KEY)?.as_str()?.to_owned())
    }

    fn result(&self, mut result: serde_json::Value, name: &str) -> String {
        if self.version().is_some() {
            result["resultType"] = "complete".into();
            result["_meta"] = json!({ "io.modelcontextprotocol/serverInfo": info(name) });
        }
        format!("\"result\":{result}")
    }
}

/// `result` or `error` member for anything but a tool call.
pub fn other(request: &Request<'_>, name: &str, tools: &[String], legacy_only: bool) -> String {
    let capabilities = json!({ "tools": {} });
    match (request.method.as_str(), request.version()) {
        (_, Some(version)) if !legacy_only && version != MODERN => error(
            UNSUPPORTED_VERSION,
            &format!("unsupported protocol version {version}"),
            &json!({ "supported": [MODERN], "requested": version }),
        ),
        ("server/discover", Some(_)) if !legacy_only => {
            let result = json!({ "supportedVersions": [MODERN], "capabilities": capabilities,
                "ttlMs": 0, "cacheScope": "private" });
            request.result(result, name)
        }
        ("initialize", None) => {
            let asked = request.params.protocol_version.as_deref();
            let version = LEGACY.iter().find(|v| asked == Some(**v)).unwrap_or(&LEGACY[0]);
            let result = json!({ "protocolVersion": version, "capabilities": capabilities, "serverInfo": info(name) });
            request.result(result, name)
        }
        ("ping", None) => request.result(json!({}), name),
        ("tools/list", version) => {
            let mut result = json!({ "tools": tools.iter().map(|tool| describe(tool)).collect::<Vec<_>>() });
            if version.is_some() {
                result["ttlMs"] = 0.into();
                result["cacheScope"] = "private".into();
            }
            request.result(result, name)
        }
        (method, _) => error(METHOD_NOT_FOUND, &format!("method not found: {method}"), &json!({})),
    }
}

/// Answer of a tool: what it was called with, so that a test sees what arrived.
pub fn tool(request: &Request<'_>, name: &str, tools: &[String]) -> String {
    let Some(tool) = request.params.name.as_ref().filter(|name| tools.contains(name)) else {
        let asked = request.params.name.as_deref().unwrap_or_default();
        return error(INVALID_PARAMS, &format!("unknown tool: {asked}"), &json!({}));
    };
    let arguments = request.params.arguments.map_or("{}", RawValue::get);
    let structured = json!({ "tool": tool, "instance": name,
        "arguments": request.params.arguments, "meta": request.params.meta });
    let text = format!("{tool} of {name}: {arguments}");
    request.result(json!({ "content": [{ "type": "text", "text": text }], "structuredContent": structured }), name)
}

/// Answer of a tool that failed.
pub fn tool_error(request: &Request<'_>, text: &str) -> String {
    request.result(json!({ "content": [{ "type": "text", "text": text }], "isError": true }), "")
}

fn error(code: i32, message: &str, data: &serde_json::Value) -> String {
    format!("\"error\":{}", json!({ "code": code, "message": message, "data": data }))
}

fn info(name: &str) -> serde_json::Value {
    json!({ "name": format!("simulated {name}"), "version": env!("CARGO_PKG_VERSION") })
}

fn describe(tool: &str) -> serde_json::Value {
    json!({ "name": tool, "description": format!("Answers with what {tool} was called with."),
        "inputSchema": { "type": "object", "properties": {
            "text": { "type": "string", "description": "Any text" },
            "count": { "type": "integer", "minimum": 0, "description": "Any number" } } },
        "annotations": { "readOnlyHint": true } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str, legacy_only: bool) -> serde_json::Value {
        let request = Request::parse(line.as_bytes()).unwrap();
        let tools = ["echo".to_owned()];
        let body = match request.method.as_str() {
            "tools/call" => tool(&request, "etim", &tools),
            _ => other(&request, "etim", &tools, legacy_only),
        };
        serde_json::from_str(&format!("{{{body}}}")).unwrap()
    }

    #[test]
    fn both_eras_are_answered_in_their_own_words() {
        let modern = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        let line = |method: &str, params: &str| format!(r#"{{"id":1,"method":"{method}","params":{{{params}}}}}"#);
        let discover = line("server/discover", modern);
        let cases = [
            ("discover", discover.clone(), false, "/result/supportedVersions/0", json!(MODERN)),
            ("discover, legacy only", discover, true, "/error/code", json!(METHOD_NOT_FOUND)),
            (
                "initialize",
                line("initialize", r#""protocolVersion":"2025-06-18""#),
                false,
                "/result/protocolVersion",
                json!("2025-06-18"),
            ),
            (
                "initialize, unknown",
                line("initialize", r#""protocolVersion":"1999""#),
                false,
                "/result/protocolVersion",
                json!("2025-11-25"),
            ),
            ("modern list", line("tools/list", modern), false, "/result/resultType", json!("complete")),
            ("legacy list", line("tools/list", ""), false, "/result/tools/0/name", json!("echo")),
            ("ping", line("ping", ""), false, "/result", json!({})),
            (
                "other version",
                line("tools/list", &modern.replace("2026", "2031")),
                false,
                "/error/data/supported/0",
                json!(MODERN),
            ),
            ("unknown tool", line("tools/call", r#""name":"x""#), false, "/error/code", json!(INVALID_PARAMS)),
            (
                "call",
                line("tools/call", r#""name":"echo","arguments":{"a":[1]}"#),
                false,
                "/result/structuredContent/arguments/a/0",
                json!(1),
            ),
            ("nothing known", line("resources/list", ""), false, "/error/code", json!(METHOD_NOT_FOUND)),
        ];
        for (name, line, legacy_only, pointer, expected) in cases {
            let answer = ask(&line, legacy_only);
            assert_eq!(answer.pointer(pointer), Some(&expected), "{name}: {answer}");
        }
    }

    #[test]
    fn notifications_have_no_id() {
        let cancelled = br#"{"method":"notifications/cancelled","params":{"requestId":"a"}}"#;
        let request = Request::parse(cancelled).unwrap();
        assert_eq!((request.id(), request.cancels()), (None, Some("\"a\"")));
        assert!(Request::parse(b"not json").is_none());
    }
}
