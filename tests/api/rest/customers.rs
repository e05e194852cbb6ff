//! `/api/customers` (S5.2), `/api/mcp-services` (S1.4), `/skills` and `/conversations` (S2.3).

use super::{Deck, EATON, OPERATOR, Value, config};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_switches_to_a_customer_and_works_as_that_one() {
    let deck = Deck::start(&config(OPERATOR)).await;
    let (_, all) = deck.ask("GET /api/customers", "").await;
    let eaton = json!({ "name": "eaton", "mcp_types": ["broken", "etim", "graf"] });
    let vatt = json!({ "name": "vatt", "mcp_types": ["etim", "graf", "law"] });
    assert_eq!(all, json!({ "customers": [eaton, vatt], "current": null }));
    // Nobody is named and nobody was switched to.
    let (status, why) = deck.ask("GET /api/mcp-services/enabled", "").await;
    assert!(status == 400 && why["error"].as_str().unwrap().contains("/api/customers/switch"), "{why}");
    let (status, switched) = deck.tell("POST /api/customers/switch", "", r#"{"customer":"Eaton Corp"}"#).await;
    let expected = json!({
        "success": true, "customer": "eaton", "connected_mcps": ["etim", "graf"], "failed_mcps": ["broken"], "tool_count": 2
    });
    assert_eq!((status, switched), (200, expected));
    let (_, enabled) = deck.ask("GET /api/mcp-services/enabled", "").await;
    assert_eq!(enabled, json!({ "enabled_mcps": ["broken", "etim", "graf"] }));
    let (_, named) = deck.ask("GET /api/mcp-services/enabled", "X-Customer-ID: vatt\r\n").await;
    assert_eq!(named, json!({ "enabled_mcps": ["etim", "graf", "law"] }));
    let (_, after) = deck.ask("GET /api/customers", "").await;
    assert_eq!((&after["current"], after["customers"].as_array().unwrap().len()), (&json!("eaton"), 2));
    // What it can call is what its servers listed: they were woken by the switch.
    let (_, detail) = deck.ask("GET /api/customers/eaton", "").await;
    let tools: Vec<_> =
        detail["tools"].as_array().unwrap().iter().map(|tool| (&tool["server"], &tool["name"])).collect();
    assert_eq!(tools, [(&json!("etim"), &json!("search")), (&json!("graf"), &json!("panels"))], "{detail}");
    for (body, status, says) in [
        (r#"{"customer":"nobody"}"#, 404, "no customer `nobody`"),
        (r#"{"custmer":"eaton"}"#, 400, "unknown field `custmer`"),
        (r#"{"customer":"#, 400, "EOF while parsing"),
        ("", 400, "EOF while parsing"),
        (&*format!(r#"{{"customer":"{}"}}"#, "x".repeat(5000)), 413, "larger than 4096 bytes"),
    ] {
        let (got, why) = deck.tell("POST /api/customers/switch", "", body).await;
        assert!(got == status && why["error"].as_str().unwrap().contains(says), "{body}: {got} {why}");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_itself_alone() {
    let deck = Deck::start(&config(EATON)).await;
    let (_, all) = deck.ask("GET /api/customers", "X-Customer-ID: vatt\r\n").await;
    assert_eq!((all["customers"].as_array().unwrap().len(), &all["current"]), (1, &json!("eaton")), "{all}");
    for (line, body, status, says) in [
        ("GET /api/customers/vatt", "", 404, "no customer `vatt`"),
        ("GET /api/customers/eaton", "", 200, "mcp_types"),
        ("POST /api/customers/switch", r#"{"customer":"vatt"}"#, 403, "only an operator switches"),
        ("POST /api/customers/switch", r#"{"customer":"eaton"}"#, 403, "only an operator switches"),
    ] {
        let (got, answer) = deck.tell(line, "", body).await;
        assert!(got == status && answer.to_string().contains(says), "{line}: {got} {answer}");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_takes_services_and_asks_them() {
    let etim = "description = \"Classification\"\ncapabilities = [\"classes\"]\nquery = { tool = \"search\", argument = \"query\" }";
    let deck = Deck::start(&config(EATON).replace("description = \"Classification\"", etim)).await;
    let (_, available) = deck.ask("GET /api/mcp-services/available", "").await;
    let services = available["available_mcps"].as_array().unwrap();
    let told: Vec<_> = services.iter().map(|s| (s["name"].as_str().unwrap(), s["enabled"] == true)).collect();
    assert_eq!(told, [("broken", true), ("etim", true), ("graf", true), ("law", false)]);
    assert_eq!(services[1]["price"], json!({ "amount": 49.0, "currency": "EUR", "per": "month" }));
    let enabled = |answer: &Value| answer["enabled_mcps"].to_string();
    let (status, with) = deck.ask("POST /api/mcp-services/enable/law", "").await;
    assert_eq!((status, enabled(&with)), (200, r#"["broken","etim","graf","law"]"#.to_owned()), "{with}");
    let (status, without) = deck.ask("POST /api/mcp-services/disable/law", "X-Customer-ID: vatt\r\n").await;
    assert_eq!((status, enabled(&without)), (200, r#"["broken","etim","graf"]"#.to_owned()), "{without}");
    for (line, body, status, says) in [
        ("POST /api/mcp-services/enable/lav", "", 404, "did you mean `law`"),
        ("GET /api/mcp-services/law/info", "", 200, r#""enabled":false"#),
        ("GET /api/mcp-services/law/health", "", 404, "unknown server `law`"),
        ("GET /api/mcp-services/etim/health", "", 200, r#""status":"unknown""#),
        ("POST /api/mcp-services/query", r#"{"mcp_name":"etim","query":"bolt","context":{"lang":"de"}}"#, 200, "bolt"),
        ("POST /api/mcp-services/query", r#"{"mcp_name":"graf","query":"x"}"#, 422, "answers no plain query"),
        ("POST /api/mcp-services/query", r#"{"query":"x"}"#, 422, "no rule, capability, use case or default"),
        ("POST /api/mcp-services/query", r#"{"query":"ETIM classes","context":"lab"}"#, 200, r#""by":"capability""#),
        ("POST /api/mcp-services/query", r#"{"query":"x","context":[1]}"#, 400, "a text or an object"),
        ("POST /api/mcp-services/query", r#"{"mcp_name":"law","query":"x"}"#, 404, "unknown server `law`"),
        ("POST /api/mcp-services/query", r#"{"mcp_name":"etim"}"#, 400, "missing field `query`"),
        ("GET /api/mcp-services/etim/health", "", 200, r#""status":"healthy""#),
    ] {
        let (got, answer) = deck.tell(line, "", body).await;
        assert!(got == status && answer.to_string().contains(says), "{line} {body}: {got} {answer}");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_and_conversations_are_the_memory_servers() {
    let memory = "[[server]]\nid = \"memory\"\nscope = \"tenant\"\nbuiltin = \"memory\"\n[[tenant]]\nid = \"eaton\"";
    let config = config(EATON)
        .replace("[[tenant]]\nid = \"eaton\"", memory)
        .replace("max_body", "memory = \"memory\"\nmax_body")
        .replace(r#""graf", "broken"]"#, r#""graf", "memory"]"#);
    let deck = Deck::start(&config).await;
    let skill = r#"{"name":"deploy","description":"How to deploy","body":"1. push"}"#;
    for (line, body, status, says) in [
        ("GET /skills", "", 200, r#""skills":[]"#),
        ("POST /skills", skill, 200, r#""status":"dev""#),
        ("POST /skills", skill, 422, "skill deploy exists"),
        ("GET /skills?status=dev", "", 200, "How to deploy"),
        ("GET /skills?name=deploy", "", 200, "1. push"),
        ("GET /skills?query=push", "", 200, "deploy"),
        ("GET /skills?name=deploy&query=x", "", 400, "give one of"),
        ("POST /conversations", r#"{"conversation":"c","text":"hello"}"#, 200, r#""conversation":"c""#),
        ("GET /conversations", "", 200, r#""messages":1"#),
        ("GET /conversations?conversation=c", "", 200, "hello"),
        ("GET /commits", "", 404, "no commit index"),
    ] {
        let (got, answer) = deck.tell(line, "", body).await;
        assert!(got == status && answer.to_string().contains(says), "{line} {body}: {got} {answer}");
    }
    deck.end().await;
    let deck = Deck::start(&super::config(EATON)).await;
    let (status, why) = deck.ask("GET /skills", "").await;
    assert!(status == 404 && why["error"].as_str().unwrap().contains("[api] memory"), "{status} {why}");
    deck.end().await;
}
