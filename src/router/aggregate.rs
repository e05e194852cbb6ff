//! All servers of a tenant behind one endpoint: a message is answered here, split to its server, or led by routing. Lists
//! never wait for the slowest server: what is known is told, and what is not is learnt meanwhile.

pub mod merge;
pub mod names;
#[cfg(test)]
mod tests;

use super::call;
use super::client::{Client, Outbox};
use super::era;
use super::failover::{RoutedReply, RoutedRequest, RoutedWhat, asked_in, with_meta};
use super::fanout;
use super::ledger::End;
use super::limits::Exceeded;
use super::lists::View;
use super::message::{Kind as Sort, Message};
use super::outcome::Stop;
use super::slot::Slot;
use super::table::{Index, Route};
use super::upstream::serverside::Notice;
use super::wire;
use super::{CallBody, CallReply, CallRequest, Router, gate, inspect, listing};
use crate::model::{CallId, Outcome, ServerId, Stamp, State, TenantId};
use bytes::Bytes;
use futures_util::future::join_all;
use merge::{Kind, Merged};
use names::{split, wrap_answer};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::time::Duration;

/// What stands for the server in records of calls that are made to all of them.
pub const ALL_SERVERS: &str = "*";
/// So long a list waits for servers that are asked just now.
const PATIENCE: Duration = Duration::from_millis(250);
/// The `_meta` key of a list that says which servers are missing or stale in it.
pub const SERVERS_KEY: &str = "io.mcpdeck/servers";
const INVALID_PARAMS: i64 = -32602;
const UNKNOWN_METHOD: i64 = -32601;

/// The end of a message to all servers.
pub struct AllReply {
    /// Empty for what needs no answer.
    pub body: Bytes,
    /// Where routing led, for the header of an answer that stays as it is.
    pub route: Option<String>,
    /// The limit for whose sake it was refused.
    pub exceeded: Option<Exceeded>,
}

impl From<String> for AllReply {
    fn from(body: String) -> Self {
        Self { body: body.into(), route: None, exceeded: None }
    }
}

impl From<CallReply> for AllReply {
    fn from(reply: CallReply) -> Self {
        Self { body: reply.body, route: None, exceeded: reply.exceeded }
    }
}

impl Router {
    /// Carries one message to all servers of the request's tenant; its `server` is not looked at. Never panics, always
    /// answers; `client` and `outbox` as for one server. Dropping the future cancels what it asked upstream.
    pub async fn call_all(
        self: &Arc<Self>,
        request: CallRequest,
        client: Client,
        outbox: Option<Arc<Outbox>>,
    ) -> AllReply {
        let bytes = match &request.body {
            CallBody::Raw(bytes) => bytes.clone(),
            CallBody::Read(message) => message.text.clone(),
            CallBody::Method { .. } => Bytes::new(),
        };
        let message = match Message::read(CallBody::Raw(bytes), CallId(0), false) {
            Ok(message) => message,
            Err(stop) => {
                let ledger = self.account(&request, ALL_SERVERS.into(), None);
                return ledger.close(End::stopped(stop, "null")).await.into();
            }
        };
        if message.kind != Sort::Request {
            return String::new().into();
        }
        let table = self.table.load_full();
        let routes = sorted(&table, &request.tenant);
        let text = String::from_utf8_lossy(&message.text).into_owned();
        let params = params_of(&text);
        let kind = Kind::of_method(&message.method);
        let ledger = || self.account(&request, ALL_SERVERS.into(), Some(&message));
        let (ledger, said) = match (message.method.as_str(), kind) {
            // A level is per session, and kept where sessions are.
            ("ping" | "logging/setLevel", _) => return answered(&message.id, &json!({})).into(),
            ("initialize", _) => (ledger(), Ok(answered(&message.id, &self.greeting(&routes, &params)))),
            ("server/discover", _) => (ledger(), Ok(answered(&message.id, &self.discovery(&routes)))),
            (_, Some(kind)) => (ledger(), self.list(kind, &routes, &message.id, &params, request.session).await),
            _ => return self.split((request, client, outbox), &message, &routes, text, &params).await,
        };
        let end = match said {
            Ok(body) => End { outcome: Outcome::Ok, error: None, code: None, body: body.into() },
            Err(stop) => End::stopped(stop, &message.id),
        };
        ledger.close(end).await.into()
    }

