//! `subscriptions/listen` of a modern client: one request whose answer is its end.

use super::{Ear, Greeting, INVALID_PARAMS, Listened, left};
use crate::model::call::Origin;
use crate::model::{CallId, Era, Outcome, ServerId, Stamp};
use crate::router::client::{ClientRequest, Endpoint, Relay, SUBSCRIPTION_KEY};
use crate::router::flight::{Flight, Plan};
use crate::router::hub::{Filter, Wants};
use crate::router::inspect;
use crate::router::ledger::{End, Ledger};
use crate::router::outcome::Stop;
use crate::router::slot::{Link, Slot};
use crate::router::table::Route;
use crate::router::upstream::SessionKey;
use crate::router::wire::ErrorObject;
use crate::router::{Router, Served};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::time::Instant;

impl Router {
    /// Carries one subscription: notices go to its outbox, the acknowledgement first; the answer comes
    /// when upstream ends it. Dropping the future ends it, too. It is recorded when it begins.
    pub(in crate::router) async fn listen(&self, request: ClientRequest) -> Served {
        let id = request.message.id.clone();
        let flight = flight(self.next_id(), &request);
        let ledger = Ledger::open(self, Arc::new(flight), request.message.text.clone());
        let (outcome, error, begun) = match self.begin(&request).await {
            Ok(begun) => (Outcome::Ok, None, Ok(begun)),
            Err(stop) => (stop.outcome, Some(stop.error.clone()), Err(stop)),
        };
        ledger.close(End { outcome, error, code: None, body: Bytes::new() }).await;
        match begun {
            Ok(begun) => self.listen_on(request, begun).await,
            Err(stop) => Served { code: Some(stop.code()), body: stop.body(&id).into(), route: None },
        }
    }

    /// Where a subscription listens, woken if it sleeps.
    async fn begin(&self, request: &ClientRequest) -> Result<Begun, Stop> {
        let told = |text: String| Stop { told: Some((INVALID_PARAMS, text.clone())), ..Stop::refused(text) };
        let filter = request.message.params().and_then(Filter::read).ok_or_else(|| told(LISTEN_TO.to_owned()))?;
        if request.outbox.is_none() {
            return Err(told("a subscription is a stream: accept text/event-stream".to_owned()));
        }
        let Endpoint::Server(server) = &request.endpoint else {
            return Err(told("listen to one server: at /mcp/{server}".to_owned()));
        };
        let route = self.table.load().route(&request.tenant, server).cloned();
        let route = route.map_err(|_| told(format!("unknown server `{server}`")))?;
        let slot = self.slots.get_or_add(&route.instance(None));
        if !slot.can_enter() {
            inspect::wake_up(self, &slot, &route).await.map_err(|why| Stop::new(Outcome::Transport, why))?;
        }
        let gone = || Stop::new(Outcome::Transport, format!("{} is not connected", slot.key));
        let link = slot.live().ok_or_else(gone)?;
        Ok(Begun { filter, route, link, slot })
    }

    async fn listen_on(&self, request: ClientRequest, begun: Begun) -> Served {
        let Begun { filter, route, slot, link } = begun;
        let id = &*request.message.id;
        let outbox = request.outbox.unwrap_or_default();
        let legacy = link.opened.era == Era::Legacy;
        let filter = if legacy { filter.honoured(&link.opened.capabilities) } else { filter };
        let line = acknowledgement(id, &filter);
        let greeting = legacy.then(|| Greeting { outbox: outbox.clone(), line, said: AtomicBool::new(false) });
        let number = self.sessions.number();
        let ear = Ear {
            route: &route,
            principal: &request.principal,
            relay: Arc::new(Relay::of_subscription(outbox, id, filter.clone())),
            wants: Wants::Filter(filter),
            session: None,
            key: SessionKey::Client(number),
            greeting,
        };
        let _hold = slot.hub.hold();
        let _own = OwnSession { link: &link, number };
        let listened = tokio::select! {
            listened = ear.listen(&slot, &link, true) => listened,
            () = left(&slot, &link) => Listened::Ended,
            () = self.streams.cancelled() => Listened::Ended,
        };
        match listened {
            Listened::Refused(error) => {
                let code = ErrorObject::read(&error).code;
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
                return Served { code: Some(code), body: body.into(), route: None };
            }
            Listened::Never => {
                ear.greet();
                left(&slot, &link).await;
            }
            // It comes first, even where nothing follows it.
            Listened::Ended => ear.greet(),
        }
        Served { code: None, body: ended(id), route: None }
    }
}

const LISTEN_TO: &str = "`notifications` says what to listen to: toolsListChanged, promptsListChanged, \
    resourcesListChanged, resourceSubscriptions";

/// A subscription that has somewhere to listen.
struct Begun {
    filter: Filter,
    route: Arc<Route>,
    slot: Arc<Slot>,
    link: Arc<Link>,
}

fn flight(id: CallId, request: &ClientRequest) -> Flight {
    let server = match &request.endpoint {
        Endpoint::Server(server) => server.clone(),
        Endpoint::All => ServerId::from("*"),
    };
    Flight::new(Plan {
        id,
        at: Stamp::now(),
        began: Instant::now(),
        tenant: request.tenant.clone(),
        server,
        method: request.message.method.clone(),
        tool: None,
        origin: Origin::Http,
        principal: request.principal.clone(),
        role: Some(request.role),
        trace: None,
        events: None,
        relay: None,
        timeout: Duration::ZERO,
        cap: Duration::ZERO,
    })
}

/// A session that a subscription has at a legacy upstream over HTTP.
struct OwnSession<'a> {
    link: &'a Link,
    number: u32,
}

impl Drop for OwnSession<'_> {
    fn drop(&mut self) {
        self.link.upstream.end_session(self.number);
    }
}

fn acknowledgement(id: &str, filter: &Filter) -> Bytes {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"{SUBSCRIPTION_KEY}":{id}}},{}}}}}"#,
        filter.notifications()
    )
    .into()
}

fn ended(id: &str) -> Bytes {
    let meta = format!(r#"{{"{SUBSCRIPTION_KEY}":{id}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{meta}}}}}"#).into()
}
