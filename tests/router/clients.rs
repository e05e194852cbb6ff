//! Clients with sessions over servers on pipes: what is shared, what is a session's own, who hears what.

use super::fixture::{Platform, Say, Speaks, Stdio, injecting, key, options, server, tenant, tool_call};
use mcpdeck::model::message::{Face, Operator};
use mcpdeck::model::principal::Role;
use mcpdeck::model::server::Scope;
use mcpdeck::model::{InstanceKey, State};
use mcpdeck::router::{Client, ClientRequest, Endpoint, Hello, Message, Note, Outbox, Owner, Session, SessionLimits};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);
const LIMITS: SessionLimits = SessionLimits { all: 20_000, tenant: 10_000 };

fn message(value: &Value) -> Box<Message> {
    Message::of_client(&value.to_string().into()).unwrap()
}

fn owner(tenant: &str, server: &str) -> Owner {
    Owner { tenant: tenant.into(), principal: "p".into(), endpoint: Endpoint::Server(server.into()) }
}

fn begin(platform: &Platform, tenant: &str, server: &str) -> Arc<Session> {
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": { "sampling": {} },
        "clientInfo": { "name": "tester", "version": "1" } });
    let hello = message(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }));
    platform.router.begin_session(owner(tenant, server), Hello::read(&hello).unwrap(), LIMITS).unwrap()
}

fn asking(session: &Arc<Session>, method: &str, params: Value, outbox: &Arc<Outbox>) -> ClientRequest {
    ClientRequest {
        tenant: session.owner.tenant.clone(),
        principal: "p".into(),
        role: Role::Tenant,
        endpoint: session.owner.endpoint.clone(),
        client: Client::Legacy(session.clone()),
        message: message(&json!({ "jsonrpc": "2.0", "id": "c1", "method": method, "params": params })),
        outbox: Some(outbox.clone()),
    }
}

async fn ask(platform: &Platform, session: &Arc<Session>, method: &str, params: Value) -> Value {
    let served = platform.router.serve(asking(session, method, params, &Arc::default())).await;
    serde_json::from_slice(&served.body).unwrap_or_default()
}

/// What a call of this tool tells its client meanwhile.
async fn told(platform: &Platform, session: &Arc<Session>, tool: &str) -> Vec<Value> {
    let outbox = Arc::default();
    platform.router.serve(asking(session, "tools/call", json!({ "name": tool }), &outbox)).await;
    std::iter::from_fn(|| outbox.pop()).map(|message| serde_json::from_slice(&message).unwrap()).collect()
}

async fn next(session: &Session) -> Value {
    let message = timeout(PATIENCE, session.outbox.next()).await.expect("a notice in time");
    serde_json::from_slice(&message).unwrap()
}

#[tokio::test]
async fn callers_of_a_shared_pipe_are_asked_nothing_and_change_nothing_for_others() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    let session = begin(&platform, "eaton", "etim");
    let greeting = ask(&platform, &session, "initialize", json!({})).await;
    assert_eq!(greeting["result"]["protocolVersion"], "2025-06-18", "{greeting}");
    assert_eq!(greeting["result"]["instructions"], "be kind");
    assert_eq!(told(&platform, &session, "ask").await, Vec::<Value>::new());
    let refused = |m: &Value| m["id"] == "s1" && m["error"]["code"] == -32601;
    assert!(stdio.heard.lock().unwrap().iter().any(refused));
    assert_eq!(ask(&platform, &session, "logging/setLevel", json!({"level": "debug"})).await["result"], json!({}));
    assert_eq!((stdio.count("logging/setLevel"), stdio.count("initialize")), (0, 1));
}

#[tokio::test]
async fn injected_arguments_are_not_shown() {
    let (platform, _stdio) = Platform::with(Speaks::Legacy).await;
    let session = begin(&platform, "eaton", "etim");
    let list = ask(&platform, &session, "tools/list", json!({})).await;
    assert_eq!((&list["id"], &list["result"]["nextCursor"]), (&json!("c1"), &json!("two")));
    assert!(list["result"]["tools"][0]["name"] == "echo" && !list.to_string().contains("customer_id"), "{list}");
}

#[tokio::test]
async fn log_messages_of_a_pipe_reach_its_only_tenant_and_nobody_once_there_are_two() {
    let (platform, _stdio) = Platform::with(Speaks::Legacy).await;
    let (eaton, abb) = (begin(&platform, "eaton", "etim"), begin(&platform, "abb", "etim"));
    assert_eq!(told(&platform, &eaton, "log").await[0]["params"]["data"], "hi");
    assert_eq!(told(&platform, &abb, "log").await, Vec::<Value>::new());
    assert_eq!(told(&platform, &eaton, "log").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_child_of_its_own_knows_its_client_and_may_ask_it() {
    let mut def = server("own");
    def.scope = Scope::Session;
    let mut platform = Platform::new(vec![def], vec![tenant("eaton")]);
    let session = begin(&platform, "eaton", "own");
    let own = InstanceKey::of_session("own".into(), "eaton".into(), session.number);
    let (connect, stdio) = Stdio::start(Speaks::Legacy);
    platform.router.open(&own, connect, options()).await.unwrap();
    platform.router.set_state(&own, State::Ready, "");
    let hello = stdio.heard.lock().unwrap().iter().find(|m| m["method"] == "initialize").cloned().unwrap();
    assert_eq!(hello["params"]["capabilities"], json!({ "sampling": {} }));
    assert_eq!(hello["params"]["clientInfo"]["name"], "tester");
    let question = told(&platform, &session, "ask").await.remove(0);
    assert_eq!(question["method"], "sampling/createMessage");
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "model": "m" } });
    assert!(session.answered(&message(&answer)) && !session.answered(&message(&answer)), "once");
    let answered = async {
        while !stdio.heard.lock().unwrap().iter().any(|m| m["id"] == "s1" && m["result"]["model"] == "m") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, answered).await.expect("the answer arrives under the upstream's id");
    // The session's end is the child's.
    platform.router.end_session(&session);
    let over = async {
        loop {
            if let Some(Note::SessionOver { instance }) = platform.ends.notes.recv().await {
                return instance;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, over).await.expect("control is told"), own);
}

