//! An engine that hangs, dies and comes back: its instances are unknown meanwhile, and nothing else notices.

use super::deck::{Deck, head, http_server, key};
use crate::support::engines::OwnDocker;
use mcpdeck::model::container::ContainerState;
use mcpdeck::model::{Command, Outcome, Snapshot, State};
use std::time::{Duration, Instant};

const OTHER: &str =
    "[[server]]\nid = \"echo\"\nrun = { backend = \"simulated\", latency = \"1ms\", start = \"1ms\" }\n";

fn finding(snapshot: &Snapshot) -> Option<String> {
    snapshot.findings.iter().find(|f| f.word == "ENGINE").map(|f| f.text.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_engine_blocks_nothing_and_is_taken_up_again() {
    let Some(mut own) = OwnDocker::start("a_silent_engine_blocks_nothing_and_is_taken_up_again") else { return };
    let lab = own.lab();
    let text = head(&lab, &["web", "dies", "sleeps", "echo"])
        + &http_server("web", "health = { every = \"off\" }")
        + &http_server("dies", "health = { every = \"off\" }")
        + &http_server("sleeps", "timeout = \"4s\"")
        + OTHER;
    let mut deck = Deck::start(&lab, &text).await;
    for server in ["web", "dies", "echo"] {
        let record = deck.call(server).await;
        assert_eq!(record.outcome, Outcome::Ok, "{record:?}");
    }
    let before = deck.container("web", ContainerState::Running).await;
    let dies = deck.container("dies", ContainerState::Running).await;
    let pid = lab.ask("GET", &format!("/containers/{}/json", dies.key.id), None).unwrap();
    let pid = serde_json::from_str::<serde_json::Value>(&pid).unwrap()["State"]["Pid"].as_u64().unwrap();

    own.freeze();
    deck.state("web", State::Unknown).await;
    let snapshot = deck.until("the line about it", |s| finding(s).is_some()).await;
    let line = finding(&snapshot).unwrap();
    assert!(line.starts_with("silent for ") && line.contains("unknown"), "{line}");
    assert_eq!(deck.call("web").await.outcome, Outcome::Ok, "its upstream answers all the same");
    let begun = Instant::now();
    assert_eq!(deck.call("echo").await.outcome, Outcome::Ok);
    assert!(begun.elapsed() < Duration::from_secs(1), "another server waits for nothing");
    let refused = deck.call("sleeps").await;
    assert_ne!(refused.outcome, Outcome::Ok);
    let why = deck.handle().state().instance(&key("sleeps")).unwrap().reason.clone();
    assert!(why.contains("engine local is silent"), "{why}");
    own.thaw();
    deck.state("web", State::Ready).await;
    deck.until("the line is gone", |s| finding(s).is_none()).await;
    assert_eq!(deck.call("sleeps").await.outcome, Outcome::Ok, "what could not start then starts now");

    own.kill();
    deck.state("web", State::Unknown).await;
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    own.restart().unwrap();
    let row = deck.state("web", State::Ready).await;
    assert_eq!(row.container.as_ref(), Some(&before.key));
    deck.until("what died meanwhile is noticed", |s| {
        s.instance(&key("dies")).is_some_and(|row| !matches!(row.state, State::Ready | State::Unknown))
    })
    .await;
    assert_eq!(deck.call("dies").await.outcome, Outcome::Ok);
    deck.act(Command::Restart(key("web"))).await.unwrap();
    deck.end().await;
}
