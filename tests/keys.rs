//! Key strings through the real keymap and `update`: what an operator does, and what comes of it.

use crate::support::sample;
use mcpdeck::control::handle::Link;
use mcpdeck::model::guard::Cap;
use mcpdeck::model::message::{Impact, JobOutcome, JobRow};
use mcpdeck::model::{Answer, Command, Environment, InstanceKey, JobId, Query, Refusal, Snapshot};
use mcpdeck::ui::action::{Action, ROWS};
use mcpdeck::ui::app::{App, Effect, Msg, Token};
use mcpdeck::ui::keymap::parse_keys;
use mcpdeck::ui::update::update;
use mcpdeck::ui::{Options, Page, picture};
use std::sync::Arc;

/// A screen under test: keys in, effects and text out.
struct Screen {
    app: App,
    snapshot: Snapshot,
    effects: Vec<Effect>,
}

impl Screen {
    fn open(snapshot: Snapshot, size: (u16, u16)) -> Self {
        Self::with(snapshot, size, Link::Owner, |_| ())
    }

    fn with(snapshot: Snapshot, size: (u16, u16), link: Link, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::plain();
        change(&mut options);
        let mut screen = Self { app: App::new(&options, link), snapshot, effects: Vec::new() };
        for msg in [Msg::Tick(sample::NOW, 0), Msg::Resize(size.0, size.1), Msg::Snapshot] {
            screen.take(msg);
        }
        screen.text();
        screen.effects.clear();
        screen
    }

    fn take(&mut self, msg: Msg) {
        self.effects.extend(update(&mut self.app, &self.snapshot, msg));
    }

    /// Presses keys, drawing after each as the loop does.
    fn keys(&mut self, keys: &str) -> &mut Self {
        for key in parse_keys(keys).unwrap() {
            self.take(Msg::Key(key));
            self.text();
        }
        self
    }

    /// Another snapshot comes and is drawn.
    fn next(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
        self.take(Msg::Snapshot);
    }

    fn text(&self) -> String {
        picture::plain(&picture::paint(&self.app, &self.snapshot, self.app.shared.size))
    }

    fn has(&self, text: &str) -> &Self {
        assert!(self.text().contains(text), "no `{text}` in\n{}", self.text());
        self
    }

    fn lacks(&self, text: &str) -> &Self {
        assert!(!self.text().contains(text), "`{text}` in\n{}", self.text());
        self
    }

    /// Commands sent so far.
    fn commands(&self) -> Vec<String> {
        let sent = |e: &Effect| match e {
            Effect::Run { command, confirm } => Some(format!(
                "{}{}",
                command.command_line(),
                confirm.as_ref().map(|c| format!(" --confirm {c}")).unwrap_or_default()
            )),
            _ => None,
        };
        self.effects.iter().filter_map(sent).collect()
    }

    /// The newest question of a kind, with its token.
    fn asked(&self, wanted: impl Fn(&Query) -> bool) -> Option<(Token, Query)> {
        let question = |e: &Effect| match e {
            Effect::Ask(token, query) if wanted(query) => Some((*token, query.clone())),
            _ => None,
        };
        self.effects.iter().rev().find_map(question)
    }

    /// Answers every question about impact.
    fn impact(&mut self, environment: Environment, type_name: Option<&str>) -> &mut Self {
        let questions: Vec<(Token, Command)> = self
            .effects
            .iter()
            .filter_map(|e| match e {
                Effect::Ask(token, Query::Impact(command)) => Some((*token, command.clone())),
                _ => None,
            })
            .collect();
        for (token, command) in questions {
            let impact = Impact {
                instances: command.target().cloned().into_iter().collect(),
                tenants: vec!["eaton".into(), "denki".into()],
                environment,
                in_flight: 3,
                follows: vec!["3 calls in flight fail".into(), "calls are refused until a start".into()],
                type_name: type_name.map(str::to_owned),
                refused: None,
                bulk_cap: Cap { instances: 10, reason: "platform.bulk_cap says so".to_owned() },
            };
            self.take(Msg::Answer(token, Ok(Answer::Impact(impact))));
        }
        self
    }
}

