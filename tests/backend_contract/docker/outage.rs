//! An engine that is killed under load: whoever lived by it is told of, and it is used again when it is back.

use crate::backend_contract::harbour::{ECHO, Harbour, id};
use crate::backend_contract::rig::{LONG, Pipes, SHORT, key};
use crate::support::engines::OwnDocker;
use mcpdeck::backend::Backend;
use mcpdeck::model::container::{Reach, Speaks};
use tokio::time::timeout;

#[tokio::test]
async fn an_engine_killed_under_load_loses_nobody_unsaid_and_serves_again() {
    let Some(mut docker) = OwnDocker::start("an_engine_killed_under_load_loses_nobody_unsaid_and_serves_again") else {
        return;
    };
    let lab = docker.lab();
    let harbour = Harbour::new(&lab);
    let names = ["a", "b", "c"];
    let mut running = Vec::new();
    for name in names {
        let started = harbour.start(harbour.script(name, ECHO)).await;
        let mut pipes = Pipes::of(started.attached);
        assert!(pipes.ping(0).await);
        // Calls that never end.
        let load = tokio::spawn(async move {
            let mut answered = 0_u32;
            while timeout(LONG, pipes.still_answers(answered + 1)).await == Ok(true) {
                answered += 1;
            }
            answered
        });
        running.push((started.exit, load));
    }
    // Nobody holds a pipe of this one: it lives through it.
    let mut apart = harbour.script("http", "exec sleep 1000");
    apart.speaks = Speaks::Http { port: 8000, path: "/".to_owned(), reach: Reach::Address };
    apart.network = harbour.network("eaton");
    let apart = harbour.start(apart).await;
    let container = id(&apart).to_owned();
    let mut apart_exit = apart.exit;

    docker.kill();
    for (exit, load) in running {
        let exit = timeout(LONG, exit).await.expect("told").unwrap();
        assert!(!exit.oom);
        assert!(load.await.unwrap() > 0, "it answered before");
    }
    let refused = harbour.refusal(harbour.script("a", ECHO)).await;
    assert!(refused.starts_with("engine own-docker: "), "{refused}");
    assert!(timeout(SHORT, &mut apart_exit).await.is_err(), "nobody knows, so nobody says that it ended");

    docker.restart().unwrap();
    for name in names {
        let started = harbour.start(harbour.script(name, ECHO)).await;
        assert!(Pipes::of(started.attached).ping(1).await, "{name} serves again");
    }
    assert!(timeout(SHORT, &mut apart_exit).await.is_err(), "it lived through it");
    lab.ask("POST", &format!("/containers/{container}/kill"), None).unwrap();
    assert_eq!(timeout(LONG, apart_exit).await.expect("told, as before").unwrap().signal, Some(9));
    for name in names {
        harbour.backend.kill(&key(name)).await.unwrap();
    }
}
