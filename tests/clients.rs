//! Unchanged clients of others at the gateway: each lists the tools, calls one, and is told that there is no such one. The
//! scripts in `tests/clients/` are all that is ours.

use crate::cli::deck::{Deck, Serving};
use crate::conformance::fixture::{self, LEGACY, MODERN};
use crate::support::servers::Clients;
use crate::support::skip;
use std::net::SocketAddr;
use std::process::{Command, Output};

const CONFIG: &str = r#"
[platform]
name = "test"
[api]
listen = ["127.0.0.1:0"]
anonymous = { tenant = "lab" }
[[server]]
id = "legacy"
url = "{legacy}"
[[server]]
id = "modern"
url = "{modern}"
[[tenant]]
id = "lab"
enabled = ["legacy", "modern"]
[[tenant]]
id = "other"
enabled = ["modern"]
"#;

const TOOL: &str = "test_simple_text";
const ANSWER: &str = "This is a simple text response for testing.";

/// Where a client goes, and what the tool is called there: all servers in one, or one of them.
const ENDPOINTS: [(&str, &str); 4] = [
    ("/mcp/legacy", TOOL),
    ("/mcp/modern", TOOL),
    ("/mcp", "legacy_test_simple_text"),
    ("/mcp", "modern_test_simple_text"),
];

const PYTHON: &str = include_str!("clients/python.py");
const TYPESCRIPT_1: &str = include_str!("clients/typescript-1.mjs");
const TYPESCRIPT_2: &str = include_str!("clients/typescript-2.mjs");

/// A client in one of the eras that it can speak.
#[derive(Clone, Copy, Debug)]
enum Program {
    Python(&'static str),
    TypeScript1,
    TypeScript2(&'static str),
    Inspector(&'static str),
}

const PROGRAMS: [(Program, &str); 7] = [
    (Program::Python("auto"), "2026-07-28"),
    (Program::Python("legacy"), "2025-11-25"),
    (Program::TypeScript1, "2025-11-25"),
    (Program::TypeScript2("auto"), "2026-07-28"),
    (Program::TypeScript2("legacy"), "2025-11-25"),
    (Program::Inspector("modern"), ""),
    (Program::Inspector("legacy"), ""),
];

/// Where a client goes, what it is to find there, and by which key.
struct Visit<'a> {
    url: String,
    version: &'a str,
    tool: &'a str,
    key: Option<&'a str>,
}

impl Program {
    /// What went wrong, if anything did.
    fn visit(self, clients: &Clients, deck: &Deck, visit: &Visit<'_>) -> Result<(), String> {
        let Visit { url, version, tool, key } = visit;
        let script = |mut command: Command, mode: &str| {
            let output = command.args([url.as_str(), tool, mode]).args(*key).output().unwrap();
            let said = said(&output);
            let all = [format!("version {version}"), format!("called {ANSWER}")];
            let good = all.iter().all(|line| said.lines().any(|said| said == line));
            let listed = said.lines().any(|line| line.eq_ignore_ascii_case("listed true"));
            let refused =
                said.lines().any(|line| line.starts_with("unknown ") && line.to_lowercase().contains("error"));
            (good && listed && refused).then_some(()).ok_or(said)
        };
        match self {
            Self::Python(mode) => script(clients.python(PYTHON), mode),
            Self::TypeScript1 => script(clients.script(TYPESCRIPT_1), "legacy"),
            Self::TypeScript2(mode) => script(clients.script(TYPESCRIPT_2), mode),
            Self::Inspector(era) => inspect(clients, deck, visit, era),
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The inspector does one thing at a time.
fn inspect(clients: &Clients, deck: &Deck, visit: &Visit<'_>, era: &str) -> Result<(), String> {
    let &Visit { ref url, tool, key, .. } = visit;
    for (words, good, says) in [
        (&["--method", "tools/list"][..], true, tool),
        (&["--method", "tools/call", "--tool-name", tool], true, ANSWER),
        (&["--method", "tools/call", "--tool-name", "no_such_tool"], false, "not found"),
    ] {
        let mut command = clients.package("inspector/clients/launcher/build/index.js");
        // It keeps a catalog at home.
        command
            .env("HOME", deck.path())
            .args(["--cli", url, "--transport", "http", "--protocol-era", era, "-q"])
            .args(words);
        command.args(key.map(|key| ["--header".to_owned(), format!("X-API-Key: {key}")]).into_iter().flatten());
        let output = command.output().unwrap();
        if output.status.success() != good || !said(&output).contains(says) {
            return Err(format!("{words:?}: {}", said(&output)));
        }
    }
    Ok(())
}

/// The gateway before a server of each era.
async fn deck(config: &str) -> (Deck, Serving, SocketAddr) {
    let config = config.replace("{legacy}", &fixture::serve(LEGACY).await);
    let deck = Deck::new(&config.replace("{modern}", &fixture::serve(MODERN).await));
    let (serving, at) = deck.serve_http();
    (deck, serving, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn public_clients_list_call_and_are_told_of_what_is_not_there() {
    let Some(clients) = Clients::find() else {
        return skip("clients", "node and python clients are not installed (run .ci/test-servers)");
    };
    let (deck, _serving, at) = deck(CONFIG).await;
    let visit = |(program, version): (Program, &str)| {
        ENDPOINTS.map(|(path, tool)| {
            let visit = Visit { url: format!("http://{at}{path}"), version, tool, key: None };
            let done = program.visit(&clients, &deck, &visit);
            done.err().map(|why| format!("{program:?} at {path}:\n{why}"))
        })
    };
    let wrong: Vec<String> = PROGRAMS.into_iter().flat_map(visit).flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_they_are_whose_key_it_is() {
    let Some(clients) = Clients::find() else {
        return skip("clients", "node and python clients are not installed (run .ci/test-servers)");
    };
    let (deck, _serving, at) = deck(&CONFIG.replace("anonymous =", "# anonymous =")).await;
    let key = |tenant: &str| deck.run(&["keys", "create", "-t", tenant]).ok().out.trim().to_owned();
    let (lab, other) = (key("lab"), key("other"));
    // Each of the four once: keys have nothing to do with eras.
    for (program, version) in PROGRAMS.into_iter().step_by(2) {
        let visit = |server: &str, key: Option<&str>| {
            let url = format!("http://{at}/mcp/{server}");
            program.visit(&clients, &deck, &Visit { url, version, tool: TOOL, key })
        };
        visit("legacy", Some(&lab)).unwrap_or_else(|why| panic!("{program:?}:\n{why}"));
        visit("legacy", Some(&other)).expect_err("another customer has no such server");
        visit("legacy", None).expect_err("nobody calls without a key");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_needs_neither_handshake_nor_session() {
    let (_deck, _serving, at) = deck(CONFIG).await;
    let ask = |path: &str, method: &str, params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#);
        let output = Command::new("curl").args(["-sS", &format!("http://{at}{path}"), "-d", &body]).output();
        String::from_utf8(output.ok()?.stdout).ok()
    };
    for (path, tool) in ENDPOINTS {
        let Some(list) = ask(path, "tools/list", "") else { return skip("clients", "curl is not installed") };
        assert!(list.contains(tool), "{path}: {list}");
        let call = |tool: &str| ask(path, "tools/call", &format!(r#","params":{{"name":"{tool}","arguments":{{}}}}"#));
        let answer = call(tool).expect("an answer");
        assert!(answer.contains(ANSWER), "{path}: {answer}");
        let answer = call("no_such_tool").expect("an answer");
        assert!(answer.contains("\"error\"") && answer.contains("no_such_tool"), "{path}: {answer}");
    }
}
