//! Upstreams on pipes: eras, faults, cancellation, timeouts.

use super::fixture::*;
use mcpdeck::model::message::CallEvent;
use mcpdeck::model::principal::Role;
use mcpdeck::model::{Era, Outcome, Scope, ServerDef, State};
use mcpdeck::router::{CallRequest, Note, OpenError};
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn the_era_is_found_by_asking() {
    for (speaks, want) in [
        (Speaks::Legacy, Ok(Era::Legacy)),
        (Speaks::Modern, Ok(Era::Modern)),
        (Speaks::Hints, Ok(Era::Modern)),
        (Speaks::Silent, Ok(Era::Legacy)),
        (Speaks::Version("2024-11-05"), Ok(Era::Legacy)),
        (Speaks::Exits, Err(OpenError::ExitedOnProbe)),
    ] {
        let platform = Platform::new(vec![server("s")], vec![]);
        let got = platform.open("s", speaks).await.map(|(opened, _)| opened.era);
        assert_eq!(got, want, "{speaks:?}");
    }
    let platform = Platform::new(vec![server("s")], vec![]);
    let refused = platform.open("s", Speaks::Version("2019-01-01")).await.map(|_| ()).unwrap_err();
    assert!(matches!(&refused, OpenError::Protocol(text) if text.contains("2019-01-01")), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_call_carries_the_tenant_and_nothing_else_changes() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let (platform, _stdio) = Platform::with(speaks).await;
        let text =
            r#"{"jsonrpc":"2.0", "method":"tools/call" ,"id":"a\"7","params":{"name":"echo","arguments":{"n":1.50}}}"#;
        let reply = platform.router.call(raw_call("eaton", "etim", text)).await;
        assert_eq!(reply.record.outcome, Outcome::Ok);
        let body = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(body.contains(r#""id":"a\"7""#), "the id comes back byte for byte: {body}");
        let reply: Reply = platform.call(raw_call("eaton", "etim", text)).await;
        let meta = &reply.seen()["_meta"];
        assert_eq!(
            meta["io.mcpdeck/tenant"],
            json!({"id": "eaton", "name": "Tenant \"eaton\"", "context": {"lakehouse_path": "/lake/eaton"}})
        );
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"].is_string(), speaks == Speaks::Modern);
        assert_eq!(reply.seen()["arguments"], json!({"n": 1.5, "customer_id": "eaton"}));
    }
}

#[tokio::test(start_paused = true)]
async fn faults_have_a_clear_end_and_hurt_nobody_else() {
    for (tool, arguments, outcome, says) in [
        ("die", json!({}), Outcome::Transport, "closed its standard output"),
        ("half", json!({}), Outcome::Transport, "closed its standard output"),
        ("hang", json!({}), Outcome::Timeout, "no answer within 30s"),
        ("garbage", json!({}), Outcome::Ok, ""),
        ("huge", json!({"bytes": 3_000_000}), Outcome::Protocol, "max_message is 1048576"),
        ("ask", json!({}), Outcome::Ok, ""),
        ("fail", json!({"text": "no such class"}), Outcome::Tool, "no such class"),
        ("fail", json!({"text": "HTTP 401: invalid API key"}), Outcome::Auth, "invalid API key"),
        ("error", json!({"code": -32603, "text": "boom"}), Outcome::Protocol, "boom (-32603)"),
        ("error", json!({"text": "Unauthorized"}), Outcome::Auth, "Unauthorized"),
        ("nothing", json!({}), Outcome::Protocol, "no tool nothing"),
    ] {
        let platform = Platform::new(vec![server("bad"), server("good")], vec![tenant("eaton"), tenant("abb")]);
        let _bad = platform.open("bad", Speaks::Legacy).await.unwrap();
        let _good = platform.open("good", Speaks::Legacy).await.unwrap();
        let reply = platform.call(tool_call("eaton", "bad", tool, arguments)).await;
        assert_eq!(reply.record.outcome, outcome, "{tool}: {reply:?}");
        assert!(reply.error().contains(says), "{tool}: {}", reply.error());
        let other = platform.call(tool_call("abb", "good", "echo", json!({}))).await;
        assert_eq!(other.record.outcome, Outcome::Ok, "{tool}");
        assert_eq!(platform.router.activity(&key("bad")).in_flight, 0);
        assert!(platform.router.pending().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_an_id_of_nobody_is_nobodys() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    let hang = |tenant: &str| {
        let (router, request) = (platform.router.clone(), tool_call(tenant, "etim", "hang", json!({})));
        tokio::spawn(async move { Reply::from(router.call(request).await) })
    };
    let first = hang("abb");
    stdio.hears("tools/call", 1).await;
    for line in [
        r#"{"jsonrpc":"2.0","id":"nonsense","result":{"of":"abb"}}"#,
        r#"{"jsonrpc":"2.0","id":123456789,"result":{"of":"abb"}}"#,
    ] {
        stdio.say.send(Say::Line(line.to_owned())).unwrap();
    }
    assert_eq!(first.await.unwrap().record.outcome, Outcome::Timeout);
    // Given up; what is said without an id now could be about it, and is not told to another tenant.
    let second = hang("eaton");
    stdio.hears("tools/call", 2).await;
    let late = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"the file of abb is locked"}}"#;
    stdio.say.send(Say::Line(late.to_owned())).unwrap();
    let reply = second.await.unwrap();
    assert_eq!((reply.record.outcome, reply.body["error"]["code"].as_i64()), (Outcome::Timeout, Some(-31504)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_many_things_at_once_is_answered_each() {
    let (_platform, stdio) = Platform::with(Speaks::Legacy).await;
    stdio.asks_and_is_answered(500).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_id_gets_that_of_the_only_call() {
    let (platform, _stdio) = Platform::with(Speaks::Legacy).await;
    let text = r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"nameless"}}"#;
    let reply = platform.call(raw_call("eaton", "etim", text)).await;
    assert_eq!((&reply.body["id"], &reply.body["error"]["code"]), (&json!("mine"), &json!(-32600)), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn a_customer_is_not_told_what_a_server_says_that_others_share() {
    for (scope, role, told) in [
        (Scope::Shared, Some(Role::Tenant), "etim cannot be reached; its operators see why"),
        (Scope::Shared, Some(Role::Operator), "it closed its standard output"),
        (Scope::Shared, None, "it closed its standard output"),
        (Scope::Tenant, Some(Role::Tenant), "it closed its standard output"),
    ] {
        let platform = Platform::new(vec![ServerDef { scope, ..server("etim") }], vec![tenant("eaton")]);
        let instance = match scope {
            Scope::Tenant => "etim@eaton".parse().unwrap(),
            _ => key("etim"),
        };
        let (connect, _stdio) = Stdio::start(Speaks::Legacy);
        platform.router.open(&instance, connect, options()).await.unwrap();
        platform.router.set_state(&instance, State::Ready, "");
        let call = |tool| CallRequest { role, ..tool_call("eaton", "etim", tool, json!({})) };
        let reply = platform.call(call("die")).await;
        assert_eq!(reply.body["error"]["message"], told, "{scope:?} {role:?}");
        assert_eq!(reply.error(), "it closed its standard output", "the record has it");
        // Who holds it is for everybody to know; the last words of one that failed are not.
        platform.router.set_state(&instance, State::Fenced, "by ana");
        let held = platform.call(call("echo")).await.body.to_string();
        assert!(held.contains("is fenced: by ana"), "{held}");
        platform.router.set_state(&instance, State::Failed, "exited 3: the file of abb is locked");
        let failed = platform.call(call("echo")).await.body.to_string();
        assert_eq!(failed.contains("abb"), told.starts_with("it closed"), "{scope:?} {role:?}: {failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_the_server_says_is_masked_in_what_is_kept() {
    let (platform, _stdio) = Platform::with(Speaks::Legacy).await;
    let text = format!("bad key {SECRET}");
    for tool in ["fail", "error"] {
        let reply = platform.call(tool_call("eaton", "etim", tool, json!({"code": 1, "text": text}))).await;
        assert!(reply.body.to_string().contains(SECRET), "the caller gets the answer as it is");
        assert!(reply.error().contains("bad key •••"), "{}", reply.error());
    }
    let reply = platform.call(tool_call("eaton", "etim", "echo", json!({"text": text}))).await;
    platform.router.close(&key("etim"), "asleep");
    let kept = platform.router.detail(reply.record.id).unwrap();
    assert!(!format!("{kept:?}").contains(SECRET), "still masked when the connection is gone");
}

#[tokio::test]
async fn a_line_of_100_megabytes_is_dropped_and_the_connection_lives() {
    let (mut platform, _stdio) = Platform::with(Speaks::Legacy).await;
    let router = platform.router.clone();
    // Two at once, so that it cannot be told by being alone: the id at the line's front says whose it was.
    let hanging =
        tokio::spawn(async move { Reply::from(router.call(tool_call("abb", "etim", "hang", json!({}))).await) });
    let reply = platform.call(tool_call("eaton", "etim", "huge", json!({"bytes": 100_000_000}))).await;
    assert_eq!(reply.record.outcome, Outcome::Protocol, "{reply:?}");
    let reply = platform.call(tool_call("eaton", "etim", "echo", json!({}))).await;
    assert_eq!(reply.record.outcome, Outcome::Ok);
    assert!(!hanging.is_finished());
    hanging.abort();
    let mut garbage = 0;
    while let Ok(note) = platform.ends.notes.try_recv() {
        garbage += usize::from(matches!(note, Note::Garbage { .. }));
    }
    assert_eq!(garbage, 1);
}

#[tokio::test(start_paused = true)]
async fn everybody_hears_at_once_that_the_child_died() {
    let (mut platform, stdio) = Platform::with(Speaks::Legacy).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let router = platform.router.clone();
            tokio::spawn(async move { router.call(tool_call("eaton", "etim", "hang", json!({}))).await })
        })
        .collect();
    stdio.hears("tools/call", 50).await;
    assert_eq!(platform.router.activity(&key("etim")).in_flight, 50);
    let died = Instant::now();
    stdio.say.send(Say::Close).unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap().record.outcome, Outcome::Transport);
    }
    assert!(died.elapsed() < Duration::from_millis(100));
    while !matches!(platform.ends.notes.recv().await.unwrap(), Note::Closed { .. }) {}
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_is_cancelled_upstream() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    // By timeout.
    let reply = platform.call(tool_call("eaton", "etim", "hang", json!({}))).await;
    assert_eq!(reply.record.outcome, Outcome::Timeout);
    stdio.hears("notifications/cancelled", 1).await;
    // By an operator.
    let router = platform.router.clone();
    let call = tokio::spawn(async move { router.call(tool_call("eaton", "etim", "hang", json!({}))).await });
    stdio.hears("tools/call", 2).await;
    assert!(platform.router.cancel(platform.router.pending()[0].id));
    assert_eq!(call.await.unwrap().record.outcome, Outcome::Cancelled);
    stdio.hears("notifications/cancelled", 2).await;
    // By dropping it.
    let router = platform.router.clone();
    let call = tokio::spawn(async move { router.call(tool_call("eaton", "etim", "hang", json!({}))).await });
    stdio.hears("tools/call", 3).await;
    call.abort();
    stdio.hears("notifications/cancelled", 3).await;
    let heard = stdio.heard.lock().unwrap();
    let ids = |method: &str, at: &str| -> Vec<_> {
        heard.iter().filter(|m| m["method"] == method).map(|m| m.pointer(at).unwrap().clone()).collect()
    };
    assert_eq!(ids("tools/call", "/id"), ids("notifications/cancelled", "/params/requestId"));
    drop(heard);
    assert_eq!(platform.router.activity(&key("etim")).in_flight, 0);
    assert!(platform.router.pending().is_empty());
    assert!(!platform.router.cancel(mcpdeck::model::CallId(999)));
}

#[tokio::test(start_paused = true)]
async fn progress_extends_the_timeout_up_to_its_cap() {
    let (platform, _stdio) = Platform::with(Speaks::Legacy).await;
    let (events, mut seen) = mpsc::channel(64);
    let mut request = tool_call("eaton", "etim", "progress", json!({"steps": 5}));
    request.events = Some(events);
    let reply = platform.call(request).await;
    assert_eq!(reply.record.outcome, Outcome::Ok, "{reply:?}");
    assert!(reply.record.took_us >= 100_000_000);
    let mut percents = Vec::new();
    while let Ok(event) = seen.try_recv() {
        if let CallEvent::Progress { percent, .. } = event {
            percents.push(percent.unwrap());
        }
    }
    assert_eq!(percents, [20.0, 40.0, 60.0, 80.0, 100.0]);
    let mut request = tool_call("eaton", "etim", "progress", json!({"steps": 1000}));
    request.events = Some(mpsc::channel(1).0);
    let reply = platform.call(request).await;
    assert_eq!(reply.record.outcome, Outcome::Timeout);
    assert!((600_000_000..610_000_000).contains(&reply.record.took_us), "{}", reply.record.took_us);
}

#[tokio::test(start_paused = true)]
async fn log_messages_belong_to_the_only_call() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    let (events, mut seen) = mpsc::channel(64);
    let mut request = tool_call("eaton", "etim", "log", json!({}));
    request.events = Some(events);
    platform.call(request).await;
    let mut texts = Vec::new();
    while let Ok(event) = seen.try_recv() {
        if let CallEvent::Log { text, .. } = event {
            texts.push(text);
        }
    }
    assert_eq!(texts, ["hi"]);
    let mut notes = platform.ends.notes;
    stdio
        .say
        .send(Say::Line(
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":{"a":1}}}"#.into(),
        ))
        .unwrap();
    loop {
        if let Some(Note::Log { text, level, .. }) = notes.recv().await {
            assert_eq!((level.as_str(), text.as_str()), ("error", r#"{"a":1}"#));
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn raw_messages_are_sent_as_far_as_that_is_safe() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    for (text, outcome) in [
        ("{\"jsonrpc\":\"2.0\",\n\"id\":1,\r\n\"method\":\"ping\"}", Outcome::Ok),
        (r#"{"jsonrpc":"2.0","id":1,"method":"nope"}"#, Outcome::Protocol),
        ("this is no JSON", Outcome::Protocol),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, Outcome::Protocol),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Outcome::Refused),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0","id":2,"method":"ping"}"#, Outcome::Refused),
        (r#"{"jsonrpc":"2.0","id":{"odd":1},"method":"ping"}"#, Outcome::Ok),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, Outcome::Refused),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, Outcome::Refused),
        (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#, Outcome::Refused),
        (r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#, Outcome::Ok),
        (r#"{"jsonrpc":"2.0","id":5,"method":"initialize","params":{}}"#, Outcome::Ok),
    ] {
        let reply = platform.call(raw_call("eaton", "etim", text)).await;
        assert_eq!(reply.record.outcome, outcome, "{text}: {reply:?}");
    }
    assert_eq!(stdio.count("initialize"), 1, "the shared session is never initialised again");
    assert_eq!(stdio.count("notifications/cancelled"), 0);
}

#[tokio::test(start_paused = true)]
async fn probes_are_no_activity() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    let facts = platform.router.probe(&key("etim"), Duration::from_secs(5)).await;
    assert_eq!((facts.alive, facts.initialises, facts.lists, facts.failures), (Some(true), Some(true), Some(true), 0));
    assert_eq!(platform.router.activity(&key("etim")).last, None);
    assert_eq!(stdio.count("initialize"), 1);
    stdio.say.send(Say::Close).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let facts = platform.router.probe(&key("etim"), Duration::from_secs(5)).await;
    assert_eq!((facts.alive, facts.error.as_deref()), (Some(false), Some("not connected")));
}

#[tokio::test(start_paused = true)]
async fn a_closed_instance_fails_its_calls_with_the_reason() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    let router = platform.router.clone();
    let call = tokio::spawn(async move { router.call(tool_call("eaton", "etim", "hang", json!({}))).await });
    stdio.hears("tools/call", 1).await;
    platform.router.set_state(&key("etim"), State::Stopping, "stopped by anna");
    platform.router.close(&key("etim"), "stopped by anna");
    let reply = Reply::from(call.await.unwrap());
    assert_eq!((reply.record.outcome, reply.error()), (Outcome::Transport, "stopped by anna"));
}

#[tokio::test(start_paused = true)]
async fn an_era_can_be_pinned_for_one_call() {
    let (platform, stdio) = Platform::with(Speaks::Modern).await;
    for _ in 0..2 {
        let mut request = tool_call("eaton", "etim", "echo", json!({}));
        request.era = Some(Era::Legacy);
        let reply = platform.call(request).await;
        assert_eq!((reply.record.outcome, reply.record.era), (Outcome::Ok, Some(Era::Legacy)), "{reply:?}");
        assert!(reply.seen()["_meta"]["io.modelcontextprotocol/protocolVersion"].is_null());
    }
    assert_eq!(stdio.count("initialize"), 1);
}
