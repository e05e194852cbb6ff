//! A compose project that exists already and stands behind a server of ours.

use super::deck::{Deck, head, http, key};
use crate::support::engines::{Lab, Made, docker, unique};
use mcpdeck::model::container::{Claim, ContainerAct, ContainerState};
use mcpdeck::model::{Command, Outcome, State};
use serde_json::json;

/// One service of a compose project, made and not started.
fn service(lab: &Lab, project: &str, name: &str, command: &[String], needs: &str) -> Made {
    let labels = json!({
        "com.docker.compose.project": project,
        "com.docker.compose.service": name,
        "com.docker.compose.depends_on": needs,
    });
    let config = json!({ "Cmd": command, "Labels": labels, "HostConfig": { "NetworkMode": "host" } });
    lab.create(&format!("{project}-{name}-1"), config).unwrap()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_project_starts_and_stops_with_its_server_and_is_never_removed() {
    let Some(lab) = docker("an_adopted_project_starts_and_stops_with_its_server_and_is_never_removed") else { return };
    let (project, port) = (unique("control-shop"), free_port());
    let web = service(&lab, &project, "web", &http(port), "db:service_started:false");
    let db = service(&lab, &project, "db", &["sleep".to_owned(), "600".to_owned()], "");
    let url = format!(
        "[[server]]\nid = \"shop\"\nurl = \"http://127.0.0.1:{port}/mcp\"\nadopt = {{ compose_project = {project:?} }}\nidle_stop = \"2s\"\n"
    );
    let mut deck = Deck::start(&lab, &(head(&lab, &["shop"]) + &url)).await;
    let running = |made: &Made| made.inspect()["State"]["Running"].as_bool().unwrap();
    assert!(!running(&web) && !running(&db), "nothing starts by itself");

    let record = deck.call("shop").await;
    assert_eq!(record.outcome, Outcome::Ok, "{record:?}");
    assert!(running(&web) && running(&db));
    let began = |made: &Made| made.inspect()["State"]["StartedAt"].as_str().unwrap().to_owned();
    assert!(began(&db) < began(&web), "what others need comes first");
    let row = deck.container("shop", ContainerState::Running).await;
    assert_eq!((&*row.key.id, row.owner.claim), (web.id.as_str(), Claim::Adopted));

    // One of it alone, which is no act on the server.
    let begun = began(&db);
    let container = mcpdeck::model::container::ContainerKey { engine: "local".into(), id: db.id.as_str().into() };
    deck.act(Command::Container { container, name: String::new(), act: ContainerAct::Restart }).await.unwrap();
    assert_ne!(began(&db), begun);

    deck.act(Command::Restart(key("shop"))).await.unwrap();
    assert_eq!(deck.call("shop").await.outcome, Outcome::Ok);
    deck.act(Command::Stop(key("shop"))).await.unwrap();
    assert!(!running(&web) && !running(&db));
    deck.act(Command::Start(key("shop"))).await.unwrap();
    deck.state("shop", State::Ready).await;
    // Asleep for us, and running: an operator's stop means the containers all the same.
    let idle = |s: &mcpdeck::model::Snapshot| s.instance(&key("shop")).is_some_and(|r| r.reason == "idle");
    deck.until("it is left alone", idle).await;
    assert!(running(&web));
    deck.act(Command::Stop(key("shop"))).await.unwrap();
    assert!(!running(&web) && !running(&db));
    deck.act(Command::Start(key("shop"))).await.unwrap();
    deck.end().await;
    assert!(running(&web) && running(&db), "the end of the platform is not theirs");
}
