//! How a part shows that it is ready, and how far it is: log patterns, an HTTP probe, elapsed against expected.

use crate::backend::engine::Found;
use crate::model::stack::{PartDef, ReadyBy};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A probe takes no longer.
pub const PROBE: Duration = Duration::from_secs(2);
/// The first line of an answer is no longer.
const STATUS_LINE: usize = 64;

/// How far a start is, as its log tells.
#[derive(Default)]
pub struct Progress {
    text: Option<String>,
    pub percent: Option<u8>,
}

impl Progress {
    /// Takes in a line of the log; true if it says how far the start is.
    pub fn read(&mut self, part: &PartDef, line: &str) -> bool {
        let reached = part.ready.progress.iter().rev().find(|(text, _)| line.contains(text.as_str()));
        let Some((text, percent)) = reached.filter(|(_, percent)| self.percent.is_none_or(|old| *percent > old)) else {
            return false;
        };
        (self.text, self.percent) = (Some(lower_first(text)), Some(*percent));
        true
    }

    /// `loading weights 40 %, 70 s of about 180 s`
    pub fn message(&self, part: &PartDef, elapsed: Duration) -> String {
        let what = match (&self.text, self.percent, &part.ready.by) {
            (Some(text), Some(percent), _) => format!("{text} {percent} %"),
            (_, _, ReadyBy::Http { port, path }) => format!("waits for an answer from :{port}{path}"),
            (_, _, ReadyBy::Log(text)) => format!("waits for {text:?} in its log"),
            (_, _, ReadyBy::Health) => "waits for its health check".to_owned(),
            (_, _, ReadyBy::Done) => "works".to_owned(),
            (_, _, ReadyBy::Running) => "starts".to_owned(),
        };
        let expected = part.ready.expected.map(|expected| format!(" of about {} s", expected.as_secs()));
        format!("{what}, {} s{}", elapsed.as_secs(), expected.unwrap_or_default())
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    // An abbreviation stays one: `CUDA graphs`.
    if chars.clone().next().is_some_and(char::is_uppercase) { text.to_owned() } else { first + chars.as_str() }
}

/// Where a port of a container is published, as `host:port`: `127.0.0.1:9300->8000/tcp`.
pub fn published(found: &Found, port: u16) -> Option<String> {
    let inside = format!("->{port}/tcp");
    let outside = found.ports.iter().find_map(|line| line.strip_suffix(&inside))?;
    let (address, host) = outside.rsplit_once(':')?;
    let address = match address.trim_matches(['[', ']']) {
        "0.0.0.0" | "" => "127.0.0.1",
        "::" => "[::1]",
        _ => address,
    };
    Some(format!("{address}:{host}"))
}

/// `GET path`; an error says why it is no 2xx.
pub async fn probe(address: &str, path: &str) -> Result<(), String> {
    match timeout(PROBE, get(address, path)).await {
        Ok(Ok(200..=299)) => Ok(()),
        Ok(Ok(status)) => Err(format!("{path} answers {status}")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(format!("{path} does not answer within {} s", PROBE.as_secs())),
    }
}

async fn get(address: &str, path: &str) -> Result<u16, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut line = Vec::with_capacity(STATUS_LINE);
    while line.len() < STATUS_LINE && !line.contains(&b'\n') {
        let mut chunk = [0; STATUS_LINE];
        match stream.read(&mut chunk).await.map_err(|error| error.to_string())? {
            0 => break,
            n => line.extend_from_slice(&chunk[..n]),
        }
    }
    let text = String::from_utf8_lossy(&line);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.get(..3)?.parse().ok());
    status.ok_or_else(|| "no HTTP is spoken there".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;
    use crate::model::Stamp;
    use crate::model::container::ContainerState;
    use std::collections::BTreeMap;

    #[test]
    fn a_start_says_how_far_it_is() {
        let mut part = fixture::part("vllm", &[]);
        part.ready.expected = Some(Duration::from_secs(180));
        part.ready.by = ReadyBy::Http { port: 8000, path: "/v1/models".to_owned() };
        part.ready.progress =
            vec![("Loading weights".to_owned(), 40), ("CUDA graphs".to_owned(), 80), ("Done".to_owned(), 99)];
        let mut progress = Progress::default();
        let at = |s| Duration::from_secs(s);
        assert_eq!(progress.message(&part, at(3)), "waits for an answer from :8000/v1/models, 3 s of about 180 s");
        for (line, moved, message) in [
            ("INFO Loading weights: 1/9", true, "loading weights 40 %, 70 s of about 180 s"),
            ("INFO Loading weights: 2/9", false, "loading weights 40 %, 70 s of about 180 s"),
            ("Capturing CUDA graphs", true, "CUDA graphs 80 %, 70 s of about 180 s"),
            ("Loading weights again", false, "CUDA graphs 80 %, 70 s of about 180 s"),
        ] {
            assert_eq!((progress.read(&part, line), progress.message(&part, at(70)).as_str()), (moved, message));
        }
    }

    #[test]
    fn a_published_port_is_found() {
        let found = |line: &str| Found {
            id: "x".into(),
            name: "x".into(),
            image: "x".into(),
            state: ContainerState::Running,
            since: Stamp(0),
            exit_code: None,
            oom: false,
            restarts: 0,
            memory_limit: None,
            health: None,
            labels: BTreeMap::new(),
            ports: vec!["9/tcp".to_owned(), line.to_owned()],
            networks: Vec::new(),
            pid: None,
        };
        for (line, address) in [
            ("127.0.0.1:9300->8000/tcp", Some("127.0.0.1:9300")),
            ("0.0.0.0:9300->8000/tcp", Some("127.0.0.1:9300")),
            ("[::]:9300->8000/tcp", Some("[::1]:9300")),
            ("10.0.0.7:9300->8000/tcp", Some("10.0.0.7:9300")),
            ("127.0.0.1:9300->18000/tcp", None),
            ("8000/tcp", None),
        ] {
            assert_eq!(published(&found(line), 8000).as_deref(), address, "{line}");
        }
    }
}
