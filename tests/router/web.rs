//! HTTP upstreams: rmcp's own server as the oracle, and a made-up one that misbehaves as its path says.

use crate::support::web::serve;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, JsonObject, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// rmcp's server, in one era.
#[derive(Clone)]
struct Oracle(&'static [ProtocolVersion]);

impl ServerHandler for Oracle {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.0)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, rmcp::ErrorData> {
        let schema = json!({"type": "object", "properties": {
            "customer_id": {"type": "string", "x-mcp-header": "Customer"}, "region": {"type": "string", "x-mcp-header": "Region"}}});
        let schema: JsonObject = serde_json::from_value(schema).unwrap();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("echo", "echo", Arc::new(schema))]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, rmcp::ErrorData> {
        let parts = context.extensions.get::<hyper::http::request::Parts>().unwrap();
        let headers: serde_json::Map<String, Value> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
            .collect();
        let seen = json!({"arguments": request.arguments, "_meta": context.meta, "headers": headers});
        Ok(CallToolResult::structured(seen).into())
    }
}

pub async fn oracle(versions: &'static [ProtocolVersion]) -> String {
    let service = StreamableHttpService::new(
        move || Ok(Oracle(versions)),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    serve(move |request| {
        let service = service.clone();
        async move { service.handle(request).await }
    })
    .await
}

/// What the made-up server was sent.
#[derive(Default)]
pub struct Log {
    /// (HTTP method, JSON-RPC method, session header).
    seen: Mutex<Vec<(String, String, String)>>,
    sessions: AtomicUsize,
    /// Connections that are closed.
    left: AtomicUsize,
    /// Closes one that waits for it.
    leave: Notify,
}

impl Log {
    pub fn count(&self, http: &str, method: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|(h, m, _)| h == http && m == method).count()
    }

    /// Sessions that messages of a method came on.
    pub fn sessions_of(&self, method: &str) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|(_, m, _)| m == method).map(|(.., s)| s.clone()).collect()
    }

    pub async fn hears(&self, http: &str, method: &str) {
        until(&format!("{http} {method}"), || self.count(http, method) > 0).await;
    }

    /// Closes the connection on which `leaves` was called, after its answer was read.
    pub fn leave(&self) {
        self.leave.notify_one();
    }

    /// Returns once so many connections are closed.
    pub async fn leaves(&self, connections: usize) {
        until("hanging up", || self.left.load(SeqCst) >= connections).await;
    }
}

async fn until(what: &str, it_is_so: impl Fn() -> bool) {
    let waited = async {
        while !it_is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap_or_else(|_| panic!("no {what}"));
}

/// A legacy server with sessions, written by hand so that it can do wrong; the tool's name says what.
pub async fn made_up() -> (String, Arc<Log>) {
    let log = Arc::new(Log::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let kept = log.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let log = kept.clone();
            tokio::spawn(async move {
                talk(stream, log.clone()).await;
                log.left.fetch_add(1, SeqCst);
            });
        }
    });
    (url, log)
}

async fn talk(stream: TcpStream, log: Arc<Log>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut http, mut session, mut length) = (String::new(), String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value)) {
                Some((name, value)) if name == "mcp-session-id" => session = value.to_owned(),
                Some((name, value)) if name == "content-length" => length = value.parse().unwrap(),
                Some(_) => {}
                None => http = line.split(' ').next().unwrap().to_owned(),
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        log.seen.lock().unwrap().push((http.clone(), method, session.clone()));
        let answer = answer(&message, &session, &log);
        let (bytes, then) = answer;
        stream.write_all(&bytes).await.ok()?;
        match then {
            Then::GoOn => {}
            Then::Close => return None,
            Then::Leave => {
                log.leave.notified().await;
                return None;
            }
            // Until the client hangs up.
            Then::Hang => drop(stream.read_u8().await),
        }
    }
}

enum Then {
    GoOn,
    Close,
    /// Closes once it is told to.
    Leave,
    Hang,
}

