//! A server: the definition of one MCP service in the registry.

use super::container::{Adopt, ContainerRun};
use super::limits::CallLimits;
use super::secret::SecretRef;
use super::template::Template;
use super::{InstanceKey, ServerId, TenantDef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where something counts as running; ordered from the least to the most strict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    #[default]
    Lab,
    Staging,
    Production,
}

/// How many instances a server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One for all tenants; context is injected per call.
    #[default]
    Shared,
    /// One per tenant; context also at start.
    Tenant,
    /// One per client session.
    Session,
}

/// A server as configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerDef {
    pub id: ServerId,
    /// Title for people; the id if none was given.
    pub name: String,
    pub description: String,
    pub version: Option<String>,
    pub capabilities: Vec<String>,
    pub use_cases: Vec<String>,
    pub price: Option<Price>,
    /// `None`: the strictest among the tenants that enabled it.
    pub environment: Option<Environment>,
    pub scope: Scope,
    pub run: Run,
    pub via: Via,
    pub hints: Hints,
    pub inject: Inject,
    /// Servers that must be ready before this one starts.
    pub needs: Vec<ServerId>,
    pub settings: Settings,
    /// Named secrets of the definition itself.
    pub secrets: BTreeMap<String, SecretRef>,
    pub labels: BTreeMap<String, String>,
    /// File and line the definition stands at, for messages.
    pub defined_at: String,
}

impl ServerDef {
    /// The instance that serves `tenant`, enabled or not. A tenant that changes anything of a shared server for itself
    /// has its own; a session that is not told is number 0.
    pub fn instance_for(&self, tenant: &TenantDef, session: Option<u32>) -> InstanceKey {
        match self.scope {
            Scope::Shared if !tenant.servers.contains_key(&self.id) => InstanceKey::shared(self.id.clone()),
            Scope::Shared | Scope::Tenant => InstanceKey::of_tenant(self.id.clone(), tenant.id.clone()),
            Scope::Session => InstanceKey::of_session(self.id.clone(), tenant.id.clone(), session.unwrap_or(0)),
        }
    }
}

/// What is spoken at a server's url.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Streamable HTTP, and HTTP+SSE (2024-11-05) where a server refuses that.
    #[default]
    Auto,
    /// HTTP+SSE at once.
    Sse,
    /// No MCP: `POST {url}/{server}/query`, probed by `GET {url}/health`.
    Query,
}

/// Longest name of a tool with its prefix, in characters: what clients of the large models accept.
pub const TOOL_NAME_MAX: usize = 64;

/// How requests that name no server, or no tool, find this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hints {
    /// Stands before the names of its tools and prompts where all servers are one; `None`: the id and `_`.
    pub prefix: Option<String>,
    /// What answers a plain query; `None`: nothing does.
    pub query: Option<QueryTool>,
    /// Of several that fit, the highest is taken.
    pub priority: i32,
}

/// A tool that answers plain queries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryTool {
    pub tool: String,
    /// The argument that takes the query's text.
    pub argument: String,
}

impl QueryTool {
    /// The one tool that a plain query endpoint is shown as.
    pub fn of_endpoint() -> Self {
        Self { tool: "query".to_owned(), argument: "query".to_owned() }
    }
}

impl ServerDef {
    /// False if each tenant gives its own url, and this one gives none.
    pub fn has_url_for(&self, tenant: &TenantDef) -> bool {
        let own = tenant.servers.get(&self.id).is_some_and(|change| change.url.is_some());
        own || !matches!(self.run, Run::PerTenant { .. })
    }

    /// What stands before the names of its tools and prompts where all servers of a tenant are one.
    pub fn prefix(&self) -> String {
        self.hints.prefix.clone().unwrap_or_else(|| format!("{}_", self.id))
    }

    /// What answers a plain query.
    pub fn query_tool(&self) -> Option<QueryTool> {
        self.hints.query.clone().or_else(|| (self.via == Via::Query).then(QueryTool::of_endpoint))
    }
}

/// What a server costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub amount: f64,
    /// ISO 4217 code.
    pub currency: String,
    pub per: PricePer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PricePer {
    Month,
    Call,
}

/// Where a server's instances come from. A preset is resolved to `Process` when the config is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    Process(ProcessRun),
    /// A server we ship: `mcpdeck mcp NAME`, as a process.
    Builtin {
        name: String,
        env: BTreeMap<String, EnvValue>,
    },
    /// Somebody else runs it; we only connect. `restart_command` is what `R` runs.
    Remote {
        url: Template,
        headers: BTreeMap<String, EnvValue>,
        restart_command: Option<Vec<String>>,
        /// Containers that exist already and stand behind the url: started, stopped and restarted with it.
        adopt: Option<Adopt>,
    },
    /// A container of an engine.
    Container(Box<ContainerRun>),
    Simulated(SimulatedRun),
    /// Every tenant gives its own url.
    PerTenant {
        headers: BTreeMap<String, EnvValue>,
    },
}

