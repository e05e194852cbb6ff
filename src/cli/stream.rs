//! Streams on standard output: until they end, the reader goes away, or ctrl-c.

use super::args::Output;
use super::error::{Code, Error};
use super::output::{Table, json_line, print, remark};
use super::rows::Listed;
use super::session::Session;
use crate::control::Link;
use crate::model::{Chunk, Feed, Snapshot, Stamp};
use std::sync::Arc;

/// Shows each snapshot to `look` until it answers false or ctrl-c. A lost owner is told and waited for.
pub fn each_snapshot(session: &Session, mut look: impl FnMut(&Snapshot) -> bool) {
    session.wait(async {
        let mut revisions = session.handle.revisions();
        let mut told = false;
        loop {
            revisions.mark_unchanged();
            match session.handle.link() {
                Link::Lost { reason, .. } if !told => {
                    remark(session.output, &format!("the owner went away ({reason}); waiting for it"));
                    told = true;
                }
                Link::Lost { .. } => {}
                Link::Owner | Link::Attached => {
                    told = false;
                    if !look(&session.handle.state()) {
                        return;
                    }
                }
            }
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return,
                changed = revisions.changed() => if changed.is_err() { return },
            }
        }
    });
}

/// Shows each chunk to `take` until the stream ends or ctrl-c. `Err` if it ended for a reason that is not the normal one.
pub fn each_chunk(
    session: &Session,
    feed: Feed,
    mut take: impl FnMut(Chunk) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut chunks = session.handle.follow(feed);
    session.wait(async {
        loop {
            let chunk = tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                chunk = chunks.recv() => chunk,
            };
            match chunk {
                None | Some(Chunk::End(None)) => return Ok(()),
                Some(Chunk::End(Some(refusal))) => return Err(refusal.into()),
                Some(Chunk::Lost(count)) => remark(session.output, &format!("{count} lost: this reader was too slow")),
                Some(chunk) => take(chunk)?,
            }
        }
    })
}

/// Prints a stream's rows as they come: lines of a table, its head once, or lines of JSON.
pub fn rows<T: Listed>(session: &Session, feed: Feed, rows: impl Fn(Chunk) -> Vec<Arc<T>>) -> Result<Code, Error> {
    let mut head = true;
    each_chunk(session, feed, |chunk| {
        let rows = rows(chunk);
        match session.output {
            Output::Json => rows.iter().try_for_each(|row| print(&json_line(&**row)?)),
            Output::Table if rows.is_empty() => Ok(()),
            Output::Table => {
                let mut table = Table::new(T::COLUMNS);
                rows.iter().for_each(|row| table.push(row.cells(Stamp::now())));
                let text = table.render();
                let body = if std::mem::take(&mut head) { &*text } else { text.split_once('\n').map_or("", |t| t.1) };
                print(body)
            }
        }
    })?;
    Ok(Code::Ok)
}
