//! A made-up MCP server over HTTP, in either era. The name of the called tool says what it does; it remembers everything
//! that it was told.

use crate::support::platform::PATIENCE;
use bytes::Bytes;
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

type Body = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    Legacy,
    Modern,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub verb: String,
    pub session: String,
    pub headers: hyper::HeaderMap,
    pub message: Value,
}

pub struct Upstream {
    pub url: String,
    state: Arc<State>,
}

struct State {
    speaks: Speaks,
    /// Names of the tools that it lists, and of those that it lists to clients that can be asked.
    tools: Mutex<Vec<String>>,
    asking_tools: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
    /// Streams that are held open: session, subscription id, where to.
    streams: Mutex<Vec<(String, Value, mpsc::UnboundedSender<Value>)>>,
    /// Each with what its client can do.
    sessions: Mutex<BTreeMap<String, Value>>,
}

impl Upstream {
    pub async fn start(speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let state = Arc::new(State {
            speaks,
            tools: Mutex::new(["echo", "progress", "ask", "hang", "input"].map(str::to_owned).into()),
            asking_tools: Mutex::default(),
            seen: Mutex::default(),
            streams: Mutex::default(),
            sessions: Mutex::default(),
        });
        let kept = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = kept.clone();
                let service = service_fn(move |request| {
                    let state = state.clone();
                    async move { Ok::<_, Infallible>(state.answer(request).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, state }
    }

    /// The config of a server that is this one.
    pub fn config(&self, id: &str) -> String {
        format!("[[server]]\nid = {id:?}\nurl = {:?}\n", self.url)
    }

    /// Lists another tool, too.
    pub fn offer(&self, tool: &str) {
        self.state.tools.lock().unwrap().push(tool.to_owned());
    }

    /// Lists a tool to clients that can be asked (elicitation), and to no others.
    pub fn offer_to_who_can_be_asked(&self, tool: &str) {
        self.state.asking_tools.lock().unwrap().push(tool.to_owned());
    }

    pub fn seen(&self, method: &str) -> Vec<Seen> {
        let is = |seen: &&Seen| seen.verb == method || seen.message["method"] == method;
        self.state.seen.lock().unwrap().iter().filter(is).cloned().collect()
    }

    /// Waits until it saw so many of a method (or verb).
    pub async fn sees(&self, method: &str, times: usize) -> Vec<Seen> {
        let waited = async {
            while self.seen(method).len() < times {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let all = || format!("not {times} of {method}: {:#?}", self.state.seen.lock().unwrap());
        tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{}", all()));
        self.seen(method)
    }

    /// Forgets every session, as a restart does.
    pub fn forget(&self) {
        self.state.sessions.lock().unwrap().clear();
    }

    /// Says something on every stream that is held open.
    pub fn say(&self, method: &str, params: &Value) {
        self.state.say(method, params);
    }

    /// Streams that are held open now.
    pub fn streams(&self) -> usize {
        let mut streams = self.state.streams.lock().unwrap();
        streams.retain(|(.., to)| !to.is_closed());
        streams.len()
    }

    pub async fn holds(&self, streams: usize) {
        let waited = async {
            while self.streams() != streams {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{} streams", self.streams()));
    }
}

fn whole(status: u16, body: &Value) -> Response<Body> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = Response::builder().status(status).header("Content-Type", "application/json");
    response.body(Full::new(Bytes::from(body)).boxed_unsync()).unwrap()
}

fn events(from: mpsc::UnboundedReceiver<Value>) -> Response<Body> {
    let frames = unfold(from, |mut from| async move {
        let message = from.recv().await?;
        let event = format!("event: message\ndata: {message}\n\n");
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), from))
    });
    let response = Response::builder().header("Content-Type", "text/event-stream");
    response.body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

impl State {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let session = head.headers.get("mcp-session-id").map_or("", |v| v.to_str().unwrap()).to_owned();
        let seen = Seen {
            verb: head.method.to_string(),
            session: session.clone(),
            headers: head.headers.clone(),
            message: message.clone(),
        };
        self.seen.lock().unwrap().push(seen);
        let modern = !message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].is_null();
        if modern != (self.speaks == Speaks::Modern) {
            let error = json!({ "code": -32000, "message": "Server not initialized" });
            return whole(400, &json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }));
        }
        let known = message["method"] == "initialize" || self.sessions.lock().unwrap().contains_key(&session);
        if !modern && !known {
            return whole(404, &Value::Null);
        }
        match head.method.as_str() {
            "GET" => {
                let (to, from) = mpsc::unbounded_channel();
                self.streams.lock().unwrap().push((session, Value::Null, to));
                events(from)
            }
            "DELETE" => {
                self.sessions.lock().unwrap().remove(&session);
                whole(200, &Value::Null)
            }
            _ if message["id"].is_null() || message["method"].is_null() => whole(202, &Value::Null),
            _ => self.request(&session, &message).await,
        }
    }

