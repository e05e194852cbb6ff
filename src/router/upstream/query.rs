//! An upstream that is no MCP: a plain query endpoint. Callers see a server with the one tool `query`; what of MCP it
//! cannot know is answered here. The tenant is read from what the router put into the message, never from the caller.

use super::http::client::{Body, Client};
use super::http::reply::{error_body, refusal};
use super::http::{own_headers, shown_url};
use super::serverside::{Heard, hear};
use super::{Answer, Ask, Expects, Fault};
use crate::model::secret::Secret;
use crate::router::context::TENANT_KEY;
use crate::router::flight::lock;
use crate::router::outcome::first_line;
use crate::router::wire;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

const CUSTOMER: HeaderName = HeaderName::from_static("x-customer-id");

pub struct Query {
    query: Uri,
    health: Uri,
    /// Without user, password and query.
    shown: String,
    server: String,
    client: Client,
    headers: HeaderMap,
    max_message: u64,
    closing: CancellationToken,
    closed: Mutex<Option<Arc<str>>>,
}

/// What is read of a call, after it was dressed for its tenant.
#[derive(Deserialize)]
struct Call {
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    name: String,
    #[serde(default)]
    arguments: Arguments,
    #[serde(default, rename = "_meta")]
    meta: Map<String, Value>,
}

#[derive(Deserialize, Default)]
struct Arguments {
    query: Option<String>,
    #[serde(default)]
    context: Map<String, Value>,
}

#[derive(Deserialize)]
struct Tenant {
    id: String,
    #[serde(default)]
    context: Map<String, Value>,
}

impl Query {
    /// `base` is what stands before `/{server}/query` and `/health`. Nothing is sent yet.
    pub fn connect(base: &str, server: &str, headers: &[(String, Secret)], max_message: u64) -> Result<Self, String> {
        let base = base.trim_end_matches('/');
        let parse = |url: String| url.parse::<Uri>().map_err(|e| format!("`{url}` is no URL: {e}"));
        let query = parse(format!("{base}/{server}/query"))?;
        let shown = shown_url(&query);
        Ok(Self {
            health: parse(format!("{base}/health"))?,
            client: Client::new(&query).map_err(|e| format!("{shown}: {e}"))?,
            headers: own_headers(headers)?,
            query,
            shown,
            server: server.to_owned(),
            max_message,
            closing: CancellationToken::new(),
            closed: Mutex::default(),
        })
    }

    /// See [`super::Upstream::ask`].
    pub async fn ask(&self, ask: &mut Ask<'_>) -> Result<Answer, Fault> {
        if ask.expects != Expects::Answer {
            return match ask.expects {
                Expects::Nothing => Ok(Answer::default()),
                _ => Err(Fault::Protocol("a query endpoint is asked by whole requests alone".to_owned())),
            };
        }
        tokio::select! {
            biased;
            answer = self.answer(ask) => read(&answer?),
            () = self.closing.cancelled() => Err(Fault::Closed(self.closed().unwrap_or_default())),
        }
    }

    pub fn closed(&self) -> Option<Arc<str>> {
        lock(&self.closed).clone()
    }

    pub fn close(&self, reason: &str) {
        lock(&self.closed).get_or_insert_with(|| reason.into());
        self.closing.cancel();
    }

