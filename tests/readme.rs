//! The README's commands, run as written, in their order, each on the platform that the text describes.

use crate::support::{self, engines};
use mcpdeck::ui::action::ROWS;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../README.md");

/// A command line of the README and the exit code it promises (`# exits N`; else 0).
struct Line {
    words: String,
    code: i32,
}

/// The text between one heading and the next.
fn section(heading: &str) -> &'static str {
    let section = README.split(heading).nth(1).expect(heading);
    section.split("\n## ").next().unwrap_or(section)
}

/// The `$ mcpdeck` lines of a section.
fn lines(heading: &str) -> Vec<Line> {
    let commands = section(heading).lines().filter_map(|l| l.strip_prefix("$ mcpdeck "));
    commands
        .map(|line| {
            let (words, comment) = line.split_once(" # ").unwrap_or((line, ""));
            let code = comment.trim().strip_prefix("exits ").map_or("0", |rest| &rest[..1]);
            Line { words: words.trim().to_owned(), code: code.parse().unwrap() }
        })
        .collect()
}

/// The program in a home of its own, its words split as a shell would.
fn deck(home: &Path, words: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .current_dir(home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("SEARCH_API_KEY", "k")
        .args(["-c", &format!("exec '{}' {words}", env!("CARGO_BIN_EXE_mcpdeck"))]);
    command
}

fn run_all(home: &Path, lines: &[Line]) {
    for line in lines {
        let output = deck(home, &line.words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(line.code), "mcpdeck {}\n{text}", line.words);
    }
}

#[test]
fn the_minute_on_the_example_platform_goes_as_written() {
    let home = tempfile::tempdir().unwrap();
    let mut lines = lines("## Sixty seconds");
    let serve = lines.remove(0);
    assert_eq!(serve.words, "serve &");
    let mut owner = deck(home.path(), "serve").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert!(lines.len() > 15, "the section lost its commands");
    run_all(home.path(), &lines);
    assert!(owner.wait().unwrap().success(), "`shutdown` ends the owner");
}

#[test]
fn a_named_request_is_tested_as_written() {
    let home = tempfile::tempdir().unwrap();
    let request = section("## Calls by hand").split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::create_dir(home.path().join("requests")).unwrap();
    std::fs::write(home.path().join("requests/search.toml"), request).unwrap();
    let lines = lines("## Calls by hand");
    assert_eq!(lines.len(), 2, "the section lost its commands");
    run_all(home.path(), &lines);
}

#[test]
fn containers_and_gpus_are_seen_with_the_commands_as_written() {
    let Some(lab) = engines::docker("containers_and_gpus_are_seen_with_the_commands_as_written") else { return };
    let home = tempfile::tempdir().unwrap();
    // The name is free in a reader's engine; in that of the tests it is everybody's.
    let made = lab.run("shop-web", &["sh", "-c", "echo serving; sleep 1000"]);
    let config = section("## Containers and GPUs").split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(home.path().join("shop.toml"), config.replace("shop-web", &made.name)).unwrap();
    let mut lines = lines("## Containers and GPUs");
    lines.iter_mut().for_each(|line| line.words = line.words.replace("shop-web", &made.name));
    let serve = lines.iter().position(|line| line.words.ends_with("serve &")).unwrap();
    let later = lines.split_off(serve);
    assert!(lines.len() >= 6 && later.len() >= 9, "the section lost its commands");
    run_all(home.path(), &lines);
    let mut owner = deck(home.path(), "--config shop.toml serve").stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    run_all(home.path(), &later[1..]);
    assert!(owner.wait().unwrap().success(), "`shutdown` ends the owner");
    assert_eq!(made.inspect()["State"]["Running"], true, "what is adopted outlives us");
}

/// Every key that the table has does something, and the views and acts of containers are in it.
#[test]
fn the_keys_of_the_console_are_those_that_are_bound() {
    let hand = section("## Calls by hand");
    for row in ROWS.iter().filter(|row| row.on == mcpdeck::ui::action::On::Pages(&[mcpdeck::ui::Page::Console])) {
        let named = row.chords.iter().any(|chord| {
            let shown =
                if chord.starts_with('f') && chord.len() > 1 { chord.to_uppercase() } else { (*chord).to_owned() };
            hand.contains(&format!("`{}`", shown.replace('|', "\\|")))
                || section("## Keys").contains(&format!("`{shown}`"))
        });
        assert!(named || row.name == "unset", "the README does not name the key of {}", row.name);
    }
}

#[test]
fn the_keys_are_those_that_are_bound() {
    let keys = section("## Keys");
    for key in ["`4`", "`5`", "`!`", "`i`", "`d`", "`U`", "`B`", "`Z`", "`h`"] {
        assert!(keys.contains(key), "{key}");
    }
    let cells = keys.lines().filter(|line| line.starts_with("| `")).flat_map(|line| line.split('|').skip(1).step_by(2));
    let bound: Vec<String> = ROWS.iter().flat_map(|row| row.chords.iter().map(|key| (*key).to_owned())).collect();
    for key in cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        assert!(bound.iter().any(|chord| chord == key), "`{key}` is in the README and bound to nothing");
    }
}