    async fn request(self: Arc<Self>, session: &str, message: &Value) -> Response<Body> {
        let (id, params) = (&message["id"], &message["params"]);
        let stamp = |mut result: Value| {
            if self.speaks == Speaks::Modern {
                result["resultType"] = "complete".into();
            }
            json!({ "jsonrpc": "2.0", "id": id, "result": result })
        };
        let capabilities = json!({ "tools": { "listChanged": true }, "prompts": {}, "completions": {}, "logging": {},
            "resources": { "subscribe": true, "listChanged": true } });
        let info = json!({ "name": "made up", "version": "1" });
        match message["method"].as_str().unwrap() {
            "initialize" => {
                let mut sessions = self.sessions.lock().unwrap();
                let session = format!("s{}", sessions.len() + self.seen.lock().unwrap().len());
                sessions.insert(session.clone(), params["capabilities"].clone());
                let result =
                    json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info });
                let mut response = whole(200, &stamp(result));
                response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
                response
            }
            "server/discover" => whole(
                200,
                &stamp(json!({ "supportedVersions": ["2026-07-28"], "capabilities": capabilities, "ttlMs": 0,
                    "cacheScope": "public", "_meta": { "io.modelcontextprotocol/serverInfo": info } })),
            ),
            "tools/list" => {
                let schema = json!({ "type": "object", "properties": {
                    "region": { "type": "string", "x-mcp-header": "Region" } } });
                let can = match self.speaks {
                    Speaks::Modern => params["_meta"]["io.modelcontextprotocol/clientCapabilities"].clone(),
                    Speaks::Legacy => self.sessions.lock().unwrap()[session].clone(),
                };
                let mut names = self.tools.lock().unwrap().clone();
                if can["elicitation"].is_object() {
                    names.extend(self.asking_tools.lock().unwrap().iter().cloned());
                }
                let tools: Vec<_> = names.iter().map(|name| json!({ "name": name, "inputSchema": schema })).collect();
                let mut result = json!({ "tools": tools });
                if self.speaks == Speaks::Modern {
                    result["ttlMs"] = 60_000.into();
                    result["cacheScope"] = "public".into();
                }
                whole(200, &stamp(result))
            }
            "tools/call" => self.clone().call(session, message).await,
            "subscriptions/listen" => {
                let (to, from) = mpsc::unbounded_channel();
                let meta = json!({ "io.modelcontextprotocol/subscriptionId": id });
                if params["notifications"]["resourceSubscriptions"][0] != "made://unacknowledged" {
                    let _ = to.send(json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                        "params": { "_meta": meta, "notifications": params["notifications"] } }));
                }
                self.streams.lock().unwrap().push((String::new(), id.clone(), to));
                events(from)
            }
            "resources/read" if params["uri"] == "made://none" => {
                let code = if self.speaks == Speaks::Modern { -32602 } else { -32002 };
                whole(200, &json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": "no such" } }))
            }
            "prompts/list" => whole(200, &stamp(json!({ "prompts": [{ "name": "p" }] }))),
            "prompts/get" => whole(200, &stamp(json!({ "messages": [], "description": params["name"] }))),
            "resources/list" => whole(200, &stamp(json!({ "resources": [{ "uri": "made://a", "name": "a" }] }))),
            "resources/read" => whole(200, &stamp(json!({ "contents": [{ "uri": params["uri"], "text": "x" }] }))),
            "completion/complete" => whole(200, &stamp(json!({ "completion": { "values": ["x"] } }))),
            "resources/subscribe" | "resources/unsubscribe" | "ping" | "logging/setLevel" => {
                whole(200, &stamp(json!({})))
            }
            other => whole(
                if self.speaks == Speaks::Modern { 404 } else { 200 },
                &json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": format!("no {other}") } }),
            ),
        }
    }

    async fn call(self: Arc<Self>, session: &str, message: &Value) -> Response<Body> {
        let (id, params) = (message["id"].clone(), message["params"].clone());
        let result = |mut result: Value| {
            if self.speaks == Speaks::Modern && result["resultType"].is_null() {
                result["resultType"] = "complete".into();
            }
            json!({ "jsonrpc": "2.0", "id": id, "result": result })
        };
        let echo = result(json!({ "content": [], "structuredContent": { "params": params, "session": session } }));
        let (to, from) = mpsc::unbounded_channel();
        match params["name"].as_str().unwrap_or_default() {
            "progress" => {
                let note = |n: u64| {
                    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params":
                        { "progressToken": params["_meta"]["progressToken"], "progress": n, "total": 2, "extra": "kept" } })
                };
                let log = json!({ "jsonrpc": "2.0", "method": "notifications/message",
                    "params": { "level": "warning", "data": "half way" } });
                let fine = json!({ "jsonrpc": "2.0", "method": "notifications/message",
                    "params": { "level": "debug", "data": "too fine" } });
                for message in [note(1), log, fine, note(2), echo] {
                    let _ = to.send(message);
                }
            }
            "hang" => {
                self.streams.lock().unwrap().push((session.to_owned(), Value::Null, to));
            }
            "ask" => {
                let question = json!({ "jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": { "message": "name?" } });
                let _ = to.send(question);
                let state = self.clone();
                tokio::spawn(async move {
                    loop {
                        let answer = state.seen.lock().unwrap().iter().find(|s| s.message["id"] == "q1").cloned();
                        if let Some(answer) = answer {
                            let result = json!({ "content": [], "structuredContent": { "answer": answer.message, "on": answer.session } });
                            return drop(to.send(json!({ "jsonrpc": "2.0", "id": id, "result": result })));
                        }
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                });
            }
            "link" => {
                let link = json!({ "type": "resource_link", "uri": "made://a", "name": "a" });
                return whole(200, &result(json!({ "content": [link] })));
            }
            "input" if params["inputResponses"].is_null() => {
                return whole(
                    200,
                    &result(json!({ "resultType": "input_required", "requestState": "opaque",
                    "inputRequests": { "name": { "method": "elicitation/create", "params": { "message": "name?" } } } })),
                );
            }
            _ => return whole(200, &echo),
        }
        events(from)
    }

    fn say(&self, method: &str, params: &Value) {
        for (_, subscription, to) in self.streams.lock().unwrap().iter() {
            let mut params = params.clone();
            if !subscription.is_null() {
                params["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": subscription });
            }
            let _ = to.send(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
        }
    }
}
