//! Servers that die, hang, restart or lose their sessions behind the gateway: the call that meets it says so or goes on, the
//! next one works.

use super::line::{INITIALIZE, JSON, Line, echo, post};
use crate::cli::deck::Deck;
use crate::conformance::fixture::{self, LEGACY};
use crate::support::platform::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
[platform]
name = "test"
environment = "lab"
[api]
listen = ["127.0.0.1:0"]
anonymous = { tenant = "lab" }
[defaults]
timeout = "2s"
# How often a server may fail, and how long it then stays down, is not what is tried here.
restart = { backoff_min = "10ms", backoff_max = "20ms", max_failures = 1000, window = "1m", retry_failed = "1s" }
[[server]]
id = "memory"
builtin = "memory"
[[server]]
id = "web"
url = "{url}"
[[tenant]]
id = "lab"
enabled = ["memory", "web"]
"#;

const LIST: &str = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"notes_list","arguments":{}}}"#;
const TEXT: &str =
    r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"test_simple_text","arguments":{}}}"#;

/// Asks until the answer holds no error; `Err` is the last one.
fn works_again(at: SocketAddr, path: &str, headers: &str, body: &str) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = Line::open(at).ask(post(path, headers, body));
        match answer.json()["error"].is_null() {
            true => return Ok(()),
            false if Instant::now() > deadline => return Err(answer.body),
            false => std::thread::park_timeout(Duration::from_millis(10)),
        }
    }
}

fn session(at: SocketAddr, path: &str) -> String {
    let answer = Line::open(at).ask(post(path, JSON, INITIALIZE));
    let id = answer.header("mcp-session-id").unwrap_or_else(|| panic!("{answer:?}"));
    format!("{JSON}Mcp-Session-Id: {id}\r\n")
}

#[test]
fn a_process_that_dies_or_hangs_is_there_again_for_the_next_call() {
    let deck = Deck::new(&CONFIG.replace("{url}", "http://127.0.0.1:9/mcp"));
    let (_serving, at) = deck.serve_http();
    let headers = session(at, "/mcp/memory");
    works_again(at, "/mcp/memory", &headers, LIST).unwrap();
    let process = || {
        let rows = deck.run(&["get", "instances", "memory", "-o", "json"]).json();
        let pid = rows[0]["pid"].as_i64().unwrap_or_else(|| panic!("{rows}"));
        Pid::from_raw(pid.try_into().unwrap()).unwrap()
    };
    kill_process(process(), Signal::KILL).unwrap();
    works_again(at, "/mcp/memory", &headers, LIST).unwrap();
    kill_process(process(), Signal::STOP).unwrap();
    let hung = Line::open(at).ask(post("/mcp/memory", &headers, LIST));
    assert!(hung.body.contains("no answer within 2s"), "{hung:?}");
    kill_process(process(), Signal::CONT).unwrap();
    works_again(at, "/mcp/memory", &headers, LIST).unwrap();
}

#[test]
fn the_last_words_of_a_server_that_customers_share_are_for_its_operators() {
    let dying = r#"
[[server]]
id = "dies"
run = { command = ["sh", "-c", "echo the file of abb is locked >&2; exit 3"] }
restart = { backoff_min = "10ms", backoff_max = "20ms", max_failures = 1, window = "1m", retry_failed = "off" }
[[tenant]]
id = "abb"
enabled = ["web", "dies"]
[[tenant]]"#;
    let config = CONFIG.replace("{url}", "http://127.0.0.1:9/internal/mcp").replacen("[[tenant]]", dying, 1);
    let deck = Deck::new(&config.replace(r#"["memory", "web"]"#, r#"["memory", "web", "dies"]"#));
    let (_serving, at) = deck.serve_http();
    for (path, secret) in [("/mcp/dies", "abb"), ("/mcp/web", "internal")] {
        let told = Line::open(at).ask(post(path, JSON, TEXT));
        let says = told.json()["error"]["message"].to_string();
        let silent = says.contains("its operators see why") || says.contains("did not start within");
        assert!(silent && !says.contains(secret), "{path}: {says}");
    }
    for path in [
        "/api/calls",
        "/servers",
        "/servers/dies/info",
        "/servers/web/info",
        "/api/mcp-services/dies/health",
        "/status",
    ] {
        let told = Line::open(at).ask(super::line::bare("GET", path, ""));
        let secret = ["abb", "internal", "exited"].iter().find(|word| told.body.contains(**word));
        assert_eq!((told.status, secret), (200, None), "{path}: {}", told.body);
    }
    let shown = deck.run(&["explain", "dies"]).out;
    assert!(shown.contains("the file of abb is locked"), "operators see it: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_http_may_go_away_and_come_back_without_its_sessions() {
    let first = fixture::Served::start(LEGACY, None).await;
    let (url, port) = (first.url.clone(), first.port);
    let deck = Deck::new(&CONFIG.replace("{url}", &url));
    let (_serving, at) = deck.serve_http();
    let headers = session(at, "/mcp/web");
    for headers in [JSON, &headers] {
        works_again(at, "/mcp/web", headers, TEXT).unwrap();
    }
    first.end().await;
    let gone = Line::open(at).ask(post("/mcp/web", &headers, TEXT));
    assert!(!gone.json()["error"].is_null() && gone.json()["id"] == 5, "{gone:?}");
    let _second = fixture::Served::start(LEGACY, Some(port)).await;
    // One session of the gateway's and one of a client's: neither exists there any more.
    for headers in [JSON, &headers] {
        works_again(at, "/mcp/web", headers, TEXT).unwrap();
    }
    let unknown = Line::open(at).ask(post("/mcp/web", &headers, &echo(6, "x")));
    assert!(unknown.json()["error"]["message"].to_string().contains("echo"), "{unknown:?}");
}
