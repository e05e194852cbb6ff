//! GPUs: what each does, and whose processes it holds. What is unknown is `None`, never 0.

use super::container::{ContainerKey, Owner};
use super::{Stamp, TenantId};
use serde::{Deserialize, Serialize};

/// All GPUs of this machine, or why there are none to see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpus {
    pub state: GpuState,
    pub driver: Option<String>,
    /// By index.
    pub devices: Vec<GpuRow>,
    /// Memory held per tenant, the largest first; `None` is what belongs to nobody we know.
    pub tenants: Vec<GpuShare>,
}

/// The word for whose GPU memory is no customer's: that of shared servers, and of what is not ours.
pub const NO_CUSTOMER: &str = "no customer";

/// The driver of devices that a simulated engine makes up.
pub const SIMULATED: &str = "simulated";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuState {
    /// Not asked yet.
    #[default]
    Unasked,
    Present,
    /// Why none can be seen: `no driver library (libnvidia-ml.so.1)`, `no permission`, `no device`, `driver mismatch`.
    Absent(String),
}

/// One device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuRow {
    pub index: u32,
    pub uuid: String,
    pub name: String,
    /// Percent of the last sample period in which a kernel ran.
    pub utilisation: Option<u32>,
    /// Percent of time in which its memory was read or written.
    pub memory_activity: Option<u32>,
    /// Bytes.
    pub memory_used: Option<u64>,
    pub memory_total: Option<u64>,
    /// What a new process can take: less than the difference of the two, since the driver keeps some for itself.
    pub memory_free: Option<u64>,
    /// Watts.
    pub power: Option<f32>,
    pub power_cap: Option<f32>,
    /// Degrees Celsius, and where the driver slows it down.
    pub temperature: Option<u32>,
    pub temperature_limit: Option<u32>,
    /// MHz.
    pub clock: Option<u32>,
    pub clock_max: Option<u32>,
    pub memory_clock: Option<u32>,
    /// Why it is slower than it could be: `thermal`, `power cap`, ...; empty if it is not; `None` unknown.
    pub throttle: Option<Vec<String>>,
    /// MIG instances; `None`: MIG is off or unknown to the device.
    pub mig: Option<Vec<MigRow>>,
    /// `None`: the driver does not tell.
    pub processes: Option<Vec<GpuProcess>>,
    /// It stopped answering: `lost: fell off the bus`. The other fields are then unknown.
    pub error: Option<String>,
    /// One value per 5 s, newest last, at most 60: utilisation, and memory percent.
    pub utilisation_history: Vec<f32>,
    pub memory_history: Vec<f32>,
}

/// A slice of a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MigRow {
    /// As the processes on it name it; `None` where the driver does not say which it is.
    pub gpu_instance: Option<u32>,
    pub uuid: String,
    pub memory_used: Option<u64>,
    pub memory_total: Option<u64>,
}

/// A process that holds memory of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuProcess {
    pub pid: u32,
    /// Program name; `None` if the kernel does not tell.
    pub name: Option<String>,
    /// Bytes.
    pub memory: Option<u64>,
    pub graphics: bool,
    /// Number of the MIG GPU instance.
    pub mig: Option<u32>,
    pub container: Option<ContainerKey>,
    /// Name of that container.
    pub container_name: Option<String>,
    pub owner: Owner,
}

/// What one tenant holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuShare {
    pub tenant: Option<TenantId>,
    /// Bytes over all devices.
    pub memory: Option<u64>,
    pub processes: u32,
}

/// How long a [`GpuHeld`] counts where no other follows: the pause between two rows of one holder, and one minute.
pub const HELD_FOR: std::time::Duration = std::time::Duration::from_secs(11 * 60);

/// Who held how much at a time, from the store: one row per minute, device and holder where it changed, and every ten
/// minutes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuHeld {
    pub at: Stamp,
    pub device: String,
    pub tenant: Option<TenantId>,
    /// Server, stack part or program that held it.
    pub holder: String,
    /// Bytes, the most within its minute; 0 says that it let go. It counts until its next row, 11 minutes at most:
    /// without one by then nobody was there to look.
    pub memory: u64,
}

