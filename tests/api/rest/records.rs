//! `/api/calls`, `/api/journal`, `/api/usage`, and the streams of events and logs.

use super::{Deck, EATON, OPERATOR, Value, call, config};
use crate::api::PATIENCE;
use mcpdeck::model::State;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// One call of each customer's, and an act.
async fn some_traffic(deck: &Deck) {
    for (server, customer) in [("etim", "vatt"), ("etim", "eaton"), ("law", "vatt")] {
        let (status, answer) = deck
            .tell(
                &format!("POST /mcp/{server}"),
                &format!("X-Customer-ID: {customer}\r\n"),
                &call("search", &json!({})),
            )
            .await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(deck.ask("POST /servers/graf@eaton/fence", "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_told_to_whom_they_concern() {
    let deck = Deck::start(&config(OPERATOR)).await;
    some_traffic(&deck).await;
    let whose = |calls: &Value| -> Vec<String> {
        let calls = calls["calls"].as_array().unwrap();
        calls.iter().map(|call| format!("{} {}", call["server"], call["customer"]).replace('"', "")).collect()
    };
    for (line, headers, told) in [
        ("GET /api/calls", "", &["law vatt", "etim eaton", "etim vatt"][..]),
        ("GET /api/calls?limit=1", "", &["law vatt"]),
        ("GET /api/calls?filter=server=etim", "", &["etim eaton", "etim vatt"]),
        ("GET /api/calls", "X-Customer-ID: eaton\r\n", &["etim eaton"]),
        ("GET /api/calls?filter=tenant=vatt", "X-Customer-ID: eaton\r\n", &[]),
    ] {
        let told_now = async {
            loop {
                let (_, calls) = deck.ask(line, headers).await;
                if whose(&calls) == told {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, told_now).await.unwrap_or_else(|_| panic!("{line} {headers}"));
    }
    let (_, journal) = deck.ask("GET /api/journal?limit=1", "").await;
    let newest = &journal["journal"][0];
    assert_eq!(
        (&newest["by"], &newest["face"], &newest["verb"]),
        (&json!("anonymous"), &json!("api"), &json!("fence"))
    );
    let (_, usage) = deck.ask("GET /api/usage?since=1h", "X-Customer-ID: eaton\r\n").await;
    let of =
        |row: &Value| row["customer"] == "eaton" || row["name"].as_str().is_some_and(|name| name.contains("eaton"));
    let rows = usage["operations"].as_array().unwrap().iter().chain(usage["resources"].as_array().unwrap());
    assert!(rows.clone().all(of), "{usage}");
    for (line, status, says) in [
        ("GET /api/calls?limit=0", 400, "allowed: 1 to 5000"),
        ("GET /api/calls?filter=colour=red", 400, "colour"),
        ("GET /api/calls?limt=1", 400, "unknown field `limt`"),
        ("GET /api/usage?since=yesterday", 400, "since: `yesterday` is no time"),
        ("GET /api/events?backlog=9999", 400, "at most 1000"),
        ("GET /servers/etim/logs?tail=100000", 400, "at most 5000"),
    ] {
        let (got, answer) = deck.ask(line, "").await;
        assert!(got == status && answer.to_string().contains(says), "{line}: {got} {answer}");
    }
    deck.end().await;
}

/// A stream of events that stays open.
struct Stream(TcpStream, String);

impl Stream {
    async fn open(deck: &Deck, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(deck.at()).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes()).await.unwrap();
        let mut stream = Self(stream, String::new());
        stream.until("text/event-stream").await;
        stream
    }

    /// Reads until `text` has come.
    async fn until(&mut self, text: &str) {
        let reading = async {
            let mut part = [0; 4096];
            while !self.1.contains(text) {
                let n = self.0.read(&mut part).await.unwrap();
                assert!(n > 0, "it ended without {text:?}: {}", self.1);
                self.1.push_str(&String::from_utf8_lossy(&part[..n]));
            }
        };
        timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("{text:?} never came: {}", self.1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_they_happen_and_each_reader_gets_its_own() {
    let deck = Deck::start(&config(OPERATOR)).await;
    let mut all = Stream::open(&deck, "/api/events?backlog=10", "").await;
    let mut eaton = Stream::open(&deck, "/api/events", "X-Customer-ID: eaton\r\n").await;
    for key in ["graf@vatt", "graf@eaton"] {
        assert_eq!(deck.ask(&format!("POST /servers/{key}/start"), "").await.0, 200);
    }
    all.until("start graf@eaton").await;
    all.until(r#""object":"graf@vatt","from":"starting","to":"ready""#).await;
    eaton.until(r#""object":"graf@eaton","from":"starting","to":"ready""#).await;
    assert!(!eaton.1.contains("vatt") && !eaton.1.contains("event: act"), "{}", eaton.1);
    // A reader does not hold up the end: it is told.
    let (platform, gateway) = (deck.platform, deck.gateway);
    timeout(PATIENCE / 2, gateway.close(PATIENCE)).await.expect("streams end with the gateway");
    all.until("event: end").await;
    platform.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_once_or_followed_by_those_whose_they_are() {
    let deck = Deck::start(&config(EATON)).await;
    let (status, why) = deck.ask("GET /servers/etim/logs", "").await;
    assert!(status == 403 && why["error"].as_str().unwrap().contains("several customers"), "{status} {why}");
    let mut following = Stream::open(&deck, "/servers/graf/logs?follow=true", "").await;
    let (status, _) = deck.tell("POST /mcp/graf", "", &call("panels", &json!({}))).await;
    assert_eq!(status, 200);
    deck.until("graf@eaton", State::Ready).await;
    following.until(r#""instance":"graf@eaton","source":"deck""#).await;
    let (_, logs) = deck.ask("GET /servers/graf/logs?tail=50&since=10m", "").await;
    let lines = logs["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["text"].as_str().unwrap().contains("ready")), "{logs}");
    assert!(lines.iter().all(|line| line["instance"] == "graf@eaton"), "{logs}");
    // Whoever loses the server reads no further.
    assert_eq!(deck.ask("POST /api/mcp-services/disable/graf", "").await.0, 200);
    following.until("event: end").await;
    deck.end().await;
}
