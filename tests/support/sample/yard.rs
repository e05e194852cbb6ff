//! Made-up engines, containers, stacks, orphans and GPUs for screens.

use super::{NOW, ago};
use mcpdeck::model::container::{
    Claim, ContainerHealth, ContainerKey, ContainerRow, ContainerState, EngineRow, EngineState, OrphanRow, Owner,
};
use mcpdeck::model::gpu::{GpuProcess, GpuRow, GpuShare, GpuState, Gpus};
use mcpdeck::model::instance::BackendKind;
use mcpdeck::model::stack::{PartRow, StackOwner, StackRow, StackState};
use mcpdeck::model::usage::InstanceUsage;
use mcpdeck::model::{Environment, Snapshot, Stamp};
use std::sync::Arc;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The key of the made-up container `n` of an engine.
pub fn key(engine: &str, n: u64) -> ContainerKey {
    ContainerKey { engine: engine.into(), id: format!("{n:02x}c5a1b2c3d4e5f60718293a4b5c6d7e8f90").into() }
}

pub fn engine(id: &str, state: EngineState) -> EngineRow {
    EngineRow {
        id: id.into(),
        url: format!("unix:///run/{id}.sock"),
        version: Some("Docker 20.10.24".into()),
        local: true,
        state,
        containers: 0,
        running: 0,
    }
}

/// An engine that stopped answering three minutes ago.
pub fn silent(id: &str) -> EngineRow {
    engine(id, EngineState::Silent { since: ago(190), reason: "connection refused".into() })
}

/// A running container of nobody we know.
pub fn container(n: u64, name: &str, image: &str) -> ContainerRow {
    ContainerRow {
        key: key("local", n),
        name: name.into(),
        image: image.into(),
        state: ContainerState::Running,
        since: ago(7300 + n * 60),
        exit_code: None,
        oom: false,
        restarts: 0,
        health: None,
        owner: Owner::default(),
        compose_project: None,
        compose_service: None,
        ports: Vec::new(),
        networks: Vec::new(),
        usage: InstanceUsage {
            cpu: Some(0.4 + n as f32 * 1.3),
            memory: Some((40 + n * 13) * MIB),
            memory_limit: Some(512 * MIB),
            pids: Some(3 + n as u32),
            net_in: Some(n * 1800),
            net_out: Some(n * 900),
            disk_read: Some(0),
            disk_write: Some(n * 300),
            ..InstanceUsage::default()
        },
    }
}

/// It ended; nothing of it is used any more.
fn ended(row: ContainerRow, state: ContainerState, code: i64, since: Stamp) -> ContainerRow {
    ContainerRow { state, exit_code: Some(code), since, usage: InstanceUsage::default(), ..row }
}

fn part(tenant: Option<&str>, server: Option<&str>, stack: &str, part: &str, claim: Claim) -> Owner {
    Owner {
        claim,
        tenant: tenant.map(Into::into),
        server: server.map(Into::into),
        instance: None,
        stack: Some(stack.into()),
        part: Some(part.into()),
    }
}

