//! One device's values, call by call, and the driver's errors in words.

use crate::model::gpu::{GpuProcess, GpuRow, MigRow};
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use std::path::Path;

/// Longest program name taken from the driver.
const NAME_BYTES: usize = 256;

/// Everything that device `number` tells.
pub fn device(nvml: &Nvml, number: u32) -> GpuRow {
    let device = match nvml.device_by_index(number) {
        Ok(device) => device,
        Err(error) => return unreachable_row(number, &error),
    };
    // A lost device answers the same to everything: one question is enough.
    let memory = match device.memory_info() {
        Err(error) if is_loss(&error) => {
            let uuid = device.uuid().unwrap_or_default();
            return GpuRow { uuid, ..unreachable_row(number, &error) };
        }
        answer => answer.ok(),
    };
    let utilisation = device.utilization_rates().ok();
    GpuRow {
        index: number,
        uuid: device.uuid().unwrap_or_default(),
        name: device.name().unwrap_or_else(|_| format!("GPU {number}")),
        utilisation: utilisation.as_ref().map(|u| u.gpu),
        memory_activity: utilisation.as_ref().map(|u| u.memory),
        memory_used: memory.as_ref().map(|m| m.used),
        memory_total: memory.as_ref().map(|m| m.total),
        memory_free: memory.as_ref().map(|m| m.free),
        power: device.power_usage().ok().map(watts),
        power_cap: device.enforced_power_limit().ok().map(watts),
        temperature: device.temperature(TemperatureSensor::Gpu).ok(),
        temperature_limit: device.temperature_threshold(TemperatureThreshold::Slowdown).ok(),
        clock: device.clock_info(Clock::SM).ok(),
        clock_max: device.max_clock_info(Clock::SM).ok(),
        memory_clock: device.clock_info(Clock::Memory).ok(),
        throttle: device.current_throttle_reasons().ok().map(throttle),
        mig: mig(&device),
        processes: processes(nvml, &device),
        ..GpuRow::default()
    }
}

fn unreachable_row(number: u32, error: &NvmlError) -> GpuRow {
    GpuRow { index: number, name: format!("GPU {number}"), error: Some(lost(error)), ..GpuRow::default() }
}

fn is_loss(error: &NvmlError) -> bool {
    matches!(error, NvmlError::GpuLost | NvmlError::ResetRequired | NvmlError::Uninitialized)
}

/// Whole ones: a smaller difference is none.
fn watts(milliwatts: u32) -> f32 {
    (milliwatts as f32 / 1000.0).round()
}

/// In words; being idle is no throttling.
fn throttle(reasons: ThrottleReasons) -> Vec<String> {
    use ThrottleReasons as R;
    const WORDS: [(R, &str); 8] = [
        (R::HW_THERMAL_SLOWDOWN, "thermal (hardware)"),
        (R::SW_THERMAL_SLOWDOWN, "thermal"),
        (R::HW_POWER_BRAKE_SLOWDOWN, "power brake"),
        (R::HW_SLOWDOWN, "hardware slowdown"),
        (R::SW_POWER_CAP, "power cap"),
        (R::APPLICATIONS_CLOCKS_SETTING, "clock setting"),
        (R::DISPLAY_CLOCK_SETTING, "display clock"),
        (R::SYNC_BOOST, "sync boost"),
    ];
    WORDS.iter().filter(|(reason, _)| reasons.contains(*reason)).map(|(_, word)| (*word).to_owned()).collect()
}

/// The slices, where MIG is on. Which GPU instance a slice is, the wrapper cannot ask.
fn mig(device: &Device<'_>) -> Option<Vec<MigRow>> {
    if device.mig_mode().ok()?.current == 0 {
        return None;
    }
    let slices = (0..device.mig_device_count().ok()?).filter_map(|number| device.mig_device_by_index(number).ok());
    let rows = slices.map(|slice| {
        let memory = slice.memory_info().ok();
        MigRow {
            gpu_instance: None,
            uuid: slice.uuid().unwrap_or_default(),
            memory_used: memory.as_ref().map(|m| m.used),
            memory_total: memory.as_ref().map(|m| m.total),
        }
    });
    Some(rows.collect())
}

