//! Configuration: TOML text in layers -> one checked [`Config`], or every problem at once with file, line and key.
//! Imports `model` only.
//!
//! Layers, each over the one before: what is built in, the file with its includes (the embedded default if there is
//! none), `MCPDECK_TABLE__KEY=value` variables, `--set table.key=value` flags. One item of a list is named by its id:
//! `MCPDECK_SERVER__ETIM__IDLE_STOP=1m`.

mod api;
mod check;
mod compose;
mod container;
mod draft;
mod engine;
mod guard;
mod import;
mod include;
mod inject;
mod layers;
mod live;
mod mistakes;
mod pass;
mod paths;
mod platform;
mod preset;
mod problem;
mod reader;
mod reload;
pub mod request;
mod route;
mod run;
mod server;
mod settings;
mod simulate;
mod stack;
mod tenant;
mod tree;
mod units;
mod value;
mod watched;

pub use api::{ApiConfig, JwtConfig, JwtKey};
pub use import::Format;
pub use live::Live;
pub use paths::Paths;
pub use problem::{Problem, problems_text};
pub use reload::{difference, restarts};
pub use watched::Watched;

use crate::model::container::EngineDef;
use crate::model::guard::Guards;
use crate::model::route::Routing;
use crate::model::server::Settings;
use crate::model::stack::StackDef;
use crate::model::{Environment, ServerDef, TenantDef};
use pass::Pass;
use reader::{Field, Reader};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A configuration that was checked: every reference resolves, every value is in range.
#[derive(Clone, Debug)]
pub struct Config {
    pub platform: Platform,
    /// What is refused in each environment.
    pub guards: Guards,
    pub store: StoreConfig,
    pub paths: Paths,
    pub servers: Vec<Arc<ServerDef>>,
    pub tenants: Vec<Arc<TenantDef>>,
    /// The container engines; never empty: without `[[engine]]` it is `local`, found by itself.
    pub engines: Vec<Arc<EngineDef>>,
    pub stacks: Vec<Arc<StackDef>>,
    /// Where requests go that name no server.
    pub routing: Arc<Routing>,
    pub gpu: GpuConfig,
    pub api: ApiConfig,
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
    /// Files that change are read again by themselves.
    pub watch: bool,
    pub log_format: LogFormat,
}

/// How mcpdeck's own log is written where nobody draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    /// One object a line.
    Json,
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

