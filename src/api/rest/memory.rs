//! `/skills` and `/conversations`: passed through to the server that `[api] memory` names, by its tools.

use super::caller::Caller;
use super::input::{Json as Body, Query};
use super::openapi::Problem;
use super::tool;
use super::view::View;
use crate::api::Error;
use crate::model::ServerId;
use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

/// What the memory server answered, as it is.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object)]
pub struct Passed(Value);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Skills {
    /// One skill, with its body.
    name: Option<String>,
    /// Words to search for.
    query: Option<String>,
    /// `dev`, `approved` or `stable`.
    status: Option<String>,
    limit: Option<u32>,
}

/// Skills of the customer: all, those that hold some words, or one.
#[utoipa::path(
    get, path = "/skills", tag = "memory", params(Skills),
    responses((status = 200, body = Passed), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn skills(caller: Caller, Query(asked): Query<Skills>) -> Result<Json<Passed>, Error> {
    match asked {
        Skills { name: Some(name), query: None, status: None, .. } => {
            pass(&caller, "skills_get", json!({ "name": name })).await
        }
        Skills { query: Some(query), name: None, status: None, limit } => {
            pass(&caller, "skills_search", known(json!({ "query": query, "limit": limit }))).await
        }
        Skills { name: None, query: None, status, limit } => {
            pass(&caller, "skills_list", known(json!({ "status": status, "limit": limit }))).await
        }
        _ => Err(Error::BadRequest("give one of name, query and status".to_owned())),
    }
}

/// Adds a skill; the body is what the memory server's `skills_add` takes: `name`, `description`, `body`.
#[utoipa::path(
    post, path = "/skills", tag = "memory", request_body(content = Object),
    responses((status = 200, body = Passed), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn add_skill(caller: Caller, Body(skill): Body<Map<String, Value>>) -> Result<Json<Passed>, Error> {
    pass(&caller, "skills_add", Value::Object(skill)).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Conversations {
    /// One conversation, with its messages.
    conversation: Option<String>,
    /// Words to search for.
    query: Option<String>,
    limit: Option<u32>,
}

/// Conversations of the customer: all, messages that hold some words, or one.
#[utoipa::path(
    get, path = "/conversations", tag = "memory", params(Conversations),
    responses((status = 200, body = Passed), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn conversations(caller: Caller, Query(asked): Query<Conversations>) -> Result<Json<Passed>, Error> {
    let limit = asked.limit;
    match (asked.conversation, asked.query) {
        (Some(name), None) => {
            pass(&caller, "conversation_get", known(json!({ "conversation": name, "limit": limit }))).await
        }
        (None, Some(query)) => {
            pass(&caller, "conversation_search", known(json!({ "query": query, "limit": limit }))).await
        }
        (None, None) => pass(&caller, "conversation_list", known(json!({ "limit": limit }))).await,
        _ => Err(Error::BadRequest("give one of conversation and query".to_owned())),
    }
}

/// Appends a message; the body is what `conversation_append` takes: `conversation`, `role`, `text`.
#[utoipa::path(
    post, path = "/conversations", tag = "memory", request_body(content = Object),
    responses((status = 200, body = Passed), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn add_message(caller: Caller, Body(message): Body<Map<String, Value>>) -> Result<Json<Passed>, Error> {
    pass(&caller, "conversation_append", Value::Object(message)).await
}

/// There is no commit index yet.
#[utoipa::path(get, path = "/commits", tag = "memory", responses((status = 404, body = Problem)))]
pub async fn commits(_caller: Caller) -> Error {
    Error::NotFound("mcpdeck has no commit index yet; /skills and /conversations are there".to_owned())
}

async fn pass(caller: &Caller, tool: &str, arguments: Value) -> Result<Json<Passed>, Error> {
    let server = memory(caller)?;
    Ok(Json(Passed(tool::call(caller, &server, tool, arguments).await?)))
}

/// The server that remembers, if the caller's customer has it.
fn memory(caller: &Caller) -> Result<ServerId, Error> {
    let config = caller.gateway.inside.config.get();
    let none = || Error::NotFound("no server remembers here: see [api] memory".to_owned());
    let server = config.api.memory.clone().ok_or_else(none)?;
    let view = View::new(caller.gateway.handle.state(), Some(caller.tenant()?));
    view.server(server.as_str())?;
    Ok(server)
}

/// Without what was not given.
fn known(mut arguments: Value) -> Value {
    if let Some(fields) = arguments.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    arguments
}
