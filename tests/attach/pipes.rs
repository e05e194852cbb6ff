//! Commands inside containers, over the socket: both ways, to the end, and never more on the way than the window holds.

use super::fake::{self, Owner, attach, within};
use mcpdeck::control::handle::Pipe;
use mcpdeck::control::wire::{self, PIECE, PIPES, ToConsole, ToOwner, WINDOW};
use mcpdeck::control::{Handle, peer};
use mcpdeck::model::Refusal;
use mcpdeck::model::container::ContainerKey;
use mcpdeck::model::message::{Exec, ExecIn, ExecOut, Face, Operator};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

fn exec(command: &str) -> Exec {
    Exec {
        container: ContainerKey { engine: "local".into(), id: "abc".into() },
        command: vec![command.into()],
        terminal: true,
        columns: 80,
        rows: 24,
        operator: Operator { name: "somebody else".into(), face: Face::Platform, pid: 1, grant: None },
        confirm: None,
    }
}

async fn type_in(pipe: &Pipe, bytes: &[u8]) {
    within("room to type", pipe.input.send(ExecIn::Bytes(bytes.to_vec()))).await.unwrap();
}

async fn said(pipe: &mut Pipe) -> ExecOut {
    within("the command to speak", pipe.output.recv()).await.expect("a last word comes first")
}

async fn console(owner: &Owner) -> Handle {
    attach(&owner.socket, Face::Cli).await
}

/// A console that speaks the protocol by hand.
async fn by_hand(owner: &Owner) -> UnixStream {
    let mut stream = fake::greeted(&owner.socket).await;
    tell(&mut stream, &ToOwner::Attach(Face::Cli)).await;
    stream
}

