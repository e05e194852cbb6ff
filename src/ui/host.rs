//! What the loop does besides drawing: clipboard, editor, suspend, files.

use super::app::{Contents, Msg, RequestFile};
use super::input::Reader;
use super::shell::{self, Given, Left, Lent, Session};
use super::term::{Tty, osc52};
use crate::config::Problem;
use crate::config::request::{self, NamedRequest};
use crate::model::Stamp;
use crate::model::message::{Level, LogLine};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// The world around a screen; tests have their own.
pub trait Host {
    fn size(&self) -> (u16, u16);

    /// Seconds that the operator's clock is east of Greenwich.
    fn utc_offset_s(&self, now: Stamp) -> i32;

    /// Copies, and says how.
    fn copy(&mut self, text: &str) -> (Level, String);

    /// Rings: who looks elsewhere should look here.
    fn bell(&mut self);

    /// Stops the process until it is continued; the terminal is the shell's meanwhile.
    fn suspend(&mut self) -> io::Result<()>;

    /// The text as `$EDITOR` left it.
    fn edit(&mut self, text: &str, extension: &str) -> impl Future<Output = Result<String, String>>;

    /// Hands the terminal to a command in the container `name`, and takes it back when that ends.
    fn shell(&mut self, session: Session, name: &str) -> impl Future<Output = Left>;
}

/// A real terminal.
pub struct TtyHost {
    tty: Tty,
    reader: Reader,
    tmux: bool,
    screen: bool,
}

impl TtyHost {
    pub fn new(tty: Tty, reader: Reader) -> Self {
        let tmux = std::env::var_os("TMUX").is_some();
        let screen = std::env::var("TERM").is_ok_and(|t| t.starts_with("screen")) && !tmux;
        Self { tty, reader, tmux, screen }
    }

    fn release(&self) {
        self.reader.park();
        self.tty.leave();
    }

    fn take_back(&self) -> io::Result<()> {
        let taken = self.tty.enter();
        self.reader.resume();
        taken
    }
}

impl Host for TtyHost {
    fn size(&self) -> (u16, u16) {
        self.tty.size()
    }

    fn utc_offset_s(&self, now: Stamp) -> i32 {
        let at = i64::try_from(now.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        at.map_or(0, |at| at.to_zoned(jiff::tz::TimeZone::system()).offset().seconds())
    }

    fn copy(&mut self, text: &str) -> (Level, String) {
        let Some(bytes) = osc52(text, self.tmux, self.screen) else { return copy_to_file(text) };
        match self.tty.send(&bytes) {
            Ok(()) => (Level::Info, format!("copied {}", super::fmt::bytes(text.len() as u64))),
            Err(error) => (Level::Error, format!("not copied: {error}")),
        }
    }

    fn bell(&mut self) {
        // A terminal that takes no byte now will get no frame either, and that is told.
        let _ = self.tty.send(b"\x07");
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.release();
        // To this very thread: it stops here and goes on here.
        let stopped = signal_hook::low_level::raise(signal_hook::consts::SIGTSTP);
        self.take_back()?;
        stopped
    }

    async fn edit(&mut self, text: &str, extension: &str) -> Result<String, String> {
        let path = std::env::temp_dir().join(format!("mcpdeck-{}-{}.{extension}", std::process::id(), Stamp::now().0));
        write_private(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        self.release();
        let ran = run_editor(&path).await;
        let back = self.take_back();
        let read = std::fs::read_to_string(&path);
        let _ = std::fs::remove_file(&path);
        back.map_err(|e| format!("the terminal did not come back: {e}"))?;
        ran?;
        read.map_err(|e| format!("cannot read {} again: {e}", path.display()))
    }

    async fn shell(&mut self, session: Session, name: &str) -> Left {
        let left = match LentTty::new(self.tty.clone(), self.reader.lend(), name) {
            Ok(mut lent) => shell::relay(session, &mut lent).await,
            Err(error) => Left::Failed(format!("the terminal cannot be handed over: {error}")),
        };
        match self.take_back() {
            Ok(()) => left,
            Err(_) => Left::Gone,
        }
    }
}

/// The operator's terminal while a shell has it.
struct LentTty {
    tty: Tty,
    bytes: mpsc::Receiver<Vec<u8>>,
    resize: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl LentTty {
    fn new(tty: Tty, bytes: mpsc::Receiver<Vec<u8>>, name: &str) -> io::Result<Self> {
        let lent = Self {
            bytes,
            resize: signal(SignalKind::window_change())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            tty,
        };
        lent.tty.hand_over()?;
        lent.tty.send(format!("mcpdeck: shell in {name}; exit or ctrl-] comes back\r\n").as_bytes())?;
        Ok(lent)
    }
}

impl Lent for LentTty {
    async fn next(&mut self) -> Given {
        tokio::select! {
            bytes = self.bytes.recv() => bytes.map_or(Given::Gone, Given::Bytes),
            _ = self.resize.recv() => {
                let (columns, rows) = self.tty.size();
                Given::Size(columns, rows)
            }
            _ = self.terminate.recv() => Given::Gone,
            _ = self.hangup.recv() => Given::Gone,
        }
    }

    fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tty.send(bytes)
    }
}

async fn run_editor(path: &Path) -> Result<(), String> {
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.trim().is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = tokio::process::Command::new(program).args(words).arg(path).kill_on_drop(true).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}; the text is as it was")),
        Err(error) => Err(format!("cannot run {program} (from $VISUAL or $EDITOR): {error}")),
    }
}

