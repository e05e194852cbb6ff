//! Guardrails and credentials on the screen: what one sees of them before and when one acts.

use crate::screens_console::deck::Deck;
use crate::support::sample;
use mcpdeck::model::guard::{Cap, Guard};
use mcpdeck::model::{Environment, Snapshot};
use mcpdeck::ui::Page;
use std::sync::Arc;

const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

/// A platform whose production denies kills, and whose Vattenfall may not be restarted.
fn guarded() -> Snapshot {
    let mut snapshot = sample::rich();
    let deny = |verb: &str, why: &str| [(verb.to_owned(), why.to_owned())].into();
    let platform = Arc::make_mut(&mut snapshot.platform);
    let cap = Some(Cap { instances: 1, reason: "one zone at a time".to_owned() });
    let production = Guard { deny: deny("kill", "it loses what was not saved"), bulk_cap: cap, read_only: None };
    platform.guards.0.insert(Environment::Production, production);
    for tenant in &mut snapshot.tenants {
        if tenant.def.id.as_str() == "vattenfall-de" {
            let def = &mut Arc::make_mut(tenant).def;
            Arc::make_mut(def).guard.deny = deny("restart", "their batch runs at night");
        }
    }
    for row in &mut snapshot.instances {
        Arc::make_mut(row).environment = Environment::Production;
    }
    snapshot
}

fn open(page: Page, size: (u16, u16), snapshot: Snapshot) -> Deck {
    let mut deck = Deck::with(page, size, snapshot, |_| ());
    deck.judged = true;
    deck
}

#[test]
fn a_guardrail_says_why_where_one_acts_and_where_one_looks() {
    for size in SIZES {
        let name = |what: &str| format!("{what}_{}x{}", size.0, size.1);
        let mut deck = open(Page::Servers, size, guarded());
        deck.keys("j j R");
        insta::assert_snapshot!(name("denied"), deck.picture());
        assert!(deck.keys("y <enter>").ran().is_empty(), "no key does it");
        deck.keys("<esc> X");
        assert!(deck.picture().contains("kill is denied in production: it loses what was not saved"));
        // Several that are fine alone are too many together.
        deck.keys("<esc> k <space> <space> x");
        insta::assert_snapshot!(name("too_many"), deck.picture());
        let mut deck = open(Page::Customers, size, guarded());
        deck.keys(": v a t t e n <enter> <enter> <right>");
        insta::assert_snapshot!(name("customer"), deck.picture());
    }
}

#[test]
fn a_credential_is_rolled_from_an_instance_that_holds_an_older_one() {
    for size in SIZES {
        let mut snapshot = sample::rich();
        let mut secret = (*snapshot.secrets[0]).clone();
        secret.tenant = None;
        secret.stale = ["grafana@denki", "grafana@segurcaixa", "grafana@vattenfall-de"]
            .map(|key| key.parse().expect("a key"))
            .into();
        snapshot.secrets[0] = Arc::new(secret);
        let mut deck = open(Page::Servers, size, snapshot);
        deck.keys(": i n s t a n c e <space> g r a f a n a @ s e g <enter> r");
        insta::assert_snapshot!(format!("roll_{}x{}", size.0, size.1), deck.picture());
        deck.keys("t o k e n <enter>");
        let ran: Vec<String> = deck.ran().iter().map(|command| command.command_line()).collect();
        assert_eq!(ran, ["mcpdeck secrets roll token --server grafana"]);
        // Where nothing is old there is nothing to roll.
        deck.keys(": s e r v e r <space> e t i m <enter> r");
        assert!(deck.picture().contains("nothing here holds an older credential"), "{}", deck.picture());
    }
}
