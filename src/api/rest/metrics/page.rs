//! A page of metrics: families of bounded size, written one after the other.

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use std::fmt::Error;

/// Series of one family; of more the rest is left out, and counted.
pub const SERIES: usize = 5000;

/// Names and values of a series' labels.
pub type Labels = Vec<(&'static str, String)>;

pub struct Page<'e> {
    encoder: DescriptorEncoder<'e>,
    /// Families that were too large, and how many of their series are not on the page.
    omitted: Vec<(&'static str, usize)>,
}

/// What a family is called, in words and in base units.
#[derive(Clone, Copy)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub unit: Option<&'static str>,
}

/// A histogram's figures: buckets by their upper bounds, each with what the one before does not hold.
pub struct Histogram {
    pub sum: f64,
    pub count: u64,
    pub buckets: Vec<(f64, u64)>,
}

impl<'e> Page<'e> {
    pub fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self { encoder, omitted: Vec::new() }
    }

    pub fn counters(&mut self, family: Family, rows: impl Iterator<Item = (Labels, u64)>) -> Result<(), Error> {
        let rows = self.bounded(family, rows);
        self.write(family, MetricType::Counter, rows, |encoder, value| {
            encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    /// Whatever is unknown is not there.
    pub fn gauges(&mut self, family: Family, rows: impl Iterator<Item = (Labels, Option<f64>)>) -> Result<(), Error> {
        let rows = self.bounded(family, rows.filter_map(|(labels, value)| Some((labels, value?))));
        self.write(family, MetricType::Gauge, rows, |encoder, value| encoder.encode_gauge(&value))
    }

    pub fn gauge(&mut self, family: Family, value: Option<f64>) -> Result<(), Error> {
        self.gauges(family, std::iter::once((Labels::new(), value)))
    }

    pub fn counter(&mut self, family: Family, value: u64) -> Result<(), Error> {
        self.counters(family, std::iter::once((Labels::new(), value)))
    }

    pub fn histograms(&mut self, family: Family, rows: impl Iterator<Item = (Labels, Histogram)>) -> Result<(), Error> {
        let rows = self.bounded(family, rows);
        self.write(family, MetricType::Histogram, rows, |encoder, value| {
            encoder.encode_histogram::<NoLabelSet>(value.sum, value.count, &value.buckets, None)
        })
    }

    /// Ends the page with what is not on it.
    pub fn end(mut self) -> Result<(), Error> {
        let family = Family {
            name: "metrics_series_omitted",
            help: "Series that are not on this page because their family is too large",
            unit: None,
        };
        let rows: Vec<_> =
            self.omitted.iter().map(|(name, n)| (vec![("family", (*name).to_owned())], *n as f64)).collect();
        self.write(family, MetricType::Gauge, rows, |encoder, value| encoder.encode_gauge(&value))
    }

    fn bounded<T>(&mut self, family: Family, rows: impl Iterator<Item = (Labels, T)>) -> Vec<(Labels, T)> {
        let mut rows = rows.fuse();
        let kept = rows.by_ref().take(SERIES).collect();
        let omitted = rows.count();
        if omitted > 0 {
            self.omitted.push((family.name, omitted));
        }
        kept
    }

    fn write<T>(
        &mut self,
        family: Family,
        kind: MetricType,
        rows: Vec<(Labels, T)>,
        mut write: impl FnMut(&mut MetricEncoder<'_>, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let unit = family.unit.map(|unit| Unit::Other(unit.to_owned()));
        let mut encoder = self.encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
        for (labels, value) in rows {
            if labels.is_empty() {
                write(&mut encoder, value)?;
            } else {
                write(&mut encoder.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }
}
