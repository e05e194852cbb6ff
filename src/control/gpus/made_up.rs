//! GPUs of a made-up engine, for trials and screens: what they do is a function of seed and time, and their memory is held
//! by the engine's own containers. Pure; must never import a clock.

use super::owner::shares;
use crate::model::Stamp;
use crate::model::container::{ContainerKey, ContainerRow, EngineDef};
use crate::model::gpu::{GpuProcess, GpuRow, GpuState, Gpus, SIMULATED};
use std::sync::Arc;

const GIB: u64 = 1 << 30;
/// One value of a history stands for so long; so many are shown.
const STEP: u64 = 5_000;
const KEPT: u64 = 60;
/// Pids that no machine gives.
const FIRST_PID: u32 = 5_000_000;

/// The GPUs that `engines` make up at `at`; `None` if none of them does.
pub fn reading(engines: &[Arc<EngineDef>], containers: &[Arc<ContainerRow>], at: Stamp) -> Option<Gpus> {
    let recipes = engines.iter().filter_map(|def| Some((def, def.simulated.as_ref().filter(|made| made.gpus > 0)?)));
    let mut devices: Vec<GpuRow> = Vec::new();
    for (def, made) in recipes {
        let own: Vec<&ContainerRow> = containers
            .iter()
            .map(AsRef::as_ref)
            .filter(|row| row.key.engine == def.id && row.state.is_live() && takes_gpu(row))
            .collect();
        for number in 0..made.gpus {
            let on_it = own.iter().skip(number as usize).step_by(made.gpus as usize);
            let index = devices.len().try_into().unwrap_or(u32::MAX);
            devices.push(device(index, made.seed, at, on_it.copied()));
        }
    }
    let mut gpus = Gpus { state: GpuState::Present, driver: Some(SIMULATED.to_owned()), devices, ..Gpus::default() };
    gpus.tenants = shares(&gpus);
    (!gpus.devices.is_empty()).then_some(gpus)
}

fn takes_gpu(row: &ContainerRow) -> bool {
    ["vllm", "embed", "model"].iter().any(|word| row.image.contains(word))
}

fn device<'a>(index: u32, seed: u64, at: Stamp, containers: impl Iterator<Item = &'a ContainerRow>) -> GpuRow {
    let total = 80 * GIB;
    let mut free = total - GIB;
    let mut processes = Vec::new();
    for row in containers {
        let bytes = (6 + number(&row.key) % 30) * GIB;
        if bytes > free {
            break;
        }
        free -= bytes;
        processes.push(process(row, bytes));
    }
    let load = |step: u64| {
        let wave = (step as f32 / 9.0 + (seed % 7) as f32 + index as f32).sin();
        if processes.is_empty() { 0.0 } else { (55.0 + 40.0 * wave).round() }
    };
    let step = at.0 / STEP;
    let used = total - free;
    GpuRow {
        index,
        uuid: format!("GPU-simulated-{seed}-{index}"),
        name: "Simulated 80GB".to_owned(),
        utilisation: Some(load(step) as u32),
        memory_activity: Some(load(step) as u32 / 2),
        memory_used: Some(used),
        memory_total: Some(total),
        memory_free: Some(free),
        power: Some(90.0 + load(step) * 5.0),
        power_cap: Some(700.0),
        temperature: Some(34 + load(step) as u32 / 3),
        temperature_limit: Some(87),
        clock: Some(1755),
        clock_max: Some(1980),
        memory_clock: Some(2619),
        throttle: Some(Vec::new()),
        utilisation_history: (step.saturating_sub(KEPT - 1)..=step).map(load).collect(),
        memory_history: vec![used as f32 * 100.0 / total as f32; KEPT as usize],
        processes: Some(processes),
        ..GpuRow::default()
    }
}

fn process(row: &ContainerRow, bytes: u64) -> GpuProcess {
    GpuProcess {
        pid: FIRST_PID + (number(&row.key) % 1_000_000) as u32,
        name: Some("python3".to_owned()),
        memory: Some(bytes),
        graphics: false,
        mig: None,
        container: Some(row.key.clone()),
        container_name: Some(row.name.clone()),
        owner: row.owner.clone(),
    }
}

/// A number that is always the same for a container.
fn number(key: &ContainerKey) -> u64 {
    key.id.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_003)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::{ContainerState, SimulatedEngine};
    use crate::model::usage::InstanceUsage;

    #[test]
    fn what_is_made_up_is_the_same_each_time_and_held_by_the_engines_own_containers() {
        let simulated = Some(SimulatedEngine { containers: 9, gpus: 2, seed: 1 });
        let engine = Arc::new(EngineDef { id: "made-up".into(), url: None, simulated });
        let container = |n: u64, engine: &str, image: &str| {
            Arc::new(ContainerRow {
                key: ContainerKey { engine: engine.into(), id: format!("{n:064x}").into() },
                name: format!("c{n}"),
                image: image.into(),
                state: ContainerState::Running,
                since: Stamp(1),
                exit_code: None,
                oom: false,
                restarts: 0,
                health: None,
                owner: Default::default(),
                compose_project: None,
                compose_service: None,
                ports: Vec::new(),
                networks: Vec::new(),
                usage: InstanceUsage::default(),
            })
        };
        let rows: Vec<_> = (0..9).map(|n| container(n, "made-up", "vllm:1")).collect();
        let others = [container(20, "local", "vllm:1"), container(21, "made-up", "postgres:16")];
        let all: Vec<_> = rows.into_iter().chain(others).collect();
        let gpus = reading(std::slice::from_ref(&engine), &all, Stamp(90_000)).unwrap();
        assert_eq!(gpus, reading(&[engine], &all, Stamp(90_000)).unwrap());
        assert_eq!(gpus.devices.len(), 2);
        for device in &gpus.devices {
            let processes = device.processes.as_ref().unwrap();
            let held: u64 = processes.iter().filter_map(|process| process.memory).sum();
            assert!(
                !processes.is_empty()
                    && processes.iter().all(|p| p.container.as_ref().unwrap().engine == "made-up".into())
            );
            assert_eq!(held + device.memory_free.unwrap() + GIB, device.memory_total.unwrap());
            assert!(device.memory_used <= device.memory_total);
        }
        assert_eq!(reading(&[], &all, Stamp(0)), None, "nothing is made up where nobody asks for it");
    }
}
