//! The seven public reference servers, started, listed, called and stopped through mcpdeck under a tenant, in each
//! era they speak. `.ci/test-servers` installs them; without them the test is skipped.

use crate::support::{servers, skip};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Case {
    server: &'static str,
    /// What the row of `get instances` must say.
    era: &'static str,
    tools: usize,
    tool: &'static str,
    arguments: &'static [&'static str],
    answer: &'static str,
}

/// Raw pages only: to simplify one, the fetch server installs a JavaScript package first.
/// `{page}` is a page on loopback, `{repo}` a Git repository, `{file}` a file of the tenant.
const CASES: &[Case] = &[
    case("everything", "legacy", 13, "echo", &["message=hello"], "hello"),
    case("filesystem", "legacy", 14, "read_text_file", &["path={file}"], "a note of the lab"),
    case("memory", "legacy", 9, "create_entities", &[MEMORY_ENTITY], "etim"),
    case("sequentialthinking", "legacy", 1, "sequentialthinking", THOUGHT, "thoughtHistoryLength"),
    case("time", "modern", 2, "get_current_time", &["timezone=Europe/Berlin"], "Europe/Berlin"),
    case("time-legacy", "legacy", 2, "get_current_time", &["timezone=Europe/Berlin"], "Europe/Berlin"),
    case("git", "modern", 12, "git_status", &["repo_path={repo}"], "No commits yet"),
    case("git-legacy", "legacy", 12, "git_status", &["repo_path={repo}"], "No commits yet"),
    case("fetch", "modern", 1, "fetch", &["url={page}", "raw=true"], "what the lab serves"),
    case("fetch-legacy", "legacy", 1, "fetch", &["url={page}", "raw=true"], "what the lab serves"),
];

const MEMORY_ENTITY: &str = r#"entities=[{"name":"etim","entityType":"server","observations":["shared"]}]"#;
const THOUGHT: &[&str] = &["thought=think", "nextThoughtNeeded=false", "thoughtNumber=1", "totalThoughts=1"];

const fn case(
    server: &'static str,
    era: &'static str,
    tools: usize,
    tool: &'static str,
    arguments: &'static [&'static str],
    answer: &'static str,
) -> Case {
    Case { server, era, tools, tool, arguments, answer }
}

const CONFIG: &str = r#"
[platform]
name = "reference"
environment = "lab"

[[tenant]]
id = "lab"
context = { share = "{share}", repo = "{repo}" }
enabled = ["everything", "filesystem", "memory", "sequentialthinking", "time", "git", "fetch",
           "time-legacy", "git-legacy", "fetch-legacy"]

[[server]]
name = "everything"
preset = "everything"

[[server]]
name = "filesystem"
preset = { name = "filesystem", root = "{tenant.context.share}" }

[[server]]
name = "memory"
preset = "memory"

[[server]]
name = "sequentialthinking"
preset = "sequentialthinking"

[[server]]
name = "time"
preset = "time"

[[server]]
name = "git"
preset = { name = "git", repository = "{tenant.context.repo}" }

[[server]]
name = "fetch"
preset = { name = "fetch", allow_private = "yes" }

[[server]]
name = "time-legacy"
preset = "time"
era = "legacy"

[[server]]
name = "git-legacy"
preset = { name = "git", repository = "{tenant.context.repo}" }
era = "legacy"

[[server]]
name = "fetch-legacy"
preset = { name = "fetch", allow_private = "yes" }
era = "legacy"
"#;

/// A platform of its own in a temporary folder, owned by `mcpdeck serve`.
struct Deck {
    home: tempfile::TempDir,
    path: std::ffi::OsString,
    owner: Child,
}

impl Deck {
    fn serve(bin: &Path, home: tempfile::TempDir, config: &str) -> Self {
        std::fs::write(home.path().join("config.toml"), config).unwrap();
        let mut folders = vec![bin.to_owned()];
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let path = std::env::join_paths(folders).unwrap();
        let mut command = Self::command(home.path(), &path);
        let owner = command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut deck = Self { home, path, owner };
        let mut ready = String::new();
        BufReader::new(deck.owner.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(!ready.is_empty(), "serve ended before it was ready");
        deck
    }

    fn command(home: &Path, path: &std::ffi::OsStr) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpdeck"));
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_DATA_HOME", home.join("data"))
            .args(["--config".as_ref(), home.join("config.toml").as_os_str()]);
        command
    }

