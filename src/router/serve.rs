//! What the faces hand in for their clients: messages at endpoints, sessions and their ends.

use super::call;
use super::cells;
use super::client::{Client, ClientRequest, Endpoint};
use super::session::{Hello, NoSession, Owner, Session, SessionLimits};
use super::{AllReply, CallBody, CallRequest, Exceeded, Note, Router};
use crate::model::call::Origin;
use crate::model::server::Scope;
use crate::model::{InstanceKey, ServerId};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What a client is answered.
#[derive(Default)]
pub struct Served {
    /// Of the JSON-RPC error, if the answer is one.
    pub code: Option<i64>,
    /// Empty for what needs no answer.
    pub body: Bytes,
    /// Where routing led, for the head of an answer.
    pub route: Option<String>,
    /// The limit for whose sake it was refused.
    pub exceeded: Option<Exceeded>,
}

impl Router {
    /// Answers one message of a client at an endpoint; never panics, always answers (a notification with an empty
    /// body). Dropping the future cancels it upstream.
    pub async fn serve(self: &Arc<Self>, request: ClientRequest) -> Served {
        if request.message.method == "subscriptions/listen" && matches!(request.client, Client::Modern(_)) {
            return Box::pin(self.listen(request)).await;
        }
        let ClientRequest { tenant, principal, role, endpoint, client, message, outbox } = request;
        let request = CallRequest {
            tenant,
            server: ServerId::from(""),
            body: CallBody::Read(message),
            era: None,
            timeout: None,
            origin: Origin::Http,
            principal,
            role: Some(role),
            session: client.session().map(|session| session.number),
            events: None,
        };
        match endpoint {
            Endpoint::Server(server) => {
                // Boxed here and once more at the upstream: each future around it would be moved with all of it inside.
                let reply = Box::pin(call::carry(self, CallRequest { server, ..request }, client, outbox)).await;
                Served { code: reply.code, body: reply.body, route: None, exceeded: reply.exceeded }
            }
            Endpoint::All => {
                let AllReply { body, route, exceeded } = Box::pin(self.call_all(request, client.clone(), outbox)).await;
                let (code, body) = cells::of_any_era(&client, body);
                Served { code, body, route, exceeded }
            }
        }
    }

    /// Begins a session for a client that sent `initialize`.
    pub fn begin_session(&self, owner: Owner, hello: Hello, limits: SessionLimits) -> Result<Arc<Session>, NoSession> {
        self.sessions.begin(owner, hello, limits)
    }

    /// The session of this id, if it is this owner's.
    pub fn session(&self, id: &str, owner: &Owner) -> Option<Arc<Session>> {
        self.sessions.find(id, owner)
    }

    /// Ends a session and whatever is its own upstream.
    pub fn end_session(&self, session: &Session) {
        if !self.sessions.end(session) {
            return;
        }
        let table = self.table.load();
        let servers = match &session.owner.endpoint {
            Endpoint::Server(server) => vec![server.clone()],
            Endpoint::All => table.servers_of(&session.owner.tenant),
        };
        for server in servers {
            let Ok(route) = table.route(&session.owner.tenant, &server) else { continue };
            let key = route.instance(Some(session.number));
            let Some(slot) = self.slots.get(&key) else { continue };
            match slot.live() {
                _ if route.server.scope == Scope::Session => self.session_over(key),
                Some(link) => link.upstream.end_session(session.number),
                None => {}
            }
        }
    }

    /// Control stops the instance. It waits if the queue is full: a child must not be left behind.
    fn session_over(&self, instance: InstanceKey) {
        let notes = self.notes.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { notes.send(Note::SessionOver { instance }).await });
        }
    }

    /// Ends the sessions that nobody used for so long; how many there were.
    pub fn reap_sessions(&self, idle: Duration) -> usize {
        let idle = self.sessions.idle(idle);
        idle.iter().for_each(|session| self.end_session(session));
        idle.len()
    }

    /// Ends the streams that clients hold open, for good: whoever drains its connections would wait for ever.
    pub fn end_streams(&self) {
        self.streams.cancel();
    }

    /// Open sessions of legacy clients.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Cancels a client's call by the client's own id (JSON text). False if it has none of that id under way.
    pub fn cancel_of(&self, session: &Session, id: &str) -> bool {
        session.call(id).is_some_and(|call| self.flights.cancel(call, "its client"))
    }
}
