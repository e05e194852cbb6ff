//! Questions about calls and servers that are not calls: the catalog, a preview, what is kept of a call.

use super::Router;
use super::client::Client;
use super::context::{ArgumentType, Injection, TENANT_KEY};
use super::gate;
use super::listing::{catalog_of, view_key};
use super::lists::Whose;
use super::message::{Dressing, Message};
use super::redact;
use super::slot::Slot;
use super::table::Route;
use super::{CallBody, Demand};
use crate::model::call::{Call, CallDetail};
use crate::model::message::{Catalog, ConsoleCall, Operator, Preview};
use crate::model::{CallId, Era, ServerId, State, TenantId};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// See [`Router::catalog`].
pub async fn catalog(
    router: &Router,
    tenant: &TenantId,
    server: &ServerId,
    wake: bool,
    person: Option<&Operator>,
) -> Result<Catalog, String> {
    let table = router.table.load_full();
    let route = table.route(tenant, server).map_err(|reason| reason.explain(tenant, server))?;
    let injection = route.injection()?;
    let person = person.and_then(|operator| router.person(tenant, server, operator));
    let number = person.as_ref().map(|session| session.number);
    let slot = router.slots.get_or_add(&route.instance(number));
    let mut error = None;
    if wake && !slot.can_enter() {
        error = wake_up(router, &slot, route).await.err();
    }
    let link = slot.live().filter(|_| gate::serves(slot.gate.state()));
    let patience = route.server.settings.timeout;
    let view = match &link {
        Some(link) => match timeout(patience, router.view(&slot, link, route, person.as_ref())).await {
            Ok(Ok(view)) => Some(view),
            Ok(Err(reason)) => {
                error = Some(reason);
                None
            }
            Err(_) => {
                error = Some(format!("{} did not list its tools in time", slot.key));
                None
            }
        },
        None => None,
    };
    let view = view.or_else(|| slot.lists.newest(&Whose { client: number, ..view_key(route, injection) }));
    let opened = slot.opened.load();
    Ok(catalog_of(view.as_deref(), opened.as_deref(), injection, error))
}

/// Starts the instance as a call would.
pub async fn wake_up(router: &Router, slot: &Slot, route: &Route) -> Result<(), String> {
    let (reply, answer) = oneshot::channel();
    let patience = route.server.settings.start_timeout;
    let demand = Demand { key: slot.key.clone(), deadline: Instant::now() + patience, reply };
    router.demands.try_send(demand).map_err(|_| "too busy: the queue of starts is full".to_owned())?;
    match timeout(patience, answer).await {
        Ok(Ok(told)) => told,
        Ok(Err(_)) => Err("the platform is shutting down".to_owned()),
        Err(_) => Err(format!("{} did not start in time", slot.key)),
    }
}

/// See [`Router::preview`]. Whether it needs a confirmation is control's to say.
pub fn preview(router: &Router, call: &ConsoleCall) -> Preview {
    let table = router.table.load_full();
    match table.route(&call.tenant, &call.server) {
        Ok(route) => preview_route(router, call, route),
        Err(reason) => Preview { refused: Some(reason.explain(&call.tenant, &call.server)), ..empty_preview() },
    }
}

fn empty_preview() -> Preview {
    Preview {
        instance: None,
        state: None,
        reason: "explicit".to_owned(),
        confidence: 1.0,
        headers: Vec::new(),
        meta: String::new(),
        arguments: Vec::new(),
        after: String::new(),
        refused: None,
        read_only_tool: false,
        confirm: None,
    }
}

