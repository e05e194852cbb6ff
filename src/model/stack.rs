//! Stacks: the containers that stand behind a tenant or a shared server.

use super::container::{Adopt, ContainerKey, ContainerRun, EngineId};
use super::server::EnvValue;
use super::server::{Environment, Limits};
use super::template::Hole;
use super::{ServerId, Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A stack as configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackDef {
    pub id: super::StackId,
    pub owner: StackOwner,
    pub engine: Option<EngineId>,
    /// In the order written; `needs` decides the order of a deployment.
    pub parts: Vec<PartDef>,
    /// What exists already and is taken over instead of being deployed; then there are no parts.
    pub adopt: Option<Adopt>,
    /// The compose file that the parts come from.
    pub compose: Option<String>,
    /// `None`: that of its owner.
    pub environment: Option<Environment>,
    /// Deployed with the platform.
    pub autostart: bool,
    /// File and line, for messages.
    pub defined_at: String,
}

/// The way from a network of containers to its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gate {
    /// The machine's address there.
    pub address: IpAddr,
    /// So many bits at its beginning are those of every address of the network.
    pub prefix: u8,
}

impl Gate {
    /// True if `other` is an address of the network.
    pub fn leads_to(&self, other: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let ((ours, width), (theirs, other_width)) = (bits(self.address), bits(other.to_canonical()));
        let shift = width - u32::from(self.prefix).min(width);
        width == other_width && (ours ^ theirs).checked_shr(shift).unwrap_or(0) == 0
    }
}

impl StackDef {
    /// True if one of its parts is told where the router is.
    pub fn wants_router(&self) -> bool {
        let texts = self.parts.iter().flat_map(|part| part.run.env.values());
        let texts = texts.filter_map(|value| if let EnvValue::Text(text) = value { Some(text) } else { None });
        texts.into_iter().any(|text| text.holes().any(|hole| *hole == Hole::Router))
    }
}

/// Whom a stack stands behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackOwner {
    Tenant(TenantId),
    Server(ServerId),
}

/// One container of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartDef {
    pub name: String,
    pub run: ContainerRun,
    /// Other parts that must be ready before.
    pub needs: Vec<String>,
    pub limits: Limits,
    pub ready: Readiness,
    /// Texts in its log that ask for attention: `CUDA out of memory`.
    pub watch: Vec<String>,
    /// How long a stop may take before it is killed.
    pub stop_grace: Duration,
}

/// How a part shows that it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    pub by: ReadyBy,
    /// How long it usually takes; shown beside what passed.
    pub expected: Option<Duration>,
    /// Then the deployment fails.
    pub timeout: Duration,
    /// Log patterns in order, each with the percentage that it stands for.
    pub progress: Vec<(String, u8)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyBy {
    /// Running is ready.
    Running,
    /// A `GET` answers 2xx: port inside and path (`/v1/models`).
    Http { port: u16, path: String },
    /// A text in its log.
    Log(String),
    /// The image's own health check, or the one it was given.
    Health,
    /// It has ended with exit code 0: a migration, a download. Then it stays ended.
    Done,
}

/// What a stack or a part of one is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackState {
    /// Every part is ready.
    Ready,
    Starting,
    /// Some part runs and does not serve, or some do not run.
    Degraded,
    Stopping,
    /// Nothing of it runs.
    Stopped,
    Failed,
    /// Its engine is silent.
    Unknown,
}

/// Stacks outlive their owner: which of them go on when it ends, and how to end them too; `None` if none runs.
pub fn that_go_on(stacks: &[Arc<StackRow>]) -> Option<String> {
    let runs = |row: &&Arc<StackRow>| {
        let there = row.parts.iter().any(|part| part.container.is_some());
        there && !matches!(row.state, StackState::Stopped | StackState::Stopping)
    };
    let names: Vec<&str> = stacks.iter().filter(runs).map(|row| row.id.as_str()).collect();
    (!names.is_empty()).then(|| format!("stacks go on: {} (`mcpdeck undeploy STACK` ends one)", names.join(", ")))
}

impl StackState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// A stack with what its parts do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackRow {
    pub id: super::StackId,
    pub owner: StackOwner,
    pub environment: Environment,
    pub adopted: bool,
    pub compose: Option<String>,
    pub state: StackState,
    pub reason: String,
    pub parts: Vec<PartRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartRow {
    pub name: String,
    pub image: String,
    pub container: Option<ContainerKey>,
    pub state: StackState,
    /// An operator stopped it: it stays so until somebody starts it.
    pub held: bool,
    /// `loading weights 40 %, 70 s of about 180 s`
    pub message: String,
    /// Since when it fails, or does not serve as it should; `None` if it does, or was never meant to.
    pub unwell_since: Option<Stamp>,
    /// When a start that goes on began, and its progress in percent.
    pub started: Option<Stamp>,
    pub percent: Option<u8>,
}

/// One step of a deployment, as a dry run tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackStep {
    pub part: String,
    /// `create`, `start`, `recreate (image changed)`, `nothing: it runs`, `stop`, `remove`
    pub does: String,
    /// Why it cannot be done, if it cannot.
    pub refused: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_leads_to_the_addresses_of_its_network_alone() {
        for (address, prefix, other, leads) in [
            ("172.18.0.1", 16, "172.18.7.9", true),
            ("172.18.0.1", 16, "172.19.0.2", false),
            ("172.18.0.1", 16, "::ffff:172.18.0.2", true),
            ("10.0.0.1", 24, "10.0.1.1", false),
            ("10.0.0.1", 0, "8.8.8.8", true),
            ("10.0.0.1", 32, "10.0.0.2", false),
            ("fd00::1", 64, "fd00::2", true),
            ("fd00::1", 64, "fd01::2", false),
            ("fd00::1", 64, "10.0.0.1", false),
        ] {
            let gate = Gate { address: address.parse().unwrap(), prefix };
            assert_eq!(gate.leads_to(other.parse().unwrap()), leads, "{address}/{prefix} {other}");
        }
    }
}
