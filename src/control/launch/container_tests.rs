use super::super::{Blueprint, Launch};
use super::*;
use crate::backend::What;
use crate::control::fixture;
use crate::model::container::Speaks;
use crate::model::secret::SecretRef;
use crate::model::server::Limits;
use crate::model::stack::{Readiness, ReadyBy};
use crate::model::{Run, Scope};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn run() -> ContainerRun {
    let text = |text: &str| Template::parse(text).unwrap();
    let mut run = ContainerRun::of(text("reg/{tenant.id}:1"), Speaks::Stdio);
    run.command = Some(vec![text("--repo"), text("{tenant.context.repo}")]);
    run.env.insert("TOKEN".into(), EnvValue::Named("token".into()));
    run.env.insert("WHO".into(), EnvValue::Text(text("{tenant.name}")));
    run.data.insert("db".into(), "/var/db".into());
    run.mounts = vec![Mount { source: text("{data}/in"), target: "/in".into(), read_only: true }];
    run
}

fn config() -> Config {
    fixture::config(|c| {
        fixture::server(c, "git", |s| {
            s.scope = Scope::Tenant;
            s.run = Run::Container(Box::new(run()));
        });
        fixture::tenant(c, "eaton", &["git"], |t| {
            t.context.insert("repo".into(), "/srv/r".into());
            t.secrets.insert("token".into(), SecretRef::Command(vec!["echo".into(), "s3cret".into()]));
        });
    })
}

fn env<'a>(spec: &'a ContainerSpec, name: &str) -> Option<&'a str> {
    spec.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.expose())
}

#[tokio::test]
async fn an_instance_gets_its_tenants_values_folders_and_network() {
    let config = config();
    let tenant = Some(config.tenants[0].clone());
    let blueprint = Blueprint::new(&config, "git@eaton".parse().unwrap(), config.servers[0].clone(), tenant);
    let prepared = blueprint.prepare(&Vault::new(&config), Path::new("/bin/deck")).await.unwrap();
    let Launch::Local(start) = prepared.launch else { panic!("it is local") };
    let What::Container(spec) = start.what else { panic!("it is a container") };
    assert_eq!((spec.image.as_str(), spec.network.as_str()), ("reg/eaton:1", "mcpdeck-test-tenant-eaton"));
    assert_eq!(spec.command.as_deref(), Some(&["--repo".to_owned(), "/srv/r".to_owned()][..]));
    assert_eq!((env(&spec, "TOKEN"), env(&spec, "WHO")), (Some("s3cret"), Some("EATON")));
    assert_eq!(env(&spec, "PATH"), None, "nothing of ours goes inside");
    let data = Path::new("/nonexistent/data/git/eaton");
    assert_eq!(spec.data, [(data.join("db"), "/var/db".to_owned())]);
    assert_eq!(spec.mounts[0].source, data.join("in").to_string_lossy());
    assert_eq!(prepared.used.len(), 1);
}

#[tokio::test]
async fn a_part_of_a_stack_has_its_own_folder_its_labels_and_its_name() {
    let config = config();
    let ready =
        Readiness { by: ReadyBy::Running, expected: None, timeout: Duration::from_secs(1), progress: Vec::new() };
    let def = PartDef {
        name: "vllm".into(),
        run: run(),
        needs: Vec::new(),
        limits: Limits::default(),
        ready,
        watch: Vec::new(),
        stop_grace: Duration::from_secs(1),
    };
    let stack = StackDef {
        id: "models".into(),
        owner: StackOwner::Tenant("eaton".into()),
        engine: Some("far".into()),
        parts: vec![def.clone()],
        adopt: None,
        compose: None,
        environment: None,
        autostart: false,
        defined_at: "test:1".into(),
    };
    let made = part(&config, &Vault::new(&config), Stamp(9), &stack, &def, None).await.unwrap();
    let spec = made.spec;
    assert_eq!((spec.engine, spec.network.as_str()), (Some("far".into()), "mcpdeck-test-tenant-eaton"));
    assert_eq!(spec.data[0].0, Path::new("/nonexistent/data/.stacks/models/vllm/db"));
    assert_eq!(spec.aliases, ["vllm"]);
    let label = |name: &str| spec.labels.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let told = [labels::PLATFORM, labels::TENANT, labels::STACK, labels::PART, labels::BOOT].map(label);
    assert_eq!(told, [Some("test"), Some("eaton"), Some("models"), Some("vllm"), Some("9")]);
    assert_eq!(label(labels::INSTANCE), None);
    let mut shared = stack.clone();
    shared.owner = StackOwner::Server("git".into());
    let error = part(&config, &Vault::new(&config), Stamp(9), &Arc::new(shared), &def, None).await.err().unwrap();
    assert!(error.contains("part vllm of stack models"), "{error}");
    assert_eq!(network("test", None, Some(&"git".into())), "mcpdeck-test-server-git");
}
