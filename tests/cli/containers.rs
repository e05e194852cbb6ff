//! Containers on the command line: the real program against a real engine, and without one.

use super::deck::{Deck, Lines};
use crate::support::engines::{IMAGE, Lab, Made, OwnDocker, docker, unique};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Far above anything an engine needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says lines on both its outputs for ever, and has a secret in every place.
const TALKER: &str = "n=0; while :; do n=$((n+1)); echo line $n; echo warn $n >&2; sleep 0.2; done";

/// A platform on `lab` that adopts `name` for a tenant, and stands beside everything else.
fn config(lab: &Lab, name: &str) -> String {
    config_at(lab.name, &lab.socket, name)
}

fn config_at(engine: &str, socket: &Path, name: &str) -> String {
    let socket = socket.display();
    format!(
        r#"
[platform]
name = "test"
[[engine]]
name = "{engine}"
url = "unix://{socket}"
[[tenant]]
id = "lab"
environment = "lab"
[[tenant]]
id = "prod"
environment = "production"
[[stack]]
name = "box"
tenant = "lab"
adopt = {{ container = "{name}" }}
"#
    )
}

/// Engines tell what happened a moment later.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited too long for {what}");
    }
}

fn talker(lab: &Lab) -> Made {
    let secrets = json!({
        "Cmd": ["sh", "-c", TALKER, "--password", "PLANTED-0001"],
        "Env": ["API_KEY=PLANTED-0002", "HARMLESS=yes"],
        "Labels": { "some.token": "PLANTED-0003" },
    });
    lab.run_as("cli", secrets)
}

#[test]
fn a_container_is_seen_read_entered_and_acted_on() {
    let Some(lab) = docker("a_container_is_seen_read_entered_and_acted_on") else { return };
    let (ours, other) = (talker(&lab), lab.run("cli-other", &["sleep", "1000"]));
    let deck = Deck::new(&config(&lab, &ours.name));
    let row = |name: &str| deck.run(&["get", "containers", name, "-o", "json"]).ok().json()[0].clone();
    // Without an owner: everything is there, sampled twice.
    let found = row(&ours.name);
    assert_eq!((&found["state"], &found["owner"]["claim"]), (&json!("running"), &json!("adopted")));
    assert!(found["usage"]["cpu"].is_number() && found["usage"]["memory"].is_number(), "{found}");
    assert_eq!(row(&other.name)["owner"]["claim"], "other");
    let _owner = deck.serve();
    let name = ours.name.as_str();
    let id = &ours.id[..12];
    for (words, code, says) in [
        (&["get", "containers", name][..], 0, "adopted"),
        (&["get", "containers", id], 0, name),
        (&["get", "containers", "--filter", "state=runnin claim=adopted"], 0, name),
        (&["get", "containers", "--filter", "stack=box owner~LA"], 0, name),
        (&["explain", name], 0, "adopted by config"),
        (&["explain", "box"], 0, "the customer lab"),
        (&["logs", "-n", "3", "box"], 0, "line"),
        (&["get", "engines"], 0, "Docker"),
        (&["get", "usage", "--filter", "kind=container"], 0, name),
        (&["status"], 0, "containers running"),
        (&["reap", "--dry-run"], 0, "ORPHAN"),
        (&["exec", name, "--", "echo", "hello"], 0, "hello"),
        (&["exec", id, "--", "sh", "-c", "exit 7"], 7, ""),
        (&["exec", name, "--", "no-such-program"], 126, ""),
        (&["pause", name], 0, "ok"),
        (&["exec", name, "--", "true"], 5, ""),
        (&["explain", name], 0, "  start\n"),
        (&["explain", "lab"], 0, "degraded: "),
        (&["start", name], 0, "ok"),
        (&["pause", name], 0, "ok"),
        (&["unpause", name], 0, "ok"),
        (&["restart", name], 0, "ok"),
        (&["kill", "box"], 2, ""),
        (&["stop", name], 0, name),
        (&["exec", name, "--", "true"], 5, ""),
        (&["start", id], 0, "ok"),
        // What is somebody else's is shown and read, and never touched.
        (&["inspect", &other.name], 0, "sleep"),
        (&["logs", &other.name], 0, ""),
        (&["exec", &other.name, "--", "true"], 5, ""),
        (&["stop", &other.name], 5, ""),
        (&["kill", &other.name], 5, ""),
        (&["--read-only", "exec", name, "--", "true"], 5, ""),
        (&["exec", "no-such-container", "--", "true"], 4, ""),
        (&["logs", "no-such-container"], 4, ""),
        (&["inspect", "no-such-container"], 4, ""),
        (&["deploy", "no-such-stack"], 4, ""),
        (&["get", "containers", "no-such-container"], 4, ""),
    ] {
        let run = deck.run(words);
        assert_eq!(run.code, code, "{words:?}\n{}\n{}", run.out, run.err);
        let after = match (code, words[0]) {
            (0, "pause") => Some("paused"),
            (0, "stop") => Some("exited"),
            (0, "unpause" | "start" | "restart") => Some("running"),
            _ => None,
        };
        if let Some(after) = after {
            until(after, || row(name)["state"] == after);
        }
        assert!(run.out.contains(says), "{words:?}: no `{says}` in\n{}", run.out);
    }
    assert_eq!(other.inspect()["State"]["Running"], true);
    let journal = deck.run(&["journal", "-o", "json"]).ok().json();
    let told = |verb: &str| {
        let found = journal.as_array().unwrap().iter().find(|e| e["verb"] == verb);
        found.map(|e| (e["object"].clone(), e["outcome"].as_str().unwrap().split(':').next().unwrap().to_owned()))
    };
    assert_eq!(told("restart"), Some((json!(name), "ok".to_owned())), "{journal}");
    assert_eq!(told("kill"), Some((json!(other.name), "refused".to_owned())), "{journal}");
    let line = |outcome: &str| {
        let found = journal.as_array().unwrap().iter().find(|e| e["outcome"] == outcome && e["verb"] == "exec");
        found.map(|e| (e["object"].clone(), e["command_line"].clone()))
    };
    assert_eq!(
        line("exited 7"),
        Some((json!(name), json!(format!("mcpdeck exec {name} -- sh -c 'exit 7'")))),
        "{journal}"
    );
}

