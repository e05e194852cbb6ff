//! Every view at four sizes on made-up platforms, as reviewed pictures; and at any size without a panic.

use crate::support::sample;
use mcpdeck::control::handle::Link;
use mcpdeck::model::stack::{StackOwner, StackRow, StackState};
use mcpdeck::model::text::is_direction;
use mcpdeck::model::{Environment, Snapshot, Stamp};
use mcpdeck::ui::app::{App, Msg};
use mcpdeck::ui::keymap::parse_keys;
use mcpdeck::ui::update::update;
use mcpdeck::ui::{Options, Page, picture};
use proptest::prelude::*;
use ratatui::buffer::{Buffer, Cell};
use std::sync::Arc;

const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];
const VIEWS: [Page; 5] = [Page::Overview, Page::Customers, Page::Servers, Page::Containers, Page::Activity];

/// A screen that shows `view` of `snapshot`.
fn open(view: Page, snapshot: &Snapshot, size: (u16, u16), change: impl FnOnce(&mut Options)) -> App {
    let mut options = Options { view, ..Options::plain() };
    change(&mut options);
    let mut app = App::new(&options, Link::Owner);
    for msg in [Msg::Tick(sample::NOW, 0), Msg::Resize(size.0, size.1), Msg::Snapshot] {
        update(&mut app, snapshot, msg);
    }
    app
}

fn shot(view: Page, snapshot: &Snapshot, size: (u16, u16)) -> String {
    picture::plain(&picture::paint(&open(view, snapshot, size, |_| ()), snapshot, size))
}

#[test]
fn views_of_a_rich_platform() {
    let snapshot = sample::rich();
    for view in VIEWS {
        for size in SIZES {
            insta::assert_snapshot!(format!("{}_{}x{}", view.name(), size.0, size.1), shot(view, &snapshot, size));
        }
    }
}

#[test]
fn views_of_an_empty_platform_say_what_to_do() {
    let snapshot = sample::empty();
    for view in VIEWS {
        insta::assert_snapshot!(format!("{}_empty", view.name()), shot(view, &snapshot, (80, 24)));
    }
}

#[test]
fn a_platform_of_stacks_alone_is_configured() {
    let mut snapshot = sample::empty();
    let row = StackRow {
        id: "web".into(),
        owner: StackOwner::Tenant("eaton".into()),
        environment: Environment::Lab,
        adopted: true,
        compose: None,
        state: StackState::Ready,
        reason: String::new(),
        parts: Vec::new(),
    };
    snapshot.stacks.push(row.into());
    let text = shot(Page::Overview, &snapshot, (80, 24));
    assert!(text.contains("nothing is wrong that mcpdeck can see"), "{text}");
}

#[test]
fn ascii_stays_ascii() {
    let mut snapshot = sample::rich();
    // A name is the operator's own; everything else is ours.
    snapshot.tenants.retain(|t| t.def.name.is_ascii());
    snapshot.containers.retain(|c| c.name.is_ascii());
    for view in VIEWS {
        let app = open(view, &snapshot, (120, 40), |o| o.ascii = true);
        let text = picture::plain(&picture::paint(&app, &snapshot, (120, 40)));
        assert!(text.is_ascii(), "{}: {:?}", view.name(), text.chars().filter(|c| !c.is_ascii()).collect::<String>());
    }
}

/// The first place where a text of somebody else would drive the terminal, turn a line around or pile up marks.
fn wild(buffer: &Buffer) -> Option<String> {
    let wild = |symbol: &str| symbol.len() > 32 || symbol.chars().any(|c| c.is_control() || is_direction(c));
    buffer.content.iter().map(Cell::symbol).find(|symbol| wild(symbol)).map(str::to_owned)
}

#[test]
fn names_of_others_stay_in_their_cells() {
    let mut snapshot = sample::rich();
    let name = format!("\u{202e}evil\u{202c} \u{1b}[31m e{} \u{1f469}\u{200d}\u{1f467} 漢字", "\u{301}".repeat(500));
    for tenant in &mut snapshot.tenants {
        Arc::make_mut(&mut Arc::make_mut(tenant).def).name.clone_from(&name);
    }
    for finding in &mut snapshot.findings {
        Arc::make_mut(finding).text.clone_from(&name);
    }
    for view in Page::ALL {
        for (size, keys) in SIZES.into_iter().flat_map(|size| ["", "<enter>", "t", ":", "c"].map(|keys| (size, keys))) {
            let mut app = open(view, &snapshot, size, |_| ());
            for key in parse_keys(keys).unwrap() {
                update(&mut app, &snapshot, Msg::Key(key));
            }
            let buffer = picture::paint(&app, &snapshot, size);
            assert_eq!(wild(&buffer), None, "{} {size:?} {keys}", view.name());
        }
    }
}

#[test]
fn a_lost_owner_is_said_and_the_last_state_stays() {
    let snapshot = sample::rich();
    let mut app = open(Page::Overview, &snapshot, (120, 40), |_| ());
    let since = Stamp(sample::NOW.0 - 30_000);
    update(&mut app, &snapshot, Msg::Link(Link::Lost { since, reason: "connection closed".into() }));
    let text = picture::plain(&picture::paint(&app, &snapshot, (120, 40)));
    assert!(
        text.contains("LOST the owner 30s ago, trying again; `mcpdeck serve` starts one. connection closed"),
        "{text}"
    );
    assert!(text.contains("genesys@vattenfall-de"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_size_is_too_strange(width in 1u16..220, height in 1u16..70, view in 0usize..Page::ALL.len()) {
        let snapshot = sample::rich();
        shot(Page::ALL[view], &snapshot, (width, height));
    }
}

#[test]
fn a_thousand_customers_draw_only_what_is_visible() {
    let snapshot = sample::many(1000);
    for view in VIEWS {
        let text = shot(view, &snapshot, (120, 40));
        assert!(text.lines().count() == 40, "{text}");
    }
}
