//! Opens an instance's connection: pipes or URL, probe, handshake.

use super::era::{self, Greeting};
use super::session::Session;
use super::slot::{Link, Slot};
use super::upstream::http::Http;
use super::upstream::query::Query;
use super::upstream::serverside::Observer;
use super::upstream::sse::Sse;
use super::upstream::stdio::Stdio;
use super::upstream::{Upstream, Wire};
use super::{Connect, OpenError, OpenOptions, Opened, Router};
use crate::model::InstanceKey;
use crate::model::secret::{Hidden, Secret};
use crate::model::server::EraChoice;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// See [`Router::open`].
pub async fn open(
    router: &Router,
    key: &InstanceKey,
    connect: Connect,
    options: OpenOptions,
) -> Result<Opened, OpenError> {
    let slot = router.slots.get_or_add(key);
    let began = Instant::now();
    let older = older(&connect, &options);
    // The client whose own the instance is shakes hands through us.
    let session = key.session.and_then(|number| router.sessions.get(number));
    let session = session.as_ref();
    let mut upstream = prepare(router, &slot, connect, &options, session)?;
    let mut greeted = greet(&upstream, &options, session).await;
    if let (Err(error), Some(older)) = (&greeted, older)
        && matches!(&upstream.wire, Wire::Http(http) if http.may_be_sse())
    {
        let rest = OpenOptions { timeout: options.timeout.saturating_sub(began.elapsed()), ..options };
        upstream = prepare(router, &slot, older, &rest, session)?;
        let refused = |second: OpenError| match error {
            OpenError::Protocol(first) => OpenError::Protocol(format!("{first}; nor by HTTP+SSE: {second}")),
            first => first.clone(),
        };
        greeted = greet(&upstream, &rest, session).await.map_err(refused);
    }
    Ok(keep(&slot, upstream, greeted?))
}

/// The transport of 2024-11-05 at the same url, where it may be tried.
fn older(connect: &Connect, options: &OpenOptions) -> Option<Connect> {
    match connect {
        Connect::Http { url, headers } if options.era != EraChoice::Modern => {
            Some(Connect::Sse { url: url.clone(), headers: headers.clone() })
        }
        _ => None,
    }
}

fn prepare(
    router: &Router,
    slot: &Slot,
    connect: Connect,
    options: &OpenOptions,
    session: Option<&Arc<Session>>,
) -> Result<Upstream, OpenError> {
    let most = options.max_message;
    let observer = Observer {
        key: slot.key.clone(),
        notes: router.notes.clone(),
        lists: slot.lists.clone(),
        hub: slot.hub.clone(),
        session: session.map(Arc::downgrade),
    };
    let hide = |headers: &[(String, Secret)]| Hidden::new(headers.iter().map(|(_, secret)| secret));
    let (wire, hidden) = match connect {
        Connect::Stdio { stdin, stdout, hidden } => {
            (Ok(Wire::Stdio(Stdio::connect(stdin, stdout, most, observer))), hidden)
        }
        Connect::Http { url, headers } => {
            (Http::connect(&url, &headers, most, observer).map(Wire::Http), hide(&headers))
        }
        Connect::Sse { url, headers } => (Sse::connect(&url, &headers, most, observer).map(Wire::Sse), hide(&headers)),
        Connect::Query { url, headers } => {
            let server = slot.key.server.as_str();
            (Query::connect(&url, server, &headers, most).map(Box::new).map(Wire::Query), hide(&headers))
        }
    };
    slot.hidden.store(Arc::new(hidden));
    Ok(Upstream::new(wire.map_err(OpenError::Transport)?))
}

async fn greet(
    upstream: &Upstream,
    options: &OpenOptions,
    session: Option<&Arc<Session>>,
) -> Result<Greeting, OpenError> {
    // Neither was ever spoken in the modern era.
    let old = matches!(upstream.wire, Wire::Sse(_) | Wire::Query(_));
    let options = OpenOptions { era: if old { EraChoice::Legacy } else { options.era }, ..options.clone() };
    let greeted = era::greet(upstream, &options, session.map(|s| &s.hello)).await;
    if greeted.is_err() {
        upstream.close("it was not opened");
    }
    greeted
}

fn keep(slot: &Slot, upstream: Upstream, greeting: Greeting) -> Opened {
    let opened = Opened {
        era: greeting.era,
        server_info: greeting.server_info,
        instructions: greeting.instructions,
        capabilities: greeting.capabilities,
        transport: upstream.transport(),
    };
    let link = Link {
        upstream,
        opened: opened.clone(),
        greeting: greeting.result,
        shaken: OnceCell::new(),
        offers: greeting.offers,
    };
    slot.lists.set_stale();
    slot.opened.store(Some(Arc::new(opened.clone())));
    if let Some(before) = slot.link.swap(Some(Arc::new(link))) {
        before.upstream.close("it was opened anew");
    }
    slot.changed.notify_waiters();
    opened
}
