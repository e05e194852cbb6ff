//! Upstreams over HTTP+SSE (2024-11-05): a hand-written server that misbehaves as the tool's name says, and real ones.

use super::fixture::*;
use crate::support::skip;
use mcpdeck::model::instance::Transport;
use mcpdeck::model::server::EraChoice;
use mcpdeck::model::{Era, Outcome, State};
use mcpdeck::router::{Connect, OpenError, Opened};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a stream is told to write; `None` ends it.
type Line = mpsc::UnboundedSender<Option<String>>;

#[derive(Default)]
struct Server {
    streams: Mutex<HashMap<usize, Line>>,
    opened: Mutex<usize>,
    heard: Mutex<Vec<(String, usize)>>,
    /// Instead of its own address.
    endpoint: Option<String>,
}

impl Server {
    fn count(&self, method: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|(m, _)| m == method).count()
    }

    /// Ends every stream, as a proxy does with idle ones.
    fn cut(&self) {
        self.streams.lock().unwrap().drain().for_each(|(_, line)| drop(line.send(None)));
    }
}

/// Serves until the test ends; gives its URL.
async fn start(endpoint: Option<&str>) -> (String, Arc<Server>) {
    let server = Arc::new(Server { endpoint: endpoint.map(str::to_owned), ..Server::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap());
    let kept = server.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, kept.clone()));
        }
    });
    (url, server)
}

async fn talk(stream: TcpStream, server: Arc<Server>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut customer, mut length) = (String::new(), String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value)) {
                Some((name, value)) if name == "content-length" => length = value.parse().unwrap(),
                Some((name, value)) if name == "x-customer-id" => customer = value.to_owned(),
                Some(_) => {}
                None => first = line.to_owned(),
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        if first.starts_with("GET ") && target == "/sse" {
            return listen(stream, server).await;
        }
        let session = target.strip_prefix("/message?s=").and_then(|s| s.parse().ok());
        let line = session.and_then(|s: usize| server.streams.lock().unwrap().get(&s).cloned());
        let (Some(session), Some(line)) = (session, line) else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone").await.ok()?;
            continue;
        };
        let message: Value = serde_json::from_slice(&body).unwrap();
        server.heard.lock().unwrap().push((message["method"].as_str().unwrap_or_default().to_owned(), session));
        let status = answer(&message, session, &customer, &line);
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.ok()?;
    }
}

async fn listen(mut stream: BufReader<TcpStream>, server: Arc<Server>) -> Option<()> {
    let (line, mut lines) = mpsc::unbounded_channel();
    let session = {
        let mut opened = server.opened.lock().unwrap();
        *opened += 1;
        *opened
    };
    server.streams.lock().unwrap().insert(session, line);
    let endpoint = server.endpoint.clone().unwrap_or_else(|| format!("/message?s={session}"));
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: endpoint\ndata: {endpoint}\n\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    while let Some(Some(text)) = lines.recv().await {
        stream.write_all(format!("event: message\ndata: {text}\n\n").as_bytes()).await.ok()?;
    }
    None
}

/// The status of the POST; what is answered goes to the stream.
fn answer(message: &Value, session: usize, customer: &str, line: &Line) -> &'static str {
    let id = &message["id"];
    let say = |value: Value| drop(line.send(Some(value.to_string())));
    let result = |value: Value| say(json!({"jsonrpc": "2.0", "id": id, "result": value}));
    let params = &message["params"];
    match (message["method"].as_str().unwrap_or_default(), params["name"].as_str().unwrap_or_default()) {
        ("initialize", _) => result(json!({"protocolVersion": "2024-11-05", "capabilities": {"tools": {}},
            "serverInfo": {"name": "older", "version": "1"}})),
        ("ping", _) => result(json!({})),
        ("tools/list", _) => result(json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})),
        ("tools/call", "echo") => {
            let token = &params["_meta"]["progressToken"];
            if !token.is_null() {
                say(json!({"jsonrpc": "2.0", "method": "notifications/progress",
                    "params": {"progressToken": token, "progress": 1, "total": 2}}));
            }
            let seen = json!({"session": session, "customer": customer, "params": params});
            result(json!({"content": [], "structuredContent": seen}));
        }
        ("tools/call", "hang") => {}
        ("tools/call", "end") => drop(line.send(None)),
        ("tools/call", "huge") => result(json!({"text": "x".repeat(3 << 20)})),
        ("tools/call", "asks") => {
            say(json!({"jsonrpc": "2.0", "id": "q", "method": "roots/list"}));
            result(json!({"content": []}));
        }
        ("tools/call", "401") => return "401 Unauthorized",
        ("tools/call", "500") => return "500 Oops",
        _ => {}
    }
    "202 Accepted"
}