#[tokio::test]
async fn a_console_is_shown_the_lists_of_the_child_that_its_calls_go_to() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let mut def = server("own");
        def.scope = Scope::Session;
        let mut platform = Platform::new(vec![def], vec![tenant("eaton")]);
        let ana = Operator { name: "ana".into(), face: Face::Screen, pid: 7, grant: None };
        let (router, person) = (platform.router.clone(), ana.clone());
        let listed =
            tokio::spawn(async move { router.catalog(&"eaton".into(), &"own".into(), true, Some(&person)).await });
        let demand = timeout(PATIENCE, platform.ends.demands.recv()).await.expect("it is woken").unwrap();
        let (connect, stdio) = Stdio::start(speaks);
        platform.router.open(&demand.key, connect, options()).await.unwrap();
        platform.router.set_state(&demand.key, State::Ready, "");
        demand.reply.send(Ok(())).unwrap();
        let catalog = listed.await.unwrap().unwrap();
        assert!(catalog.tools.contains("echo") && catalog.error.is_none(), "{speaks:?}: {catalog:?}");
        // It was asked as for somebody who can be asked.
        let heard = |method: &str| stdio.heard.lock().unwrap().iter().find(|m| m["method"] == method).cloned().unwrap();
        let can = match speaks {
            Speaks::Modern => {
                heard("tools/list")["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"].clone()
            }
            _ => heard("initialize")["params"]["capabilities"].clone(),
        };
        assert!(can["elicitation"].is_object() && can["roots"].is_object(), "{speaks:?}: {can}");
        let call = tool_call("eaton", "own", "echo", json!({}));
        let reply = platform.router.call_of_person(call, &ana, &Arc::default()).await;
        assert_eq!(reply.record.instance.as_ref(), Some(&demand.key), "{speaks:?}: no other child is started");
    }
}

#[tokio::test]
async fn changes_reach_the_streams_of_a_shared_pipe_until_the_server_is_taken_away() {
    let servers = vec![injecting("etim")];
    let platform = Platform::new(servers.clone(), vec![tenant("eaton"), tenant("abb")]);
    let (_, stdio) = platform.open("etim", Speaks::Legacy).await.unwrap();
    let (eaton, abb) = (begin(&platform, "eaton", "etim"), begin(&platform, "abb", "etim"));
    eaton.subscribe("made://a");
    let (for_eaton, for_abb) = (platform.router.clone().feed(eaton.clone()), platform.router.clone().feed(abb.clone()));
    let (mut for_eaton, for_abb) = (tokio::spawn(for_eaton), tokio::spawn(for_abb));
    stdio.hears("resources/subscribe", 1).await;
    while platform.router.activity(&key("etim")).last.is_none() {
        tokio::task::yield_now().await;
    }
    let say = |method: &str, params: Value| {
        let line = json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string();
        stdio.say.send(Say::Line(line)).unwrap();
    };
    say("notifications/resources/updated", json!({ "uri": "made://a" }));
    say("notifications/resources/updated", json!({ "uri": "made://b" }));
    say("notifications/tools/list_changed", json!({}));
    assert_eq!(next(&eaton).await["params"]["uri"], "made://a");
    assert_eq!(next(&eaton).await["method"], "notifications/tools/list_changed");
    assert_eq!(next(&abb).await["method"], "notifications/tools/list_changed", "what it has subscribed to, no more");
    // The child is exchanged for another one: the subscription holds there, too.
    let (_, second) = platform.open("etim", Speaks::Legacy).await.unwrap();
    second.hears("resources/subscribe", 1).await;
    // The tenant loses the server: its stream ends, the other's does not.
    platform.set_table(servers, vec![tenant("abb")], false);
    timeout(PATIENCE, &mut for_eaton).await.expect("the stream ends").unwrap();
    assert!(!for_abb.is_finished());
    for_abb.abort();
}

#[tokio::test]
async fn ten_thousand_sessions_cost_little() {
    let (platform, _stdio) = Platform::with(Speaks::Legacy).await;
    let sessions: Vec<_> =
        (0..10_000).map(|n| begin(&platform, if n % 2 == 0 { "eaton" } else { "abb" }, "etim")).collect();
    assert_eq!(platform.router.session_count(), 10_000);
    let last = &sessions[9_999];
    assert!(platform.router.session(&last.id, &owner("abb", "etim")).is_some());
    assert!(platform.router.session(&last.id, &owner("eaton", "etim")).is_none());
    let list = ask(&platform, last, "tools/list", json!({})).await;
    assert!(list["result"]["tools"].is_array(), "{list}");
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(platform.router.reap_sessions(Duration::from_millis(1)), 10_000);
    assert_eq!(platform.router.session_count(), 0);
}