async fn tell(stream: &mut UnixStream, message: &ToOwner) {
    // One that is cut off meanwhile is what some tests want.
    let _ = stream.write_all(&wire::encode(message).unwrap()).await;
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_exit_code_comes_last() {
    let owner = Owner::new().await;
    let console = console(&owner).await;
    let mut pipe = console.pipe(exec("echo"));
    for n in 0..5 * WINDOW {
        let text = n.to_string();
        type_in(&pipe, text.as_bytes()).await;
        assert_eq!(said(&mut pipe).await, ExecOut::Bytes(text.into_bytes()));
    }
    pipe.input.send(ExecIn::Resize { columns: 120, rows: 40 }).await.unwrap();
    assert_eq!(said(&mut pipe).await, ExecOut::Bytes(b"120x40".to_vec()));
    type_in(&pipe, &[7; 3 * PIECE]).await;
    let mut echoed = 0;
    while echoed < 3 * PIECE {
        let ExecOut::Bytes(bytes) = said(&mut pipe).await else { panic!("it ended") };
        assert!(bytes.len() <= PIECE && bytes.iter().all(|b| *b == 7));
        echoed += bytes.len();
    }
    type_in(&pipe, b"exit").await;
    assert_eq!(said(&mut pipe).await, ExecOut::Exited(Some(3)));
    assert_eq!(pipe.output.recv().await, None);
    owner.fake.until_pipes(0).await;
    let given = &owner.fake.execs()[0].operator;
    assert_eq!(
        (&given.name, given.face),
        (&peer::own_operator(Face::Cli).name, Face::Cli),
        "who it is is not its to say"
    );
}

#[tokio::test]
async fn a_console_that_leaves_ends_its_command_and_so_does_a_lost_one() {
    let owner = Owner::new().await;
    let console = console(&owner).await;
    let pipes = ["flood", "deaf", "echo"].map(|command| console.pipe(exec(command)));
    owner.fake.until_pipes(3).await;
    drop(pipes);
    owner.fake.until_pipes(0).await;
    let mut stream = by_hand(&owner).await;
    tell(&mut stream, &ToOwner::Pipe { id: 1, exec: exec("deaf") }).await;
    tell(&mut stream, &ToOwner::Pipe { id: 2, exec: exec("flood") }).await;
    owner.fake.until_pipes(2).await;
    drop(stream);
    owner.fake.until_pipes(0).await;
    console.pipe(exec("echo"));
}

#[tokio::test]
async fn an_owner_that_goes_away_is_the_last_word() {
    let owner = Owner::new().await;
    let console = console(&owner).await;
    let mut pipe = console.pipe(exec("deaf"));
    owner.fake.until_pipes(1).await;
    let _folder = owner.stop().await;
    assert_eq!(said(&mut pipe).await, ExecOut::Failed("the owner went away".into()));
    let mut after = console.pipe(exec("echo"));
    assert!(matches!(said(&mut after).await, ExecOut::Refused(Refusal::NoOwner(_))));
}

#[tokio::test]
async fn one_that_reads_no_more_gets_the_window_and_slows_nobody() {
    let owner = Owner::new().await;
    let mut stream = by_hand(&owner).await;
    tell(&mut stream, &ToOwner::Pipe { id: 1, exec: exec("flood") }).await;
    let mut pieces = 0;
    let mut acks = 0;
    // It reads the connection, and never says that it took a piece.
    while pieces < WINDOW || acks == 0 {
        match within("a frame", wire::read(&mut stream)).await.unwrap() {
            ToConsole::Output { id: 1, output: ExecOut::Bytes(bytes) } => {
                assert!(bytes.len() <= PIECE);
                pieces += 1;
            }
            ToConsole::State { seq, .. } => {
                tell(&mut stream, &ToOwner::Ack(seq)).await;
                acks += 1;
            }
            _ => {}
        }
    }
    // The next sign of life comes with nothing before it.
    tell(&mut stream, &ToOwner::Ask { id: 9, query: fake::large_question() }).await;
    loop {
        match within("an answer", wire::read(&mut stream)).await.unwrap() {
            ToConsole::Answered { id: 9, .. } => break,
            ToConsole::Output { .. } => panic!("more than the window holds"),
            _ => {}
        }
    }
    let console = console(&owner).await;
    let mut pipe = console.pipe(exec("echo"));
    type_in(&pipe, b"x").await;
    assert_eq!(said(&mut pipe).await, ExecOut::Bytes(b"x".to_vec()));
}

#[tokio::test]
async fn a_reader_that_pauses_misses_nothing() {
    let owner = Owner::new().await;
    let console = console(&owner).await;
    let mut pipe = console.pipe(exec("flood"));
    let mut expected = Vec::new();
    for round in 0..4 * WINDOW {
        if round % WINDOW == 0 {
            // Long enough for the window to fill.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        let ExecOut::Bytes(bytes) = said(&mut pipe).await else { panic!("it ended") };
        expected.extend(bytes);
    }
    for (n, part) in expected.chunks_exact(3 * PIECE / 2).enumerate() {
        assert!(part.iter().all(|byte| usize::from(*byte) == n % 256), "piece {n}");
    }
}

#[tokio::test]
async fn breaking_the_rules_costs_the_breaker_its_connection() {
    let owner = Owner::new().await;
    let open = |id| ToOwner::Pipe { id, exec: exec("deaf") };
    let input = |len| ToOwner::Input { id: 1, input: ExecIn::Bytes(vec![0; len]) };
    let flood = std::iter::once(open(1)).chain((0..3 * WINDOW).map(|_| input(1))).collect();
    let many = (0..4 * PIPES as u64).map(open).collect();
    for breach in [
        flood,
        vec![open(1), input(PIECE + 1)],
        vec![open(1), open(1)],
        vec![open(1), ToOwner::Credit { id: 1, chunks: 1 }],
        vec![open(1), ToOwner::Credit { id: 1, chunks: u32::MAX }],
        many,
    ] {
        let mut stream = by_hand(&owner).await;
        for message in breach {
            tell(&mut stream, &message).await;
        }
        fake::until_cut_off(&mut stream).await;
        owner.fake.until_pipes(0).await;
    }
    // What comes too late for a pipe that has just ended is passed over.
    let mut stream = by_hand(&owner).await;
    tell(&mut stream, &input(1)).await;
    tell(&mut stream, &ToOwner::Drop { id: 1 }).await;
    tell(&mut stream, &ToOwner::Ask { id: 9, query: fake::large_question() }).await;
    while !matches!(wire::read(&mut stream).await.unwrap(), ToConsole::Answered { id: 9, .. }) {}
}

#[tokio::test]
async fn one_command_too_many_is_refused_at_home() {
    let owner = Owner::new().await;
    let console = console(&owner).await;
    let mut pipes: Vec<Pipe> = (0..=PIPES).map(|_| console.pipe(exec("deaf"))).collect();
    assert!(matches!(said(&mut pipes[PIPES]).await, ExecOut::Refused(Refusal::Busy(_))));
    drop(pipes);
    owner.fake.until_pipes(0).await;
    // The owner may know of the end a moment before the console does.
    let mut pipe = within("a place", async {
        loop {
            let mut pipe = console.pipe(exec("echo"));
            if pipe.input.send(ExecIn::Bytes(b"x".to_vec())).await.is_ok()
                && !matches!(pipe.output.recv().await, Some(ExecOut::Refused(_)))
            {
                return pipe;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    type_in(&pipe, b"y").await;
    assert_eq!(said(&mut pipe).await, ExecOut::Bytes(b"y".to_vec()));
}
