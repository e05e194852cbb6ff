//! What every store must do, and what the SQLite one does about a bad file, a lock, a crash.

use mcpdeck::config::StoreConfig;
use mcpdeck::model::call::Origin;
use mcpdeck::model::gpu::GpuHeld;
use mcpdeck::model::instance::Mark;
use mcpdeck::model::message::{Event, EventKind, Face, HistoryEntry, JournalEntry, Level, MetricRow};
use mcpdeck::model::principal::{Grant, KeyHash, KeyRow, PasswordHash, Role, StoredKey, StoredUser, UserRow};
use mcpdeck::model::{CallId, CallRecord, Era, InstanceKey, Operator, Outcome, Stamp};
use mcpdeck::store::rotate::RotatedFile;
use mcpdeck::store::{self, Enablement, MarkKind, Store, StoreError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

/// Set in the child that [`a_killed_process_loses_nothing_acknowledged`] kills.
const CHILD_STORE: &str = "MCPDECK_TEST_CHILD_STORE";

/// Set in the child that [`a_full_disk_fails_the_write_and_keeps_what_was_acknowledged`] starts.
const FULL_STORE: &str = "MCPDECK_TEST_FULL_STORE";

fn config(path: impl Into<PathBuf>) -> StoreConfig {
    StoreConfig { path: path.into(), calls_per_tenant: 50, audit_rotate_bytes: 1 << 20, audit_keep: 3 }
}

fn open(path: impl Into<PathBuf>) -> Arc<dyn Store> {
    store::open(&config(path)).unwrap()
}

fn mark(by: &str) -> Mark {
    Mark { by: by.to_owned(), at: Stamp(1_700_000_000_123), reason: "näher ansehen".to_owned() }
}

fn call(id: u64, tenant: &str, outcome: Outcome) -> CallRecord {
    CallRecord {
        id: CallId(id),
        at: Stamp::now(),
        tenant: tenant.into(),
        server: "etim".into(),
        instance: Some("etim".parse().unwrap()),
        method: "tools/call".into(),
        tool: Some("search".into()),
        outcome,
        took_us: 100 + id,
        wake_us: 1,
        upstream_us: 90,
        request_bytes: 280,
        response_bytes: 1_024,
        era: Some(Era::Modern),
        origin: Origin::Cli,
        principal: "anna".into(),
        role: id.is_multiple_of(2).then_some(Role::Operator),
        error: outcome.is_error().then(|| "no answer within 30s".to_owned()),
    }
}

fn journal_entry(n: u64) -> JournalEntry {
    JournalEntry {
        at: Stamp(n),
        operator: Operator {
            name: "anna".to_owned(),
            face: Face::Cli,
            pid: 42,
            grant: (n > 1).then(|| Grant { role: Role::Tenant, tenant: (n > 2).then(|| "eaton".into()) }),
        },
        verb: "restart".to_owned(),
        object: format!("etim@t{n}"),
        outcome: "ok".to_owned(),
        command_line: format!("mcpdeck restart etim@t{n}"),
        took_ms: (n > 1).then_some(n),
        kept: true,
    }
}

fn history_entry(tenant: &str, params: String) -> HistoryEntry {
    HistoryEntry {
        id: 0,
        at: Stamp(5),
        tenant: tenant.into(),
        server: "etim".into(),
        method: "tools/call".into(),
        tool: None,
        params,
        raw: true,
        outcome: Outcome::Tool,
        took_us: 7,
        operator: "anna".to_owned(),
        response: Some("{}".to_owned()),
    }
}

fn notice(seq: u64) -> Event {
    Event { seq, at: Stamp(seq), kind: EventKind::Notice { level: Level::Warn, text: format!("n{seq}") } }
}

/// Runs the same proof on a file and in memory.
async fn on_each_store<F: Future<Output = ()>>(proof: impl Fn(Arc<dyn Store>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    proof(open(folder.path().join("mcpdeck.db"))).await;
    proof(open(":memory:")).await;
}

#[tokio::test]
async fn enablement_marks_and_hints_read_back_and_can_be_forgotten() {
    on_each_store(async |store| {
        let key: InstanceKey = "git@eaton#3".parse().unwrap();
        for (on, by) in [(true, "anna"), (false, "bert")] {
            store.set_enablement("etim".into(), "eaton".into(), Some((on, mark(by)))).await.unwrap();
        }
        let kept = Enablement { server: "etim".into(), tenant: "eaton".into(), on: false, mark: mark("bert") };
        assert_eq!(store.enablement().await.unwrap(), [kept]);

        store.set_mark(key.clone(), MarkKind::Fenced, Some(mark("anna"))).await.unwrap();
        store.set_mark(key.clone(), MarkKind::Held, Some(mark("bert"))).await.unwrap();
        let (fenced, held) =
            ((key.clone(), MarkKind::Fenced, mark("anna")), (key.clone(), MarkKind::Held, mark("bert")));
        assert_eq!(store.marks().await.unwrap(), [fenced.clone(), held]);

        store.set_era_hint("git".into(), Some(Era::Legacy)).await.unwrap();
        store.set_era_hint("git".into(), Some(Era::Modern)).await.unwrap();
        assert_eq!(store.era_hints().await.unwrap(), [("git".into(), Era::Modern)]);

        store.set_enablement("etim".into(), "eaton".into(), None).await.unwrap();
        store.set_mark(key, MarkKind::Held, None).await.unwrap();
        store.set_era_hint("git".into(), None).await.unwrap();
        assert_eq!(store.enablement().await.unwrap(), []);
        assert_eq!(store.marks().await.unwrap(), [fenced]);
        assert_eq!(store.era_hints().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn calls_read_back_newest_first_with_every_outcome() {
    on_each_store(async |store| {
        let sent: Vec<_> =
            Outcome::ALL.into_iter().zip(0..).map(|(outcome, id)| Arc::new(call(id, "eaton", outcome))).collect();
        let bare = CallRecord { instance: None, tool: None, era: None, ..call(99, "other", Outcome::Refused) };
        store.add_calls(sent.clone()).await.unwrap();
        store.add_calls(vec![Arc::new(bare.clone())]).await.unwrap();

        let newest_first: Vec<_> = sent.iter().rev().map(|call| (**call).clone()).collect();
        assert_eq!(store.calls(Some("eaton".into()), false, 100).await.unwrap(), newest_first);
        assert_eq!(store.calls(None, false, 1).await.unwrap(), [bare]);
        let failed = store.calls(None, true, 100).await.unwrap();
        assert_eq!(failed.len(), 6);
        assert!(failed.iter().all(|call| call.outcome.is_error()));
        assert_eq!(store.calls(Some("nobody".into()), true, 100).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_quiet_tenant_and_old_errors_outlive_anothers_flood() {
    on_each_store(async |store| {
        store.add_calls(vec![Arc::new(call(1, "quiet", Outcome::Ok))]).await.unwrap();
        store.add_calls(vec![Arc::new(call(2, "loud", Outcome::Timeout))]).await.unwrap();
        let flood = (10..1_000).map(|id| Arc::new(call(id, "loud", Outcome::Ok))).collect();
        store.add_calls(flood).await.unwrap();

        let loud = store.calls(Some("loud".into()), false, 10_000).await.unwrap();
        assert!((51..=51 + 16).contains(&loud.len()), "kept {}", loud.len());
        assert_eq!(loud[0].id, CallId(999));
        assert_eq!(store.calls(Some("loud".into()), true, 10).await.unwrap()[0].id, CallId(2));
        assert_eq!(store.calls(Some("quiet".into()), false, 10).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn metrics_sum_calls_of_one_operation() {
    on_each_store(async |store| {
        let old = CallRecord { at: Stamp(Stamp::now().0 - 3_600_000), ..call(1, "eaton", Outcome::Ok) };
        let fresh = [(2, Outcome::Ok), (3, Outcome::Timeout), (4, Outcome::Tool)];
        for (id, outcome) in fresh {
            store.add_calls(vec![Arc::new(call(id, "eaton", outcome))]).await.unwrap();
        }
        store.add_calls(vec![Arc::new(old)]).await.unwrap();
        let listing = CallRecord { tool: None, method: "tools/list".into(), ..call(5, "eaton", Outcome::Ok) };
        store.add_calls(vec![Arc::new(listing)]).await.unwrap();

        let row = |method: &str, tool: Option<&str>, calls, errors, total_us, max_us| MetricRow {
            tenant: "eaton".into(),
            server: "etim".into(),
            method: method.to_owned(),
            tool: tool.map(str::to_owned),
            calls,
            errors,
            total_us,
            max_us,
        };
        let since = Stamp(Stamp::now().0 - 600_000);
        let listed = row("tools/list", None, 1, 0, 105, 105);
        let recent = [row("tools/call", Some("search"), 3, 1, 309, 104), listed.clone()];
        assert_eq!(store.metrics(since).await.unwrap(), recent);
        let all = [row("tools/call", Some("search"), 4, 1, 410, 104), listed];
        assert_eq!(store.metrics(Stamp(0)).await.unwrap(), all);
    })
    .await;
}

#[tokio::test]
async fn history_is_numbered_and_bounded_per_tenant() {
    on_each_store(async |store| {
        let first = store.add_history(history_entry("eaton", "{\"q\":\"Kabel\"}".to_owned())).await.unwrap();
        let expected = HistoryEntry { id: first, ..history_entry("eaton", "{\"q\":\"Kabel\"}".to_owned()) };
        assert_eq!(store.history(Some("eaton".into()), 10).await.unwrap(), [expected]);

        let mut numbers = Vec::new();
        // So few at once that they are asked in their order.
        for first in (0..1_400).step_by(20) {
            let some = (first..first + 20).map(|n| store.add_history(history_entry("loud", n.to_string())));
            numbers.extend(join_all(some).await.into_iter().map(Result::unwrap));
        }
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "ids grow in the order of asking");
        let kept = store.history(Some("loud".into()), 10_000).await.unwrap();
        assert!((1_000..=1_256).contains(&kept.len()), "kept {}", kept.len());
        assert_eq!(kept[0].params, "1399");
        assert_eq!(store.history(Some("eaton".into()), 10).await.unwrap().len(), 1);
        assert_eq!(store.history(None, 1).await.unwrap()[0].tenant, "loud".into());
    })
    .await;
}

#[tokio::test]
async fn journal_and_events_read_back_newest_first_and_events_are_bounded() {
    on_each_store(async |store| {
        for n in 1..=3 {
            store.add_journal(journal_entry(n)).await.unwrap();
        }
        assert_eq!(store.journal(2).await.unwrap(), [journal_entry(3), journal_entry(2)]);

        store.add_events((0..12_000).map(notice).collect()).await.unwrap();
        let kept = store.events(u32::MAX).await.unwrap();
        assert!((10_000..=10_256).contains(&kept.len()), "kept {}", kept.len());
        assert_eq!(kept[0], notice(11_999));
    })
    .await;
}

#[tokio::test]
async fn how_an_act_ended_takes_the_place_of_its_beginning() {
    on_each_store(async |store| {
        let begun = |n| JournalEntry { outcome: "began".to_owned(), ..journal_entry(n) };
        let failed = |n| JournalEntry { outcome: "failed: x".to_owned(), ..journal_entry(n) };
        for entry in [begun(1), begun(2), journal_entry(3), failed(1), failed(4)] {
            store.add_journal(entry).await.unwrap();
        }
        // The second one's owner died over it.
        assert_eq!(store.journal(9).await.unwrap(), [failed(4), journal_entry(3), begun(2), failed(1)]);
    })
    .await;
}

#[tokio::test]
async fn who_held_gpu_memory_is_kept_by_the_minute_and_for_a_day() {
    on_each_store(async |store| {
        let now = Stamp::now().0 / 60_000 * 60_000;
        let held = |minutes_ago: u64, tenant: Option<&str>, holder: &str, memory| GpuHeld {
            at: Stamp(now - minutes_ago * 60_000),
            device: "GPU-1".into(),
            tenant: tenant.map(Into::into),
            holder: holder.into(),
            memory,
        };
        let night = [held(600, Some("eaton"), "eaton/vllm", 61), held(600, None, "python3 (pid 7)", 7)];
        // Within a minute the most counts, whichever came first.
        let late = GpuHeld { at: Stamp(night[0].at.0 + 59_000), ..night[0].clone() };
        store.add_gpu_held(vec![GpuHeld { memory: 50, ..late.clone() }, night[1].clone()]).await.unwrap();
        store.add_gpu_held(vec![late, held(10, Some("eaton"), "eaton/vllm", 0)]).await.unwrap();
        let everything = [night[0].clone(), night[1].clone(), held(10, Some("eaton"), "eaton/vllm", 0)];
        assert_eq!(store.gpu_held(Stamp(0), 100).await.unwrap(), everything);
        assert_eq!(store.gpu_held(held(600, None, "", 0).at, 100).await.unwrap().len(), 3);
        assert_eq!(store.gpu_held(held(599, None, "", 0).at, 100).await.unwrap(), everything[2..]);
        assert_eq!(store.gpu_held(Stamp(0), 1).await.unwrap(), everything[2..], "the newest, where not all are wanted");
    })
    .await;
}

#[tokio::test]
async fn who_held_gpu_memory_the_day_before_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcpdeck.db");
    let row = |at: u64| GpuHeld { at: Stamp(at), device: "a".into(), tenant: None, holder: "x".into(), memory: 1 };
    let now = Stamp::now().0 / 60_000 * 60_000;
    let store = open(&path);
    store.add_gpu_held(vec![row(now - 26 * 3_600_000), row(now - 23 * 3_600_000)]).await.unwrap();
    assert_eq!(store.gpu_held(Stamp(0), 100).await.unwrap(), [row(now - 23 * 3_600_000)]);
}

#[tokio::test]
async fn a_store_of_the_first_schema_is_brought_up_to_date_with_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcpdeck.db");
    let store = open(&path);
    store.add_journal(journal_entry(1)).await.unwrap();
    store.close().await;
    let old = "DROP TABLE gpu_held; DROP TABLE api_keys; DROP TABLE users; ALTER TABLE calls DROP COLUMN role;
               ALTER TABLE journal DROP COLUMN role; ALTER TABLE journal DROP COLUMN tenant;
               ALTER TABLE journal DROP COLUMN took_ms; PRAGMA user_version = 1";
    rusqlite::Connection::open(&path).unwrap().execute_batch(old).unwrap();
    let store = open(&path);
    assert_eq!(store.journal(9).await.unwrap(), [journal_entry(1)]);
    assert_eq!(store.gpu_held(Stamp(0), 9).await.unwrap(), []);
    assert_eq!(store.keys().await.unwrap(), []);
}

fn key(id: &str) -> StoredKey {
    let row = KeyRow {
        id: id.to_owned(),
        name: "nightly".to_owned(),
        role: Role::Tenant,
        tenant: Some("eaton".into()),
        created: Stamp::now(),
        created_by: "anna".to_owned(),
        expires: None,
        last_used: None,
        revoked: None,
    };
    StoredKey { row, hash: KeyHash([id.as_bytes()[0]; 32]) }
}

#[tokio::test]
async fn keys_read_back_and_change_only_in_how_long_they_are_good() {
    on_each_store(async |store| {
        let (a, mut b) = (key("a"), key("b"));
        b.row = KeyRow { created: Stamp(a.row.created.0 + 1), role: Role::Admin, tenant: None, ..b.row };
        store.set_keys(vec![a.clone(), b.clone()]).await.unwrap();
        assert_eq!(store.keys().await.unwrap(), [a.clone(), b.clone()]);

        let used = Stamp(a.row.created.0 + 500);
        let late = [("a".to_owned(), used), ("a".to_owned(), a.row.created), ("nobody".to_owned(), used)];
        store.set_keys_used(late.to_vec()).await.unwrap();
        let revoked = KeyRow { revoked: Some(used), expires: Some(used), ..a.row.clone() };
        let renamed = StoredKey { row: KeyRow { name: "other".to_owned(), ..revoked.clone() }, ..a };
        store.set_keys(vec![renamed]).await.unwrap();
        let kept = KeyRow { last_used: Some(used), ..revoked };
        assert_eq!(store.keys().await.unwrap()[0].row, kept, "it is named once, and its last use stays");

        let same_text = StoredKey { row: KeyRow { id: "c".to_owned(), ..b.row.clone() }, hash: b.hash };
        assert!(store.set_keys(vec![key("d"), same_text]).await.is_err(), "a hash names one key");
        assert_eq!(store.keys().await.unwrap().len(), 2, "all or none");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_has_not_worked_for_long_is_forgotten() {
    on_each_store(async |store| {
        let days_ago = |days: u64| Some(Stamp(Stamp::now().0 - days * 86_400_000));
        let row = |id: &str, expires, revoked| {
            let fresh = key(id);
            StoredKey { row: KeyRow { expires, revoked, ..fresh.row }, ..fresh }
        };
        let keys = vec![
            row("a", None, None),
            row("b", days_ago(89), None),
            row("c", days_ago(91), None),
            row("d", None, days_ago(91)),
            row("e", days_ago(1), days_ago(91)),
            row("f", days_ago(91), days_ago(1)),
        ];
        store.set_keys(keys).await.unwrap();
        let left: Vec<_> = store.keys().await.unwrap().into_iter().map(|key| key.row.id).collect();
        assert_eq!(left, ["a", "b"]);
    })
    .await;
}

#[tokio::test]
async fn users_read_back_and_can_be_forgotten() {
    on_each_store(async |store| {
        let user = |email: &str, password: &str, changed| StoredUser {
            row: UserRow {
                email: email.to_owned(),
                role: Role::Operator,
                tenant: None,
                created: Stamp(7),
                changed: Stamp(changed),
            },
            password: PasswordHash::new(password.to_owned()),
        };
        let (ana, ben) = (user("ana@eaton.test", "$argon2id$1", 7), user("ben@eaton.test", "$argon2id$2", 7));
        for one in [&ben, &ana] {
            store.set_user(one.row.email.clone(), Some(one.clone())).await.unwrap();
        }
        assert_eq!(store.users().await.unwrap(), [ana.clone(), ben.clone()]);
        let ana = user("ana@eaton.test", "$argon2id$3", 9);
        store.set_user(ana.row.email.clone(), Some(ana.clone())).await.unwrap();
        store.set_user(ben.row.email, None).await.unwrap();
        assert_eq!(store.users().await.unwrap(), [ana]);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_future_still_writes() {
    on_each_store(async |store| {
        drop(store.add_journal(journal_entry(1)));
        assert_eq!(store.journal(9).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn closing_finishes_what_was_asked_and_refuses_what_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcpdeck.db");
    let store = open(&path);
    let writes: Vec<_> = (0..500).map(|n| store.add_journal(journal_entry(n))).collect();
    store.close().await;
    for write in writes {
        write.await.unwrap();
    }
    assert!(matches!(store.add_journal(journal_entry(1)).await, Err(StoreError::Closed)));
    assert!(matches!(store.journal(1).await, Err(StoreError::Closed)));
    store.close().await;

    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| ["mcpdeck.db", "audit.jsonl"].contains(&name.to_str().unwrap())), "{left:?}");
    assert_eq!(open(&path).journal(1_000).await.unwrap().len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("mcpdeck.db"));
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..250 {
                    store.add_journal(journal_entry(task * 1_000 + n)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut seen: Vec<_> = store.journal(10_000).await.unwrap().into_iter().map(|entry| entry.at.0).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 2_000);
}

/// Writes and tells each acknowledged number until it is killed; without the variable it is no test of its own.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD_STORE) else { return };
    let store = open(path);
    for n in 0.. {
        store.add_journal(journal_entry(n)).await.unwrap();
        store.add_calls(vec![Arc::new(call(n, "eaton", Outcome::Timeout))]).await.unwrap();
        println!("acknowledged {n}");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcpdeck.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_contract::child_that_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD_STORE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 40 {
        let line = lines.next().expect("the child ended").unwrap();
        acknowledged.extend(line.strip_prefix("acknowledged ").and_then(|n| n.parse::<u64>().ok()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged
        .extend(lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("acknowledged ")?.parse::<u64>().ok()));

    let store = open(&path);
    let journal = store.journal(100_000).await.unwrap();
    let audit = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    for n in acknowledged {
        assert!(journal.iter().any(|entry| entry.at == Stamp(n)), "journal lost {n}");
        assert!(audit.contains(&format!("\"id\":{n},")), "audit lost {n}");
    }
    store.add_journal(journal_entry(0)).await.unwrap();
}

/// Writes until the file may not grow, and tells what happened; without the variable it is no test of its own.
#[tokio::test]
async fn child_that_runs_out_of_space() {
    let Ok(path) = std::env::var(FULL_STORE) else { return };
    let store = open(path);
    let mut written = 0;
    let error = loop {
        match store.add_history(history_entry("eaton", "x".repeat(4_000))).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert_eq!(store.history(None, 1_000).await.unwrap().len(), written, "reading goes on");
    println!("\nwritten {written}");
}

#[tokio::test]
async fn a_full_disk_fails_the_write_and_keeps_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcpdeck.db");
    // A limit on the size of files stands for the full disk: 4,000 blocks of 512 bytes or 1 KiB.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "store_contract::child_that_runs_out_of_space", "--nocapture"])
        .env(FULL_STORE, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let written = text.lines().find_map(|line| line.strip_prefix("written ")?.parse::<usize>().ok());
    let written = written.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(written > 10, "{text}");
    let store = open(&path);
    assert_eq!(store.history(None, 1_000).await.unwrap().len(), written);
    store.add_history(history_entry("eaton", String::new())).await.unwrap();
}

#[test]
fn several_may_create_the_same_store_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/mcpdeck.db");
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || store::open(&config(path)).map(|_| ()))
        })
        .collect();
    for opener in openers {
        opener.join().unwrap().unwrap();
    }
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_as_it_is() {
    let garbage: [(&str, Vec<u8>, &str); 4] = [
        ("short text", b"hello".to_vec(), "does not start like"),
        ("long text", b"hello ".repeat(10_000), "does not start like"),
        ("header only", [b"SQLite format 3\0".as_slice(), &[7; 5_000]].concat(), "not a database"),
        (
            "another program's",
            foreign_database("CREATE TABLE books (title TEXT); PRAGMA user_version = 70"),
            "another program",
        ),
    ];
    for (case, bytes, reason) in garbage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcpdeck.db");
        std::fs::write(&path, &bytes).unwrap();
        let error = store::open(&config(&path)).err().unwrap_or_else(|| panic!("{case}: opened"));
        assert!(matches!(error, StoreError::Corrupt { .. }), "{case}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(reason) && text.contains("mcpdeck.db") && text.contains("Move it away"),
            "{case}: {text}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{case}: changed");
    }
}

fn foreign_database(sql: &str) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    rusqlite::Connection::open(file.path()).unwrap().execute_batch(sql).unwrap();
    std::fs::read(file.path()).unwrap()
}

/// A closed store's file, changed by SQL.
async fn changed_store(folder: &Path, sql: &str) -> PathBuf {
    let path = folder.join("mcpdeck.db");
    open(&path).close().await;
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    path
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = changed_store(folder.path(), "PRAGMA user_version = 9999").await;
    let error = store::open(&config(path)).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 9999, .. }), "{error}");
}

#[tokio::test]
async fn damage_found_later_fails_that_call_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path =
        changed_store(folder.path(), "DROP TABLE journal; INSERT INTO marks VALUES ('@', 'held', '', 0, '')").await;
    let store = open(path);
    for error in [store.add_journal(journal_entry(1)).await.unwrap_err(), store.marks().await.unwrap_err()] {
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
    // Writes that were committed together with the one that failed are done.
    let (failed, done) = (store.add_journal(journal_entry(1)), store.set_era_hint("git".into(), Some(Era::Legacy)));
    assert!(failed.await.is_err());
    done.await.unwrap();
    assert_eq!(store.era_hints().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_locked_file_is_named_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = changed_store(folder.path(), "").await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; DELETE FROM marks;").unwrap();
    let began = Instant::now();
    let error = store::open(&config(&path)).err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("fuser"), "{error}");
    assert!(began.elapsed().as_secs_f32() < 1.0, "{:?}", began.elapsed());
}

#[test]
fn a_place_that_cannot_be_written_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = store::open(&config(folder.path().join("file/mcpdeck.db"))).err().unwrap();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("[store] url"), "{error}");
}

#[tokio::test]
async fn a_full_disk_under_the_audit_file_is_an_error_with_a_count() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("audit.jsonl")).unwrap();
    let store = open(folder.path().join("mcpdeck.db"));
    for lost in [2, 4] {
        let calls = vec![Arc::new(call(1, "eaton", Outcome::Ok)), Arc::new(call(2, "eaton", Outcome::Ok))];
        let error = store.add_calls(calls).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{lost} since the start")) && error.contains("free some space"), "{error}");
    }
    assert_eq!(store.calls(None, false, 10).await.unwrap().len(), 4, "the database does not depend on the audit file");
    let error = store.add_journal(journal_entry(1)).await.unwrap_err().to_string();
    assert!(error.contains("5 since the start"), "acts are audited, too: {error}");
    assert_eq!(store.journal(9).await.unwrap(), [journal_entry(1)], "and neither does the journal");
}

/// A full disk and a killed owner leave half a line; so does whoever cuts the file while it is open.
#[tokio::test]
async fn what_follows_a_torn_line_of_the_audit_file_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (path, torn) = (folder.path().join("audit.jsonl"), "{\"time\":\"2026-11-30T11:35:55Z\",\"id\":30");
    std::fs::write(&path, torn).unwrap();
    let store = open(folder.path().join("mcpdeck.db"));
    let ids = |text: String| -> Vec<Option<u64>> {
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["id"].as_u64();
        text.lines().map(id).collect()
    };
    store.add_calls(vec![Arc::new(call(7, "eaton", Outcome::Ok))]).await.unwrap();
    assert_eq!(ids(std::fs::read_to_string(&path).unwrap()), [None, Some(7)], "after an owner that was killed");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(torn.len() as u64 + 20).unwrap();
    store.add_calls(vec![Arc::new(call(8, "eaton", Outcome::Ok))]).await.unwrap();
    assert_eq!(ids(std::fs::read_to_string(&path).unwrap()), [None, None, Some(8)], "after a write that broke off");
}

#[tokio::test]
async fn every_act_is_a_line_of_the_audit_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("mcpdeck.db"));
    store.add_journal(journal_entry(3)).await.unwrap();
    let text = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((&line["act"]["verb"], &line["act"]["took_ms"]), (&"restart".into(), &3.into()));
    assert_eq!(line["act"]["operator"]["grant"]["tenant"], "eaton");
}

#[tokio::test]
async fn every_call_is_one_line_of_the_audit_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path().join("mcpdeck.db"));
    let calls =
        (0..300).map(|id| Arc::new(CallRecord { at: Stamp(1_790_000_000_123), ..call(id, "eaton", Outcome::Ok) }));
    store.add_calls(calls.collect()).await.unwrap();
    let text = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 300);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["time"], "2026-09-21T14:13:20.123Z");
    assert_eq!(first["tenant"], "eaton");
    assert_eq!(first["outcome"], "ok");
}

#[tokio::test]
async fn ten_thousand_calls() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let store = open(folder.path().join("mcpdeck.db"));
    println!("a new store, opened: {:?}", began.elapsed());
    let began = Instant::now();
    let batches = (0..100).map(|batch| {
        let calls = (0..100).map(|n| Arc::new(call(batch * 100 + n, &format!("t{}", n % 10), Outcome::Ok)));
        store.add_calls(calls.collect())
    });
    assert!(join_all(batches).await.iter().all(Result::is_ok));
    println!("10,000 calls in 100 batches, audited and committed: {:?}", began.elapsed());
    let sum: u64 = store.metrics(Stamp(0)).await.unwrap().iter().map(|row| row.calls).sum();
    assert_eq!(sum, 10_000);
}

/// Waits for all, started together.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let started: Vec<_> = futures.collect();
    let mut done = Vec::with_capacity(started.len());
    for future in started {
        done.push(future.await);
    }
    done
}

fn lines_of(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn a_rotated_file_keeps_the_newest_lines_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/etim.log");
    let mut file = RotatedFile::open(&path, 50, 2).unwrap();
    for n in 0..20 {
        file.write_line(format!("line {n:04}").as_bytes()).unwrap();
        file.flush().unwrap();
    }
    let name = |n: u32| path.with_file_name(format!("etim.log.{n}"));
    let kept: Vec<_> = [name(2), name(1), path.clone()].iter().flat_map(|path| lines_of(path)).collect();
    let newest: Vec<_> = (20 - kept.len()..20).map(|n| format!("line {n:04}")).collect();
    assert_eq!(kept, newest);
    assert_eq!(kept.len(), 15);
    assert!(!name(3).exists());
}

#[test]
fn a_rotated_file_survives_logrotate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("etim.log");
    let moved = folder.path().join("etim.log-20260728");
    let mut file = RotatedFile::open(&path, 1 << 20, 2).unwrap();
    let mut say = |text: &str| {
        file.write_line(text.as_bytes()).unwrap();
        file.flush().unwrap();
    };
    say("one");
    std::fs::rename(&path, &moved).unwrap();
    say("two");
    assert_eq!((lines_of(&moved), lines_of(&path)), (vec!["one".to_owned()], vec!["two".to_owned()]));
    std::fs::rename(&path, &moved).unwrap();
    std::fs::write(&path, "").unwrap();
    say("new");
    assert_eq!((lines_of(&moved), lines_of(&path)), (vec!["two".to_owned()], vec!["new".to_owned()]));
    std::fs::remove_file(&path).unwrap();
    say("three");
    assert_eq!(lines_of(&path), ["three"]);
    std::fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap().flush().unwrap();
    say("four");
    assert_eq!(lines_of(&path), ["four"]);
}
