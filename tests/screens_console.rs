//! Console, Traffic and Logs as reviewed pictures at four sizes, and driven by keys.

mod answers;
mod ask;
pub mod deck;
mod fan;
pub mod keys;
mod logs;
mod requests;
mod traffic;

use crate::support::sample;
use deck::{Deck, answered, record};
use mcpdeck::model::message::{Level, LogLine, LogSource, LogTarget};
use mcpdeck::model::{Chunk, Outcome};
use mcpdeck::ui::Page;
use proptest::prelude::*;
use std::sync::Arc;

const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];

/// Finished calls of every outcome.
pub fn backlog(calls: u64) -> Chunk {
    let outcomes = [Outcome::Ok, Outcome::Ok, Outcome::Tool, Outcome::Ok, Outcome::Timeout];
    Chunk::Calls((0..calls).map(|n| Arc::new(record(n, outcomes[n as usize % 5], 300 * (n * n + 1)))).collect())
}

fn log_line(n: u64, text: &str) -> LogLine {
    LogLine {
        at: sample::ago(300 - n.min(299)),
        target: LogTarget::Instance("etim@eaton".parse().expect("a key")),
        source: LogSource::Stderr,
        level: None,
        text: text.to_owned(),
        run: 1,
    }
}

/// Lines of every level and source, long ones, JSON, a second run.
pub fn log() -> Chunk {
    let line = |n, text: &str, level, source, run| LogLine { level, source, run, ..log_line(n, text) };
    Chunk::Logs(vec![
        line(1, "started with pid 4242", Some(Level::Info), LogSource::Deck, 1),
        line(2, "listening on stdio", None, LogSource::Stderr, 1),
        line(
            3,
            "WARN cache is cold, first calls will be slow; this line is long enough to be wrapped at eighty columns and then some more",
            Some(Level::Warn),
            LogSource::Stderr,
            1,
        ),
        line(4, "Hello from a print statement", None, LogSource::Garbage, 1),
        line(5, r#"{"level":"error","msg":"no such class","class":"EC9"}"#, Some(Level::Error), LogSource::Stderr, 1),
        line(6, "exited with 1", Some(Level::Error), LogSource::Deck, 1),
        line(7, "started with pid 4300", Some(Level::Info), LogSource::Deck, 2),
        line(8, "日本語のログ", None, LogSource::Stderr, 2),
    ])
}

fn view(page: Page, size: (u16, u16)) -> Deck {
    let mut deck = match page {
        Page::Console => {
            let mut deck = keys::chosen(size, "classify");
            deck.keys("<enter>").types("3-phase breaker").keys("<enter> <enter>").types("500").keys("<enter>");
            deck
        }
        page => Deck::open(page, size),
    };
    match page {
        Page::Traffic => deck.chunk(backlog(60)),
        Page::Logs => deck.chunk(log()),
        _ => &mut deck,
    };
    deck
}

#[test]
fn views_at_four_sizes() {
    for page in [Page::Console, Page::Traffic, Page::Logs] {
        for size in SIZES {
            let name = format!("{}_{}x{}", page.name(), size.0, size.1);
            insta::assert_snapshot!(name, view(page, size).picture());
        }
    }
}

#[test]
fn a_call_under_way_and_answered() {
    for size in [(80, 24), (120, 40)] {
        let mut deck = keys::chosen(size, "classify");
        deck.keys("<enter> x <enter> <f5>");
        for chunk in answered("EC000042") {
            if matches!(chunk, Chunk::Call(mcpdeck::model::message::CallEvent::Body(_))) {
                insta::assert_snapshot!(format!("console_running_{}x{}", size.0, size.1), deck.picture());
            }
            deck.chunk(chunk);
        }
        insta::assert_snapshot!(format!("console_answered_{}x{}", size.0, size.1), deck.picture());
    }
}

#[test]
fn a_call_of_the_log_is_opened() {
    let mut deck = view(Page::Traffic, (80, 24));
    deck.keys("G <enter>");
    insta::assert_snapshot!("traffic_detail_80x24", deck.picture());
}

#[test]
fn ascii_stays_ascii() {
    let mut snapshot = sample::rich();
    snapshot.tenants.retain(|t| t.def.name.is_ascii());
    for page in [Page::Console, Page::Traffic, Page::Logs] {
        let mut deck = Deck::with(page, (120, 40), snapshot.clone(), |o| o.ascii = true);
        match page {
            Page::Traffic => deck.chunk(backlog(60)),
            Page::Logs => deck.chunk(Chunk::Logs(vec![log_line(1, "one")])),
            _ => deck.keys("<f2> <enter> <f3> <enter> <f4> <enter> <f5>"),
        };
        let text = deck.picture();
        assert!(text.is_ascii(), "{}: {:?}", page.name(), text.chars().filter(|c| !c.is_ascii()).collect::<String>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_keys_at_any_size_never_panic(width in 1u16..200, height in 1u16..60, page in 0usize..3, keys in proptest::collection::vec(0usize..28, 0..25)) {
        const KEYS: [&str; 28] = ["j", "k", "g", "G", "<enter>", "<esc>", "<tab>", "<backtab>", "<f5>", "<f6>", "<f7>", "<left>", "<right>", "n", "N", "y", "Y", "x", "1", "{", "<pagedown>", "<pageup>", "<delete>", "w", "r", "L", "b", "f"];
        let mut deck = view([Page::Console, Page::Traffic, Page::Logs][page], (width, height));
        for key in keys {
            deck.keys(KEYS[key]);
        }
    }

    #[test]
    fn any_log_line_is_drawn(text in any::<String>(), width in 1u16..60) {
        let mut deck = Deck::open(Page::Logs, (width, 12));
        deck.chunk(Chunk::Logs(vec![log_line(1, &text)]));
        let picture = deck.picture();
        prop_assert!(picture.chars().all(|c| c == '\n' || !c.is_control()));
    }
}

#[test]
fn a_log_opens_at_its_newest_line_and_leaves_no_row_empty() {
    let mut deck = Deck::open(Page::Logs, (60, 16));
    // Each wraps to three rows, which do not divide the height.
    let long = "x".repeat(100);
    let lines = (0..50).map(|n| log_line(n, &format!("{n} {long} end of {n}"))).collect();
    deck.chunk(Chunk::Logs(lines));
    let rows = |deck: &Deck| deck.picture().lines().skip(3).take(11).map(str::to_owned).collect::<Vec<_>>();
    let shown = rows(&deck);
    assert!(shown[10].contains("end of 49") && shown.iter().all(|row| row.len() > 20), "{shown:#?}");
    deck.keys("k k k k k k k j j j j j");
    let shown = rows(&deck);
    assert!(shown.iter().all(|row| row.trim_matches(['│', ' ']).len() > 5), "{shown:#?}");
}
