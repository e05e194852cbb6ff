//! Which figures there are, and what they are called. Counters only grow, units are base units, and labels are names that
//! the config has, so that their number is known.

use super::Reading;
use super::page::{Family, Histogram, Labels, Page};
use crate::control::handle::Lives;
use crate::model::container::EngineState;
use crate::model::gpu::GpuRow;
use crate::model::usage::InstanceUsage;
use crate::model::{Outcome, State};
use crate::router::{BOUNDS_US, Lifetime};
use std::collections::BTreeMap;
use std::fmt::Error;

/// Pairs of a customer and a server that are told apart; the rest is one series, `other`.
const PAIRS: u32 = 600;

/// A family, and its figure in a row.
type Told<Row, Figure> = (Family, fn(&Row) -> Figure);

const fn family(name: &'static str, help: &'static str) -> Family {
    Family { name, help, unit: None }
}

const fn measured(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, help, unit: Some(unit) }
}

fn label(name: &'static str, value: impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

pub fn platform(reading: &Reading, page: &mut Page<'_>) -> Result<(), Error> {
    let state = &reading.state;
    let info = &state.platform;
    let labels = vec![("version", info.version.clone()), ("platform", info.name.clone())];
    page.gauges(family("build_info", "What runs, and for which platform"), [(labels, Some(1.0))].into_iter())?;
    let started = Some(info.boot.0 as f64 / 1000.0);
    page.gauge(measured("start_time", "seconds", "When the owner started, since the epoch"), started)?;
    let severities = [("error", 3), ("warning", 2), ("notice", 1)];
    let findings = severities.map(|(name, severity)| {
        let n = state.findings.iter().filter(|finding| finding.severity == severity).count();
        (label("severity", name), Some(n as f64))
    });
    page.gauges(family("findings", "What needs attention now"), findings.into_iter())?;
    let engines = state.engines.iter().map(|engine| {
        let up = f64::from(u8::from(engine.state == EngineState::Up));
        (label("engine", &engine.id), Some(up))
    });
    page.gauges(family("engine_up", "Whether a container engine answers"), engines)?;
    let bytes = |value: Option<u64>| value.map(|bytes| bytes as f64);
    let host = &state.host;
    page.gauge(
        measured("state_disk_free", "bytes", "Free on the file system of the state folder"),
        bytes(host.disk_free),
    )?;
    page.gauge(
        measured("state_disk_size", "bytes", "Size of the file system of the state folder"),
        bytes(host.disk_total),
    )?;
    page.gauge(measured("own_memory", "bytes", "Resident memory of mcpdeck itself"), bytes(host.own_memory))?;
    let cores = host.own_cpu.map(|percent| f64::from(percent) / 100.0);
    page.gauge(measured("own_cpu", "cores", "Cores that mcpdeck itself uses"), cores)?;
    page.counter(family("records_dropped", "Records of calls that a full queue dropped"), reading.dropped_records)?;
    page.gauge(family("mcp_sessions", "Open sessions of MCP clients"), Some(reading.sessions as f64))?;
    page.gauge(family("http_connections", "Open connections to the gateway"), Some(reading.connections as f64))
}

pub fn calls(reading: &Reading, page: &mut Page<'_>) -> Result<(), Error> {
    let pairs = pairs(&reading.lifetimes);
    let outcomes = pairs.iter().flat_map(|(labels, pair)| {
        let told = Outcome::ALL.iter().zip(pair.outcomes).filter(|(_, n)| *n > 0);
        told.map(|(outcome, n)| ([labels.clone(), label("outcome", outcome)].concat(), n))
    });
    page.counters(family("calls", "Finished calls; without a server: refused before one was chosen"), outcomes)?;
    let latencies = pairs.iter().map(|(labels, pair)| (labels.clone(), histogram(pair)));
    page.histograms(measured("call_duration", "seconds", "From the arrival of a call to its answer"), latencies)?;
    let state = &reading.state;
    let servers = state.servers.iter().map(|row| (label("server", &row.def.id), Some(f64::from(row.in_flight))));
    page.gauges(family("server_calls_in_flight", "Calls that a server has not answered yet"), servers)?;
    let tenants = state.tenants.iter().map(|row| (label("tenant", &row.def.id), Some(f64::from(row.in_flight))));
    page.gauges(family("tenant_calls_in_flight", "Calls of a customer that are not answered yet"), tenants)
}

/// The first pairs by themselves and the rest together. A pair stays where it is: its counters only grow.
fn pairs(lifetimes: &[Lifetime]) -> Vec<(Labels, Lifetime)> {
    let mut out: Vec<(Labels, Lifetime)> = Vec::new();
    let mut rest: Option<Lifetime> = None;
    for pair in lifetimes {
        if pair.number.is_some_and(|number| number < PAIRS) {
            let text = |name: Option<String>| name.unwrap_or_default();
            let tenant = text(pair.tenant.as_ref().map(ToString::to_string));
            let server = text(pair.server.as_ref().map(ToString::to_string));
            out.push((vec![("tenant", tenant), ("server", server)], pair.clone()));
        } else {
            match &mut rest {
                Some(rest) => rest.add(pair),
                None => rest = Some(pair.clone()),
            }
        }
    }
    let other = || ["tenant", "server"].map(|name| (name, "other".to_owned())).to_vec();
    out.extend(rest.map(|rest| (other(), rest)));
    out
}

fn histogram(pair: &Lifetime) -> Histogram {
    let count = pair.outcomes.iter().sum::<u64>();
    let mut buckets: Vec<(f64, u64)> =
        BOUNDS_US.iter().zip(pair.latencies).map(|(us, n)| (*us as f64 / 1e6, n)).collect();
    buckets.push((f64::INFINITY, count - pair.latencies.iter().sum::<u64>().min(count)));
    Histogram { sum: pair.total_us as f64 / 1e6, count, buckets }
}

pub fn instances(reading: &Reading, page: &mut Page<'_>) -> Result<(), Error> {
    let state = &reading.state;
    let mut all: BTreeMap<State, u32> = State::ALL.map(|state| (state, 0)).into();
    let mut by_server: BTreeMap<(&str, State), u32> = BTreeMap::new();
    for row in &state.instances {
        *all.entry(row.state).or_default() += 1;
        *by_server.entry((row.key.server.as_str(), row.state)).or_default() += 1;
    }
    let rows = all.into_iter().map(|(state, n)| (label("state", state), Some(f64::from(n))));
    page.gauges(family("instances", "Instances by state"), rows)?;
    let rows = by_server.into_iter().map(|((server, state), n)| {
        (vec![("server", server.to_owned()), ("state", state.to_string())], Some(f64::from(n)))
    });
    page.gauges(family("server_instances", "Instances of a server by state"), rows)?;
    let counted: [Told<Lives, u64>; 5] = [
        (family("starts", "Starts of instances"), |lives| lives.starts),
        (family("wakes", "Starts and continuations out of sleep"), |lives| lives.wakes),
        (family("idle_stops", "Instances stopped because nobody used them"), |lives| lives.idle_stops),
        (family("dozes", "Instances paused because nobody used them"), |lives| lives.dozes),
        (family("failures", "Starts that failed and runs that ended by themselves"), |lives| lives.failures),
    ];
    for (family, count) in counted {
        page.counters(family, reading.lives.iter().map(|(server, lives)| (label("server", server), count(lives))))?;
    }
    Ok(())
}

/// One figure of what something uses.
struct Used {
    server: Family,
    tenant: Family,
    value: fn(&InstanceUsage) -> Option<f64>,
}

macro_rules! used {
    ($name:literal, $unit:literal, $help:literal, $value:expr) => {
        Used {
            server: measured(concat!("server_", $name), $unit, concat!($help, ", over a server's instances")),
            tenant: measured(concat!("tenant_", $name), $unit, concat!($help, ", over what a customer has to itself")),
            value: $value,
        }
    };
}

const USED: [Used; 8] = [
    used!("cpu", "cores", "Cores in use", |usage| Some(f64::from(usage.cpu?) / 100.0)),
    used!("memory", "bytes", "Resident memory", |usage| bytes(usage.memory)),
    used!("memory_limit", "bytes", "Memory that may be used", |usage| bytes(usage.memory_limit)),
    used!("network_received", "bytes_per_second", "Received from the network", |usage| bytes(usage.net_in)),
    used!("network_sent", "bytes_per_second", "Sent to the network", |usage| bytes(usage.net_out)),
    used!("disk_read", "bytes_per_second", "Read from block devices", |usage| bytes(usage.disk_read)),
    used!("disk_written", "bytes_per_second", "Written to block devices", |usage| bytes(usage.disk_write)),
    used!("gpu_memory", "bytes", "GPU memory held", |usage| bytes(usage.gpu_memory)),
];

fn bytes(value: Option<u64>) -> Option<f64> {
    value.map(|bytes| bytes as f64)
}

pub fn usage(reading: &Reading, page: &mut Page<'_>) -> Result<(), Error> {
    let state = &reading.state;
    for used in USED {
        let value = used.value;
        page.gauges(used.server, state.servers.iter().map(|row| (label("server", &row.def.id), value(&row.usage))))?;
        page.gauges(used.tenant, state.tenants.iter().map(|row| (label("tenant", &row.def.id), value(&row.usage))))?;
    }
    Ok(())
}

pub fn gpus(reading: &Reading, page: &mut Page<'_>) -> Result<(), Error> {
    let gpus = &reading.state.gpus;
    let told: [Told<GpuRow, Option<f64>>; 5] = [
        (measured("gpu_utilisation", "ratio", "Part of the time in which a kernel ran"), |gpu| {
            Some(f64::from(gpu.utilisation?) / 100.0)
        }),
        (measured("gpu_memory_used", "bytes", "GPU memory that is taken"), |gpu| bytes(gpu.memory_used)),
        (measured("gpu_memory_size", "bytes", "GPU memory that there is"), |gpu| bytes(gpu.memory_total)),
        (measured("gpu_power", "watts", "Power that a GPU draws"), |gpu| gpu.power.map(f64::from)),
        (measured("gpu_temperature", "celsius", "How hot a GPU is"), |gpu| gpu.temperature.map(f64::from)),
    ];
    for (family, value) in told {
        page.gauges(family, gpus.devices.iter().map(|gpu| (label("gpu", gpu.identity()), value(gpu))))?;
    }
    let held = gpus.tenants.iter().map(|share| {
        let tenant = share.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
        (label("tenant", tenant), bytes(share.memory))
    });
    page.gauges(
        measured("gpu_memory_held", "bytes", "GPU memory by who holds it; without a tenant: nobody known"),
        held,
    )
}
