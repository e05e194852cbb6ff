//! Containers: how one is to run, what an engine has, and whose it is.

use super::server::EnvValue;
use super::template::Template;
use super::usage::InstanceUsage;
use super::{InstanceKey, ServerId, StackId, Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Labels on the containers and networks that we make.
pub mod labels {
    /// Name of the platform: what bears ours is ours.
    pub const PLATFORM: &str = "io.mcpdeck.platform";
    pub const SERVER: &str = "io.mcpdeck.server";
    pub const TENANT: &str = "io.mcpdeck.tenant";
    /// As an instance's key is written.
    pub const INSTANCE: &str = "io.mcpdeck.instance";
    /// When the owner that made it started, in milliseconds since the epoch.
    pub const BOOT: &str = "io.mcpdeck.boot";
    pub const STACK: &str = "io.mcpdeck.stack";
    pub const PART: &str = "io.mcpdeck.part";
    /// Hash of what it was made from.
    pub const DEFINITION: &str = "io.mcpdeck.definition";
    /// Hash of the config of a stack's part, without secrets: a dry run tells by it whether anything changed.
    pub const CONFIG: &str = "io.mcpdeck.config";
    /// `stdio`, `http` or `nothing`: a running stdio one cannot be taken up.
    pub const SPEAKS: &str = "io.mcpdeck.speaks";
}

/// Name of a container engine: `local`, or as `[[engine]]` names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EngineId(Arc<str>);

impl EngineId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EngineId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A container engine as configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineDef {
    pub id: EngineId,
    /// `unix:///path`, `tcp://host:port`, `https://host:port` or `simulated`; `None`: `DOCKER_HOST`, else the local
    /// Docker or Podman socket that is found.
    pub url: Option<String>,
    /// Containers a simulated engine makes up.
    pub simulated: Option<SimulatedEngine>,
}

/// A made-up engine for tests, benches and screens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedEngine {
    pub containers: u32,
    pub gpus: u32,
    pub seed: u64,
}

/// How a server, or a part of a stack, runs in a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerRun {
    /// `None`: the first engine.
    pub engine: Option<EngineId>,
    pub image: Template,
    pub pull: Pull,
    /// Replaces the image's own.
    pub entrypoint: Option<Vec<Template>>,
    pub command: Option<Vec<Template>>,
    pub env: BTreeMap<String, EnvValue>,
    pub speaks: Speaks,
    /// Folder inside that it starts in; `None`: the image's own.
    pub workdir: Option<String>,
    /// `user` or `uid:gid`; `None`: 65534:65534, nobody; empty: the image's own.
    pub user: Option<String>,
    /// The root file system can be written; false unless asked for.
    pub writable_root: bool,
    /// Paths that get a small tmpfs besides `/tmp`.
    pub tmpfs: Vec<String>,
    /// Writable folders kept on the host between starts: name -> path inside.
    pub data: BTreeMap<String, String>,
    pub mounts: Vec<Mount>,
    pub gpu: Option<GpuNeed>,
    /// Bytes of `/dev/shm`.
    pub shm: Option<u64>,
    /// Ports published besides the one that `speaks` needs.
    pub ports: Vec<Port>,
    /// Networks that exist already and are joined besides our own.
    pub networks: Vec<String>,
    /// Further names that it answers to in our own network.
    pub aliases: Vec<String>,
    /// Names that it knows by an address, `NAME:ADDRESS`, where `host-gateway` is the host.
    pub hosts: Vec<String>,
    /// Capabilities given back after all are dropped.
    pub capabilities: Vec<String>,
    /// Replaces the image's own health check.
    pub health: Option<HealthCheck>,
}

impl ContainerRun {
    /// A container of `image` with everything else as by default.
    pub fn of(image: Template, speaks: Speaks) -> Self {
        Self {
            engine: None,
            image,
            pull: Pull::Missing,
            entrypoint: None,
            command: None,
            env: BTreeMap::new(),
            speaks,
            workdir: None,
            user: None,
            writable_root: false,
            tmpfs: Vec::new(),
            data: BTreeMap::new(),
            mounts: Vec::new(),
            gpu: None,
            shm: None,
            ports: Vec::new(),
            networks: Vec::new(),
            aliases: Vec::new(),
            hosts: Vec::new(),
            capabilities: Vec::new(),
            health: None,
        }
    }
}

/// A command that the engine runs inside now and then to see whether the container is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// As engines have it: `CMD` and a program with arguments, `CMD-SHELL` and a line, or `NONE`.
    pub test: Vec<String>,
    pub every: Duration,
    pub timeout: Duration,
    pub retries: u32,
    /// Failures within this time after the start do not count.
    pub start: Duration,
}

impl Default for HealthCheck {
    /// What engines take where nothing is said; without a test.
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { test: Vec::new(), every: s(30), timeout: s(30), retries: 3, start: Duration::ZERO }
    }
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    #[default]
    Missing,
    Always,
    Never,
}

/// What a container says, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaks {
    /// MCP on stdin and stdout.
    Stdio,
    /// MCP over HTTP on this port inside.
    Http { port: u16, path: String, reach: Reach },
    /// No MCP: a part of a stack.
    Nothing,
}

/// How we get at a port of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Published on a loopback port that the engine picks.
    #[default]
    Published,
    /// By the container's own address.
    Address,
}

