//! The pictures in `screenshots/`: every view, drawn from the made-up platform of the tests at its fixed time, so that each
//! run gives the same bytes. `.ci/renew` draws them anew.

use crate::screens_console::deck::{Deck, answered};
use crate::screens_console::{backlog, keys, log};
use crate::support::sample;
use mcpdeck::ui::app::Msg;
use mcpdeck::ui::picture::{Format, drawn};
use mcpdeck::ui::theme::{ColorMode, Theme};
use mcpdeck::ui::{Options, Page};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SIZE: (u16, u16) = (112, 30);
const README: &str = include_str!("../README.md");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots")
}

/// `view` with these keys pressed.
fn pressed(view: Page, keys: &str) -> Deck {
    let mut deck = Deck::with(view, SIZE, sample::rich(), dark);
    deck.keys(keys);
    deck
}

fn dark(options: &mut Options) {
    options.theme = Some("dark".to_owned());
    options.colors = ColorMode::True;
}

/// What a restart of a shared server in production would do, with half of its name typed.
fn confirm() -> Deck {
    let mut deck = pressed(Page::Servers, "");
    deck.judged = true;
    deck.keys(": s e r v e r <space> e t i m <enter> R e t");
    deck
}

fn console() -> Deck {
    let mut deck = keys::chosen(SIZE, "classify");
    deck.keys("<enter>").types("3-phase breaker").keys("<enter> <f5>");
    for chunk in answered("EC000042") {
        deck.chunk(chunk);
    }
    // It was opened without the colours of the others.
    let theme = Theme::load("dark", ColorMode::True).unwrap();
    deck.take(Msg::Theme(Ok(theme)));
    deck
}

fn all() -> Vec<(&'static str, Deck)> {
    let mut traffic = pressed(Page::Traffic, "");
    traffic.chunk(backlog(60));
    let mut logs = pressed(Page::Logs, "");
    logs.chunk(log());
    vec![
        ("overview", pressed(Page::Overview, "")),
        ("customers", pressed(Page::Customers, "")),
        ("customer", pressed(Page::Customers, "<enter>")),
        ("servers", pressed(Page::Servers, "")),
        ("containers", pressed(Page::Containers, "")),
        ("gpus", pressed(Page::Gpus, "")),
        ("console", console()),
        ("traffic", traffic),
        ("logs", logs),
        ("activity", pressed(Page::Activity, "")),
        ("confirm", confirm()),
        ("palette", pressed(Page::Servers, ": v a t t")),
        ("help", pressed(Page::Overview, "?")),
    ]
}

#[test]
fn every_picture_is_what_the_screen_draws() {
    let write = std::env::var("MCPDECK_SCREENSHOTS").is_ok_and(|word| word == "write");
    let mut names = BTreeSet::new();
    for (name, deck) in all() {
        let path = folder().join(name).with_extension("svg");
        let now = drawn(&deck.app, &deck.snapshot, deck.size, Format::Svg);
        if write {
            std::fs::write(&path, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == now, "{} shows another screen: .ci/renew draws all of them anew", path.display());
        names.insert(format!("{name}.svg"));
    }
    let there = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(there.collect::<BTreeSet<_>>(), names, "a picture that nobody draws");
    for shown in README.split("(screenshots/").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(names.contains(shown), "the README shows {shown}, which is not drawn");
    }
}
