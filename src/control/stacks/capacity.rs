//! Whether a part fits before it is started: GPU memory by the driver's word, memory of this machine. Pure.

use crate::control::gpus::fits;
use crate::model::Snapshot;
use crate::model::container::ContainerRow;
use crate::model::gpu::gib;
use crate::model::stack::PartDef;
use crate::model::usage::HostUsage;

/// Containers that a refusal names.
const NAMED: usize = 3;

/// Why `part` cannot start now. `planned` are bytes that others of its stack were promised in the same deployment.
/// Unknown figures are no reason to refuse; what is on another machine is not known here.
pub fn refusal(part: &PartDef, snapshot: &Snapshot, planned: u64) -> Option<String> {
    if let Some(need) = &part.run.gpu
        && let Err(why) = fits(need, &snapshot.gpus)
    {
        return Some(why);
    }
    let need = part.limits.memory?;
    let free = free(&snapshot.host)?.saturating_sub(planned);
    (need > free).then(|| {
        let held = holders(snapshot);
        let held = if held.is_empty() { held } else { format!(", held by {held}") };
        format!("needs {} of memory, {} free on this machine{held}", gib(need), gib(free))
    })
}

fn free(host: &HostUsage) -> Option<u64> {
    Some(host.memory_total?.saturating_sub(host.memory_used?))
}

/// The containers that use most of it.
fn holders(snapshot: &Snapshot) -> String {
    let used = |row: &ContainerRow| row.usage.memory.unwrap_or(0);
    let mut rows: Vec<_> = snapshot.containers.iter().filter(|row| used(row) > 0).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(used(row)));
    let named = rows.iter().take(NAMED).map(|row| format!("{} {}", row.name, gib(used(row))));
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;
    use crate::control::snapshot::Yard;
    use crate::model::container::{GpuChoice, GpuNeed};
    use crate::model::gpu::{GpuState, Gpus};
    use std::sync::Arc;

    const GIB: u64 = 1 << 30;

    #[test]
    fn what_does_not_fit_is_refused_with_what_is_free() {
        let snapshot = fixture::snapshot(&fixture::config(|_| {}), &Yard::default(), |_| {});
        let known = Snapshot {
            host: Arc::new(HostUsage {
                memory_used: Some(10 * GIB),
                memory_total: Some(16 * GIB),
                ..HostUsage::default()
            }),
            gpus: Arc::new(Gpus { state: GpuState::Absent("no device".to_owned()), ..Gpus::default() }),
            ..Snapshot::clone(&snapshot)
        };
        let part = |memory: Option<u64>, gpu: bool| {
            let mut part = fixture::part("vllm", &[]);
            part.limits.memory = memory.map(|gib| gib * GIB);
            part.run.gpu = gpu.then_some(GpuNeed { device: GpuChoice::All, memory: None });
            part
        };
        for (part, snapshot, planned, want) in [
            (part(None, false), &known, 0, None),
            (part(Some(6), false), &known, 0, None),
            (part(Some(8), false), &known, 0, Some("needs 8 GiB of memory, 6 GiB free on this machine")),
            (part(Some(4), false), &known, 4 * GIB, Some("needs 4 GiB of memory, 2 GiB free on this machine")),
            (part(None, true), &known, 0, Some("needs a GPU: no device")),
            (part(Some(8), true), &*snapshot, 0, None),
        ] {
            assert_eq!(refusal(&part, snapshot, planned).as_deref(), want);
        }
    }
}
