//! Upstreams over streamable HTTP: eras, sessions, headers, faults.

use super::context::{forgery, mentions_victim, message};
use super::fixture::*;
use super::web::{made_up, oracle};
use mcpdeck::model::message::CallEvent;
use mcpdeck::model::secret::Secret;
use mcpdeck::model::server::EraChoice;
use mcpdeck::model::{Era, Outcome, State};
use mcpdeck::router::{Connect, OpenError, Opened};
use proptest::prelude::*;
use rmcp::model::ProtocolVersion;
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc;

const MODERN: &[ProtocolVersion] = &[ProtocolVersion::V_2026_07_28];
const LEGACY: &[ProtocolVersion] = &[ProtocolVersion::V_2025_11_25];
const BOTH: &[ProtocolVersion] = &[ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28];

async fn open(platform: &Platform, url: &str, era: EraChoice) -> Result<Opened, OpenError> {
    let headers = vec![("Authorization".to_owned(), Secret::new("Bearer hunter2".to_owned()))];
    let mut options = options();
    options.era = era;
    let opened = platform.router.open(&key("etim"), Connect::Http { url: url.to_owned(), headers }, options).await?;
    platform.router.set_state(&key("etim"), State::Ready, "");
    Ok(opened)
}

fn platform() -> Platform {
    let mut def = injecting("etim");
    def.settings.timeout = Duration::from_secs(2);
    Platform::new(vec![def], vec![tenant("eaton"), tenant("abb")])
}

#[tokio::test]
async fn rmcp_servers_of_both_eras_understand_us() {
    for (versions, choice, era) in [
        (LEGACY, EraChoice::Auto, Era::Legacy),
        (MODERN, EraChoice::Auto, Era::Modern),
        (BOTH, EraChoice::Auto, Era::Modern),
        (BOTH, EraChoice::Legacy, Era::Legacy),
        (BOTH, EraChoice::Modern, Era::Modern),
    ] {
        let platform = platform();
        let opened = open(&platform, &oracle(versions).await, choice).await.unwrap();
        assert_eq!(opened.era, era, "{versions:?} {choice:?}");
        for who in ["eaton", "abb"] {
            let arguments = json!({"region": " é", "customer_id": "forged"});
            let reply = platform.call(tool_call(who, "etim", "echo", arguments)).await;
            assert_eq!(reply.record.outcome, Outcome::Ok, "{versions:?} {choice:?}: {reply:?}");
            let seen = reply.seen();
            assert_eq!(seen["arguments"]["customer_id"], who);
            assert_eq!(seen["_meta"]["io.mcpdeck/tenant"]["id"], who);
            assert_eq!(seen["headers"]["x-customer-id"], who);
            assert_eq!(seen["headers"]["authorization"], "Bearer hunter2");
            let modern = era == Era::Modern;
            assert_eq!(seen["headers"]["mcp-method"] == "tools/call", modern);
            assert_eq!(seen["headers"]["mcp-name"] == "echo", modern);
            assert_eq!(seen["headers"]["mcp-param-region"] == "=?base64?IMOp?=", modern, "{seen}");
            let detail = platform.router.detail(reply.record.id).unwrap();
            assert!(!detail.response.unwrap().contains("hunter2"), "a secret of ours is never shown");
        }
        let facts = platform.router.probe(&key("etim"), Duration::from_secs(5)).await;
        assert_eq!((facts.alive, facts.lists, facts.error), (Some(true), Some(true), None));
        let catalog = platform.router.catalog(&"eaton".into(), &"etim".into(), false, None).await.unwrap();
        assert!(catalog.tools.contains("region") && !catalog.tools.contains("customer_id"), "{}", catalog.tools);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn nobody_sees_the_context_of_another_in_headers_either(
        forgeries in prop::collection::vec((forgery(), any::<u32>(), any::<bool>()), 2..8),
        modern in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let platform = platform();
            open(&platform, &oracle(if modern { MODERN } else { LEGACY }).await, EraChoice::Auto).await.unwrap();
            let calls = forgeries.iter().enumerate().map(|(at, (forgery, mask, front))| {
                let (who, text) = (["eaton", "abb"][at % 2], message(forgery, *mask, *front));
                let router = platform.router.clone();
                tokio::spawn(async move { (who, Reply::from(router.call(raw_call(who, "etim", &text)).await), text) })
            });
            for call in calls.collect::<Vec<_>>() {
                let (who, reply, text) = call.await.unwrap();
                if reply.record.outcome != Outcome::Ok {
                    assert_eq!(reply.record.outcome, Outcome::Refused, "{text}: {}", reply.error());
                    continue;
                }
                let seen = reply.seen();
                assert_eq!(seen["headers"]["x-customer-id"], who, "{text}");
                assert_eq!(seen["headers"]["mcp-param-customer"] == who, modern, "{seen}");
                assert_eq!(seen["arguments"]["customer_id"], who, "{text}");
                assert_eq!(seen["_meta"]["io.mcpdeck/tenant"]["id"], who, "{text}");
                assert!(!mentions_victim(seen), "{text}: {seen}");
            }
        });
    }
}

#[tokio::test]
async fn a_connection_that_was_hung_up_on_while_it_rested_costs_no_call() {
    let platform = platform();
    let (url, log) = made_up().await;
    open(&platform, &url, EraChoice::Legacy).await.unwrap();
    for n in 1..=20 {
        let how = ["leaves at once", "leaves"][n % 2];
        let reply = platform.call(tool_call("eaton", "etim", how, json!({}))).await;
        assert_eq!(reply.record.outcome, Outcome::Ok, "{n}: {how}: {reply:?}");
        if how == "leaves" {
            log.leave();
        }
        log.leaves(n).await;
    }
}

