//! Calls that end with us: what all servers as one are asked, and what a limit keeps from being carried. Their accounts
//! are like those of any call, so that nothing a caller does goes unrecorded.

use super::flight::{Flight, Plan};
use super::ledger::{End, Ledger};
use super::limits::Exceeded;
use super::message::Message;
use super::outcome::Stop;
use super::{AMBIENT, CallBody, CallReply, CallRequest, Router};
use crate::model::server::Settings;
use crate::model::{CallId, ServerId, Stamp};
use std::sync::Arc;
use tokio::time::Instant;

impl Router {
    /// Records a call that a limit of its tenant keeps from being carried, and tells its caller so.
    pub async fn refuse(&self, request: CallRequest, exceeded: Exceeded) -> CallReply {
        let body = match &request.body {
            CallBody::Read(message) => CallBody::Raw(message.text.clone()),
            CallBody::Raw(bytes) => CallBody::Raw(bytes.clone()),
            CallBody::Method { method, params } => CallBody::Method { method: method.clone(), params: params.clone() },
        };
        // What cannot even be read is refused all the same.
        let message = Message::read(body, CallId(0), false).ok();
        let id = message.as_ref().map_or("null", |message| &message.id);
        let end = End::stopped(Stop::refused(exceeded.to_string()), id);
        let reply = self.account(&request, request.server.clone(), message.as_deref()).close(end).await;
        CallReply { exceeded: Some(exceeded), ..reply }
    }

    /// Opens the account of a call that no upstream sees.
    pub(super) fn account(&self, request: &CallRequest, server: ServerId, message: Option<&Message>) -> Ledger<'_> {
        let began = Instant::now();
        let ambient = AMBIENT.try_with(|around| (around.trace, around.arrived.take())).ok();
        let trace = message.and_then(|m| m.meta.trace).or(ambient.map(|(trace, _)| trace));
        let before = ambient.and_then(|(_, arrived)| Some(began - arrived?));
        let settings = Settings::default();
        let flight = Flight::new(Plan {
            id: self.next_id(),
            at: Stamp::now(),
            began,
            tenant: request.tenant.clone(),
            server,
            method: message.map(|m| m.method.clone()).unwrap_or_default(),
            tool: message.and_then(|m| m.name.clone()),
            origin: request.origin,
            principal: request.principal.clone(),
            role: request.role,
            trace,
            events: None,
            relay: None,
            request: message.map(|m| m.text.clone()).unwrap_or_default(),
            auth_us: before.map(|before| before.as_micros().try_into().unwrap_or(u32::MAX)),
            timeout: settings.timeout,
            cap: settings.timeout_cap,
        });
        let mut ledger = Ledger::open(self, Arc::new(flight));
        let table = self.table.load();
        ledger.audit = table.routes(&request.tenant).next().map(|route| route.tenant.audit).unwrap_or_default();
        ledger
    }
}
