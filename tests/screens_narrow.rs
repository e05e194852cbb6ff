//! What 80 columns must still tell: names that differ at their ends, lists that are longer than the screen, and things
//! that are not what they look like.

use crate::screens_console::deck::Deck;
use crate::support::sample::{self, yard};
use mcpdeck::model::container::{ContainerState, OrphanRow, Owner};
use mcpdeck::model::gpu::SIMULATED;
use mcpdeck::model::message::{FindingRow, LogLine, LogSource, LogTarget};
use mcpdeck::model::stack::StackState;
use mcpdeck::model::{Chunk, Snapshot, State};
use mcpdeck::ui::Page;
use std::sync::Arc;

fn open(page: Page, snapshot: Snapshot, size: (u16, u16)) -> Deck {
    let deck = Deck::with(page, size, snapshot, |_| ());
    deck.picture();
    deck
}

#[track_caller]
fn shows(deck: &Deck, texts: &[&str]) {
    let picture = deck.picture();
    for text in texts {
        assert!(picture.contains(text), "no `{text}` in\n{picture}");
    }
}

#[track_caller]
fn line_with(deck: &Deck, text: &str) -> String {
    let picture = deck.picture();
    let line = picture.lines().find(|line| line.contains(text));
    line.unwrap_or_else(|| panic!("no `{text}` in\n{picture}")).to_owned()
}

fn finding(word: &str, object: &str, text: &str, next: &[&str]) -> Arc<FindingRow> {
    Arc::new(FindingRow {
        id: format!("{word}:{object}"),
        word: word.into(),
        severity: 2,
        object: object.into(),
        target: None,
        text: text.into(),
        tenants: Vec::new(),
        since: sample::ago(60),
        next: next.iter().map(|n| (*n).into()).collect(),
    })
}

#[test]
fn a_list_that_is_longer_than_its_dialog_says_how_much_longer() {
    let mut deck = open(Page::Containers, sample::rich(), (80, 24));
    deck.follows = (0..30).map(|n| format!("removes container orphan-{n:02}: nobody wants it")).collect();
    deck.keys("Z");
    let picture = deck.picture();
    let shown = picture.matches("removes container orphan-").count();
    assert!((8..20).contains(&shown), "{picture}");
    shows(&deck, &[&format!("{} more", 30 - shown), "[ Cancel ]"]);
    deck.follows.truncate(3);
    deck.keys("<esc> Z");
    assert!(!deck.picture().contains(" more"), "{}", deck.picture());
}

#[test]
fn help_is_read_whole_on_a_small_screen() {
    let mut deck = open(Page::Containers, sample::rich(), (80, 24));
    deck.keys("?");
    // Whatever is chosen, the end of its line is its name in brackets.
    for _ in 0..20 {
        let picture = deck.picture();
        assert!(picture.lines().any(|line| line.trim_end_matches(['│', ' ']).ends_with(')')), "{picture}");
        deck.keys("<down>");
    }
}

#[test]
fn merged_logs_tell_long_names_apart() {
    let mut deck = open(Page::Logs, sample::rich(), (80, 24));
    let names = ["mcpdeck-lab-fra1-vattenfall-models-vllm-1", "mcpdeck-lab-fra1-vattenfall-models-vllm-2"];
    deck.keys("+").types("memory@eaton").keys("<enter>");
    let line = |n: usize| LogLine {
        at: sample::ago(1),
        run: 1,
        source: LogSource::Stdout,
        level: None,
        text: format!("said {n}"),
        target: LogTarget::Container(yard::key("local", n as u64), names[n].to_owned()),
    };
    deck.chunk(Chunk::Logs(vec![line(0), line(1)]));
    for n in [0, 1] {
        let line = line_with(&deck, &format!("said {n}"));
        assert!(line.contains(&format!("vllm-{}", n + 1)) && !line.contains("mcpdeck-"), "{line}");
        assert!(line.find("said").is_some_and(|at| at < 40), "{line}");
    }
}

#[test]
fn a_stack_is_called_by_its_whole_name() {
    let deck = open(Page::Containers, sample::rich(), (200, 60));
    shows(&deck, &["eaton-models/vllm"]);
}

#[test]
fn orphans_say_whose_they_were() {
    let mut snapshot = sample::rich();
    let owner = Owner {
        tenant: Some("vattenfall-de".into()),
        stack: Some("vattenfall-de-models".into()),
        part: Some("vllm".into()),
        ..Owner::default()
    };
    let what = "container mcpdeck-lab-fra1-vattenfall-de-models-vllm".to_owned();
    let why = "its stack is gone from the config".to_owned();
    snapshot.orphans = vec![Arc::new(OrphanRow { owner, container: None, pid: None, what, why })];
    let mut deck = open(Page::Containers, snapshot, (80, 24));
    deck.keys("B");
    shows(&deck, &["vattenfall-de-models/vll"]);
}

