//! What an earlier owner of the platform left with the engines: what goes on serving, and what nobody wants.
//!
//! Parts of stacks belong to control, which knows the config; they are never touched here.

use super::connect::Client;
use super::instances::Shared;
use super::listed::{self, List};
use super::provide::{self, Volumes};
use super::{names, network};
use crate::backend::{BackendError, Orphan};
use crate::model::InstanceKey;
use crate::model::container::labels;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};
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
        let (orphans, kept): (Vec<_>, Vec<_>) = containers(&client, &shared.platform, &shared.boot)
            .await?
            .into_iter()
            .partition(|left| left.is_orphan(&taken));
        for orphan in orphans {
            let grace = if orphan.live { GRACE } else { Duration::ZERO };
            provide::retire(&client, &orphan.id, grace, Some(Volumes::Remove)).await?;
            reaped += 1;
        }
        let used: BTreeSet<_> = kept.into_iter().flat_map(|left| left.networks).collect();
        // One that is being started may have its network and no container yet.
        if taken.is_empty() {
            network::sweep(&client, &shared.platform, |name| !used.contains(name)).await?;
        }
    }
    Ok(reaped)
}

/// Removes those of `names` that are ours and hold no container any more.
pub async fn leave_networks(client: &Client, platform: &str, names: &[String]) -> Result<(), BackendError> {
    let left = containers(client, platform, "").await?;
    let is_used = |name: &str| left.iter().any(|left| left.networks.iter().any(|network| network == name));
    network::sweep(client, platform, |name| names.iter().any(|left| left == name) && !is_used(name)).await
}

async fn all(shared: &Shared) -> Vec<(Client, Left)> {
    let mut all = Vec::new();
    for engine in &shared.engines {
        let Ok(client) = engine.client().await else { continue };
        match containers(&client, &shared.platform, &shared.boot).await {
            Ok(found) => all.extend(found.into_iter().map(|left| (client.clone(), left))),
            Err(error) => tracing::warn!("what was left behind there is not known: {error}"),
        }
    }
    all
}

/// One row of `GET /containers/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Option<Vec<String>>,
    state: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    network_settings: Option<Networks>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Networks {
    networks: Option<BTreeMap<String, IgnoredAny>>,
}

async fn containers(client: &Client, platform: &str, boot: &str) -> Result<Vec<Left>, BackendError> {
    let all: List = client.get("/containers/json?all=1").await?;
    // One that cannot be read is not provably ours.
    Ok(all.iter().filter_map(|raw| left(listed::row(raw).ok()?, platform, boot)).collect())
}

/// `None`: it is not of this platform.
fn left(listed: Listed, platform: &str, boot: &str) -> Option<Left> {
    let labels = listed.labels.filter(|labels| bears(labels, labels::PLATFORM, platform))?;
    let name = listed.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
    let name = name.trim_start_matches('/').to_owned();
    let part = labels.contains_key(labels::STACK);
    let key: Option<InstanceKey> = labels.get(labels::INSTANCE).and_then(|key| key.parse().ok());
    // Labels are handed on by `docker commit`; the name is not.
    let key = key.filter(|key| names::container_name(platform, key) == name);
    if key.is_none() && !part {
        return None;
    }
    let networks = listed.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    Some(Left {
        id: listed.id,
        name,
        key,
        live: matches!(listed.state.as_deref(), Some("running" | "paused" | "restarting")),
        stdio: bears(&labels, labels::SPEAKS, "stdio"),
        own: bears(&labels, labels::BOOT, boot),
        part,
        networks: networks.into_keys().collect(),
    })
}

fn bears(labels: &BTreeMap<String, String>, name: &str, value: &str) -> bool {
    labels.get(name).is_some_and(|found| found == value)
}
