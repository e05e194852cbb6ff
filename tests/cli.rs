//! The command line as its users meet it: the real program, its output, its exit codes.

mod containers;
mod credentials;
pub mod deck;
mod journal;
mod lives;
mod routes;

use deck::{CONFIG, Deck, Lines, finish};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

/// Compares output, but for this world's own folder, with what was reviewed.
#[track_caller]
fn assert_table(name: &str, deck: &Deck, text: &str) {
    let text = text.replace(&deck.path().display().to_string(), "[folder]");
    insta::with_settings!({ snapshot_path => "cli/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn what_is_typed_wrong_is_usage() {
    let deck = Deck::new(CONFIG);
    for words in [
        &["gett"][..],
        &["call"],
        &["call", "-t", "lab", "memory"],
        &["get", "planets"],
        &["get", "servers", "--filter", "nonsense=1"],
        &["frame", "overview", "--size", "huge"],
        &["frame", "nowhere"],
        &["--view", "overview", "paths"],
        &["call", "-t", "lab", "memory", "notes_add", "{broken"],
        &["call", "-t", "lab", "memory", "notes_add", "word"],
        &["stop"],
        &["--set", "nokey", "paths"],
    ] {
        let run = deck.run(&[words, &["-o", "json"]].concat());
        let (code, kind, _) = run.error();
        assert_eq!((run.code, code, &*kind), (2, 2, "usage"), "{words:?}: {}", run.err);
        let run = deck.run(words);
        assert!(run.err.starts_with("error: "), "{words:?}: {}", run.err);
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let deck = Deck::new(CONFIG);
    assert!(deck.run(&["--version"]).ok().out.starts_with("mcpdeck "));
    let help = deck.run(&["--help"]).ok().out;
    for word in ["serve", "call", "journal", "Exit codes: 0 ok"] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn a_bad_configuration_is_three_with_a_picture_of_each_problem() {
    let deck = Deck::new("[platform]\nnmae = \"x\"\n[[server]]\nid = \"a b\"\n");
    let run = deck.run(&["check"]);
    assert_eq!(run.code, 3);
    assert_table("check_problems", &deck, &run.out);
    let run = deck.run(&["check", "-o", "json"]);
    let problems = run.json();
    assert!(problems.as_array().unwrap().len() >= 2, "{problems}");
    assert_eq!((&problems[0]["line"], &problems[0]["suggestion"]), (&json!(2), &json!("name")));
    assert_eq!((run.error().0, run.error().1.as_str()), (3, "config"));
    for words in [&["get", "servers"][..], &["serve"], &["paths"], &["enable", "a", "b"]] {
        let run = deck.run(&[words, &["-o", "json"]].concat());
        assert_eq!((run.code, run.error().0), (3, 3), "{words:?}");
    }
    // What is doubtful is told beside what is wrong.
    let both = Deck::new("[platform]\nnmae = \"x\"\n[[tenant]]\nid = \"eaton\"\nenabled = [\"gitt\"]\n");
    let run = both.run(&["check"]);
    assert!(run.out.contains("no server `gitt`") && run.out.contains("unknown key `nmae`"), "{}", run.out);
    assert!(run.err.contains("1 problem and 1 warning"), "{}", run.err);
    let missing = deck.run(&["check", "nowhere.toml"]);
    assert_eq!(missing.code, 3, "{}", missing.err);
}

#[test]
fn a_good_configuration_is_told_and_so_is_where_things_lie() {
    let deck = Deck::new(CONFIG);
    assert_table("check_ok", &deck, &deck.run(&["check"]).ok().out);
    assert_table("paths", &deck, &deck.run(&["paths"]).ok().out);
    let paths = deck.run(&["paths", "-o", "json"]).ok().json();
    assert_eq!(paths["socket"], json!(deck.socket()));
    let mut command = deck.command(&["check"]);
    command.env_remove("MCPDECK_CONFIG");
    let embedded = finish(command, &["check"]).ok();
    assert!(embedded.out.starts_with("embedded default: ok (3 tenants"), "{}", embedded.out);
}

#[test]
fn without_an_owner_acts_are_refused_and_say_what_to_run() {
    let deck = Deck::new(CONFIG);
    for words in [
        &["start", "memory@lab"][..],
        &["stop", "memory@lab"],
        &["sleep", "memory"],
        &["restart", "memory"],
        &["kill", "memory"],
        &["fence", "memory"],
        &["probe", "memory"],
        &["secrets", "reload"],
        &["status"],
        &["logs"],
        &["shutdown"],
        &["get", "servers", "--watch"],
    ] {
        let run = deck.run(&[words, &["-o", "json"]].concat());
        assert_eq!((run.code, run.error().1.as_str()), (6, "no_owner"), "{words:?}");
        assert!(run.err.contains("mcpdeck serve"), "{}", run.err);
    }
}

#[test]
fn with_owner_serve_there_is_no_momentary_platform() {
    let deck = Deck::new(&CONFIG.replace("[platform]", "[platform]\nowner = \"serve\""));
    for words in [
        &["get", "tenants"][..],
        &["tools", "-t", "lab"],
        &["frame", "overview"],
        &["call", "-t", "lab", "memory", "ping"],
    ] {
        let run = deck.run(&[words, &["-o", "json"]].concat());
        assert_eq!((run.code, run.error().1.as_str()), (6, "no_owner"), "{words:?}: {}", run.err);
    }
    deck.run(&["disable", "memory", "lab"]).ok();
}

#[test]
fn without_an_owner_a_command_runs_a_platform_of_its_own() {
    let deck = Deck::new(CONFIG);
    assert_table("get_tenants", &deck, &deck.run(&["get", "tenants"]).ok().out);
    assert_table("get_servers", &deck, &deck.run(&["get", "servers"]).ok().out);
    let tools = deck.run(&["tools", "-t", "The Lab", "catalog"]).ok().out;
    assert!(tools.contains("classify_product"), "{tools}");
    assert!(!tools.contains("customer_id"), "what is injected is hidden: {tools}");
    let run = deck.run(&["call", "-t", "l", "catalog", "search", "query=breaker", "-o", "json"]).ok();
    assert_eq!(run.json()["outcome"], "ok", "{}", run.out);
    let frame = deck.run(&["frame", "overview", "--size", "100x30"]).ok().out;
    assert_eq!(frame.lines().count(), 30, "{frame}");
    assert!(frame.contains("test"), "{frame}");
    assert!(!deck.socket().exists(), "a moment has no socket");
}

#[test]
fn enabling_offline_is_kept_and_can_be_taken_back() {
    let deck = Deck::new(CONFIG);
    let enabled = |deck: &Deck| {
        let rows = deck.run(&["get", "tenants", "eaton", "-o", "json"]).ok().json();
        let cells = rows[0]["cells"].as_array().unwrap().clone();
        cells
            .iter()
            .filter(|c| c["enabled"] == json!(true))
            .map(|c| c["server"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(enabled(&deck), ["memory"]);
    deck.run(&["enable", "catalog", "EATON"]).ok();
    assert_eq!(enabled(&deck), ["catalog", "memory"]);
    let run = deck.run(&["disable", "memory", "eaton", "-o", "json"]);
    assert_eq!((run.code, run.error().1.as_str()), (5, "needs_confirm"));
    deck.run(&["disable", "memory", "eaton", "--confirm", "eaton"]).ok();
    assert_eq!(enabled(&deck), ["catalog"]);
    deck.run(&["revert", "memory", "eaton"]).ok();
    assert_eq!(enabled(&deck), ["catalog", "memory"]);
    let journal = deck.run(&["journal", "-o", "json"]).ok().json();
    let verbs: Vec<&str> = journal.as_array().unwrap().iter().map(|e| e["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["revert", "disable", "enable"]);
    for (words, code) in [
        (&["enable", "nothing", "lab"][..], 4),
        (&["enable", "catalog", "nobody"], 4),
        (&["--read-only", "enable", "catalog", "lab"], 5),
    ] {
        assert_eq!(deck.run(words).code, code, "{words:?}");
    }
}

#[test]
fn guardrails_refuse_with_their_reason_and_five() {
    let guards = "[guard.production]\nread_only = \"frozen until Friday\"\n\
                  [guard.lab]\ndeny = { restart = \"their batch runs\" }\nbulk_cap = { instances = 1, reason = \"step by step\" }\n";
    let deck = Deck::new(&format!("{CONFIG}\n{guards}"));
    let _owner = deck.serve();
    for (words, kind, why) in [
        (&["restart", "memory@lab"][..], "denied", "restart is denied in lab: their batch runs"),
        (&["start", "memory@eaton"], "read_only", "production is read-only: frozen until Friday"),
        (&["disable", "memory", "eaton", "--confirm", "eaton"], "read_only", "frozen until Friday"),
        (&["call", "-t", "eaton", "memory", "notes_add", "text=x"], "read_only", "frozen until Friday"),
    ] {
        let run = deck.run(&[words, &["-o", "json"]].concat());
        let (code, found, message) = run.error();
        assert_eq!((run.code, code, &*found), (5, 5, kind), "{words:?}: {}", run.err);
        assert!(message.contains(why), "{words:?}: {message}");
    }
    // Looking is free, and so is what no guardrail names.
    deck.run(&["call", "-t", "eaton", "memory", "notes_search", "query=x"]).ok();
    deck.run(&["start", "memory@lab"]).ok();
}

#[test]
fn calls_end_with_the_code_of_their_outcome() {
    let deck = Deck::new(CONFIG);
    let _owner = deck.serve();
    for (words, code, kind) in [
        (&["lab", "memory", "ping"][..], 0, ""),
        (&["lab", "memory", "tools/list"], 0, ""),
        (&["lab", "memory", "notes_add", "text=hello"], 0, ""),
        (&["lab", "memory", "notes_add", "{\"text\": \"hello\"}"], 0, ""),
        (&["lab", "memory", "notes_add", "{}"], 7, "tool"),
        (&["lab", "memory", "no_such_tool"], 1, "protocol"),
        (&["lab", "memory", "tools/nothing"], 1, "protocol"),
        (&["lab", "broken", "ping"], 5, "refused"),
        (&["eaton", "catalog", "ping"], 5, "not_enabled"),
        (&["lab", "nothing", "ping"], 4, "not_found"),
        (&["nobody", "memory", "ping"], 4, "not_found"),
    ] {
        let run = deck.run(&[&["call", "-o", "json", "-t"], words].concat());
        let found = if run.code == 0 { String::new() } else { run.err.clone() };
        assert_eq!(run.code, code, "{words:?}\n{}\n{found}", run.out);
        if code != 0 {
            assert_eq!(run.error().1, kind, "{words:?}");
        }
    }
    let run = deck.run(&["call", "-t", "eaton", "catalog", "ping"]);
    assert!(run.err.contains("mcpdeck enable catalog eaton"), "{}", run.err);
}

#[test]
fn arguments_come_from_standard_input_too() {
    let deck = Deck::new(CONFIG);
    let mut child = deck
        .command(&["call", "-t", "lab", "catalog", "search", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"query\": \"breaker\"}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("breaker"));
}

#[test]
fn acts_wait_for_their_job_and_tell_what_became_of_it() {
    let deck = Deck::new(CONFIG);
    let _owner = deck.serve();
    let state = |key: &str| deck.run(&["get", "instances", key, "-o", "json"]).ok().json()[0]["state"].clone();
    assert_eq!(state("memory@lab"), "dormant");
    for (words, after) in [
        (&["start", "memory@lab"][..], "ready"),
        (&["probe", "memory@lab"], "ready"),
        (&["fence", "memory@lab"], "fenced"),
        (&["fence", "--off", "memory@lab"], "ready"),
        (&["restart", "memory@lab"], "ready"),
        (&["sleep", "memory@lab"], "dormant"),
        (&["stop", "memory@lab"], "stopped"),
    ] {
        let run = deck.run(words).ok();
        assert!(run.out.contains("ok"), "{words:?}: {}", run.out);
        assert_eq!(state("memory@lab"), after, "{words:?}");
    }
    let refused = deck.run(&["call", "-t", "lab", "memory", "ping", "-o", "json"]);
    assert_eq!((refused.code, refused.error().1.as_str()), (5, "refused"));
    let failed = deck.run(&["start", "broken@lab", "-o", "json"]);
    assert_eq!(failed.code, 1, "{}", failed.err);
    for (words, code) in [
        (&["stop", "memory@eaton"][..], 5),
        (&["stop", "memory@eaton", "--confirm", "wrong"], 5),
        (&["stop", "memory@eaton", "--confirm", "memory@eaton"], 0),
        (&["stop", "nothing"], 4),
        (&["stop", "memory@nobody"], 4),
        (&["--read-only", "start", "memory@lab"], 5),
        (&["start", "--no-wait", "memory@lab"], 0),
        (&["secrets"], 0),
        (&["secrets", "reload"], 0),
        (&["explain", "memory@lab"], 0),
        (&["explain", "eaton"], 0),
        (&["explain", "nothing"], 4),
        (&["status"], 0),
        (&["status", "memory@lab"], 0),
        (&["logs", "memory@lab"], 0),
        (&["logs"], 0),
        (&["get", "events"], 0),
        (&["get", "jobs"], 0),
        (&["get", "calls"], 0),
        (&["get", "servers", "nothing"], 4),
    ] {
        let run = deck.run(words);
        assert_eq!(run.code, code, "{words:?}\n{}\n{}", run.out, run.err);
    }
    let journal = deck.run(&["journal", "-o", "json"]).ok().json();
    let lines: Vec<&str> = journal.as_array().unwrap().iter().map(|e| e["command_line"].as_str().unwrap()).collect();
    assert!(lines.contains(&"mcpdeck stop memory@lab"), "{lines:?}");
}

#[test]
fn a_server_that_has_no_url_for_a_customer_is_enabled_with_a_word() {
    let deck = Deck::new(
        r#"
[platform]
name = "test"
[[server]]
id = "grafana"
[[tenant]]
id = "eaton"
enabled = ["grafana"]
server = { grafana = { url = "http://127.0.0.1:1/mcp" } }
[[tenant]]
id = "vatt"
"#,
    );
    let _owner = deck.serve();
    let said = deck.run(&["enable", "grafana", "vatt"]).ok().out;
    assert!(said.contains("it has no url for vatt yet: give [tenant.server.grafana] one"), "{said}");
    let said = deck.run(&["enable", "grafana", "eaton"]).ok().out;
    assert!(said.contains("enabled") && !said.contains("url"), "{said}");
}

/// Incident C of product.md without a screen.
#[test]
fn a_rotated_credential_is_found_and_rolled_by_commands() {
    let deck = Deck::new(
        r#"
[platform]
name = "test"
[[server]]
id = "graf"
scope = "tenant"
secrets = { token = { file = "token" } }
run = { backend = "simulated", start = "1ms", faults = [{ auth_unless = { secret = "token", value = "new" } }] }
[[tenant]]
id = "eaton"
enabled = ["graf"]
[[tenant]]
id = "vatt"
enabled = ["graf"]
"#,
    );
    let token = deck.path().join("token");
    std::fs::write(&token, "old").unwrap();
    let _owner = deck.serve();
    let call = |tenant| deck.run(&["call", "-t", tenant, "graf", "echo", "text=hello"]).code;
    // The server says 401 in a tool result.
    assert_eq!((call("eaton"), call("vatt")), (7, 7));
    std::fs::write(&token, "new").unwrap();
    deck.run(&["secrets", "reload"]).ok();
    let held = || deck.run(&["secrets", "-o", "json"]).ok().json()[0]["stale"].clone();
    assert_eq!(held(), serde_json::json!(["graf@eaton", "graf@vatt"]));
    let status = deck.run(&["status"]).ok().out;
    assert!(status.contains("AUTH") && status.contains("token is newer than what graf@eaton, graf@vatt"), "{status}");
    let why = deck.run(&["explain", "graf@vatt"]).ok().out;
    assert!(why.contains("the newest is") && !why.contains("old"), "{why}");
    deck.run(&["restart", "graf@eaton"]).ok();
    assert_eq!((held(), call("eaton"), call("vatt")), (serde_json::json!(["graf@vatt"]), 0, 7));
    deck.run(&["restart", "graf@vatt"]).ok();
    assert_eq!((held(), call("eaton"), call("vatt")), (serde_json::json!([]), 0, 0));
    let status = deck.run(&["status"]).ok().out;
    assert!(!status.contains("AUTH"), "{status}");
}

#[test]
fn two_consoles_see_each_others_acts() {
    let deck = Deck::new(CONFIG);
    let _owner = deck.serve();
    let mut watching =
        deck.command(&["get", "events", "--watch", "-o", "json", "-n", "1000"]).stdout(Stdio::piped()).spawn().unwrap();
    let events = Lines::of(watching.stdout.take().unwrap());
    deck.run(&["start", "memory@lab"]).ok();
    events.until("act", |line| {
        serde_json::from_str::<Value>(line).is_ok_and(|e| e["kind"]["act"]["command"]["start"] == "memory@lab")
    });
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn there_is_one_owner_and_the_second_learns_its_pid() {
    let deck = Deck::new(CONFIG);
    let first = deck.serve();
    let second = deck.run(&["serve", "-o", "json"]);
    assert_eq!((second.code, second.error().1.as_str()), (5, "owned"));
    assert!(second.err.contains(&format!("pid {}", first.pid())), "{}", second.err);
    let (a, b) = std::thread::scope(|s| {
        drop(first);
        let a = s.spawn(|| deck.try_serve());
        let b = s.spawn(|| deck.try_serve());
        (a.join().unwrap(), b.join().unwrap())
    });
    let ready = [&a.1, &b.1].iter().filter(|line| line.starts_with("ready")).count();
    assert_eq!(ready, 1, "{:?} {:?}", a.1, b.1);
    deck.run(&["status"]).ok();
}

#[test]
fn a_killed_owner_leaves_a_place_for_the_next_and_watchers_come_back() {
    let deck = Deck::new(CONFIG);
    let first = deck.serve();
    let mut watching = deck
        .command(&["get", "tenants", "-w", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (rows, notes) = (Lines::of(watching.stdout.take().unwrap()), Lines::of(watching.stderr.take().unwrap()));
    rows.until("first rows", |line| line.contains("\"change\":\"added\""));
    first.signal(Signal::KILL);
    assert_eq!(first.wait(), None);
    notes.until("word of the loss", |line| line.contains("the owner went away"));
    assert!(deck.socket().exists(), "kill -9 leaves the socket");
    let _second = deck.serve();
    deck.run(&["enable", "catalog", "eaton"]).ok();
    rows.until("change of the new owner", |line| line.contains("\"change\":\"changed\""));
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn serve_stops_in_order_on_a_signal_or_when_told() {
    let deck = Deck::new(CONFIG);
    for signal in [Signal::TERM, Signal::INT] {
        let owner = deck.serve();
        deck.run(&["start", "memory@lab"]).ok();
        owner.signal(Signal::HUP);
        deck.run(&["status"]).ok();
        owner.signal(signal);
        assert_eq!(owner.wait(), Some(0), "{signal:?}");
        assert!(!deck.socket().exists());
    }
    let owner = deck.serve();
    deck.run(&["shutdown"]).ok();
    assert_eq!(owner.wait(), Some(0));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let deck = Deck::new(CONFIG);
    let mut child =
        deck.command(&["get", "tenants", "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn built_in_servers_are_run_or_named() {
    let deck = Deck::new(CONFIG);
    let run = deck.run(&["mcp", "nothing", "-o", "json"]);
    assert_eq!((run.code, run.error().1.as_str()), (4, "not_found"));
    deck.run(&["mcp", "catalog"]).ok();
}