fn containers() -> Vec<ContainerRow> {
    let eaton = |name| part(Some("eaton"), None, "eaton-models", name, Claim::Ours);
    let etim = |name| part(None, Some("etim"), "etim", name, Claim::Adopted);
    let vllm = "registry.lab/vllm/vllm-openai:v0.6.4";
    vec![
        ContainerRow {
            owner: Owner {
                instance: Some("catalog".parse().expect("a key")),
                server: Some("catalog".into()),
                claim: Claim::Ours,
                ..Owner::default()
            },
            ports: vec!["127.0.0.1:49153->7779/tcp".into()],
            networks: vec!["mcpdeck-lab-fra1-server-catalog".into()],
            ..container(1, "mcpdeck-lab-fra1-catalog", "registry.lab/catalog-mcp:2.1")
        },
        ContainerRow {
            owner: eaton("vllm"),
            ports: vec!["127.0.0.1:9300->8000/tcp".into()],
            networks: vec!["mcpdeck-lab-fra1-tenant-eaton".into()],
            health: Some(ContainerHealth::Healthy),
            usage: InstanceUsage {
                cpu: Some(118.4),
                memory: Some(29 * GIB),
                memory_limit: Some(32 * GIB),
                pids: Some(212),
                net_in: Some(190_000),
                net_out: Some(2_400_000),
                disk_read: Some(12_000_000),
                disk_write: Some(0),
                gpu_memory: Some(40 * GIB),
                ..InstanceUsage::default()
            },
            ..container(2, "mcpdeck-lab-fra1-eaton-models-vllm", vllm)
        },
        ContainerRow {
            owner: eaton("embeddings"),
            health: Some(ContainerHealth::Starting),
            networks: vec!["mcpdeck-lab-fra1-tenant-eaton".into()],
            ..container(3, "mcpdeck-lab-fra1-eaton-models-embeddings", "registry.lab/tei:1.5")
        },
        ContainerRow {
            state: ContainerState::Paused,
            owner: eaton("lakehouse"),
            ..container(4, "mcpdeck-lab-fra1-eaton-models-lakehouse", "registry.lab/lakehouse:3")
        },
        ContainerRow {
            owner: part(Some("vattenfall-de"), None, "vattenfall-models", "vllm", Claim::Ours),
            oom: true,
            restarts: 4,
            usage: InstanceUsage { memory_limit: Some(16 * GIB), ..InstanceUsage::default() },
            ..ended(
                container(5, "mcpdeck-lab-fra1-vattenfall-models-vllm", vllm),
                ContainerState::Exited,
                137,
                ago(640),
            )
        },
        ContainerRow {
            owner: etim("server"),
            compose_project: Some("etim".into()),
            compose_service: Some("server".into()),
            ..container(6, "etim-server-1", "etim/server:1.4.0")
        },
        ContainerRow {
            owner: etim("db"),
            compose_project: Some("etim".into()),
            compose_service: Some("db".into()),
            health: Some(ContainerHealth::Unhealthy),
            usage: InstanceUsage { memory: Some(498 * MIB), ..container(7, "", "").usage },
            ..container(7, "etim-db-1", "postgres:16")
        },
        ContainerRow {
            owner: Owner {
                claim: Claim::Orphan,
                tenant: Some("hilti".into()),
                server: Some("search".into()),
                ..Owner::default()
            },
            ..container(8, "mcpdeck-lab-fra1-search-hilti", "registry.lab/search-mcp:0.9")
        },
        ContainerRow {
            compose_project: Some("monitoring".into()),
            ..container(9, "monitoring-grafana-1", "grafana/grafana:11.2.0")
        },
        ContainerRow {
            compose_project: Some("monitoring".into()),
            state: ContainerState::Restarting,
            restarts: 61,
            usage: InstanceUsage::default(),
            ..container(10, "monitoring-loki-1", "grafana/loki:3.1")
        },
        ended(container(11, "hopeful_hopper", "hello-world"), ContainerState::Exited, 0, ago(90_000)),
        ContainerRow {
            state: ContainerState::Created,
            usage: InstanceUsage::default(),
            ..container(12, "日本電気-テスト", "busybox")
        },
    ]
}

fn stacks() -> Vec<StackRow> {
    let part = |name: &str, n: u64, image: &str, state, message: &str| PartRow {
        name: name.into(),
        image: image.into(),
        container: (n > 0).then(|| key("local", n)),
        state,
        held: false,
        message: message.into(),
        unwell_since: (state == StackState::Degraded).then(|| ago(300)),
        started: None,
        percent: None,
    };
    let stack = |id: &str, owner, state, reason: &str, parts| StackRow {
        id: id.into(),
        owner,
        environment: Environment::Production,
        adopted: false,
        compose: None,
        state,
        reason: reason.into(),
        parts,
    };
    let vllm = "registry.lab/vllm/vllm-openai:v0.6.4";
    vec![
        StackRow {
            compose: Some("stacks/eaton.yaml".into()),
            ..stack(
                "eaton-models",
                StackOwner::Tenant("eaton".into()),
                StackState::Starting,
                "embeddings loads its model",
                vec![
                    part("vllm", 2, vllm, StackState::Ready, "answers /v1/models"),
                    PartRow {
                        started: Some(ago(70)),
                        percent: Some(40),
                        ..part(
                            "embeddings",
                            3,
                            "registry.lab/tei:1.5",
                            StackState::Starting,
                            "loading weights 40 %, 70 s of about 180 s",
                        )
                    },
                    part("lakehouse", 4, "registry.lab/lakehouse:3", StackState::Degraded, "paused by jan"),
                ],
            )
        },
        StackRow {
            adopted: true,
            ..stack(
                "etim",
                StackOwner::Server("etim".into()),
                StackState::Degraded,
                "db is unhealthy",
                vec![
                    part("server", 6, "etim/server:1.4.0", StackState::Ready, "runs"),
                    part(
                        "db",
                        7,
                        "postgres:16",
                        StackState::Degraded,
                        "its health check fails: no space left on device",
                    ),
                ],
            )
        },
        stack(
            "vattenfall-models",
            StackOwner::Tenant("vattenfall-de".into()),
            StackState::Failed,
            "vllm was killed for memory 4 times",
            vec![part("vllm", 5, vllm, StackState::Failed, "out of memory at 16 GiB")],
        ),
    ]
}

