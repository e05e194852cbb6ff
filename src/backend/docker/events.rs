//! An engine's event stream: which containers something has happened to.

use super::connect::Client;
use bollard::errors::Error;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Longest event that is read. One carries a container's labels.
const EVENT: usize = 1 << 20;

/// What Docker tells of containers and networks that changes a row. Health checks run commands, which are events as well
/// and would be most of the stream.
const TELLING: &[&str] = &[
    "create",
    "start",
    "die",
    "stop",
    "kill",
    "pause",
    "unpause",
    "restart",
    "rename",
    "update",
    "destroy",
    "oom",
    "health_status",
    "connect",
    "disconnect",
];

/// What happens inside a container, or only looks at it. Podman cannot be asked to leave these out, because it filters by
/// words of its own.
const SILENT: &[&str] = &[
    "exec",
    "attach",
    "detach",
    "top",
    "resize",
    "copy",
    "export",
    "commit",
    "archive-path",
    "extract-to-dir",
    "checkpoint",
    "mount",
    "unmount",
    "sync",
    "init",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    action: String,
    actor: Option<Actor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: Arc<str>,
    attributes: Option<BTreeMap<String, String>>,
}

impl Event {
    /// The container whose row this changes.
    fn touches(self) -> Option<Arc<str>> {
        let actor = self.actor?;
        match self.r#type.as_str() {
            "container" if SILENT.iter().any(|silent| self.action.starts_with(silent)) => None,
            "container" => Some(actor.id),
            "network" => actor.attributes?.get("container").map(|id| id.as_str().into()),
            _ => None,
        }
    }
}

/// Ids of touched containers, as they come. The end of the stream is the end of the connection.
pub struct Events {
    chunks: BoxStream<'static, Result<Bytes, Error>>,
    lines: Lines,
}

pub fn follow(client: &Client) -> Events {
    let kinds = r#""type":["container","network"]"#;
    let filter = match client.podman {
        true => format!("{{{kinds}}}"),
        false => format!("{{{kinds},\"event\":{TELLING:?}}}"),
    };
    Events { chunks: client.stream(&format!("/events?filters={}", encoded(&filter))).boxed(), lines: Lines::default() }
}

impl Events {
    /// The next touched container; `None` when the stream ends, by itself or because it breaks. Drop-safe.
    pub async fn next(&mut self) -> Option<Arc<str>> {
        loop {
            if let Some(line) = self.lines.next() {
                // An event that cannot be read is one that we do not know.
                let touched = serde_json::from_slice::<Event>(&line).ok().and_then(Event::touches);
                if touched.is_some() {
                    return touched;
                }
                continue;
            }
            let chunk = self.chunks.next().await?.ok()?;
            self.lines.push(&chunk)?;
        }
    }
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    whole: VecDeque<Vec<u8>>,
}

impl Lines {
    /// `None` if a line is longer than any event.
    fn push(&mut self, chunk: &[u8]) -> Option<()> {
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.whole.push_back(std::mem::take(&mut self.rest));
            }
        }
        (self.rest.len() <= EVENT).then_some(())
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        self.whole.pop_front()
    }
}

/// For a query: everything but letters and digits as `%XX`.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_the_container_it_changes() {
        let cases = [
            (r#"{"Type":"container","Action":"die","Actor":{"ID":"abc","Attributes":{"exitCode":"1"}}}"#, Some("abc")),
            (r#"{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"abc"}}"#, Some("abc")),
            (r#"{"Type":"container","Action":"exec_create: sh","Actor":{"ID":"abc"}}"#, None),
            (
                r#"{"Type":"network","Action":"connect","Actor":{"ID":"n","Attributes":{"container":"abc"}}}"#,
                Some("abc"),
            ),
            (r#"{"Type":"network","Action":"create","Actor":{"ID":"n","Attributes":{"name":"x"}}}"#, None),
            (r#"{"Type":"moon","Action":"rise"}"#, None),
        ];
        for (json, touched) in cases {
            let event: Event = serde_json::from_str(json).unwrap();
            assert_eq!(event.touches().as_deref(), touched, "{json}");
        }
    }

    #[test]
    fn lines_come_out_whole_however_they_come_in() {
        let mut lines = Lines::default();
        for chunk in ["{\"a\":", "1}\n{\"b\"", ":2}\n", "{"] {
            lines.push(chunk.as_bytes()).unwrap();
        }
        let out: Vec<_> = std::iter::from_fn(|| lines.next()).collect();
        assert_eq!(out, [b"{\"a\":1}\n".to_vec(), b"{\"b\":2}\n".to_vec()]);
        assert!(lines.push(&vec![b'x'; EVENT + 1]).is_none(), "an endless line ends the stream");
    }

    #[test]
    fn a_query_keeps_nothing_that_means_something_in_one() {
        assert_eq!(encoded(r#"{"id":["a b&c"]}"#), "%7B%22id%22%3A%5B%22a%20b%26c%22%5D%7D");
    }
}
