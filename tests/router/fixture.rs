//! A platform with made-up tenants, and MCP servers that do what the name of the called tool says.

use mcpdeck::model::call::Origin;
use mcpdeck::model::secret::{Hidden, Secret};
use mcpdeck::model::server::{EraChoice, Inject, Scope, Settings};
use mcpdeck::model::template::Template;
use mcpdeck::model::{CallRecord, Environment, InstanceKey, Run, ServerDef, State, TenantDef};
use mcpdeck::router::{
    CallBody, CallReply, CallRequest, Connect, OpenError, OpenOptions, Opened, Router, RouterEnds, Table,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;

/// What every server on pipes was started with.
pub const SECRET: &str = "hunter-22";

pub struct Platform {
    pub router: Arc<Router>,
    pub ends: RouterEnds,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub record: Arc<CallRecord>,
    pub body: Value,
}

impl From<CallReply> for Reply {
    fn from(reply: CallReply) -> Self {
        Self { record: reply.record, body: serde_json::from_slice(&reply.body).unwrap_or(Value::Null) }
    }
}

impl Reply {
    /// What the echo tool was called with.
    pub fn seen(&self) -> &Value {
        &self.body["result"]["structuredContent"]
    }

    pub fn error(&self) -> &str {
        self.record.error.as_deref().unwrap_or_default()
    }
}

pub fn server(id: &str) -> ServerDef {
    ServerDef {
        id: id.into(),
        name: id.to_owned(),
        description: String::new(),
        version: None,
        capabilities: Vec::new(),
        use_cases: Vec::new(),
        price: None,
        environment: None,
        scope: Scope::Shared,
        run: Run::Process(Default::default()),
        via: Default::default(),
        hints: Default::default(),
        inject: Inject { meta: true, ..Inject::default() },
        needs: Vec::new(),
        settings: Settings::default(),
        secrets: Default::default(),
        labels: Default::default(),
        defined_at: "test".to_owned(),
    }
}

pub fn injecting(id: &str) -> ServerDef {
    let template = |text: &str| Template::parse(text).unwrap();
    let mut def = server(id);
    def.inject.arguments.insert("customer_id".to_owned(), template("{tenant.id}"));
    def.inject.headers.insert("X-Customer-ID".to_owned(), template("{tenant.id}"));
    def
}

pub fn tenant(id: &str) -> TenantDef {
    TenantDef {
        id: id.into(),
        aliases: Vec::new(),
        name: format!("Tenant \"{id}\""),
        environment: Environment::Lab,
        read_only: false,
        guard: Default::default(),
        context: [("lakehouse_path".to_owned(), format!("/lake/{id}"))].into(),
        labels: Default::default(),
        secrets: Default::default(),
        enabled: Default::default(),
        servers: Default::default(),
        audit: Default::default(),
        call_limits: None,
    }
}

/// A call of a tool.
pub fn tool_call(tenant: &str, server: &str, tool: &str, arguments: Value) -> CallRequest {
    method_call(tenant, server, "tools/call", json!({"name": tool, "arguments": arguments}))
}

pub fn method_call(tenant: &str, server: &str, method: &str, params: Value) -> CallRequest {
    let body = CallBody::Method { method: method.to_owned(), params: params.to_string() };
    request(tenant, server, body)
}

pub fn raw_call(tenant: &str, server: &str, text: &str) -> CallRequest {
    request(tenant, server, CallBody::Raw(text.to_owned().into()))
}

fn request(tenant: &str, server: &str, body: CallBody) -> CallRequest {
    CallRequest {
        tenant: tenant.into(),
        server: server.into(),
        body,
        era: None,
        timeout: None,
        origin: Origin::Cli,
        principal: "test".into(),
        role: None,
        session: None,
        events: None,
    }
}

pub fn options() -> OpenOptions {
    OpenOptions {
        era: EraChoice::Auto,
        hint: None,
        probe_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        max_message: 1 << 20,
        max_in_flight: 1024,
    }
}

pub fn key(server: &str) -> InstanceKey {
    InstanceKey::shared(server.into())
}

impl Platform {
    /// Every tenant has every server enabled.
    pub fn new(servers: Vec<ServerDef>, tenants: Vec<TenantDef>) -> Self {
        let (router, ends) = Router::new();
        let platform = Self { router, ends };
        platform.set_table(servers, tenants, false);
        platform
    }

    pub fn set_table(&self, servers: Vec<ServerDef>, tenants: Vec<TenantDef>, read_only: bool) {
        let all: Vec<_> = servers.iter().map(|s| s.id.clone()).collect();
        self.router.set_table(Table {
            servers: servers.into_iter().map(Arc::new).collect(),
            tenants: tenants.into_iter().map(|t| (Arc::new(t), all.clone())).collect(),
            read_only,
            guards: Default::default(),
            routing: Default::default(),
        });
    }

    /// Two tenants and one shared server of this kind, open and ready.
    pub async fn with(speaks: Speaks) -> (Self, Stdio) {
        let platform = Self::new(vec![injecting("etim")], vec![tenant("eaton"), tenant("abb")]);
        let stdio = platform.open("etim", speaks).await.unwrap().1;
        (platform, stdio)
    }

    /// Opens the shared instance of a server and lets calls through.
    pub async fn open(&self, server: &str, speaks: Speaks) -> Result<(Opened, Stdio), OpenError> {
        let (connect, stdio) = Stdio::start(speaks);
        let opened = self.router.open(&key(server), connect, options()).await?;
        self.router.set_state(&key(server), State::Ready, "");
        Ok((opened, stdio))
    }

    pub async fn call(&self, request: CallRequest) -> Reply {
        self.router.call(request).await.into()
    }
}

/// How a server treats the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Legacy,
    Modern,
    /// Legacy, and silent to what it does not know.
    Silent,
    /// Legacy, and exits when it is probed.
    Exits,
    /// Answers `initialize` with this revision.
    Version(&'static str),
    /// Only tells by an error that it is modern.
    Hints,
}

/// The server's end.
pub struct Stdio {
    /// Every message it got.
    pub heard: Arc<Mutex<Vec<Value>>>,
    /// Lines that it shall write of its own accord.
    pub say: mpsc::UnboundedSender<Say>,
}

pub enum Say {
    Line(String),
    Bytes(Vec<u8>),
    Close,
}

impl Stdio {
    pub fn start(speaks: Speaks) -> (Connect, Self) {
        let (ours, theirs) = tokio::io::duplex(256 << 10);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (say, said) = mpsc::unbounded_channel();
        tokio::spawn(run(theirs, speaks, heard.clone(), say.clone(), said));
        let (stdout, stdin) = tokio::io::split(ours);
        let hidden = Hidden::new(&[Secret::new(SECRET.to_owned())]);
        (Connect::Stdio { stdin: Box::new(stdin), stdout: Box::new(stdout), hidden }, Self { heard, say })
    }

    pub fn count(&self, method: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|m| m["method"] == method).count()
    }

    /// Waits until it has got so many messages of a method.
    pub async fn hears(&self, method: &str, times: usize) {
        Self::until(&format!("{times} of {method}"), || self.count(method) >= times).await;
    }

    /// Asks for so many things in one breath, and waits until each has its answer.
    pub async fn asks_and_is_answered(&self, times: usize) {
        let ask = |n: usize| json!({"jsonrpc": "2.0", "id": format!("q{n}"), "method": "sampling/createMessage"});
        let breath: String = (0..times).map(|n| format!("{}\n", ask(n))).collect();
        self.say.send(Say::Bytes(breath.into_bytes())).unwrap();
        let is_answer = |m: &&Value| m["method"].is_null() && m["id"].as_str().is_some_and(|id| id.starts_with('q'));
        let answers = || self.heard.lock().unwrap().iter().filter(is_answer).count();
        Self::until(&format!("{times} answers"), || answers() >= times).await;
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        let waited = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap_or_else(|_| panic!("no {what}"));
    }
}

