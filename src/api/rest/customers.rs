//! `/api/customers`: who there is, what each has, and which one an operator works as.

use super::caller::Caller;
use super::input::{Json as Body, Path};
use super::openapi::Problem;
use super::view::View;
use crate::api::Error;
use crate::model::message::{Answer, Catalog};
use crate::model::principal::Role;
use crate::model::snapshot::TenantRow;
use crate::model::{Query, ServerId, TenantId};
use axum::Json;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;
use utoipa::ToSchema;

/// Servers that are asked at once, and how long one may take.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize, ToSchema)]
pub struct Customers {
    customers: Vec<Customer>,
    /// Whom requests are made as that name nobody; null if that is nobody.
    current: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Customer {
    name: String,
    /// Servers that it has.
    mcp_types: Vec<String>,
}

/// Customers that the caller can see.
#[utoipa::path(get, path = "/api/customers", operation_id = "customers", tag = "customers", responses((status = 200, body = Customers)))]
pub async fn list(caller: Caller) -> Json<Customers> {
    let view = caller.view();
    let rows = view.state.tenants.iter().filter(|row| caller.scope().is_none_or(|scope| *scope == row.def.id));
    let customer =
        |row: &std::sync::Arc<TenantRow>| Customer { name: row.def.id.to_string(), mcp_types: types(&view, row) };
    Json(Customers {
        customers: rows.map(customer).collect(),
        current: caller.tenant().ok().map(|tenant| tenant.to_string()),
    })
}

/// Servers that a customer has, and that there are.
fn types(view: &View, row: &TenantRow) -> Vec<String> {
    servers(view, row).map(ToString::to_string).collect()
}

fn servers<'v>(view: &'v View, row: &'v TenantRow) -> impl Iterator<Item = &'v ServerId> {
    let cells = row.cells.iter().filter(|cell| cell.enabled);
    cells.map(|cell| &cell.server).filter(|server| view.state.server(server.as_str()).is_some())
}

/// One customer and what it can call.
#[derive(Serialize, ToSchema)]
pub struct Detail {
    name: String,
    mcp_types: Vec<String>,
    /// As its servers listed them last; nobody wakes a server to know.
    tools: Vec<Tool>,
}

#[derive(Serialize, ToSchema)]
pub struct Tool {
    name: String,
    server: String,
    description: Option<String>,
}

/// One customer and what it can call.
#[utoipa::path(
    get, path = "/api/customers/{name}", operation_id = "customer", tag = "customers",
    params(("name" = String, Path, description = "its id, an alias, or its display name")),
    responses((status = 200, body = Detail), (status = 404, body = Problem))
)]
pub async fn detail(caller: Caller, Path(name): Path<String>) -> Result<Json<Detail>, Error> {
    let view = caller.view();
    let row = find(&caller, &view, &name)?;
    let mut tools = Vec::new();
    for (server, catalog) in catalogs(&caller, &view, row, false).await {
        tools.extend(catalog.iter().flat_map(|catalog| listed(&server, catalog)));
    }
    Ok(Json(Detail { name: row.def.id.to_string(), mcp_types: types(&view, row), tools }))
}

fn find<'v>(caller: &Caller, view: &'v View, name: &str) -> Result<&'v TenantRow, Error> {
    let found = view.state.find_tenant(name).filter(|row| caller.scope().is_none_or(|scope| *scope == row.def.id));
    found.map(AsRef::as_ref).ok_or_else(|| Error::NotFound(format!("no customer `{name}`")))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Its id, an alias, or its display name.
    customer: String,
}

#[derive(Serialize, ToSchema)]
pub struct Switched {
    success: bool,
    customer: String,
    /// Servers that answered.
    connected_mcps: Vec<String>,
    /// Servers that did not, or not in time.
    failed_mcps: Vec<String>,
    tool_count: usize,
}

/// Makes the caller's later requests as a customer, where they name none, and connects to what it has.
#[utoipa::path(
    post, path = "/api/customers/switch", operation_id = "switch_customer", tag = "customers", request_body = Wish,
    responses(
        (status = 200, body = Switched),
        (status = 403, body = Problem, description = "not an operator"),
        (status = 404, body = Problem),
    )
)]
pub async fn switch(caller: Caller, Body(wish): Body<Wish>) -> Result<Json<Switched>, Error> {
    if caller.principal.role < Role::Operator {
        let of = caller.tenant()?;
        return Err(Error::Forbidden(format!("this credential is {of}'s; only an operator switches")));
    }
    let view = View::new(caller.gateway.handle.state(), None);
    let row = view.state.find_tenant(&wish.customer);
    let row = row.ok_or_else(|| Error::NotFound(format!("no customer `{}`", wish.customer)))?;
    caller.gateway.current.set(&caller.principal.name, &row.def.id);
    let mut switched = Switched {
        success: true,
        customer: row.def.id.to_string(),
        connected_mcps: Vec::new(),
        failed_mcps: Vec::new(),
        tool_count: 0,
    };
    for (server, catalog) in catalogs(&caller, &view, row, true).await {
        match catalog.filter(|catalog| catalog.error.is_none()) {
            Some(catalog) => {
                switched.tool_count += listed(&server, &catalog).count();
                switched.connected_mcps.push(server.to_string());
            }
            None => switched.failed_mcps.push(server.to_string()),
        }
    }
    Ok(Json(switched))
}

/// What each server of a customer offers it; `None` for those that do not say, or not in time.
async fn catalogs(caller: &Caller, view: &View, row: &TenantRow, wake: bool) -> Vec<(ServerId, Option<Catalog>)> {
    let ask = |server: &ServerId| {
        let (tenant, server) = (row.def.id.clone(), server.clone());
        let handle = caller.gateway.handle.clone();
        async move { (server.clone(), catalog(&handle, tenant, server, wake).await) }
    };
    let asks: Vec<_> = servers(view, row).map(ask).collect();
    stream::iter(asks).buffered(AT_ONCE).collect().await
}

async fn catalog(handle: &crate::control::Handle, tenant: TenantId, server: ServerId, wake: bool) -> Option<Catalog> {
    match timeout(PATIENCE, handle.ask(Query::Catalog { tenant, server, wake, person: None })).await {
        Ok(Ok(Answer::Catalog(catalog))) => Some(catalog),
        _ => None,
    }
}

fn listed(server: &ServerId, catalog: &Catalog) -> impl Iterator<Item = Tool> {
    #[derive(Deserialize)]
    struct Listed {
        name: String,
        description: Option<String>,
    }
    let tools: Vec<Listed> = serde_json::from_str(&catalog.tools).unwrap_or_default();
    let server = server.to_string();
    tools.into_iter().map(move |tool| Tool { name: tool.name, server: server.clone(), description: tool.description })
}