fn orphans() -> Vec<OrphanRow> {
    vec![
        OrphanRow {
            owner: Owner {
                claim: Claim::Orphan,
                tenant: Some("hilti".into()),
                server: Some("search".into()),
                ..Owner::default()
            },
            container: Some(key("local", 8)),
            pid: None,
            what: "container mcpdeck-lab-fra1-search-hilti".into(),
            why: "its server `search` is gone from the config".into(),
        },
        OrphanRow {
            owner: Owner { claim: Claim::Orphan, server: Some("pim".into()), ..Owner::default() },
            container: None,
            pid: Some(4711),
            what: "process group 4711".into(),
            why: "a stdio server of an earlier owner, which ended at 12:58".into(),
        },
    ]
}

fn gpus() -> Gpus {
    let device = |index: u32, used: u64, load: u32| GpuRow {
        index,
        uuid: format!("GPU-{index}a1b2c3d"),
        name: "NVIDIA H100 80GB HBM3".into(),
        utilisation: Some(load),
        memory_activity: Some(load / 2),
        memory_used: Some(used),
        memory_total: Some(80 * GIB),
        memory_free: Some(80 * GIB - used - GIB / 2),
        power: Some(120.0 + load as f32 * 4.0),
        power_cap: Some(700.0),
        temperature: Some(40 + load / 4),
        temperature_limit: Some(87),
        clock: Some(1755),
        clock_max: Some(1980),
        memory_clock: Some(2619),
        throttle: Some(Vec::new()),
        processes: Some(Vec::new()),
        utilisation_history: (0..60).map(|n| (load + n % 7) as f32).collect(),
        memory_history: (0..60).map(|_| used as f32 * 100.0 / (80 * GIB) as f32).collect(),
        ..GpuRow::default()
    };
    let vllm = GpuProcess {
        pid: 5120,
        name: Some("python3".into()),
        memory: Some(40 * GIB),
        graphics: false,
        mig: None,
        container: Some(key("local", 2)),
        container_name: Some("mcpdeck-lab-fra1-eaton-models-vllm".into()),
        owner: part(Some("eaton"), None, "eaton-models", "vllm", Claim::Ours),
    };
    let stranger = GpuProcess {
        pid: 991,
        name: Some("jupyter".into()),
        memory: Some(18 * GIB),
        graphics: false,
        mig: None,
        container: None,
        container_name: None,
        owner: Owner::default(),
    };
    Gpus {
        state: GpuState::Present,
        driver: Some("550.90.07".into()),
        devices: vec![
            GpuRow { processes: Some(vec![vllm, stranger]), ..device(0, 58 * GIB, 72) },
            device(1, 2 * GIB, 3),
        ],
        tenants: vec![
            GpuShare { tenant: Some("eaton".into()), memory: Some(40 * GIB), processes: 1 },
            GpuShare { tenant: None, memory: Some(18 * GIB), processes: 1 },
        ],
    }
}

/// Puts them into a snapshot; some of its instances then are processes.
pub fn fill(snapshot: &mut Snapshot) {
    let rows = containers();
    let local = EngineRow {
        containers: rows.len() as u32,
        running: rows.iter().filter(|row| row.state == ContainerState::Running).count() as u32,
        ..engine("local", EngineState::Up)
    };
    snapshot.engines = vec![Arc::new(local)];
    snapshot.containers = rows.into_iter().map(Arc::new).collect();
    snapshot.stacks = stacks().into_iter().map(Arc::new).collect();
    snapshot.orphans = orphans().into_iter().map(Arc::new).collect();
    snapshot.gpus = Arc::new(gpus());
    for instance in &mut snapshot.instances {
        if matches!(instance.key.server.as_str(), "grafana" | "memory") {
            Arc::make_mut(instance).backend = BackendKind::Process;
        }
    }
}

/// `n` containers of one engine, of fifty tenants.
pub fn many(n: u64) -> Snapshot {
    let row = |n: u64| {
        let tenant = format!("customer-{:04}", n % 50);
        Arc::new(ContainerRow {
            owner: part(
                Some(&tenant),
                None,
                "models",
                "vllm",
                if n.is_multiple_of(9) { Claim::Other } else { Claim::Ours },
            ),
            key: ContainerKey { engine: "local".into(), id: format!("{n:064x}").into() },
            since: Stamp(NOW.0 - n * 1000),
            ..container(n % 97, &format!("mcpdeck-lab-{tenant}-vllm-{n}"), "registry.lab/vllm:v0.6")
        })
    };
    let up = EngineRow { containers: n as u32, running: n as u32, ..engine("local", EngineState::Up) };
    Snapshot { engines: vec![Arc::new(up)], containers: (0..n).map(row).collect(), ..super::empty() }
}
