//! Made-up snapshots for screens: every state, long and wide names, nobody, a thousand.

#[path = "sample/yard.rs"]
pub mod yard;

use mcpdeck::model::call::{Era, Origin, PendingCall};
use mcpdeck::model::instance::InstanceRow;
use mcpdeck::model::instance::{BackendKind, Desired, LastCall, Mark, ProbeFacts, Transport};
use mcpdeck::model::message::{Face, FindingRow, JobOutcome, JobRow, Operator};
use mcpdeck::model::secret::{SecretRef, SecretRow};
use mcpdeck::model::server::{Inject, Limits, Price, PricePer, Settings, SimulatedRun};
use mcpdeck::model::snapshot::{Cell, ConsoleRow, PlatformInfo, ServerRow, TenantRow, Totals};
use mcpdeck::model::usage::{HostUsage, InstanceUsage};
use mcpdeck::model::{
    CallId, Environment, InstanceKey, JobId, Outcome, Run, Scope, ServerDef, Snapshot, Stamp, State, TenantDef,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// 2026-11-20 13:04:30 UTC.
pub const NOW: Stamp = Stamp(1_795_179_870_000);

/// `seconds` before [`NOW`].
pub fn ago(seconds: u64) -> Stamp {
    Stamp(NOW.0 - seconds * 1000)
}

pub fn operator(name: &str) -> Operator {
    Operator { name: name.into(), face: Face::Screen, pid: 4711, grant: None }
}

pub fn server_def(id: &str, scope: Scope) -> ServerDef {
    ServerDef {
        id: id.into(),
        name: id.into(),
        description: format!("The {id} service"),
        version: Some("1.4.0".into()),
        capabilities: vec!["search".into(), "classify".into()],
        use_cases: vec!["find product classes".into()],
        price: Some(Price { amount: 120.0, currency: "EUR".into(), per: PricePer::Month }),
        environment: None,
        scope,
        run: Run::Simulated(SimulatedRun {
            latency: Duration::from_millis(20),
            start: Duration::from_millis(300),
            tools: vec!["search".into(), "classify_product".into()],
            memory_bytes: 64 << 20,
            faults: Vec::new(),
            seed: 1,
        }),
        via: Default::default(),
        hints: Default::default(),
        inject: Inject { meta: true, ..Inject::default() },
        needs: Vec::new(),
        settings: Settings {
            limits: Limits { memory: Some(512 << 20), cpus: Some(1.0), pids: None, explicit: true },
            ..Settings::default()
        },
        secrets: BTreeMap::new(),
        labels: BTreeMap::new(),
        defined_at: "lab.toml:12".into(),
    }
}

pub fn tenant_def(id: &str, name: &str, environment: Environment) -> TenantDef {
    TenantDef {
        id: id.into(),
        aliases: vec![format!("{id}-alias")],
        name: name.into(),
        environment,
        read_only: false,
        guard: Default::default(),
        context: BTreeMap::from([("lakehouse_path".into(), format!("/lake/{id}"))]),
        labels: BTreeMap::from([("region".into(), "eu".into())]),
        secrets: BTreeMap::new(),
        enabled: BTreeMap::new(),
        servers: BTreeMap::new(),
        audit: Default::default(),
        call_limits: None,
    }
}

pub fn instance(key: &str, state: State) -> InstanceRow {
    let key: InstanceKey = key.parse().expect("an instance key");
    let live = state.is_live();
    InstanceRow {
        key,
        backend: BackendKind::Simulated,
        transport: Transport::Stdio,
        environment: Environment::Production,
        era: live.then_some(Era::Legacy),
        desired: if state == State::Stopped { Desired::Held } else { Desired::OnDemand },
        state,
        since: ago(190),
        reason: reason(state).into(),
        held: (state == State::Stopped).then(|| mark("eva", "database moves")),
        fenced: (state == State::Fenced).then(|| mark("jan", "wrong answers since 12:40")),
        probe: ProbeFacts {
            at: live.then(|| ago(20)),
            alive: live.then_some(true),
            initialises: live.then_some(true),
            lists: live.then_some(state != State::Degraded),
            took_ms: live.then_some(4),
            failures: u32::from(state == State::Degraded) * 3,
            error: (state == State::Degraded).then(|| "tools/list: no answer within 5 s".into()),
        },
        last_call: live.then(|| LastCall { at: ago(40), outcome: Outcome::Ok, took_ms: 43, error: None }),
        in_flight: 0,
        waiting: 0,
        oldest: None,
        idle_stop_at: live.then_some(Stamp(NOW.0 + 200_000)),
        retry_at: matches!(state, State::Backoff | State::Failed).then(|| Stamp(NOW.0 + 25_000)),
        rate: 0.0,
        p95_ms: live.then_some(43.2),
        error_rate: 0.0,
        usage: if live {
            InstanceUsage {
                cpu: Some(3.2),
                memory: Some(84 << 20),
                memory_limit: Some(512 << 20),
                pids: Some(4),
                ..InstanceUsage::default()
            }
        } else {
            InstanceUsage::default()
        },
        restarts: u32::from(state == State::Failed) * 5,
        started_at: live.then(|| ago(7300)),
        pid: live.then_some(4242),
        container: None,
        garbage: 0,
        notes: Vec::new(),
        secrets: Vec::new(),
        server_info: live.then(|| "etim 1.4.0".into()),
    }
}

fn mark(by: &str, reason: &str) -> Mark {
    Mark { by: by.into(), at: ago(1500), reason: reason.into() }
}

fn reason(state: State) -> &'static str {
    match state {
        State::Ready => "answers its probes",
        State::Degraded => "37 calls in flight, the oldest 23 s, none finished in 20 s",
        State::Starting => "initialize sent",
        State::Backoff => "exited with 1; third try in 25 s",
        State::Doze => "paused after 60 s without a call",
        State::Dormant => "no call for 5 min",
        State::Stopping => "stdin closed",
        State::Stopped => "held by eva",
        State::Fenced => "fenced by jan: wrong answers since 12:40",
        State::Failed => "exited with 1 five times in 60 s: no such file: /opt/genesys/bin/server",
        State::Unknown => "the backend does not answer",
    }
}