/// Too long for the terminal: a file only its owner can read.
fn copy_to_file(text: &str) -> (Level, String) {
    let path = std::env::temp_dir().join(format!("mcpdeck-copy-{}.txt", std::process::id()));
    match write_private(&path, text) {
        Ok(()) => {
            let size = super::fmt::bytes(text.len() as u64);
            (Level::Info, format!("{size} is more than terminals copy: it lies in {}", path.display()))
        }
        Err(error) => (Level::Error, format!("not copied: {}: {error}", path.display())),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let _ = std::fs::remove_file(path);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// Lines of a log as they stand in a saved file: time, whose, level, text.
pub fn log_text(lines: &[Arc<LogLine>]) -> String {
    let saved = |line: &Arc<LogLine>| {
        let at = i64::try_from(line.at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let at = at.map(|t| format!("{t:.3}")).unwrap_or_default();
        format!("{at} {} {} {}\n", line.target, line.level.map_or("-", Level::name), line.text)
    };
    lines.iter().map(saved).collect()
}

/// Saves a file that must not exist yet (its folder may be new), and says so.
pub async fn save(path: PathBuf, contents: Contents) -> Msg {
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || {
        let bytes = match contents {
            Contents::Text(text) => text.into_bytes(),
            Contents::Base64(text) => decode(&text)?,
        };
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(&bytes)?;
        Ok::<_, io::Error>(bytes.len() as u64)
    });
    match written.await {
        Ok(Ok(size)) => Msg::Notice(Level::Info, format!("saved {} to {shown}", super::fmt::bytes(size))),
        Ok(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
            Msg::Notice(Level::Error, format!("not saved: {shown} is there already"))
        }
        Ok(Err(error)) => Msg::Notice(Level::Error, format!("not saved to {shown}: {error}")),
        Err(error) => Msg::Notice(Level::Error, format!("not saved to {shown}: {error}")),
    }
}

/// Files of a folder that are read, and bytes of one.
const MAX_REQUESTS: usize = 1_000;
const MAX_REQUEST: u64 = 1 << 20;

/// The named requests of a folder, by name; broken ones with why.
pub fn requests(folder: &Path) -> Result<Vec<RequestFile>, String> {
    let none = || format!("there are no requests in {}; save one first", folder.display());
    let entries = std::fs::read_dir(folder).map_err(|_| none())?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths.truncate(MAX_REQUESTS);
    let read = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        RequestFile { name, request: read_request(path) }
    };
    if paths.is_empty() { Err(none()) } else { Ok(paths.iter().map(read).collect()) }
}

fn read_request(path: &Path) -> Result<NamedRequest, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_REQUEST {
        return Err(format!("{} are too long for a request", super::fmt::bytes(size)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    request::parse(&text, path).map_err(|problems| problems.first().map(Problem::headline).unwrap_or_default())
}

/// Base64 as servers write it: either alphabet, padded or not.
fn decode(text: &str) -> io::Result<Vec<u8>> {
    let plain = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    STANDARD_NO_PAD.decode(plain).map_err(|error| io::Error::other(format!("this is no base64: {error}")))
}
