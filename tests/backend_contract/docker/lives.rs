//! A container's lives: made once and started again, taken up by an heir, ended by others behind our back.

use crate::backend_contract::harbour::{ECHO, Harbour, id, page};
use crate::backend_contract::rig::{LONG, Pipes, SHORT, eventually, key};
use crate::support::engines::labs;
use mcpdeck::backend::engine::Engine;
use mcpdeck::backend::{Attached, Backend};
use mcpdeck::model::container::{ContainerState, Reach};
use tokio::time::timeout;

#[tokio::test]
async fn it_is_made_once_and_started_again_until_its_definition_changes() {
    for lab in labs("it_is_made_once_and_started_again_until_its_definition_changes") {
        let harbour = Harbour::new(&lab);
        let mut made = Vec::new();
        for (n, limit) in [(1, 256 << 20), (2, 256 << 20), (3, 128 << 20)] {
            let mut berth = harbour.script("a", ECHO);
            berth.start.limits.memory = Some(limit);
            let started = harbour.start(berth).await;
            made.push(id(&started).to_owned());
            let mut pipes = Pipes::of(started.attached);
            assert!(pipes.ping(n).await, "{}: start {n}", lab.name);
            pipes.stdin = None;
            assert_eq!(started.exit.await.unwrap().code, Some(0), "{}", lab.name);
        }
        // Where an attach could reach the run before, each run has a container of its own.
        assert_eq!(made[0] == made[1], lab.name != "podman", "{}: the same again", lab.name);
        assert_ne!(made[1], made[2], "{}: another definition", lab.name);
        assert_eq!(harbour.containers().len(), 1, "{}: the old one is gone", lab.name);
    }
}

#[tokio::test]
async fn one_of_a_session_is_removed_at_its_end() {
    for lab in labs("one_of_a_session_is_removed_at_its_end") {
        let harbour = Harbour::new(&lab);
        let started = harbour.start(harbour.script("a@eaton#7", ECHO)).await;
        assert_eq!(harbour.containers().len(), 1);
        drop(started.attached);
        started.exit.await.unwrap();
        assert_eq!(harbour.containers(), [], "{}", lab.name);
    }
}

#[tokio::test]
async fn http_servers_are_reached_by_port_or_address_and_taken_up_by_an_heir() {
    for lab in labs("http_servers_are_reached_by_port_or_address_and_taken_up_by_an_heir") {
        let harbour = Harbour::new(&lab);
        for (name, reach) in [("published", Reach::Published), ("address", Reach::Address)] {
            let started = harbour.start(harbour.http(name, reach)).await;
            let Attached::Http { url } = &started.attached else { panic!("a URL") };
            assert!(page(url).await.contains("here"), "{}: {name}", lab.name);
            assert_eq!(url.starts_with("http://127.0.0.1:"), reach == Reach::Published, "{}: {url}", lab.name);

            let heir = harbour.heir("2");
            assert_eq!(heir.survivors().await, [key(name)], "{}", lab.name);
            let taken_up = heir.start(harbour.http(name, reach).start).await.unwrap();
            assert_eq!(id(&taken_up), id(&started), "{}: as it runs", lab.name);
            assert!(matches!(&taken_up.attached, Attached::Http { url: same } if same == url), "{}", lab.name);
            assert_eq!(heir.survivors().await, [], "{}", lab.name);
            assert_eq!(heir.orphans().await, [], "{}", lab.name);

            let mut other = harbour.http(name, reach);
            other.env.push(("NEW".to_owned(), mcpdeck::backend::Plain::Text("1".to_owned())));
            let replaced = harbour.heir("3").start(other.start).await.unwrap();
            assert_ne!(id(&replaced), id(&started), "{}: another definition", lab.name);
            timeout(LONG, taken_up.exit).await.expect("its end is told").unwrap();
            heir.kill(&key(name)).await.unwrap();
            harbour.remove(id(&replaced));
        }
    }
}

#[tokio::test]
async fn a_stop_gives_it_its_own_signal_and_time() {
    for lab in labs("a_stop_gives_it_its_own_signal_and_time") {
        let harbour = Harbour::new(&lab);
        for (name, script, signal) in [("polite", ECHO, 15), ("deaf", "trap '' TERM; while :; do sleep 1000; done", 9)]
        {
            let started = harbour.start(harbour.script(name, script)).await;
            harbour.backend.stop(&key(name), SHORT, if signal == 15 { LONG } else { SHORT }).await.unwrap();
            assert_eq!(started.exit.await.unwrap().signal, Some(signal), "{}: {name}", lab.name);
        }
    }
}

#[tokio::test]
async fn what_others_do_to_it_is_noticed() {
    for lab in labs("what_others_do_to_it_is_noticed") {
        let harbour = Harbour::new(&lab);
        for (verb, signal) in [("kill", Some(9)), ("stop?t=10", Some(15)), ("remove", Some(9))] {
            let started = harbour.start(harbour.script("a", ECHO)).await;
            let mut pipes = Pipes::of(started.attached);
            assert!(pipes.ping(1).await);
            let container = started.container.clone().unwrap();
            match verb {
                "remove" => harbour.remove(&container.id),
                verb => {
                    harbour.lab.ask("POST", &format!("/containers/{}/{verb}", container.id), None).map(drop).unwrap()
                }
            }
            let exit = timeout(LONG, started.exit).await.expect("told").unwrap();
            // Podman forgets how one ended that is removed at once.
            assert!(exit.signal == signal || (verb == "remove" && exit.code.is_none()), "{}: {verb}: {exit}", lab.name);
            assert_eq!(pipes.rest_of_stdout().await, "", "{}: {verb}", lab.name);
        }
        let again = harbour.start(harbour.script("a", ECHO)).await;
        assert!(Pipes::of(again.attached).ping(2).await, "{}: it is made anew", lab.name);
    }
}

#[tokio::test]
async fn one_paused_behind_our_back_is_shown_woken_and_stopped() {
    for lab in labs("one_paused_behind_our_back_is_shown_woken_and_stopped") {
        let harbour = Harbour::new(&lab);
        let a = key("a");
        let started = harbour.start(harbour.script("a", ECHO)).await;
        let mut inventory = harbour.engine.watch();
        let state = |inventory: &mcpdeck::backend::engine::Inventory| {
            inventory.containers.iter().find(|c| *c.id == *id(&started)).map(|c| c.state)
        };
        harbour.act(&started, "pause");
        let paused = inventory.wait_for(|inventory| state(inventory) == Some(ContainerState::Paused));
        timeout(LONG, paused).await.expect("shown").unwrap();
        harbour.backend.wake(&a).await.unwrap();
        harbour.backend.wake(&a).await.expect("woken already");
        let mut pipes = Pipes::of(started.attached);
        assert!(pipes.ping(1).await, "{}", lab.name);
        for verb in ["stop", "kill"] {
            let started = match verb {
                "stop" => None,
                _ => Some(harbour.start(harbour.script("b", ECHO)).await),
            };
            match &started {
                None => harbour
                    .lab
                    .ask("POST", &format!("/containers/mcpdeck-{}-a/pause", harbour.platform), None)
                    .map(drop)
                    .unwrap(),
                Some(started) => harbour.act(started, "pause"),
            }
            match verb {
                "stop" => harbour.backend.stop(&a, SHORT, LONG).await.unwrap(),
                _ => harbour.backend.kill(&key("b")).await.unwrap(),
            }
        }
        eventually(lab.name, async || harbour.containers().iter().all(|(_, state)| state == "exited")).await;
    }
}
