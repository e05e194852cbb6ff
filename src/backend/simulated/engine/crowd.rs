//! Who is in a made-up engine: names, images, labels, troubles and loads, all from one seed.

use crate::backend::engine::Found;
use crate::model::Stamp;
use crate::model::container::{ContainerHealth, ContainerState, labels};
use crate::model::usage::InstanceUsage;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const TENANTS: [&str; 6] = ["eaton", "vattenfall-de", "rexel", "festo", "hilti", "nordex"];
const PROJECTS: [&str; 3] = ["etim", "observability", "intranet"];

/// (service, image, port inside, percent of a core, MiB used, MiB allowed)
type Trade = (&'static str, &'static str, u16, f32, u64, Option<u64>);

/// What stands behind a tenant.
const STACK: [Trade; 3] = [
    ("vllm", "vllm/vllm-openai:v0.6.3", 8000, 60.0, 6200, Some(16_384)),
    ("embeddings", "ghcr.io/huggingface/text-embeddings-inference:1.5", 8080, 25.0, 900, Some(2048)),
    ("lakehouse", "minio/minio:RELEASE.2025-04-22", 9000, 4.0, 310, Some(1024)),
];

/// What others run beside us.
const OTHERS: [Trade; 5] = [
    ("db", "postgres:16", 5432, 6.0, 240, None),
    ("cache", "redis:7", 6379, 1.5, 30, Some(256)),
    ("web", "nginx:1.27", 80, 0.8, 12, None),
    ("worker", "example/worker:3.1", 9100, 18.0, 150, Some(512)),
    ("grafana", "grafana/grafana:11.2", 3000, 3.0, 95, Some(512)),
];

/// A made-up container.
#[derive(Clone)]
pub struct Made {
    pub row: Arc<Found>,
    pub seed: u64,
    pub load: Load,
}

/// Around which its usage wanders.
#[derive(Clone, Copy)]
pub struct Load {
    /// Bytes.
    pub memory: u64,
    pub limit: Option<u64>,
    /// Percent of one core.
    pub cpu: f32,
}

/// How a container is doing; one in twenty each, the rest run.
enum Fate {
    Runs,
    Unhealthy,
    Ended,
    OutOfMemory,
    Restarts,
    Paused,
}

