//! A platform with a gateway, an upstream that tells what it was sent, and requests written as they are.

use crate::support::platform::{PATIENCE, ana, platform};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use mcpdeck::api::Listening;
use mcpdeck::control::Platform;
use mcpdeck::control::principals::hash_of;
use mcpdeck::model::principal::{NewKey, Role};
use mcpdeck::model::{Act, Answer, Command, Operator, Query, Refusal, Stamp};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub const SECRET: &str = "a secret of forty bytes, shared by nobody";

pub const TENANTS: &str = r#"
[[server]]
id = "etim"
inject = { arguments = { customer_id = "{tenant.id}" } }
run = { backend = "simulated", tools = ["search"], latency = "1ms" }
[[tenant]]
id = "eaton"
aliases = ["e-1"]
name = "EATON Group"
enabled = ["etim"]
[[tenant]]
id = "vatt"
enabled = ["etim"]
"#;

pub struct World {
    pub platform: Platform,
    gateway: Listening,
    pub dir: TempDir,
}

/// What came back: status, head in lower case, body.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The tenant that the made-up server was told.
    pub fn tenant(&self) -> Option<&'static str> {
        ["eaton", "vatt"].into_iter().find(|tenant| self.body.contains(tenant))
    }
}

impl World {
    /// `api` is what stands in `[api]` besides `listen`.
    pub async fn start(api: &str, rest: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), api, rest).await
    }

    pub async fn start_in(dir: TempDir, api: &str, rest: &str) -> Self {
        std::fs::write(dir.path().join("secret"), SECRET).unwrap();
        let platform = platform(dir.path(), &format!("[api]\nlisten = [\"127.0.0.1:0\"]\n{api}\n{rest}"));
        platform.ready().await.unwrap();
        let gateway = Listening::open(platform.handle.clone()).await.unwrap().expect("it listens");
        Self { platform, gateway, dir }
    }

    pub fn at(&self) -> SocketAddr {
        self.gateway.addresses[0]
    }

    pub async fn end(self) -> TempDir {
        self.gateway.close(PATIENCE).await;
        self.platform.shutdown(PATIENCE).await;
        self.dir
    }

    pub async fn run(&self, command: Command) -> Result<(), Refusal> {
        self.run_as(ana(), command).await
    }

    pub async fn run_as(&self, operator: Operator, command: Command) -> Result<(), Refusal> {
        self.platform.handle.run(Act { command, operator, confirm: None }).await.map(drop)
    }

    pub async fn ask(&self, query: Query) -> Answer {
        self.platform.handle.ask(query).await.unwrap()
    }

    /// Makes a key; its text.
    pub async fn key(&self, id: &str, role: Role, tenant: Option<&str>) -> String {
        let text = format!("mdk_{id}_{}", "5".repeat(64));
        let (hash, tenant) = (hash_of(&text), tenant.map(Into::into));
        let key = NewKey { id: id.to_owned(), hash, name: "ci".to_owned(), role, tenant, expires: None };
        self.run(Command::CreateKey(key)).await.unwrap();
        text
    }

    pub async fn send(&self, line: &str, headers: &str, body: &str) -> Got {
        send(self.at(), line, headers, body).await
    }

    /// A call of the one tool there is.
    pub async fn call(&self, headers: &str) -> Got {
        self.send("POST /mcp/etim", headers, &search()).await
    }

    /// The same until the platform has begun: what tokens are verified with is read behind its start.
    pub async fn call_once_begun(&self, headers: &str) -> Got {
        let answered = async {
            loop {
                let got = self.call(headers).await;
                if got.status != 503 {
                    return got;
                }
            }
        };
        timeout(PATIENCE, answered).await.expect("it begins")
    }
}

pub async fn send(at: SocketAddr, line: &str, headers: &str, body: &str) -> Got {
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    let mut stream = TcpStream::connect(at).await.unwrap();
    // A server that refuses a head may hang up before it has read all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Got { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub fn search() -> String {
    let params = json!({ "name": "search", "arguments": { "query": "x" } });
    json!({ "jsonrpc": "2.0", "id": "call-7", "method": "tools/call", "params": params }).to_string()
}

/// A token over `claims`, signed with HS256 and `secret`; it ends in an hour unless they say otherwise.
pub fn token(secret: &str, mut claims: Value) -> String {
    let now = Stamp::now().0 / 1000;
    if claims.get("exp").is_none() {
        claims["exp"] = json!(now + 3600);
    }
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// An MCP server over HTTP that keeps every byte it is sent; its URL.
pub async fn recorder() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(record(stream, kept.clone()));
        }
    });
    (url, seen)
}

/// Answers one request after the other on a connection.
async fn record(mut stream: TcpStream, kept: Arc<Mutex<Vec<u8>>>) {
    let mut bytes = Vec::new();
    loop {
        let whole = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            let (head, _) = text.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            Some(head.len() + 4 + length.map_or(0, |length| length.trim().parse::<usize>().unwrap()))
        };
        while whole(&bytes).is_none_or(|length| bytes.len() < length) {
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
        let length = whole(&bytes).unwrap();
        let request: Vec<u8> = bytes.drain(..length).collect();
        kept.lock().unwrap().extend_from_slice(&request);
        let text = String::from_utf8_lossy(&request).into_owned();
        let message: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap_or_default();
        let result = match message["method"].as_str() {
            Some("initialize") => json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                "serverInfo": { "name": "recorder", "version": "1" } }),
            Some("tools/list") => json!({ "tools": [{ "name": "search", "inputSchema": { "type": "object" } }] }),
            _ => json!({ "content": [] }),
        };
        let answer = match (message["method"].as_str(), message.get("id")) {
            (Some("server/discover"), Some(id)) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "unknown" } }).to_string()
            }
            (Some(_), Some(id)) => json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string(),
            _ => String::new(),
        };
        let status = if answer.is_empty() { "202 Accepted" } else { "200 OK" };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        if stream.write_all(format!("{head}{answer}").as_bytes()).await.is_err() {
            return;
        }
    }
}
