//! The `mcpdeck` program: everything is in the library, so that tests reach it, but what needs unsafe code, which the
//! library forbids.

use rustix::mm::{Advice, madvise};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Memory that one worker takes and another gives back costs glibc's allocator a lock, and a call's bytes go that way.
/// Without huge pages (`no_thp`): 4 MB idle instead of 20.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whoever runs for longer has started.
const START: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let started = std::thread::Builder::new().name("start".to_owned()).spawn(|| {
        std::thread::park_timeout(START);
        forget_start();
    });
    // Without that thread only memory is lost.
    drop(started);
    mcpdeck::cli::main()
}

/// Starting goes once through most of the program (arguments, configuration, routes, every view), and the kernel maps
/// 64 KiB around each step of it: more than half of what a console holds resident. Lets go of all of it; what is used
/// comes back from the page cache at the next touch.
fn forget_start() -> Option<()> {
    let program = std::env::current_exe().ok()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    for (start, end) in maps.lines().filter_map(|line| text(line, &program)) {
        // SAFETY: the mapping is a private one of a file, which may be read and run and not written, so none of its pages
        // differs from the file (`DONTNEED` would lose what does); it stays mapped, and a touch reads the same again.
        let _ = unsafe { madvise(std::ptr::with_exposed_provenance_mut(start), end - start, Advice::LinuxDontNeed) };
    }
    Some(())
}

/// Where a line of `/proc/self/maps` (proc_pid_maps(5)) says that code of `program` lies.
fn text(line: &str, program: &Path) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (range, rights) = (fields.next()?, fields.next()?);
    let file = fields.nth(3)?;
    if rights != "r-xp" || Path::new(file) != program {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_is_let_go() {
        let program = Path::new("/usr/bin/mcpdeck");
        for (line, range) in [
            ("55d0-55e0 r-xp 00001000 08:02 173521      /usr/bin/mcpdeck", Some((0x55d0, 0x55e0))),
            ("55e0-55f0 r--p 00011000 08:02 173521      /usr/bin/mcpdeck", None),
            ("55f0-5600 rw-p 00021000 08:02 173521      /usr/bin/mcpdeck", None),
            ("7f00-7f10 r-xp 00001000 08:02 135870      /usr/lib/libc.so.6", None),
            ("55d0-55e0 r-xp 00001000 08:02 173521      /usr/bin/mcpdeck (deleted)", Some((0x55d0, 0x55e0))),
            ("7ffe-7fff r-xp 00000000 00:00 0           [vdso]", None),
            ("7ffe-7fff rw-p 00000000 00:00 0", None),
        ] {
            assert_eq!(text(line, program), range, "{line}");
        }
    }

    #[test]
    fn a_program_that_forgot_its_start_goes_on() {
        assert_eq!(forget_start(), Some(()));
        assert_eq!(forget_start(), Some(()));
    }
}
