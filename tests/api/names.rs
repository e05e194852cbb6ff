//! Names of tools where all servers of a customer are one.

use super::upstream::{Speaks, Upstream};
use super::web::{Legacy, modern};
use super::{CONFIG, Deck};
use crate::support::platform::PATIENCE;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// Beside `etim`: `up`, whose tools begin with `up_`, and `bare`, whose tools are called as they are.
fn config(up: &Upstream, bare: &Upstream) -> String {
    let config = CONFIG.replace(r#"enabled = ["etim", "slow"]"#, r#"enabled = ["etim", "up", "bare"]"#);
    format!("{config}{}{}prefix = \"\"\n", up.config("up"), bare.config("bare"))
}

/// The list in which no server is missing any more.
async fn whole_list(at: SocketAddr) -> Value {
    let listed = async {
        loop {
            let list = modern(at, "", 1, "tools/list", json!({})).await.json().await;
            if list["result"]["_meta"]["io.mcpdeck/servers"]["missing"].is_null() {
                return list;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, listed).await.expect("all servers in time")
}

fn names(list: &Value) -> Vec<&str> {
    list["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_64_characters_is_offered_and_what_is_longer_or_anothers_is_left_out_by_name() {
    let (up, bare) = (Upstream::start(Speaks::Legacy).await, Upstream::start(Speaks::Modern).await);
    let (fits, long) = ("f".repeat(61), "l".repeat(62));
    // As many characters, and more bytes.
    let greek = "λ".repeat(61);
    for tool in [&fits, &long, &greek] {
        up.offer(tool);
    }
    bare.offer("etim_search");
    let deck = Deck::start(&config(&up, &bare)).await;
    let list = whole_list(deck.at()).await;
    let offered = names(&list);
    for (name, there) in [
        (format!("up_{fits}"), true),
        (format!("up_{greek}"), true),
        (format!("up_{long}"), false),
        ("echo".to_owned(), true),
        ("up_echo".to_owned(), true),
    ] {
        assert_eq!(offered.contains(&&*name), there, "{name}: {offered:?}");
    }
    assert!(offered.iter().all(|name| name.chars().count() <= 64), "{offered:?}");
    assert_eq!(offered.iter().filter(|name| **name == "etim_search").count(), 1, "one server has each name");
    assert_eq!(
        list["result"]["_meta"]["io.mcpdeck/servers"]["leftOut"],
        json!([
            "bare: `etim_search` would be taken for a tool of another server: give it a prefix",
            format!("up: `up_{long}` has more than 64 characters: give it a shorter prefix"),
        ])
    );
    // Clients of the older era are told the same, and a name that just fits leads to its tool.
    let old = Legacy::begin(deck.at(), "", json!({})).await;
    let legacy = old.ask(2, "tools/list", json!({})).await.json().await;
    assert_eq!(names(&legacy), offered);
    let called = old.ask(3, "tools/call", json!({ "name": format!("up_{fits}"), "arguments": {} })).await.json().await;
    assert_eq!(called["result"]["structuredContent"]["params"]["name"], fits, "{called}");
    let too_long = json!({ "name": format!("up_{long}"), "arguments": {} });
    let refused = old.ask(4, "tools/call", too_long).await.json().await;
    assert_eq!(refused["error"]["message"], format!("unknown tool `up_{long}`"), "{refused}");
    deck.end().await;
}
