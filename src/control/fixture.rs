//! Small configs for the unit tests of this module.

use super::plan::{Placement, Plan};
use super::snapshot::{Builder, Dirty, Inputs, Yard};
use crate::backend::engine::Found;
use crate::config::{ApiConfig, Config, GpuConfig, OnHangup, OwnerMode, Paths, Platform, StoreConfig, UiConfig};
use crate::model::container::{ContainerRun, ContainerState, Speaks, labels};
use crate::model::server::{Inject, Limits, Settings, SimulatedRun};
use crate::model::snapshot::PlatformInfo;
use crate::model::stack::{PartDef, Readiness, ReadyBy, StackDef, StackOwner};
use crate::model::template::Template;
use crate::model::tenant::AuditPolicy;
use crate::model::{Environment, InstanceKey, InstanceRow, Run, Scope, ServerDef, Snapshot, Stamp, TenantDef};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A lab platform that `fill` puts servers and tenants into.
pub fn config(fill: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        platform: Platform {
            name: "test".into(),
            environment: Environment::Lab,
            read_only: false,
            owner: OwnerMode::Auto,
            on_hangup: OnHangup::Exit,
            socket_group: None,
            bulk_cap: 10,
            watch: false,
            log_format: Default::default(),
        },
        guards: Default::default(),
        store: StoreConfig {
            path: "/nonexistent/deck.db".into(),
            calls_per_tenant: 100,
            audit_rotate_bytes: 1 << 20,
            audit_keep: 1,
        },
        paths: Paths {
            state: "/nonexistent".into(),
            data: "/nonexistent/data".into(),
            logs: "/nonexistent/logs".into(),
            socket: "/nonexistent/deck.sock".into(),
        },
        servers: Vec::new(),
        tenants: Vec::new(),
        engines: Vec::new(),
        stacks: Vec::new(),
        routing: Default::default(),
        gpu: GpuConfig::default(),
        api: ApiConfig::default(),
        example_traffic: None,
        ui: UiConfig::default(),
        log: "info".into(),
        source: None,
        warnings: Vec::new(),
    };
    fill(&mut config);
    config
}

/// Adds a shared simulated server.
pub fn server(config: &mut Config, id: &str, change: impl FnOnce(&mut ServerDef)) {
    let run = SimulatedRun {
        latency: Duration::from_millis(1),
        start: Duration::from_millis(1),
        tools: vec!["echo".into()],
        memory_bytes: 1 << 20,
        faults: Vec::new(),
        seed: 1,
    };
    let mut def = ServerDef {
        id: id.into(),
        name: id.into(),
        description: String::new(),
        version: None,
        capabilities: Vec::new(),
        use_cases: Vec::new(),
        price: None,
        environment: None,
        scope: Scope::Shared,
        run: Run::Simulated(run),
        via: Default::default(),
        hints: Default::default(),
        inject: Inject::default(),
        needs: Vec::new(),
        settings: Settings::default(),
        secrets: BTreeMap::new(),
        labels: BTreeMap::new(),
        defined_at: "test:1".into(),
    };
    change(&mut def);
    config.servers.push(Arc::new(def));
}

/// Adds a lab tenant with these servers enabled.
pub fn tenant(config: &mut Config, id: &str, enabled: &[&str], change: impl FnOnce(&mut TenantDef)) {
    let mut def = TenantDef {
        id: id.into(),
        aliases: Vec::new(),
        name: id.to_uppercase(),
        environment: Environment::Lab,
        read_only: false,
        guard: Default::default(),
        context: BTreeMap::new(),
        labels: BTreeMap::new(),
        secrets: BTreeMap::new(),
        enabled: enabled.iter().map(|s| ((*s).into(), true)).collect(),
        servers: BTreeMap::new(),
        audit: AuditPolicy::Drop,
        call_limits: None,
    };
    change(&mut def);
    config.tenants.push(Arc::new(def));
}

/// What it says of itself.
pub fn platform() -> PlatformInfo {
    PlatformInfo {
        name: "test".into(),
        environment: Environment::Lab,
        read_only: false,
        guards: Default::default(),
        version: "0".into(),
        pid: 1,
        boot: crate::model::Stamp(1),
        config: None,
        socket: String::new(),
        state_dir: String::new(),
        example_traffic: None,
        keeps_running: false,
        open_to: None,
        gateway: None,
        warnings: Vec::new(),
        config_trouble: None,
    }
}

