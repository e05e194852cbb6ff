//! What an upstream says: answers, requests, progress, log messages, change notices. Shared by all wires.

use super::Answer;
use crate::model::InstanceKey;
use crate::model::message::CallEvent;
use crate::router::Note;
use crate::router::flight::Flight;
use crate::router::lists::Lists;
use crate::router::wire::{self, Envelope};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A garbage line or a log message is cut at so many bytes.
const CUT_BYTES: usize = 4 << 10;

/// What a line was.
#[derive(Debug)]
pub enum Heard {
    /// To our request of this id.
    Answer(u64, Answer),
    /// An answer that names no request of ours: an error with id null, or an id that we never gave.
    Stray(Answer),
    /// A request of the upstream; send this back.
    Reply(String),
    Progress {
        token: u64,
        percent: Option<f32>,
        text: String,
    },
    Log {
        level: String,
        text: String,
    },
    /// Tools, prompts or resources are others now.
    ListChanged,
    Nothing,
    Garbage,
}

/// Reads one message of an upstream.
pub fn hear(line: &Bytes) -> Heard {
    let Some(envelope) = Envelope::read(line) else {
        return Heard::Garbage;
    };
    match (&envelope.method, envelope.id) {
        (Some(method), Some(id)) => Heard::Reply(reply(method, id.get())),
        (Some(method), None) => notice(method, envelope.params.map_or("null", RawValue::get)),
        (None, _) => {
            let answer = locate(line, &envelope);
            envelope.answers().map_or(Heard::Stray(answer.clone()), |id| Heard::Answer(id, answer))
        }
    }
}

/// `line` with the places of its parts.
fn locate(line: &Bytes, envelope: &Envelope<'_>) -> Answer {
    let place = |part: Option<&RawValue>| {
        let text = part?.get();
        let start = text.as_ptr() as usize - line.as_ptr() as usize;
        Some(start..start + text.len())
    };
    Answer { line: line.clone(), id: place(envelope.id), result: place(envelope.result), error: place(envelope.error) }
}

/// We declare no client capability, so ping is all that a server may ask.
fn reply(method: &str, id: &str) -> String {
    match method {
        "ping" => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#),
        _ => wire::error_body(id, -32601, &format!("this client does not offer `{method}`")),
    }
}

fn notice(method: &str, params: &str) -> Heard {
    match method {
        "notifications/progress" => progress(params),
        "notifications/message" => log(params),
        "notifications/tools/list_changed"
        | "notifications/prompts/list_changed"
        | "notifications/resources/list_changed" => Heard::ListChanged,
        _ => Heard::Nothing,
    }
}

fn progress(params: &str) -> Heard {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Progress<'a> {
        #[serde(borrow)]
        progress_token: &'a RawValue,
        progress: Option<f64>,
        total: Option<f64>,
        #[serde(borrow)]
        message: Option<Cow<'a, str>>,
    }
    let Ok(p) = serde_json::from_str::<Progress<'_>>(params) else {
        return Heard::Nothing;
    };
    // Our tokens are our ids; a server that turns them into strings is met halfway.
    let Ok(token) = p.progress_token.get().trim_matches('"').parse() else {
        return Heard::Nothing;
    };
    let text = p.message.unwrap_or_default();
    Heard::Progress { token, percent: percent(p.progress, p.total), text: cut(&text).to_owned() }
}

fn log(params: &str) -> Heard {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        level: Option<Cow<'a, str>>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let Ok(m) = serde_json::from_str::<Message<'_>>(params) else {
        return Heard::Nothing;
    };
    let data = m.data.map_or("", RawValue::get);
    let text = wire::unquote(data).unwrap_or(Cow::Borrowed(data));
    Heard::Log { level: m.level.unwrap_or(Cow::Borrowed("info")).into_owned(), text: cut(&text).to_owned() }
}

#[expect(clippy::cast_possible_truncation, reason = "a percentage fits")]
fn percent(progress: Option<f64>, total: Option<f64>) -> Option<f32> {
    let (progress, total) = (progress?, total?);
    (total > 0.0).then(|| (progress / total * 100.0).clamp(0.0, 100.0) as f32)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(CUT_BYTES)]
}

/// Where an upstream's own words go. Notes are lost when control is slow: they are news, not state.
#[derive(Clone)]
pub struct Observer {
    pub key: InstanceKey,
    pub notes: mpsc::Sender<Note>,
    pub lists: Arc<Lists>,
}

impl Observer {
    /// Tells of a line that was no message.
    pub fn garbage(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(CUT_BYTES)]).into_owned();
        let _ = self.notes.try_send(Note::Garbage { instance: self.key.clone(), line });
    }

    /// A log message: of the only call in flight, else of the instance.
    pub fn log(&self, flight: Option<&Arc<Flight>>, level: String, text: String) {
        match flight {
            Some(flight) => flight.tell(|| CallEvent::Log { level, text }),
            None => {
                let _ = self.notes.try_send(Note::Log { instance: self.key.clone(), level, text });
            }
        }
    }

    /// The one note that is state as well: it waits if the queue is full.
    pub fn closed(&self, reason: &str) {
        let note = Note::Closed { instance: self.key.clone(), reason: reason.to_owned() };
        if let Err(mpsc::error::TrySendError::Full(note)) = self.notes.try_send(note) {
            let notes = self.notes.clone();
            tokio::spawn(async move { notes.send(note).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        for (line, want) in [
            (r#"{"jsonrpc":"2.0","id":3,"result":{}}"#, "Answer(3"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#, "Stray("),
            (r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, "Answer(7"),
            (r#"{"jsonrpc":"2.0","id":7.0,"result":{}}"#, "Answer(7"),
            (r#"{"jsonrpc":"2.0","id":"a","result":{}}"#, "Stray("),
            (r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#, r#"Reply("{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}"#),
            (
                r#"{"id":"s","method":"sampling/createMessage","params":{}}"#,
                r#"Reply("{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"error\":{\"code\":-32601"#,
            ),
            (
                r#"{"method":"notifications/progress","params":{"progressToken":7,"progress":1,"total":4,"message":"m"}}"#,
                r#"Progress { token: 7, percent: Some(25.0), text: "m" }"#,
            ),
            (
                r#"{"method":"notifications/message","params":{"level":"warning","data":"a\nb"}}"#,
                r#"Log { level: "warning", text: "a\nb" }"#,
            ),
            (r#"{"method":"notifications/tools/list_changed"}"#, "ListChanged"),
            (r#"{"method":"notifications/resources/updated","params":{}}"#, "Nothing"),
            ("Listening on stdio", "Garbage"),
            ("[]", "Garbage"),
        ] {
            let heard = format!("{:?}", hear(&Bytes::from_static(line.as_bytes())));
            assert!(heard.starts_with(want), "{line} is {heard}");
        }
    }
}
