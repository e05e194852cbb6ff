//! Real engines for tests: the machine's Docker, a Podman service, a dockerd of our own that may be hurt; and one small
//! image made of a static busybox. What a test makes is removed when it ends.

use super::skip;
use mcpdeck::model::container::EngineDef;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where Docker is, if this machine has it.
const DOCKER: &str = "/var/run/docker.sock";

/// Has `sh`, `sleep`, `stty`, `nc`, `httpd` and the like, and nothing else. Podman looks for a name without a host in
/// registries, and ignores a tag when it imports; another content gets another number.
pub const IMAGE: &str = "localhost/mcpdeck-test/box-2:latest";

/// How long a busy machine may take for one request.
const LIMIT: Duration = Duration::from_secs(60);

/// Seconds after which a Podman service that nobody uses ends, because nothing else would end it; other tests may take
/// minutes before the next one needs it.
const IDLE_S: &str = "900";

/// What Podman needs where it may raise no limits and no systemd runs.
const PODMAN_SETTINGS: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
"#;

/// An engine that runs [`IMAGE`].
#[derive(Clone, Debug)]
pub struct Lab {
    pub name: &'static str,
    pub socket: PathBuf,
    /// The right to use it now, where only one test may.
    _turn: Option<Arc<OwnedSemaphorePermit>>,
}

/// A container of a test; removed with it.
pub struct Made {
    lab: Lab,
    pub id: String,
    pub name: String,
}

/// Docker and Podman, those that are here; `test` counts as skipped for the others. Each is waited for when its turn comes.
pub fn labs(test: &str) -> impl Iterator<Item = Lab> {
    docker(test).into_iter().chain(std::iter::once_with(move || podman(test)).flatten())
}

/// The machine's Docker. Shared: touch only what the test has made.
pub fn docker(test: &str) -> Option<Lab> {
    static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();
    found(test, LAB.get_or_init(|| Lab { name: "docker", socket: DOCKER.into(), _turn: None }.ready()))
}

/// A Podman service of this test run, for one test at a time: it locks a container for as long as a request takes, and a
/// list waits for all of them. It ends by itself.
pub fn podman(test: &str) -> Option<Lab> {
    static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();
    static TURN: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(1)));
    let turn = loop {
        match Arc::clone(&TURN).try_acquire_owned() {
            Ok(turn) => break turn,
            Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
        }
    };
    let lab = found(test, LAB.get_or_init(start_podman))?;
    Some(Lab { _turn: Some(Arc::new(turn)), ..lab })
}

fn found(test: &str, lab: &Result<Lab, String>) -> Option<Lab> {
    lab.as_ref().map_err(|reason| skip(test, reason)).ok().cloned()
}

fn start_podman() -> Result<Lab, String> {
    let socket = std::env::temp_dir().join(format!("mcpdeck-podman-{}.sock", std::process::id()));
    // It outlives this run, and must hold nothing that whoever runs the tests does, such as a lock.
    let mut service = Command::new("/bin/sh");
    service.args(["-c", "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; exec podman \"$@\"", "sh"]);
    service.args(["system", "service", "-t", IDLE_S]).arg(format!("unix://{}", socket.display()));
    let settings = Path::new(env!("CARGO_TARGET_TMPDIR")).join("containers.conf");
    std::fs::write(&settings, PODMAN_SETTINGS).map_err(|error| format!("{}: {error}", settings.display()))?;
    // Its conmon leaves a file called `oom` where it stands.
    service.env("CONTAINERS_CONF", settings).current_dir(env!("CARGO_TARGET_TMPDIR"));
    service.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    service.spawn().map_err(|error| format!("podman does not start: {error}"))?;
    let lab = Lab { name: "podman", socket, _turn: None };
    lab.wait_until_it_answers()?;
    lab.ready()
}

