//! What an upstream says: answers, requests, progress, log messages, change notices. Shared by all wires.

use super::Answer;
use crate::model::InstanceKey;
use crate::model::message::CallEvent;
use crate::router::Note;
use crate::router::flight::Flight;
use crate::router::hub::Hub;
use crate::router::lists::Lists;
use crate::router::session::Session;
use crate::router::wire::{self, Envelope};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Weak};
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
    /// `ping`; send this back.
    Reply(String),
    /// A question to a client; its id stands at `place`.
    Question {
        place: Range<usize>,
        method: String,
    },
    /// `token` is ours and stands at `place`.
    Progress {
        token: u64,
        place: Range<usize>,
        percent: Option<f32>,
        text: String,
    },
    Log {
        level: String,
        text: String,
    },
    /// Something is other than it was. Modern servers say which of our subscriptions they mean.
    Changed {
        notice: Notice,
        subscription: Option<u64>,
    },
    /// A subscription of ours begins.
    Acknowledged {
        subscription: Option<u64>,
    },
    Nothing,
    Garbage,
}

/// What is other than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Tools,
    Prompts,
    Resources,
    /// The resource of this URI.
    Updated(String),
}

impl Notice {
    /// True if a list is another now.
    pub fn is_list(&self) -> bool {
        !matches!(self, Self::Updated(_))
    }
}

/// Reads one message of an upstream.
pub fn hear(line: &Bytes) -> Heard {
    let Some(envelope) = Envelope::read(line) else {
        return Heard::Garbage;
    };
    match (&envelope.method, envelope.id) {
        (Some(method), Some(id)) => match &**method {
            "ping" => Heard::Reply(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, id.get())),
            _ => Heard::Question { place: place(line, id), method: method.clone().into_owned() },
        },
        (Some(method), None) => notice(line, method, envelope.params),
        (None, _) => {
            let answer = locate(line, &envelope);
            envelope.answers().map_or(Heard::Stray(answer.clone()), |id| Heard::Answer(id, answer))
        }
    }
}

/// Where a part of `line` stands in it.
fn place(line: &Bytes, part: &RawValue) -> Range<usize> {
    let text = part.get();
    let start = text.as_ptr() as usize - line.as_ptr() as usize;
    start..start + text.len()
}

/// `line` with the places of its parts.
fn locate(line: &Bytes, envelope: &Envelope<'_>) -> Answer {
    let place = |part: Option<&RawValue>| part.map(|part| place(line, part));
    Answer { line: line.clone(), id: place(envelope.id), result: place(envelope.result), error: place(envelope.error) }
}

/// An answer that names no request (JSON-RPC 2.0, section 5, of a request that its server could not read), with an id to
/// be replaced: whoever asked must know it as its own.
pub fn named(answer: Answer) -> Answer {
    if answer.id.is_some() {
        return answer;
    }
    let mut text = String::with_capacity(answer.line.len() + 16);
    let line = std::str::from_utf8(&answer.line).ok();
    let spliced = line.and_then(|line| wire::splice(line, &[wire::Edit::set("id", "0")], &mut text).ok());
    let line = Bytes::from(text);
    let named = spliced.and_then(|()| Some(locate(&line, &Envelope::read(&line)?)));
    named.unwrap_or(answer)
}

/// The answer to a question that nobody can be asked.
pub fn no_client(line: &Bytes, id: Range<usize>, method: &str) -> String {
    let id = String::from_utf8_lossy(&line[id]);
    wire::error_body(&id, -32601, &format!("this client does not offer `{method}`"))
}

fn notice(line: &Bytes, method: &str, params: Option<&RawValue>) -> Heard {
    let text = params.map_or("null", RawValue::get);
    let changed = |notice| Heard::Changed { notice, subscription: subscription(text) };
    match method {
        "notifications/progress" => progress(line, text),
        "notifications/message" => log(text),
        "notifications/tools/list_changed" => changed(Notice::Tools),
        "notifications/prompts/list_changed" => changed(Notice::Prompts),
        "notifications/resources/list_changed" => changed(Notice::Resources),
        "notifications/resources/updated" => updated(text).map_or(Heard::Nothing, changed),
        "notifications/subscriptions/acknowledged" => Heard::Acknowledged { subscription: subscription(text) },
        _ => Heard::Nothing,
    }
}

fn updated(params: &str) -> Option<Notice> {
    #[derive(Deserialize)]
    struct Updated {
        uri: String,
    }
    serde_json::from_str::<Updated>(params).ok().map(|updated| Notice::Updated(updated.uri))
}

/// Our number of the subscription that a notice is for.
fn subscription(params: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "_meta")]
        meta: Option<Meta<'a>>,
    }
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow, rename = "io.modelcontextprotocol/subscriptionId")]
        subscription: Option<&'a RawValue>,
    }
    let params: Params<'_> = serde_json::from_str(params).ok()?;
    params.meta?.subscription?.get().trim_matches('"').parse().ok()
}

fn progress(line: &Bytes, params: &str) -> Heard {
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
    let place = place(line, p.progress_token);
    let text = p.message.unwrap_or_default();
    Heard::Progress { token, place, percent: percent(p.progress, p.total), text: cut(&text).to_owned() }
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
    pub hub: Arc<Hub>,
    /// The client whose own the instance is.
    pub session: Option<Weak<Session>>,
}

impl Observer {
    pub fn session(&self) -> Option<Arc<Session>> {
        self.session.as_ref()?.upgrade()
    }

    /// Something changed at an upstream that tells everybody on one wire.
    pub fn changed(&self, notice: &Notice, line: &Bytes) {
        if notice.is_list() {
            self.lists.set_stale();
        }
        self.hub.tell(notice, line);
    }

    /// Tells of a line that was no message.
    pub fn garbage(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(&line[..line.len().min(CUT_BYTES)]).into_owned();
        let _ = self.notes.try_send(Note::Garbage { instance: self.key.clone(), line });
    }

    /// A log message: of a call, else of the instance. `line`: the whole of it, for the call's client.
    pub fn log(&self, flight: Option<&Arc<Flight>>, line: &Bytes, level: String, text: String) {
        if let Some(relay) = flight.and_then(|flight| flight.relay.as_ref()) {
            relay.log(line, &level);
        }
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
                r#"Question { place: 6..9, method: "sampling/createMessage" }"#,
            ),
            (
                r#"{"method":"notifications/progress","params":{"progressToken":7,"progress":1,"total":4,"message":"m"}}"#,
                r#"Progress { token: 7, place: 61..62, percent: Some(25.0), text: "m" }"#,
            ),
            (
                r#"{"method":"notifications/message","params":{"level":"warning","data":"a\nb"}}"#,
                r#"Log { level: "warning", text: "a\nb" }"#,
            ),
            (r#"{"method":"notifications/tools/list_changed"}"#, "Changed { notice: Tools, subscription: None }"),
            (
                r#"{"method":"notifications/resources/updated","params":{"uri":"a","_meta":{"io.modelcontextprotocol/subscriptionId":7}}}"#,
                r#"Changed { notice: Updated("a"), subscription: Some(7) }"#,
            ),
            (r#"{"method":"notifications/resources/updated","params":{}}"#, "Nothing"),
            ("Listening on stdio", "Garbage"),
            ("[]", "Garbage"),
        ] {
            let heard = format!("{:?}", hear(&Bytes::from_static(line.as_bytes())));
            assert!(heard.starts_with(want), "{line} is {heard}");
        }
    }
}
