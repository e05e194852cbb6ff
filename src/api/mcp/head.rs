//! What a request's head says: which era its sender is of, and what it takes for an answer. Pure.

use crate::router::{KNOWN_LEGACY, MODERN, Message};
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderName};

pub const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub const PARAM: &str = "mcp-param-";

/// How a request wants to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// One message without a handshake, answered as plain JSON.
    Bare,
    Legacy,
    Modern,
}

/// The era of a request. A modern mark goes before anything else: modern clients send `initialize` or `ping` to find out
/// that there is none, and must not be taken for legacy ones.
pub fn face(headers: &HeaderMap, message: Option<&Message>) -> Face {
    let version = text(headers, &VERSION);
    let modern_version = version.is_some_and(|version| version.starts_with("20") && version >= MODERN);
    // Some send every header of every revision; the one that they name is meant.
    let legacy_version = version.is_some_and(|version| KNOWN_LEGACY.contains(&version));
    let marked = modern_version || headers.contains_key(&METHOD) && !legacy_version;
    if marked || message.is_some_and(|message| message.meta.version.is_some()) {
        return Face::Modern;
    }
    if headers.contains_key(&SESSION) || message.is_some_and(|message| message.method == "initialize") {
        return Face::Legacy;
    }
    Face::Bare
}

/// A header's text; what is no text is none of ours.
pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}").trim())
}

/// The answers that a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts {
    pub json: bool,
    pub events: bool,
}

impl Accepts {
    /// Reads `Accept`. Without one, or by a wildcard, a client takes JSON; a stream it must name.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut accepts = Self { json: !headers.contains_key(ACCEPT), events: false };
        for value in headers.get_all(ACCEPT) {
            for kind in value.to_str().unwrap_or_default().split(',') {
                match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                    "application/json" | "application/*" | "*/*" => accepts.json = true,
                    "text/event-stream" => accepts.events = true,
                    _ => {}
                }
            }
        }
        accepts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn headers(text: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        for line in text.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            map.append(hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn the_era_is_decided_per_request_and_modern_marks_go_first() {
        let modern = r#","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
        for (head, method, params, face) in [
            ("", "tools/list", "", Face::Bare),
            ("mcp-protocol-version: 2025-06-18", "tools/list", "", Face::Bare),
            ("", "initialize", "", Face::Legacy),
            ("mcp-session-id: 1", "tools/list", "", Face::Legacy),
            ("mcp-session-id: 1\nmcp-protocol-version: 2025-11-25", "tools/list", "", Face::Legacy),
            ("mcp-protocol-version: 2026-07-28", "tools/list", "", Face::Modern),
            ("mcp-protocol-version: 2031-01-01", "tools/list", "", Face::Modern),
            ("mcp-method: tools/list", "tools/list", "", Face::Modern),
            ("mcp-method: initialize\nmcp-protocol-version: 2025-11-25", "initialize", "", Face::Legacy),
            ("", "tools/list", modern, Face::Modern),
            ("", "initialize", modern, Face::Modern),
            ("mcp-session-id: 1", "ping", modern, Face::Modern),
            ("mcp-session-id: 1\nmcp-protocol-version: garbage", "ping", "", Face::Legacy),
        ] {
            let body = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#));
            let message = Message::of_client(&body).unwrap();
            assert_eq!(super::face(&headers(head), Some(&message)), face, "{head} {method} {params}");
        }
    }

    #[test]
    fn a_stream_is_sent_to_those_who_name_it() {
        for (head, json, events) in [
            ("", true, false),
            ("accept: */*", true, false),
            ("accept: application/json", true, false),
            ("accept: application/json, text/event-stream", true, true),
            ("accept: application/json;q=0.5\naccept: Text/Event-Stream", true, true),
            ("accept: text/event-stream", false, true),
            ("accept: text/html", false, false),
        ] {
            assert_eq!(Accepts::read(&headers(head)), Accepts { json, events }, "{head}");
        }
    }
}
