//! From a request to its principal. The tenant comes from here, never from what a caller writes.

use super::{Error, Gateway};
use crate::model::TenantId;
use crate::model::principal::{Principal, Role};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use std::net::SocketAddr;

/// The header by which an operator names a tenant.
const CUSTOMER: &str = "x-customer-id";
const KEY: &str = "x-api-key";

/// Whoever makes this request: a caller without a credential is who the config names, on loopback alone. Nobody is known
/// by a credential, so that one that is sent is refused rather than overlooked.
pub fn principal(gateway: &Gateway, peer: SocketAddr, headers: &HeaderMap) -> Result<Principal, Error> {
    if headers.contains_key(KEY) || headers.contains_key(AUTHORIZATION) {
        return Err(Error::Unauthorized("the credential is not known".to_owned()));
    }
    let anonymous = gateway.inside.config.api.anonymous.clone().filter(|_| peer.ip().is_loopback());
    anonymous.ok_or_else(|| Error::Unauthorized("nobody may call without a credential: see [api] anonymous".to_owned()))
}

/// The tenant that this request is made as: the principal's own, or the one an operator names.
pub fn tenant(gateway: &Gateway, principal: &Principal, headers: &HeaderMap) -> Result<TenantId, Error> {
    let named = headers.get(CUSTOMER).filter(|_| principal.role >= Role::Operator);
    let Some(name) = named else {
        let unnamed = || Error::BadRequest("name the customer by X-Customer-ID".to_owned());
        return principal.tenant.clone().ok_or_else(unnamed);
    };
    let name = name.to_str().map_err(|_| Error::BadRequest("X-Customer-ID is not plain text".to_owned()))?;
    let state = gateway.handle.state();
    let found = state.find_tenant(name).map(|row| row.def.id.clone());
    found.ok_or_else(|| Error::NotFound(format!("no customer `{name}`")))
}
