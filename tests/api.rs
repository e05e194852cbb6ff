//! The HTTP gateway over real sockets, beside a whole platform.

mod consoles;
mod modern;
mod names;
mod rest;
mod rough;
mod sessions;
mod streams;
mod timeline;
mod upstream;
mod wake;
mod web;

use crate::support::platform::{PATIENCE, platform};
use mcpdeck::api::Listening;
use mcpdeck::control::Platform;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONFIG: &str = r#"
[api]
listen = ["127.0.0.1:0"]
anonymous = { tenant = "eaton" }
max_body = "4KiB"
read_timeout = "1s"
[[server]]
id = "etim"
inject = { arguments = { customer_id = "{tenant.id}" } }
run = { backend = "simulated", tools = ["search"], latency = "1ms" }
[[server]]
id = "slow"
run = { backend = "simulated", tools = ["think"], latency = "300ms" }
[[server]]
id = "law"
run = { backend = "simulated", tools = ["search"] }
[[tenant]]
id = "eaton"
enabled = ["etim", "slow"]
[[tenant]]
id = "vatt"
enabled = ["law"]
"#;

/// The config with one more server, `up`, which is this one.
fn with(upstream: &upstream::Upstream) -> String {
    CONFIG.replace(r#"enabled = ["etim", "slow"]"#, r#"enabled = ["etim", "slow", "up"]"#) + &upstream.config("up")
}

struct Deck {
    platform: Platform,
    gateway: Listening,
    _dir: TempDir,
}

impl Deck {
    async fn start(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let platform = platform(dir.path(), config);
        platform.ready().await.unwrap();
        let gateway = Listening::open(platform.handle.clone()).await.unwrap().expect("it listens");
        Self { platform, gateway, _dir: dir }
    }

    fn at(&self) -> SocketAddr {
        self.gateway.addresses[0]
    }

    async fn end(self) {
        self.gateway.close(PATIENCE).await;
        self.platform.shutdown(PATIENCE).await;
    }
}

/// Status and body of one request, written as it is.
async fn raw(at: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

pub async fn send(at: SocketAddr, line: &str, headers: &str, body: &str) -> (u16, String) {
    let length = body.len();
    raw(
        at,
        &format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ),
    )
    .await
}

fn call(tool: &str, arguments: &Value) -> String {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_call_needs_no_handshake_and_is_made_as_the_callers_tenant() {
    let deck = Deck::start(CONFIG).await;
    // What a caller writes about who it is counts for nothing.
    let forged = call("search", &json!({ "query": "x", "customer_id": "vatt" }));
    let (status, body) = send(deck.at(), "POST /mcp/etim", "X-Customer-ID: vatt\r\n", &forged).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["id"]), (200, &json!(7)), "{body}");
    assert!(body.contains("eaton") && !body.contains("vatt"), "{body}");
    let list = r#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#;
    let (status, body) = send(deck.at(), "POST /mcp/etim", "", list).await;
    assert!(status == 200 && body.contains(r#""search""#) && !body.contains("customer_id"), "{status} {body}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_says_why() {
    let deck = Deck::start(CONFIG).await;
    let search = call("search", &json!({}));
    let large = call("search", &json!({ "query": "x".repeat(5000) }));
    let nameless = search.replace("\"id\":7", "\"id\":null");
    let deep =
        search.replace("\"arguments\":{}", &format!("\"arguments\":{{\"q\":{}{}}}", "[".repeat(200), "]".repeat(200)));
    let key = "X-API-Key: nobody's\r\n";
    let basic = "Authorization: Basic abc\r\n";
    for (line, headers, body, status, says) in [
        // Another customer's server looks like one that does not exist.
        ("POST /mcp/law", "", &*search, 200, "unknown server `law`"),
        ("POST /mcp/nope", "", &search, 200, "unknown server `nope`"),
        ("POST /mcp/etim", "", "{", 200, "not a JSON-RPC message"),
        ("POST /mcp/etim", "", &large, 413, "larger than 4096 bytes"),
        ("POST /mcp/etim", key, &search, 401, "not known"),
        ("POST /mcp/etim", basic, &search, 401, "only scheme of Authorization is Bearer"),
        ("GET /mcp/etim", "", "", 405, "not offered here"),
        ("POST /mcp/", "", &search, 404, "name a server"),
        ("POST /mcp", "", &search, 200, "unknown tool `search`"),
        ("GET /nothing", "", "", 404, "nothing at /nothing"),
        ("GET /health", "", "", 200, "healthy"),
        ("GET /health", "Origin: http://localhost:3000\r\n", "", 200, "healthy"),
        ("POST /mcp/etim", "Origin: https://evil.example\r\n", &search, 403, "may not call"),
        ("POST /mcp/etim", "", &nameless, 200, "string or a number"),
        ("POST /mcp/etim", "", &deep, 200, "in each other"),
    ] {
        let (got, text) = send(deck.at(), line, headers, body).await;
        assert!(got == status && text.contains(says), "{line}: {got} {text}");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_nobody_calls_unless_the_config_names_who_that_is() {
    let deck = Deck::start(&CONFIG.replace("anonymous", "# anonymous")).await;
    let (status, body) = send(deck.at(), "POST /mcp/etim", "", &call("search", &json!({}))).await;
    assert!(status == 401 && body.contains("[api] anonymous"), "{status} {body}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_bent_to_lead_here_is_not_served() {
    let deck = Deck::start(CONFIG).await;
    let named = |host: &str| format!("GET /health HTTP/1.1\r\nHost: {host}\r\n");
    let here = named("localhost");
    for (head, status) in [
        (named("evil.example"), 403),
        (named("127.0.0.1:8080"), 200),
        (named("[::1]:8080"), 200),
        (named("localhost"), 200),
        (named("localhost:evil.example"), 403),
        (named("localhost@evil.example"), 403),
        (here.replace("/health", "http://localhost/health"), 200),
        (here.replace("/health", "http://evil.example/health"), 403),
        (here.clone() + "Host: evil.example\r\n", 400),
        (here.replace("Host: localhost\r\n", ""), 400),
        // Nobody's browser: those that watch over many machines ask like this.
        ("GET /health HTTP/1.0\r\n".to_owned(), 200),
        (here.clone() + "Origin: http://localhost:3000\r\n", 200),
        (here.clone() + "Origin: null\r\n", 403),
        (here.clone() + "Origin: http://localhost\r\nOrigin: https://evil.example\r\n", 403),
        (here.clone() + "Content-Encoding: gzip\r\n", 415),
    ] {
        assert_eq!(raw(deck.at(), &format!("{head}Connection: close\r\n\r\n")).await.0, status, "{head}");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_may_call_is_told_so_as_browsers_ask() {
    let page = "https://deck.example.com";
    let deck = Deck::start(&CONFIG.replace("[api]", &format!("[api]\norigins = [\"{page}\"]"))).await;
    let ask = async |origin: &str, head: &str, body: String| {
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let headers: Vec<_> = headers.lines().filter_map(|line| line.split_once(": ")).collect();
        let (verb, path) = line.split_once(' ').unwrap();
        let headers = [&[("Origin", origin)][..], &headers[..]].concat();
        web::send(deck.at(), verb, path, &headers, body).await
    };
    let preflight = "OPTIONS /mcp/etim\nAccess-Control-Request-Method: POST\n\
        Access-Control-Request-Headers: content-type,x-api-key,mcp-protocol-version";
    let may = ask(page, preflight, String::new()).await;
    assert_eq!((may.status, may.header("access-control-allow-origin")), (204, page));
    assert_eq!(may.header("access-control-allow-headers"), "content-type,x-api-key,mcp-protocol-version");
    assert!(may.header("access-control-allow-methods").contains("POST") && may.header("vary") == "origin");
    let answered = ask(page, "POST /mcp/etim", call("search", &json!({}))).await;
    assert_eq!((answered.status, answered.header("access-control-allow-origin")), (200, page));
    assert!(answered.header("access-control-expose-headers").contains("Mcp-Session-Id"));
    // What runs on this machine may call, but no page of it reads along unless it is listed.
    let local = ask("http://localhost:3000", "POST /mcp/etim", call("search", &json!({}))).await;
    assert_eq!((local.status, local.header("access-control-allow-origin")), (200, ""));
    let foreign = ask("https://evil.example", preflight, String::new()).await;
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, ""));
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_names_the_customer() {
    let deck = Deck::start(&CONFIG.replace(r#"{ tenant = "eaton" }"#, r#"{ role = "operator" }"#)).await;
    let search = call("search", &json!({ "query": "x" }));
    for (headers, status, says) in [
        ("X-Customer-ID: vatt\r\n", 200, "result"),
        ("X-Customer-ID: eaton\r\n", 200, "unknown server `law`"),
        ("X-Customer-ID: nobody\r\n", 404, "no customer `nobody`"),
        ("", 400, "X-Customer-ID"),
    ] {
        let (got, text) = send(deck.at(), "POST /mcp/law", headers, &search).await;
        assert!(got == status && text.contains(says), "{headers}: {got} {text}");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_servers_of_a_customer_are_one_endpoint() {
    let deck = Deck::start(CONFIG).await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let complete = async {
        loop {
            let (status, body) = send(deck.at(), "POST /mcp", "", list).await;
            assert!(status == 200 && !body.contains("law"), "another customer's server: {status} {body}");
            if body.contains(r#""etim_search""#) && body.contains(r#""slow_think""#) {
                return body;
            }
        }
    };
    let body = timeout(PATIENCE, complete).await.expect("both are listed");
    assert!(!body.contains("customer_id"), "{body}");
    let forged = call("etim_search", &json!({ "query": "x", "customer_id": "vatt" }));
    let (status, body) = send(deck.at(), "POST /mcp", "", &forged).await;
    assert!(status == 200 && body.contains("eaton") && !body.contains("vatt"), "{status} {body}");
    let foreign = call("law_search", &json!({}));
    let (_, body) = send(deck.at(), "POST /mcp", "", &foreign).await;
    assert!(body.contains("unknown tool `law_search`"), "{body}");
    let led = call("search", &json!({ "query": "x" }))
        .replace(r#""name":"search""#, r#""_meta":{"io.mcpdeck/route":{"target":"etim"}},"name":"search""#);
    let length = led.len();
    let request =
        format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{led}");
    let mut stream = TcpStream::connect(deck.at()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    assert!(answer.contains("x-mcpdeck-route: etim; confidence=1; reason=\"the request names `etim`\""), "{answer}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_come_is_not_waited_for() {
    let deck = Deck::start(CONFIG).await;
    // A head without its end, and a body that stops half-way.
    let (_, _) = raw(deck.at(), "POST /mcp/etim HTTP/1.1\r\nHost: localhost\r\n").await;
    let (status, body) =
        raw(deck.at(), "POST /mcp/etim HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{").await;
    assert!(status == 408 && body.contains("within its time"), "{status} {body}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_is_answered_before_the_gateway_closes() {
    let deck = Deck::start(CONFIG).await;
    let at = deck.at();
    let calling = tokio::spawn(async move { send(at, "POST /mcp/slow", "", &call("think", &json!({}))).await });
    let pending = async {
        while deck.platform.handle.state().pending.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, pending).await.expect("the call is in flight");
    deck.end().await;
    let (status, body) = calling.await.unwrap();
    assert!(status == 200 && body.contains("result"), "{status} {body}");
    TcpStream::connect(at).await.expect_err("nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_hung_up_on_and_cancelled() {
    let config = CONFIG
        .replace(r#"latency = "300ms""#, r#"latency = "20s""#)
        .replace("[api]", "[api]\ndrain = \"0s\"\nmax_connections = 1");
    let deck = Deck::start(&config).await;
    let (at, handle) = (deck.at(), deck.platform.handle.clone());
    let calling = tokio::spawn(async move { send(at, "POST /mcp/slow", "", &call("think", &json!({}))).await });
    let pending = |wanted: usize| {
        let handle = handle.clone();
        async move {
            while handle.state().pending.len() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    timeout(PATIENCE, pending(1)).await.expect("the call is in flight");
    deck.gateway.close(PATIENCE).await;
    timeout(PATIENCE / 4, pending(0)).await.expect("its call is cancelled");
    assert_eq!(calling.await.unwrap().0, 0, "no answer");
    TcpStream::connect(at).await.expect_err("nobody listens any more, though the one place was taken");
    deck.platform.shutdown(PATIENCE).await;
}