    /// Refuses a message that leads to no server.
    async fn refuse_here(&self, request: &CallRequest, message: &Message, code: i64, why: &str) -> AllReply {
        let ledger = self.account(request, ALL_SERVERS.into(), Some(message));
        ledger.close(End::stopped(told(code, why), &message.id)).await.into()
    }

    /// To the server that the message names; else where routing leads; else to the only server with such a tool.
    async fn split(
        &self,
        (request, client, outbox): (CallRequest, Client, Option<Arc<Outbox>>),
        message: &Message,
        routes: &[&Arc<Route>],
        text: String,
        params: &str,
    ) -> AllReply {
        let why = match split(routes, &message.method, params) {
            Ok((route, named)) => {
                let body = match named.put_into(&text) {
                    Ok(body) => body,
                    Err(why) => return self.refuse_here(&request, message, INVALID_PARAMS, &why).await,
                };
                let server = route.server.id.clone();
                let request = CallRequest { server: server.clone(), body: raw(body), ..request };
                let reply = call::carry(self, request, client, outbox).await;
                let body = wrapped(&server, &message.method, reply.body);
                return AllReply { body, route: None, exceeded: reply.exceeded };
            }
            Err(why) => why,
        };
        if message.method != "tools/call" {
            let code = if why.starts_with('`') { UNKNOWN_METHOD } else { INVALID_PARAMS };
            return self.refuse_here(&request, message, code, &why).await;
        }
        match asked_in(&message.text) {
            Some(Ok(ask)) => return self.routed((request, client, outbox), message, ask).await,
            Some(Err(why)) => return self.refuse_here(&request, message, INVALID_PARAMS, &why).await,
            None => {}
        }
        match self.only_with_tool(routes, message.name.as_deref().unwrap_or_default()) {
            Some(route) => {
                let server = route.server.id.clone();
                let request = CallRequest { server: server.clone(), ..request };
                let reply = call::carry(self, request, client, outbox).await;
                let body = wrapped(&server, &message.method, reply.body);
                AllReply { body, route: None, exceeded: reply.exceeded }
            }
            None => self.refuse_here(&request, message, INVALID_PARAMS, &why).await,
        }
    }

    async fn routed(
        &self,
        (request, client, outbox): (CallRequest, Client, Option<Arc<Outbox>>),
        message: &Message,
        ask: fanout::Asked,
    ) -> AllReply {
        if !ask.targets.is_empty() {
            let parts = self.fan_out(&request, &ask.targets, &message.text).await;
            return answered(&message.id, &fanout::merged(&parts)).into();
        }
        let routed = RoutedRequest {
            tenant: request.tenant.clone(),
            ask: ask.route,
            what: RoutedWhat::Message(message.text.clone()),
            timeout: request.timeout,
            origin: request.origin,
            principal: request.principal.clone(),
            role: request.role,
            events: request.events.clone(),
        };
        match self.route_for(routed, &client, outbox).await {
            Ok(RoutedReply { reply: CallReply { exceeded: exceeded @ Some(_), body, .. }, .. }) => {
                AllReply { body, route: None, exceeded }
            }
            Ok(mut routed) => {
                routed.reply.body = wrapped(&routed.server, &message.method, routed.reply.body);
                AllReply { body: routed.body_with_meta(), route: Some(routed.header()), exceeded: None }
            }
            Err(nowhere) => self.refuse_here(&request, message, INVALID_PARAMS, &nowhere.error).await,
        }
    }

