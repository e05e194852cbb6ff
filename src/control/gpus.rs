//! GPUs as the platform sees them: whose their processes are, what of their memory is free for whom. Imports no face.

pub mod follow;
pub mod ledger;
mod made_up;
pub mod owner;
pub mod watch;

use super::deck::Deck;
use crate::model::container::{GpuChoice, GpuNeed};
use crate::model::gpu::{GpuRow, GpuState, Gpus, gib};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// How long somebody who has to know of GPUs waits for the first reading: a driver that begins with many takes its time.
const FIRST_READING: Duration = Duration::from_secs(25);

/// Returns when it is known which GPUs there are, or after 25 s.
pub async fn known(deck: &Deck) {
    deck.gpus_wanted.cancel();
    let mut revisions = deck.picture.revisions();
    let asked =
        async { while deck.picture.get().gpus.state == GpuState::Unasked && revisions.changed().await.is_ok() {} };
    // What is not known then is no reason to refuse.
    let _ = timeout(FIRST_READING, asked).await;
}

/// Holders that a refusal names.
const NAMED: usize = 3;

/// Says why what is needed does not fit now: `needs 32 GiB, 11 free on GPU 0, held by eaton/vllm 61.2 GiB`. What the
/// driver does not tell is no reason to refuse.
pub fn fits(need: &GpuNeed, gpus: &Gpus) -> Result<(), String> {
    if let GpuState::Absent(why) = &gpus.state {
        return Err(format!("needs a GPU: {why}"));
    }
    if gpus.state == GpuState::Unasked {
        return Ok(());
    }
    wanted(&need.device, gpus)?.into_iter().try_for_each(|device| fits_on(need.memory, device))
}

/// The devices that it would get. An engine that is asked for a number gives the first ones.
fn wanted<'a>(choice: &GpuChoice, gpus: &'a Gpus) -> Result<Vec<&'a GpuRow>, String> {
    let devices = &gpus.devices;
    match choice {
        GpuChoice::All => Ok(devices.iter().collect()),
        GpuChoice::Count(n) if *n as usize <= devices.len() => Ok(devices.iter().take(*n as usize).collect()),
        GpuChoice::Count(n) => Err(format!("needs {n} GPUs, {} here", devices.len())),
        GpuChoice::Devices(names) => names.iter().map(|name| named(name, devices)).collect(),
    }
}

/// By index, UUID, or the UUID of one of its slices.
fn named<'a>(name: &str, devices: &'a [GpuRow]) -> Result<&'a GpuRow, String> {
    let slice = |row: &GpuRow| row.mig.iter().flatten().any(|slice| slice.uuid == name);
    let found = devices.iter().find(|row| row.index.to_string() == name || row.uuid == name || slice(row));
    found.ok_or_else(|| {
        let there: Vec<String> = devices.iter().map(|row| row.index.to_string()).collect();
        format!("needs GPU {name}, there is none of that index or UUID (here: {})", there.join(", "))
    })
}

fn fits_on(memory: Option<u64>, device: &GpuRow) -> Result<(), String> {
    if let Some(error) = &device.error {
        return Err(format!("needs GPU {}, which is {error}", device.index));
    }
    match (memory, device.memory_free) {
        (Some(needed), Some(free)) if needed > free => {
            let free = gib(free);
            let free = free.trim_end_matches(" GiB");
            let held = holders_text(device);
            let held = if held.is_empty() { held } else { format!(", held by {held}") };
            Err(format!("needs {}, {free} free on GPU {}{held}", gib(needed), device.index))
        }
        _ => Ok(()),
    }
}

/// `eaton/vllm 61.2 GiB, etim 4 GiB and 2 more`, the largest first; empty if nobody is known to hold any.
pub fn holders_text(device: &GpuRow) -> String {
    let holders = holders(device);
    let named: Vec<String> = holders.iter().take(NAMED).map(|(who, bytes)| format!("{who} {}", gib(*bytes))).collect();
    let more = holders.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// Who holds how much of a device, the largest first.
pub fn holders(device: &GpuRow) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for process in device.processes.iter().flatten() {
        *sums.entry(process.holder()).or_default() += process.memory.unwrap_or(0);
    }
    let mut holders: Vec<_> = sums.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    holders.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    holders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::Owner;
    use crate::model::gpu::{GpuProcess, MigRow};

    const GIB: u64 = 1 << 30;

    fn device(index: u32, free: Option<u64>) -> GpuRow {
        let process = |pid, name: &str, gib: f64, part: Option<&str>| GpuProcess {
            pid,
            name: Some(name.into()),
            memory: Some((gib * GIB as f64) as u64),
            graphics: false,
            mig: None,
            container: None,
            container_name: None,
            owner: Owner { stack: part.map(|_| "eaton".into()), part: part.map(str::to_owned), ..Owner::default() },
        };
        GpuRow {
            index,
            uuid: format!("GPU-{index}"),
            memory_free: free.map(|gib| gib * GIB),
            mig: Some(vec![MigRow { uuid: format!("MIG-{index}"), ..MigRow::default() }]),
            processes: Some(vec![
                process(7, "python3", 7.0, None),
                process(8, "vllm", 41.2, Some("vllm")),
                process(9, "vllm", 20.0, Some("vllm")),
            ]),
            ..GpuRow::default()
        }
    }

    #[test]
    fn what_does_not_fit_says_how_much_is_free_and_who_holds_the_rest() {
        let lost = GpuRow { error: Some("lost: fell off the bus".into()), ..device(2, None) };
        let present = Gpus {
            state: GpuState::Present,
            devices: vec![device(0, Some(11)), device(1, None), lost],
            ..Gpus::default()
        };
        let absent = Gpus { state: GpuState::Absent("no device".into()), ..Gpus::default() };
        let full = "needs 32 GiB, 11 free on GPU 0, held by eaton/vllm 61.2 GiB, python3 (pid 7) 7 GiB";
        let one = |name: &str| GpuChoice::Devices(vec![name.into()]);
        for (name, choice, memory, gpus, answer) in [
            ("it fits", one("0"), Some(11), &present, Ok(())),
            ("too much", one("0"), Some(32), &present, Err(full)),
            ("by UUID", one("GPU-0"), Some(32), &present, Err(full)),
            ("by slice", one("MIG-0"), Some(32), &present, Err(full)),
            ("the first one", GpuChoice::Count(1), Some(32), &present, Err(full)),
            ("free is unknown", one("1"), Some(32), &present, Ok(())),
            ("no amount named", one("0"), None, &present, Ok(())),
            ("lost", one("2"), None, &present, Err("needs GPU 2, which is lost: fell off the bus")),
            ("all", GpuChoice::All, None, &present, Err("needs GPU 2, which is lost: fell off the bus")),
            (
                "no such one",
                one("9"),
                None,
                &present,
                Err("needs GPU 9, there is none of that index or UUID (here: 0, 1, 2)"),
            ),
            ("too many", GpuChoice::Count(4), None, &present, Err("needs 4 GPUs, 3 here")),
            ("none", GpuChoice::All, None, &absent, Err("needs a GPU: no device")),
            ("not asked yet", one("0"), Some(32), &Gpus::default(), Ok(())),
        ] {
            let need = GpuNeed { device: choice, memory: memory.map(|gib| gib * GIB) };
            assert_eq!(fits(&need, gpus), answer.map_err(str::to_owned), "{name}");
        }
    }
}
