//! Named requests on the screen: saved from what is there, and opened into it.

use super::deck::Deck;
use super::keys::chosen;
use mcpdeck::config::request;
use mcpdeck::ui::app::{Contents, Effect, Msg, RequestFile};
use std::path::Path;

fn saved(deck: &Deck) -> (String, String) {
    let file = deck.effects.iter().rev().find_map(|effect| match effect {
        Effect::Save { path, contents: Contents::Text(text) } => Some((path.display().to_string(), text.clone())),
        _ => None,
    });
    file.expect("a file")
}

#[test]
fn a_request_is_saved_under_a_name_and_reads_the_same() {
    let mut deck = chosen((120, 40), "classify");
    deck.keys("<enter>").types("it's").keys("<enter> W");
    assert!(deck.picture().contains("Save the request in requests/ as"), "{}", deck.picture());
    deck.keys("<ctrl-u>").types("a/b").keys("<enter>");
    assert!(deck.picture().contains("is no name"), "{}", deck.picture());
    deck.keys("W <ctrl-u>").types("breaker").keys("<enter>");
    let (path, text) = saved(&deck);
    assert!(path.ends_with("requests/breaker.toml"), "{path}");
    let read = request::parse(&text, Path::new("breaker.toml")).expect("a request");
    assert_eq!(
        (read.customer.as_deref(), read.server.as_str(), read.what.name()),
        (Some("eaton"), "etim", "classify_product")
    );
    assert!(read.body.contains(r#""query": "it's""#), "{text}");
}

#[test]
fn a_named_request_is_chosen_opened_with_its_variables_and_sent() {
    for size in [(80, 24), (120, 40)] {
        let mut deck = chosen(size, "delete");
        deck.keys("o");
        let token = deck.effects.iter().rev().find_map(|effect| match effect {
            Effect::Requests(token, folder) if folder.ends_with("requests") => Some(*token),
            _ => None,
        });
        let text = "description = \"one breaker\"\ncustomer = \"Segurcaixa\"\nserver = \"etim\"\ntool = \"classify_product\"\narguments = '{\"query\": \"${q}\", \"limit\": \"${n}\"}'\n[vars]\nq = \"breaker\"\nn = 7\n";
        let good = request::parse(text, Path::new("breaker.toml")).map_err(|_| "broken".to_owned());
        let files = vec![
            RequestFile { name: "breaker.toml".to_owned(), request: good },
            RequestFile {
                name: "broken.toml".to_owned(),
                request: Err("broken.toml:1:1: `server` is missing".to_owned()),
            },
        ];
        deck.take(Msg::Requests(token.expect("the folder was asked for"), Ok(files)));
        insta::assert_snapshot!(format!("console_requests_{}x{}", size.0, size.1), deck.picture());
        deck.types("broken").keys("<enter>");
        assert!(deck.picture().contains("`server` is missing"), "{}", deck.picture());
        let again = deck.effects.len();
        deck.keys("o");
        let Some(Effect::Requests(token, _)) = deck.effects.get(again) else { panic!("it was not asked for") };
        let token = *token;
        let good = request::parse(text, Path::new("breaker.toml")).map_err(|_| "broken".to_owned());
        deck.take(Msg::Requests(token, Ok(vec![RequestFile { name: "breaker.toml".to_owned(), request: good }])));
        deck.keys("<enter> <f5>");
        let call = deck.sent().pop().expect("a call");
        assert_eq!(
            (call.tenant.as_str(), call.body.as_str()),
            ("segurcaixa", r#"{"name":"classify_product","arguments":{"query":"breaker","limit":7}}"#)
        );
    }
}
