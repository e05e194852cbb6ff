//! Server-sent events: a feed of control, shaped for one reader, who may be slow, may leave, and may lose its rights.

use super::Answer;
use crate::api::Gateway;
use crate::model::Chunk;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A silent stream says so often that it is there: proxies hang up on what is silent for a minute.
const ALIVE: Duration = Duration::from_secs(15);

/// One message of a stream, as text.
#[derive(Default)]
pub struct Piece(String);

impl Piece {
    /// Adds an event; `id` is where a reader has come to.
    pub fn event(&mut self, name: &str, id: Option<u64>, data: &impl Serialize) {
        // JSON has no line breaks of its own, which would end the data.
        let Ok(data) = serde_json::to_string(data) else { return };
        if let Some(id) = id {
            self.0.push_str(&format!("id: {id}\n"));
        }
        self.0.push_str(&format!("event: {name}\ndata: {data}\n\n"));
    }
}

/// Whether a stream goes on.
pub enum Next {
    Go(Piece),
    /// This was the last.
    End(Piece),
}

#[derive(Serialize)]
struct Lost {
    /// So many were dropped, because the reader was slow.
    dropped: u64,
}

#[derive(Serialize)]
struct End {
    reason: String,
}

/// The last event, with the reason.
pub fn ended(reason: impl Into<String>) -> Next {
    let mut piece = Piece::default();
    piece.event("end", None, &End { reason: reason.into() });
    Next::End(piece)
}

struct Stream<F> {
    gateway: Arc<Gateway>,
    /// `None`: it is over.
    feed: Option<mpsc::Receiver<Chunk>>,
    shape: F,
}

/// Sends what `shape` makes of each chunk, until it ends, the reader leaves, or the gateway takes nothing new.
pub fn answer(
    gateway: Arc<Gateway>,
    feed: mpsc::Receiver<Chunk>,
    shape: impl FnMut(Chunk) -> Next + Send + 'static,
) -> Answer {
    let stream = Stream { gateway, feed: Some(feed), shape };
    let pieces = stream::unfold(stream, |mut stream| async move {
        let next = stream.next().await?;
        let text = match next {
            Next::Go(Piece(text)) => text,
            Next::End(Piece(text)) => {
                stream.feed = None;
                text
            }
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), stream))
    });
    let mut response = Answer::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<F: FnMut(Chunk) -> Next> Stream<F> {
    async fn next(&mut self) -> Option<Next> {
        let feed = self.feed.as_mut()?;
        tokio::select! {
            chunk = feed.recv() => Some(match chunk {
                Some(Chunk::Lost(dropped)) => {
                    let mut piece = Piece::default();
                    piece.event("lost", None, &Lost { dropped });
                    Next::Go(piece)
                }
                Some(Chunk::End(why)) => ended(why.map_or_else(|| "complete".to_owned(), |why| why.to_string())),
                Some(chunk) => (self.shape)(chunk),
                None => ended("the platform has ended"),
            }),
            () = self.gateway.closing.cancelled() => Some(ended("the platform takes nothing new")),
            () = tokio::time::sleep(ALIVE) => Some(Next::Go(Piece(": alive\n\n".to_owned()))),
        }
    }
}
