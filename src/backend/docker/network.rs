//! Networks of ours: one per tenant, one per shared server, nothing reaches from one into another.

use super::connect::Client;
use super::create;
use crate::backend::BackendError;
use crate::model::container::labels;
use crate::model::stack::Gate;
use bollard::models::{EndpointSettings, Network, NetworkConnectRequest, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// An engine that makes a network calls the firewall, which takes turns.
const LIMIT: Duration = Duration::from_secs(30);

/// Those that are being made now. Engines let two networks have one name, so one start makes it and the others wait.
#[derive(Default)]
pub struct Networks {
    making: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl Networks {
    /// Makes `name` if there is no such network.
    pub async fn ensure(&self, client: &Client, name: &str, platform: &str) -> Result<(), BackendError> {
        if !create::is_made(name) {
            return Ok(());
        }
        let cell = self.cell(name);
        let made = cell.get_or_try_init(|| async {
            if exists(client, name).await? {
                return Ok(());
            }
            make(client, name, platform).await
        });
        let made = made.await.copied();
        // It may be removed behind our back: the next start asks again.
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if making.get(name).is_some_and(|current| Arc::ptr_eq(current, &cell)) {
            making.remove(name);
        }
        made
    }

    fn cell(&self, name: &str) -> Arc<OnceCell<()>> {
        Arc::clone(self.making.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default())
    }
}

/// Where the engine's machine is in a network; `None` if there is no such network, or it has none.
pub async fn gateway(client: &Client, name: &str) -> Result<Option<Gate>, BackendError> {
    #[derive(Deserialize)]
    struct Shown {
        #[serde(rename = "IPAM", default)]
        ipam: Option<Ipam>,
    }
    #[derive(Deserialize)]
    struct Ipam {
        #[serde(rename = "Config", default)]
        config: Option<Vec<Range>>,
    }
    #[derive(Deserialize)]
    struct Range {
        #[serde(rename = "Gateway", default)]
        gateway: Option<String>,
        /// `172.18.0.0/16`
        #[serde(rename = "Subnet", default)]
        subnet: Option<String>,
    }
    let shown: Option<Shown> = client.find(&format!("/networks/{name}")).await?;
    let ranges = shown.and_then(|network| network.ipam?.config).unwrap_or_default();
    // Some engines write the prefix behind it.
    let gate = |range: Range| {
        let address = range.gateway?.split('/').next()?.parse().ok()?;
        Some(Gate { address, prefix: range.subnet?.rsplit_once('/')?.1.parse().ok()? })
    };
    Ok(ranges.into_iter().find_map(gate))
}

async fn exists(client: &Client, name: &str) -> Result<bool, BackendError> {
    #[derive(Deserialize)]
    struct There {}
    Ok(client.find::<There>(&format!("/networks/{name}")).await?.is_some())
}

async fn make(client: &Client, name: &str, platform: &str) -> Result<(), BackendError> {
    // Docker keeps its networks apart by itself, Podman those that ask for it.
    let options = client.podman.then(|| HashMap::from([("isolate".to_owned(), "true".to_owned())]));
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        options,
        labels: Some(HashMap::from([(labels::PLATFORM.to_owned(), platform.to_owned())])),
        ..NetworkCreateRequest::default()
    };
    match client.within(LIMIT, client.docker.create_network(request)).await {
        Ok(_) => Ok(()),
        Err(BackendError::Engine { engine, reason }) => {
            Err(BackendError::Engine { engine, reason: format!("network {name}: {}", explained(reason)) })
        }
        Err(other) => Err(other),
    }
}

fn explained(reason: String) -> String {
    match reason.contains("address pool") {
        true => format!("{reason}; give the engine more `default-address-pools`, or remove networks that nobody uses"),
        false => reason,
    }
}

/// Lets a created container into a network that exists.
pub async fn join(client: &Client, container: &str, network: &str) -> Result<(), BackendError> {
    let request =
        NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(EndpointSettings::default()) };
    client.within(LIMIT, client.docker.connect_network(network, request)).await
}

/// Removes those of `platform` that are `free`. One that somebody joined meanwhile, the engine keeps.
pub async fn sweep(client: &Client, platform: &str, free: impl Fn(&str) -> bool) -> Result<(), BackendError> {
    let label = format!("{}={platform}", labels::PLATFORM);
    let filters = HashMap::from([("label", vec![label.as_str()])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = client.within(LIMIT, client.docker.list_networks(Some(options))).await?;
    let name = |network: Network| network.name.filter(|name| free(name));
    for name in networks.into_iter().filter_map(name) {
        if let Err(error) = client.within(LIMIT, client.docker.remove_network(&name)).await {
            tracing::warn!("network {name} stays: {error}");
        }
    }
    Ok(())
}
