//! Containers, stacks, engines, orphans and GPUs as lines of a table.

use super::names::short;
use super::output::{Column, age, maybe, mebibytes, none, time};
use super::rows::{Listed, environment, left, right};
use super::usage;
use crate::model::Stamp;
use crate::model::container::{ContainerHealth, ContainerRow, EngineRow, EngineState, OrphanRow, Owner};
use crate::model::gpu::{GpuHeld, GpuRow};
use crate::model::stack::{StackOwner, StackRow};
use std::collections::BTreeMap;

/// What is not known about a GPU.
const UNKNOWN: &str = "n/a";

fn owner(owner: &Owner) -> String {
    let instance = owner.instance.as_ref().map(ToString::to_string);
    let part = owner.stack.as_ref().map(|stack| match &owner.part {
        Some(part) => format!("{stack}/{part}"),
        None => stack.to_string(),
    });
    let tenant = owner.tenant.as_ref().filter(|_| instance.is_none()).map(ToString::to_string);
    let server = owner.server.as_ref().filter(|_| instance.is_none()).map(ToString::to_string);
    let words: Vec<String> = [instance, tenant, server, part].into_iter().flatten().collect();
    if words.is_empty() { none() } else { words.join(" ") }
}

impl Listed for ContainerRow {
    const COLUMNS: &'static [Column] = &[
        left("CONTAINER"),
        left("STATE"),
        right("SINCE"),
        left("CLAIM"),
        left("OWNER"),
        right("CPU %"),
        right("MEM MIB"),
        right("LIMIT MIB"),
        right("IN KIB/S"),
        right("OUT KIB/S"),
        right("READ KIB/S"),
        right("WRITE KIB/S"),
        right("PIDS"),
        right("GPU MIB"),
        right("RESTARTS"),
        left("ENGINE"),
        left("ID"),
        left("IMAGE"),
    ];

    fn cells(&self, now: Stamp) -> Vec<String> {
        let own = [
            self.name.clone(),
            state(self),
            age(Some(self.since), now),
            self.owner.claim.name().to_owned(),
            owner(&self.owner),
        ];
        let place = [
            self.restarts.to_string(),
            self.key.engine.to_string(),
            short(&self.key.id).to_owned(),
            self.image.clone(),
        ];
        own.into_iter().chain(usage::figures(&self.usage)).chain(place).collect()
    }

    fn key(&self) -> String {
        format!("{}/{}", self.key.engine, self.key.id)
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || format!("{}/{}", self.key.engine, self.name) == name || is_id(name, &self.key.id)
    }
}

/// The beginning of an id, long enough to be meant as one.
fn is_id(text: &str, id: &str) -> bool {
    text.len() >= 3 && id.starts_with(text)
}

/// `running, unhealthy`, `exited 137, out of memory`
fn state(row: &ContainerRow) -> String {
    let code = row.exit_code.filter(|_| !row.state.is_live()).map(|code| format!(" {code}")).unwrap_or_default();
    let health = match row.health {
        Some(health @ (ContainerHealth::Starting | ContainerHealth::Unhealthy)) => format!(", {}", health.name()),
        Some(ContainerHealth::Healthy) | None => String::new(),
    };
    let oom = if row.oom { ", out of memory" } else { "" };
    format!("{}{code}{health}{oom}", row.state.name())
}

impl Listed for StackRow {
    const COLUMNS: &'static [Column] =
        &[left("STACK"), left("OWNER"), left("ENV"), left("STATE"), left("PARTS"), left("REASON")];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        let owner = match &self.owner {
            StackOwner::Tenant(tenant) => tenant.to_string(),
            StackOwner::Server(server) => format!("server {server}"),
        };
        let parts: Vec<String> = self.parts.iter().map(|p| format!("{} {}", p.name, p.state.name())).collect();
        let adopted = if self.adopted { "adopted, " } else { "" };
        vec![
            self.id.to_string(),
            owner,
            environment(self.environment).to_owned(),
            format!("{adopted}{}", self.state.name()),
            if parts.is_empty() { none() } else { parts.join(", ") },
            self.reason.clone(),
        ]
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}

impl Listed for EngineRow {
    const COLUMNS: &'static [Column] = &[
        left("ENGINE"),
        left("STATE"),
        left("VERSION"),
        right("CONTAINERS"),
        right("RUNNING"),
        left("URL"),
        left("REASON"),
    ];

    fn cells(&self, now: Stamp) -> Vec<String> {
        let (state, reason) = engine_state(&self.state, now);
        vec![
            self.id.to_string(),
            state,
            maybe(self.version.clone()),
            self.containers.to_string(),
            self.running.to_string(),
            self.url.clone(),
            reason,
        ]
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}

/// A word for it, with its age where it matters, and the reason.
pub fn engine_state(state: &EngineState, now: Stamp) -> (String, String) {
    match state {
        EngineState::Connecting => ("connecting".to_owned(), String::new()),
        EngineState::Up => ("up".to_owned(), String::new()),
        EngineState::Silent { since, reason } => (format!("silent for {}", age(Some(*since), now)), reason.clone()),
        EngineState::Absent { reason } => ("absent".to_owned(), reason.clone()),
    }
}

