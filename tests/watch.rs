//! Objects that are watched: a notice, and the bell, when one changes its state; on whatever view one is.

use crate::screens_console::deck::Deck;
use crate::support::sample;
use mcpdeck::model::{CallId, Snapshot, State};
use mcpdeck::ui::Page;
use mcpdeck::ui::app::{Effect, Msg};
use std::sync::Arc;

fn with_state(server: &str, state: State, reason: &str) -> Snapshot {
    let mut snapshot = sample::rich();
    for row in snapshot.instances.iter_mut().filter(|row| row.key.to_string() == server) {
        let changed = Arc::make_mut(row);
        (changed.state, changed.reason) = (state, reason.to_owned());
    }
    snapshot
}

fn rang(deck: &Deck) -> usize {
    deck.effects.iter().filter(|effect| **effect == Effect::Bell).count()
}

#[test]
fn a_change_is_told_on_any_view_and_stays_until_a_key() {
    let mut deck = Deck::with(Page::Servers, (120, 40), with_state("etim", State::Ready, ""), |_| ());
    deck.keys("/").types("etim").keys("<enter> W");
    assert!(deck.picture().contains("watching etim, now ready"), "{}", deck.picture());
    deck.keys("5");
    deck.next(with_state("etim", State::Ready, "another reason"));
    assert_eq!(rang(&deck), 0, "a reason alone is no change");
    deck.next(with_state("etim", State::Failed, "exited 1"));
    assert!(deck.picture().contains("etim: ready -> failed: exited 1"), "{}", deck.picture());
    deck.take(Msg::Tick(sample::NOW.after(std::time::Duration::from_secs(600)), 0));
    assert!(deck.picture().contains("etim: ready -> failed"), "whoever comes back later reads it");
    assert_eq!(rang(&deck), 1);
    deck.next(with_state("etim", State::Failed, "exited 1"));
    assert_eq!(rang(&deck), 1, "once");
    deck.keys("0 <backtab>");
    assert!(!deck.picture().contains("ready -> failed"), "a key has taken the notice away");
    for size in [(80, 24), (120, 40)] {
        deck.size = size;
        deck.take(Msg::Resize(size.0, size.1));
        insta::assert_snapshot!(format!("watched_{}x{}", size.0, size.1), deck.picture());
    }
    deck.keys("W");
    assert!(deck.picture().contains("etim is not watched any more"), "{}", deck.picture());
    assert!(deck.picture().contains("nothing is watched"), "{}", deck.picture());
}

#[test]
fn of_a_customer_what_needs_attention_is_watched() {
    let mut calm = sample::rich();
    let findings = std::mem::take(&mut calm.findings);
    let mut deck = Deck::with(Page::Customers, (120, 40), calm, |_| ());
    deck.keys("/").types("eaton").keys("<enter> W");
    assert!(deck.picture().contains("now nothing needs attention"), "{}", deck.picture());
    let mut troubled = sample::rich();
    troubled.findings = findings;
    deck.keys("1").next(troubled);
    assert!(deck.picture().contains("nothing needs attention -> HANGING etim"), "{}", deck.picture());
}

#[test]
fn a_call_under_way_is_watched_until_it_is_over() {
    let mut deck = Deck::open(Page::Traffic, (120, 40));
    deck.keys("g W 1");
    let mut over = sample::rich();
    over.pending.retain(|call| call.id != CallId(900));
    deck.next(over);
    assert!(deck.picture().contains("c900: in flight -> over"), "{}", deck.picture());
    deck.next(sample::rich());
    assert_eq!(rang(&deck), 1, "it is watched no longer");
}