/// A running container of the engine `local`, as its engine lists it.
pub fn found(id: &str, labels: &[(&str, &str)]) -> Found {
    Found {
        id: id.into(),
        name: format!("c-{id}"),
        image: "image".into(),
        state: ContainerState::Running,
        since: Stamp(1),
        exit_code: None,
        oom: false,
        restarts: 0,
        memory_limit: None,
        health: None,
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ports: Vec::new(),
        networks: Vec::new(),
        pid: None,
    }
}

/// A container with these labels, and with the others and the name that we would give it.
pub fn marked(id: &str, labels: &[(&str, &str)]) -> Found {
    let mut found = self::found(id, labels);
    let label = |name: &str| found.labels.get(name).cloned();
    let mut more = vec![(labels::DEFINITION, "ab".to_owned()), (labels::SPEAKS, "stdio".to_owned())];
    if let Some(key) = label(labels::INSTANCE).and_then(|key| key.parse::<InstanceKey>().ok()) {
        more.extend([(labels::SERVER, key.server.to_string()), (labels::BOOT, "1".to_owned())]);
        more.extend(key.tenant.as_ref().map(|tenant| (labels::TENANT, tenant.to_string())));
        found.name = crate::backend::docker::container_name("test", &key);
    } else if let (Some(stack), Some(part)) = (label(labels::STACK), label(labels::PART)) {
        more.extend([(labels::TENANT, "eaton".to_owned()), (labels::CONFIG, "cd".to_owned())]);
        found.name = crate::control::launch::container::part_name("test", &stack, &part);
    }
    for (name, value) in more {
        found.labels.entry(name.to_owned()).or_insert(value);
    }
    found
}

/// The newest picture of a platform of which only the plan, the instances and the yard are known.
pub fn snapshot(config: &Config, yard: &Yard, change: impl Fn(&mut InstanceRow)) -> Arc<Snapshot> {
    let plan = Plan::new(config, []);
    let row = |(key, place): (&InstanceKey, &Placement)| {
        let mut row = InstanceRow::new(key.clone(), *place, Stamp(1));
        change(&mut row);
        (key.clone(), row)
    };
    let instances = plan.instances().iter().map(row).collect();
    let (read_only, guards) = (config.platform.read_only, config.guards.clone());
    let platform = Arc::new(PlatformInfo { read_only, guards, ..platform() });
    let inputs = Inputs {
        now: Stamp(100_000),
        plan: &plan,
        instances: &instances,
        figures: &Default::default(),
        pending: &[],
        tools: &HashMap::new(),
        platform: &platform,
        jobs: Vec::new(),
        secrets: Vec::new(),
        consoles: Vec::new(),
        host: &Arc::default(),
        yard,
        rate_history: &[],
        store_error: None,
        conditions: &Default::default(),
    };
    Builder::new(platform.clone()).build(Dirty::default(), inputs)
}

/// A server in a container of `image`.
pub fn contained(image: &str, speaks: Speaks) -> Run {
    Run::Container(Box::new(ContainerRun::of(Template::parse(image).unwrap(), speaks)))
}

/// A part of a stack, with everything as by default.
pub fn part(name: &str, needs: &[&str]) -> PartDef {
    let image = Template::parse("image:1").unwrap_or_else(|error| panic!("{error}"));
    PartDef {
        name: name.into(),
        run: ContainerRun::of(image, Speaks::Nothing),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        limits: Limits::default(),
        ready: Readiness {
            by: ReadyBy::Running,
            expected: None,
            timeout: Duration::from_secs(600),
            progress: Vec::new(),
        },
        watch: Vec::new(),
        stop_grace: Duration::from_secs(10),
    }
}

/// A stack of these parts behind the tenant `eaton`.
pub fn stack(id: &str, parts: Vec<PartDef>) -> Arc<StackDef> {
    Arc::new(StackDef {
        id: id.into(),
        owner: StackOwner::Tenant("eaton".into()),
        engine: None,
        parts,
        adopt: None,
        compose: None,
        environment: None,
        autostart: false,
        defined_at: "test:1".into(),
    })
}
