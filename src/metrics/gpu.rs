//! GPUs as their driver's library (NVML) tells. Every value stands by itself: what one call does not give is `None` and
//! hides nothing else. Whatever goes wrong is a reason with what to do next. Imports `model` only.

mod procs;
mod read;
pub mod trial;

pub use procs::{Process, Procs};

use super::host::History;
use crate::model::gpu::{GpuRow, GpuState, Gpus};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use trial::Trial;

/// What the loader looks for.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// Between two attempts to open the library, or to get a lost device back: doubled from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Reads GPUs on a thread of its own: a driver in trouble can hold a call for ever, and then holds nobody else.
pub struct Gpu {
    questions: mpsc::Sender<oneshot::Sender<Gpus>>,
    /// The reading that did not come in time.
    late: Option<oneshot::Receiver<Gpus>>,
    last: Gpus,
}

impl Gpu {
    /// Starts the thread; the library is tried and loaded at the first reading. The error is that of the thread.
    pub fn new(library: Option<PathBuf>, trial: Trial) -> std::io::Result<Self> {
        let (questions, mut asked) = mpsc::channel::<oneshot::Sender<Gpus>>(1);
        let work = move || {
            let mut driver = Driver::new(library, trial);
            while let Some(reply) = asked.blocking_recv() {
                // Whoever asked may have gone.
                let _ = reply.send(driver.read(Instant::now()));
            }
        };
        std::thread::Builder::new().name("gpu".to_owned()).spawn(work)?;
        Ok(Self { questions, late: None, last: Gpus::default() })
    }

    /// What the GPUs do now. Without an answer within `limit` it is the last one, each device marked as silent.
    pub async fn read(&mut self, limit: Duration) -> Gpus {
        let (reply, answer) = oneshot::channel();
        let mut answer = match self.late.take() {
            Some(late) => late,
            None if self.questions.try_send(reply).is_ok() => answer,
            None => return self.silent("the thread that asks it has ended"),
        };
        match tokio::time::timeout(limit, &mut answer).await {
            Ok(Ok(gpus)) => {
                self.last.clone_from(&gpus);
                gpus
            }
            Ok(Err(_)) => self.silent("the thread that asks it has ended"),
            Err(_) => {
                self.late = Some(answer);
                self.silent("the driver does not answer: `nvidia-smi` may hang, too; `dmesg` says why")
            }
        }
    }

    fn silent(&self, why: &str) -> Gpus {
        let mut gpus = self.last.clone();
        if gpus.devices.is_empty() {
            gpus.state = GpuState::Absent(why.to_owned());
        }
        for row in &mut gpus.devices {
            *row = lost_row(row, format!("lost: {why}"));
        }
        gpus
    }
}

/// What stays known of a device that does not answer: who it is and what it did.
fn lost_row(row: &GpuRow, error: String) -> GpuRow {
    GpuRow {
        index: row.index,
        uuid: row.uuid.clone(),
        name: row.name.clone(),
        utilisation_history: row.utilisation_history.clone(),
        memory_history: row.memory_history.clone(),
        error: Some(error),
        ..GpuRow::default()
    }
}

/// The library, once it is open, and the devices seen so far.
struct Driver {
    library: Option<PathBuf>,
    trial: Trial,
    nvml: Option<Nvml>,
    version: Option<String>,
    absent: String,
    retry: Retry,
    /// A device keeps its place, and so its index, whatever becomes of it.
    seats: Vec<Seat>,
}

#[derive(Default)]
struct Seat {
    row: GpuRow,
    utilisation: History,
    memory: History,
}

impl Driver {
    fn new(library: Option<PathBuf>, trial: Trial) -> Self {
        let (absent, retry) = (String::new(), Retry::default());
        Self { library, trial, nvml: None, version: None, absent, retry, seats: Vec::new() }
    }

    fn read(&mut self, now: Instant) -> Gpus {
        if self.retry.is_due(now) {
            self.open(now);
        }
        match self.nvml.take() {
            Some(nvml) => {
                self.read_devices(&nvml, now);
                self.nvml = Some(nvml);
            }
            None => {
                let why = format!("lost: {}", self.absent);
                self.seats.iter_mut().for_each(|seat| seat.row = lost_row(&seat.row, why.clone()));
            }
        }
        if self.seats.is_empty() {
            return Gpus {
                state: GpuState::Absent(self.absent.clone()),
                driver: self.version.clone(),
                ..Gpus::default()
            };
        }
        self.retry.set(now, self.seats.iter().any(|seat| seat.row.error.is_some()));
        let devices = self.seats.iter().map(|seat| seat.row.clone()).collect();
        Gpus { state: GpuState::Present, driver: self.version.clone(), devices, tenants: Vec::new() }
    }

