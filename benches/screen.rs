//! The cost of one `update` and one `draw`: a key, and a new snapshot, at 100, 1,000 and 10,000 instances; and at 100
//! and 1,000 containers. Then what a key waits for, with 1,000 customers, 10,000 instances and 1,000 calls a second; and
//! a key in 100,000 lines of log.

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/support/sample.rs"]
mod sample;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mcpdeck::control::handle::Link;
use mcpdeck::model::call::Origin;
use mcpdeck::model::message::{LogLine, LogSource, LogTarget};
use mcpdeck::model::{CallId, CallRecord, Chunk, Feed, Outcome};
use mcpdeck::ui::app::{App, Effect, Msg, Token};
use mcpdeck::ui::keymap::parse_keys;
use mcpdeck::ui::update::update;
use mcpdeck::ui::{Options, Page, draw};
use ratatui::Terminal;
use ratatui::backend::{CrosstermBackend, TestBackend};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn screen(c: &mut Criterion) {
    let mut group = c.benchmark_group("screen");
    for rows in [100, 1_000, 10_000] {
        let snapshot = sample::many(rows / 10);
        for view in [Page::Overview, Page::Servers] {
            let options = Options { view, ..Options::plain() };
            let mut app = App::new(&options, Link::Owner);
            let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("memory");
            for msg in [Msg::Tick(sample::NOW, 0), Msg::Resize(120, 40), Msg::Snapshot] {
                update(&mut app, &snapshot, msg);
            }
            // Unfold everything, so that every instance is a row.
            for key in parse_keys("=").expect("a key") {
                update(&mut app, &snapshot, Msg::Key(key));
            }
            let down = parse_keys("j").expect("a key")[0];
            group.bench_function(BenchmarkId::new(format!("{} key", view.name()), rows), |b| {
                b.iter(|| {
                    update(&mut app, &snapshot, Msg::Key(down));
                    terminal.draw(|frame| draw::draw(&app, &snapshot, frame)).map(drop)
                });
            });
            group.bench_function(BenchmarkId::new(format!("{} snapshot", view.name()), rows), |b| {
                b.iter(|| {
                    update(&mut app, &snapshot, Msg::Snapshot);
                    terminal.draw(|frame| draw::draw(&app, &snapshot, frame)).map(drop)
                });
            });
        }
    }
    for rows in [100, 1_000, 10_000] {
        // A letter of a filter over every row, and one in the palette over everything that has a name.
        for (what, keys) in [("filter key", "3 = /"), ("palette key", ":")] {
            let snapshot = sample::many(rows / 10);
            let mut app = App::new(&Options::plain(), Link::Owner);
            let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("memory");
            for msg in [Msg::Tick(sample::NOW, 0), Msg::Resize(120, 40), Msg::Snapshot] {
                update(&mut app, &snapshot, msg);
            }
            for key in parse_keys(keys).expect("keys") {
                update(&mut app, &snapshot, Msg::Key(key));
            }
            let letters = parse_keys("4 <backspace>").expect("keys");
            group.bench_function(BenchmarkId::new(what, rows), |b| {
                b.iter(|| {
                    for key in &letters {
                        update(&mut app, &snapshot, Msg::Key(*key));
                        terminal.draw(|frame| draw::draw(&app, &snapshot, frame)).map(drop).expect("memory");
                    }
                });
            });
        }
    }
    for containers in [100, 1_000] {
        let snapshot = sample::yard::many(containers);
        let options = Options { view: Page::Containers, ..Options::plain() };
        let mut app = App::new(&options, Link::Owner);
        let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("memory");
        for msg in [Msg::Tick(sample::NOW, 0), Msg::Resize(120, 40), Msg::Snapshot] {
            update(&mut app, &snapshot, msg);
        }
        let down = parse_keys("j").expect("a key")[0];
        group.bench_function(BenchmarkId::new("containers key", containers), |b| {
            b.iter(|| {
                update(&mut app, &snapshot, Msg::Key(down));
                terminal.draw(|frame| draw::draw(&app, &snapshot, frame)).map(drop)
            });
        });
        group.bench_function(BenchmarkId::new("containers snapshot", containers), |b| {
            b.iter(|| {
                update(&mut app, &snapshot, Msg::Snapshot);
                terminal.draw(|frame| draw::draw(&app, &snapshot, frame)).map(drop)
            });
        });
    }
    group.finish();
}