fn preview_route(router: &Router, call: &ConsoleCall, route: &Route) -> Preview {
    let person = router.person_at(&call.tenant, &call.server, &call.operator);
    let number = person.as_ref().map(|session| session.number);
    let key = route.instance(number);
    let slot = router.slots.get(&key);
    let state = slot.as_ref().map_or(State::Dormant, |s| s.gate.state());
    let mut preview = Preview { instance: Some(key), state: Some(state), ..empty_preview() };
    let injection = match route.injection() {
        Ok(injection) => injection,
        Err(error) => return Preview { refused: Some(error), ..preview },
    };
    describe(&mut preview, injection);
    let body = match &call.method {
        Some(method) => CallBody::Method { method: method.clone(), params: call.body.clone() },
        None => CallBody::Raw(call.body.clone().into()),
    };
    let message = match Message::read(body, CallId(0), true) {
        Ok(message) => message,
        Err(stop) => return Preview { refused: Some(stop.error), ..preview },
    };
    let view = slot.as_ref().and_then(|s| s.lists.newest(&Whose { client: number, ..view_key(route, injection) }));
    let opened = slot.as_ref().and_then(|s| s.opened.load_full());
    let era = call.era.or(opened.map(|o| o.era)).unwrap_or(Era::Legacy);
    let tool = message.name.as_deref().and_then(|name| view.as_deref()?.facts.get(name));
    let client = person.map_or(Client::Bare, Client::Person);
    let dressing = Dressing { id: 1, era, injection, client: &client, progress: true, trace: None };
    match message.dress(&dressing, |name| tool.map_or(ArgumentType::Text, |t| t.argument_type(name))) {
        Ok(after) => preview.after = String::from_utf8_lossy(&after).into_owned(),
        Err(stop) => preview.refused = Some(stop.error),
    }
    preview.read_only_tool = tool.is_some_and(|t| t.read_only);
    let changes = message.is_tool_call() && !preview.read_only_tool;
    if let Some(why) = route.frozen.as_ref().filter(|_| changes) {
        let name = message.name.as_deref().unwrap_or_default();
        preview.refused = Some(format!("{why}; tool `{name}` is not marked read-only"));
    }
    preview.refused = preview.refused.or_else(|| refused_by_state(state, slot.as_deref()));
    preview
}

fn describe(preview: &mut Preview, injection: &Injection) {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    preview.headers = injection.headers.iter().map(|(n, v)| (n.to_string(), text(v))).collect();
    preview.arguments.clone_from(&injection.arguments);
    preview.meta = injection.meta.as_ref().map(|json| format!("{{\"{TENANT_KEY}\":{json}}}")).unwrap_or_default();
}

fn refused_by_state(state: State, slot: Option<&Slot>) -> Option<String> {
    let closed = matches!(state, State::Stopped | State::Fenced | State::Failed);
    slot.filter(|_| closed).map(|slot| super::call::refusal(slot, state))
}

/// See [`Router::detail`].
pub fn detail(router: &Router, id: CallId) -> Option<CallDetail> {
    let (call, trail) = match router.flights.get(id) {
        Some(flight) => (Call::Pending(flight.row().into()), flight.trail(Bytes::new())),
        None => router.payloads.get(id).map(|payload| (Call::Done(payload.record), payload.trail))?,
    };
    let slot = call.instance().and_then(|key| router.slots.get(key));
    let names = slot.as_ref().map(|slot| secret_names(slot, &call)).unwrap_or_default();
    let hidden = slot.map(|s| s.hidden.load_full()).unwrap_or_default();
    let mut notes = Vec::new();
    let mut show = |side: &str, bytes: &[u8]| {
        let (text, said) = redact::shown(bytes, &names, &hidden);
        notes.extend(said.into_iter().map(|note| format!("{side}: {note}")));
        (!text.is_empty()).then_some(text)
    };
    let request = show("request", &trail.request);
    let sent = show("sent", &trail.sent);
    let response = show("response", &trail.response);
    Some(CallDetail { call, timeline: trail.timeline, request, sent, response, notes })
}

fn secret_names(slot: &Slot, call: &Call) -> Vec<String> {
    let facts = call.tool().and_then(|name| slot.lists.facts_of(call.tenant(), name));
    facts.map(|facts| facts.secret_arguments()).unwrap_or_default()
}
