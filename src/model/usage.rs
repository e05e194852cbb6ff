//! Usage figures. What is unknown is `None`, never 0.

use serde::{Deserialize, Serialize};

/// What one instance uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceUsage {
    /// Percent of one core.
    pub cpu: Option<f32>,
    /// Resident bytes (without page cache).
    pub memory: Option<u64>,
    pub memory_limit: Option<u64>,
    pub pids: Option<u32>,
}

impl InstanceUsage {
    /// Sum of two, where an unknown part does not hide a known one.
    pub fn plus(self, other: Self) -> Self {
        fn add<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            }
        }
        Self {
            cpu: add(self.cpu, other.cpu),
            memory: add(self.memory, other.memory),
            memory_limit: add(self.memory_limit, other.memory_limit),
            pids: add(self.pids, other.pids),
        }
    }
}

/// What the machine and mcpdeck itself use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostUsage {
    /// Percent of all cores, 0..100.
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
