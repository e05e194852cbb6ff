//! Containers, their details, orphans and stacks: reviewed pictures, and what keys do.

use crate::screens_console::deck::Deck;
use crate::support::glass::Glass;
use crate::support::sample::{self, yard};
use mcpdeck::control::Handle;
use mcpdeck::control::handle::{Fut, Interest, Link, Pipe, Port};
use mcpdeck::model::container::{Claim, ContainerAct, ContainerState, EngineState};
use mcpdeck::model::message::{Exec, ExecIn, ExecOut, Level, LogTarget};
use mcpdeck::model::{Act, Answer, Chunk, Command, Feed, JobId, Query, Refusal, Snapshot};
use mcpdeck::ui::app::{Effect, Msg};
use mcpdeck::ui::shell::Left;
use mcpdeck::ui::{Options, Page};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];

fn open(snapshot: Snapshot, size: (u16, u16)) -> Deck {
    let deck = Deck::with(Page::Containers, size, snapshot, |_: &mut Options| ());
    deck.picture();
    deck
}

fn rich(size: (u16, u16)) -> Deck {
    open(sample::rich(), size)
}

/// A second engine that went silent, with containers of its own.
fn silent() -> Snapshot {
    let mut snapshot = sample::rich();
    snapshot.engines.insert(0, Arc::new(yard::silent("edge")));
    for (n, name) in [(1, "edge-proxy"), (2, "edge-cache")] {
        let mut row = yard::container(n, name, "registry.lab/edge:1");
        row.key = yard::key("edge", n);
        row.owner.claim = Claim::Adopted;
        row.owner.server = Some("etim".into());
        snapshot.containers.insert(n as usize - 1, Arc::new(row));
    }
    snapshot
}

#[test]
fn why_an_engine_is_silent_is_told_in_full() {
    let mut snapshot = silent();
    let reason = "unix:///run/docker.sock refuses: nothing listens there; start it: systemctl start docker";
    let state = EngineState::Silent { since: sample::ago(190), reason: reason.into() };
    snapshot.engines[0] = Arc::new(yard::engine("edge", state));
    let picture = open(snapshot, (80, 24)).picture();
    assert!(picture.contains("start docker; its rows are that old"), "{picture}");
}

/// No engine, no process.
fn none() -> Snapshot {
    let mut snapshot = sample::empty();
    let reason = "no socket at /var/run/docker.sock, /run/podman/podman.sock".to_owned();
    snapshot.engines = vec![Arc::new(yard::engine("local", EngineState::Absent { reason }))];
    snapshot
}

/// The row of this name is selected, by filtering for it.
fn select<'d>(deck: &'d mut Deck, name: &str) -> &'d mut Deck {
    deck.keys("/").types(name).keys("<enter>")
}

#[test]
fn containers_at_four_sizes() {
    for (name, keys, snapshot) in [
        ("filtered", "/ m e m > 1 0 0 M <space> c l a i m = o u r s <enter>", sample::rich()),
        ("wrong_value", "/ s t a t e = e x i t d <enter>", sample::rich()),
        ("orphans", "B", sample::rich()),
        ("silent", "", silent()),
        ("none", "", none()),
    ] {
        for size in SIZES {
            let mut deck = open(snapshot.clone(), size);
            deck.keys(keys);
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), deck.picture());
        }
    }
}

#[test]
fn details_at_two_sizes() {
    for (name, keys) in [
        ("detail_state", "<enter>"),
        ("detail_limits", "<enter> <right>"),
        ("detail_inspect", "i"),
        ("detail_inspect_search", "i / s t r e a k <enter>"),
    ] {
        for size in [(80, 24), (120, 40)] {
            let mut deck = rich(size);
            select(&mut deck, "owner=eaton part=vllm").keys(keys);
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), deck.picture());
        }
    }
}