fn platform() -> PlatformInfo {
    PlatformInfo {
        name: "lab-fra1".into(),
        environment: Environment::Lab,
        read_only: false,
        guards: Default::default(),
        version: "0.1.0".into(),
        pid: 4000,
        boot: ago(90_000),
        config: Some("/etc/mcpdeck/lab.toml".into()),
        socket: "/run/mcpdeck/deck.sock".into(),
        state_dir: "/var/lib/mcpdeck".into(),
        example_traffic: Some(true),
        keeps_running: true,
        open_to: None,
        gateway: None,
        warnings: Vec::new(),
        config_trouble: None,
    }
}

fn host() -> HostUsage {
    HostUsage {
        cpu: Some(34.0),
        cores: 16,
        memory_used: Some(39 << 30),
        memory_total: Some(64 << 30),
        disk_free: Some(210 << 30),
        disk_total: Some(500 << 30),
        load_1m: Some(4.2),
        own_cpu: Some(0.2),
        own_memory: Some(21 << 20),
        cpu_history: (0..60).map(|n| 20.0 + (n % 12) as f32 * 3.0).collect(),
        memory_history: (0..60).map(|n| 58.0 + (n % 4) as f32).collect(),
    }
}

/// Nothing configured.
pub fn empty() -> Snapshot {
    Snapshot {
        revision: 1,
        taken: NOW,
        platform: Arc::new(PlatformInfo { example_traffic: None, ..platform() }),
        tenants: Vec::new(),
        servers: Vec::new(),
        instances: Vec::new(),
        pending: Vec::new(),
        jobs: Vec::new(),
        findings: Vec::new(),
        secrets: Vec::new(),
        consoles: Vec::new(),
        totals: Arc::new(Totals::default()),
        host: Arc::new(HostUsage::default()),
        engines: Vec::new(),
        containers: Vec::new(),
        stacks: Vec::new(),
        orphans: Vec::new(),
        gpus: Arc::default(),
    }
}

