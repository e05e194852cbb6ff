//! The helper process: holds a pipe from its owner and, when that closes (the owner ended, by `kill -9` too), ends every
//! process group and cgroup it was told of. Parent-death signals would follow a thread and miss grandchildren.

use super::process::holdings::{Holdings, Line};
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The hidden first argument with which our own program is the helper.
pub const WORD: &str = "__reaper";

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// The helper's whole life; `mcpdeck __reaper` comes here before anything else is set up.
pub fn main() -> ExitCode {
    leave_the_owner();
    let mut holdings = Holdings::default();
    let lines = std::io::stdin().lock().lines();
    lines.map_while(Result::ok).filter_map(|line| Line::parse(&line)).for_each(|line| holdings.apply(line));
    holdings.end(GRACE);
    ExitCode::SUCCESS
}

/// What ends the owner's session, terminal or group must not end the helper: it would leave nobody to clean up. It still
/// never outlives the owner for long, because the pipe closes with it.
fn leave_the_owner() {
    // Fails only for the leader of a group, which a child never is.
    let _ = rustix::process::setsid();
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        let _ = signal_hook::flag::register(signal, Arc::clone(&ignored));
    }
}
