//! How much a tenant may do over HTTP. A server's limits are the router's to keep, for calls reach it by several ways.

use crate::config::{Config, Live};
use crate::model::hash::Map;
use crate::model::{ServerId, TenantId};
use crate::router::{Counter, Exceeded, Place, counters};
use arc_swap::ArcSwap;
use std::ops::Deref;
use std::sync::Arc;

/// The counters of the config that holds.
pub struct Limits {
    config: Live,
    table: ArcSwap<Table>,
}

struct Table {
    of: Arc<Config>,
    tenants: Map<TenantId, Arc<Counter>>,
    /// Largest bodies, of the servers that have a limit.
    bodies: Map<ServerId, u64>,
}

impl Limits {
    pub fn new(config: Live) -> Self {
        let table = ArcSwap::from_pointee(Table::new(config.get(), &Map::default()));
        Self { config, table }
    }

    /// A reload keeps what was counted where the limits stay.
    fn table(&self) -> impl Deref<Target = Arc<Table>> + use<> {
        let table = self.table.load();
        if Arc::ptr_eq(&table.of, &self.config.peek()) {
            return table;
        }
        self.table.store(Arc::new(Table::new(self.config.get(), &table.tenants)));
        self.table.load()
    }

    /// Lets a request of `tenant` begin, or says when it may. `None`: nothing limits it.
    pub fn enter(&self, tenant: Option<&TenantId>) -> Result<Option<Place>, Exceeded> {
        let table = self.table();
        let counter = tenant.and_then(|id| table.tenants.get(id));
        counter.map(Counter::enter).transpose()
    }

    /// The largest body of a request of `tenant` to `server`, in bytes.
    pub fn body(&self, tenant: Option<&TenantId>, server: Option<&ServerId>) -> u64 {
        let table = self.table();
        let of_tenant = tenant.and_then(|id| table.tenants.get(id)?.limits.body);
        let of_server = server.and_then(|id| table.bodies.get(id).copied());
        [of_tenant, of_server].into_iter().flatten().fold(table.of.api.max_body, u64::min)
    }
}

impl Table {
    fn new(of: Arc<Config>, before: &Map<TenantId, Arc<Counter>>) -> Self {
        let all = &of.api.call_limits;
        let limits = of.tenants.iter().map(|def| (&def.id, def.call_limits.as_ref().unwrap_or(all)));
        let tenants = counters(limits, before, |id| format!("customer {id}"));
        let bodies =
            of.servers.iter().filter_map(|def| Some((def.id.clone(), def.settings.call_limits.body?))).collect();
        Self { tenants, bodies, of }
    }
}
