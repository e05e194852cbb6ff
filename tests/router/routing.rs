//! Calls that name no server: where they go, when they go on to the next one, and when they must not.

use super::fixture::*;
use bytes::Bytes;
use mcpdeck::model::call::Origin;
use mcpdeck::model::principal::Role;
use mcpdeck::model::route::{Lead, RouteAsk, RouteRule, Routing};
use mcpdeck::model::server::{QueryTool, Via};
use mcpdeck::model::{Outcome, ServerDef, State};
use mcpdeck::router::{Connect, ROUTE_KEY, RoutedReply, RoutedRequest, RoutedWhat, Table, asked_in, with_meta};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A query endpoint on connections of one exchange each, so that it can go away.
struct Endpoint {
    url: String,
    queries: Arc<AtomicUsize>,
    serving: AbortHandle,
}

impl Endpoint {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let queries = Arc::new(AtomicUsize::new(0));
        let count = queries.clone();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                let mut piece = [0; 4096];
                // Head and body come together, or the head ends the request.
                while let Ok(n @ 1..) = stream.read(&mut piece).await {
                    request.extend_from_slice(&piece[..n]);
                    if request.starts_with(b"GET") || request.ends_with(b"}") {
                        break;
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                if text.starts_with("POST") {
                    count.fetch_add(1, SeqCst);
                }
                // Taken, perhaps carried out, and never answered.
                if text.contains("reset") {
                    continue;
                }
                let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, queries, serving: serving.abort_handle() }
    }

    fn queries(&self) -> usize {
        self.queries.load(SeqCst)
    }
}

/// Two servers, of which the second stands in for the first.
fn servers(change: impl Fn(&mut ServerDef)) -> Vec<Arc<ServerDef>> {
    let made = ["first", "second"].map(|id| {
        let mut def = server(id);
        def.settings.timeout = Duration::from_secs(5);
        change(&mut def);
        Arc::new(def)
    });
    made.to_vec()
}

fn table(servers: Vec<Arc<ServerDef>>, routing: Routing) -> Table {
    Table {
        tenants: vec![(Arc::new(tenant("eaton")), servers.iter().map(|s| s.id.clone()).collect())],
        servers,
        read_only: false,
        guards: Default::default(),
        routing: Arc::new(routing),
    }
}

fn platform(change: impl Fn(&mut ServerDef)) -> Platform {
    let platform = Platform::new(vec![], vec![]);
    let lead = Lead { target: "first".into(), confidence: 0.75, fallback: vec!["second".into()] };
    platform.router.set_table(table(servers(change), Routing { rules: Vec::new(), default: Some(lead) }));
    platform
}

async fn endpoints() -> (Platform, [Endpoint; 2]) {
    let platform = platform(|def| def.via = Via::Query);
    let both = [Endpoint::start().await, Endpoint::start().await];
    for (server, endpoint) in ["first", "second"].into_iter().zip(&both) {
        let connect = Connect::Query { url: endpoint.url.clone(), headers: Vec::new() };
        platform.router.open(&key(server), connect, options()).await.unwrap();
        platform.router.set_state(&key(server), State::Ready, "");
    }
    (platform, both)
}

fn asking(query: &str, what: RoutedWhat) -> RoutedRequest {
    RoutedRequest {
        tenant: "eaton".into(),
        ask: RouteAsk { query: query.to_owned(), ..RouteAsk::default() },
        what,
        timeout: None,
        origin: Origin::Cli,
        principal: "test".into(),
        role: None,
        events: None,
    }
}

async fn routed(platform: &Platform, query: &str, what: RoutedWhat) -> RoutedReply {
    platform.router.call_routed(asking(query, what)).await.unwrap()
}

async fn query(platform: &Platform, text: &str) -> RoutedReply {
    routed(platform, text, RoutedWhat::Query { context: String::new() }).await
}

/// Who answered, how, and who was passed over.
fn ended(reply: &RoutedReply) -> (&str, Outcome, Vec<&str>) {
    let passed = reply.passed_over.iter().map(|(server, _)| server.as_str()).collect();
    (reply.server.as_str(), reply.reply.record.outcome, passed)
}

