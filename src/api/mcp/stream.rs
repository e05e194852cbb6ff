//! Server-sent events: a call that says something before its answer, and the stream that a client holds open.

use super::super::Body;
use super::head::Accepts;
use crate::router::{ClientRequest, Outbox, Router, Served};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::unfold;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Proxies close what is silent for longer; most wait a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b": keep-alive\n\n";

/// What a stream ends with: its last message, or nothing.
pub type Work = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// How a call is answered.
pub enum Answered {
    /// It said nothing before its answer.
    Whole(Served),
    Streamed(Response<Body>),
}

/// Carries a call. It is answered by one body if the client takes one and nothing comes before the answer, else by a
/// stream. Whoever drops the body (or the future) cancels the call.
pub async fn carry(router: &Arc<Router>, mut request: ClientRequest, accepts: Accepts) -> Answered {
    if !accepts.events {
        return Answered::Whole(router.serve(request).await);
    }
    let outbox = Arc::new(Outbox::default());
    request.outbox = Some(outbox.clone());
    let router = router.clone();
    let mut call = Box::pin(async move { router.serve(request).await });
    let mut first = None;
    if accepts.json {
        tokio::select! {
            biased;
            message = outbox.next() => first = Some(message),
            reply = call.as_mut() => match outbox.pop() {
                None => return Answered::Whole(reply),
                Some(message) => {
                    return Answered::Streamed(stream(Some(message), outbox, Box::pin(async { reply.body })));
                }
            },
            () = sleep(KEEP_ALIVE) => {}
        }
    }
    Answered::Streamed(stream(first, outbox, Box::pin(async move { call.await.body })))
}

/// A stream of what comes into `outbox` until `work` is done.
pub fn stream(first: Option<Bytes>, outbox: Arc<Outbox>, work: Work) -> Response<Body> {
    let events = unfold((first, Some(work)), move |(first, work)| {
        let outbox = outbox.clone();
        async move {
            let mut work = work?;
            let mut chunk = BytesMut::new();
            if let Some(first) = first {
                write(&mut chunk, &first);
                return Some((frame(chunk), (None, Some(work))));
            }
            tokio::select! {
                biased;
                message = outbox.next() => write(&mut chunk, &message),
                last = work.as_mut() => {
                    while let Some(message) = outbox.pop() {
                        write(&mut chunk, &message);
                    }
                    write(&mut chunk, &last);
                    return Some((frame(chunk), (None, None)));
                }
                () = sleep(KEEP_ALIVE) => chunk.put_slice(COMMENT),
            }
            Some((frame(chunk), (None, Some(work))))
        }
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx holds back what it does not know to be a stream.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

fn frame(chunk: BytesMut) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(chunk.freeze()))
}

/// One event; nothing for an empty message.
fn write(chunk: &mut BytesMut, message: &[u8]) {
    if message.is_empty() {
        return;
    }
    chunk.reserve(message.len() + 24);
    chunk.put_slice(b"event: message\ndata: ");
    for piece in message.split(|b| matches!(b, b'\n' | b'\r')) {
        // In JSON a line break is white space, and an event's data is one line.
        chunk.put_slice(piece);
    }
    chunk.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_one_event() {
        let mut chunk = BytesMut::new();
        write(&mut chunk, b"{\"a\":\r\n1}");
        write(&mut chunk, b"");
        assert_eq!(&chunk[..], b"event: message\ndata: {\"a\":1}\n\n");
    }

    #[tokio::test]
    async fn what_was_said_before_the_end_comes_before_it() {
        let outbox = Arc::new(Outbox::default());
        let said = outbox.clone();
        let work = Box::pin(async move {
            said.push("1".into());
            said.push("2".into());
            Bytes::from("3")
        });
        let response = stream(Some("0".into()), outbox, work);
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let data: Vec<_> =
            std::str::from_utf8(&body).unwrap().lines().filter_map(|l| l.strip_prefix("data: ")).collect();
        assert_eq!(data, ["0", "1", "2", "3"]);
    }
}
