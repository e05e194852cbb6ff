//! A platform of its own on a real engine: what it makes there is removed when the test ends.

use super::rig::{LONG, key};
use crate::support::engines::{IMAGE, Lab, unique};
use mcpdeck::backend::docker::{DockerBackend, DockerEngine};
use mcpdeck::backend::{Backend, ContainerSpec, StartSpec, Started, What};
use mcpdeck::model::container::{Pull, Reach, Speaks};
use mcpdeck::model::server::Limits;
use serde_json::Value;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Says what it hears, line by line, until its stdin closes or somebody ends it.
pub const ECHO: &str = r#"trap "exit 143" TERM; while read -r l; do printf '%s\n' "$l"; done"#;
/// Serves the folder `/tmp` on port 8000.
pub const SERVE: &str = "echo here >/tmp/index.html; exec httpd -f -p 8000 -h /tmp";

pub struct Harbour {
    pub lab: Lab,
    pub platform: String,
    pub engine: Arc<DockerEngine>,
    pub backend: DockerBackend,
    pub dir: TempDir,
}

/// A start whose container can be changed before it happens.
pub struct Berth {
    pub start: StartSpec,
}

impl Deref for Berth {
    type Target = ContainerSpec;

    fn deref(&self) -> &ContainerSpec {
        let What::Container(spec) = &self.start.what else { unreachable!("made of a container") };
        spec
    }
}

impl DerefMut for Berth {
    fn deref_mut(&mut self) -> &mut ContainerSpec {
        let What::Container(spec) = &mut self.start.what else { unreachable!("made of a container") };
        spec
    }
}

impl Harbour {
    pub fn new(lab: &Lab) -> Self {
        let platform = unique("docker");
        let engine = Arc::new(DockerEngine::open(&lab.def()));
        let backend = DockerBackend::new(&platform, "1", vec![Arc::clone(&engine)]);
        Self { lab: lab.clone(), platform, engine, backend, dir: tempfile::tempdir().unwrap() }
    }

    /// Another owner of the same platform.
    pub fn heir(&self, boot: &str) -> DockerBackend {
        DockerBackend::new(&self.platform, boot, vec![Arc::new(DockerEngine::open(&self.lab.def()))])
    }

    /// The shell script `script` on stdio, without a network.
    pub fn script(&self, name: &str, script: &str) -> Berth {
        let spec = ContainerSpec {
            engine: None,
            image: IMAGE.to_owned(),
            pull: Pull::Never,
            entrypoint: None,
            command: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
            env: Vec::new(),
            speaks: Speaks::Stdio,
            workdir: None,
            user: None,
            writable_root: false,
            tmpfs: Vec::new(),
            data: Vec::new(),
            mounts: Vec::new(),
            gpu: None,
            shm: None,
            ports: Vec::new(),
            network: "none".to_owned(),
            networks: Vec::new(),
            aliases: Vec::new(),
            hosts: Vec::new(),
            capabilities: Vec::new(),
            health: None,
            labels: Vec::new(),
        };
        let limits = Limits { memory: Some(256 << 20), cpus: Some(2.0), pids: Some(64), explicit: false };
        let what = What::Container(Box::new(spec));
        let data = self.dir.path().join(name);
        Berth { start: StartSpec { key: key(name), what, data, limits, progress: Default::default() } }
    }

    /// A web server in a network of its own.
    pub fn http(&self, name: &str, reach: Reach) -> Berth {
        let mut berth = self.script(name, SERVE);
        berth.speaks = Speaks::Http { port: 8000, path: "/index.html".to_owned(), reach };
        berth.network = self.network("t");
        berth
    }

    /// What the network of a tenant is called.
    pub fn network(&self, tenant: &str) -> String {
        format!("mcpdeck-{}-tenant-{tenant}", self.platform)
    }

    pub async fn start(&self, berth: Berth) -> Started {
        let started = self.backend.start(berth.start).await;
        started.unwrap_or_else(|error| panic!("{}: {error}", self.lab.name))
    }

    /// Why it does not start.
    pub async fn refusal(&self, berth: Berth) -> String {
        self.backend.start(berth.start).await.err().expect("a refusal").to_string()
    }

    /// Containers of the platform: name, state.
    pub fn containers(&self) -> Vec<(String, String)> {
        let mut found: Vec<_> = self
            .listed("/containers/json?all=1&")
            .iter()
            .map(|c| {
                let name = c["Names"][0].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
                (name, c["State"].as_str().unwrap_or_default().to_owned())
            })
            .collect();
        found.sort();
        found
    }

    pub fn networks(&self) -> Vec<String> {
        self.listed("/networks?").iter().filter_map(|n| n["Name"].as_str().map(str::to_owned)).collect()
    }

    fn listed(&self, path: &str) -> Vec<Value> {
        let filter = format!("%7B%22label%22%3A%5B%22io.mcpdeck.platform%3D{}%22%5D%7D", self.platform);
        let text = self.lab.ask("GET", &format!("{path}filters={filter}"), None).unwrap_or_else(|_| "[]".to_owned());
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub fn inspect(&self, started: &Started) -> Value {
        let text = self.lab.ask("GET", &format!("/containers/{}/json", id(started)), None);
        serde_json::from_str(&text.unwrap()).unwrap()
    }

    /// `pause`, `kill`, ... behind our back.
    pub fn act(&self, started: &Started, verb: &str) {
        self.lab.ask("POST", &format!("/containers/{}/{verb}", id(started)), None).unwrap();
    }

    pub fn remove(&self, id: &str) {
        self.lab.ask("DELETE", &format!("/containers/{id}?force=1&v=1"), None).unwrap();
    }
}

impl Drop for Harbour {
    fn drop(&mut self) {
        for (name, _) in self.containers() {
            let _ = self.lab.ask("DELETE", &format!("/containers/{name}?force=1&v=1"), None);
        }
        for name in self.networks() {
            let _ = self.lab.ask("DELETE", &format!("/networks/{name}"), None);
        }
    }
}

pub fn id(started: &Started) -> &str {
    &started.container.as_ref().expect("it runs in a container").id
}

/// What a web server says on `/index.html`, once it is up.
pub async fn page(url: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let deadline = tokio::time::Instant::now() + LONG;
    loop {
        let asked = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(format!("GET /{path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            Ok::<_, std::io::Error>(text)
        };
        match asked.await {
            Ok(text) if text.contains("200 OK") => return text,
            last if tokio::time::Instant::now() > deadline => panic!("{url}: {last:?}"),
            _ => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}
