//! What a caller may see of a snapshot: everything, or one customer's part, in which all else looks unknown.

use crate::api::Error;
use crate::model::near::nearest;
use crate::model::snapshot::{Cell, ServerRow, TenantRow};
use crate::model::{InstanceKey, InstanceRow, Snapshot, State, TenantId};
use std::sync::Arc;

pub struct View {
    pub state: Arc<Snapshot>,
    scope: Option<TenantId>,
}

impl View {
    pub fn new(state: Arc<Snapshot>, scope: Option<TenantId>) -> Self {
        Self { state, scope }
    }

    /// The customer that it is confined to.
    pub fn tenant(&self) -> Option<&Arc<TenantRow>> {
        self.state.tenant(self.scope.as_ref()?.as_str())
    }

    /// What the customer that it is confined to has of a server; `None` where it is confined to nobody.
    pub fn cell(&self, server: &ServerRow) -> Option<&Cell> {
        self.tenant()?.cell(&server.def.id)
    }

    /// Servers that can be seen, by id.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<ServerRow>> {
        self.state.servers.iter().filter(|row| self.shows(row))
    }

    fn shows(&self, server: &ServerRow) -> bool {
        self.scope.is_none() || self.cell(server).is_some_and(|cell| cell.enabled)
    }

    pub fn server(&self, name: &str) -> Result<&Arc<ServerRow>, Error> {
        self.state.server(name).filter(|row| self.shows(row)).ok_or_else(|| {
            let near = nearest(name, self.servers().map(|row| row.def.id.as_str()));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Error::NotFound(format!("unknown server `{name}`{hint}"))
        })
    }

    /// Worst state among the instances of a server that can be seen.
    pub fn state_of(&self, server: &ServerRow) -> State {
        self.cell(server).map_or(server.state, |cell| cell.state.unwrap_or(State::Dormant))
    }

    /// The instances that `server`, `server@tenant` or `server@tenant#N` names. Confined to a customer, a server's name
    /// is whatever serves that customer.
    pub fn target(&self, text: &str) -> Result<InstanceKey, Error> {
        let typed: InstanceKey = text.parse().map_err(|_| Error::NotFound(format!("unknown server `{text}`")))?;
        let server = self.server(typed.server.as_str())?;
        let unknown = |name: &TenantId| Error::NotFound(format!("no customer `{name}`"));
        let tenant = match &typed.tenant {
            Some(name) => {
                let found = self.state.find_tenant(name.as_str()).map(|row| &row.def.id);
                let own = found.filter(|id| self.scope.as_ref().is_none_or(|scope| scope == *id));
                Some(own.ok_or_else(|| unknown(name))?.clone())
            }
            None => self.tenant().and_then(|own| server.def.instance_for(&own.def, None).tenant),
        };
        Ok(InstanceKey { server: server.def.id.clone(), tenant, session: typed.session })
    }

    /// The instances that a key covers, as far as they can be seen.
    pub fn instances(&self, key: &InstanceKey) -> impl Iterator<Item = &Arc<InstanceRow>> {
        self.state.instances.iter().filter(move |row| key.covers(&row.key) && self.serves(row))
    }

    /// True if the customer that it is confined to is served by this instance.
    pub fn serves(&self, row: &InstanceRow) -> bool {
        match (&self.scope, &row.key.tenant) {
            (None, _) => true,
            (Some(scope), Some(tenant)) => scope == tenant,
            (Some(_), None) => {
                let cell = self.tenant().and_then(|tenant| tenant.cell(&row.key.server));
                cell.is_some_and(|cell| cell.enabled && cell.instance.as_ref() == Some(&row.key))
            }
        }
    }

    /// True for what several customers share while one of them looks: whose calls and bytes it tells of is not known.
    pub fn is_shared(&self, key: &InstanceKey) -> bool {
        self.scope.is_some() && key.tenant.is_none()
    }
}