/// How long an operator presses keys in each view, and how often.
const PRESSING: Duration = Duration::from_secs(5);
const KEY_EVERY: Duration = Duration::from_millis(33);
/// Calls come in pieces, as the owner's stream brings them; a snapshot as often as data is drawn.
const CALLS_EVERY: Duration = Duration::from_millis(25);
const CALLS: u64 = 25;
const SNAPSHOT_EVERY: Duration = Duration::from_millis(250);
/// What p99 must stay below.
const BOUND: Duration = Duration::from_millis(16);

/// A sink that takes a frame's bytes as a terminal does.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl std::io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.clear();
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A screen on a large platform under full traffic, in the real time of its loop: one thread, keys before data.
struct Crowded {
    app: App,
    snapshot: mcpdeck::model::Snapshot,
    terminal: Terminal<CrosstermBackend<Bytes>>,
    feed: Option<Token>,
    calls: u64,
}

impl Crowded {
    fn open(view: Page) -> Self {
        let backend = CrosstermBackend::new(Bytes::default());
        let viewport = ratatui::Viewport::Fixed(ratatui::layout::Rect::new(0, 0, 120, 40));
        let terminal = Terminal::with_options(backend, ratatui::TerminalOptions { viewport }).expect("memory");
        let app = App::new(&Options { view, ..Options::plain() }, Link::Owner);
        let mut crowded = Self { app, snapshot: sample::many(1_000), terminal, feed: None, calls: 0 };
        for msg in [Msg::Tick(sample::NOW, 0), Msg::Resize(120, 40), Msg::Snapshot] {
            crowded.take(msg);
        }
        // The view holds as many calls as it ever does.
        (0..10_000 / CALLS).for_each(|_| crowded.traffic());
        crowded.draw();
        crowded
    }

    fn take(&mut self, msg: Msg) {
        for effect in update(&mut self.app, &self.snapshot, msg) {
            if let Effect::Follow(token, Feed::Traffic { .. }) = effect {
                self.feed = Some(token);
            }
        }
    }

    fn draw(&mut self) {
        self.take(Msg::Paint);
        let Self { app, snapshot, terminal, .. } = self;
        terminal.draw(|frame| draw::draw(app, snapshot, frame)).map(drop).expect("a sink takes everything");
    }

    fn traffic(&mut self) {
        let Some(token) = self.feed else { return };
        let calls = (self.calls..self.calls + CALLS).map(|n| Arc::new(call(n))).collect();
        self.calls += CALLS;
        self.take(Msg::Chunk(token, Chunk::Calls(calls)));
    }

    /// What each key waited from when it was pressed until its frame was written.
    fn press(&mut self) -> Vec<Duration> {
        let keys = parse_keys("j j j k G g j k").expect("keys");
        let began = Instant::now();
        let (mut next_key, mut next_calls, mut next_snapshot) = (KEY_EVERY, CALLS_EVERY, SNAPSHOT_EVERY);
        let mut waited = Vec::new();
        while began.elapsed() < PRESSING {
            if began.elapsed() >= next_key {
                self.take(Msg::Key(keys[waited.len() % keys.len()]));
                self.draw();
                waited.push(began.elapsed() - next_key);
                next_key += KEY_EVERY;
            } else if began.elapsed() >= next_calls {
                self.traffic();
                next_calls += CALLS_EVERY;
            } else if began.elapsed() >= next_snapshot {
                self.take(Msg::Snapshot);
                self.draw();
                next_snapshot += SNAPSHOT_EVERY;
            } else {
                let next = next_key.min(next_calls).min(next_snapshot);
                std::thread::park_timeout(next.saturating_sub(began.elapsed()));
            }
        }
        waited.sort_unstable();
        waited
    }
}

