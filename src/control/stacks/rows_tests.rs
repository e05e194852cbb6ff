use super::*;
use crate::control::fixture;
use crate::control::snapshot::Yard;
use crate::control::stacks::life::{Event, Now, Report};
use crate::model::Stamp;
use crate::model::container::{Claim, ContainerKey, Owner};
use crate::model::server::Settings;
use crate::model::usage::InstanceUsage;

fn container(part: &str, state: ContainerState, exit_code: Option<i64>) -> Arc<ContainerRow> {
    Arc::new(ContainerRow {
        key: ContainerKey { engine: "local".into(), id: part.into() },
        name: format!("mcpdeck-test-shop-{part}"),
        image: "image:1".into(),
        state,
        since: Stamp(1),
        exit_code,
        oom: false,
        restarts: 0,
        health: None,
        owner: Owner { claim: Claim::Ours, stack: Some("shop".into()), part: Some(part.into()), ..Owner::default() },
        compose_project: None,
        compose_service: None,
        ports: Vec::new(),
        networks: Vec::new(),
        usage: InstanceUsage::default(),
    })
}

fn engine(state: EngineState) -> Arc<EngineRow> {
    let (url, version) = ("unix:///x".to_owned(), None);
    Arc::new(EngineRow { id: "local".into(), url, version, local: true, state, containers: 0, running: 0 })
}

fn shop() -> Life {
    let mut job = fixture::part("job", &[]);
    job.ready.by = ReadyBy::Done;
    let parts = vec![fixture::part("web", &["db"]), fixture::part("db", &[]), job];
    Life::new(fixture::stack("shop", parts), Settings::default().restart)
}

fn shown(life: &Life, engine_state: EngineState, containers: &[Arc<ContainerRow>]) -> StackRow {
    let config = fixture::config(|c| fixture::tenant(c, "eaton", &[], |t| t.environment = Environment::Production));
    let snapshot = fixture::snapshot(&config, &Yard::default(), |_| {});
    let engines = [engine(engine_state)];
    Look {
        snapshot: &snapshot,
        engines: &engines,
        containers,
        first: Some(&"local".into()),
        stopped: &BTreeMap::new(),
        before: &[],
        now: Stamp(50),
    }
    .row(life)
}

fn text(row: &StackRow) -> String {
    let parts = row.parts.iter().map(|part| format!("{} {}", part.name, part.state.name()));
    format!("{}: {} [{}]", row.state.name(), row.reason, parts.collect::<Vec<_>>().join(", "))
}

#[test]
fn a_stack_that_nobody_keeps_is_what_its_containers_are() {
    use ContainerState::{Exited, Running};
    for (containers, want) in [
        (vec![], "stopped:  [web stopped, db stopped, job stopped]"),
        (
            vec![container("web", Running, None), container("db", Running, None), container("job", Exited, Some(0))],
            "ready:  [web ready, db ready, job ready]",
        ),
        (
            vec![container("web", Running, None), container("db", Exited, Some(2)), container("job", Exited, Some(0))],
            "degraded: db: exited 2 [web ready, db stopped, job ready]",
        ),
    ] {
        assert_eq!(text(&shown(&shop(), EngineState::Up, &containers)), want);
    }
    assert_eq!(shown(&shop(), EngineState::Up, &[]).environment, Environment::Production, "its owner's");
}

#[test]
fn a_stack_that_is_kept_is_what_its_life_says() {
    let mut life = shop();
    let now = Now { at: std::time::Duration::ZERO, stamp: Stamp(1) };
    let apply = |life: &mut Life, part: usize, report| {
        let run = life.parts[part].run;
        life.apply(now, Event::Part { part, run, report });
    };
    life.apply(now, Event::Deploy(None));
    apply(&mut life, 2, Report::Done);
    apply(&mut life, 1, Report::Told { message: "loading weights 40 %, 7 s".into(), percent: Some(40) });
    let up = || EngineState::Up;
    let want = "starting: 1 of 3 ready; db: loading weights 40 %, 7 s [web starting, db starting, job ready]";
    assert_eq!(text(&shown(&life, up(), &[])), want);
    apply(&mut life, 1, Report::Ready);
    apply(&mut life, 0, Report::Ready);
    assert_eq!(text(&shown(&life, up(), &[])), "ready:  [web ready, db ready, job ready]");
    apply(&mut life, 0, Report::Unwell("/ answers 503".into()));
    assert_eq!(text(&shown(&life, up(), &[])), "degraded: web: / answers 503 [web degraded, db ready, job ready]");
    let silent = EngineState::Silent { since: Stamp(1), reason: "refused".into() };
    let want = "unknown: engine local is silent: refused [web unknown, db unknown, job unknown]";
    assert_eq!(text(&shown(&life, silent, &[])), want);
}

#[test]
fn what_was_to_be_adopted_and_is_gone_has_failed_since_it_was_missed() {
    let gone = StackDef {
        adopt: Some(crate::model::container::Adopt::Container("web-1".to_owned())),
        ..(*fixture::stack("shop", Vec::new())).clone()
    };
    let life = Life::new(Arc::new(gone), Settings::default().restart);
    let row = shown(&life, EngineState::Up, &[]);
    let want =
        "failed: web-1: no container of this name is there: it was removed, renamed, or never made [web-1 failed]";
    assert_eq!((text(&row).as_str(), row.parts[0].unwell_since), (want, Some(Stamp(50))));
    assert_eq!(crate::model::stack::that_go_on(&[Arc::new(row)]), None, "there is nothing to go on");
    // An engine that has not told yet what it has makes nothing vanish.
    assert_eq!(shown(&life, EngineState::Connecting, &[]).state, StackState::Stopped);
}

#[test]
fn unwell_is_since_it_began_over_every_new_try_until_it_serves() {
    let mut life = shop();
    let mut seen = Vec::new();
    for (at, report) in [
        (1, Report::Failed("exited 1".to_owned())),
        (2, Report::Retry),
        (3, Report::Failed("exited 1".to_owned())),
        (4, Report::Retry),
        (5, Report::Ready),
        (6, Report::Unwell("its health check fails".to_owned())),
        (7, Report::Unwell("its health check fails".to_owned())),
        (8, Report::Well),
    ] {
        let now = Now { at: std::time::Duration::from_secs(at), stamp: Stamp(at) };
        let run = life.parts[1].run;
        life.apply(now, Event::Part { part: 1, run, report });
        let row = shown(&life, EngineState::Up, &[]);
        seen.push(row.parts[1].unwell_since.map(|stamp| stamp.0));
    }
    assert_eq!(seen, [Some(1), Some(1), Some(1), Some(1), None, Some(6), Some(6), None]);
}