/// Those that compute, then those that draw; one that does both is one.
fn processes(nvml: &Nvml, device: &Device<'_>) -> Option<Vec<GpuProcess>> {
    let (compute, graphics) = (device.running_compute_processes(), device.running_graphics_processes());
    if compute.is_err() && graphics.is_err() {
        return None;
    }
    let mut rows: Vec<GpuProcess> =
        compute.unwrap_or_default().iter().map(|process| row(nvml, process, false)).collect();
    for process in graphics.unwrap_or_default() {
        if !rows.iter().any(|row| row.pid == process.pid) {
            rows.push(row(nvml, &process, true));
        }
    }
    Some(rows)
}

fn row(nvml: &Nvml, process: &ProcessInfo, graphics: bool) -> GpuProcess {
    let path = nvml.sys_process_name(process.pid, NAME_BYTES).ok();
    GpuProcess {
        pid: process.pid,
        name: path.as_deref().and_then(super::procs::program),
        memory: match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        },
        graphics,
        mig: process.gpu_instance_id,
        container: None,
        container_name: None,
        owner: Default::default(),
    }
}

/// Why a device that was there does not answer, and what to do.
pub fn lost(error: &NvmlError) -> String {
    match error {
        NvmlError::GpuLost => {
            "lost: fell off the bus; `dmesg | grep NVRM` has the Xid, a reboot or `nvidia-smi -r` brings it back"
                .to_owned()
        }
        NvmlError::ResetRequired => "lost: it needs a reset; stop what uses it, then `nvidia-smi -r`".to_owned(),
        NvmlError::NoPermission => {
            "no permission: this user may not read the device; see the modes of /dev/nvidia*".to_owned()
        }
        other => format!("lost: {other}; see `nvidia-smi` and `dmesg | grep NVRM`"),
    }
}

/// Why there are no GPUs to see, and what to do.
pub fn no_driver(error: &NvmlError, library: Option<&Path>) -> String {
    match (error, library) {
        (NvmlError::LibloadingError(_), None) => format!(
            "no driver library ({}): install the NVIDIA driver, or name it with `[gpu] library`",
            super::LIBRARY
        ),
        (NvmlError::LibloadingError(error), Some(path)) => {
            format!("no driver library: {} cannot be loaded ({error}); see `[gpu] library`", path.display())
        }
        (NvmlError::FailedToLoadSymbol(_), _) => {
            let name = library.map_or_else(|| super::LIBRARY.to_owned(), |path| path.display().to_string());
            format!("no driver library: {name} is not NVML, or too old for it; see `[gpu] library`")
        }
        (NvmlError::DriverNotLoaded, _) => {
            "no driver: its kernel module is not loaded; `modprobe nvidia`, then it is seen within a minute".to_owned()
        }
        (NvmlError::NoPermission, _) => {
            "no permission: this user may not talk to the driver; see the modes of /dev/nvidia*, and the group that owns them"
                .to_owned()
        }
        (NvmlError::LibRmVersionMismatch, _) => {
            "driver mismatch: library and kernel module are of different versions; reboot, or reload the nvidia modules"
                .to_owned()
        }
        (NvmlError::NotFound, _) => {
            "no device: the driver runs and sees no GPU; see `lspci | grep -i nvidia` and `dmesg`".to_owned()
        }
        (other, _) => format!("the driver refuses: {other}; `nvidia-smi` may say more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_no_throttling() {
        use ThrottleReasons as R;
        for (bits, words) in [
            (R::NONE, &[][..]),
            (R::GPU_IDLE, &[]),
            (R::SW_POWER_CAP | R::GPU_IDLE, &["power cap"]),
            (R::HW_SLOWDOWN | R::HW_THERMAL_SLOWDOWN, &["thermal (hardware)", "hardware slowdown"]),
        ] {
            assert_eq!(throttle(bits), words);
        }
    }
}
