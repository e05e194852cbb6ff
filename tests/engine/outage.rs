//! Engines that hang, die, come back, refuse or are not there.

use super::{PATIENCE, state, until, up};
use crate::support::engines::OwnDocker;
use crate::support::skip;
use mcpdeck::backend::docker::DockerEngine;
use mcpdeck::backend::engine::Engine;
use mcpdeck::model::Stamp;
use mcpdeck::model::container::{ContainerAct, ContainerState, EngineDef, EngineState};
use rustix::thread::{Uid, set_thread_res_uid};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;
use tokio::time::Instant;

/// Within which an engine that is gone is called so: a sign of life and its limit.
const NOTICED: Duration = Duration::from_secs(10);

fn at(url: &str) -> DockerEngine {
    DockerEngine::open(&EngineDef { id: "x".into(), url: Some(url.to_owned()), simulated: None })
}

fn reason(state: &EngineState) -> Option<&str> {
    match state {
        EngineState::Silent { reason, .. } => Some(reason),
        _ => None,
    }
}

#[tokio::test]
async fn an_engine_that_hangs_dies_and_returns_is_told_and_taken_up_again() {
    let Some(mut own) = OwnDocker::start("engine outage") else { return };
    let made = own.lab().run("outage", &["sleep", "1000"]);
    let (engine, mut inventory) = up(&own.lab()).await;
    until(&mut inventory, "listed", |now| state(now, &made.id) == Some(ContainerState::Running)).await;

    let before = Stamp::now();
    own.freeze();
    let took = until(&mut inventory, "hangs", |now| reason(&now.state).is_some_and(|r| r.contains("no answer"))).await;
    assert!(took < NOTICED, "{took:?}");
    let now = inventory.borrow().clone();
    let EngineState::Silent { since, .. } = &now.state else { panic!("{:?}", now.state) };
    assert!(since.0 + 3000 > before.0 && *since <= Stamp::now(), "its age counts from its last answer");
    assert_eq!(state(&now, &made.id), Some(ContainerState::Running), "the last picture stays");
    let asked = Instant::now();
    let refused = engine.act(&made.id, ContainerAct::Stop, Duration::ZERO).await.unwrap_err().to_string();
    assert!(refused.contains("no answer from unix://") && asked.elapsed() < NOTICED, "{refused}");
    own.thaw();
    until(&mut inventory, "answers again", |now| now.state == EngineState::Up).await;

    own.kill();
    let took = until(&mut inventory, "is dead", |now| reason(&now.state).is_some()).await;
    assert!(took < NOTICED, "{took:?}");
    let refused = |reason: &str| reason.contains("systemctl start docker");
    until(&mut inventory, "says what to do", |now| reason(&now.state).is_some_and(refused)).await;
    own.restart().unwrap();
    until(&mut inventory, "is back", |now| now.state == EngineState::Up).await;
    engine.act(&made.id, ContainerAct::Kill, Duration::ZERO).await.unwrap();
    until(&mut inventory, "serves", |now| state(now, &made.id) == Some(ContainerState::Exited)).await;
}

#[tokio::test]
async fn an_engine_that_cannot_be_reached_says_why_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    drop(UnixListener::bind(path("refusing.sock")).unwrap());
    std::fs::write(path("file"), "").unwrap();
    let url = |name: &str| format!("unix://{}", path(name).display());
    let cases = [
        (url("missing.sock"), "no socket at"),
        (url("refusing.sock"), "nothing listens there; start it: systemctl start docker"),
        (url("file"), "nothing listens there"),
        ("tcp://127.0.0.1:1".to_owned(), "nothing listens there; is the engine running there"),
        ("ftp://x".to_owned(), "is no engine's address: give unix:///path"),
    ];
    for (url, words) in cases {
        let engine = at(&url);
        let mut inventory = engine.watch();
        until(&mut inventory, &url, |now| reason(&now.state).is_some_and(|reason| reason.contains(words))).await;
        let error = engine.inspect("x").await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn what_takes_connections_and_says_nothing_is_no_engine_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("mute.sock");
    let _mute = UnixListener::bind(&socket).unwrap();
    let engine = at(&format!("unix://{}", socket.display()));
    let mut inventory = engine.watch();
    let took = until(&mut inventory, "mute", |now| reason(&now.state).is_some_and(|r| r.contains("no answer"))).await;
    assert!(took < NOTICED && took < PATIENCE, "{took:?}");
}

#[test]
fn a_socket_without_permission_says_whom_to_ask() {
    if !rustix::process::geteuid().is_root() {
        return skip("engine permission", "only root can become somebody else");
    }
    let dir = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir_in("/tmp").unwrap();
    let places = ["docker.sock", "podman.sock"].map(|name| dir.path().join(name));
    let _listening = places.each_ref().map(|path| {
        let listener = UnixListener::bind(path).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        listener
    });
    let advice = ["add the user to the group docker, or run as root", "systemctl --user start podman.socket"];
    // Rights belong to a thread: this one gives up its own, and the others keep theirs.
    let as_nobody = move || {
        let nobody = Uid::from_raw(65_534);
        set_thread_res_uid(None, nobody, None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for (path, advice) in places.iter().zip(advice) {
                let engine = at(&format!("unix://{}", path.display()));
                let words = format!("no permission on {}: ", path.display());
                let told = |reason: &str| reason.contains(&words) && reason.contains(advice);
                until(&mut engine.watch(), &words, |now| reason(&now.state).is_some_and(told)).await;
            }
        });
    };
    std::thread::spawn(as_nobody).join().unwrap();
}
