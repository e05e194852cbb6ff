//! One suite that holds for every container engine: Docker, Podman and the made-up one.

mod fake;
mod outage;
mod simulated;

use crate::support::engines::{Lab, labs};
use mcpdeck::backend::docker::DockerEngine;
use mcpdeck::backend::engine::{Engine, ExecIn, ExecOut, ExecPipe, ExecSpec, Found, Inventory, LogRange, RawLine};
use mcpdeck::model::Stamp;
use mcpdeck::model::container::{ContainerAct, ContainerKey, ContainerState, EngineState};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

/// Nothing takes long; a machine under load may.
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon what happens in an engine is on the screen.
const SOON: Duration = Duration::from_secs(3);

const GRACE: Duration = Duration::from_secs(1);

/// Waits until the inventory is as `wanted`, and says how long it took.
async fn until(
    inventory: &mut watch::Receiver<Arc<Inventory>>,
    what: &str,
    mut wanted: impl FnMut(&Inventory) -> bool,
) -> Duration {
    let began = Instant::now();
    let seen = timeout(PATIENCE, inventory.wait_for(|inventory| wanted(inventory))).await.map(|seen| seen.is_ok());
    assert_eq!(seen, Ok(true), "{what}: {:?}", inventory.borrow().state);
    began.elapsed()
}

fn row<'a>(inventory: &'a Inventory, id: &str) -> Option<&'a Arc<Found>> {
    inventory.containers.iter().find(|row| &*row.id == id)
}

fn state(inventory: &Inventory, id: &str) -> Option<ContainerState> {
    row(inventory, id).map(|row| row.state)
}

async fn up(lab: &Lab) -> (DockerEngine, watch::Receiver<Arc<Inventory>>) {
    let engine = DockerEngine::open(&lab.def());
    let mut inventory = engine.watch();
    until(&mut inventory, "it is up", |inventory| inventory.state == EngineState::Up).await;
    (engine, inventory)
}

async fn lines(mut log: mpsc::Receiver<RawLine>) -> Vec<RawLine> {
    let mut lines = Vec::new();
    while let Some(line) = timeout(PATIENCE, log.recv()).await.expect("the log ends") {
        lines.push(line);
    }
    lines
}

fn texts(lines: &[RawLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

/// What a command says to its end, and how it ends.
async fn outcome(pipe: &mut ExecPipe) -> (String, String, ExecOut) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match timeout(PATIENCE, pipe.output.recv()).await.expect("it ends").expect("a last message") {
            ExecOut::Bytes(bytes) => out.extend(bytes),
            ExecOut::Errors(bytes) => err.extend(bytes),
            last => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return (text(&out), text(&err), last);
            }
        }
    }
}

/// Reads until `words` have come.
async fn say(pipe: &mut ExecPipe, words: &str) {
    let mut heard = String::new();
    while !heard.contains(words) {
        match timeout(PATIENCE, pipe.output.recv()).await {
            Ok(Some(ExecOut::Bytes(bytes))) => heard.push_str(&String::from_utf8_lossy(&bytes)),
            other => panic!("waiting for {words:?} after {heard:?}: {other:?}"),
        }
    }
}

/// Types `text`.
async fn keys(pipe: &ExecPipe, text: &str) {
    pipe.input.send(ExecIn::Bytes(text.as_bytes().to_vec())).await.unwrap();
}

fn terminal(command: &[&str]) -> ExecSpec {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    ExecSpec { command, terminal: true, columns: 80, rows: 24 }
}

