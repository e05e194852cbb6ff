//! The real program in a world of its own: folders, configuration, an owner if one is wanted.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// Far above anything a command needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Servers that are in the program itself, one that cannot start; tenants in the lab and in production.
pub const CONFIG: &str = r#"
[platform]
name = "test"
environment = "lab"

[defaults]
idle_stop = "off"

[[server]]
id = "catalog"
name = "Catalog"
builtin = "catalog"
scope = "shared"
inject = { meta = true, arguments = { customer_id = "{tenant.id}" } }

[[server]]
id = "memory"
name = "Memory"
builtin = "memory"
scope = "tenant"

[[server]]
id = "broken"
name = "Broken"
run = { command = ["/nonexistent/mcp-broken"] }
scope = "tenant"
restart = { backoff_min = "1s", backoff_max = "1s", max_failures = 1, window = "1m", retry_failed = "off" }

[[tenant]]
id = "lab"
name = "The Lab"
aliases = ["l"]
environment = "lab"
enabled = ["catalog", "memory", "broken"]

[[tenant]]
id = "eaton"
name = "EATON"
environment = "production"
enabled = { memory = true, catalog = false }
"#;

/// How a run of the program ended.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}:\n{}\n{}", self.out, self.err))
    }

    /// The one line of JSON on standard error: (code, kind, message).
    pub fn error(&self) -> (i64, String, String) {
        assert_eq!(self.err.lines().count(), 1, "one line: {}", self.err);
        let line: Value = serde_json::from_str(&self.err).unwrap_or_else(|e| panic!("{e}: {}", self.err));
        let text = |key: &str| line["error"][key].as_str().unwrap_or_else(|| panic!("{key}: {line}")).to_owned();
        (line["error"]["code"].as_i64().unwrap(), text("kind"), text("message"))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "out: {}\nerr: {}", self.out, self.err);
        self
    }
}

pub struct Deck {
    folder: TempDir,
    pub config: PathBuf,
}

/// A running `mcpdeck serve`; told to stop, and waited for, when dropped.
pub struct Serving {
    child: Child,
}

impl Deck {
    pub fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deck.toml");
        std::fs::write(&file, config).unwrap();
        Self { folder, config: file }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/mcpdeck/test.sock")
    }

    /// The program with this world's folders and configuration, and nothing else of ours.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpdeck"));
        let at = |name: &str| self.folder.path().join(name);
        std::fs::create_dir_all(at("run")).unwrap();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs([("HOME", at("home")), ("XDG_RUNTIME_DIR", at("run")), ("XDG_STATE_HOME", at("state"))])
            .envs([("XDG_DATA_HOME", at("data")), ("XDG_CONFIG_HOME", at("config"))])
            .envs([("TZ", "UTC"), ("LANG", "C.UTF-8")])
            .env("MCPDECK_CONFIG", &self.config)
            .current_dir(self.folder.path())
            .args(words);
        command
    }

    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Run {
        finish(self.command(words), words)
    }

    /// Starts `serve` and waits until it says that it is ready.
    #[track_caller]
    pub fn serve(&self) -> Serving {
        let (serving, line) = self.try_serve();
        assert!(line.starts_with("ready: "), "serve said: {line}");
        serving
    }

    /// Likewise; also gives the address of its first HTTP listener.
    #[track_caller]
    pub fn serve_http(&self) -> (Serving, SocketAddr) {
        let (serving, line) = self.try_serve();
        let address = line.trim().split(", http://").nth(1).and_then(|address| address.parse().ok());
        (serving, address.unwrap_or_else(|| panic!("serve said: {line}")))
    }

    /// Starts `serve` by a shell that does `first` before it becomes that, and waits until it is ready.
    #[track_caller]
    pub fn serve_after(&self, first: &str) -> Serving {
        let own = self.command(&["serve"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]).arg(own.get_program()).args(own.get_args());
        shell.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let (serving, line) = self.start(shell.current_dir(self.folder.path()));
        assert!(line.starts_with("ready: "), "serve said: {line}");
        serving
    }

    /// Starts `serve`; its first line, or nothing if it ended.
    pub fn try_serve(&self) -> (Serving, String) {
        self.start(&mut self.command(&["serve"]))
    }

    fn start(&self, serve: &mut Command) -> (Serving, String) {
        let log = std::fs::File::create(self.folder.path().join("serve.log")).unwrap();
        let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let line = limited("serve to be ready", move || {
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line).unwrap();
            line
        });
        (Serving { child }, line)
    }
}

impl Serving {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Option<i32> {
        limited("serve to end", move || self.child.wait().unwrap().code())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal(rustix::process::Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

#[track_caller]
pub fn finish(mut command: Command, words: &[&str]) -> Run {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = limited(&words.join(" "), move || child.wait_with_output().unwrap());
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The lines of a stream as they come.
pub struct Lines(mpsc::Receiver<String>);

impl Lines {
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let (lines, reader) = mpsc::channel();
        std::thread::spawn(move || {
            let all = BufReader::new(stream).lines().map_while(Result::ok);
            all.take_while(|line| lines.send(line.clone()).is_ok()).for_each(drop);
        });
        Self(reader)
    }

    /// Passes lines over until one is `wanted`.
    #[track_caller]
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let mut seen = String::new();
        loop {
            let line = self.0.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {what} after: {seen}"));
            if wanted(&line) {
                return;
            }
            seen.extend([&line, "\n"]);
        }
    }
}

#[track_caller]
fn limited<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || drop(done.send(work())));
    result.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("waited too long for {what}"))
}
