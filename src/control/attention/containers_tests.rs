use super::super::super::fixture;
use super::super::super::snapshot::Yard;
use super::super::{Conditions, findings};
use super::*;
use crate::model::Stamp;
use crate::model::container::{ContainerKey, Owner, Speaks};
use crate::model::usage::InstanceUsage;
use std::sync::Arc;

fn row(id: &str, claim: Claim, change: impl FnOnce(&mut ContainerRow)) -> Arc<ContainerRow> {
    let mut row = ContainerRow {
        key: ContainerKey { engine: "local".into(), id: id.into() },
        name: id.into(),
        image: "image".into(),
        state: ContainerState::Running,
        since: Stamp(1),
        exit_code: None,
        oom: false,
        restarts: 0,
        health: None,
        owner: Owner { claim, tenant: Some("eaton".into()), ..Owner::default() },
        compose_project: None,
        compose_service: None,
        ports: Vec::new(),
        networks: Vec::new(),
        usage: InstanceUsage::default(),
    };
    change(&mut row);
    Arc::new(row)
}

fn lines(engine: EngineState, containers: Vec<Arc<ContainerRow>>, servers: &[&str]) -> Vec<String> {
    let config = fixture::config(|c| {
        for id in servers {
            fixture::server(c, id, |s| s.run = fixture::contained("git", Speaks::Stdio));
        }
        fixture::tenant(c, "eaton", servers, |_| {});
    });
    let engine = EngineRow {
        id: "local".into(),
        url: String::new(),
        version: None,
        local: true,
        state: engine,
        containers: 0,
        running: 0,
    };
    let yard = Yard { engines: vec![Arc::new(engine)], containers, ..Yard::default() };
    let snapshot = fixture::snapshot(&config, &yard, |_| {});
    let rows = findings(&snapshot, &Conditions::default(), Stamp(21_000));
    rows.iter().map(|r| format!("{} {} {}: {} [{}]", r.severity, r.word, r.object, r.text, r.tenants.len())).collect()
}

#[test]
fn what_is_wrong_with_ours_is_a_line_and_with_others_is_none() {
    let wrong = |claim, name: &str| {
        vec![
            row(&format!("{name}-oom"), claim, |r| {
                r.oom = true;
                r.state = ContainerState::Exited;
                r.usage.memory_limit = Some(512 << 20);
            }),
            row(&format!("{name}-sick"), claim, |r| r.health = Some(ContainerHealth::Unhealthy)),
            row(&format!("{name}-tired"), claim, |r| {
                (r.state, r.restarts, r.exit_code) = (ContainerState::Restarting, 4, Some(2));
            }),
        ]
    };
    assert_eq!(
        lines(EngineState::Up, wrong(Claim::Adopted, "a"), &[]),
        [
            "3 OOM a-oom: killed for memory at its limit of 512 MiB [1]",
            "2 RESTARTING a-tired: restarts again and again: 4 times, the last exit code was 2 [1]",
            "2 UNHEALTHY a-sick: it runs, and its own health check fails [1]",
        ]
    );
    assert!(lines(EngineState::Up, wrong(Claim::Other, "o"), &[]).is_empty());
}

#[test]
fn an_engine_that_is_silent_says_for_how_long_and_one_that_nobody_needs_says_nothing() {
    let silent = EngineState::Silent { since: Stamp(1000), reason: "connection refused".into() };
    let told = lines(silent, vec![row("c", Claim::Ours, |_| {})], &[]);
    assert_eq!(told, ["3 ENGINE local: silent for 20 s: connection refused; 1 container is unknown [1]"]);
    let absent = || EngineState::Absent { reason: "no socket was found".into() };
    assert!(lines(absent(), vec![], &[]).is_empty());
    let told = lines(absent(), vec![], &["git"]);
    assert_eq!(told, ["3 ENGINE local: no socket was found, and git cannot run without it [1]"]);
}
