//! Change notices: what a client hears on a stream that it holds open. One stream listens to one instance for as long as
//! it is polled, in whatever way the instance's upstream tells of changes:
//!
//! - on pipes a legacy server tells everybody at once; the instance's [`super::hub`] passes it on;
//! - over HTTP a legacy server tells each session on a stream of its own, which is held open for the client's;
//! - a modern server is asked by `subscriptions/listen`, once for each stream, so that no tenant hears another's.

mod subscription;

use super::Router;
use super::client::{Endpoint, Outbox, Relay};
use super::era;
use super::flight::{Flight, Plan};
use super::gate;
use super::hub::Wants;
use super::listing::for_tenant;
use super::session::Session;
use super::slot::{Link, Slot};
use super::table::Route;
use super::upstream::{Fault, Whose, Wire};
use super::wire;
use crate::model::call::Origin;
use crate::model::{CallId, Era, ServerId, Stamp, TenantId};
use bytes::Bytes;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// A stream that upstream ended is opened again after this, at first.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const INVALID_PARAMS: i64 = -32602;

/// What came of listening.
#[derive(Debug)]
enum Listened {
    /// It ended, and may be begun again.
    Ended,
    /// This upstream tells nobody of changes.
    Never,
    /// Upstream refuses it; JSON text of its error.
    Refused(String),
}

/// A client that listens to one server, whatever instance and connection that is.
struct Listener<'a> {
    tenant: &'a TenantId,
    principal: &'a str,
    wants: Wants,
    relay: Arc<Relay>,
    session: Option<&'a Arc<Session>>,
    /// Names its session at an HTTP upstream.
    number: u32,
    /// What a client is told once nothing that changes from then on is missed.
    greeting: Option<Greeting>,
}

struct Greeting {
    outbox: Arc<Outbox>,
    line: Bytes,
    said: AtomicBool,
}

impl Listener<'_> {
    fn greet(&self) {
        if let Some(Greeting { outbox, line, said }) = &self.greeting
            && !said.swap(true, Relaxed)
        {
            outbox.push(line.clone());
        }
    }
}

/// The same at one connection.
struct Ear<'a> {
    route: &'a Route,
    to: &'a Listener<'a>,
}

impl Router {
    /// Tells a legacy session's stream of what changes at its endpoint, for as long as it is polled. Wakes nothing.
    pub async fn feed(self: Arc<Self>, session: Arc<Session>) {
        let servers = match &session.owner.endpoint {
            Endpoint::Server(server) => vec![server.clone()],
            Endpoint::All => self.table.load().servers_of(&session.owner.tenant),
        };
        let (router, session) = (&*self, &session);
        let follow = servers.iter().map(|server| {
            // Of many servers each is told with its name.
            let among = (session.owner.endpoint == Endpoint::All).then(|| server.clone());
            let listener = Listener {
                tenant: &session.owner.tenant,
                principal: &session.owner.principal,
                wants: Wants::Session(session.clone(), among.clone()),
                relay: Arc::new(Relay::of_session(session).among(among)),
                session: Some(session),
                number: session.number,
                greeting: None,
            };
            async move { router.follow(server, &listener).await }
        });
        tokio::select! {
            _ = join_all(follow) => {}
            () = self.streams.cancelled() => {}
        }
    }

