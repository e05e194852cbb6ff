//! What only local programs can do to us.

use super::rig::{LONG, Pipes, SHORT, command, eventually, is_alive, key, process, shell};
use crate::support::skip;
use mcpdeck::backend::process::{ProcessBackend, ProcessOptions};
use mcpdeck::backend::{Backend, BackendError, What};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let started = backend.start(command(dir.path(), "a", &["env"])).await.unwrap();
    assert_eq!(Pipes::of(started.attached).rest_of_stdout().await, "PATH=/usr/local/bin:/usr/bin:/bin\n");
}

#[tokio::test]
async fn it_runs_in_its_data_folder_or_where_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let started = backend.start(command(dir.path(), "a", &["pwd"])).await.unwrap();
    let data = dir.path().join("data/a");
    assert_eq!(Pipes::of(started.attached).rest_of_stdout().await, format!("{}\n", data.display()));
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700, "its data is nobody else's business");

    let mut spec = command(dir.path(), "b", &["pwd"]);
    if let What::Process { cwd, .. } = &mut spec.what {
        *cwd = Some("/".into());
    }
    let started = backend.start(spec).await.unwrap();
    assert_eq!(Pipes::of(started.attached).rest_of_stdout().await, "/\n");
}

#[tokio::test]
async fn what_cannot_start_says_why_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let mut nowhere = command(dir.path(), "b", &["cat"]);
    if let What::Process { cwd, .. } = &mut nowhere.what {
        *cwd = Some("/no/such/folder".into());
    }
    let cases = [
        (
            command(dir.path(), "a", &["mcp-server-nowhere", "--flag"]),
            "cannot start `mcp-server-nowhere`: install it or write its full path in `run.command`; it is not in PATH \
             /usr/local/bin:/usr/bin:/bin",
        ),
        (nowhere, "cannot start `cat`: its working directory /no/such/folder does not exist; create it"),
        (command(dir.path(), "c", &[]), "cannot start ``: its command is empty; give a program in `run.command`"),
    ];
    for (spec, expected) in cases {
        let key = spec.key.clone();
        assert_eq!(backend.start(spec).await.err().unwrap().to_string(), expected);
        backend.start(command(dir.path(), key.server.as_str(), &["cat"])).await.expect("the key is free again");
        backend.kill(&key).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let script = "trap '' TERM; echo ready; while :; do sleep 1000; done";
    let started = backend.start(shell(dir.path(), "a", script)).await.unwrap();
    let mut pipes = Pipes::of(started.attached);
    assert_eq!(pipes.answer().await, "ready\n");
    backend.stop(&key("a"), SHORT, SHORT).await.unwrap();
    let exit = started.exit.await.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
}

#[tokio::test]
async fn grandchildren_die_with_it() {
    // The grandchild holds stdout, which must not keep anybody waiting for the instance's end.
    let cases = [
        ("killed", "sleep 1000 & echo $!; wait", true),
        ("ended by itself", "sleep 1000 & echo $!", false),
        ("ignoring SIGTERM", "trap '' TERM; sleep 1000 & echo $!; wait", true),
    ];
    for ((name, script, kill), cgroups) in cases.into_iter().flat_map(|case| [(case, true), (case, false)]) {
        let dir = tempfile::tempdir().unwrap();
        let backend = if cgroups { process(dir.path()) } else { without_cgroups(dir.path()) };
        let started = backend.start(shell(dir.path(), "a", script)).await.unwrap();
        let mut pipes = Pipes::of(started.attached);
        let grandchild: u32 = pipes.answer().await.trim().parse().unwrap();
        if kill {
            backend.kill(&key("a")).await.unwrap();
        }
        tokio::time::timeout(LONG, started.exit).await.expect(name).unwrap();
        eventually(name, async || !is_alive(grandchild)).await;
        assert_eq!(pipes.rest_of_stdout().await, "", "{name}");
    }
}

#[tokio::test]
async fn one_that_left_the_group_dies_with_its_cgroup() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let script = "command -v setsid >/dev/null || { echo none; exit; }; setsid sleep 1000 & echo $!; wait";
    let started = backend.start(shell(dir.path(), "a", script)).await.unwrap();
    let mut pipes = Pipes::of(started.attached);
    let Ok(grandchild) = pipes.answer().await.trim().parse() else {
        return skip("one_that_left_the_group_dies_with_its_cgroup", "no `setsid` program");
    };
    if !started.notes.is_empty() {
        return skip("one_that_left_the_group_dies_with_its_cgroup", &started.notes.join(", "));
    }
    eventually("a session of its own", async || session(grandchild) == Some(grandchild)).await;
    backend.kill(&key("a")).await.unwrap();
    assert!(!is_alive(grandchild), "it is gone when the kill is done");
}