impl Made {
    /// The container of this number.
    pub fn up(seed: u64, index: u32, platform: &str, now: Stamp) -> Self {
        let seed = seed.wrapping_add(u64::from(index)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = fastrand::Rng::with_seed(seed);
        let id = hex_id(&mut random);
        // Two of five are ours.
        let ours = index % 5 < 2;
        let round = index as usize / 5;
        let (service, image, port, cpu, used, allowed) = if ours {
            STACK[(round * 2 + index as usize % 5) % STACK.len()]
        } else {
            OTHERS[(round + index as usize) % OTHERS.len()]
        };
        let tenant = TENANTS[round % TENANTS.len()];
        let project = PROJECTS[round % PROJECTS.len()];
        let (name, labels) = match ours {
            true => {
                // A stack has each part once: the next round is of another stack.
                let stack = match round / TENANTS.len() {
                    0 => tenant.to_owned(),
                    lap => format!("{tenant}-{lap}"),
                };
                (format!("mcpdeck-{platform}-{stack}-{service}"), stack_labels(platform, tenant, &stack, service))
            }
            false => (format!("{project}-{service}-{index}"), compose_labels(project, service)),
        };
        let fate = fate(index);
        let age = Duration::from_secs(random.u64(60..4 * 86_400));
        let network = if ours { format!("mcpdeck-{platform}-tenant-{tenant}") } else { format!("{project}_default") };
        let row = Found {
            id,
            name,
            image: image.to_owned(),
            state: fate.state(),
            since: Stamp(now.0.saturating_sub(age.as_millis() as u64)),
            exit_code: fate.exit_code(),
            oom: matches!(fate, Fate::OutOfMemory),
            restarts: if matches!(fate, Fate::Restarts) { random.u32(3..40) } else { 0 },
            memory_limit: allowed.map(|mib| mib << 20),
            health: fate.health(),
            labels,
            ports: vec![format!("127.0.0.1:{}->{port}/tcp", 20_000 + index % 40_000)],
            networks: vec![network],
            pid: None,
        };
        let load = Load { memory: used << 20, limit: allowed.map(|mib| mib << 20), cpu };
        Self { row: Arc::new(row), seed, load }
    }

    /// Wanders slowly; `None` if it does not run.
    pub fn usage(&self, age: Duration) -> Option<InstanceUsage> {
        if !matches!(self.row.state, ContainerState::Running | ContainerState::Paused) {
            return None;
        }
        let mut random = fastrand::Rng::with_seed(self.seed ^ age.as_secs().wrapping_mul(0x2545_f491_4f6c_dd1d));
        let works = self.row.state == ContainerState::Running;
        let busy = |most: f32, random: &mut fastrand::Rng| if works { most * (0.4 + 0.6 * random.f32()) } else { 0.0 };
        let cpu = busy(self.load.cpu, &mut random);
        let net = busy(self.load.cpu * 4096.0, &mut random);
        let disk = busy(self.load.cpu * 1024.0, &mut random);
        Some(InstanceUsage {
            cpu: Some(cpu),
            memory: Some((self.load.memory as f64 * (0.9 + 0.1 * random.f64())) as u64),
            memory_limit: self.load.limit,
            pids: Some(1 + self.seed as u32 % 30),
            net_in: Some(net as u64),
            net_out: Some((net * 1.7) as u64),
            disk_read: Some((disk * 0.2) as u64),
            disk_write: Some(disk as u64),
            ..InstanceUsage::default()
        })
    }

    /// As an engine inspects it, with a secret in its environment.
    pub fn inspected(&self) -> String {
        let row = &self.row;
        let state = json!({
            "Status": row.state.name(), "Running": row.state.is_live(), "OOMKilled": row.oom,
            "ExitCode": row.exit_code.unwrap_or(0),
        });
        let config = json!({
            "Image": row.image, "Labels": row.labels, "Env": ["PATH=/usr/bin:/bin", "API_TOKEN=made-up-secret"],
        });
        let host = json!({ "Memory": self.load.limit.unwrap_or(0), "ReadonlyRootfs": true, "CapDrop": ["ALL"] });
        let networks: BTreeMap<_, _> = row.networks.iter().map(|name| (name, json!({}))).collect();
        json!({
            "Id": &*row.id, "Name": format!("/{}", row.name), "RestartCount": row.restarts, "State": state,
            "Config": config, "HostConfig": host, "NetworkSettings": { "Networks": networks },
        })
        .to_string()
    }
}

fn fate(index: u32) -> Fate {
    match index % 20 {
        5 => Fate::Unhealthy,
        7 => Fate::Ended,
        11 => Fate::OutOfMemory,
        13 => Fate::Restarts,
        17 => Fate::Paused,
        _ => Fate::Runs,
    }
}

impl Fate {
    fn state(&self) -> ContainerState {
        match self {
            Self::Runs | Self::Unhealthy => ContainerState::Running,
            Self::Ended | Self::OutOfMemory => ContainerState::Exited,
            Self::Restarts => ContainerState::Restarting,
            Self::Paused => ContainerState::Paused,
        }
    }

    fn exit_code(&self) -> Option<i64> {
        match self {
            Self::Ended => Some(0),
            Self::OutOfMemory => Some(137),
            Self::Restarts => Some(1),
            Self::Runs | Self::Unhealthy | Self::Paused => None,
        }
    }

    fn health(&self) -> Option<ContainerHealth> {
        match self {
            Self::Runs => Some(ContainerHealth::Healthy),
            Self::Unhealthy => Some(ContainerHealth::Unhealthy),
            Self::Ended | Self::OutOfMemory | Self::Restarts | Self::Paused => None,
        }
    }
}

fn stack_labels(platform: &str, tenant: &str, stack: &str, part: &str) -> BTreeMap<String, String> {
    let pairs = [(labels::PLATFORM, platform), (labels::TENANT, tenant), (labels::STACK, stack), (labels::PART, part)];
    owned(&[&pairs[..], &[(labels::CONFIG, "made-up")]].concat())
}

fn compose_labels(project: &str, service: &str) -> BTreeMap<String, String> {
    owned(&[("com.docker.compose.project", project), ("com.docker.compose.service", service)])
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// 64 hexadecimal digits.
pub fn hex_id(random: &mut fastrand::Rng) -> Arc<str> {
    (0..4).map(|_| format!("{:016x}", random.u64(..))).collect::<String>().into()
}
