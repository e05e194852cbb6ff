//! The cost of one `update` and one `draw`: a key, and a new snapshot, at 100, 1,000 and 10,000 instances; and at 100
//! and 1,000 containers.

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/support/sample.rs"]
mod sample;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mcpdeck::control::handle::Link;
use mcpdeck::ui::app::{App, Msg};
use mcpdeck::ui::keymap::parse_keys;
use mcpdeck::ui::update::update;
use mcpdeck::ui::{Options, Page, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

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

criterion_group!(benches, screen);
criterion_main!(benches);
