//! `mcpdeck test`: named requests against the example platform, with the exit codes and messages that scripts and people see.

use mcpdeck::ui::console::request::Request;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = r#"
description = "Three hits at most"
customer = "EATON"
server = "catalog"
tool = "search"
arguments = '{ "query": "${product}", "limit": 3 }'
[vars]
product = "breaker"
[[expect]]
path = ".result.isError"
equals = false
[[expect]]
path = ".result.content | length"
min = 1
"#;

/// A home with these files in `requests/`.
fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join("requests")).expect("a folder");
    for (name, text) in files {
        std::fs::write(home.path().join("requests").join(name), text).expect("a file");
    }
    home
}

fn test(home: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mcpdeck"))
        .current_dir(home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .arg("test")
        .args(words)
        .output()
        .expect("mcpdeck")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn what_is_as_expected_passes_and_every_file_of_the_folder_is_taken() {
    let home = home(&[("a.toml", GOOD), ("b.toml", &GOOD.replace("EATON", "lab")), ("notes.txt", "no request")]);
    let output = test(home.path(), &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("ok    requests/a.toml  search as eaton: catalog") || said.contains("catalog as eaton: search"),
        "{said}"
    );
    assert!(said.contains("2 requests: 2 passed, 0 failed"), "{said}");
}

#[test]
fn what_is_not_as_expected_is_told_with_file_line_and_what_was_found() {
    let bad = GOOD.replace("equals = false", "equals = true").replace("min = 1", "max = 0");
    let home = home(&[("bad.toml", &bad), ("good.toml", GOOD)]);
    let output = test(home.path(), &["requests"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("requests/bad.toml:9: expected .result.isError to be true, found false"), "{said}");
    assert!(said.contains("requests/bad.toml:12: expected .result.content | length to be at most 0, found"), "{said}");
    let output = test(home.path(), &["requests", "-o", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&answer["passed"], &answer["failed"]), (&Value::from(1), &Value::from(1)));
    let failure = &answer["requests"][0]["failures"][0];
    assert_eq!((&failure["line"], &failure["check"]), (&Value::from(9), &Value::from(".result.isError")));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_broken_file_is_pictured_and_nothing_is_sent() {
    let home = home(&[("a.toml", GOOD), ("broken.toml", "server = \"catalog\"\ntol = \"search\"\n")]);
    let output = test(home.path(), &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("broken.toml:2:1") && said.contains("did you mean") && said.contains("nothing was sent"),
        "{said}"
    );
    assert!(!said.contains("passed"), "{said}");
}

#[test]
fn customers_and_variables_are_given_on_the_line_and_guards_hold() {
    let nobody = GOOD.replace("customer = \"EATON\"\n", "");
    let home = home(&[("a.toml", &nobody)]);
    for (words, code, part) in [
        (&["--customer", "lab", "--var", "product=relay"][..], 0, "1 passed"),
        (&[], 2, "names no customer"),
        (&["--customer", "nowhere"], 4, "nowhere"),
        (&["--customer", "lab", "--var", "prodct=x"], 3, "no variable `prodct`"),
        (&["requests/gone.toml"], 4, "gone.toml"),
    ] {
        let output = test(home.path(), words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output));
        assert!(text(&output).contains(part), "{words:?}: {}", text(&output));
    }
    // A tool that is not marked read-only, as a customer in production.
    let writes = "customer = \"EATON\"\nserver = \"memory\"\ntool = \"notes_add\"\narguments = '{}'\n";
    let home = self::home(&[("w.toml", writes)]);
    let output = test(home.path(), &[]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
}

#[test]
fn what_the_console_copies_as_a_command_runs_as_it_is() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join("bin")).expect("a folder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mcpdeck"), home.path().join("bin/mcpdeck")).expect("a link");
    let path = std::env::var("PATH").unwrap_or_default();
    let run = |line: &str| {
        Command::new("/bin/sh")
            .args(["-c", line])
            .current_dir(home.path())
            .env_clear()
            .env("PATH", format!("{}:{path}", home.path().join("bin").display()))
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .output()
            .expect("a shell")
    };
    let request = || {
        let mut request = Request::default();
        (request.tenant, request.server) = (Some("eaton".into()), Some("catalog".into()));
        request
    };
    let mut tool = request();
    tool.load(
        "tools/call",
        r#"{"name":"search","arguments":{"query":"it's a \"breaker\" $HOME `x`\n日本","limit":2}}"#,
    );
    let mut method = request();
    method.load("tools/list", "{}");
    method.era = Some(mcpdeck::model::Era::Legacy);
    let mut raw = request();
    raw.load_raw("{\n  \"jsonrpc\": \"2.0\", \"id\": 5, \"method\": \"ping\"\n}");
    for request in [tool, method, raw] {
        let line = request.command_line().expect("a line");
        let output = run(&line);
        assert_eq!(output.status.code(), Some(0), "{line}\n{}", text(&output));
    }
}

#[test]
fn a_call_goes_to_every_customer_that_has_the_server() {
    let home = home(&[]);
    let call = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpdeck"));
        command.current_dir(home.path()).env_clear().env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .args(["call", "--every-customer", "catalog", "search", "query=breaker"])
            .args(words)
            .output()
            .expect("mcpdeck")
    };
    let asks = call(&[]);
    assert_eq!(asks.status.code(), Some(5), "a customer of production is among them: {}", text(&asks));
    assert!(text(&asks).contains("--confirm catalog"), "{}", text(&asks));
    let told = call(&["--confirm", "catalog"]);
    let said = text(&told);
    assert_eq!(told.status.code(), Some(0), "{said}");
    assert!(said.starts_with("CUSTOMER") && said.contains("eaton") && said.contains("ok"), "{said}");
    let rows = call(&["--confirm", "catalog", "-o", "json"]);
    let rows: Value = serde_json::from_slice(&rows.stdout).expect("JSON");
    assert!(
        rows.as_array().is_some_and(|rows| rows.len() >= 2 && rows.iter().all(|row| row["outcome"] == "ok")),
        "{rows}"
    );
}
