//! How long calls took, as counts in logarithmic steps. Imports nothing of ours.

/// Upper ends in microseconds (excluded) with what stands beside the bar; the last bucket has no end.
pub const STEPS: [(u64, &str); 10] = [
    (1_000, "<1 ms"),
    (3_000, "<3 ms"),
    (10_000, "<10 ms"),
    (30_000, "<30 ms"),
    (100_000, "<100 ms"),
    (300_000, "<300 ms"),
    (1_000_000, "<1 s"),
    (3_000_000, "<3 s"),
    (10_000_000, "<10 s"),
    (u64::MAX, ">10 s"),
];

/// Counts per step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    pub counts: [u64; STEPS.len()],
}

impl Histogram {
    pub fn add(&mut self, took_us: u64) {
        let at = STEPS.iter().position(|(end, _)| took_us < *end).unwrap_or(STEPS.len() - 1);
        self.counts[at] += 1;
    }

    pub fn most(&self) -> u64 {
        self.counts.iter().copied().max().unwrap_or(0)
    }

    /// First and last step that hold something.
    pub fn range(&self) -> Option<(usize, usize)> {
        let first = self.counts.iter().position(|n| *n > 0)?;
        Some((first, self.counts.iter().rposition(|n| *n > 0)?))
    }
}

impl Extend<u64> for Histogram {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, took: I) {
        took.into_iter().for_each(|us| self.add(us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_falls_into_its_step() {
        for (us, step) in [(0, 0), (999, 0), (1_000, 1), (99_999, 4), (10_000_000, 9), (u64::MAX, 9)] {
            let mut histogram = Histogram::default();
            histogram.add(us);
            assert_eq!(histogram.range(), Some((step, step)), "{us}");
        }
        assert_eq!(Histogram::default().range(), None);
    }
}
