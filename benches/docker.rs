//! What a start on demand through us costs beside what the engine itself takes, in interleaved rounds on the machine's
//! Docker: a first start (create and start), a start again, a wake. Prints one JSON line for each: medians in
//! milliseconds, and the median of the paired differences. `ROUNDS` (15) and `NETWORK` (none) can be set.

use mcpdeck::backend::docker::{DockerBackend, DockerEngine};
use mcpdeck::backend::{Backend, ContainerSpec, StartSpec, Started, What};
use mcpdeck::model::InstanceKey;
use mcpdeck::model::container::{EngineDef, Pull, Speaks};
use mcpdeck::model::server::Limits;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

const SOCKET: &str = "/var/run/docker.sock";
const IMAGE: &str = "localhost/mcpdeck-bench:latest";
const WHAT: [&str; 3] = ["first start", "start again", "wake"];

fn main() {
    if !Path::new(SOCKET).exists() {
        return println!("no engine at {SOCKET}: nothing to measure");
    }
    let set = |name: &str| std::env::var(name).ok();
    let rounds: usize = set("ROUNDS").and_then(|n| n.parse().ok()).unwrap_or(15);
    let network = set("NETWORK").unwrap_or_else(|| "none".to_owned());
    load_image();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(rounds, &network));
    for network in listed("/networks?") {
        api("DELETE", &format!("/networks/{}", network["Id"].as_str().unwrap_or_default()), None);
    }
    api("DELETE", &format!("/images/{IMAGE}"), None);
}

async fn measure(rounds: usize, network: &str) {
    let def = EngineDef { id: "local".into(), url: Some(format!("unix://{SOCKET}")), simulated: None };
    let platform = format!("bench-{}", std::process::id());
    let backend = DockerBackend::new(&platform, "1", vec![Arc::new(DockerEngine::open(&def))]);
    // The connection, and what is asked of an engine once.
    let body = body_of(&backend, network).await;
    let mut taken: Vec<[[f64; 2]; 3]> = Vec::new();
    for round in 0..rounds {
        let key: InstanceKey = format!("s{round}").parse().expect("a key");
        let (engine, ours) = if round % 2 == 0 {
            (by_engine(&body), by_us(&backend, &key, network).await)
        } else {
            let ours = by_us(&backend, &key, network).await;
            (by_engine(&body), ours)
        };
        taken.push([0, 1, 2].map(|n| [engine[n], ours[n]]));
    }
    for (n, what) in WHAT.iter().enumerate() {
        let column = |f: fn(&[f64; 2]) -> f64| median(taken.iter().map(|row| f(&row[n])).collect());
        let (engine, ours, added) = (column(|r| r[0]), column(|r| r[1]), column(|r| r[1] - r[0]));
        println!(
            "{}",
            json!({"what": what, "rounds": rounds, "network": network, "engine_ms": engine, "ours_ms": ours, "added_ms": added})
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2] * 100.0).round() / 100.0
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// What to create so that the engine makes just what we make.
async fn body_of(backend: &DockerBackend, network: &str) -> Value {
    let key: InstanceKey = "warm".parse().expect("a key");
    let started = start(backend, &key, network).await;
    let seen: Value =
        serde_json::from_str(&api("GET", &format!("/containers/{}/json", id(&started)), None)).expect("JSON");
    backend.kill(&key).await.expect("killed");
    remove(&started);
    let mut body = seen["Config"].clone();
    body["HostConfig"] = seen["HostConfig"].clone();
    body["Hostname"] = Value::Null;
    body
}

fn by_engine(body: &Value) -> [f64; 3] {
    let began = Instant::now();
    let made: Value = serde_json::from_str(&api("POST", "/containers/create", Some(body))).expect("JSON");
    let path = |verb: &str| format!("/containers/{}/{verb}", made["Id"].as_str().expect("an id"));
    api("POST", &path("start"), None);
    let first = ms(began);
    api("POST", &path("kill"), None);
    api("POST", &path("wait"), None);
    let began = Instant::now();
    api("POST", &path("start"), None);
    let again = ms(began);
    api("POST", &path("pause"), None);
    let began = Instant::now();
    api("POST", &path("unpause"), None);
    let wake = ms(began);
    api("DELETE", &format!("/containers/{}?force=1", made["Id"].as_str().expect("an id")), None);
    [first, again, wake]
}

async fn by_us(backend: &DockerBackend, key: &InstanceKey, network: &str) -> [f64; 3] {
    let began = Instant::now();
    let started = start(backend, key, network).await;
    let first = ms(began);
    backend.kill(key).await.expect("killed");
    drop(started);
    let began = Instant::now();
    let started = start(backend, key, network).await;
    let again = ms(began);
    backend.doze(key).await.expect("paused");
    let began = Instant::now();
    backend.wake(key).await.expect("woken");
    let wake = ms(began);
    backend.kill(key).await.expect("killed");
    remove(&started);
    [first, again, wake]
}

async fn start(backend: &DockerBackend, key: &InstanceKey, network: &str) -> Started {
    let spec = ContainerSpec {
        engine: None,
        image: IMAGE.to_owned(),
        pull: Pull::Missing,
        entrypoint: None,
        command: Some(["/bin/busybox", "sleep", "1000"].map(str::to_owned).to_vec()),
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
        network: network.to_owned(),
        networks: Vec::new(),
        aliases: Vec::new(),
        hosts: Vec::new(),
        capabilities: Vec::new(),
        health: None,
        labels: Vec::new(),
    };
    let limits = Limits { memory: Some(64 << 20), cpus: Some(1.0), pids: Some(64), explicit: false };
    let what = What::Container(Box::new(spec));
    let start = StartSpec { key: key.clone(), what, data: "/nonexistent".into(), limits, progress: Default::default() };
    backend.start(start).await.unwrap_or_else(|error| panic!("{error}"))
}

fn id(started: &Started) -> &str {
    &started.container.as_ref().expect("it runs in a container").id
}

fn remove(started: &Started) {
    api("DELETE", &format!("/containers/{}?force=1", id(started)), None);
}

fn listed(path: &str) -> Vec<Value> {
    let filter = format!("%7B%22label%22%3A%5B%22io.mcpdeck.platform%3Dbench-{}%22%5D%7D", std::process::id());
    serde_json::from_str(&api("GET", &format!("{path}filters={filter}"), None)).unwrap_or_default()
}

/// An image of one static program.
fn load_image() {
    let script = "d=$(mktemp -d) && mkdir -p $d/bin $d/tmp && cp $(command -v busybox) $d/bin/busybox && tar -C $d -c . | \
                  docker import - $0 >/dev/null; rm -r $d";
    let done = Command::new("sh").args(["-c", script, IMAGE]).stdout(Stdio::null()).status();
    assert!(done.is_ok_and(|status| status.success()), "an image of busybox (apt install busybox-static docker-cli)");
}

/// One request without any client library.
fn api(method: &str, path: &str, body: Option<&Value>) -> String {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = UnixStream::connect(SOCKET).expect("the engine's socket");
    let head = format!(
        "{method} /v1.40{path} HTTP/1.0\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("HTTP");
    assert!(head.contains(" 20") || head.contains(" 304"), "{method} {path}: {answer}");
    body.to_owned()
}