/// A folder or file of the host inside a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path on the host, or the name of a volume.
    pub source: Template,
    pub target: String,
    pub read_only: bool,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// `127.0.0.1` unless asked for.
    pub address: String,
    /// `None`: the engine picks one.
    pub host: Option<u16>,
    pub container: u16,
}

/// What a container wants of the GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuNeed {
    pub device: GpuChoice,
    /// Bytes of GPU memory it will take (per device); checked before a start.
    pub memory: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuChoice {
    All,
    /// So many, whichever the engine gives.
    Count(u32),
    /// Indexes or UUIDs.
    Devices(Vec<String>),
}

/// What exists already and is taken over by config for start, stop, restart and logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopt {
    ComposeProject(String),
    Container(String),
}

/// One container of one engine. The id is the engine's own, whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerKey {
    pub engine: EngineId,
    pub id: Arc<str>,
}

impl fmt::Display for ContainerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.id.get(..12).unwrap_or(&self.id);
        f.pad(&format!("{}/{short}", self.engine))
    }
}

/// What an engine says of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl ContainerState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// True if processes of it exist.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

/// What the image's own health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerHealth {
    Starting,
    Healthy,
    Unhealthy,
}

/// Why a container is ours, or that it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// Somebody else's: shown, never touched.
    #[default]
    Other,
    /// Taken over by config: started, stopped and restarted, never removed.
    Adopted,
    /// Made by us and wanted.
    Ours,
    /// Made by us and wanted by nobody any more.
    Orphan,
}

impl Claim {
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Adopted => "adopted",
            Self::Ours => "ours",
            Self::Orphan => "orphan",
        }
    }
}

/// Whose a container or a GPU process is. Everything unknown is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub claim: Claim,
    pub tenant: Option<TenantId>,
    pub server: Option<ServerId>,
    pub instance: Option<InstanceKey>,
    pub stack: Option<StackId>,
    /// Name of the stack's part.
    pub part: Option<String>,
}

/// One row of the Containers table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerRow {
    pub key: ContainerKey,
    pub name: String,
    pub image: String,
    pub state: ContainerState,
    /// Since when it runs, or when it ended, or was created.
    pub since: Stamp,
    pub exit_code: Option<i64>,
    /// The kernel killed it for memory.
    pub oom: bool,
    pub restarts: u32,
    pub health: Option<ContainerHealth>,
    pub owner: Owner,
    pub compose_project: Option<String>,
    pub compose_service: Option<String>,
    /// `127.0.0.1:9300->8000/tcp`
    pub ports: Vec<String>,
    pub networks: Vec<String>,
    pub usage: InstanceUsage,
}

/// An engine and whether it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EngineRow {
    pub id: EngineId,
    /// Where it was found; never holds credentials.
    pub url: String,
    /// `Docker 20.10.24`, once known.
    pub version: Option<String>,
    /// Its containers' files are on this machine.
    pub local: bool,
    pub state: EngineState,
    pub containers: u32,
    /// Of them; neither paused ones nor those between two restarts.
    pub running: u32,
}

/// Where a simulated engine says it is.
pub const SIMULATED: &str = "simulated";

impl EngineRow {
    /// True if what it has is made up.
    pub fn is_simulated(&self) -> bool {
        self.url == SIMULATED
    }

    /// True if its networks are known to reach each other while another one is made.
    pub fn opens_its_networks(&self) -> bool {
        self.version.as_deref().is_some_and(opens_networks)
    }
}

/// True if an engine that calls itself `version` (`Docker 20.10.24`) lets its networks reach each other for some
/// milliseconds whenever one is made: Docker before 28 (moby/moby#48640) takes the jump to the rules that keep them
/// apart out of the firewall and puts it back in.
fn opens_networks(version: &str) -> bool {
    let major = version.strip_prefix("Docker ").and_then(|number| number.split('.').next()?.parse::<u32>().ok());
    major.is_some_and(|major| major < 28)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    Connecting,
    Up,
    /// It does not answer; what is shown of it is as old as `since`.
    Silent {
        since: Stamp,
        reason: String,
    },
    /// There is none: no socket was found. Nobody is told unless a config asks for one.
    Absent {
        reason: String,
    },
}

/// What may be done to one container, if it is ours or adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerAct {
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Unpause,
}

impl ContainerAct {
    pub fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
        }
    }
}

/// How the reason of a start begins to tell that its image could not be fetched; the image follows, then a backtick.
pub const PULL_FAILED: &str = "cannot pull `";

/// What is ours and wanted by nobody: a process group or a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanRow {
    pub owner: Owner,
    pub container: Option<ContainerKey>,
    pub pid: Option<u32>,
    /// `container mcpdeck-eaton-vllm`, `process group 4711`
    pub what: String,
    /// Why it counts as one: `a stdio server of an earlier owner`, `its server is gone from the config`.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::opens_networks;

    #[test]
    fn docker_before_28_opens_its_networks_while_one_is_made() {
        for version in ["Docker 20.10.24", "Docker 27.5.1"] {
            assert!(opens_networks(version), "{version}");
        }
        for version in ["Docker 28.0.0", "Docker 29.1", "Podman 4.3.1", "Docker ", "Docker dev"] {
            assert!(!opens_networks(version), "{version}");
        }
    }
}
