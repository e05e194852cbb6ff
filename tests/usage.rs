//! What containers use, against real engines: read from the kernel, summed up, kept and shown by a whole platform.

use crate::containers::deck::{Deck, head, key, stdio_server};
use crate::support::engines::{Lab, Made, docker, labs};
use crate::support::platform::platform;
use mcpdeck::control::handle::Interest;
use mcpdeck::metrics::{Containers, Target};
use mcpdeck::model::container::ContainerKey;
use mcpdeck::model::usage::{InstanceUsage, Subject};
use mcpdeck::model::{Answer, Query, Snapshot};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nothing takes long; a machine under load may.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// Keeps half a core busy and has limits.
fn busy(lab: &Lab) -> Made {
    let limits = json!({ "Memory": 64 * MIB, "NanoCpus": 500_000_000, "PidsLimit": 20 });
    lab.run_as("busy", json!({ "Cmd": ["sh", "-c", "while :; do :; done"], "HostConfig": limits }))
}

fn target(lab: &Lab, made: &Made) -> Target {
    Target { key: ContainerKey { engine: lab.name.into(), id: made.id.as_str().into() }, pid: None }
}

/// Samples until `wanted`; the kernel counts on while we wait.
fn sample_until(
    containers: &mut Containers,
    target: &Target,
    wanted: impl Fn(Option<InstanceUsage>) -> bool,
) -> Option<InstanceUsage> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        std::thread::park_timeout(Duration::from_millis(100));
        let usage = containers.sample(std::slice::from_ref(target)).first().map(|(_, usage)| *usage);
        if wanted(usage) {
            return usage;
        }
        assert!(Instant::now() < deadline, "in time: {usage:?}");
    }
}

#[test]
fn a_real_container_is_measured_until_it_is_gone() {
    for lab in labs("a_real_container_is_measured_until_it_is_gone") {
        let made = busy(&lab);
        let target = target(&lab, &made);
        let mut containers = Containers::new();
        let usage = sample_until(&mut containers, &target, |usage| {
            usage.is_some_and(|usage| usage.cpu.is_some_and(|cpu| (20.0..80.0).contains(&cpu)))
        });
        let usage = usage.expect("measured");
        assert_eq!((usage.memory_limit, usage.cpu_limit), (Some(64 * MIB), Some(50.0)), "{}", lab.name);
        assert!(usage.pids.is_some_and(|pids| pids >= 1), "{usage:?}");
        assert_eq!((usage.net_in, usage.net_out), (Some(0), Some(0)), "{}: it has no network", lab.name);
        assert!(usage.disk_read.is_some() && usage.disk_write.is_some(), "{usage:?}");
        let engines_view = memory_as_told(&lab, &made);
        let difference = usage.memory.expect("known").abs_diff(engines_view);
        assert!(difference <= MIB, "{}: {usage:?}, the engine says {engines_view}", lab.name);
        made.act("restart?t=0").unwrap();
        let again = sample_until(&mut containers, &target, |usage| usage.is_some_and(|usage| usage.cpu.is_some()));
        assert!(again.is_some(), "{}: it came back with other files of the same names", lab.name);
        made.remove().unwrap();
        sample_until(&mut containers, &target, |usage| usage.is_none());
    }
}

