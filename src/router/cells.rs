//! The four cells: what a message needs where a client of one era meets an upstream of the other, and what it does not
//! need where they are of the same. Pure.
//!
//! Questions of an upstream (elicitation, sampling, roots) pass where both sides are of one era. Across eras they are
//! refused in words ([`Questions`]); whoever bridges them parks the call here.

use super::Opened;
use super::client::Client;
use super::era::{self, CAPABILITIES_KEY, CLIENT_KEY, LEVEL_KEY, MODERN, VERSION_KEY};
use super::lists::hide_arguments;
use super::outcome::Stop;
use super::wire::{self, Change, Edit, Envelope, ErrorObject};
use crate::model::{Era, Outcome};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// JSON-RPC code of legacy servers for a resource that is not there, and the modern one.
const RESOURCE_NOT_FOUND: i64 = -32002;
const INVALID_PARAMS: i64 = -32602;
/// A modern server needs a capability that the client did not name.
const MISSING_CAPABILITY: i64 = -32021;

/// What becomes of a question that an upstream has for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Questions {
    /// The client gets it in the upstream's own words.
    Passed,
    /// Nobody bridges it: the call fails and says so.
    Refused,
}

/// Where a client meets an upstream.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    pub client: &'a Client,
    /// The upstream's.
    pub era: Era,
}

impl<'a> Cell<'a> {
    pub fn questions(self) -> Questions {
        match (self.client, self.era) {
            (Client::Bare | Client::Person(_), _)
            | (Client::Legacy(_), Era::Legacy)
            | (Client::Modern(_), Era::Modern) => Questions::Passed,
            (Client::Legacy(_), Era::Modern) | (Client::Modern(_), Era::Legacy) => Questions::Refused,
        }
    }

    /// Edits of a request's `_meta`: what the upstream's era asks for, without what only the other knows.
    pub fn meta_edits(self) -> Vec<Edit<'a>> {
        match (self.client, self.era) {
            (Client::Bare, Era::Modern) => era::modern_meta("{}").into(),
            (Client::Person(session), Era::Modern) => era::modern_meta(&session.hello.capabilities).into(),
            (Client::Legacy(session), Era::Modern) => vec![
                Edit::set(VERSION_KEY, wire::quote(MODERN)),
                Edit::set(CLIENT_KEY, &*session.hello.info),
                // Whatever it can answer, it would be asked in words that it does not know.
                Edit::set(CAPABILITIES_KEY, "{}"),
                Edit::set(LEVEL_KEY, wire::quote(session.level().name())),
            ],
            (Client::Modern(_), Era::Legacy) => {
                let keys = [VERSION_KEY, CLIENT_KEY, CAPABILITIES_KEY, LEVEL_KEY];
                keys.into_iter().map(|key| Edit::new(key, Change::Remove)).collect()
            }
            (Client::Bare | Client::Legacy(_) | Client::Person(_), Era::Legacy) | (Client::Modern(_), Era::Modern) => {
                Vec::new()
            }
        }
    }

    /// The result for the client; `None`: as it came.
    pub fn result(self, result: &str, list: &Rewriting<'_>) -> Result<Option<String>, Stop> {
        let mut edits = Vec::new();
        match (self.client, self.era) {
            (Client::Modern(_), Era::Legacy) => edits.extend(completed(list.method)),
            (Client::Legacy(_), Era::Modern) => {
                if self.questions() == Questions::Refused {
                    check_complete(result)?;
                }
                edits.extend(["resultType", "ttlMs", "cacheScope"].map(|key| Edit::new(key, Change::Remove)));
            }
            (Client::Modern(_), Era::Modern) if list.varies && is_cacheable(list.method) => {
                edits.push(Edit::set("cacheScope", "\"private\""));
            }
            _ => {}
        }
        if list.method == "tools/list" && !list.hidden.is_empty() {
            let members = wire::members(result).unwrap_or_default();
            if let Some(tools) = members.iter().find(|m| m.key == "tools") {
                edits.push(Edit::set("tools", hide_arguments(tools.text(result), list.hidden)));
            }
        }
        if edits.is_empty() || !result.starts_with('{') {
            return Ok(None);
        }
        let mut out = String::with_capacity(result.len() + 96);
        match wire::splice(result, &edits, &mut out) {
            Ok(()) => Ok(Some(out)),
            Err(error) => Err(Stop::new(Outcome::Protocol, format!("its result cannot be passed on: {error}"))),
        }
    }

    /// The error for the client; `None`: as it came.
    pub fn error(self, error: &str) -> Option<String> {
        let code = ErrorObject::read(error).code;
        let edit = match (self.client, self.era, code) {
            (Client::Modern(_), Era::Legacy, RESOURCE_NOT_FOUND) => Edit::set("code", INVALID_PARAMS.to_string()),
            (Client::Legacy(_), Era::Modern, MISSING_CAPABILITY) => Edit::set("message", wire::quote(NOT_BRIDGED)),
            _ => return None,
        };
        let mut out = String::with_capacity(error.len() + 64);
        wire::splice(error, &[edit], &mut out).ok().map(|()| out)
    }
}

