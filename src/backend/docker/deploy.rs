//! Parts of stacks: made and removed the way instances are, owned by control.

use super::DockerEngine;
use super::provide::{self, Order, Volumes};
use super::{abilities, inspect, leftovers, pull};
use crate::backend::engine::Outlook;
use crate::backend::{BackendError, ContainerSpec, Progress};
use crate::model::container::{Pull, labels};
use crate::model::server::Limits;
use std::time::Duration;

/// Makes the container `name` exist as `spec` says and run. Returns its id.
pub async fn deploy(
    engine: &DockerEngine,
    name: &str,
    spec: ContainerSpec,
    limits: Limits,
    progress: &Progress,
) -> Result<String, BackendError> {
    let label = |wanted: &str| spec.labels.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let Some(platform) = label(labels::PLATFORM) else {
        return Err(BackendError::Engine {
            engine: engine.yard.id.to_string(),
            reason: format!(
                "container {name} has no label {}; without it nobody would know whose it is",
                labels::PLATFORM
            ),
        });
    };
    let order = Order {
        name: name.to_owned(),
        platform,
        boot: label(labels::BOOT),
        labels: vec![(labels::SPEAKS, provide::word(&spec.speaks).to_owned())],
        spec,
        limits,
    };
    let client = engine.client().await?;
    let workshop = &engine.yard.workshop;
    let ready = workshop.prepare(&client, &order, progress).await?;
    for note in ready.notes() {
        progress.send_replace(note.clone());
    }
    Ok(workshop.launch(&client, &order, ready).await?.id)
}

/// What awaits a container of this kind. An engine that does not answer says nothing; that is told elsewhere.
pub async fn outlook(engine: &DockerEngine, spec: &ContainerSpec) -> Outlook {
    let Ok(client) = engine.client().await else { return Outlook::default() };
    if let Err(error) = abilities::check_gpu(&client, spec.gpu.as_ref()) {
        return Outlook { refused: Some(error.to_string()), pulls: false };
    }
    match (inspect::image(&client, &spec.image).await, spec.pull) {
        (Ok(None), Pull::Never) => Outlook { refused: Some(pull::never(&spec.image)), pulls: false },
        (Ok(None), Pull::Missing | Pull::Always) | (Ok(Some(_)), Pull::Always) => {
            Outlook { refused: None, pulls: true }
        }
        (Ok(Some(_)), Pull::Missing | Pull::Never) | (Err(_), _) => Outlook::default(),
    }
}

/// Stops and removes a container of ours, and networks of ours that hold nothing any more; `Ok` if there is none.
pub async fn remove(engine: &DockerEngine, id: &str, grace: Duration) -> Result<(), BackendError> {
    let client = engine.client().await?;
    let Some(there) = inspect::container(&client, id).await? else { return Ok(()) };
    let Some(platform) = there.label(labels::PLATFORM) else {
        return Err(BackendError::Engine {
            engine: client.engine.to_string(),
            reason: format!("container {id} was not made by mcpdeck and is not removed"),
        });
    };
    // A database may be in a volume without a name.
    let volumes = if there.label(labels::STACK).is_some() { Volumes::Keep } else { Volumes::Remove };
    provide::retire(&client, &there.id, grace, Some(volumes)).await?;
    let networks: Vec<_> = there.networks().map(str::to_owned).collect();
    leftovers::leave_networks(&client, platform, &networks).await
}