fn key(text: &str) -> InstanceKey {
    text.parse().unwrap()
}

#[test]
fn digits_go_to_views_and_brackets_travel_back() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    for (keys, view) in [
        ("2", Page::Customers),
        ("3", Page::Servers),
        ("4", Page::Containers),
        ("5", Page::Gpus),
        ("6", Page::Console),
        ("7", Page::Traffic),
        ("8", Page::Logs),
        ("0", Page::Activity),
        ("1", Page::Overview),
    ] {
        // Esc leaves a text that a view may be editing.
        screen.keys("<esc>").keys(keys);
        assert_eq!(screen.app.page, view, "{keys}");
    }
    screen.keys("9");
    assert_eq!(screen.app.page, Page::Overview);
    screen.keys("3 2 [");
    assert_eq!(screen.app.page, Page::Servers);
    screen.keys("[");
    assert_eq!(screen.app.page, Page::Overview);
    screen.keys("] ]");
    assert_eq!(screen.app.page, Page::Customers);
}

#[test]
fn start_and_probe_go_at_once() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 j s P");
    assert_eq!(screen.commands(), ["mcpdeck start alerting@segurcaixa", "mcpdeck probe alerting@segurcaixa"]);
}

#[test]
fn a_stop_asks_first_with_cancel_chosen() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 j j j x");
    screen.has("asking what it would hit");
    // Nobody confirms what is not known yet; and the trigger never answers.
    screen.keys("y x x");
    assert_eq!(screen.commands(), [""; 0]);
    screen.impact(Environment::Lab, None);
    screen.has("stop catalog").has("2  eaton, denki").has("3 calls in flight fail").has("[ Cancel ]").has("lab");
    screen.keys("x");
    screen.keys("<enter>").lacks("[ Cancel ]");
    assert_eq!(screen.commands(), [""; 0], "cancel was chosen");
    screen.keys("x").impact(Environment::Lab, None).keys("y");
    assert_eq!(screen.commands(), ["mcpdeck stop catalog"]);
    screen.lacks("[ Cancel ]");
}

#[test]
fn tab_and_enter_confirm_too() {
    let mut screen = Screen::open(sample::rich(), (120, 40));
    screen.keys("3 j j j R").impact(Environment::Staging, None).keys("<tab> <enter>");
    assert_eq!(screen.commands(), ["mcpdeck restart catalog"]);
}

#[test]
fn in_production_one_types_the_name() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 j j j X").impact(Environment::Production, Some("catalog"));
    screen.has("type catalog");
    screen.keys("y <enter>");
    assert_eq!(screen.commands(), [""; 0]);
    screen.keys("<backspace> c a t a l o g <enter>");
    assert_eq!(screen.commands(), ["mcpdeck kill catalog --confirm catalog"]);
}

#[test]
fn a_refusal_that_wants_a_name_opens_the_dialog() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 j s");
    let command = Command::Start(key("alerting@segurcaixa"));
    let refusal = Refusal::NeedsConfirm { what: "start".into(), name: "alerting@segurcaixa".into() };
    screen.take(Msg::Ran(command, Err(refusal)));
    assert!(screen.asked(|q| matches!(q, Query::Impact(_))).is_some());
    screen.has("start alerting@segurcaixa");
}

#[test]
fn fence_is_one_key_for_both_directions() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 / l a w <enter> D");
    assert_eq!(screen.commands(), ["mcpdeck unfence law"]);
    screen.keys("/ <ctrl-u> e t i m <enter> D");
    assert_eq!(screen.asked(|q| matches!(q, Query::Impact(_))).unwrap().1, Query::Impact(Command::Fence(key("etim"))));
}

#[test]
fn a_read_only_screen_says_why_it_refuses() {
    let mut screen = Screen::with(sample::rich(), (80, 24), Link::Attached, |o| o.read_only = true);
    screen.has("READ-ONLY");
    screen.keys("3 j s x");
    screen.has("read-only: this screen was opened with --read-only");
    assert_eq!(screen.commands(), [""; 0]);
    assert!(screen.asked(|q| matches!(q, Query::Impact(_))).is_none());
}