const NOT_BRIDGED: &str = "this server wants to ask its client something (elicitation, sampling or roots) in words of MCP \
    2026-07-28; a client of an earlier revision cannot be asked through mcpdeck yet";

/// An answer that was put together here, or came from a server of whatever era, in the words of the client's: its error
/// code, if it is an error, and its text.
pub fn of_any_era(client: &Client, body: Bytes) -> (Option<i64>, Bytes) {
    let Some(envelope) = Envelope::read(&body) else { return (None, body) };
    if let Some(error) = envelope.error {
        return (Some(ErrorObject::read(error.get()).code), body);
    }
    let edits = match client {
        Client::Bare | Client::Person(_) => return (None, body),
        Client::Legacy(_) => ["resultType", "ttlMs", "cacheScope"].map(|key| Edit::new(key, Change::Remove)).into(),
        Client::Modern(_) => completed("tools/list"),
    };
    let text = String::from_utf8_lossy(&body);
    let mut out = String::with_capacity(text.len() + 96);
    match wire::splice(&text, &[Edit::new("result", Change::Within(edits))], &mut out) {
        Ok(()) => (None, out.into()),
        Err(_) => (None, body),
    }
}

/// What else changes in a result.
pub struct Rewriting<'a> {
    pub method: &'a str,
    /// Arguments that are injected, and so not shown.
    pub hidden: &'a [(String, String)],
    /// Another tenant may get another result.
    pub varies: bool,
}

fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

/// What a modern result must have and a legacy one has not.
fn completed(method: &str) -> Vec<Edit<'static>> {
    let default = |key: &'static str, json: &'static str| Edit::new(key, Change::Default(Cow::Borrowed(json)));
    let mut edits = vec![default("resultType", "\"complete\"")];
    if is_cacheable(method) {
        edits.extend([default("ttlMs", "0"), default("cacheScope", "\"private\"")]);
    }
    edits
}

fn check_complete(result: &str) -> Result<(), Stop> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind<'a> {
        #[serde(borrow)]
        result_type: Option<Cow<'a, str>>,
    }
    let kind = serde_json::from_str::<Kind<'_>>(result).ok().and_then(|kind| kind.result_type);
    match kind.as_deref() {
        None | Some("complete") => Ok(()),
        Some("input_required") => {
            Err(Stop { told: Some((MISSING_CAPABILITY, NOT_BRIDGED.to_owned())), ..Stop::refused(NOT_BRIDGED) })
        }
        Some(other) => Err(Stop::refused(format!("its result is of type `{other}`, which needs MCP 2026-07-28"))),
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Greeted<'a> {
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    server_info: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta", default)]
    meta: GreetedMeta<'a>,
}

#[derive(Deserialize, Default)]
struct GreetedMeta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/serverInfo")]
    server_info: Option<&'a RawValue>,
}

/// The three parts that both handshakes have, as JSON texts.
struct Parts<'a> {
    capabilities: Cow<'a, str>,
    info: Cow<'a, str>,
    instructions: Option<Cow<'a, str>>,
}

