use super::super::fixture;
use super::super::snapshot::Yard;
use super::*;
use crate::config::Config;
use crate::model::Scope;
use crate::model::guard::{Cap, Guard};
use crate::model::message::{Face, Operator};
use std::sync::Arc;

fn snapshot(read_only: bool, fill: impl FnOnce(&mut Config)) -> Arc<Snapshot> {
    let mut config = fixture::config(fill);
    config.platform.read_only = read_only;
    fixture::snapshot(&config, &Yard::default(), |_| {})
}

fn world(config: &mut Config) {
    fixture::server(config, "etim", |_| {});
    fixture::server(config, "graf", |s| s.scope = Scope::Tenant);
    fixture::tenant(config, "eaton", &["etim", "graf"], |t| t.environment = Environment::Production);
    fixture::tenant(config, "vatt", &["graf"], |t| t.read_only = true);
    fixture::tenant(config, "zeiss", &["graf"], |_| {});
}

fn try_it(snapshot: &Snapshot, command: Command, confirm: Option<&str>) -> String {
    try_as(Face::Cli, snapshot, command, confirm, &[])
}

fn try_as(face: Face, snapshot: &Snapshot, command: Command, confirm: Option<&str>, under_way: &[&str]) -> String {
    let under_way = under_way.iter().map(|key| key.parse().unwrap()).collect();
    let operator = Operator { name: "ana".into(), face, pid: 1, grant: None };
    match judge(snapshot, &Act { command, operator, confirm: confirm.map(str::to_owned) }, 2, &under_way) {
        Ok(keys) => keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(refusal) => format!("! {refusal}"),
    }
}

#[test]
fn each_act_is_judged_once_for_every_face() {
    let snapshot = snapshot(false, world);
    let key = |text: &str| text.parse::<InstanceKey>().unwrap();
    let disable = |server: &str, tenant: &str| Command::Disable { server: server.into(), tenant: tenant.into() };
    let cases = [
        (Command::Start(key("etim")), None, "etim"),
        (Command::Stop(key("etim")), None, "! stop etim in production needs --confirm etim"),
        (Command::Stop(key("etim")), Some("etm"), "! stop etim in production needs --confirm etim"),
        (Command::Stop(key("etim")), Some("etim"), "etim"),
        (Command::Sleep(key("etim")), None, "etim"),
        (Command::Stop(key("graf@zeiss")), None, "graf@zeiss"),
        (Command::Stop(key("graf@vatt")), None, "! read-only: the customer vatt is read-only"),
        (Command::Probe(key("graf@vatt")), None, "graf@vatt"),
        (
            Command::Probe(key("graf")),
            None,
            "! it would touch 3 instances; at most 2 at once (platform.bulk_cap): name a tenant, or go step by step",
        ),
        (Command::Stop(key("etmi")), None, "! no server is called etmi; did you mean etim? (mcpdeck get servers)"),
        (
            Command::Stop(key("graf@eton")),
            None,
            "! no customer is called eton; did you mean eaton? (mcpdeck get tenants)",
        ),
        (
            Command::Stop(key("etim@zeiss")),
            None,
            "! etim@zeiss does not exist: zeiss has no instance of its own (mcpdeck status etim)",
        ),
        (disable("graf", "eaton"), None, "! disable graf eaton in production needs --confirm eaton"),
        (disable("graf", "eaton"), Some("eaton"), "graf@eaton"),
        (disable("graf", "zeiss"), None, "graf@zeiss"),
    ];
    for (command, confirm, expected) in cases {
        assert_eq!(try_it(&snapshot, command.clone(), confirm), expected, "{command:?}");
    }
}

#[test]
fn a_read_only_platform_lets_one_look() {
    let snapshot = snapshot(true, world);
    let key: InstanceKey = "etim".parse().unwrap();
    assert!(try_it(&snapshot, Command::Start(key.clone()), None).starts_with("! read-only"));
    assert_eq!(try_it(&snapshot, Command::Probe(key), None), "etim");
}

#[test]
fn an_impact_names_who_is_hit_and_what_to_type() {
    let snapshot = snapshot(false, world);
    let impact = impact(&snapshot, &Command::Fence("etim".parse().unwrap()), 10);
    assert_eq!((impact.tenants.len(), impact.environment), (1, Environment::Production));
    assert_eq!(impact.type_name.as_deref(), Some("etim"));
    assert_eq!(impact.refused, None);
    assert_eq!(impact.follows, ["calls are refused at once; it keeps running"]);
}

