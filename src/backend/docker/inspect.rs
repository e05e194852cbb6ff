//! What we read of containers and images, in types of our own: Podman has words that bollard's types refuse.

use super::connect::Client;
use crate::backend::BackendError;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Of `GET /containers/ID/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    pub id: String,
    /// Id of the image that it was made from.
    #[serde(default)]
    image: String,
    pub state: State,
    pub config: Config,
    #[serde(default, deserialize_with = "or_default")]
    pub network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    #[serde(default)]
    pub running: bool,
    #[serde(default)]
    pub paused: bool,
    #[serde(default, rename = "OOMKilled")]
    pub oom_killed: bool,
    #[serde(default)]
    pub exit_code: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    pub stop_signal: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    #[serde(default, deserialize_with = "or_default")]
    ports: BTreeMap<String, Option<Vec<Binding>>>,
    #[serde(default, deserialize_with = "or_default")]
    networks: BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_port: String,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default, rename = "IPAddress")]
    address: String,
}

/// Of `GET /images/NAME/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
}

impl Container {
    /// It has processes.
    pub fn is_live(&self) -> bool {
        self.state.running || self.state.paused
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.get(name).map(String::as_str)
    }

    pub fn is_made_from(&self, image: &str) -> bool {
        bare(&self.image) == bare(image)
    }

    /// The port of the host that leads to `inside` (`8000/tcp`).
    pub fn host_port(&self, inside: &str) -> Option<u16> {
        self.network_settings.ports.get(inside)?.as_ref()?.iter().find_map(|binding| binding.host_port.parse().ok())
    }

    /// Networks that it is in, or will be when it runs.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        self.network_settings.networks.keys().map(String::as_str)
    }

    /// Its address in `network`.
    pub fn address(&self, network: &str) -> Option<&str> {
        let address = &self.network_settings.networks.get(network)?.address;
        (!address.is_empty()).then_some(address)
    }
}

/// Docker writes `sha256:` before an id, Podman only sometimes.
fn bare(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `None`: there is no container of this id or name.
pub async fn container(client: &Client, id: &str) -> Result<Option<Container>, BackendError> {
    client.find(&format!("/containers/{id}/json")).await
}

/// The id of an image; `None`: the engine has no such image.
pub async fn image(client: &Client, name: &str) -> Result<Option<String>, BackendError> {
    Ok(client.find::<Image>(&format!("/images/{name}/json")).await?.map(|image| image.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_leave_out_is_empty() {
        let podman = r#"{"Id":"ab","Image":"c0","State":{"Status":"initialized","Running":false},
            "Config":{"Labels":null},"NetworkSettings":null}"#;
        let docker = r#"{"Id":"ab","Image":"sha256:c0","State":{"Running":true,"Paused":true,"OOMKilled":true},
            "Config":{"Labels":{"a":"b"},"StopSignal":"SIGQUIT"},
            "NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"49153"}],"81/tcp":null},
            "Networks":{"n":{"IPAddress":"172.18.0.2"},"m":{"IPAddress":""}}}}"#;
        let podman: Container = serde_json::from_str(podman).unwrap();
        assert!(!podman.is_live() && podman.is_made_from("sha256:c0") && podman.label("a").is_none());
        let docker: Container = serde_json::from_str(docker).unwrap();
        assert!(docker.is_live() && docker.is_made_from("c0") && docker.state.oom_killed);
        assert_eq!((docker.host_port("80/tcp"), docker.host_port("81/tcp")), (Some(49153), None));
        assert_eq!((docker.address("n"), docker.address("m"), docker.address("x")), (Some("172.18.0.2"), None, None));
    }
}
