//! Made-up servers: `run = { backend = "simulated" }`, and `[simulate]`, one table that expands to a whole platform of
//! them, the same for the same seed.

use super::draft::Draft;
use super::platform::required;
use super::reader::{Field, Reader};
use crate::model::server::{Environment, Inject, Run, Scope, ServerDef, Settings, SimulatedFault, SimulatedRun};
use crate::model::tenant::{AuditPolicy, TenantDef};
use crate::model::{ServerId, TenantId, near};
use std::collections::BTreeMap;
use std::time::Duration;

const TIME: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

/// Servers and tenants of `[simulate]`, with the table as their place.
pub(super) type Simulated<'t> = (Vec<Draft<'t, ServerDef>>, Vec<Draft<'t, TenantDef>>);

/// The keys of a simulated `run`.
pub(super) fn run(from: &mut Reader<'_>) -> SimulatedRun {
    SimulatedRun {
        latency: from.or("latency", Duration::from_millis(40), |f| f.duration(TIME)),
        start: from.or("start", Duration::from_millis(200), |f| f.duration(TIME)),
        tools: from.or("tools", vec!["echo".to_owned(), "search".to_owned()], Field::texts),
        memory_bytes: from.or("memory", 64 << 20, |f| f.size(0..=1 << 50)),
        faults: from.or("faults", Vec::new(), |f| f.list(fault)),
        seed: from.or("seed", 1, seed),
    }
}

fn seed(field: &Field<'_>) -> Option<u64> {
    field.integer(0..=i64::MAX).map(i64::cast_unsigned)
}

/// One fault: a table with exactly one of its names.
fn fault(field: &Field<'_>) -> Option<SimulatedFault> {
    let mut from = field.table()?;
    let out = read_fault(&mut from);
    from.finish();
    one_fault(field, out)
}

fn one_fault(field: &Field<'_>, mut found: Vec<SimulatedFault>) -> Option<SimulatedFault> {
    if found.len() != 1 {
        let allowed = "hang_after = \"30s\", exit_after = { after = \"5s\", code = 1 }, error_every = 10, \
                       auth_unless = { secret = \"NAME\", value = \"...\" }, refuse_start = \"why\"";
        field.problem("a fault has exactly one kind", format!("one of: {allowed}"));
    }
    found.pop()
}

fn read_fault(from: &mut Reader<'_>) -> Vec<SimulatedFault> {
    let hang = from.opt("hang_after", |f| f.duration(TIME).map(SimulatedFault::HangAfter));
    let exit = from.opt("exit_after", exit_after);
    let error = from.opt("error_every", |f| f.count(1..=u32::MAX).map(SimulatedFault::ErrorEvery));
    let auth = from.opt("auth_unless", auth_unless);
    let refuse = from.opt("refuse_start", |f| f.full_text().map(|why| SimulatedFault::RefuseStart(why.to_owned())));
    [hang, exit, error, auth, refuse].into_iter().flatten().collect()
}

fn exit_after(field: &Field<'_>) -> Option<SimulatedFault> {
    let mut from = field.table()?;
    let after = from.or("after", Duration::ZERO, |f| f.duration(TIME));
    let code = from.or("code", 1, |f| f.integer(0..=255).and_then(|code| i32::try_from(code).ok()));
    from.finish();
    Some(SimulatedFault::ExitAfter { after, code })
}

fn auth_unless(field: &Field<'_>) -> Option<SimulatedFault> {
    let mut from = field.table()?;
    let (secret, value) = (required(&mut from, "secret"), required(&mut from, "value"));
    from.finish();
    Some(SimulatedFault::AuthUnless { secret: secret?, value: value? })
}

/// `[simulate]`: so many tenants, servers and instances.
struct Plan {
    tenants: u32,
    servers: u32,
    /// Of `servers`, so many are shared.
    shared: u32,
    instances: u32,
    base: SimulatedRun,
    settings: Settings,
}

