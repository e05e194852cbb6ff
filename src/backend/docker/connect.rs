//! Where an engine is found and how it is spoken to: socket or address, time limits, answers.

use super::super::BackendError;
use super::{PATIENCE, trouble};
use crate::model::container::EngineId;
use crate::model::text;
use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// Seconds that bollard itself waits: for ever, since it cannot tell a log without lines from a silent engine. Our own
/// limits are around every request ([`Client::within`]).
const NO_LIMIT_S: u64 = 10 * 365 * 24 * 3600;

/// Longest answer that is read: a list of ten thousand containers is about 12 MiB.
const ANSWER: usize = 64 << 20;

/// Where an engine may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// Said by a config or `DOCKER_HOST`.
    Named(Place),
    /// The first of these sockets that is there and that we may use.
    Search(Vec<PathBuf>),
    /// Said, but nothing we can reach.
    Refused { url: String, reason: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Socket(PathBuf),
    /// `tcp://` or `http://`, as bollard wants it.
    Plain(String),
    /// `https://`, with the certificates of `DOCKER_CERT_PATH`.
    Tls {
        url: String,
        certificates: PathBuf,
    },
}

/// Where Docker and Podman have their sockets.
pub fn usual_sockets(env: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let own = env("XDG_RUNTIME_DIR").map(PathBuf::from);
    let in_own = |name: &str| own.as_ref().map(|dir| dir.join(name));
    let places = [
        Some(PathBuf::from("/var/run/docker.sock")),
        in_own("docker.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
        in_own("podman/podman.sock"),
    ];
    places.into_iter().flatten().collect()
}

impl Door {
    /// `url` of a config, else `DOCKER_HOST`, else where Docker and Podman have their sockets.
    pub fn of(url: Option<&str>, env: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        if let Some(url) = url.map(str::to_owned).or_else(|| set("DOCKER_HOST")) {
            return Self::named(&url, set);
        }
        Self::Search(usual_sockets(set))
    }

    fn named(url: &str, env: impl Fn(&str) -> Option<String>) -> Self {
        let certificates = || {
            let own = || env("HOME").map(|home| Path::new(&home).join(".docker"));
            env("DOCKER_CERT_PATH").map(PathBuf::from).or_else(own).unwrap_or_else(|| "/etc/docker".into())
        };
        match url.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Self::Named(Place::Socket(path.into())),
            Some(("https", rest)) => {
                Self::Named(Place::Tls { url: format!("https://{rest}"), certificates: certificates() })
            }
            Some(("tcp", rest)) if env("DOCKER_TLS_VERIFY").is_some() => {
                Self::Named(Place::Tls { url: format!("https://{rest}"), certificates: certificates() })
            }
            Some(("tcp" | "http", _)) => Self::Named(Place::Plain(url.to_owned())),
            _ => Self::Refused {
                url: without_credentials(url),
                reason: format!(
                    "`{}` is no engine's address: give unix:///path, tcp://host:port or https://host:port",
                    without_credentials(url)
                ),
            },
        }
    }

    /// Where it is now. `Err` is a reason for people.
    pub fn find(&self) -> Result<Place, String> {
        match self {
            Self::Named(place) => Ok(place.clone()),
            Self::Refused { reason, .. } => Err(reason.clone()),
            Self::Search(paths) => {
                paths.iter().find(|path| path.exists()).cloned().map(Place::Socket).ok_or_else(|| {
                    let places: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                    format!("no container engine: no socket at {}", places.join(", "))
                })
            }
        }
    }

    /// Nobody has named an engine, and none is found.
    pub fn is_nowhere(&self) -> bool {
        matches!(self, Self::Search(_)) && self.find().is_err()
    }

    /// For people: never holds credentials.
    pub fn url(&self) -> String {
        match self {
            Self::Named(place) => place.url(),
            Self::Search(paths) => {
                let found = first(paths).or(paths.first());
                found.map(|path| Place::Socket(path.clone()).url()).unwrap_or_default()
            }
            Self::Refused { url, .. } => url.clone(),
        }
    }

    /// Containers and their cgroups are on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Named(place) => place.is_local(),
            Self::Search(_) => true,
            Self::Refused { .. } => false,
        }
    }
}

