//! The control plane as its users meet it: a whole platform in this process, driven through the handle.

use crate::support::platform::{PATIENCE, ana, call, platform};
use mcpdeck::control::{Handle, Platform};
use mcpdeck::model::instance::InstanceRow;
use mcpdeck::model::message::{EventKind, ExplainWhat, JobOutcome};
use mcpdeck::model::{Act, Answer, CallRecord, Chunk, Command, Feed, InstanceKey, Outcome, Query, Refusal};
use mcpdeck::model::{Snapshot, Stamp, State};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

struct Deck {
    dir: TempDir,
    text: String,
    platform: Option<Platform>,
    handle: Handle,
}

impl Deck {
    async fn start(text: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), text).await
    }

    async fn start_in(dir: TempDir, text: &str) -> Self {
        let platform = platform(dir.path(), text);
        platform.ready().await.unwrap();
        let handle = platform.handle.clone();
        Self { dir, text: text.to_owned(), platform: Some(platform), handle }
    }

    /// Ends this owner and starts the next one in the same folder.
    async fn restart(mut self) -> Self {
        assert_eq!(self.platform.take().unwrap().shutdown(PATIENCE).await, Vec::<String>::new());
        let text = std::mem::take(&mut self.text);
        Self::start_in(self.dir, &text).await
    }

    async fn end(mut self) {
        assert_eq!(self.platform.take().unwrap().shutdown(PATIENCE).await, Vec::<String>::new());
    }

    async fn act(&self, command: Command) -> Result<(), Refusal> {
        self.act_confirmed(command, None).await
    }

    /// Gives the command and waits for the end of its job.
    async fn act_confirmed(&self, command: Command, confirm: Option<&str>) -> Result<(), Refusal> {
        let act = Act { command, operator: ana(), confirm: confirm.map(str::to_owned) };
        let job = self.handle.run(act).await?;
        let done =
            |s: &Snapshot| s.jobs.iter().find(|j| j.id == job).and_then(|j| j.outcome.map(|o| (o, j.message.clone())));
        let snapshot = self.until("the job ends", |s| done(s).is_some()).await;
        match done(&snapshot).unwrap() {
            (JobOutcome::Ok, _) => Ok(()),
            (_, message) => Err(Refusal::Failed(message)),
        }
    }

    /// The first snapshot for which `holds`.
    async fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut revisions = self.handle.revisions();
        let wait = async {
            loop {
                let snapshot = self.handle.state();
                if holds(&snapshot) {
                    return snapshot;
                }
                revisions.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(snapshot) => snapshot,
            Err(_) => {
                let rows = self.handle.state();
                let rows: Vec<_> =
                    rows.instances.iter().map(|r| format!("{} {}: {}", r.key, r.state, r.reason)).collect();
                panic!("not within {PATIENCE:?}: {what}\n{}\n{:?}", rows.join("\n"), self.words());
            }
        }
    }

    async fn state(&self, name: &str, state: State) -> Arc<InstanceRow> {
        let key = key(name);
        let is = |s: &Snapshot| s.instance(&key).is_some_and(|row| row.state == state);
        let snapshot = self.until(&format!("{name} is {state}"), is).await;
        snapshot.instance(&key).unwrap().clone()
    }

    fn row(&self, name: &str) -> Arc<InstanceRow> {
        self.handle.state().instance(&key(name)).unwrap().clone()
    }

    /// Words of what needs attention, with their objects.
    fn words(&self) -> Vec<String> {
        self.handle.state().findings.iter().map(|f| format!("{} {}", f.word, f.object)).collect()
    }

    async fn call(&self, tenant: &str, server: &str) -> CallRecord {
        call(&self.handle, tenant, server, "echo", None).await.unwrap()
    }

    /// How often an instance went into `state`.
    async fn times(&self, name: &str, state: State) -> usize {
        let Ok(Answer::Events(events)) = self.handle.ask(Query::Events { limit: 1000 }).await else { panic!() };
        let wanted = key(name);
        let is = |kind: &EventKind| matches!(kind, EventKind::Transition { instance, to, .. } if *instance == wanted && *to == state);
        events.iter().filter(|e| is(&e.kind)).count()
    }
}

fn key(text: &str) -> InstanceKey {
    text.parse().unwrap()
}

