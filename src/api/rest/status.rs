//! `/health`, `/ready` and `/status`: whether it lives, whether it serves, how it is.

use super::caller::{Caller, Via};
use super::servers::environment;
use super::times::rfc3339;
use crate::api::{Error, Gateway};
use crate::model::container::EngineState;
use crate::model::gpu::GpuState;
use crate::model::message::FindingRow;
use crate::model::{Query, Stamp, State};
use axum::Json;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;

/// The store answers within this, or the platform is not ready.
const STORE: Duration = Duration::from_secs(2);

#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `healthy`
    status: &'static str,
    timestamp: String,
}

/// The process lives and answers.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "platform", security(()), responses((status = 200, body = Health)))]
pub async fn health() -> Json<Health> {
    Json(Health { status: "healthy", timestamp: rfc3339(Stamp::now()) })
}

#[derive(Serialize, ToSchema)]
pub struct Ready {
    ready: bool,
}

/// Requests are served: the platform is up, its store answers, and it is not about to end.
#[utoipa::path(
    get, path = "/ready", tag = "platform", security(()),
    responses((status = 200, body = Ready), (status = 503, body = super::openapi::Problem))
)]
pub async fn ready(Via { gateway, .. }: Via) -> Result<Json<Ready>, Error> {
    if gateway.closing.is_cancelled() {
        return Err(Error::Unavailable("draining: nothing new is taken".to_owned()));
    }
    store_answers(&gateway).await?;
    Ok(Json(Ready { ready: true }))
}

async fn store_answers(gateway: &Gateway) -> Result<(), Error> {
    let failed = |why: String| Error::Unavailable(format!("the store does not work: {why}"));
    if let Some(error) = &gateway.handle.state().totals.store_error {
        return Err(failed(error.clone()));
    }
    match timeout(STORE, gateway.handle.ask(Query::Journal { limit: 1 })).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refusal)) => Err(failed(refusal.to_string())),
        Err(_) => Err(failed(format!("no answer within {} s", STORE.as_secs()))),
    }
}

/// How the platform is; for one customer, how it is served.
#[derive(Serialize, ToSchema)]
pub struct Status {
    platform: String,
    environment: &'static str,
    version: String,
    started: String,
    uptime_seconds: u64,
    read_only: bool,
    /// How many customers can be seen.
    customers: usize,
    servers: usize,
    /// Instances by state.
    instances: BTreeMap<&'static str, u32>,
    calls: Load,
    /// What needs attention, worst first.
    attention: Vec<Finding>,
    /// Null for one customer.
    engines: Option<Vec<Engine>>,
    /// Null for one customer.
    gpu: Option<Gpu>,
}

#[derive(Serialize, ToSchema)]
pub struct Load {
    in_flight: u32,
    per_second: f32,
    p95_ms: Option<f32>,
}

/// Something wrong now.
#[derive(Serialize, ToSchema)]
pub struct Finding {
    /// `FAILED`, `HANGING`, `DEGRADED`, ...
    word: String,
    /// 3 error, 2 warning, 1 notice.
    severity: u8,
    object: String,
    text: String,
    since: String,
}

/// A container engine.
#[derive(Serialize, ToSchema)]
pub struct Engine {
    name: String,
    version: Option<String>,
    /// `up`, `connecting`, `silent` or `absent`.
    state: &'static str,
    reason: Option<String>,
    containers: u32,
    running: u32,
}

#[derive(Serialize, ToSchema)]
pub struct Gpu {
    /// Why none can be seen, if none can.
    absent: Option<String>,
    devices: Vec<Device>,
}

/// One GPU; null is unknown.
#[derive(Serialize, ToSchema)]
pub struct Device {
    index: u32,
    name: String,
    /// Percent.
    utilisation: Option<u32>,
    memory_used_bytes: Option<u64>,
    memory_total_bytes: Option<u64>,
    error: Option<String>,
}

/// How the platform is.
#[utoipa::path(get, path = "/status", tag = "platform", responses((status = 200, body = Status)))]
pub async fn status(caller: Caller) -> Json<Status> {
    let view = caller.view();
    let state = &view.state;
    let whole = caller.scope().is_none();
    let mut instances: BTreeMap<&'static str, u32> = State::ALL.iter().map(|state| (state.name(), 0)).collect();
    for row in state.instances.iter().filter(|row| view.serves(row)) {
        *instances.entry(row.state.name()).or_default() += 1;
    }
    let totals = &state.totals;
    let calls = match view.tenant() {
        Some(row) => Load { in_flight: row.in_flight, per_second: row.rate, p95_ms: row.p95_ms },
        None => Load { in_flight: totals.in_flight, per_second: totals.rate, p95_ms: totals.p95_ms },
    };
    // What names several customers is none of one customer's business.
    let own = |finding: &FindingRow| caller.scope().is_none_or(|scope| finding.tenants == [scope.clone()]);
    let info = &state.platform;
    Json(Status {
        platform: info.name.clone(),
        environment: environment(info.environment),
        version: info.version.clone(),
        started: rfc3339(info.boot),
        uptime_seconds: Stamp::now().since(info.boot).as_secs(),
        read_only: info.read_only,
        customers: if whole { state.tenants.len() } else { 1 },
        servers: view.servers().count(),
        instances,
        calls,
        attention: state.findings.iter().filter(|row| own(row)).map(|row| Finding::of(row)).collect(),
        engines: whole.then(|| state.engines.iter().map(|row| Engine::of(row)).collect()),
        gpu: whole.then(|| Gpu::of(&state.gpus)),
    })
}

impl Finding {
    fn of(row: &FindingRow) -> Self {
        Self {
            word: row.word.clone(),
            severity: row.severity,
            object: row.object.clone(),
            text: row.text.clone(),
            since: rfc3339(row.since),
        }
    }
}

impl Engine {
    fn of(row: &crate::model::container::EngineRow) -> Self {
        let (state, reason) = match &row.state {
            EngineState::Connecting => ("connecting", None),
            EngineState::Up => ("up", None),
            EngineState::Silent { reason, .. } => ("silent", Some(reason)),
            EngineState::Absent { reason } => ("absent", Some(reason)),
        };
        Self {
            name: row.id.to_string(),
            version: row.version.clone(),
            state,
            reason: reason.cloned(),
            containers: row.containers,
            running: row.running,
        }
    }
}

impl Gpu {
    fn of(gpus: &crate::model::gpu::Gpus) -> Self {
        let absent = match &gpus.state {
            GpuState::Unasked => Some("not asked yet".to_owned()),
            GpuState::Present => None,
            GpuState::Absent(why) => Some(why.clone()),
        };
        let device = |row: &crate::model::gpu::GpuRow| Device {
            index: row.index,
            name: row.name.clone(),
            utilisation: row.utilisation,
            memory_used_bytes: row.memory_used,
            memory_total_bytes: row.memory_total,
            error: row.error.clone(),
        };
        Self { absent, devices: gpus.devices.iter().map(device).collect() }
    }
}
