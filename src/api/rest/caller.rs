//! Who asks, and what it may see: every handler that is not for everybody takes a [`Caller`].

use super::view::View;
use crate::api::{Error, Gateway, auth};
use crate::model::message::Operator;
use crate::model::principal::{Principal, Role};
use crate::model::{Act, Command, JobId, TenantId};
use axum::extract::FromRequestParts;
use hyper::http::request::Parts;
use std::net::SocketAddr;
use std::sync::Arc;

/// How a request came in.
#[derive(Clone)]
pub struct Via {
    pub gateway: Arc<Gateway>,
    /// From where.
    pub peer: SocketAddr,
}

impl<S: Sync> FromRequestParts<S> for Via {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let via = parts.extensions.get::<Self>().cloned();
        via.ok_or_else(|| Error::Failed("the request lost its way in".to_owned()))
    }
}

/// Whoever made the request.
pub struct Caller {
    pub gateway: Arc<Gateway>,
    pub principal: Principal,
    /// The customer that a request about one customer is about.
    tenant: Result<TenantId, Error>,
    /// The customer that the request confines itself to; `None`: an operator's look at everything.
    scope: Option<TenantId>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Via { gateway, .. } = Via::from_request_parts(parts, state).await?;
        let principal = auth::principal(&parts.extensions)?.clone();
        let tenant = auth::tenant(&gateway, &principal, &parts.headers);
        let confined = principal.role < Role::Operator || parts.headers.contains_key(auth::CUSTOMER);
        let scope = if confined { Some(tenant.clone()?) } else { None };
        Ok(Self { gateway, principal, tenant, scope })
    }
}

impl Caller {
    /// The customer that a request about one customer is about.
    pub fn tenant(&self) -> Result<TenantId, Error> {
        self.tenant.clone()
    }

    /// `None`: everything may be seen.
    pub fn scope(&self) -> Option<&TenantId> {
        self.scope.as_ref()
    }

    /// What it may see of the platform now.
    pub fn view(&self) -> View {
        View::new(self.gateway.handle.state(), self.scope.clone())
    }

    /// Refuses whoever is no operator.
    pub fn must_operate(&self) -> Result<(), Error> {
        if self.principal.role >= Role::Operator {
            return Ok(());
        }
        Err(Error::Forbidden(format!("this is an operator's to do; {} has the role tenant", self.principal.name)))
    }

    /// Gives a command in its name, as the screen and the command line do.
    pub async fn give(&self, command: Command, confirm: Option<String>) -> Result<JobId, Error> {
        let operator = Operator::over_http(&self.principal);
        Ok(self.gateway.handle.run(Act { command, operator, confirm }).await?)
    }
}