#[test]
fn a_read_only_customer_is_left_alone() {
    let mut snapshot = sample::rich();
    for tenant in &mut snapshot.tenants {
        let tenant = Arc::make_mut(tenant);
        Arc::make_mut(&mut tenant.def).read_only = true;
    }
    let mut screen = Screen::open(snapshot, (80, 24));
    screen.keys("3 j s").has("read-only: the customer segurcaixa is read-only");
    assert_eq!(screen.commands(), [""; 0]);
}

#[test]
fn the_selection_belongs_to_the_object_not_to_the_row() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 j j");
    let mut fewer = sample::rich();
    fewer.instances.retain(|i| i.key != key("alerting@segurcaixa"));
    screen.next(fewer);
    // The row above is gone; the key acts on what was selected.
    screen.keys("s");
    assert_eq!(screen.commands(), ["mcpdeck start alerting@vattenfall-de"]);
}

#[test]
fn marks_act_together_up_to_the_cap() {
    let mut screen = Screen::with(sample::rich(), (80, 24), Link::Owner, |o| o.bulk_cap = 2);
    screen.keys("3 j <space> <space> P");
    assert_eq!(screen.commands(), ["mcpdeck probe alerting@segurcaixa", "mcpdeck probe alerting@vattenfall-de"]);
    screen.keys("<space> P").has("3 objects at once: the cap is 2");
    assert_eq!(screen.commands().len(), 2);
    screen.keys("<esc> <esc> P");
    assert_eq!(screen.commands().len(), 3, "without marks the selected one");
}

#[test]
fn filters_narrow_as_one_types_and_esc_clears_them() {
    let mut screen = Screen::open(sample::rich(), (120, 40));
    screen.keys("3 / s t a t e = f a i l e d");
    screen.has("@vattenfall-de").has("2 of 20 /state=failed").lacks("law");
    screen.keys("<enter> <esc>").has("Servers 20");
    screen.keys("/ b o g u s = 1").has("filter at 1");
    screen.keys("<esc>").has("Servers 20");
}

#[test]
fn printable_keys_are_text_while_text_is_edited() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 / q x R 2");
    assert_eq!(screen.app.page, Page::Servers);
    assert_eq!(screen.commands(), [""; 0]);
    screen.has("/qxR2");
}

#[test]
fn the_palette_finds_views_customers_servers_and_actions() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys(": v a t t e n <enter>");
    assert_eq!(screen.app.page, Page::Customers);
    screen.keys("<esc> : s e r v e r <space> e t i m <enter> s");
    assert_eq!(screen.commands(), ["mcpdeck start etim"]);
    screen.keys(": t h e m e <space> m o n o <enter>");
    assert!(screen.effects.contains(&Effect::Theme("mono".to_owned())));
    screen.keys(": p r o b e <enter>");
    assert_eq!(screen.commands().last().unwrap(), "mcpdeck probe etim");
}

#[test]
fn the_palette_finds_instances_and_containers_among_ten_thousand() {
    let mut screen = Screen::open(sample::many(1000), (80, 24));
    screen.keys(": i n s t a n c e <space>").has("> instance");
    let wanted = screen.snapshot.instances.iter().rev().find(|row| row.key.tenant.is_some()).unwrap().key.clone();
    let typed: Vec<String> = wanted.to_string().chars().map(|c| c.to_string()).collect();
    screen.keys(&typed.join(" ")).keys("<enter>");
    assert_eq!(screen.app.page, Page::Servers);
    screen.keys("s");
    assert_eq!(screen.commands(), [format!("mcpdeck start {wanted}")]);
    let mut screen = Screen::open(sample::rich(), (80, 24));
    let name = screen.snapshot.containers[0].name.clone();
    let typed: Vec<String> = name.chars().map(|c| c.to_string()).collect();
    screen.keys(": c o n t a i n e r <space>").keys(&typed.join(" ")).keys("<enter>");
    assert_eq!(screen.app.page, Page::Containers);
}

