//! Modern clients: what a request must say of itself, in its body and again in its headers.

use super::upstream::{Speaks, Upstream};
use super::web::{BOTH, Legacy, modern, notification, request, send};
use super::{CONFIG, Deck, with};
use serde_json::{Value, json};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

#[tokio::test(flavor = "multi_thread")]
async fn every_request_stands_for_itself() {
    let deck = Deck::start(CONFIG).await;
    let found = modern(deck.at(), "etim", 1, "server/discover", json!({})).await;
    assert_eq!((found.status, found.header("mcp-session-id")), (200, ""));
    let found = found.json().await;
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]), "{found}");
    assert_eq!(found["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "simulated etim");
    let list = modern(deck.at(), "etim", "l", "tools/list", json!({})).await.json().await;
    assert_eq!((&list["id"], &list["result"]["resultType"]), (&json!("l"), &json!("complete")), "{list}");
    assert_eq!((&list["result"]["ttlMs"], &list["result"]["cacheScope"]), (&json!(0), &json!("private")));
    let params = json!({ "name": "search", "arguments": { "customer_id": "vatt" } });
    let call = modern(deck.at(), "etim", 2, "tools/call", params).await.json().await;
    assert_eq!(call["result"]["structuredContent"]["arguments"]["customer_id"], "eaton", "{call}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn body_and_headers_must_agree() {
    let deck = Deck::start(CONFIG).await;
    let meta = json!({ VERSION: "2026-07-28", CAPABILITIES: {} });
    let new = json!({ VERSION: "2031-01-01", CAPABILITIES: {} });
    let call = json!({ "name": "search", "arguments": {}, "_meta": meta });
    let list = json!({ "_meta": meta });
    let m = "Mcp-Method";
    let v = ("MCP-Protocol-Version", "2026-07-28");
    let name = |name| ("Mcp-Name", name);
    let without = |key: &str| {
        let mut meta = meta.clone();
        meta.as_object_mut().unwrap().remove(key);
        json!({ "_meta": meta })
    };
    for (headers, method, params, status, code) in [
        (vec![v, (m, "tools/list")], "tools/list", list.clone(), 200, Value::Null),
        (vec![v, (m, "tools/call"), name("search")], "tools/call", call.clone(), 200, Value::Null),
        (vec![v, (m, "tools/call"), name("=?base64?c2VhcmNo?=")], "tools/call", call.clone(), 200, Value::Null),
        (vec![v, (m, "tools/list"), ("Mcp-Session-Id", "any")], "tools/list", list.clone(), 200, Value::Null),
        (vec![], "tools/list", list.clone(), 400, json!(-32020)),
        (vec![v], "tools/list", list.clone(), 400, json!(-32020)),
        (vec![(m, "tools/list")], "tools/list", list.clone(), 400, json!(-32020)),
        (vec![v, (m, "tools/call")], "tools/list", list.clone(), 400, json!(-32020)),
        (vec![v, (m, "tools/list"), (m, "tools/list")], "tools/list", list.clone(), 400, json!(-32020)),
        (vec![v, (m, "tools/call")], "tools/call", call.clone(), 400, json!(-32020)),
        (vec![v, (m, "tools/call"), name("other")], "tools/call", call.clone(), 400, json!(-32020)),
        (vec![v, (m, "tools/call"), name("Search")], "tools/call", call.clone(), 400, json!(-32020)),
        (vec![v, (m, "tools/call"), name("=?base64?!!?=")], "tools/call", call.clone(), 400, json!(-32020)),
        (
            vec![("MCP-Protocol-Version", "2025-11-25"), (m, "tools/list")],
            "tools/list",
            list.clone(),
            400,
            json!(-32020),
        ),
        (vec![v, (m, "tools/list")], "tools/list", json!({}), 400, json!(-32602)),
        (vec![v], "tools/list", json!({}), 400, json!(-32602)),
        (vec![v, (m, "tools/list")], "tools/list", without(CAPABILITIES), 400, json!(-32602)),
        (vec![v, (m, "tools/list")], "tools/list", without(VERSION), 400, json!(-32602)),
        (
            vec![("MCP-Protocol-Version", "2031-01-01"), (m, "tools/list")],
            "tools/list",
            json!({ "_meta": new }),
            400,
            json!(-32022),
        ),
        (vec![v, (m, "no/such")], "no/such", list.clone(), 404, json!(-32601)),
    ] {
        let mut all = vec![BOTH];
        all.extend(headers);
        let got = send(deck.at(), "POST", "/mcp/etim", &all, request("mine", method, params.clone())).await;
        let (got_status, answer) = (got.status, got.json().await);
        assert_eq!((got_status, &answer["error"]["code"]), (status, &code), "{all:?} {params} {answer}");
        assert_eq!(answer["id"], "mine", "{answer}");
    }
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        let got = modern(deck.at(), "etim", 5, method, json!({})).await;
        let (status, answer) = (got.status, got.json().await);
        assert_eq!((status, &answer["error"]["code"], &answer["id"]), (404, &json!(-32601), &json!(5)), "{method}");
    }
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_but_requests() {
    let deck = Deck::start(CONFIG).await;
    let v = ("MCP-Protocol-Version", "2026-07-28");
    for (verb, body, status, code) in [
        ("GET", String::new(), 405, json!(-32600)),
        ("DELETE", String::new(), 405, json!(-32600)),
        ("PUT", "{}".to_owned(), 405, json!(-32600)),
        ("POST", "{".to_owned(), 400, json!(-32700)),
        ("POST", "[]".to_owned(), 400, json!(-32600)),
        ("POST", json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string(), 400, json!(-32600)),
        ("POST", notification("notifications/cancelled", &json!({"requestId": 1})), 202, Value::Null),
    ] {
        let got = send(deck.at(), verb, "/mcp/etim", &[v, BOTH], body.clone()).await;
        let (got_status, answer) = (got.status, got.json().await);
        assert_eq!((got_status, &answer["error"]["code"]), (status, &code), "{verb} {body}: {answer}");
        // A null id is no id of this era.
        assert!(answer.get("id").is_none_or(|id| !id.is_null()), "{answer}");
    }
    let page = [("Accept", "text/html"), v, ("Mcp-Method", "tools/list")];
    let meta = json!({ "_meta": { VERSION: "2026-07-28", CAPABILITIES: {} } });
    let got = send(deck.at(), "POST", "/mcp/etim", &page, request(1, "tools/list", meta)).await;
    assert_eq!(got.status, 406);
    deck.end().await;
}

/// Per cell: what a client sends, and what it sees.
#[tokio::test(flavor = "multi_thread")]
async fn four_cells_of_requests() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(speaks).await;
        let deck = Deck::start(&with(&upstream)).await;
        let old = Legacy::begin(deck.at(), "up", json!({ "elicitation": {} })).await;
        assert_eq!(old.greeting["serverInfo"]["name"], "made up");
        assert_eq!(old.greeting["capabilities"]["prompts"], json!({}));
        for (method, params, at, want) in [
            ("tools/list", json!({}), "/result/tools/0/name", json!("echo")),
            ("tools/call", json!({"name": "echo"}), "/result/structuredContent/params/name", json!("echo")),
            ("prompts/list", json!({}), "/result/prompts/0/name", json!("p")),
            ("prompts/get", json!({"name": "p"}), "/result/description", json!("p")),
            ("resources/list", json!({}), "/result/resources/0/uri", json!("made://a")),
            ("resources/read", json!({"uri": "made://a"}), "/result/contents/0/uri", json!("made://a")),
            ("completion/complete", json!({"ref": {}}), "/result/completion/values/0", json!("x")),
            ("no/such", json!({}), "/error/code", json!(-32601)),
        ] {
            let cell = format!("{method} at {speaks:?}");
            let answer = old.ask(1, method, params.clone()).await.json().await;
            assert_eq!(answer.pointer(at), Some(&want), "legacy client, {cell}: {answer}");
            for word in ["resultType", "ttlMs", "cacheScope"] {
                assert_eq!(answer["result"][word], Value::Null, "legacy client, {cell}: {answer}");
            }
            let got = modern(deck.at(), "up", 1, method, params).await;
            let (status, answer) = (got.status, got.json().await);
            assert_eq!(answer.pointer(at), Some(&want), "modern client, {cell}: {answer}");
            assert_eq!(status, if method == "no/such" { 404 } else { 200 }, "{cell}");
            if status == 200 {
                assert_eq!(answer["result"]["resultType"], "complete", "{cell}");
            }
            if method.ends_with("/list") {
                assert!(answer["result"]["ttlMs"].is_u64() || speaks == Speaks::Modern, "{cell}: {answer}");
            }
        }
        let missing = modern(deck.at(), "up", 1, "resources/read", json!({"uri": "made://none"})).await.json().await;
        assert_eq!(missing["error"]["code"], -32602, "{speaks:?}");
        // What upstream is told of the caller is of its own era.
        let last = upstream.sees("tools/call", 2).await.pop().unwrap();
        let meta = &last.message["params"]["_meta"];
        assert_eq!(meta[VERSION].is_null(), speaks == Speaks::Legacy, "{meta}");
        assert_eq!(last.headers.get("mcp-method").is_some(), speaks == Speaks::Modern);
        deck.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_passes_between_modern_sides_and_is_refused_across_eras() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let deck = Deck::start(&with(&upstream)).await;
    let asked = modern(deck.at(), "up", 1, "tools/call", json!({"name": "input"})).await.json().await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(asked["result"]["requestState"], "opaque");
    let retry =
        json!({ "name": "input", "requestState": "opaque", "inputResponses": { "name": {"action": "accept"} } });
    let done = modern(deck.at(), "up", 2, "tools/call", retry).await.json().await;
    assert_eq!(done["result"]["structuredContent"]["params"]["requestState"], "opaque", "{done}");
    let old = Legacy::begin(deck.at(), "up", json!({ "elicitation": {} })).await;
    let refused = old.ask(3, "tools/call", json!({"name": "input"})).await.json().await;
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("elicitation"));
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_a_schema_mirrors_are_held_against_their_headers() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let deck = Deck::start(&with(&upstream)).await;
    let meta = json!({ VERSION: "2026-07-28", CAPABILITIES: {} });
    let call = |region: Value| json!({ "name": "echo", "arguments": { "region": region }, "_meta": meta });
    for (region, header, status) in [
        (json!("eu"), Some("eu"), 200),
        (json!("é"), Some("=?base64?w6k=?="), 200),
        (json!("eu"), Some("us"), 400),
        (json!("eu"), None, 400),
        (Value::Null, None, 200),
        (Value::Null, Some("eu"), 400),
    ] {
        let mut headers = vec![
            BOTH,
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "echo"),
            ("Mcp-Param-Other", "kept"),
        ];
        headers.extend(header.map(|value| ("Mcp-Param-Region", value)));
        let body = request(1, "tools/call", call(region.clone()));
        let got = send(deck.at(), "POST", "/mcp/up", &headers, body).await;
        let (got_status, answer) = (got.status, got.json().await);
        assert_eq!(got_status, status, "{region} {header:?}: {answer}");
        assert_eq!(answer["error"]["code"].is_null(), status == 200, "{answer}");
    }
    let sent = &upstream.seen("tools/call")[0].headers;
    let sent = |name: &str| sent[name].to_str().unwrap();
    assert_eq!((sent("mcp-param-region"), sent("mcp-param-other")), ("eu", "kept"));
    deck.end().await;
}