#[tokio::test]
async fn an_answer_says_where_it_comes_from_and_why() {
    let (platform, _both) = endpoints().await;
    let reply = query(&platform, "breakers").await;
    assert_eq!(ended(&reply), ("first", Outcome::Ok, vec![]));
    let body: Value = serde_json::from_slice(&reply.body_with_meta()).unwrap();
    let want = json!({"target": "first", "server": "first", "by": "default", "confidence": 0.75,
        "reason": "default: nothing else matches"});
    assert_eq!(body["result"]["_meta"][ROUTE_KEY], want);
    assert_eq!(body["result"]["content"][0]["text"], "{}");
    assert_eq!(reply.header(), "first; confidence=0.75; reason=\"default: nothing else matches\"");
}

#[tokio::test]
async fn why_a_rule_leads_is_told_without_where_it_is_written() {
    let (platform, _both) = endpoints().await;
    let lead = Lead { target: "first".into(), confidence: 0.95, fallback: Vec::new() };
    let rule = RouteRule {
        context: Vec::new(),
        query: vec!["breakers".to_owned()],
        substring: false,
        lead,
        defined_at: "/etc/mcpdeck/deck.toml:12".to_owned(),
    };
    let ask = RouteAsk { query: "breakers".to_owned(), ..RouteAsk::default() };
    let routing = Routing { rules: vec![rule], default: None };
    platform.router.set_table(table(servers(|def| def.via = Via::Query), routing));
    let reply = query(&platform, "breakers").await;
    for told in [reply.meta(), reply.header()] {
        assert!(told.contains("rule 1: ") && told.contains("in the query") && !told.contains("deck.toml"), "{told}");
    }
    let preview = platform.router.preview_route(&"eaton".into(), &ask).unwrap();
    assert_eq!(preview.decision.defined_at.as_deref(), Some("/etc/mcpdeck/deck.toml:12"), "operators are told");
}

#[tokio::test]
async fn a_customer_is_not_told_why_one_that_is_shared_was_passed_over() {
    let (platform, _both) = endpoints().await;
    platform.router.set_state(&key("first"), State::Failed, "exited 3: the file of abb is locked");
    for (role, told) in [(Role::Tenant, "first has failed; its operators see why"), (Role::Operator, "file of abb")] {
        let request =
            RoutedRequest { role: Some(role), ..asking("breakers", RoutedWhat::Query { context: String::new() }) };
        let reply = platform.router.call_routed(request).await.unwrap();
        assert!(reply.passed_over[0].1.contains(told), "{:?}", reply.passed_over);
    }
}

#[tokio::test]
async fn what_is_out_of_rotation_or_failed_goes_over_at_once() {
    for state in [State::Fenced, State::Failed, State::Stopped] {
        let (platform, both) = endpoints().await;
        platform.router.set_state(&key("first"), state, "by a test");
        let reply = query(&platform, "breakers").await;
        assert_eq!(ended(&reply), ("second", Outcome::Ok, vec!["first"]), "{state}");
        assert!(reply.passed_over[0].1.contains("by a test"), "{:?}", reply.passed_over);
        assert!(reply.meta().contains("passed_over"));
        assert_eq!((both[0].queries(), both[1].queries()), (0, 1));
        // With nobody left, the refusal is the answer.
        platform.router.set_state(&key("second"), state, "as well");
        let reply = query(&platform, "breakers").await;
        assert_eq!(ended(&reply), ("second", Outcome::Refused, vec!["first"]), "{state}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_goes_over_and_then_its_breaker_opens() {
    let (platform, both) = endpoints().await;
    both[0].serving.abort();
    for _ in 0..5 {
        let reply = query(&platform, "breakers").await;
        assert_eq!(ended(&reply), ("second", Outcome::Ok, vec!["first"]));
        assert!(reply.passed_over[0].1.contains("cannot connect"), "{:?}", reply.passed_over);
    }
    let reply = query(&platform, "breakers").await;
    assert_eq!(reply.passed_over[0].1, "the breaker of first is open");
    let preview = platform.router.preview_route(&"eaton".into(), &RouteAsk::default()).unwrap();
    let breakers: Vec<_> = preview.candidates.iter().map(|c| c.breaker.split(' ').next().unwrap()).collect();
    assert_eq!(breakers, ["open", "closed"]);
    assert!(platform.router.open_breaker(&key("first")).is_some_and(|b| b.starts_with("open for")));
    // A call that names the server is not kept from it.
    let reply = platform.call(tool_call("eaton", "first", "query", json!({"query": "x"}))).await;
    assert_eq!(reply.record.outcome, Outcome::Transport);
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_done_again_only_if_it_does_no_harm() {
    // The tool of a query endpoint is marked read-only, once it was listed.
    let (platform, both) = endpoints().await;
    let reply = query(&platform, "reset").await;
    assert_eq!(ended(&reply), ("first", Outcome::Transport, vec![]), "not listed yet");
    platform.router.catalog(&"eaton".into(), &"first".into(), false, None).await.unwrap();
    let reply = query(&platform, "reset").await;
    assert_eq!(ended(&reply), ("second", Outcome::Transport, vec!["first"]));
    assert_eq!((both[0].queries(), both[1].queries()), (2, 1));

    let platform = platform_on_pipes().await;
    let call = |tool: &str| json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool}});
    let message = |tool: &str| RoutedWhat::Message(Bytes::from(call(tool).to_string()));
    let reply = routed(&platform.0, "", message("die")).await;
    assert_eq!(ended(&reply), ("first", Outcome::Transport, vec![]));
    assert_eq!(platform.1.count("tools/call"), 0, "the second server heard of it");
}

