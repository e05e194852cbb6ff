//! What an owner that was killed leaves behind is found, and removed when somebody says so; nothing else is.

use crate::backend_contract::harbour::{ECHO, Harbour, id};
use crate::backend_contract::rig::{LONG, Pipes, Place, Rig, alone, eventually, key};
use crate::support::engines::{docker, labs};
use mcpdeck::backend::Backend;
use mcpdeck::model::container::Reach;
use serde_json::json;
use std::fs;
use std::sync::Arc;
use tokio::task::JoinSet;

#[tokio::test]
async fn after_a_kill_one_reap_leaves_nothing_of_ours_and_everything_else() {
    for lab in labs("after_a_kill_one_reap_leaves_nothing_of_ours_and_everything_else") {
        let mut harbour = Harbour::new(&lab);
        let theirs = lab.run("theirs", &["sleep", "1000"]);
        let other = Harbour::new(&lab);
        let others = other.start(other.script("a", ECHO)).await;
        let part = lab.run_as(
            "part",
            json!({
                "Cmd": ["sleep", "1000"],
                "Labels": {"io.mcpdeck.platform": harbour.platform, "io.mcpdeck.stack": "s"},
            }),
        );

        let running = harbour.start(harbour.script("running", ECHO)).await;
        let serving = harbour.start(harbour.http("serving", Reach::Published)).await;
        let stopped = harbour.start(harbour.script("stopped@eaton", ECHO)).await;
        harbour.backend.kill(&key("stopped@eaton")).await.unwrap();
        // As after kill -9: the pipes stay open in nobody's hands, and nobody watches.
        let heir = harbour.heir("2");
        harbour.backend = harbour.heir("3");

        let mut found: Vec<_> =
            heir.orphans().await.into_iter().map(|orphan| (orphan.key.to_string(), orphan.what)).collect();
        found.sort();
        let name = |instance: &str| format!("mcpdeck-{}-{instance}", harbour.platform);
        let expected = [
            ("running", format!("container {} (a running stdio server of an earlier owner)", name("running"))),
            ("serving", format!("container {} (running, and taken up by nobody)", name("serving"))),
            ("stopped@eaton", format!("container {} (stopped, of an earlier owner)", name("stopped-eaton"))),
        ];
        assert_eq!(found, expected.map(|(key, what)| (key.to_owned(), what)), "{}", lab.name);
        assert_eq!(heir.survivors().await, [key("serving")], "{}", lab.name);

        assert_eq!(heir.reap().await.unwrap(), 3, "{}", lab.name);
        assert_eq!(heir.orphans().await, [], "{}", lab.name);
        assert_eq!(harbour.containers(), [(part.name.clone(), "running".to_owned())], "{}: control's own", lab.name);
        assert_eq!(harbour.networks(), Vec::<String>::new(), "{}", lab.name);
        for untouched in [&theirs.inspect(), &other.inspect(&others), &part.inspect()] {
            assert_eq!(untouched["State"]["Running"], true, "{}", lab.name);
        }
        drop((running, serving, stopped));
    }
}

#[tokio::test]
async fn a_stdio_server_of_an_earlier_owner_is_never_taken_up_alive() {
    for lab in labs("a_stdio_server_of_an_earlier_owner_is_never_taken_up_alive") {
        let harbour = Harbour::new(&lab);
        let started = harbour.start(harbour.script("a", "sleep 1000")).await;
        let before = harbour.inspect(&started)["State"]["StartedAt"].clone();
        let heir = harbour.heir("2");
        let again = heir.start(harbour.script("a", "sleep 1000").start).await.unwrap();
        // Where an attach could reach the run before, each run has a container of its own.
        assert_eq!(id(&again) == id(&started), lab.name != "podman", "{}: made once", lab.name);
        assert_ne!(harbour.inspect(&again)["State"]["StartedAt"], before, "{}: but started again", lab.name);
        heir.kill(&key("a")).await.unwrap();
    }
}

#[tokio::test]
async fn a_name_that_somebody_else_has_is_not_taken_from_him() {
    for lab in labs("a_name_that_somebody_else_has_is_not_taken_from_him") {
        let harbour = Harbour::new(&lab);
        let theirs = lab.create(&format!("mcpdeck-{}-a", harbour.platform), json!({"Cmd": ["sleep", "1000"]})).unwrap();
        theirs.start().unwrap();
        let refusal = harbour.refusal(harbour.script("a", ECHO)).await;
        assert!(refusal.contains("that mcpdeck did not make; rename that or remove it"), "{}: {refusal}", lab.name);
        assert_eq!(theirs.inspect()["State"]["Running"], true, "{}", lab.name);

        harbour.start(harbour.script("git@eaton", ECHO)).await;
        let refusal = harbour.refusal(harbour.script("git-eaton", ECHO)).await;
        assert!(refusal.contains("git-eaton and git@eaton would both be the container"), "{}: {refusal}", lab.name);
    }
}

const ROUNDS: usize = 100;
const AT_ONCE: usize = 4;

#[test]
fn a_hundred_rounds_leave_nothing() {
    let test = "backend_contract::docker::left::a_hundred_rounds_leave_nothing";
    if docker("a_hundred_rounds_leave_nothing").is_none() || !alone(test) {
        return;
    }
    let lab = docker("a_hundred_rounds_leave_nothing").expect("it was here a moment ago");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let rig = Arc::new(Rig { name: lab.name, place: Place::Container(Harbour::new(&lab)), dir });
        round(&rig, 0, 0).await;
        let before = descriptors();
        let mut lanes = JoinSet::new();
        for lane in 0..AT_ONCE {
            let rig = Arc::clone(&rig);
            lanes.spawn(async move {
                for n in 0..ROUNDS / AT_ONCE {
                    round(&rig, lane, n).await;
                }
            });
        }
        lanes.join_all().await;
        eventually("descriptors", async || descriptors() <= before).await;
        let Place::Container(harbour) = &rig.place else { unreachable!("made so") };
        let stopped = harbour.containers().iter().filter(|(_, state)| state == "exited").count();
        assert_eq!((stopped, harbour.containers().len()), (AT_ONCE, AT_ONCE), "kept for the next start");
        assert_eq!(harbour.heir("2").reap().await.unwrap() as usize, AT_ONCE);
        assert_eq!(harbour.containers(), []);
    });
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One life, ended in one of three ways.
async fn round(rig: &Rig, lane: usize, n: usize) {
    let name = format!("s{lane}");
    let started = rig.start(&name).await.unwrap();
    let mut pipes = Pipes::of(started.attached);
    assert!(pipes.ping(1).await);
    match n % 3 {
        0 => {
            drop(pipes);
            rig.backend().stop(&key(&name), LONG, LONG).await.unwrap();
        }
        1 => rig.backend().stop(&key(&name), std::time::Duration::ZERO, LONG).await.unwrap(),
        _ => rig.backend().kill(&key(&name)).await.unwrap(),
    }
    started.exit.await.unwrap();
}
