//! Calls that name no server: decided, then tried in order. Never sends twice what may have been carried out, unless
//! its tool says that twice is as good as once.

use super::call;
use super::client::{Client, Outbox};
use super::fanout::{self, Asked};
use super::gate;
use super::outcome::Stop;
use super::route::{self, Nowhere};
use super::table::{Index, Route};
use super::wire;
use super::{CallBody, CallReply, CallRequest, Router};
use crate::model::call::Origin;
use crate::model::message::CallEvent;
use crate::model::principal::Role;
use crate::model::route::{Candidate, Decision, RouteAsk, RoutePreview};
use crate::model::server::Via;
use crate::model::{Outcome, ServerId, Short, Stamp, State, TenantId};
use bytes::Bytes;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The `_meta` key under which an answer says where it comes from and why.
pub const ROUTE_KEY: &str = "io.mcpdeck/route";

/// A call that is led by routing.
pub struct RoutedRequest {
    pub tenant: TenantId,
    pub ask: RouteAsk,
    pub what: RoutedWhat,
    pub timeout: Option<Duration>,
    pub origin: Origin,
    pub principal: Short,
    pub role: Option<Role>,
    pub events: Option<mpsc::Sender<CallEvent>>,
}

pub enum RoutedWhat {
    /// The text of [`RouteAsk::query`], put to the tool that each server names for it; `context` is the JSON text of an
    /// object (or empty). It reaches query endpoints as it is, and is further arguments of a tool whose server is named.
    Query { context: String },
    /// A whole message.
    Message(Bytes),
}

/// The end of a routed call.
pub struct RoutedReply {
    pub decision: Decision,
    /// Who answered, or was tried last.
    pub server: ServerId,
    /// Who was not asked, or failed before, and why.
    pub passed_over: Vec<(ServerId, String)>,
    pub reply: CallReply,
}

impl Router {
    /// Where a request would go, for a tenant; [`Nowhere`] says what was looked at.
    pub fn decide(&self, tenant: &TenantId, ask: &RouteAsk) -> Result<Decision, Nowhere> {
        let table = self.table.load_full();
        decide(&table, tenant, ask)
    }

    /// As [`Router::decide`], with where each candidate stands now. Calls nobody.
    pub fn preview_route(&self, tenant: &TenantId, ask: &RouteAsk) -> Result<RoutePreview, Nowhere> {
        let table = self.table.load_full();
        let decision = decide(&table, tenant, ask)?;
        let candidates = candidates(&table, tenant, &decision).map(|route| self.candidate(route)).collect();
        Ok(RoutePreview { decision, candidates })
    }

    fn candidate(&self, route: &Arc<Route>) -> Candidate {
        let instance = route.instance(None);
        let slot = self.slots.get(&instance);
        let now = Stamp::now().0;
        Candidate {
            server: route.server.id.clone(),
            state: slot.as_ref().map_or(State::Dormant, |slot| slot.gate.state()),
            breaker: slot.as_ref().map_or_else(|| "closed".to_owned(), |slot| slot.breaker.circuit(now).text()),
            passed_over: self.closed_to(route).map(|stop| stop.error),
            instance,
        }
    }

    /// Why nothing is sent there now, whatever it is.
    fn closed_to(&self, route: &Route) -> Option<Stop> {
        let slot = self.slots.get(&route.instance(None))?;
        match slot.gate.state() {
            state @ (State::Stopped | State::Fenced | State::Failed) => Some(call::out_of_service(&slot, state)),
            state if gate::serves(state) && slot.live().is_none() && state == State::Unknown => {
                Some(Stop::new(Outcome::Transport, format!("{} is unknown and not connected", slot.key)))
            }
            _ => None,
        }
    }

    /// The same, or why its breaker keeps it from being tried; in words for whoever asks.
    fn kept_from(&self, route: &Route, role: Option<Role>) -> Option<String> {
        let instance = route.instance(None);
        match self.closed_to(route) {
            Some(stop) => Some(call::tellable(stop, role, &route.server.id, Some(&instance)).told_text()),
            None => (!self.admitted(route)).then(|| format!("the breaker of {instance} is open")),
        }
    }

    /// True if its breaker lets a call through; a half-open one lets the first.
    fn admitted(&self, route: &Route) -> bool {
        let slot = self.slots.get(&route.instance(None));
        slot.is_none_or(|slot| slot.breaker.admits(Stamp::now().0))
    }

