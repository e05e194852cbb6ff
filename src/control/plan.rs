//! What should exist, from the config and the run-time enablement: instances, who uses them, the router's table.
//! Pure; must never import a backend or a clock.

use crate::config::Config;
use crate::model::container::Speaks;
use crate::model::guard::Guards;
use crate::model::instance::{BackendKind, Mark, ProbeFacts, Transport};
use crate::model::route::Routing;
use crate::model::server::Via;
use crate::model::usage::InstanceUsage;
use crate::model::{
    Desired, Environment, InstanceKey, InstanceRow, Run, Scope, ServerDef, ServerId, Stamp, State, TenantDef, TenantId,
};
use crate::router::Table;
use crate::store::Enablement;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A run-time change of enablement, and who made it.
pub type Change = (bool, Mark);

/// What should exist. Cheap to build anew (a few ms at 10,000 instances), so every change does.
#[derive(Clone, Debug)]
pub struct Plan {
    pub servers: BTreeMap<ServerId, Arc<ServerDef>>,
    pub tenants: BTreeMap<TenantId, Arc<TenantDef>>,
    changes: BTreeMap<(TenantId, ServerId), Change>,
    users: BTreeMap<ServerId, Vec<TenantId>>,
    instances: BTreeMap<InstanceKey, Placement>,
    read_only: bool,
    guards: Guards,
    routing: Arc<Routing>,
    fallback: Environment,
}

/// Where an instance runs and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub backend: BackendKind,
    pub transport: Transport,
    pub environment: Environment,
}

impl Plan {
    /// The plan of a config with these run-time changes. Changes of tenants or servers that are gone are ignored.
    pub fn new(config: &Config, changes: impl IntoIterator<Item = Enablement>) -> Self {
        let mut plan = Self {
            servers: config.servers.iter().map(|s| (s.id.clone(), s.clone())).collect(),
            tenants: config.tenants.iter().map(|t| (t.id.clone(), t.clone())).collect(),
            changes: changes.into_iter().map(|e| ((e.tenant, e.server), (e.on, e.mark))).collect(),
            users: BTreeMap::new(),
            instances: BTreeMap::new(),
            read_only: config.platform.read_only,
            guards: config.guards.clone(),
            routing: config.routing.clone(),
            fallback: config.platform.environment,
        };
        plan.derive();
        plan
    }

    /// Sets (or with `None` forgets) a run-time change.
    pub fn change(&mut self, tenant: TenantId, server: ServerId, change: Option<Change>) {
        match change {
            Some(change) => self.changes.insert((tenant, server), change),
            None => self.changes.remove(&(tenant, server)),
        };
        self.derive();
    }

    /// Takes over other definitions; run-time changes stay.
    pub fn follow(&mut self, config: &Config) {
        let changes = std::mem::take(&mut self.changes);
        *self = Self { changes, ..Self::new(config, []) };
        self.derive();
    }

    fn derive(&mut self) {
        let users: BTreeMap<_, Vec<_>> = self
            .servers
            .keys()
            .map(|id| (id.clone(), self.tenants.keys().filter(|t| self.enabled(t, id)).cloned().collect()))
            .collect();
        self.users = users;
        let mut keys = BTreeSet::new();
        for (id, def) in &self.servers {
            if def.scope == Scope::Shared && !matches!(def.run, Run::PerTenant { .. }) {
                keys.insert(InstanceKey::shared(id.clone()));
            }
            if def.scope != Scope::Session {
                keys.extend(self.users(id).iter().map(|t| def.instance_for(&self.tenants[t], None)));
            }
        }
        self.instances = keys.into_iter().filter_map(|key| Some((key.clone(), self.place(&key)?))).collect();
    }

    /// Every instance that has a row, running or not. Those of sessions come and go by themselves.
    pub fn instances(&self) -> &BTreeMap<InstanceKey, Placement> {
        &self.instances
    }

    /// True if `key` may exist: it is in the plan, or is a session of a tenant that has the server.
    pub fn admits(&self, key: &InstanceKey) -> bool {
        let session = || {
            let tenant = key.tenant.as_ref()?;
            let def = self.servers.get(&key.server)?;
            Some(key.session.is_some() && def.scope == Scope::Session && self.enabled(tenant, &key.server))
        };
        self.instances.contains_key(key) || session().unwrap_or(false)
    }