#[test]
fn help_lists_the_keys_and_is_searchable() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("?").has("Keys in Overview");
    screen.keys("s t a r t <space> n o w").has("start now");
    screen.keys("<ctrl-u> s i g k i l l").has("kill at once").lacks("start now");
    screen.keys("<esc>").lacks("Keys in Overview");
}

/// Help and palette are read from the table of actions, whichever view they are opened in.
#[test]
fn help_and_palette_have_every_action_of_the_view() {
    for page in Page::ALL {
        let mut screen = Screen::with(sample::rich(), (120, 40), Link::Owner, |o| o.view = page);
        for (opener, leave_out) in [("?", None), (":", Some(Action::Palette))] {
            screen.keys(opener);
            for row in ROWS.iter().filter(|row| row.on.page(page) && Some(row.action) != leave_out) {
                screen.take(Msg::Paste(row.name.to_owned()));
                let start: String = row.doc.chars().take(24).collect();
                screen.has(&start);
                screen.keys("<ctrl-u>");
            }
            screen.keys("<esc>");
        }
    }
}

#[test]
fn a_limit_shows_one_customer_everywhere() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("t e a t o n <enter>").has("@EATON").has("HANGING").lacks("FAILED");
    screen.keys("3").lacks("@denki").has("@eaton");
    screen.keys("2").has("Customers 1");
    screen.keys("<esc>").has("Customers 12");
}

#[test]
fn customers_servers_are_switches() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("2 / e a t o n <enter> <enter>").has("[x] catalog").has("[ ] alerting");
    // Enabling harms nothing; disabling asks.
    screen.keys("<space>");
    assert_eq!(screen.commands(), ["mcpdeck enable alerting eaton"]);
    screen.keys("j <space>").impact(Environment::Lab, None);
    screen.has("disable catalog eaton");
    screen.keys("y");
    assert_eq!(screen.commands().last().unwrap(), "mcpdeck disable catalog eaton");
}

#[test]
fn a_run_time_change_is_marked_and_can_be_reverted() {
    let mut screen = Screen::open(sample::rich(), (120, 40));
    screen.keys("2 / f e s t o <enter> <enter>").has("eva 25m ago (file: off)");
    screen.keys("j j j j j j u").impact(Environment::Lab, None).keys("y");
    assert_eq!(screen.commands(), ["mcpdeck revert law festo"]);
}

#[test]
fn attention_opens_where_the_trouble_is() {
    let mut screen = Screen::open(sample::rich(), (120, 40));
    screen.keys("<enter>");
    assert_eq!(screen.app.page, Page::Servers);
    screen.has("no such file: /opt/genesys/bin/server");
    screen.keys("[ l");
    assert_eq!(screen.app.page, Page::Logs);
}

#[test]
fn explain_asks_and_its_findings_jump() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("j e");
    let (token, _) = screen.asked(|q| matches!(q, Query::Explain(_))).unwrap();
    let finding = |check: &str, passed, next: Option<&str>| mcpdeck::model::message::Explained {
        check: check.into(),
        passed,
        evidence: "since 13:03".into(),
        next: next.map(str::to_owned),
        target: Some(key("etim")),
    };
    let findings = vec![finding("alive", Some(true), None), finding("calls finish", Some(false), Some("fence"))];
    screen.take(Msg::Answer(token, Ok(Answer::Explain(findings))));
    screen.has("Why: etim").has("calls finish").has("D fence");
    screen.keys("D");
    assert_eq!(screen.app.page, Page::Servers);
    assert_eq!(screen.asked(|q| matches!(q, Query::Impact(_))).unwrap().1, Query::Impact(Command::Fence(key("etim"))));
}

#[test]
fn an_owner_is_asked_before_it_quits_and_an_attached_console_just_leaves() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("q").has("This screen owns lab-fra1").has("stop everything: lab-fra1 ends");
    screen.keys("<enter>").lacks("This screen owns");
    screen.keys("q d");
    assert!(screen.effects.contains(&Effect::Detach));
    screen.keys("q s");
    assert!(screen.effects.contains(&Effect::Quit { stop: true }));
    screen.keys("<ctrl-z>").has("owns the platform");
    let mut attached = Screen::with(sample::rich(), (80, 24), Link::Attached, |_| ());
    attached.keys("<ctrl-z> q");
    attached.effects.retain(|e| !matches!(e, Effect::Interest(_)));
    assert_eq!(attached.effects, [Effect::Suspend, Effect::Quit { stop: false }]);
}

