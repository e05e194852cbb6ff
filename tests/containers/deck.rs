//! A whole platform on a real engine, under a name of its own; what it makes there is removed when the test ends.

use crate::support::engines::{IMAGE, Lab, unique};
use crate::support::platform::{ana, call, config_file, platform_called};
use mcpdeck::control::client;
use mcpdeck::control::{Handle, Platform};
use mcpdeck::model::container::{ContainerRow, ContainerState};
use mcpdeck::model::instance::InstanceRow;
use mcpdeck::model::message::{Face, JobOutcome};
use mcpdeck::model::{Act, CallRecord, Command, InstanceKey, Outcome, Refusal, Snapshot, State};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A busy machine starts containers slowly.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Answers one message of MCP.
const REPLY: &str = r#"
reply() {
  id=${1#*'"id":'}; id=${id%%[,\}]*}
  case $1 in
  *'"initialize"'*) r='"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"box","version":"1"}}';;
  *'tools/list"'*) r='"result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}';;
  *'tools/call"'*) r='"result":{"content":[{"type":"text","text":"hello"}]}';;
  *'"ping"'*) r='"result":{}';;
  *) r='"error":{"code":-32601,"message":"no such method"}';;
  esac
  printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$r"
}
"#;
/// On stdin and stdout.
const STDIO: &str = r#"while read -r l; do case $l in *'"notifications/'*) ;; *) reply "$l";; esac; done"#;
/// One request over HTTP, as `nc` hands it over.
const REQUEST: &str = r#"
n=0
read -r first
while read -r h; do
  h=${h%?}
  case $h in '') break;; [Cc]ontent-[Ll]ength:*) n=${h#*: };; esac
done
end() { printf 'HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "$1" "${#2}" "$2"; }
case $first in POST*) ;; *) end '405 Method Not Allowed' ''; exit;; esac
b=$(head -c "$n")
case $b in *'"notifications/'*) end '202 Accepted' '';; *) end '200 OK' "$(reply "$b")";; esac
"#;

/// What `sh -c` runs: a server on stdio.
pub fn stdio() -> String {
    format!("{REPLY}{STDIO}")
}

/// Likewise, over HTTP on `port`.
pub fn http(port: u16) -> Vec<String> {
    let keep = format!("trap 'exit 0' TERM; nc -ll -p {port} -e sh -c \"$0\" & wait");
    ["sh", "-c", &keep, &format!("{REPLY}{REQUEST}")].map(str::to_owned).to_vec()
}

/// `[[server]]` in a container; `more` goes into its table, `run` into how it runs.
pub fn server(id: &str, command: &[String], more: &str, run: &str) -> String {
    let escape = |text: &String| format!("{:?}", text.replace('{', "{{").replace('}', "}}"));
    let command: Vec<_> = command.iter().map(escape).collect();
    format!(
        "[[server]]\nid = \"{id}\"\nstop = {{ close = \"1s\", term = \"2s\" }}\n{more}\n\
         [server.run]\nbackend = \"docker\"\nimage = \"{IMAGE}\"\npull = \"never\"\ncommand = [{}]\n{run}\n",
        command.join(", ")
    )
}

pub fn stdio_server(id: &str, more: &str) -> String {
    server(id, &["sh".to_owned(), "-c".to_owned(), stdio()], more, "")
}

pub fn http_server(id: &str, more: &str) -> String {
    server(id, &http(8000), more, "port = 8000")
}

/// The engine, and a customer with these servers.
pub fn head(lab: &Lab, enabled: &[&str]) -> String {
    format!(
        "[[engine]]\nname = \"local\"\nurl = \"unix://{}\"\n[[tenant]]\nid = \"eaton\"\nenabled = {enabled:?}\n",
        lab.socket.display()
    )
}

pub struct Deck {
    pub dir: TempDir,
    pub name: String,
    pub lab: Lab,
    platform: Option<Platform>,
    child: Option<Child>,
    handle: Option<Handle>,
}