#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// The SQLite file.
    pub path: PathBuf,
    /// Newest call records kept per tenant.
    pub calls_per_tenant: u32,
    /// The audit file is rotated at this size, and so many old ones are kept.
    pub audit_rotate_bytes: u64,
    pub audit_keep: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExampleTraffic {
    pub on: bool,
    /// Mean time between two calls.
    pub every: Duration,
    /// Calls to choose from: tenant, server, tool, JSON text of the arguments.
    pub calls: Vec<ExampleCall>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExampleCall {
    pub tenant: crate::model::TenantId,
    pub server: crate::model::ServerId,
    pub tool: String,
    pub arguments: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct UiConfig {
    /// Theme name; `None`: the 16-colour default.
    pub theme: Option<String>,
    pub ascii: bool,
    pub mouse: bool,
    /// Action name -> chords.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// How GPUs are looked at.
#[derive(Clone, Debug)]
pub struct GpuConfig {
    /// The driver's library; `None`: `libnvidia-ml.so.1` where the loader finds it.
    pub library: Option<PathBuf>,
    /// Between two readings while nobody looks at them.
    pub every: Duration,
    /// Where processes are looked up.
    pub proc: PathBuf,
}

impl Default for GpuConfig {
    fn default() -> Self {
        Self { library: None, every: Duration::from_secs(5), proc: PathBuf::from("/proc") }
    }
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
pub fn load(options: &LoadOptions) -> Result<Config, Vec<Problem>> {
    let Checked { config, problems, warnings } = check(options);
    good(config, problems, warnings)
}

/// Whatever ends the reading early has reported why, so there is a config where there is no problem.
fn good(config: Option<Config>, problems: Vec<Problem>, warnings: Vec<Problem>) -> Result<Config, Vec<Problem>> {
    config.filter(|_| problems.is_empty()).map(|config| Config { warnings, ..config }).ok_or(problems)
}

/// Everything that one reading found.
pub struct Checked {
    /// As far as it could be read; to be used only without problems.
    pub config: Option<Config>,
    pub problems: Vec<Problem>,
    /// What is doubtful, also while there are problems.
    pub warnings: Vec<Problem>,
}

/// As [`load`], with the warnings whatever else there is.
pub fn check(options: &LoadOptions) -> Checked {
    let pass = Pass::new(&options.env);
    let config = read(options, &pass);
    let (problems, warnings) = pass.finish();
    Checked { config, problems, warnings }
}

/// As [`load`], with the files that were read; also those of a configuration that has problems.
pub fn load_watched(options: &LoadOptions) -> (Result<Config, Vec<Problem>>, Watched) {
    let pass = Pass::new(&options.env);
    let config = read(options, &pass);
    let watched = pass.watched.take();
    let (problems, warnings) = pass.finish();
    (good(config, problems, warnings), watched)
}

/// What can be read of a configuration that has problems: enough to find the owner that runs an earlier one.
pub fn salvage(options: &LoadOptions) -> Option<Config> {
    read(options, &Pass::lenient(&options.env))
}

fn read(options: &LoadOptions, pass: &Pass<'_>) -> Option<Config> {
    check_all(&layers::read(options, pass)?, pass)
}

/// Foreign files as one configuration of ours.
#[derive(Debug)]
pub struct Imported {
    /// TOML, each definition under the place that it comes from.
    pub toml: String,
    /// The same as JSON.
    pub json: serde_json::Value,
    /// What is ignored, was a secret in plain text, or looks like a mistake.
    pub warnings: Vec<Problem>,
}

/// Reads foreign files and checks them together, as what they become. `Err` holds every problem.
pub fn import(
    files: &[PathBuf],
    format: Option<Format>,
    env: &BTreeMap<String, String>,
) -> Result<Imported, Vec<Problem>> {
    let pass = Pass::new(env);
    let document = layers::imported(files, format, &pass);
    if let Some(document) = &document {
        check_all(document, &pass);
    }
    let (problems, warnings) = pass.finish();
    if !problems.is_empty() {
        return Err(problems);
    }
    let root = document.map(|document| document.root).unwrap_or_default();
    Ok(Imported { toml: import::to_toml(&root), json: import::to_json(&root), warnings })
}

fn check_all(document: &layers::Document, pass: &Pass<'_>) -> Option<Config> {
    let mut root = Reader::new(&document.root, &document.at, String::new(), pass);
    let embedded = document.file.is_none();
    let (platform, socket) = platform::platform(root.get("platform").as_ref(), embedded);
    let guards = guard::guards(root.get("guard").as_ref());
    let paths = paths::paths(root.get("paths").as_ref(), &root, &platform.name, socket);
    let store = platform::store(root.get("store").as_ref(), &paths);
    let gpu = platform::gpu(root.get("gpu").as_ref());
    let api = root.get("api");
    let ui = platform::ui(root.get("ui").as_ref());
    let log = root.text("log").unwrap_or_else(|| "info".to_owned());
    let defaults = root.or("defaults", Settings::default(), defaults);
    let engines = engine::engines(&mut root);
    let mut servers = server::servers(&mut root, &defaults, &engines);
    let mut tenants = tenant::tenants(&mut root, platform.environment);
    if let Some((more_servers, more_tenants)) = root.opt("simulate", |f| simulate::expand(f, &defaults)) {
        servers.extend(more_servers);
        tenants.extend(more_tenants);
    }
    check::definitions(&servers, &tenants);
    let routing = Arc::new(route::routing(&mut root, &servers));
    let mut stacks = stack::stacks(&mut root, &engines);
    mistakes::check(&mut stacks, &servers, &tenants, &engines, pass);
    let example = root.opt("example_traffic", platform::example_traffic);
    let example_traffic = example.map(|(mut traffic, fields)| {
        check::example_traffic(&mut traffic, &fields, &servers, &tenants);
        traffic
    });
    let ids = servers.iter().map(|draft| &draft.def.id);
    let api = api::api(api.as_ref(), tenants.iter().map(|draft| &draft.def), ids);
    root.finish();
    Some(Config {
        platform,
        guards,
        store,
        paths,
        servers: servers.into_iter().map(|draft| Arc::new(draft.def)).collect(),
        tenants: tenants.into_iter().map(|draft| Arc::new(draft.def)).collect(),
        engines: engines.0,
        stacks: stacks.into_iter().map(|draft| Arc::new(draft.def)).collect(),
        routing,
        gpu,
        api,
        example_traffic,
        ui,
        log,
        source: document.file.clone(),
        warnings: Vec::new(),
    })
}

fn defaults(field: &Field<'_>) -> Option<Settings> {
    let mut from = field.table()?;
    let settings = settings::settings(&mut from, &Settings::default());
    from.finish();
    Some(settings)
}
