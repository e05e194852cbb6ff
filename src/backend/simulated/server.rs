//! One simulated server: reads requests, lets each wait its time, answers.

use super::answer::{self, Request};
use super::{Ask, Load};
use crate::backend::Plain;
use crate::model::InstanceKey;
use crate::model::server::{SimulatedFault, SimulatedRun};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Answers that may wait at once; it does not read on while there are so many.
const WAITING: usize = 4096;
/// A longer line ends the server, as it would a real one that reads into memory.
const LINE: usize = 64 << 20;
/// Says something on stderr once in so many calls.
const CHATTER: u64 = 16;

pub struct Server {
    name: String,
    run: SimulatedRun,
    legacy_only: bool,
    /// Calls from then on are never answered.
    hangs_at: Option<Instant>,
    authorised: bool,
    random: fastrand::Rng,
    calls: Arc<AtomicU64>,
    ready_at: Instant,
    pipes: Option<Pipes>,
    /// Answers by the time at which they are due.
    waiting: BTreeMap<(Instant, u64), Waiting>,
    numbers: u64,
}

struct Pipes {
    stdin: DuplexStream,
    stdout: DuplexStream,
    stderr: DuplexStream,
}

struct Waiting {
    /// JSON text of the request's id, for a cancellation.
    id: String,
    line: String,
}

impl Server {
    pub fn new(
        key: &InstanceKey,
        run: SimulatedRun,
        env: &[(String, Plain)],
        legacy_only: bool,
        born: Instant,
        load: &Load,
    ) -> Self {
        let authorised = run.faults.iter().all(|fault| match fault {
            SimulatedFault::AuthUnless { secret, value } => {
                env.iter().any(|(name, given)| name == secret && given.expose() == value)
            }
            _ => true,
        });
        // One that was started after the fault began is healthy: a restart heals.
        let hangs_at = run.faults.iter().find_map(|fault| match fault {
            SimulatedFault::HangAfter(after) => Some(born + *after).filter(|at| *at > load.started),
            _ => None,
        });
        Self {
            name: key.to_string(),
            ready_at: load.started + run.start,
            run,
            legacy_only,
            hangs_at,
            authorised,
            random: fastrand::Rng::with_seed(load.seed),
            calls: Arc::clone(&load.calls),
            pipes: None,
            waiting: BTreeMap::new(),
            numbers: 0,
        }
    }

    pub fn attach(&mut self, stdin: DuplexStream, stdout: DuplexStream, stderr: DuplexStream) {
        self.pipes = Some(Pipes { stdin, stdout, stderr });
    }

    /// Serves until its stdin closes; the exit code.
    pub async fn serve(mut self, asked: &mut watch::Receiver<Ask>) -> i32 {
        let Some(Pipes { mut stdin, mut stdout, mut stderr }) = self.pipes.take() else { return 1 };
        sleep_until(self.ready_at).await;
        say(&mut stderr, &format!("simulated {} is ready", self.name));
        let mut input = Vec::new();
        loop {
            if asked.wait_for(|ask| *ask != Ask::Doze).await.is_err() {
                return 0;
            }
            let due = self.waiting.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                biased;
                _ = asked.changed() => {}
                () = sleep_until(due.unwrap_or(self.ready_at)), if due.is_some() => {
                    if let Some((_, answer)) = self.waiting.pop_first()
                        && stdout.write_all(answer.line.as_bytes()).await.is_err()
                    {
                        return 1;
                    }
                }
                read = stdin.read_buf(&mut input), if self.waiting.len() < WAITING => {
                    if !matches!(read, Ok(1..)) || input.len() > LINE {
                        return 0;
                    }
                    self.take_lines(&mut input, &mut stderr);
                }
            }
        }
    }

    fn take_lines(&mut self, input: &mut Vec<u8>, stderr: &mut DuplexStream) {
        let Some(end) = input.iter().rposition(|b| *b == b'\n') else { return };
        let rest = input.split_off(end + 1);
        let lines = std::mem::replace(input, rest);
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match Request::parse(line) {
                Some(request) => self.take(&request, stderr),
                None => say(stderr, "a line that is no JSON-RPC message"),
            }
        }
    }

    fn take(&mut self, request: &Request<'_>, stderr: &mut DuplexStream) {
        let now = Instant::now();
        if let Some(cancelled) = request.cancels() {
            self.waiting.retain(|_, waiting| waiting.id != cancelled);
        }
        let Some(id) = request.id() else { return };
        if request.method != "tools/call" {
            return self.answer(id, now, answer::other(request, &self.name, &self.run.tools, self.legacy_only));
        }
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if number.is_multiple_of(CHATTER) {
            say(stderr, &format!("{number} calls"));
        }
        if self.hangs_at.is_some_and(|at| now >= at) {
            return;
        }
        let at = now + self.latency();
        let result = if !self.authorised {
            answer::tool_error(request, "401 Unauthorized: invalid credentials")
        } else if self.run.faults.iter().any(|f| matches!(f, SimulatedFault::ErrorEvery(n) if is_nth(number, *n))) {
            answer::tool_error(request, &format!("simulated failure of call {number}"))
        } else {
            answer::tool(request, &self.name, &self.run.tools)
        };
        self.answer(id, at, result);
    }

    fn answer(&mut self, id: &str, at: Instant, body: String) {
        self.numbers += 1;
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{body}}}\n");
        self.waiting.insert((at, self.numbers), Waiting { id: id.to_owned(), line });
    }

    /// Around the median, with a long tail to the right: log-normal, one call in twenty takes more than 1.8 times as long.
    fn latency(&mut self) -> Duration {
        let normal = (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0;
        self.run.latency.mul_f64((0.36 * normal).exp())
    }
}

fn is_nth(number: u64, n: u32) -> bool {
    n > 0 && number.is_multiple_of(u64::from(n))
}

/// A line on stderr; dropped if nobody reads, since a server that waits for that would hang.
fn say(stderr: &mut DuplexStream, text: &str) {
    let mut context = Context::from_waker(Waker::noop());
    let _ = Pin::new(stderr).poll_write(&mut context, format!("{text}\n").as_bytes());
}
