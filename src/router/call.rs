//! The path of one call: read, route, gate, dress, ask, judge. Every await on it may be dropped.

use super::context::ArgumentType;
use super::flight::{Flight, Plan};
use super::gate::{Entry, Pass};
use super::ledger::{End, Ledger};
use super::lists::{ToolFacts, View};
use super::message::{Dressing, Kind, Message};
use super::mirror;
use super::outcome::{self, Stop};
use super::redact;
use super::slot::{Link, Slot};
use super::table::{NoRoute, Route};
use super::upstream::{Answer, Ask, Expects, Fault};
use super::{CallReply, CallRequest, Demand, Router};
use crate::model::call::Origin;
use crate::model::message::CallEvent;
use crate::model::server::Settings;
use crate::model::{CallId, Era, Outcome, Stamp, State};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// So often a call asks for an instance that was said to serve and then did not.
const ROUNDS: u32 = 4;

/// Carries one call to its end.
pub async fn carry(router: &Router, request: CallRequest) -> CallReply {
    let CallRequest { tenant, server, body, era, timeout, origin, principal, role, session, events } = request;
    let id = CallId(router.next_call.fetch_add(1, Relaxed));
    let message = Message::read(body, id, matches!(origin, Origin::Console | Origin::Cli));
    let (method, tool) = message.as_ref().map(|m| (m.method.clone(), m.name.clone())).unwrap_or_default();
    let table = router.table.load_full();
    let route = table.route(&tenant, &server);
    let defaults = Settings::default();
    let settings = route.as_ref().map_or(&defaults, |r| &r.server.settings);
    let flight = Arc::new(Flight::new(Plan {
        id,
        at: Stamp::now(),
        began: Instant::now(),
        tenant,
        server,
        method,
        tool,
        origin,
        principal,
        role,
        events,
        timeout: timeout.unwrap_or(settings.timeout),
        cap: settings.timeout_cap,
    }));
    let kept = message.as_ref().map(|m| m.text.clone()).unwrap_or_default();
    let mut ledger = Ledger::open(router, flight.clone(), kept);
    flight.tell(|| CallEvent::Accepted { id });
    let caller_id = message.as_ref().map_or_else(|_| "null".to_owned(), |m| m.id.clone());
    let carried = match (message, route) {
        (Err(stop), _) => Err(stop),
        (Ok(_), Err(reason)) => Err(unroutable(&flight, reason)),
        (Ok(message), Ok(route)) => {
            ledger.audit = route.tenant.audit;
            Trip { router, flight: flight.clone(), message, route, era, session }.go(&mut ledger).await
        }
    };
    let end = match carried {
        Ok(end) => end,
        Err(stop) => End { outcome: stop.outcome, body: Bytes::from(stop.body(&caller_id)), error: Some(stop.error) },
    };
    ledger.close(end).await
}

/// A caller must not learn which servers there are for others.
fn unroutable(flight: &Flight, reason: NoRoute) -> Stop {
    Stop {
        outcome: Outcome::Refused,
        error: reason.explain(&flight.tenant, &flight.server),
        told: Some((-32602, format!("unknown server `{}`", flight.server))),
    }
}

/// One call on its way to one instance.
struct Trip<'a> {
    router: &'a Router,
    flight: Arc<Flight>,
    message: Message,
    route: &'a Arc<Route>,
    /// Pinned by the caller.
    era: Option<Era>,
    session: Option<u32>,
}

