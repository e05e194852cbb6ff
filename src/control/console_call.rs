//! One call of a person: guarded, sent through the router, told step by step, kept in the history.

use super::deck::Deck;
use crate::model::call::Origin;
use crate::model::message::{CallEvent, Chunk, ConsoleCall, HistoryEntry, Preview};
use crate::model::principal::Role;
use crate::model::{CallId, CallRecord, Environment, Operator, Refusal, Snapshot, Stamp};
use crate::router::{CallBody, CallReply, CallRequest, Client, ClientRequest, Endpoint, Message, Modern, Outbox};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Steps of one call that wait for a slow reader; more are lost.
const EVENTS: usize = 256;
/// A part of an answer, in bytes.
const BODY_PART: usize = 256 << 10;
/// What the history keeps of an answer, in bytes.
const KEPT_ANSWER: usize = 64 << 10;

/// The one method whose answer is its end.
const LISTEN: &str = "subscriptions/listen";

/// Where the call would go, and what stands against it.
pub fn preview(deck: &Deck, call: &ConsoleCall) -> Preview {
    let mut preview = deck.router.preview(call);
    if is_tool_call(call) && !preview.read_only_tool {
        let snapshot = deck.picture.get();
        preview.refused = preview.refused.or_else(|| read_only(&snapshot, call));
        preview.confirm = confirmation(&snapshot, call);
    }
    preview
}

/// Why a call that may change something is not sent.
fn read_only(snapshot: &Snapshot, call: &ConsoleCall) -> Option<String> {
    if snapshot.platform.read_only {
        return Some(format!("the platform {} is read-only and the tool is not", snapshot.platform.name));
    }
    let tenant = snapshot.tenant(call.tenant.as_str())?;
    snapshot.platform.guards.frozen(&tenant.def).map(|why| format!("{why}; the tool is not marked so"))
}

/// The name to type before a call that may change something is sent.
fn confirmation(snapshot: &Snapshot, call: &ConsoleCall) -> Option<String> {
    let row = snapshot.tenant(call.tenant.as_str());
    // The instance that serves the call, not its server: a lab's own instance is no production one.
    let instance = row.and_then(|t| t.cell(&call.server)?.instance.as_ref()).and_then(|key| snapshot.instance(key));
    let (tenant, server) = (row.map(|t| t.def.environment), instance.map(|i| i.environment));
    (tenant.max(server) == Some(Environment::Production)).then(|| call.tenant.to_string())
}

/// What keeps the call from being sent at all; everything else the router refuses itself, with a record.
fn guard(deck: &Deck, call: &ConsoleCall) -> Option<Refusal> {
    if !is_tool_call(call) || deck.router.preview(call).read_only_tool {
        return None;
    }
    let snapshot = deck.picture.get();
    if let Some(why) = read_only(&snapshot, call) {
        return Some(Refusal::ReadOnly(why));
    }
    let name = confirmation(&snapshot, call).filter(|name| call.confirm.as_ref() != Some(name))?;
    Some(Refusal::NeedsConfirm { what: "a tool that is not marked read-only".to_owned(), name })
}

/// True if it may change something: a tool call, or a raw message that is not plainly something else.
fn is_tool_call(call: &ConsoleCall) -> bool {
    match &call.method {
        Some(method) => method == "tools/call",
        None => {
            let message: Option<serde_json::Value> = serde_json::from_str(&call.body).ok();
            let method = message.as_ref().and_then(|m| m.get("method")).and_then(|m| m.as_str());
            method.is_none_or(|method| method == "tools/call")
        }
    }
}