impl Place {
    /// Its containers' files, and its loopback, are on this machine.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    pub fn url(&self) -> String {
        match self {
            Self::Socket(path) => format!("unix://{}", path.display()),
            Self::Plain(url) | Self::Tls { url, .. } => without_credentials(url),
        }
    }

    fn docker(&self) -> Result<Docker, Error> {
        match self {
            Self::Socket(path) => Docker::connect_with_unix(&path.to_string_lossy(), NO_LIMIT_S, API_DEFAULT_VERSION),
            Self::Plain(url) => Docker::connect_with_http(url, NO_LIMIT_S, API_DEFAULT_VERSION),
            Self::Tls { url, certificates } => {
                let file = |name: &str| certificates.join(name);
                Docker::connect_with_ssl(
                    url,
                    &file("key.pem"),
                    &file("cert.pem"),
                    &file("ca.pem"),
                    NO_LIMIT_S,
                    API_DEFAULT_VERSION,
                )
            }
        }
    }
}

/// Who may not use the machine's Docker may have a Podman of their own; if none may be used, the first says why.
fn first(paths: &[PathBuf]) -> Option<&PathBuf> {
    let may_use = |path: &&PathBuf| rustix::fs::access(path.as_path(), rustix::fs::Access::WRITE_OK).is_ok();
    paths.iter().find(may_use).or_else(|| paths.iter().find(|path| path.exists()))
}

fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
        None => url.to_owned(),
    }
}

/// A connected engine. Cloning is cheap; each request has a connection of its own.
#[derive(Clone)]
pub struct Client {
    pub docker: Docker,
    pub engine: EngineId,
    pub place: Place,
    /// `Docker 20.10.24`
    pub version: String,
    pub podman: bool,
}

/// Of `GET /version`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    version: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    #[serde(default)]
    name: String,
}

impl Client {
    /// Connects. `Err` is a reason for people.
    ///
    /// Nothing has to be agreed on: a path without a version means the newest that the engine speaks, and bollard writes
    /// no version into its paths, whatever it is told. What engines answer is read by types that take what they know.
    pub async fn connect(engine: EngineId, place: Place) -> Result<Self, String> {
        let docker = place.docker().map_err(|error| trouble::reason(&place, &error))?;
        let mut client = Self { docker, engine, place, version: String::new(), podman: false };
        let version = client.version().await.map_err(|error| trouble::reason(&client.place, &error))?;
        client.podman = version.components.iter().any(|component| component.name.starts_with("Podman"));
        let make = if client.podman { "Podman" } else { "Docker" };
        let number = version.version.split('+').next().unwrap_or_default();
        client.version = text::name(&format!("{make} {number}"));
        Ok(client)
    }

    async fn version(&self) -> Result<Version, Error> {
        timeout(PATIENCE, self.read("/version")).await.unwrap_or(Err(Error::RequestTimeoutError))
    }

