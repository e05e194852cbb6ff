//! From a request to its principal. The tenant comes from here, never from what a caller writes.

use super::{Error, Gateway};
use crate::model::TenantId;
use crate::model::principal::{Principal, Role};
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::http::Extensions;
use hyper::{HeaderMap, Request};
use std::net::{IpAddr, SocketAddr};

/// The header by which an operator names a tenant.
pub(super) const CUSTOMER: &str = "x-customer-id";
const KEY: &str = "x-api-key";

/// Refuses what a web page of somebody else sends through an operator's browser: a foreign `Origin`, or a name that only
/// rebinding makes lead here.
pub fn check_sender(gateway: &Gateway, headers: &HeaderMap) -> Result<(), Error> {
    let config = gateway.inside.config.get();
    let api = &config.api;
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    if let Some(origin) = text(ORIGIN) {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        if !is_here(host) && !api.origins.iter().any(|good| good.eq_ignore_ascii_case(origin)) {
            return Err(Error::Forbidden(format!("the origin {origin} may not call: see [api] origins")));
        }
    }
    let host = text(HOST).unwrap_or_default();
    let is_address = name_of(host).parse::<IpAddr>().is_ok();
    if !is_here(host) && !is_address && !api.hosts.iter().any(|good| good.eq_ignore_ascii_case(name_of(host))) {
        return Err(Error::Forbidden(format!("the host {host} is not served here: see [api] hosts")));
    }
    Ok(())
}

/// `host`, `host:port` or `[address]:port` without the port.
fn name_of(host: &str) -> &str {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    bracketed.map_or_else(|| host.split(':').next().unwrap_or_default(), |(address, _)| address)
}

/// True if it names this machine from within.
fn is_here(host: &str) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Who makes this request, or why that is nobody; read by [`principal`]. What proves it goes no further, so that it can
/// never be passed on, and neither does a customer that a tenant names.
pub fn identify<B>(gateway: &Gateway, peer: SocketAddr, request: &mut Request<B>) {
    let who = who(gateway, peer, request.headers());
    let headers = request.headers_mut();
    headers.remove(KEY);
    headers.remove(AUTHORIZATION);
    if who.as_ref().is_ok_and(|principal| principal.role < Role::Operator) {
        headers.remove(CUSTOMER);
    }
    request.extensions_mut().insert(who);
}

/// A caller without a credential is who the config names, on loopback alone. Nobody is known by a credential, so that one
/// that is sent is refused rather than overlooked.
fn who(gateway: &Gateway, peer: SocketAddr, headers: &HeaderMap) -> Result<Principal, Error> {
    if headers.contains_key(KEY) || headers.contains_key(AUTHORIZATION) {
        return Err(Error::Unauthorized("the credential is not known".to_owned()));
    }
    let anonymous = gateway.inside.config.get().api.anonymous.clone().filter(|_| peer.ip().is_loopback());
    anonymous.ok_or_else(|| Error::Unauthorized("nobody may call without a credential: see [api] anonymous".to_owned()))
}

/// Whoever makes the request with these extensions.
pub fn principal(request: &Extensions) -> Result<&Principal, Error> {
    match request.get::<Result<Principal, Error>>() {
        Some(Ok(principal)) => Ok(principal),
        Some(Err(error)) => Err(error.clone()),
        None => Err(Error::Unauthorized("nobody asked who calls".to_owned())),
    }
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