/// Carries the call to its end; dropping the far end of `to` cancels it.
pub async fn carry(deck: Arc<Deck>, call: ConsoleCall, to: mpsc::Sender<Chunk>) -> Option<Refusal> {
    if let Some(why) = guard(&deck, &call) {
        return Some(why);
    }
    if call.origin == Origin::Console && call.method.as_deref() == Some(LISTEN) {
        return listen(&deck, &call, &to).await;
    }
    deck.touch();
    let _answering = deck.answering.token();
    let (events, steps) = mpsc::channel(EVENTS);
    let outbox = Arc::new(Outbox::default());
    let request = request(&call, events);
    // A screen has somebody before it who can be asked; a command line has not.
    let work = async {
        match call.origin {
            Origin::Console => deck.router.call_of_person(request, &call.operator, &outbox).await,
            _ => deck.router.call(request).await,
        }
    };
    let reply = tokio::select! {
        reply = follow(work, steps, &outbox, &to) => reply,
        // The reader is gone: the router sends the cancellation when the call is dropped.
        () = to.closed() => return None,
    };
    deck.touch();
    if call.keep {
        keep(&deck, &call, &reply).await;
    }
    for part in parts(&String::from_utf8_lossy(&reply.body)) {
        if to.send(Chunk::Call(CallEvent::Body(part.to_owned()))).await.is_err() {
            return None;
        }
    }
    let _ = to.send(Chunk::Call(CallEvent::Done(Box::new(CallRecord::clone(&reply.record))))).await;
    None
}

/// Follows a server's change notices until the reader leaves or the server ends them, whatever era it speaks.
async fn listen(deck: &Deck, call: &ConsoleCall, to: &mpsc::Sender<Chunk>) -> Option<Refusal> {
    let outbox = Arc::new(Outbox::default());
    let body = CallBody::Method { method: LISTEN.to_owned(), params: call.body.clone() };
    let message = match Message::read(body, CallId(1), true) {
        Ok(message) => message,
        Err(stop) => return Some(Refusal::Failed(stop.error)),
    };
    let request = ClientRequest {
        tenant: call.tenant.clone(),
        principal: call.operator.name.as_str().into(),
        role: Role::Operator,
        endpoint: Endpoint::Server(call.server.clone()),
        client: Client::Modern(Modern::default()),
        message,
        outbox: Some(outbox.clone()),
    };
    let mut served = std::pin::pin!(deck.router.serve(request));
    let end = loop {
        let line = tokio::select! {
            end = &mut served => break end,
            line = outbox.next() => line,
            () = to.closed() => return None,
        };
        let text = String::from_utf8_lossy(&line).into_owned();
        let notice = CallEvent::Wire { at: Stamp::now(), sent: false, text };
        if to.send(Chunk::Call(notice)).await.is_err() {
            return None;
        }
    };
    let answer: serde_json::Value = serde_json::from_slice(&end.body).unwrap_or_default();
    let refused = answer.pointer("/error/message").and_then(|text| text.as_str());
    Some(Refusal::Failed(refused.unwrap_or("the server ended the subscription").to_owned()))
}

fn request(call: &ConsoleCall, events: mpsc::Sender<CallEvent>) -> CallRequest {
    let body = match &call.method {
        Some(method) => CallBody::Method { method: method.clone(), params: call.body.clone() },
        None => CallBody::Raw(Bytes::from(call.body.clone())),
    };
    CallRequest {
        tenant: call.tenant.clone(),
        server: call.server.clone(),
        body,
        era: call.era,
        timeout: call.timeout_ms.map(Duration::from_millis),
        origin: call.origin,
        principal: call.operator.name.as_str().into(),
        role: call.operator.grant.as_ref().map(|grant| grant.role),
        session: Some(session(&call.operator)),
        events: Some(events),
    }
}

/// A console is one client session: its process has one of its own at session-scoped servers.
fn session(operator: &Operator) -> u32 {
    operator.pid
}

/// Passes the steps on while the call runs, and what is left of them after it.
async fn follow(
    work: impl Future<Output = CallReply>,
    mut steps: mpsc::Receiver<CallEvent>,
    outbox: &Outbox,
    to: &mpsc::Sender<Chunk>,
) -> CallReply {
    let mut work = std::pin::pin!(work);
    let reply = loop {
        tokio::select! {
            reply = &mut work => break reply,
            Some(step) = steps.recv() => drop(to.send(Chunk::Call(step)).await),
            line = outbox.next() => if let Some(question) = question(&line) {
                drop(to.send(Chunk::Call(question)).await);
            },
        }
    };
    while let Ok(step) = steps.try_recv() {
        if to.send(Chunk::Call(step)).await.is_err() {
            break;
        }
    }
    reply
}