    /// Listens to a server, whenever it runs, until it is taken from the tenant.
    async fn follow(&self, server: &ServerId, to: &Listener<'_>) {
        let mut pause = PAUSE;
        let mut known: Option<Arc<Link>> = None;
        loop {
            let Ok(route) = self.table.load().route(to.tenant, server).cloned() else { return };
            let slot = self.slots.get_or_add(&route.instance(to.session.map(|session| session.number)));
            let Some(link) = serving(&slot).await else { continue };
            let ear = Ear { route: &route, to };
            let _own = (to.session.is_none()).then(|| OwnSession { link: link.clone(), number: to.number });
            let fresh = known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &link));
            known = Some(link.clone());
            // What a modern server is asked for changes with what the session has subscribed to.
            let asks_anew = link.opened.era == Era::Modern || !link.upstream.is_http();
            let listened = tokio::select! {
                listened = ear.listen(&slot, &link, fresh) => listened,
                () = left(&slot, &link) => continue,
                () = changed(to.session), if asks_anew => continue,
            };
            match listened {
                Listened::Never | Listened::Refused(_) => left(&slot, &link).await,
                Listened::Ended => {
                    known = None;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// JSON-RPC code of ours: the upstream cannot be reached.
const NOT_STARTED: i64 = -31502;

/// The connection, once calls pass; `None`: look again.
async fn serving(slot: &Slot) -> Option<Arc<Link>> {
    let changed = slot.changed.notified();
    let link = slot.live().filter(|_| gate::serves(slot.gate.state()));
    if link.is_none() {
        changed.await;
    }
    link
}

/// Ready once the session wants to hear of something else.
async fn changed(session: Option<&Arc<Session>>) {
    match session {
        Some(session) => session.changed.notified().await,
        None => std::future::pending().await,
    }
}

/// A session that a subscription has at a legacy upstream over HTTP.
struct OwnSession {
    link: Arc<Link>,
    number: u32,
}

impl Drop for OwnSession {
    fn drop(&mut self) {
        self.link.upstream.end_session(self.number);
    }
}

/// Ready once the slot has another connection, or none.
async fn left(slot: &Slot, link: &Arc<Link>) {
    loop {
        let changed = slot.changed.notified();
        if slot.live().is_none_or(|now| !Arc::ptr_eq(&now, link)) {
            return;
        }
        changed.await;
    }
}

impl Ear<'_> {
    /// Listens until upstream ends it, or the server is taken from the tenant. `fresh`: this connection knows nothing yet
    /// of what is subscribed to.
    async fn listen(&self, slot: &Slot, link: &Link, fresh: bool) -> Listened {
        let ear = slot.hub.listen(self.route.tenant.id.clone(), self.to.wants.clone(), self.to.relay.clone());
        // Who has subscribed to a resource uses the server.
        let _hold = (!self.to.wants.uris().is_empty()).then(|| slot.hub.hold());
        tokio::select! {
            listened = self.attend(link, fresh) => listened,
            () = ear.gone.cancelled() => Listened::Ended,
        }
    }

    async fn attend(&self, link: &Link, fresh: bool) -> Listened {
        match (&link.upstream.wire, link.opened.era) {
            (_, Era::Modern) => self.ask(link).await,
            (Wire::Query(_), Era::Legacy) => Listened::Never,
            (Wire::Stdio(_) | Wire::Sse(_), Era::Legacy) => {
                self.subscribe(link, fresh).await;
                self.to.greet();
                std::future::pending().await
            }
            (Wire::Http(http), Era::Legacy) => {
                self.subscribe(link, fresh).await;
                let flight = self.flight();
                let headers = self.route.injection().map(|i| i.headers.clone()).unwrap_or_default();
                match http
                    .follow(Whose::Client(self.to.number), self.to.session, headers, &flight, || self.to.greet())
                    .await
                {
                    Ok(true) | Err(_) => Listened::Ended,
                    Ok(false) => Listened::Never,
                }
            }
        }
    }

    /// Tells a legacy server of the resources that it must tell of.
    async fn subscribe(&self, link: &Link, fresh: bool) {
        if !fresh {
            return;
        }
        for uri in self.to.wants.uris() {
            let mut ask = era::own_ask(
                &link.upstream,
                Era::Legacy,
                "resources/subscribe",
                &format!(r#""uri":{}"#, wire::quote(&uri)),
            );
            ask.session = Whose::Client(self.to.number);
            ask.client = self.to.session;
            if self.route.injection().is_ok_and(|injection| for_tenant(&mut ask, injection).is_ok()) {
                // What it does not tell of, it does not tell of: the rest of the stream is none the worse.
                let _ = link.upstream.ask(&mut ask).await;
            }
        }
    }

    async fn ask(&self, link: &Link) -> Listened {
        let flight = self.flight();
        let mut ask = era::own_ask(&link.upstream, Era::Modern, "subscriptions/listen", &self.to.wants.notifications());
        ask.flight = Some(&flight);
        let dressed = self.route.injection().and_then(|injection| for_tenant(&mut ask, injection));
        if let Err(why) = dressed {
            return Listened::Refused(format!(r#"{{"code":{INVALID_PARAMS},"message":{}}}"#, wire::quote(&why)));
        }
        match link.upstream.ask(&mut ask).await {
            Ok(answer) => answer.error().map_or(Listened::Ended, |error| Listened::Refused(error.to_owned())),
            Err(Fault::Closed(_) | Fault::Unreachable(_) | Fault::Transport(_)) => Listened::Ended,
            Err(fault @ (Fault::Auth(_) | Fault::Protocol(_) | Fault::TooLong(_))) => {
                // Where it stands, and what it says of others, is not for whoever listens.
                tracing::info!(server = %self.route.server.id, "it cannot be listened to: {fault}");
                let text = wire::quote(&format!("{} cannot be listened to", self.route.server.id));
                Listened::Refused(format!(r#"{{"code":{NOT_STARTED},"message":{text}}}"#))
            }
        }
    }

    /// What the upstream's reader tells. It is no call: nobody waits for its end.
    fn flight(&self) -> Arc<Flight> {
        Arc::new(Flight::new(Plan {
            id: CallId(0),
            at: Stamp::now(),
            began: Instant::now(),
            tenant: self.route.tenant.id.clone(),
            server: self.route.server.id.clone(),
            method: "subscriptions/listen".into(),
            tool: None,
            origin: Origin::Http,
            principal: self.to.principal.into(),
            role: None,
            trace: None,
            events: None,
            relay: Some(self.to.relay.clone()),
            request: Bytes::new(),
            auth_us: None,
            timeout: Duration::ZERO,
            cap: Duration::ZERO,
        }))
    }
}
