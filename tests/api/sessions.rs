//! Sessions of legacy clients: how they begin, whose they are, how they end.

use super::upstream::{Speaks, Upstream};
use super::web::{BOTH, Legacy, modern, request, send};
use super::{CONFIG, Deck, with};
use crate::support::platform::PATIENCE;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_initialize_and_ends_with_delete() {
    let deck = Deck::start(CONFIG).await;
    let client = Legacy::begin(deck.at(), "etim", json!({})).await;
    assert_eq!(client.greeting["protocolVersion"], "2025-11-25");
    assert_eq!(client.greeting["serverInfo"]["name"], "simulated etim");
    assert_eq!(client.ask(1, "ping", json!({})).await.json().await, json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    let list = client.ask("a", "tools/list", json!({})).await.json().await;
    assert_eq!((&list["id"], &list["result"]["tools"][0]["name"]), (&json!("a"), &json!("search")));
    let call = client.ask(2, "tools/call", json!({"name": "search", "arguments": {"customer_id": "vatt"}})).await;
    assert_eq!((call.status, call.header("content-type")), (200, "application/json"));
    let call = call.json().await;
    assert_eq!(call["result"]["structuredContent"]["arguments"]["customer_id"], "eaton", "{call}");
    assert_eq!(call["result"]["resultType"], Value::Null, "no word of another era");
    assert_eq!(client.tell("notifications/roots/list_changed", json!({})).await, 202);
    assert_eq!((client.end().await, client.end().await), (204, 404));
    assert_eq!(client.ask(3, "tools/list", json!({})).await.status, 404);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_session_of_the_caller_is_none() {
    let deck = Deck::start(&CONFIG.replace(r#"{ tenant = "eaton" }"#, r#"{ role = "operator" }"#)).await;
    let hello = json!({ "protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": {"name": "c"} });
    let eaton = ("X-Customer-ID", "eaton");
    let got = send(deck.at(), "POST", "/mcp/etim", &[BOTH, eaton], request(1, "initialize", hello)).await;
    let session = got.header("mcp-session-id").to_owned();
    assert_eq!(got.json().await["result"]["protocolVersion"], "2025-11-25", "ours, where we do not know theirs");
    let (number, secret) = session.split_once('-').unwrap();
    assert_eq!(secret.len(), 48, "not to be guessed");
    let guessed = format!("{number}-{}", "0".repeat(48));
    for (path, tenant, id, version, status) in [
        ("/mcp/etim", "eaton", &*session, "2025-11-25", 200),
        ("/mcp/etim", "vatt", &session, "2025-11-25", 404),
        ("/mcp/slow", "eaton", &session, "2025-11-25", 404),
        ("/mcp/etim", "eaton", &guessed, "2025-11-25", 404),
        ("/mcp/etim", "eaton", "", "2025-11-25", 404),
        ("/mcp/etim", "eaton", "a session", "2025-11-25", 404),
        ("/mcp/etim", "eaton", &session, "1999-01-01", 400),
        ("/mcp/etim", "eaton", &session, "2024-11-05", 200),
    ] {
        let headers = [BOTH, ("X-Customer-ID", tenant), ("Mcp-Session-Id", id), ("MCP-Protocol-Version", version)];
        for (verb, body) in [("POST", request(7, "tools/list", json!({}))), ("GET", String::new())] {
            let got = send(deck.at(), verb, path, &headers, body).await;
            assert_eq!(got.status, status, "{verb} {path} {tenant} {id} {version}");
        }
        if status == 404 {
            assert_eq!(send(deck.at(), "DELETE", path, &headers, "").await.status, 404);
        }
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_may_not_send_is_told_in_its_own_terms() {
    let deck = Deck::start(CONFIG).await;
    let client = Legacy::begin(deck.at(), "etim", json!({})).await;
    let deep = request(1, "tools/call", json!({"name": "search"})).replace("\"search\"", &"[".repeat(200));
    for (body, status, code) in [
        ("{".to_owned(), 400, json!(-32700)),
        ("[]".to_owned(), 400, json!(-32600)),
        (deep, 400, json!(-32600)),
        (request(Value::Null, "tools/list", json!({})), 400, json!(-32600)),
        (request(1, "logging/setLevel", json!({"level": "loud"})), 200, json!(-32602)),
        // It is kept for as long as the session, whether its client is there or not.
        (request(1, "resources/subscribe", json!({"uri": format!("a:{}", "x".repeat(3000))})), 200, json!(-32602)),
        (request(1, "logging/setLevel", json!({"level": "debug"})), 200, Value::Null),
        (json!({"jsonrpc": "2.0", "id": 99, "result": {}}).to_string(), 202, Value::Null),
    ] {
        let got = client.post(body.clone()).await;
        let (got_status, answer) = (got.status, got.json().await);
        assert_eq!((got_status, &answer["error"]["code"]), (status, &code), "{body}: {answer}");
    }
    for hello in [json!({}), json!({"protocolVersion": "2025-11-25", "capabilities": [], "clientInfo": {}})] {
        let got = send(deck.at(), "POST", "/mcp/etim", &[BOTH], request(1, "initialize", hello)).await;
        assert_eq!((got.status, got.header("mcp-session-id")), (400, ""));
    }
    // A server that the tenant has not gives no session.
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {} });
    let got = send(deck.at(), "POST", "/mcp/law", &[BOTH], request(1, "initialize", hello)).await;
    assert_eq!(got.header("mcp-session-id"), "");
    assert!(got.text().await.contains("unknown server"));
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_bounded_and_those_that_nobody_uses_end() {
    let limits = "[api]\nmax_sessions = 4\nsession_idle = \"1s\"";
    let deck = Deck::start(&CONFIG.replace("[api]", limits)).await;
    let first = Legacy::begin(deck.at(), "etim", json!({})).await;
    let _second = Legacy::begin(deck.at(), "etim", json!({})).await;
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {} });
    let full = send(deck.at(), "POST", "/mcp/etim", &[BOTH], request(1, "initialize", hello)).await;
    assert_eq!(full.status, 503);
    assert!(full.text().await.contains("max_sessions"));
    // One that is listened to lives on, the other does not.
    let stream = first.listen().await;
    assert!(stream.is_stream() && stream.header("x-accel-buffering") == "no");
    let router = deck.platform.handle.inside().unwrap().router;
    let ended = async {
        while router.session_count() != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the idle one ends");
    assert_eq!(first.ask(1, "tools/list", json!({})).await.status, 200);
    // A newer stream takes the place of the older one, and DELETE ends it.
    let mut newer = first.listen().await;
    assert_eq!(stream.all().await, Vec::<Value>::new());
    assert_eq!(first.end().await, 204);
    assert_eq!(newer.next().await, None);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_has_a_session_of_its_own_upstream() {
    let upstream = Upstream::start(Speaks::Legacy).await;
    let deck = Deck::start(&with(&upstream)).await;
    let asks = json!({ "elicitation": {} });
    let (one, two) =
        (Legacy::begin(deck.at(), "up", asks.clone()).await, Legacy::begin(deck.at(), "up", asks.clone()).await);
    let echo = json!({ "name": "echo" });
    let on = async |client: &Legacy| {
        let answer = client.ask(1, "tools/call", echo.clone()).await.json().await;
        answer["result"]["structuredContent"]["session"].as_str().unwrap().to_owned()
    };
    let (first, second) = (on(&one).await, on(&two).await);
    assert!(first != second && on(&one).await == first, "{first} {second}");
    let hello = upstream.seen("initialize").into_iter().find(|seen| seen.message["params"]["capabilities"] == asks);
    assert_eq!(hello.expect("as the client said").message["params"]["clientInfo"]["name"], "tester");
    // The upstream forgets its sessions: the next call works, in a new one.
    upstream.forget();
    let third = on(&one).await;
    assert!(third != first);
    one.end().await;
    assert_eq!(upstream.sees("DELETE", 1).await[0].session, third);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_only_listen_do_not_hold_up_the_end() {
    let upstream = Upstream::start(Speaks::Legacy).await;
    let deck = Deck::start(&with(&upstream)).await;
    let client = Legacy::begin(deck.at(), "up", json!({})).await;
    let stream = client.listen().await;
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let listening = modern(deck.at(), "up", 9, "subscriptions/listen", filter).await;
    upstream.holds(2).await;
    let began = std::time::Instant::now();
    deck.end().await;
    assert!(began.elapsed() < Duration::from_secs(8), "not the whole of [api] drain");
    assert_eq!(stream.all().await, Vec::<Value>::new());
    let told = listening.all().await;
    assert_eq!((told.len(), &told[1]["id"], &told[1]["result"]["resultType"]), (2, &json!(9), &json!("complete")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_have_a_child_of_its_own_which_ends_with_its_session() {
    let own = "[[server]]\nid = \"own\"\nscope = \"session\"\nrun = { backend = \"simulated\", tools = [\"echo\"] }\n";
    let deck = Deck::start(&(CONFIG.replace(r#""slow"]"#, r#""slow", "own"]"#) + own)).await;
    let (one, two) =
        (Legacy::begin(deck.at(), "own", json!({})).await, Legacy::begin(deck.at(), "own", json!({})).await);
    let instance = async |client: &Legacy| {
        let answer = client.ask(1, "tools/call", json!({ "name": "echo" })).await.json().await;
        answer["result"]["structuredContent"]["instance"].as_str().unwrap().to_owned()
    };
    let (first, second) = (instance(&one).await, instance(&two).await);
    assert!(first.starts_with("own@eaton#") && second.starts_with("own@eaton#") && first != second, "{first} {second}");
    assert_eq!(one.end().await, 204);
    let gone = async {
        while deck.platform.handle.state().instances.iter().any(|row| row.key.to_string() == first) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("its child is gone");
    assert_eq!(instance(&two).await, second, "the other's is not");
    deck.end().await;
}