#[test]
fn own_keys_work_and_mistakes_are_said() {
    let own = |name: &str, keys: &str| {
        Screen::with(sample::rich(), (120, 40), Link::Owner, |o| {
            o.keys.insert(name.into(), vec![keys.into()]);
        })
    };
    let mut screen = own("probe", "f9");
    screen.keys("3 <f9> P");
    assert_eq!(screen.commands(), ["mcpdeck probe alerting"]);
    own("porbe", "f9").has("[ui.keys] no action is called `porbe`");
}

#[test]
fn notices_never_cover_the_selected_row() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 G");
    screen.take(Msg::Notice(mcpdeck::model::message::Level::Warn, "something to say".into()));
    screen.text();
    screen.has("something to say").has("@eaton#3");
}

#[test]
fn held_keys_do_not_repeat_acts() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    let mut held = parse_keys("s").unwrap()[0];
    held.kind = crossterm::event::KeyEventKind::Repeat;
    screen.keys("3 j");
    screen.take(Msg::Key(held));
    assert_eq!(screen.commands(), [""; 0]);
}

#[test]
fn copies_go_out_as_effects() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 y Y");
    let copies: Vec<&String> =
        screen.effects.iter().filter_map(|e| if let Effect::Copy(text) = e { Some(text) } else { None }).collect();
    assert_eq!(copies[0], "alerting");
    assert!(serde_json::from_str::<serde_json::Value>(copies[1]).unwrap()["def"]["id"] == "alerting");
}

#[test]
fn a_frozen_picture_says_so() {
    let mut screen = Screen::open(sample::rich(), (120, 40));
    screen.keys("p").has("FROZEN");
    screen.keys("p").lacks("FROZEN");
}

#[test]
fn the_key_line_shows_the_keys_of_what_has_them() {
    let cases: &[(&str, &str, &str)] = &[
        ("1 <esc>", "s start", "esc close"),
        ("1 :", "enter do it", "s start"),
        ("1 ?", "enter do it", "s start"),
        ("1 t", "enter choose", "s start"),
        ("1 /", "enter keep", "s start"),
        ("8", "/ search", "/ filter"),
    ];
    for (keys, has, lacks) in cases {
        let mut screen = Screen::open(sample::rich(), (120, 40));
        screen.keys(keys);
        let text = screen.text();
        let line = text.trim_end().lines().last().unwrap_or_default();
        assert!(line.contains(has) && !line.contains(lacks), "{keys}: {line}");
    }
    let mut screen = Screen::with(sample::rich(), (120, 40), Link::Owner, |options| options.read_only = true);
    screen.keys("3").lacks("s start").has("l logs");
}

#[test]
fn a_key_that_does_nothing_says_so() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("B").has("B does nothing in Overview; ? lists the keys");
    screen.keys("[").has("no view before this one");
    screen.keys("j").lacks("no view before this one");
}

#[test]
fn a_wrong_name_is_answered_and_does_nothing() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("3 j x").impact(Environment::Production, Some("etim"));
    screen.keys("e t <enter>").has("that is not the name; nothing was done");
    screen.keys("i").lacks("that is not the name");
    screen.keys("m <enter>");
    assert_eq!(screen.commands().len(), 1);
}

#[test]
fn the_end_of_an_act_is_told_to_who_asked_for_it() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    let command = Command::Start(key("etim"));
    screen.take(Msg::Ran(command, Ok(JobId(901))));
    screen.has("start etim: under way (j901)");
    let mut later = sample::rich();
    let job = |outcome| JobRow {
        id: JobId(901),
        operator: sample::operator("op"),
        title: "start etim".to_owned(),
        started: sample::ago(2),
        finished: None,
        done: 0,
        total: 1,
        outcome,
        message: "install it".to_owned(),
    };
    later.jobs = vec![Arc::new(job(None))];
    screen.next(later.clone());
    screen.has("under way");
    later.jobs = vec![Arc::new(job(Some(JobOutcome::Failed)))];
    screen.next(later.clone());
    screen.has("error: start etim: install it");
    // It is told once.
    screen.keys("j").next(later);
    screen.lacks("install it");
}

