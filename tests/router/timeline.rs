//! Where a call's time went is kept with it, and told while it is under way.

use super::fixture::*;
use mcpdeck::model::Outcome;
use mcpdeck::model::call::Call;
use mcpdeck::model::timeline::Station as S;
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn an_answered_call_was_at_every_station() {
    let (platform, _stdio) = Platform::with(Speaks::Legacy).await;
    let record = platform.call(tool_call("eaton", "etim", "echo", json!({}))).await.record;
    let kept = platform.router.detail(record.id).unwrap();
    let spent = kept.timeline.spent(record.took_us);
    assert_eq!(
        spent.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [S::Route, S::Wake, S::Inject, S::Upstream, S::Answer]
    );
    assert_eq!(kept.timeline.auth_us, None, "it did not come over HTTP");
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_a_start_says_so_and_ends_there() {
    let mut platform = Platform::new(vec![server("etim")], vec![tenant("eaton")]);
    let router = platform.router.clone();
    let call = tokio::spawn(async move { router.call(tool_call("eaton", "etim", "echo", json!({"q": 1}))).await });
    let demand = platform.ends.demands.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let now = platform.router.detail(platform.router.pending()[0].id).unwrap();
    assert!(matches!(&now.call, Call::Pending(call) if call.waking));
    assert_eq!(now.timeline.spent(2_000_000).last().unwrap().0, S::Wake);
    assert!(now.request.unwrap().contains("\"q\":1") && now.sent.is_none());
    let _ = demand.reply.send(Err("no such program".to_owned()));
    let record = call.await.unwrap().record;
    let kept = platform.router.detail(record.id).unwrap();
    let (station, us) = *kept.timeline.spent(record.took_us).last().unwrap();
    assert!(station == S::Wake && us >= 1_900_000, "{station:?} {us}");
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_at_the_upstream_with_what_it_was_sent() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    let router = platform.router.clone();
    let call = tokio::spawn(async move { router.call(tool_call("eaton", "etim", "hang", json!({}))).await });
    stdio.hears("tools/call", 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let id = platform.router.pending()[0].id;
    let now = platform.router.detail(id).unwrap();
    let (station, us) = *now.timeline.spent(5_000_000).last().unwrap();
    assert!(station == S::Upstream && us > 4_900_000, "{station:?} {us}");
    assert!(now.sent.unwrap().contains("\"hang\"") && now.response.is_none());
    platform.router.cancel(id);
    assert_eq!(call.await.unwrap().record.outcome, Outcome::Cancelled);
}
