//! Upstreams that are plain query endpoints: what they are sent, and how they look to MCP clients.

use super::fixture::*;
use crate::support::web::serve;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use mcpdeck::model::instance::Transport;
use mcpdeck::model::secret::Secret;
use mcpdeck::model::server::Via;
use mcpdeck::model::{Outcome, State};
use mcpdeck::router::{Connect, OpenError, Opened};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// Answers `/etim/query` by what the query says, `/health` always.
async fn endpoint() -> String {
    let url = serve(|request: Request<Incoming>| async move { answer(request).await }).await;
    url.trim_end_matches("/mcp").to_owned()
}

async fn answer(request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
    let (head, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
    let header = |name: &str| head.headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    let (status, text) = match (head.method, head.uri.path(), body["query"].as_str().unwrap_or_default()) {
        (Method::GET, "/health", _) => (200, "fine".to_owned()),
        (Method::POST, "/etim/query", "text") => (200, "two hits".to_owned()),
        (Method::POST, "/etim/query", "huge") => (200, "x".repeat(3 << 20)),
        (Method::POST, "/etim/query", "bad") => (422, r#"{"error":"say more"}"#.to_owned()),
        (Method::POST, "/etim/query", "401") => (401, "token expired".to_owned()),
        (Method::POST, "/etim/query", "503") => (503, "later".to_owned()),
        (Method::POST, "/etim/query", _) => {
            let seen = json!({"customer": header("x-customer-id"), "key": header("x-key"), "body": body});
            (200, seen.to_string())
        }
        _ => (404, "nothing here".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    response
}

fn platform() -> Platform {
    let mut def = server("etim");
    def.via = Via::Query;
    def.settings.timeout = Duration::from_secs(5);
    Platform::new(vec![def], vec![tenant("eaton"), tenant("abb")])
}

async fn open(platform: &Platform, url: &str) -> Result<Opened, OpenError> {
    let headers = vec![("X-Key".to_owned(), Secret::new("hunter2".to_owned()))];
    let opened = platform.router.open(&key("etim"), Connect::Query { url: url.to_owned(), headers }, options()).await?;
    platform.router.set_state(&key("etim"), State::Ready, "");
    Ok(opened)
}

#[tokio::test]
async fn a_query_is_sent_with_the_customer_of_its_caller() {
    let platform = platform();
    let opened = open(&platform, &endpoint().await).await.unwrap();
    assert_eq!((opened.transport, opened.server_info.as_deref()), (Transport::Query, Some("etim")));
    for who in ["eaton", "abb"] {
        let forged = json!({"query": "breakers", "customer_id": "victim",
            "context": {"lakehouse_path": "/lake/victim", "language": "de"}});
        let reply = platform.call(tool_call(who, "etim", "query", forged)).await;
        assert_eq!(reply.record.outcome, Outcome::Ok, "{reply:?}");
        let want = json!({"customer": who, "key": "hunter2", "body": {"query": "breakers", "customer_id": who,
            "context": {"lakehouse_path": format!("/lake/{who}"), "language": "de"}}});
        assert_eq!(reply.seen(), &want);
    }
}

#[tokio::test]
async fn mcp_clients_see_a_server_with_one_tool() {
    let platform = platform();
    open(&platform, &endpoint().await).await.unwrap();
    let catalog = platform.router.catalog(&"eaton".into(), &"etim".into(), false, None).await.unwrap();
    let tools: Value = serde_json::from_str(&catalog.tools).unwrap();
    assert_eq!((tools[0]["name"].as_str(), tools.as_array().unwrap().len()), (Some("query"), 1), "{tools}");
    assert_eq!(tools[0]["inputSchema"]["required"], json!(["query"]));
    for (request, code) in [
        (tool_call("eaton", "etim", "other", json!({"query": "x"})), -32602),
        (tool_call("eaton", "etim", "query", json!({"query": 7})), -32602),
        (tool_call("eaton", "etim", "query", json!({})), -32602),
        (method_call("eaton", "etim", "resources/list", json!({})), -32601),
    ] {
        let reply = platform.call(request).await;
        assert_eq!(reply.body["error"]["code"], code, "{reply:?}");
    }
    let ping = platform.call(method_call("eaton", "etim", "ping", json!({}))).await;
    assert_eq!(ping.body["result"], json!({}));
}

#[tokio::test]
async fn what_an_endpoint_says_has_an_outcome() {
    let platform = platform();
    open(&platform, &endpoint().await).await.unwrap();
    for (query, outcome, says) in [
        ("text", Outcome::Ok, "two hits"),
        ("bad", Outcome::Tool, "say more"),
        ("huge", Outcome::Protocol, "more than max_message"),
        ("401", Outcome::Auth, "401 Unauthorized: token expired"),
        ("503", Outcome::Transport, "503 Service Unavailable: later"),
    ] {
        let reply = platform.call(tool_call("eaton", "etim", "query", json!({"query": query}))).await;
        assert_eq!(reply.record.outcome, outcome, "{query}: {reply:?}");
        assert!(reply.body.to_string().contains(says), "{query}: {}", reply.body);
    }
}

#[tokio::test]
async fn its_health_is_asked_before_it_is_said_to_serve() {
    let platform = platform();
    let url = endpoint().await;
    let error = open(&platform, &format!("{url}/elsewhere")).await.unwrap_err();
    assert!(error.to_string().contains("/elsewhere/health answered 404"), "{error}");
    open(&platform, &url).await.unwrap();
    let facts = platform.router.probe(&key("etim"), Duration::from_secs(5)).await;
    assert_eq!((facts.alive, facts.lists, facts.error), (Some(true), Some(true), None));
}