fn full(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

const JSON: &str = "content-type: application/json\r\n";
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn answer(message: &Value, session: &str, log: &Log) -> (Vec<u8>, Then) {
    let id = &message["id"];
    let result = |value: Value| json!({"jsonrpc": "2.0", "id": id, "result": value}).to_string();
    let event = |value: String| format!("event: message\ndata: {value}\n\n");
    let echo =
        || result(json!({"content": [], "structuredContent": {"session": session, "params": message["params"]}}));
    let params = &message["params"];
    let say =
        |method: &str, params: Value| event(json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string());
    match (message["method"].as_str().unwrap_or_default(), params["name"].as_str().unwrap_or_default()) {
        ("server/discover", _) => {
            let body =
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no valid session"}}"#;
            (full("400 Bad Request", JSON, body), Then::GoOn)
        }
        ("initialize", _) => {
            let n = log.sessions.fetch_add(1, SeqCst);
            let hello = result(json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "made-up", "version": "1"}}));
            (full("200 OK", &format!("{JSON}mcp-session-id: s{n}\r\n"), &hello), Then::GoOn)
        }
        ("", _) | (_, "") if id.is_null() => (full("202 Accepted", "", ""), Then::GoOn),
        (_, "plain") => (full("200 OK", JSON, &echo()), Then::GoOn),
        // It does not say that it will.
        (_, "leaves at once") => (full("200 OK", JSON, &echo()), Then::Close),
        (_, "leaves") => (full("200 OK", JSON, &echo()), Then::Leave),
        (_, "stream") => {
            let token = &params["_meta"]["progressToken"];
            let body = [
                ": comment\n\nid: 1\ndata:\n\n".to_owned(),
                say("notifications/progress", json!({"progressToken": token, "progress": 1, "total": 2})),
                say("notifications/message", json!({"level": "info", "data": "hi"})),
                event(r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}"#.to_owned()),
                event(echo()),
            ];
            ((STREAM.to_owned() + &body.concat()).into_bytes(), Then::Hang)
        }
        (_, "hang") => (STREAM.into(), Then::Hang),
        (_, "silent") => (Vec::new(), Then::Hang),
        (_, "half stream") => ((STREAM.to_owned() + "data: {\"jsonrpc\"").into_bytes(), Then::Close),
        (_, "half body") => {
            (format!("HTTP/1.1 200 OK\r\n{JSON}content-length: 900\r\n\r\n{{").into_bytes(), Then::Close)
        }
        (_, "reset") => (Vec::new(), Then::Close),
        (_, "huge") => (full("200 OK", JSON, &"x".repeat(3 << 20)), Then::GoOn),
        (_, "html") => (full("200 OK", "content-type: text/html\r\n", "<html>"), Then::GoOn),
        (_, "garbage") => (full("200 OK", JSON, "hello"), Then::GoOn),
        (_, "wrong id") => (full("200 OK", JSON, r#"{"jsonrpc":"2.0","id":999999,"result":{}}"#), Then::GoOn),
        (_, "401") => (full("401 Unauthorized", "", "token expired"), Then::GoOn),
        (_, "500") => (full("500 Oops", "", "out of memory"), Then::GoOn),
        (_, "redirect") => (full("307 Elsewhere", "location: http://example.invalid/\r\n", ""), Then::GoOn),
        (_, "headers") => (full("200 OK", &"x-a: b\r\n".repeat(5000), ""), Then::GoOn),
        // The first session of each tenant is forgotten.
        (_, "forgetful") if session == "s1" => (full("404 Not Found", "", "no such session"), Then::GoOn),
        (_, "forgetful") => (full("200 OK", JSON, &echo()), Then::GoOn),
        ("tools/list", _) => (full("200 OK", JSON, &result(json!({"tools": []}))), Then::GoOn),
        ("ping", _) => (full("200 OK", JSON, &result(json!({}))), Then::GoOn),
        _ => (full("202 Accepted", "", ""), Then::GoOn),
    }
}
