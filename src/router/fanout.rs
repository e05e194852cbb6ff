//! One call to several servers at once: every part with its origin, a part that fails stays a part and is said.

use super::aggregate::names::wrap_answer;
use super::route::read_ask;
use super::{CallBody, CallReply, CallRequest, Router};
use crate::model::route::RouteAsk;
use crate::model::{Outcome, ServerId};
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Servers of one call.
const MAX_TARGETS: usize = 32;

/// What a message asks of routing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub route: RouteAsk,
    /// Servers that are all asked; empty: one is, by `route`.
    pub targets: Vec<ServerId>,
}

/// Reads `{"targets": ["a", "b"]}`, or what leads to one server.
pub fn read(json: &str) -> Result<Asked, String> {
    let body: Value = serde_json::from_str(json).map_err(|e| format!("not JSON: {e}"))?;
    let Some(targets) = body.get("targets") else {
        return Ok(Asked { route: read_ask(json)?, targets: Vec::new() });
    };
    let named = |target: &Value| target.as_str().map(ServerId::from);
    let targets: Option<Vec<_>> = targets.as_array().map(|list| list.iter().map_while(named).collect());
    match targets {
        Some(mut targets) if !targets.is_empty() && targets.len() <= MAX_TARGETS => {
            // Who is named twice is asked once.
            let mut seen = HashSet::new();
            targets.retain(|target| seen.insert(target.clone()));
            Ok(Asked { route: RouteAsk::default(), targets })
        }
        _ => Err(format!("`targets` is a list of 1 to {MAX_TARGETS} names of servers")),
    }
}

/// One server's part of an answer.
pub struct Part {
    pub server: ServerId,
    pub reply: CallReply,
}

impl Part {
    pub fn is_good(&self) -> bool {
        self.reply.record.outcome == Outcome::Ok
    }

    /// Its resources have the addresses that they have among those of all servers.
    fn result(&self) -> Value {
        let text = String::from_utf8_lossy(&self.reply.body);
        let body = wrap_answer(&self.server, "tools/call", &text);
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        body.get("result").cloned().unwrap_or_default()
    }
}

impl Router {
    /// Sends one message to each of `targets`, all at once. Each is a call of its own: metered, recorded, with its own
    /// timeout.
    pub async fn fan_out(&self, request: &CallRequest, targets: &[ServerId], message: &Bytes) -> Vec<Part> {
        let parts = targets.iter().map(|server| {
            let request = CallRequest {
                tenant: request.tenant.clone(),
                server: server.clone(),
                body: CallBody::Raw(message.clone()),
                era: request.era,
                timeout: request.timeout,
                origin: request.origin,
                principal: request.principal.clone(),
                role: request.role,
                session: request.session,
                events: None,
            };
            self.part(server.clone(), request)
        });
        join_all(parts).await
    }

    async fn part(&self, server: ServerId, request: CallRequest) -> Part {
        Part { server, reply: self.call(request).await }
    }
}

/// The parts as the result of one tool call: the texts with their origin, the rest as structure. It is an error only if no
/// part is good.
pub fn merged(parts: &[Part]) -> Value {
    let (mut content, mut structured, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        let origin = json!({ "io.mcpdeck/origin": part.server.as_str() });
        if !part.is_good() {
            let error = part.reply.failure();
            content.push(json!({ "type": "text", "text": format!("{}: {error}", part.server), "_meta": origin }));
            structured.push(json!({ "server": part.server.as_str(), "error": error }));
            failed.push(part.server.to_string());
            continue;
        }
        let result = part.result();
        for item in result["content"].as_array().into_iter().flatten() {
            let mut item = item.clone();
            if let Some(meta) = item.as_object_mut() {
                let meta = meta.entry("_meta").or_insert_with(|| json!({}));
                if let (Some(meta), Some(origin)) = (meta.as_object_mut(), origin.as_object()) {
                    meta.extend(origin.clone());
                }
            }
            content.push(item);
        }
        structured.push(json!({ "server": part.server.as_str(), "result": result }));
    }
    json!({
        "content": content,
        "structuredContent": { "parts": structured, "partial": !failed.is_empty(), "failed": failed },
        "isError": failed.len() == parts.len(),
    })
}
