//! Containers as their users meet them: a whole platform on a real engine, driven through the handle.

mod adopt;
pub mod deck;
mod owner;
mod silent;

use crate::support::engines::docker;
use deck::{Deck, head, http_server, key, stdio_server};
use mcpdeck::model::container::{Claim, ContainerState};
use mcpdeck::model::message::ExplainWhat;
use mcpdeck::model::{Answer, Command, Outcome, Query, Snapshot, State};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn servers_in_containers_answer_over_stdio_and_http() {
    let Some(lab) = docker("servers_in_containers_answer_over_stdio_and_http") else { return };
    let text = head(&lab, &["box", "web"]) + &stdio_server("box", "") + &http_server("web", "");
    let mut deck = Deck::start(&lab, &text).await;
    for server in ["box", "web"] {
        let record = deck.call(server).await;
        assert_eq!(record.outcome, Outcome::Ok, "{record:?}");
        let row = deck.container(server, ContainerState::Running).await;
        assert_eq!((row.owner.claim, row.owner.instance.clone()), (Claim::Ours, Some(key(server))));
        let what = ExplainWhat::Instance(key(server));
        let Ok(Answer::Explain(lines)) = deck.handle().ask(Query::Explain(what)).await else { panic!() };
        let passed = |check: &str| lines.iter().any(|line| line.check == check && line.passed == Some(true));
        assert!(passed("engine") && passed("container"), "{lines:?}");
    }
    let snapshot = deck.handle().state();
    assert!(snapshot.orphans.is_empty(), "{:?}", snapshot.orphans);
    // Stopping the container is stopping the instance.
    let container = snapshot.instance(&key("box")).unwrap().container.clone().unwrap();
    let stop =
        Command::Container { container, name: String::new(), act: mcpdeck::model::container::ContainerAct::Stop };
    deck.act(stop).await.unwrap();
    assert_eq!(deck.handle().state().instance(&key("box")).unwrap().state, State::Stopped);
    deck.end().await;
    assert!(deck.on_engine().iter().all(|(_, state)| state == "exited"), "{:?}", deck.on_engine());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_one_is_paused_then_stopped_and_a_call_brings_it_back() {
    let Some(lab) = docker("an_idle_one_is_paused_then_stopped_and_a_call_brings_it_back") else { return };
    let idle = "idle_doze = \"1s\"\nidle_stop = \"4s\"";
    let text = head(&lab, &["box", "web"]) + &stdio_server("box", idle) + &http_server("web", idle);
    let mut deck = Deck::start(&lab, &text).await;
    for server in ["box", "web"] {
        assert_eq!(deck.call(server).await.outcome, Outcome::Ok);
        deck.state(server, State::Doze).await;
        let paused = deck.container(server, ContainerState::Paused).await;
        let record = deck.call(server).await;
        assert_eq!(record.outcome, Outcome::Ok, "{record:?}");
        // Promised: 20 ms on a quiet machine, which a test's machine is not.
        println!("{server}: woken in {} us", record.wake_us);
        deck.state(server, State::Doze).await;
        deck.state(server, State::Dormant).await;
        let stopped = deck.container(server, ContainerState::Exited).await;
        assert_eq!(stopped.key, paused.key);
        let record = deck.call(server).await;
        assert_eq!(record.outcome, Outcome::Ok, "{record:?}");
        println!("{server}: started again in {} us", record.wake_us);
        let again = deck.container(server, ContainerState::Running).await;
        assert_eq!(again.key, paused.key, "created once");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_hurt_behind_our_back_is_noticed() {
    let Some(lab) = docker("a_container_that_is_hurt_behind_our_back_is_noticed") else { return };
    let text = head(&lab, &["box", "web"]) + &stdio_server("box", "") + &http_server("web", "");
    let mut deck = Deck::start(&lab, &text).await;
    for server in ["box", "web"] {
        deck.call(server).await;
        let row = deck.container(server, ContainerState::Running).await;
        lab.ask("DELETE", &format!("/containers/{}?force=1", row.key.id), None).unwrap();
        deck.until("it is noticed", |s| s.instance(&key(server)).is_some_and(|row| row.state != State::Ready)).await;
        let record = deck.call(server).await;
        assert_eq!(record.outcome, Outcome::Ok, "a call makes it anew: {record:?}");
        let new = deck.container(server, ContainerState::Running).await;
        assert_ne!(new.key, row.key);
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_shown_and_never_touched() {
    let Some(lab) = docker("others_are_shown_and_never_touched") else { return };
    let stranger = lab.run_as(
        "stranger",
        serde_json::json!({
            "Cmd": ["sleep", "600"], "Labels": { "com.docker.compose.project": "shop" }
        }),
    );
    let labels = serde_json::json!({
        "io.mcpdeck.platform": "another", "io.mcpdeck.instance": "box", "io.mcpdeck.boot": "1"
    });
    let another = lab.run_as("another", serde_json::json!({ "Cmd": ["sleep", "600"], "Labels": labels }));
    let text = head(&lab, &["box"]) + &stdio_server("box", "");
    let mut deck = Deck::start(&lab, &text).await;
    for made in [&stranger, &another] {
        let row = |s: &Snapshot| s.containers.iter().find(|c| *c.key.id == made.id).cloned();
        let snapshot = deck.until("it is shown", |s| row(s).is_some()).await;
        let row = row(&snapshot).unwrap();
        assert_eq!(row.owner.claim, Claim::Other);
        let act = mcpdeck::model::container::ContainerAct::Kill;
        let refused = deck
            .act(Command::Container { container: row.key.clone(), name: String::new(), act })
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains("it is not ours"), "{refused}");
    }
    assert_eq!(deck.act(Command::ReapOrphans).await.unwrap(), "0 removed");
    deck.end().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for made in [&stranger, &another] {
        assert_eq!(made.inspect()["State"]["Running"], true);
    }
}
