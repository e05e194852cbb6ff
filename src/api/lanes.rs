//! Threads that serve connections, one a core, each with a runtime of its own: what a connection leads to stays on its
//! thread, so that nothing is handed from core to core on a call's way, and nobody is woken for it.

use super::linger;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// More cores than that serve other things better.
const MOST: usize = 8;

/// All of them. Dropping it ends them, and whatever still runs there.
pub struct Lanes {
    lanes: Vec<Lane>,
    next: AtomicUsize,
}

struct Lane {
    runtime: Handle,
    /// Its thread ends with this. Nobody waits for that: the last one to let go may be a connection on the lane itself.
    _stop: DropGuard,
}

impl Lanes {
    pub fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = (0..cores.min(MOST)).map(Lane::start).collect::<Result<_, _>>()?;
        Ok(Self { lanes, next: AtomicUsize::new(0) })
    }

    /// Serves a connection on the next lane.
    pub fn spawn<F>(&self, tasks: &TaskTracker, stream: TcpStream, serve: impl FnOnce(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let lane = &self.lanes[self.next.fetch_add(1, Relaxed) % self.lanes.len()];
        let serve = async move {
            // It must be watched by the runtime that it is served on.
            match stream.into_std().and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!("a connection is lost: {error}"),
            }
        };
        tasks.spawn_on(serve, &lane.runtime);
    }
}

impl Lane {
    fn start(number: usize) -> std::io::Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_io().enable_time().on_thread_park(linger::before_sleep).build()?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone().cancelled_owned();
        std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            runtime.spawn(linger::keep());
            runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, _stop: stop.drop_guard() })
    }
}