    /// Opens the library (again): only a new one sees a device that was reset, and leaves one out that is gone.
    fn open(&mut self, now: Instant) {
        drop(self.nvml.take());
        if let Err(why) = self.trial.hold(self.library.as_deref()) {
            self.absent = why;
            return self.retry.set(now, true);
        }
        let path = self.library.clone().unwrap_or_else(|| PathBuf::from(LIBRARY));
        let opened = Nvml::builder().lib_path(path.as_os_str()).init();
        match opened.and_then(|nvml| nvml.device_count().map(|count| (nvml, count))) {
            Ok((nvml, count)) => {
                self.version = nvml.sys_driver_version().ok();
                if count == 0 {
                    self.absent =
                        "no device: the driver runs and sees no GPU; see `lspci | grep -i nvidia` and `dmesg`"
                            .to_owned();
                }
                self.retry.set(now, count == 0);
                self.nvml = Some(nvml);
            }
            Err(error) => {
                self.absent = read::no_driver(&error, self.library.as_deref());
                self.retry.set(now, true);
            }
        }
    }

    fn read_devices(&mut self, nvml: &Nvml, now: Instant) {
        let mut answered = vec![false; self.seats.len()];
        for number in 0..nvml.device_count().unwrap_or(0) {
            let row = read::device(nvml, number);
            let seat = self.seat_of(&row, number);
            answered.resize(self.seats.len(), false);
            answered[seat] = true;
            let index = seat.try_into().unwrap_or(u32::MAX);
            self.seats[seat].take(GpuRow { index, ..row }, now);
        }
        for (seat, _) in self.seats.iter_mut().zip(answered).filter(|(_, answered)| !answered) {
            let gone = read::lost(&NvmlError::GpuLost);
            seat.row = lost_row(&seat.row, gone);
        }
    }

    /// Where a device sits: by its UUID, since a device that is gone moves the numbers of those behind it.
    fn seat_of(&mut self, row: &GpuRow, number: u32) -> usize {
        let known = |seat: &Seat| !row.uuid.is_empty() && seat.row.uuid == row.uuid;
        let nameless = |seat: &&Seat| row.uuid.is_empty() || seat.row.uuid.is_empty();
        if let Some(at) = self.seats.iter().position(known) {
            return at;
        }
        let at = number as usize;
        if self.seats.get(at).filter(nameless).is_none() {
            self.seats.push(Seat::default());
            return self.seats.len() - 1;
        }
        at
    }
}

impl Seat {
    fn take(&mut self, row: GpuRow, now: Instant) {
        let utilisation = self.utilisation.add(now, row.utilisation.map(|percent| percent as f32));
        let memory = self.memory.add(now, row.memory_percent());
        let (uuid, name) = match &row.error {
            // A lost device may not even tell who it is.
            Some(_) if row.uuid.is_empty() => (self.row.uuid.clone(), self.row.name.clone()),
            _ => (row.uuid.clone(), row.name.clone()),
        };
        self.row = GpuRow { uuid, name, utilisation_history: utilisation, memory_history: memory, ..row };
    }
}

/// When to try again: less and less often.
#[derive(Default)]
struct Retry {
    /// `None` before the first attempt.
    pause: Option<Duration>,
    at: Option<Instant>,
}

impl Retry {
    fn is_due(&self, now: Instant) -> bool {
        self.pause.is_none() || self.at.is_some_and(|at| at <= now)
    }

    /// Notes how the last attempt went; one that is planned already stays.
    fn set(&mut self, now: Instant, failed: bool) {
        if !failed {
            *self = Self { pause: Some(Duration::ZERO), at: None };
        } else if self.at.is_none_or(|at| at <= now) {
            let pause = self.pause.map_or(RETRY.0, |pause| (pause * 2).clamp(RETRY.0, RETRY.1));
            *self = Self { pause: Some(pause), at: Some(now + pause) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_grow_rare_and_start_anew_after_a_good_one() {
        let start = Instant::now();
        let mut retry = Retry::default();
        let mut at = start;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(retry.is_due(at));
            retry.set(at, true);
            assert!(!retry.is_due(at));
            let pause = retry.pause.unwrap();
            pauses.push(pause.as_secs());
            at += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        retry.set(at, false);
        assert!(!retry.is_due(at + RETRY.1));
        retry.set(at, true);
        assert_eq!(retry.pause, Some(RETRY.0));
    }

    #[test]
    fn a_device_keeps_its_index_when_the_one_before_it_is_gone() {
        let row = |uuid: &str| GpuRow { uuid: uuid.into(), ..GpuRow::default() };
        let mut driver = Driver::new(None, Trial::new(PathBuf::new()));
        let take = |driver: &mut Driver, uuid: &str, number| {
            let at = driver.seat_of(&row(uuid), number);
            driver.seats[at].take(row(uuid), Instant::now());
            at
        };
        assert_eq!((take(&mut driver, "a", 0), take(&mut driver, "b", 1)), (0, 1));
        assert_eq!(take(&mut driver, "b", 0), 1, "a is gone, b moved to its number");
        assert_eq!(take(&mut driver, "c", 1), 2, "a new device");
        assert_eq!(take(&mut driver, "", 0), 0, "who does not say who it is keeps its number");
    }
}
