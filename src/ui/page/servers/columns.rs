//! The columns of the tree: what is wanted, what is, what the last probe and the last real call said.

use super::tree::Node;
use crate::model::instance::Desired;
use crate::model::usage::InstanceUsage;
use crate::model::{Stamp, State};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, GPU, Width, descending, gpu};
use std::cmp::Ordering;

type C = Column<Node>;

const fn column(
    title: &'static str,
    width: u16,
    cell: fn(&Node, &Look) -> Cell,
    order: Option<fn(&Node, &Node) -> Ordering>,
) -> C {
    Column { title, width: Width::Fixed(width), right: false, wide: false, cell, order }
}

const fn number(
    title: &'static str,
    width: u16,
    cell: fn(&Node, &Look) -> Cell,
    order: Option<fn(&Node, &Node) -> Ordering>,
) -> C {
    Column { right: true, ..column(title, width, cell, order) }
}

pub const COLUMNS: &[C] = &[
    Column { width: Width::Flex(20, 36), ..column("server", 20, name, Some(|a, b| a.server().cmp(b.server()))) },
    column("state", 11, state, Some(|a, b| state_of(b).severity().cmp(&state_of(a).severity()))),
    number("fly", 4, in_flight, Some(|a, b| flying(b).cmp(&flying(a)))),
    number("oldest", 7, oldest, Some(|a, b| longest(oldest_of(a), oldest_of(b)))),
    number("c/s", 5, rate, Some(|a, b| descending(rate_of(a), rate_of(b)))),
    number("p95ms", 5, p95, Some(|a, b| descending(p95_of(a), p95_of(b)))),
    column("probe", 9, probe, None),
    column("last call", 12, last_call, None),
    number("timer", 5, idle, None),
    number("rst", 3, restarts, Some(|a, b| descending(restarts_of(a), restarts_of(b)))),
    number("cpu%", 5, cpu, Some(|a, b| descending(usage(a).cpu, usage(b).cpu))),
    number("MiB", 6, memory, Some(|a, b| descending(usage(a).memory, usage(b).memory))),
    number(GPU, 6, |n, _| gpu(usage(n).gpu_memory), Some(|a, b| descending(usage(a).gpu_memory, usage(b).gpu_memory))),
    column("wanted", 9, desired, None),
    column("scope", 7, scope, None),
    column("env", 10, environment, None),
    column("backend", 9, backend, None),
    column("via", 5, transport, None),
    column("era", 6, era, None),
    Column { wide: true, ..number("pid", 7, pid, None) },
    Column { wide: true, ..number("garbage", 7, garbage, None) },
    Column { wide: true, width: Width::Flex(10, 60), ..column("why", 10, why, None) },
];

fn state_of(node: &Node) -> State {
    match node {
        Node::Server { row, .. } => row.state,
        Node::Instance(row) => row.state,
    }
}

fn flying(node: &Node) -> u32 {
    match node {
        Node::Server { row, .. } => row.in_flight,
        Node::Instance(row) => row.in_flight,
    }
}

fn oldest_of(node: &Node) -> Option<Stamp> {
    match node {
        Node::Server { row, .. } => row.oldest,
        Node::Instance(row) => row.oldest,
    }
}

/// The longest wait first; no wait last.
fn longest(a: Option<Stamp>, b: Option<Stamp>) -> Ordering {
    a.unwrap_or(Stamp(u64::MAX)).cmp(&b.unwrap_or(Stamp(u64::MAX)))
}

fn rate_of(node: &Node) -> f32 {
    match node {
        Node::Server { row, .. } => row.rate,
        Node::Instance(row) => row.rate,
    }
}

fn p95_of(node: &Node) -> Option<f32> {
    match node {
        Node::Server { row, .. } => row.p95_ms,
        Node::Instance(row) => row.p95_ms,
    }
}

fn restarts_of(node: &Node) -> u32 {
    node.instance().map_or(0, |row| row.restarts)
}

fn usage(node: &Node) -> InstanceUsage {
    match node {
        Node::Server { row, .. } => row.usage,
        Node::Instance(row) => row.usage,
    }
}

fn name(node: &Node, look: &Look) -> Cell {
    match node {
        Node::Server { row, shared, open } => {
            let below = row.instances > u32::from(shared.is_some());
            let arrow = match (below, open, look.ascii) {
                (false, ..) => " ",
                (_, true, false) => "▾",
                (_, true, true) => "-",
                (_, false, false) => "▸",
                (_, false, true) => "+",
            };
            Cell::new(format!("{arrow} {}", row.def.id), Role::Title)
        }
        Node::Instance(row) => {
            let below = match (&row.key.tenant, row.key.session) {
                (Some(tenant), None) => format!("@{tenant}"),
                (Some(tenant), Some(session)) => format!("@{tenant}#{session}"),
                (None, _) => row.key.to_string(),
            };
            Cell::plain(format!("    {below}"))
        }
    }
}

fn state(node: &Node, look: &Look) -> Cell {
    let state = state_of(node);
    let busy = flying(node) > 0 || rate_of(node) > 0.0;
    Cell::new(format!("{} {}", state.symbol(busy, look.ascii), state.name()), Role::of_state(state, busy))
}

