use super::super::fixture;
use super::*;
use crate::backend::engine::{ExecIn, ExecOut};
use crate::model::container::{ContainerKey, Owner};
use crate::model::message::{Face, Operator};
use crate::model::snapshot::PlatformInfo;

fn key() -> ContainerKey {
    ContainerKey { engine: "local".into(), id: "abc".into() }
}

fn exec(confirm: Option<&str>) -> Exec {
    Exec {
        container: key(),
        command: vec!["ls".into(), "a b".into()],
        terminal: true,
        columns: 80,
        rows: 24,
        operator: Operator { name: "ana".into(), face: Face::Cli, pid: 1, grant: None },
        confirm: confirm.map(str::to_owned),
    }
}

fn snapshot(platform: PlatformInfo, state: ContainerState, owner: Owner) -> Snapshot {
    let row = ContainerRow {
        key: key(),
        name: "mcpdeck-test-x".into(),
        image: "x".into(),
        state,
        since: Stamp(1),
        exit_code: None,
        oom: false,
        restarts: 0,
        health: None,
        owner,
        compose_project: None,
        compose_service: None,
        ports: Vec::new(),
        networks: Vec::new(),
        usage: Default::default(),
    };
    let builder = crate::control::snapshot::Builder::new(Arc::new(platform));
    Snapshot { containers: vec![Arc::new(row)], ..(**builder.last()).clone() }
}

#[test]
fn a_command_is_judged_like_an_act() {
    use ContainerState::{Exited, Paused, Running};
    let lab = fixture::platform;
    let production = || PlatformInfo { environment: Environment::Production, ..lab() };
    let locked = || PlatformInfo { read_only: true, ..lab() };
    let owned = |claim| Owner { claim, ..Owner::default() };
    let name = Some("mcpdeck-test-x");
    let table = [
        (lab(), Running, Claim::Ours, None, "ok"),
        (lab(), Running, Claim::Adopted, None, "ok"),
        (lab(), Running, Claim::Orphan, None, "ok"),
        (lab(), Running, Claim::Other, name, "mcpdeck-test-x is neither made nor adopted"),
        (lab(), Paused, Claim::Ours, name, "mcpdeck-test-x is paused"),
        (lab(), Exited, Claim::Ours, name, "mcpdeck-test-x is exited"),
        (locked(), Running, Claim::Ours, name, "read-only: the platform test"),
        (production(), Running, Claim::Ours, None, "exec mcpdeck-test-x in production needs --confirm mcpdeck-test-x"),
        (production(), Running, Claim::Ours, Some("x"), "exec mcpdeck-test-x in production"),
        (production(), Running, Claim::Ours, name, "ok"),
    ];
    for (platform, state, claim, confirm, expected) in table {
        let judged = judge(&snapshot(platform, state, owned(claim)), &exec(confirm));
        let told = judged.map_or_else(|refusal| refusal.to_string(), |_| "ok".to_owned());
        assert!(told.starts_with(expected), "{state:?} {claim:?}: {told}");
    }
    let gone = Snapshot { containers: Vec::new(), ..snapshot(lab(), Running, owned(Claim::Ours)) };
    assert!(matches!(judge(&gone, &exec(None)), Err(Refusal::NotFound(_))));
    let flood = Exec { command: vec!["x".repeat(BYTES + 1)], ..exec(None) };
    assert!(matches!(judge(&snapshot(lab(), Running, owned(Claim::Ours)), &flood), Err(Refusal::Refused(_))));
}

#[test]
fn the_journal_has_the_whole_command_line() {
    assert_eq!(command_line(&exec(Some("y z")), "x"), "mcpdeck exec x --confirm 'y z' -- ls 'a b'");
}

/// An engine's end of a pipe: what it was sent, and a way to say something.
fn engine_pipe() -> (ExecPipe, mpsc::Receiver<ExecIn>, mpsc::Sender<ExecOut>) {
    let (input, typed) = mpsc::channel(1);
    let (say, output) = mpsc::channel(1);
    (ExecPipe { input, output }, typed, say)
}

#[tokio::test]
async fn bytes_pass_both_ways_until_the_last_word() {
    let (pipe, mut typed, say) = engine_pipe();
    let (input, from) = mpsc::channel(1);
    let (to, mut output) = mpsc::channel(4);
    let carried = tokio::spawn(async move { carry(pipe, from, &to).await });
    input.send(ExecIn::Bytes(b"ls\n".to_vec())).await.unwrap();
    assert_eq!(typed.recv().await, Some(ExecIn::Bytes(b"ls\n".to_vec())));
    drop(input);
    say.send(ExecOut::Bytes(b"file\n".to_vec())).await.unwrap();
    assert_eq!(output.recv().await, Some(ExecOut::Bytes(b"file\n".to_vec())), "it speaks on after the last key");
    say.send(ExecOut::Exited(Some(3))).await.unwrap();
    assert_eq!(carried.await.unwrap(), ExecOut::Exited(Some(3)));
}

#[tokio::test]
async fn a_reader_that_leaves_ends_it_and_so_does_an_engine_that_hangs_up() {
    let (pipe, mut typed, say) = engine_pipe();
    let (_input, from) = mpsc::channel(1);
    let (to, output) = mpsc::channel(1);
    let carried = tokio::spawn(async move { carry(pipe, from, &to).await });
    drop(output);
    assert_eq!(carried.await.unwrap(), ExecOut::Exited(None));
    assert!(say.is_closed() && typed.recv().await.is_none(), "the engine sees both ends gone");

    let (pipe, _typed, say) = engine_pipe();
    let (_input, from) = mpsc::channel(1);
    let (to, _output) = mpsc::channel(1);
    drop(say);
    assert!(matches!(carry(pipe, from, &to).await, ExecOut::Failed(_)));
}
