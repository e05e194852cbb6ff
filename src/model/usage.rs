//! Usage figures. What is unknown is `None`, never 0.

use serde::{Deserialize, Serialize};

/// What one instance uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceUsage {
    /// Percent of one core.
    pub cpu: Option<f32>,
    /// Percent of one core that it may use at most.
    pub cpu_limit: Option<f32>,
    /// Resident bytes (without page cache).
    pub memory: Option<u64>,
    pub memory_limit: Option<u64>,
    pub pids: Option<u32>,
    /// Bytes per second received and sent.
    pub net_in: Option<u64>,
    pub net_out: Option<u64>,
    /// Bytes per second read from and written to block devices.
    pub disk_read: Option<u64>,
    pub disk_write: Option<u64>,
    /// Bytes of GPU memory held by its processes, over all devices.
    pub gpu_memory: Option<u64>,
}

/// Whose usage is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    Instance(super::InstanceKey),
    Container(super::container::ContainerKey),
    Tenant(super::TenantId),
    Server(super::ServerId),
}

/// Usage over time, oldest first; each value is the mean of its step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UsageHistory {
    pub points: Vec<(super::Stamp, InstanceUsage)>,
    /// How far back it reaches and how fine it is, for people: `15 min by 1 s`.
    pub reach: String,
}

impl InstanceUsage {
    /// Memory in percent of its limit; `None` if either is unknown, or there is no limit.
    pub fn memory_percent(&self) -> Option<f32> {
        match (self.memory, self.memory_limit) {
            (Some(used), Some(limit)) if limit > 0 => Some((used as f64 * 100.0 / limit as f64) as f32),
            _ => None,
        }
    }

    /// Sum of two things, where an unknown part does not hide a known one. A limit is one of the whole only if everything
    /// that is in it has one: 100 MiB of a part that may use 128, and a gigabyte of one without a limit, are not 879 %.
    pub fn plus(self, other: Self) -> Self {
        fn add<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            }
        }
        /// A part of which no usage is known (nothing runs there) says nothing of the whole.
        fn limit<T: std::ops::Add<Output = T>, U>(a: (Option<T>, Option<U>), b: (Option<T>, Option<U>)) -> Option<T> {
            match (a, b) {
                ((Some(a), Some(_)), (Some(b), Some(_))) => Some(a + b),
                ((_, Some(_)), (_, Some(_))) => None,
                ((a, Some(_)), (_, None)) | ((_, None), (a, Some(_))) => a,
                ((a, None), (b, None)) => a.and(b),
            }
        }
        Self {
            cpu: add(self.cpu, other.cpu),
            cpu_limit: limit((self.cpu_limit, self.cpu), (other.cpu_limit, other.cpu)),
            memory: add(self.memory, other.memory),
            memory_limit: limit((self.memory_limit, self.memory), (other.memory_limit, other.memory)),
            pids: add(self.pids, other.pids),
            net_in: add(self.net_in, other.net_in),
            net_out: add(self.net_out, other.net_out),
            disk_read: add(self.disk_read, other.disk_read),
            disk_write: add(self.disk_write, other.disk_write),
            gpu_memory: add(self.gpu_memory, other.gpu_memory),
        }
    }

    /// The same thing as two sources know it; what `self` knows counts.
    pub fn or(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.or(other.cpu),
            cpu_limit: self.cpu_limit.or(other.cpu_limit),
            memory: self.memory.or(other.memory),
            memory_limit: self.memory_limit.or(other.memory_limit),
            pids: self.pids.or(other.pids),
            net_in: self.net_in.or(other.net_in),
            net_out: self.net_out.or(other.net_out),
            disk_read: self.disk_read.or(other.disk_read),
            disk_write: self.disk_write.or(other.disk_write),
            gpu_memory: self.gpu_memory.or(other.gpu_memory),
        }
    }
}

/// What the machine and mcpdeck itself use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostUsage {
    /// Percent of all cores that we may use, 0..100; inside a control group with a quota, of the quota.
    pub cpu: Option<f32>,
    pub cores: u32,
    pub memory_used: Option<u64>,
    pub memory_total: Option<u64>,
    /// Free and total bytes of the file system that holds the state folder.
    pub disk_free: Option<u64>,
    pub disk_total: Option<u64>,
    pub load_1m: Option<f32>,
    /// mcpdeck's own process: percent of one core and resident bytes.
    pub own_cpu: Option<f32>,
    pub own_memory: Option<u64>,
    /// One value per 5 s, newest last, at most 60: cpu percent.
    pub cpu_history: Vec<f32>,
    /// Likewise: memory percent.
    pub memory_history: Vec<f32>,
}

/// Bytes in binary units with at most four characters of number: `512 B`, `1.2 KiB`, `340 MiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_has_a_limit_only_if_all_that_runs_in_it_has_one() {
        let part = |memory, memory_limit| InstanceUsage { memory, memory_limit, ..InstanceUsage::default() };
        let (limited, unlimited, ended) = (part(Some(40), Some(64)), part(Some(100), None), part(None, Some(64)));
        for (parts, memory, limit) in [
            (vec![limited], Some(40), Some(64)),
            (vec![limited, limited], Some(80), Some(128)),
            (vec![limited, unlimited], Some(140), None),
            (vec![unlimited, limited], Some(140), None),
            (vec![limited, unlimited, limited], Some(180), None),
            (vec![limited, ended], Some(40), Some(64)),
            (vec![ended, limited], Some(40), Some(64)),
            (vec![unlimited, ended], Some(100), None),
            (vec![], None, None),
        ] {
            let total = parts.iter().fold(InstanceUsage::default(), |sum, part| sum.plus(*part));
            assert_eq!((total.memory, total.memory_limit), (memory, limit), "{parts:?}");
            assert_eq!(total.memory_percent().is_some(), limit.is_some());
        }
    }
}