/// What of a client's messages a console is not told by the call's own events: what the server asks.
fn question(line: &[u8]) -> Option<CallEvent> {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        id: u64,
        method: String,
        #[serde(borrow)]
        params: Option<&'a serde_json::value::RawValue>,
    }
    let message: Message<'_> = serde_json::from_slice(line).ok()?;
    let params = message.params.map_or_else(|| "{}".to_owned(), |params| params.get().to_owned());
    Some(CallEvent::Question { id: message.id, method: message.method, params })
}

async fn keep(deck: &Deck, call: &ConsoleCall, reply: &CallReply) {
    let record = &reply.record;
    // What the router kept is redacted already, by name and by schema.
    let Some(detail) = deck.router.detail(record.id) else { return };
    let raw = call.method.is_none();
    let message = detail.request.unwrap_or_default();
    let params = if raw { message } else { params_of(&message) };
    let entry = HistoryEntry {
        id: 0,
        at: record.at,
        tenant: call.tenant.clone(),
        server: call.server.clone(),
        method: record.method.to_string(),
        tool: record.tool.as_ref().map(ToString::to_string),
        params,
        raw,
        outcome: record.outcome,
        took_us: record.took_us,
        operator: call.operator.name.clone(),
        response: detail.response.map(|text| cut(&text, KEPT_ANSWER).to_owned()),
    };
    let written = match deck.store.get().await {
        Ok(store) => store.add_history(entry).await.map(drop),
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => deck.store.worked(),
        Err(error) => deck.store.failed(&error),
    }
}

fn params_of(message: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        params: Option<&'a serde_json::value::RawValue>,
    }
    let message: Option<Message<'_>> = serde_json::from_str(message).ok();
    message.and_then(|m| m.params).map(|p| p.get().to_owned()).unwrap_or_default()
}

/// `text` in parts of [`BODY_PART`] bytes, at borders of characters.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let part = cut(rest, BODY_PART);
        rest = &rest[part.len()..];
        (!part.is_empty()).then_some(part)
    })
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::Face;

    fn call(method: Option<&str>, body: &str) -> ConsoleCall {
        ConsoleCall {
            tenant: "eaton".into(),
            server: "etim".into(),
            method: method.map(str::to_owned),
            body: body.into(),
            era: None,
            timeout_ms: None,
            origin: Origin::Console,
            operator: Operator { name: "ana".into(), face: Face::Screen, pid: 7, grant: None },
            confirm: None,
            keep: false,
        }
    }

    #[test]
    fn only_what_is_plainly_no_tool_call_needs_no_confirmation() {
        for (method, body, expected) in [
            (Some("tools/call"), "{}", true),
            (Some("tools/list"), "", false),
            (None, r#"{"method":"tools/list","id":1}"#, false),
            (None, r#"{"id":1,"method":"tools\/call"}"#, true),
            (None, "{ malformed on purpose", true),
            (None, r#"[{"method":"tools/list"}]"#, true),
        ] {
            assert_eq!(is_tool_call(&call(method, body)), expected, "{body}");
        }
    }

    #[test]
    fn what_a_server_asks_is_told_and_nothing_else() {
        let asks = br#"{"jsonrpc":"2.0","id":3,"method":"elicitation/create","params":{"message":"who?"}}"#;
        assert_eq!(
            question(asks),
            Some(CallEvent::Question {
                id: 3,
                method: "elicitation/create".to_owned(),
                params: r#"{"message":"who?"}"#.to_owned()
            })
        );
        assert_eq!(question(br#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#), None);
    }

    #[test]
    fn bodies_are_cut_between_characters() {
        let text = "ä".repeat(BODY_PART);
        let parts: Vec<_> = parts(&text).collect();
        assert_eq!((parts.len(), parts.concat() == text), (2, true));
        assert_eq!(params_of(r#"{"id":1,"params":{"a": 1}}"#), r#"{"a": 1}"#);
    }
}
