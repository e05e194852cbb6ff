//! People at consoles as clients: each console has a session of its own at each server, so that a server can ask the
//! person at it (elicitation, sampling, roots). Owns no I/O.

use super::call;
use super::client::{Client, Endpoint, Outbox};
use super::era::{CLIENT_INFO, LEGACY};
use super::flight::lock;
use super::message::Message;
use super::session::{Hello, Owner, Session, SessionLimits};
use super::{CallBody, CallReply, CallRequest, Router};
use crate::model::message::Operator;
use crate::model::{CallId, ServerId, TenantId};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What a console says that it can do.
const CAPABILITIES: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#;
/// Sessions of consoles that are remembered; one that is forgotten goes on until nobody used it for long.
const MOST: usize = 1024;

/// Whose a session is: tenant, server, operator's name, process.
type Whose = (TenantId, ServerId, Box<str>, u32);

/// The sessions of all consoles.
#[derive(Default)]
pub struct People {
    sessions: Mutex<BTreeMap<Whose, Arc<Session>>>,
}

impl People {
    fn get(&self, whose: &Whose) -> Option<Arc<Session>> {
        lock(&self.sessions).get(whose).filter(|session| !session.ended.is_cancelled()).cloned()
    }

    fn keep(&self, whose: Whose, session: Arc<Session>) {
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, session| !session.ended.is_cancelled());
        if sessions.len() >= MOST {
            sessions.pop_first();
        }
        sessions.insert(whose, session);
    }
}

fn whose(tenant: &TenantId, server: &ServerId, operator: &Operator) -> Whose {
    (tenant.clone(), server.clone(), operator.name.as_str().into(), operator.pid)
}

impl Router {
    /// The session of a console at a server, if it has one.
    pub(super) fn person_at(&self, tenant: &TenantId, server: &ServerId, operator: &Operator) -> Option<Arc<Session>> {
        self.people.get(&whose(tenant, server, operator))
    }

    /// Carries a call of somebody who can be asked: what the upstream asks lies in `outbox`, and is answered by
    /// [`Router::answer`]. Where there is no room for another session the call is carried as any other.
    pub async fn call_of_person(&self, request: CallRequest, operator: &Operator, outbox: &Arc<Outbox>) -> CallReply {
        match self.person(&request.tenant, &request.server, operator) {
            Some(session) => call::carry(self, request, Client::Person(session), Some(outbox.clone())).await,
            None => self.call(request).await,
        }
    }

    pub(super) fn person(&self, tenant: &TenantId, server: &ServerId, operator: &Operator) -> Option<Arc<Session>> {
        let whose = whose(tenant, server, operator);
        if let Some(session) = self.people.get(&whose) {
            return Some(session);
        }
        let owner = Owner {
            tenant: tenant.clone(),
            principal: format!("console {} {}", operator.name, operator.pid).into(),
            endpoint: Endpoint::Server(server.clone()),
        };
        let hello = Hello { version: LEGACY, capabilities: CAPABILITIES.into(), info: CLIENT_INFO.into() };
        // Limits are for clients: an operator must get in when they are reached.
        let limits = SessionLimits { all: usize::MAX, tenant: usize::MAX };
        let session = self.sessions.begin(owner, hello, limits).ok()?;
        self.people.keep(whose, session.clone());
        Some(session)
    }

    /// Takes a person's answer (a whole JSON-RPC message) to who asked. False if nobody waits for it any more.
    pub fn answer(&self, tenant: &TenantId, server: &ServerId, operator: &Operator, message: &str) -> bool {
        let Some(session) = self.person_at(tenant, server, operator) else { return false };
        let text = CallBody::Raw(Bytes::copy_from_slice(message.as_bytes()));
        Message::read(text, CallId(0), true).is_ok_and(|message| session.answered(&message))
    }
}
