//! Tables of requests and where they go.

use super::super::Table;
use super::super::table::Index;
use super::*;
use crate::config::{LoadOptions, load};
use crate::model::TenantId;

/// The decision for a request of `tenant` under a config, as `target confidence by | fallback`; or the error.
fn goes(config: &str, tenant: &str, ask: &str) -> (String, Vec<Considered>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deck.toml");
    std::fs::write(&file, config).unwrap();
    let env = [("HOME".to_owned(), "/home/ops".to_owned())].into();
    let config = load(&LoadOptions { file: Some(file), env, set: Vec::new() });
    let config = config.unwrap_or_else(|problems| panic!("{}", crate::config::problems_text(&problems)));
    let enabled =
        |t: &crate::model::TenantDef| t.enabled.iter().filter(|(_, on)| **on).map(|(id, _)| id.clone()).collect();
    let index = Index::new(
        Table {
            servers: config.servers.clone(),
            tenants: config.tenants.iter().map(|t| (t.clone(), enabled(t))).collect(),
            read_only: false,
            guards: Default::default(),
            routing: config.routing.clone(),
        },
        &Index::default(),
    );
    let routes: Vec<_> = index.routes(&TenantId::from(tenant)).collect();
    match decide(index.routing(), &routes, &read_ask(ask).unwrap()) {
        Ok(d) => {
            let fallback: Vec<_> = d.fallback.iter().map(ServerId::as_str).collect();
            let fallback = if fallback.is_empty() { String::new() } else { format!(" | {}", fallback.join(" ")) };
            (format!("{} {:.2} {}{fallback}", d.target, d.confidence, d.by.name()), d.considered)
        }
        Err(nowhere) => (nowhere.error, nowhere.considered),
    }
}

#[test]
fn the_shipped_example_routes_as_the_product_says() {
    let example = include_str!("../../../config/examples/coordinator.toml");
    for (ask, want) in [
        (r#"{"query": "hello"}"#, "production 0.75 default | lab"),
        (r#"{"query": "invoices of finance-ssc"}"#, "production 0.95 rule"),
        (r#"{"query": "invoices", "context": {"team": "Finance-SSC"}}"#, "production 0.95 rule"),
        (r#"{"query": "invoices", "context": "finance-ssc, Lisbon"}"#, "production 0.95 rule"),
        (r#"{"query": "plan the migration"}"#, "lab 0.90 rule | production"),
        (r#"{"query": "Which OCA modules?"}"#, "lab 0.90 rule | production"),
        (r#"{"query": "testing, please"}"#, "lab 0.90 rule | production"),
        // A part of a word is none.
        (r#"{"query": "local developments"}"#, "production 0.75 default | lab"),
        // Of two rules the first decides.
        (r#"{"query": "migration of finance-ssc"}"#, "production 0.95 rule"),
        // Words of the second rule count in the query alone.
        (r#"{"query": "x", "context": "migration"}"#, "production 0.75 default | lab"),
        (r#"{"query": "migration", "target": "production"}"#, "production 1.00 explicit"),
        (r#"{"query": "x", "mcp_name": "Lab tier"}"#, "lab 1.00 explicit"),
        (r#"{"query": "x", "target": "nope"}"#, "unknown server `nope`"),
    ] {
        assert_eq!(goes(example, "team", ask).0, want, "{ask}");
    }
}

const SERVERS: &str = r#"
[[server]]
id = "etim"
capabilities = ["classification", "product search"]
use_cases = ["Find the class of a product"]
run = { backend = "simulated", tools = ["search"] }
[[server]]
id = "etim2"
priority = 5
capabilities = ["classification"]
run = { backend = "simulated", tools = ["search"] }
[[server]]
id = "etim-live"
environment = "production"
capabilities = ["classification"]
run = { backend = "simulated", tools = ["search"] }
[[server]]
id = "law"
capabilities = ["contracts"]
run = { backend = "simulated", tools = ["search"] }
[[tenant]]
id = "eaton"
enabled = ["etim", "etim2", "etim-live"]
[[tenant]]
id = "abb"
enabled = ["etim"]
"#;

#[test]
fn without_a_rule_capabilities_then_use_cases_then_the_default_lead() {
    let with_rules = format!(
        "{SERVERS}\n[[route]]\nmatch = {{ query = \"law\", substring = true }}\ntarget = \"law\"\nfallback = \"etim\"\n\
         [[route]]\nmatch = {{ query = [\"lawful\"] }}\ntarget = \"etim2\"\nfallback = [\"law\", \"etim\"]\n\
         [routing]\ndefault = {{ target = \"etim\", confidence = 0.3 }}"
    );
    for (config, tenant, ask, want) in [
        // The higher priority first; fallback stays in its environment.
        (SERVERS, "eaton", r#"{"query": "classification of breakers"}"#, "etim2 0.60 capability | etim"),
        // Two of its capabilities are better than one.
        (SERVERS, "eaton", r#"{"query": "classification by product search"}"#, "etim 0.60 capability | etim2"),
        (SERVERS, "eaton", r#"{"query": "which class has this product? find it"}"#, "etim 0.50 use case"),
        (SERVERS, "abb", r#"{"query": "classification"}"#, "etim 0.60 capability"),
        // What others have enabled does not count, and cannot be named.
        (SERVERS, "eaton", r#"{"query": "contracts"}"#, NOWHERE),
        (SERVERS, "eaton", r#"{"query": "x", "target": "law"}"#, "unknown server `law`"),
        (SERVERS, "nobody", r#"{"query": "classification"}"#, NOWHERE),
        (SERVERS, "eaton", r#"{"query": ""}"#, NOWHERE),
        (&with_rules, "eaton", r#"{"query": "is it lawful"}"#, "etim2 0.90 rule | etim"),
        (&with_rules, "eaton", r#"{"query": "anything"}"#, "etim 0.30 default"),
        (&with_rules, "abb", r#"{"query": "is it lawful"}"#, "etim 0.30 default"),
    ] {
        assert_eq!(goes(config, tenant, ask).0, want, "{tenant} {ask}");
    }
    let (_, considered) = goes(&with_rules, "eaton", r#"{"query": "lawful"}"#);
    let lines: Vec<_> = considered.iter().map(|c| format!("{} {}", c.chosen, c.why)).collect();
    assert_eq!(
        lines,
        ["false \"law\" in the query, but the customer has not enabled its target", "true \"lawful\" in the query"]
    );
}

const NOWHERE: &str =
    "no rule, capability, use case or default leads anywhere: name a target, or give [routing] default";

#[test]
fn words_stand_alone() {
    for (text, word, holds) in [
        ("the finance-ssc team", "finance-ssc", true),
        ("finance-sscx", "finance-ssc", false),
        ("local", "oca", false),
        ("oca-web", "oca", true),
        ("oca_web", "oca", false),
        ("über oca", "oca", true),
        ("xoca oca", "oca", true),
        ("a", "", false),
    ] {
        assert_eq!(holds_word(text, word), holds, "{text} {word}");
    }
}

#[test]
fn requests_say_where_they_want_to_go() {
    let ask =
        read_ask(r#"{"query": "q", "context": {"a": "x", "b": ["y", {"c": 7}], "d": null}, "target": ""}"#).unwrap();
    assert_eq!(ask, RouteAsk { target: None, context: "x\ny\n7\n".to_owned(), query: "q".to_owned() });
    for (json, says) in [("[]", "not an object"), ("{", "not JSON"), (r#"{"query": 7}"#, "`query` is no text")] {
        assert!(read_ask(json).unwrap_err().contains(says), "{json}");
    }
}