impl Listed for OrphanRow {
    const COLUMNS: &'static [Column] = &[left("ORPHAN"), left("OWNER"), right("PID"), left("WHY")];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        vec![self.what.clone(), owner(&self.owner), maybe(self.pid), self.why.clone()]
    }

    fn key(&self) -> String {
        self.what.clone()
    }
}

impl Listed for GpuRow {
    const COLUMNS: &'static [Column] = &[
        right("GPU"),
        left("NAME"),
        right("UTIL %"),
        right("MEM MIB"),
        right("OF MIB"),
        right("POWER W"),
        right("CAP W"),
        right("TEMP C"),
        right("CLOCK MHZ"),
        left("THROTTLE"),
        left("MIG"),
        right("PROCESSES"),
        left("HELD BY"),
    ];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        let throttle = match (&self.error, &self.throttle) {
            (Some(error), _) => error.clone(),
            (None, None) => UNKNOWN.to_owned(),
            (None, Some(reasons)) if reasons.is_empty() => none(),
            (None, Some(reasons)) => reasons.join(", "),
        };
        vec![
            self.index.to_string(),
            self.name.clone(),
            known(self.utilisation),
            known(self.memory_used.map(|bytes| bytes >> 20)),
            known(self.memory_total.map(|bytes| bytes >> 20)),
            known(self.power.map(|watts| format!("{watts:.0}"))),
            known(self.power_cap.map(|watts| format!("{watts:.0}"))),
            known(self.temperature),
            known(self.clock),
            throttle,
            self.mig.as_ref().map_or_else(|| "off".to_owned(), |mig| mig.len().to_string()),
            known(self.processes.as_ref().map(Vec::len)),
            holders(self),
        ]
    }

    fn key(&self) -> String {
        self.uuid.clone()
    }

    fn is(&self, name: &str) -> bool {
        self.uuid == name || name.parse() == Ok(self.index)
    }
}

/// A value of a GPU; unknown is never 0.
fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// Each one once, the largest first: who, and the pids there.
fn holders(row: &GpuRow) -> String {
    let Some(processes) = &row.processes else { return UNKNOWN.to_owned() };
    let mut holders: BTreeMap<String, (u64, Vec<u32>)> = BTreeMap::new();
    for process in processes {
        // An instance's name says whose it is.
        let tenant = process.owner.tenant.as_ref().filter(|_| process.owner.instance.is_none());
        let whose = tenant.map(|tenant| format!("{tenant} ")).unwrap_or_default();
        let (memory, pids) = holders.entry(format!("{whose}{}", process.known_as())).or_default();
        *memory += process.memory.unwrap_or(0);
        pids.push(process.pid);
    }
    let mut holders: Vec<_> = holders.into_iter().collect();
    holders.sort_by_key(|(_, (memory, _))| std::cmp::Reverse(*memory));
    let told = |(who, (_, pids)): &(String, (u64, Vec<u32>))| {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        format!("{who} ({} {})", if pids.len() == 1 { "pid" } else { "pids" }, pids.join(" "))
    };
    if holders.is_empty() { none() } else { holders.iter().map(told).collect::<Vec<_>>().join(", ") }
}

impl Listed for GpuHeld {
    const COLUMNS: &'static [Column] = &[left("TIME"), left("GPU"), left("TENANT"), left("HOLDER"), right("MEM MIB")];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        vec![
            time(self.at),
            self.device.clone(),
            maybe(self.tenant.clone()),
            self.holder.clone(),
            mebibytes(Some(self.memory)),
        ]
    }

    fn key(&self) -> String {
        format!("{} {} {}", self.at.0, self.device, self.holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gpu::GpuProcess;

    #[test]
    fn who_holds_a_gpu_is_named_beside_every_pid() {
        let process = |pid, name: Option<&str>, container: Option<&str>, memory, owner| GpuProcess {
            pid,
            name: name.map(str::to_owned),
            memory: Some(memory),
            graphics: false,
            mig: None,
            container: None,
            container_name: container.map(str::to_owned),
            owner,
        };
        let ours = Owner {
            tenant: Some("eaton".into()),
            stack: Some("eaton-models".into()),
            part: Some("vllm".to_owned()),
            ..Owner::default()
        };
        let instance = Owner { tenant: Some("festo".into()), instance: "ocr@festo".parse().ok(), ..Owner::default() };
        let processes = vec![
            process(7, Some("Xorg"), None, 1, Owner::default()),
            process(3, Some("python3"), Some("jupyter"), 5, Owner::default()),
            process(1, Some("python3"), Some("mcpdeck-x"), 40, ours.clone()),
            process(2, Some("python3"), Some("mcpdeck-x"), 20, ours),
            process(4, Some("ocr"), None, 9, instance),
            process(9, None, None, 0, Owner::default()),
        ];
        let row = |processes| GpuRow { processes, ..GpuRow::default() };
        assert_eq!(
            holders(&row(Some(processes))),
            "eaton eaton-models/vllm (pids 1 2), ocr@festo (pid 4), jupyter (pid 3), Xorg (pid 7), unknown (pid 9)"
        );
        assert_eq!((holders(&row(Some(Vec::new()))), holders(&row(None))), (none(), UNKNOWN.to_owned()));
    }
}