/// Twelve customers, ten servers, every state, wide and long names.
pub fn rich() -> Snapshot {
    let tenants = [
        ("acme-logistics", "ACME Logistics International Holding GmbH & Co. KGaA", Environment::Production),
        ("beiersdorf", "Beiersdorf", Environment::Production),
        ("denki", "日本電気株式会社", Environment::Production),
        ("eaton", "EATON", Environment::Production),
        ("festo", "Festo", Environment::Staging),
        ("hilti", "Hilti", Environment::Lab),
        ("nordex", "Nordex", Environment::Lab),
        ("rexel", "Rexel", Environment::Staging),
        ("segurcaixa", "Segurcaixa", Environment::Production),
        ("tui", "TUI", Environment::Lab),
        ("vattenfall-de", "Vattenfall DE", Environment::Production),
        ("zumtobel", "Zumtobel", Environment::Lab),
    ];
    let servers = [
        ("alerting", Scope::Tenant),
        ("catalog", Scope::Shared),
        ("ctax", Scope::Shared),
        ("etim", Scope::Shared),
        ("genesys", Scope::Tenant),
        ("grafana", Scope::Tenant),
        ("law", Scope::Shared),
        ("memory", Scope::Tenant),
        ("pim", Scope::Shared),
        ("scratch", Scope::Session),
    ];
    let mut instances = vec![
        InstanceRow {
            in_flight: 2,
            rate: 1.4,
            oldest: Some(ago(1)),
            ..instance("alerting@vattenfall-de", State::Ready)
        },
        instance("alerting@segurcaixa", State::Dormant),
        InstanceRow { rate: 12.3, in_flight: 1, oldest: Some(ago(0)), ..instance("catalog", State::Ready) },
        instance("ctax", State::Stopped),
        InstanceRow {
            in_flight: 37,
            rate: 0.0,
            oldest: Some(ago(23)),
            p95_ms: Some(8400.0),
            ..instance("etim", State::Degraded)
        },
        instance("genesys@vattenfall-de", State::Failed),
        instance("genesys@beiersdorf", State::Backoff),
        InstanceRow { rate: 3.1, ..instance("grafana@vattenfall-de", State::Ready) },
        instance("grafana@segurcaixa", State::Starting),
        instance("grafana@denki", State::Stopping),
        instance("law", State::Fenced),
        instance("memory@eaton", State::Doze),
        instance("memory@denki", State::Unknown),
        instance("pim", State::Ready),
        instance("scratch@eaton#3", State::Ready),
    ];
    instances.sort_by(|a, b| a.key.cmp(&b.key));
    let find = |key: &InstanceKey| instances.iter().find(|i| i.key == *key);
    let tenant_rows: Vec<Arc<TenantRow>> = tenants
        .iter()
        .map(|(id, name, environment)| {
            let cells: Vec<Cell> =
                servers.iter().filter_map(|(server, scope)| cell(id, server, *scope, &find)).collect();
            Arc::new(TenantRow {
                instances: cells.iter().filter(|c| c.instance.as_ref().is_some_and(|k| k.tenant.is_some())).count()
                    as u32,
                in_flight: cells.iter().map(|c| c.in_flight).sum(),
                oldest: cells.iter().filter_map(|c| c.oldest).min(),
                rate: cells.iter().map(|c| c.rate).sum(),
                cells,
                def: Arc::new(tenant_def(id, name, *environment)),
                p95_ms: Some(43.0),
                errors: u32::from(*id == "vattenfall-de") * 7,
                usage: InstanceUsage {
                    cpu: Some(6.4),
                    memory: Some(168 << 20),
                    memory_limit: None,
                    pids: Some(8),
                    ..InstanceUsage::default()
                },
                last_call: Some(ago(40)),
            })
        })
        .collect();
    let server_rows =
        servers.iter().map(|(id, scope)| Arc::new(server_row(id, *scope, &instances, &tenant_rows))).collect();
    let mut snapshot = Snapshot {
        revision: 7,
        taken: NOW,
        platform: Arc::new(platform()),
        pending: pending(),
        jobs: jobs(),
        findings: findings(),
        secrets: secrets(),
        consoles: vec![
            Arc::new(ConsoleRow { operator: operator("eva"), since: ago(3000), local: true }),
            Arc::new(ConsoleRow { operator: operator("jan"), since: ago(90), local: false }),
        ],
        totals: Arc::new(totals(&instances)),
        host: Arc::new(host()),
        engines: Vec::new(),
        containers: Vec::new(),
        stacks: Vec::new(),
        orphans: Vec::new(),
        gpus: Arc::default(),
        tenants: tenant_rows,
        servers: server_rows,
        instances: instances.into_iter().map(Arc::new).collect(),
    };
    yard::fill(&mut snapshot);
    snapshot
}

