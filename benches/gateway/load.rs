//! The load: so many connections that send one call after the other, and read the answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where calls go, and by which credential.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub path: String,
    pub key: String,
}

pub struct Figures {
    pub calls: u64,
    pub bad: u64,
    pub time: Duration,
    /// Microseconds, ascending.
    latencies: Vec<u32>,
}

impl Figures {
    pub fn per_second(&self) -> f64 {
        self.calls as f64 / self.time.as_secs_f64()
    }

    /// In milliseconds.
    pub fn percentile(&self, part: f64) -> f64 {
        let at = ((self.latencies.len() as f64 * part) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }
}

impl Target {
    fn request(&self, body: &str) -> Vec<u8> {
        let Self { address, path, key } = self;
        let credential = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
        format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, \
             text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\n{credential}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    fn call(&self, id: u64) -> Vec<u8> {
        self.request(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"hello-0123456789abcd"}}}}}}"#
        ))
    }
}

/// Calls over `connections` for `time`.
pub fn run(target: &Target, connections: usize, time: Duration) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let began = Instant::now();
        let all: Vec<_> =
            (0..connections as u64).map(|n| tokio::spawn(connection(target.clone(), n << 32, began + time))).collect();
        let mut figures = Figures { calls: 0, bad: 0, time, latencies: Vec::new() };
        for one in all {
            let (latencies, bad) = one.await.expect("a connection does not panic");
            figures.latencies.extend(latencies);
            figures.bad += bad;
        }
        figures.time = began.elapsed();
        figures.calls = figures.latencies.len() as u64;
        figures.latencies.sort_unstable();
        figures
    })
}

async fn connection(target: Target, first: u64, until: Instant) -> (Vec<u32>, u64) {
    let mut stream = tokio::net::TcpStream::connect(target.address).await.expect("it listens");
    let _ = stream.set_nodelay(true);
    let (mut latencies, mut bad, mut buffer) = (Vec::with_capacity(1 << 16), 0, Vec::with_capacity(1 << 14));
    for id in first.. {
        let began = Instant::now();
        if began >= until {
            break;
        }
        stream.write_all(&target.call(id)).await.expect("it reads");
        buffer.clear();
        while whole(&buffer).is_none() {
            assert!(stream.read_buf(&mut buffer).await.expect("it answers") > 0, "it hung up");
        }
        latencies.push(began.elapsed().as_micros() as u32);
        bad += u64::from(!is_good(&buffer));
    }
    (latencies, bad)
}

/// Where an answer ends, if all of it is there.
fn whole(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let length = header(text, "content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    (answer.len() >= head + length).then_some(head + length)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
    pairs.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
}

fn is_good(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200") && answer.windows(9).any(|w| w == b"\"result\":")
}

/// One exchange on a connection of its own; the answer.
fn exchange(target: &Target, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(target.address).expect("it listens");
    stream.write_all(request).expect("it reads");
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while whole(&answer).is_none() {
        let read = stream.read(&mut piece).expect("it answers");
        assert!(read > 0, "it hung up after {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    answer
}

/// One call, which must be answered well.
pub fn once(target: &Target) {
    let answer = exchange(target, &target.call(1));
    assert!(is_good(&answer), "{}", String::from_utf8_lossy(&answer));
}

/// A session that is begun and then left alone.
pub fn begin_session(target: &Target) {
    let answer = exchange(
        target,
        &target.request(
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#,
        ),
    );
    let text = String::from_utf8_lossy(&answer);
    assert!(header(&text, "mcp-session-id").is_some(), "no session: {text}");
}