#[test]
fn stacks_stand_in_the_detail_of_their_owner() {
    for size in [(80, 24), (120, 40)] {
        let mut deck = Deck::with(Page::Customers, size, sample::rich(), |_: &mut Options| ());
        select(&mut deck, "eaton").keys("<enter> <left>");
        insta::assert_snapshot!(format!("customer_stack_{}x{}", size.0, size.1), deck.picture());
    }
    let mut deck = Deck::with(Page::Servers, (80, 24), sample::rich(), |_: &mut Options| ());
    select(&mut deck, "etim").keys("<enter> <left>");
    let picture = deck.picture();
    assert!(picture.contains("no space left on device") && picture.contains("adopted"), "{picture}");
}

#[test]
fn a_deployment_shows_what_it_would_do_and_does_nothing_before() {
    let mut deck = Deck::with(Page::Customers, (120, 40), sample::rich(), |_: &mut Options| ());
    select(&mut deck, "eaton").keys("d");
    insta::assert_snapshot!("deploy", deck.picture());
    assert!(deck.ran().is_empty());
    deck.keys("y");
    assert_eq!(deck.ran(), [&Command::Deploy("eaton-models".into())]);
    // What does not fit is said, and cannot be confirmed.
    select(deck.keys("/ <ctrl-u> <enter>"), "vattenfall").keys("d");
    assert!(deck.picture().contains("held by eaton-models/vllm"), "{}", deck.picture());
    deck.keys("y <tab> <enter> <esc>");
    assert_eq!(deck.ran().len(), 1);
    deck.keys("U y");
    assert_eq!(deck.ran()[1], &Command::Undeploy("vattenfall-models".into()));
    select(deck.keys("/ <ctrl-u> <enter>"), "festo").keys("d");
    assert!(deck.picture().contains("no stack stands behind it"), "{}", deck.picture());
}

#[test]
fn acts_go_to_the_container_or_to_the_instance_that_answers_for_it() {
    let act = |name: &str, act: ContainerAct| {
        let snapshot = sample::rich();
        let row = snapshot.containers.iter().find(|row| row.name == name).expect(name);
        Command::Container { container: row.key.clone(), name: name.to_owned(), act }
    };
    for (name, keys, wanted) in [
        ("part=db", "x y", act("etim-db-1", ContainerAct::Stop)),
        ("part=db", "s", act("etim-db-1", ContainerAct::Start)),
        ("part=db", "R y", act("etim-db-1", ContainerAct::Restart)),
        ("part=db", "X y", act("etim-db-1", ContainerAct::Kill)),
        ("part=db", "z y", act("etim-db-1", ContainerAct::Pause)),
        ("part=lakehouse", "z", act("mcpdeck-lab-fra1-eaton-models-lakehouse", ContainerAct::Unpause)),
        ("claim=ours catalog", "x y", Command::Stop("catalog".parse().expect("a key"))),
        ("memory@eaton", "R y", Command::Restart("memory@eaton".parse().expect("a key"))),
    ] {
        let mut deck = rich((120, 40));
        select(&mut deck, name).keys(keys);
        assert_eq!(deck.ran(), [&wanted], "{name} {keys}\n{}", deck.picture());
    }
}

#[test]
fn what_is_not_ours_is_left_alone_and_says_so() {
    for (name, keys, says) in [
        ("monitoring-loki", "x", "monitoring-loki-1 is not ours"),
        ("part=db", "D", "serves no calls: there is nothing to fence"),
        ("hopeful", "!", "hopeful_hopper is exited: a shell needs it running"),
        ("memory@eaton", "!", "it runs in no container"),
        ("monitoring-loki", "d", "no stack stands behind it"),
    ] {
        let mut deck = rich((120, 40));
        select(&mut deck, name).keys(keys);
        assert!(deck.ran().is_empty());
        assert!(deck.picture().contains(says), "{name} {keys}: no `{says}`\n{}", deck.picture());
    }
}

#[test]
fn orphans_are_shown_with_why_and_reaped_after_one_question() {
    let mut deck = rich((120, 40));
    deck.keys("B");
    assert!(deck.picture().contains("its server `search` is gone"), "{}", deck.picture());
    deck.keys("Z");
    assert!(deck.picture().contains("search-hilti is removed"), "{}", deck.picture());
    assert!(deck.ran().is_empty());
    deck.keys("y");
    assert_eq!(deck.ran(), [&Command::ReapOrphans]);
    deck.keys("B");
    assert!(deck.picture().contains("Containers 17"), "{}", deck.picture());
    // From an orphan to everything about it.
    deck.keys("B <enter>");
    assert!(deck.picture().contains("registry.lab/search-mcp:0.9"), "{}", deck.picture());
}