fn cell<'a>(
    tenant: &str,
    server: &str,
    scope: Scope,
    find: &impl Fn(&InstanceKey) -> Option<&'a InstanceRow>,
) -> Option<Cell> {
    let key = match scope {
        Scope::Shared => InstanceKey::shared(server.into()),
        _ => InstanceKey::of_tenant(server.into(), tenant.into()),
    };
    let row = find(&key);
    let own = row.is_some() && scope != Scope::Shared;
    let shared =
        scope == Scope::Shared && !matches!((tenant, server), ("tui", "law") | ("hilti", "ctax") | ("nordex", "etim"));
    let enabled = own || shared || (tenant == "eaton" && server == "scratch");
    let changed = (tenant == "festo" && server == "law").then(|| mark("eva", ""));
    enabled.then(|| Cell {
        server: server.into(),
        enabled: true,
        in_file: changed.is_none(),
        changed,
        instance: Some(key),
        state: Some(row.map_or(State::Dormant, |r| r.state)),
        rate: row.map_or(0.0, |r| if scope == Scope::Shared { r.rate / 10.0 } else { r.rate }),
        in_flight: row.map_or(0, |r| if scope == Scope::Shared { r.in_flight / 10 } else { r.in_flight }),
        oldest: row.and_then(|r| r.oldest),
    })
}

fn server_row(id: &str, scope: Scope, instances: &[InstanceRow], tenants: &[Arc<TenantRow>]) -> ServerRow {
    let own: Vec<&InstanceRow> = instances.iter().filter(|i| i.key.server.as_str() == id).collect();
    let mut def = server_def(id, scope);
    if id == "pim" {
        def.needs = vec!["catalog".into()];
    }
    ServerRow {
        def: Arc::new(def),
        environment: Environment::Production,
        tenants: tenants.iter().filter(|t| t.cell(&id.into()).is_some_and(|c| c.enabled)).count() as u32,
        instances: own.len() as u32,
        ready: own.iter().filter(|i| i.state == State::Ready).count() as u32,
        state: own.iter().map(|i| i.state).max_by_key(|s| s.severity()).unwrap_or(State::Dormant),
        in_flight: own.iter().map(|i| i.in_flight).sum(),
        oldest: own.iter().filter_map(|i| i.oldest).min(),
        rate: own.iter().map(|i| i.rate).sum(),
        p95_ms: own.iter().filter_map(|i| i.p95_ms).fold(None, |a: Option<f32>, b| Some(a.map_or(b, |a| a.max(b)))),
        errors: 0,
        usage: own.iter().fold(InstanceUsage::default(), |a, i| a.plus(i.usage)),
        tools: (id != "genesys").then_some(4),
    }
}

fn pending() -> Vec<Arc<PendingCall>> {
    (0..5)
        .map(|n| {
            Arc::new(PendingCall {
                id: CallId(900 + n),
                at: ago(23 - n * 4),
                tenant: "eaton".into(),
                server: "etim".into(),
                instance: Some(InstanceKey::shared("etim".into())),
                method: "tools/call".into(),
                tool: Some("classify_product".into()),
                origin: Origin::Http,
                principal: "agent".into(),
                waking: false,
                progress: None,
            })
        })
        .collect()
}

fn jobs() -> Vec<Arc<JobRow>> {
    let job = |id, title: &str, finished: Option<u64>, outcome, message: &str| {
        Arc::new(JobRow {
            id: JobId(id),
            operator: operator("eva"),
            title: title.into(),
            started: ago(60),
            finished: finished.map(ago),
            done: 2,
            total: 5,
            outcome,
            message: message.into(),
        })
    };
    vec![
        job(12, "restart grafana", None, None, "grafana@denki: waits for 1 call in flight"),
        job(11, "stop ctax", Some(50), Some(JobOutcome::Ok), "stopped and held"),
        job(10, "start genesys@vattenfall-de", Some(55), Some(JobOutcome::Failed), "exited with 1"),
    ]
}

fn findings() -> Vec<Arc<FindingRow>> {
    let finding = |word: &str, severity, object: &str, text: &str, hit: usize, next: &[&str]| {
        Arc::new(FindingRow {
            id: format!("{word}:{object}"),
            word: word.into(),
            severity,
            object: object.into(),
            target: object.parse().ok(),
            text: text.into(),
            tenants: ["acme-logistics", "beiersdorf", "denki", "eaton", "festo"]
                .iter()
                .take(hit)
                .map(|t| (*t).into())
                .collect(),
            since: ago(190),
            next: next.iter().map(|n| (*n).into()).collect(),
        })
    };
    vec![
        finding(
            "FAILED",
            3,
            "genesys@vattenfall-de",
            "exited with 1, 5 restarts in 60 s: no such file: /opt/genesys/bin/server",
            1,
            &["logs", "explain", "restart"],
        ),
        finding(
            "HANGING",
            3,
            "etim",
            "37 in flight, oldest 23 s, none finished in 20 s",
            5,
            &["explain", "fence", "restart"],
        ),
        finding(
            "AUTH",
            2,
            "grafana@segurcaixa",
            "7 of 9 calls refused for credentials since 13:01",
            1,
            &["explain", "customers"],
        ),
        finding("BACKOFF", 2, "genesys@beiersdorf", "exited with 1; third try in 25 s", 1, &["logs", "explain"]),
        finding("FENCED", 1, "law", "by jan 25 min ago: wrong answers since 12:40", 5, &["fence"]),
        finding("STOPPED", 1, "ctax", "held by eva 25 min ago: database moves", 4, &["start"]),
    ]
}