fn call(n: u64) -> CallRecord {
    let outcome = if n.is_multiple_of(20) { Outcome::Timeout } else { Outcome::Ok };
    CallRecord {
        id: CallId(n),
        at: sample::ago(0),
        tenant: format!("customer-{:04}", n % 1_000).as_str().into(),
        server: format!("server-{}", n % 10).as_str().into(),
        instance: None,
        method: "tools/call".into(),
        tool: Some(["search", "classify", "echo"][n as usize % 3].into()),
        outcome,
        took_us: 300 + n * 37 % 90_000,
        wake_us: 0,
        upstream_us: 300,
        request_bytes: 210,
        response_bytes: 1_100,
        era: None,
        origin: Origin::Http,
        principal: "agent".into(),
        role: None,
        error: outcome.is_error().then(|| "no answer within 30 s".to_owned()),
    }
}

/// Keys on a large platform under full traffic. Criterion tells means; what an operator feels is the slowest key of a
/// hundred.
fn crowded(_: &mut Criterion) {
    // Criterion's own words for a run that measures nothing.
    if std::env::args().any(|word| word == "--test" || word == "--list") {
        return;
    }
    for view in [Page::Overview, Page::Customers, Page::Servers, Page::Traffic] {
        let waited = Crowded::open(view).press();
        let at = |percent: usize| waited[(waited.len() * percent / 100).min(waited.len() - 1)];
        let verdict = if at(99) < BOUND { "" } else { ", over 16 ms" };
        let (median, p99, most) = (at(50), at(99), at(100));
        println!(
            "screen/{} key under 1,000 calls/s: median {median:.2?}, p99 {p99:.2?}, max {most:.2?}{verdict}",
            view.name()
        );
    }
}

/// A key, a search that finds nothing and a filter in a log as long as is held.
fn long_log(c: &mut Criterion) {
    let mut app = App::new(&Options { view: Page::Logs, ..Options::plain() }, Link::Owner);
    let snapshot = sample::many(10);
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("memory");
    let mut feed = None;
    for msg in [Msg::Tick(sample::NOW, 0), Msg::Resize(120, 40), Msg::Snapshot] {
        for effect in update(&mut app, &snapshot, msg) {
            if let Effect::Follow(token, _) = effect {
                feed = Some(token);
            }
        }
    }
    let line = |n: u64| LogLine {
        at: sample::ago(100 - n / 1_000),
        target: LogTarget::Deck,
        source: LogSource::Stderr,
        level: None,
        text: format!(
            "{n} classify_product took 43 ms for a customer whose name is somewhat long, cache cold, line {n}"
        ),
        run: 1,
    };
    let lines = (0..100_000).map(line).collect();
    update(&mut app, &snapshot, Msg::Chunk(feed.expect("a stream"), Chunk::Logs(lines)));
    let mut group = c.benchmark_group("log of 100,000 lines");
    for (what, before, keys) in [
        ("key", "", "k"),
        ("search that finds nothing", "/ z z z z <enter>", "N"),
        ("level, four times", "<esc>", "L L L L"),
    ] {
        for key in parse_keys(before).expect("keys") {
            update(&mut app, &snapshot, Msg::Key(key));
        }
        let keys = parse_keys(keys).expect("keys");
        group.bench_function(what, |b| {
            b.iter(|| {
                for key in &keys {
                    update(&mut app, &snapshot, Msg::Key(*key));
                }
                terminal.draw(|frame| draw::draw(&app, &snapshot, frame)).map(drop)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, screen, crowded, long_log);
criterion_main!(benches);
