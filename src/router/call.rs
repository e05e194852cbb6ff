//! The path of one call: read, route, gate, dress, ask, judge. Every await on it may be dropped.

use super::aside::aside;
use super::cells::{self, Cell, Rewriting};
use super::client::{Client, Outbox, Relay};
use super::context::ArgumentType;
use super::era;
use super::flight::{Flight, Plan};
use super::gate::{Entry, Pass};
use super::ledger::{End, Ledger};
use super::limits::{Exceeded, Place};
use super::listing::view_key;
use super::lists::{ToolFacts, View};
use super::message::{Dressing, Kind, Message};
use super::mirror;
use super::outcome::{self, Stop};
use super::redact;
use super::slot::{Link, Slot};
use super::table::{NoRoute, Route};
use super::upstream::serverside::named;
use super::upstream::{Answer, Ask, Expects, Fault, Whose};
use super::wire::ErrorObject;
use super::{AMBIENT, CallReply, CallRequest, Demand, Router};
use crate::model::call::Origin;
use crate::model::message::CallEvent;
use crate::model::principal::Role;
use crate::model::server::Settings;
use crate::model::timeline::Station;
use crate::model::{Era, InstanceKey, Outcome, ServerId, Stamp, State};
use bytes::Bytes;
use hyper::header::HeaderName;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A wake that takes longer than this is told to whoever waits for it, and then so often: a client that takes progress
/// for a sign of life must not give up on a model that loads.
pub const LONG_WAKE: Duration = Duration::from_millis(50);
const WAKE_TOLD_EVERY: Duration = Duration::from_secs(5);
/// So often a call asks for an instance that was said to serve and then did not.
const ROUNDS: u32 = 4;

/// Carries one call to its end. `relay`: where its client hears of it meanwhile.
pub async fn carry(router: &Router, request: CallRequest, client: Client, outbox: Option<Arc<Outbox>>) -> CallReply {
    let CallRequest { tenant, server, body, era, timeout, origin, principal, role, session, events } = request;
    let id = router.next_id();
    let message = Message::read(body, id, matches!(origin, Origin::Console | Origin::Cli));
    // What stands in the message is closer to whoever asks than what stands around it.
    let ambient = AMBIENT.try_with(|around| (around.trace, around.arrived.take())).ok();
    let trace = message.as_ref().ok().and_then(|m| m.meta.trace).or(ambient.map(|(trace, _)| trace));
    let trace = trace.map(|trace| trace.child(fastrand::u64(1..)));
    let (method, tool) = message.as_ref().map(|m| (m.method.clone(), m.name.clone())).unwrap_or_default();
    let relay = message.as_ref().ok().zip(outbox).map(|(m, outbox)| Arc::new(Relay::new(outbox, &client, m)));
    let table = router.table.load_full();
    let route = table.route(&tenant, &server);
    let defaults = Settings::default();
    let settings = route.as_ref().map_or(&defaults, |r| &r.server.settings);
    let began = Instant::now();
    let before = ambient.and_then(|(_, arrived)| Some(began - arrived?));
    let flight = Arc::new(Flight::new(Plan {
        id,
        at: Stamp::now(),
        began,
        tenant,
        server,
        method,
        tool,
        origin,
        principal,
        role,
        trace,
        events,
        relay,
        request: message.as_ref().map(|m| m.text.clone()).unwrap_or_default(),
        auth_us: before.map(|before| before.as_micros().try_into().unwrap_or(u32::MAX)),
        timeout: timeout.unwrap_or(settings.timeout),
        cap: settings.timeout_cap,
    }));
    let mut ledger = Ledger::open(router, flight.clone());
    flight.tell(|| CallEvent::Accepted { id });
    let caller_id = message.as_ref().map_or_else(|_| "null".into(), |m| m.id.clone());
    let session_calls = client.session().filter(|_| caller_id != "null").map(|s| s.begin(&caller_id, id));
    let mut exceeded = None;
    let carried = match (message, route) {
        (Err(stop), _) => Err(stop),
        (Ok(_), Err(reason)) => Err(unroutable(&flight, reason)),
        (Ok(message), Ok(route)) => {
            ledger.audit = route.tenant.audit;
            let session = client.session().map(|s| s.number).or(session);
            match admit(route, origin, &message) {
                Ok(_place) => {
                    Trip { router, flight: flight.clone(), message, route, era, client, session }.go(&mut ledger).await
                }
                Err(beyond) => Err(Stop::refused(exceeded.insert(beyond).to_string())),
            }
        }
    };
    drop(session_calls);
    let end = carried.unwrap_or_else(|stop| {
        End::stopped(tellable(stop, flight.role, &flight.server, flight.instance.get()), &caller_id)
    });
    CallReply { exceeded, ..ledger.close(end).await }
}