    /// Decides and calls: the target first, then its fallback in order. A target that is fenced, stopped or failed, or
    /// whose breaker is open, is passed over at once; the last that is left is always tried.
    pub async fn call_routed(&self, request: RoutedRequest) -> Result<RoutedReply, Nowhere> {
        self.route_for(request, &Client::Bare, None).await
    }

    /// The same for a client, who hears of it meanwhile from whoever is tried.
    pub(super) async fn route_for(
        &self,
        request: RoutedRequest,
        client: &Client,
        outbox: Option<Arc<Outbox>>,
    ) -> Result<RoutedReply, Nowhere> {
        let table = self.table.load_full();
        let decision = decide(&table, &request.tenant, &request.ask)?;
        let routes: Vec<Arc<Route>> = candidates(&table, &request.tenant, &decision).cloned().collect();
        let mut passed_over = Vec::new();
        for (at, route) in routes.iter().enumerate() {
            let server = route.server.id.clone();
            let last = at + 1 == routes.len();
            if !last && let Some(why) = self.kept_from(route, request.role) {
                passed_over.push((server, why));
                continue;
            }
            let reply = match self.body_for(route, &request) {
                Ok(body) => {
                    let request = call_request(&request, server.clone(), body);
                    call::carry(self, request, client.clone(), outbox.clone()).await
                }
                Err(why) if last => return Err(Nowhere { error: why, considered: decision.considered }),
                Err(why) => {
                    passed_over.push((server, why));
                    continue;
                }
            };
            if last || !self.may_go_on(route, &request, &reply) {
                return Ok(RoutedReply { decision, server, passed_over, reply });
            }
            passed_over.push((server, reply.failure()));
        }
        let error = format!("`{}` is no longer there", decision.target);
        Err(Nowhere { error, considered: decision.considered })
    }

    /// True if the call may be made again somewhere else.
    fn may_go_on(&self, route: &Route, request: &RoutedRequest, reply: &CallReply) -> bool {
        match reply.record.outcome {
            // Fenced or failed just now, or full.
            Outcome::Refused => !reply.sent && (self.closed_to(route).is_some() || is_busy(reply)),
            Outcome::Transport => !reply.sent || self.is_harmless(route, request, reply),
            // A caller's patience is for all of it, and it is over.
            _ => false,
        }
    }

    /// True if it changes nothing, or nothing more the second time.
    fn is_harmless(&self, route: &Route, request: &RoutedRequest, reply: &CallReply) -> bool {
        if reply.record.method != "tools/call" {
            return matches!(request.what, RoutedWhat::Message(_)) && only_reads(&reply.record.method);
        }
        let tool = reply.record.tool.as_deref().unwrap_or_default();
        self.tool_facts(route, tool).is_some_and(|facts| facts.read_only || facts.idempotent)
    }

    fn tool_facts(&self, route: &Route, tool: &str) -> Option<super::lists::ToolFacts> {
        let slot = self.slots.get(&route.instance(None))?;
        let injection = route.injection().ok()?;
        slot.lists.newest(&super::listing::view_key(route, injection))?.facts.get(tool).cloned()
    }

    /// What this server is sent.
    fn body_for(&self, route: &Route, request: &RoutedRequest) -> Result<CallBody, String> {
        let context = match &request.what {
            RoutedWhat::Message(bytes) => return Ok(CallBody::Raw(bytes.clone())),
            RoutedWhat::Query { context } => context,
        };
        let server = &route.server;
        let tool = server.query_tool().ok_or_else(|| {
            format!("`{}` answers no plain query: give it query = {{ tool = \"...\", argument = \"...\" }}", server.id)
        })?;
        let mut arguments = serde_json::Map::new();
        arguments.insert(tool.argument, request.ask.query.clone().into());
        if let Ok(context @ serde_json::Value::Object(_)) = serde_json::from_str(context)
            && server.via == Via::Query
        {
            arguments.insert("context".to_owned(), context);
        } else if let Ok(context) = serde_json::from_str::<serde_json::Map<_, _>>(context)
            && request.ask.target.is_some()
        {
            // Whoever names a server knows what its tool takes.
            for (name, value) in context {
                arguments.entry(name).or_insert(value);
            }
        }
        let params = json!({ "name": tool.tool, "arguments": arguments }).to_string();
        Ok(CallBody::Method { method: "tools/call".to_owned(), params })
    }
}

