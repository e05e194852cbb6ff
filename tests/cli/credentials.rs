//! `keys` and `users`: with an owner and without one, what they print and what they never do.

use super::deck::{CONFIG, Deck, Run};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

/// Runs with `typed` on standard input.
fn run_with(deck: &Deck, words: &[&str], typed: &str) -> Run {
    let mut child =
        deck.command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that is refused before does not read it.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn ids(deck: &Deck) -> Vec<(String, bool)> {
    let rows = deck.run(&["keys", "list", "-o", "json"]).ok().json();
    let row = |row: &Value| (row["id"].as_str().unwrap().to_owned(), row["revoked"].is_null());
    rows.as_array().unwrap().iter().map(row).collect()
}

/// The same life of a key, whoever writes it down.
fn a_keys_life(deck: &Deck) {
    let before = ids(deck).len();
    let run = deck.run(&["keys", "create", "--tenant", "The Lab", "--name", "ci", "--expires", "90d"]).ok();
    assert!(run.out.starts_with("mdk_") && run.out.lines().count() == 1, "{}", run.out);
    assert!(run.err.contains("for lab, role tenant; shown this once") && !run.err.contains("mdk_"), "{}", run.err);
    let made = deck.run(&["keys", "create", "--role", "admin", "-o", "json"]).ok().json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with(&format!("mdk_{id}_")), "{made}");
    let next = deck.run(&["keys", "rotate", id, "--overlap", "1h", "-o", "json"]).ok().json();
    let next = next["id"].as_str().unwrap().to_owned();
    deck.run(&["keys", "revoke", key]).ok();
    assert_eq!(ids(deck)[before..].iter().map(|(_, good)| *good).collect::<Vec<_>>(), [true, false, true]);
    let table = deck.run(&["keys", "list"]).ok().out;
    let line = table.lines().find(|line| line.contains(id)).unwrap();
    assert!(line.contains("admin") && line.contains("revoked") && !table.contains(key), "{table}");
    for words in [&["keys", "revoke", id][..], &["keys", "rotate", id]] {
        let run = deck.run(&[words, &["-o", "json"]].concat());
        assert_eq!((run.code, run.error().1.as_str()), (5, "refused"), "{}", run.err);
    }
    deck.run(&["keys", "revoke", &next]).ok();
    let journal = deck.run(&["journal", "-o", "json"]).ok().out;
    for verb in ["keys create", "keys rotate", "keys revoke"] {
        assert!(journal.contains(verb), "{verb}: {journal}");
    }
    assert!(!journal.contains("mdk_"), "{journal}");
}

#[test]
fn keys_are_made_rotated_and_revoked_with_an_owner_and_without() {
    let deck = Deck::new(CONFIG);
    a_keys_life(&deck);
    let owner = deck.serve();
    assert_eq!(ids(&deck).len(), 3, "the owner reads what was kept");
    a_keys_life(&deck);
    let events = deck.run(&["get", "events", "-o", "json"]).ok().out;
    assert!(events.contains("keys create") || events.contains("create_key"), "{events}");
    drop(owner);
    assert_eq!(ids(&deck).len(), 6);
}

#[test]
fn people_are_added_and_removed_and_a_password_is_never_an_argument() {
    let deck = Deck::new(CONFIG);
    let with_owner = |deck: &Deck| {
        run_with(deck, &["users", "add", "Ana@Lab.test", "--tenant", "lab"], "correct horse\n").ok();
        run_with(deck, &["users", "passwd", "ana@lab.test"], "battery staple").ok();
        let again = run_with(deck, &["users", "add", "ana@lab.test", "-t", "lab"], "correct horse\n");
        assert_eq!(again.code, 5, "{}", again.err);
        let listed = deck.run(&["users", "list", "-o", "json"]).ok().json();
        assert_eq!((&listed[0]["email"], &listed[0]["role"]), (&"ana@lab.test".into(), &"tenant".into()));
        assert!(listed[0].get("password").is_none(), "{listed}");
        deck.run(&["users", "remove", "ANA@lab.test"]).ok();
        assert_eq!(deck.run(&["users", "list", "-o", "json"]).ok().json(), serde_json::json!([]));
    };
    with_owner(&deck);
    let _owner = deck.serve();
    with_owner(&deck);
    let kept = std::fs::read(deck.path().join("state/mcpdeck/test/mcpdeck.db")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("correct horse"));
}

#[test]
fn what_cannot_be_made_says_why() {
    let deck = Deck::new(CONFIG);
    for (words, typed, code, says) in [
        (&["keys", "create"][..], "", 2, "give --tenant"),
        (&["keys", "create", "--tenant", "eatn"], "", 4, "did you mean `eaton`?"),
        (&["keys", "create", "--tenant", "lab", "--name", "two words"], "", 2, "one word"),
        (&["keys", "create", "--tenant", "lab", "--expires", "soon"], "", 2, "90d"),
        (&["keys", "create", "--tenant", "lab", "--expires", "2020-01-01"], "", 5, "expired before"),
        (&["keys", "create", "--tenant", "lab", "--role", "root"], "", 2, "operator"),
        (&["keys", "revoke", "nothing"], "", 4, "no API key nothing"),
        (&["users", "add", "ana", "--tenant", "lab"], "correct horse", 2, "no email address"),
        (&["users", "add", "ana@lab.test"], "correct horse", 2, "give --tenant"),
        (&["users", "add", "ana@lab.test", "-t", "lab"], "short", 2, "8 characters"),
        (&["users", "add", "ana@lab.test", "-t", "lab", "correct horse"], "", 2, "unexpected argument"),
        (&["users", "passwd", "ana@lab.test"], "correct horse", 4, "no user ana@lab.test"),
        (&["users", "remove", "ana@lab.test"], "", 4, "no user ana@lab.test"),
        (&["keys", "create", "--tenant", "lab", "--read-only"], "", 5, "read-only"),
    ] {
        let run = run_with(&deck, words, typed);
        assert!(run.code == code && run.err.contains(says), "{words:?}: {} {}", run.code, run.err);
        assert!(run.out.is_empty(), "{words:?}: {}", run.out);
    }
}
