//! Every backend ready for a test, and how to talk to what they start.

use super::harbour::{ECHO, Harbour};
use crate::support::engines::{self, Lab};
use mcpdeck::backend::process::{ProcessBackend, ProcessOptions};
use mcpdeck::backend::simulated::{SimulatedBackend, SimulatedOptions};
use mcpdeck::backend::{Attached, Backend, BackendError, Plain, StartSpec, Started, What};
use mcpdeck::model::InstanceKey;
use mcpdeck::model::server::{Limits, SimulatedFault, SimulatedRun};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::{Instant, sleep, timeout};

/// For what has to fail to happen.
pub const SHORT: Duration = Duration::from_millis(50);
/// For what has to happen, on a machine that is busy with other tests.
pub const LONG: Duration = Duration::from_secs(60);

pub struct Rig {
    pub name: &'static str,
    pub place: Place,
    pub dir: TempDir,
}

pub enum Place {
    Process(ProcessBackend),
    Simulated(SimulatedBackend),
    Container(Harbour),
}

/// Those that need nothing but this machine's kernel.
pub fn light_rigs() -> [Rig; 2] {
    let dir = || tempfile::tempdir().unwrap();
    let process_dir = dir();
    let simulated = SimulatedBackend::new(SimulatedOptions::default());
    [
        Rig { name: "process", place: Place::Process(process(process_dir.path())), dir: process_dir },
        Rig { name: "simulated", place: Place::Simulated(simulated), dir: dir() },
    ]
}

/// All; `test` counts as skipped for engines that are not here.
pub fn rigs(test: &str) -> impl Iterator<Item = Rig> {
    let container = |lab: Lab| {
        let dir = tempfile::tempdir().unwrap();
        Rig { name: lab.name, place: Place::Container(Harbour::new(&lab)), dir }
    };
    light_rigs().into_iter().chain(engines::labs(test).map(container))
}

/// A backend of processes whose files lie in `dir`.
pub fn process(dir: &Path) -> ProcessBackend {
    let helper = env!("CARGO_BIN_EXE_mcpdeck").into();
    ProcessBackend::new(ProcessOptions { state_dir: dir.join("state"), helper, cgroups: true })
}

pub fn key(text: &str) -> InstanceKey {
    text.parse().unwrap()
}

/// A program with its arguments, as the instance `name`.
pub fn command(dir: &Path, name: &str, words: &[&str]) -> StartSpec {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    let env = vec![("PATH".to_owned(), Plain::Text("/usr/local/bin:/usr/bin:/bin".to_owned()))];
    spec(dir, name, What::Process { command, env, cwd: None })
}

pub fn shell(dir: &Path, name: &str, script: &str) -> StartSpec {
    command(dir, name, &["/bin/sh", "-c", script])
}

fn spec(dir: &Path, name: &str, what: What) -> StartSpec {
    let limits = Limits { memory: Some(256 << 20), cpus: Some(4.0), pids: Some(64), explicit: false };
    StartSpec { key: key(name), what, data: dir.join("data").join(name), limits, progress: Default::default() }
}

impl Rig {
    pub fn backend(&self) -> &dyn Backend {
        match &self.place {
            Place::Process(backend) => backend,
            Place::Simulated(backend) => backend,
            Place::Container(harbour) => &harbour.backend,
        }
    }

    /// Something that answers a ping with a line that holds its id.
    pub fn spec(&self, name: &str) -> StartSpec {
        match &self.place {
            Place::Process(_) => command(self.dir.path(), name, &["cat"]),
            Place::Simulated(_) => spec(self.dir.path(), name, What::Simulated(simulated(Vec::new()), Vec::new())),
            Place::Container(harbour) => harbour.script(name, ECHO).start,
        }
    }

    /// Something that exits at once.
    pub fn failing(&self, name: &str, code: i32) -> StartSpec {
        let fault = SimulatedFault::ExitAfter { after: Duration::ZERO, code };
        match &self.place {
            Place::Process(_) => shell(self.dir.path(), name, &format!("exit {code}")),
            Place::Simulated(_) => spec(self.dir.path(), name, What::Simulated(simulated(vec![fault]), Vec::new())),
            Place::Container(harbour) => harbour.script(name, &format!("exit {code}")).start,
        }
    }

    pub async fn start(&self, name: &str) -> Result<Started, BackendError> {
        self.backend().start(self.spec(name)).await
    }

    /// Ends the backend and keeps the folder.
    pub fn dir_after_the_end(self) -> TempDir {
        self.dir
    }

    pub async fn kill_all(&self, names: &[&str]) {
        for name in names {
            self.backend().kill(&key(name)).await.unwrap();
        }
    }
}

/// A simulated server that answers at once.
pub fn simulated(faults: Vec<SimulatedFault>) -> SimulatedRun {
    SimulatedRun {
        latency: Duration::ZERO,
        start: Duration::ZERO,
        tools: vec!["echo".to_owned()],
        memory_bytes: 1 << 20,
        faults,
        seed: 1,
    }
}

/// The three pipes of an instance.
pub struct Pipes {
    /// `None` closes it.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Sync + Unpin>>,
    pub stdout: BufReader<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    pub stderr: Box<dyn AsyncRead + Send + Sync + Unpin>,
}

impl Pipes {
    pub fn of(attached: Attached) -> Self {
        let Attached::Stdio { stdin, stdout, stderr } = attached else { panic!("stdio is expected") };
        Self { stdin: Some(stdin), stdout: BufReader::new(stdout), stderr }
    }

    pub async fn ping(&mut self, id: u32) -> bool {
        self.send(id).await;
        self.answer().await.contains(&format!("\"id\":{id}"))
    }

    /// As [`Self::ping`]; false too if the pipes are broken.
    pub async fn still_answers(&mut self, id: u32) -> bool {
        let Some(stdin) = &mut self.stdin else { return false };
        let mut line = String::new();
        stdin.write_all(format!("{id}\n").as_bytes()).await.is_ok()
            && self.stdout.read_line(&mut line).await.is_ok_and(|n| n > 0)
    }

    pub async fn send(&mut self, id: u32) {
        self.send_line(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}")).await;
    }

    pub async fn send_line(&mut self, line: &str) {
        self.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line, soon.
    pub async fn answer(&mut self) -> String {
        timeout(LONG, self.line()).await.expect("a line in time")
    }

    /// The next line, whenever it comes.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).await.unwrap();
        line
    }

    pub async fn rest_of_stdout(&mut self) -> String {
        rest(&mut self.stdout).await
    }

    pub async fn rest_of_stderr(&mut self) -> String {
        rest(&mut self.stderr).await
    }
}

async fn rest(pipe: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    timeout(LONG, pipe.read_to_string(&mut text)).await.expect("the end in time").unwrap();
    text
}

/// Until it holds; fails after [`LONG`].
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// False for a zombie too: whoever inherited it reaps it in its own time.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])))
}

/// Runs `test` (its full name) alone in a process of its own, where nobody else opens files or starts children. True in there.
pub fn alone(test: &str) -> bool {
    const MARK: &str = "MCPDECK_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}
