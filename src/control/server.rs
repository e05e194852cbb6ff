//! The owner's end of the socket: serves a local [`Handle`] to consoles. A slow, dead or hostile console costs itself
//! its connection and the owner nothing: every queue is bounded, every write has a deadline.

mod pipes;
mod places;

use super::consoles::{Consoles, NoSeat, Seat};
use super::delta::Delta;
use super::door::{Door, Mark};
use super::handle::Handle;
use super::peer::{self, Access, Peer};
use super::wire::{self, ToConsole, ToOwner, WINDOW, WireError};
use crate::model::call::Origin;
use crate::model::message::{ConsoleCall, Exec, Face, Operator};
use crate::model::{Act, Chunk, Feed, Query, Refusal};
use pipes::Pipes;
use places::{Crowded, Place, Places};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A console must greet within this; it takes a millisecond.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// How long one that finds no place is told so, and how many at once; others are cut off without a word.
const FAREWELL: Duration = Duration::from_millis(500);
const FAREWELLS: usize = 32;
/// A console that takes nothing for this long is cut off.
const WRITE: Duration = Duration::from_secs(10);
/// Sent when there is nothing else to say, so that a console can tell quiet from hung.
const ALIVE: Duration = Duration::from_secs(3);
/// Our own consoles keep to [`wire::QUESTIONS`] and [`wire::STREAMS`]; twice that leaves room for what has ended here
/// and not yet there. Whoever takes more is no console of ours.
const QUESTIONS: usize = 2 * wire::QUESTIONS;
const STREAMS: usize = 2 * wire::STREAMS;
/// Frames under way to one console.
const OUT_FRAMES: usize = 16;

/// A socket that is being served.
pub struct Server {
    cancel: CancellationToken,
    task: JoinHandle<Option<()>>,
    mark: Arc<Mark>,
}

impl Server {
    /// Serves `handle`, which must be local, until [`Server::stop`]. Call it inside the owner's runtime.
    pub fn start(door: Door, handle: Handle) -> Self {
        let cancel = CancellationToken::new();
        let mark = door.mark();
        let task = tokio::spawn(cancel.clone().run_until_cancelled_owned(accept(door, handle)));
        Self { cancel, task, mark }
    }

    /// Hangs up on every console and removes the socket.
    pub async fn stop(self) {
        self.cancel.cancel();
        let _ = self.task.await;
        self.mark.remove();
    }
}

