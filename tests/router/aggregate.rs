//! All servers of a tenant behind one endpoint: lists, splits, routing context, fan-out.

use super::fixture::*;
use mcpdeck::model::call::Origin;
use mcpdeck::model::{Outcome, State};
use mcpdeck::router::{AllReply, CallBody, CallRequest, Client, ROUTE_KEY, Router, SERVERS_KEY};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn request(who: &str, message: &Value) -> CallRequest {
    CallRequest {
        tenant: who.into(),
        server: "".into(),
        body: CallBody::Raw(message.to_string().into()),
        era: None,
        timeout: None,
        origin: Origin::Http,
        principal: "test".into(),
        role: None,
        session: None,
        events: None,
    }
}

async fn all(router: &Arc<Router>, who: &str, method: &str, params: Value) -> Value {
    let message = json!({"jsonrpc": "2.0", "id": "me", "method": method, "params": params});
    let AllReply { body, .. } = router.call_all(request(who, &message), Client::Bare, None).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["id"], "me", "{body}");
    body
}

async fn call(platform: &Platform, tool: &str, arguments: Value) -> Value {
    all(&platform.router, "eaton", "tools/call", json!({"name": tool, "arguments": arguments})).await
}

fn names(list: &Value) -> Vec<&str> {
    list["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

/// Two servers that serve, of which one fills an argument.
async fn platform() -> (Platform, [Stdio; 2]) {
    let mut law = server("law");
    law.hints.prefix = Some("l.".to_owned());
    let platform = Platform::new(vec![injecting("etim"), law], vec![tenant("eaton"), tenant("abb")]);
    let etim = platform.open("etim", Speaks::Legacy).await.unwrap().1;
    let law = platform.open("law", Speaks::Modern).await.unwrap().1;
    (platform, [etim, law])
}

#[tokio::test]
async fn one_list_holds_the_tools_of_all_and_a_call_finds_its_server() {
    let (platform, [first, second]) = platform().await;
    let hello = all(&platform.router, "eaton", "initialize", json!({"protocolVersion": "2025-06-18"})).await;
    assert_eq!(hello["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(hello["result"]["capabilities"]["tools"], json!({"listChanged": true}));
    let list = all(&platform.router, "eaton", "tools/list", json!({})).await;
    assert_eq!(names(&list), ["etim_echo", "etim_hang", "l.echo", "l.hang"]);
    assert_eq!(list["result"]["_meta"], Value::Null, "nothing is missing or stale: {list}");
    let etim = list["result"]["tools"][0].to_string();
    assert!(!etim.contains("customer_id"), "injected arguments are hidden: {etim}");
    let seen = call(&platform, "etim_echo", json!({"q": 1, "customer_id": "forged"})).await;
    let params = &seen["result"]["structuredContent"];
    assert_eq!((&params["name"], &params["arguments"]), (&json!("echo"), &json!({"q": 1, "customer_id": "eaton"})));
    assert_eq!(params["_meta"]["io.mcpdeck/tenant"]["id"], "eaton");
    call(&platform, "l.echo", json!({})).await;
    assert_eq!((first.count("tools/call"), second.count("tools/call")), (1, 1));
    for (method, params, code) in [
        ("tools/call", json!({"name": "etim"}), -32602),
        ("tools/call", json!({"name": "echo"}), -32602),
        ("resources/read", json!({"uri": "file:///a"}), -32602),
        ("nonsense/method", json!({}), -32601),
        ("tools/list", json!({"cursor": "x"}), -32602),
    ] {
        let refused = all(&platform.router, "eaton", method, params.clone()).await;
        assert_eq!(refused["error"]["code"], code, "{method} {params}: {refused}");
    }
}

#[tokio::test]
async fn a_list_does_not_wait_for_a_server_that_sleeps_but_wakes_it_once() {
    let mut platform = Platform::new(vec![server("etim"), server("slow")], vec![tenant("eaton")]);
    let _etim = platform.open("etim", Speaks::Legacy).await.unwrap().1;
    for _ in 0..3 {
        let list = all(&platform.router, "eaton", "tools/list", json!({})).await;
        assert_eq!(names(&list), ["etim_echo", "etim_hang"]);
        assert_eq!(list["result"]["_meta"][SERVERS_KEY]["missing"], json!({"slow": "dormant"}));
    }
    let demand = platform.ends.demands.recv().await.unwrap();
    assert_eq!(demand.key, key("slow"));
    assert!(platform.ends.demands.try_recv().is_err(), "asked for once");
    let _slow = platform.open("slow", Speaks::Legacy).await.unwrap().1;
    demand.reply.send(Ok(())).unwrap();
    let complete = async {
        while names(&all(&platform.router, "eaton", "tools/list", json!({})).await).len() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), complete).await.expect("it is listed once it serves");
    // Asleep again, it is told from memory and not woken.
    platform.router.close(&key("slow"), "idle");
    platform.router.set_state(&key("slow"), State::Dormant, "idle");
    let list = all(&platform.router, "eaton", "tools/list", json!({})).await;
    assert_eq!(names(&list).len(), 4);
    assert!(platform.ends.demands.try_recv().is_err());
}

#[tokio::test]
async fn a_name_without_prefix_is_taken_if_one_server_has_it_or_routing_leads() {
    let (platform, [etim, law]) = platform().await;
    all(&platform.router, "eaton", "tools/list", json!({})).await;
    let refused = call(&platform, "echo", json!({})).await;
    assert_eq!(refused["error"]["message"], "unknown tool `echo`", "two servers have it");
    let params = json!({"name": "echo", "_meta": {ROUTE_KEY: {"target": "law"}}});
    let led = all(&platform.router, "eaton", "tools/call", params).await;
    assert_eq!(led["result"]["_meta"][ROUTE_KEY]["reason"], "the request names `law`", "{led}");
    assert_eq!((etim.count("tools/call"), law.count("tools/call")), (0, 1));
    let params = json!({"name": "echo", "_meta": {ROUTE_KEY: {"target": "nope"}}});
    let refused = all(&platform.router, "eaton", "tools/call", params).await;
    assert_eq!(refused["error"]["message"], "unknown server `nope`");

    let alone = Platform::new(vec![server("etim")], vec![tenant("eaton")]);
    let _etim = alone.open("etim", Speaks::Legacy).await.unwrap().1;
    all(&alone.router, "eaton", "tools/list", json!({})).await;
    assert!(call(&alone, "echo", json!({})).await["result"].is_object());
}

#[tokio::test]
async fn a_call_to_several_servers_says_which_part_failed() {
    let (platform, [etim, _law]) = platform().await;
    platform.router.set_state(&key("law"), State::Fenced, "by a test");
    let fan =
        |targets: Value| json!({"name": "echo", "arguments": {"q": 1}, "_meta": {ROUTE_KEY: {"targets": targets}}});
    let merged = all(&platform.router, "eaton", "tools/call", fan(json!(["etim", "law", "nope"]))).await;
    let result = &merged["result"];
    assert_eq!(result["isError"], false);
    let structured = &result["structuredContent"];
    assert_eq!((&structured["partial"], &structured["failed"]), (&json!(true), &json!(["law", "nope"])));
    assert_eq!(structured["parts"][0]["server"], "etim");
    assert_eq!(structured["parts"][0]["result"]["structuredContent"]["arguments"]["customer_id"], "eaton");
    assert!(structured["parts"][1]["error"].as_str().unwrap().contains("fenced: by a test"), "{result}");
    assert_eq!(structured["parts"][2]["error"], "unknown server `nope`");
    assert_eq!(etim.count("tools/call"), 1);
    let twice = all(&platform.router, "eaton", "tools/call", fan(json!(["etim", "nope", "etim"]))).await;
    assert_eq!(twice["result"]["structuredContent"]["parts"].as_array().map(Vec::len), Some(2), "{twice}");
    assert_eq!(etim.count("tools/call"), 2, "who is named twice is asked once");
    let all_failed = all(&platform.router, "eaton", "tools/call", fan(json!(["law"]))).await;
    assert_eq!(all_failed["result"]["isError"], true);
    for wrong in [json!([]), json!("etim"), json!([1]), json!(vec!["etim"; 33])] {
        let refused = all(&platform.router, "eaton", "tools/call", fan(wrong)).await;
        assert!(refused["error"]["message"].as_str().unwrap().contains("1 to 32 names"), "{refused}");
    }
}

#[tokio::test]
async fn an_answer_of_a_server_stays_its_own() {
    let (platform, _both) = platform().await;
    let failed = call(&platform, "etim_fail", json!({"text": "no such class"})).await;
    assert_eq!(failed["result"]["isError"], true);
    platform.router.set_state(&key("etim"), State::Fenced, "by a test");
    let refused = call(&platform, "etim_echo", json!({})).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("fenced"), "{refused}");
    let reply = platform.call(tool_call("eaton", "etim", "echo", json!({}))).await;
    assert_eq!(reply.record.outcome, Outcome::Refused);
}
