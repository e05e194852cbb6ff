//! What keys do in Console, Traffic and Logs: (before, keys, after) through the real update.

use super::deck::{Deck, answered, record};
use super::{backlog, log_line};
use mcpdeck::model::message::{CallEvent, Level};
use mcpdeck::model::{CallId, CallRecord, Chunk, Command, Feed, Outcome, Refusal};
use mcpdeck::ui::Page;
use mcpdeck::ui::app::{Effect, Msg, Token};
use mcpdeck::ui::console::search::Found;
use mcpdeck::ui::console::tree::Tree;
use std::sync::Arc;

const SIZE: (u16, u16) = (120, 40);

/// The console with customer, server and tool chosen by typing in the lists.
pub fn chosen(size: (u16, u16), tool: &str) -> Deck {
    let mut deck = Deck::open(Page::Console, size);
    deck.keys("<f2>").types("eaton").keys("<enter>");
    deck.keys("<f3>").types("etim").keys("<enter>");
    deck.keys("<f4>").types(tool).keys("<enter>");
    deck
}

#[test]
fn a_call_is_made_up_sent_and_read() {
    let mut deck = chosen(SIZE, "classify");
    deck.keys("<enter>").types("3-phase q").keys("<enter> <enter>").types("25").keys("<esc>");
    assert!(!deck.picture().contains("25"), "esc takes the typing back");
    assert!(deck.sent().is_empty(), "enter in a field sends nothing");
    deck.keys("<f5>");
    let call = deck.sent()[0];
    assert_eq!(
        (call.tenant.as_str(), call.server.as_str(), call.method.as_deref()),
        ("eaton", "etim", Some("tools/call"))
    );
    assert_eq!(call.body, r#"{"name":"classify_product","arguments":{"query":"3-phase q"}}"#);
    assert_eq!(call.confirm, None);
    for chunk in answered("EC000042") {
        deck.chunk(chunk);
    }
    let picture = deck.picture();
    assert!(picture.contains("ok · 43 ms") && picture.contains("EC000042"), "{picture}");
    deck.keys("y . / E C <enter> y .");
    assert_eq!(deck.copied().last(), Some(&".result.content[0].text"));
}

#[test]
fn while_text_is_edited_every_printable_key_is_text() {
    let mut deck = chosen(SIZE, "classify");
    deck.keys("<enter>").types("q6:?tTKxzXR /-[]");
    assert!(deck.picture().contains("q6:?tTKxzXR /-[]"), "{}", deck.picture());
    assert!(deck.effects.iter().all(|e| !matches!(e, Effect::Quit { .. } | Effect::Run { .. })));
    deck.keys("<esc> <f6> <enter>").types("q{\"");
    assert!(deck.picture().contains("q{\""), "{}", deck.picture());
    deck.keys("<esc> <f5>");
    assert!(deck.sent().is_empty(), "broken JSON is not sent");
    assert!(deck.picture().contains("are no JSON"), "{}", deck.picture());
}

#[test]
fn what_is_not_read_only_in_production_asks_for_the_name() {
    let mut deck = chosen(SIZE, "delete");
    deck.keys("<enter>").types("EC1").keys("<enter> <f5>");
    assert!(deck.sent().is_empty());
    assert!(deck.picture().contains("type EATON"), "{}", deck.picture());
    deck.types("eato").keys("<enter>");
    assert!(deck.sent().is_empty() && deck.picture().contains("not sent"));
    deck.keys("<f5>").types("EATON").keys("<enter>");
    assert_eq!(deck.sent()[0].confirm.as_deref(), Some("EATON"));
}

#[test]
fn esc_cancels_a_running_call_and_never_quits() {
    let mut deck = chosen(SIZE, "classify");
    deck.keys("<enter> x <enter> <f5>");
    deck.chunk(answered("x").remove(0));
    assert!(deck.picture().contains("running 0s"));
    deck.keys("<esc>");
    assert_eq!(deck.ran(), [&Command::CancelCall(CallId(1017))]);
    deck.chunk(Chunk::End(Some(Refusal::Failed("cancelled".to_owned()))));
    assert!(deck.picture().contains("no answer"), "{}", deck.picture());
    deck.keys("<esc> <esc> <esc> <esc>");
    assert!(deck.effects.iter().all(|e| !matches!(e, Effect::Quit { .. } | Effect::Detach)));
}

#[test]
fn raw_is_sent_as_it_is_malformed_or_not() {
    let mut deck = chosen(SIZE, "classify");
    deck.keys("<f7> <enter>").types("{oops").keys("<f5>");
    let call = deck.sent()[0];
    assert!(call.method.is_none() && call.body.starts_with("{oops{"), "{call:?}");
}

#[test]
fn arguments_with_problems_are_sent_after_they_were_told() {
    let mut deck = chosen(SIZE, "classify");
    deck.keys("<f5>");
    assert!(deck.sent().is_empty());
    assert!(
        deck.picture().contains("1 problem with the arguments; F5 again sends them as they are"),
        "{}",
        deck.picture()
    );
    deck.keys("<f5>");
    assert_eq!(deck.sent().len(), 1);
}

#[test]
fn the_history_is_resent_and_resent_as_another_customer_after_asking() {
    let mut deck = chosen(SIZE, "classify");
    deck.keys("<backtab> r");
    assert_eq!(deck.sent()[0].body, r#"{"name":"classify_product","arguments":{"query":"breaker"}}"#);
    for chunk in answered("EC000042") {
        deck.chunk(chunk);
    }
    deck.keys("A").types("segur").keys("<enter>");
    assert_eq!(deck.sent().len(), 1);
    assert!(deck.picture().contains("type Segurcaixa"), "{}", deck.picture());
    deck.types("Segurcaixa").keys("<enter>");
    assert_eq!(deck.sent()[1].tenant.as_str(), "segurcaixa");
    for chunk in answered("EC000099") {
        deck.chunk(chunk);
    }
    let picture = deck.picture();
    assert!(picture.contains("compared") && picture.contains("- ") && picture.contains("EC000099"), "{picture}");
}

#[test]
fn a_request_is_copied_as_a_command() {
    let mut deck = chosen(SIZE, "classify");
    deck.keys("<enter> x <enter> m M");
    assert_eq!(deck.copied(), [r#"mcpdeck call --customer eaton etim classify_product '{"query":"x"}'"#]);
    assert!(deck.picture().contains("etim has no URL to curl"), "{}", deck.picture());
}

#[test]
fn a_read_only_screen_sends_only_what_reads() {
    let mut deck = Deck::with(Page::Console, SIZE, crate::support::sample::rich(), |o| o.read_only = true);
    deck.keys("<f2>")
        .types("eaton")
        .keys("<enter> <f3>")
        .types("etim")
        .keys("<enter> <f4>")
        .types("delete")
        .keys("<enter>");
    deck.keys("<f5> <f5>");
    assert!(deck.sent().is_empty() && deck.picture().contains("read-only"), "{}", deck.picture());
}

#[test]
fn traffic_filters_freezes_cancels_and_goes_to_the_console() {
    let mut deck = Deck::open(Page::Traffic, SIZE);
    deck.chunk(backlog(50));
    assert!(deck.picture().contains("in flight"));
    deck.keys("K");
    assert_eq!(deck.ran(), [&Command::CancelCall(CallId(900))]);
    deck.keys("/").types("outcome=timeout").keys("<enter>");
    assert!(deck.picture().contains("of 55"), "{}", deck.picture());
    deck.keys("<esc> p");
    let frozen = deck.picture();
    deck.chunk(Chunk::Calls(vec![Arc::new(record(777, Outcome::Auth, 1))]));
    assert_eq!(deck.picture().replace("auth 1", ""), frozen.replace("auth 1", ""));
    deck.keys("p").take(Msg::Snapshot);
    deck.keys("/").types("outcome=ok").keys("<enter> c");
    assert_eq!(deck.app.page, Page::Console);
    assert!(deck.picture().contains("breaker") && deck.picture().contains("classify_product"), "{}", deck.picture());
}

#[test]
fn a_thousand_calls_a_second_keep_the_newest_and_say_what_went() {
    let mut deck = Deck::open(Page::Traffic, SIZE);
    for batch in 0..12u64 {
        let calls = (0..1_000).map(|n| Arc::new(record(batch * 1_000 + n, Outcome::Ok, n))).collect();
        deck.chunk(Chunk::Calls(calls));
    }
    assert!(deck.picture().contains("2000 older dropped"), "{}", deck.picture());
    deck.keys("g j j");
    assert!(deck.picture().contains("10005"), "{}", deck.picture());
}

#[test]
fn logs_follow_stop_and_follow_again() {
    let mut deck = Deck::open(Page::Logs, (80, 24));
    deck.chunk(Chunk::Logs((0..200).map(|n| log_line(n, &format!("line {n}"))).collect()));
    assert!(deck.picture().contains("line 199") && deck.picture().contains("following"));
    deck.keys("<up> <up>");
    deck.chunk(Chunk::Logs(vec![log_line(200, "line 200")]));
    assert!(!deck.picture().contains("line 200"), "it stays where one reads");
    deck.keys("G");
    assert!(deck.picture().contains("line 200"));
}

#[test]
fn logs_are_searched_filtered_and_copied_clean() {
    let mut deck = Deck::open(Page::Logs, (80, 24));
    let mut lines: Vec<_> = (0..50).map(|n| log_line(n, &format!("line {n}"))).collect();
    lines[10].text = "found \u{1b}[31mred\u{7} here".to_owned();
    lines[20].level = Some(Level::Error);
    deck.chunk(Chunk::Logs(lines));
    deck.keys("/").types("red").keys("<enter> y");
    assert_eq!(deck.copied(), ["found ·[31mred· here"]);
    deck.keys("<esc> L L L");
    let picture = deck.picture();
    assert!(picture.contains("1 of 50 lines") && picture.contains("line 20"), "{picture}");
    deck.keys("L &").types("line 7").keys("<enter>");
    assert!(deck.picture().contains("& line 7"), "{}", deck.picture());
}

#[test]
fn whose_log_is_chosen_from_a_list_and_others_are_merged_in() {
    let mut deck = Deck::open(Page::Logs, (80, 24));
    deck.keys("l").types("genesys@vatt").keys("<enter> +").types("catalog").keys("<enter>");
    let Some((_, Feed::Logs { targets, .. })) = &deck.stream else { panic!("no log is followed") };
    let names: Vec<_> = targets.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["genesys@vattenfall-de", "catalog"]);
}

/// An answer whose middle says `needle`, with `size` bytes of filling on each side.
fn long_answer(deck: &mut Deck, size: usize) {
    let filling = "x".repeat(size);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":17,"result":{{"a":"{filling}","b":"needle one","c":"{filling} NEEDLE"}}}}"#);
    let done = CallRecord { tenant: "eaton".into(), server: "etim".into(), ..record(1017, Outcome::Ok, 43_000) };
    deck.chunk(Chunk::Call(CallEvent::Body(body))).chunk(Chunk::Call(CallEvent::Done(Box::new(done))));
    deck.picture();
}

#[test]
fn a_search_stays_in_the_form_that_is_read() {
    let mut deck = chosen((120, 40), "classify");
    // What the form misses is told first.
    deck.keys("<f5> <f5>");
    long_answer(&mut deck, 9_000);
    deck.keys("<f6>");
    assert!(!deck.picture().contains("needle"), "{}", deck.picture());
    deck.keys("/").types("needle").keys("<enter>");
    assert!(deck.picture().contains("needle one"), "{}", deck.picture());
    deck.keys("n");
    assert!(deck.picture().contains("NEEDLE") && !deck.picture().contains("needle one"), "{}", deck.picture());
    deck.keys("n");
    assert!(deck.picture().contains("needle one"), "it goes round: {}", deck.picture());
    deck.keys("N");
    assert!(deck.picture().contains("NEEDLE"), "{}", deck.picture());
    deck.keys("/ <ctrl-u>").types("nothing of the kind").keys("<enter>");
    assert!(deck.picture().contains("nothing in the answer holds"), "{}", deck.picture());
}

/// The last search that the screen asked for, carried out.
fn search(deck: &mut Deck) -> (Token, Found) {
    let asked = deck.effects.iter().rev().find_map(|effect| match effect {
        Effect::Search(token, search) => Some((*token, search.clone())),
        _ => None,
    });
    let (token, search) = asked.expect("it is searched beside the screen");
    (token, search.run())
}

#[test]
fn a_large_answer_shows_how_it_begins_while_it_is_read_elsewhere() {
    let mut deck = chosen((120, 40), "classify");
    // What the form misses is told first.
    deck.keys("<f5> <f5>");
    long_answer(&mut deck, 1 << 20);
    let picture = deck.picture();
    assert!(picture.contains("2.0 MiB are being read") && picture.contains(r#"{"jsonrpc":"2.0","id":17"#), "{picture}");
    // All of it is there to be found and kept, read or not.
    deck.keys("/").types("needle").keys("<enter>");
    assert!(deck.picture().contains("searching 2.0 MiB"), "no key waits for it: {}", deck.picture());
    let called_off = search(&mut deck);
    deck.keys("<down> n");
    let (token, found) = search(&mut deck);
    deck.take(Msg::Found(called_off.0, called_off.1));
    assert!(!deck.picture().contains("dle one"), "{}", deck.picture());
    deck.take(Msg::Found(token, found));
    // The rows of a text break where they must.
    assert!(deck.picture().contains("dle one"), "{}", deck.picture());
    let read = deck.effects.iter().find_map(|effect| match effect {
        Effect::Read(token, text) => Some((*token, text.clone())),
        _ => None,
    });
    let (token, text) = read.expect("it is read beside the screen");
    deck.take(Msg::Read(token, Tree::new(text)));
    let picture = deck.picture();
    assert!(picture.contains("result  {3}") && !picture.contains("being read"), "{picture}");
}