    /// The answer to a `GET` as our own type: bollard's refuse a list of a thousand containers for one word in it that
    /// they do not know. Within [`PATIENCE`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, BackendError> {
        self.within(PATIENCE, self.read(path)).await
    }

    /// As [`Self::get`]; `None` if there is no such thing.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, BackendError> {
        let found = async {
            match self.read(path).await {
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
                answer => answer.map(Some),
            }
        };
        self.within(PATIENCE, found).await
    }

    /// The answer to a `GET` as it is, within [`PATIENCE`].
    pub async fn get_text(&self, path: &str) -> Result<String, BackendError> {
        let text = async { Ok(String::from_utf8_lossy(&self.body(path).await?).into_owned()) };
        self.within(PATIENCE, text).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        Ok(serde_json::from_slice(&self.body(path).await?)?)
    }

    async fn body(&self, path: &str) -> Result<Vec<u8>, Error> {
        let mut chunks = self.stream(path);
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk?);
            if body.len() > ANSWER {
                return Err(std::io::Error::other(format!("an answer of more than {} MiB", ANSWER >> 20)).into());
            }
        }
        Ok(body)
    }

    /// The body of a `GET`, unparsed. bollard has such a thing for the export of a container only; the request is
    /// pointed elsewhere before it goes out.
    pub fn stream(&self, path: &str) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let path = path.to_owned();
        let docker = self.docker.clone().with_request_modifier(move |mut request| {
            let address = request.uri().to_string();
            let redirected = address.strip_suffix(EXPORT).map(|start| format!("{start}{path}"));
            // A path that is no URI is not redirected, and is answered "no such container".
            if let Some(Ok(address)) = redirected.map(|address| address.parse()) {
                *request.uri_mut() = address;
            }
            request
        });
        docker.export_container("-")
    }

    /// The outcome of `request` within `limit`.
    pub async fn within<T>(
        &self,
        limit: Duration,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, BackendError> {
        let outcome = timeout(limit, request).await;
        let reason = match outcome {
            Ok(outcome) => return outcome.map_err(|error| self.error(&error)),
            Err(_) => trouble::silent(&self.place, limit),
        };
        Err(BackendError::Silent { engine: self.engine.to_string(), reason })
    }

    /// What went wrong, for people.
    pub fn error(&self, error: &Error) -> BackendError {
        let (engine, reason) = (self.engine.to_string(), trouble::reason(&self.place, error));
        match trouble::is_silence(error) {
            true => BackendError::Silent { engine, reason },
            false => BackendError::Engine { engine, reason },
        }
    }
}

/// What bollard asks for in an export of `-`.
const EXPORT: &str = "/containers/-/export";

#[cfg(test)]
mod tests {
    use super::*;

    fn door(url: Option<&str>, env: &[(&str, &str)]) -> Door {
        Door::of(url, |name| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_config_comes_before_docker_host_and_that_before_the_search() {
        let host = [("DOCKER_HOST", "unix:///from/env.sock"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let socket = |path: &str| Door::Named(Place::Socket(path.into()));
        assert_eq!(door(Some("unix:///from/config.sock"), &host), socket("/from/config.sock"));
        assert_eq!(door(None, &host), socket("/from/env.sock"));
        let searched = [
            "/var/run/docker.sock",
            "/run/user/7/docker.sock",
            "/run/podman/podman.sock",
            "/run/user/7/podman/podman.sock",
        ];
        assert_eq!(door(None, &host[1..]), Door::Search(searched.map(PathBuf::from).to_vec()));
        assert_eq!(door(None, &[("DOCKER_HOST", "")]).url(), door(None, &[]).url(), "an empty one says nothing");
    }

    #[test]
    fn the_first_socket_that_is_there_is_found_and_none_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["none.sock", "there.sock", "later.sock"].map(|name| dir.path().join(name));
        let search = Door::Search(paths.to_vec());
        assert!(search.is_nowhere());
        let reason = search.find().unwrap_err();
        assert!(reason.starts_with("no container engine: no socket at /") && reason.contains("later.sock"), "{reason}");
        paths[1..].iter().for_each(|path| std::fs::write(path, "").unwrap());
        assert_eq!(search.find(), Ok(Place::Socket(paths[1].clone())));
        assert!(!search.is_nowhere() && search.is_local());
    }

    #[test]
    fn addresses_are_read_and_shown_without_credentials() {
        let tls = [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/certs")];
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, bool);
        let cases: &[Case<'_>] = &[
            ("unix:///x.sock", &[], "unix:///x.sock", true),
            ("tcp://10.0.0.1:2375", &[], "tcp://10.0.0.1:2375", false),
            ("http://ana:pw@host:1", &[], "http://host:1", false),
            ("tcp://host:2376", &tls, "https://host:2376", false),
            ("https://ana:pw@host:2376", &[], "https://host:2376", false),
            ("ssh://ana@host", &[], "ssh://host", false),
        ];
        for (url, env, shown, local) in cases {
            let door = door(Some(url), env);
            assert_eq!((door.url().as_str(), door.is_local()), (*shown, *local), "{url}");
        }
        for bad in ["ssh://ana:pw@host", "unix://relative", "host:2375"] {
            let Door::Refused { reason, .. } = door(Some(bad), &[]) else { panic!("{bad} is refused") };
            assert!(reason.contains("give unix:///path") && !reason.contains("pw"), "{reason}");
        }
    }
}
