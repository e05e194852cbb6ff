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