    /// Exit code and standard output of one command line.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = Self::command(self.home.path(), &self.path).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        if !errors.is_empty() {
            println!("mcpdeck {arguments:?}: {errors}");
        }
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let (code, text) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}"))
    }
}

impl Drop for Deck {
    fn drop(&mut self) {
        let _ = self.owner.kill();
        let _ = self.owner.wait();
    }
}

/// Serves one page (and no robots.txt) until the process ends.
fn page() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let found = !request[..read].starts_with(b"GET /robots.txt");
            let (status, body) = if found { ("200 OK", "<p>what the lab serves</p>") } else { ("404 Not Found", "") };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}", body.len());
            let _ = write!(stream, "{head}\r\nconnection: close\r\n\r\n{body}");
        }
    });
    address
}

/// Processes whose environment names `home`: what mcpdeck started below it.
fn alive_below(home: &Path) -> Vec<String> {
    let needle = home.as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|p| {
            let environ = std::fs::read(p.path().join("environ")).unwrap_or_default();
            environ.windows(needle.len()).any(|w| w == needle)
        })
        .map(|p| p.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn all_seven_are_started_listed_called_and_stopped_under_a_tenant() {
    let Some(bin) = servers::reference() else {
        return skip("reference_servers", "reference servers are not installed (run .ci/test-servers)");
    };
    let home = tempfile::tempdir().unwrap();
    let root = home.path().to_owned();
    let (share, repo) = (root.join("share"), root.join("repo"));
    std::fs::create_dir_all(&share).unwrap();
    std::fs::write(share.join("note.txt"), "a note of the lab").unwrap();
    let git = Command::new("git").args(["init", "-q"]).arg(&repo).status();
    if !git.is_ok_and(|s| s.success()) {
        return skip("reference_servers", "git is missing, which a reference server needs");
    }
    let page = format!("http://{}/", page());
    let fill = |text: &str| {
        text.replace("{share}", share.to_str().unwrap())
            .replace("{repo}", repo.to_str().unwrap())
            .replace("{file}", share.join("note.txt").to_str().unwrap())
            .replace("{page}", &page)
    };
    let deck = Deck::serve(&bin, home, &fill(CONFIG));

    for case in CASES {
        let tools = deck.json(&["tools", "--tenant", "lab", case.server, "-o", "json"]);
        let named = tools[0]["tools"].as_array().expect("tools are an array");
        assert_eq!(named.len(), case.tools, "{}: {tools}", case.server);

        let arguments: Vec<String> = case.arguments.iter().map(|a| fill(a)).collect();
        let mut line = vec!["call", "--tenant", "lab", case.server, case.tool];
        line.extend(arguments.iter().map(String::as_str));
        let (code, text) = deck.run(&line);
        assert_eq!(code, 0, "{}: {text}", case.server);
        assert!(text.contains(case.answer), "{}: {text}", case.server);

        let rows = deck.json(&["get", "instances", case.server, "-o", "json"]);
        assert_eq!(rows[0]["state"], "ready", "{rows}");
        assert_eq!(rows[0]["era"], case.era, "{rows}");
    }
    for case in CASES {
        let (code, text) = deck.run(&["stop", case.server]);
        assert_eq!(code, 0, "stop {}: {text}", case.server);
    }
    let rows = deck.json(&["get", "instances", "-o", "json"]);
    for row in rows.as_array().unwrap() {
        assert_eq!(row["state"], "stopped", "{row}");
    }

    let (code, _) = deck.run(&["shutdown"]);
    assert_eq!(code, 0);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !alive_below(&root).is_empty() {
        assert!(Instant::now() < deadline, "left behind: {:?}", alive_below(&root));
        std::thread::yield_now();
    }
}
