//! The two lives of an owner with a screen: what becomes of the platform when the screen ends.

use super::deck::{CONFIG, Deck};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// An owner in a terminal of its own.
struct Owner {
    /// `None` once the terminal is gone.
    terminal: Option<(Box<dyn MasterPty + Send>, Box<dyn Write + Send>)>,
    child: Box<dyn Child + Send + Sync>,
    shown: mpsc::Receiver<Vec<u8>>,
    /// The reader holds the terminal open, too: it lets go at the next bytes after this is set.
    gone: Arc<AtomicBool>,
    seen: Vec<u8>,
}

impl Owner {
    fn open(deck: &Deck, words: &[&str]) -> Self {
        let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, ..PtySize::default() }).unwrap();
        let program = deck.command(words);
        let mut command = CommandBuilder::new(program.get_program());
        command.env_clear();
        program.get_args().for_each(|word| command.arg(word));
        program.get_envs().for_each(|(name, value)| command.env(name, value.unwrap_or_default()));
        command.env("TERM", "xterm");
        command.cwd(deck.path());
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let (bytes, shown) = mpsc::channel();
        let gone = Arc::new(AtomicBool::new(false));
        let stop = gone.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if bytes.send(buffer[..n].to_vec()).is_err() || stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let terminal = Some((pair.master, writer));
        let mut owner = Self { terminal, child, shown, gone, seen: Vec::new() };
        owner.until("Overview");
        owner
    }

    #[track_caller]
    fn until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.seen).contains(text) {
            let more = self.shown.recv_timeout(PATIENCE);
            self.seen.extend(more.unwrap_or_else(|_| panic!("no `{text}` in {}", String::from_utf8_lossy(&self.seen))));
        }
    }

    fn send(&mut self, keys: &str) {
        let (_, writer) = self.terminal.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Takes the terminal away.
    fn hang_up(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        self.send("?");
        self.terminal = None;
    }

    /// Waits for the process to end.
    #[track_caller]
    fn ended(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status.exit_code(),
                None if Instant::now() > deadline => panic!("it does not end"),
                None => std::thread::yield_now(),
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_vanished_terminal_leaves_a_platform_that_still_answers() {
    let deck = Deck::new(CONFIG);
    let mut owner = Owner::open(&deck, &[]);
    deck.run(&["start", "memory@lab"]).ok();
    owner.hang_up();
    let detached = |event: &serde_json::Value| event["kind"]["attached"]["on"] == false;
    let deadline = Instant::now() + PATIENCE;
    while !deck.run(&["get", "events", "-o", "json"]).ok().json().as_array().unwrap().iter().any(detached) {
        assert!(Instant::now() < deadline, "the screen does not end");
    }
    let pid = deck.run(&["status", "-o", "json"]).ok().json()["platform"]["pid"].clone();
    assert_eq!(pid, serde_json::json!(owner.child.process_id()), "the same process goes on");
    let state = deck.run(&["get", "instances", "memory@lab", "-o", "json"]).ok().json();
    assert_eq!(state[0]["state"], "ready", "it was not touched");
    deck.run(&["shutdown"]).ok();
    assert_eq!(owner.ended(), 0);
}

#[test]
fn with_on_hangup_exit_everything_goes_with_the_terminal() {
    let deck = Deck::new(&CONFIG.replace("[platform]", "[platform]\non_hangup = \"exit\""));
    let mut owner = Owner::open(&deck, &[]);
    deck.run(&["start", "memory@lab"]).ok();
    owner.hang_up();
    assert_eq!(owner.ended(), 0);
    assert!(!deck.socket().exists());
    assert_eq!(deck.run(&["status"]).code, 6);
}

#[test]
fn a_detached_owner_goes_on_and_a_new_screen_finds_it() {
    let deck = Deck::new(CONFIG);
    let mut owner = Owner::open(&deck, &[]);
    owner.send("q");
    owner.until("detach");
    owner.send("d");
    owner.until("goes on without a screen");
    deck.run(&["status"]).ok();
    let mut second = Owner::open(&deck, &["--view", "servers"]);
    second.until("attached");
    deck.run(&["shutdown"]).ok();
    assert_eq!(owner.ended(), 0);
}

#[test]
fn the_shutdown_command_ends_the_owners_screen_too() {
    let deck = Deck::new(CONFIG);
    let mut owner = Owner::open(&deck, &[]);
    deck.run(&["shutdown"]).ok();
    assert_eq!(owner.ended(), 0);
    owner.until("\x1b[?1049l");
}