#[tokio::test]
async fn an_era_can_be_pinned_for_one_call() {
    let platform = platform();
    open(&platform, &oracle(BOTH).await, EraChoice::Auto).await.unwrap();
    let mut request = tool_call("eaton", "etim", "echo", json!({}));
    request.era = Some(Era::Legacy);
    let reply = platform.call(request).await;
    assert_eq!((reply.record.outcome, reply.record.era), (Outcome::Ok, Some(Era::Legacy)), "{reply:?}");
    assert!(reply.seen()["headers"]["mcp-session-id"].is_string());
}

#[tokio::test]
async fn faults_have_a_clear_end() {
    for (tool, outcome, says) in [
        ("plain", Outcome::Ok, ""),
        ("stream", Outcome::Ok, ""),
        ("hang", Outcome::Timeout, "no answer within 2s"),
        ("silent", Outcome::Timeout, "no answer within 2s"),
        ("half stream", Outcome::Transport, "ended its stream before the answer"),
        ("half body", Outcome::Transport, "broke off"),
        ("reset", Outcome::Transport, "/mcp"),
        ("huge", Outcome::Protocol, "max_message = 1048576"),
        ("html", Outcome::Protocol, "content type `text/html`"),
        ("garbage", Outcome::Protocol, "no JSON-RPC answer"),
        ("wrong id", Outcome::Protocol, "answered request 999999"),
        ("401", Outcome::Auth, "401 Unauthorized: token expired"),
        ("500", Outcome::Transport, "500 Internal Server Error: out of memory"),
        ("redirect", Outcome::Transport, "redirects to http://example.invalid/"),
        ("headers", Outcome::Transport, "/mcp"),
    ] {
        let platform = platform();
        let (url, _log) = made_up().await;
        assert_eq!(open(&platform, &url, EraChoice::Auto).await.unwrap().era, Era::Legacy);
        let reply = platform.call(tool_call("eaton", "etim", tool, json!({}))).await;
        assert_eq!(reply.record.outcome, outcome, "{tool}: {reply:?}");
        assert!(reply.error().contains(says), "{tool}: {}", reply.error());
        let after = platform.call(tool_call("abb", "etim", "plain", json!({}))).await;
        assert_eq!(after.record.outcome, Outcome::Ok, "after {tool}: {after:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_the_url() {
    let platform = platform();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://user:pw@{}/mcp?key=hunter2", listener.local_addr().unwrap());
    drop(listener);
    let error = open(&platform, &url, EraChoice::Auto).await.unwrap_err();
    let OpenError::Transport(text) = error else { panic!("{error:?}") };
    assert!(text.contains("/mcp: cannot connect: ") && !text.contains("hunter2") && !text.contains("pw"), "{text}");
    for (url, says) in [("ws://x/", "give an http: URL"), ("/mcp", "begins with http:"), ("http://a b", "is no URL")] {
        let error = open(&platform, url, EraChoice::Auto).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn each_tenant_has_a_session_of_its_own() {
    let platform = platform();
    let (url, log) = made_up().await;
    open(&platform, &url, EraChoice::Auto).await.unwrap();
    for who in ["eaton", "abb", "eaton"] {
        platform.call(tool_call(who, "etim", "plain", json!({}))).await;
    }
    assert_eq!(log.sessions_of("tools/call"), ["s1", "s2", "s1"]);
    assert_eq!(log.count("POST", "initialize"), 3);
    platform.router.close(&key("etim"), "stopped");
    log.hears("DELETE", "").await;
}

#[tokio::test]
async fn a_forgotten_session_is_made_again_once() {
    let platform = platform();
    let (url, log) = made_up().await;
    open(&platform, &url, EraChoice::Auto).await.unwrap();
    let reply = platform.call(tool_call("eaton", "etim", "forgetful", json!({}))).await;
    assert_eq!(reply.record.outcome, Outcome::Ok, "{reply:?}");
    assert_eq!(log.sessions_of("tools/call"), ["s1", "s2"]);
}

#[tokio::test]
async fn streams_tell_progress_and_questions_are_declined() {
    let platform = platform();
    let (url, log) = made_up().await;
    open(&platform, &url, EraChoice::Auto).await.unwrap();
    let (events, mut seen) = mpsc::channel(64);
    let mut request = tool_call("eaton", "etim", "stream", json!({}));
    request.events = Some(events);
    assert_eq!(platform.call(request).await.record.outcome, Outcome::Ok);
    let (mut progress, mut logs) = (0, 0);
    while let Ok(event) = seen.try_recv() {
        progress += usize::from(matches!(event, CallEvent::Progress { percent: Some(50.0), .. }));
        logs += usize::from(matches!(event, CallEvent::Log { .. }));
    }
    assert_eq!((progress, logs), (1, 1));
    log.hears("POST", "").await;
}

#[tokio::test]
async fn a_call_given_up_is_cancelled_upstream() {
    let platform = platform();
    let (url, log) = made_up().await;
    open(&platform, &url, EraChoice::Auto).await.unwrap();
    for tool in ["hang", "silent"] {
        let reply = platform.call(tool_call("eaton", "etim", tool, json!({}))).await;
        assert_eq!(reply.record.outcome, Outcome::Timeout);
    }
    log.hears("POST", "notifications/cancelled").await;
    assert_eq!(platform.router.activity(&key("etim")).in_flight, 0);
}

#[tokio::test]
async fn headers_of_the_protocol_cannot_be_configured() {
    let platform = platform();
    let headers = vec![("Mcp-Session-Id".to_owned(), Secret::new("x".to_owned()))];
    let connect = Connect::Http { url: "http://127.0.0.1:1/".to_owned(), headers };
    let error = platform.router.open(&key("etim"), connect, options()).await.unwrap_err();
    assert!(error.to_string().contains("set by the router"), "{error}");
}