#[test]
fn inspect_has_everything_but_secrets() {
    let Some(lab) = docker("inspect_has_everything_but_secrets") else { return };
    let made = talker(&lab);
    let run = Deck::new(&config(&lab, &made.name)).run(&["inspect", &made.name]).ok();
    assert!(!run.out.contains("PLANTED"), "{}", run.out);
    let value = run.json();
    assert_eq!(value["Id"], json!(made.id));
    let env: Vec<&str> = value["Config"]["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"API_KEY=•••") && env.contains(&"HARMLESS=yes"), "{env:?}");
}

#[test]
fn logs_begin_where_they_are_told_and_go_on_over_a_restart() {
    let Some(lab) = docker("logs_begin_where_they_are_told_and_go_on_over_a_restart") else { return };
    let made = talker(&lab);
    let deck = Deck::new(&config(&lab, &made.name));
    let _owner = deck.serve();
    let mut child =
        deck.command(&["logs", "-f", "-n", "3", &made.name, "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    let text = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
    lines.until("a fifth line", |line| text(line) == "line 5");
    lines.until("the other output", |line| line.contains("\"stderr\""));
    deck.run(&["restart", &made.name]).ok();
    lines.until("the first line again", |line| text(line) == "line 1");
    child.kill().unwrap();
    child.wait().unwrap();
    let count = |words: &[&str]| deck.run(words).ok().out.lines().count();
    assert_eq!(count(&["logs", "-n", "4", &made.name]), 4);
    let (all, later) =
        (count(&["logs", "--since", "1h", &made.name]), count(&["logs", "--since", "300ms", &made.name]));
    assert!(later < all && all > 8, "{later} of {all}");
}

#[test]
fn what_is_adopted_for_a_server_writes_the_log_of_its_instance() {
    let Some(lab) = docker("what_is_adopted_for_a_server_writes_the_log_of_its_instance") else { return };
    let made = talker(&lab);
    let server = format!(
        "[[server]]\nid = \"etim\"\nurl = \"http://127.0.0.1:9/mcp\"\nadopt = {{ container = \"{}\" }}\n",
        made.name
    );
    let config = config(&lab, "nothing").replace("id = \"lab\"\n", "id = \"lab\"\nenabled = [\"etim\"]\n");
    let deck = Deck::new(&format!("{config}{server}"));
    let _owner = deck.serve();
    let mut child = deck.command(&["logs", "-f", "etim", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    lines.until("a line of its container", |line| {
        line.contains("\"instance\":\"etim\"") && line.contains("\"stdout\"") && line.contains("line ")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    deck.run(&["exec", "etim", "--", "true"]).ok();
    assert_eq!(deck.run(&["inspect", "etim"]).ok().json()["Id"], json!(made.id));
}

#[test]
fn a_command_between_pipes_gets_every_byte_and_the_end() {
    let Some(lab) = docker("a_command_between_pipes_gets_every_byte_and_the_end") else { return };
    let made = lab.run("cli", &["sleep", "1000"]);
    let deck = Deck::new(&config(&lab, &made.name));
    let _owner = deck.serve();
    let sent: Vec<u8> = (0..1_000_000u32).flat_map(|n| n.to_le_bytes()).collect();
    let mut command = deck.command(&["exec", &made.name, "--", "cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || input.write_all(&bytes));
    let mut back = Vec::new();
    output.read_to_end(&mut back).unwrap();
    writing.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
    let run = deck.run(&["exec", &made.name, "--", "sh", "-c", "echo out; echo err >&2"]).ok();
    assert_eq!((run.out.as_str(), run.err.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_shell_on_a_terminal_follows_its_size_and_ends_with_its_code() {
    let Some(lab) = docker("a_shell_on_a_terminal_follows_its_size_and_ends_with_its_code") else { return };
    let made = lab.run("cli", &["sleep", "1000"]);
    let deck = Deck::new(&config(&lab, &made.name));
    let _owner = deck.serve();
    let size = |rows, cols| PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
    let pty = native_pty_system().openpty(size(30, 90)).unwrap();
    let plain = deck.command(&["exec", &made.name]);
    let mut command = CommandBuilder::new(plain.get_program());
    command.args(plain.get_args());
    command.env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.cwd(deck.path());
    let mut shell = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut keys = pty.master.take_writer().unwrap();
    let lines = Lines::of(pty.master.try_clone_reader().unwrap());
    keys.write_all(b"echo ready\r").unwrap();
    lines.until("a prompt", |line| line.trim_end() == "ready");
    keys.write_all(b"stty size\r").unwrap();
    lines.until("its size", |line| line.trim_end() == "30 90");
    pty.master.resize(size(40, 120)).unwrap();
    // What is typed ahead of ctrl-c goes with it, so each waits for the one before.
    keys.write_all(b"echo begun; sleep 1000\r").unwrap();
    lines.until("the sleep", |line| line.trim_end() == "begun");
    keys.write_all(b"\x03").unwrap();
    lines.until("its end", |line| line.contains("^C"));
    keys.write_all(b"stty size\r").unwrap();
    lines.until("its new size", |line| line.trim_end() == "40 120");
    keys.write_all(b"exit 9\r").unwrap();
    assert_eq!(shell.wait().unwrap().exit_code(), 9);
}

#[test]
fn production_asks_for_the_name_before_anybody_enters() {
    let Some(lab) = docker("production_asks_for_the_name_before_anybody_enters") else { return };
    let made = lab.run("cli", &["sleep", "1000"]);
    let deck = Deck::new(&config(&lab, &made.name).replace("tenant = \"lab\"", "tenant = \"prod\""));
    let _owner = deck.serve();
    let exec = |confirm: &[&str]| {
        let words = [&["exec", "-o", "json", &made.name], confirm, &["--", "true"]].concat();
        deck.run(&words)
    };
    let refused = exec(&[]);
    assert_eq!((refused.code, refused.error().1.as_str()), (5, "needs_confirm"));
    assert_eq!(exec(&["--confirm", "x"]).code, 5);
    assert_eq!(exec(&["--confirm", &made.name]).code, 0);
}

#[test]
fn a_stack_is_planned_deployed_and_taken_away() {
    let Some(lab) = docker("a_stack_is_planned_deployed_and_taken_away") else { return };
    let platform = unique("cli");
    let parts = format!(
        "[[stack]]\nname = \"models\"\ntenant = \"lab\"\n\
         [[stack.part]]\nname = \"a\"\nimage = \"{IMAGE}\"\npull = \"never\"\ncommand = [\"sleep\", \"1000\"]\n\
         [[stack.part]]\nname = \"b\"\nimage = \"{IMAGE}\"\npull = \"never\"\ncommand = [\"sleep\", \"1000\"]\nneeds = [\"a\"]\n"
    );
    let config = config(&lab, "nothing").replace("name = \"test\"", &format!("name = \"{platform}\""));
    let deck = Deck::new(&format!("{config}{parts}"));
    let plan = deck.run(&["deploy", "models", "--dry-run", "-o", "json"]).ok().json();
    let does: Vec<_> = plan.as_array().unwrap().iter().map(|s| (s["part"].clone(), s["does"].clone())).collect();
    assert_eq!(does, [(json!("a"), json!("create")), (json!("b"), json!("create"))]);
    let _owner = deck.serve();
    let run = deck.run(&["deploy", "models"]).ok();
    assert!(run.out.contains("a: ready") && run.out.contains("b: ready"), "{}", run.out);
    let rows = deck.run(&["get", "containers", "--filter", "stack=models", "-o", "json"]).ok().json();
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    assert_eq!(deck.run(&["get", "stacks", "models", "-o", "json"]).ok().json()[0]["state"], "ready");
    let plan = deck.run(&["undeploy", "models", "--dry-run"]).ok().out;
    assert!(plan.contains("PART") && plan.contains("DOES"), "{plan}");
    // The words that instances and containers know.
    let why = deck.run(&["explain", "models"]).ok().out;
    assert!(why.contains("part a") && why.contains("part b"), "{why}");
    assert_eq!(deck.run(&["inspect", "models"]).code, 2, "it has two containers");
    let again = deck.run(&["restart", "models"]).ok().out;
    assert!(again.contains("a: stopped") && again.contains("b: ready"), "{again}");
    deck.run(&["stop", "models"]).ok();
    assert_eq!(deck.run(&["logs", "models"]).code, 4, "there is none now");
    deck.run(&["start", "models"]).ok();
    deck.run(&["undeploy", "models"]).ok();
    until("the containers to be gone", || {
        deck.run(&["get", "containers", "--filter", "stack=models", "-o", "json"]).ok().json() == json!([])
    });
}

#[test]
fn watching_prints_what_changed_alone() {
    let Some(lab) = docker("watching_prints_what_changed_alone") else { return };
    let made = lab.run("cli", &["sleep", "1000"]);
    let deck = Deck::new(&config(&lab, &made.name));
    let _owner = deck.serve();
    let mut child =
        deck.command(&["get", "containers", "-w", &made.name, "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    let change = |line: &str| {
        let change: Value = serde_json::from_str(line).unwrap();
        (change["change"].as_str().unwrap().to_owned(), change["row"]["state"].as_str().unwrap().to_owned())
    };
    lines.until("the row", |line| change(line) == ("added".to_owned(), "running".to_owned()));
    made.act("pause").unwrap();
    lines.until("the pause", |line| change(line) == ("changed".to_owned(), "paused".to_owned()));
    made.remove().unwrap();
    lines.until("its end", |line| change(line).0 == "removed");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Where no engine is, a made-up one has the same command lines.
#[test]
fn a_made_up_engine_answers_like_a_real_one() {
    let engine = "[platform]\nname = \"test\"\n[[engine]]\nname = \"sim\"\nsimulated = { containers = 12, seed = 1 }\n";
    let seen = Deck::new(engine).run(&["get", "containers", "--filter", "state=running", "-o", "json"]).ok().json();
    let name = seen[0]["name"].as_str().expect("one that runs").to_owned();
    let adopt = format!(
        "[[tenant]]\nid = \"lab\"\n[[stack]]\nname = \"box\"\ntenant = \"lab\"\nadopt = {{ container = \"{name}\" }}\n"
    );
    let deck = Deck::new(&format!("{engine}{adopt}"));
    let _owner = deck.serve();
    for (words, says) in [
        (&["get", "engines"][..], "up"),
        (&["get", "containers", &name], "running"),
        (&["get", "usage", "--filter", "kind=container"], "container"),
        (&["inspect", &name], "{"),
        (&["logs", "-n", "3", &name], &name),
        (&["reap", "--dry-run"], "ORPHAN"),
    ] {
        let run = deck.run(words).ok();
        assert!(run.out.contains(says), "{words:?}: no `{says}` in\n{}", run.out);
    }
}

/// What an owner left when it was killed goes without another owner.
#[test]
fn reaping_needs_no_owner() {
    let Some(lab) = docker("reaping_needs_no_owner") else { return };
    let platform = unique("cli");
    let stack = format!(
        "[[stack]]\nname = \"gone\"\ntenant = \"lab\"\n[[stack.part]]\nname = \"a\"\nimage = \"{IMAGE}\"\n\
         pull = \"never\"\ncommand = [\"sleep\", \"1000\"]\n"
    );
    let config = config(&lab, "nothing").replace("name = \"test\"", &format!("name = \"{platform}\""));
    let before = Deck::new(&format!("{config}{stack}"));
    let owner = before.serve();
    before.run(&["deploy", "gone"]).ok();
    before.run(&["shutdown"]).ok();
    drop(owner);
    let deck = Deck::new(&config);
    let orphans = || deck.run(&["get", "orphans", "--filter", "stack=gone", "-o", "json"]).ok().json();
    assert_eq!(orphans().as_array().unwrap().len(), 1);
    deck.run(&["reap"]).ok();
    assert_eq!(orphans(), json!([]));
}

#[test]
fn a_silent_engine_is_out_of_reach_and_a_vanished_container_is_missed() {
    let Some(own) = OwnDocker::start("a_silent_engine_is_out_of_reach_and_a_vanished_container_is_missed") else {
        return;
    };
    let lab = own.lab();
    let made = talker(&lab);
    let deck = Deck::new(&config(&lab, &made.name));
    let _owner = deck.serve();
    let name = made.name.as_str();
    let answers = || deck.run(&["exec", name, "--", "true"]).code == 0;
    until("the engine to answer", answers);
    own.freeze();
    until("the engine to be silent", || deck.run(&["get", "containers"]).code == 6);
    for words in [&["exec", name, "--", "true"][..], &["logs", name], &["logs", "-f", name], &["inspect", name]] {
        let run = deck.run(&[&["-o", "json"], words].concat());
        assert_eq!((run.code, run.error().1.as_str()), (6, "engine"), "{words:?}\n{}", run.err);
    }
    own.thaw();
    until("the engine to answer again", answers);
    lab.ask("DELETE", &format!("/containers/{}?force=true", made.id), None).unwrap();
    let missed = "no container of this name is there: it was removed, renamed, or never made";
    until("a line about it", || deck.run(&["status"]).ok().out.contains(missed));
    assert!(deck.run(&["explain", "box"]).ok().out.contains(missed));
}

#[test]
fn without_an_engine_everything_says_so() {
    let deck = Deck::new(&config_at("gone", Path::new("/nonexistent/engine.sock"), "nothing"));
    let empty = deck.run(&["get", "containers"]);
    assert_eq!((empty.code, empty.out.lines().count()), (6, 1), "{}", empty.out);
    assert!(empty.err.contains("engine gone") && empty.err.contains("/nonexistent/engine.sock"), "{}", empty.err);
    assert_eq!(deck.run(&["reap", "--dry-run", "-o", "json"]).error().1, "engine");
    let engines = deck.run(&["get", "engines", "-o", "json"]).ok().json();
    assert!(engines[0]["state"]["silent"]["reason"].is_string(), "{engines}");
    let _owner = deck.serve();
    for words in
        [&["exec", "x", "--", "true"][..], &["inspect", "x"], &["logs", "x"], &["restart", "x"], &["pause", "x"]]
    {
        let run = deck.run(&[&["-o", "json"], words].concat());
        assert_eq!((run.code, run.error().1.as_str()), (4, "not_found"), "{words:?}");
    }
    let status = deck.run(&["status"]).ok().out;
    assert!(status.contains("engines") && status.contains("gpus"), "{status}");
}

#[test]
fn slips_are_told_with_what_was_meant() {
    let deck = Deck::new(super::CONFIG);
    let _owner = deck.serve();
    let run = deck.run(&["call", "-t", "lab", "memory", "tool/list", "-o", "json"]);
    assert_eq!((run.code, run.error().1.as_str()), (4, "not_found"));
    assert!(run.err.contains("did you mean `tools/list`?"), "{}", run.err);
    let run = deck.run(&["get", "instances", "--filter", "state=dormand"]).ok();
    assert!(run.err.contains("did you mean `dormant`?"), "{}", run.err);
    for words in [&["get", "gpus", "--at", "noonish"][..], &["get", "tenants", "--at", "03:00"]] {
        assert_eq!(deck.run(words).code, 2, "{words:?}");
    }
    let missing = deck.run(&["--config", "/nope.toml", "get", "tenants"]);
    assert_eq!((missing.code, missing.err.matches("/nope.toml").count()), (3, 1), "{}", missing.err);
}
