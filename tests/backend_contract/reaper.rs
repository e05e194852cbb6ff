//! After a `kill -9` of the owner: its helper cleans up, or, if that was killed as well, the next start finds what is left.

use super::rig::{LONG, Pipes, eventually, is_alive, key, process, shell};
use mcpdeck::backend::Backend;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const OWNER: &str = "MCPDECK_TEST_OWNER";
const INSTANCES: usize = 5;

/// Not a test of its own: the process that the others start and kill. It tells the pids of its children and grandchildren.
#[test]
fn be_an_owner() {
    let Some(dir) = std::env::var_os(OWNER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let backend = process(Path::new(&dir));
        let mut held = Vec::new();
        for n in 0..INSTANCES {
            // Neither it nor its child reads stdin, so that a closed pipe alone does not end them; one ignores SIGTERM.
            let stubborn = if n == 0 { "trap '' TERM;" } else { "" };
            let script = format!("{stubborn} sleep 1000 & echo $$ $!; wait");
            let started = backend.start(shell(Path::new(&dir), &format!("s{n}"), &script)).await.unwrap();
            let mut pipes = Pipes::of(started.attached);
            println!("PIDS {}", pipes.answer().await.trim());
            held.push(pipes);
        }
        println!("READY");
        std::future::pending::<()>().await;
    });
}

struct Owner {
    child: Child,
    /// Of instances and their children.
    pids: Vec<u32>,
}

impl Owner {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "backend_contract::reaper::be_an_owner", "--nocapture"])
            .env(OWNER, dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pids = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            match line.split_once("PIDS ") {
                Some((_, numbers)) => pids.extend(numbers.split(' ').map(|n| n.parse::<u32>().unwrap())),
                None if line.contains("READY") => break,
                None => {}
            }
        }
        assert_eq!(pids.len(), 2 * INSTANCES);
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        Self { child, pids }
    }

    fn helper(&self) -> Pid {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let tasks = std::fs::read_dir(format!("/proc/{own}/task")).unwrap().flatten();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let pids: Vec<i32> = lists.chain([children]).flat_map(|l| numbers(&l)).collect();
        let is_helper =
            |pid: &&i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.ends_with(b"__reaper\0"));
        Pid::from_raw(*pids.iter().find(is_helper).expect("a helper")).unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn numbers(text: &str) -> Vec<i32> {
    text.split_whitespace().flat_map(str::parse).collect()
}

#[tokio::test]
async fn all_are_gone_within_two_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = Owner::start(dir.path());
    let helper = owner.helper();
    // What ends a terminal's session must not end the helper.
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        kill_process(helper, signal).unwrap();
    }
    owner.kill();
    let killed = Instant::now();
    eventually("all are gone", async || !owner.pids.iter().any(|pid| is_alive(*pid))).await;
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    eventually("the helper too", async || !is_alive(helper.as_raw_nonzero().get().cast_unsigned())).await;

    let next = process(dir.path());
    assert_eq!(next.orphans().await, []);
    assert_eq!(next.reap().await.unwrap(), 0);
}

#[tokio::test]
async fn the_next_start_finds_what_the_helper_could_not_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = Owner::start(dir.path());
    let helper = owner.helper();
    kill_process(helper, Signal::KILL).unwrap();
    owner.kill();
    let helper = helper.as_raw_nonzero().get().cast_unsigned();
    eventually("the helper is dead", async || !is_alive(helper)).await;
    assert!(owner.pids.iter().all(|pid| is_alive(*pid)), "nobody has ended them");

    let next = process(dir.path());
    let mine = next.start(shell(dir.path(), "mine", "echo ready; cat")).await.unwrap();
    let mut pipes = Pipes::of(mine.attached);
    assert_eq!(pipes.answer().await, "ready\n");
    let orphans = next.orphans().await;
    let keys: Vec<_> = orphans.iter().map(|o| o.key.to_string()).collect();
    assert_eq!(keys, ["s0", "s1", "s2", "s3", "s4"], "each once, and none that has an owner");
    let first = &orphans[0];
    assert!(owner.pids.contains(&first.pid.unwrap()));
    assert!(first.what.ends_with(&format!("of mcpdeck {}", owner.child.id())), "{}", first.what);

    assert_eq!(next.reap().await.unwrap(), u32::try_from(INSTANCES).unwrap());
    eventually("all are gone", async || !owner.pids.iter().any(|pid| is_alive(*pid))).await;
    assert_eq!(next.orphans().await, []);
    assert!(pipes.ping(1).await, "ours still runs");
    drop(pipes);
    next.stop(&key("mine"), LONG, LONG).await.unwrap();
    let left = std::fs::read_dir(dir.path().join("state/run")).unwrap().flatten().map(|e| e.file_name());
    let others: Vec<_> = left.filter(|n| n.to_string_lossy().starts_with(&format!("{}-", owner.child.id()))).collect();
    assert!(others.is_empty(), "{others:?}");
}