/// A local program speaking MCP on stdin and stdout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessRun {
    /// Program and arguments, never through a shell.
    pub command: Vec<Template>,
    pub env: BTreeMap<String, EnvValue>,
    /// Default: the instance's data folder.
    pub cwd: Option<Template>,
    /// Names of our own environment variables to pass on; the rest is cleared (PATH, HOME, LANG, TZ stay).
    pub pass_env: Vec<String>,
}

/// A value for the environment or a header: text with placeholders, or a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvValue {
    Text(Template),
    Secret(SecretRef),
    /// `{ secret = "NAME" }`: the named secret of the tenant's override, else of the tenant, else of the server.
    Named(String),
}

/// A made-up server for tests, benches and screens; see `backend::simulated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimulatedRun {
    /// Median answer time.
    pub latency: Duration,
    /// Start-up time.
    pub start: Duration,
    /// Tools it offers.
    pub tools: Vec<String>,
    pub memory_bytes: u64,
    /// Scripted faults.
    pub faults: Vec<SimulatedFault>,
    pub seed: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimulatedFault {
    /// Calls stop being answered (probes still are) this long after the start of the platform.
    HangAfter(Duration),
    /// The instance exits with this code this long after each of its starts.
    ExitAfter { after: Duration, code: i32 },
    /// Every n-th call answers a tool error.
    ErrorEvery(u32),
    /// Calls are answered as unauthorised unless the instance was started with this value of the secret.
    AuthUnless { secret: String, value: String },
    /// It never starts.
    RefuseStart(String),
}

/// What is put into each call for the tenant. What the caller wrote in these places is removed first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inject {
    /// HTTP headers (HTTP upstreams only).
    pub headers: BTreeMap<String, Template>,
    /// `_meta["io.mcpdeck/tenant"] = { "id", "name", "context" }`.
    pub meta: bool,
    /// Tool arguments, hidden from `tools/list`.
    pub arguments: BTreeMap<String, Template>,
}

/// Settings that `[defaults]` gives and a server may change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Pause after this much idle time; `None`: never.
    pub idle_doze: Option<Duration>,
    /// Stop after this much idle time; `None`: never.
    pub idle_stop: Option<Duration>,
    /// A call fails after this long without an answer or progress.
    pub timeout: Duration,
    /// The hard cap that progress cannot extend past.
    pub timeout_cap: Duration,
    /// A start must be ready within this.
    pub start_timeout: Duration,
    /// How long the era probe waits for an answer to `server/discover`.
    pub probe_timeout: Duration,
    pub health: HealthSettings,
    pub limits: Limits,
    pub restart: RestartPolicy,
    pub era: EraChoice,
    /// Start with the platform instead of at the first call.
    pub autostart: bool,
    /// Stages of a stop: wait after closing stdin, then after SIGTERM.
    pub stop_close: Duration,
    pub stop_term: Duration,
    /// Calls in flight per instance, and waiting for a start; more are refused.
    pub max_in_flight: u32,
    /// Largest message in bytes from or to an upstream.
    pub max_message: u64,
    /// What callers over HTTP may do with it, all tenants together.
    pub call_limits: CallLimits,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthSettings {
    /// `None`: no probes.
    pub every: Option<Duration>,
    pub timeout: Duration,
}

/// Limits of one instance; `None` is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub memory: Option<u64>,
    pub cpus: Option<f64>,
    pub pids: Option<u32>,
    /// True if the file asked for it: then what cannot be honoured refuses the start instead of being shown.
    pub explicit: bool,
}

/// Crash -> backoff -> `failed` after `max_failures` inside `window`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestartPolicy {
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    pub max_failures: u32,
    pub window: Duration,
    /// A failed instance is tried again after this; `None`: only by hand.
    pub retry_failed: Option<Duration>,
}

/// MCP revision family towards an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EraChoice {
    #[default]
    Auto,
    Legacy,
    Modern,
}

impl Default for Settings {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            idle_doze: None,
            idle_stop: Some(s(300)),
            timeout: s(30),
            timeout_cap: s(600),
            start_timeout: s(30),
            probe_timeout: s(3),
            health: HealthSettings { every: Some(s(30)), timeout: s(5) },
            limits: Limits { memory: Some(512 << 20), cpus: Some(1.0), pids: Some(256), explicit: false },
            restart: RestartPolicy {
                backoff_min: Duration::from_millis(500),
                backoff_max: s(30),
                max_failures: 5,
                window: s(60),
                retry_failed: Some(s(300)),
            },
            era: EraChoice::Auto,
            autostart: false,
            stop_close: s(2),
            stop_term: s(3),
            max_in_flight: 1024,
            max_message: 64 << 20,
            call_limits: CallLimits::default(),
        }
    }
}
