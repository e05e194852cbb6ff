//! `/servers/{name}/logs`: what instances said, once or as they say it.

use super::Answer;
use super::caller::Caller;
use super::input::{Path, Query};
use super::openapi::Problem;
use super::stream::{self, Next, Piece};
use super::times::{self, rfc3339};
use crate::api::Error;
use crate::model::message::{Level, LogLine, LogSource, LogTarget};
use crate::model::{Chunk, Feed, InstanceKey};
use axum::Json;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

/// Lines where nothing else is asked for, and at most.
const SOME: u32 = 200;
const MOST: u32 = 5000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// So many of the newest lines: 200 unless given (with `since`, all), 5000 at most.
    tail: Option<u32>,
    /// How long ago (`10m`), or a time as RFC 3339 has it.
    since: Option<String>,
    /// Lines to come, too, as server-sent events: `line`, `lost`, `end`.
    #[serde(default)]
    follow: bool,
}

#[derive(Serialize, ToSchema)]
pub struct Logs {
    /// Oldest first.
    lines: Vec<Line>,
    /// Lines that were dropped on the way.
    dropped: u64,
}

#[derive(Serialize, ToSchema)]
pub struct Line {
    at: String,
    instance: String,
    /// `stdout`, `stderr`, `garbage` (on stdout, and no JSON-RPC) or `deck` (mcpdeck about it).
    source: &'static str,
    level: Option<&'static str>,
    text: String,
    /// Counts the instance's starts.
    run: u32,
}

/// What the instances of a server said.
///
/// A server that several customers share is an operator's to read.
#[utoipa::path(
    get, path = "/servers/{name}/logs", tag = "servers",
    params(("name" = String, Path, description = "`server`, or `server@customer`"), Which),
    responses(
        (status = 200, content((Logs = "application/json"), (Line = "text/event-stream"))),
        (status = 400, body = Problem),
        (status = 403, body = Problem),
        (status = 404, body = Problem),
    )
)]
pub async fn logs(caller: Caller, Path(name): Path<String>, Query(which): Query<Which>) -> Result<Answer, Error> {
    let target = readable(&caller, &name)?;
    let since = which.since.as_deref().map(|text| times::read("since", text)).transpose()?;
    let tail = match which.tail {
        Some(tail) if tail > MOST => return Err(Error::BadRequest(format!("tail: {tail}; at most {MOST}"))),
        Some(tail) => tail,
        None => {
            if since.is_some() {
                MOST
            } else {
                SOME
            }
        }
    };
    let targets = vec![LogTarget::Instance(target)];
    let feed = caller.gateway.handle.follow(Feed::Logs { targets, tail, follow: which.follow, since });
    if !which.follow {
        return Ok(Json(whole(feed).await?).into_response());
    }
    let gateway = caller.gateway.clone();
    Ok(stream::answer(gateway, feed, move |chunk| {
        // A customer that lost the server since then reads no further.
        if let Err(error) = readable(&caller, &name) {
            return stream::ended(error.to_string());
        }
        let mut piece = Piece::default();
        if let Chunk::Logs(lines) = chunk {
            lines.iter().for_each(|line| piece.event("line", None, &Line::of(line)));
        }
        Next::Go(piece)
    }))
}

fn readable(caller: &Caller, name: &str) -> Result<InstanceKey, Error> {
    let view = caller.view();
    let target = view.target(name)?;
    if view.is_shared(&target) && caller.must_operate().is_err() {
        return Err(Error::Forbidden(format!("{target} serves several customers: its log is an operator's to read")));
    }
    Ok(target)
}

async fn whole(mut feed: mpsc::Receiver<Chunk>) -> Result<Logs, Error> {
    let mut logs = Logs { lines: Vec::new(), dropped: 0 };
    while let Some(chunk) = feed.recv().await {
        match chunk {
            Chunk::Logs(lines) => logs.lines.extend(lines.iter().map(Line::of)),
            Chunk::Lost(lines) => logs.dropped += lines,
            Chunk::End(Some(why)) => return Err(why.into()),
            Chunk::End(None) => break,
            _ => {}
        }
    }
    Ok(logs)
}

impl Line {
    fn of(line: &LogLine) -> Self {
        let source = match line.source {
            LogSource::Stdout => "stdout",
            LogSource::Stderr => "stderr",
            LogSource::Garbage => "garbage",
            LogSource::Deck => "deck",
        };
        let level = line.level.map(|level| match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        });
        let instance = line.target.to_string();
        Self { at: rfc3339(line.at), instance, source, level, text: line.text.clone(), run: line.run }
    }
}