    fn only_with_tool<'r>(&self, routes: &[&'r Arc<Route>], tool: &str) -> Option<&'r Arc<Route>> {
        let has = |route: &&&Arc<Route>| self.known(route).is_some_and(|view| view.facts.contains_key(tool));
        let mut found = routes.iter().filter(has);
        let first = found.next()?;
        found.next().is_none().then_some(*first)
    }

    /// What a server was last heard to have.
    fn known(&self, route: &Route) -> Option<Arc<super::lists::View>> {
        let injection = route.injection().ok()?;
        self.slots.get(&route.instance(None))?.lists.newest(&listing::view_key(route, injection))
    }

    fn greeting(&self, routes: &[&Arc<Route>], params: &str) -> Value {
        let asked = era::agreed_version(params).filter(|version| era::is_known_legacy(version));
        json!({
            "protocolVersion": asked.as_deref().unwrap_or(era::LEGACY),
            "capabilities": self.capabilities(routes),
            "serverInfo": { "name": "mcpdeck", "version": env!("CARGO_PKG_VERSION") },
            "instructions": instructions(routes),
        })
    }

    fn discovery(&self, routes: &[&Arc<Route>]) -> Value {
        json!({
            "resultType": "complete",
            "supportedVersions": [era::MODERN],
            "capabilities": self.capabilities(routes),
            "instructions": instructions(routes),
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "mcpdeck", "version": env!("CARGO_PKG_VERSION") } },
        })
    }

    /// What any of the servers offers; one that was never asked may offer all.
    fn capabilities(&self, routes: &[&Arc<Route>]) -> Value {
        let mut all = Map::new();
        all.insert("tools".to_owned(), json!({ "listChanged": true }));
        for route in routes {
            let opened = self.slots.get(&route.instance(None)).and_then(|slot| slot.opened.load_full());
            let offers: Value = match opened {
                Some(opened) => serde_json::from_str(&opened.capabilities).unwrap_or_default(),
                None => json!({ "prompts": {}, "resources": {} }),
            };
            for (name, value) in [
                ("prompts", json!({ "listChanged": true })),
                ("resources", json!({ "listChanged": true })),
                ("completions", json!({})),
                ("logging", json!({})),
            ] {
                if offers.get(name).is_some() {
                    all.insert(name.to_owned(), value);
                }
            }
        }
        all.into()
    }

    async fn list(
        self: &Arc<Self>,
        kind: Kind,
        routes: &[&Arc<Route>],
        id: &str,
        params: &str,
        session: Option<u32>,
    ) -> Result<String, Stop> {
        let cursor = serde_json::from_str::<Value>(params).ok();
        let cursor = cursor.as_ref().and_then(|params| params.get("cursor")?.as_str());
        let began = Stamp::now();
        // A further page is cut from what is known: asking again would shift it.
        if cursor.is_none() {
            let learning = routes.iter().filter_map(|route| self.learn(route, session));
            let _ = tokio::time::timeout(PATIENCE, join_all(learning)).await;
        }
        let (mut merged, mut missing, mut stale) = (Merged::default(), Map::new(), Vec::new());
        for route in routes {
            let Ok(injection) = route.injection() else { continue };
            let slot = self.slots.get_or_add(&route.instance(session));
            let whose = listing::view_key(route, injection);
            let Some(view) = slot.lists.newest(&whose) else {
                missing.insert(route.server.id.to_string(), why_missing(&slot).into());
                continue;
            };
            // What was listed for this very question is as fresh as it gets, however short it may be kept.
            if slot.lists.fresh(&whose).is_none() && view.listed_at < began {
                stale.push(route.server.id.to_string());
            }
            let tools;
            let items = match kind {
                Kind::Tools => {
                    tools = super::lists::hide_arguments(&view.tools, &injection.arguments);
                    &tools
                }
                Kind::Prompts => &view.prompts,
                Kind::Resources => &view.resources,
                Kind::Templates => &view.templates,
            };
            merged.add(kind, routes, route, items);
        }
        let (items, next) = match merged.page(cursor) {
            Ok(page) => page,
            Err(why) => return Err(told(INVALID_PARAMS, &why)),
        };
        let next = next.map(|next| format!(",\"nextCursor\":{}", wire::quote(&next))).unwrap_or_default();
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"{}":[{}]{next}}}}}"#, kind.key(), items.join(","));
        let notes = notes(missing, stale, &merged.left_out);
        Ok(match notes {
            Some(notes) => {
                let body = with_meta(&body.into(), SERVERS_KEY, &notes.to_string());
                String::from_utf8_lossy(&body).into_owned()
            }
            None => body,
        })
    }

    /// Begins to list a server whose lists are not fresh; who waits for it may leave. A server that sleeps is woken once,
    /// as by a first call: only a server that was never listed would else never be seen.
    fn learn(self: &Arc<Self>, route: &Arc<Route>, session: Option<u32>) -> Option<tokio::task::JoinHandle<()>> {
        let whose = listing::view_key(route, route.injection().ok()?);
        let slot = self.slots.get_or_add(&route.instance(session));
        if slot.lists.fresh(&whose).is_some() {
            return None;
        }
        let state = slot.gate.state();
        let known = slot.lists.newest(&whose).is_some();
        let asleep = !gate::serves(state) && known;
        if asleep || matches!(state, State::Stopped | State::Fenced | State::Failed) {
            return None;
        }
        if slot.learning.swap(true, AcqRel) {
            return None;
        }
        let (router, route, learning) = (self.clone(), route.clone(), Learning(slot));
        Some(tokio::spawn(async move {
            // Why it could not be listed shows where its state does.
            let _ = router.fetch(&learning.0, &route).await;
        }))
    }

    async fn fetch(&self, slot: &Slot, route: &Route) -> Result<(), String> {
        if !slot.can_enter() {
            inspect::wake_up(self, slot, route).await?;
        }
        let link = slot.live().ok_or_else(|| format!("{} is not connected", slot.key))?;
        let before = slot.lists.newest(&listing::view_key(route, route.injection()?));
        let listing = self.view(slot, &link, route, None);
        let listed = tokio::time::timeout(route.server.settings.timeout, listing).await;
        let now = listed.map_err(|_| format!("{} did not list its tools in time", slot.key))??;
        tell_changes(slot, before.as_deref(), &now);
        Ok(())
    }
}

