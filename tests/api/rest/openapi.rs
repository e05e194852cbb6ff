//! `/openapi.json` against what is served: paths, methods, statuses and bodies.

use super::{Deck, OPERATOR, Value, config};
use crate::api::raw;
use serde_json::json;
use std::collections::BTreeSet;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// What is sent where a route wants a body.
const BODIES: &[(&str, &str)] = &[
    ("/api/mcp-services/query", r#"{"mcp_name":"etim","query":"x"}"#),
    ("/api/customers/switch", r#"{"customer":"eaton"}"#),
    ("/api/auth/login", r#"{"email":"a@b.example","password":"x"}"#),
    ("/skills", r#"{"name":"s"}"#),
    ("/conversations", r#"{"conversation":"c","text":"t"}"#),
];

/// A path with its holes filled in.
fn filled(path: &str) -> String {
    let name = if path.contains("customers") { "eaton" } else { "etim" };
    path.replace("{name}", name).replace("{act}", "probe")
}

/// Fails with what `body` has against the schema of the answer `status` of `operation`.
fn check_body(document: &Value, operation: &Value, at: &str, status: u16, body: &str) {
    let answer = &operation["responses"][status.to_string()];
    assert!(answer.is_object(), "{at}: {status} is not described: {body}");
    let Some(schema) = answer.pointer("/content/application~1json/schema") else { return };
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap_or_else(|why| panic!("{at}: {why}"));
    let body: Value = serde_json::from_str(body).unwrap_or_else(|why| panic!("{at}: {why}: {body}"));
    let wrong: Vec<String> = validator.iter_errors(&body).map(|why| format!("{} {why}", why.instance_path())).collect();
    assert!(wrong.is_empty(), "{at}: {wrong:?}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_is_what_is_served() {
    let deck = Deck::start(&config(OPERATOR)).await;
    let (_, document) = deck.ask("GET /openapi.json", "").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 26, "{:?}", paths.keys().collect::<Vec<_>>());
    // Streams stay open; their own tests read them.
    for (path, item) in paths.iter().filter(|(path, _)| *path != "/api/events") {
        let described: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        for method in METHODS {
            let body = BODIES.iter().find(|(route, _)| route == path).map_or("", |(_, body)| body);
            let at = format!("{} {}", method.to_uppercase(), filled(path));
            let length = body.len();
            let head = "Host: localhost\r\nConnection: close\r\nX-Customer-ID: eaton";
            let (status, text) =
                raw(deck.at(), &format!("{at} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}")).await;
            assert_eq!(status == 405, !described.contains(method), "{at}: {status} {text}");
            if described.contains(method) {
                assert!(!text.contains("nothing at"), "{at}: {text}");
                check_body(&document, &item[method], &at, status, &text);
            }
        }
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_says_what_it_does_and_who_may() {
    let deck = Deck::start(&config(OPERATOR)).await;
    let (_, document) = deck.ask("GET /openapi.json", "").await;
    assert_eq!(document["security"], json!([{ "bearer": [] }, { "key": [] }]));
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let told = operation["summary"].as_str().is_some_and(|text| !text.is_empty());
            assert!(told && operation["responses"].is_object(), "{method} {path}: {operation}");
            assert!(ids.insert(operation["operationId"].to_string()), "{method} {path}: two of one name");
        }
    }
    deck.end().await;
}
