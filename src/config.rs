//! Configuration: TOML text in layers -> one checked [`Config`], or every problem at once with file, line and key.
//! Imports `model` only.

use crate::model::{Environment, ServerDef, TenantDef};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A configuration that was checked: every reference resolves, every value is in range.
#[derive(Clone, Debug)]
pub struct Config {
    pub platform: Platform,
    pub store: StoreConfig,
    pub paths: Paths,
    pub servers: Vec<Arc<ServerDef>>,
    pub tenants: Vec<Arc<TenantDef>>,
    /// The small client of the embedded default; `None` if the config has no `[example_traffic]`.
    pub example_traffic: Option<ExampleTraffic>,
    pub ui: UiConfig,
    /// `tracing` filter for mcpdeck's own log.
    pub log: String,
    /// The file it was read from; `None` on the embedded default.
    pub source: Option<PathBuf>,
    /// What is legal but looks like a mistake.
    pub warnings: Vec<Problem>,
}

#[derive(Clone, Debug)]
pub struct Platform {
    pub name: String,
    pub environment: Environment,
    pub read_only: bool,
    pub owner: OwnerMode,
    pub on_hangup: OnHangup,
    /// Group whose members may attach (socket mode 0660).
    pub socket_group: Option<String>,
    /// Acts that touch more instances than this at once are refused.
    pub bulk_cap: u32,
}

/// Who may own the platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnerMode {
    /// A console owns it if nobody else does.
    #[default]
    Auto,
    /// Only `mcpdeck serve`.
    Serve,
}

/// What an owner with a screen does when the terminal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHangup {
    Keep,
    Exit,
}

#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The SQLite file.
    pub path: PathBuf,
    /// Newest call records kept per tenant.
    pub calls_per_tenant: u32,
    /// The audit file is rotated at this size, and so many old ones are kept.
    pub audit_rotate_bytes: u64,
    pub audit_keep: u32,
}

/// Where everything lies; all absolute.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Database, audit file.
    pub state: PathBuf,
    /// One folder per instance below it: `data/SERVER/` or `data/SERVER/TENANT/`.
    pub data: PathBuf,
    pub logs: PathBuf,
    pub socket: PathBuf,
}

#[derive(Clone, Debug)]
pub struct ExampleTraffic {
    pub on: bool,
    /// Mean time between two calls.
    pub every: Duration,
    /// Calls to choose from: tenant, server, tool, JSON text of the arguments.
    pub calls: Vec<ExampleCall>,
}

#[derive(Clone, Debug)]
pub struct ExampleCall {
    pub tenant: crate::model::TenantId,
    pub server: crate::model::ServerId,
    pub tool: String,
    pub arguments: String,
}

#[derive(Clone, Debug, Default)]
pub struct UiConfig {
    /// Theme name; `None`: the 16-colour default.
    pub theme: Option<String>,
    pub ascii: bool,
    pub mouse: bool,
    /// Action name -> chords.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// One thing wrong (or doubtful) in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File, or `MCPDECK_...`, or `--flag`, or `embedded default`.
    pub file: String,
    /// From 1; 0 where there is no text (environment, flags).
    pub line: usize,
    pub column: usize,
    /// Dotted key: `server.git.run.command`.
    pub key: String,
    /// What is wrong, what was found.
    pub message: String,
    /// What is allowed, or what to do.
    pub help: Option<String>,
    /// `did you mean ...`
    pub suggestion: Option<String>,
    /// Byte range in the file for the picture under the message.
    pub span: Option<std::ops::Range<usize>>,
    /// The file's text, for the picture.
    pub text: Option<Arc<str>>,
}

/// Where to read from.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `--config FILE`; must exist.
    pub file: Option<PathBuf>,
    /// `MCPDECK_*` variables and others that fields may interpolate; the process's own in production.
    pub env: BTreeMap<String, String>,
    /// `--set key=value` and flags, the last layer.
    pub set: Vec<(String, String)>,
}

/// Reads default < file < environment < flags and checks the whole. `Err` holds every problem, in file order.
pub fn load(_options: &LoadOptions) -> Result<Config, Vec<Problem>> {
    todo!()
}