async fn open_with(platform: &Platform, connect: Connect, era: EraChoice) -> Result<Opened, OpenError> {
    let opened = platform.router.open(&key("etim"), connect, mcpdeck::router::OpenOptions { era, ..options() }).await?;
    platform.router.set_state(&key("etim"), State::Ready, "");
    Ok(opened)
}

async fn open(platform: &Platform, url: &str) -> Result<Opened, OpenError> {
    let connect = Connect::Sse { url: url.to_owned(), headers: Vec::new() };
    open_with(platform, connect, EraChoice::Auto).await
}

fn platform() -> Platform {
    let mut def = injecting("etim");
    def.settings.timeout = Duration::from_secs(2);
    Platform::new(vec![def], vec![tenant("eaton"), tenant("abb")])
}

#[tokio::test]
async fn a_server_that_refuses_posts_is_asked_for_its_stream() {
    for (connect, era) in
        [(false, EraChoice::Auto), (false, EraChoice::Legacy), (true, EraChoice::Auto), (true, EraChoice::Modern)]
    {
        let platform = platform();
        let (url, server) = start(None).await;
        let connect = match connect {
            true => Connect::Sse { url, headers: Vec::new() },
            false => Connect::Http { url, headers: Vec::new() },
        };
        let opened = open_with(&platform, connect, era).await.unwrap();
        assert_eq!((opened.transport, opened.era), (Transport::Sse, Era::Legacy));
        let reply = platform.call(tool_call("eaton", "etim", "echo", json!({"customer_id": "forged"}))).await;
        assert_eq!(reply.record.outcome, Outcome::Ok, "{reply:?}");
        let seen = reply.seen();
        assert_eq!(
            (&seen["customer"], &seen["params"]["arguments"]["customer_id"]),
            (&json!("eaton"), &json!("eaton"))
        );
        assert_eq!((server.count("initialize"), server.count("notifications/initialized")), (1, 1));
        assert!(platform.router.probe(&key("etim"), Duration::from_secs(5)).await.error.is_none());
    }
    // Who insists on the modern era gets no older one.
    let platform = platform();
    let (url, _server) = start(None).await;
    let error = open_with(&platform, Connect::Http { url, headers: Vec::new() }, EraChoice::Modern).await;
    assert!(matches!(error, Err(OpenError::Protocol(_))), "{error:?}");
}

