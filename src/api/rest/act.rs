//! Acts on instances: the same commands as those of the screen and the command line, waited for.

use super::Answer;
use super::caller::Caller;
use super::input::{Path, Query};
use crate::api::Error;
use crate::model::message::{JobOutcome, JobRow};
use crate::model::{Command, InstanceKey, JobId, Refusal};
use axum::Json;
use axum::response::IntoResponse;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

/// An answer comes within this, whatever becomes of the act.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be done to the instances of a server.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Starts it, and lifts a hold.
    Start,
    /// Puts it to sleep: the next request starts it again. With `hold`, as `hold` does.
    Stop,
    /// Puts it to sleep: the next request starts it again.
    Sleep,
    /// Starts it, unless somebody holds it.
    Wake,
    /// Stops it; requests are refused until it is released.
    Hold,
    /// Lifts a hold and starts it.
    Release,
    Restart,
    /// Takes it out of rotation; it keeps running.
    Fence,
    Unfence,
    /// Looks now whether it is well.
    Probe,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct How {
    /// With `stop`: requests are refused until it is started.
    #[serde(default)]
    hold: bool,
    /// The name as it is in the path: if it is given and production would ask for another one, nothing is done.
    confirm: Option<String>,
}

/// What became of an act.
#[derive(Serialize, ToSchema)]
pub struct Done {
    success: bool,
    message: String,
    /// Set if it failed: the message once more, where other errors have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Done {
    fn failed(message: String) -> Self {
        Self { success: false, error: Some(message.clone()), message }
    }
}

/// Does something to the instances of a server.
#[utoipa::path(
    post, path = "/servers/{name}/{act}", tag = "servers",
    params(("name" = String, Path, description = "`server`, or `server@customer`"), ("act" = Verb, Path), How),
    responses(
        (status = 200, body = Done),
        (status = 202, body = Done, description = "it takes longer; events tell its end"),
        (status = 400, body = Done),
        (status = 403, body = Done, description = "not an operator, read-only, or denied by a guardrail"),
        (status = 404, body = Done),
        (status = 409, body = Done, description = "not possible in this state, or not this customer's alone"),
        (status = 428, body = Done, description = "`confirm` is another name than production asks for"),
        (status = 502, body = Done, description = "it was tried and failed"),
        (status = 503, body = Done),
    )
)]
pub async fn act(caller: Caller, Path((name, verb)): Path<(String, Verb)>, Query(how): Query<How>) -> Answer {
    match give(&caller, &name, verb, how).await {
        Ok(job) => told(ended(&caller, job).await, job),
        Err(error) => {
            let status = error.status();
            (status, Json(Done::failed(error.to_string()))).into_response()
        }
    }
}

async fn give(caller: &Caller, name: &str, verb: Verb, how: How) -> Result<JobId, Error> {
    // What a caller cannot see is unknown to it, before anything else is.
    let target = caller.view().target(name)?;
    caller.must_operate()?;
    if let Some(tenant) = caller.scope().filter(|_| target.tenant.is_none()) {
        let why = format!("{target} is shared: {tenant} has no instance of its own; ask without X-Customer-ID");
        return Err(Refusal::Refused(why).into());
    }
    let command = command(caller, verb, target, how.hold)?;
    caller.give(command, how.confirm).await
}

fn command(caller: &Caller, verb: Verb, target: InstanceKey, hold: bool) -> Result<Command, Error> {
    if hold && !matches!(verb, Verb::Stop) {
        return Err(Error::BadRequest("hold goes with stop alone".to_owned()));
    }
    Ok(match verb {
        Verb::Start | Verb::Release => Command::Start(target),
        Verb::Wake => {
            let view = caller.view();
            let held = view.instances(&target).find_map(|row| Some((row.key.clone(), row.held.clone()?)));
            if let Some((key, mark)) = held {
                let why = format!("{key} was stopped by {}, who holds it: start or release it", mark.by);
                return Err(Refusal::Refused(why).into());
            }
            Command::Start(target)
        }
        Verb::Stop if hold => Command::Stop(target),
        Verb::Hold => Command::Stop(target),
        Verb::Stop | Verb::Sleep => Command::Sleep(target),
        Verb::Restart => Command::Restart(target),
        Verb::Fence => Command::Fence(target),
        Verb::Unfence => Command::Unfence(target),
        Verb::Probe => Command::Probe(target),
    })
}

/// The job's end; `None` if it is not there yet.
pub async fn ended(caller: &Caller, job: JobId) -> Option<Arc<JobRow>> {
    let handle = &caller.gateway.handle;
    let mut revisions = handle.revisions();
    let end = async {
        loop {
            let state = handle.state();
            if let Some(row) = state.jobs.iter().find(|row| row.id == job && row.outcome.is_some()) {
                return Some(row.clone());
            }
            revisions.changed().await.ok()?;
        }
    };
    tokio::select! {
        end = timeout(PATIENCE, end) => end.ok().flatten(),
        () = caller.gateway.closing.cancelled() => None,
    }
}

fn told(row: Option<Arc<JobRow>>, job: JobId) -> Answer {
    let Some(row) = row else {
        let message = format!("{job} is under way; /api/events tells its end");
        return (StatusCode::ACCEPTED, Json(Done { success: true, message, error: None })).into_response();
    };
    let message = format!("{}: {}", row.title, row.message);
    if row.outcome == Some(JobOutcome::Ok) {
        return Json(Done { success: true, message, error: None }).into_response();
    }
    (StatusCode::BAD_GATEWAY, Json(Done::failed(message))).into_response()
}