async fn run(
    pipe: DuplexStream,
    speaks: Speaks,
    heard: Arc<Mutex<Vec<Value>>>,
    say: mpsc::UnboundedSender<Say>,
    mut said: mpsc::UnboundedReceiver<Say>,
) {
    let (read, mut write) = tokio::io::split(pipe);
    let mut lines = BufReader::new(read).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                let Ok(message) = serde_json::from_str::<Value>(&line) else {
                    let _ = say.send(Say::Line(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#.into()));
                    continue;
                };
                heard.lock().unwrap().push(message.clone());
                if speaks == Speaks::Exits && message["method"] == "server/discover" {
                    return;
                }
                tokio::spawn(handle(message, speaks, say.clone()));
            }
            word = said.recv() => {
                let bytes = match word {
                    Some(Say::Line(line)) => (line + "\n").into_bytes(),
                    Some(Say::Bytes(bytes)) => bytes,
                    Some(Say::Close) | None => return,
                };
                if write.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn handle(message: Value, speaks: Speaks, say: mpsc::UnboundedSender<Say>) {
    if message["id"].is_null() {
        return;
    }
    let id = message["id"].clone();
    let line = |value: Value| drop(say.send(Say::Line(value.to_string())));
    let result = |value: Value| json!({"jsonrpc": "2.0", "id": id, "result": value});
    let error = |code: i64, text: &str| json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}});
    match message["method"].as_str().unwrap_or_default() {
        "server/discover" if speaks == Speaks::Modern => line(result(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
            "ttlMs": 0, "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "fixture", "version": "2"}},
        }))),
        "server/discover" if speaks == Speaks::Hints => line(json!({"jsonrpc": "2.0", "id": id, "error": {
            "code": -32022, "message": "no", "data": {"supported": ["2026-07-28"]}}})),
        "initialize" => {
            let version = if let Speaks::Version(version) = speaks { version } else { "2025-11-25" };
            line(result(json!({"protocolVersion": version, "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "fixture", "version": "1"}, "instructions": "be kind"})));
        }
        "ping" => line(result(json!({}))),
        "tools/list" => line(result(tools(message["params"]["cursor"].as_str()))),
        "tools/call" => call(&message["params"], &say, line, result, error).await,
        _ if speaks == Speaks::Silent => {}
        other => line(error(-32601, &format!("no {other}"))),
    }
}

fn tools(cursor: Option<&str>) -> Value {
    match cursor {
        None => json!({"nextCursor": "two", "tools": [
            {"name": "echo", "annotations": {"readOnlyHint": true}, "inputSchema": {"type": "object",
             "properties": {"customer_id": {"type": "string"}, "pin": {"type": "string", "format": "password"}},
             "required": ["customer_id"]}}]}),
        Some(_) => json!({"tools": [{"name": "hang", "inputSchema": {"type": "object"}}]}),
    }
}

async fn call(
    params: &Value,
    say: &mpsc::UnboundedSender<Say>,
    line: impl Fn(Value),
    result: impl Fn(Value) -> Value,
    error: impl Fn(i64, &str) -> Value,
) {
    let arguments = &params["arguments"];
    let echo = || result(json!({"content": [], "structuredContent": params}));
    match params["name"].as_str().unwrap_or_default() {
        "echo" => line(echo()),
        "hang" => {}
        "die" => drop(say.send(Say::Close)),
        "garbage" => {
            for n in 0..3 {
                let _ = say.send(Say::Bytes(format!("listening on {n}\n").into_bytes()));
            }
            let _ = say.send(Say::Bytes(b"\xff\xfe{\n".to_vec()));
            line(echo());
        }
        "huge" => {
            let bytes = arguments["bytes"].as_u64().unwrap_or_default() as usize;
            let text = result(json!({"content": [{"type": "text", "text": "x".repeat(bytes)}]})).to_string();
            let _ = say.send(Say::Line(text));
        }
        "half" => {
            let text = echo().to_string();
            let _ = say.send(Say::Bytes(text.as_bytes()[..text.len() / 2].to_vec()));
            let _ = say.send(Say::Close);
        }
        "progress" => {
            let token = &params["_meta"]["progressToken"];
            let steps = arguments["steps"].as_u64().unwrap_or_default();
            for step in 1..=steps {
                tokio::time::sleep(Duration::from_secs(20)).await;
                line(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params":
                    {"progressToken": token, "progress": step, "total": steps, "message": "working"}}));
            }
            line(echo());
        }
        "log" => {
            line(
                json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "hi"}}),
            );
            line(echo());
        }
        "ask" => {
            line(json!({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {}}));
            line(json!({"jsonrpc": "2.0", "id": "s2", "method": "ping"}));
            line(echo());
        }
        "fail" => line(result(json!({"isError": true, "content": [{"type": "text", "text": arguments["text"]}]}))),
        "error" => {
            line(error(arguments["code"].as_i64().unwrap_or(-32000), arguments["text"].as_str().unwrap_or("no")))
        }
        // As servers do that could not read the request.
        "nameless" => line(json!({"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}})),
        other => line(error(-32602, &format!("no tool {other}"))),
    }
}