/// A name that no other test has.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t-{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Lab {
    /// Has the image and can run a container of it.
    fn ready(self) -> Result<Self, String> {
        self.wait_for_answer(Duration::from_secs(2))?;
        self.load_image()?;
        match self.create(&unique("probe"), json!({ "Cmd": ["true"] })).and_then(|made| made.start()) {
            Ok(()) => Ok(self),
            Err(reason) => Err(format!("{} cannot run a container: {reason}", self.name)),
        }
    }

    fn wait_until_it_answers(&self) -> Result<(), String> {
        self.wait_for_answer(Duration::from_secs(30))
    }

    fn wait_for_answer(&self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.api("GET", "/_ping", None) {
                Ok((200, _)) => return Ok(()),
                Ok((status, _)) => return Err(format!("{} answers {status}", self.name)),
                Err(error) if Instant::now() > deadline => {
                    return Err(format!("no {} at {}: {error}", self.name, self.socket.display()));
                }
                Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
            }
        }
    }

    /// As a config names it.
    pub fn def(&self) -> EngineDef {
        EngineDef { id: self.name.into(), url: Some(format!("unix://{}", self.socket.display())), simulated: None }
    }

    /// A running container without a network.
    pub fn run(&self, name: &str, command: &[&str]) -> Made {
        self.run_as(name, json!({ "Cmd": command }))
    }

    /// Likewise, with more of the API's own words: `Tty`, `Labels`, `HostConfig`, ...
    pub fn run_as(&self, name: &str, config: Value) -> Made {
        let made = self.create(&unique(name), config).unwrap_or_else(|reason| panic!("{}: {reason}", self.name));
        made.start().unwrap_or_else(|reason| panic!("{}: {reason}", self.name));
        made
    }

    /// A running container that finds no shell.
    pub fn run_bare(&self, name: &str) -> Made {
        let config = json!({ "Entrypoint": ["/busybox", "sleep"], "Cmd": ["1000"], "Env": ["PATH=/nowhere"] });
        self.run_as(name, config)
    }

    /// Makes a container and does not start it.
    pub fn create(&self, name: &str, mut config: Value) -> Result<Made, String> {
        config["Image"] = IMAGE.into();
        if config["HostConfig"]["NetworkMode"].is_null() {
            config["HostConfig"]["NetworkMode"] = "none".into();
        }
        let answer = self.ask("POST", &format!("/containers/create?name={name}"), Some(config))?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        let id = answer["Id"].as_str().ok_or("no id")?.to_owned();
        Ok(Made { lab: self.clone(), id, name: name.to_owned() })
    }

    /// The body of a good answer; else the engine's words.
    pub fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<String, String> {
        let body = body.map(|body| body.to_string().into_bytes());
        match self.api(method, path, body.as_deref().map(|body| ("application/json", body))) {
            Ok((200..=299 | 304, text)) => Ok(text),
            Ok((status, text)) => Err(format!("{method} {path}: {status} {text}")),
            Err(error) => Err(format!("{method} {path}: {error}")),
        }
    }

    /// One request without any client library: status and body.
    fn api(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> std::io::Result<(u16, String)> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let (kind, body) = body.unwrap_or(("application/json", b""));
        write!(stream, "{method} /v1.40{path} HTTP/1.0\r\nHost: test\r\nContent-Type: {kind}\r\n")?;
        write!(stream, "Content-Length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other("no HTTP answer"))?;
        Ok((status, body.to_owned()))
    }

    fn load_image(&self) -> Result<(), String> {
        if self.ask("GET", &format!("/images/{IMAGE}/json"), None).is_ok() {
            return Ok(());
        }
        let tar = image_tar()?;
        let (name, tag) = IMAGE.rsplit_once(':').expect("a tag");
        let path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}");
        match self.api("POST", &path, Some(("application/x-tar", &tar))) {
            Ok((200, answer)) if !answer.contains("errorDetail") => Ok(()),
            Ok((status, answer)) => Err(format!("{}: the image is not taken: {status} {answer}", self.name)),
            Err(error) => Err(format!("{}: the image is not taken: {error}", self.name)),
        }
    }
}

impl Made {
    pub fn start(&self) -> Result<(), String> {
        self.act("start")
    }

    /// `start`, `kill`, `pause`, ... behind the product's back.
    pub fn act(&self, verb: &str) -> Result<(), String> {
        self.lab.ask("POST", &format!("/containers/{}/{verb}", self.id), None).map(drop)
    }

    pub fn remove(&self) -> Result<(), String> {
        self.lab.ask("DELETE", &format!("/containers/{}?force=1&v=1", self.id), None).map(drop)
    }

    pub fn inspect(&self) -> Value {
        let text = self.lab.ask("GET", &format!("/containers/{}/json", self.id), None);
        serde_json::from_str(&text.expect("it is there")).expect("JSON")
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // The test may have removed it already, or its engine may be gone.
        let _ = self.remove();
    }
}

