//! Usage as it is shown: as fine as people can see, so that a byte more makes no new row. Pure.

use crate::model::usage::{HostUsage, InstanceUsage};

const MEMORY_STEP: u64 = 64 << 10;
const HOST_STEP: u64 = 1 << 20;
/// Bits of a rate that count: it is told to about 1 %.
const RATE_BITS: u32 = 7;

/// Coarse as it is shown: cpu to 0.1 %, memory to 64 KiB, rates to about 1 %.
pub fn coarse(usage: InstanceUsage) -> InstanceUsage {
    InstanceUsage {
        cpu: usage.cpu.map(tenth),
        memory: usage.memory.map(|bytes| step(bytes, MEMORY_STEP)),
        net_in: usage.net_in.map(rate),
        net_out: usage.net_out.map(rate),
        disk_read: usage.disk_read.map(rate),
        disk_write: usage.disk_write.map(rate),
        ..usage
    }
}

/// Likewise of the host.
pub fn coarse_host(host: HostUsage) -> HostUsage {
    HostUsage {
        cpu: host.cpu.map(tenth),
        memory_used: host.memory_used.map(|bytes| step(bytes, HOST_STEP)),
        disk_free: host.disk_free.map(|bytes| step(bytes, HOST_STEP)),
        own_cpu: host.own_cpu.map(tenth),
        own_memory: host.own_memory.map(|bytes| step(bytes, MEMORY_STEP)),
        ..host
    }
}

fn tenth(percent: f32) -> f32 {
    (percent * 10.0).round() / 10.0
}

fn step(bytes: u64, step: u64) -> u64 {
    // A little is not nothing.
    if bytes < step { bytes } else { bytes / step * step }
}

fn rate(bytes: u64) -> u64 {
    let shift = (u64::BITS - bytes.leading_zeros()).saturating_sub(RATE_BITS);
    bytes >> shift << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_makes_no_difference_and_size_does() {
        let usage = |cpu, memory, net| InstanceUsage {
            cpu: Some(cpu),
            memory: Some(memory),
            net_in: Some(net),
            ..InstanceUsage::default()
        };
        let cases = [
            ("noise", usage(1.26, (5 << 20) + 17, 1_000_001), usage(1.34, (5 << 20) + 9000, 1_000_900), true),
            ("cpu", usage(1.2, 0, 0), usage(1.4, 0, 0), false),
            ("memory", usage(0.0, 5 << 20, 0), usage(0.0, (5 << 20) + (64 << 10), 0), false),
            ("rate", usage(0.0, 0, 1000), usage(0.0, 0, 1020), false),
            ("a little is not nothing", usage(0.0, 0, 0), usage(0.0, 100, 0), false),
        ];
        for (name, a, b, same) in cases {
            assert_eq!(coarse(a) == coarse(b), same, "{name}: {:?} {:?}", coarse(a), coarse(b));
        }
        assert_eq!(coarse(InstanceUsage::default()), InstanceUsage::default());
    }

    #[test]
    fn a_rate_is_off_by_two_percent_at_most() {
        for bytes in [0, 1, 99, 127, 128, 255, 256, 12_345, u64::MAX] {
            let shown = rate(bytes);
            assert!(shown <= bytes && bytes - shown <= bytes / 50, "{bytes} {shown}");
        }
    }
}
