//! What becomes of containers when their owner dies: taken up, reaped, and nothing left.

use super::deck::{Deck, PATIENCE, head, http_server, key, stdio_server};
use crate::support::engines::docker;
use mcpdeck::model::container::{Claim, ContainerState};
use mcpdeck::model::message::Impact;
use mcpdeck::model::{Answer, Command, Outcome, Query, State};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn http_servers_of_a_killed_owner_are_taken_up_and_stdio_ones_are_orphans() {
    let Some(lab) = docker("http_servers_of_a_killed_owner_are_taken_up_and_stdio_ones_are_orphans") else { return };
    let text = head(&lab, &["box", "web", "old"])
        + &stdio_server("box", "")
        + &http_server("web", "")
        + &http_server("old", "");
    let mut deck = Deck::new(&lab);
    deck.serve(&text).await;
    for server in ["box", "web", "old"] {
        let record = deck.first_call(server).await;
        assert_eq!(record.outcome, Outcome::Ok, "{record:?}");
    }
    deck.act(Command::Fence(key("old"))).await.unwrap();
    let before = deck.container("web", ContainerState::Running).await;
    deck.kill_owner();
    deck.own(&text).await;
    let row = deck.state("web", State::Ready).await;
    assert_eq!(row.container.as_ref(), Some(&before.key), "the same container");
    assert!(row.reason == "answers", "{}", row.reason);
    assert_eq!(deck.call("web").await.outcome, Outcome::Ok);
    let told = |why: &'static str| move |s: &mcpdeck::model::Snapshot| s.orphans.iter().any(|o| o.why == why);
    deck.until("old is fenced", told("old is fenced")).await;
    let Ok(Answer::Impact(Impact { follows, .. })) = deck.handle().ask(Query::Impact(Command::ReapOrphans)).await
    else {
        panic!()
    };
    assert!(follows.iter().any(|line| line.ends_with(": old is fenced")), "the dry run: {follows:?}");
    deck.act(Command::ReapOrphans).await.unwrap();
    deck.until("nothing is left over", |s| s.orphans.is_empty()).await;
    let left: Vec<_> = deck.on_engine().into_iter().filter(|(_, state)| state == "running").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(deck.call("box").await.outcome, Outcome::Ok, "it starts anew");
    assert!(deck.handle().state().orphans.is_empty());
    deck.end().await;
}

/// Eight starts at a time, and a `kill -9` at some moment of them.
#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_at_any_moment_of_200_starts_one_reap_leaves_nothing() {
    const AT_ONCE: usize = 8;
    let Some(lab) = docker("after_kill_9_at_any_moment_of_200_starts_one_reap_leaves_nothing") else { return };
    let servers: Vec<String> = (0..AT_ONCE).map(|n| format!("s{n}")).collect();
    let enabled: Vec<&str> = servers.iter().map(String::as_str).collect();
    let of = |(n, id): (usize, &&str)| match n % 2 {
        0 => stdio_server(id, "autostart = true"),
        _ => http_server(id, "autostart = true"),
    };
    let text = head(&lab, &enabled) + &enabled.iter().enumerate().map(of).collect::<String>();
    let mut deck = Deck::new(&lab);
    let (begun, mut starts) = (Instant::now(), 0);
    while starts < 200 && begun.elapsed() < PATIENCE {
        deck.serve(&text).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1500))).await;
        deck.kill_owner();
        starts += AT_ONCE;
    }
    println!("{starts} starts in {} s", begun.elapsed().as_secs());
    // Nothing of it is wanted any more.
    deck.own(&head(&lab, &[])).await;
    // A start that was under way may still be carried out by the engine.
    let all = |s: &mcpdeck::model::Snapshot| s.containers.iter().filter(|c| c.owner.claim == Claim::Orphan).count();
    deck.until("what is left is known", |s| all(s) > 0 && all(s) == s.orphans.len()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    deck.act(Command::ReapOrphans).await.unwrap();
    assert_eq!(deck.on_engine(), [], "nothing of ours is left");
    deck.until("nothing is shown either", |s| s.orphans.is_empty()).await;
    deck.end().await;
}
