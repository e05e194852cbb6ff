//! What a client hears beside its answers: progress, log messages, questions, changes; and how it cancels.

use super::upstream::{Speaks, Upstream};
use super::web::{Legacy, modern, send};
use super::{Deck, with};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_says_something_is_answered_by_a_stream() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(speaks).await;
        let deck = Deck::start(&with(&upstream)).await;
        let old = Legacy::begin(deck.at(), "up", json!({})).await;
        let asks = |level: Option<&str>| {
            let mut meta = json!({ "progressToken": "mine" });
            if let Some(level) = level {
                meta["io.modelcontextprotocol/logLevel"] = level.into();
            }
            json!({ "name": "progress", "_meta": meta })
        };
        let progress = |n: u64| json!({"progressToken": "mine", "progress": n, "total": 2, "extra": "kept"});
        let warning = json!({ "level": "warning", "data": "half way" });
        let quiet = json!({ "name": "progress" });
        for (cell, got, want) in [
            // A legacy client that said nothing of it gets what matters.
            ("legacy", old.ask(7, "tools/call", asks(None)).await, vec![progress(1), warning.clone(), progress(2)]),
            ("legacy, no token", old.ask(7, "tools/call", quiet.clone()).await, vec![warning.clone()]),
            (
                "modern, no level",
                modern(deck.at(), "up", 7, "tools/call", asks(None)).await,
                vec![progress(1), progress(2)],
            ),
            (
                "modern",
                modern(deck.at(), "up", 7, "tools/call", asks(Some("info"))).await,
                vec![progress(1), warning, progress(2)],
            ),
        ] {
            assert!(got.is_stream() && got.header("x-accel-buffering") == "no", "{cell}");
            let mut all = got.all().await;
            let answer = all.pop().unwrap();
            let said: Vec<_> = all.iter().map(|message| message["params"].clone()).collect();
            assert_eq!(said, want, "{cell} client, {speaks:?} upstream");
            assert_eq!((&answer["id"], answer["result"].is_object()), (&json!(7), true), "{cell}: {answer}");
        }
        // Who takes no stream gets the answer alone.
        let json = [("Accept", "application/json"), ("Mcp-Session-Id", &*old.session)];
        let body = super::web::request(8, "tools/call", asks(None));
        let got = send(deck.at(), "POST", "/mcp/up", &json, body).await;
        assert_eq!((got.is_stream(), &got.json().await["id"]), (false, &json!(8)));
        // A level that the client asked for holds.
        assert_eq!(old.ask(9, "logging/setLevel", json!({"level": "error"})).await.json().await["result"], json!({}));
        assert!(!old.ask(7, "tools/call", quiet).await.is_stream());
        deck.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_server_asks_the_client_whose_call_it_is() {
    let upstream = Upstream::start(Speaks::Legacy).await;
    let deck = Deck::start(&with(&upstream)).await;
    let client = Legacy::begin(deck.at(), "up", json!({ "elicitation": {} })).await;
    let mut call = client.ask(1, "tools/call", json!({"name": "ask"})).await;
    let question = call.next().await.unwrap();
    assert_eq!((&question["method"], &question["params"]["message"]), (&json!("elicitation/create"), &json!("name?")));
    // Somebody else's answer is nobody's.
    let other = Legacy::begin(deck.at(), "up", json!({ "elicitation": {} })).await;
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept" } });
    assert_eq!(other.post(answer.to_string()).await.status, 202);
    assert!(upstream.seen("POST").iter().all(|seen| seen.message["id"] != "q1"));
    assert_eq!(client.post(answer.to_string()).await.status, 202);
    let done = call.next().await.unwrap();
    let seen = &done["result"]["structuredContent"];
    assert_eq!(
        (&seen["answer"]["id"], &seen["answer"]["result"]["action"]),
        (&json!("q1"), &json!("accept")),
        "{done}"
    );
    assert_eq!(call.next().await, None);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_cancelled_by_its_client_and_by_nobody_else() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(speaks).await;
        let deck = Deck::start(&with(&upstream)).await;
        let client = Legacy::begin(deck.at(), "up", json!({})).await;
        let other = Legacy::begin(deck.at(), "up", json!({})).await;
        let hang = json!({ "name": "hang" });
        let (call, ()) = tokio::join!(client.ask("h", "tools/call", hang.clone()), async {
            upstream.holds(1).await;
            let theirs = json!({ "requestId": "h" });
            assert_eq!(other.tell("notifications/cancelled", theirs.clone()).await, 202);
            assert_eq!(client.tell("notifications/cancelled", json!({"requestId": "x"})).await, 202);
            assert_eq!(upstream.streams(), 1, "nothing is cancelled by that");
            assert_eq!(client.tell("notifications/cancelled", theirs).await, 202);
        });
        let answer = call.json().await;
        assert!(answer["error"]["message"].as_str().unwrap().contains("by its client"), "{answer}");
        upstream.holds(0).await;
        // Whoever hangs up cancels, too.
        let at = deck.at();
        let gone = tokio::spawn(async move { modern(at, "up", 1, "tools/call", hang).await.status });
        upstream.holds(1).await;
        gone.abort();
        upstream.holds(0).await;
        if speaks == Speaks::Legacy {
            let told = upstream.sees("notifications/cancelled", 2).await;
            assert!(told.iter().all(|seen| seen.message["params"]["requestId"].is_u64()));
        }
        deck.end().await;
    }
}