/// Session of a process.
fn session(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(3)?.parse().ok()
}

#[tokio::test]
async fn a_flood_of_stderr_that_nobody_reads_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let started = backend.start(shell(dir.path(), "a", "echo ready; exec yes >&2")).await.unwrap();
    let mut pipes = Pipes::of(started.attached);
    assert_eq!(pipes.answer().await, "ready\n");
    backend.stop(&key("a"), SHORT, LONG).await.unwrap();
    assert_eq!(started.exit.await.unwrap().signal, Some(15));
    assert!(pipes.rest_of_stderr().await.starts_with("y\ny\n"), "what was written can still be read");
}

#[tokio::test]
async fn the_pid_limit_stops_a_fork_loop() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let script = "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo all; wait";
    let mut spec = shell(dir.path(), "a", script);
    spec.limits.pids = Some(16);
    let started = backend.start(spec).await.unwrap();
    if let Some(note) = started.notes.iter().find(|note| note.starts_with("pids")) {
        return skip("the_pid_limit_stops_a_fork_loop", note);
    }
    let mut pipes = Pipes::of(started.attached);
    assert_ne!(pipes.answer().await, "all\n");
    assert!(!started.exit.await.unwrap().oom);
    assert!(pipes.rest_of_stderr().await.to_lowercase().contains("fork"));
}

#[tokio::test]
async fn the_memory_limit_ends_it_as_out_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let mut spec = shell(dir.path(), "a", "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo survived");
    spec.limits.memory = Some(24 << 20);
    let started = backend.start(spec).await.unwrap();
    if let Some(note) = started.notes.iter().find(|note| note.starts_with("memory")) {
        return skip("the_memory_limit_ends_it_as_out_of_memory", note);
    }
    let exit = tokio::time::timeout(LONG, started.exit).await.unwrap().unwrap();
    assert!(exit.oom, "{exit:?}");
    assert_eq!(exit.to_string(), "killed: out of memory (its limit)");
}

#[tokio::test]
async fn the_cpu_limit_is_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let mut spec = shell(dir.path(), "a", "cat /proc/self/cgroup; cat");
    spec.limits.cpus = Some(0.5);
    let started = backend.start(spec).await.unwrap();
    if let Some(note) = started.notes.iter().find(|note| note.starts_with("cpu")) {
        return skip("the_cpu_limit_is_in_force", note);
    }
    let mut pipes = Pipes::of(started.attached);
    pipes.stdin = None;
    let cgroups = pipes.rest_of_stdout().await;
    assert!(cgroups.lines().any(|line| line.contains("mcpdeck-")), "{cgroups}");
}

fn without_cgroups(dir: &Path) -> ProcessBackend {
    let helper = env!("CARGO_BIN_EXE_mcpdeck").into();
    ProcessBackend::new(ProcessOptions { state_dir: dir.join("state"), helper, cgroups: false })
}

#[tokio::test]
async fn a_limit_that_cannot_be_had_is_shown_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let backend = without_cgroups(dir.path());
    let started = backend.start(command(dir.path(), "a", &["cat"])).await.unwrap();
    let unlimited = ["memory", "cpu", "pids"].map(|limit| format!("{limit} unlimited: no cgroup"));
    assert_eq!(started.notes, unlimited);
    backend.kill(&key("a")).await.unwrap();

    let mut spec = command(dir.path(), "a", &["cat"]);
    spec.limits.explicit = true;
    spec.limits.cpus = None;
    let refused = backend.start(spec).await.err().unwrap();
    assert!(matches!(refused, BackendError::Limit { .. }));
    let text = refused.to_string();
    assert!(text.starts_with("cannot honour memory limit 268435456 bytes, pids limit 64: no cgroup"), "{text}");
}

#[tokio::test]
async fn without_its_helper_it_still_starts_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let options = ProcessOptions { state_dir: dir.path().into(), helper: "/no/such/mcpdeck".into(), cgroups: false };
    let backend = ProcessBackend::new(options);
    let started = backend.start(command(dir.path(), "a", &["cat"])).await.unwrap();
    let note = started.notes.iter().find(|note| note.contains("kill -9")).expect("a note");
    assert!(note.contains("/no/such/mcpdeck: No such file"), "{note}");
    drop(started.attached);
    backend.stop(&key("a"), LONG, Duration::ZERO).await.unwrap();
}
