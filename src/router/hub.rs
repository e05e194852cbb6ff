//! Who wants to hear of changes at one instance. Filled by streams of clients (`feed`), told by the upstream's reader.

use super::aggregate::names::{split_uri, wrap_uri};
use super::client::Relay;
use super::flight::lock;
use super::session::Session;
use super::upstream::serverside::Notice;
use super::wire;
use crate::model::{ServerId, TenantId};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Resources that one stream may listen to.
const MAX_URIS: usize = 256;

/// What a stream is told of.
#[derive(Clone)]
pub enum Wants {
    /// Changed lists, and what the session has subscribed to. A server among many is named in the session's addresses.
    Session(Arc<Session>, Option<ServerId>),
    Filter(Filter),
}

/// `notifications` of `subscriptions/listen`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
    pub uris: Vec<Box<str>>,
}

impl Wants {
    pub fn wants(&self, notice: &Notice) -> bool {
        match (self, notice) {
            (Self::Session(..), Notice::Updated(uri)) => self.subscribes_to(uri),
            (Self::Session(..), _) => true,
            (Self::Filter(filter), notice) => filter.wants(notice),
        }
    }

    fn subscribes_to(&self, uri: &str) -> bool {
        match self {
            Self::Session(session, None) => session.subscribes_to(uri),
            Self::Session(session, Some(server)) => session.subscribes_to(&wrap_uri(server, uri)),
            Self::Filter(filter) => filter.uris.iter().any(|wanted| **wanted == *uri),
        }
    }

    /// The resources that are subscribed to.
    pub fn uris(&self) -> Vec<Box<str>> {
        match self {
            Self::Session(session, None) => session.subscriptions(),
            Self::Session(session, Some(server)) => uris_of(server, &session.subscriptions()),
            Self::Filter(filter) => filter.uris.clone(),
        }
    }

    /// JSON text of the `notifications` member by which a modern server is asked for it.
    pub fn notifications(&self) -> String {
        match self {
            Self::Filter(filter) => filter.notifications(),
            Self::Session(..) => {
                Filter { tools: true, prompts: true, resources: true, uris: self.uris() }.notifications()
            }
        }
    }
}

/// The resources of one server among those of many, as it calls them itself.
fn uris_of(server: &ServerId, uris: &[Box<str>]) -> Vec<Box<str>> {
    let own = |uri: &str| split_uri(uri).filter(|(of, _)| of == server).map(|(_, own)| own.into());
    uris.iter().filter_map(|uri| own(uri)).collect()
}

impl Filter {
    pub fn wants(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Tools => self.tools,
            Notice::Prompts => self.prompts,
            Notice::Resources => self.resources,
            Notice::Updated(uri) => self.uris.iter().any(|wanted| **wanted == **uri),
        }
    }

    /// What of it concerns one server among many.
    pub fn of(&self, server: &ServerId) -> Self {
        Self { uris: uris_of(server, &self.uris), ..self.clone() }
    }

    /// Reads the params of `subscriptions/listen`.
    pub fn read(params: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params {
            notifications: Wanted,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wanted {
            #[serde(default)]
            tools_list_changed: bool,
            #[serde(default)]
            prompts_list_changed: bool,
            #[serde(default)]
            resources_list_changed: bool,
            #[serde(default)]
            resource_subscriptions: Vec<Box<str>>,
        }
        let wanted = serde_json::from_str::<Params>(params).ok()?.notifications;
        (wanted.resource_subscriptions.len() <= MAX_URIS).then_some(Self {
            tools: wanted.tools_list_changed,
            prompts: wanted.prompts_list_changed,
            resources: wanted.resources_list_changed,
            uris: wanted.resource_subscriptions,
        })
    }

    /// What of it a legacy server of these capabilities (JSON text) tells.
    pub fn honoured(&self, capabilities: &str) -> Self {
        #[derive(Deserialize, Default)]
        struct Capabilities {
            #[serde(default)]
            tools: Tells,
            #[serde(default)]
            prompts: Tells,
            #[serde(default)]
            resources: Tells,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase")]
        struct Tells {
            #[serde(default)]
            list_changed: bool,
            #[serde(default)]
            subscribe: bool,
        }
        let has: Capabilities = serde_json::from_str(capabilities).unwrap_or_default();
        Self {
            tools: self.tools && has.tools.list_changed,
            prompts: self.prompts && has.prompts.list_changed,
            resources: self.resources && has.resources.list_changed,
            uris: if has.resources.subscribe { self.uris.clone() } else { Vec::new() },
        }
    }

    /// JSON text of the `notifications` member.
    pub fn notifications(&self) -> String {
        let lists = [
            (self.tools, "toolsListChanged"),
            (self.prompts, "promptsListChanged"),
            (self.resources, "resourcesListChanged"),
        ];
        let mut wanted: Vec<_> =
            lists.iter().filter(|(on, _)| *on).map(|(_, name)| format!(r#""{name}":true"#)).collect();
        if !self.uris.is_empty() {
            let uris: Vec<_> = self.uris.iter().map(|uri| wire::quote(uri)).collect();
            wanted.push(format!(r#""resourceSubscriptions":[{}]"#, uris.join(",")));
        }
        format!(r#""notifications":{{{}}}"#, wanted.join(","))
    }
}

#[derive(Default)]
pub struct Hub {
    ears: Mutex<HashMap<u64, Ear>>,
    next: AtomicU64,
    /// Streams that keep the instance awake.
    holds: AtomicU32,
}

struct Ear {
    tenant: TenantId,
    wants: Wants,
    relay: Arc<Relay>,
    gone: CancellationToken,
}

impl Hub {
    /// Listens until the guard is dropped.
    pub fn listen(self: &Arc<Self>, tenant: TenantId, wants: Wants, relay: Arc<Relay>) -> Listening {
        let number = self.next.fetch_add(1, Relaxed);
        let gone = CancellationToken::new();
        lock(&self.ears).insert(number, Ear { tenant, wants, relay, gone: gone.clone() });
        Listening { hub: self.clone(), number, gone }
    }

    /// While it lives, the instance is in use.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.holds.fetch_add(1, Relaxed);
        Hold(self.clone())
    }

    pub fn holds(&self) -> bool {
        self.holds.load(Relaxed) > 0
    }

    /// True if somebody listens for changes of this resource.
    pub fn wants(&self, uri: &str) -> bool {
        lock(&self.ears).values().any(|ear| ear.wants.subscribes_to(uri))
    }

    /// Passes a notice to everyone who wants it.
    pub fn tell(&self, notice: &Notice, line: &Bytes) {
        for ear in lock(&self.ears).values().filter(|ear| ear.wants.wants(notice)) {
            ear.relay.notice(line);
        }
    }

    /// Those of whom this is false listen no longer: the server was taken from their tenant.
    pub fn retain(&self, may: impl Fn(&TenantId) -> bool) {
        let mut ears = lock(&self.ears);
        ears.retain(|_, ear| {
            let stays = may(&ear.tenant);
            if !stays {
                ear.gone.cancel();
            }
            stays
        });
    }
}

/// See [`Hub::listen`].
pub struct Listening {
    hub: Arc<Hub>,
    number: u64,
    /// The tenant may not listen any more.
    pub gone: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        lock(&self.hub.ears).remove(&self.number);
    }
}

/// See [`Hub::hold`].
pub struct Hold(Arc<Hub>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Relaxed);
    }
}
