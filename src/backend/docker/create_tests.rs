use super::*;
use crate::backend::Plain;
use crate::model::container::{GpuNeed, HealthCheck, Pull};
use crate::model::secret::Secret;

fn spec(speaks: Speaks) -> ContainerSpec {
    ContainerSpec {
        engine: None,
        image: "git:1".into(),
        pull: Pull::Missing,
        entrypoint: None,
        command: Some(vec!["serve".into()]),
        env: vec![
            ("A".into(), Plain::Text("1".into())),
            ("TOKEN".into(), Plain::Secret(Secret::new("hunter22".into()))),
        ],
        speaks,
        workdir: None,
        user: None,
        writable_root: false,
        tmpfs: vec!["/run".into()],
        data: vec![("/var/lib/mcpdeck/git".into(), "/data".into())],
        mounts: vec![
            BoundMount { source: "/etc/ssl".into(), target: "/etc/ssl".into(), read_only: true },
            BoundMount { source: "models".into(), target: "/models".into(), read_only: false },
        ],
        gpu: None,
        shm: Some(1 << 30),
        ports: vec![Port { address: "127.0.0.1".into(), host: Some(9300), container: 80 }],
        network: "mcpdeck-p-tenant-eaton".into(),
        networks: vec!["other".into()],
        aliases: vec!["git".into()],
        hosts: vec!["host:host-gateway".into()],
        capabilities: vec!["CHOWN".into()],
        health: None,
        labels: vec![("team".into(), "a".into())],
    }
}

fn http(reach: Reach) -> Speaks {
    Speaks::Http { port: 8000, path: "/mcp".into(), reach }
}

fn json(spec: &ContainerSpec) -> Value {
    let limits = Limits { memory: Some(64 << 20), cpus: Some(0.5), pids: Some(32), explicit: true };
    serde_json::to_value(body(spec, &limits, &[(labels::INSTANCE, "git@eaton".to_owned())], false)).unwrap()
}

#[test]
fn it_is_hardened_unless_a_config_gives_something_back() {
    let made = json(&spec(Speaks::Stdio));
    let host = &made["HostConfig"];
    let cases = [
        (&made["User"], serde_json::json!("65534:65534")),
        (&host["ReadonlyRootfs"], true.into()),
        (&host["Privileged"], false.into()),
        (&host["CapDrop"], serde_json::json!(["ALL"])),
        (&host["CapAdd"], serde_json::json!(["CHOWN"])),
        (&host["SecurityOpt"], serde_json::json!(["no-new-privileges"])),
        (&host["RestartPolicy"]["Name"], "no".into()),
        (&host["Memory"], (64 << 20).into()),
        (&host["MemorySwap"], (64 << 20).into()),
        (&host["NanoCpus"], 500_000_000.into()),
        (&host["PidsLimit"], 32.into()),
        (&host["ShmSize"], (1 << 30).into()),
        (&host["NetworkMode"], "mcpdeck-p-tenant-eaton".into()),
        (&host["ExtraHosts"], serde_json::json!(["host:host-gateway"])),
    ];
    for (found, expected) in cases {
        assert_eq!(*found, expected);
    }
    let tmpfs = host["Tmpfs"].as_object().unwrap();
    assert_eq!(tmpfs.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), ["/run", "/tmp"].into());
    assert!(tmpfs.values().all(|how| how.as_str().unwrap().contains("size=64m")));
    let how = |user: &str, podman| tmpfs_options(user, podman).split_once("64m").unwrap().1.to_owned();
    let options = [how("65534:65534", false), how("node", false), how("65534:65534", true)];
    assert_eq!(options, [",uid=65534,gid=65534", "", ",U"]);
    let loose = ContainerSpec { writable_root: true, user: Some("node".into()), ..spec(Speaks::Stdio) };
    let loose = json(&loose);
    assert_eq!((&loose["User"], &loose["HostConfig"]["ReadonlyRootfs"]), (&"node".into(), &false.into()));
}

#[test]
fn stdio_is_open_and_unlogged_and_http_is_logged_with_an_end() {
    let stdio = json(&spec(Speaks::Stdio));
    assert_eq!(
        ["OpenStdin", "StdinOnce", "AttachStdin", "Tty"].map(|name| stdio[name].as_bool()),
        [Some(true), Some(true), Some(true), Some(false)]
    );
    assert_eq!(stdio["HostConfig"]["LogConfig"]["Type"], "none");
    for speaks in [http(Reach::Published), Speaks::Nothing] {
        let made = json(&spec(speaks));
        assert_eq!(made["OpenStdin"], false);
        assert_eq!(made["HostConfig"]["LogConfig"]["Config"]["max-size"], "10m");
    }
}