#[test]
fn keys_and_people_are_made_and_ended_with_the_commands_as_written() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("password.txt"), "correct horse\n").unwrap();
    let mut lines = lines("## Credentials");
    assert!(lines.len() >= 8, "the section lost its commands");
    let create = lines.remove(0);
    let made = deck(home.path(), &create.words).output().unwrap();
    let key = String::from_utf8(made.stdout).unwrap();
    let id = key.split('_').nth(1).unwrap_or_else(|| panic!("{key}: {}", String::from_utf8_lossy(&made.stderr)));
    lines.iter_mut().for_each(|line| line.words = line.words.replace("3f9a1c2e40", id));
    run_all(home.path(), &lines);
}

#[test]
fn the_own_platform_is_a_valid_configuration() {
    let home = tempfile::tempdir().unwrap();
    let config = README.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    std::fs::write(home.path().join("mcpdeck.toml"), config).unwrap();
    let lines = lines("## Your own platform");
    assert_eq!(lines.len(), 2);
    run_all(home.path(), &lines);
}

#[test]
fn looks_and_guardrails_are_as_written() {
    let home = tempfile::tempdir().unwrap();
    let looks = lines("## Looks");
    assert_eq!(looks.len(), 2, "the section lost its commands");
    run_all(home.path(), &looks);
    let config = section("## Guardrails").split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(home.path().join("guards.toml"), config).unwrap();
    run_all(home.path(), &[Line { words: "check guards.toml".to_owned(), code: 0 }]);
}

#[test]
fn the_gateway_answers_agents_as_written() {
    answers_curl("the_gateway_answers_agents_as_written", "## Agents: MCP over HTTP", "agents.toml", 4);
}

#[test]
fn the_http_api_answers_curl_as_written() {
    answers_curl("the_http_api_answers_curl_as_written", "## HTTP API", "gateway.toml", 12);
}

/// Runs a section's lines in their order, beside the owner of its platform.
fn answers_curl(test: &str, heading: &str, file: &str, at_least: usize) {
    if Command::new("curl").arg("--version").output().is_err() {
        return support::skip(test, "there is no curl");
    }
    let home = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let section = section(heading).replace("8080", &free);
    let config = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(home.path().join(file), config).unwrap();
    let mut owner = deck(home.path(), &format!("--config {file} serve")).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let lines: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("$ curl ")).collect();
    assert!(lines.len() >= at_least, "the section lost its commands");
    let failed = lines.iter().find_map(|line| {
        let output = Command::new("/bin/sh").args(["-c", &format!("curl --max-time 20 {line}")]).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let refused = said.starts_with(r#"{"jsonrpc":"2.0""#) && said.contains(r#""error":{"#);
        let refused = refused || said.contains(r#""isError":true"#);
        (refused || !output.status.success()).then(|| format!("curl {line}\n{said}"))
    });
    let after: Vec<Line> = self::lines(heading).into_iter().filter(|line| !line.words.ends_with("serve &")).collect();
    run_all(home.path(), &after);
    assert!(owner.wait().unwrap().success(), "`shutdown` ends the owner");
    assert_eq!(failed, None);
}
