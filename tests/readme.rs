//! The README's commands, run as written, in their order, each on the platform that the text describes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../README.md");

/// A command line of the README and the exit code it promises (`# exits N`; else 0).
struct Line {
    words: String,
    code: i32,
}

/// The `$ mcpdeck` lines between one heading and the next.
fn lines(heading: &str) -> Vec<Line> {
    let section = README.split(heading).nth(1).expect(heading);
    let section = section.split("\n## ").next().unwrap_or(section);
    let commands = section.lines().filter_map(|l| l.strip_prefix("$ mcpdeck "));
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
fn the_own_platform_is_a_valid_configuration() {
    let home = tempfile::tempdir().unwrap();
    let config = README.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    std::fs::write(home.path().join("mcpdeck.toml"), config).unwrap();
    let lines = lines("## Your own platform");
    assert_eq!(lines.len(), 2);
    run_all(home.path(), &lines);
}