/// Who held memory at a time, of rows in order of time: the newest row of each holder and device, if it counts then.
pub fn held_at(rows: &[GpuHeld], at: Stamp) -> Vec<&GpuHeld> {
    let end = rows.partition_point(|row| row.at <= at);
    let start = rows[..end].partition_point(|row| at.since(row.at) >= HELD_FOR);
    let who = |row: &GpuHeld| (row.device.clone(), row.tenant.clone(), row.holder.clone());
    let newest: std::collections::BTreeMap<_, _> = rows[start..end].iter().map(|row| (who(row), row)).collect();
    newest.into_values().filter(|row| row.memory > 0).collect()
}

impl Gpus {
    /// True for devices that a simulated engine makes up.
    pub fn is_simulated(&self) -> bool {
        self.driver.as_deref() == Some(SIMULATED)
    }

    /// Percent, the mean of the devices that tell.
    pub fn utilisation(&self) -> Option<f32> {
        let known: Vec<u32> = self.devices.iter().filter_map(|device| device.utilisation).collect();
        (!known.is_empty()).then(|| known.iter().sum::<u32>() as f32 / known.len() as f32)
    }
}

impl GpuRow {
    /// What tells it from others for good: its UUID, else its index.
    pub fn identity(&self) -> String {
        if self.uuid.is_empty() { format!("GPU {}", self.index) } else { self.uuid.clone() }
    }

    /// Percent of its memory that is taken.
    pub fn memory_percent(&self) -> Option<f32> {
        let total = self.memory_total.filter(|total| *total > 0)?;
        Some((self.memory_used? as f64 * 100.0 / total as f64) as f32)
    }
}

impl GpuProcess {
    /// Whom people know it by: server, stack part, container; `None` for a program of somebody else's.
    fn owner_name(&self) -> Option<String> {
        let owner = &self.owner;
        let part = || Some(format!("{}/{}", owner.stack.as_ref()?, owner.part.as_ref()?));
        let known = owner.instance.as_ref().map(ToString::to_string).or_else(part);
        known.or_else(|| self.container_name.clone())
    }

    /// The same, or the program's name, to stand beside its pid.
    pub fn known_as(&self) -> String {
        self.owner_name().or_else(|| self.name.clone()).unwrap_or_else(|| "unknown".to_owned())
    }

    /// Likewise, to stand alone: programs of one name are told apart by their pids.
    pub fn holder(&self) -> String {
        self.owner_name().unwrap_or_else(|| match &self.name {
            Some(name) => format!("{name} (pid {})", self.pid),
            None => format!("pid {}", self.pid),
        })
    }
}

/// Bytes as people say them of GPU memory: `61.2 GiB`, `32 GiB`.
pub fn gib(bytes: u64) -> String {
    let text = format!("{:.1}", bytes as f64 / (1_u64 << 30) as f64);
    format!("{} GiB", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_until_the_next_one_or_eleven_minutes() {
        let row = |minute: u64, holder: &str, memory| GpuHeld {
            at: Stamp(minute * 60_000),
            device: "a".into(),
            tenant: None,
            holder: holder.into(),
            memory,
        };
        let rows =
            [row(10, "vllm", 5), row(12, "vllm", 7), row(12, "embed", 1), row(20, "vllm", 7), row(21, "embed", 0)];
        for (minute, held) in [
            (9, &[][..]),
            (11, &[("vllm", 5)]),
            (12, &[("embed", 1), ("vllm", 7)]),
            (21, &[("vllm", 7)]),
            (30, &[("vllm", 7)]),
            (31, &[]),
        ] {
            let found: Vec<_> =
                held_at(&rows, Stamp(minute * 60_000)).iter().map(|r| (r.holder.as_str(), r.memory)).collect();
            assert_eq!(found, held, "minute {minute}");
        }
    }

    #[test]
    fn sizes_read_as_people_say_them() {
        for (bytes, text) in [(32 << 30, "32 GiB"), (0, "0 GiB"), (65_712_999_629, "61.2 GiB")] {
            assert_eq!(gib(bytes), text);
        }
    }
}