/// Bytes without page cache, as the engine's own statistics have it.
fn memory_as_told(lab: &Lab, made: &Made) -> u64 {
    let text = lab.ask("GET", &format!("/containers/{}/stats?stream=false", made.id), None).unwrap();
    let stats: Value = serde_json::from_str(text.trim()).unwrap();
    let memory = &stats["memory_stats"];
    let cache = memory["stats"]["total_inactive_file"].as_u64().or(memory["stats"]["inactive_file"].as_u64());
    memory["usage"].as_u64().unwrap() - cache.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_screen_has_its_figures_soon_and_a_history_later() {
    let Some(lab) = docker("what_is_on_screen_has_its_figures_soon_and_a_history_later") else { return };
    let made = busy(&lab);
    let key = target(&lab, &made).key;
    let dir = tempfile::tempdir().unwrap();
    let engine = format!("[[engine]]\nname = \"{}\"\nurl = \"unix://{}\"\n", lab.name, lab.socket.display());
    let platform = platform(dir.path(), &engine);
    let handle = &platform.handle;
    handle.interest(Interest { watching: true, containers: vec![key.clone()], ..Interest::default() });
    let until = async |wanted: &dyn Fn(&Snapshot) -> bool| {
        let began = Instant::now();
        let mut revisions = handle.revisions();
        while !wanted(&handle.state()) {
            tokio::time::timeout(PATIENCE, revisions.changed()).await.expect("in time").unwrap();
        }
        began.elapsed()
    };
    let listed = until(&|s| s.container(&key).is_some()).await;
    let measured = until(&|s| s.container(&key).is_some_and(|row| row.usage.cpu.is_some())).await;
    println!("listed after {listed:?}, measured {measured:?} later");
    let row = handle.state().container(&key).unwrap().clone();
    assert_eq!(row.usage.memory_limit, Some(64 * MIB));

    // A row is new where a figure moved, and only there.
    until(&|s| s.container(&key).is_some_and(|now| !Arc::ptr_eq(now, &row))).await;
    let ask = Query::Usage(Subject::Container(key.clone()));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Ok(Answer::Usage(history)) = handle.ask(ask.clone()).await else { panic!("a history") };
        if history.points.len() >= 3 {
            assert!(history.points.is_sorted_by(|a, b| a.0 < b.0), "{history:?}");
            assert!(history.points.iter().any(|(_, usage)| usage.cpu.is_some_and(|cpu| cpu > 5.0)), "{history:?}");
            assert!(history.reach.contains("by 1"), "{}", history.reach);
            break;
        }
        assert!(Instant::now() < deadline, "{history:?}");
        let revision = handle.state().revision;
        until(&|s| s.revision > revision).await;
    }
    made.remove().unwrap();
    until(&|s| s.container(&key).is_none()).await;
    platform.shutdown(Duration::from_secs(5)).await;
}

/// Carries bytes between a port and a Unix socket, so that an engine on this machine looks far away.
async fn far_away(lab: &Lab) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let socket = lab.socket.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut engine = tokio::net::UnixStream::connect(socket).await?;
                tokio::io::copy_bidirectional(&mut client, &mut engine).await
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_engine_is_asked_for_what_is_on_screen() {
    let Some(lab) = docker("a_far_engine_is_asked_for_what_is_on_screen") else { return };
    let made = busy(&lab);
    let key = ContainerKey { engine: "far".into(), id: made.id.as_str().into() };
    let dir = tempfile::tempdir().unwrap();
    let engine = format!("[[engine]]\nname = \"far\"\nurl = \"{}\"\n", far_away(&lab).await);
    let platform = platform(dir.path(), &engine);
    let handle = &platform.handle;
    handle.interest(Interest { watching: true, containers: vec![key.clone()], ..Interest::default() });
    let mut revisions = handle.revisions();
    let usage = loop {
        let usage = handle.state().container(&key).map(|row| row.usage).unwrap_or_default();
        if usage.cpu.is_some() {
            break usage;
        }
        tokio::time::timeout(PATIENCE, revisions.changed()).await.expect("in time").unwrap();
    };
    assert!(!handle.state().engines[0].local);
    assert!(usage.cpu.is_some_and(|cpu| (5.0..100.0).contains(&cpu)), "{usage:?}");
    assert_eq!(usage.memory_limit, Some(64 * MIB));
    platform.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_a_container_uses_what_its_container_does() {
    let Some(lab) = docker("a_server_in_a_container_uses_what_its_container_does") else { return };
    let limits = "limits = { memory = \"64MiB\", cpus = 0.5 }";
    let mut deck = Deck::start(&lab, &(head(&lab, &["box"]) + &stdio_server("box", limits))).await;
    deck.call("box").await;
    let measured = |s: &Snapshot| {
        let row = s.instance(&key("box"))?;
        let container = s.container(row.container.as_ref()?)?;
        let whole = row.usage.memory? > 0 && row.usage.cpu.is_some() && row.usage == container.usage;
        let usage = s.server("box")?.usage;
        Some(whole && usage.memory == row.usage.memory)
    };
    deck.until("it is measured, and its server with it", |s| measured(s) == Some(true)).await;
    deck.end().await;
}
