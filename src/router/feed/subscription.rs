//! `subscriptions/listen` of a modern client: one request whose answer is its end.

use super::{Ear, Greeting, INVALID_PARAMS, Listened, Listener, OwnSession, left};
use crate::model::call::Origin;
use crate::model::{CallId, Era, Outcome, ServerId, Stamp};
use crate::router::call;
use crate::router::client::{ClientRequest, Endpoint, Relay, SUBSCRIPTION_KEY};
use crate::router::flight::{Flight, Plan};
use crate::router::hub::{Filter, Wants};
use crate::router::inspect;
use crate::router::ledger::{End, Ledger};
use crate::router::outcome::Stop;
use crate::router::slot::{Link, Slot};
use crate::router::table::Route;
use crate::router::wire::ErrorObject;
use crate::router::{ALL_SERVERS, Counter, Place, Router, Served};
use bytes::Bytes;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::time::Instant;

impl Router {
    /// Carries one subscription: notices go to its outbox, the acknowledgement first; the answer comes
    /// when upstream ends it. Dropping the future ends it, too. It is recorded when it begins.
    pub(in crate::router) async fn listen(&self, request: ClientRequest) -> Served {
        let id = request.message.id.clone();
        let flight = Arc::new(flight(self.next_id(), &request));
        let ledger = Ledger::open(self, flight.clone());
        let (outcome, error, begun) = match self.begin(&request).await {
            Ok(begun) => (Outcome::Ok, None, Ok(begun)),
            Err(stop) => (
                stop.outcome,
                Some(stop.error.clone()),
                Err(call::tellable(stop, flight.role, &flight.server, flight.instance.get())),
            ),
        };
        ledger.close(End { outcome, error, code: None, body: Bytes::new() }).await;
        match begun {
            Ok(begun) => self.listen_on(request, begun).await,
            Err(stop) => Served { code: Some(stop.code()), body: stop.body(&id).into(), ..Served::default() },
        }
    }

    /// Where a subscription listens. One server is woken if it sleeps; of many, each is listened to when it runs.
    async fn begin(&self, request: &ClientRequest) -> Result<Begun, Stop> {
        let told = |text: String| Stop { told: Some((INVALID_PARAMS, text.clone())), ..Stop::refused(text) };
        let filter = request.message.params().and_then(Filter::read).ok_or_else(|| told(LISTEN_TO.to_owned()))?;
        if request.outbox.is_none() {
            return Err(told("a subscription is a stream: accept text/event-stream".to_owned()));
        }
        let Endpoint::Server(server) = &request.endpoint else { return Ok(Begun { filter, one: None }) };
        let route = self.table.load().route(&request.tenant, server).cloned();
        let route = route.map_err(|_| told(format!("unknown server `{server}`")))?;
        let entered = route.counter.as_ref().map(Counter::enter).transpose();
        let place = entered.map_err(|exceeded| Stop::refused(exceeded.to_string()))?;
        let slot = self.slots.get_or_add(&route.instance(None));
        if !slot.can_enter() {
            inspect::wake_up(self, &slot, &route)
                .await
                .map_err(|why| Stop { inside: true, ..Stop::new(Outcome::Transport, why) })?;
        }
        let gone = || Stop::new(Outcome::Transport, format!("{} is not connected", slot.key));
        let link = slot.live().ok_or_else(gone)?;
        let honoured = || filter.honoured(&link.opened.capabilities);
        let filter = if link.opened.era == Era::Legacy { honoured() } else { filter };
        Ok(Begun { filter, one: Some(One { route, slot, link, place }) })
    }

    async fn listen_on(&self, request: ClientRequest, begun: Begun) -> Served {
        let Begun { filter, one } = begun;
        let id = &*request.message.id;
        let outbox = request.outbox.clone().unwrap_or_default();
        let line = acknowledgement(id, &filter);
        let greeting = match &one {
            // A modern server acknowledges for itself.
            Some(one) if one.link.opened.era == Era::Modern => None,
            Some(_) => Some(Greeting { outbox: outbox.clone(), line, said: AtomicBool::new(false) }),
            // Of many some may never run: what is listened to is what runs.
            None => {
                outbox.push(line);
                None
            }
        };
        let listener = |filter: Filter, among, greeting| Listener {
            tenant: &request.tenant,
            principal: &request.principal,
            relay: Arc::new(Relay::of_subscription(outbox.clone(), id, filter.clone()).among(among)),
            wants: Wants::Filter(filter),
            session: None,
            number: self.sessions.number(),
            greeting,
        };
        let listening = async {
            match one {
                Some(one) => self.listen_to(one, &listener(filter, None, greeting)).await,
                None => {
                    let servers = self.table.load().servers_of(&request.tenant);
                    let follow = servers.iter().map(|server| {
                        let to = listener(filter.of(server), Some(server.clone()), None);
                        async move { self.follow(server, &to).await }
                    });
                    join_all(follow).await;
                    Listened::Ended
                }
            }
        };
        // A message of nothing sends the head of the stream.
        let head = async {
            tokio::time::sleep(HEAD).await;
            outbox.push(Bytes::new());
            std::future::pending().await
        };
        let listened = tokio::select! {
            listened = listening => listened,
            () = self.streams.cancelled() => Listened::Ended,
            listened = head => listened,
        };
        if let Listened::Refused(error) = listened {
            let code = ErrorObject::read(&error).code;
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
            return Served { code: Some(code), body: body.into(), ..Served::default() };
        }
        Served { body: ended(id), ..Served::default() }
    }

    /// Listens to one server until its connection ends.
    async fn listen_to(&self, One { route, slot, link, place: _place }: One, to: &Listener<'_>) -> Listened {
        let _hold = slot.hub.hold();
        let _own = OwnSession { link: link.clone(), number: to.number };
        let ear = Ear { route: &route, to };
        let listened = tokio::select! {
            listened = ear.listen(&slot, &link, true) => listened,
            () = left(&slot, &link) => Listened::Ended,
        };
        // It comes first, even where nothing follows it.
        if !matches!(listened, Listened::Refused(_)) {
            to.greet();
        }
        if let Listened::Never = listened {
            left(&slot, &link).await;
        }
        listened
    }
}

/// A server that refuses does so at once, and its client is told by the status. One that neither refuses nor acknowledges
/// does not keep the client waiting for the head of its stream.
const HEAD: Duration = Duration::from_secs(1);

const LISTEN_TO: &str = "`notifications` says what to listen to: toolsListChanged, promptsListChanged, \
    resourcesListChanged, resourceSubscriptions";

/// A subscription that may listen; `one`: to this server, else to all of the tenant's.
struct Begun {
    filter: Filter,
    one: Option<One>,
}

struct One {
    route: Arc<Route>,
    slot: Arc<Slot>,
    link: Arc<Link>,
    /// Among those under way at the server, if it limits them.
    place: Option<Place>,
}

fn flight(id: CallId, request: &ClientRequest) -> Flight {
    let server = match &request.endpoint {
        Endpoint::Server(server) => server.clone(),
        Endpoint::All => ServerId::from(ALL_SERVERS),
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
        request: request.message.text.clone(),
        auth_us: None,
        timeout: Duration::ZERO,
        cap: Duration::ZERO,
    })
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
