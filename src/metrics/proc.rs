//! Reading the kernel's small files cheaply: one buffer, one read, no allocation.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Large enough for every `/proc/PID/stat`, and for the lines that we need of the longer files.
const ROOM: usize = 4096;

/// Reads files into one buffer.
pub struct Reader {
    buffer: Box<[u8]>,
}

impl Reader {
    pub fn new() -> Self {
        Self::with_room(ROOM)
    }

    pub fn with_room(bytes: usize) -> Self {
        Self { buffer: vec![0; bytes].into() }
    }

    /// As much as there is room for, as text; `None` if the file (or the process it speaks of) is not there.
    pub fn read(&mut self, path: impl AsRef<Path>) -> Option<&str> {
        let n = File::open(path).ok()?.read(&mut self.buffer).ok()?;
        std::str::from_utf8(&self.buffer[..n]).ok()
    }

    /// Likewise of a file that is open already, from its beginning; `None` if what it speaks of is gone.
    pub fn read_held(&mut self, file: &File) -> Option<&str> {
        let n = file.read_at(&mut self.buffer, 0).ok()?;
        std::str::from_utf8(&self.buffer[..n]).ok()
    }
}

/// Fields of `/proc/PID/stat` (proc_pid_stat(5)) that tell usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// False for a zombie.
    pub alive: bool,
    pub parent: u32,
    pub group: u32,
    /// Ticks of the processor: its own, and those of children that it has reaped.
    pub own_ticks: u64,
    pub child_ticks: u64,
    /// Ticks since boot.
    pub started: u64,
    pub resident_pages: u64,
}

impl Stat {
    pub fn parse(text: &str) -> Option<Self> {
        // The name is in parentheses and may itself hold spaces and parentheses, so the last one ends it.
        let mut fields = text.rsplit_once(") ")?.1.split_ascii_whitespace();
        let alive = !matches!(fields.next()?, "Z" | "X");
        let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let mut ticks = fields.skip(8).map(|f| f.parse::<u64>().ok());
        let mut next = || ticks.next().flatten();
        let own_ticks = next()? + next()?;
        let child_ticks = next()? + next()?;
        let started = ticks.nth(4)??;
        let resident_pages = ticks.nth(1)??;
        Some(Self { alive, parent, group, own_ticks, child_ticks, started, resident_pages })
    }
}

/// What the kernel counts in.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    pub ticks_per_second: u64,
    pub page_bytes: u64,
}

impl Units {
    /// From the vector that the kernel hands to every program (getauxval(3)).
    pub fn of_kernel() -> Self {
        let vector = fs::read("/proc/self/auxv").unwrap_or_default();
        let words: Vec<_> = vector.as_chunks().0.iter().map(|word| usize::from_ne_bytes(*word) as u64).collect();
        let value = |key| words.chunks_exact(2).find(|pair| pair[0] == key).map(|pair| pair[1]).filter(|v| *v > 0);
        Self { ticks_per_second: value(AT_CLKTCK).unwrap_or(100), page_bytes: value(AT_PAGESZ).unwrap_or(4096) }
    }
}

const AT_PAGESZ: u64 = 6;
const AT_CLKTCK: u64 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let text = "42 (a) b (c)) S 1 40 39 0 -1 4194304 1 2 3 4 50 60 7 8 20 0 1 0 987 1000 25 18446744073709551615 1";
        let expected = Stat {
            alive: true,
            parent: 1,
            group: 40,
            own_ticks: 110,
            child_ticks: 15,
            started: 987,
            resident_pages: 25,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        assert!(!Stat::parse(&text.replace(" S ", " Z ")).unwrap().alive);
        assert_eq!(Stat::parse("42 (cut"), None);
    }

    #[test]
    fn the_kernel_tells_its_units() {
        let units = Units::of_kernel();
        assert!(units.page_bytes.is_power_of_two() && units.page_bytes >= 4096, "{units:?}");
        assert!((1..=10_000).contains(&units.ticks_per_second), "{units:?}");
    }
}
