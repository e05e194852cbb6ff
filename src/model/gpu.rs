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
    pub processes: Vec<GpuProcess>,
    /// It stopped answering: `lost: fell off the bus`. The other fields are then unknown.
    pub error: Option<String>,
    /// One value per 5 s, newest last, at most 60: utilisation, and memory percent.
    pub utilisation_history: Vec<f32>,
    pub memory_history: Vec<f32>,
}

/// A slice of a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MigRow {
    pub gpu_instance: u32,
    pub compute_instance: Option<u32>,
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

/// Who held how much at a time, from the store: one row per time, device and holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuHeld {
    pub at: Stamp,
    pub device: String,
    pub tenant: Option<TenantId>,
    /// Server, stack part or program that held it.
    pub holder: String,
    /// Bytes.
    pub memory: u64,
}
