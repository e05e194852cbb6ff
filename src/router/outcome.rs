//! How a call ended, told from an answer; and the JSON-RPC errors of our own. Pure.

use super::upstream::{Answer, Fault};
use super::wire::{self, ErrorObject};
use crate::model::{Outcome, ServerId};
use serde::Deserialize;
use std::borrow::Cow;

/// An error text in a record is cut at so many characters.
const ERROR_CHARS: usize = 200;

/// Codes that mean "your credentials" wherever they stand for an error.
const AUTH_CODES: [i64; 2] = [401, 403];

/// Phrases that mean it. Each is matched on word boundaries, without regard to case.
const AUTH_PHRASES: [&str; 21] = [
    "unauthorized",
    "unauthorised",
    "unauthenticated",
    "not authenticated",
    "authentication failed",
    "authentication required",
    "authorization required",
    "forbidden",
    "permission denied for user",
    "invalid credentials",
    "bad credentials",
    "expired credentials",
    "invalid token",
    "token expired",
    "expired token",
    "token has expired",
    "token is invalid",
    "invalid api key",
    "invalid access token",
    "api key expired",
    "login required",
];

/// Numbers count only beside a word that says that they are a status.
const STATUS_WORDS: [&str; 5] = ["http", "status", "code", "error", "response"];

/// True if an error of this code and text speaks of credentials.
pub fn means_auth(code: i64, text: &str) -> bool {
    AUTH_CODES.contains(&code) || text_means_auth(text)
}

fn text_means_auth(text: &str) -> bool {
    let head = &text[..text.floor_char_boundary(2048)];
    let spaced: String = head.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let text = format!(" {} ", words.join(" "));
    AUTH_PHRASES.iter().any(|phrase| text.contains(&format!(" {phrase} "))) || status_means_auth(&words)
}

fn status_means_auth(words: &[&str]) -> bool {
    let is_status = |word: &&str| STATUS_WORDS.contains(word);
    words.iter().enumerate().filter(|(_, word)| matches!(**word, "401" | "403")).any(|(at, _)| {
        let before = words[at.saturating_sub(2)..at].iter().any(is_status);
        before || at == 0
    })
}

/// Outcome and error text of an answer; `tool`: to a tool call.
pub fn of_answer(tool: bool, answer: &Answer) -> (Outcome, Option<String>) {
    if let Some(error) = answer.error() {
        let error = ErrorObject::read(error);
        let auth = means_auth(error.code, &error.message);
        let text = first_line(&format!("{} ({})", error.message, error.code));
        return (if auth { Outcome::Auth } else { Outcome::Protocol }, Some(text));
    }
    match answer.result() {
        Some(result) if tool => of_tool(result),
        Some(_) => (Outcome::Ok, None),
        None => (Outcome::Protocol, Some("the answer has neither result nor error".to_owned())),
    }
}

fn of_tool(result: &str) -> (Outcome, Option<String>) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Result {
        is_error: Option<bool>,
    }
    #[derive(Deserialize)]
    struct Contents<'a> {
        #[serde(borrow, default)]
        content: Vec<Content<'a>>,
    }
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        text: Option<Cow<'a, str>>,
    }
    // JSON has one way to write it, and most results have it nowhere.
    let failed =
        result.contains("true") && serde_json::from_str::<Result>(result).is_ok_and(|r| r.is_error == Some(true));
    if !failed {
        return (Outcome::Ok, None);
    }
    let contents = serde_json::from_str::<Contents<'_>>(result).map(|c| c.content).unwrap_or_default();
    let text = contents.into_iter().find_map(|c| c.text).unwrap_or(Cow::Borrowed("the tool answered isError"));
    let outcome = if text_means_auth(&text) { Outcome::Auth } else { Outcome::Tool };
    (outcome, Some(first_line(&text)))
}

/// First line with anything in it, cut.
pub fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(ERROR_CHARS).collect()
}

/// A call that ended without an upstream's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub outcome: Outcome,
    /// For the record and for operators.
    pub error: String,
    /// For the caller, if it is told something else.
    pub told: Option<(i64, String)>,
    /// The error has addresses of the platform in it, or what a server said to nobody in particular.
    pub inside: bool,
}

impl Stop {
    pub fn new(outcome: Outcome, error: impl Into<String>) -> Self {
        Self { outcome, error: error.into(), told: None, inside: false }
    }

