//! What the kernel tells about processes in `/proc`, as far as a process backend needs it.

use std::fs;

/// Fields of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: u32,
    /// Name of the program, 15 bytes at most.
    pub name: String,
    /// `Z` and `X` are dead ones that wait to be reaped.
    pub state: char,
    pub group: u32,
    pub session: u32,
    /// Clock ticks since boot; together with the pid it names one process of this boot.
    pub started: u64,
}

impl Stat {
    /// `None` if there is no such process.
    pub fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Our own.
    pub fn own() -> Option<Self> {
        Self::read(std::process::id())
    }

    /// False for a zombie.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    fn parse(text: &str) -> Option<Self> {
        // The name is in parentheses and may itself hold spaces and parentheses, so the last one ends it.
        let (pid, rest) = text.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Every process there is.
pub fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| Stat::read(e.file_name().to_str()?.parse().ok()?)).collect()
}

/// Changes with each boot of the machine; empty where the kernel does not tell.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_read() {
        let text = "42 (a) b (c)) S 1 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987 1 2";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.name.as_str(), stat.state), ("a) b (c)", 'S'));
        assert_eq!((stat.pid, stat.group, stat.session, stat.started), (42, 40, 39, 987));
    }

    #[test]
    fn we_find_ourselves() {
        let own = Stat::own().unwrap();
        assert!(all().contains(&Stat { state: own.state, ..own.clone() }) || all().iter().any(|s| s.pid == own.pid));
        assert!(own.is_alive());
    }
}