/// A listing under way; one at a time per instance.
struct Learning(Arc<Slot>);

impl Drop for Learning {
    fn drop(&mut self) {
        self.0.learning.store(false, std::sync::atomic::Ordering::Release);
    }
}

/// The ways of a tenant, in the order of the servers' ids.
fn sorted<'t>(table: &'t Index, tenant: &TenantId) -> Vec<&'t Arc<Route>> {
    let mut routes: Vec<_> = table.routes(tenant).collect();
    routes.sort_unstable_by(|a, b| a.server.id.cmp(&b.server.id));
    routes
}

/// An answer with the addresses of all servers.
fn wrapped(server: &ServerId, method: &str, body: Bytes) -> Bytes {
    match std::str::from_utf8(&body).map(|text| wrap_answer(server, method, text)) {
        Ok(Cow::Owned(wrapped)) => wrapped.into(),
        _ => body,
    }
}

/// A refusal that its caller is told in so many words.
fn told(code: i64, why: &str) -> Stop {
    Stop { told: Some((code, why.to_owned())), ..Stop::refused(why) }
}

fn raw(text: String) -> CallBody {
    CallBody::Raw(text.into())
}

fn params_of(text: &str) -> String {
    let members = wire::members(text).unwrap_or_default();
    members.iter().find(|member| member.key == "params").map_or("{}", |member| member.text(text)).to_owned()
}

fn answered(id: &str, result: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn instructions(routes: &[&Arc<Route>]) -> String {
    let line = |route: &&Arc<Route>| format!("{}* {}", route.prefix, route.server.name);
    let lines: Vec<_> = routes.iter().map(line).collect();
    format!("Tools of several servers, each with the prefix of its server: {}", lines.join("; "))
}

fn why_missing(slot: &Slot) -> String {
    let (state, reason) = (slot.gate.state(), slot.reason.load());
    if reason.is_empty() { state.to_string() } else { format!("{state}: {reason}") }
}

/// Whoever was given a list without this server, or an old one, hears that there is another.
fn tell_changes(slot: &Slot, before: Option<&View>, now: &View) {
    let changed = |of: fn(&View) -> &String| before.map_or("[]", |before| of(before).as_str()) != of(now).as_str();
    for (changed, notice, list) in [
        (changed(|view| &view.tools), Notice::Tools, "tools"),
        (changed(|view| &view.prompts), Notice::Prompts, "prompts"),
        (changed(|view| &view.resources), Notice::Resources, "resources"),
    ] {
        if changed {
            let line = wire::notification(&format!("notifications/{list}/list_changed"), "{}");
            slot.hub.tell(&notice, &line.into());
        }
    }
}

/// `None`: everything is there and fresh.
fn notes(missing: Map<String, Value>, stale: Vec<String>, left_out: &[String]) -> Option<Value> {
    let mut notes = Map::new();
    if !missing.is_empty() {
        notes.insert("missing".to_owned(), missing.into());
    }
    if !stale.is_empty() {
        notes.insert("stale".to_owned(), stale.into());
    }
    if !left_out.is_empty() {
        notes.insert("leftOut".to_owned(), left_out.into());
    }
    (!notes.is_empty()).then(|| notes.into())
}