fn secrets() -> Vec<Arc<SecretRow>> {
    vec![
        Arc::new(SecretRow {
            tenant: Some("vattenfall-de".into()),
            server: Some("grafana".into()),
            name: "token".into(),
            source: SecretRef::Env("GRAFANA_TOKEN".into()),
            fingerprint: Some("9f86d081".into()),
            loaded_at: Some(ago(600)),
            error: None,
            stale: vec!["grafana@vattenfall-de".parse().expect("a key")],
        }),
        Arc::new(SecretRow {
            tenant: Some("vattenfall-de".into()),
            server: None,
            name: "genesys_key".into(),
            source: SecretRef::File("/run/secrets/genesys".into()),
            fingerprint: None,
            loaded_at: None,
            error: Some("/run/secrets/genesys: no such file".into()),
            stale: Vec::new(),
        }),
    ]
}

fn totals(instances: &[InstanceRow]) -> Totals {
    Totals {
        in_flight: 39,
        oldest: Some(ago(23)),
        rate: 184.0,
        p50_ms: Some(12.0),
        p95_ms: Some(43.0),
        outcomes: vec![(Outcome::Ok, 120_000), (Outcome::Auth, 42), (Outcome::Timeout, 3)],
        rate_history: (0..60).map(|n| 120.0 + (n % 9) as f32 * 20.0).collect(),
        states: State::ALL.iter().map(|s| (*s, instances.iter().filter(|i| i.state == *s).count() as u32)).collect(),
        dropped_records: 0,
        store_error: None,
    }
}

/// `tenants` customers, each with an own instance of each of ten servers: ten times as many instances.
pub fn many(tenants: usize) -> Snapshot {
    let servers: Vec<String> = (0..10).map(|n| format!("server-{n}")).collect();
    let state = |n: usize| State::ALL[n * 7 % State::ALL.len()];
    let mut instances = Vec::with_capacity(tenants * 10);
    let mut rows = Vec::with_capacity(tenants);
    for n in 0..tenants {
        let id = format!("customer-{n:04}");
        let cells = servers.iter().enumerate().map(|(s, server)| Cell {
            server: server.as_str().into(),
            enabled: true,
            changed: None,
            in_file: true,
            instance: Some(InstanceKey::of_tenant(server.as_str().into(), id.as_str().into())),
            state: Some(state(n + s)),
            rate: (n % 5) as f32 / 10.0,
            in_flight: u32::from(n % 50 == 0),
            oldest: None,
        });
        rows.push(Arc::new(TenantRow {
            def: Arc::new(tenant_def(&id, &format!("Customer {n}"), Environment::Lab)),
            cells: cells.collect(),
            instances: 10,
            in_flight: 0,
            oldest: None,
            rate: 1.0,
            p95_ms: Some(12.0),
            errors: 0,
            usage: InstanceUsage::default(),
            last_call: None,
        }));
        instances
            .extend(servers.iter().enumerate().map(|(s, server)| instance(&format!("{server}@{id}"), state(n + s))));
    }
    instances.sort_by(|a, b| a.key.cmp(&b.key));
    let servers = servers.iter().map(|s| {
        let mut def = server_def(s, Scope::Tenant);
        def.price = None;
        Arc::new(ServerRow {
            def: Arc::new(def),
            environment: Environment::Lab,
            tenants: tenants as u32,
            instances: tenants as u32,
            ready: 0,
            state: State::Ready,
            in_flight: 0,
            oldest: None,
            rate: 1.0,
            p95_ms: None,
            errors: 0,
            usage: InstanceUsage::default(),
            tools: None,
        })
    });
    Snapshot {
        servers: servers.collect(),
        tenants: rows,
        instances: instances.into_iter().map(Arc::new).collect(),
        ..empty()
    }
}