impl Deck {
    /// A name and a folder; nothing runs yet.
    pub fn new(lab: &Lab) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, name: unique("control"), lab: lab.clone(), platform: None, child: None, handle: None }
    }

    pub async fn start(lab: &Lab, text: &str) -> Self {
        let mut deck = Self::new(lab);
        deck.own(text).await;
        deck
    }

    /// This process owns the platform.
    pub async fn own(&mut self, text: &str) {
        let platform = platform_called(&self.name, self.dir.path(), text);
        platform.ready().await.unwrap();
        self.handle = Some(platform.handle.clone());
        self.platform = Some(platform);
    }

    /// A process of its own owns the platform.
    pub async fn serve(&mut self, text: &str) {
        let file = config_file(&self.name, self.dir.path(), text);
        let log = std::fs::File::create(self.dir.path().join("serve.log")).unwrap();
        let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_mcpdeck"));
        serve.arg("serve").env("MCPDECK_CONFIG", file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(serve.spawn().unwrap());
        let socket = self.dir.path().join("s.sock");
        let runtime = tokio::runtime::Handle::current();
        let attached = tokio::time::timeout(PATIENCE, async {
            loop {
                match client::attach(&socket, Face::Cli, &runtime).await {
                    Ok(handle) => return handle,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        self.handle = Some(attached.await.expect("it serves"));
    }

    /// `kill -9`.
    pub fn kill_owner(&mut self) {
        self.handle = None;
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn handle(&self) -> &Handle {
        self.handle.as_ref().expect("somebody owns it")
    }

    pub async fn end(&mut self) {
        self.handle = None;
        if let Some(platform) = self.platform.take() {
            assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
        }
    }

    /// The first snapshot for which `holds`.
    pub async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut revisions = self.handle().revisions();
        let wait = async {
            loop {
                let snapshot = self.handle().state();
                if holds(&snapshot) {
                    return snapshot;
                }
                revisions.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(snapshot) => snapshot,
            Err(_) => panic!("not within {PATIENCE:?}: {what}\n{}", self.picture()),
        }
    }

    fn picture(&self) -> String {
        let s = self.handle().state();
        let instances = s.instances.iter().map(|r| format!("{} {}: {}", r.key, r.state, r.reason));
        let mine = s.containers.iter().filter(|r| r.name.contains(&self.name) || r.owner.instance.is_some());
        let containers = mine.map(|r| format!("{} {} {:?}", r.name, r.state.name(), r.owner));
        let findings = s.findings.iter().map(|f| format!("{} {}: {}", f.word, f.object, f.text));
        let engines = s.engines.iter().map(|e| format!("{} {:?}", e.id, e.state));
        instances.chain(containers).chain(findings).chain(engines).collect::<Vec<_>>().join("\n")
    }

    pub async fn state(&self, name: &str, state: State) -> Arc<InstanceRow> {
        let is = |s: &Snapshot| s.instance(&key(name)).is_some_and(|row| row.state == state);
        let snapshot = self.until(&format!("{name} is {state}"), is).await;
        snapshot.instance(&key(name)).unwrap().clone()
    }

    /// The container that runs `name`, once it is in this state.
    pub async fn container(&self, name: &str, state: ContainerState) -> Arc<ContainerRow> {
        let of = |s: &Snapshot| s.container(s.instance(&key(name))?.container.as_ref()?).cloned();
        let is = |s: &Snapshot| of(s).is_some_and(|row| row.state == state);
        let snapshot = self.until(&format!("the container of {name} is {}", state.name()), is).await;
        of(&snapshot).unwrap()
    }

    pub async fn call(&self, server: &str) -> CallRecord {
        call(self.handle(), "eaton", server, "echo", None).await.unwrap()
    }

    /// A call to an owner that may not serve yet.
    pub async fn first_call(&self, server: &str) -> CallRecord {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let record = self.call(server).await;
            if record.outcome != Outcome::Refused || Instant::now() > deadline {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives the command and waits for the end of its job; its message.
    pub async fn act(&self, command: Command) -> Result<String, Refusal> {
        let act = Act { command, operator: ana(), confirm: None };
        let job = self.handle().run(act).await?;
        let done =
            |s: &Snapshot| s.jobs.iter().find(|j| j.id == job).and_then(|j| j.outcome.map(|o| (o, j.message.clone())));
        let snapshot = self.until("the job ends", |s| done(s).is_some()).await;
        match done(&snapshot).unwrap() {
            (JobOutcome::Ok, message) => Ok(message),
            (_, message) => Err(Refusal::Failed(message)),
        }
    }

    /// What the engine itself has of this platform: names and states.
    pub fn on_engine(&self) -> Vec<(String, String)> {
        let text = self.lab.ask("GET", &format!("/containers/json?all=1&filters={}", self.filter()), None).unwrap();
        let list: Vec<Value> = serde_json::from_str(&text).unwrap();
        let word = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        list.iter().map(|one| (word(&one["Names"][0]), word(&one["State"]))).collect()
    }

    /// `{"label":["io.mcpdeck.platform=NAME"]}`
    fn filter(&self) -> String {
        format!("%7B%22label%22%3A%5B%22io.mcpdeck.platform%3D{}%22%5D%7D", self.name)
    }
}

impl Drop for Deck {
    fn drop(&mut self) {
        self.kill_owner();
        // The engine may be gone with its test.
        let list = self.lab.ask("GET", &format!("/containers/json?all=1&filters={}", self.filter()), None);
        let list: Vec<Value> = list.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        for id in list.iter().filter_map(|one| one["Id"].as_str()) {
            let _ = self.lab.ask("DELETE", &format!("/containers/{id}?force=1&v=1"), None);
        }
        let _ = self.lab.ask("POST", &format!("/networks/prune?filters={}", self.filter()), None);
    }
}

pub fn key(text: &str) -> InstanceKey {
    text.parse().unwrap()
}