    /// Where `key` runs; `None` if its server or tenant is unknown.
    pub fn place(&self, key: &InstanceKey) -> Option<Placement> {
        let def = self.servers.get(&key.server)?;
        let tenant = match &key.tenant {
            Some(id) => Some(self.tenants.get(id)?),
            None => None,
        };
        let own_url = tenant.and_then(|t| t.servers.get(&def.id)).is_some_and(|o| o.url.is_some());
        let (backend, transport) = match def.run {
            _ if own_url => (BackendKind::Remote, spoken(def.via)),
            Run::Process(_) | Run::Builtin { .. } => (BackendKind::Process, Transport::Stdio),
            Run::Simulated(_) => (BackendKind::Simulated, Transport::Stdio),
            Run::Container(ref run) => match run.speaks {
                Speaks::Http { .. } => (BackendKind::Docker, Transport::Http),
                Speaks::Stdio | Speaks::Nothing => (BackendKind::Docker, Transport::Stdio),
            },
            Run::Remote { .. } | Run::PerTenant { .. } => (BackendKind::Remote, spoken(def.via)),
        };
        let environment = match tenant {
            Some(tenant) => def.environment.unwrap_or_default().max(tenant.environment),
            None => self.environment(&key.server),
        };
        Some(Placement { backend, transport, environment })
    }

    /// What a server counts as: its own word, else the strictest among its users, else the platform's.
    pub fn environment(&self, server: &ServerId) -> Environment {
        let named = self.servers.get(server).and_then(|def| def.environment);
        let strictest = || self.users(server).iter().map(|t| self.tenants[t].environment).max();
        named.or_else(strictest).unwrap_or(self.fallback)
    }

    /// True if the tenant may use the server: the run-time change, else what the file says.
    pub fn enabled(&self, tenant: &TenantId, server: &ServerId) -> bool {
        match self.change_of(tenant, server) {
            Some((on, _)) => *on && self.servers.contains_key(server),
            None => self.in_file(tenant, server) && self.servers.contains_key(server),
        }
    }

    /// The run-time change, if there is one.
    pub fn change_of(&self, tenant: &TenantId, server: &ServerId) -> Option<&Change> {
        self.changes.get(&(tenant.clone(), server.clone()))
    }

    /// What the file says.
    pub fn in_file(&self, tenant: &TenantId, server: &ServerId) -> bool {
        self.tenants.get(tenant).is_some_and(|t| t.enabled.get(server).copied().unwrap_or(false))
    }

    /// Servers that the file or an operator decided on for this tenant, sorted.
    pub fn decided(&self, tenant: &TenantId) -> BTreeSet<ServerId> {
        let in_file = self.tenants.get(tenant).into_iter().flat_map(|t| t.enabled.keys().cloned());
        let changed = self.changes.keys().filter(|(t, _)| t == tenant).map(|(_, s)| s.clone());
        in_file.chain(changed).filter(|s| self.servers.contains_key(s)).collect()
    }

    /// Tenants that have `server` enabled, sorted.
    pub fn users(&self, server: &ServerId) -> &[TenantId] {
        self.users.get(server).map_or(&[], Vec::as_slice)
    }

    /// Tenants whose calls `key` serves.
    pub fn served_by(&self, key: &InstanceKey) -> Vec<TenantId> {
        let Some(def) = self.servers.get(&key.server) else { return Vec::new() };
        let serves = |t: &&TenantId| def.instance_for(&self.tenants[*t], key.session) == *key;
        self.users(&key.server).iter().filter(serves).cloned().collect()
    }

    /// The instances that must be ready before `key` starts, or the reason why there is no such one.
    pub fn needs(&self, key: &InstanceKey) -> Result<Vec<InstanceKey>, String> {
        let Some(def) = self.servers.get(&key.server) else { return Ok(Vec::new()) };
        let tenant = key.tenant.as_ref().and_then(|t| self.tenants.get(t));
        def.needs.iter().map(|need| self.need(key, need, tenant)).collect()
    }

    fn need(&self, key: &InstanceKey, need: &ServerId, tenant: Option<&Arc<TenantDef>>) -> Result<InstanceKey, String> {
        let def = self.servers.get(need).ok_or_else(|| format!("needs {need}, which is not in the registry"))?;
        match (def.scope, tenant) {
            (_, Some(tenant)) => Ok(def.instance_for(tenant, key.session)),
            (Scope::Shared, None) => Ok(InstanceKey::shared(need.clone())),
            (Scope::Tenant | Scope::Session, None) => {
                Err(format!("needs {need}, which has an instance per tenant while {key} belongs to none"))
            }
        }
    }

