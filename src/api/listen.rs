//! Sockets: accepts connections within their limits, serves each in a task of its own, drains them at the end.

use super::Gateway;
use super::lanes::Lanes;
use super::patience::{Patient, Requests};
use crate::control::handle::{Handle, Shut};
use crate::model::Stamp;
use crate::model::stack::Gate;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After an accept that failed (no descriptors left), before the next.
const PAUSE: Duration = Duration::from_secs(1);
/// How often idle sessions are looked for.
const REAP_LEAST: Duration = Duration::from_millis(250);
const REAP_MOST: Duration = Duration::from_secs(30);
/// After an address that could not be opened, before the next attempt.
const AGAIN: Duration = Duration::from_secs(2);
/// Part of the descriptors we may have that connections may take: the rest is for servers, consoles and files.
const DESCRIPTOR_PART: u64 = 2;

/// Why the gateway does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {reason}; see [api] listen")]
    Address { address: SocketAddr, reason: std::io::Error },
    #[error(
        "cannot start the threads that serve connections: {0}; see the limits of processes (RLIMIT_NPROC, pids.max)"
    )]
    Threads(std::io::Error),
}

/// The gateway's open sockets.
pub struct Listening {
    /// What it listened on when it began.
    pub addresses: Vec<SocketAddr>,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
    hang_up: CancellationToken,
    tasks: TaskTracker,
}

