//! Traffic beyond its list: calls counted together, one call's timeline, calls under way.

use super::deck::{Deck, record};
use super::{backlog, view};
use crate::support::sample;
use mcpdeck::model::{CallId, Chunk, Command, Outcome};
use mcpdeck::ui::Page;
use std::sync::Arc;

#[test]
fn calls_are_counted_by_customer_server_and_tool() {
    for size in [(80, 24), (120, 40)] {
        let mut deck = view(Page::Traffic, size);
        deck.keys("<tab> <tab> <tab>");
        insta::assert_snapshot!(format!("traffic_by_tool_{}x{}", size.0, size.1), deck.picture());
    }
    let mut deck = view(Page::Traffic, (120, 40));
    deck.keys("<tab> <enter>");
    assert!(deck.picture().contains("tenant=eaton"), "the calls of that customer: {}", deck.picture());
    deck.keys("<backtab>");
    let tools = deck.picture();
    assert!(tools.contains("etim classify_product") && tools.contains("20 finished calls"), "{tools}");
}

#[test]
fn figures_of_groups_are_those_of_the_calls_that_the_filter_leaves() {
    let mut deck = Deck::open(Page::Traffic, (120, 40));
    let calls = (1..=100u64).map(|n| {
        let outcome = if n > 90 { Outcome::Timeout } else { Outcome::Ok };
        Arc::new(record(n * 6, outcome, n * 10_000))
    });
    deck.chunk(Chunk::Calls(calls.collect()));
    deck.keys("<tab> <tab>");
    let row = |deck: &Deck| {
        let picture = deck.picture();
        let line = picture.lines().find(|line| line.contains(" etim ")).expect("a row").to_owned();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert!(row(&deck).contains("etim 100 10 500 ms 950 ms 990 ms 1.0 s 10"), "{}", row(&deck));
    deck.keys("/").types("outcome=timeout").keys("<enter>");
    assert!(row(&deck).contains("etim 10 10 950 ms 1.0 s 1.0 s 1.0 s 10"), "{}", row(&deck));
}

#[test]
fn a_timeline_shows_where_the_time_went() {
    for size in [(80, 24), (120, 40)] {
        let mut deck = view(Page::Traffic, size);
        deck.keys("G <enter> <tab>");
        insta::assert_snapshot!(format!("traffic_timeline_{}x{}", size.0, size.1), deck.picture());
    }
}

#[test]
fn a_call_under_way_is_opened_where_it_is_and_followed_to_its_end() {
    let mut deck = Deck::open(Page::Traffic, (80, 24));
    deck.chunk(backlog(10)).keys("g <enter>");
    let picture = deck.picture();
    assert!(picture.contains("under way") && picture.contains("it is there now"), "{picture}");
    deck.keys("K");
    assert_eq!(deck.ran(), [&Command::CancelCall(CallId(900))]);
    deck.keys("<tab> <tab> <tab>");
    assert!(deck.picture().contains("no answer yet"), "{}", deck.picture());
    let mut over = sample::rich();
    over.pending.retain(|call| call.id != CallId(900));
    deck.finished.insert(CallId(900));
    deck.next(over);
    assert!(deck.picture().contains("43 ms") && deck.picture().contains("EC000042"), "{}", deck.picture());
}