#[test]
fn what_is_over_stands_below_what_is_not() {
    let mut snapshot = sample::rich();
    let mut deck = open(Page::Overview, snapshot.clone(), (80, 24));
    snapshot.findings.remove(0);
    deck.next(snapshot);
    let picture = deck.picture();
    let at = |text: &str| picture.find(text).unwrap_or_else(|| panic!("no {text} in\n{picture}"));
    assert!(at("RESOLVED") > at("STOPPED"), "{picture}");
}

#[test]
fn orphans_open_the_orphan_finder() {
    let mut snapshot = sample::rich();
    snapshot.findings = vec![finding("ORPHANS", "orphans", "2 things that nobody wants", &["reap"])];
    let mut deck = open(Page::Overview, snapshot, (120, 40));
    deck.keys("<enter>");
    shows(&deck, &["Orphans 2", "its server `search` is gone"]);
    deck.keys("[").keys("]");
    shows(&deck, &["Orphans 2"]);
}

#[test]
fn the_reason_has_more_room_than_the_name() {
    let mut snapshot = sample::rich();
    let name = "mcpdeck-lab-fra1-vattenfall-models-vllm";
    snapshot.findings = vec![finding("OOM", name, "killed for memory at its limit of 16 GiB", &["logs"])];
    let line = line_with(&open(Page::Overview, snapshot, (80, 24)), "OOM");
    assert!(line.contains("vllm") && line.contains("killed for memory at its limit of"), "{line}");
}

#[test]
fn simulated_devices_and_engines_say_so() {
    let mut snapshot = sample::rich();
    Arc::make_mut(&mut snapshot.gpus).driver = Some(SIMULATED.to_owned());
    Arc::make_mut(&mut snapshot.engines[0]).url = SIMULATED.to_owned();
    let deck = open(Page::Overview, snapshot.clone(), (120, 40));
    shows(&deck, &["sim gpu 0", "running, simulated"]);
    shows(&open(Page::Overview, snapshot.clone(), (160, 40)), &["mem 61%  sim gpu 38%"]);
    shows(&open(Page::Gpus, snapshot, (60, 20)), &["simulated"]);
    let real = open(Page::Overview, sample::rich(), (120, 40)).picture();
    assert!(!real.contains("simulated"), "{real}");
}

#[test]
fn what_an_operator_stopped_is_calm() {
    let mut snapshot = sample::rich();
    let (key, stack) = (yard::key("local", 5), "vattenfall-models");
    let at = snapshot.containers.iter().position(|row| row.key == key).expect("a part");
    let row = Arc::make_mut(&mut snapshot.containers[at]);
    (row.state, row.exit_code, row.oom) = (ContainerState::Exited, Some(137), false);
    let line = |snapshot: &Snapshot| {
        let mut deck = open(Page::Containers, snapshot.clone(), (120, 40));
        deck.keys("/").types("owner~vattenfall part=vllm").keys("<enter>");
        deck.picture()
    };
    assert!(line(&snapshot).contains("exited 137"), "{}", line(&snapshot));
    let row = Arc::make_mut(snapshot.stacks.iter_mut().find(|row| row.id.as_str() == stack).expect(stack));
    let part = row.parts.iter_mut().find(|part| part.container.as_ref() == Some(&key)).expect("its part");
    (part.state, part.held, part.message) = (StackState::Stopped, true, "stopped by ana".to_owned());
    let picture = line(&snapshot);
    assert!(picture.contains("■ stopped") && !picture.contains("✗"), "{picture}");
    let mut deck = open(Page::Containers, snapshot, (120, 40));
    deck.keys("/").types("owner~vattenfall part=vllm").keys("<enter> e");
    shows(&deck, &["stopped by ana; it ended with 137"]);
}

#[test]
fn an_instance_that_sleeps_has_no_failed_container() {
    let mut snapshot = sample::rich();
    let at = snapshot.containers.iter().position(|row| row.owner.instance.is_some()).expect("an instance's");
    let key = snapshot.containers[at].owner.instance.clone().expect("its key");
    let row = Arc::make_mut(&mut snapshot.containers[at]);
    (row.state, row.exit_code, row.oom) = (ContainerState::Exited, Some(137), false);
    let row = snapshot.containers[at].clone();
    let of = snapshot.instances.iter().position(|row| row.key == key).expect("its row");
    for (state, put_down) in [(State::Dormant, true), (State::Stopped, true), (State::Failed, false)] {
        Arc::make_mut(&mut snapshot.instances[of]).state = state;
        assert_eq!(snapshot.is_put_down(&row), put_down, "{state}");
    }
}
