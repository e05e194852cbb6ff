//! What made-up containers write to their logs: a function of seed, line and time since their start, so that every reader
//! reads the same.

use super::crowd::Made;
use crate::backend::BackendError;
use crate::backend::engine::{Found, Inventory, LogRange, RawLine};
use crate::model::Stamp;
use crate::model::container::ContainerState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// Between two lines.
const STEP_MS: u64 = 700;

/// Lines of a start that loads a model.
const LOADING: u64 = 10;

/// An engine keeps no more of a log than this.
const KEPT: u64 = 1000;

const WAITING: usize = 64;

/// The lines of `range`, and those to come; an error is its only line.
pub fn tell(
    made: Result<Made, BackendError>,
    range: LogRange,
    now: watch::Receiver<Arc<Inventory>>,
) -> mpsc::Receiver<RawLine> {
    let (lines, reader) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        match made {
            Ok(made) => write(&made, &range, &lines, &now).await,
            Err(error) => {
                let text = format!("the log cannot be read: {error}");
                let _ = lines.send(RawLine { at: Stamp::now(), stderr: true, text }).await;
            }
        }
    });
    reader
}

async fn write(made: &Made, range: &LogRange, lines: &mpsc::Sender<RawLine>, now: &watch::Receiver<Arc<Inventory>>) {
    // It goes on writing while its row is the same run.
    let still_runs = || {
        let same =
            |row: &Arc<Found>| row.id == made.row.id && row.state == made.row.state && row.since == made.row.since;
        made.row.state == ContainerState::Running && now.borrow().containers.iter().any(same)
    };
    let mut next = first(made, range);
    loop {
        while next < written(made) {
            let line = line(made, next);
            next += 1;
            if range.since.is_none_or(|since| line.at >= since) && lines.send(line).await.is_err() {
                return;
            }
        }
        if !range.follow || !still_runs() {
            return;
        }
        tokio::select! {
            () = sleep(Duration::from_millis(STEP_MS)) => {}
            () = lines.closed() => return,
        }
    }
}

/// Lines so far. One that does not run has written its last before it ended.
fn written(made: &Made) -> u64 {
    match made.row.state {
        ContainerState::Running => Stamp::now().since(made.row.since).as_millis() as u64 / STEP_MS + 1,
        _ => LOADING + 2,
    }
}

fn first(made: &Made, range: &LogRange) -> u64 {
    let written = written(made);
    let tail = range.tail.map_or(KEPT, u64::from).min(KEPT);
    written.saturating_sub(tail)
}

fn line(made: &Made, number: u64) -> RawLine {
    let runs = made.row.state == ContainerState::Running;
    let at = match runs {
        true => made.row.since.after(Duration::from_millis(number * STEP_MS)),
        false => Stamp(made.row.since.0.saturating_sub((LOADING + 1).saturating_sub(number) * STEP_MS)),
    };
    let last = !runs && number > LOADING;
    let (stderr, text) = match number {
        _ if last && made.row.oom => {
            (true, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB".into())
        }
        _ if last => (false, "shutting down".to_owned()),
        0..LOADING => (false, format!("Loading weights {}%", (number + 1) * 100 / LOADING)),
        LOADING => (false, "Application startup complete, listening on http://0.0.0.0:8000".to_owned()),
        _ => request(made.seed, number),
    };
    RawLine { at, stderr, text }
}

fn request(seed: u64, number: u64) -> (bool, String) {
    let mut random = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
    let took = random.u32(2..900);
    match random.u32(0..40) {
        0 => (true, format!("WARN slow request {number}: {} ms", took + 1000)),
        1 => (true, format!("ERROR request {number}: upstream closed the connection")),
        _ => (false, format!("INFO request {number} 200 in {took} ms")),
    }
}
