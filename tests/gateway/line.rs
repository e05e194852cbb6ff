//! An HTTP connection, byte by byte: what a client library would not send is sent, and many requests at a time.

use crate::support::platform::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// What legacy and bare clients send when they take no streams.
pub const JSON: &str = "Accept: application/json\r\n";

pub struct Line {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Every header line.
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Line {
    pub fn open(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends these bytes. What the other end no longer takes is not sent: its answer says why.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// The next answer; `None` if the other end hung up first.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut status = String::new();
        // A connection that is reset has ended, too.
        if self.stream.read_line(&mut status).unwrap_or_else(ended) == 0 {
            return None;
        }
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && head != "\r\n" {
            if self.stream.read_line(&mut head).unwrap_or_else(ended) == 0 {
                return None;
            }
        }
        let status =
            status.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{status}"));
        let mut answer = Answer { status, head, body: String::new() };
        assert_eq!(answer.header("transfer-encoding"), None, "no stream was asked for: {answer:?}");
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    /// One request and its answer.
    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer().expect("an answer")
    }
}

fn ended(error: std::io::Error) -> usize {
    let timed_out = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
    assert!(!timed_out, "nothing came within {PATIENCE:?}");
    0
}

pub fn post(path: &str, headers: &str, body: &str) -> String {
    head(path, headers, body.len()) + body
}

/// Likewise, with a body that need not be text.
pub fn post_bytes(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [head(path, headers, body.len()).as_bytes(), body].concat()
}

fn head(path: &str, headers: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n")
}

/// A request without a body.
pub fn bare(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// A call of a tool that answers with what it was called with.
pub fn echo(id: u64, text: &str) -> String {
    let params = format!(r#"{{"name":"echo","arguments":{{"text":"{text}"}}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#)
}

pub const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