/// Per cell: changes reach the streams that may hear of them, in the words of the client's era.
#[tokio::test(flavor = "multi_thread")]
async fn changes_reach_those_who_listen() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(speaks).await;
        let deck = Deck::start(&with(&upstream)).await;
        let old = Legacy::begin(deck.at(), "up", json!({})).await;
        let mut stream = old.listen().await;
        upstream.holds(1).await;
        let subscribed = old.ask(1, "resources/subscribe", json!({"uri": "made://a"})).await.json().await;
        assert_eq!(subscribed["result"], json!({}), "{speaks:?}");
        if speaks == Speaks::Modern {
            let asked = upstream.sees("subscriptions/listen", 2).await.pop().unwrap();
            assert_eq!(asked.message["params"]["notifications"]["resourceSubscriptions"], json!(["made://a"]));
        } else {
            upstream.sees("resources/subscribe", 1).await;
        }
        let filter = json!({ "notifications": { "toolsListChanged": true, "resourceSubscriptions": ["made://a"] } });
        let mut listening = modern(deck.at(), "up", "sub", "subscriptions/listen", filter).await;
        assert!(listening.is_stream(), "{speaks:?}");
        let acknowledged = listening.next().await.unwrap();
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!(["made://a"]));
        upstream.holds(2).await;
        let mark = |message: &Value| message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
        assert_eq!(mark(&acknowledged), json!("sub"));
        upstream.say("notifications/tools/list_changed", &json!({}));
        upstream.say("notifications/resources/updated", &json!({"uri": "made://a", "extra": 1}));
        for stream in [&mut stream, &mut listening] {
            let (first, second) = (stream.next().await.unwrap(), stream.next().await.unwrap());
            assert_eq!(first["method"], "notifications/tools/list_changed", "{first}");
            assert_eq!((&second["params"]["uri"], &second["params"]["extra"]), (&json!("made://a"), &json!(1)));
        }
        upstream.say("notifications/tools/list_changed", &json!({}));
        assert_eq!(mark(&listening.next().await.unwrap()), json!("sub"));
        assert_eq!(mark(&stream.next().await.unwrap()), Value::Null, "no word of another era");
        // Closing the stream is the end of the subscription.
        drop(listening);
        upstream.holds(1).await;
        old.end().await;
        upstream.holds(0).await;
        deck.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_subscription_waits_for_no_acknowledgement() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let deck = Deck::start(&with(&upstream)).await;
    let uri = "made://unacknowledged";
    let filter = json!({ "notifications": { "resourceSubscriptions": [uri] } });
    let begun = Instant::now();
    let mut listening = modern(deck.at(), "up", "sub", "subscriptions/listen", filter).await;
    // A keep-alive would send it after 15 s.
    assert!(listening.is_stream() && begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    upstream.holds(1).await;
    upstream.say("notifications/resources/updated", &json!({ "uri": uri }));
    assert_eq!(listening.next().await.unwrap()["params"]["uri"], uri);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routed_call_says_what_any_call_says() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(speaks).await;
        let deck = Deck::start(&with(&upstream)).await;
        let old = Legacy::begin(deck.at(), "", json!({})).await;
        let asks = |tool: &str, route: Value| {
            let level = "io.modelcontextprotocol/logLevel";
            json!({ "name": tool, "_meta": { "progressToken": "mine", level: "info", "io.mcpdeck/route": route } })
        };
        let to_up = || asks("progress", json!({ "target": "up" }));
        for got in [old.ask(7, "tools/call", to_up()).await, modern(deck.at(), "", 7, "tools/call", to_up()).await] {
            let mut all = got.all().await;
            let answer = all.pop().unwrap();
            assert_eq!(answer["result"]["_meta"]["io.mcpdeck/route"]["server"], "up", "{speaks:?}: {answer}");
            let said: Vec<_> = all.iter().map(|message| message["params"].clone()).collect();
            let progress = |n: u64| json!({"progressToken": "mine", "progress": n, "total": 2, "extra": "kept"});
            let warning = json!({ "level": "warning", "data": "half way" });
            assert_eq!(said, [progress(1), warning, progress(2)], "{speaks:?}");
        }
        // Whichever way a call goes, the resources of its answer can be read here.
        for (tool, route, place) in [
            ("up_link", Value::Null, "/result/content/0/uri"),
            ("link", json!({ "target": "up" }), "/result/content/0/uri"),
            ("link", json!({ "targets": ["up"] }), "/result/content/0/uri"),
            ("link", json!({ "targets": ["up"] }), "/result/structuredContent/parts/0/result/content/0/uri"),
        ] {
            let answer = old.ask(8, "tools/call", asks(tool, route)).await.json().await;
            assert_eq!(answer.pointer(place), Some(&json!("mcpdeck:up/made://a")), "{tool} {place}: {answer}");
        }
        deck.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_to_all_servers_hears_of_each_by_its_address() {
    let upstream = Upstream::start(Speaks::Legacy).await;
    let deck = Deck::start(&with(&upstream)).await;
    let old = Legacy::begin(deck.at(), "", json!({})).await;
    let uri = "mcpdeck:up/made://a";
    let read = old.ask(1, "resources/read", json!({ "uri": uri })).await.json().await;
    assert_eq!(read["result"]["contents"][0]["uri"], uri, "{read}");
    let mut stream = old.listen().await;
    upstream.holds(1).await;
    assert_eq!(old.ask(2, "resources/subscribe", json!({ "uri": uri })).await.json().await["result"], json!({}));
    let filter = json!({ "notifications": { "resourceSubscriptions": [uri] } });
    let mut listening = modern(deck.at(), "", "sub", "subscriptions/listen", filter).await;
    let acknowledged = listening.next().await.unwrap();
    assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!([uri]), "{acknowledged}");
    upstream.holds(2).await;
    upstream.say("notifications/resources/updated", &json!({ "uri": "made://a" }));
    for stream in [&mut stream, &mut listening] {
        assert_eq!(stream.next().await.unwrap()["params"]["uri"], uri);
    }
    // Lists and calls are told in the client's era here, too.
    let list = modern(deck.at(), "", 3, "tools/list", json!({})).await.json().await;
    assert_eq!((&list["result"]["resultType"], &list["result"]["ttlMs"]), (&json!("complete"), &json!(0)), "{list}");
    let list = old.ask(4, "tools/list", json!({})).await.json().await;
    assert_eq!(list["result"]["resultType"], Value::Null);
    deck.end().await;
}
