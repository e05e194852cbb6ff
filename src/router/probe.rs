//! Health probes on the traffic path. They count as no activity, wake nothing and never repeat a handshake.

use super::era;
use super::listing;
use super::slot::Link;
use super::wire::ErrorObject;
use crate::model::instance::ProbeFacts;
use crate::model::{Era, Stamp};
use std::time::Duration;
use tokio::time::Instant;

/// JSON-RPC: no such method. Said by a server that is alive.
const UNKNOWN_METHOD: i64 = -32601;

/// Probes one connection; `None`: there is none.
pub async fn probe(link: Option<&Link>, timeout: Duration) -> ProbeFacts {
    let began = Instant::now();
    let mut facts = ProbeFacts { at: Some(Stamp::now()), ..ProbeFacts::default() };
    let failure = match link {
        None => Some("not connected".to_owned()),
        Some(link) => match tokio::time::timeout(timeout, ask(link, &mut facts)).await {
            Ok(done) => done.err(),
            Err(_) => Some(format!("no answer within {}", humantime::format_duration(timeout))),
        },
    };
    if failure.is_some()
        && let Some(fact) = [&mut facts.alive, &mut facts.lists].into_iter().find(|fact| fact.is_none())
    {
        *fact = Some(false);
    }
    facts.failures = u32::from(failure.is_some());
    facts.took_ms = Some(began.elapsed().as_millis().try_into().unwrap_or(u32::MAX));
    facts.error = failure;
    facts
}

async fn ask(link: &Link, facts: &mut ProbeFacts) -> Result<(), String> {
    let (era, method) = match link.opened.era {
        Era::Legacy => (Era::Legacy, "ping"),
        Era::Modern => (Era::Modern, "server/discover"),
    };
    let mut ask = era::own_ask(&link.upstream, era, method, "");
    let answer = link.upstream.ask(&mut ask).await.map_err(|f| f.to_string())?;
    if let Some(error) = answer.error().map(ErrorObject::read).filter(|e| e.code != UNKNOWN_METHOD) {
        facts.alive = Some(true);
        return Err(format!("{method}: {} ({})", error.message, error.code));
    }
    facts.alive = Some(true);
    facts.initialises = Some(true);
    if link.offers.tools {
        listing::probe_tools(link).await?;
        facts.lists = Some(true);
    }
    Ok(())
}
