//! The made-up engine keeps what real ones promise, and is the same for the same seed.

use super::{GRACE, PATIENCE, keys, lines, outcome, row, say, state, terminal, texts};
use mcpdeck::backend::engine::{Engine, ExecIn, ExecOut, ExecSpec, LogRange};
use mcpdeck::backend::simulated::engine::SimulatedEngine;
use mcpdeck::model::Stamp;
use mcpdeck::model::container::{ContainerAct, ContainerHealth, ContainerKey, ContainerState, EngineState};
use std::collections::BTreeSet;
use tokio::time::timeout;

fn engine(containers: u32, seed: u64) -> SimulatedEngine {
    let recipe = mcpdeck::model::container::SimulatedEngine { containers, gpus: 0, seed };
    SimulatedEngine::open("lab".into(), &recipe, "deck")
}

/// Id of the first container in this state.
fn first(engine: &SimulatedEngine, state: ContainerState) -> String {
    let inventory = engine.watch().borrow().clone();
    inventory.containers.iter().find(|row| row.state == state).expect("there is one").id.to_string()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_containers_in_every_state() {
    let names = |seed: u64| {
        let inventory = engine(1000, seed).watch().borrow().clone();
        inventory.containers.iter().map(|row| (row.id.clone(), row.name.clone(), row.state)).collect::<Vec<_>>()
    };
    assert_eq!(names(1), names(1));
    assert_ne!(names(1), names(2));
    let inventory = engine(1000, 1).watch().borrow().clone();
    assert_eq!(inventory.containers.len(), 1000);
    assert!(inventory.containers.is_sorted_by_key(|row| row.id.clone()));
    let count = |wanted: ContainerState| inventory.containers.iter().filter(|row| row.state == wanted).count();
    use ContainerState::{Exited, Paused, Restarting, Running};
    assert_eq!([Running, Exited, Restarting, Paused].map(count), [800, 100, 50, 50]);
    assert_eq!(inventory.containers.iter().filter(|row| row.oom && row.exit_code == Some(137)).count(), 50);
    let sick = inventory.containers.iter().filter(|row| row.health == Some(ContainerHealth::Unhealthy)).count();
    assert_eq!(sick, 50);
    let labels =
        |name: &str| inventory.containers.iter().filter_map(|row| row.labels.get(name)).collect::<BTreeSet<_>>();
    assert_eq!(labels("io.mcpdeck.platform").len(), 1);
    assert_eq!((labels("io.mcpdeck.tenant").len(), labels("com.docker.compose.project").len()), (6, 3));
}

#[tokio::test]
async fn acts_change_what_is_seen() {
    use ContainerAct::{Kill, Pause, Restart, Start, Stop, Unpause};
    use ContainerState::{Exited, Paused, Running};
    let engine = engine(20, 1);
    let id = first(&engine, Running);
    let steps = [
        (Pause, Paused),
        (Unpause, Running),
        (Pause, Paused),
        (Start, Running),
        (Stop, Exited),
        (Start, Running),
        (Restart, Running),
        (Kill, Exited),
    ];
    for (act, expected) in steps {
        engine.act(&id, act, GRACE).await.unwrap();
        assert_eq!(state(&engine.watch().borrow(), &id), Some(expected), "{act:?}");
    }
    assert_eq!(row(&engine.watch().borrow(), &id).and_then(|row| row.exit_code), Some(137));
    let refused = engine.act(&id, Pause, GRACE).await.unwrap_err().to_string();
    assert!(refused.starts_with("engine lab: cannot pause it: container "), "{refused}");
    engine.remove(&id, GRACE).await.unwrap();
    assert_eq!(state(&engine.watch().borrow(), &id), None);
    assert!(engine.inspect(&id).await.unwrap_err().to_string().contains("no such container"));
}

#[tokio::test]
async fn usage_moves_and_is_told_of_what_runs() {
    let engine = engine(20, 1);
    let inventory = engine.watch().borrow().clone();
    let key = |id: &str| ContainerKey { engine: engine.id().clone(), id: id.into() };
    let keys: Vec<_> = inventory.containers.iter().map(|row| key(&row.id)).collect();
    tokio::time::pause();
    let before = engine.stats(&keys).await;
    assert_eq!(before.len(), 17, "three of twenty do not run");
    assert_eq!(engine.stats(&keys).await, before, "not within a second");
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_ne!(engine.stats(&keys).await, before);
    let paused = first(&engine, ContainerState::Paused);
    assert_eq!(engine.stats(&[key(&paused)]).await[0].1.cpu, Some(0.0));
}

#[tokio::test]
async fn logs_are_the_same_for_every_reader() {
    let engine = engine(20, 1);
    let id = first(&engine, ContainerState::Running);
    let tail = |count| LogRange { tail: Some(count), ..LogRange::default() };
    let ten = lines(engine.logs(&id, tail(10))).await;
    assert_eq!(ten.len(), 10);
    assert!(ten.is_sorted_by_key(|line| line.at) && ten[9].at <= Stamp::now());
    let since = lines(engine.logs(&id, LogRange { since: Some(ten[5].at), ..LogRange::default() })).await;
    assert_eq!(texts(&since)[..5], texts(&ten)[5..]);
    let mut follow = engine.logs(&id, LogRange { follow: true, ..tail(1) });
    for _ in 0..2 {
        timeout(PATIENCE, follow.recv()).await.unwrap().unwrap();
    }
    engine.act(&id, ContainerAct::Kill, GRACE).await.unwrap();
    lines(follow).await;
    let inventory = engine.watch().borrow().clone();
    let oom = inventory.containers.iter().find(|row| row.oom).unwrap();
    assert!(lines(engine.logs(&oom.id, tail(1))).await[0].text.contains("CUDA out of memory"));
}

#[tokio::test]
async fn its_shell_has_a_size_and_an_exit_code() {
    let engine = engine(20, 1);
    let id = first(&engine, ContainerState::Running);
    let mut shell = engine.exec(&id, terminal(&[])).await.unwrap();
    keys(&shell, "echo hello\n").await;
    say(&mut shell, "hello\r\n").await;
    shell.input.send(ExecIn::Resize { columns: 132, rows: 43 }).await.unwrap();
    keys(&shell, "stty size\r").await;
    say(&mut shell, "43 132\r\n").await;
    keys(&shell, "nonsense\nexit 7\n").await;
    let (out, _, last) = outcome(&mut shell).await;
    assert!(out.contains("nonsense: not found"), "{out}");
    assert_eq!(last, ExecOut::Exited(Some(7)));

    let mut cat = engine.exec(&id, ExecSpec { terminal: false, ..terminal(&["cat"]) }).await.unwrap();
    cat.input.send(ExecIn::Bytes(b"through".to_vec())).await.unwrap();
    cat.input.send(ExecIn::End).await.unwrap();
    assert_eq!(outcome(&mut cat).await, ("through".into(), String::new(), ExecOut::Exited(Some(0))));
    let ended = first(&engine, ContainerState::Exited);
    assert!(engine.exec(&ended, terminal(&[])).await.is_err());
}

#[tokio::test]
async fn a_silent_one_keeps_its_picture_and_refuses() {
    let engine = engine(20, 1);
    let id = first(&engine, ContainerState::Running);
    engine.silence(Some("it sleeps"));
    let now = engine.watch().borrow().clone();
    assert!(matches!(&now.state, EngineState::Silent { reason, .. } if reason == "it sleeps"));
    assert_eq!(now.containers.len(), 20);
    let refused = engine.act(&id, ContainerAct::Stop, GRACE).await.unwrap_err().to_string();
    assert_eq!(refused, "engine lab: it sleeps");
    engine.silence(None);
    engine.act(&id, ContainerAct::Stop, GRACE).await.unwrap();
}
