//! Sockets: accepts connections within their limits, serves each in a task of its own, drains them at the end.

use super::Gateway;
use crate::control::handle::Handle;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After an accept that failed (no descriptors left), before the next.
const PAUSE: Duration = Duration::from_secs(1);
/// How often idle sessions are looked for.
const REAP_LEAST: Duration = Duration::from_millis(250);
const REAP_MOST: Duration = Duration::from_secs(30);
/// Part of the descriptors we may have that connections may take: the rest is for servers, consoles and files.
const DESCRIPTOR_PART: u64 = 2;

/// Why the gateway does not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}; see [api] listen")]
pub struct ListenError {
    address: SocketAddr,
    reason: std::io::Error,
}

/// The gateway's open sockets.
pub struct Listening {
    pub addresses: Vec<SocketAddr>,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
    hang_up: CancellationToken,
    tasks: TaskTracker,
    drain: Duration,
}

impl Listening {
    /// Opens every address of `[api] listen`; `None` if there is none, or the platform is not in this process.
    pub async fn open(handle: Handle) -> Result<Option<Self>, ListenError> {
        let Some(gateway) = Gateway::new(handle) else { return Ok(None) };
        let config = gateway.inside.config.get().api.clone();
        if config.listen.is_empty() {
            return Ok(None);
        }
        if let Some(open) = config.open_to() {
            tracing::warn!("{open}");
        }
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / DESCRIPTOR_PART;
        let most = u64::from(config.max_connections).min(descriptors);
        let room = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS)));
        let (stop, tasks) = (gateway.closing.clone(), TaskTracker::new());
        let hang_up = CancellationToken::new();
        let mut addresses = Vec::new();
        for address in config.listen {
            let failed = |reason| ListenError { address, reason };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            addresses.push(listener.local_addr().map_err(failed)?);
            let door = Door {
                gateway: gateway.clone(),
                stop: stop.clone(),
                hang_up: hang_up.clone(),
                tasks: tasks.clone(),
                room: room.clone(),
            };
            tasks.spawn(door.accept(listener));
        }
        tasks.spawn(reap(gateway.clone(), stop.clone()));
        Ok(Some(Self { addresses, gateway, stop, hang_up, tasks, drain: config.drain }))
    }

    /// Takes nothing new, lets what is under way end within `[api] drain` and `most`, and hangs up on the rest.
    pub async fn close(self, most: Duration) {
        self.stop.cancel();
        self.tasks.close();
        // What a client waits for it gets; what it merely listens to it need not wait for.
        self.gateway.inside.router.end_streams();
        if tokio::time::timeout(self.drain.min(most), self.tasks.wait()).await.is_err() {
            tracing::warn!("{} connections did not end in time and are closed", self.tasks.len());
            // A connection that is dropped cancels its call.
            self.hang_up.cancel();
            self.tasks.wait().await;
        }
    }
}

/// Ends the sessions that nobody uses.
async fn reap(gateway: Arc<Gateway>, stop: CancellationToken) {
    let idle = || gateway.inside.config.get().api.session_idle;
    while tokio::time::timeout((idle() / 4).clamp(REAP_LEAST, REAP_MOST), stop.cancelled()).await.is_err() {
        let idle = idle();
        let ended = gateway.inside.router.reap_sessions(idle);
        if ended > 0 {
            tracing::debug!("{ended} idle sessions ended");
        }
    }
}

/// One listener's way in.
#[derive(Clone)]
struct Door {
    gateway: Arc<Gateway>,
    /// Takes nothing new.
    stop: CancellationToken,
    /// Ends what is left.
    hang_up: CancellationToken,
    tasks: TaskTracker,
    room: Arc<Semaphore>,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        // Dropped between two connections, it loses none.
        tokio::select! {
            () = self.accept_all(&listener) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn accept_all(&self, listener: &TcpListener) {
        while let Ok(place) = self.room.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => drop(self.tasks.spawn(self.clone().serve(stream, peer, place))),
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, _place: OwnedSemaphorePermit) {
        // Small answers must not wait for more to send.
        let _ = stream.set_nodelay(true);
        let _open = self.gateway.connections.clone();
        let gateway = self.gateway.clone();
        let service = service_fn(move |request| {
            let gateway = gateway.clone();
            async move { Ok::<_, Infallible>(gateway.answer(peer, request).await) }
        });
        let timeout = self.gateway.inside.config.get().api.read_timeout;
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeout)
            .half_close(false)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let graceful = async {
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = self.stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        let ended = tokio::select! {
            ended = graceful => ended,
            () = self.hang_up.cancelled() => return,
        };
        if let Err(error) = ended {
            tracing::debug!("connection of {peer}: {error}");
        }
    }
}
