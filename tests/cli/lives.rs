//! The two lives of an owner with a screen: what becomes of the platform when the screen ends.

use super::deck::{CONFIG, Deck};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// An owner in a terminal of its own, made here so that no child of another test inherits its end and keeps it alive.
struct Owner {
    /// `None` once the terminal is gone.
    terminal: Option<File>,
    child: Child,
    seen: Vec<u8>,
}

impl Owner {
    /// SIGHUP is ignored, as under `nohup`: only the terminal itself tells that it is gone.
    fn open(deck: &Deck, words: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let program = deck.command(words);
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "trap '' HUP; exec setsid --ctty \"$@\"", "sh"])
            .arg(program.get_program())
            .args(program.get_args())
            .env_clear()
            .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("TERM", "xterm")
            .current_dir(deck.path())
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(Stdio::from(slave));
        let child = command.spawn().unwrap();
        let mut owner = Self { terminal: Some(File::from(master)), child, seen: Vec::new() };
        owner.until("Overview");
        owner
    }

    /// Reads what comes within `wait`; false if nothing did.
    fn read(&mut self, wait: Duration) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        let wait = Timespec { tv_sec: wait.as_secs().try_into().unwrap(), tv_nsec: wait.subsec_nanos().into() };
        let ready = retry_on_intr(|| poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&wait))).unwrap();
        let mut buffer = [0; 4096];
        // Once nobody holds the other end, reading fails.
        let read = if ready == 0 { 0 } else { terminal.read(&mut buffer).unwrap_or(0) };
        self.seen.extend_from_slice(&buffer[..read]);
        read > 0
    }

    #[track_caller]
    fn until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.seen).contains(text) {
            assert!(self.read(PATIENCE), "no `{text}` in {}", String::from_utf8_lossy(&self.seen));
        }
    }

    fn send(&mut self, keys: &str) {
        self.terminal.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Takes the terminal away.
    fn hang_up(&mut self) {
        self.terminal = None;
    }

    /// True while the process has the thread that draws.
    fn has_screen(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        // A thread may end between the listing and the look.
        let names = threads.flatten().filter_map(|t| std::fs::read_to_string(t.path().join("comm")).ok());
        names.into_iter().any(|name| name.trim() == "screen")
    }

    /// Waits for the process to end; its exit code.
    #[track_caller]
    fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status.code(),
                None if Instant::now() > deadline => panic!("it does not end"),
                None => drop(self.read(Duration::from_millis(1))),
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
fn a_vanished_terminal_ends_the_screen_within_a_second_and_leaves_a_platform_that_answers() {
    let deck = Deck::new(CONFIG);
    let mut owner = Owner::open(&deck, &[]);
    deck.run(&["start", "memory@lab"]).ok();
    assert!(owner.has_screen());
    owner.hang_up();
    let vanished = Instant::now();
    while owner.has_screen() {
        assert!(vanished.elapsed() < Duration::from_secs(1), "the screen is still there");
        std::thread::yield_now();
    }
    let pid = deck.run(&["status", "-o", "json"]).ok().json()["platform"]["pid"].clone();
    assert_eq!(pid, serde_json::json!(owner.child.id()), "the same process goes on");
    let state = deck.run(&["get", "instances", "memory@lab", "-o", "json"]).ok().json();
    assert_eq!(state[0]["state"], "ready", "it was not touched");
    deck.run(&["shutdown"]).ok();
    assert_eq!(owner.ended(), Some(0));
}

#[test]
fn with_on_hangup_exit_everything_goes_with_the_terminal() {
    let deck = Deck::new(&CONFIG.replace("[platform]", "[platform]\non_hangup = \"exit\""));
    let mut owner = Owner::open(&deck, &[]);
    deck.run(&["start", "memory@lab"]).ok();
    owner.hang_up();
    assert_eq!(owner.ended(), Some(0));
    assert!(!deck.socket().exists());
    assert_eq!(deck.run(&["status"]).code, 6);
}

#[test]
fn a_screen_that_opens_while_the_last_owner_ends_owns_the_platform_after_it() {
    // Nobody ends it but a kill at the owner's deadline.
    let stubborn = r#"
        [[server]]
        id = "stubborn"
        run = { command = ["/bin/sh", "-c", "trap '' TERM; while :; do read -r _ || sleep 1; done"] }
        "#;
    let deck = Deck::new(&(CONFIG.replace("[platform]", "[platform]\non_hangup = \"exit\"") + stubborn));
    let mut first = Owner::open(&deck, &[]);
    deck.run(&["start", "stubborn", "--no-wait"]).ok();
    first.hang_up();
    while first.has_screen() {
        std::thread::yield_now();
    }
    let second = Owner::open(&deck, &[]);
    assert_eq!(first.ended(), Some(0));
    let owner = deck.run(&["status", "-o", "json"]).ok().json()["platform"]["pid"].clone();
    assert_eq!(owner, serde_json::json!(second.child.id()));
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
    assert_eq!(owner.ended(), Some(0));
}

#[test]
fn the_shutdown_command_ends_the_owners_screen_too() {
    let deck = Deck::new(CONFIG);
    let mut owner = Owner::open(&deck, &[]);
    deck.run(&["shutdown"]).ok();
    assert_eq!(owner.ended(), Some(0));
    owner.until("\x1b[?1049l");
}