impl Listening {
    /// Opens every address of `[api] listen`, and from then on follows the configuration and the networks of stacks that
    /// ask for the router. `None` if the platform is not in this process.
    pub async fn open(handle: Handle) -> Result<Option<Self>, ListenError> {
        let Some(gateway) = Gateway::new(handle) else { return Ok(None) };
        let config = gateway.inside.config.get();
        if !config.api.listen.is_empty()
            && let Some(open) = config.api.open_to()
        {
            tracing::warn!("{open}");
        }
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / DESCRIPTOR_PART;
        let most = u64::from(config.api.max_connections).min(descriptors);
        let door = Door {
            gateway: gateway.clone(),
            stop: CancellationToken::new(),
            hang_up: CancellationToken::new(),
            tasks: TaskTracker::new(),
            lanes: Arc::default(),
            room: Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS))),
            gate: None,
        };
        let (mut addresses, mut open) = (Vec::new(), BTreeMap::new());
        for address in &config.api.listen {
            let (listener, stop) = door.open(*address, None).await?;
            addresses.push(listener);
            open.insert(*address, stop);
        }
        let (stop, hang_up, tasks) = (door.stop.clone(), door.hang_up.clone(), door.tasks.clone());
        tasks.spawn(door.follow(open));
        tasks.spawn(reap(gateway.clone(), stop.clone()));
        Ok(Some(Self { addresses, gateway, stop, hang_up, tasks }))
    }

    /// Answers every new request with 503 for as long as `[api] notice` says and calls are under way, then takes no more
    /// connections, and hangs up on what does not end; all of it within `[api] drain` and `most`.
    pub async fn close(self, most: Duration) {
        let api = &self.gateway.inside.config.get().api;
        let by = Instant::now() + api.drain.min(most);
        self.gateway.closing.cancel();
        // What a client waits for it gets; what it merely listens to it need not wait for.
        self.gateway.inside.router.end_streams();
        tokio::time::sleep(api.notice.min(most)).await;
        self.gateway.requests.close();
        // Those that are left are hung up on below.
        let _ = timeout_at(by, self.gateway.requests.wait()).await;
        self.stop.cancel();
        self.tasks.close();
        if timeout_at(by, self.tasks.wait()).await.is_err() {
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

/// Notes which addresses cannot be opened; true if others cannot than before. One is told of in the log once.
fn note(shut: &mut BTreeMap<SocketAddr, Shut>, failed: BTreeMap<SocketAddr, String>) -> bool {
    let before = shut.len();
    shut.retain(|address, _| failed.contains_key(address));
    let mut changed = shut.len() != before;
    for (address, why) in failed {
        shut.entry(address).or_insert_with(|| {
            tracing::warn!("{why}; it is tried again");
            changed = true;
            Shut { why, since: Stamp::now() }
        });
    }
    changed
}

/// What a connection is told from outside.
enum Order {
    /// Ends after the answer that is under way.
    Finish,
    HangUp,
}

/// The way in.
#[derive(Clone)]
struct Door {
    gateway: Arc<Gateway>,
    /// Takes nothing new.
    stop: CancellationToken,
    /// Ends what is left.
    hang_up: CancellationToken,
    tasks: TaskTracker,
    /// Where connections are served, once there is a way in.
    lanes: Arc<OnceCell<Arc<Lanes>>>,
    room: Arc<Semaphore>,
    /// Where it leads to alone; the machine's address in one network of containers is reached from the others, too.
    gate: Option<Gate>,
}

impl Door {
    /// Opens one address; the token closes it again.
    async fn open(
        &self,
        address: SocketAddr,
        gate: Option<Gate>,
    ) -> Result<(SocketAddr, CancellationToken), ListenError> {
        let failed = |reason| ListenError::Address { address, reason };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        let start = async || Lanes::start().map(Arc::new).map_err(ListenError::Threads);
        let lanes = self.lanes.get_or_try_init(start).await?.clone();
        let own = Self { stop: self.stop.child_token(), gate, ..self.clone() };
        let stop = own.stop.clone();
        self.tasks.spawn(own.accept(listener, lanes));
        Ok((at, stop))
    }

    /// Keeps those open that are wanted. One that cannot be opened is tried again.
    async fn follow(self, mut open: BTreeMap<SocketAddr, CancellationToken>) {
        let (mut turned, mut gates) = (self.gateway.inside.config.turned(), self.gateway.inside.gates.clone());
        let shut = self.gateway.inside.shut.clone();
        loop {
            turned.mark_unchanged();
            let api = &self.gateway.inside.config.get().api;
            let at = |gate: &Gate| (SocketAddr::new(gate.address, api.stack_port), Some(*gate));
            let mut wanted: BTreeMap<_, _> = gates.borrow_and_update().iter().map(at).collect();
            wanted.extend(api.listen.iter().map(|address| (*address, None)));
            open.retain(|address, stop| {
                let keep = wanted.contains_key(address);
                if !keep {
                    tracing::info!("no longer listening on {address}");
                    stop.cancel();
                }
                keep
            });
            let missing: Vec<_> = wanted.into_iter().filter(|(address, _)| !open.contains_key(address)).collect();
            let mut failed = BTreeMap::new();
            for (address, gate) in missing {
                match self.open(address, gate).await {
                    Ok((at, stop)) => {
                        tracing::info!("listening on {at}");
                        open.insert(address, stop);
                    }
                    Err(error) => drop(failed.insert(address, error.to_string())),
                }
            }
            let all_open = failed.is_empty();
            shut.send_if_modified(|shut| note(shut, failed));
            tokio::select! {
                Ok(()) = turned.changed() => {}
                Ok(()) = gates.changed() => {}
                () = tokio::time::sleep(AGAIN), if !all_open => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn accept(self, listener: TcpListener, lanes: Arc<Lanes>) {
        // Dropped between two connections, it loses none.
        tokio::select! {
            () = self.accept_all(&listener, &lanes) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn accept_all(&self, listener: &TcpListener, lanes: &Lanes) {
        while let Ok(place) = self.room.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((_, peer)) if self.gate.is_some_and(|gate| !gate.leads_to(peer.ip())) => {
                    tracing::debug!("{peer} is not of the network that this address is for");
                }
                Ok((stream, peer)) => {
                    let door = self.clone();
                    lanes.spawn(&self.tasks, stream, move |stream| door.serve(stream, peer, place));
                }
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
        let gateway = &self.gateway;
        let requests = Requests::new();
        let service = service_fn(|request| {
            let under_way = requests.begin();
            async move { Ok::<_, Infallible>(gateway.answer(peer, request, under_way).await) }
        });
        let timeout = self.gateway.inside.config.get().api.read_timeout;
        let connection = http1::Builder::new()
            .half_close(false)
            .serve_connection(TokioIo::new(Patient::new(stream, timeout)), service);
        let mut connection = std::pin::pin!(connection);
        let finish = async {
            self.stop.cancelled().await;
            Order::Finish
        };
        let hang_up = async {
            tokio::select! {
                () = self.hang_up.cancelled() => {}
                () = requests.clone().overdue(timeout) => tracing::debug!("no request of {peer} for {timeout:?}"),
            }
            Order::HangUp
        };
        // In a set they are looked at only when one comes, not with every step of the connection.
        let mut orders = FuturesUnordered::from_iter([finish.left_future(), hang_up.right_future()]);
        let ended = loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break ended,
                Some(order) = orders.next() => match order {
                    Order::Finish => connection.as_mut().graceful_shutdown(),
                    Order::HangUp => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!("connection of {peer}: {error}");
        }
    }
}
