//! One request at every customer that has the server.

use super::deck::{Deck, record};
use super::keys::chosen;
use mcpdeck::model::message::CallEvent;
use mcpdeck::model::{CallRecord, Chunk, Feed, Outcome, Refusal};
use mcpdeck::ui::app::{Effect, Msg, Token};

/// The calls under way: stream and customer, in the order they were sent.
fn calls(deck: &Deck) -> Vec<(Token, String)> {
    let call = |(token, feed): (Token, &Feed)| match feed {
        Feed::Call(call) => Some((token, call.tenant.to_string())),
        _ => None,
    };
    deck.streams().into_iter().filter_map(call).collect()
}

fn answer(deck: &mut Deck, token: Token, outcome: Outcome, body: &str) {
    let done = CallRecord { server: "etim".into(), ..record(17, outcome, 43_000) };
    deck.take(Msg::Chunk(token, Chunk::Call(CallEvent::Body(body.to_owned()))));
    deck.take(Msg::Chunk(token, Chunk::Call(CallEvent::Done(Box::new(done)))));
}

fn text(text: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
}

#[test]
fn a_read_in_production_asks_and_shows_who_answers_otherwise() {
    for size in [(80, 24), (120, 40)] {
        let mut deck = chosen(size, "classify");
        deck.keys("<enter> x <enter> F");
        assert!(calls(&deck).is_empty() && deck.picture().contains("type etim"), "{}", deck.picture());
        deck.types("etim").keys("<enter>");
        let asked = calls(&deck);
        assert!(asked.len() > 1 && asked.len() <= 4, "{asked:?}");
        for (at, (token, _)) in asked.iter().enumerate() {
            match at {
                0 => answer(&mut deck, *token, Outcome::Ok, &text("EC000042")),
                1 => answer(&mut deck, *token, Outcome::Timeout, ""),
                _ => answer(&mut deck, *token, Outcome::Ok, &text("EC7")),
            }
        }
        insta::assert_snapshot!(format!("console_fan_{}x{}", size.0, size.1), deck.picture());
        deck.keys("<enter>");
        assert!(deck.picture().contains("EC000042"), "{}", deck.picture());
        deck.keys("<esc>");
        assert!(deck.picture().contains("different answers"), "{}", deck.picture());
        deck.keys("S y");
        assert!(
            deck.effects.iter().any(|e| matches!(e, Effect::Save { path, .. } if path.ends_with("etim-fan-out.json")))
        );
        assert!(deck.copied().last().is_some_and(|row| row.contains(r#""answer":"A""#)), "{:?}", deck.copied());
    }
}

#[test]
fn esc_ends_every_call_of_it() {
    let mut deck = chosen((120, 40), "classify");
    deck.keys("<enter> x <enter> F").types("etim").keys("<enter>");
    let asked = calls(&deck);
    deck.take(Msg::Chunk(asked[0].0, Chunk::End(Some(Refusal::Failed("it broke".to_owned())))));
    deck.keys("<esc>");
    let ended: Vec<_> = deck.effects.iter().filter(|e| matches!(e, Effect::Unfollow(_))).collect();
    assert!(ended.len() >= asked.len(), "{ended:?}");
    assert!(deck.picture().contains("cancelled") && deck.picture().contains("it broke"), "{}", deck.picture());
    assert!(deck.effects.iter().all(|e| !matches!(e, Effect::Quit { .. })));
}

#[test]
fn what_writes_is_not_sent_to_more_customers_than_the_cap() {
    let mut deck =
        Deck::with(mcpdeck::ui::Page::Console, (120, 40), crate::support::sample::rich(), |o| o.bulk_cap = 1);
    deck.keys("<f2>").types("eaton").keys("<enter> <f3>").types("etim").keys("<enter> <f4>").types("delete");
    deck.keys("<enter> <enter>").types("EC1").keys("<enter> F");
    assert!(deck.picture().contains("more than 1 at once are refused"), "{}", deck.picture());
    assert!(calls(&deck).is_empty());
}
