//! The journal while the disk is full: what it cannot take is told, listed, and written when it can.

use super::deck::{CONFIG, Deck, Serving};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

/// No file of the owner may grow beyond so many bytes, which stands for a full disk.
fn limit_files(owner: &Serving, bytes: Option<u64>) {
    let pid = Pid::from_raw(owner.pid().try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[test]
fn a_full_disk_hides_no_act() {
    let deck = Deck::new(CONFIG);
    let owner = deck.serve_after("trap '' XFSZ");
    let journal = || deck.run(&["journal", "-o", "json"]).ok().json().as_array().unwrap().clone();
    let kept = |lines: &[Value]| lines.iter().map(|line| line["kept"].as_bool().unwrap()).collect::<Vec<_>>();
    deck.run(&["reload"]).ok();
    assert_eq!(kept(&journal()), [true]);

    limit_files(&owner, Some(1));
    let act = deck.run(&["reload"]).ok();
    assert!(act.err.contains("the journal of this act is not on disk"), "{}", act.err);
    let lines = journal();
    assert_eq!((kept(&lines), &lines[0]["outcome"]), (vec![false, true], &"ok".into()), "{lines:?}");
    let table = deck.run(&["journal"]).ok();
    assert!(table.out.lines().nth(1).is_some_and(|line| line.ends_with("ok, not on disk")), "{}", table.out);
    assert!(table.err.contains("1 of these are in the owner's memory alone"), "{}", table.err);
    let status = deck.run(&["status"]).ok().out;
    assert!(status.contains("STORE") && status.contains("1 line of the journal is in memory alone"), "{status}");
    // What must be on disk before it is done is not done.
    assert_eq!(deck.run(&["fence", "memory@lab"]).code, 1);

    limit_files(&owner, None);
    let lines = journal();
    assert!(kept(&lines).iter().all(|kept| *kept), "{lines:?}");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(!deck.run(&["status"]).ok().out.contains("in memory alone"));
}
