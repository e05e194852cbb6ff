//! How much a tenant, or all of them at one server, may do.

use super::world::{TENANTS, World, search};
use crate::support::platform::PATIENCE;
use mcpdeck::model::principal::Role;
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
    assert!(got.body.contains("customer eaton may send 0.01 requests a second"), "{got:?}");
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