#[tokio::test]
async fn what_an_engine_has_is_listed_with_its_details() {
    for lab in labs("engine list") {
        let config = json!({ "Cmd": ["sh", "-c", "exit 3"], "Labels": { "com.example": "yes" } });
        let ended = lab.run_as("list", config);
        let runs = lab.run("list", &["sleep", "1000"]);
        let (_engine, mut inventory) = up(&lab).await;
        let complete = |inventory: &Inventory| {
            row(inventory, &runs.id).is_some_and(|row| row.pid.is_some())
                && row(inventory, &ended.id).is_some_and(|row| row.exit_code == Some(3))
        };
        until(&mut inventory, lab.name, complete).await;
        let inventory = inventory.borrow().clone();
        let ended = row(&inventory, &ended.id).unwrap();
        assert_eq!((ended.state, ended.exit_code, ended.pid), (ContainerState::Exited, Some(3), None), "{}", lab.name);
        assert_eq!(ended.labels.get("com.example").map(String::as_str), Some("yes"), "{}", lab.name);
        let live = row(&inventory, &runs.id).unwrap();
        assert_eq!((live.name.as_str(), live.state), (runs.name.as_str(), ContainerState::Running), "{}", lab.name);
        assert!(live.image.contains("mcpdeck-test/box"), "{}: {}", lab.name, live.image);
        assert!(Stamp::now().since(live.since) < PATIENCE, "{}: it began just now", lab.name);
        assert_eq!(live.pid.map(u64::from), runs.inspect()["State"]["Pid"].as_u64(), "{}", lab.name);
        assert!(inventory.version.as_deref().unwrap().to_lowercase().starts_with(lab.name), "{:?}", inventory.version);
        assert!(inventory.containers.is_sorted_by_key(|row| Arc::clone(&row.id)));
    }
}

#[tokio::test]
async fn what_happens_behind_our_back_is_seen_soon() {
    for lab in labs("engine events") {
        let (_engine, mut inventory) = up(&lab).await;
        let made = lab.run("events", &["sleep", "1000"]);
        let wait = async |inventory: &mut watch::Receiver<Arc<Inventory>>, wanted: Option<ContainerState>| {
            let took = until(inventory, lab.name, |inventory| state(inventory, &made.id) == wanted).await;
            assert!(took < SOON, "{}: {wanted:?} took {took:?}", lab.name);
        };
        wait(&mut inventory, Some(ContainerState::Running)).await;
        let steps =
            [("pause", ContainerState::Paused), ("unpause", ContainerState::Running), ("kill", ContainerState::Exited)];
        for (verb, expected) in steps {
            made.act(verb).unwrap();
            wait(&mut inventory, Some(expected)).await;
        }
        let killed = |inventory: &Inventory| row(inventory, &made.id).is_some_and(|row| row.exit_code == Some(137));
        until(&mut inventory, lab.name, killed).await;
        made.remove().unwrap();
        wait(&mut inventory, None).await;
    }
}

#[tokio::test]
async fn a_row_that_did_not_change_stays_the_same_row() {
    for lab in labs("engine rows") {
        let quiet = lab.run("quiet", &["sleep", "1000"]);
        let (_engine, mut inventory) = up(&lab).await;
        let known = |inventory: &Inventory| row(inventory, &quiet.id).is_some_and(|row| row.pid.is_some());
        until(&mut inventory, lab.name, known).await;
        let before = row(&inventory.borrow(), &quiet.id).cloned().unwrap();
        let other = lab.run("loud", &["sleep", "1000"]);
        until(&mut inventory, lab.name, |inventory| state(inventory, &other.id) == Some(ContainerState::Running)).await;
        let after = row(&inventory.borrow(), &quiet.id).cloned().unwrap();
        assert!(Arc::ptr_eq(&before, &after), "{}", lab.name);
    }
}

