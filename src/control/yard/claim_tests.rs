use super::super::super::fixture;
use super::*;
use crate::control::snapshot::Yard;
use crate::model::Stamp;
use crate::model::container::{ContainerKey, ContainerRun, ContainerState, EngineDef, Reach};
use crate::model::instance::Mark;
use crate::model::server::Limits;
use crate::model::stack::{PartDef, Readiness, ReadyBy};
use crate::model::template::Template;
use std::time::Duration;

fn config() -> Config {
    fixture::config(|c| {
        let http = Speaks::Http { port: 80, path: "/mcp".into(), reach: Reach::Published };
        c.engines.push(Arc::new(EngineDef { id: "local".into(), url: None, simulated: None }));
        fixture::server(c, "git", |s| s.run = fixture::contained("git", Speaks::Stdio));
        fixture::server(c, "web", |s| s.run = fixture::contained("web", http.clone()));
        fixture::server(c, "held", |s| s.run = fixture::contained("web", http.clone()));
        fixture::server(c, "echo", |_| {});
        fixture::server(c, "shop", |s| {
            let adopt = Some(Adopt::ComposeProject("shop".into()));
            let url = Template::parse("http://shop/mcp").unwrap();
            s.run = Run::Remote { url, headers: Default::default(), restart_command: None, adopt };
        });
        fixture::tenant(c, "eaton", &["git", "web"], |_| {});
        c.stacks.push(Arc::new(stack()));
    })
}

fn stack() -> StackDef {
    let image = Template::parse("vllm").unwrap();
    let part = PartDef {
        name: "vllm".into(),
        run: ContainerRun::of(image, Speaks::Nothing),
        needs: Vec::new(),
        limits: Limits::default(),
        ready: Readiness {
            by: ReadyBy::Running,
            expected: None,
            timeout: Duration::from_secs(1),
            progress: Vec::new(),
        },
        watch: Vec::new(),
        stop_grace: Duration::from_secs(1),
    };
    StackDef {
        id: "models".into(),
        owner: StackOwner::Tenant("eaton".into()),
        engine: None,
        parts: vec![part],
        adopt: None,
        compose: None,
        environment: None,
        autostart: false,
        defined_at: "test:1".into(),
    }
}

/// `claim why` of one container with these labels.
fn told(labels: &[(&str, &str)], reconciled: bool, state: ContainerState) -> String {
    let config = config();
    let running = ContainerKey { engine: "local".into(), id: "runs".into() };
    let snapshot = fixture::snapshot(&config, &Yard::default(), |row| match row.key.server.as_str() {
        "held" => row.held = Some(Mark { by: "ana".into(), at: Stamp(1), reason: String::new() }),
        "web" => (row.state, row.container) = (State::Ready, Some(running.clone())),
        _ => {}
    });
    let rules = Rules::new(&config);
    let known = if reconciled { [EngineId::from("local")].into() } else { BTreeSet::new() };
    let eyes = Eyes { platform: "test", boot: "9", snapshot: &snapshot, rules: &rules, reconciled: &known };
    let id = labels.iter().find(|(name, _)| *name == "id").map_or("c", |(_, id)| id);
    let found = Found { state, ..fixture::marked(id, labels) };
    let claimed = eyes.claim(&"local".into(), &found);
    format!("{} {}", claimed.owner.claim.name(), claimed.why.unwrap_or_default()).trim_end().to_owned()
}

#[test]
fn each_container_is_whose_the_table_says() {
    use ContainerState::{Exited, Running};
    let ours = |key: &'static str, boot: &'static str| {
        vec![(labels::PLATFORM, "test"), (labels::INSTANCE, key), (labels::BOOT, boot)]
    };
    let with = |mut labels: Vec<(&'static str, &'static str)>, more| {
        labels.push(more);
        labels
    };
    let part = |stack, part| vec![(labels::PLATFORM, "test"), (labels::STACK, stack), (labels::PART, part)];
    let cases = [
        ("a stranger", vec![], Running, "other"),
        ("another platform's", vec![(labels::PLATFORM, "prod"), (labels::INSTANCE, "git")], Running, "other"),
        ("of an adopted project", vec![(COMPOSE_PROJECT, "shop")], Running, "adopted"),
        ("of another project", vec![(COMPOSE_PROJECT, "bank")], Running, "other"),
        ("made by this owner", ours("git", "9"), Running, "ours"),
        ("kept for the next start", ours("git", "1"), Exited, "ours"),
        ("stdio, left running", ours("git", "1"), Running, "orphan a stdio server of an earlier owner"),
        ("taken up", with(ours("web", "1"), ("id", "runs")), Running, "ours"),
        ("not taken up", ours("web", "1"), Running, "orphan an HTTP server of an earlier owner that was not taken up"),
        ("held", ours("held", "1"), Running, "orphan held is stopped and held"),
        ("gone from the config", ours("law", "9"), Running, "orphan the server law is gone from the config"),
        ("a tenant's own no more", ours("git@eaton", "9"), Exited, "orphan eaton has no instance of git any more"),
        ("no container any more", ours("echo", "9"), Exited, "orphan echo no longer runs in a container"),
        ("a session that is over", ours("git@eaton#3", "9"), Exited, "orphan its session is over"),
        ("a session that begins", ours("git@eaton#3", "9"), Running, "ours"),
        ("without a key", vec![(labels::PLATFORM, "test")], Running, "other"),
        ("a lie about its tenant", with(ours("git@eaton", "1"), (labels::TENANT, "bank")), Running, "other"),
        ("a lie about its server", with(ours("git", "1"), (labels::SERVER, "web")), Exited, "other"),
        (
            "a part of a stack that stands behind another now",
            with(part("models", "vllm"), (labels::TENANT, "bank")),
            Running,
            "orphan the stack models stands behind the tenant eaton now",
        ),
        ("a part", part("models", "vllm"), Running, "ours"),
        ("a part no more", part("models", "ocr"), Running, "orphan the stack models has no such part any more"),
        ("a stack no more", part("old", "vllm"), Exited, "orphan the stack old is gone from the config"),
    ];
    for (name, labels, state, expected) in cases {
        assert_eq!(told(&labels, true, state), expected, "{name}");
    }
    assert_eq!(told(&ours("web", "1"), false, Running), "ours", "it may be taken up yet");
    assert_eq!(told(&ours("held", "1"), false, Running), "orphan held is stopped and held");
}

#[test]
fn an_owner_says_who_is_behind_it() {
    let config = config();
    let snapshot = fixture::snapshot(&config, &Yard::default(), |_| {});
    let (rules, none) = (Rules::new(&config), BTreeSet::new());
    let eyes = Eyes { platform: "test", boot: "9", snapshot: &snapshot, rules: &rules, reconciled: &none };
    let owner = |labels: &[(&str, &str)]| eyes.claim(&"local".into(), &fixture::marked("c", labels)).owner;
    let part = owner(&[(labels::PLATFORM, "test"), (labels::STACK, "models"), (labels::PART, "vllm")]);
    assert_eq!((part.tenant, part.part.as_deref()), (Some("eaton".into()), Some("vllm")));
    let shop = owner(&[(COMPOSE_PROJECT, "shop"), (COMPOSE_SERVICE, "db")]);
    assert_eq!((shop.instance.unwrap().to_string(), shop.server), ("shop".to_owned(), Some("shop".into())));
    let elsewhere =
        eyes.claim(&"far".into(), &fixture::marked("c", &[(labels::PLATFORM, "test"), (labels::INSTANCE, "git")]));
    assert_eq!(elsewhere.why.as_deref(), Some("git is on another engine now"));
}