/// What a server allows its callers over HTTP, whichever way they came; operators look after it whatever its load.
fn admit(route: &Route, origin: Origin, message: &Message) -> Result<Option<Place>, Exceeded> {
    let counter = route.counter.as_ref().filter(|_| origin == Origin::Http);
    counter.map(|counter| counter.admit(message.text.len())).transpose()
}

/// A caller must not learn which servers there are for others.
fn unroutable(flight: &Flight, reason: NoRoute) -> Stop {
    let told = Some((-32602, format!("unknown server `{}`", flight.server)));
    Stop { told, ..Stop::refused(reason.explain(&flight.tenant, &flight.server)) }
}

/// A server that customers share speaks of others, too, and stands where none of them need know.
pub fn tellable(stop: Stop, role: Option<Role>, server: &ServerId, instance: Option<&InstanceKey>) -> Stop {
    let shared = instance.is_none_or(|instance| instance.tenant.is_none());
    match role {
        Some(role) if role < Role::Operator && shared => stop.for_one_of_many(server),
        _ => stop,
    }
}

/// One call on its way to one instance.
struct Trip<'a> {
    router: &'a Router,
    flight: Arc<Flight>,
    message: Box<Message>,
    route: &'a Arc<Route>,
    /// Pinned by the caller.
    era: Option<Era>,
    client: Client,
    session: Option<u32>,
}

