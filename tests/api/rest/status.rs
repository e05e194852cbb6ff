//! `/health`, `/ready`, `/status`, and what every path does with methods it does not know.

use super::{Deck, EATON, OPERATOR, Value, config};
use crate::api::raw;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness_are_everybodys() {
    let deck = Deck::start(&config(OPERATOR).replace("anonymous", "# anonymous")).await;
    for (line, status, says) in [
        ("GET /health", 200, r#""status":"healthy","timestamp":""#),
        ("GET /ready", 200, r#"{"ready":true}"#),
        ("GET /openapi.json", 200, r#""openapi":"3.1.0""#),
        ("GET /status", 401, "nobody may call"),
        ("GET /servers", 401, "nobody may call"),
        ("GET /metrics", 401, "nobody may call"),
    ] {
        let (got, answer) = deck.ask(line, "").await;
        assert!(got == status && answer.to_string().contains(says), "{line}: {got} {answer}");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_the_platform_is_an_operators_and_each_customers_its_own() {
    let deck = Deck::start(&config(OPERATOR)).await;
    let (_, all) = deck.ask("GET /status", "").await;
    assert_eq!(
        (&all["customers"], &all["servers"], &all["instances"]["dormant"]),
        (&json!(2), &json!(4), &json!(5)),
        "{all}"
    );
    assert!(all["engines"].is_array() && all["gpu"]["devices"].is_array() && all["attention"].is_array(), "{all}");
    assert_eq!(all["version"], env!("CARGO_PKG_VERSION"));
    deck.end().await;
    let deck = Deck::start(&config(EATON)).await;
    let (_, own) = deck.ask("GET /status", "").await;
    assert_eq!(
        (&own["customers"], &own["servers"], &own["instances"]["dormant"]),
        (&json!(1), &json!(3), &json!(3)),
        "{own}"
    );
    assert_eq!((&own["engines"], &own["gpu"]), (&Value::Null, &Value::Null));
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_options_are_answered() {
    let deck = Deck::start(&config(OPERATOR)).await;
    let ask = async |line: &str| {
        raw(deck.at(), &format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
    };
    assert_eq!(ask("HEAD /health").await, (200, String::new()));
    assert_eq!(ask("OPTIONS /servers").await, (204, String::new()));
    assert_eq!(ask("HEAD /nothing").await.0, 404);
    deck.end().await;
}