    pub fn refused(error: impl Into<String>) -> Self {
        Self::new(Outcome::Refused, error)
    }

    /// What a customer is told of a server that it shares with others: no more than it takes to ask its operators.
    pub fn for_one_of_many(self, server: &ServerId) -> Self {
        if !self.inside || self.told.is_some() {
            return self;
        }
        let what = match self.outcome {
            Outcome::Auth => "refuses the platform's credentials",
            Outcome::Refused => "has failed",
            Outcome::Protocol => "did not answer as MCP has it",
            _ => "cannot be reached",
        };
        let told = format!("{server} {what}; its operators see why");
        Self { told: Some((code(self.outcome), told)), ..self }
    }

    /// The one place where an end of ours becomes a JSON-RPC body; `id` is the caller's, as JSON text.
    pub fn body(&self, id: &str) -> String {
        match &self.told {
            Some((code, text)) => wire::error_body(id, *code, text),
            None => wire::error_body(id, code(self.outcome), &self.error),
        }
    }

    /// The words that the caller is told.
    pub fn told_text(self) -> String {
        self.told.map_or(self.error, |(_, text)| text)
    }

    /// The JSON-RPC code that the caller is told.
    pub fn code(&self) -> i64 {
        self.told.as_ref().map_or_else(|| code(self.outcome), |(code, _)| *code)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        let inside = !matches!(fault, Fault::TooLong(_));
        let outcome = match &fault {
            Fault::Closed(_) | Fault::Unreachable(_) | Fault::Transport(_) => Outcome::Transport,
            Fault::Auth(_) => Outcome::Auth,
            Fault::Protocol(_) | Fault::TooLong(_) => Outcome::Protocol,
        };
        Self { inside, ..Self::new(outcome, fault.to_string()) }
    }
}

/// Codes of our own: outside the range that JSON-RPC and MCP keep for themselves, the last digits after HTTP.
fn code(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Ok | Outcome::Tool | Outcome::Protocol => -31400,
        Outcome::Auth => -31401,
        Outcome::Refused => -31403,
        Outcome::Cancelled => -31499,
        Outcome::Transport => -31502,
        Outcome::Timeout => -31504,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_credentials_is_auth() {
        for (text, auth) in [
            ("401 Unauthorized", true),
            ("Error: Request failed with status code 403", true),
            ("HTTP 401: bad key", true),
            ("Invalid API key provided", true),
            ("the token has expired, log in again", true),
            ("invalid_token", true),
            ("Forbidden.", true),
            ("article 403 not found", false),
            ("room 401 is booked", false),
            ("tokenizer failed", false),
            ("unexpected token } in JSON", false),
            ("file not found", false),
            ("", false),
        ] {
            assert_eq!(text_means_auth(text), auth, "{text}");
        }
        assert!(means_auth(401, "x") && !means_auth(-32603, "internal error"));
    }

    #[test]
    fn answers_have_outcomes() {
        let answer = |text: &'static str| {
            let line = bytes::Bytes::from_static(text.as_bytes());
            match super::super::upstream::serverside::hear(&line) {
                super::super::upstream::serverside::Heard::Answer(_, answer) => answer,
                other => panic!("{other:?}"),
            }
        };
        for (line, want) in [
            (r#"{"id":1,"result":{"content":[]}}"#, Outcome::Ok),
            (r#"{"id":1,"result":{"isError":true,"content":[{"type":"text","text":"no such file"}]}}"#, Outcome::Tool),
            (
                r#"{"id":1,"result":{"isError":true,"content":[{"type":"text","text":"401 Unauthorized"}]}}"#,
                Outcome::Auth,
            ),
            (r#"{"id":1,"result":{"isError":true,"content":5}}"#, Outcome::Tool),
            (r#"{"id":1,"error":{"code":-32601,"message":"no"}}"#, Outcome::Protocol),
            (r#"{"id":1,"error":{"code":-32000,"message":"Unauthorized"}}"#, Outcome::Auth),
            (r#"{"id":1,"error":"broken"}"#, Outcome::Protocol),
            (r#"{"id":1}"#, Outcome::Protocol),
        ] {
            assert_eq!(of_answer(true, &answer(line)).0, want, "{line}");
        }
    }

    #[test]
    fn own_codes_lie_outside_the_reserved_range() {
        for outcome in Outcome::ALL {
            assert!(!(-32768..=-32000).contains(&code(outcome)));
        }
    }
}
