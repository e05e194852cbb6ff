//! `/api/mcp-services`: what a customer can have, has, and asks of it.

use super::act::ended;
use super::caller::Caller;
use super::input::{Json as Body, Path};
use super::openapi::Problem;
use super::servers::{PriceInfo, environment};
use super::times::rfc3339;
use super::tool;
use super::view::View;
use crate::api::{Error, ROUTE};
use crate::model::call::Origin;
use crate::model::message::JobOutcome;
use crate::model::near::nearest;
use crate::model::route::RouteAsk;
use crate::model::snapshot::{ServerRow, TenantRow};
use crate::model::{Command, Run, ServerId, TenantId};
use crate::router::{RoutedRequest, RoutedWhat, texts_of};
use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A service that a customer can have.
#[derive(Serialize, ToSchema)]
pub struct Service {
    name: String,
    title: String,
    description: String,
    version: Option<String>,
    capabilities: Vec<String>,
    use_cases: Vec<String>,
    price: Option<PriceInfo>,
    /// `lab`, `staging` or `production`.
    environment: &'static str,
    /// How many tools it listed last; null if it never did.
    tools: Option<u32>,
    /// Whether the customer has it; null where no customer is named.
    enabled: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub struct Available {
    available_mcps: Vec<Service>,
}

#[derive(Serialize, ToSchema)]
pub struct Enabled {
    enabled_mcps: Vec<String>,
}

/// What became of an enablement.
#[derive(Serialize, ToSchema)]
pub struct Changed {
    success: bool,
    message: String,
    enabled_mcps: Vec<String>,
}

/// Services that the customer has or can have, with prices.
#[utoipa::path(get, path = "/api/mcp-services/available", operation_id = "available_services", tag = "mcp-services", responses((status = 200, body = Available)))]
pub async fn available(caller: Caller) -> Json<Available> {
    let shelf = Shelf::of(&caller);
    Json(Available { available_mcps: shelf.servers().map(|row| shelf.service(row)).collect() })
}

/// Services that the customer has.
#[utoipa::path(get, path = "/api/mcp-services/enabled", operation_id = "enabled_services", tag = "mcp-services", responses((status = 200, body = Enabled), (status = 400, body = Problem)))]
pub async fn enabled(caller: Caller) -> Result<Json<Enabled>, Error> {
    let tenant = caller.tenant()?;
    Ok(Json(Enabled { enabled_mcps: enabled_of(&caller, &tenant) }))
}

/// Gives the customer a service, at once and until it is disabled.
#[utoipa::path(
    post, path = "/api/mcp-services/enable/{name}", operation_id = "enable_service", tag = "mcp-services", params(("name" = String, Path)),
    responses((status = 200, body = Changed), (status = 403, body = Problem), (status = 404, body = Problem))
)]
pub async fn enable(caller: Caller, Path(name): Path<String>) -> Result<Json<Changed>, Error> {
    change(&caller, &name, true).await
}

/// Takes a service from the customer, at once and until it is enabled.
#[utoipa::path(
    post, path = "/api/mcp-services/disable/{name}", operation_id = "disable_service", tag = "mcp-services", params(("name" = String, Path)),
    responses((status = 200, body = Changed), (status = 403, body = Problem), (status = 404, body = Problem))
)]
pub async fn disable(caller: Caller, Path(name): Path<String>) -> Result<Json<Changed>, Error> {
    change(&caller, &name, false).await
}

async fn change(caller: &Caller, name: &str, on: bool) -> Result<Json<Changed>, Error> {
    let tenant = caller.tenant()?;
    let server = Shelf::of(caller).find(name)?.def.id.clone();
    // Whoever asks is that customer, or named it: that is the confirmation which a screen asks for.
    let confirm = Some(tenant.to_string());
    let command = match on {
        true => Command::Enable { server, tenant: tenant.clone() },
        false => Command::Disable { server, tenant: tenant.clone() },
    };
    let job = caller.give(command, confirm).await?;
    let row = ended(caller, job).await.ok_or_else(|| Error::Unavailable(format!("{job} is still under way")))?;
    if row.outcome != Some(JobOutcome::Ok) {
        return Err(Error::Failed(row.message.clone()));
    }
    caller.gateway.handle.refresh().await;
    let message = format!("{name} is {} for {tenant}", row.message);
    Ok(Json(Changed { success: true, message, enabled_mcps: enabled_of(caller, &tenant) }))
}

fn enabled_of(caller: &Caller, tenant: &TenantId) -> Vec<String> {
    let state = caller.gateway.handle.state();
    let row = state.tenant(tenant.as_str());
    let cells = row
        .iter()
        .flat_map(|row| &row.cells)
        .filter(|cell| cell.enabled && state.server(cell.server.as_str()).is_some());
    cells.map(|cell| cell.server.to_string()).collect()
}

/// What is known of a service.
#[utoipa::path(
    get, path = "/api/mcp-services/{name}/info", operation_id = "service_info", tag = "mcp-services", params(("name" = String, Path)),
    responses((status = 200, body = Service), (status = 404, body = Problem))
)]
pub async fn info(caller: Caller, Path(name): Path<String>) -> Result<Json<Service>, Error> {
    let shelf = Shelf::of(&caller);
    let row = shelf.find(&name)?;
    Ok(Json(shelf.service(row)))
}

/// Whether a service answers the customer.
#[derive(Serialize, ToSchema)]
pub struct ServiceHealth {
    name: String,
    /// `healthy`, `unhealthy` or `unknown`: nobody wakes a service to know.
    status: &'static str,
    /// The word of `/servers` for what it does.
    state: &'static str,
    checked_at: Option<String>,
    took_ms: Option<u32>,
    error: Option<String>,
}

