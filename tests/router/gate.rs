//! Who gets in: enablement, states, waking, read-only, limits.

use super::fixture::*;
use mcpdeck::model::guard::{Guard, Guards};
use mcpdeck::model::message::ConsoleCall;
use mcpdeck::model::server::Scope;
use mcpdeck::model::tenant::AuditPolicy;
use mcpdeck::model::{Environment, InstanceKey, Outcome, State};
use mcpdeck::router::Table;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test]
async fn what_is_not_enabled_does_not_exist() {
    let platform = Platform::new(vec![], vec![]);
    platform.router.set_table(Table {
        servers: vec![Arc::new(server("etim"))],
        tenants: vec![(Arc::new(tenant("eaton")), vec![])],
        read_only: false,
        guards: Default::default(),
        routing: Default::default(),
    });
    for (who, what, says) in [
        ("eaton", "etim", "not enabled for `eaton`; `mcpdeck enable etim eaton`"),
        ("eaton", "nope", "no server `nope`"),
        ("nobody", "etim", "no tenant `nobody`"),
    ] {
        let reply = platform.call(tool_call(who, what, "echo", json!({}))).await;
        assert_eq!(reply.record.outcome, Outcome::Refused);
        assert!(reply.error().contains(says), "{}", reply.error());
        let told = json!({"code": -32602, "message": format!("unknown server `{what}`")});
        assert_eq!(reply.body["error"], told, "a caller learns nothing of other tenants");
        assert_eq!(reply.record.instance, None);
    }
    assert_eq!(platform.router.instance_of(&"eaton".into(), &"etim".into(), None), None);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_first_calls_are_released_by_one_start() {
    let mut platform = Platform::new(vec![server("etim")], vec![tenant("eaton")]);
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let router = platform.router.clone();
        calls.spawn(async move { router.call(tool_call("eaton", "etim", "echo", json!({}))).await });
    }
    let first = platform.ends.demands.recv().await.unwrap();
    assert_eq!(first.key, key("etim"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(platform.router.activity(&key("etim")).waiting, 100);
    assert!(platform.router.pending().iter().all(|call| call.waking));
    let (_, stdio) = platform.open("etim", Speaks::Legacy).await.unwrap();
    let _ = first.reply.send(Ok(()));
    while let Some(call) = calls.join_next().await {
        let record = call.unwrap().record;
        assert_eq!(record.outcome, Outcome::Ok);
        assert!(record.wake_us >= 2_000_000 && record.wake_us <= record.took_us);
    }
    assert_eq!((stdio.count("tools/call"), stdio.count("initialize")), (100, 1));
    assert_eq!(platform.router.activity(&key("etim")).waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn each_state_treats_a_call_as_the_product_says() {
    for (state, told, outcome, says) in [
        (State::Stopped, None, Outcome::Refused, "etim is stopped: by anna"),
        (State::Fenced, None, Outcome::Refused, "etim is fenced: by anna"),
        (State::Failed, None, Outcome::Refused, "etim is failed: by anna"),
        (State::Unknown, None, Outcome::Transport, "not connected"),
        (State::Dormant, Some(Err("no such program")), Outcome::Transport, "did not start: no such program"),
        (State::Backoff, Some(Err("crashed")), Outcome::Transport, "did not start: crashed"),
        (State::Dormant, Some(Ok(())), Outcome::Transport, "gone again"),
        (State::Starting, None, Outcome::Timeout, "did not start within 30s"),
    ] {
        let mut platform = Platform::new(vec![server("etim")], vec![tenant("eaton")]);
        platform.router.set_state(&key("etim"), state, "by anna");
        let control = async {
            let mut kept = Vec::new();
            while let Some(demand) = platform.ends.demands.recv().await {
                match told {
                    Some(reply) => drop(demand.reply.send(reply.map_err(str::to_owned))),
                    None => kept.push(demand),
                }
            }
        };
        let reply = tokio::select! {
            reply = platform.router.call(tool_call("eaton", "etim", "echo", json!({}))) => Reply::from(reply),
            () = control => unreachable!(),
        };
        assert_eq!(reply.record.outcome, outcome, "{state}: {}", reply.error());
        assert!(reply.error().contains(says), "{state}: {}", reply.error());
    }
}

#[tokio::test(start_paused = true)]
async fn limits_refuse_instead_of_queueing_without_end() {
    let mut def = server("etim");
    def.settings.max_in_flight = 2;
    let platform = Platform::new(vec![def], vec![tenant("eaton")]);
    let (_, stdio) = platform.open("etim", Speaks::Legacy).await.unwrap();
    for _ in 0..2 {
        let router = platform.router.clone();
        tokio::spawn(async move { router.call(tool_call("eaton", "etim", "hang", json!({}))).await });
    }
    stdio.hears("tools/call", 2).await;
    let reply = platform.call(tool_call("eaton", "etim", "echo", json!({}))).await;
    assert_eq!(reply.record.outcome, Outcome::Refused);
    assert!(reply.error().contains("too busy: 2 calls in flight"), "{}", reply.error());
    assert!(!platform.router.begin_stop(&key("etim")), "calls are in flight");
}

#[tokio::test(start_paused = true)]
async fn read_only_lets_marked_tools_through() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    platform.set_table(vec![injecting("etim")], vec![tenant("eaton")], true);
    let outcome = async |request| platform.call(request).await.record.outcome;
    assert_eq!(outcome(tool_call("eaton", "etim", "echo", json!({}))).await, Outcome::Ok);
    assert_eq!(outcome(tool_call("eaton", "etim", "hang", json!({}))).await, Outcome::Refused);
    assert_eq!(outcome(tool_call("eaton", "etim", "unlisted", json!({}))).await, Outcome::Refused);
    assert_eq!(outcome(method_call("eaton", "etim", "ping", json!({}))).await, Outcome::Ok);
    let forged = r#"{"id":1,"method":"tools/call","params":{"name":"echo","Name":"hang"}}"#;
    assert_eq!(outcome(raw_call("eaton", "etim", forged)).await, Outcome::Refused);
    assert_eq!(outcome(raw_call("eaton", "etim", "no JSON {")).await, Outcome::Refused);
    let mut only_this = tenant("abb");
    only_this.read_only = true;
    platform.set_table(vec![injecting("etim")], vec![only_this], false);
    assert_eq!(outcome(tool_call("abb", "etim", "hang", json!({}))).await, Outcome::Refused);
    // So does the guardrail of its environment, which says why.
    let mut guards = Guards::default();
    let frozen = Guard { read_only: Some("demo until Friday".to_owned()), ..Guard::default() };
    guards.0.insert(Environment::Lab, frozen);
    let (servers, tenants) = (vec![Arc::new(injecting("etim"))], vec![(Arc::new(tenant("abb")), vec!["etim".into()])]);
    platform.router.set_table(Table { servers, tenants, guards, ..Table::default() });
    let refused = platform.call(tool_call("abb", "etim", "hang", json!({}))).await;
    assert_eq!(refused.record.outcome, Outcome::Refused);
    assert!(refused.error().contains("lab is read-only: demo until Friday"), "{}", refused.error());
    assert_eq!(stdio.count("tools/call"), 1);
}

#[test]
fn scopes_choose_the_instance() {
    let scoped = |id: &str, scope| {
        let mut def = server(id);
        def.scope = scope;
        def
    };
    let servers = vec![server("a"), scoped("b", Scope::Tenant), scoped("c", Scope::Session)];
    let mut own = tenant("own");
    own.servers.insert("a".into(), Default::default());
    let platform = Platform::new(servers, vec![tenant("eaton"), own]);
    for (who, what, session, want) in [
        ("eaton", "a", None, "a"),
        ("own", "a", None, "a@own"),
        ("eaton", "b", None, "b@eaton"),
        ("eaton", "c", Some(3), "c@eaton#3"),
    ] {
        let got = platform.router.instance_of(&who.into(), &what.into(), session);
        assert_eq!(got, Some(want.parse::<InstanceKey>().unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_catalog_is_remembered_and_hides_what_is_injected() {
    let mut platform = Platform::new(vec![injecting("etim")], vec![tenant("eaton")]);
    let (eaton, etim) = ("eaton".into(), "etim".into());
    let empty = platform.router.catalog(&eaton, &etim, false, None).await.unwrap();
    assert_eq!((empty.tools.as_str(), empty.listed_at), ("[]", None));
    assert!(platform.ends.demands.try_recv().is_err(), "looking does not wake");
    let (_, stdio) = platform.open("etim", Speaks::Legacy).await.unwrap();
    let full = platform.router.catalog(&eaton, &etim, false, None).await.unwrap();
    assert!(full.tools.contains("echo") && full.tools.contains("hang"), "all pages: {}", full.tools);
    assert!(!full.tools.contains("customer_id"), "{}", full.tools);
    assert_eq!(full.instructions.as_deref(), Some("be kind"));
    platform.router.catalog(&eaton, &etim, false, None).await.unwrap();
    assert_eq!(stdio.count("tools/list"), 2, "one listing of two pages");
    stdio.say.send(Say::Line(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.into())).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    platform.router.catalog(&eaton, &etim, false, None).await.unwrap();
    assert_eq!(stdio.count("tools/list"), 4);
    platform.router.set_state(&key("etim"), State::Dormant, "");
    platform.router.close(&key("etim"), "idle");
    let asleep = platform.router.catalog(&eaton, &etim, false, None).await.unwrap();
    assert!(asleep.tools.contains("echo") && asleep.listed_at.is_some());
    assert!(platform.router.catalog(&"abb".into(), &etim, false, None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_preview_is_what_is_sent() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    platform.router.catalog(&"eaton".into(), &"etim".into(), false, None).await.unwrap();
    let call = ConsoleCall {
        tenant: "eaton".into(),
        server: "etim".into(),
        method: Some("tools/call".to_owned()),
        body: r#"{"name":"echo","arguments":{"customer_id":"forged"}}"#.to_owned(),
        era: None,
        timeout_ms: None,
        origin: mcpdeck::model::call::Origin::Console,
        operator: mcpdeck::model::Operator {
            name: "anna".into(),
            face: mcpdeck::model::message::Face::Screen,
            pid: 1,
            grant: None,
        },
        confirm: None,
        keep: false,
    };
    let preview = platform.router.preview(&call);
    assert_eq!(preview.refused, None);
    assert!(preview.read_only_tool);
    assert_eq!(preview.arguments, [("customer_id".to_owned(), "eaton".to_owned())]);
    assert_eq!(preview.headers, [("x-customer-id".to_owned(), "eaton".to_owned())]);
    let after: serde_json::Value = serde_json::from_str(&preview.after).unwrap();
    let mut request = tool_call("eaton", "etim", "echo", json!({"customer_id": "forged"}));
    request.events = Some(tokio::sync::mpsc::channel(1).0);
    platform.call(request).await;
    let sent = stdio.heard.lock().unwrap().last().unwrap().clone();
    assert_eq!(after["params"]["arguments"], sent["params"]["arguments"]);
    assert_eq!(after["params"]["_meta"]["io.mcpdeck/tenant"], sent["params"]["_meta"]["io.mcpdeck/tenant"]);
    let missing = platform.router.preview(&ConsoleCall { server: "nope".into(), ..call });
    assert_eq!(missing.refused.as_deref(), Some("no server `nope`"));
}

#[tokio::test(start_paused = true)]
async fn what_a_call_said_is_kept_masked() {
    let (platform, _stdio) = Platform::with(Speaks::Legacy).await;
    platform.router.catalog(&"eaton".into(), &"etim".into(), false, None).await.unwrap();
    let arguments = json!({"password": "hunter2", "pin": "1234", "q": "pump"});
    let reply = platform.call(tool_call("eaton", "etim", "echo", arguments)).await;
    let detail = platform.router.detail(reply.record.id).unwrap();
    for side in [&detail.request, &detail.sent, &detail.response] {
        let text = side.as_deref().unwrap();
        assert!(text.contains("pump") && !text.contains("hunter2") && !text.contains("1234"), "{text}");
    }
    assert!(detail.sent.unwrap().contains("io.mcpdeck/tenant"));
    assert!(!detail.notes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_records_slows_or_loses_as_the_tenant_says() {
    let mut blocking = tenant("block");
    blocking.audit = AuditPolicy::Block;
    let mut platform = Platform::new(vec![server("etim")], vec![tenant("drop"), blocking]);
    platform.open("etim", Speaks::Legacy).await.unwrap();
    let mut calls = 0;
    while platform.router.figures().dropped_records == 0 {
        platform.call(tool_call("drop", "nope", "echo", json!({}))).await;
        calls += 1;
        assert!(calls < 100_000);
    }
    let router = platform.router.clone();
    let waiting = tokio::spawn(async move { router.call(tool_call("block", "etim", "echo", json!({}))).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    platform.ends.records.recv().await.unwrap();
    waiting.await.unwrap();
    assert_eq!(platform.router.figures().dropped_records, 1);
}

#[tokio::test]
async fn a_thousand_tenants_at_once() {
    let tenants: Vec<_> = (0..1000).map(|n| tenant(&format!("t{n}"))).collect();
    let platform = Platform::new(vec![injecting("etim")], tenants);
    let (_, _stdio) = platform.open("etim", Speaks::Legacy).await.unwrap();
    let mut calls = JoinSet::new();
    for n in 0..1000 {
        let router = platform.router.clone();
        calls.spawn(async move {
            let who = format!("t{n}");
            let reply = Reply::from(router.call(tool_call(&who, "etim", "echo", json!({"n": n}))).await);
            (who, n, reply)
        });
    }
    while let Some(done) = calls.join_next().await {
        let (who, n, reply) = done.unwrap();
        assert_eq!(reply.seen()["arguments"], json!({"n": n, "customer_id": who}), "{reply:?}");
        assert_eq!(reply.seen()["_meta"]["io.mcpdeck/tenant"]["id"], who.as_str());
    }
    let figures = platform.router.figures();
    assert_eq!((figures.total.calls, figures.by_tenant.len(), figures.by_instance.len()), (1000, 1000, 1));
}
