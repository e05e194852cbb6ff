//! Who waits for a server to wake is told so: by progress, if asked for, else in the head of the answer.

use super::web::{BOTH, Legacy, modern, request, send};
use super::{CONFIG, Deck};
use serde_json::{Value, json};

/// With servers that take a while to start.
fn sleepy() -> String {
    let names = ["one", "two", "three"];
    let enabled = names.map(|name| format!("{name:?}, ")).concat();
    let servers = names.map(|name| {
        format!(
            "[[server]]\nid = {name:?}\nrun = {{ backend = \"simulated\", tools = [\"search\"], start = \"400ms\" }}\n"
        )
    });
    CONFIG.replace(r#"enabled = ["etim","#, &format!(r#"enabled = [{enabled}"etim","#)) + &servers.concat()
}

fn search(meta: &Value) -> Value {
    json!({ "name": "search", "arguments": { "query": "x" }, "_meta": meta })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wake_is_told_by_progress_to_who_asked_for_it() {
    let deck = Deck::start(&sleepy()).await;
    let token = json!({ "progressToken": "mine" });
    let all = Legacy::begin(deck.at(), "", json!({})).await;
    let named = json!({ "name": "two_search", "arguments": {}, "_meta": token });
    for (server, got) in [
        ("one", modern(deck.at(), "one", 7, "tools/call", search(&token)).await),
        ("two", all.ask(7, "tools/call", named).await),
    ] {
        assert!(got.is_stream(), "{server}");
        let all = got.all().await;
        let [told, answer] = &all[..] else { panic!("{server}: {all:?}") };
        assert_eq!(
            (&told["method"], &told["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!("mine"))
        );
        let text = told["params"]["message"].as_str().unwrap();
        assert!(text.starts_with(&format!("{server} is starting")), "{text}");
        assert!(told["params"]["progress"].as_f64().unwrap() < 0.0, "its own progress comes after: {told}");
        assert_eq!((&answer["id"], answer["result"].is_object()), (&json!(7), true), "{answer}");
    }
    // Awake, it has nothing to tell.
    assert!(!modern(deck.at(), "one", 8, "tools/call", search(&token)).await.is_stream());
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wake_is_told_in_the_head_of_an_answer_that_is_no_stream() {
    let deck = Deck::start(&sleepy()).await;
    let bare = async |server: &str| {
        send(deck.at(), "POST", &format!("/mcp/{server}"), &[], request(7, "tools/call", search(&json!({})))).await
    };
    let one = bare("one").await;
    let two = modern(deck.at(), "two", 7, "tools/call", search(&json!({}))).await;
    let routed = request(7, "tools/call", search(&json!({ "io.mcpdeck/route": { "target": "three" } })));
    let three = send(deck.at(), "POST", "/mcp", &[BOTH], routed).await;
    for got in [one, two, three] {
        let ms: u64 = got.header("x-mcpdeck-wake-ms").parse().unwrap_or_default();
        assert!(!got.is_stream() && (300..60_000).contains(&ms), "{} {:?}", got.status, got.headers);
    }
    assert_eq!(bare("one").await.header("x-mcpdeck-wake-ms"), "", "it is awake");
    deck.end().await;
}