/// Whether a service answers, as the newest probe found.
#[utoipa::path(
    get, path = "/api/mcp-services/{name}/health", operation_id = "service_health", tag = "mcp-services", params(("name" = String, Path)),
    responses((status = 200, body = ServiceHealth), (status = 404, body = Problem))
)]
pub async fn health(caller: Caller, Path(name): Path<String>) -> Result<Json<ServiceHealth>, Error> {
    let view = View::new(caller.gateway.handle.state(), caller.tenant().ok());
    let key = view.target(&name)?;
    let server = view.server(key.server.as_str())?;
    let worst = view.instances(&key).max_by_key(|row| row.state.severity());
    let probe = worst.map(|row| row.probe.clone()).unwrap_or_default();
    let open = caller.scope().is_none() || worst.is_some_and(|row| !view.is_shared(&row.key));
    let state = view.state_of(server).api_word();
    Ok(Json(ServiceHealth {
        name: server.def.id.to_string(),
        status: match (state, probe.alive) {
            ("running", Some(false)) | ("error", _) => "unhealthy",
            ("running", _) => "healthy",
            _ => "unknown",
        },
        state,
        checked_at: probe.at.map(rfc3339),
        took_ms: probe.took_ms,
        error: probe.error.filter(|_| open),
    }))
}

/// A plain question to a service.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Without it, routing says who is asked.
    mcp_name: Option<String>,
    query: String,
    /// What it is about: a text, or an object. Routing reads it; a query endpoint gets it; for the tool of a service
    /// that is named, it is further arguments.
    #[schema(value_type = Option<Value>)]
    context: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub struct Found {
    /// Who answered.
    mcp_name: String,
    /// Why that one: `target`, `by`, `reason`, `confidence`, and who was passed over.
    #[schema(value_type = Object)]
    route: Value,
    /// What the service answered.
    #[schema(value_type = Value)]
    result: Value,
}

/// Asks a service, by the tool that its definition names for that: the one that is named, else the one that routing
/// leads to. The header `X-Mcpdeck-Route` says which and why.
#[utoipa::path(
    post, path = "/api/mcp-services/query", operation_id = "query_service", tag = "mcp-services", request_body = Question,
    responses(
        (status = 200, body = Found),
        (status = 400, body = Problem),
        (status = 404, body = Problem),
        (status = 422, body = Problem, description = "the tool answered an error, or nothing leads anywhere"),
        (status = 429, body = Problem, description = "beyond a limit of the customer or the service"),
        (status = 502, body = Problem),
        (status = 504, body = Problem),
    )
)]
pub async fn query(
    caller: Caller,
    Body(question): Body<Question>,
) -> Result<([(&'static str, String); 1], Json<Found>), Error> {
    let tenant = caller.tenant()?;
    let named = question.mcp_name.filter(|name| !name.is_empty());
    if let Some(name) = &named {
        // What the customer does not have is unknown to it, and a word that was mistyped is told.
        View::new(caller.gateway.handle.state(), Some(tenant.clone())).server(name)?;
    }
    let context = question.context.unwrap_or_default();
    if !matches!(context, Value::Null | Value::String(_) | Value::Object(_)) {
        return Err(Error::BadRequest("`context` is a text or an object".to_owned()));
    }
    let request = RoutedRequest {
        tenant,
        ask: RouteAsk { target: named, context: texts_of(&context), query: question.query },
        what: RoutedWhat::Query { context: context.to_string() },
        timeout: None,
        origin: Origin::Http,
        principal: caller.principal.name.as_str().into(),
        role: Some(caller.principal.role),
        events: None,
    };
    let routed = caller.gateway.inside.router.call_routed(request).await;
    let routed = routed.map_err(|nowhere| Error::Unprocessable(nowhere.error))?;
    let result = tool::plain(&routed.server, &routed.reply)?;
    let route = serde_json::from_str(&routed.meta()).unwrap_or_default();
    Ok(([(ROUTE, routed.header())], Json(Found { mcp_name: routed.server.to_string(), route, result })))
}

/// What one customer can have; everything, where none is named.
struct Shelf {
    view: View,
}

impl Shelf {
    fn of(caller: &Caller) -> Self {
        Self { view: View::new(caller.gateway.handle.state(), caller.tenant().ok()) }
    }

    fn servers(&self) -> impl Iterator<Item = &ServerRow> {
        let rows = self.view.state.servers.iter().map(AsRef::as_ref);
        rows.filter(|row| self.view.tenant().is_none_or(|tenant| can_have(tenant, row)))
    }

    fn find(&self, name: &str) -> Result<&ServerRow, Error> {
        self.servers().find(|row| row.def.id.as_str() == name).ok_or_else(|| {
            let near = nearest(name, self.servers().map(|row| row.def.id.as_str()));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Error::NotFound(format!("unknown service `{name}`{hint}"))
        })
    }

    fn service(&self, row: &ServerRow) -> Service {
        let def = &row.def;
        let has = |id: &ServerId| self.view.tenant().map(|tenant| tenant.cell(id).is_some_and(|cell| cell.enabled));
        Service {
            name: def.id.to_string(),
            title: def.name.clone(),
            description: def.description.clone(),
            version: def.version.clone(),
            capabilities: def.capabilities.clone(),
            use_cases: def.use_cases.clone(),
            price: def.price.as_ref().map(PriceInfo::of),
            environment: environment(row.environment),
            tools: row.tools,
            enabled: has(&def.id),
        }
    }
}

/// A server of which every customer gives its own url is nobody's who gives none.
fn can_have(tenant: &TenantRow, server: &ServerRow) -> bool {
    !matches!(server.def.run, Run::PerTenant { .. }) || tenant.def.servers.contains_key(&server.def.id)
}
