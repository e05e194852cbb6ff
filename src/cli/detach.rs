//! How an owner gives its terminal back to the shell and goes on without one.

use super::error::Error;
use super::output::print;
use rustix::process::{Pid, Signal, getpid, kill_process};
use std::fs::{self, File};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The hidden first argument with which our own program wakes its parent.
pub const WORD: &str = "__resume";

/// Returns the terminal to the shell that waits for us, and goes on in the background.
///
/// A process with threads cannot fork itself away from its shell. It can stop, which makes every shell with job control
/// take the terminal back, and be continued a moment later by a helper: then it is a job in the background.
pub fn leave_terminal() -> Result<(), Error> {
    let pid = std::process::id();
    print(&format!("mcpdeck goes on without a screen (pid {pid}): `mcpdeck` opens one, `mcpdeck shutdown` ends it\n"))?;
    let_go_of_terminal();
    let program = std::env::current_exe()?;
    let helper = Command::new(program)
        .args([WORD, &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // Without the helper nobody would wake us: stay in the foreground rather.
    if let Ok(mut helper) = helper {
        kill_process(getpid(), Signal::STOP).map_err(std::io::Error::from)?;
        helper.wait()?;
    }
    Ok(())
}

/// Standard streams to nowhere: the terminal may be gone, or somebody else's.
pub fn let_go_of_terminal() {
    let Ok(null) = File::options().read(true).write(true).open("/dev/null") else { return };
    let _ = rustix::stdio::dup2_stdin(&null);
    let _ = rustix::stdio::dup2_stdout(&null);
    let _ = rustix::stdio::dup2_stderr(&null);
}

/// The helper's whole life: continues the process once it has stopped.
#[expect(clippy::disallowed_methods, reason = "a helper of one thread that only waits has no runtime")]
pub fn resume(pid: Option<&str>) -> ExitCode {
    let Some(pid) = pid.and_then(|text| text.parse().ok()).and_then(Pid::from_raw) else { return ExitCode::FAILURE };
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_stopped(pid) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    // The shell needs a moment to see that its job stopped before it goes on.
    std::thread::sleep(Duration::from_millis(50));
    match kill_process(pid, Signal::CONT) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// State `T` in `/proc/PID/stat`, behind the name in brackets.
fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}