#[test]
fn what_follows_is_what_happens() {
    let mut snapshot = (*snapshot(false, world)).clone();
    Arc::make_mut(&mut snapshot.totals).in_flight = 1;
    let disable = |server: &str| Command::Disable { server: server.into(), tenant: "eaton".into() };
    for (command, expected) in [
        (disable("etim"), "eaton no longer sees etim; the shared instance goes on for the others"),
        (disable("graf"), "eaton no longer sees graf; its own instance stops"),
        (Command::Shutdown, "1 call in flight will fail unless finished in time"),
    ] {
        let follows = impact(&snapshot, &command, 2).follows;
        assert!(follows.iter().any(|text| text == expected), "{follows:?}");
    }
}

/// Guards: what is tried, over what, and what comes of it.
#[test]
fn guardrails_say_why() {
    let snapshot = snapshot(false, |config| {
        world(config);
        let guard = |read_only: Option<&str>, cap: Option<u32>, deny: &[(&str, &str)]| Guard {
            read_only: read_only.map(str::to_owned),
            bulk_cap: cap.map(|instances| Cap { instances, reason: "one at a time".into() }),
            deny: deny.iter().map(|(verb, why)| ((*verb).to_owned(), (*why).to_owned())).collect(),
        };
        config
            .guards
            .0
            .insert(Environment::Production, guard(None, None, &[("kill", "it loses notes"), ("probe", "noisy")]));
        config.guards.0.insert(Environment::Staging, guard(Some("demo until Friday"), None, &[]));
        config.guards.0.insert(Environment::Lab, guard(None, Some(1), &[("reload", "by the pipeline")]));
        fixture::tenant(config, "show", &["graf"], |t| t.environment = Environment::Staging);
        fixture::tenant(config, "abb", &["graf"], |t| t.guard = guard(None, None, &[("disable", "they pay for it")]));
        fixture::tenant(config, "ice", &["graf"], |t| t.guard = guard(Some("audit"), None, &[]));
    });
    let key = |text: &str| text.parse::<InstanceKey>().unwrap();
    let cases: [(Command, &[&str], &str); 12] = [
        (Command::Kill(key("graf@eaton")), &[], "! kill is denied in production: it loses notes"),
        (Command::Kill(key("etim")), &[], "! kill is denied in production: it loses notes"),
        (Command::Probe(key("etim")), &[], "! probe is denied in production: noisy"),
        (Command::Kill(key("graf@zeiss")), &[], "graf@zeiss"),
        (Command::Start(key("graf@show")), &[], "! read-only: staging is read-only: demo until Friday"),
        (Command::Probe(key("graf@show")), &[], "graf@show"),
        (Command::Restart(key("graf@ice")), &[], "! read-only: the customer ice is read-only: audit"),
        (
            Command::Disable { server: "graf".into(), tenant: "abb".into() },
            &[],
            "! disable is denied for abb: they pay for it",
        ),
        (Command::Restart(key("graf@zeiss")), &["graf@zeiss"], "graf@zeiss"),
        (
            Command::Restart(key("graf@zeiss")),
            &["graf@abb"],
            "! it would touch 2 instances in lab with the 1 you act on already; at most 1 at once, because one at a time: \
             name a tenant, or go step by step",
        ),
        (Command::Reload, &[], "! reload is denied in lab: by the pipeline"),
        (Command::ReloadSecrets, &[], ""),
    ];
    for (command, under_way, expected) in cases {
        assert_eq!(try_as(Face::Cli, &snapshot, command.clone(), None, under_way), expected, "{command:?}");
    }
}

#[test]
fn a_program_shows_a_role_where_a_person_types_the_name() {
    let snapshot = snapshot(false, world);
    let stop = || Command::Stop("etim".parse().unwrap());
    assert_eq!(try_as(Face::Api, &snapshot, stop(), None, &[]), "etim");
    assert!(try_as(Face::Api, &snapshot, stop(), Some("graf"), &[]).starts_with("! stop etim in production needs"));
    assert!(try_as(Face::Screen, &snapshot, stop(), None, &[]).starts_with("! stop etim in production needs"));
}
