//! What no honest client sends: floods, halves, what is too large; each gets its error, and the next client is served.

use super::web::{Legacy, modern, request};
use super::{CONFIG, Deck, raw, send};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::platform::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn floods_are_refused_before_they_are_read() {
    let deck = Deck::start(CONFIG).await;
    let list = request(1, "tools/list", json!({}));
    let params: String = (0..200).map(|n| format!("Mcp-Param-P{n}: =?base64?w6k=?=\r\n")).collect();
    let wide = format!("Mcp-Session-Id: {}\r\n", "a".repeat(1 << 20));
    let large = request(1, "tools/call", json!({ "name": "search", "arguments": { "q": "x".repeat(8 << 10) } }));
    for (headers, body, status) in [(&*params, &*list, 431), (&wide, &list, 431), ("", &large, 413)] {
        let (got, _) = send(deck.at(), "POST /mcp/etim", headers, body).await;
        assert_eq!(got, status, "{} bytes of headers", headers.len());
    }
    let client = Legacy::begin(deck.at(), "etim", json!({})).await;
    assert_eq!(client.post(large).await.status, 413, "in a session, too");
    assert_eq!(client.ask(1, "tools/list", json!({})).await.status, 200);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_half_way_costs_nobody_anything() {
    let deck = Deck::start(CONFIG).await;
    let body = request(1, "tools/call", json!({ "name": "think" }));
    let head = format!("POST /mcp/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    for (sent, what) in [
        (head.clone(), "no body"),
        (format!("{head}{}", &body[..10]), "half a body"),
        (format!("{head}{body}"), "all of it, and does not wait"),
        ("GET /mcp/etim HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: 1-0\r\n\r\n".to_owned(), "no session"),
    ] {
        let mut stream = TcpStream::connect(deck.at()).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap_or_else(|_| panic!("{what}")).unwrap();
    }
    let pending = async {
        while !deck.platform.handle.state().pending.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, pending).await.expect("what was begun is given up");
    let answer = modern(deck.at(), "slow", 2, "tools/call", json!({ "name": "think" })).await.json().await;
    assert_eq!((&answer["id"], &answer["error"]), (&json!(2), &Value::Null), "{answer}");
    let (status, _) = raw(deck.at(), "POST /mcp/etim HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n").await;
    assert_eq!(status, 400);
    deck.end().await;
}
