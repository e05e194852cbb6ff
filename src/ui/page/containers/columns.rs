//! The columns: what it is, whose, how it is, what it uses. Units stand in the titles and never change.

use super::unit::Unit;
use crate::model::Snapshot;
use crate::model::container::{Claim, ContainerRow, EngineState};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, GPU, Width, descending, gpu};
use crate::ui::widget::words;
use std::cmp::Ordering;

type C = Column<Unit>;
type Order = Option<fn(&Unit, &Unit) -> Ordering>;

/// Title of the column that is there only where there are several engines.
pub const ENGINE: &str = "engine";

/// Memory in percent of its limit from which on it is marked.
const TIGHT: f32 = 80.0;
const FULL: f32 = 95.0;

const fn column(title: &'static str, width: u16, cell: fn(&Unit, &Look) -> Cell, order: Order) -> C {
    Column { title, width: Width::Fixed(width), right: false, wide: false, cell, order }
}

const fn number(title: &'static str, width: u16, cell: fn(&Unit, &Look) -> Cell, order: Order) -> C {
    Column { right: true, ..column(title, width, cell, order) }
}

pub const COLUMNS: &[C] = &[
    Column { width: Width::Flex(20, 40), ..column("container", 20, name, Some(|a, b| a.name().cmp(&b.name()))) },
    column("state", 12, state, Some(|a, b| b.severity().cmp(&a.severity()))),
    Column { width: Width::Flex(14, 34), ..column("owner", 14, owner, Some(by_owner)) },
    number("cpu%", 5, cpu, Some(|a, b| descending(a.usage().cpu, b.usage().cpu))),
    number("MiB", 6, memory, Some(|a, b| descending(a.usage().memory, b.usage().memory))),
    number("of%", 4, limit, Some(|a, b| descending(a.usage().memory_percent(), b.usage().memory_percent()))),
    column(ENGINE, 8, engine, Some(|a, b| engine_of(a).cmp(engine_of(b)))),
    number("rx K/s", 6, |u, _| rate(u, u.usage().net_in), Some(|a, b| descending(a.usage().net_in, b.usage().net_in))),
    number(
        "tx K/s",
        6,
        |u, _| rate(u, u.usage().net_out),
        Some(|a, b| descending(a.usage().net_out, b.usage().net_out)),
    ),
    number(
        "rd K/s",
        6,
        |u, _| rate(u, u.usage().disk_read),
        Some(|a, b| descending(a.usage().disk_read, b.usage().disk_read)),
    ),
    number(
        "wr K/s",
        6,
        |u, _| rate(u, u.usage().disk_write),
        Some(|a, b| descending(a.usage().disk_write, b.usage().disk_write)),
    ),
    number("pids", 4, pids, Some(|a, b| descending(a.usage().pids, b.usage().pids))),
    number(
        GPU,
        6,
        |u, _| gpu(u.usage().gpu_memory),
        Some(|a, b| descending(a.usage().gpu_memory, b.usage().gpu_memory)),
    ),
    number("since", 5, since, Some(|a, b| b.since().cmp(&a.since()))),
    Column { width: Width::Flex(12, 48), ..column("image", 12, image, None) },
    Column { wide: true, ..number("rst", 3, restarts, None) },
    Column { wide: true, ..column("claim", 7, |u, _| Cell::plain(u.claim().name()), None) },
    Column { wide: true, width: Width::Flex(12, 40), ..column("ports", 12, |u, _| list(u, |row| &row.ports), None) },
    Column {
        wide: true,
        width: Width::Flex(12, 40),
        ..column("networks", 12, |u, _| list(u, |row| &row.networks), None)
    },
    Column { wide: true, ..column("id", 12, id, None) },
];

/// Engines that there are to tell apart; what was never found has no container.
pub fn engines_shown(snap: &Snapshot) -> usize {
    snap.engines.iter().filter(|engine| !matches!(engine.state, EngineState::Absent { .. })).count()
}

/// `eaton · etim`, `eaton · models/vllm`, `other: grafana`.
pub fn owner(unit: &Unit, look: &Look) -> Cell {
    let what = whose(unit, words::dot(look));
    match unit.claim() {
        Claim::Orphan => Cell::new(format!("orphan: {what}"), Role::Warn),
        Claim::Ours | Claim::Adopted => Cell::plain(what),
        Claim::Other => {
            let project = unit.container().and_then(|row| row.compose_project.as_deref());
            Cell::dim(project.map_or_else(|| "other".to_owned(), |project| format!("other: {project}")))
        }
    }
}

