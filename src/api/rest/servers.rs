//! `/servers`: what there is, and what is known of each.

use super::caller::Caller;
use super::input::Path;
use super::openapi::Problem;
use super::times::rfc3339;
use super::view::View;
use crate::api::Error;
use crate::model::instance::{Mark, ProbeFacts};
use crate::model::server::{Environment, Price, PricePer, Scope};
use crate::model::snapshot::ServerRow;
use crate::model::{Desired, InstanceKey, InstanceRow};
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// One server as clients of on-demand servers know it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    name: String,
    /// `running`, `starting`, `stopped`, `stopping`, `fenced`, `error` or `unknown`.
    status: &'static str,
    /// When the newest request came; null if none did.
    last_activity: Option<String>,
}

/// Servers that the caller can see.
#[utoipa::path(get, path = "/servers", operation_id = "servers", tag = "servers", responses((status = 200, body = Vec<Server>)))]
pub async fn list(caller: Caller) -> Json<Vec<Server>> {
    let view = caller.view();
    let server = |row: &std::sync::Arc<ServerRow>| Server {
        name: row.def.id.to_string(),
        status: view.state_of(row).api_word(),
        last_activity: last_activity(&caller, &view, row),
    };
    Json(view.servers().map(server).collect())
}

/// When the newest request came; of one customer, that customer's own.
fn last_activity(caller: &Caller, view: &View, server: &ServerRow) -> Option<String> {
    let key = InstanceKey::shared(server.def.id.clone());
    let rows = view.instances(&key).filter(|row| !view.is_shared(&row.key));
    let of_instances = rows.filter_map(|row| Some(row.last_call.as_ref()?.at)).max();
    let own = || caller.gateway.inside.router.last_call(caller.scope()?, &server.def.id);
    of_instances.or_else(own).map(rfc3339)
}

/// What is known of a server.
#[derive(Serialize, ToSchema)]
pub struct Info {
    pub name: String,
    pub title: String,
    pub description: String,
    pub version: Option<String>,
    pub capabilities: Vec<String>,
    pub use_cases: Vec<String>,
    pub price: Option<PriceInfo>,
    /// `lab`, `staging` or `production`.
    pub environment: &'static str,
    /// `shared`, `tenant` or `session`: one instance for all customers, one per customer, one per client session.
    pub scope: &'static str,
    pub status: &'static str,
    /// How many tools it listed last; null if it never did.
    pub tools: Option<u32>,
    pub instances: Vec<Instance>,
}

/// What a server costs.
#[derive(Serialize, ToSchema)]
pub struct PriceInfo {
    pub amount: f64,
    /// ISO 4217.
    pub currency: String,
    /// `month` or `call`.
    pub per: &'static str,
}

/// One running copy of a server.
#[derive(Serialize, ToSchema)]
pub struct Instance {
    /// `server`, `server@customer` or `server@customer#session`.
    name: String,
    status: &'static str,
    /// The state in the words of the screen: `ready`, `degraded`, `dormant`, ...
    state: &'static str,
    since: String,
    /// Why it is in its state; null where several customers share it and one of them asks.
    reason: Option<String>,
    /// `on_demand`, `running` or `held`.
    desired: &'static str,
    held: Option<By>,
    fenced: Option<By>,
    probe: Probe,
    traffic: Option<Traffic>,
}

/// Who did something that lasts.
#[derive(Serialize, ToSchema)]
pub struct By {
    by: String,
    at: String,
}

/// What the newest probe found; null is unknown.
#[derive(Serialize, ToSchema)]
pub struct Probe {
    at: Option<String>,
    alive: Option<bool>,
    initialises: Option<bool>,
    lists: Option<bool>,
    took_ms: Option<u32>,
    /// Null also where several customers share it and one of them asks.
    error: Option<String>,
}

/// What goes through an instance; null where several customers share it and one of them asks.
#[derive(Serialize, ToSchema)]
pub struct Traffic {
    in_flight: u32,
    waiting: u32,
    calls_per_second: f32,
    p95_ms: Option<f32>,
    last_call: Option<String>,
    restarts: u32,
    /// Percent of one core.
    cpu: Option<f32>,
    memory_bytes: Option<u64>,
}

/// Everything known of a server that the caller may see.
#[utoipa::path(
    get, path = "/servers/{name}/info", operation_id = "server_info", tag = "servers",
    params(("name" = String, Path, description = "`server`, or `server@customer`")),
    responses((status = 200, body = Info), (status = 404, body = Problem))
)]
pub async fn info(caller: Caller, Path(name): Path<String>) -> Result<Json<Info>, Error> {
    let view = caller.view();
    let key = view.target(&name)?;
    Ok(Json(Info::of(&view, view.server(key.server.as_str())?, &key)))
}

impl Info {
    /// What `view` shows of a server, and of those of its instances that `key` covers.
    pub fn of(view: &View, row: &ServerRow, key: &InstanceKey) -> Self {
        let def = &row.def;
        Self {
            name: def.id.to_string(),
            title: def.name.clone(),
            description: def.description.clone(),
            version: def.version.clone(),
            capabilities: def.capabilities.clone(),
            use_cases: def.use_cases.clone(),
            price: def.price.as_ref().map(PriceInfo::of),
            environment: environment(row.environment),
            scope: match def.scope {
                Scope::Shared => "shared",
                Scope::Tenant => "tenant",
                Scope::Session => "session",
            },
            status: view.state_of(row).api_word(),
            tools: row.tools,
            instances: view.instances(key).map(|row| Instance::of(view, row)).collect(),
        }
    }
}

impl PriceInfo {
    pub fn of(price: &Price) -> Self {
        let per = match price.per {
            PricePer::Month => "month",
            PricePer::Call => "call",
        };
        Self { amount: price.amount, currency: price.currency.clone(), per }
    }
}

impl Instance {
    fn of(view: &View, row: &InstanceRow) -> Self {
        let open = !view.is_shared(&row.key);
        let mark = |mark: &Option<Mark>| mark.as_ref().map(|mark| By { by: mark.by.clone(), at: rfc3339(mark.at) });
        Self {
            name: row.key.to_string(),
            status: row.state.api_word(),
            state: row.state.name(),
            since: rfc3339(row.since),
            reason: open.then(|| row.reason.clone()),
            desired: match row.desired {
                Desired::OnDemand => "on_demand",
                Desired::Running => "running",
                Desired::Held => "held",
            },
            held: mark(&row.held),
            fenced: mark(&row.fenced),
            probe: Probe::of(&row.probe, open),
            traffic: open.then(|| Traffic::of(row)),
        }
    }
}

impl Probe {
    /// `open`: its error may be told.
    pub fn of(facts: &ProbeFacts, open: bool) -> Self {
        Self {
            at: facts.at.map(rfc3339),
            alive: facts.alive,
            initialises: facts.initialises,
            lists: facts.lists,
            took_ms: facts.took_ms,
            error: facts.error.clone().filter(|_| open),
        }
    }
}

impl Traffic {
    fn of(row: &InstanceRow) -> Self {
        Self {
            in_flight: row.in_flight,
            waiting: row.waiting,
            calls_per_second: row.rate,
            p95_ms: row.p95_ms,
            last_call: row.last_call.as_ref().map(|call| rfc3339(call.at)),
            restarts: row.restarts,
            cpu: row.usage.cpu,
            memory_bytes: row.usage.memory,
        }
    }
}

pub fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Lab => "lab",
        Environment::Staging => "staging",
        Environment::Production => "production",
    }
}