impl Trip<'_> {
    async fn go(&self, ledger: &mut Ledger<'_>) -> Result<End, Stop> {
        let key = self.route.instance(self.session);
        let slot = self.router.slots.get_or_add(&key);
        let _ = self.flight.instance.set(key);
        slot.touch();
        let flight = &*self.flight;
        let done = tokio::select! {
            biased;
            done = self.pass(&slot, ledger) => done,
            () = flight.cancelled.cancelled() => Err(Stop::new(Outcome::Cancelled, "cancelled by an operator")),
            () = flight.expired() => Err(self.too_late(&slot, ledger.era.is_some())),
        };
        slot.touch();
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
        let waiting = Instant::now();
        let (_pass, link, woke) = self.enter(slot).await?;
        if woke {
            ledger.wake_us = waiting.elapsed().as_micros() as u64;
            self.flight.extend();
        }
        let era = self.era.unwrap_or(link.opened.era);
        ledger.era = Some(era);
        if let Some(end) = self.answer_here(&link) {
            return end;
        }
        link.prepare(era).await?;
        let view = self.view_if_needed(slot, &link).await?;
        self.check_read_only(view.as_deref())?;
        let tool = self.message.name.as_deref().and_then(|name| view.as_deref()?.facts.get(name));
        let ask = self.ask(&link, era, tool)?;
        let expects = ask.expects;
        ledger.asked(&ask.body);
        self.tell_wire(true, &ask.body, slot, tool);
        let answer = link.upstream.ask(ask).await;
        ledger.answered();
        if let Err(Fault::Unreachable(_)) = &answer {
            ledger.unsent();
        }
        let answer = answer?;
        slot.touch_finished();
        self.tell_wire(false, &answer.line, slot, tool);
        Ok(self.end(answer, expects))
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
                Entry::Refused(state) => return Err(Stop::refused(refusal(slot, state))),
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
            }
        }
    }

    /// What must not reach a session that is shared: its handshake, and notices that name requests of others.
    fn answer_here(&self, link: &Link) -> Option<Result<End, Stop>> {
        let nothing = || Ok(End { outcome: Outcome::Ok, error: None, body: Bytes::new() });
        match (self.message.method.as_str(), self.message.kind, &link.greeting) {
            ("initialize", Kind::Request, Some(greeting)) => {
                let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{greeting}}}"#, self.message.id);
                Some(Ok(End { outcome: Outcome::Ok, error: None, body: body.into() }))
            }
            ("notifications/initialized", ..) => Some(nothing()),
            ("notifications/cancelled" | "notifications/progress", ..) => {
                Some(Err(Stop::refused(format!("`{}` is the router's to send", self.message.method))))
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
        if !self.route.read_only && injection.arguments.is_empty() && !mirrors {
            return Ok(None);
        }
        match self.router.view(slot, link, self.route).await {
            Ok(view) => Ok(Some(view)),
            // Without its schema a tool gets injected arguments as text; without its marks it is not read-only.
            Err(_) => Ok(None),
        }
    }

    fn check_read_only(&self, view: Option<&View>) -> Result<(), Stop> {
        if !self.route.read_only {
            return Ok(());
        }
        match self.message.kind {
            Kind::Malformed | Kind::Response => {
                return Err(Stop::refused("read-only: not a request that can be judged"));
            }
            _ if !self.message.is_tool_call() => return Ok(()),
            _ => {}
        }
        let name = self.message.name.as_deref().unwrap_or_default();
        match view.and_then(|v| v.facts.get(name)) {
            Some(tool) if tool.read_only => Ok(()),
            _ => Err(Stop::refused(format!("read-only: tool `{name}` is not marked read-only"))),
        }
    }

    fn ask(&self, link: &Link, era: Era, tool: Option<&ToolFacts>) -> Result<Ask<'_>, Stop> {
        let injection = self.route.injection().map_err(Stop::refused)?;
        let id = link.upstream.next_id();
        let dressing = Dressing { id, era, injection, progress: self.flight.events.is_some() };
        let type_of = |name: &str| tool.map_or(ArgumentType::Text, |t| t.argument_type(name));
        let body = self.message.dress(&dressing, type_of)?;
        let mut headers = injection.headers.clone();
        if era == Era::Modern {
            headers.extend(tool.map(|t| mirror::headers(&t.mirrors, &body)).unwrap_or_default());
        }
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
            version: self.message.version.as_deref(),
            era,
            headers,
            session: Some((self.flight.tenant.as_str().into(), self.flight.principal.as_str().into())),
            flight: Some(&self.flight),
            quiet: false,
        })
    }

    fn end(&self, answer: Answer, expects: Expects) -> End {
        let (outcome, error) = match expects {
            Expects::Nothing => (Outcome::Ok, None),
            _ => outcome::of_answer(&self.message.method, &answer),
        };
        let body = match (expects, &answer.id) {
            (Expects::Answer, Some(place)) => {
                let mut body = Vec::with_capacity(answer.line.len() + self.message.id.len());
                body.extend_from_slice(&answer.line[..place.start]);
                body.extend_from_slice(self.message.id.as_bytes());
                body.extend_from_slice(&answer.line[place.end..]);
                body.into()
            }
            _ => answer.line,
        };
        End { outcome, error, body }
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

fn not_started(slot: &Slot, reason: &str) -> Stop {
    let outcome = match slot.gate.state() {
        State::Stopped | State::Fenced | State::Failed => Outcome::Refused,
        _ => Outcome::Transport,
    };
    Stop::new(outcome, format!("{} did not start: {reason}", slot.key))
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
