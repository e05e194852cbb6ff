//! The real program on a real terminal: it starts, it draws, and it leaves the terminal whole however it ends.

mod pastes;
mod terminals;

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long enough for a debug build on a busy machine; what must be quick says so itself.
const PATIENCE: Duration = Duration::from_secs(60);

const ICANON_AND_ECHO: u32 = 0o12;

fn size(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

/// What the terminal shows, as its emulator has it.
struct Glass {
    parser: Mutex<vt100::Parser>,
    changed: Condvar,
}

/// A program on a pty of 80x24.
struct Term {
    home: TempDir,
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    glass: Arc<Glass>,
    exit: mpsc::Receiver<ExitStatus>,
    pid: Pid,
}

impl Term {
    /// The program on the embedded default, in folders of its own.
    fn start(env: &[(&str, &str)]) -> Self {
        Self::command(&format!("exec {}", env!("CARGO_BIN_EXE_mcpdeck")), env, tempfile::tempdir().unwrap())
    }

    fn command(script: &str, env: &[(&str, &str)], home: TempDir) -> Self {
        let pair =
            native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new("/bin/sh");
        command.args(["-c", script]);
        command.env_clear();
        command.cwd(home.path());
        for (name, folder) in [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_CACHE_HOME", "cache"),
        ] {
            let path = home.path().join(folder);
            std::fs::create_dir_all(&path).unwrap();
            command.env(name, path);
        }
        command.env("TERM", "xterm-256color");
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let glass =
            Arc::new(Glass { parser: Mutex::new(vt100::Parser::new(size(24), size(80), 0)), changed: Condvar::new() });
        read(pair.master.try_clone_reader().unwrap(), glass.clone());
        let pid = Pid::from_raw(child.process_id().unwrap() as i32).unwrap();
        let writer = pair.master.take_writer().unwrap();
        Self { home, master: Some(pair.master), writer: Some(writer), glass, exit: reap(child), pid }
    }

    fn send(&mut self, keys: &str) -> &mut Self {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
        self
    }

    /// Waits until the screen is as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> &Self {
        let deadline = Instant::now() + PATIENCE;
        let mut parser = self.glass.parser.lock().unwrap();
        while !wanted(parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never {what}; the screen:\n{}", parser.screen().contents());
            parser = self.glass.changed.wait_timeout(parser, left).unwrap().0;
        }
        self
    }

    fn shows(&self, text: &str) -> &Self {
        self.until(&format!("showed `{text}`"), |s| s.contents().contains(text))
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// The exit status, once the program has ended.
    fn ended(&self, within: Duration) -> ExitStatus {
        self.exit.recv_timeout(within).unwrap_or_else(|_| {
            panic!("still running; the screen:\n{}", self.glass.parser.lock().unwrap().screen().contents())
        })
    }

    /// The terminal is as it was: main screen, cursor, no bracketed paste, lines and echo.
    fn is_whole(&self) -> &Self {
        self.until("was whole again", |s| !s.alternate_screen() && !s.hide_cursor() && !s.bracketed_paste());
        // The modes follow what is written, and nothing tells when they change.
        let deadline = Instant::now() + PATIENCE;
        let raw = || {
            let modes = self.master.as_ref().unwrap().get_termios().unwrap();
            modes.local_flags.bits() & ICANON_AND_ECHO != ICANON_AND_ECHO
        };
        while raw() {
            assert!(Instant::now() < deadline, "still raw");
            std::thread::yield_now();
        }
        self
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        // Whatever a failed test left running.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

fn read(mut reader: Box<dyn Read + Send>, glass: Arc<Glass>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(n) = reader.read(&mut bytes) {
            if n == 0 {
                return;
            }
            glass.parser.lock().unwrap().process(&bytes[..n]);
            glass.changed.notify_all();
        }
    });
}

fn reap(mut child: Box<dyn Child + Send + Sync>) -> mpsc::Receiver<ExitStatus> {
    let (sender, exit) = mpsc::channel();
    std::thread::spawn(move || child.wait().map(|status| sender.send(status)));
    exit
}

#[test]
fn it_opens_draws_and_quits_and_the_terminal_is_whole() {
    let mut term = Term::start(&[]);
    term.shows("Needs attention").shows("Customers x servers");
    term.send("3").shows("p95ms");
    term.send("q").shows("stop everything");
    term.send("s");
    assert!(term.ended(PATIENCE).success());
    term.is_whole();
}

#[test]
fn a_new_size_is_drawn_at_once() {
    let term = Term::start(&[]);
    term.shows("Needs attention");
    term.glass.parser.lock().unwrap().screen_mut().set_size(size(12), size(40));
    term.master.as_ref().unwrap().resize(PtySize { rows: 12, cols: 40, pixel_width: 0, pixel_height: 0 }).unwrap();
    term.shows("1 O 2 C 3 S 4 C 5 G");
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
}

#[test]
fn sigterm_leaves_the_terminal_whole() {
    let term = Term::start(&[]);
    term.shows("Needs attention");
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
    term.is_whole();
}

#[test]
fn sighup_leaves_the_terminal_whole() {
    let term = Term::start(&[]);
    term.shows("Needs attention");
    term.signal(Signal::HUP);
    term.ended(PATIENCE);
    term.is_whole();
}

#[test]
fn a_panic_of_the_screen_leaves_the_terminal_whole_and_says_why() {
    let mut term = Term::start(&[("MCPDECK_TEST_PANIC", "1")]);
    term.shows("Needs attention");
    term.send("\x1b[24~").shows("provoked on the screen");
    // The example platform goes with its terminal.
    term.shows("error: the screen failed").shows("its platform was stopped with it");
    assert!(!term.ended(PATIENCE).success());
    term.is_whole();
}

#[test]
fn a_dumb_terminal_gets_words_and_no_owner() {
    let term = Term::start(&[("TERM", "dumb")]);
    term.shows("TERM=dumb").shows("mcpdeck status");
    assert!(!term.glass.parser.lock().unwrap().screen().alternate_screen());
    assert!(!term.home.path().join("run").join("mcpdeck").exists(), "nothing was started for it");
}

#[test]
fn a_panic_elsewhere_is_a_notice_and_the_screen_stays() {
    let mut term = Term::start(&[("MCPDECK_TEST_PANIC", "1")]);
    term.shows("Needs attention");
    term.send("\x1b[23~").shows("a task of mcpdeck failed");
    term.send("3").shows("p95ms");
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
    term.is_whole();
}

#[test]
fn no_terminal_is_said_and_no_screen_tried() {
    let home = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("setsid");
    command
        .arg("-w")
        .arg(env!("CARGO_BIN_EXE_mcpdeck"))
        .env("XDG_RUNTIME_DIR", home.path())
        .env("XDG_STATE_HOME", home.path())
        .env("HOME", home.path());
    let Ok(output) = command.stdin(std::process::Stdio::null()).output() else {
        return crate::support::skip("no_terminal_is_said_and_no_screen_tried", "no setsid here");
    };
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no terminal"), "{said}");
}

#[test]
fn ctrl_z_stops_an_attached_console_and_fg_brings_it_back() {
    let owner = Term::start(&[]);
    owner.shows("Needs attention");
    let program = env!("CARGO_BIN_EXE_mcpdeck");
    // An interactive shell is what gives a program something to be stopped by.
    let mut shell = Term::command("exec sh -i", &owner_env(&owner), tempfile::tempdir().unwrap());
    shell.send(&format!("{program}\n"));
    shell.shows("attached");
    shell.send("\x1a").is_whole();
    shell.send("fg\n").until("came back", vt100::Screen::alternate_screen);
    shell.shows("attached");
    shell.send("q").is_whole();
    shell.send("exit\n");
    owner.signal(Signal::TERM);
    owner.ended(PATIENCE);
}

/// The folders of another program, to meet it there.
fn owner_env(owner: &Term) -> Vec<(&'static str, &'static str)> {
    let path = |folder: &str| -> &'static str {
        Box::leak(owner.home.path().join(folder).to_string_lossy().into_owned().into_boxed_str())
    };
    vec![
        ("HOME", path("home")),
        ("XDG_CONFIG_HOME", path("config")),
        ("XDG_STATE_HOME", path("state")),
        ("XDG_DATA_HOME", path("data")),
        ("XDG_RUNTIME_DIR", path("run")),
        ("XDG_CACHE_HOME", path("cache")),
    ]
}
