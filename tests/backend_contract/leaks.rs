//! A thousand starts and stops leave no process, descriptor, cgroup or file behind.

use super::rig::{LONG, Pipes, Rig, alone, eventually, key, light_rigs};
use std::fs;
use std::path::{Path, PathBuf};
use tokio::task::JoinSet;

const ROUNDS: usize = 1000;
const AT_ONCE: usize = 8;

#[test]
fn a_thousand_rounds_leave_nothing() {
    if !alone("backend_contract::leaks::a_thousand_rounds_leave_nothing") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for rig in light_rigs() {
            let rig = std::sync::Arc::new(rig);
            round(&rig, 0, 0).await;
            let before = Left::now();
            let mut lanes = JoinSet::new();
            for lane in 0..AT_ONCE {
                let rig = std::sync::Arc::clone(&rig);
                lanes.spawn(async move {
                    for n in 0..ROUNDS / AT_ONCE {
                        round(&rig, lane, n).await;
                    }
                });
            }
            lanes.join_all().await;
            // A pipe that the other side closed is taken out of the runtime a moment later.
            eventually(rig.name, async || Left::now() == before).await;
            let state = rig.dir.path().join("state/run");
            let dir = std::sync::Arc::into_inner(rig).expect("all lanes have ended").dir_after_the_end();
            assert_eq!(fs::read_dir(state).into_iter().flatten().count(), 0, "{dir:?}: no file names what is gone");
        }
    });
    drop(runtime);
    assert_eq!(cgroups_of_us(Path::new("/sys/fs/cgroup")), Vec::<PathBuf>::new());
    assert_eq!(children(), Vec::<u32>::new(), "not even the helper");
}

/// One life, ended in one of three ways.
async fn round(rig: &Rig, lane: usize, n: usize) {
    let name = format!("s{lane}");
    let started = rig.start(&name).await.unwrap();
    let mut pipes = Pipes::of(started.attached);
    assert!(pipes.ping(1).await);
    match n % 3 {
        0 => {
            drop(pipes);
            rig.backend().stop(&key(&name), LONG, LONG).await.unwrap();
        }
        1 => rig.backend().stop(&key(&name), std::time::Duration::ZERO, LONG).await.unwrap(),
        _ => rig.backend().kill(&key(&name)).await.unwrap(),
    }
    started.exit.await.unwrap();
}

/// What could leak.
#[derive(Debug, PartialEq)]
struct Left {
    descriptors: usize,
    children: Vec<u32>,
    cgroups: Vec<PathBuf>,
}

impl Left {
    fn now() -> Self {
        Self {
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            children: children(),
            cgroups: cgroups_of_us(Path::new("/sys/fs/cgroup")),
        }
    }
}

fn children() -> Vec<u32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let mut pids: Vec<u32> =
        lists.flat_map(|l| l.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    pids.sort_unstable();
    pids
}

/// Every cgroup folder below ours, with ours.
fn cgroups_of_us(dir: &Path) -> Vec<PathBuf> {
    let name = format!("mcpdeck-{}-", std::process::id());
    let folders = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<_> = folders
        .filter(|path| path.is_dir() && !path.is_symlink())
        .flat_map(|path| {
            let ours = path.components().any(|c| c.as_os_str().to_string_lossy().starts_with(&name));
            let mut below = cgroups_of_us(&path);
            below.extend(ours.then_some(path));
            below
        })
        .collect();
    found.sort();
    found
}
