//! `/api/events`: facts as they happen.

use super::Answer;
use super::caller::Caller;
use super::input::Query;
use super::stream::{self, Next, Piece};
use super::times::rfc3339;
use super::view::View;
use crate::api::Error;
use crate::model::message::{Event, EventKind};
use crate::model::{Chunk, Feed, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Events that are kept to be told again.
const KEPT: u32 = 1000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Backlog {
    /// So many of the newest before those to come; 1000 at most.
    #[serde(default)]
    backlog: u32,
}

/// A fact: the data of an event named after its kind.
#[derive(Serialize, ToSchema)]
pub struct Fact {
    /// Grows by one per event of the platform; those of others are left out.
    seq: u64,
    at: String,
    /// What is meant: an instance, a job, a server and a customer.
    object: String,
    /// From which state to which, where one changed.
    from: Option<&'static str>,
    to: Option<&'static str>,
    by: Option<String>,
    text: String,
}

/// Facts as they happen, as server-sent events.
///
/// `transition`, `act`, `job`, `enabled`, `notice`, `attached`; `lost` says how many a slow reader missed, `end` why it is
/// over. A customer is told of what serves it.
#[utoipa::path(
    get, path = "/api/events", tag = "records", params(Backlog),
    responses((status = 200, body = Fact, content_type = "text/event-stream"))
)]
pub async fn events(caller: Caller, Query(from): Query<Backlog>) -> Result<Answer, Error> {
    if from.backlog > KEPT {
        return Err(Error::BadRequest(format!("backlog: {}; at most {KEPT} are kept", from.backlog)));
    }
    let feed = caller.gateway.handle.follow(Feed::Events { backlog: from.backlog });
    let gateway = caller.gateway.clone();
    Ok(stream::answer(gateway, feed, move |chunk| {
        let Chunk::Events(events) = chunk else { return Next::Go(Piece::default()) };
        let view = caller.view();
        let mut piece = Piece::default();
        for event in &events {
            if let Some((name, fact)) = told(&view, caller.scope(), event) {
                piece.event(name, Some(event.seq), &fact);
            }
        }
        Next::Go(piece)
    }))
}

/// Name and data of an event, if the reader may know it.
fn told(view: &View, scope: Option<&TenantId>, event: &Event) -> Option<(&'static str, Fact)> {
    let fact = |object: String, text: String| Fact {
        seq: event.seq,
        at: rfc3339(event.at),
        object,
        from: None,
        to: None,
        by: None,
        text,
    };
    let everything = scope.is_none();
    match &event.kind {
        EventKind::Transition { instance, from, to, reason } => {
            let serves = view.state.instance(instance).is_some_and(|row| view.serves(row));
            // Why a shared one changed may tell of somebody else.
            let text = if view.is_shared(instance) { String::new() } else { reason.clone() };
            let fact = Fact { from: Some(from.name()), to: Some(to.name()), ..fact(instance.to_string(), text) };
            (everything || serves).then_some(("transition", fact))
        }
        EventKind::Enabled { server, tenant, on, by } => {
            let text = format!("{server} is {} for {tenant}", if *on { "enabled" } else { "disabled" });
            let by = everything.then(|| by.clone());
            let fact = Fact { by, ..fact(format!("{server} {tenant}"), text) };
            scope.is_none_or(|scope| scope == tenant).then_some(("enabled", fact))
        }
        _ if !everything => None,
        EventKind::Act { job, operator, command } => {
            Some(("act", Fact { by: Some(operator.name.clone()), ..fact(job.to_string(), command.command_line()) }))
        }
        EventKind::Job { job, title, message, .. } => {
            Some(("job", fact(job.to_string(), format!("{title}: {message}"))))
        }
        EventKind::Notice { text, .. } => Some(("notice", fact(String::new(), text.clone()))),
        EventKind::Attached { operator, on } => {
            let text = format!("a console {}", if *on { "attached" } else { "left" });
            Some(("attached", Fact { by: Some(operator.name.clone()), ..fact(String::new(), text) }))
        }
    }
}