fn decide(table: &Index, tenant: &TenantId, ask: &RouteAsk) -> Result<Decision, Nowhere> {
    let routes: Vec<&Arc<Route>> = table.routes(tenant).collect();
    route::decide(table.routing(), &routes, ask)
}

/// Target first, then its fallback.
fn candidates<'t>(
    table: &'t Index,
    tenant: &'t TenantId,
    decision: &'t Decision,
) -> impl Iterator<Item = &'t Arc<Route>> {
    let servers = std::iter::once(&decision.target).chain(&decision.fallback);
    servers.filter_map(|server| table.route(tenant, server).ok())
}

fn call_request(request: &RoutedRequest, server: ServerId, body: CallBody) -> CallRequest {
    CallRequest {
        tenant: request.tenant.clone(),
        server,
        body,
        era: None,
        timeout: request.timeout,
        origin: request.origin,
        principal: request.principal.clone(),
        role: request.role,
        session: None,
        events: request.events.clone(),
    }
}

fn is_busy(reply: &CallReply) -> bool {
    reply.record.error.as_deref().is_some_and(|error| error.starts_with(call::BUSY))
}

/// Methods that change nothing by themselves.
fn only_reads(method: &str) -> bool {
    let reads = ["ping", "initialize", "server/discover", "resources/read", "prompts/get", "completion/complete"];
    method.ends_with("/list") || reads.contains(&method)
}

impl RoutedReply {
    /// JSON text of what stands under [`ROUTE_KEY`].
    pub fn meta(&self) -> String {
        let passed: Vec<_> =
            self.passed_over.iter().map(|(s, why)| json!({ "server": s.as_str(), "why": why })).collect();
        let mut meta = json!({
            "target": self.decision.target.as_str(),
            "server": self.server.as_str(),
            "by": self.decision.by.name(),
            "reason": self.decision.reason,
            "confidence": rounded(self.decision.confidence),
        });
        if !passed.is_empty() {
            meta["passed_over"] = passed.into();
        }
        meta.to_string()
    }

    /// The same for an HTTP header, for answers that must stay as they are: `etim; confidence=0.95; reason="..."`.
    pub fn header(&self) -> String {
        let plain = |c: char| if (' '..='~').contains(&c) && c != '"' && c != '\\' { c } else { '\'' };
        let reason: String = self.decision.reason.chars().map(plain).collect();
        format!("{}; confidence={}; reason=\"{reason}\"", self.server, rounded(self.decision.confidence))
    }

    /// The answer with the decision in its `_meta`; an error stays as it is.
    pub fn body_with_meta(&self) -> Bytes {
        with_meta(&self.reply.body, ROUTE_KEY, &self.meta())
    }
}

/// Two digits: `0.95` in single precision is not quite that.
fn rounded(confidence: f32) -> f64 {
    (f64::from(confidence) * 100.0).round() / 100.0
}

/// `body` with `key` in its result's `_meta`; as it is if it has no result that could hold it.
pub fn with_meta(body: &Bytes, key: &str, json: &str) -> Bytes {
    let Ok(text) = std::str::from_utf8(body) else { return body.clone() };
    let meta = wire::Change::Within(vec![wire::Edit::set(key, json)]);
    let result = wire::Change::Within(vec![wire::Edit::new("_meta", meta)]);
    let is_object = wire::members(text)
        .is_ok_and(|members| members.iter().any(|member| member.key == "result" && member.text(text).starts_with('{')));
    let mut out = String::with_capacity(text.len() + json.len() + 64);
    match is_object && wire::splice(text, &[wire::Edit::new("result", result)], &mut out).is_ok() {
        true => out.into(),
        false => body.clone(),
    }
}

/// What a message asks for by routing context: `_meta["io.mcpdeck/route"] = { "target", "query", "context" }`, or
/// `{ "targets" }` for several servers. `None` if it does not ask.
pub fn asked_in(message: &[u8]) -> Option<Result<Asked, String>> {
    let text = std::str::from_utf8(message).ok().filter(|text| text.contains(ROUTE_KEY))?;
    let inside = |text: &str, key: &str| {
        let members = wire::members(text).ok()?;
        Some(members.iter().find(|member| member.key == key)?.text(text).to_owned())
    };
    let ask = inside(&inside(&inside(text, "params")?, "_meta")?, ROUTE_KEY)?;
    Some(fanout::read(&ask))
}
