//! What the gateway takes beside nginx as a plain reverse proxy in front of the same upstream, in interleaved rounds:
//! requests per second at 32 connections, p50 at one, CPU a call; the same over one shared stdio child; memory after the
//! load, per idle session and per idle upstream. Credentials, tenant injection, metering and audit are on.
//! `cargo bench --bench gateway` prints one JSON line for each; it needs nginx. `ROUNDS` (6), `SECONDS` (2, per round and
//! way), `SESSIONS` (10000) and `MCPDECK` (the program to measure; by default the one of this profile) can be set.

#[path = "gateway/deck.rs"]
mod deck;
#[path = "gateway/echo.rs"]
mod echo;
#[path = "gateway/load.rs"]
mod load;
#[path = "gateway/process.rs"]
mod process;

use deck::Deck;
use load::{Figures, Target};
use process::{Nginx, Process};
use serde_json::json;
use std::time::Duration;

/// Connections of the first half of a round; the second has one.
const MANY: usize = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|a| a == echo::STDIO) {
        return echo::stdio();
    }
    if let Some(at) = arguments.iter().position(|a| a == echo::HTTP) {
        return echo::http(arguments.get(at + 1).expect("an address"));
    }
    let set = |name: &str, default: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = echo::spawn();
    let Some(nginx) = Nginx::start(folder.path(), upstream.address) else {
        return println!("nginx is not installed: nothing to compare with");
    };
    let deck = Deck::start(folder.path(), upstream.address);
    rounds(&nginx, &deck, set("ROUNDS", 6), Duration::from_secs(set("SECONDS", 2)));
    memory(&deck, set("SESSIONS", 10_000));
}

/// A way to the upstream, and what its rounds measured.
struct Way<'a> {
    name: &'static str,
    target: Target,
    process: &'a Process,
    taken: Vec<Taken>,
}

struct Taken {
    many: Figures,
    one: Figures,
    /// CPU of the process per call, in microseconds.
    cpu: f64,
}

fn rounds(nginx: &Nginx, deck: &Deck, rounds: u64, time: Duration) {
    let mut ways = [
        Way { name: "nginx, HTTP upstream", target: nginx.target(), process: &nginx.process, taken: Vec::new() },
        Way { name: "mcpdeck, HTTP upstream", target: deck.target("echo"), process: &deck.process, taken: Vec::new() },
        Way { name: "mcpdeck, stdio child", target: deck.target("pipe"), process: &deck.process, taken: Vec::new() },
    ];
    for way in &ways {
        load::run(&way.target, MANY, time / 4);
    }
    for _ in 0..rounds {
        for way in &mut ways {
            let before = way.process.cpu();
            let many = load::run(&way.target, MANY, time);
            let cpu = (way.process.cpu() - before).as_secs_f64() * 1e6 / many.calls.max(1) as f64;
            let one = load::run(&way.target, 1, time / 2);
            way.taken.push(Taken { many, one, cpu });
        }
    }
    let floor = &ways[0].taken;
    for way in &ways {
        let of = |f: &dyn Fn(&Taken) -> f64| median(way.taken.iter().map(f).collect());
        let paired =
            |f: &dyn Fn(&Taken) -> f64| median(way.taken.iter().zip(floor).map(|(a, b)| f(a) / f(b)).collect());
        let line = json!({
            "what": way.name,
            "requests_per_s": of(&|t| t.many.per_second()).round(),
            "of_nginx": two(paired(&|t| t.many.per_second())),
            "p99_ms": two(of(&|t| t.many.percentile(0.99))),
            "one_connection_p50_ms": three(of(&|t| t.one.percentile(0.5))),
            "p50_of_nginx": two(paired(&|t| t.one.percentile(0.5))),
            "cpu_us_per_call": two(of(&|t| t.cpu)),
            "bad": way.taken.iter().map(|t| t.many.bad + t.one.bad).sum::<u64>(),
        });
        println!("{line}");
    }
    println!(
        "{}",
        json!({"what": "resident after the load", "mib": two(deck.process.resident() as f64 / f64::from(1 << 20))})
    );
}

fn memory(deck: &Deck, sessions: u64) {
    let per = |what: &str, count: u64, begin: &dyn Fn()| {
        let before = deck.process.resident();
        begin();
        let grown = deck.process.resident().saturating_sub(before);
        println!("{}", json!({"what": what, "count": count, "kib_each": two(grown as f64 / 1024.0 / count as f64)}));
    };
    per("an idle upstream", deck::IDLE, &|| {
        (0..deck::IDLE).for_each(|n| load::once(&deck.target(&format!("idle-{n}"))))
    });
    per("an idle session", sessions, &|| (0..sessions).for_each(|_| load::begin_session(&deck.target("echo"))));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn two(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn three(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
