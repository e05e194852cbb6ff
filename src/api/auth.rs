//! From a request to its principal. The tenant comes from here, never from what a caller writes.

use super::{Error, Gateway};
use crate::control::handle::{Caller, Unproven};
use crate::model::TenantId;
use crate::model::principal::{KEY_PREFIX, Principal, Role};
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::http::Extensions;
use hyper::{HeaderMap, Request};
use std::net::SocketAddr;

/// The header by which an operator names a tenant.
pub(super) const CUSTOMER: HeaderName = HeaderName::from_static("x-customer-id");
const KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What a proxy adds to a request of somebody else.
const PASSED_ON: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// Who makes this request, or why that is nobody. What proves it goes no further, so that it can never be passed on, and
/// neither does a customer that a tenant names.
pub fn identify<B>(gateway: &Gateway, peer: SocketAddr, request: &mut Request<B>) -> Result<Caller, Error> {
    let who = who(gateway, peer, request.headers());
    let headers = request.headers_mut();
    headers.remove(&KEY);
    headers.remove(AUTHORIZATION);
    if who.as_ref().is_ok_and(|caller| caller.principal.role < Role::Operator) {
        headers.remove(&CUSTOMER);
    }
    if let Err(error @ Error::BadCredential(_)) = &who {
        tracing::warn!(%peer, "refused: {error}");
    }
    who
}

fn who(gateway: &Gateway, peer: SocketAddr, headers: &HeaderMap) -> Result<Caller, Error> {
    let principals = &gateway.inside.principals;
    let told = |why: Unproven| match why {
        Unproven::Starting => Error::Unavailable(why.to_string()),
        _ => Error::BadCredential(why.to_string()),
    };
    match credential(headers)? {
        Some(Credential::Key(_)) if gateway.inside.config.peek().api.keys == Some(false) => {
            Err(Error::BadCredential("API keys are not taken here: see [api] keys".to_owned()))
        }
        Some(Credential::Key(text)) => principals.by_key(text).map_err(told),
        Some(Credential::Token(text)) => principals.by_token(text).map_err(told),
        None => anonymous(gateway, peer, headers),
    }
}

/// Who the config names, on loopback alone; not for what a proxy on this machine passes on, for that is anybody's.
fn anonymous(gateway: &Gateway, peer: SocketAddr, headers: &HeaderMap) -> Result<Caller, Error> {
    let passed_on = PASSED_ON.iter().any(|name| headers.contains_key(*name));
    let here = peer.ip().to_canonical().is_loopback() && !passed_on;
    let who = gateway.inside.config.get().api.anonymous.clone().filter(|_| here);
    let nobody = "send an API key (X-API-Key, or Authorization: Bearer) or a token; without, nobody may call from here \
                  (see [api] anonymous)";
    who.map(Caller::anonymous).ok_or_else(|| Error::Unauthorized(nobody.to_owned()))
}

/// What a request shows to prove who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential<'h> {
    Key(&'h str),
    Token(&'h str),
}

/// The one credential of a request. Two that differ are refused: whoever wrote the second is not whoever wrote the first.
fn credential(headers: &HeaderMap) -> Result<Option<Credential<'_>>, Error> {
    let keys = headers.get_all(&KEY).iter().map(|value| text(value).map(Credential::Key));
    let bearers = headers.get_all(AUTHORIZATION).iter().map(|value| bearer(text(value)?));
    let mut found = None;
    for credential in keys.chain(bearers) {
        let credential = credential?;
        if found.is_some_and(|other| other != credential) {
            return Err(Error::BadRequest("two different credentials: send one".to_owned()));
        }
        found = Some(credential);
    }
    Ok(found)
}

fn text(value: &HeaderValue) -> Result<&str, Error> {
    value.to_str().map(str::trim).map_err(|_| Error::BadCredential("the credential is not plain text".to_owned()))
}

/// `Bearer`, then an API key or a token (RFC 6750, 2.1).
fn bearer(text: &str) -> Result<Credential<'_>, Error> {
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    match rest.trim() {
        _ if !scheme.eq_ignore_ascii_case("bearer") => {
            Err(Error::BadCredential("the only scheme of Authorization is Bearer".to_owned()))
        }
        key if key.starts_with(KEY_PREFIX) => Ok(Credential::Key(key)),
        token => Ok(Credential::Token(token)),
    }
}

/// For [`principal`].
pub fn remember<B>(who: Result<Caller, Error>, request: &mut Request<B>) {
    request.extensions_mut().insert(who);
}

/// Whoever makes the request with these extensions, where a handler sees nothing else of it.
pub fn principal(request: &Extensions) -> Result<&Principal, Error> {
    match request.get::<Result<Caller, Error>>() {
        Some(Ok(caller)) => Ok(&caller.principal),
        Some(Err(error)) => Err(error.clone()),
        None => Err(Error::Unauthorized("nobody asked who calls".to_owned())),
    }
}

/// The tenant that this request is made as: the principal's own, or the one that an operator names, else has switched to.
pub fn tenant(gateway: &Gateway, principal: &Principal, headers: &HeaderMap) -> Result<TenantId, Error> {
    let named = headers.get(&CUSTOMER).filter(|_| principal.role >= Role::Operator);
    let Some(name) = named else {
        let unnamed = || {
            Error::BadRequest(
                "name the customer by X-Customer-ID, or switch to one by POST /api/customers/switch".to_owned(),
            )
        };
        let chosen = (principal.role >= Role::Operator).then(|| gateway.current.of(&principal.name)).flatten();
        return chosen.or_else(|| principal.tenant.clone()).ok_or_else(unnamed);
    };
    let name = name.to_str().map_err(|_| Error::BadRequest("X-Customer-ID is not plain text".to_owned()))?;
    gateway.inside.principals.tenant(name).ok_or_else(|| Error::NotFound(format!("no customer `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_credential_is_read_and_two_that_differ_are_refused() {
        let (key, auth) = ("x-api-key", "authorization");
        let good = |c| Ok(Some(c));
        for (headers, want) in [
            (&[][..], Ok(None)),
            (&[(key, "mdk_a_b")], good(Credential::Key("mdk_a_b"))),
            (&[(auth, "Bearer mdk_a_b")], good(Credential::Key("mdk_a_b"))),
            (&[(auth, "bearer  x.y.z ")], good(Credential::Token("x.y.z"))),
            (&[(key, "mdk_a_b"), (auth, "Bearer mdk_a_b")], good(Credential::Key("mdk_a_b"))),
            (&[(key, "x.y.z")], good(Credential::Key("x.y.z"))),
            (&[(auth, "Bearer")], good(Credential::Token(""))),
            (&[(auth, "Basic YTpi")], Err("the only scheme of Authorization is Bearer")),
            (&[(key, "mdk_a_b"), (auth, "Bearer x.y.z")], Err("two different credentials: send one")),
            (&[(key, "mdk_a_b"), (key, "mdk_c_d")], Err("two different credentials: send one")),
            (&[(auth, "Bearer a"), (auth, "Bearer b")], Err("two different credentials: send one")),
            (&[(key, "m\u{fc}ll")], Err("the credential is not plain text")),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(credential(&map).map_err(|error| error.to_string()), want.map_err(str::to_owned), "{headers:?}");
        }
    }
}
