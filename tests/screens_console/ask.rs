//! Servers' questions, completion and subscriptions, as keys and chunks.

use super::deck::{Deck, answered, record};
use super::keys::chosen;
use mcpdeck::model::message::CallEvent;
use mcpdeck::model::{CallRecord, Chunk, Feed, Outcome};
use mcpdeck::ui::app::Effect;

const WHO: &str = r#"{"message":"Who shall be told of this order?","requestedSchema":{"type":"object","required":["name"],
    "properties":{"name":{"type":"string","minLength":2,"description":"first and last name"},"urgent":{"type":"boolean"}}}}"#;

fn asks(deck: &mut Deck, id: u64, method: &str, params: &str) {
    let question = CallEvent::Question { id, method: method.to_owned(), params: params.to_owned() };
    deck.chunk(Chunk::Call(question));
}

fn sending(size: (u16, u16)) -> Deck {
    let mut deck = chosen(size, "classify");
    deck.keys("<enter> x <enter> <f5>");
    deck
}

fn done(deck: &mut Deck, body: &str) {
    let done = CallRecord { tenant: "eaton".into(), server: "etim".into(), ..record(17, Outcome::Ok, 43_000) };
    deck.chunk(Chunk::Call(CallEvent::Body(body.to_owned()))).chunk(Chunk::Call(CallEvent::Done(Box::new(done))));
}

#[test]
fn a_question_opens_a_form_and_its_answer_goes_back() {
    for size in [(80, 24), (120, 40)] {
        let mut deck = sending(size);
        asks(&mut deck, 3, "elicitation/create", WHO);
        insta::assert_snapshot!(format!("console_question_{}x{}", size.0, size.1), deck.picture());
        deck.keys("<f5>");
        assert!(deck.replies.is_empty() && deck.picture().contains("1 problem"), "{}", deck.picture());
        deck.keys("<enter>").types("Ada L").keys("<enter> <enter> <f5>");
        assert_eq!(
            deck.replies,
            [r#"{"jsonrpc":"2.0","id":3,"result":{"action":"accept","content":{"name":"Ada L","urgent":true}}}"#]
        );
        for chunk in answered("EC000042") {
            deck.chunk(chunk);
        }
        deck.keys("<backtab>");
        assert!(deck.picture().contains("3-phase") || deck.picture().contains("query*"), "the request is there again");
    }
}

#[test]
fn questions_are_declined_dismissed_and_refused_and_the_call_goes_on() {
    let mut deck = sending((120, 40));
    asks(&mut deck, 3, "elicitation/create", WHO);
    asks(&mut deck, 4, "elicitation/create", WHO);
    asks(
        &mut deck,
        5,
        "sampling/createMessage",
        r#"{"messages":[{"role":"user","content":{"type":"text","text":"Say hi"}}]}"#,
    );
    deck.keys("G k <enter> <esc>");
    assert!(deck.picture().contains("user: Say hi"), "{}", deck.picture());
    deck.keys("G k <enter>");
    let ends: Vec<_> = deck.replies.iter().map(|reply| reply.split_once("2.0\",").expect("a message").1).collect();
    assert_eq!(
        ends,
        [
            r#""id":3,"result":{"action":"decline"}}"#,
            r#""id":4,"result":{"action":"cancel"}}"#,
            r#""id":5,"error":{"code":-1,"message":"the operator refused the sampling request"}}"#
        ]
    );
    assert!(deck.ran().is_empty(), "the call is not cancelled");
}

#[test]
fn sampling_is_answered_by_hand() {
    let mut deck = sending((80, 24));
    asks(
        &mut deck,
        9,
        "sampling/createMessage",
        r#"{"messages":[{"role":"user","content":{"type":"text","text":"Say hi"}}]}"#,
    );
    deck.keys("<enter>").types("hi").keys("<enter> <f5>");
    assert!(
        deck.replies[0].contains(r#""content":{"type":"text","text":"hi"},"model":"by hand""#),
        "{:?}",
        deck.replies
    );
}

#[test]
fn a_modern_answer_that_asks_is_sent_again_with_what_was_answered() {
    let mut deck = sending((120, 40));
    let asks = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"input_required","inputRequests":{{"who":{{"method":"elicitation/create","params":{WHO}}}}},"requestState":"s1"}}}}"#
    );
    done(&mut deck, &asks);
    deck.keys("<enter>").types("Ada").keys("<enter> <f5>");
    let again = deck.sent()[1];
    let body = again.body.split_whitespace().collect::<String>();
    assert!(body.contains(r#""inputResponses":{"who":{"action":"accept","content":{"name":"Ada"}}}"#), "{body}");
    assert!(body.contains(r#""requestState":"s1""#) && body.contains(r#""name":"classify_product""#), "{body}");
    done(&mut deck, r#"{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","content":[]}}"#);
    assert!(deck.picture().contains("complete") && deck.sent().len() == 2, "{}", deck.picture());
}

#[test]
fn what_was_asked_goes_with_its_call() {
    let mut deck = sending((120, 40));
    asks(&mut deck, 3, "elicitation/create", WHO);
    for chunk in answered("EC1") {
        deck.chunk(chunk);
    }
    assert!(!deck.picture().contains("Question"), "{}", deck.picture());
}

#[test]
fn a_prompts_argument_is_completed_by_its_server() {
    let mut deck = chosen((80, 24), "summarise");
    deck.keys("<enter>");
    assert_eq!(
        deck.sent().last().map(|call| (call.method.as_deref(), call.body.as_str())),
        Some((
            Some("completion/complete"),
            r#"{"ref":{"type":"ref/prompt","name":"summarise"},"argument":{"name":"text","value":""},"context":{"arguments":{}}}"#
        ))
    );
    done(&mut deck, r#"{"jsonrpc":"2.0","id":1,"result":{"completion":{"values":["alpha","beta","betamax"]}}}"#);
    insta::assert_snapshot!("console_completed_80x24", deck.picture());
    deck.keys("b <right> <enter> <f5>");
    assert_eq!(
        deck.sent().last().map(|call| call.body.as_str()),
        Some(r#"{"name":"summarise","arguments":{"text":"beta"}}"#)
    );
}

#[test]
fn a_resource_template_is_filled_in_and_read() {
    let mut deck = chosen((80, 24), "template class");
    deck.keys("<enter>").types("EC 42").keys("<enter> <f5>");
    assert_eq!(
        deck.sent().last().map(|call| (call.method.as_deref(), call.body.as_str())),
        Some((Some("resources/read"), r#"{"uri":"etim://class/EC%2042"}"#))
    );
}

#[test]
fn a_subscription_shows_what_changes_until_it_is_ended() {
    let mut deck = chosen((120, 40), "subscriptions");
    deck.keys("<f5> <f5>");
    assert!(
        matches!(deck.stream.as_ref(), Some((_, Feed::Call(call))) if call.method.as_deref() == Some("subscriptions/listen"))
    );
    let notice = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"etim://class/1"}}"#;
    deck.chunk(Chunk::Call(CallEvent::Wire { at: crate::support::sample::NOW, sent: false, text: notice.to_owned() }));
    assert!(deck.picture().contains("notifications/resources/updated"), "{}", deck.picture());
    deck.keys("<esc>");
    assert!(deck.effects.iter().any(|effect| matches!(effect, Effect::Unfollow(_))));
}