#[tokio::test]
async fn every_act_does_what_it_says_and_twice_is_fine() {
    use ContainerAct::{Kill, Pause, Restart, Start, Stop, Unpause};
    use ContainerState::{Exited, Paused, Running};
    for lab in labs("engine acts") {
        let made = lab.run("acts", &["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]);
        let (engine, mut inventory) = up(&lab).await;
        let steps = [
            (Pause, Paused),
            (Unpause, Running),
            (Stop, Exited),
            (Start, Running),
            (Pause, Paused),
            (Start, Running),
            (Pause, Paused),
            (Restart, Running),
            (Pause, Paused),
            (Kill, Exited),
        ];
        for (act, expected) in steps {
            for _ in 0..2 {
                let done = engine.act(&made.id, act, GRACE).await;
                assert!(done.is_ok(), "{}: {act:?}: {done:?}", lab.name);
                if act == Restart {
                    break;
                }
            }
            until(&mut inventory, act.verb(), |inventory| state(inventory, &made.id) == Some(expected)).await;
        }
        let absent = engine.act("0123456789ab", Start, GRACE).await.unwrap_err().to_string();
        assert!(absent.starts_with(&format!("engine {}: cannot start it: ", lab.name)), "{absent}");
    }
}

#[tokio::test]
async fn logs_are_told_from_the_tail_since_and_on() {
    for lab in labs("engine logs") {
        let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 1.1; done; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo late";
        let made = lab.run("logs", &["sh", "-c", script]);
        let (engine, _inventory) = up(&lab).await;
        let mut follow = engine.logs(&made.id, LogRange { follow: true, ..LogRange::default() });
        let mut first = Vec::new();
        for _ in 0..6 {
            first.push(timeout(PATIENCE, follow.recv()).await.unwrap().unwrap());
        }
        let of = |stderr: bool| {
            first.iter().filter(|line| line.stderr == stderr).map(|line| &*line.text).collect::<Vec<_>>()
        };
        assert_eq!(
            (of(false), of(true)),
            (vec!["out 1", "out 2", "out 3"], vec!["err 1", "err 2", "err 3"]),
            "{}",
            lab.name
        );
        assert!(first.iter().all(|line| Stamp::now().since(line.at) < PATIENCE), "{}: they have their time", lab.name);

        let tail = lines(engine.logs(&made.id, LogRange { tail: Some(2), ..LogRange::default() })).await;
        assert_eq!(tail.len(), 2, "{}: {tail:?}", lab.name);
        // Podman's times are whole seconds.
        let third = first.iter().find(|line| line.text == "out 3").unwrap().at;
        let since = lines(engine.logs(&made.id, LogRange { since: Some(third), ..LogRange::default() })).await;
        assert!(!texts(&since).contains(&"out 1") && texts(&since).contains(&"out 3"), "{}: {since:?}", lab.name);

        let touch = ExecSpec { terminal: false, ..terminal(&["touch", "/tmp/go"]) };
        let mut touch = engine.exec(&made.id, touch).await.unwrap();
        assert_eq!(outcome(&mut touch).await.2, ExecOut::Exited(Some(0)), "{}", lab.name);
        assert_eq!(texts(&lines(follow).await), ["late"], "{}: it ends with the container", lab.name);
    }
}

#[tokio::test]
async fn the_log_of_a_terminal_is_read_too() {
    for lab in labs("engine tty logs") {
        let made = lab.run_as("tty", json!({ "Cmd": ["sh", "-c", "echo one; echo two >&2"], "Tty": true }));
        let (engine, _inventory) = up(&lab).await;
        let read = lines(engine.logs(&made.id, LogRange { follow: true, ..LogRange::default() })).await;
        assert_eq!(texts(&read), ["one", "two"], "{}", lab.name);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_says_why() {
    for lab in labs("engine no logs") {
        let (engine, _inventory) = up(&lab).await;
        let read = lines(engine.logs("0123456789ab", LogRange::default())).await;
        assert_eq!(read.len(), 1, "{}: {read:?}", lab.name);
        assert!(read[0].text.starts_with("the log cannot be read: "), "{}: {read:?}", lab.name);
    }
}

#[tokio::test]
async fn a_shell_in_a_terminal_has_a_size_takes_keys_and_tells_its_exit_code() {
    for lab in labs("engine exec") {
        let made = lab.run("exec", &["sleep", "1000"]);
        let (engine, _inventory) = up(&lab).await;
        let mut shell = engine.exec(&made.id, terminal(&[])).await.unwrap();
        keys(&shell, "echo hel''lo\n").await;
        say(&mut shell, "hello").await;
        shell.input.send(ExecIn::Resize { columns: 132, rows: 43 }).await.unwrap();
        keys(&shell, "while [ \"$(stty size)\" != '43 132' ]; do sleep 0.05; done; echo si''zed\n").await;
        say(&mut shell, "sized").await;
        // What looks like the head of a frame is only bytes.
        keys(&shell, "printf '\\001\\000\\000\\000\\177\\177\\177\\177'; echo bin''ary\n").await;
        say(&mut shell, "binary").await;
        keys(&shell, "exit 7\n").await;
        assert_eq!(outcome(&mut shell).await.2, ExecOut::Exited(Some(7)), "{}", lab.name);
    }
}

#[tokio::test]
async fn a_command_without_a_terminal_has_pipes_and_an_end_of_input() {
    for lab in labs("engine pipes") {
        let made = lab.run("pipes", &["sleep", "1000"]);
        let (engine, _inventory) = up(&lab).await;
        let spec = ExecSpec { terminal: false, ..terminal(&["sh", "-c", "cat; echo oh >&2; exit 4"]) };
        let mut pipe = engine.exec(&made.id, spec).await.unwrap();
        let input = vec![b'x'; 300_000];
        pipe.input.send(ExecIn::Bytes(input.clone())).await.unwrap();
        pipe.input.send(ExecIn::End).await.unwrap();
        let (out, err, last) = outcome(&mut pipe).await;
        assert_eq!((out.len(), err.as_str(), last), (input.len(), "oh\n", ExecOut::Exited(Some(4))), "{}", lab.name);
    }
}

#[tokio::test]
async fn a_dropped_pipe_ends_the_command() {
    for lab in labs("engine dropped exec") {
        let made = lab.run("dropped", &["sleep", "1000"]);
        let (engine, _inventory) = up(&lab).await;
        let mut pipe = engine.exec(&made.id, terminal(&["sh", "-c", "echo ready; sleep 4321"])).await.unwrap();
        say(&mut pipe, "ready").await;
        drop(pipe);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let spec = ExecSpec { terminal: false, ..terminal(&["ps", "-o", "args"]) };
            let (out, ..) = outcome(&mut engine.exec(&made.id, spec).await.unwrap()).await;
            if !out.contains("sleep 4321") {
                break;
            }
            assert!(Instant::now() < deadline, "{}: it still runs: {out}", lab.name);
        }
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told() {
    for lab in labs("engine no program") {
        let made = lab.run("absent", &["sleep", "1000"]);
        let (engine, _inventory) = up(&lab).await;
        let told = match engine.exec(&made.id, terminal(&["/no/such/program"])).await {
            Err(error) => error.to_string(),
            Ok(mut pipe) => {
                let (out, _, last) = outcome(&mut pipe).await;
                assert_ne!(last, ExecOut::Exited(Some(0)), "{}", lab.name);
                format!("{out} {last:?}")
            }
        };
        assert!(told.contains("no such file"), "{}: {told}", lab.name);
    }
}

#[tokio::test]
async fn a_container_without_a_shell_says_so() {
    for lab in labs("engine no shell") {
        let made = lab.run_bare("bare");
        let (engine, _inventory) = up(&lab).await;
        let told = match engine.exec(&made.id, terminal(&[])).await {
            Err(error) => error.to_string(),
            Ok(mut pipe) => format!("{:?}", outcome(&mut pipe).await.2),
        };
        assert!(told.contains("neither bash nor sh"), "{}: {told}", lab.name);
    }
}

#[tokio::test]
async fn everything_known_of_a_container_is_json() {
    for lab in labs("engine inspect") {
        let made = lab.run_as("inspect", json!({ "Cmd": ["sleep", "1000"], "Env": ["TOKEN=hunter2"] }));
        let (engine, _inventory) = up(&lab).await;
        let text = engine.inspect(&made.id).await.unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["Id"], made.id.as_str(), "{}", lab.name);
        assert!(value["Config"]["Env"].to_string().contains("TOKEN=hunter2"), "{}", lab.name);
        let absent = engine.inspect("0123456789ab").await.unwrap_err().to_string();
        assert!(absent.to_lowercase().contains("no such container"), "{}: {absent}", lab.name);
    }
}

#[tokio::test]
async fn usage_is_told_by_the_engine() {
    for lab in labs("engine stats") {
        let config = json!({ "Cmd": ["sh", "-c", "while :; do :; done"], "HostConfig": { "Memory": 64 << 20 } });
        let busy = lab.run_as("busy", config);
        let ended = lab.run("ended", &["true"]);
        let (engine, _inventory) = up(&lab).await;
        let key = |id: &str| ContainerKey { engine: engine.id().clone(), id: id.into() };
        let usage = engine.stats(&[key(&busy.id), key(&ended.id), key("0123456789ab")]).await;
        let told: Vec<_> = usage.iter().map(|(key, _)| &*key.id).collect();
        assert_eq!(told, [busy.id.as_str()], "{}: only what runs", lab.name);
        let usage = usage[0].1;
        assert!(usage.cpu.is_some_and(|cpu| cpu > 1.0 && cpu < 400.0), "{}: {usage:?}", lab.name);
        assert!(usage.memory.is_some_and(|memory| memory > 0 && memory < 64 << 20), "{}: {usage:?}", lab.name);
        assert_eq!((usage.memory_limit, usage.pids), (Some(64 << 20), Some(1)), "{}", lab.name);
    }
}
