//! What an earlier owner of the platform left with the engines: what goes on serving, and what nobody wants.
//!
//! Parts of stacks belong to control, which knows the config; they are never touched here.

use super::connect::Client;
use super::instances::Shared;
use super::network;
use super::provide::{self, LIMIT, Volumes};
use crate::backend::{BackendError, Orphan};
use crate::model::InstanceKey;
use crate::model::container::labels;
use bollard::query_parameters::ListContainersOptionsBuilder;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Given to an orphan before it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// A container of this platform.
struct Left {
    id: String,
    name: String,
    key: Option<InstanceKey>,
    live: bool,
    stdio: bool,
    own: bool,
    part: bool,
    networks: Vec<String>,
}

impl Left {
    /// It serves nobody, or is a stopped one of an earlier owner. A stopped one of our own waits for its next start.
    fn is_orphan(&self, taken: &BTreeSet<InstanceKey>) -> bool {
        !self.part && !self.key.as_ref().is_some_and(|key| taken.contains(key)) && (self.live || !self.own)
    }

    fn what(&self) -> String {
        let doing = match (self.live, self.stdio) {
            (true, true) => "a running stdio server of an earlier owner",
            (true, false) => "running, and taken up by nobody",
            (false, _) => "stopped, of an earlier owner",
        };
        format!("container {} ({doing})", self.name)
    }
}

/// An engine that is silent has none to show.
pub async fn list(shared: &Shared) -> Vec<Orphan> {
    let taken = shared.taken();
    let left = all(shared).await;
    let orphan = |left: Left| {
        let what = left.what();
        let nameless = || InstanceKey::shared(left.name.as_str().into());
        Orphan { key: left.key.clone().unwrap_or_else(nameless), pid: None, what }
    };
    left.into_iter().filter(|(_, left)| left.is_orphan(&taken)).map(|(_, left)| orphan(left)).collect()
}

pub async fn survivors(shared: &Shared) -> Vec<InstanceKey> {
    let taken = shared.taken();
    let serving = |left: &Left| left.live && !left.stdio && !left.part;
    let left = all(shared).await.into_iter().filter(|(_, left)| serving(left));
    left.filter_map(|(_, left)| left.key).filter(|key| !taken.contains(key)).collect()
}

/// Removes them, and networks of ours that hold nothing any more.
pub async fn reap(shared: &Shared) -> Result<u32, BackendError> {
    let mut reaped = 0;
    for engine in &shared.engines {
        // Nothing can be removed where nobody answers; what is elsewhere still can.
        let Ok(client) = engine.client().await else { continue };
        let taken = shared.taken();
        let (orphans, kept): (Vec<_>, Vec<_>) =
            containers(&client, shared).await?.into_iter().partition(|left| left.is_orphan(&taken));
        for orphan in orphans {
            let grace = if orphan.live { GRACE } else { Duration::ZERO };
            provide::retire(&client, &orphan.id, grace, Some(Volumes::Remove)).await?;
            reaped += 1;
        }
        let used = kept.into_iter().flat_map(|left| left.networks).collect();
        if taken.is_empty() {
            network::sweep(&client, &shared.platform, &used).await?;
        }
    }
    Ok(reaped)
}

async fn all(shared: &Shared) -> Vec<(Client, Left)> {
    let mut all = Vec::new();
    for engine in &shared.engines {
        let Ok(client) = engine.client().await else { continue };
        match containers(&client, shared).await {
            Ok(found) => all.extend(found.into_iter().map(|left| (client.clone(), left))),
            Err(error) => tracing::warn!("what was left behind there is not known: {error}"),
        }
    }
    all
}

async fn containers(client: &Client, shared: &Shared) -> Result<Vec<Left>, BackendError> {
    let label = format!("{}={}", labels::PLATFORM, shared.platform);
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = client.within(LIMIT, client.docker.list_containers(Some(options))).await?;
    Ok(found
        .into_iter()
        .map(|container| {
            let labels = container.labels.unwrap_or_default();
            let name = container.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
            let networks = container.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
            Left {
                id: container.id.unwrap_or_default(),
                name: name.trim_start_matches('/').to_owned(),
                key: labels.get(labels::INSTANCE).and_then(|key| key.parse().ok()),
                live: container
                    .state
                    .is_some_and(|state| matches!(state.as_ref(), "running" | "paused" | "restarting")),
                stdio: labels.get(labels::SPEAKS).is_some_and(|speaks| speaks == "stdio"),
                own: labels.get(labels::BOOT) == Some(&shared.boot),
                part: labels.contains_key(labels::STACK),
                networks: networks.into_keys().collect(),
            }
        })
        .collect())
}