fn parts<'a>(greeting: Option<&'a str>, opened: &'a Opened) -> Parts<'a> {
    let read: Greeted<'_> = greeting.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let text = |raw: &'a RawValue| Cow::Borrowed(raw.get());
    let info = read.server_info.or(read.meta.server_info).map(text);
    let unnamed = || {
        let (name, version) =
            opened.server_info.as_deref().unwrap_or("unknown").split_once(' ').unwrap_or(("unknown", ""));
        Cow::Owned(format!(r#"{{"name":{},"version":{}}}"#, wire::quote(name), wire::quote(version)))
    };
    Parts {
        capabilities: read.capabilities.map_or(Cow::Borrowed(&*opened.capabilities), text),
        info: info.unwrap_or_else(unnamed),
        instructions: read.instructions.filter(|raw| raw.get().starts_with('"')).map(text),
    }
}

/// The result of `initialize` for a client of a revision, made of whatever handshake the upstream gave.
pub fn initialize_result(greeting: Option<&str>, opened: &Opened, version: &str) -> String {
    if let (Era::Legacy, Some(greeting)) = (opened.era, greeting) {
        let mut out = String::with_capacity(greeting.len() + 16);
        if wire::splice(greeting, &[Edit::set("protocolVersion", wire::quote(version))], &mut out).is_ok() {
            return out;
        }
    }
    let Parts { capabilities, info, instructions } = parts(greeting, opened);
    let more = instructions.map(|text| format!(r#","instructions":{text}"#)).unwrap_or_default();
    let version = wire::quote(version);
    format!(r#"{{"protocolVersion":{version},"capabilities":{capabilities},"serverInfo":{info}{more}}}"#)
}

/// The result of `server/discover`, likewise.
pub fn discover_result(greeting: Option<&str>, opened: &Opened) -> String {
    let Parts { capabilities, info, instructions } = parts(greeting, opened);
    let more = instructions.map(|text| format!(r#","instructions":{text}"#)).unwrap_or_default();
    format!(
        r#"{{"resultType":"complete","supportedVersions":["{MODERN}"],"capabilities":{capabilities}{more},"ttlMs":0,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::super::client::{Endpoint, Modern};
    use super::super::session::{Hello, Owner, SessionLimits, Sessions};
    use super::*;
    use crate::model::instance::Transport;

    fn legacy() -> Client {
        let owner = Owner { tenant: "t".into(), principal: "p".into(), endpoint: Endpoint::All };
        let hello = Hello { version: era::LEGACY, capabilities: "{}".into(), info: r#"{"name":"c"}"#.into() };
        let limits = SessionLimits { all: 1, tenant: 1 };
        Client::Legacy(Sessions::default().begin(owner, hello, limits).unwrap())
    }

    fn modern() -> Client {
        Client::Modern(Modern::default())
    }

    #[test]
    fn results_are_told_in_the_clients_era() {
        let list = Rewriting { method: "tools/list", hidden: &[], varies: true };
        for (client, era, result, want) in [
            (Client::Bare, Era::Modern, r#"{"tools":[],"ttlMs":5}"#, r#"{"tools":[],"ttlMs":5}"#),
            (legacy(), Era::Legacy, r#"{"tools":[]}"#, r#"{"tools":[]}"#),
            (
                legacy(),
                Era::Modern,
                r#"{"resultType":"complete","tools":[],"ttlMs":5,"cacheScope":"public"}"#,
                r#"{"tools":[]}"#,
            ),
            (
                modern(),
                Era::Legacy,
                r#"{"tools":[]}"#,
                r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#,
            ),
            (modern(), Era::Modern, r#"{"tools":[],"cacheScope":"public"}"#, r#"{"tools":[],"cacheScope":"private"}"#),
        ] {
            let got = Cell { client: &client, era }.result(result, &list).unwrap();
            assert_eq!(got.as_deref().unwrap_or(result), want);
        }
    }

    #[test]
    fn a_question_across_eras_is_an_error_in_words() {
        let call = Rewriting { method: "tools/call", hidden: &[], varies: false };
        let asks = r#"{"resultType":"input_required","inputRequests":{}}"#;
        let (old, new) = (legacy(), modern());
        let mixed = Cell { client: &old, era: Era::Modern };
        assert!(mixed.result(asks, &call).unwrap_err().error.contains("elicitation"));
        assert_eq!(mixed.questions(), Questions::Refused);
        let straight = Cell { client: &new, era: Era::Modern };
        assert_eq!((straight.result(asks, &call), straight.questions()), (Ok(None), Questions::Passed));
    }

    #[test]
    fn errors_have_the_codes_of_the_clients_era() {
        let client = modern();
        let cell = Cell { client: &client, era: Era::Legacy };
        let missing = r#"{"code":-32002,"message":"no"}"#;
        assert_eq!(cell.error(missing).as_deref(), Some(r#"{"code":-32602,"message":"no"}"#));
        assert_eq!(cell.error(r#"{"code":-32601,"message":"no"}"#), None);
    }

    #[test]
    fn either_handshake_makes_both_answers() {
        let opened = |era| Opened {
            era,
            server_info: Some("etim 2".to_owned()),
            instructions: None,
            capabilities: r#"{"tools":{}}"#.to_owned(),
            transport: Transport::Http,
        };
        let old = r#"{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"e"},"x":1}"#;
        let new = r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"instructions":"be kind",
            "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"e"}}}"#;
        let (was, is) = (opened(Era::Legacy), opened(Era::Modern));
        assert_eq!(initialize_result(Some(old), &was, "2025-06-18"), old.replace("2024-11-05", "2025-06-18"));
        assert_eq!(
            initialize_result(Some(new), &is, "2025-11-25"),
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"e"},"instructions":"be kind"}"#
        );
        for (greeting, opened) in [(Some(old), &was), (Some(new), &is), (None, &is)] {
            let result: serde_json::Value = serde_json::from_str(&discover_result(greeting, opened)).unwrap();
            assert_eq!(result["supportedVersions"], serde_json::json!([MODERN]));
            assert_eq!(result["capabilities"], serde_json::json!({ "tools": {} }));
            let name = if greeting.is_some() { "e" } else { "etim" };
            assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], name);
        }
    }
}