fn whose(unit: &Unit, dot: &str) -> String {
    let tenant = unit.tenant().map_or("shared", |t| t.as_str());
    let owner = unit.container().map(|row| &row.owner);
    let stack = owner.and_then(|o| o.stack.as_ref()).map(|s| s.as_str());
    let part = owner.and_then(|o| o.part.as_deref());
    // `eaton-models` says whose it is; what a command calls a stack is its whole name.
    if let Some(stack) = stack.filter(|stack| stack.strip_prefix(tenant).is_some_and(|rest| rest.starts_with('-'))) {
        return part.map_or_else(|| stack.to_owned(), |part| format!("{stack}/{part}"));
    }
    let behind = stack.or(unit.server().map(|s| s.as_str()));
    match (behind, part) {
        (Some(behind), Some(part)) => format!("{tenant}{dot}{behind}/{part}"),
        (Some(one), None) | (None, Some(one)) => format!("{tenant}{dot}{one}"),
        (None, None) => tenant.to_owned(),
    }
}

fn by_owner(a: &Unit, b: &Unit) -> Ordering {
    (a.tenant(), a.server()).cmp(&(b.tenant(), b.server())).then_with(|| a.name().cmp(&b.name()))
}

/// Ours are all called `mcpdeck-PLATFORM-...`: what tells them apart is the rest.
fn name(unit: &Unit, look: &Look) -> Cell {
    match unit {
        Unit::Container { row, .. } => {
            let ours = row.name.strip_prefix("mcpdeck-").and_then(|rest| rest.strip_prefix(&*look.snap.platform.name));
            let own = ours.and_then(|rest| rest.strip_prefix('-')).filter(|_| row.owner.claim != Claim::Other);
            Cell::plain(own.unwrap_or(&row.name))
        }
        Unit::Process(row) => Cell::plain(row.key.to_string()),
    }
}

fn state(unit: &Unit, look: &Look) -> Cell {
    let (text, role) = unit.state(look);
    Cell::new(text, role)
}

/// A figure of something that runs: unknown is said; what does not run uses nothing, and that is no figure.
fn figure(unit: &Unit, known: bool, cell: impl FnOnce() -> Cell) -> Cell {
    match (unit.is_live(), known) {
        (false, _) => Cell::dim(""),
        (true, false) => Cell::dim(fmt::UNKNOWN),
        (true, true) => cell(),
    }
}

fn cpu(unit: &Unit, _look: &Look) -> Cell {
    let cpu = unit.usage().cpu;
    figure(unit, cpu.is_some(), || Cell::plain(fmt::cpu(cpu.unwrap_or_default())))
}

fn memory(unit: &Unit, _look: &Look) -> Cell {
    let memory = unit.usage().memory;
    figure(unit, memory.is_some(), || Cell::new(fmt::mebibytes(memory), role_of(unit.usage().memory_percent())))
}

/// Without a limit there is nothing to be near to.
fn limit(unit: &Unit, _look: &Look) -> Cell {
    let percent = unit.usage().memory_percent().filter(|_| unit.is_live());
    percent.map_or_else(|| Cell::dim(""), |p| Cell::new(fmt::percent(Some(p)), role_of(Some(p))))
}

fn role_of(percent: Option<f32>) -> Role {
    match percent {
        Some(p) if p >= FULL => Role::Bad,
        Some(p) if p >= TIGHT => Role::Warn,
        _ => Role::Text,
    }
}

fn rate(unit: &Unit, bytes: Option<u64>) -> Cell {
    figure(unit, bytes.is_some(), || {
        Cell::new(fmt::kibibytes(bytes), if bytes == Some(0) { Role::Dim } else { Role::Text })
    })
}

fn pids(unit: &Unit, _look: &Look) -> Cell {
    let pids = unit.usage().pids;
    figure(unit, pids.is_some(), || Cell::plain(pids.unwrap_or_default().to_string()))
}

fn since(unit: &Unit, look: &Look) -> Cell {
    let age = look.age(unit.since());
    if unit.is_live() { Cell::plain(age) } else { Cell::dim(age) }
}

fn engine_of(unit: &Unit) -> &str {
    match unit {
        Unit::Container { row, .. } => row.key.engine.as_str(),
        Unit::Process(row) => row.backend.name(),
    }
}

fn engine(unit: &Unit, _look: &Look) -> Cell {
    Cell::plain(engine_of(unit))
}

fn image(unit: &Unit, _look: &Look) -> Cell {
    match unit {
        Unit::Container { row, .. } => Cell::plain(row.image.as_str()),
        Unit::Process(row) => Cell::dim(row.pid.map(|pid| format!("process {pid}")).unwrap_or_default()),
    }
}

fn restarts(unit: &Unit, look: &Look) -> Cell {
    let n = match unit {
        Unit::Container { row, .. } => row.restarts,
        Unit::Process(row) => row.restarts,
    };
    Cell::new(fmt::count(n, look.ascii), if n > 0 { Role::Warn } else { Role::Dim })
}

fn list(unit: &Unit, of: fn(&ContainerRow) -> &Vec<String>) -> Cell {
    Cell::plain(unit.container().map(|row| of(row).join(", ")).unwrap_or_default())
}

fn id(unit: &Unit, _look: &Look) -> Cell {
    Cell::dim(unit.container().map(|row| row.key.id.chars().take(12).collect::<String>()).unwrap_or_default())
}
