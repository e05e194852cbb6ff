//! Many: sessions, customers, servers.

use super::line::{Answer, INITIALIZE, JSON, Line, echo, post};
use crate::cli::deck::{Deck, Serving};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::SocketAddr;

const SESSIONS: usize = 10_000;
/// What an open session may cost that nobody uses.
const SESSION_BYTES: usize = 10_000;
const TENANTS: usize = 1_000;
const SERVERS: usize = 20;
/// Requests that are sent before the first of their answers is read.
const AT_ONCE: usize = 100;

/// Answers to many requests on one connection, in their order.
fn ask_all(at: SocketAddr, requests: &[String]) -> Vec<Answer> {
    let mut line = Line::open(at);
    let mut answers = Vec::with_capacity(requests.len());
    for part in requests.chunks(AT_ONCE) {
        line.send(part.concat());
        answers.extend(part.iter().map(|request| line.answer().unwrap_or_else(|| panic!("hung up on: {request}"))));
    }
    answers
}

/// Bytes of memory that only this process has.
fn memory(serving: &Serving) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn ten_thousand_sessions_stay_open_and_cost_little() {
    let deck = Deck::new(
        r#"
[platform]
name = "test"
[api]
listen = ["127.0.0.1:0"]
anonymous = { tenant = "eaton" }
max_sessions = 40000
[[server]]
id = "etim"
run = { backend = "simulated", tools = ["echo"], latency = "0s" }
[[tenant]]
id = "eaton"
enabled = ["etim"]
"#,
    );
    let (serving, at) = deck.serve_http();
    let begin = |count| ask_all(at, &vec![post("/mcp/etim", JSON, INITIALIZE); count]);
    let id = |answer: &Answer| answer.header("mcp-session-id").unwrap_or_else(|| panic!("{answer:?}")).to_owned();
    // What the first ones cost is the program's, not theirs.
    begin(1_000);
    let before = memory(&serving);
    let sessions: HashSet<String> = begin(SESSIONS).iter().map(id).collect();
    let each = memory(&serving).saturating_sub(before) / SESSIONS;
    println!("{SESSIONS} idle sessions: {each} bytes each");
    assert!(sessions.len() == SESSIONS && each < SESSION_BYTES, "{} sessions of {each} bytes", sessions.len());

    let in_each = |verb: fn(&str) -> String| -> Vec<String> {
        sessions.iter().map(|id| verb(&format!("{JSON}Mcp-Session-Id: {id}\r\n"))).collect()
    };
    let works = |answer: Answer| assert!(answer.status == 200 && answer.json()["error"].is_null(), "{answer:?}");
    ask_all(at, &in_each(|headers| post("/mcp/etim", headers, &echo(7, "hello")))).into_iter().for_each(works);
    let end = in_each(|headers| super::line::bare("DELETE", "/mcp/etim", headers));
    assert!(ask_all(at, &end).iter().all(|answer| answer.status == 204));
    assert!(ask_all(at, &end).iter().all(|answer| answer.status == 404), "none is half alive");
}

#[test]
fn a_thousand_customers_of_twenty_servers_each_get_their_own() {
    let servers: String = (0..SERVERS).map(server).collect();
    let enabled: Vec<String> = (0..SERVERS).map(|n| format!("\"s{n}\"")).collect();
    let tenant = |n| format!("[[tenant]]\nid = \"t{n}\"\nenabled = [{}]\n", enabled.join(", "));
    let tenants: String = (0..TENANTS).map(tenant).collect();
    let head = "[platform]\nname = \"test\"\n[api]\nlisten = [\"127.0.0.1:0\"]\nanonymous = { role = \"operator\" }\n";
    let deck = Deck::new(&format!("{head}{servers}{tenants}"));
    let (serving, at) = deck.serve_http();
    let idle = memory(&serving);
    let call = |n: usize| {
        // Every second server has an instance for each customer: a thousand of those come to life.
        post(
            &format!("/mcp/s{}", n % SERVERS),
            &format!("{JSON}X-Customer-ID: t{n}\r\n"),
            &echo(n as u64, &format!("x{n}")),
        )
    };
    let calls: Vec<String> = (0..TENANTS).map(call).collect();
    let parts: Vec<Vec<String>> = calls.chunks(TENANTS / 4).map(<[String]>::to_vec).collect();
    let asked: Vec<_> = parts.into_iter().map(|part| std::thread::spawn(move || ask_all(at, &part))).collect();
    let answers = asked.into_iter().flat_map(|answers| answers.join().unwrap());
    for (n, answer) in answers.enumerate() {
        let body: Value = answer.json();
        let said = &body["result"]["structuredContent"];
        let got = (&body["id"], &said["arguments"]["customer_id"], &said["arguments"]["text"]);
        assert_eq!(got, (&json!(n), &json!(format!("t{n}")), &json!(format!("x{n}"))), "{body}");
    }
    println!(
        "{TENANTS} customers x {SERVERS} servers: {} MiB before the first call, {} MiB after one of each",
        idle >> 20,
        memory(&serving) >> 20
    );
}

fn server(n: usize) -> String {
    let scope = ["shared", "tenant"][n % 2];
    format!(
        "[[server]]\nid = \"s{n}\"\nscope = \"{scope}\"\ninject = {{ arguments = {{ customer_id = \"{{tenant.id}}\" }} }}\n\
         run = {{ backend = \"simulated\", tools = [\"echo\"], latency = \"0s\", start = \"1ms\" }}\n"
    )
}
