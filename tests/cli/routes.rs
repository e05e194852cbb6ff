//! `route`: where a request would go, and why.

use super::deck::Deck;
use serde_json::json;

const CONFIG: &str = include_str!("../../config/examples/coordinator.toml");

#[test]
fn a_request_is_explained_without_being_sent() {
    let deck = Deck::new(CONFIG);
    let run = deck.run(&["route", "--tenant", "team", r#"{"query": "plan the migration"}"#, "-o", "json"]).ok();
    let preview = run.json();
    let decision = &preview["decision"];
    assert_eq!((&decision["target"], &decision["by"]), (&json!("lab"), &json!("rule")));
    assert_eq!(decision["fallback"], json!(["production"]));
    assert_eq!(decision["reason"], "rule 2: \"migration\" in the query");
    assert!(decision["defined_at"].as_str().unwrap().contains("deck.toml:"), "{decision}");
    assert_eq!(decision["considered"].as_array().unwrap().len(), 2);
    assert_eq!(preview["candidates"][0]["state"], "dormant", "nothing was started for it");

    let table = deck.run(&["route", "--tenant", "team", r#"{"query": "hello"}"#]).ok().out;
    assert!(table.starts_with("production, confidence 0.75: default: nothing else matches\n"), "{table}");
    assert!(table.contains("fallback 1") && table.contains("closed"), "{table}");
}

#[test]
fn what_leads_nowhere_says_what_was_looked_at() {
    let deck = Deck::new(&CONFIG.replace("[routing]", "[ui]").replace("default = {", "keys = {}\n# {"));
    for (request, code, says) in [
        (r#"{"query": "hello"}"#, 4, "leads anywhere"),
        (r#"{"query": "hello"}"#, 4, "none of its words is there"),
        (r#"{"query": "x", "target": "nope"}"#, 4, "unknown server `nope`"),
        ("hello", 2, "not JSON"),
        ("[]", 2, "not an object"),
    ] {
        let run = deck.run(&["route", "--tenant", "team", request, "-o", "json"]);
        let (_, _, message) = run.error();
        assert!(run.code == code && message.contains(says), "{request}: {} {message}", run.code);
    }
}
