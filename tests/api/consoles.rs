//! Consoles as clients of servers over HTTP: who is asked, and who hears of changes.

use super::upstream::{Speaks, Upstream};
use super::{Deck, with};
use crate::support::platform::PATIENCE;
use mcpdeck::model::call::Origin;
use mcpdeck::model::message::{CallEvent, ConsoleCall, Face, Operator};
use mcpdeck::model::snapshot::Gateway;
use mcpdeck::model::{Answer, Chunk, Feed, Outcome, Query, Refusal};
use mcpdeck::ui::console::request::curl_gateway;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

fn operator(pid: u32) -> Operator {
    Operator { name: "ana".into(), face: Face::Screen, pid, grant: None }
}

fn call(pid: u32, origin: Origin, method: &str, params: &Value) -> Feed {
    Feed::Call(Box::new(ConsoleCall {
        tenant: "eaton".into(),
        server: "up".into(),
        method: Some(method.to_owned()),
        body: params.to_string(),
        era: None,
        timeout_ms: None,
        origin,
        operator: operator(pid),
        confirm: None,
        keep: false,
    }))
}

/// The next step of a call that `wanted` knows.
async fn until<T>(stream: &mut Receiver<Chunk>, wanted: impl Fn(CallEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            match stream.recv().await.expect("a stream") {
                Chunk::Call(event) => {
                    if let Some(found) = wanted(event) {
                        return found;
                    }
                }
                Chunk::End(why) => panic!("it ended: {why:?}"),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, found).await.expect("it in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_asks_the_person_at_the_console_that_called_and_nobody_else() {
    let upstream = Upstream::start(Speaks::Legacy).await;
    let deck = Deck::start(&with(&upstream)).await;
    let handle = &deck.platform.handle;
    let mut stream = handle.follow(call(7, Origin::Console, "tools/call", &json!({ "name": "ask" })));
    let id = until(&mut stream, |event| match event {
        CallEvent::Question { id, method, params } => {
            assert_eq!((method.as_str(), params.as_str()), ("elicitation/create", r#"{"message":"name?"}"#));
            Some(id)
        }
        _ => None,
    })
    .await;
    let message = json!({ "jsonrpc": "2.0", "id": id, "result": { "action": "accept" } }).to_string();
    let reply = |pid| Query::Reply {
        tenant: "eaton".into(),
        server: "up".into(),
        operator: operator(pid),
        message: message.clone(),
    };
    assert!(matches!(handle.ask(reply(8)).await, Err(Refusal::NotFound(_))), "another console's answer is nobody's");
    assert_eq!(handle.ask(reply(7)).await, Ok(Answer::Replied));
    let body = until(&mut stream, |event| match event {
        CallEvent::Body(body) => Some(body),
        _ => None,
    })
    .await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    let seen = &answer["result"]["structuredContent"]["answer"];
    assert_eq!((&seen["id"], &seen["result"]["action"]), (&json!("q1"), &json!("accept")), "{body}");
    // Two calls of one console are made in one session, and what it is asked for it says.
    let sessions: Vec<_> =
        upstream.seen("initialize").iter().map(|seen| seen.message["params"]["capabilities"].clone()).collect();
    assert!(sessions.iter().any(|capabilities| capabilities["elicitation"]["form"].is_object()), "{sessions:?}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_is_never_asked() {
    let upstream = Upstream::start(Speaks::Legacy).await;
    let deck = Deck::start(&with(&upstream)).await;
    let mut stream = deck.platform.handle.follow(call(7, Origin::Cli, "tools/call", &json!({ "name": "ask" })));
    let body = until(&mut stream, |event| match event {
        CallEvent::Body(body) => Some(body),
        CallEvent::Question { .. } => panic!("it was asked"),
        _ => None,
    })
    .await;
    assert!(body.contains("does not offer"), "{body}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_server_knows_what_a_console_can_be_asked() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let deck = Deck::start(&with(&upstream)).await;
    let mut stream = deck.platform.handle.follow(call(7, Origin::Console, "tools/call", &json!({ "name": "input" })));
    let (body, outcome) = {
        let body = until(&mut stream, |event| match event {
            CallEvent::Body(body) => Some(body),
            _ => None,
        })
        .await;
        let outcome = until(&mut stream, |event| match event {
            CallEvent::Done(record) => Some(record.outcome),
            _ => None,
        })
        .await;
        (body, outcome)
    };
    assert!(body.contains("input_required") && outcome == Outcome::Ok, "{outcome}: {body}");
    let seen = upstream.seen("tools/call");
    let meta = &seen[0].message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert!(meta["elicitation"].is_object() && meta["sampling"].is_object(), "{meta}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_is_shown_the_tools_that_its_calls_find() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(speaks).await;
        upstream.offer_to_who_can_be_asked("confirm");
        let deck = Deck::start(&with(&upstream)).await;
        let shown = async |person: Option<Operator>| {
            let ask = Query::Catalog { tenant: "eaton".into(), server: "up".into(), wake: true, person };
            let Ok(Answer::Catalog(catalog)) = deck.platform.handle.ask(ask).await else {
                panic!("{speaks:?}: a catalog")
            };
            let tools: Value = serde_json::from_str(&catalog.tools).unwrap();
            let names = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        let plain = ["echo", "progress", "ask", "hang", "input"];
        // In either order: neither is told what was listed for the other.
        for _ in 0..2 {
            assert_eq!(shown(None).await, plain, "{speaks:?}: a command line has nobody to ask");
            assert_eq!(shown(Some(operator(7))).await, [&plain[..], &["confirm"]].concat(), "{speaks:?}");
        }
        deck.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_hears_of_changes_until_it_leaves_whatever_the_server_speaks() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let upstream = Upstream::start(speaks).await;
        let deck = Deck::start(&with(&upstream)).await;
        let wanted = json!({ "notifications": { "resourceSubscriptions": ["made://a"] } });
        let mut stream = deck.platform.handle.follow(call(7, Origin::Console, "subscriptions/listen", &wanted));
        let notice = |name: &'static str| {
            move |event| match event {
                CallEvent::Wire { sent: false, text, .. } if text.contains(name) => Some(text),
                _ => None,
            }
        };
        until(&mut stream, notice("notifications/subscriptions/acknowledged")).await;
        upstream.holds(1).await;
        upstream.say("notifications/resources/updated", &json!({ "uri": "made://a" }));
        let told = until(&mut stream, notice("notifications/resources/updated")).await;
        assert!(told.contains("made://a"), "{speaks:?}: {told}");
        drop(stream);
        deck.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_console_copies_as_curl_runs_as_it_is() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        return crate::support::skip("what_a_console_copies_as_curl_runs_as_it_is", "there is no curl");
    }
    let config = super::CONFIG.replace(r#"anonymous = { tenant = "eaton" }"#, r#"anonymous = { role = "operator" }"#);
    let deck = Deck::start(&config).await;
    let gateway = Gateway { url: format!("http://{}", deck.at()), open: true };
    let message = call_message(r#"{"query":"it's \"so\" $HOME"}"#);
    let line = curl_gateway(&gateway, &"eaton".into(), &"etim".into(), &message);
    let output = tokio::process::Command::new("/bin/sh").args(["-c", &line]).output().await.unwrap();
    let body = String::from_utf8_lossy(&output.stdout);
    let answer: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{line}\n{body}"));
    assert!(answer["result"].is_object() && body.contains("it's"), "{line}\n{body}");
    deck.end().await;
}

fn call_message(arguments: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"search","arguments":{arguments}}}}}"#)
}