/// Both on pipes; the second's own end.
async fn platform_on_pipes() -> (Platform, Stdio) {
    let platform = platform(|def| {
        def.hints.query = Some(QueryTool { tool: "echo".to_owned(), argument: "text".to_owned() });
    });
    platform.open("first", Speaks::Legacy).await.unwrap();
    let (_, second) = platform.open("second", Speaks::Legacy).await.unwrap();
    (platform, second)
}

#[tokio::test]
async fn a_plain_query_calls_the_tool_that_its_server_names() {
    let (platform, _second) = platform_on_pipes().await;
    let context = json!({"lakehouse_path": "/forged"}).to_string();
    let reply = routed(&platform, "breakers", RoutedWhat::Query { context }).await;
    let body: Value = serde_json::from_slice(&reply.reply.body).unwrap();
    assert_eq!(body["result"]["structuredContent"]["arguments"], json!({"text": "breakers"}));

    let mute = self::platform(|_| {});
    let ask = RouteAsk { query: "x".to_owned(), ..RouteAsk::default() };
    let request = RoutedRequest {
        tenant: "eaton".into(),
        ask,
        what: RoutedWhat::Query { context: String::new() },
        timeout: None,
        origin: Origin::Http,
        principal: "test".into(),
        role: None,
        events: None,
    };
    let error = mute.router.call_routed(request).await.err().unwrap().error;
    assert!(error.contains("`second` answers no plain query: give it query = "), "{error}");
}

#[test]
fn routing_in_messages_is_read_and_written_without_touching_the_rest() {
    let body = Bytes::from_static(br#"{"id":1, "result":{"a":1.50,"_meta":{"x":1}}}"#);
    let got = with_meta(&body, "k", r#"{"y":2}"#);
    assert_eq!(got, Bytes::from_static(br#"{"id":1, "result":{"a":1.50,"_meta":{"x":1,"k":{"y":2}}}}"#));
    for same in [&br#"{"id":1,"error":{"code":1}}"#[..], b"{\"id\":1,\"result\":7}", b"nonsense", b"\xff"] {
        let body = Bytes::copy_from_slice(same);
        assert_eq!(with_meta(&body, "k", "{}"), body);
    }
    let message = json!({"params": {"_meta": {ROUTE_KEY: {"query": "q", "target": "t"}}}}).to_string();
    let want = RouteAsk { target: Some("t".to_owned()), context: String::new(), query: "q".to_owned() };
    assert_eq!(asked_in(message.as_bytes()).unwrap().unwrap().route, want);
    assert_eq!(asked_in(br#"{"params":{"name":"x"}}"#), None);
    let wrong = json!({"params": {"_meta": {ROUTE_KEY: {"query": 7}}}}).to_string();
    assert!(asked_in(wrong.as_bytes()).is_some_and(|ask| ask.is_err()));
}
