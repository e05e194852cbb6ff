//! Who may use what, indexed for the path of a call. Immutable; injections are worked out at the first call of a
//! (tenant, server) pair and kept with the table.

use super::Table;
use super::context::Injection;
use super::limits::{Counter, counters};
use crate::model::hash::Map;
use crate::model::route::Routing;
use crate::model::{InstanceKey, ServerDef, ServerId, TenantDef, TenantId};
use std::sync::{Arc, OnceLock};

/// An indexed [`Table`].
#[derive(Default)]
pub struct Index {
    servers: Map<ServerId, Arc<ServerDef>>,
    tenants: Map<TenantId, Map<ServerId, Arc<Route>>>,
    routing: Arc<Routing>,
    /// Of the servers that limit their callers.
    counters: Map<ServerId, Arc<Counter>>,
}

/// One tenant's way to one server.
pub struct Route {
    pub tenant: Arc<TenantDef>,
    pub server: Arc<ServerDef>,
    /// Before the names of its tools and prompts where all servers of the tenant are one.
    pub prefix: Box<str>,
    /// Why calls of tools not marked read-only are refused, if they are.
    pub frozen: Option<Box<str>>,
    /// What all its callers over HTTP have used of its limits; `None`: it has none.
    pub counter: Option<Arc<Counter>>,
    injection: OnceLock<Result<Injection, String>>,
}

/// Why there is no route. A caller is told the same in each case; the record tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    UnknownTenant,
    UnknownServer,
    NotEnabled,
}

impl Index {
    /// What callers have used of limits that stay is taken over from the table `before`.
    pub fn new(table: Table, before: &Self) -> Self {
        let servers: Map<_, _> = table.servers.into_iter().map(|s| (s.id.clone(), s)).collect();
        let limits = servers.iter().map(|(id, def)| (id, &def.settings.call_limits));
        let counters = counters(limits, &before.counters, |id| format!("server {id}"));
        let tenants = table.tenants.into_iter().map(|(def, enabled)| {
            let frozen = match table.read_only {
                true => Some("the platform is read-only".to_owned()),
                false => table.guards.frozen(&def),
            };
            let routes = enabled.into_iter().filter_map(|id| {
                let server = servers.get(&id)?.clone();
                let prefix = server.prefix().into();
                let route = Route {
                    tenant: def.clone(),
                    server,
                    prefix,
                    frozen: frozen.clone().map(Into::into),
                    counter: counters.get(&id).cloned(),
                    injection: OnceLock::new(),
                };
                Some((id, Arc::new(route)))
            });
            (def.id.clone(), routes.collect())
        });
        let tenants = tenants.collect();
        Self { servers, tenants, routing: table.routing, counters }
    }

    pub fn routing(&self) -> &Routing {
        &self.routing
    }

    /// Every way of a tenant, in no order.
    pub fn routes(&self, tenant: &TenantId) -> impl Iterator<Item = &Arc<Route>> {
        self.tenants.get(tenant).into_iter().flat_map(Map::values)
    }

    /// What a tenant has enabled.
    pub fn servers_of(&self, tenant: &TenantId) -> Vec<ServerId> {
        self.tenants.get(tenant).map(|routes| routes.keys().cloned().collect()).unwrap_or_default()
    }

    pub fn route(&self, tenant: &TenantId, server: &ServerId) -> Result<&Arc<Route>, NoRoute> {
        let tenant = self.tenants.get(tenant).ok_or(NoRoute::UnknownTenant)?;
        match tenant.get(server) {
            Some(route) => Ok(route),
            None if self.servers.contains_key(server) => Err(NoRoute::NotEnabled),
            None => Err(NoRoute::UnknownServer),
        }
    }
}

impl Route {
    /// The instance that serves this route.
    pub fn instance(&self, session: Option<u32>) -> InstanceKey {
        self.server.instance_for(&self.tenant, session)
    }

    /// What is put into each call. `Err` names the placeholder that has no value.
    pub fn injection(&self) -> Result<&Injection, String> {
        self.injection.get_or_init(|| Injection::new(&self.tenant, &self.server)).as_ref().map_err(Clone::clone)
    }
}

impl NoRoute {
    /// For the record and for operators; a caller only ever reads "unknown server".
    pub fn explain(self, tenant: &TenantId, server: &ServerId) -> String {
        match self {
            Self::UnknownTenant => format!("no tenant `{tenant}`"),
            Self::UnknownServer => format!("no server `{server}`"),
            Self::NotEnabled => {
                format!("`{server}` is not enabled for `{tenant}`; `mcpdeck enable {server} {tenant}` enables it")
            }
        }
    }
}