/// A shared simulated server and two customers; `more` goes into the server's table.
fn simulated(more: &str, run: &str) -> String {
    format!(
        "[[server]]\nid = \"etim\"\n{more}\nrun = {{ backend = \"simulated\", latency = \"1ms\", start = \"50ms\" {run} }}\n\
         [[tenant]]\nid = \"eaton\"\nenabled = [\"etim\"]\n[[tenant]]\nid = \"vatt\"\nenabled = [\"etim\"]\n"
    )
}

const QUICK: &str = "restart = { backoff_min = \"20ms\", backoff_max = \"50ms\", max_failures = 3, window = \"1m\", retry_failed = \"1s\" }";

#[tokio::test(flavor = "multi_thread")]
async fn a_first_picture_stands_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let platform = platform(dir.path(), &simulated("autostart = true", ""));
    let first = platform.handle.state();
    assert_eq!((first.tenants.len(), first.instances.len()), (2, 1));
    // A busy machine may show the second one by now.
    assert!(first.revision > 1 || first.instances[0].state == State::Dormant, "{:?}", first.instances[0]);
    platform.ready().await.unwrap();
    platform.shutdown(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_first_calls_start_one_instance() {
    let deck = Deck::start(&simulated("", "")).await;
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let handle = deck.handle.clone();
            tokio::spawn(async move { call(&handle, ["eaton", "vatt"][n % 2], "etim", "echo", None).await.unwrap() })
        })
        .collect();
    for call in calls {
        let record = call.await.unwrap();
        assert_eq!(record.outcome, Outcome::Ok, "{record:?}");
    }
    assert_eq!(deck.times("etim", State::Starting).await, 1);
    let seen = deck.until("the calls are in the rows", |s| s.totals.outcomes.contains(&(Outcome::Ok, 100))).await;
    assert_eq!(seen.totals.in_flight, 0);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_one_stops_and_the_next_call_starts_it() {
    let deck = Deck::start(&simulated("idle_stop = \"1s\"", "")).await;
    assert_eq!(deck.call("eaton", "etim").await.outcome, Outcome::Ok);
    let idle = |s: &Snapshot| s.instance(&key("etim")).is_some_and(|r| r.state == State::Dormant && r.reason == "idle");
    deck.until("it is stopped for being idle", idle).await;
    let record = deck.call("eaton", "etim").await;
    assert_eq!(record.outcome, Outcome::Ok);
    assert!(record.wake_us > 40_000, "{record:?}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_refuses_with_who_and_when_and_outlives_the_owner() {
    let deck = Deck::start(&simulated("", "")).await;
    deck.call("eaton", "etim").await;
    deck.act(Command::Stop(key("etim"))).await.unwrap();
    let refused = deck.call("eaton", "etim").await;
    assert_eq!(refused.outcome, Outcome::Refused);
    assert!(refused.error.as_ref().is_some_and(|e| e.contains("stopped by ana, 20")), "{refused:?}");
    let asleep = deck.act(Command::Sleep(key("etim"))).await.unwrap_err();
    assert!(asleep.to_string().contains("start releases it"), "{asleep}");

    let deck = deck.restart().await;
    deck.state("etim", State::Stopped).await;
    assert_eq!(deck.words(), ["STOPPED etim"]);
    assert_eq!(deck.call("eaton", "etim").await.outcome, Outcome::Refused);
    deck.act(Command::Start(key("etim"))).await.unwrap();
    assert_eq!(deck.call("eaton", "etim").await.outcome, Outcome::Ok);
    let deck = deck.restart().await;
    assert_eq!(deck.row("etim").state, State::Dormant, "the hold is gone for good");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_an_earlier_owner_keep_their_order() {
    let deck = Deck::start(&simulated("", "")).await;
    for tenant in ["eaton", "vatt", "vatt"] {
        deck.call(tenant, "etim").await;
    }
    let deck = deck.restart().await;
    deck.call("eaton", "etim").await;
    let newest_first = Query::Calls { filter: String::new(), limit: 10 };
    let Ok(Answer::Calls(calls)) = deck.handle.ask(newest_first).await else { panic!() };
    let tenants: Vec<_> = calls.iter().map(|call| call.tenant.as_str()).collect();
    assert_eq!(tenants, ["eaton", "vatt", "vatt", "eaton"]);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_refuses_while_it_runs_on() {
    let deck = Deck::start(&simulated("", "")).await;
    deck.call("eaton", "etim").await;
    deck.act(Command::Fence(key("etim"))).await.unwrap();
    assert_eq!(deck.row("etim").state, State::Fenced);
    assert_eq!(deck.call("vatt", "etim").await.outcome, Outcome::Refused);
    deck.act(Command::Unfence(key("etim"))).await.unwrap();
    assert_eq!(deck.call("vatt", "etim").await.outcome, Outcome::Ok);
    assert_eq!(deck.times("etim", State::Starting).await, 1, "it never stopped");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sleep_kill_and_restart_do_what_they_say() {
    let deck = Deck::start(&simulated("", "")).await;
    deck.call("eaton", "etim").await;
    for command in [Command::Sleep(key("etim")), Command::Kill(key("etim"))] {
        deck.act(command).await.unwrap();
        assert_eq!(deck.row("etim").state, State::Dormant);
        assert_eq!(deck.call("eaton", "etim").await.outcome, Outcome::Ok, "the next call starts it");
    }
    deck.act(Command::Restart(key("etim"))).await.unwrap();
    assert_eq!(deck.row("etim").state, State::Ready);
    assert_eq!(deck.times("etim", State::Starting).await, 4);
    let Ok(Answer::Journal(journal)) = deck.handle.ask(Query::Journal { limit: 10 }).await else { panic!() };
    let lines: Vec<_> = journal.iter().map(|j| (j.command_line.as_str(), j.outcome.as_str())).collect();
    assert!(lines.contains(&("mcpdeck kill etim", "ok")), "{lines:?}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_knows_of_an_act_before_it_ends_and_of_what_was_refused() {
    let deck = Deck::start(&simulated("", "").replace("50ms", "30s")).await;
    let give = async |command| deck.handle.run(Act { command, operator: ana(), confirm: None }).await;
    let journal = async || {
        let Ok(Answer::Journal(lines)) = deck.handle.ask(Query::Journal { limit: 10 }).await else { panic!() };
        lines.into_iter().map(|line| (line.command_line, line.outcome)).collect::<Vec<_>>()
    };
    // Acknowledged is written down: the start itself takes much longer.
    give(Command::Start(key("etim"))).await.unwrap();
    assert_eq!(journal().await, [("mcpdeck start etim".to_owned(), "began".to_owned())]);
    let refused = give(Command::Sleep(key("graf"))).await.unwrap_err();
    assert!(matches!(refused, Refusal::NotFound(_)), "{refused}");
    deck.act(Command::Stop(key("etim"))).await.unwrap();
    let refused = give(Command::Sleep(key("etim"))).await.unwrap_err();
    // Refusals and ends are written beside everything else.
    let written = async {
        let told = ("mcpdeck sleep etim".to_owned(), format!("refused: {refused}"));
        let settled = |lines: &[(String, String)]| lines.contains(&told) && lines.iter().all(|(_, o)| o != "began");
        while !settled(&journal().await) {}
    };
    tokio::time::timeout(PATIENCE, written).await.expect("all of it is written down");
    assert_eq!(journal().await.len(), 3);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_backs_off_then_fails_and_is_tried_again_on_schedule() {
    let deck = Deck::start(&simulated(QUICK, ", faults = [{ refuse_start = \"no licence\" }]")).await;
    let record = deck.call("eaton", "etim").await;
    assert_ne!(record.outcome, Outcome::Ok);
    let failed = deck.state("etim", State::Failed).await;
    assert!(failed.reason.contains("no licence"), "{}", failed.reason);
    assert!(failed.retry_at.is_some());
    assert_eq!(deck.times("etim", State::Backoff).await, 2);
    assert_eq!(deck.words(), ["FAILED etim"]);
    let starts = deck.times("etim", State::Starting).await;
    deck.until("it is tried again", |s| {
        s.instance(&key("etim")).is_some_and(|r| r.state == State::Failed && r.since > failed.since)
    })
    .await;
    assert_eq!(deck.times("etim", State::Starting).await, starts + 1, "once");
    let error = deck.act(Command::Start(key("etim"))).await.unwrap_err();
    assert!(error.to_string().contains("no licence"), "{error}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_affects_no_other() {
    let text = format!(
        "{}[[server]]\nid = \"law\"\nrun = {{ command = [\"/nonexistent/law\"] }}\nautostart = true\n{QUICK}\n\
         [[tenant]]\nid = \"zeiss\"\nenabled = [\"etim\", \"law\"]\n",
        simulated("", "")
    );
    let deck = Deck::start(&text).await;
    deck.state("law", State::Failed).await;
    for _ in 0..20 {
        let record = deck.call("zeiss", "etim").await;
        assert_eq!(record.outcome, Outcome::Ok);
    }
    let refused = deck.call("zeiss", "law").await;
    assert!(refused.error.as_ref().is_some_and(|e| e.contains("/nonexistent/law")), "{refused:?}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_needed_starts_first_and_stays() {
    let text = simulated("needs = [\"db\"]", "")
        + "[[server]]\nid = \"db\"\nidle_stop = \"1s\"\nrun = { backend = \"simulated\", start = \"100ms\" }\n";
    let deck = Deck::start(&text).await;
    assert_eq!(deck.call("eaton", "etim").await.outcome, Outcome::Ok);
    deck.state("db", State::Ready).await;
    deck.until("its idle time is over", |s| {
        s.instance(&key("db")).is_some_and(|r| r.idle_stop_at.is_some_and(|at| at < mcpdeck::model::Stamp::now()))
            || s.instance(&key("db")).is_some_and(|r| r.state != State::Ready)
    })
    .await;
    assert_eq!(deck.row("db").state, State::Ready, "etim needs it");
    deck.act(Command::Sleep(key("etim"))).await.unwrap();
    deck.state("db", State::Dormant).await;
    deck.act(Command::Stop(key("db"))).await.unwrap();
    let record = deck.call("eaton", "etim").await;
    let error = deck.row("etim").reason.clone();
    assert_ne!(record.outcome, Outcome::Ok);
    assert!(error.contains("needs db: stopped by ana"), "{error}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enablement_changes_at_once_and_outlives_the_owner() {
    let deck = Deck::start(&simulated("scope = \"tenant\"", "")).await;
    deck.call("eaton", "etim").await;
    deck.act(Command::Disable { server: "etim".into(), tenant: "eaton".into() }).await.unwrap();
    assert_eq!(deck.call("eaton", "etim").await.outcome, Outcome::Refused);
    deck.until("its own instance is gone", |s| s.instance(&key("etim@eaton")).is_none()).await;

    let deck = deck.restart().await;
    let eaton = deck.handle.state().tenant("eaton").unwrap().clone();
    let cell = eaton.cell(&"etim".into()).unwrap();
    assert_eq!((cell.enabled, cell.in_file), (false, true));
    assert_eq!(cell.changed.as_ref().unwrap().by, "ana");
    deck.act(Command::Revert { server: "etim".into(), tenant: "eaton".into() }).await.unwrap();
    assert_eq!(deck.call("eaton", "etim").await.outcome, Outcome::Ok);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_is_one_line_with_its_counts() {
    let settings = "timeout = \"4s\"\nautostart = true";
    let deck = Deck::start(&simulated(settings, ", faults = [{ hang_after = \"1s\" }]")).await;
    assert_eq!(deck.call("eaton", "etim").await.outcome, Outcome::Ok);
    // The fault is scripted by the clock.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let calls: Vec<_> = (0..7)
        .map(|n| {
            let handle = deck.handle.clone();
            tokio::spawn(async move { call(&handle, ["eaton", "vatt"][n % 2], "etim", "echo", None).await })
        })
        .collect();
    let hung = deck.until("HANGING", |s| s.findings.iter().any(|f| f.word == "HANGING")).await;
    let finding = hung.findings.iter().find(|f| f.word == "HANGING").unwrap();
    assert!(finding.text.starts_with("7 in flight, oldest "), "{}", finding.text);
    assert!(finding.text.ends_with("2 customers"), "{}", finding.text);
    assert_eq!(hung.instance(&key("etim")).unwrap().state, State::Degraded);
    assert_eq!(finding.next, ["explain", "fence", "restart"]);
    for call in calls {
        let record = call.await.unwrap().unwrap();
        assert_eq!(record.outcome, Outcome::Timeout);
    }
    deck.state("etim", State::Ready).await;
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_names_who_holds_the_old_one_until_each_is_restarted() {
    let secrets = tempfile::tempdir().unwrap();
    let path = secrets.path().join("token");
    std::fs::write(&path, "old").unwrap();
    let text = format!(
        "[[server]]\nid = \"graf\"\nscope = \"tenant\"\nsecrets = {{ token = {{ file = {path:?} }} }}\n\
         run = {{ backend = \"simulated\", latency = \"1ms\", start = \"1ms\", \
         faults = [{{ auth_unless = {{ secret = \"token\", value = \"new\" }} }}] }}\n\
         [[tenant]]\nid = \"eaton\"\nenabled = [\"graf\"]\n[[tenant]]\nid = \"vatt\"\nenabled = [\"graf\"]\n"
    );
    let deck = Deck::start(&text).await;
    for tenant in ["eaton", "vatt"] {
        assert_eq!(deck.call(tenant, "graf").await.outcome, Outcome::Auth);
    }
    deck.until("AUTH", |s| s.findings.iter().any(|f| f.word == "AUTH")).await;
    std::fs::write(&path, "new").unwrap();
    deck.act(Command::ReloadSecrets).await.unwrap();
    let stale = |s: &Snapshot| s.secrets[0].stale.iter().map(ToString::to_string).collect::<Vec<_>>();
    let named = deck.until("both are stale", |s| stale(s).len() == 2).await;
    assert_eq!(stale(&named), ["graf@eaton", "graf@vatt"]);
    let finding = named.findings.iter().find(|f| f.word == "AUTH").unwrap();
    assert!(finding.text.contains("token is newer than what graf@eaton, graf@vatt started with"), "{}", finding.text);

    deck.act(Command::Restart(key("graf@eaton"))).await.unwrap();
    assert_eq!(deck.call("eaton", "graf").await.outcome, Outcome::Ok);
    deck.until("one is left", |s| stale(s) == ["graf@vatt"]).await;
    deck.act(Command::Restart(key("graf@vatt"))).await.unwrap();
    let calm = deck.until("nothing is left", |s| stale(s).is_empty() && s.findings.is_empty()).await;
    assert!(calm.secrets[0].fingerprint.as_ref().is_some_and(|f| f.len() == 8));
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn production_asks_for_the_name_whatever_the_face() {
    let text = simulated("", "").replace("id = \"eaton\"", "id = \"eaton\"\nenvironment = \"production\"");
    let deck = Deck::start(&text).await;
    let unsent = call(&deck.handle, "eaton", "etim", "echo", None).await.unwrap_err();
    assert!(unsent.contains("--confirm eaton"), "{unsent}");
    assert_eq!(call(&deck.handle, "eaton", "etim", "echo", Some("eaton")).await.unwrap().outcome, Outcome::Ok);
    let refused = deck.act(Command::Stop(key("etim"))).await.unwrap_err();
    assert!(matches!(refused, Refusal::NeedsConfirm { ref name, .. } if name == "etim"), "{refused}");
    deck.act_confirmed(Command::Stop(key("etim")), Some("etim")).await.unwrap();
    let Ok(Answer::Impact(impact)) = deck.handle.ask(Query::Impact(Command::Restart(key("etim")))).await else {
        panic!()
    };
    assert_eq!((impact.type_name.as_deref(), impact.tenants.len()), (Some("etim"), 2));
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dozes_and_a_call_wakes_it() {
    let deck = Deck::start(&simulated("idle_doze = \"1s\"", "")).await;
    deck.call("eaton", "etim").await;
    deck.state("etim", State::Doze).await;
    let record = deck.call("eaton", "etim").await;
    assert_eq!(record.outcome, Outcome::Ok);
    assert_eq!(deck.times("etim", State::Starting).await, 1, "it was not started again");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_processes_are_called_and_none_is_left() {
    let text = "[[server]]\nid = \"catalog\"\nbuiltin = \"catalog\"\nscope = \"tenant\"\n\
                [[tenant]]\nid = \"eaton\"\nenabled = [\"catalog\"]\n[[tenant]]\nid = \"vatt\"\nenabled = [\"catalog\"]\n";
    let deck = Deck::start(text).await;
    let mut pids = Vec::new();
    for tenant in ["eaton", "vatt"] {
        deck.call(tenant, "catalog").await;
        let row = deck.state(&format!("catalog@{tenant}"), State::Ready).await;
        assert!(row.server_info.is_some(), "{row:?}");
        pids.push(row.pid.unwrap());
    }
    let Ok(Answer::Catalog(catalog)) = deck
        .handle
        .ask(Query::Catalog { tenant: "eaton".into(), server: "catalog".into(), wake: true, person: None })
        .await
    else {
        panic!()
    };
    assert!(catalog.tools.contains("classify"), "{}", catalog.tools);
    let what = ExplainWhat::Instance(key("catalog@eaton"));
    let Ok(Answer::Explain(explained)) = deck.handle.ask(Query::Explain(what)).await else { panic!() };
    let process = explained.iter().find(|e| e.check == "process").unwrap();
    assert!(process.evidence.contains(&format!("pid {}", pids[0])), "{}", process.evidence);
    deck.end().await;
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_keeps_the_request_without_its_secrets() {
    let deck = Deck::start(&simulated("", "")).await;
    deck.call("eaton", "etim").await;
    let deck = deck.restart().await;
    let tenant = Some("eaton".into());
    let Ok(Answer::History(history)) = deck.handle.ask(Query::History { tenant, limit: 10 }).await else { panic!() };
    assert_eq!((history.len(), history[0].operator.as_str()), (1, "ana"));
    assert!(history[0].params.contains("hello") && !history[0].params.contains("hunter2"), "{}", history[0].params);
    let filter = "tenant=eaton outcome=ok".to_owned();
    let Ok(Answer::Calls(calls)) = deck.handle.ask(Query::Calls { filter, limit: 10 }).await else { panic!() };
    assert_eq!(calls.len(), 1, "calls of the last owner are still known");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_store_a_platform_serves_nothing_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("state")).unwrap();
    std::fs::write(dir.path().join("state/mcpdeck.db"), "this is no database, and it is precious").unwrap();
    let platform = platform(dir.path(), &simulated("", ""));
    let error = platform.ready().await.unwrap_err();
    assert!(error.to_string().contains("not a usable database"), "{error}");
    let record = call(&platform.handle, "eaton", "etim", "echo", None).await.unwrap();
    assert_eq!(record.outcome, Outcome::Refused);
    let act = Act { command: Command::Stop(key("etim")), operator: ana(), confirm: None };
    let refused = platform.handle.run(act).await.unwrap_err();
    assert!(refused.to_string().contains("could not be kept"), "{refused}");
    assert!(platform.handle.state().findings.iter().any(|f| f.word == "STORE"));
    platform.shutdown(PATIENCE).await;
    let kept = std::fs::read_to_string(dir.path().join("state/mcpdeck.db")).unwrap();
    assert_eq!(kept, "this is no database, and it is precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_started_again_once_the_platform_ends() {
    let restless =
        "autostart = true\nrestart = { backoff_min = \"20ms\", backoff_max = \"50ms\", max_failures = 1000 }";
    let slow = "[[server]]\nid = \"slow\"\nrun = { backend = \"simulated\", latency = \"1500ms\", start = \"1ms\" }\n";
    let text = simulated(restless, ", faults = [{ exit_after = { after = \"60ms\" } }]") + slow;
    let mut deck = Deck::start(&text.replace("enabled = [\"etim\"]", "enabled = [\"etim\", \"slow\"]")).await;
    let handle = deck.handle.clone();
    let mut events = handle.follow(Feed::Events { backlog: 0 });
    // It holds the end open for a second and a half.
    let calling = tokio::spawn(async move { call(&handle, "eaton", "slow", "echo", None).await });
    deck.until("a call in flight", |s| s.totals.in_flight > 0).await;
    deck.state("etim", State::Backoff).await;
    let asked = Stamp::now();
    assert_eq!(deck.platform.take().unwrap().shutdown(PATIENCE).await, Vec::<String>::new());
    assert!(Stamp::now().since(asked) > Duration::from_millis(300), "it had time to start again");
    // Whether its answer still came is not what this is about.
    let _ = calling.await.unwrap();
    let mut started = Vec::new();
    while let Some(Chunk::Events(some)) = events.recv().await {
        started.extend(some.into_iter().filter(|event| {
            let is_start =
                matches!(&event.kind, EventKind::Transition { instance, to: State::Starting, .. } if instance.server.as_str() == "etim");
            is_start && event.at.0 > asked.0 + 20
        }));
    }
    assert!(started.is_empty(), "{started:?}");
}
