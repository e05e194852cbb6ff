//! What an operator does to one container.

use super::DockerEngine;
use super::connect::Client;
use crate::backend::BackendError;
use crate::model::container::{ContainerAct, ContainerState};
use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptions, RestartContainerOptions, StopContainerOptions};
use std::time::Duration;

/// What an engine needs beside the time that it gives the container.
const WORK: Duration = Duration::from_secs(30);

/// The engine's word for "it is so already".
const CONFLICT: u16 = 409;

/// Doing what is done already is fine.
pub async fn act(engine: &DockerEngine, id: &str, act: ContainerAct, grace: Duration) -> Result<(), BackendError> {
    let client = engine.client().await?;
    let paused = engine.row(id).is_some_and(|row| row.state == ContainerState::Paused);
    // Who starts a paused one wants it to run; an engine starts only what has ended.
    let act = if paused && act == ContainerAct::Start { ContainerAct::Unpause } else { act };
    let ends = matches!(act, ContainerAct::Stop | ContainerAct::Restart | ContainerAct::Kill);
    if ends && paused {
        // A paused one takes no signal, not even the last, until it is woken.
        client.within(WORK, async { done(client.docker.unpause_container(id).await) }).await?;
    }
    let outcome = client.within(grace + WORK, request(&client, id, act, grace)).await;
    outcome.map_err(|error| match error {
        BackendError::Engine { engine, reason } => {
            BackendError::Engine { engine, reason: format!("cannot {} it: {reason}", act.verb()) }
        }
        other => other,
    })
}

async fn request(client: &Client, id: &str, act: ContainerAct, grace: Duration) -> Result<(), Error> {
    let docker = &client.docker;
    let seconds = grace.as_millis().div_ceil(1000).try_into().unwrap_or(i32::MAX);
    let outcome = match act {
        ContainerAct::Start => docker.start_container(id, None).await,
        ContainerAct::Stop => {
            docker.stop_container(id, Some(StopContainerOptions { t: Some(seconds), signal: None })).await
        }
        ContainerAct::Restart => {
            docker.restart_container(id, Some(RestartContainerOptions { t: Some(seconds), signal: None })).await
        }
        ContainerAct::Kill => {
            docker.kill_container(id, Some(KillContainerOptions { signal: "SIGKILL".to_owned() })).await
        }
        ContainerAct::Pause => docker.pause_container(id).await,
        ContainerAct::Unpause => docker.unpause_container(id).await,
    };
    done(outcome)
}

fn done(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(Error::DockerResponseServerError { status_code: CONFLICT | 500, message }) if is_so_already(&message) => {
            Ok(())
        }
        outcome => outcome,
    }
}

/// What engines say of a container that is already as it was to be made: Docker under 409, Podman under 500 or 409. The
/// last two are Podman's of one that ended by itself while it was being killed.
pub fn is_so_already(message: &str) -> bool {
    const WORDS: [&str; 6] = [
        "is not running",
        "is already paused",
        "is not paused",
        "can only kill running containers",
        "state improper: stopped",
        "state improper: exited",
    ];
    WORDS.iter().any(|words| message.contains(words))
}
