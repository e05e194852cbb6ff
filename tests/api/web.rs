//! A small HTTP client that shows every header and every event as it comes.

use crate::support::platform::PATIENCE;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub const BOTH: (&str, &str) = ("Accept", "application/json, text/event-stream");
const MODERN: &str = "2026-07-28";

/// An answer; what is not read of it is hung up on.
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    body: Incoming,
    events: VecDeque<Value>,
    rest: Vec<u8>,
}

pub async fn send(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<String>) -> Got {
    let stream = TcpStream::connect(at).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("Host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.into()))).unwrap();
    let response = timeout(PATIENCE, sender.send_request(request)).await.expect("an answer in time").unwrap();
    let (head, body) = response.into_parts();
    Got { status: head.status.as_u16(), headers: head.headers, body, events: VecDeque::new(), rest: Vec::new() }
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn is_stream(&self) -> bool {
        self.header("content-type") == "text/event-stream"
    }

    pub async fn text(self) -> String {
        let body = timeout(PATIENCE, self.body.collect()).await.expect("a body in time").unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    }

    pub async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The next message of a stream; `None` at its end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("an event in time")?;
            self.rest.extend_from_slice(&frame.ok()?.into_data().unwrap_or_default());
            while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.rest.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                self.events.extend(data.map(|data| serde_json::from_str::<Value>(data).unwrap()));
            }
        }
    }

    /// Every message until the end: of a stream, or the one that a body is.
    pub async fn all(mut self) -> Vec<Value> {
        if !self.is_stream() {
            return vec![self.json().await];
        }
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

pub fn request(id: impl Into<Value>, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params }).to_string()
}

pub fn notification(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

/// A legacy client in its session.
pub struct Legacy {
    at: SocketAddr,
    path: String,
    pub session: String,
    /// The result of `initialize`.
    pub greeting: Value,
}

impl Legacy {
    pub async fn begin(at: SocketAddr, server: &str, capabilities: Value) -> Self {
        let path = path(server);
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": { "name": "tester", "version": "1" } });
        let got = send(at, "POST", &path, &[BOTH], request(0, "initialize", hello)).await;
        let session = got.header("mcp-session-id").to_owned();
        let answer = got.json().await;
        assert!(!session.is_empty(), "{answer}");
        let client = Self { at, path, session, greeting: answer["result"].clone() };
        assert_eq!(client.tell("notifications/initialized", json!({})).await, 202);
        client
    }

    pub async fn post(&self, body: String) -> Got {
        let headers = [BOTH, ("Mcp-Session-Id", &self.session), ("MCP-Protocol-Version", "2025-11-25")];
        send(self.at, "POST", &self.path, &headers, body).await
    }

    pub async fn ask(&self, id: impl Into<Value>, method: &str, params: Value) -> Got {
        self.post(request(id, method, params)).await
    }

    pub async fn tell(&self, method: &str, params: Value) -> u16 {
        self.post(notification(method, &params)).await.status
    }

    /// Opens the stream of notices.
    pub async fn listen(&self) -> Got {
        let headers = [("Accept", "text/event-stream"), ("Mcp-Session-Id", &*self.session)];
        send(self.at, "GET", &self.path, &headers, "").await
    }

    pub async fn end(&self) -> u16 {
        send(self.at, "DELETE", &self.path, &[("Mcp-Session-Id", &self.session)], "").await.status
    }
}

/// A request of a modern client, with everything that it must carry.
pub async fn modern(at: SocketAddr, server: &str, id: impl Into<Value>, method: &str, mut params: Value) -> Got {
    if params["_meta"].is_null() {
        params["_meta"] = json!({});
    }
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "elicitation": {} });
    let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or_default().to_owned();
    let mut headers = vec![BOTH, ("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)];
    if !name.is_empty() {
        headers.push(("Mcp-Name", &name));
    }
    send(at, "POST", &path(server), &headers, request(id, method, params)).await
}

/// Of a server, or of all.
fn path(server: &str) -> String {
    if server.is_empty() { "/mcp".to_owned() } else { format!("/mcp/{server}") }
}
