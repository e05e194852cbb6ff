//! A configuration that changes while everything runs: what is taken over, what is refused, and that no call is lost.

use crate::support::platform::{PATIENCE, ana, call, config_file, platform};
use mcpdeck::api::Listening;
use mcpdeck::config::{self, LoadOptions};
use mcpdeck::control::Platform;
use mcpdeck::model::message::{JobOutcome, JobRow};
use mcpdeck::model::reload::ReloadPlan;
use mcpdeck::model::{Act, Answer, Command, InstanceRow, Outcome, Query, Snapshot, Stamp, State};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SERVERS: &str = "
[[server]]
id = \"etim\"
run = { backend = \"simulated\", tools = [\"search\"], latency = \"20ms\" }
[[server]]
id = \"law\"
run = { backend = \"simulated\", tools = [\"search\"] }
[[tenant]]
id = \"eaton\"
enabled = [\"etim\", \"law\"]
";

/// Only what is asked for reloads.
const QUIET: &str = "watch = false\n";

struct Deck {
    platform: Platform,
    dir: TempDir,
    /// What stands in `[platform]` besides.
    head: &'static str,
}

impl Deck {
    async fn start(head: &'static str, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let platform = platform(dir.path(), text);
        let deck = Self { platform, dir, head };
        deck.platform.ready().await.unwrap();
        if !head.is_empty() {
            deck.write(text);
            deck.reload().await;
        }
        deck
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("deck.toml")
    }

    fn write(&self, text: &str) {
        write(self.dir.path(), self.head, text);
    }

    fn state(&self) -> Arc<Snapshot> {
        self.platform.handle.state()
    }

    fn row(&self, key: &str) -> InstanceRow {
        let state = self.state();
        InstanceRow::clone(state.instances.iter().find(|row| row.key.to_string() == key).expect(key))
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) {
        let mut revisions = self.platform.handle.revisions();
        let reached = async {
            while !wanted(&self.state()) {
                revisions.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{what}"));
    }

    async fn reload(&self) -> JobRow {
        let act = Act { command: Command::Reload, operator: ana(), confirm: None };
        let job = self.platform.handle.run(act).await.unwrap();
        let done = |state: &Snapshot| state.jobs.iter().any(|row| row.id == job && row.outcome.is_some());
        self.until("the reload ends", done).await;
        JobRow::clone(self.state().jobs.iter().find(|row| row.id == job).unwrap())
    }

    async fn dry_run(&self) -> ReloadPlan {
        match self.platform.handle.ask(Query::Reload).await.unwrap() {
            Answer::Reload(plan) => plan,
            other => panic!("{other:?}"),
        }
    }

    async fn call(&self, server: &str) -> Outcome {
        call(&self.platform.handle, "eaton", server, "search", None).await.unwrap().outcome
    }

    async fn end(self) {
        self.platform.shutdown(PATIENCE).await;
    }
}

fn write(dir: &Path, head: &str, text: &str) {
    let file = config_file("test", dir, text);
    let whole = fs::read_to_string(&file).unwrap().replacen("[paths]", &format!("{head}[paths]"), 1);
    // As editors do: never half a file.
    fs::write(dir.join("deck.toml~"), whole).unwrap();
    fs::rename(dir.join("deck.toml~"), file).unwrap();
}

fn tenants(state: &Snapshot) -> Vec<&str> {
    state.tenants.iter().map(|row| row.def.id.as_str()).collect()
}

#[test]
fn the_difference_says_what_changes_what_cannot_and_what_counts_later() {
    let table: [(&str, &str, &[&str]); 9] = [
        ("", "", &[]),
        ("[[tenant]]\nid = \"a\"\n", "\n\n[[tenant]]\nid = \"a\"\n", &[]),
        ("[[tenant]]\nid = \"a\"\n", "[[tenant]]\nid = \"b\"\n", &["- tenant a", "+ tenant b"]),
        (
            "[[server]]\nid = \"s\"\nurl = \"http://a\"\n",
            "[[server]]\nid = \"s\"\nurl = \"http://b\"\ntimeout = \"9s\"\n",
            &["~ server s: run, timeout"],
        ),
        ("", "[api]\nlisten = [\"127.0.0.1:8080\"]\n", &["~ [api]: listen"]),
        ("", "[api]\nmax_body = \"1MiB\"\n", &["~ [api]: settings"]),
        ("[platform]\nbulk_cap = 3\n", "[platform]\nbulk_cap = 4\n", &["~ [platform]: bulk_cap"]),
        ("", "[ui]\nascii = true\n", &["ui counts when a console starts"]),
        (
            "",
            "[store]\nurl = \"sqlite://other.db\"\n",
            &["store cannot change while the platform runs: it is open; restart its owner"],
        ),
    ];
    for (before, after, want) in table {
        let dir = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let file = dir.path().join("deck.toml");
            fs::write(&file, text).unwrap();
            let env = [("HOME".to_owned(), "/home/ops".to_owned())].into();
            config::load(&LoadOptions { file: Some(file), env, set: Vec::new() }).unwrap()
        };
        let plan = config::difference(&read(before), &read(after));
        let lines = plan.refused.into_iter().chain(plan.changes.iter().map(ToString::to_string)).chain(plan.later);
        assert_eq!(lines.collect::<Vec<_>>(), want, "{before} -> {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_starts_anew_and_what_did_not_is_not_touched() {
    let deck = Deck::start(QUIET, SERVERS).await;
    assert_eq!((deck.call("etim").await, deck.call("law").await), (Outcome::Ok, Outcome::Ok));
    let (etim, law) = (deck.row("etim"), deck.row("law"));
    deck.write(&SERVERS.replace("20ms", "25ms"));
    let plan = deck.dry_run().await;
    assert_eq!(plan.restarts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["etim"]);
    assert_eq!(deck.row("etim").started_at, etim.started_at, "a dry run does nothing");
    let job = deck.reload().await;
    assert_eq!(job.outcome, Some(JobOutcome::Ok), "{}", job.message);
    let anew = |state: &Snapshot| {
        let row = state.instances.iter().find(|row| row.key.to_string() == "etim").unwrap();
        row.state == State::Ready && row.started_at.is_some() && row.started_at != etim.started_at
    };
    deck.until("etim starts anew", anew).await;
    assert_eq!((deck.row("law").started_at, deck.row("law").since), (law.started_at, law.since));
    assert!(deck.dry_run().await.is_empty());
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_count_from_the_next_call_on_without_a_restart() {
    let deck = Deck::start(QUIET, SERVERS).await;
    deck.call("etim").await;
    let before = deck.row("etim");
    deck.write(&SERVERS.replacen("id = \"etim\"\n", "id = \"etim\"\ntimeout = \"10ms\"\n", 1));
    let plan = deck.dry_run().await;
    assert!(plan.restarts.is_empty() && plan.changes.len() == 1, "{plan:?}");
    deck.reload().await;
    assert_eq!(deck.call("etim").await, Outcome::Timeout);
    assert_eq!(deck.row("etim").started_at, before.started_at);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_defined_ends_after_its_calls_and_looks_unknown() {
    let slow = SERVERS.replace("latency = \"20ms\"", "latency = \"1s\"");
    let deck = Deck::start(QUIET, &slow).await;
    deck.call("etim").await;
    let handle = deck.platform.handle.clone();
    let flying = tokio::spawn(async move { call(&handle, "eaton", "etim", "search", None).await.unwrap().outcome });
    deck.until("a call is in flight", |state| state.totals.in_flight > 0).await;
    let (law, tenant) = (slow.find("[[server]]\nid = \"law\"").unwrap(), "enabled = [\"etim\", \"law\"]");
    deck.write(&slow[law..].replace(tenant, "enabled = [\"law\"]"));
    assert_eq!(deck.reload().await.outcome, Some(JobOutcome::Ok));
    let refused = call(&deck.platform.handle, "eaton", "etim", "search", None).await.unwrap();
    assert_eq!(refused.outcome, Outcome::Refused);
    assert_eq!(flying.await.unwrap(), Outcome::Ok, "it was let finish");
    deck.until("its row goes", |state| state.instances.iter().all(|row| row.key.to_string() != "etim")).await;
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_what_is_no_longer_defined_is_told_and_starts_nothing() {
    let slow = SERVERS.replace("latency = \"20ms\"", "start = \"1s\"");
    let deck = Deck::start(QUIET, &slow).await;
    let handle = deck.platform.handle.clone();
    let waiting = tokio::spawn(async move { call(&handle, "eaton", "etim", "search", None).await.unwrap() });
    deck.until("it starts", |state| state.instances.iter().any(|row| row.state == State::Starting)).await;
    let law = slow.find("[[server]]\nid = \"law\"").unwrap();
    deck.write(&slow[law..].replace("[\"etim\", \"law\"]", "[\"law\"]"));
    assert_eq!(deck.reload().await.outcome, Some(JobOutcome::Ok));
    let told = waiting.await.unwrap();
    assert!(told.outcome != Outcome::Ok && told.error.is_some(), "{told:?}");
    deck.until("its row goes", |state| state.instances.iter().all(|row| row.key.to_string() != "etim")).await;
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_lost_while_a_hundred_fly_and_two_reloads_come_at_once() {
    let deck = Deck::start(QUIET, SERVERS).await;
    deck.call("etim").await;
    let before = deck.row("etim").started_at;
    let callers: Vec<_> = (0..100)
        .map(|n| {
            let handle = deck.platform.handle.clone();
            tokio::spawn(async move {
                let mut outcomes = Vec::new();
                for _ in 0..10 {
                    let server = if n % 2 == 0 { "etim" } else { "law" };
                    outcomes.push(call(&handle, "eaton", server, "search", None).await.unwrap().outcome);
                }
                outcomes
            })
        })
        .collect();
    deck.write(&SERVERS.replace("20ms", "21ms"));
    let (one, two) = tokio::join!(deck.reload(), deck.reload());
    assert_eq!((one.outcome, two.outcome), (Some(JobOutcome::Ok), Some(JobOutcome::Ok)));
    for caller in callers {
        let outcomes = caller.await.unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Ok), "{outcomes:?}");
    }
    let anew = |state: &Snapshot| {
        let row = state.instances.iter().find(|row| row.key.to_string() == "etim").unwrap();
        row.state == State::Ready && row.started_at != before
    };
    deck.until("it starts anew in the end", anew).await;
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_keeps_what_runs_and_is_shown_until_it_is_mended() {
    let deck = Deck::start("", SERVERS).await;
    deck.write(&format!("{SERVERS}[[server]]\nid = \"x\"\nurl = \"ws://x\"\n"));
    deck.until("it is shown", |state| state.platform.config_trouble.is_some()).await;
    let state = deck.state();
    let trouble = state.platform.config_trouble.as_ref().unwrap();
    let line = fs::read_to_string(deck.path()).unwrap().lines().position(|line| line.contains("ws://")).unwrap() + 1;
    assert!(trouble.to_string().contains(&format!("deck.toml:{line}:")), "{trouble}");
    let finding = state.findings.iter().find(|row| row.word == "CONFIG").expect("it needs attention");
    assert!(finding.text.contains(&format!("deck.toml:{line}:")), "{}", finding.text);
    assert_eq!(deck.call("etim").await, Outcome::Ok);
    let job = deck.reload().await;
    assert_eq!(job.outcome, Some(JobOutcome::Failed));
    assert!(job.message.contains(&format!("deck.toml:{line}:")), "{}", job.message);
    let Answer::Events(events) = deck.platform.handle.ask(Query::Events { limit: 50 }).await.unwrap() else { panic!() };
    assert!(events.iter().any(|event| format!("{event:?}").contains("is not taken over")), "{events:?}");
    deck.write(SERVERS);
    deck.until("it is mended", |state| state.platform.config_trouble.is_none()).await;
    assert!(deck.state().findings.iter().all(|row| row.word != "CONFIG"));
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_change_while_it_runs_is_refused_whole() {
    let deck = Deck::start(QUIET, SERVERS).await;
    let other = format!("{SERVERS}[[tenant]]\nid = \"late\"\n");
    deck.write(&other);
    let text = fs::read_to_string(deck.path()).unwrap().replace("name = \"test\"", "name = \"other\"");
    fs::write(deck.path(), text).unwrap();
    let job = deck.reload().await;
    assert_eq!(job.outcome, Some(JobOutcome::Failed));
    assert!(job.message.contains("platform.name cannot change while the platform runs"), "{}", job.message);
    assert_eq!(tenants(&deck.state()), ["eaton"], "not even what could have changed");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_are_noticed_however_they_are_written() {
    let deck = Deck::start("", &format!("include = [\"more/*.toml\"]\n{SERVERS}").replacen("include", "#", 1)).await;
    let dir = deck.dir.path();
    let tenant = |id: &str| format!("[[tenant]]\nid = \"{id}\"\n");
    // Renamed over.
    deck.write(&format!("{SERVERS}{}", tenant("renamed")));
    deck.until("a rename", |state| tenants(state).contains(&"renamed")).await;
    // Written in place, and with a pattern.
    fs::create_dir(dir.join("more")).unwrap();
    let text = fs::read_to_string(deck.path()).unwrap();
    fs::write(deck.path(), format!("include = [\"more/*.toml\"]\n{text}{}", tenant("written"))).unwrap();
    deck.until("a write", |state| tenants(state).contains(&"written")).await;
    // A file that comes to match, and one that goes.
    fs::write(dir.join("more/a.toml"), tenant("matched")).unwrap();
    deck.until("a new file", |state| tenants(state).contains(&"matched")).await;
    fs::remove_file(dir.join("more/a.toml")).unwrap();
    deck.until("a file gone", |state| !tenants(state).contains(&"matched")).await;
    deck.end().await;
}

/// A config map: the file is a link through a link to a folder, and the one in the middle is turned.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_that_is_turned_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    for (version, more) in [("v1", ""), ("v2", "[[tenant]]\nid = \"turned\"\n")] {
        let text = fs::read_to_string(config_file("test", dir.path(), &format!("{SERVERS}{more}"))).unwrap();
        fs::create_dir(dir.path().join(version)).unwrap();
        fs::write(dir.path().join(version).join("deck.toml"), text).unwrap();
    }
    let platform = platform(dir.path(), SERVERS);
    let deck = Deck { platform, dir, head: "" };
    deck.platform.ready().await.unwrap();
    let at = |name: &str| deck.dir.path().join(name);
    symlink("v1", at("..data")).unwrap();
    fs::remove_file(at("deck.toml")).unwrap();
    symlink("..data/deck.toml", at("deck.toml")).unwrap();
    // It says the same, so that nothing tells when the link is followed: a reload does.
    assert_eq!(deck.reload().await.message, "nothing changed");
    symlink("v2", at("..next")).unwrap();
    fs::rename(at("..next"), at("..data")).unwrap();
    deck.until("the turn", |state| tenants(state).contains(&"turned")).await;
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_sees_the_new_configuration_with_the_next_request() {
    let api = "[api]\nlisten = [\"127.0.0.1:0\"]\nanonymous = { tenant = \"eaton\" }\n";
    let deck = Deck::start(QUIET, &format!("{api}{SERVERS}")).await;
    let gateway = Listening::open(deck.platform.handle.clone()).await.unwrap().unwrap();
    let at = gateway.addresses[0];
    assert_eq!(status(at, "etim").await, "200");
    deck.write(&format!("[api]\nlisten = [\"127.0.0.1:0\"]\n{SERVERS}"));
    deck.reload().await;
    assert_eq!(status(at, "etim").await, "401");
    gateway.close(PATIENCE).await;
    deck.end().await;
}

/// The status of a call over HTTP.
async fn status(at: SocketAddr, server: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{}}}"#;
    let request = format!(
        "POST /mcp/{server} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer[9..12].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_moves_to_where_it_shall_listen_and_says_where_it_cannot() {
    let slow = SERVERS.replace("latency = \"20ms\"", "latency = \"1s\"");
    let at =
        |address: SocketAddr| format!("[api]\nlisten = [\"{address}\"]\nanonymous = {{ tenant = \"eaton\" }}\n{slow}");
    let somewhere = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (free, taken) = (somewhere(), somewhere());
    let (before, after) = (free.local_addr().unwrap(), taken.local_addr().unwrap());
    drop(free);
    let deck = Deck::start(QUIET, &at(before)).await;
    let gateway = Listening::open(deck.platform.handle.clone()).await.unwrap().unwrap();
    let flying = tokio::spawn(status(before, "etim"));
    deck.until("a call is in flight", |state| state.totals.in_flight > 0).await;
    deck.write(&at(after));
    deck.reload().await;
    let cannot = |state: &Snapshot| {
        let mut rows = state.findings.iter().filter(|row| row.word == "LISTEN" && row.object == after.to_string());
        rows.any(|row| row.text.contains("in use") && row.text.contains("it is tried again"))
    };
    deck.until("it asks for attention", cannot).await;
    assert_eq!(flying.await.unwrap(), "200", "a call under way is answered");
    let gone = async {
        while TcpStream::connect(before).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("nobody is there any more");
    drop(taken);
    deck.until("it listens", |state| !state.findings.iter().any(|row| row.word == "LISTEN")).await;
    assert_eq!(status(after, "etim").await, "200");
    gateway.close(PATIENCE).await;
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_while_it_shuts_down_is_refused() {
    let slow = SERVERS.replace("latency = \"20ms\"", "latency = \"1s\"");
    let deck = Deck::start(QUIET, &slow).await;
    let handle = deck.platform.handle.clone();
    let flying = tokio::spawn({
        let handle = handle.clone();
        async move { call(&handle, "eaton", "etim", "search", None).await }
    });
    deck.until("a call is in flight", |state| state.totals.in_flight > 0).await;
    let begun = Stamp::now();
    let ending = tokio::spawn(deck.platform.shutdown(Duration::from_secs(10)));
    let act = || Act { command: Command::Reload, operator: ana(), confirm: None };
    let refused = loop {
        match handle.run(act()).await {
            Err(why) => break why.to_string(),
            Ok(_) if Stamp::now().since(begun) > PATIENCE => panic!("never refused"),
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert!(refused.contains("shutting down") || refused.contains("has ended"), "{refused}");
    assert_eq!(flying.await.unwrap().unwrap().outcome, Outcome::Ok);
    assert!(ending.await.unwrap().is_empty());
}
