//! One customer who forges another in every place that a caller can write, while that other one works: nothing crosses.

use super::forgery::{Known, forge};
use super::line::{Answer, INITIALIZE, JSON, Line, post};
use crate::cli::deck::Deck;
use fastrand::Rng;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// Forged calls. A program that is not optimised needs half a millisecond for each: `.ci/run` asks for all of them.
const CALLS: usize = 100_000;
const CALLS_WHERE_SLOW: usize = 10_000;
const LIARS: usize = 4;
/// Requests that are sent before the first of their answers is read.
const AT_ONCE: usize = 50;

/// What only the victim has, and nobody writes.
const TREASURE: &str = "only-the-victim-knows";

const CONFIG: &str = r#"
[platform]
name = "test"
[api]
listen = ["127.0.0.1:0"]
[[server]]
id = "etim"
inject = { meta = true, arguments = { customer_id = "{tenant.id}" } }
run = { backend = "simulated", tools = ["echo"], latency = "0s" }
[[server]]
id = "own"
scope = "tenant"
inject = { meta = true, arguments = { customer_id = "{tenant.id}" } }
run = { backend = "simulated", tools = ["echo"], latency = "0s" }
[[server]]
id = "vault"
run = { backend = "simulated", tools = ["open"], latency = "0s" }
[[tenant]]
id = "liar"
enabled = ["etim", "own"]
[[tenant]]
id = "victim"
context = { lake = "/lake/only-the-victim-knows" }
enabled = ["etim", "own", "vault"]
"#;

/// What the called server says it was told: customer as argument, customer in `_meta`, the text.
fn told(answer: &Value) -> Option<(&Value, &Value, &Value)> {
    // An answer of several servers is made of parts; those that are asked for here are nobody's, and so errors.
    let said = answer["result"].get("structuredContent").filter(|said| said.get("parts").is_none())?;
    Some((&said["arguments"]["customer_id"], &said["meta"]["io.mcpdeck/tenant"]["id"], &said["arguments"]["text"]))
}

/// An answer without the route that its caller wished for itself: the server repeats whatever it is sent.
fn without_its_wish(mut answer: Value) -> Value {
    if let Some(Value::Object(meta)) = answer.pointer_mut("/result/structuredContent/meta") {
        meta.remove("io.mcpdeck/route");
    }
    answer
}

/// True if the answer is a call that was carried, as the liar and nobody else.
#[track_caller]
fn is_the_liars(request: &str, answer: &Answer, nonce: u64) -> bool {
    let all = || format!("{request}\n-> {} {}", answer.status, answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let shown = if body.is_null() { answer.body.clone() } else { without_its_wish(body.clone()).to_string() };
    assert!(!answer.body.contains(TREASURE) && !shown.contains("\"vault\""), "{}", all());
    assert!(matches!(answer.status, 200..=204 | 400..=409), "{}", all());
    let Some((argument, meta, text)) = told(&body) else {
        // Nothing but an error, an empty acceptance, or a list.
        return false;
    };
    assert_eq!((argument, meta), (&json!("liar"), &json!("liar")), "{}", all());
    assert_eq!(text, &json!(format!("n{nonce}")), "{}", all());
    true
}

/// Sends forged calls; gives how many of them were carried.
fn lie_for_a_while(at: SocketAddr, known: &Known, seed: u64, calls: usize) -> usize {
    let mut rng = Rng::with_seed(seed);
    let mut line = Line::open(at);
    let mut carried = 0;
    for round in 0..calls.div_ceil(AT_ONCE) {
        let first = seed << 32 | (round * AT_ONCE) as u64;
        let requests: Vec<_> = (first..).take(AT_ONCE).map(|nonce| (nonce, forge(&mut rng, known, nonce))).collect();
        line.send(requests.iter().map(|(_, request)| request.as_str()).collect::<String>());
        for (nonce, request) in &requests {
            let answer = line.answer().unwrap_or_else(|| panic!("hung up on: {request}"));
            carried += usize::from(is_the_liars(request, &answer, *nonce));
        }
    }
    carried
}

/// The victim works until told to stop: every one of its calls is its own, and none is lost.
fn work(at: SocketAddr, key: &str, session: &str, stop: &AtomicBool) -> usize {
    let mut line = Line::open(at);
    let headers = format!("{JSON}X-API-Key: {key}\r\n");
    let in_session = format!("{headers}Mcp-Session-Id: {session}\r\n");
    let mut calls = 0;
    while !stop.load(Relaxed) {
        let headers = if calls % 2 == 0 { &headers } else { &in_session };
        // The same ids that the liar uses, again and again.
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"v{calls}"}}}}}}"#
        );
        let answer = line.ask(post("/mcp/etim", headers, &body));
        let body = answer.json();
        let is = (&json!("victim"), &json!("victim"), &json!(format!("v{calls}")));
        assert_eq!((answer.status, told(&body)), (200, Some(is)), "{body}");
        calls += 1;
    }
    calls
}

#[test]
fn nothing_crosses_between_customers() {
    let deck = Deck::new(CONFIG);
    let (_serving, at) = deck.serve_http();
    let key = |tenant: &str| deck.run(&["keys", "create", "-t", tenant]).ok().out.trim().to_owned();
    let (liars_key, victims_key) = (key("liar"), key("victim"));
    let session = |key: &str| {
        let answer = Line::open(at).ask(post("/mcp/etim", &format!("{JSON}X-API-Key: {key}\r\n"), INITIALIZE));
        answer.header("mcp-session-id").unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    };
    let victims_session = session(&victims_key);
    let known = Known {
        session: session(&liars_key),
        victims_session: victims_session.clone(),
        victims_key: victims_key.rsplit_once('_').expect("an id and a secret").0.to_owned(),
        key: liars_key,
    };
    let asked = std::env::var("MCPDECK_BOUNDARY_CALLS").ok().and_then(|calls| calls.parse().ok());
    let calls = asked.unwrap_or(if cfg!(debug_assertions) { CALLS_WHERE_SLOW } else { CALLS });
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    let (carried, worked) = std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(at, &victims_key, &victims_session, &stop));
        let known = &known;
        let liar = |seed| scope.spawn(move || lie_for_a_while(at, known, seed, calls / LIARS));
        let liars: Vec<_> = (1..=LIARS as u64).map(liar).collect();
        let ended: Vec<_> = liars.into_iter().map(|liar| liar.join()).collect();
        stop.store(true, Relaxed);
        let carried: usize = ended.into_iter().map(|carried| carried.expect("no liar got through")).sum();
        (carried, worker.join().expect("the victim worked undisturbed"))
    });
    println!(
        "{calls} forged calls in {:?}: {carried} carried as the caller's own; {worked} of the victim",
        begun.elapsed()
    );
    assert!(carried > calls / 20 && worked > 0, "the lies were looked at: {carried} {worked}");
}