#[tokio::test]
async fn one_session_serves_many_callers_at_once() {
    let platform = platform();
    let (url, server) = start(None).await;
    open(&platform, &url).await.unwrap();
    let calls = (0..100).map(|n| {
        let (router, who) = (platform.router.clone(), ["eaton", "abb"][n % 2]);
        tokio::spawn(async move {
            let reply = Reply::from(router.call(tool_call(who, "etim", "echo", json!({"n": n}))).await);
            assert_eq!(reply.record.outcome, Outcome::Ok, "{reply:?}");
            assert_eq!(reply.seen()["params"]["arguments"], json!({"n": n, "customer_id": who}));
            assert_eq!((&reply.seen()["customer"], &reply.seen()["session"]), (&json!(who), &json!(1)));
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(server.count("initialize"), 1);
}

#[tokio::test]
async fn a_stream_that_ended_is_opened_anew_by_the_next_call() {
    let platform = platform();
    let (url, server) = start(None).await;
    open(&platform, &url).await.unwrap();
    for session in 2..4 {
        server.cut();
        // Whether the end of the stream or the next call comes first: it works.
        let reply = platform.call(tool_call("eaton", "etim", "echo", json!({}))).await;
        assert_eq!(reply.record.outcome, Outcome::Ok, "{reply:?}");
        assert_eq!(reply.seen()["session"], session);
        assert_eq!(server.count("initialize"), session);
    }
}

#[tokio::test]
async fn faults_of_one_call_have_a_clear_end_and_leave_the_others_alone() {
    for (tool, outcome, says) in [
        ("hang", Outcome::Timeout, "no answer within 2s"),
        ("end", Outcome::Transport, "ended its stream"),
        ("huge", Outcome::Protocol, "max_message is 1048576"),
        ("asks", Outcome::Ok, ""),
        ("401", Outcome::Auth, "401 Unauthorized"),
        ("500", Outcome::Transport, "500 Internal Server Error"),
    ] {
        let platform = platform();
        let (url, server) = start(None).await;
        open(&platform, &url).await.unwrap();
        let reply = platform.call(tool_call("eaton", "etim", tool, json!({}))).await;
        assert_eq!(reply.record.outcome, outcome, "{tool}: {reply:?}");
        assert!(reply.error().contains(says), "{tool}: {}", reply.error());
        let after = platform.call(tool_call("abb", "etim", "echo", json!({}))).await;
        assert_eq!(after.record.outcome, Outcome::Ok, "after {tool}: {after:?}");
        let cancelled = async {
            while server.count("notifications/cancelled") < usize::from(tool == "hang") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), cancelled).await.unwrap_or_else(|_| panic!("{tool}"));
    }
}

#[tokio::test]
async fn an_endpoint_of_another_origin_is_refused() {
    let platform = platform();
    let (url, _server) = start(Some("http://example.invalid/message")).await;
    let error = open(&platform, &url).await.unwrap_err();
    assert!(error.to_string().contains("is of another origin"), "{error}");
    let (dead, _) = start(None).await;
    let dead = dead.replace("/sse", "/nothing");
    let error = open(&platform, &dead).await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
}

#[tokio::test]
async fn a_closed_connection_opens_no_stream() {
    let platform = platform();
    let (url, server) = start(None).await;
    open(&platform, &url).await.unwrap();
    let router = platform.router.clone();
    let call =
        tokio::spawn(async move { Reply::from(router.call(tool_call("eaton", "etim", "hang", json!({}))).await) });
    let waited = async {
        while server.count("tools/call") == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
    platform.router.close(&key("etim"), "stopped by a test");
    let reply = call.await.unwrap();
    assert_eq!((reply.record.outcome, reply.error()), (Outcome::Transport, "stopped by a test"));
}

/// A real server; killed when dropped.
async fn real(
    program: &str,
    arguments: &[&str],
    env: &[(&str, String)],
    path: &str,
) -> Option<(tokio::process::Child, String)> {
    let Some(servers) = std::env::var_os("MCPDECK_TEST_SERVERS").map(PathBuf::from) else {
        skip("real servers of 2024", "MCPDECK_TEST_SERVERS names no folder with the reference servers");
        return None;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let put = |text: &str| text.replace("{port}", &port.to_string());
    let child = tokio::process::Command::new(servers.join(program))
        .args(arguments.iter().map(|a| put(a)))
        .envs(env.iter().map(|(name, value)| (name, put(value))))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) => {
            skip("real servers of 2024", &format!("{program}: {error}"));
            return None;
        }
    };
    let listens = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), listens).await.expect("it listens");
    Some((child, format!("http://127.0.0.1:{port}{path}")))
}

const PYTHON: &str = "
import sys
from mcp.server import MCPServer
server = MCPServer('older')
@server.tool()
def echo(message: str) -> str:
    return 'Echo: ' + message
server.run(transport='sse', port=int(sys.argv[1]))
";

#[tokio::test]
async fn real_servers_of_2024_are_found_and_called() {
    let npm = real("bin/mcp-server-everything", &["sse"], &[("PORT", "{port}".to_owned())], "/sse").await;
    let python = real("venv/bin/python", &["-c", PYTHON, "{port}"], &[], "/sse").await;
    for (_child, url) in [npm, python].into_iter().flatten() {
        let mut def = server("etim");
        def.settings.timeout = Duration::from_secs(20);
        let platform = Platform::new(vec![def], vec![tenant("eaton")]);
        let connect = Connect::Http { url: url.clone(), headers: Vec::new() };
        let opened = open_with(&platform, connect, EraChoice::Auto).await.unwrap_or_else(|e| panic!("{url}: {e}"));
        assert_eq!(opened.transport, Transport::Sse, "{url}");
        let reply = platform.call(tool_call("eaton", "etim", "echo", json!({"message": "hello"}))).await;
        assert!(reply.body.to_string().contains("Echo: hello"), "{url}: {reply:?}");
        let catalog = platform.router.catalog(&"eaton".into(), &"etim".into(), false, None).await.unwrap();
        assert!(catalog.tools.contains("\"echo\""), "{url}: {catalog:?}");
    }
}