#[test]
fn ports_are_published_where_they_are_asked_for() {
    let own = serde_json::json!([{"HostIp": "127.0.0.1", "HostPort": ""}]);
    let other = serde_json::json!([{"HostIp": "127.0.0.1", "HostPort": "9300"}]);
    let cases = [
        (http(Reach::Published), serde_json::json!({"8000/tcp": own, "80/tcp": other}), vec!["80/tcp", "8000/tcp"]),
        (http(Reach::Address), serde_json::json!({"80/tcp": other}), vec!["80/tcp", "8000/tcp"]),
        (Speaks::Stdio, serde_json::json!({"80/tcp": other}), vec!["80/tcp"]),
    ];
    for (speaks, bindings, exposed) in cases {
        let made = body(&spec(speaks.clone()), &Limits::default(), &[], false);
        assert_eq!(made.exposed_ports.as_deref().unwrap(), exposed, "{speaks:?}");
        let made = serde_json::to_value(made).unwrap();
        assert_eq!(made["HostConfig"]["PortBindings"], bindings, "{speaks:?}");
    }
}

#[test]
fn mounts_are_folders_of_the_host_or_volumes() {
    let made = json(&spec(Speaks::Stdio));
    let mounts: Vec<_> = made["HostConfig"]["Mounts"].as_array().unwrap().iter().collect();
    let shown = |m: &Value| format!("{} {}:{} {}", m["Type"], m["Source"], m["Target"], m["ReadOnly"]).replace('"', "");
    assert_eq!(
        mounts.into_iter().map(shown).collect::<Vec<_>>(),
        ["bind /var/lib/mcpdeck/git:/data false", "bind /etc/ssl:/etc/ssl true", "volume models:/models false"]
    );
}

#[test]
fn gpus_are_asked_for_as_devices() {
    let cases = [
        (GpuChoice::All, serde_json::json!({"Count": -1, "Capabilities": [["gpu"]]})),
        (GpuChoice::Count(2), serde_json::json!({"Count": 2, "Capabilities": [["gpu"]]})),
        (
            GpuChoice::Devices(vec!["0".into(), "GPU-1".into()]),
            serde_json::json!({"DeviceIDs": ["0", "GPU-1"], "Capabilities": [["gpu"]]}),
        ),
    ];
    for (device, expected) in cases {
        let gpu = Some(GpuNeed { device, memory: None });
        let made = json(&ContainerSpec { gpu, ..spec(Speaks::Stdio) });
        assert_eq!(made["HostConfig"]["DeviceRequests"], serde_json::json!([expected]));
    }
}

#[test]
fn secrets_go_by_the_environment_alone() {
    let made = json(&spec(Speaks::Stdio));
    assert_eq!(made["Env"], serde_json::json!(["A=1", "TOKEN=hunter22"]));
    assert!(!made["Labels"].to_string().contains("hunter22"));
    assert_eq!(made["Labels"]["team"], "a");
}

#[test]
fn the_definition_is_the_same_for_the_same_and_another_for_another() {
    let hash = |spec: &ContainerSpec, limits: &Limits| definition(&body(spec, limits, &[], false));
    let limits = Limits { memory: Some(1), ..Limits::default() };
    let first = hash(&spec(Speaks::Stdio), &limits);
    assert_eq!(first.len(), 32);
    // Maps have another order in every run of `body`.
    assert!((0..20).all(|_| hash(&spec(Speaks::Stdio), &limits) == first));
    let health = HealthCheck {
        test: vec!["NONE".into()],
        every: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        retries: 1,
        start: Duration::ZERO,
    };
    let token = ("TOKEN".to_owned(), Plain::Secret(Secret::new("changed".into())));
    let others = [
        ContainerSpec { image: "git:2".into(), ..spec(Speaks::Stdio) },
        ContainerSpec { env: vec![token], ..spec(Speaks::Stdio) },
        ContainerSpec { labels: vec![], ..spec(Speaks::Stdio) },
        ContainerSpec { health: Some(health), ..spec(Speaks::Stdio) },
        ContainerSpec { network: "none".into(), ..spec(Speaks::Stdio) },
        spec(Speaks::Nothing),
    ];
    assert!(others.iter().all(|other| hash(other, &limits) != first));
    assert_ne!(hash(&spec(Speaks::Stdio), &Limits::default()), first);
}
