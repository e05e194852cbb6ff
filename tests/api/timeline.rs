//! What the gateway does before a call arrives at the router is part of that call's timeline.

use super::web::{Legacy, request};
use super::{CONFIG, Deck};
use crate::support::platform::PATIENCE;
use mcpdeck::model::{Chunk, Feed};
use serde_json::json;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn the_time_before_a_call_arrived_is_told() {
    let deck = Deck::start(CONFIG).await;
    let mut calls = deck.platform.handle.follow(Feed::Traffic { filter: "method=tools/list".to_owned(), backlog: 1 });
    let client = Legacy::begin(deck.at(), "etim", json!({})).await;
    assert_eq!(client.post(request(7, "tools/list", json!({}))).await.status, 200);
    let Ok(Some(Chunk::Calls(calls))) = timeout(PATIENCE, calls.recv()).await else { panic!("no call is told") };
    let router = deck.platform.handle.inside().unwrap().router;
    let kept = router.detail(calls[0].id).unwrap();
    assert!(kept.timeline.auth_us.is_some(), "{:?}", kept.timeline);
    deck.end().await;
}