    /// Who may use what, for the router.
    pub fn table(&self) -> Table {
        let enabled = |t: &TenantId| self.servers.keys().filter(|s| self.enabled(t, s)).cloned().collect();
        Table {
            servers: self.servers.values().cloned().collect(),
            tenants: self.tenants.iter().map(|(id, def)| (def.clone(), enabled(id))).collect(),
            read_only: self.read_only,
            guards: self.guards.clone(),
            routing: self.routing.clone(),
        }
    }
}

/// What is spoken at a url, before anything is known but the config.
fn spoken(via: Via) -> Transport {
    match via {
        Via::Auto => Transport::Http,
        Via::Sse => Transport::Sse,
        Via::Query => Transport::Query,
    }
}

impl InstanceRow {
    /// A row of one that never started.
    pub fn new(key: InstanceKey, place: Placement, now: Stamp) -> Self {
        Self {
            key,
            backend: place.backend,
            transport: place.transport,
            environment: place.environment,
            era: None,
            desired: Desired::OnDemand,
            state: State::Dormant,
            since: now,
            reason: String::new(),
            held: None,
            fenced: None,
            probe: ProbeFacts::default(),
            last_call: None,
            in_flight: 0,
            waiting: 0,
            oldest: None,
            idle_stop_at: None,
            retry_at: None,
            rate: 0.0,
            p95_ms: None,
            error_rate: 0.0,
            usage: InstanceUsage::default(),
            restarts: 0,
            started_at: None,
            pid: None,
            container: None,
            garbage: 0,
            notes: Vec::new(),
            secrets: Vec::new(),
            server_info: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn mark() -> Mark {
        Mark { by: "ana".into(), at: Stamp(1), reason: String::new() }
    }

    #[test]
    fn instances_follow_scope_override_and_enablement() {
        let config = fixture::config(|c| {
            fixture::server(c, "etim", |_| {});
            fixture::server(c, "graf", |s| s.scope = Scope::Tenant);
            fixture::server(c, "chat", |s| s.scope = Scope::Session);
            fixture::tenant(c, "eaton", &["etim", "graf", "chat"], |_| {});
            fixture::tenant(c, "vatt", &["etim"], |t| {
                t.environment = Environment::Production;
                t.servers.insert("etim".into(), Default::default());
            });
        });
        let mut plan = Plan::new(&config, []);
        let keys = |plan: &Plan| plan.instances().keys().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&plan), "etim etim@vatt graf@eaton");
        assert!(plan.admits(&"chat@eaton#7".parse().unwrap()) && !plan.admits(&"chat@vatt#7".parse().unwrap()));
        assert_eq!(plan.served_by(&"etim".parse().unwrap()), ["eaton".into()]);
        assert_eq!(plan.environment(&"etim".into()), Environment::Production, "the strictest among its users");

        plan.change("vatt".into(), "graf".into(), Some((true, mark())));
        plan.change("eaton".into(), "graf".into(), Some((false, mark())));
        assert_eq!(keys(&plan), "etim etim@vatt graf@vatt");
        plan.change("eaton".into(), "graf".into(), None);
        assert_eq!(keys(&plan), "etim etim@vatt graf@eaton graf@vatt");
        let table = plan.table();
        assert_eq!(table.tenants[1].1, ["etim".into(), "graf".into()]);
    }

    #[test]
    fn needs_name_instances_of_the_same_tenant() {
        let config = fixture::config(|c| {
            fixture::server(c, "db", |s| s.scope = Scope::Tenant);
            fixture::server(c, "etim", |s| s.needs = vec!["db".into()]);
            fixture::server(c, "graf", |s| {
                s.scope = Scope::Tenant;
                s.needs = vec!["db".into(), "etim".into()];
            });
            fixture::tenant(c, "eaton", &["graf", "db"], |_| {});
        });
        let plan = Plan::new(&config, []);
        let needs = plan.needs(&"graf@eaton".parse().unwrap()).unwrap();
        assert_eq!(needs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["db@eaton", "etim"]);
        assert!(plan.needs(&"etim".parse().unwrap()).unwrap_err().contains("belongs to none"));
    }
}