impl Trip<'_> {
    async fn go(&self, ledger: &mut Ledger<'_>) -> Result<End, Stop> {
        let key = self.route.instance(self.session);
        let slot = self.router.slots.get_or_add(&key);
        let _ = self.flight.instance.set(key);
        slot.touch(self.flight.at);
        let flight = &*self.flight;
        let done = tokio::select! {
            biased;
            done = self.pass(&slot, ledger) => done,
            by = flight.cancelled() => Err(Stop::new(Outcome::Cancelled, format!("cancelled by {by}"))),
            () = flight.expired() => Err(self.too_late(&slot, ledger.era.is_some())),
        };
        let outcome = done.as_ref().map_or_else(|stop| stop.outcome, |end| end.outcome);
        slot.breaker.note(outcome, || Stamp::now().0);
        masked(done, &slot)
    }

    fn too_late(&self, slot: &Slot, entered: bool) -> Stop {
        let waited = Duration::from_secs(self.flight.began.elapsed().as_secs());
        let what = if entered { "no answer".to_owned() } else { format!("{} did not start", slot.key) };
        Stop::new(Outcome::Timeout, format!("{what} within {}", humantime::format_duration(waited)))
    }

    async fn pass(&self, slot: &Slot, ledger: &mut Ledger<'_>) -> Result<End, Stop> {
        let waiting = self.flight.passed(Station::Route);
        let (_pass, link, woke) = self.enter(slot).await?;
        // Who went straight through was there for no time.
        let entered = if woke { Instant::now() } else { waiting };
        self.flight.mark(Station::Wake, entered);
        if woke {
            ledger.wake_us = (entered - waiting).as_micros() as u64;
            let _ = AMBIENT.try_with(|around| around.woke.set(around.woke.get().max(entered - waiting)));
            self.flight.extend();
        }
        let era = self.era.unwrap_or(link.opened.era);
        ledger.era = Some(era);
        if let Some(end) = self.answer_here(slot, &link) {
            return end;
        }
        link.prepare(era).await?;
        let view = self.view_if_needed(slot, &link).await?;
        self.check_read_only(view.as_deref())?;
        self.check_mirrors(view.as_deref())?;
        let tool = self.message.name.as_deref().and_then(|name| view.as_deref()?.facts.get(name));
        let mut ask = self.ask(&link, era, tool)?;
        let expects = ask.expects;
        ledger.asked(&ask.body);
        self.tell_wire(true, &ask.body, slot, tool);
        let answer = Box::pin(link.upstream.ask(&mut ask)).await;
        let at = ledger.answered();
        if let Err(Fault::Unreachable(_)) = &answer {
            ledger.unsent();
        }
        let answer = answer?;
        slot.touch_finished(at);
        self.tell_wire(false, &answer.line, slot, tool);
        self.end(answer, expects, era).await
    }

    /// Through the gate, waking the instance if it sleeps. The last of the three says whether it had to be.
    async fn enter(&self, slot: &Slot) -> Result<(Pass, Arc<Link>, bool), Stop> {
        let cap = self.route.server.settings.max_in_flight;
        let mut woke = false;
        for _ in 0..ROUNDS {
            match slot.gate.enter(cap) {
                Entry::In(pass) => match slot.live() {
                    Some(link) => return Ok((pass, link, woke)),
                    None if slot.gate.state() == State::Unknown => {
                        return Err(Stop::new(
                            Outcome::Transport,
                            format!("{} is unknown and not connected", slot.key),
                        ));
                    }
                    // The connection just broke and control has not said so yet.
                    None => drop(pass),
                },
                Entry::Wait => {}
                Entry::Refused(state) => return Err(out_of_service(slot, state)),
                Entry::Full(n) => return Err(Stop::refused(format!("{BUSY}: {n} calls in flight at {}", slot.key))),
            }
            woke = true;
            self.wake(slot, cap).await?;
        }
        Err(Stop::new(Outcome::Transport, format!("{} was started and is gone again", slot.key)))
    }

    /// Asks control for the instance and waits until it serves.
    async fn wake(&self, slot: &Slot, cap: u32) -> Result<(), Stop> {
        let busy = |why: &str| Stop::refused(format!("{BUSY}: {why} for {}", slot.key));
        let _waiting = Waiting::new(slot, cap, &self.flight).ok_or_else(|| busy("too many calls wait"))?;
        let (reply, mut answer) = oneshot::channel();
        let mut changed = std::pin::pin!(slot.changed.notified());
        changed.as_mut().enable();
        let demand = Demand { key: slot.key.clone(), deadline: self.flight.deadline(), reply };
        self.router.demands.try_send(demand).map_err(|_| busy("the queue of starts is full"))?;
        self.flight.tell(|| CallEvent::Waking { instance: slot.key.clone() });
        let mut started = slot.gate.state() == State::Starting;
        let mut notices = 0;
        let mut notice = std::pin::pin!(tokio::time::sleep(LONG_WAKE));
        loop {
            tokio::select! {
                biased;
                told = &mut answer => return match told {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(reason)) => Err(not_started(slot, &reason)),
                    Err(_) => Err(not_started(slot, "the platform is shutting down")),
                },
                () = changed.as_mut() => {
                    if slot.can_enter() {
                        return Ok(());
                    }
                    // `pulling 40 %`
                    let starts = slot.gate.state() == State::Starting;
                    if starts && started {
                        let text = slot.reason.load().to_string();
                        self.flight.tell(|| CallEvent::Progress { percent: None, text });
                    }
                    started = starts;
                    changed.set(slot.changed.notified());
                    changed.as_mut().enable();
                }
                () = notice.as_mut() => {
                    notices += 1;
                    self.tell_wait(slot, notices);
                    notice.as_mut().reset(Instant::now() + WAKE_TOLD_EVERY);
                }
            }
        }
    }

    /// Tells a client over HTTP why there is no answer yet, if it asked for progress.
    fn tell_wait(&self, slot: &Slot, nth: u32) {
        let Some(relay) = &self.flight.relay else { return };
        let state = slot.gate.state();
        let text = match state {
            State::Starting => format!("{} is starting: {}", slot.key.server, slot.reason.load()),
            _ => format!("{} is waking", slot.key.server),
        };
        let text = slot.hidden.load().mask(text.trim_end_matches(": ")).0.into_owned();
        relay.waiting(nth, &text);
    }

    /// What must not reach a session that is shared: its handshake, what would change it for others, and notices that
    /// name requests of others.
    fn answer_here(&self, slot: &Slot, link: &Link) -> Option<Result<End, Stop>> {
        let nothing = || Some(Ok(End { outcome: Outcome::Ok, error: None, code: None, body: Bytes::new() }));
        let result = |result: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.message.id);
            Some(Ok(End { outcome: Outcome::Ok, error: None, code: None, body: body.into() }))
        };
        let greeting = link.greeting.as_deref();
        // A connection that is this client's alone hears everything but its handshake, which it had.
        let own = link.opened.era == Era::Legacy && (link.upstream.is_http() || slot.key.session.is_some());
        match (self.message.method.as_str(), self.message.kind, &self.client) {
            ("initialize", Kind::Request, Client::Legacy(session)) => {
                result(&cells::initialize_result(greeting, &link.opened, session.hello.version))
            }
            ("server/discover", Kind::Request, Client::Modern(_)) => {
                result(&cells::discover_result(greeting, &link.opened))
            }
            ("initialize", Kind::Request, _) if link.opened.era == Era::Legacy => greeting.and_then(result),
            ("notifications/initialized", ..) => nothing(),
            ("notifications/cancelled" | "notifications/progress", ..) => {
                Some(Err(Stop::refused(format!("`{}` is the router's to send", self.message.method))))
            }
            ("notifications/roots/list_changed", _, Client::Legacy(_)) if !own => nothing(),
            ("logging/setLevel", Kind::Request, Client::Legacy(_)) if !own => result("{}"),
            ("resources/subscribe" | "resources/unsubscribe", Kind::Request, Client::Legacy(_))
                if link.opened.era == Era::Modern =>
            {
                result("{}")
            }
            ("resources/unsubscribe", Kind::Request, Client::Legacy(_))
                if !own && slot.hub.wants(self.message.name.as_deref().unwrap_or_default()) =>
            {
                result("{}")
            }
            _ => None,
        }
    }

    /// The lists, where the call cannot be judged or dressed without.
    async fn view_if_needed(&self, slot: &Slot, link: &Link) -> Result<Option<Arc<View>>, Stop> {
        if !self.message.is_tool_call() {
            return Ok(None);
        }
        let injection = self.route.injection().map_err(Stop::refused)?;
        let mirrors = link.upstream.is_http() && link.opened.era == Era::Modern;
        let repeats = matches!(&self.client, Client::Modern(modern) if !modern.params.is_empty());
        if self.route.frozen.is_none() && injection.arguments.is_empty() && !mirrors && !repeats {
            // To hold headers against, what was listed last will do.
            let modern = matches!(self.client, Client::Modern(_));
            return Ok(modern.then(|| slot.lists.newest(&view_key(self.route, injection))).flatten());
        }
        let person = match &self.client {
            Client::Person(session) => Some(session),
            _ => None,
        };
        match self.router.view(slot, link, self.route, person).await {
            Ok(view) => Ok(Some(view)),
            // Without its schema a tool gets injected arguments as text; without its marks it is not read-only.
            Err(_) => Ok(None),
        }
    }

    fn check_read_only(&self, view: Option<&View>) -> Result<(), Stop> {
        let Some(why) = &self.route.frozen else { return Ok(()) };
        match self.message.kind {
            Kind::Malformed | Kind::Response => {
                return Err(Stop::refused(format!("{why}; this is no request that can be judged")));
            }
            _ if !self.message.is_tool_call() => return Ok(()),
            _ => {}
        }
        let name = self.message.name.as_deref().unwrap_or_default();
        match view.and_then(|v| v.facts.get(name)) {
            Some(tool) if tool.read_only => Ok(()),
            _ => Err(Stop::refused(format!("{why}; tool `{name}` is not marked read-only"))),
        }
    }

    /// What a modern client repeats in headers must be what its message says (SEP-2243).
    fn check_mirrors(&self, view: Option<&View>) -> Result<(), Stop> {
        let Client::Modern(modern) = &self.client else { return Ok(()) };
        let tool = self.message.name.as_deref().and_then(|name| view?.facts.get(name));
        let Some(tool) = tool.filter(|_| self.message.is_tool_call()) else { return Ok(()) };
        let checked = mirror::check(&tool.mirrors, &modern.params, self.message.params().unwrap_or("{}"));
        checked.map_err(|why| Stop { told: Some((era::HEADER_MISMATCH, why.clone())), ..Stop::refused(why) })
    }

    fn ask(&self, link: &Link, era: Era, tool: Option<&ToolFacts>) -> Result<Ask<'_>, Stop> {
        let injection = self.route.injection().map_err(Stop::refused)?;
        let id = link.upstream.next_id();
        let dressing = Dressing {
            id,
            era,
            injection,
            client: &self.client,
            progress: self.flight.events.is_some(),
            trace: self.flight.trace,
        };
        let type_of = |name: &str| tool.map_or(ArgumentType::Text, |t| t.argument_type(name));
        let body = self.message.dress(&dressing, type_of)?;
        let mut headers = injection.headers.clone();
        headers.extend(self.flight.trace.map(mirror::trace));
        if era == Era::Modern {
            if let Client::Modern(modern) = &self.client {
                // What the schema does not name is passed on; what it names is computed anew.
                let unknown = |name: &HeaderName| tool.is_none_or(|t| t.mirrors.iter().all(|m| m.header != *name));
                headers.extend(modern.params.iter().filter(|(name, _)| unknown(name)).cloned());
            }
            headers.extend(tool.map(|t| mirror::headers(&t.mirrors, &body)).unwrap_or_default());
        }
        let session = self.client.session();
        Ok(Ask {
            id,
            body,
            expects: match self.message.kind {
                Kind::Request => Expects::Answer,
                Kind::Nameless | Kind::Malformed => Expects::Anything,
                Kind::Notification | Kind::Response => Expects::Nothing,
            },
            method: &self.message.method,
            name: self.message.name.as_deref(),
            version: self.message.meta.version.as_deref(),
            era,
            headers,
            session: match session {
                Some(session) => Whose::Client(session.number),
                None => Whose::Pooled(&self.flight.tenant, &self.flight.principal),
            },
            client: session,
            flight: Some(&self.flight),
            quiet: false,
        })
    }

    /// The answer as the client gets it: its own id, the words of its era, nothing that is hidden from it.
    async fn end(&self, answer: Answer, expects: Expects, era: Era) -> Result<End, Stop> {
        if expects == Expects::Nothing {
            return Ok(End { outcome: Outcome::Ok, error: None, code: None, body: answer.line });
        }
        let (tool, judged) = (self.message.is_tool_call(), answer.clone());
        let (outcome, error) = aside(answer.line.len(), move || outcome::of_answer(tool, &judged)).await;
        let code = answer.error().map(|error| ErrorObject::read(error).code);
        if expects != Expects::Answer {
            return Ok(End { outcome, error, code, body: answer.line });
        }
        let answer = named(answer);
        let Some(id) = &answer.id else {
            return Err(Stop::new(Outcome::Protocol, "its answer names no request and cannot be given a name"));
        };
        let injection = self.route.injection().map_err(Stop::refused)?;
        let rewriting =
            Rewriting { method: &self.message.method, hidden: &injection.arguments, varies: injection.varies() };
        let cell = Cell { client: &self.client, era };
        let part = match (answer.result(), answer.error()) {
            (Some(result), _) => cell.result(result, &rewriting)?.zip(answer.result.clone()),
            (None, Some(error)) => cell.error(error).zip(answer.error.clone()),
            (None, None) => None,
        };
        let mut parts =
            [Some((self.message.id.as_str(), id.clone())), part.as_ref().map(|(t, p)| (t.as_str(), p.clone()))];
        parts.sort_unstable_by_key(|part| part.as_ref().map(|(_, place)| place.start));
        let more: usize = parts.iter().flatten().map(|(text, _)| text.len()).sum();
        let mut body = Vec::with_capacity(answer.line.len() + more);
        let mut at = 0;
        for (text, place) in parts.into_iter().flatten() {
            body.extend_from_slice(&answer.line[at..place.start]);
            body.extend_from_slice(text.as_bytes());
            at = place.end;
        }
        body.extend_from_slice(&answer.line[at..]);
        Ok(End { outcome, error, code, body: body.into() })
    }

    fn tell_wire(&self, sent: bool, bytes: &[u8], slot: &Slot, tool: Option<&ToolFacts>) {
        self.flight.tell(|| {
            let names = tool.map(ToolFacts::secret_arguments).unwrap_or_default();
            let (text, _) = redact::shown(bytes, &names, &slot.hidden.load());
            CallEvent::Wire { at: Stamp::now(), sent, text }
        });
    }
}

