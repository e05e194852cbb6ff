//! How much a tenant, or all of them at one server, may do.

use super::world::{Got, TENANTS, World, search};
use crate::support::platform::PATIENCE;
use mcpdeck::model::principal::Role;
use mcpdeck::model::{Answer, Outcome, Query};
use std::time::Duration;
use tokio::time::timeout;

fn header(key: &str) -> String {
    format!("X-API-Key: {key}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_rate_a_tenant_is_told_when_and_others_go_on() {
    let own = "[[tenant]]\nid = \"vatt\"\ncall_limits = { body = \"1KiB\" }";
    let world =
        World::start("call_limits = { rate = 0.01, burst = 2 }", &TENANTS.replace("[[tenant]]\nid = \"vatt\"", own))
            .await;
    let (eaton, vatt) =
        (world.key("aa", Role::Tenant, Some("eaton")).await, world.key("bb", Role::Tenant, Some("vatt")).await);
    for _ in 0..2 {
        assert_eq!(world.call(&header(&eaton)).await.status, 200);
    }
    let got = world.call(&header(&eaton)).await;
    assert_eq!((got.status, &got.json()["id"]), (429, &serde_json::json!("call-7")), "{got:?}");
    assert!(got.body.contains("customer eaton is limited to 0.01 requests a second"), "{got:?}");
    let after = got.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).expect("when");
    assert!((1..=100).contains(&after.parse::<u32>().unwrap()), "{after}");
    for _ in 0..4 {
        assert_eq!(world.call(&header(&vatt)).await.status, 200, "its own limits stand instead");
    }
    let large = search().replace("\"x\"", &format!("\"{}\"", "x".repeat(1024)));
    let got = world.send("POST /mcp/etim", &header(&vatt), &large).await;
    assert!(got.status == 413 && got.body.contains("larger than 1024 bytes"), "{got:?}");
    assert_eq!(world.send("GET /health", &header(&eaton), "").await.status, 429, "whatever it asks for");
    assert_eq!(world.send("GET /health", "", "").await.status, 200, "probes of nobody are not counted");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_are_under_way_at_a_server_whoever_sends_them() {
    let slow = TENANTS.replace("latency = \"1ms\" }", "latency = \"20s\" }\ncall_limits = { in_flight = 1 }");
    let world = World::start("drain = \"0s\"", &slow).await;
    let (eaton, vatt) =
        (world.key("aa", Role::Tenant, Some("eaton")).await, world.key("bb", Role::Tenant, Some("vatt")).await);
    let (at, first) = (world.at(), header(&eaton));
    let calling = tokio::spawn(async move { super::world::send(at, "POST /mcp/etim", &first, &search()).await });
    let handle = world.platform.handle.clone();
    let pending = async {
        while handle.state().pending.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, pending).await.expect("the first is under way");
    let got = world.call(&header(&vatt)).await;
    assert!(got.status == 429 && got.body.contains("server etim has 1 requests under way"), "{got:?}");
    // Its end, however it comes, makes room.
    calling.abort();
    let room = async {
        while handle.state().pending.iter().any(|call| call.tenant.as_str() == "eaton") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, room).await.expect("the first is cancelled");
    let (at, next) = (world.at(), header(&vatt));
    let calling = tokio::spawn(async move { super::world::send(at, "POST /mcp/etim", &next, &search()).await });
    let begun = async {
        while !handle.state().pending.iter().any(|call| call.tenant.as_str() == "vatt") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, begun).await.expect("the next is let in");
    calling.abort();
    world.end().await;
}

/// Server, method and error of the newest calls that were refused, newest first; once there are so many.
async fn refused(world: &World, many: usize) -> Vec<(String, String, String)> {
    let recorded = async {
        loop {
            let Answer::Calls(calls) = world.ask(Query::Calls { filter: String::new(), limit: 100 }).await else {
                panic!("no calls")
            };
            let refused = calls.iter().filter(|call| call.outcome == Outcome::Refused);
            let told = |call: &std::sync::Arc<mcpdeck::model::CallRecord>| {
                (call.server.to_string(), call.method.to_string(), call.error.clone().unwrap_or_default())
            };
            let refused: Vec<_> = refused.map(told).collect();
            if refused.len() >= many {
                return refused;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, recorded).await.expect("each is recorded")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_limits_hold_whichever_way_its_callers_come() {
    let own = "latency = \"1ms\" }\nquery = { tool = \"search\", argument = \"query\" }\ncall_limits = ";
    let limited = |limits: &str| TENANTS.replace("latency = \"1ms\" }", &format!("{own}{limits}"));
    let ways = |world: &World, key: String, text: &'static str| {
        let (at, key) = (world.at(), header(&key));
        let one = search().replace("\"x\"", &format!("\"{text}\""));
        async move {
            let all = one.replace("\"search\"", "\"etim_search\"");
            let question = format!(r#"{{"mcp_name":"etim","query":"{text}"}}"#);
            let mut answers: Vec<Got> = Vec::new();
            for (line, body) in
                [("POST /mcp/etim", one), ("POST /mcp", all), ("POST /api/mcp-services/query", question)]
            {
                answers.push(super::world::send(at, line, &key, &body).await);
            }
            answers
        }
    };
    let world = World::start("", &limited("{ rate = 0.001, burst = 3 }")).await;
    let (eaton, vatt) =
        (world.key("aa", Role::Tenant, Some("eaton")).await, world.key("bb", Role::Tenant, Some("vatt")).await);
    for got in ways(&world, eaton, "x").await {
        assert_eq!(got.status, 200, "{got:?}");
    }
    for got in ways(&world, vatt, "x").await {
        assert!(got.status == 429 && got.body.contains("server etim is limited to 0.001 requests a second"), "{got:?}");
        assert!(got.head.contains("retry-after: "), "{got:?}");
    }
    let why = || "server etim is limited to 0.001 requests a second".to_owned();
    let record = || ("etim".to_owned(), "tools/call".to_owned(), why());
    assert_eq!(refused(&world, 3).await, [record(), record(), record()]);
    world.end().await;

    let world = World::start("", &limited("{ body = \"1KiB\" }")).await;
    let key = world.key("aa", Role::Tenant, Some("eaton")).await;
    let large: &'static str = Box::leak("x".repeat(1024).into_boxed_str());
    for got in ways(&world, key, large).await {
        assert!(got.status == 413 && got.body.contains("larger than 1024 bytes"), "{got:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customers_limits_refuse_is_recorded_like_any_call() {
    let world = World::start("call_limits = { rate = 0.001, burst = 1, body = \"1KiB\" }", TENANTS).await;
    let eaton = header(&world.key("aa", Role::Tenant, Some("eaton")).await);
    let large = format!(r#"{{"mcp_name":"etim","query":"{}"}}"#, "x".repeat(1024));
    let got = world.send("POST /api/mcp-services/query", &eaton, &large).await;
    assert!(got.status == 413 && got.body.contains("larger than 1024 bytes"), "{got:?}");
    for line in ["POST /mcp/etim", "POST /mcp", "GET /servers"] {
        assert_eq!(world.send(line, &eaton, &search()).await.status, 429, "{line}");
    }
    let got = world.send("POST /mcp/etim", &eaton, &large).await;
    assert_eq!(got.status, 413, "{got:?}");
    let why = "customer eaton is limited to 0.001 requests a second";
    let record = |server: &str, method: &str, why: &str| (server.to_owned(), method.to_owned(), why.to_owned());
    let expected = [
        record("etim", "", "the body is larger than 1024 bytes"),
        record("*", "GET /servers", why),
        record("*", "tools/call", why),
        record("etim", "tools/call", why),
        record("*", "POST /api/mcp-services/query", "the body is larger than 1024 bytes"),
    ];
    assert_eq!(refused(&world, 5).await, expected);
    world.end().await;
}
