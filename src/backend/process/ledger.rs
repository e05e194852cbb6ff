//! Keeps what must not outlive us written down in two places: the helper's pipe and a file in the state folder.

use super::holdings::{Holdings, Line};
use super::procstat::{self, Stat};
use crate::backend::reaper;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines that the file may hold beyond what is alive before it is written anew.
const SLACK: usize = 256;

/// A helper needs at most 1.5 s to end what is left; one that needs longer is broken.
const HELPER_END: Duration = Duration::from_secs(3);

/// Folder of the files, one per owner process.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("run")
}

pub struct Ledger {
    helper_program: PathBuf,
    path: PathBuf,
    header: String,
    // Held while a line of some 50 bytes is written: the order of lines in file and pipe is what it protects.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    live: Holdings,
    file: Option<File>,
    lines: usize,
    helper: Option<Helper>,
}

struct Helper {
    child: Child,
    /// `None` only while it is being ended.
    pipe: Option<ChildStdin>,
}

impl Ledger {
    pub fn new(state_dir: &Path, helper_program: PathBuf) -> Self {
        let own = Stat::own();
        let (started, session) = own.map_or((0, 0), |s| (s.started, s.session));
        let pid = std::process::id();
        Self {
            helper_program,
            path: folder(state_dir).join(format!("{pid}-{started}.groups")),
            header: Header { boot: procstat::boot_id(), pid, started, session }.to_string(),
            inner: Mutex::default(),
        }
    }

    /// Starts the helper if it does not run. The error says why nobody would clean up after a `kill -9` of us.
    pub fn watch(&self) -> Result<(), String> {
        let mut inner = self.lock();
        if inner.helper.is_some() {
            return Ok(());
        }
        let mut helper = Helper::start(&self.helper_program)
            .map_err(|e| format!("no clean-up after a kill -9: {}: {e}", self.helper_program.display()))?;
        for line in inner.live.lines() {
            helper.tell(&line).map_err(|e| format!("no clean-up after a kill -9: helper: {e}"))?;
        }
        inner.helper = Some(helper);
        Ok(())
    }

    /// Writes one change to both places. The error is the file's; without the file the helper still knows.
    pub fn note(&self, line: Line) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.helper.as_mut().is_some_and(|h| h.tell(&line).is_err()) {
            // It died or does not read: the next start begins a new one and tells it everything.
            if let Some(mut helper) = inner.helper.take() {
                let _ = helper.child.kill();
            }
        }
        inner.live.apply(line.clone());
        if inner.live.is_empty() {
            inner.file = None;
            return fs::remove_file(&self.path);
        }
        if inner.file.is_none() || inner.lines > inner.live.len() + SLACK {
            return self.write_anew(&mut inner);
        }
        inner.lines += 1;
        inner.file.as_mut().map_or(Ok(()), |file| writeln!(file, "{line}"))
    }

    fn write_anew(&self, inner: &mut Inner) -> io::Result<()> {
        let new = self.path.with_extension("new");
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut text = format!("{}\n", self.header);
        inner.live.lines().for_each(|line| text.push_str(&format!("{line}\n")));
        let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, &self.path)?;
        inner.lines = inner.live.len();
        inner.file = Some(file);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    /// Only what runs is worth finding again.
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        if inner.live.groups.is_empty() && inner.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Helper {
    fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg(reaper::WORD)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = child.stdin.take();
        let helper = Self { child, pipe };
        if let Some(pipe) = &helper.pipe {
            // A helper that was stopped must not stop us: a full pipe is then an error.
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(helper)
    }

    fn tell(&mut self, line: &Line) -> io::Result<()> {
        let mut pipe = self.pipe.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        pipe.write_all(format!("{line}\n").as_bytes())
    }
}

impl Drop for Helper {
    /// Without its pipe it ends by itself: at once if nothing is left, else after ending what is left.
    #[expect(clippy::disallowed_methods, reason = "a helper ends within milliseconds, and dropping cannot await")]
    fn drop(&mut self) {
        self.pipe = None;
        let deadline = Instant::now() + HELPER_END;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// First line of a file: whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub boot: String,
    pub pid: u32,
    pub started: u64,
    pub session: u32,
}

impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mcpdeck 1 {} {} {} {}", self.boot, self.pid, self.started, self.session)
    }
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix("mcpdeck 1 ")?.split(' ');
        let mut next = || fields.next();
        Some(Self {
            boot: next()?.to_owned(),
            pid: next()?.parse().ok()?,
            started: next()?.parse().ok()?,
            session: next()?.parse().ok()?,
        })
    }

    /// True while the owner that wrote it runs.
    pub fn owner_lives(&self) -> bool {
        Stat::read(self.pid).is_some_and(|s| s.started == self.started && s.is_alive())
    }
}

/// Reads a file that an owner wrote; `None` if it is none.
pub fn read(path: &Path) -> Option<(Header, Holdings)> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let header = Header::parse(lines.next()?)?;
    let mut holdings = Holdings::default();
    lines.filter_map(Line::parse).for_each(|line| holdings.apply(line));
    Some((header, holdings))
}
