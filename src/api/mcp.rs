//! `POST /mcp/{server}` and `POST /mcp`: MCP messages of agents, carried by the router under the caller's tenant, to one
//! server or to all that it has.

use super::error::whole;
use super::{Body, Error, Gateway, auth};
use crate::model::ServerId;
use crate::model::call::Origin;
use crate::router::{AllReply, CallBody, CallRequest};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

/// Says where routing led and why: the same as the answer's `_meta`, for whoever reads no bodies.
const ROUTE: HeaderName = HeaderName::from_static("x-mcpdeck-route");

/// Answers a request on an MCP path.
pub async fn answer(gateway: &Gateway, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let principal = auth::principal(&head.extensions)?;
    let tenant = auth::tenant(gateway, principal, &head.headers)?;
    if head.method != Method::POST {
        return Err(Error::Method(head.method.to_string()));
    }
    let server = match head.uri.path().strip_prefix("/mcp") {
        Some("") => None,
        Some(path) => {
            path.strip_prefix('/').filter(|name| !name.is_empty() && !name.contains('/')).map(Some).ok_or_else(
                || Error::NotFound("name a server: POST /mcp/{server}, or all of them: POST /mcp".to_owned()),
            )?
        }
        None => None,
    };
    let config = gateway.inside.config.get();
    let api = &config.api;
    let body = timeout(api.read_timeout, read(body, api.max_body)).await.map_err(|_| Error::TooSlow)??;
    let request = CallRequest {
        tenant,
        server: ServerId::from(server.unwrap_or_default()),
        body: CallBody::Raw(body),
        era: None,
        timeout: None,
        origin: Origin::Http,
        principal: principal.name.clone(),
        role: Some(principal.role),
        session: None,
        events: None,
    };
    let router = &gateway.inside.router;
    let (body, route) = match server {
        Some(_) => (router.call(request).await.body, None),
        None => {
            let AllReply { body, route } = router.call_all(request).await;
            (body, route)
        }
    };
    let empty = body.is_empty();
    let mut response = Response::new(whole(body));
    if let Some(route) = route.and_then(|route| HeaderValue::from_str(&route).ok()) {
        response.headers_mut().insert(ROUTE, route);
    }
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
