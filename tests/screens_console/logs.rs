//! Logs beyond following: values of JSON lines, 100,000 lines, saving.

use super::deck::Deck;
use super::log_line;
use mcpdeck::model::{Chunk, Feed};
use mcpdeck::ui::Page;
use mcpdeck::ui::app::Effect;

fn json_lines() -> Chunk {
    let line = |n: u64, text: &str| log_line(n, text);
    Chunk::Logs(vec![
        line(1, "plain text stays as it is"),
        line(2, r#"{"level":"info","msg":"started","port":7779}"#),
        line(3, r#"12:04 {"level":"error","msg":"no such class","error":{"code":9}}"#),
        line(4, r#"{"other":true}"#),
    ])
}

#[test]
fn of_json_lines_the_values_at_some_paths_are_shown() {
    for size in [(80, 24), (120, 40)] {
        let mut deck = Deck::open(Page::Logs, size);
        deck.chunk(json_lines()).keys(".").types(".level .msg .error.code").keys("<enter>");
        insta::assert_snapshot!(format!("logs_paths_{}x{}", size.0, size.1), deck.picture());
    }
    let mut deck = Deck::open(Page::Logs, (80, 24));
    deck.chunk(json_lines()).keys(".").types("level").keys("<enter>");
    assert!(deck.picture().contains("`level` is no path: write .key"), "{}", deck.picture());
    deck.keys(".").types(".msg").keys("<enter> k y");
    assert_eq!(
        deck.copied(),
        [r#"12:04 {"level":"error","msg":"no such class","error":{"code":9}}"#],
        "the whole line"
    );
    deck.keys("<esc>");
    assert!(deck.picture().contains("7779"), "esc shows whole lines again: {}", deck.picture());
}

#[test]
fn a_hundred_thousand_lines_are_held_searched_and_saved_and_what_went_is_said() {
    let mut deck = Deck::open(Page::Logs, (80, 24));
    for batch in 0..101u64 {
        let lines = (0..1_000).map(|n| log_line(n, &format!("line {} of many", batch * 1_000 + n))).collect();
        deck.chunk(Chunk::Logs(lines));
    }
    assert!(deck.picture().contains("100000 lines") && deck.picture().contains("1000 dropped"), "{}", deck.picture());
    deck.keys("g /").types("LINE 1777 of").keys("<enter>");
    assert!(deck.picture().contains("nothing holds"), "capitals are meant: {}", deck.picture());
    deck.keys("/").types("<").keys("<esc> /").types("line 1777 of").keys("<enter>");
    assert!(deck.picture().contains("line 1777 of many"), "{}", deck.picture());
    deck.keys("S");
    let Some(Effect::SaveLog { path, lines }) = deck.effects.last() else { panic!("nothing is saved") };
    assert_eq!((lines.len(), lines[0].text.as_str()), (100_000, "line 1000 of many"));
    assert!(path.ends_with("mcpdeck.log"), "{}", path.display());
}

#[test]
fn with_a_time_everything_since_then_is_asked_for() {
    let mut deck = Deck::open(Page::Logs, (80, 24));
    let tail = |deck: &Deck| match &deck.stream {
        Some((_, Feed::Logs { tail, since, .. })) => (*tail, since.is_some()),
        _ => panic!("no log is followed"),
    };
    assert_eq!(tail(&deck), (5_000, false));
    deck.keys("s").types("2h").keys("<enter>");
    assert_eq!(tail(&deck), (100_000, true));
}
