//! A container's log, as its engine keeps it.

use super::Yard;
use super::connect::Client;
use super::frames::Cutter;
use crate::backend::BackendError;
use crate::backend::engine::{LogRange, RawLine};
use crate::model::Stamp;
use futures_util::StreamExt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Lines that wait for a slow reader; then the engine waits.
const WAITING: usize = 256;

/// Ends with the log, with the connection, or when nobody reads any more. What hinders it is its last line.
pub fn read(yard: Arc<Yard>, id: &str, range: LogRange) -> mpsc::Receiver<RawLine> {
    let (lines, reader) = mpsc::channel(WAITING);
    let path = path(id, &range);
    tokio::spawn(async move {
        let reading = async {
            let outcome = match yard.client().await {
                Ok(client) => copy(&client, &path, &range, &lines).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                let text = format!("the log cannot be read: {error}");
                let _ = lines.send(RawLine { at: Stamp::now(), stderr: true, text }).await;
            }
        };
        tokio::select! {
            () = reading => {}
            () = lines.closed() => {}
        }
    });
    reader
}

fn path(id: &str, range: &LogRange) -> String {
    let tail = range.tail.map_or("all".to_owned(), |lines| lines.to_string());
    let since = range.since.map(|at| format!("&since={}.{:03}", at.0 / 1000, at.0 % 1000)).unwrap_or_default();
    let follow = u8::from(range.follow);
    format!("/containers/{id}/logs?stdout=1&stderr=1&timestamps=1&follow={follow}&tail={tail}{since}")
}

/// `Ok` when the log ends or nobody reads it.
async fn copy(
    client: &Client,
    path: &str,
    range: &LogRange,
    lines: &mpsc::Sender<RawLine>,
) -> Result<(), BackendError> {
    let mut chunks = client.stream(path);
    let mut cutter = Cutter::default();
    // Engines round `since` to their own taste.
    let wanted = |line: &RawLine| range.since.is_none_or(|since| line.at >= since);
    while let Some(chunk) = chunks.next().await {
        cutter.push(&chunk.map_err(|error| client.error(&error))?);
        while let Some(line) = cutter.next() {
            if wanted(&line) && lines.send(line).await.is_err() {
                return Ok(());
            }
        }
    }
    for line in cutter.rest().into_iter().filter(wanted) {
        if lines.send(line).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
