//! What can be done with an answer: filtered by jq, saved as what it is, laid beside another.

use super::deck::{Deck, answered, record};
use super::keys::chosen;
use mcpdeck::model::message::CallEvent;
use mcpdeck::model::{CallRecord, Chunk, Outcome};
use mcpdeck::ui::app::{Contents, Effect, Filtered, Msg};
use mcpdeck::ui::console::tree::Tree;

const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

/// A console with an answer of this result.
fn with_answer(size: (u16, u16), result: &str) -> Deck {
    let mut deck = chosen(size, "classify");
    deck.keys("<enter> x <enter> <f5>");
    let body = format!(r#"{{"jsonrpc":"2.0","id":17,"result":{result}}}"#);
    let done = CallRecord { tenant: "eaton".into(), server: "etim".into(), ..record(17, Outcome::Ok, 43_000) };
    deck.chunk(Chunk::Call(CallEvent::Body(body))).chunk(Chunk::Call(CallEvent::Done(Box::new(done))));
    deck
}

/// The filter that was asked for last, and its answer.
fn filtered(deck: &mut Deck, found: Result<(usize, &str), &str>) -> String {
    let asked = deck.effects.iter().rev().find_map(|effect| match effect {
        Effect::Filter { token, program, .. } => Some((*token, program.clone())),
        _ => None,
    });
    let (token, program) = asked.expect("a filter");
    let found = found.map(|(results, text)| Filtered { results, cut: false, tree: Tree::new(text) });
    deck.take(Msg::Filtered(token, found.map_err(str::to_owned)));
    program
}

fn saved(deck: &Deck) -> Vec<(String, Contents)> {
    let files = deck.effects.iter().filter_map(|effect| match effect {
        Effect::Save { path, contents } => Some((path.display().to_string(), contents.clone())),
        _ => None,
    });
    files.collect()
}

#[test]
fn an_answer_is_filtered_and_all_of_it_comes_back() {
    for size in SIZES {
        let mut deck =
            with_answer(size, r#"{"content":[{"type":"text","text":"EC000042"},{"type":"text","text":"EC7"}]}"#);
        deck.keys("| <ctrl-u>").types(".result.content[].text").keys("<enter>");
        assert!(deck.picture().contains("esc calls it off"), "{}", deck.picture());
        assert_eq!(filtered(&mut deck, Ok((2, r#"["EC000042","EC7"]"#))), ".result.content[].text");
        insta::assert_snapshot!(format!("console_filtered_{}x{}", size.0, size.1), deck.picture());
        deck.keys("Y <esc>");
        assert_eq!(deck.copied(), [r#"["EC000042","EC7"]"#]);
        assert!(deck.picture().contains("result  {1}"), "{}", deck.picture());
    }
}

#[test]
fn a_filter_is_remembered_stays_over_a_resend_and_can_be_called_off() {
    let mut deck = with_answer((120, 40), r#"{"a":1}"#);
    deck.keys("| <ctrl-u>").types(".result.a").keys("<enter>");
    filtered(&mut deck, Ok((1, "1")));
    deck.keys("| <ctrl-u>").types(".nope").keys("<enter>");
    filtered(&mut deck, Err("no filter is called `nope`"));
    assert!(deck.picture().contains("no filter is called"), "{}", deck.picture());
    deck.keys("| <ctrl-u> <up> <up> <enter> <f5>");
    for chunk in answered("EC1") {
        deck.chunk(chunk);
    }
    assert_eq!(filtered(&mut deck, Ok((1, "2"))), ".result.a", "it goes over the new answer, too");
    deck.keys("| <ctrl-u>").types("repeat(1)|empty").keys("<enter> <esc>");
    assert!(deck.effects.iter().any(|effect| matches!(effect, Effect::Unfollow(_))));
    assert!(!deck.picture().contains("repeat"), "{}", deck.picture());
}

#[test]
fn images_and_binaries_are_shown_as_type_and_size_and_saved_as_what_they_are() {
    let image =
        r#"{"content":[{"type":"text","text":"here"},{"type":"image","data":"iVBORw0KGgo=","mimeType":"image/png"}]}"#;
    let mut deck = with_answer((120, 40), image);
    assert!(deck.picture().contains("image/png, 8 B"), "{}", deck.picture());
    assert!(!deck.picture().contains("iVBORw0KGgo"), "{}", deck.picture());
    deck.keys("/").types("image/png").keys("<enter> s k k k k s S");
    let saved = saved(&deck);
    let [(image, Contents::Base64(data)), (text, Contents::Text(_)), (whole, Contents::Text(all))] = saved.as_slice()
    else {
        panic!("{saved:?}")
    };
    assert!(image.ends_with(".png") && data == "iVBORw0KGgo=", "{image}");
    assert!(text.contains("etim-classify_product-"), "{text}");
    assert!(whole.ends_with(".json") && all.contains("iVBORw0KGgo="), "{whole}");
}

#[test]
fn fifty_megabytes_are_read_beside_the_screen_and_then_scroll_as_five_kilobytes_do() {
    let mut deck = chosen((120, 40), "classify");
    deck.keys("<enter> x <enter> <f5>");
    let row = format!(r#"{{"name":"{}","n":1}},"#, "x".repeat(1_000));
    let part = row.repeat(250);
    deck.chunk(Chunk::Call(CallEvent::Body(r#"{"result":["#.to_owned())));
    for _ in 0..210 {
        deck.chunk(Chunk::Call(CallEvent::Body(part.clone())));
    }
    deck.chunk(Chunk::Call(CallEvent::Body(r#"{"name":"needle"}]}"#.to_owned())));
    deck.chunk(Chunk::Call(CallEvent::Done(Box::new(record(17, Outcome::Ok, 43_000)))));
    assert!(deck.picture().contains("MiB are being read"), "{}", deck.picture());
    let read = deck.effects.iter().find_map(|effect| match effect {
        Effect::Read(token, text) => Some((*token, text.clone())),
        _ => None,
    });
    let (token, text) = read.expect("it is read beside the screen");
    assert!(text.len() > 50 << 20);
    deck.take(Msg::Read(token, Tree::new(text)));
    // What a key costs does not grow with the answer: two hundred of them take no time that anybody would see.
    let begun = std::time::Instant::now();
    for _ in 0..50 {
        deck.keys("j <pagedown> <right> k");
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    deck.keys("/").types("needle").keys("<enter>");
    let search = deck.effects.iter().rev().find_map(|effect| match effect {
        Effect::Search(token, search) => Some((*token, search.clone())),
        _ => None,
    });
    let (token, search) = search.expect("it is searched beside the screen");
    deck.take(Msg::Found(token, search.run()));
    assert!(deck.picture().contains("name  \"needle\""), "{}", deck.picture());
}

#[test]
fn two_customers_answers_stand_side_by_side() {
    for size in SIZES {
        let mut deck = with_answer(size, r#"{"content":[{"type":"text","text":"EC000042 breaker"}],"isError":false}"#);
        deck.keys("A").types("segur").keys("<enter>").types("Segurcaixa").keys("<enter>");
        for chunk in answered("EC000099") {
            deck.chunk(chunk);
        }
        let picture = deck.picture();
        insta::assert_snapshot!(format!("console_compared_{}x{}", size.0, size.1), picture);
        let row = picture.lines().find(|line| line.contains("EC000042")).expect("the first answer");
        assert!(row.contains("EC000099"), "beside each other: {row}");
    }
}
