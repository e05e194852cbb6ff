//! Opens an instance's connection: pipes or URL, probe, handshake.

use super::era::{self, Greeting};
use super::slot::Link;
use super::upstream::http::Http;
use super::upstream::serverside::Observer;
use super::upstream::stdio::Stdio;
use super::upstream::{Upstream, Wire};
use super::{Connect, OpenError, OpenOptions, Opened, Router};
use crate::model::InstanceKey;
use crate::model::secret::Hidden;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// See [`Router::open`].
pub async fn open(
    router: &Router,
    key: &InstanceKey,
    connect: Connect,
    options: OpenOptions,
) -> Result<Opened, OpenError> {
    let slot = router.slots.get_or_add(key);
    let observer = Observer { key: key.clone(), notes: router.notes.clone(), lists: slot.lists.clone() };
    let (wire, hidden) = match connect {
        Connect::Stdio { stdin, stdout, hidden } => {
            (Wire::Stdio(Stdio::connect(stdin, stdout, options.max_message, observer)), hidden)
        }
        Connect::Http { url, headers } => {
            let http = Http::connect(&url, &headers, options.max_message, observer).map_err(OpenError::Transport)?;
            (Wire::Http(http), Hidden::new(headers.iter().map(|(_, secret)| secret)))
        }
    };
    slot.hidden.store(Arc::new(hidden));
    let upstream = Upstream::new(wire);
    let greeting = match era::greet(&upstream, &options).await {
        Ok(greeting) => greeting,
        Err(error) => {
            upstream.close("it was not opened");
            return Err(error);
        }
    };
    let opened = opened(&greeting);
    let link = Link {
        upstream,
        opened: opened.clone(),
        greeting: greeting.initialized,
        shaken: OnceCell::new(),
        offers: greeting.offers,
    };
    slot.lists.set_stale();
    slot.opened.store(Some(Arc::new(opened.clone())));
    if let Some(before) = slot.link.swap(Some(Arc::new(link))) {
        before.upstream.close("it was opened anew");
    }
    slot.changed.notify_waiters();
    Ok(opened)
}

fn opened(greeting: &Greeting) -> Opened {
    Opened {
        era: greeting.era,
        server_info: greeting.server_info.clone(),
        instructions: greeting.instructions.clone(),
        capabilities: greeting.capabilities.clone(),
    }
}
