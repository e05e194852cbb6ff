//! What a request brings: a name in the path, a query, a JSON body. What is wrong with them is said, with 400.

use super::caller::Via;
use crate::api::{Error, auth};
use crate::router::Exceeded;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// The parts of the path that are names.
pub struct Path<T>(pub T);

/// The query; a key that is not known is an error.
pub struct Query<T>(pub T);

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|why: PathRejection| Error::NotFound(why.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|why: QueryRejection| Error::BadRequest(why.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let Via { gateway, .. } = Via::from_request_parts(&mut parts, state).await?;
        let patience = gateway.inside.config.get().api.read_timeout;
        let who = auth::principal(&parts.extensions)?;
        let most = gateway.limits.body(who.tenant.as_ref(), None);
        let body = timeout(patience, read(body, most)).await.map_err(|_| Error::TooSlow)?;
        if let Err(Error::TooLarge(most)) = body {
            let what = (&parts.method, parts.uri.path());
            super::record(&gateway, who, what, Exceeded::Large(most)).await;
        }
        let body = body?;
        let read = serde_json::from_slice(&body);
        read.map(Self).map_err(|why| Error::BadRequest(format!("the body is not what is asked for: {why}")))
    }
}

/// The whole body, if it is not too large.
async fn read(body: axum::body::Body, limit: u64) -> Result<Bytes, Error> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge(limit)),
        Err(error) => Err(Error::BadRequest(format!("the body broke off: {error}"))),
    }
}
