//! One call of a tool, as a plain answer: for routes that stand for a tool.

use super::caller::Caller;
use crate::api::Error;
use crate::model::call::Origin;
use crate::model::{Outcome, ServerId};
use crate::router::{CallBody, CallReply, CallRequest};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Message {
    result: Option<Answer>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    content: Vec<Value>,
    structured_content: Option<Value>,
}

/// Calls a tool as the caller's customer; what it answers, as JSON.
pub async fn call(caller: &Caller, server: &ServerId, tool: &str, arguments: Value) -> Result<Value, Error> {
    let reply = caller.gateway.inside.router.call(CallRequest {
        tenant: caller.tenant()?,
        server: server.clone(),
        body: CallBody::Method {
            method: "tools/call".to_owned(),
            params: json!({ "name": tool, "arguments": arguments }).to_string(),
        },
        era: None,
        timeout: None,
        origin: Origin::Http,
        principal: caller.principal.name.as_str().into(),
        role: Some(caller.principal.role),
        session: None,
        events: None,
    });
    plain(server, &reply.await)
}

/// What a tool answered, as JSON.
pub fn plain(server: &ServerId, reply: &CallReply) -> Result<Value, Error> {
    if let Some(exceeded) = &reply.exceeded {
        return Err(exceeded.clone().into());
    }
    let odd = || Error::Upstream(format!("{server} answered what is no answer of a tool"));
    let message: Message = serde_json::from_slice(&reply.body).map_err(|_| odd())?;
    let told = |kind: fn(String) -> Error| {
        let answer = message.result.as_ref().map(|answer| text(&answer.content));
        let why = message.error.as_ref().map(|error| error.message.clone()).or(answer);
        kind(why.or_else(|| reply.record.error.clone()).unwrap_or_default())
    };
    match reply.record.outcome {
        Outcome::Ok => {
            let answer = message.result.ok_or_else(odd)?;
            Ok(answer.structured_content.unwrap_or_else(|| contents(answer.content)))
        }
        Outcome::Tool => Err(told(Error::Unprocessable)),
        Outcome::Timeout => Err(told(Error::UpstreamTimeout)),
        Outcome::Refused | Outcome::Cancelled => Err(told(Error::Unavailable)),
        Outcome::Auth | Outcome::Transport | Outcome::Protocol => Err(told(Error::Upstream)),
    }
}

fn text(content: &[Value]) -> String {
    let texts: Vec<&str> = content.iter().filter_map(|part| part.get("text")?.as_str()).collect();
    texts.join("\n")
}

/// The text of an answer that is one text, as JSON if it is some; else every part.
fn contents(content: Vec<Value>) -> Value {
    match content.as_slice() {
        [only] if only.get("text").is_some() => {
            let text = text(&content);
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        _ => Value::Array(content),
    }
}