/// A root file system of one static program under many names.
fn image_tar() -> Result<Vec<u8>, String> {
    let program = static_program()?;
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let bin = dir.path().join("bin");
    let build = || -> std::io::Result<Vec<u8>> {
        for folder in ["bin", "tmp", "etc", "proc", "dev", "sys"] {
            std::fs::create_dir(dir.path().join(folder))?;
        }
        std::fs::copy(&program, dir.path().join("busybox"))?;
        let names =
            "sh sleep cat echo env stty kill ps true false httpd nc wget yes head seq id touch ls dd printf test date";
        for name in names.split(' ') {
            std::os::unix::fs::symlink("/busybox", bin.join(name))?;
        }
        std::fs::write(dir.path().join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")?;
        let tar = Command::new("tar").arg("-C").arg(dir.path()).args(["--owner=0", "--group=0", "-c", "."]).output()?;
        Ok(tar.stdout)
    };
    build().map_err(|error| format!("no image: {error}"))
}

fn static_program() -> Result<PathBuf, String> {
    let places = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
    let is_static = |path: &&PathBuf| std::fs::read(path).is_ok_and(|program| !asks_for_a_loader(&program));
    places.iter().find(is_static).cloned().ok_or_else(|| "no static busybox (apt install busybox-static)".to_owned())
}

/// A 64-bit ELF program with a `PT_INTERP` segment.
fn asks_for_a_loader(program: &[u8]) -> bool {
    let number = |at: usize, size: usize| {
        let bytes = program.get(at..at + size).unwrap_or_default();
        bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

/// A dockerd of one test, to be frozen, killed and restarted.
pub struct OwnDocker {
    dir: tempfile::TempDir,
    bridge: Bridge,
    daemon: Option<Child>,
}

/// A network bridge for one dockerd. One that is started without (`--bridge=none`) removes `docker0`, which belongs to the
/// dockerd that this machine runs for others.
struct Bridge {
    name: String,
}

impl Bridge {
    fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed) % 250;
        let pid = std::process::id();
        let bridge = Self { name: format!("mcpd{pid}x{number}") };
        bridge.ip(&["link", "add", &bridge.name, "type", "bridge"])?;
        bridge.ip(&["addr", "add", &format!("10.{}.{number}.1/24", 100 + pid % 100), "dev", &bridge.name])?;
        bridge.ip(&["link", "set", &bridge.name, "up"])?;
        Ok(bridge)
    }

    fn ip(&self, args: &[&str]) -> Result<(), String> {
        let done = Command::new("ip").args(args).output().map_err(|error| format!("no `ip` for a bridge: {error}"))?;
        done.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&done.stderr).trim().to_owned())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It may be gone with its network namespace.
        let _ = self.ip(&["link", "del", &self.name]);
    }
}

impl OwnDocker {
    /// Starts it with nothing in it; `None` if this machine cannot.
    pub fn start(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip(test, "a dockerd of our own needs root");
            return None;
        }
        // The path of a socket has to be short.
        let dir = tempfile::Builder::new().prefix("mcpdeck-dockerd-").tempdir_in("/tmp").expect("a folder");
        let bridge = match Bridge::new() {
            Ok(bridge) => bridge,
            Err(reason) => {
                skip(test, &reason);
                return None;
            }
        };
        let mut own = Self { dir, bridge, daemon: None };
        match own.restart().and_then(|()| own.lab().ready()) {
            Ok(_) => Some(own),
            Err(reason) => {
                skip(test, &reason);
                None
            }
        }
    }

    pub fn lab(&self) -> Lab {
        Lab { name: "own-docker", socket: self.path("docker.sock"), _turn: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts it again with what it had.
    pub fn restart(&mut self) -> Result<(), String> {
        let mut daemon = Command::new("dockerd");
        daemon.arg("-H").arg(format!("unix://{}", self.path("docker.sock").display()));
        for (flag, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            daemon.arg(flag).arg(self.path(name));
        }
        daemon.args([&format!("--bridge={}", self.bridge.name), "--iptables=false", "--live-restore"]);
        // A pull that breaks off is told at once, not after a minute of trying again.
        daemon.arg("--max-download-attempts=1");
        let log = std::fs::File::create(self.path("log")).map_err(|error| error.to_string())?;
        daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.daemon = Some(daemon.spawn().map_err(|error| format!("dockerd does not start: {error}"))?);
        self.lab().wait_until_it_answers().map_err(|reason| {
            let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
            format!("{reason}: {}", log.lines().last().unwrap_or_default())
        })
    }

    /// It hangs: connections are taken, nothing is answered.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Dies at once; its containers live on.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.wait();
        }
        // Its containerd dies with it, and where nobody reaps it, its pid still looks alive to the next dockerd.
        end_those("containerd ", self.dir.path());
        let _ = std::fs::remove_file(self.path("exec/containerd/containerd.pid"));
    }

    fn signal(&self, signal: Signal) {
        if let Some(daemon) = &self.daemon {
            let _ = kill_process(Pid::from_child(daemon), signal);
        }
    }
}

impl Drop for OwnDocker {
    fn drop(&mut self) {
        self.thaw();
        self.signal(Signal::TERM);
        if let Some(mut daemon) = self.daemon.take() {
            let deadline = Instant::now() + LIMIT;
            while daemon.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        end_those("", self.dir.path());
        let _ = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "for m in $(awk '$2 ~ \"^{0}\" {{print $2}}' /proc/mounts | sort -r); do umount -l $m; done",
                self.dir.path().display()
            ))
            .status();
    }
}

/// Kills the processes whose command line begins with `program` and names `dir`: a killed dockerd leaves its containerd
/// and its shims.
fn end_those(program: &str, dir: &Path) {
    let dir = dir.to_string_lossy();
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.filter(|pid| *pid != std::process::id() as i32) {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.starts_with(program) && command.contains(&*dir) {
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}
