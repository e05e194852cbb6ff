use super::super::super::fixture;
use super::super::super::snapshot::Yard;
use super::super::{impact, judge};
use super::*;
use crate::model::container::{ContainerRow, EngineRow, Owner, Speaks};
use crate::model::message::{Face, Operator};
use crate::model::{Act, Stamp};

fn row(id: &str, owner: Owner, compose: Option<&str>) -> Arc<ContainerRow> {
    Arc::new(ContainerRow {
        key: key(id),
        name: id.into(),
        image: "image".into(),
        state: ContainerState::Running,
        since: Stamp(1),
        exit_code: None,
        oom: false,
        restarts: 0,
        health: None,
        owner,
        compose_project: compose.map(str::to_owned),
        compose_service: None,
        ports: Vec::new(),
        networks: Vec::new(),
        usage: Default::default(),
    })
}

fn key(id: &str) -> ContainerKey {
    ContainerKey { engine: "local".into(), id: id.into() }
}

fn snapshot(engine: EngineState, read_only: bool) -> Arc<Snapshot> {
    let config = fixture::config(|c| {
        c.platform.read_only = read_only;
        fixture::server(c, "git", |s| s.run = fixture::contained("git", Speaks::Stdio));
        fixture::server(c, "shop", |_| {});
        fixture::tenant(c, "eaton", &["git", "shop"], |t| t.environment = Environment::Production);
        fixture::tenant(c, "vatt", &["git"], |t| t.read_only = true);
    });
    let of = |claim| Owner { claim, ..Owner::default() };
    let server = |claim, id: &str| Owner { server: Some(id.into()), ..of(claim) };
    let instance = |claim, id: &str| Owner { instance: Some(id.parse().unwrap()), ..server(claim, id) };
    let yard = Yard {
        engines: vec![Arc::new(EngineRow {
            id: "local".into(),
            url: String::new(),
            version: None,
            local: true,
            state: engine,
            containers: 6,
            running: 6,
        })],
        containers: vec![
            row("git-own", instance(Claim::Ours, "git"), None),
            row("orphan", instance(Claim::Orphan, "git"), None),
            row("shop-db", instance(Claim::Adopted, "shop"), Some("shop")),
            row("stranger", Owner::default(), Some("bank")),
            row("stranger2", Owner::default(), None),
            row("vatt-db", Owner { tenant: Some("vatt".into()), ..of(Claim::Ours) }, None),
        ],
        ..Yard::default()
    };
    fixture::snapshot(&config, &yard, |_| {})
}

fn try_it(snapshot: &Snapshot, id: &str, act: ContainerAct, confirm: Option<&str>) -> String {
    let command = Command::Container { container: key(id), name: id.to_owned(), act };
    let command = redirected(snapshot, &command).unwrap_or(command);
    let operator = Operator { name: "ana".into(), face: Face::Cli, pid: 1, grant: None };
    let told = command.command_line();
    match judge(snapshot, &Act { command, operator, confirm: confirm.map(str::to_owned) }, 10, &Default::default()) {
        Ok(_) => told,
        Err(refusal) => format!("! {refusal}"),
    }
}

#[test]
fn a_container_is_touched_only_if_it_is_ours_or_adopted() {
    use ContainerAct::{Kill, Pause, Restart, Start, Stop};
    let snapshot = snapshot(EngineState::Up, false);
    let cases = [
        ("stranger", Stop, None, "! stranger: it is not ours: compose project bank; adopt it in the config first"),
        ("stranger2", Kill, None, "! stranger2: it is not ours; adopt it in the config first"),
        ("gone", Stop, None, "! there is no container local/gone (mcpdeck get containers)"),
        ("orphan", Start, None, "! orphan: it is ours and wanted by nobody; `mcpdeck reap` removes it"),
        ("git-own", Stop, None, "! stop git in production needs --confirm git"),
        ("git-own", Restart, Some("git"), "mcpdeck restart git"),
        ("git-own", Start, None, "mcpdeck start git"),
        ("shop-db", Restart, None, "! restart shop-db in production needs --confirm shop-db"),
        ("shop-db", Restart, Some("shop-db"), "mcpdeck restart shop-db"),
        ("shop-db", Start, None, "mcpdeck start shop-db"),
        ("vatt-db", Stop, None, "! read-only: the customer vatt is read-only"),
        (
            "git-own",
            Pause,
            Some("git-own"),
            "! git-own: it is git, which is paused when it is idle: give its server an idle_doze",
        ),
    ];
    for (id, act, confirm, expected) in cases {
        assert_eq!(try_it(&snapshot, id, act, confirm), expected, "{} {id}", act.verb());
    }
    let impact =
        impact(&snapshot, &Command::Container { container: key("shop-db"), name: String::new(), act: Stop }, 10);
    assert_eq!((impact.tenants, impact.environment), (vec!["eaton".into()], Environment::Production));
    assert_eq!(impact.follows, ["it stays stopped until somebody starts it", "it stands behind shop"]);
}

#[test]
fn a_silent_engine_and_a_read_only_platform_refuse() {
    let silent = EngineState::Silent { since: Stamp(1), reason: "timed out".into() };
    let told = try_it(&snapshot(silent, false), "shop-db", ContainerAct::Start, None);
    assert_eq!(told, "! shop-db: engine local is silent: timed out");
    let told = try_it(&snapshot(EngineState::Up, true), "shop-db", ContainerAct::Start, None);
    assert_eq!(told, "! read-only: the platform test is read-only");
}
