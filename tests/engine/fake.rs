//! What only an engine of our own making does on demand: words that nobody knows, logs without end, silence.

use super::{PATIENCE, state, until};
use mcpdeck::backend::docker::DockerEngine;
use mcpdeck::backend::engine::{Engine, LogRange};
use mcpdeck::model::container::{ContainerState, EngineDef, EngineState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout};

/// One container that Docker's own client library would refuse the whole list for.
const LIST: &str = r#"[{"Id":"aa","Names":["/odd"],"State":"teleporting","Status":"?","Ports":[],"Labels":null},
    {"Id":"bb","Names":["/fine"],"State":"running","Status":"Up 5 minutes","Created":1}]"#;

#[derive(Default)]
struct Fake {
    /// Connections that are open.
    open: AtomicI32,
    /// Bytes of log that were taken off its hands.
    told: AtomicU64,
}

impl Fake {
    fn start(socket: &Path) -> Arc<Self> {
        let fake = Arc::new(Self::default());
        let listener = UnixListener::bind(socket).unwrap();
        let own = Arc::clone(&fake);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = Arc::clone(&own);
                tokio::spawn(async move {
                    own.open.fetch_add(1, Ordering::SeqCst);
                    let _ = own.answer(stream).await;
                    own.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        fake
    }

    async fn answer(&self, stream: UnixStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let mut request = String::new();
        while reader.read_line(&mut request).await? > 2 {}
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = match path.as_str() {
            path if path.ends_with("/version") => r#"{"Version":"99.1+fake","ApiVersion":"9.99"}"#,
            path if path.contains("/containers/json") => LIST,
            path if path.ends_with("/_ping") => "OK",
            path if path.contains("/logs") => return self.log_without_end(&mut writer).await,
            path if path.contains("/events") => {
                writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                // Until the other side closes.
                return reader.read_to_end(&mut Vec::new()).await.map(drop);
            }
            _ => return writer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await,
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        writer.write_all(head.as_bytes()).await?;
        writer.write_all(body.as_bytes()).await
    }

    async fn log_without_end(&self, writer: &mut (impl AsyncWriteExt + Unpin)) -> std::io::Result<()> {
        writer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        let line = format!("2026-11-20T14:00:00Z {}\n", "x".repeat(1000));
        loop {
            writer.write_all(line.as_bytes()).await?;
            self.told.fetch_add(line.len() as u64, Ordering::SeqCst);
        }
    }

    async fn until_open(&self, wanted: i32) {
        let deadline = Instant::now() + PATIENCE;
        while self.open.load(Ordering::SeqCst) != wanted {
            assert!(Instant::now() < deadline, "{} open, {wanted} wanted", self.open.load(Ordering::SeqCst));
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn open(dir: &Path) -> (Arc<Fake>, DockerEngine) {
    let socket = dir.join("fake.sock");
    let fake = Fake::start(&socket);
    let url = Some(format!("unix://{}", socket.display()));
    (fake, DockerEngine::open(&EngineDef { id: "fake".into(), url, simulated: None }))
}

#[tokio::test]
async fn a_word_that_we_do_not_know_costs_one_row_its_state_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (_fake, engine) = open(dir.path());
    let mut inventory = engine.watch();
    until(&mut inventory, "up", |now| now.state == EngineState::Up).await;
    let now = inventory.borrow().clone();
    assert_eq!(now.version.as_deref(), Some("Docker 99.1"));
    assert_eq!(state(&now, "bb"), Some(ContainerState::Running));
    assert_eq!(state(&now, "aa"), Some(ContainerState::Dead));
}

#[tokio::test]
async fn a_log_waits_for_its_reader_and_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, engine) = open(dir.path());
    let mut log = engine.logs("bb", LogRange { follow: true, ..LogRange::default() });
    timeout(PATIENCE, log.recv()).await.unwrap().unwrap();
    // It stands still when all buffers between are full.
    let mut told = 0;
    while told != fake.told.load(Ordering::SeqCst) {
        told = fake.told.load(Ordering::SeqCst);
        sleep(Duration::from_millis(200)).await;
    }
    assert!(told < 4 << 20, "{told} bytes wait for a reader that does not read");
    drop(log);
    // The event stream alone stays.
    fake.until_open(1).await;
}

#[tokio::test]
async fn a_dropped_engine_leaves_no_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (fake, engine) = open(dir.path());
    until(&mut engine.watch(), "up", |now| now.state == EngineState::Up).await;
    fake.until_open(1).await;
    drop(engine);
    fake.until_open(0).await;
}