#[test]
fn logs_are_those_of_the_container_or_of_its_instance() {
    let container = |name: &str| {
        let snapshot = sample::rich();
        let row = snapshot.containers.iter().find(|row| row.name == name).expect(name).clone();
        LogTarget::Container(row.key.clone(), row.name.clone())
    };
    for (name, wanted) in [
        ("part=db", container("etim-db-1")),
        ("claim=ours catalog", LogTarget::Instance("catalog".parse().expect("a key"))),
        ("memory@eaton", LogTarget::Instance("memory@eaton".parse().expect("a key"))),
    ] {
        let mut deck = rich((120, 40));
        select(&mut deck, name).keys("l");
        let targets = match deck.stream.as_ref().map(|(_, feed)| feed) {
            Some(Feed::Logs { targets, .. }) => targets.clone(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(targets, [wanted], "{name}");
    }
}

#[test]
fn logs_list_containers_merge_them_and_reach_back() {
    let mut deck = Deck::with(Page::Logs, (120, 40), sample::rich(), |_: &mut Options| ());
    deck.keys("l")
        .types("etim-db")
        .keys("<enter> +")
        .types("memory@eaton")
        .keys("<enter> s")
        .types("10m")
        .keys("<enter>");
    match deck.stream.as_ref().map(|(_, feed)| feed) {
        Some(Feed::Logs { targets, since, .. }) => {
            assert_eq!(targets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["etim-db-1", "memory@eaton"]);
            assert_eq!(*since, Some(sample::ago(600)));
        }
        other => panic!("{other:?}"),
    }
    deck.keys("s").types("soon").keys("<enter>");
    assert!(deck.picture().contains("write how long ago"), "{}", deck.picture());
}

#[test]
fn explain_tells_what_a_container_suffers_from() {
    let mut deck = rich((120, 40));
    select(&mut deck, "owner=vattenfall part=vllm").keys("e");
    let picture = deck.picture();
    assert!(picture.contains("killed (SIGKILL)") && picture.contains("limit of 16 GiB"), "{picture}");
}

#[test]
fn the_selection_belongs_to_the_container() {
    let mut deck = rich((120, 40));
    deck.keys("j j");
    let chosen = sample::rich().container(&yard::key("local", 7)).expect("the third row").name.clone();
    let mut fewer = sample::rich();
    fewer.containers.retain(|row| row.owner.claim != Claim::Orphan);
    deck.snapshot = fewer;
    deck.take(Msg::Snapshot);
    deck.keys("s");
    assert_eq!(deck.ran().len(), 1);
    assert_eq!(deck.ran()[0].object(), chosen);
}

#[test]
fn only_what_is_seen_is_asked_to_be_fresh() {
    let mut deck = open(yard::many(1000), (80, 24));
    deck.keys("G");
    let interest = deck.effects.iter().rev().find_map(|effect| match effect {
        Effect::Interest(interest) => Some(interest.clone()),
        _ => None,
    });
    let seen = interest.expect("an interest").containers.len();
    assert!((15..25).contains(&seen), "{seen}");
    deck.keys("5");
    assert!(
        matches!(deck.effects.last(), Some(Effect::Interest(interest)) if interest.gpus && interest.containers.is_empty())
    );
}

#[test]
fn a_shell_asks_for_the_name_where_the_owner_wants_it() {
    let mut deck = rich((120, 40));
    select(&mut deck, "owner=eaton part=vllm").keys("!");
    let exec = match deck.effects.last() {
        Some(Effect::Shell { exec, name }) => {
            assert_eq!(name, "mcpdeck-lab-fra1-eaton-models-vllm");
            exec.clone()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((exec.columns, exec.rows, exec.confirm.as_deref()), (120, 40, None));
    let refused = Refusal::NeedsConfirm { what: "exec".into(), name: "eaton".into() };
    deck.take(Msg::Shell(exec, "vllm".into(), Left::Refused(refused)));
    assert!(deck.picture().contains("type eaton"), "{}", deck.picture());
    deck.types("etim").keys("<enter>");
    assert!(deck.picture().contains("that is not the name"), "{}", deck.picture());
    deck.keys("<ctrl-u>").types("eaton").keys("<enter>");
    assert!(
        matches!(deck.effects.last(), Some(Effect::Shell { exec, .. }) if exec.confirm.as_deref() == Some("eaton"))
    );
}

#[test]
fn a_read_only_screen_opens_no_shell() {
    let mut deck = Deck::with(Page::Containers, (120, 40), sample::rich(), |o: &mut Options| o.read_only = true);
    select(&mut deck, "part=db").keys("!");
    assert!(deck.picture().contains("read-only"), "{}", deck.picture());
    assert!(!deck.effects.iter().any(|effect| matches!(effect, Effect::Shell { .. })));
}

/// A platform on which only this is wrong.
fn wrong(word: &str, object: &str, next: &[&str]) -> Snapshot {
    let mut snapshot = silent();
    let mut finding = (*snapshot.findings[0]).clone();
    (finding.word, finding.object, finding.target) = (word.into(), object.into(), None);
    finding.next = next.iter().map(|name| (*name).to_owned()).collect();
    snapshot.findings = vec![Arc::new(finding)];
    snapshot
}

#[test]
fn findings_about_containers_stacks_and_engines_are_acted_on_where_they_stand() {
    let vllm = "mcpdeck-lab-fra1-vattenfall-models-vllm";
    let open = |snapshot| {
        let deck = Deck::with(Page::Overview, (120, 40), snapshot, |_: &mut Options| ());
        deck.picture();
        deck
    };
    let mut deck = open(wrong("OOM", vllm, &["logs", "explain", "restart"]));
    deck.keys("R y");
    let (container, name) = (yard::key("local", 5), vllm.to_owned());
    assert_eq!(deck.ran(), [&Command::Container { container, name, act: ContainerAct::Restart }]);
    deck.keys("l");
    assert!(matches!(&deck.stream, Some((_, Feed::Logs { targets, .. })) if targets[0].to_string() == vllm));
    deck.keys("1 <enter>");
    assert!(deck.picture().contains("the kernel killed it for memory"), "{}", deck.picture());

    let mut deck = open(wrong("STACK", "stack eaton-models", &["logs", "deploy"]));
    deck.keys("d y l");
    assert_eq!(deck.ran(), [&Command::Deploy("eaton-models".into())]);
    assert!(
        matches!(&deck.stream, Some((_, Feed::Logs { targets, .. })) if targets[0].to_string().ends_with("embeddings"))
    );

    let mut deck = open(wrong("ENGINE", "edge", &["explain", "logs"]));
    deck.keys("e");
    assert!(deck.picture().contains("connection refused; everything below is as old"), "{}", deck.picture());
    deck.keys("<esc> <enter>");
    assert!(deck.picture().contains("engine edge silent for 3m"), "{}", deck.picture());

    let mut deck = open(wrong("GPU FULL", "gpu 0", &["gpus", "logs"]));
    deck.keys("<enter>");
    assert_eq!(deck.app.page, Page::Gpus);
}

/// A platform that stands still, with containers one can have a shell in.
struct Still {
    state: Arc<Snapshot>,
    revisions: watch::Sender<u64>,
    /// What the command in the container was given.
    typed: Arc<Mutex<Vec<ExecIn>>>,
    interests: Mutex<Vec<Interest>>,
}

impl Port for Still {
    fn state(&self) -> Arc<Snapshot> {
        self.state.clone()
    }
    fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }
    fn link(&self) -> Link {
        Link::Attached
    }
    fn run(&self, _act: Act) -> Fut<'_, Result<JobId, Refusal>> {
        Box::pin(async { Ok(JobId(1)) })
    }
    fn ask(&self, _query: Query) -> Fut<'_, Result<Answer, Refusal>> {
        Box::pin(async { Err(Refusal::NotFound("nothing is known here".into())) })
    }
    fn follow(&self, _feed: Feed) -> mpsc::Receiver<Chunk> {
        mpsc::channel(1).1
    }
    fn interest(&self, interest: Interest) {
        self.interests.lock().unwrap().push(interest);
    }

    /// A shell that answers one line, or has none, as its container is called.
    fn pipe(&self, exec: Exec) -> Pipe {
        let (input, mut taken) = mpsc::channel(8);
        let (out, output) = mpsc::channel(8);
        let typed = self.typed.clone();
        let mute = exec.container == yard::key("local", 7);
        tokio::spawn(async move {
            if mute {
                let _ = out.send(ExecOut::Failed("no shell in it: no sh, no bash".into())).await;
                return;
            }
            let _ = out.send(ExecOut::Bytes(b"$ ".to_vec())).await;
            while let Some(next) = taken.recv().await {
                typed.lock().unwrap().push(next);
                let _ = out.send(ExecOut::Bytes(b"bin\r\nbye".to_vec())).await;
            }
        });
        Pipe { input, output }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_goes_to_the_shell_and_comes_back() {
    let still = Arc::new(Still {
        state: Arc::new(sample::rich()),
        revisions: watch::channel(1).0,
        typed: Arc::default(),
        interests: Mutex::default(),
    });
    let mut glass = Glass::open(Handle::new(still.clone()));
    glass.keys("4").await.shows(&["Containers 17"]).await;
    glass.keys("/").await.types("gpu>1G").await.keys("!").await;
    glass.shows(&["left the shell in mcpdeck-lab-fra1-eaton-models-vllm", "Containers 1 of 17"]).await;
    assert_eq!(*still.typed.lock().unwrap(), [ExecIn::Bytes(b"ls\r".to_vec())]);
    // Nobody looked at the screen meanwhile.
    let interests = still.interests.lock().unwrap().clone();
    let away = interests.iter().position(|i| !i.watching).expect("nobody looks");
    assert!(interests[away + 1].watching);
    glass.keys("/ <ctrl-u>").await.types("part=db").await.keys("!").await;
    glass.shows(&["error: shell in etim-db-1: no shell in it: no sh, no bash"]).await;
    glass.close();
}

#[test]
fn how_a_shell_ended_is_said() {
    for (left, level, text) in [
        (Left::Exited(Some(0)), Level::Info, "the shell in db ended"),
        (Left::Exited(Some(130)), Level::Info, "the shell in db ended with 130"),
        (Left::Operator(0), Level::Info, "left the shell in db"),
        (Left::Operator(12), Level::Warn, "left the shell in db, which never read 12 typed bytes"),
        (Left::Failed("gone".into()), Level::Error, "shell in db: gone"),
    ] {
        assert_eq!(left.notice("db"), (level, text.to_owned()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_keys_at_any_size_never_panic(
        width in 1u16..200,
        height in 1u16..60,
        rich in any::<bool>(),
        keys in proptest::collection::vec(0usize..22, 0..25),
    ) {
        const KEYS: [&str; 22] = [
            "j", "k", "g", "G", "<enter>", "<esc>", "<tab>", "i", "B", "<left>", "<right>", "n", "y", "Y", "x", "o",
            "<pagedown>", "<pageup>", "w", "e", "-", "<space>",
        ];
        let mut deck = open(if rich { silent() } else { none() }, (width, height));
        for key in keys {
            deck.keys(KEYS[key]);
        }
    }
}

#[test]
fn states_of_containers_have_symbol_and_word() {
    let row = yard::container(1, "x", "y");
    for (state, code, ascii, text) in [
        (ContainerState::Running, None, false, "● running"),
        (ContainerState::Exited, Some(0), false, "■ exited 0"),
        (ContainerState::Exited, Some(1), true, "x exited 1"),
        (ContainerState::Paused, None, false, "z paused"),
        (ContainerState::Dead, None, true, "x dead"),
    ] {
        let row = mcpdeck::model::container::ContainerRow { state, exit_code: code, ..row.clone() };
        assert_eq!(mcpdeck::ui::page::containers::state(&row, ascii).0, text);
    }
}
