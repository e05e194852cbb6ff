//! `get gpus --at` and `--since`: who held GPU memory then.

use super::args::{Get, Global};
use super::error::{Code, Error};
use super::get::{Choice, odd_answer, show};
use super::output;
use super::session::{Need, Session};
use super::times;
use crate::model::gpu::GpuHeld;
use crate::model::{Answer, Query, Stamp};
use std::sync::Arc;
use std::time::Duration;

/// A reading this long before a moment still tells of it: they are taken seldom while little changes.
const BEFORE: Duration = Duration::from_secs(15 * 60);

/// Answers `--at` or `--since`.
pub fn held(global: &Global, args: &Get) -> Result<Code, Error> {
    let choice = Choice::of::<GpuHeld>(args)?;
    let at = args.at.as_deref().map(|text| times::read("at", text)).transpose()?;
    let since = args.since.as_deref().map(|text| times::read("since", text)).transpose()?;
    let from = match at {
        Some(at) => Stamp(at.0.saturating_sub(BEFORE.as_millis() as u64)),
        None => since.unwrap_or_default(),
    };
    let session = Session::open(global, Need::Any)?;
    let Answer::GpuHeld(rows) = session.ask(Query::GpuHeld { since: from })? else { return Err(odd_answer()) };
    let rows = match at {
        Some(at) => moment(rows, at),
        None => rows,
    };
    if rows.is_empty() {
        output::remark(session.output, "nobody held GPU memory then, or mcpdeck did not run");
    }
    let rows: Vec<Arc<GpuHeld>> = rows.into_iter().map(Arc::new).collect();
    show(session.output, &choice.pick_telling(session.output, &rows))
}

/// Of each device, the newest reading up to `at`.
fn moment(rows: Vec<GpuHeld>, at: Stamp) -> Vec<GpuHeld> {
    let before: Vec<GpuHeld> = rows.into_iter().filter(|row| row.at <= at).collect();
    let newest = |device: &str| before.iter().filter(|row| row.device == device).map(|row| row.at).max();
    before.iter().filter(|row| Some(row.at) == newest(&row.device)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_newest_reading_of_each_device_before_it() {
        let row = |at, device: &str, holder: &str| GpuHeld {
            at: Stamp(at),
            device: device.into(),
            tenant: None,
            holder: holder.into(),
            memory: 1,
        };
        let rows = vec![row(1, "a", "old"), row(5, "a", "x"), row(5, "a", "y"), row(3, "b", "z"), row(9, "a", "later")];
        let names: Vec<_> = moment(rows, Stamp(6)).into_iter().map(|row| row.holder).collect();
        assert_eq!(names, ["x", "y", "z"]);
    }
}
