//! The socket between an owner and its consoles, over a made-up platform: what each sees of the other, what is left when
//! one of them goes, and that nobody can harm the owner through it.

mod fake;
mod pipes;

use fake::{Owner, act, attach, within};
use mcpdeck::control::client::{self, AttachError};
use mcpdeck::control::lock::{self, LockError, Purpose};
use mcpdeck::control::wire::{self, ToConsole, ToOwner};
use mcpdeck::control::{Handle, Link, peer};
use mcpdeck::model::message::{Answer, Command, Face};
use mcpdeck::model::{Chunk, Feed, Query, Refusal};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// What one process may hold of the socket.
const OF_A_PROCESS: usize = 32;

async fn journal(handle: &Handle) -> Vec<(String, String)> {
    let Ok(Answer::Journal(entries)) = handle.ask(Query::Journal { limit: 10 }).await else { panic!("no journal") };
    entries.into_iter().map(|e| (e.operator.name, e.command_line)).collect()
}

async fn until_link(handle: &Handle, what: &str, wanted: impl Fn(&Link) -> bool) {
    let mut revisions = handle.revisions();
    within(what, async {
        while !wanted(&handle.link()) {
            revisions.changed().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn consoles_see_each_others_acts_under_the_name_of_their_uid() {
    let owner = Owner::new().await;
    let (a, b) = (attach(&owner.socket, Face::Screen).await, attach(&owner.socket, Face::Cli).await);
    let mut forged = act(Command::Restart("etim".parse().unwrap()));
    forged.operator.name = "somebody else".into();
    forged.operator.face = Face::Platform;
    a.run(forged).await.unwrap();
    let me = peer::own_operator(Face::Screen).name;
    assert_eq!(journal(&b).await, [(me.clone(), "mcpdeck restart etim".to_owned())]);
    let given = owner.fake.acts();
    assert_eq!(
        (&given[0].operator.name, given[0].operator.face, given[0].operator.pid),
        (&me, Face::Screen, std::process::id())
    );
    assert_eq!(owner.fake.consoles.rows().len(), 2);
}

#[tokio::test]
async fn a_console_holds_the_newest_state_and_unchanged_rows_stay_the_same() {
    let owner = Owner::new().await;
    let console = attach(&owner.socket, Face::Screen).await;
    owner.fake.set(&["ada", "bob"]);
    let first = fake::until_tenants(&console, &["ada", "bob"]).await;
    for round in 0..200 {
        owner.fake.set(&["ada", &format!("guest{round}")]);
    }
    owner.fake.set(&["ada", "carl", "dora"]);
    let last = fake::until_tenants(&console, &["ada", "carl", "dora"]).await;
    assert!(Arc::ptr_eq(&first.tenants[0], &last.tenants[0]), "a row that did not change is the same Arc");
}

#[tokio::test]
async fn a_lost_owner_leaves_its_last_state_and_a_new_one_is_found() {
    let owner = Owner::new().await;
    owner.fake.set(&["ada"]);
    let console = attach(&owner.socket, Face::Screen).await;
    let mut stream = console.follow(Feed::Events { backlog: 1 });
    assert!(matches!(within("a chunk", stream.recv()).await, Some(Chunk::Events(_))));
    let folder = owner.stop().await;
    until_link(&console, "the owner to be lost", |link| matches!(link, Link::Lost { .. })).await;
    assert_eq!(console.state().tenants.len(), 1, "the last state stays");
    let refused = console.run(act(Command::ReloadSecrets)).await;
    assert!(matches!(refused, Err(Refusal::NoOwner(_))), "{refused:?}");
    let end = within("the stream's end", async {
        loop {
            match stream.recv().await {
                Some(Chunk::End(reason)) => return reason.map(|why| why.to_string()),
                Some(_) => {}
                None => return None,
            }
        }
    });
    assert_eq!(end.await.as_deref(), Some("no owner: it went away"));
    let mut after = console.follow(Feed::Events { backlog: 1 });
    assert!(matches!(after.recv().await, Some(Chunk::End(Some(_)))));

    let owner = Owner::in_folder(folder).await;
    owner.fake.set(&["ada", "bob"]);
    until_link(&console, "the new owner", |link| *link == Link::Attached).await;
    fake::until_tenants(&console, &["ada", "bob"]).await;
    console.run(act(Command::ReloadSecrets)).await.unwrap();
}

#[tokio::test]
async fn a_console_that_began_without_an_owner_finds_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let runtime = tokio::runtime::Handle::current();
    let Err(reason) = client::attach(&socket, Face::Screen, &runtime).await else { panic!("nobody is there") };
    assert!(matches!(reason, AttachError::NoOwner(_)) && reason.passes());
    let console = client::attach_later(&socket, Face::Screen, &runtime, fake::empty_state(), reason);
    assert!(matches!(console.link(), Link::Lost { .. }));
    let owner = Owner::in_folder(folder).await;
    owner.fake.set(&["ada"]);
    fake::until_tenants(&console, &["ada"]).await;
    assert_eq!(console.link(), Link::Attached);
}

#[tokio::test]
async fn garbage_and_silence_on_the_socket_harm_nobody() {
    let owner = Owner::new().await;
    let console = attach(&owner.socket, Face::Screen).await;
    let mut held = Vec::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xff\xff\xff\xff", b"\x04\0\0\0abcd", b"", b"\x80\0\0\0mcpdeck\n"] {
        let mut stream = UnixStream::connect(&owner.socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        held.push(stream);
    }
    for frame in [wire::encode(&ToOwner::Ack(9)).unwrap(), vec![3, 0, 0, 0, 250, 250, 250], vec![255; 64]] {
        let mut stream = fake::greeted(&owner.socket).await;
        stream.write_all(&frame).await.unwrap();
        fake::until_cut_off(&mut stream).await;
    }
    console.run(act(Command::ReloadSecrets)).await.unwrap();
    assert_eq!(owner.fake.consoles.rows().len(), 1);
}

#[tokio::test]
async fn breaking_the_rules_after_attaching_costs_the_breaker_its_connection() {
    let owner = Owner::new().await;
    let credit = ToOwner::Credit { id: 1, chunks: 1_000_000 };
    let follow = || ToOwner::Follow { id: 1, feed: Feed::Events { backlog: 0 } };
    for breach in [vec![ToOwner::Attach(Face::Cli)], vec![follow(), follow()], vec![follow(), credit]] {
        let mut stream = fake::greeted(&owner.socket).await;
        stream.write_all(&wire::encode(&ToOwner::Attach(Face::Cli)).unwrap()).await.unwrap();
        for message in breach {
            stream.write_all(&wire::encode(&message).unwrap()).await.unwrap();
        }
        fake::until_cut_off(&mut stream).await;
    }
    owner.until_consoles(0).await;
}

#[tokio::test]
async fn another_version_is_told_in_words_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let other = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        wire::send_hello(&mut stream, "9.9.9").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let error = client::attach(&socket, Face::Cli, &tokio::runtime::Handle::current()).await.err().unwrap();
    let expected =
        format!("the owner runs mcpdeck 9.9.9 (protocol 2), this is {} (protocol 2)", env!("CARGO_PKG_VERSION"));
    assert_eq!(error.to_string(), expected);
    assert!(!error.passes(), "trying again does not help");
    other.await.unwrap();

    let owner = Owner::new().await;
    let mut stream = UnixStream::connect(&owner.socket).await.unwrap();
    wire::send_hello(&mut stream, "0.0.1").await.unwrap();
    wire::read_hello(&mut stream).await.expect("the owner tells its own version first");
    fake::until_cut_off(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_consoles_come_and_go() {
    let owner = Owner::new().await;
    owner.fake.set(&["ada"]);
    let mut visits = tokio::task::JoinSet::new();
    for lane in 0..40 {
        let socket = owner.socket.clone();
        visits.spawn(async move {
            for _ in 0..25 {
                let console = attach(&socket, Face::Cli).await;
                assert_eq!(console.state().tenants.len(), 1, "lane {lane}");
            }
        });
    }
    within("1,000 visits", visits.join_all()).await;
    owner.until_consoles(0).await;
}

#[tokio::test]
async fn one_console_too_many_is_told_so_and_a_free_seat_is_found() {
    let owner = Owner::new().await;
    let mut seats = Vec::new();
    for _ in 0..OF_A_PROCESS {
        seats.push(attach(&owner.socket, Face::Cli).await);
    }
    let runtime = tokio::runtime::Handle::current();
    let refused = client::attach(&owner.socket, Face::Screen, &runtime).await.err().unwrap();
    assert!(matches!(refused, AttachError::Full(_)) && refused.passes(), "{refused}");
    let says = format!("process {} holds {OF_A_PROCESS} connections", std::process::id());
    assert!(refused.to_string().contains(&says), "{refused}");
    seats.pop();
    owner.until_consoles(OF_A_PROCESS - 1).await;
    attach(&owner.socket, Face::Screen).await;
}

#[tokio::test]
async fn who_holds_hundreds_of_idle_connections_locks_nobody_else_out() {
    let owner = Owner::new().await;
    owner.fake.set(&["ada"]);
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(UnixStream::connect(&owner.socket).await.unwrap());
    }
    let begun = Instant::now();
    // Another process: this one has had its share.
    let config = owner.socket.with_file_name("deck.toml");
    std::fs::write(&config, format!("[platform]\nname = \"fake\"\nsocket = {:?}\n", owner.socket)).unwrap();
    let mut other = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcpdeck"));
    let told = other.arg("--config").arg(&config).args(["get", "tenants"]).output();
    let told = within("another process", told).await.unwrap();
    assert!(String::from_utf8_lossy(&told.stdout).contains("ada"), "{told:?}");
    // Those that say nothing are gone within the deadline, and so there is room for this process, too.
    attach(&owner.socket, Face::Screen).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    drop(idle);
}

#[tokio::test]
async fn a_console_that_never_reads_slows_nobody() {
    let owner = Owner::new().await;
    let mut deaf = fake::greeted(&owner.socket).await;
    deaf.write_all(&wire::encode(&ToOwner::Attach(Face::Screen)).unwrap()).await.unwrap();
    for id in 0..8 {
        deaf.write_all(&wire::encode(&ToOwner::Follow { id, feed: Feed::Events { backlog: 0 } }).unwrap())
            .await
            .unwrap();
        deaf.write_all(&wire::encode(&ToOwner::Ask { id: 100 + id, query: fake::large_question() }).unwrap())
            .await
            .unwrap();
    }
    let console = attach(&owner.socket, Face::Screen).await;
    for round in 0..50 {
        owner.fake.set(&["ada", &format!("guest{round}")]);
        within("an answer", console.run(act(Command::ReloadSecrets))).await.unwrap();
    }
    fake::until_tenants(&console, &["ada", "guest49"]).await;
}

#[tokio::test]
async fn a_slow_reader_of_a_stream_is_told_how_much_it_missed() {
    let owner = Owner::new().await;
    let console = attach(&owner.socket, Face::Screen).await;
    let mut stream = console.follow(Feed::Events { backlog: 0 });
    let mut expected = 0;
    let mut lost = 0;
    within("losses", async {
        while lost == 0 || expected < 200 {
            match stream.recv().await.unwrap() {
                Chunk::Events(events) => {
                    for event in events {
                        assert_eq!(event.seq, expected, "in order, without a gap that was not told");
                        expected += 1;
                    }
                }
                Chunk::Lost(count) => {
                    lost += count;
                    expected += count;
                }
                other => panic!("{other:?}"),
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(stream);
    owner.fake.until_streams(0).await;
}

#[tokio::test]
async fn dropping_a_question_leaves_the_line_usable() {
    let owner = Owner::new().await;
    let console = attach(&owner.socket, Face::Screen).await;
    for _ in 0..3 * wire::QUESTIONS {
        let _ = tokio::time::timeout(Duration::ZERO, console.ask(fake::large_question())).await;
    }
    within("an answer", async {
        while console.run(act(Command::ReloadSecrets)).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(console.link(), Link::Attached);
}

#[tokio::test]
async fn the_socket_is_ours_alone_and_a_stale_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "a dead owner leaves its socket behind");
    let owner = Owner::in_folder(folder).await;
    let mode = std::fs::metadata(&owner.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    attach(&owner.socket, Face::Cli).await;
    let second = lock::take(&owner.socket, Purpose::Own);
    let Err(LockError::Held(Some(holder))) = second else { panic!("two owners") };
    assert_eq!(holder.pid, std::process::id());
    let folder = owner.stop().await;
    assert!(!folder.path().join("socket").exists(), "a clean end leaves no socket");
}

#[tokio::test]
async fn what_consoles_look_at_reaches_the_owner() {
    let owner = Owner::new().await;
    let console = attach(&owner.socket, Face::Screen).await;
    let looked = mcpdeck::control::handle::Interest {
        watching: true,
        instances: vec!["etim".parse().unwrap()],
        ..Default::default()
    };
    console.interest(looked.clone());
    let mut version = owner.fake.consoles.version();
    within("the interest", async {
        while owner.fake.consoles.interest() != looked {
            version.changed().await.unwrap();
        }
    })
    .await;
    drop(console);
    owner.until_consoles(0).await;
    assert!(!owner.fake.consoles.interest().watching);
}

#[tokio::test]
async fn a_frame_is_what_both_sides_say_it_is() {
    let frame = wire::encode(&ToConsole::Alive).unwrap();
    assert_eq!(frame, [1, 0, 0, 0, 9], "the encoding is the protocol: change PROTOCOL with it");
}
