//! One suite for every backend, and what only a backend of processes can break.

use mcpdeck::backend::process::{ProcessBackend, ProcessOptions};
use mcpdeck::backend::{Attached, Backend, Plain, StartSpec, What};
use mcpdeck::model::InstanceKey;
use mcpdeck::model::server::Limits;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECOND: Duration = Duration::from_secs(1);

fn key(text: &str) -> InstanceKey {
    text.parse().unwrap()
}

fn process(dir: &Path) -> ProcessBackend {
    let helper = env!("CARGO_BIN_EXE_mcpdeck").into();
    ProcessBackend::new(ProcessOptions { state_dir: dir.join("state"), helper, cgroups: true })
}

fn shell(dir: &Path, name: &str, script: &str) -> StartSpec {
    command(dir, name, &["/bin/sh", "-c", script])
}

fn command(dir: &Path, name: &str, command: &[&str]) -> StartSpec {
    StartSpec {
        key: key(name),
        what: What::Process {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            env: vec![("PATH".into(), Plain::Text("/usr/bin:/bin".into()))],
            cwd: None,
        },
        data: dir.join("data").join(name),
        limits: Limits { memory: Some(256 << 20), cpus: Some(2.0), pids: Some(64), explicit: false },
    }
}

async fn text_of(mut reader: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut text = String::new();
    tokio::time::timeout(10 * SECOND, reader.read_to_string(&mut text)).await.expect("EOF").unwrap();
    text
}

#[tokio::test]
async fn it_talks_and_ends_when_its_stdin_closes() {
    let dir = tempfile::tempdir().unwrap();
    let backend = process(dir.path());
    let started = backend.start(shell(dir.path(), "echo", "cat; echo bye >&2")).await.unwrap();

    let Attached::Stdio { mut stdin, stdout, stderr } = started.attached else { panic!() };
    stdin.write_all(b"hello\n").await.unwrap();
    drop(stdin);
    assert_eq!(text_of(stdout).await, "hello\n");
    assert_eq!(text_of(stderr).await, "bye\n");
    let exit = started.exit.await.unwrap();
    assert_eq!((exit.code, exit.signal, exit.oom), (Some(0), None, false));
}