/// What a call is refused with for want of room.
pub const BUSY: &str = "too busy";

/// Errors are kept and shown: a server that says its own secret in one must not put it there.
fn masked(done: Result<End, Stop>, slot: &Slot) -> Result<End, Stop> {
    let hidden = slot.hidden.load();
    let mask = |error: String| hidden.mask(&error).0.into_owned();
    match done {
        Ok(end) => Ok(End { error: end.error.map(mask), ..end }),
        Err(stop) => Err(Stop { error: mask(stop.error), ..stop }),
    }
}

pub fn refusal(slot: &Slot, state: State) -> String {
    let reason = slot.reason.load();
    match reason.is_empty() {
        true => format!("{} is {state}", slot.key),
        false => format!("{} is {state}: {reason}", slot.key),
    }
}

/// Who holds it, and why, is for everybody to know; why it failed is not.
pub fn out_of_service(slot: &Slot, state: State) -> Stop {
    let inside = state == State::Failed;
    Stop { inside, ..Stop::refused(refusal(slot, state)) }
}

fn not_started(slot: &Slot, reason: &str) -> Stop {
    let outcome = match slot.gate.state() {
        State::Stopped | State::Fenced | State::Failed => Outcome::Refused,
        _ => Outcome::Transport,
    };
    Stop { inside: true, ..Stop::new(outcome, format!("{} did not start: {reason}", slot.key)) }
}

/// Counts a call among those that wait for a start.
struct Waiting<'a> {
    slot: &'a Slot,
    flight: &'a Flight,
}

impl<'a> Waiting<'a> {
    fn new(slot: &'a Slot, cap: u32, flight: &'a Flight) -> Option<Self> {
        slot.waiting.fetch_update(Relaxed, Relaxed, |n| (n < cap).then_some(n + 1)).ok()?;
        flight.set_waking(true);
        Some(Self { slot, flight })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.slot.waiting.fetch_sub(1, Relaxed);
        self.flight.set_waking(false);
    }
}
