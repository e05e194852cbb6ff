//! Tries the driver's library in a process of its own before this one loads it: a library that hangs while it is loaded
//! holds the loader's lock, and with it every thread here that needs that; one that crashes takes the platform along.

use super::{LIBRARY, read};
use nvml_wrapper::Nvml;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, getpid, kill_process, pidfd_open, setrlimit};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The hidden first argument with which our own program is the process that tries.
pub const WORD: &str = "__gpu";

/// What it ends with when the library has answered, be it with an error. No library calls `exit` with that.
const ANSWERED: u8 = 76;
/// A driver that begins with eight devices takes 20 s.
const LIMIT: Duration = Duration::from_secs(45);
/// What was killed and is still there after this hangs in the kernel.
const KILLED: Duration = Duration::from_secs(1);

/// Who tries, and how long it may take.
pub struct Trial {
    helper: PathBuf,
    limit: Duration,
    /// The last one, which hangs in the kernel.
    stuck: Option<Child>,
}

impl Trial {
    /// `helper` is our own program.
    pub fn new(helper: PathBuf) -> Self {
        Self { helper, limit: LIMIT, stuck: None }
    }

    /// With another limit than the usual one.
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Blocks until it is known whether the library can be loaded without harm; else the reason, with what to do next.
    pub(super) fn hold(&mut self, library: Option<&Path>) -> Result<(), String> {
        let name = library.map_or_else(|| LIBRARY.to_owned(), |path| path.display().to_string());
        let cannot = |error| format!("{name} cannot be tried first ({}): {error}", self.helper.display());
        if let Some(child) = &mut self.stuck {
            if child.try_wait().map_err(&cannot)?.is_none() {
                return Err(format!("{}, and cannot even be killed", hangs(&name, self.limit)));
            }
            self.stuck = None;
        }
        let mut child = self.start(library).map_err(&cannot)?;
        match wait(&mut child, self.limit).map_err(&cannot)? {
            Some(status) => verdict(&name, status),
            None => {
                let killed = child.kill().and_then(|()| wait(&mut child, KILLED));
                if !matches!(killed, Ok(Some(_))) {
                    self.stuck = Some(child);
                }
                Err(hangs(&name, self.limit))
            }
        }
    }

    fn start(&self, library: Option<&Path>) -> std::io::Result<Child> {
        let mut command = Command::new(&self.helper);
        // The pipe closes with us, however we end.
        command.arg(WORD).args(library).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn()
    }
}

/// The child's end, if it ends within `limit`.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let ending = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let begun = Instant::now();
    loop {
        let left = Timespec::try_from(limit.saturating_sub(begun.elapsed())).map_err(std::io::Error::other)?;
        match poll(&mut [PollFd::new(&ending, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return child.try_wait(),
        }
    }
}

fn verdict(name: &str, status: ExitStatus) -> Result<(), String> {
    if status.code() == Some(ANSWERED.into()) {
        return Ok(());
    }
    Err(format!(
        "the driver library crashes: {name} ended the process that tried it ({status}); does it belong to the driver that \
         runs? see `dmesg`, or name another with `[gpu] library`"
    ))
}

fn hangs(name: &str, limit: Duration) -> String {
    let seconds = limit.as_secs_f32();
    format!(
        "the driver library hangs: {name} did not answer within {seconds} s; `nvidia-smi` may hang, too; `dmesg` says why"
    )
}

/// The whole life of the process that tries.
pub fn main(library: Option<&OsStr>) -> ExitCode {
    // Nobody reads the core of one that is there to crash.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    std::thread::spawn(end_with_the_owner);
    // Errors are found again, and told, by whoever loads it next.
    if let Ok(nvml) = Nvml::builder().lib_path(library.unwrap_or(OsStr::new(LIBRARY))).init() {
        for number in 0..nvml.device_count().unwrap_or(0) {
            read::device(&nvml, number);
        }
    }
    ExitCode::from(ANSWERED)
}

/// An orderly end could wait for the very lock that the library holds.
fn end_with_the_owner() {
    let _ = std::io::stdin().lock().read(&mut [0]);
    let _ = kill_process(getpid(), Signal::KILL);
}