    async fn answer(&self, ask: &Ask<'_>) -> Result<String, Fault> {
        let result = match ask.method {
            "initialize" => {
                self.check_health().await?;
                json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                    "serverInfo": { "name": self.server, "version": "" } })
            }
            "ping" => {
                self.check_health().await?;
                json!({})
            }
            "tools/list" => tools(&self.server),
            "tools/call" => match self.call(ask).await? {
                Ok(result) => result,
                Err(why) => return Ok(wire::error_body(&ask.id.to_string(), -32602, &why)),
            },
            other => {
                let why = format!("{} is a plain query endpoint: it has no `{other}`", self.server);
                return Ok(wire::error_body(&ask.id.to_string(), -32601, &why));
            }
        };
        Ok(json!({ "jsonrpc": "2.0", "id": ask.id, "result": result }).to_string())
    }

    async fn check_health(&self) -> Result<(), Fault> {
        let response = self.send(Method::GET, &self.health, &[], Bytes::new()).await?;
        if response.status().is_success() {
            drop(error_body(response).await);
            return Ok(());
        }
        Err(match refusal(&shown_url(&self.health), response).await {
            Fault::Protocol(text) => Fault::Transport(text),
            other => other,
        })
    }

    /// `Err` inside: the call itself is wrong, and why.
    async fn call(&self, ask: &Ask<'_>) -> Result<Result<Value, String>, Fault> {
        let call: Call = match serde_json::from_slice(&ask.body) {
            Ok(call) => call,
            Err(error) => return Ok(Err(format!("the call cannot be read: {error}"))),
        };
        if call.params.name != "query" {
            return Ok(Err(format!("unknown tool `{}`: there is `query` alone", call.params.name)));
        }
        let Some(query) = call.params.arguments.query else {
            return Ok(Err("the argument `query` is missing, or no text".to_owned()));
        };
        let tenant = call.params.meta.get(TENANT_KEY).and_then(|t| Tenant::deserialize(t).ok());
        let tenant = tenant.ok_or_else(|| Fault::Protocol("no customer stands in the call".to_owned()))?;
        let mut context = call.params.arguments.context;
        context.extend(tenant.context);
        let body = json!({ "query": query, "customer_id": tenant.id, "context": context }).to_string();
        let customer = HeaderValue::from_str(&tenant.id)
            .map_err(|_| Fault::Protocol("the customer's id cannot stand in a header".to_owned()))?;
        let mut headers = ask.headers.clone();
        headers.push((CUSTOMER, customer));
        let response = self.send(Method::POST, &self.query, &headers, body.into()).await?;
        match response.status() {
            status if status.is_success() => self.read(response).await.map(|body| Ok(tool_result(&body, false))),
            // The endpoint says what is wrong with the query.
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                let body = error_body(response).await;
                Ok(Ok(tool_result(&body, true)))
            }
            _ => Err(refusal(&self.shown, response).await),
        }
    }

    async fn send(
        &self,
        method: Method,
        to: &Uri,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Response<Body>, Fault> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = to.clone();
        let map = request.headers_mut();
        map.clone_from(&self.headers);
        for (name, value) in headers {
            map.insert(name, value.clone());
        }
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        map.insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.client.send(request).await.map_err(|e| e.fault(&self.shown))
    }

    async fn read(&self, response: Response<Body>) -> Result<Bytes, Fault> {
        let max = usize::try_from(self.max_message).unwrap_or(usize::MAX);
        let body = Limited::new(response.into_body(), max).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
            true => Fault::Protocol(format!("{} answered more than max_message = {max} bytes", self.shown)),
            false => Fault::Transport(format!("{} broke off its answer: {error}", self.shown)),
        })
    }
}

/// The one tool. A query reads: what changes something belongs into a tool of an MCP server.
fn tools(server: &str) -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "query": { "type": "string", "description": "What to ask, in plain words" },
            "context": { "type": "object", "description": "Further facts; those of the customer are added" },
        },
        "required": ["query"],
    });
    json!({ "tools": [{
        "name": "query",
        "description": format!("Asks {server}"),
        "inputSchema": schema,
        "annotations": { "readOnlyHint": true, "idempotentHint": true },
    }] })
}

/// What the endpoint answered, as a tool's result: text, and structure if it is an object.
fn tool_result(body: &[u8], failed: bool) -> Value {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let text = match &parsed {
        Some(Value::String(text)) => text.clone(),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let text = if failed && text.is_empty() { "the query was refused".to_owned() } else { text };
    let mut result = json!({ "content": [{ "type": "text", "text": text }] });
    if failed {
        result["isError"] = true.into();
    } else if let Some(object @ Value::Object(_)) = parsed {
        result["structuredContent"] = object;
    }
    result
}

fn read(answer: &str) -> Result<Answer, Fault> {
    match hear(&Bytes::copy_from_slice(answer.as_bytes())) {
        Heard::Answer(_, answer) => Ok(answer),
        _ => Err(Fault::Protocol(first_line(answer))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_results() {
        for (body, failed, want) in [
            (
                r#"{"hits":2}"#,
                false,
                json!({"content": [{"type": "text", "text": "{\"hits\":2}"}], "structuredContent": {"hits": 2}}),
            ),
            (r#""two hits""#, false, json!({"content": [{"type": "text", "text": "two hits"}]})),
            ("two hits", false, json!({"content": [{"type": "text", "text": "two hits"}]})),
            ("bad query", true, json!({"content": [{"type": "text", "text": "bad query"}], "isError": true})),
        ] {
            assert_eq!(tool_result(body.as_bytes(), failed), want);
        }
    }
}