/// Expands `[simulate]`.
pub(super) fn expand<'t>(field: &Field<'t>, defaults: &Settings) -> Option<Simulated<'t>> {
    let mut from = field.table()?;
    let servers = from.or("servers", 20, |f| f.count(1..=1000));
    let plan = Plan {
        tenants: from.or("tenants", 10, |f| f.count(1..=100_000)),
        servers,
        shared: from.or("shared", servers.div_ceil(10).min(servers), |f| f.count(0..=servers)),
        instances: from.or("instances", 0, |f| f.count(0..=1_000_000)),
        base: run(&mut from),
        settings: Settings { autostart: from.flag("autostart", false), ..defaults.clone() },
    };
    let faults = from.or("fault", Vec::new(), |f| f.list(|item| server_fault(item, &plan)));
    from.finish();
    let own = plan.servers - plan.shared;
    if plan.instances > plan.shared + own.saturating_mul(plan.tenants) {
        let most = plan.shared + own.saturating_mul(plan.tenants);
        field.problem(
            format!(
                "{} instances are more than {} tenants can have of {} servers ({most})",
                plan.instances, plan.tenants, plan.servers
            ),
            "raise tenants or servers, or lower instances",
        );
        return None;
    }
    let drafts = (0..plan.servers).map(|n| Draft { def: server_def(n, &plan, &faults, field), from: field.clone() });
    let mut random = fastrand::Rng::with_seed(plan.base.seed);
    let tenants = (0..plan.tenants).map(|n| Draft { def: tenant_def(n, &plan, &mut random), from: field.clone() });
    Some((drafts.collect(), tenants.collect()))
}

/// `[[simulate.fault]]`: a fault of one of the servers.
fn server_fault(field: &Field<'_>, plan: &Plan) -> Option<(String, SimulatedFault)> {
    let mut from = field.table()?;
    let server = required(&mut from, "server");
    let found = read_fault(&mut from);
    from.finish();
    let (server, fault) = (server?, one_fault(field, found)?);
    let names: Vec<String> = (0..plan.servers).map(server_id).collect();
    if !names.contains(&server) {
        let report = super::pass::Report::new(field.at(), &field.key, format!("no simulated server `{server}`"));
        let guess = near::nearest(&server, names.iter().map(String::as_str));
        field
            .pass
            .problem(report.suggest(guess).help(format!("they are called sim-001 to {}", server_id(plan.servers - 1))));
        return None;
    }
    Some((server, fault))
}

fn server_id(n: u32) -> String {
    format!("sim-{:03}", n + 1)
}

fn server_def(n: u32, plan: &Plan, faults: &[(String, SimulatedFault)], field: &Field<'_>) -> ServerDef {
    let id = server_id(n);
    let own = faults.iter().filter(|(server, _)| *server == id).map(|(_, fault)| fault.clone());
    let run = SimulatedRun {
        faults: plan.base.faults.iter().cloned().chain(own).collect(),
        seed: plan.base.seed.wrapping_add(u64::from(n)),
        ..plan.base.clone()
    };
    ServerDef {
        name: format!("Simulated {:03}", n + 1),
        description: "Made up by [simulate]".to_owned(),
        version: None,
        capabilities: vec!["simulated".to_owned()],
        use_cases: Vec::new(),
        price: None,
        environment: None,
        scope: if n < plan.shared { Scope::Shared } else { Scope::Tenant },
        run: Run::Simulated(run),
        via: Default::default(),
        hints: Default::default(),
        inject: Inject { meta: true, ..Inject::default() },
        needs: Vec::new(),
        settings: plan.settings.clone(),
        secrets: BTreeMap::new(),
        labels: BTreeMap::new(),
        defined_at: field.at().label(),
        id: id.into(),
    }
}

/// The tenant's servers: the shared ones, and its part of the instances, round the ring of the others.
fn tenant_def(n: u32, plan: &Plan, random: &mut fastrand::Rng) -> TenantDef {
    let ring = plan.servers - plan.shared;
    let wanted = plan.instances.saturating_sub(plan.shared);
    let own = wanted / plan.tenants + u32::from(n < wanted % plan.tenants);
    let start = if ring == 0 { 0 } else { random.u32(0..ring) };
    let picked = (0..own).map(|k| plan.shared + (start + k) % ring.max(1));
    let enabled = (0..plan.shared).chain(picked).map(|server| (ServerId::from(server_id(server)), true)).collect();
    let environment = match random.u8(0..10) {
        0..=4 => Environment::Production,
        5..=7 => Environment::Staging,
        _ => Environment::Lab,
    };
    TenantDef {
        id: TenantId::from(format!("customer-{:04}", n + 1)),
        aliases: Vec::new(),
        name: format!("Customer {:04}", n + 1),
        environment,
        read_only: false,
        guard: Default::default(),
        context: BTreeMap::from([("customer_number".to_owned(), (n + 1).to_string())]),
        labels: BTreeMap::new(),
        secrets: BTreeMap::new(),
        enabled,
        servers: BTreeMap::new(),
        audit: AuditPolicy::Drop,
        call_limits: None,
    }
}
