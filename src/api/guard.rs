//! Streams end with the credential that they were opened with, and hold their place among the limits until they end.

use super::Body;
use crate::control::handle::Caller;
use crate::router::Place;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body as _, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A stream and how long it may last.
struct Guarded {
    body: Body,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: Option<Arc<Place>>,
}

/// The same response, whose stream, if it is one, ends when its caller is no longer known. An `Arc<Place>` among its
/// extensions is held until then.
pub fn guard(mut response: Response<Body>, caller: Option<Caller>) -> Response<Body> {
    let place = response.extensions_mut().remove::<Arc<Place>>();
    let whole = response.body().size_hint().exact().is_some();
    let Some(caller) = caller.filter(|_| !whole) else { return response };
    response.map(|body| {
        let ended = Box::pin(async move { caller.ended().await });
        Guarded { body, ended, _place: place }.boxed_unsync()
    })
}

impl hyper::body::Body for Guarded {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::whole;
    use crate::model::Stamp;
    use crate::model::principal::{Principal, Role};
    use futures_util::StreamExt;
    use futures_util::stream::{pending, unfold};
    use http_body_util::StreamBody;

    fn nobody() -> Principal {
        Principal { name: "nobody".to_owned(), role: Role::Tenant, tenant: None }
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_credential_and_a_whole_answer_does_not() {
        let expired = Caller::of_token(nobody(), Stamp(1));
        let endless = StreamBody::new(pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync();
        let response = guard(Response::new(endless), Some(expired.clone()));
        assert_eq!(response.into_body().collect().await.map(|body| body.to_bytes()), Ok(Bytes::new()));
        let response = guard(Response::new(whole("all of it")), Some(expired));
        assert_eq!(response.into_body().collect().await.map(|body| body.to_bytes()), Ok("all of it".into()));
    }

    #[tokio::test]
    async fn a_stream_of_a_good_caller_goes_on() {
        let good = Caller::anonymous(nobody());
        let three = unfold(0, async |n| (n < 3).then(|| (Ok(Frame::data(Bytes::from_static(b"x"))), n + 1))).boxed();
        let response = guard(Response::new(StreamBody::new(three).boxed_unsync()), Some(good));
        assert_eq!(response.into_body().collect().await.map(|body| body.to_bytes()), Ok("xxx".into()));
    }
}
