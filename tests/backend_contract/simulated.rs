//! The scripted faults of simulated servers, on a paused clock.

use super::rig::{Pipes, SHORT, key, simulated};
use mcpdeck::backend::simulated::{SimulatedBackend, SimulatedOptions};
use mcpdeck::backend::{Backend, Plain, StartSpec, What};
use mcpdeck::model::secret::Secret;
use mcpdeck::model::server::{Limits, SimulatedFault, SimulatedRun};
use std::time::Duration;
use tokio::time::{Instant, advance, timeout};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"echo","arguments":{"text":"t"}}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":ID,"method":"tools/list"}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":ID,"method":"ping"}"#;

struct Bench {
    backend: SimulatedBackend,
    run: SimulatedRun,
    env: Vec<(String, Plain)>,
}

impl Bench {
    fn new(fault: Option<SimulatedFault>) -> Self {
        let run = simulated(fault.into_iter().collect());
        Self { backend: SimulatedBackend::new(SimulatedOptions::default()), run, env: Vec::new() }
    }

    fn spec(&self, name: &str) -> StartSpec {
        let what = What::Simulated(self.run.clone(), self.env.clone());
        StartSpec {
            key: key(name),
            what,
            data: "/nonexistent".into(),
            limits: Limits::default(),
            progress: Default::default(),
        }
    }

    async fn start(&self, name: &str) -> Pipes {
        Pipes::of(self.backend.start(self.spec(name)).await.unwrap().attached)
    }
}

/// The answer to a request, if one comes within a minute of the paused clock.
async fn ask(pipes: &mut Pipes, id: u32, request: &str) -> Option<String> {
    pipes.send_line(&request.replace("ID", &id.to_string())).await;
    let line = timeout(Duration::from_secs(60), pipes.line()).await.ok()?;
    assert!(line.contains(&format!("\"id\":{id},")), "{line}");
    Some(line)
}

#[tokio::test(start_paused = true)]
async fn a_hang_takes_calls_and_spares_probes_until_a_restart() {
    let bench = Bench::new(Some(SimulatedFault::HangAfter(Duration::from_secs(10))));
    let mut pipes = bench.start("etim").await;
    assert!(ask(&mut pipes, 1, CALL).await.is_some());
    advance(Duration::from_secs(11)).await;
    for (id, request, answered) in [(2, PING, true), (3, LIST, true), (4, CALL, false), (5, PING, true)] {
        assert_eq!(ask(&mut pipes, id, request).await.is_some(), answered, "{request}");
    }
    bench.backend.kill(&key("etim")).await.unwrap();
    let mut pipes = bench.start("etim").await;
    assert!(ask(&mut pipes, 6, CALL).await.is_some(), "a restart heals");
}

#[tokio::test(start_paused = true)]
async fn every_nth_call_fails() {
    let bench = Bench::new(Some(SimulatedFault::ErrorEvery(3)));
    let mut pipes = bench.start("etim").await;
    for id in 1..=9 {
        let failed = ask(&mut pipes, id, CALL).await.unwrap().contains("\"isError\":true");
        assert_eq!(failed, id % 3 == 0, "call {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_wrong_secret_is_unauthorised() {
    let fault = SimulatedFault::AuthUnless { secret: "TOKEN".into(), value: "new".into() };
    let text = |value: &str| Plain::Secret(Secret::new(value.to_owned()));
    for (name, env, refused) in [
        ("none", vec![], true),
        ("old", vec![("TOKEN".to_owned(), text("old"))], true),
        ("new", vec![("TOKEN".to_owned(), text("new"))], false),
    ] {
        let bench = Bench { env, ..Bench::new(Some(fault.clone())) };
        let answer = ask(&mut bench.start("etim").await, 1, CALL).await.unwrap();
        assert_eq!(answer.contains("401 Unauthorized"), refused, "{name}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_refuses_to_start_says_why() {
    let bench = Bench::new(Some(SimulatedFault::RefuseStart("no licence".into())));
    let refused = bench.backend.start(bench.spec("etim@eaton")).await.err().unwrap();
    assert_eq!(refused.to_string(), "cannot start `simulated etim@eaton`: no licence");
}

#[tokio::test(start_paused = true)]
async fn answers_come_after_the_same_waits_in_every_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut bench = Bench::new(None);
        (bench.run.latency, bench.run.start) = (Duration::from_millis(100), Duration::from_millis(500));
        let mut pipes = bench.start("etim").await;
        let mut waits = Vec::new();
        for id in 1..=40 {
            let asked = Instant::now();
            ask(&mut pipes, id, CALL).await.unwrap();
            waits.push(asked.elapsed());
        }
        assert!(waits[0] > Duration::from_millis(500), "the first waits for the start");
        let fast = waits[1..].iter().filter(|w| **w < Duration::from_millis(100)).count();
        assert!((8..32).contains(&fast), "{fast} of 39 below the median");
        runs.push(waits);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_answered() {
    let mut bench = Bench::new(None);
    bench.run.latency = Duration::from_secs(5);
    let mut pipes = bench.start("etim").await;
    pipes.send_line(&CALL.replace("ID", "1")).await;
    pipes.send_line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    assert!(ask(&mut pipes, 2, PING).await.is_some());
    assert!(timeout(Duration::from_secs(600), pipes.line()).await.is_err());
}

#[tokio::test]
async fn ten_thousand_run_at_once() {
    let bench = Bench::new(None);
    let names: Vec<_> = (0..10_000).map(|n| format!("s{}@t{}", n % 10, n / 10)).collect();
    let mut all = Vec::new();
    for name in &names {
        all.push(bench.start(name).await);
    }
    for pipes in &mut all {
        pipes.send(7).await;
    }
    for pipes in &mut all {
        assert!(pipes.answer().await.contains("\"id\":7"));
    }
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    assert_eq!(bench.backend.usage(&keys).await.len(), 10_000);
    for (key, mut pipes) in keys.iter().zip(all) {
        // Its stdin closes, the rest stays open until it has ended.
        drop(pipes.stdin.take());
        bench.backend.stop(key, super::rig::LONG, SHORT).await.unwrap();
    }
    assert_eq!(bench.backend.usage(&keys).await, []);
}
