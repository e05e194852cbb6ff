//! Usage as an engine counts it, for one whose control groups are not on this machine.

use super::Yard;
use super::connect::Client;
use crate::model::container::ContainerKey;
use crate::model::usage::InstanceUsage;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Containers asked about at once.
const AT_ONCE: usize = 8;

/// Between the two samples that the first figures of a container need.
const FIRST_STEP: Duration = Duration::from_millis(100);

/// A limit beyond this is none.
const UNLIMITED: u64 = 1 << 60;

/// The last sample of each container that was asked about lately.
#[derive(Default)]
pub struct Samples(Mutex<Known>);

#[derive(Default)]
struct Known {
    last: HashMap<Arc<str>, Sample>,
    /// Bytes of the engine's machine: a container without a limit has this one.
    machine: Option<u64>,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    /// Nanoseconds of the engine's clock.
    at: i128,
    cpu_ns: Option<u64>,
    net_in: Option<u64>,
    net_out: Option<u64>,
    disk_read: Option<u64>,
    disk_write: Option<u64>,
    memory: Option<u64>,
    memory_limit: Option<u64>,
    pids: Option<u32>,
}

impl Samples {
    /// Of those that run; nothing of an engine that is silent.
    pub async fn usage(&self, yard: &Yard, ids: Vec<ContainerKey>) -> Vec<(ContainerKey, InstanceUsage)> {
        let Ok(client) = yard.client().await else { return Vec::new() };
        let machine = self.machine(&client).await;
        let known = |id: &str| self.lock().last.get(id).copied();
        let usage: Vec<_> = stream::iter(ids)
            .map(|key| {
                let (client, before) = (&client, known(&key.id));
                async move { Some((pair(client, &key.id, before).await?, key)) }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let mut known = self.lock();
        known.last.retain(|id, _| yard.row(id).is_some());
        known.last.extend(usage.iter().map(|((_, now), key)| (Arc::clone(&key.id), *now)));
        usage.into_iter().map(|((before, now), key)| (key, now.since(&before, machine))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn machine(&self, client: &Client) -> Option<u64> {
        let known = self.lock().machine;
        if known.is_some() {
            return known;
        }
        let asked = client.get::<Machine>("/info").await.ok().map(|machine| machine.mem_total);
        self.lock().machine = asked;
        asked
    }
}

/// The sample before and the one now; the first time, two within a moment.
async fn pair(client: &Client, id: &str, before: Option<Sample>) -> Option<(Sample, Sample)> {
    let before = match before {
        Some(before) => before,
        None => {
            let first = sample(client, id).await?;
            sleep(FIRST_STEP).await;
            first
        }
    };
    Some((before, sample(client, id).await?))
}

async fn sample(client: &Client, id: &str) -> Option<Sample> {
    let path = format!("/containers/{id}/stats?stream=0&one-shot=1");
    client.get::<Stats>(&path).await.ok()?.sample()
}

impl Sample {
    fn since(&self, before: &Self, machine: Option<u64>) -> InstanceUsage {
        let step = self.at - before.at;
        let grown = |of: fn(&Self) -> Option<u64>| {
            // A container that was restarted begins again at nought.
            let grown = of(self)?.checked_sub(of(before)?)?;
            (step > 0).then_some(grown as f64 / step as f64)
        };
        let per_second = |of: fn(&Self) -> Option<u64>| grown(of).map(|per_ns| (per_ns * 1e9) as u64);
        let unlimited = |limit: &u64| *limit >= UNLIMITED || machine.is_some_and(|machine| *limit >= machine);
        InstanceUsage {
            cpu: grown(|sample| sample.cpu_ns).map(|cores| (cores * 100.0) as f32),
            memory: self.memory,
            memory_limit: self.memory_limit.filter(|limit| !unlimited(limit)),
            pids: self.pids,
            net_in: per_second(|sample| sample.net_in),
            net_out: per_second(|sample| sample.net_out),
            disk_read: per_second(|sample| sample.disk_read),
            disk_write: per_second(|sample| sample.disk_write),
            ..InstanceUsage::default()
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Machine {
    mem_total: u64,
}

/// Of `GET /containers/ID/stats`.
#[derive(Deserialize)]
struct Stats {
    read: String,
    cpu_stats: Option<Cpu>,
    memory_stats: Option<Memory>,
    pids_stats: Option<Pids>,
    networks: Option<BTreeMap<String, Net>>,
    blkio_stats: Option<Blkio>,
}

#[derive(Deserialize)]
struct Cpu {
    cpu_usage: Option<CpuUsage>,
}

#[derive(Deserialize)]
struct CpuUsage {
    total_usage: Option<u64>,
}

#[derive(Deserialize)]
struct Memory {
    usage: Option<u64>,
    limit: Option<u64>,
    stats: Option<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
struct Pids {
    current: Option<u32>,
}

#[derive(Deserialize)]
struct Net {
    rx_bytes: u64,
    tx_bytes: u64,
}

#[derive(Deserialize)]
struct Blkio {
    io_service_bytes_recursive: Option<Vec<Blk>>,
}

#[derive(Deserialize)]
struct Blk {
    op: String,
    value: u64,
}

impl Stats {
    /// `None` for a container that does not run: an engine then answers with nothing in it.
    fn sample(self) -> Option<Sample> {
        let at: jiff::Timestamp = self.read.parse().ok()?;
        let memory = self.memory_stats;
        let cpu_ns = self.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage).filter(|ns| *ns > 0)?;
        let networks = self.networks;
        let sum = |of: fn(&Net) -> u64| networks.as_ref().map(|networks| networks.values().map(of).sum());
        let blocks = self.blkio_stats.and_then(|blkio| blkio.io_service_bytes_recursive);
        let moved = |op: &str| {
            let of_op =
                |blocks: &Vec<Blk>| blocks.iter().filter(|b| b.op.eq_ignore_ascii_case(op)).map(|b| b.value).sum();
            blocks.as_ref().map(of_op)
        };
        Some(Sample {
            at: at.as_nanosecond(),
            cpu_ns: Some(cpu_ns),
            net_in: sum(|net| net.rx_bytes),
            net_out: sum(|net| net.tx_bytes),
            disk_read: moved("read"),
            disk_write: moved("write"),
            memory: memory.as_ref().and_then(Memory::without_cache),
            memory_limit: memory.as_ref().and_then(|memory| memory.limit).filter(|limit| *limit > 0),
            pids: self.pids_stats.and_then(|pids| pids.current),
        })
    }
}

impl Memory {
    /// As `docker stats` shows it: the page cache that could be dropped is not used memory. Control groups v1 and v2 name
    /// it differently.
    fn without_cache(&self) -> Option<u64> {
        let usage = self.usage.filter(|usage| *usage > 0)?;
        let stats = self.stats.as_ref();
        let cache = stats.and_then(|stats| stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")));
        Some(cache.and_then(|cache| usage.checked_sub(*cache)).unwrap_or(usage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(json: &str) -> Option<Sample> {
        serde_json::from_str::<Stats>(json).unwrap().sample()
    }

    fn stats(second: u32, cpu: u64, memory: &str) -> Sample {
        let json = format!(
            r#"{{"read":"2026-11-20T14:00:{second:02}Z","cpu_stats":{{"cpu_usage":{{"total_usage":{cpu}}}}},
            "memory_stats":{memory},"pids_stats":{{"current":3}},
            "networks":{{"eth0":{{"rx_bytes":{0},"tx_bytes":10}},"eth1":{{"rx_bytes":5,"tx_bytes":0}}}},
            "blkio_stats":{{"io_service_bytes_recursive":[{{"op":"Read","value":{0}}},{{"op":"write","value":7}},
            {{"op":"Total","value":9}}]}}}}"#,
            second * 1000
        );
        sample(&json).unwrap()
    }

    #[test]
    fn two_samples_give_figures_per_second_and_percent_of_a_core() {
        let memory = r#"{"usage":1000,"limit":4096,"stats":{"total_inactive_file":300,"inactive_file":1}}"#;
        let usage = stats(2, 4_000_000_000, memory).since(&stats(0, 1_000_000_000, memory), Some(1 << 30));
        let expected = InstanceUsage {
            cpu: Some(150.0),
            memory: Some(700),
            memory_limit: Some(4096),
            pids: Some(3),
            net_in: Some(1000),
            net_out: Some(0),
            disk_read: Some(1000),
            disk_write: Some(0),
            ..InstanceUsage::default()
        };
        assert_eq!(usage, expected);
        let restarted = stats(2, 1, memory).since(&stats(0, 1_000_000_000, memory), None);
        assert_eq!(restarted.cpu, None, "counters that went back tell nothing");
    }

    #[test]
    fn memory_is_told_without_cache_on_both_versions_and_a_limit_only_if_there_is_one() {
        let cases = [
            (r#"{"usage":1000,"limit":9223372036854771712,"stats":{"inactive_file":100}}"#, Some(900), None),
            (r#"{"usage":1000,"limit":1073741824,"stats":{}}"#, Some(1000), None),
            (r#"{"usage":10,"limit":64,"stats":{"inactive_file":100}}"#, Some(10), Some(64)),
            ("{}", None, None),
        ];
        for (memory, used, limit) in cases {
            let now = stats(1, 5, memory);
            let usage = now.since(&now, Some(1 << 30));
            assert_eq!((usage.memory, usage.memory_limit), (used, limit), "{memory}");
        }
    }

    #[test]
    fn a_container_that_does_not_run_has_no_sample() {
        assert_eq!(sample(r#"{"read":"0001-01-01T00:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":0}}}"#), None);
    }
}
