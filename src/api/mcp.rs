//! `POST /mcp/{server}`: MCP messages of agents, carried by the router under the caller's tenant.

use super::error::whole;
use super::{Body, Error, Gateway, auth};
use crate::model::ServerId;
use crate::model::call::Origin;
use crate::router::{CallBody, CallRequest};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

/// Answers a request on an MCP path.
pub async fn answer(gateway: &Gateway, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let principal = auth::principal(&head.extensions)?;
    let tenant = auth::tenant(gateway, principal, &head.headers)?;
    if head.method != Method::POST {
        return Err(Error::Method(head.method.to_string()));
    }
    let server = head.uri.path().strip_prefix("/mcp/").filter(|name| !name.is_empty() && !name.contains('/'));
    let server = server.ok_or_else(|| Error::NotFound("name a server: POST /mcp/{server}".to_owned()))?;
    let server = ServerId::from(server);
    let config = gateway.inside.config.get();
    let api = &config.api;
    let body = timeout(api.read_timeout, read(body, api.max_body)).await.map_err(|_| Error::TooSlow)??;
    let reply = gateway.inside.router.call(CallRequest {
        tenant,
        server,
        body: CallBody::Raw(body),
        era: None,
        timeout: None,
        origin: Origin::Http,
        principal: principal.name.clone(),
        role: Some(principal.role),
        session: None,
        events: None,
    });
    let reply = reply.await;
    let empty = reply.body.is_empty();
    let mut response = Response::new(whole(reply.body));
    if empty {
        *response.status_mut() = StatusCode::ACCEPTED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

/// The whole body, if it is not too large.
async fn read(body: Incoming, limit: u64) -> Result<Bytes, Error> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge(limit)),
        Err(error) => Err(Error::BadRequest(format!("the body broke off: {error}"))),
    }
}
