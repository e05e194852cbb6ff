//! A platform that is nothing but its port, and an owner that serves it.

use mcpdeck::control::consoles::Consoles;
use mcpdeck::control::door::Door;
use mcpdeck::control::handle::{Fut, Interest, Pipe, Port};
use mcpdeck::control::lock::{self, Lock, Purpose};
use mcpdeck::control::server::Server;
use mcpdeck::control::{Handle, Link, client, peer, snapshot, wire};
use mcpdeck::model::message::{Answer, Command, EventKind, Exec, ExecIn, ExecOut, Face, JournalEntry, Level};
use mcpdeck::model::server::Environment;
use mcpdeck::model::snapshot::{PlatformInfo, TenantRow};
use mcpdeck::model::{Act, Chunk, Event, Feed, JobId, Query, Refusal, Snapshot, Stamp, TenantDef};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

/// Far above anything these tests need on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

pub fn act(command: Command) -> Act {
    Act { command, operator: peer::own_operator(Face::Cli), confirm: None }
}

pub async fn attach(socket: &Path, face: Face) -> Handle {
    let runtime = tokio::runtime::Handle::current();
    within("a seat", async {
        loop {
            match client::attach(socket, face, &runtime).await {
                Ok(handle) => return handle,
                Err(error) if error.passes() => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

/// A connection that has exchanged greetings and nothing else.
pub async fn greeted(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    wire::send_hello(&mut stream, wire::own_version()).await.unwrap();
    wire::read_hello(&mut stream).await.unwrap();
    stream
}

/// Reads until the owner hangs up. With bytes of ours unread, the kernel says so as a reset.
pub async fn until_cut_off(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    let _ = within("to be cut off", stream.read_to_end(&mut rest)).await;
}

/// One whose answer has a megabyte.
pub fn large_question() -> Query {
    Query::Events { limit: 10_000 }
}

pub async fn until_tenants(handle: &Handle, ids: &[&str]) -> Arc<Snapshot> {
    let mut revisions = handle.revisions();
    within("a state", async {
        loop {
            let state = handle.state();
            if state.tenants.iter().map(|t| t.def.id.as_str()).eq(ids.iter().copied()) {
                return state;
            }
            revisions.changed().await.unwrap();
        }
    })
    .await
}

pub fn empty_state() -> Arc<Snapshot> {
    let platform = PlatformInfo {
        name: "fake".into(),
        environment: Environment::Lab,
        read_only: false,
        guards: Default::default(),
        version: wire::own_version().into(),
        pid: std::process::id(),
        boot: Stamp::now(),
        config: None,
        socket: String::new(),
        state_dir: String::new(),
        example_traffic: None,
        keeps_running: true,
        open_to: None,
        gateway: None,
        warnings: Vec::new(),
        config_trouble: None,
    };
    snapshot::Builder::new(Arc::new(platform)).last().clone()
}

/// The port of a platform that runs nothing, keeps what it is told and floods whoever follows it.
pub struct Fake {
    state: Mutex<Arc<Snapshot>>,
    revisions: watch::Sender<u64>,
    acts: Mutex<Vec<Act>>,
    jobs: AtomicU64,
    streams: Arc<AtomicUsize>,
    pipes: Arc<AtomicUsize>,
    execs: Mutex<Vec<Exec>>,
    pub consoles: Arc<Consoles>,
}

impl Fake {
    fn new() -> Arc<Self> {
        let (consoles, _) = Consoles::new();
        Arc::new(Self {
            state: Mutex::new(empty_state()),
            revisions: watch::Sender::new(0),
            acts: Mutex::default(),
            jobs: AtomicU64::new(0),
            streams: Arc::default(),
            pipes: Arc::default(),
            execs: Mutex::default(),
            consoles,
        })
    }

    pub fn acts(&self) -> Vec<Act> {
        self.acts.lock().unwrap().clone()
    }

    /// The next state has these tenants; those it had before keep their rows.
    pub fn set(&self, ids: &[&str]) {
        let before = self.state();
        let rows = ids.iter().map(|id| before.tenant(id).cloned().unwrap_or_else(|| Arc::new(tenant(id))));
        let next = Snapshot { revision: before.revision + 1, tenants: rows.collect(), ..(*before).clone() };
        *self.state.lock().unwrap() = Arc::new(next);
        self.revisions.send_modify(|r| *r += 1);
    }

    pub fn execs(&self) -> Vec<Exec> {
        self.execs.lock().unwrap().clone()
    }

    pub async fn until_pipes(&self, wanted: usize) {
        within("the commands to end", async {
            while self.pipes.load(Ordering::SeqCst) != wanted {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub async fn until_streams(&self, wanted: usize) {
        within("the streams to end", async {
            while self.streams.load(Ordering::SeqCst) != wanted {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

fn tenant(id: &str) -> TenantRow {
    TenantRow {
        def: Arc::new(TenantDef {
            id: id.into(),
            aliases: Vec::new(),
            name: id.to_uppercase(),
            environment: Environment::Lab,
            read_only: false,
            guard: Default::default(),
            context: Default::default(),
            labels: Default::default(),
            secrets: Default::default(),
            enabled: Default::default(),
            servers: Default::default(),
            audit: Default::default(),
            call_limits: None,
        }),
        cells: Vec::new(),
        instances: 0,
        in_flight: 0,
        oldest: None,
        rate: 0.0,
        p95_ms: None,
        errors: 0,
        usage: Default::default(),
        last_call: None,
    }
}

fn event(seq: u64) -> Event {
    let kind = EventKind::Notice { level: Level::Info, text: "a hundred bytes of text ".repeat(4) };
    Event { seq, at: Stamp(seq), kind }
}

impl Port for Fake {
    fn pipe(&self, exec: Exec) -> Pipe {
        let (input, typed) = mpsc::channel(1);
        let (to, output) = mpsc::channel(1);
        self.execs.lock().unwrap().push(exec.clone());
        let pipes = self.pipes.clone();
        pipes.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let command: Vec<&str> = exec.command.iter().map(String::as_str).collect();
            match &command[..] {
                ["echo"] => echo(typed, to).await,
                ["flood"] => flood_pipe(typed, to).await,
                // Reads nothing, says nothing, and stays until nobody is there.
                _ => to.closed().await,
            }
            pipes.fetch_sub(1, Ordering::SeqCst);
        });
        Pipe { input, output }
    }

    fn state(&self) -> Arc<Snapshot> {
        self.state.lock().unwrap().clone()
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    fn link(&self) -> Link {
        Link::Owner
    }

    fn run(&self, act: Act) -> Fut<'_, Result<JobId, Refusal>> {
        self.acts.lock().unwrap().push(act);
        Box::pin(async { Ok(JobId(self.jobs.fetch_add(1, Ordering::SeqCst))) })
    }

    fn ask(&self, query: Query) -> Fut<'_, Result<Answer, Refusal>> {
        Box::pin(async move {
            match query {
                Query::Journal { .. } => Ok(Answer::Journal(self.acts().into_iter().map(entry).collect())),
                Query::Events { limit } => Ok(Answer::Events((0..limit.into()).map(event).collect())),
                other => Err(Refusal::NotFound(format!("{other:?}"))),
            }
        })
    }

    fn follow(&self, _feed: Feed) -> mpsc::Receiver<Chunk> {
        let (chunks, reader) = mpsc::channel(4);
        let streams = self.streams.clone();
        streams.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            flood(chunks).await;
            streams.fetch_sub(1, Ordering::SeqCst);
        });
        reader
    }

    fn interest(&self, _interest: Interest) {}

    fn consoles(&self) -> Option<Arc<Consoles>> {
        Some(self.consoles.clone())
    }
}

/// Events in bursts that no reader keeps up with; what does not fit is counted and told when there is room again.
async fn flood(chunks: mpsc::Sender<Chunk>) {
    let mut lost = 0;
    for seq in 0.. {
        if chunks.is_closed() {
            return;
        }
        if lost > 0 && chunks.try_send(Chunk::Lost(lost)).is_ok() {
            lost = 0;
        }
        if lost > 0 || chunks.try_send(Chunk::Events(vec![event(seq)])).is_err() {
            lost += 1;
        }
        if seq % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Says what it is told, and ends with 3 when it is told to.
async fn echo(mut typed: mpsc::Receiver<ExecIn>, to: mpsc::Sender<ExecOut>) {
    while let Some(input) = typed.recv().await {
        let said = match input {
            ExecIn::Bytes(bytes) if bytes == b"exit" => ExecOut::Exited(Some(3)),
            ExecIn::Bytes(bytes) => ExecOut::Bytes(bytes),
            ExecIn::Resize { columns, rows } => ExecOut::Bytes(format!("{columns}x{rows}").into_bytes()),
            ExecIn::End => ExecOut::Exited(Some(0)),
        };
        if to.send(said).await.is_err() {
            return;
        }
    }
    to.closed().await;
}

/// Numbers without end, in pieces far larger than a frame should have.
async fn flood_pipe(_typed: mpsc::Receiver<ExecIn>, to: mpsc::Sender<ExecOut>) {
    for n in (0..=u8::MAX).cycle() {
        if to.send(ExecOut::Bytes(vec![n; 3 * wire::PIECE / 2])).await.is_err() {
            return;
        }
    }
}

fn entry(act: Act) -> JournalEntry {
    JournalEntry {
        at: Stamp::now(),
        verb: act.command.verb().into(),
        object: act.command.object(),
        outcome: "ok".into(),
        command_line: act.command.command_line(),
        took_ms: None,
        kept: true,
        operator: act.operator,
    }
}

/// A fake platform behind a real lock and socket.
pub struct Owner {
    pub fake: Arc<Fake>,
    pub socket: PathBuf,
    server: Server,
    lock: Lock,
    folder: TempDir,
}

impl Owner {
    pub async fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap()).await
    }

    pub async fn in_folder(folder: TempDir) -> Self {
        let socket = folder.path().join("socket");
        let lock = lock::take(&socket, Purpose::Own).unwrap();
        let door = Door::open(&socket, None, &lock).unwrap();
        let fake = Fake::new();
        let server = Server::start(door, Handle::new(fake.clone()));
        Self { fake, socket, server, lock, folder }
    }

    /// Ends the owner; its folder stays.
    pub async fn stop(self) -> TempDir {
        self.server.stop().await;
        drop(self.lock);
        self.folder
    }

    pub async fn until_consoles(&self, wanted: usize) {
        let mut version = self.fake.consoles.version();
        within("the consoles to leave", async {
            while self.fake.consoles.rows().len() != wanted {
                version.changed().await.unwrap();
            }
        })
        .await;
    }
}