fn in_flight(node: &Node, look: &Look) -> Cell {
    let waiting = node.instance().map_or(0, |row| row.waiting);
    let n = flying(node) + waiting;
    Cell::new(fmt::count(n, look.ascii), if n > 0 { Role::Text } else { Role::Dim })
}

fn oldest(node: &Node, look: &Look) -> Cell {
    let Some(since) = oldest_of(node) else { return Cell::dim("") };
    let age = look.now.since(since);
    Cell::new(fmt::running(age), if age.as_secs() >= 10 { Role::Warn } else { Role::Text })
}

fn rate(node: &Node, _look: &Look) -> Cell {
    let rate = rate_of(node);
    Cell::new(fmt::rate(rate), if rate > 0.0 { Role::Text } else { Role::Dim })
}

fn p95(node: &Node, _look: &Look) -> Cell {
    Cell::plain(fmt::millis(p95_of(node)))
}

fn probe(node: &Node, look: &Look) -> Cell {
    let Some(row) = node.instance() else { return Cell::dim("") };
    let probe = &row.probe;
    let Some(at) = probe.at else { return Cell::dim("-") };
    let good = [probe.alive, probe.initialises, probe.lists].iter().all(|fact| fact != &Some(false));
    let word = if good { "ok" } else { "bad" };
    Cell::new(format!("{word} {}", look.age(at)), if good { Role::Text } else { Role::Bad })
}

fn last_call(node: &Node, look: &Look) -> Cell {
    let Some(row) = node.instance() else { return Cell::dim("") };
    match &row.last_call {
        None => Cell::dim("-"),
        Some(call) if call.outcome == crate::model::Outcome::Ok => Cell::plain(format!("ok {}", look.age(call.at))),
        Some(call) => Cell::new(format!("{} {}", call.outcome, look.age(call.at)), Role::of_outcome(call.outcome)),
    }
}

/// Until it is put to sleep, or tried again.
fn idle(node: &Node, look: &Look) -> Cell {
    let Some(row) = node.instance() else { return Cell::dim("") };
    let at = row.retry_at.or(row.idle_stop_at).filter(|_| row.in_flight == 0);
    Cell::dim(at.map(|at| fmt::countdown(at.since(look.now))).unwrap_or_default())
}

fn restarts(node: &Node, look: &Look) -> Cell {
    let n = restarts_of(node);
    Cell::new(fmt::count(n, look.ascii), if n > 0 { Role::Warn } else { Role::Dim })
}

fn cpu(node: &Node, _look: &Look) -> Cell {
    match (usage(node).cpu, state_of(node).is_live()) {
        (Some(cpu), _) => Cell::plain(fmt::cpu(cpu)),
        (None, true) => Cell::dim(fmt::UNKNOWN),
        (None, false) => Cell::dim(""),
    }
}

fn memory(node: &Node, _look: &Look) -> Cell {
    match (usage(node).memory, state_of(node).is_live()) {
        (None, false) => Cell::dim(""),
        (None, true) => Cell::dim(fmt::UNKNOWN),
        (used, _) => Cell::plain(fmt::mebibytes(used)),
    }
}

fn desired(node: &Node, _look: &Look) -> Cell {
    let Some(row) = node.instance() else { return Cell::dim("") };
    Cell::plain(match row.desired {
        Desired::OnDemand => "on demand",
        Desired::Running => "running",
        Desired::Held => "held",
    })
}

fn scope(node: &Node, _look: &Look) -> Cell {
    match node {
        Node::Server { row, .. } => Cell::plain(row.def.scope.name()),
        Node::Instance(_) => Cell::dim(""),
    }
}

fn environment(node: &Node, _look: &Look) -> Cell {
    let environment = match node {
        Node::Server { row, .. } => row.environment,
        Node::Instance(row) => row.environment,
    };
    Cell::new(environment.name(), Role::of_environment(environment))
}

fn backend(node: &Node, _look: &Look) -> Cell {
    node.instance().map_or(Cell::dim(""), |row| Cell::plain(row.backend.name()))
}

fn transport(node: &Node, _look: &Look) -> Cell {
    node.instance().map_or(Cell::dim(""), |row| Cell::plain(row.transport.name()))
}

fn era(node: &Node, _look: &Look) -> Cell {
    node.instance().map_or(Cell::dim(""), |row| Cell::plain(row.era.map_or("", |e| e.name())))
}

fn pid(node: &Node, _look: &Look) -> Cell {
    let pid = node.instance().and_then(|row| row.pid);
    Cell::plain(pid.map(|p| p.to_string()).unwrap_or_default())
}

fn garbage(node: &Node, look: &Look) -> Cell {
    let lines = node.instance().map_or(0, |row| u32::try_from(row.garbage).unwrap_or(u32::MAX));
    Cell::plain(fmt::count(lines, look.ascii))
}

fn why(node: &Node, _look: &Look) -> Cell {
    node.instance().map_or(Cell::dim(""), |row| Cell::plain(row.reason.as_str()))
}