#[test]
fn a_short_call_does_not_move_a_customers_row() {
    let mut screen = Screen::open(sample::empty(), (80, 24));
    let order = |screen: &Screen| -> Vec<usize> {
        let text = screen.text();
        ["Alpha", "Beta"].iter().map(|name| text.lines().position(|l| l.contains(name)).unwrap_or_default()).collect()
    };
    let mut snapshot = sample::rich();
    let mut rows: Vec<_> = snapshot.tenants.iter().take(2).map(|t| (**t).clone()).collect();
    for (row, name) in rows.iter_mut().zip(["Alpha", "Beta"]) {
        let mut def = (*row.def).clone();
        def.name = name.to_owned();
        row.def = Arc::new(def);
        (row.cells, row.in_flight, row.oldest) = (Vec::new(), 0, None);
    }
    for (since, beta_first) in [(1, false), (60, true)] {
        (rows[1].in_flight, rows[1].oldest) = (1, Some(sample::ago(since)));
        snapshot.tenants = rows.iter().cloned().map(Arc::new).collect();
        screen.next(snapshot.clone());
        let at = order(&screen);
        assert_eq!(at[1] < at[0], beta_first, "{}", screen.text());
    }
}

#[test]
fn an_act_on_a_server_that_a_customer_has_not_enabled_says_how_to_enable_it() {
    let mut screen = Screen::open(sample::empty(), (80, 24));
    let mut snapshot = sample::rich();
    snapshot.findings.clear();
    let mut tenant = (*snapshot.tenants[0]).clone();
    tenant.cells.clear();
    let (id, server) = (tenant.def.id.clone(), snapshot.servers[0].def.id.clone());
    snapshot.tenants = vec![Arc::new(tenant)];
    screen.next(snapshot);
    screen.keys("1 x").has(&format!("{server} is not enabled for {id}: there is no instance; a enables it"));
    assert!(screen.commands().is_empty());
}

#[test]
fn what_is_wrong_in_another_way_is_not_resolved() {
    let mut screen = Screen::open(sample::rich(), (120, 40));
    screen.keys("j").has("HANGING");
    let mut other = sample::rich();
    let hanging = other.findings.iter_mut().find(|finding| finding.word == "HANGING").unwrap();
    let hanging = Arc::make_mut(hanging);
    (hanging.id, hanging.word) = ("degraded etim".to_owned(), "DEGRADED".to_owned());
    screen.next(other);
    screen.has("DEGRADED").lacks("RESOLVED");
    screen.keys("P");
    assert_eq!(screen.commands(), ["mcpdeck probe etim"], "the cursor went along");
}

#[test]
fn a_finding_that_resolves_stays_under_the_cursor_for_a_moment() {
    let mut screen = Screen::open(sample::rich(), (120, 40));
    screen.keys("j").has("HANGING");
    let mut better = sample::rich();
    better.findings.retain(|finding| finding.word != "HANGING");
    screen.next(better.clone());
    screen.text();
    screen.has("RESOLVED").lacks("HANGING");
    // The key acts on what was selected, not on what would have slipped under the cursor.
    screen.keys("P");
    assert_eq!(screen.commands(), ["mcpdeck probe etim"]);
    screen.keys("k").lacks("RESOLVED");
    screen.keys("P");
    assert_eq!(screen.commands()[1], "mcpdeck probe ctax");
}

#[test]
fn a_list_pages_and_goes_to_its_ends() {
    let mut screen = Screen::open(sample::rich(), (80, 24));
    screen.keys("? <end>").has("quit");
    screen.keys("<home> <pagedown> <pageup> <esc>").lacks("Keys in");
}