/// Accepts until it is dropped, and its connections with it.
async fn accept(mut door: Door, handle: Handle) {
    let Some(consoles) = handle.consoles() else {
        return tracing::error!("only an owner can serve the socket");
    };
    let places = Arc::new(Places::default());
    let farewells = Arc::new(Semaphore::new(FAREWELLS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = match door.accept().await {
            Ok(stream) => who(&stream).map(|peer| (stream, peer)),
            Err(error) => Err(error),
        };
        match accepted {
            Ok((stream, peer)) => match places.take(peer) {
                Ok(place) => {
                    let visit = Visit { peer, place, access: door.access().clone(), consoles: consoles.clone() };
                    let handle = handle.clone();
                    connections.spawn(async move {
                        if let Err(error) = serve(stream, visit, handle).await {
                            tracing::debug!(%error, "a console was cut off");
                        }
                    });
                }
                Err(crowded) => {
                    if let Ok(turn) = farewells.clone().try_acquire_owned() {
                        connections.spawn(async move {
                            // Whoever does not listen is not told.
                            let _ = timeout(FAREWELL, send_away(stream, crowded)).await;
                            drop(turn);
                        });
                    }
                }
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a console");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection and where it may go.
struct Visit {
    peer: Peer,
    /// Given back as the visit ends.
    #[expect(dead_code, reason = "held")]
    place: Place,
    access: Access,
    consoles: Arc<Consoles>,
}

fn who(stream: &UnixStream) -> std::io::Result<Peer> {
    let cred = stream.peer_cred()?;
    // A process of another namespace has no number here.
    Ok(Peer { uid: cred.uid(), gid: cred.gid(), pid: cred.pid().and_then(|pid| pid.try_into().ok()).unwrap_or(0) })
}

/// Greets, says why there is no place, and waits until that was heard.
async fn send_away(mut stream: UnixStream, crowded: Crowded) -> Result<(), WireError> {
    wire::send_hello(&mut stream, wire::own_version()).await?;
    send(&mut stream, &ToConsole::Full(crowded.words())).await?;
    wire::read_hello(&mut stream).await?;
    let _: ToOwner = wire::read(&mut stream).await?;
    Ok(())
}

async fn serve(mut stream: UnixStream, visit: Visit, handle: Handle) -> Result<(), WireError> {
    let greeting = timeout(HANDSHAKE, greet(&mut stream, &visit));
    let Some((operator, seat)) = greeting.await.map_err(|_| WireError::Silent(HANDSHAKE.as_secs()))?? else {
        return Ok(());
    };
    let (read, write) = stream.into_split();
    let (out, queue) = mpsc::channel(OUT_FRAMES);
    let (acks, acked) = watch::channel(0);
    let session = Session {
        operator,
        seat,
        handle: handle.clone(),
        out: out.clone(),
        acks,
        questions: Arc::new(Semaphore::new(QUESTIONS)),
        work: JoinSet::new(),
        streams: HashMap::new(),
        pipes: Pipes::default(),
    };
    tokio::select! {
        ended = write_frames(write, queue) => ended,
        ended = session.listen(read) => ended,
        ended = push_states(handle, out, acked) => ended,
    }
}

/// Exchanges greetings and gives the console a seat; `None` if it was sent away.
async fn greet(stream: &mut UnixStream, visit: &Visit) -> Result<Option<(Operator, Seat)>, WireError> {
    let peer = visit.peer;
    wire::send_hello(stream, wire::own_version()).await?;
    wire::read_hello(stream).await?;
    let ToOwner::Attach(face) = wire::read(stream).await? else { return Err(WireError::Breach("attach comes first")) };
    if !visit.access.admits(peer) {
        let name = peer::login_name(peer.uid);
        send(stream, &ToConsole::Denied(format!("{name} may not attach to this platform ([platform] socket_group)")))
            .await?;
        return Ok(None);
    }
    let operator = Operator { name: peer::login_name(peer.uid), face: claimable(face), pid: peer.pid, grant: None };
    match visit.consoles.attach(operator.clone(), false) {
        Ok(seat) => {
            send(stream, &ToConsole::Welcome(operator.clone())).await?;
            Ok(Some((operator, seat)))
        }
        Err(none @ NoSeat::Full) => {
            send(stream, &ToConsole::Full(none.to_string())).await?;
            Ok(None)
        }
        Err(NoSeat::Ending) => {
            send(stream, &ToConsole::Ending).await?;
            Ok(None)
        }
    }
}

/// A console is a screen or a command line, whatever else it says it is.
fn claimable(face: Face) -> Face {
    match face {
        Face::Screen => Face::Screen,
        Face::Cli | Face::Api | Face::Platform => Face::Cli,
    }
}

async fn send(stream: &mut UnixStream, message: &ToConsole) -> Result<(), WireError> {
    use tokio::io::AsyncWriteExt;
    Ok(stream.write_all(&wire::encode(message)?).await?)
}

/// Writes what the others queue; ends when the console takes nothing.
async fn write_frames(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) -> Result<(), WireError> {
    use tokio::io::AsyncWriteExt;
    loop {
        let frame = match timeout(ALIVE, queue.recv()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(()),
            Err(_) => wire::encode(&ToConsole::Alive)?,
        };
        timeout(WRITE, write.write_all(&frame)).await.map_err(|_| WireError::Silent(WRITE.as_secs()))??;
    }
}

/// Sends each newest state as a delta. While one is not acknowledged none follows: the newest wins.
async fn push_states(
    handle: Handle,
    out: mpsc::Sender<Vec<u8>>,
    mut acked: watch::Receiver<u64>,
) -> Result<(), WireError> {
    handle.refresh().await;
    let mut revisions = handle.revisions();
    let mut sent = None;
    let mut seq = 0;
    loop {
        revisions.mark_unchanged();
        let state = handle.state();
        if sent.as_ref().is_none_or(|sent| !Arc::ptr_eq(sent, &state)) {
            seq += 1;
            let delta = Box::new(Delta::between(sent.as_deref(), &state));
            let frame = wire::encode(&ToConsole::State { seq, delta })?;
            out.send(frame).await.map_err(|_| WireError::Closed)?;
            acked.wait_for(|ack| *ack >= seq).await.map_err(|_| WireError::Closed)?;
            sent = Some(state);
        }
        revisions.changed().await.map_err(|_| WireError::Closed)?;
    }
}

/// One attached console.
struct Session {
    operator: Operator,
    seat: Seat,
    handle: Handle,
    out: mpsc::Sender<Vec<u8>>,
    acks: watch::Sender<u64>,
    questions: Arc<Semaphore>,
    /// Questions, streams and pipes; they end with the session.
    work: JoinSet<()>,
    streams: HashMap<u64, Stream>,
    pipes: Pipes,
}

struct Stream {
    /// A permit per chunk that may still be sent.
    credit: Arc<Semaphore>,
    task: AbortHandle,
}

impl Session {
    async fn listen(mut self, mut read: OwnedReadHalf) -> Result<(), WireError> {
        loop {
            match wire::read(&mut read).await {
                Ok(message) => self.take(message)?,
                Err(WireError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, message: ToOwner) -> Result<(), WireError> {
        match message {
            ToOwner::Attach(_) => return Err(WireError::Breach("attached twice")),
            ToOwner::Ack(seq) => drop(self.acks.send_replace(seq)),
            ToOwner::Run { id, act } => self.run(id, act)?,
            ToOwner::Ask { id, query } => self.ask(id, query)?,
            ToOwner::Follow { id, feed } => self.follow(id, feed)?,
            ToOwner::Pipe { id, exec } => self.pipe(id, exec)?,
            ToOwner::Input { id, input } => self.pipes.input(id, input)?,
            ToOwner::Credit { id, chunks } => self.credit(id, chunks)?,
            ToOwner::Drop { id } => match self.streams.remove(&id) {
                Some(stream) => stream.task.abort(),
                None => self.pipes.close(id),
            },
            ToOwner::Interest(interest) => self.seat.set_interest(interest),
        }
        Ok(())
    }

    /// An act outlives the console that gave it: it is accepted or refused as a whole.
    fn run(&mut self, id: u64, act: Act) -> Result<(), WireError> {
        let act = Act { operator: self.operator.clone(), ..act };
        let (place, handle, out) = (self.place()?, self.handle.clone(), self.out.clone());
        tokio::spawn(async move {
            let result = handle.run(act).await;
            reply(&out, &ToConsole::Ran { id, result }).await;
            drop(place);
        });
        Ok(())
    }

    fn ask(&mut self, id: u64, query: Query) -> Result<(), WireError> {
        while self.work.try_join_next().is_some() {}
        let query = match query {
            Query::Preview(call) => Query::Preview(self.own(call)),
            Query::Catalog { tenant, server, wake, person } => {
                Query::Catalog { tenant, server, wake, person: person.map(|_| self.operator.clone()) }
            }
            Query::Reply { tenant, server, message, .. } => {
                Query::Reply { tenant, server, message, operator: self.operator.clone() }
            }
            other => other,
        };
        let (place, handle, out) = (self.place()?, self.handle.clone(), self.out.clone());
        self.work.spawn(async move {
            let result = handle.ask(query).await;
            reply(&out, &ToConsole::Answered { id, result }).await;
            drop(place);
        });
        Ok(())
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, WireError> {
        self.questions.clone().try_acquire_owned().map_err(|_| WireError::Breach("too many questions at once"))
    }

    fn follow(&mut self, id: u64, feed: Feed) -> Result<(), WireError> {
        while self.work.try_join_next().is_some() {}
        self.streams.retain(|_, stream| !stream.task.is_finished());
        if self.is_taken(id) || self.streams.len() >= STREAMS {
            return Err(WireError::Breach("too many streams, or one twice"));
        }
        let feed = match feed {
            Feed::Call(call) => Feed::Call(Box::new(self.own(*call))),
            other => other,
        };
        let credit = Arc::new(Semaphore::new(WINDOW as usize));
        let task = self.work.spawn(forward(id, self.handle.follow(feed), credit.clone(), self.out.clone()));
        self.streams.insert(id, Stream { credit, task });
        Ok(())
    }

    fn pipe(&mut self, id: u64, exec: Exec) -> Result<(), WireError> {
        while self.work.try_join_next().is_some() {}
        if self.is_taken(id) || self.pipes.are_full() {
            return Err(WireError::Breach("too many commands, or one twice"));
        }
        let pipe = self.handle.pipe(Exec { operator: self.operator.clone(), ..exec });
        self.pipes.open(id, pipe, self.out.clone(), &mut self.work);
        Ok(())
    }

    fn is_taken(&self, id: u64) -> bool {
        self.streams.contains_key(&id) || self.pipes.have(id)
    }

    fn credit(&mut self, id: u64, chunks: u32) -> Result<(), WireError> {
        match self.streams.get(&id).map(|stream| &stream.credit).or_else(|| self.pipes.credit(id)) {
            Some(credit) => wire::add_credit(credit, chunks),
            None => Ok(()),
        }
    }

    /// The call as this console's own: who calls is not the caller's to say.
    fn own(&self, call: ConsoleCall) -> ConsoleCall {
        let origin = match self.operator.face {
            Face::Screen => Origin::Console,
            Face::Cli | Face::Api | Face::Platform => Origin::Cli,
        };
        ConsoleCall { operator: self.operator.clone(), origin, ..call }
    }
}

/// Sends a stream's chunks as the console takes them. What a slow console misses is dropped, and counted, where the
/// stream begins: its queue there is bounded.
async fn forward(id: u64, mut chunks: mpsc::Receiver<Chunk>, credit: Arc<Semaphore>, out: mpsc::Sender<Vec<u8>>) {
    loop {
        let Ok(permit) = credit.acquire().await else { return };
        permit.forget();
        let chunk = chunks.recv().await.unwrap_or(Chunk::End(None));
        let last = matches!(chunk, Chunk::End(_));
        if !reply(&out, &ToConsole::Chunk { id, chunk }).await || last {
            return;
        }
    }
}

/// False if the console is gone. An answer larger than a frame is replaced by the reason.
async fn reply(out: &mpsc::Sender<Vec<u8>>, message: &ToConsole) -> bool {
    let frame = wire::encode(message).or_else(|error| {
        let reason = format!("the answer cannot be sent: {error}; ask for less");
        wire::encode(&match message {
            ToConsole::Answered { id, .. } => ToConsole::Answered { id: *id, result: Err(Refusal::Failed(reason)) },
            ToConsole::Chunk { id, .. } => {
                ToConsole::Chunk { id: *id, chunk: Chunk::End(Some(Refusal::Failed(reason))) }
            }
            _ => ToConsole::Denied(reason),
        })
    });
    match frame {
        Ok(frame) => out.send(frame).await.is_ok(),
        Err(_) => false,
    }
}
