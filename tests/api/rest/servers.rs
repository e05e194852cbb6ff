//! `/servers`: S3.1, and the acts beside it.

use super::{Deck, EATON, OPERATOR, Value, call, config};
use mcpdeck::model::State;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn servers_start_and_stop_as_clients_of_on_demand_servers_expect() {
    let deck = Deck::start(&config(OPERATOR)).await;
    let (_, list) = deck.ask("GET /servers", "").await;
    assert_eq!(list[1], json!({ "name": "etim", "status": "stopped", "lastActivity": null }), "{list}");
    for (line, status, says, state) in [
        ("POST /servers/etim/start", 200, "success", State::Ready),
        ("POST /servers/etim/stop", 200, "success", State::Dormant),
        ("POST /servers/etim/stop?hold=true", 200, "success", State::Stopped),
        ("POST /servers/etim/wake", 409, "stopped by anonymous", State::Stopped),
        ("POST /servers/etim/sleep", 409, "held", State::Stopped),
        ("POST /servers/etim/release", 200, "success", State::Ready),
        ("POST /servers/etim/restart", 200, "success", State::Ready),
        ("POST /servers/etim/fence", 200, "success", State::Fenced),
        ("POST /servers/etim/unfence", 200, "success", State::Ready),
        ("POST /servers/etim/probe", 200, "success", State::Ready),
        ("POST /servers/etim/sleep", 200, "success", State::Dormant),
        ("POST /servers/etim/wake", 200, "success", State::Ready),
    ] {
        let (got, answer) = deck.ask(line, "").await;
        assert!(got == status && answer.to_string().contains(says), "{line}: {got} {answer}");
        assert_eq!(answer["success"].as_bool().unwrap_or(false), status == 200, "{line}: {answer}");
        deck.until("etim", state).await;
    }
    let (_, list) = deck.ask("GET /servers", "").await;
    assert_eq!((&list[1]["status"], list[1].as_object().unwrap().len()), (&json!("running"), 3), "{list}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_says_why() {
    let guard = "[guard.lab]\ndeny = { probe = \"others are in it\" }\n";
    let deck = Deck::start(&format!("{}{guard}", config(OPERATOR))).await;
    for (line, headers, status, says) in [
        ("POST /servers/etin/start", "", 404, "did you mean `etim`"),
        ("POST /servers/graf@nobody/start", "", 404, "no customer `nobody`"),
        // A name that is given must be the right one; the operator's role stands for typing it.
        ("POST /servers/law/stop?hold=true&confirm=lwa", "", 428, "needs ?confirm=law"),
        ("POST /servers/law/stop?hold=true", "", 200, "success"),
        ("POST /servers/etim/probe", "", 403, "probe is denied in lab: others are in it"),
        ("POST /servers/broken/start", "", 502, "no disk"),
        ("POST /servers/etim/start?hold=true", "", 400, "hold goes with stop"),
        ("POST /servers/etim/stop?hodl=true", "", 400, "unknown field `hodl`"),
        ("POST /servers/etim/dance", "", 404, "unknown variant `dance`"),
        ("GET /servers/etim/start", "", 405, "GET is not offered"),
        ("DELETE /servers", "", 405, "DELETE is not offered"),
        ("POST /servers/law/start", "X-Customer-ID: eaton\r\n", 404, "unknown server `law`"),
        // An operator who names a customer acts on that one's instances alone.
        ("POST /servers/etim/stop", "X-Customer-ID: eaton\r\n", 409, "etim is shared"),
        ("POST /servers/graf/start", "X-Customer-ID: Eaton Corp\r\n", 200, "graf@eaton"),
    ] {
        let (got, answer) = deck.ask(line, headers).await;
        assert!(got == status && answer.to_string().contains(says), "{line}: {got} {answer}");
        assert_eq!(answer.get("error").is_some(), status >= 400, "{line}: {answer}");
    }
    deck.until("graf@eaton", State::Ready).await;
    deck.until("graf@vatt", State::Dormant).await;
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sees_its_own_and_stops_nothing() {
    let deck = Deck::start(&config(EATON)).await;
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    let (_, list) = deck.ask("GET /servers", "").await;
    assert_eq!(names(&list), ["broken", "etim", "graf"]);
    for (line, status, says) in [
        ("POST /servers/etim/stop", 403, "operator's to do"),
        ("POST /servers/graf/start", 403, "operator's to do"),
        ("POST /servers/law/stop", 404, "unknown server `law`"),
        ("GET /servers/law/info", 404, "unknown server `law`"),
        ("POST /servers/graf@vatt/stop", 404, "no customer `vatt`"),
        ("GET /servers/graf@vatt/info", 404, "no customer `vatt`"),
        ("GET /servers/graf@vatt/logs", 404, "no customer `vatt`"),
        ("GET /api/journal", 403, "operator's to do"),
    ] {
        let (got, answer) = deck.ask(line, "X-Customer-ID: vatt\r\n").await;
        assert!(got == status && answer.to_string().contains(says), "{line}: {got} {answer}");
    }
    let (_, graf) = deck.ask("GET /servers/graf/info", "").await;
    assert_eq!(names(&graf["instances"]), ["graf@eaton"]);
    assert!(graf["instances"][0]["traffic"].is_object(), "{graf}");
    // What others share with it tells nothing of their traffic.
    let (_, etim) = deck.ask("GET /servers/etim/info", "").await;
    assert_eq!((&etim["instances"][0]["traffic"], &etim["price"]["currency"]), (&Value::Null, &json!("EUR")), "{etim}");
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_the_askers_own() {
    let deck = Deck::start(&config(OPERATOR)).await;
    let search = call("search", &json!({ "query": "x" }));
    let (status, _) = deck.tell("POST /mcp/etim", "X-Customer-ID: vatt\r\n", &search).await;
    assert_eq!(status, 200);
    let etim = |list: &Value| list.as_array().unwrap().iter().find(|row| row["name"] == "etim").unwrap().clone();
    let (_, vatt) = deck.ask("GET /servers", "X-Customer-ID: vatt\r\n").await;
    let (_, eaton) = deck.ask("GET /servers", "X-Customer-ID: eaton\r\n").await;
    assert!(etim(&vatt)["lastActivity"].is_string() && etim(&eaton)["lastActivity"].is_null(), "{vatt} {eaton}");
    deck.end().await;
}
