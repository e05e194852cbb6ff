//! What travels over the socket: a greeting that every version can read, then length-prefixed postcard frames.

use super::delta::{Delta, Misfit};
use super::handle::Interest;
use crate::model::message::{Exec, ExecIn, ExecOut, Face, Operator};
use crate::model::{Act, Answer, Chunk, Feed, JobId, Query, Refusal};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

/// Grows with every change of a type that crosses the socket.
pub const PROTOCOL: u32 = 2;
/// The largest frame, in bytes without its length.
pub const MAX_FRAME: u32 = 16 << 20;
/// Chunks of one stream that may be under way to a console that has not taken them; likewise pieces of a pipe, each way.
pub const WINDOW: u32 = 16;
/// Bytes in one piece of a pipe; with the window, what one pipe may hold up on the way.
pub const PIECE: usize = 32 << 10;
/// Per console: questions and acts that wait for an answer, and open streams.
pub const QUESTIONS: usize = 32;
pub const STREAMS: usize = 32;
/// Per console: commands inside containers at once.
pub const PIPES: usize = 4;

const MAGIC: &[u8; 8] = b"mcpdeck\n";
const MAX_HELLO: u32 = 128;

/// From a console to the owner.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToOwner {
    /// First, and once.
    Attach(Face),
    /// The state with this number was taken in.
    Ack(u64),
    Run {
        id: u64,
        act: Act,
    },
    Ask {
        id: u64,
        query: Query,
    },
    Follow {
        id: u64,
        feed: Feed,
    },
    /// Run a command inside a container.
    Pipe {
        id: u64,
        exec: Exec,
    },
    /// A piece of what the command reads.
    Input {
        id: u64,
        input: ExecIn,
    },
    /// So many more chunks of a stream, or pieces of a pipe, may be sent.
    Credit {
        id: u64,
        chunks: u32,
    },
    /// Nobody reads the stream, or the pipe, any more.
    Drop {
        id: u64,
    },
    Interest(Interest),
}

/// From the owner to a console.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToConsole {
    /// How the owner knows the console: its name is that of its uid, never one that it claims.
    Welcome(Operator),
    /// All seats are taken.
    Full(String),
    /// Not allowed here.
    Denied(String),
    /// The newest state, as the difference from the last one that was sent. The next comes after its `Ack`.
    State {
        seq: u64,
        delta: Box<Delta>,
    },
    Ran {
        id: u64,
        result: Result<JobId, Refusal>,
    },
    Answered {
        id: u64,
        result: Result<Answer, Refusal>,
    },
    Chunk {
        id: u64,
        chunk: Chunk,
    },
    /// A piece of what a command wrote, or its end.
    Output {
        id: u64,
        output: ExecOut,
    },
    /// So many pieces of input were taken: as many more may be sent.
    Taken {
        id: u64,
        pieces: u32,
    },
    /// Nothing to say, but alive.
    Alive,
    /// The owner ends: whoever wants to stay asks again, or becomes the next one.
    Ending,
}

/// Why a conversation over the socket ends.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the other side closed the connection")]
    Closed,
    #[error("no sign of life for {0} s")]
    Silent(u64),
    #[error("what answers on the socket is not mcpdeck")]
    Foreign,
    #[error("{0}")]
    Version(VersionMismatch),
    #[error("a frame of {0} bytes is larger than the {MAX_FRAME} that are allowed")]
    TooLarge(u64),
    #[error("a frame that cannot be read: {0}")]
    Malformed(#[from] postcard::Error),
    #[error("{0}")]
    Misfit(#[from] Misfit),
    #[error("against the protocol: {0}")]
    Breach(&'static str),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Both sides must be the same build of the protocol: the encoding has no field names to bridge versions with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the owner runs mcpdeck {owner} (protocol {owner_protocol}), this is {own} (protocol {PROTOCOL})")]
pub struct VersionMismatch {
    pub owner: String,
    pub owner_protocol: u32,
    pub own: String,
}

/// The version this program greets with.
pub fn own_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Sends our greeting.
pub async fn send_hello(stream: &mut (impl AsyncWrite + Unpin), version: &str) -> Result<(), WireError> {
    let mut frame = Vec::with_capacity(32);
    frame.extend_from_slice(&(12 + version.len() as u32).to_le_bytes());
    frame.extend_from_slice(MAGIC);
    frame.extend_from_slice(&PROTOCOL.to_le_bytes());
    frame.extend_from_slice(version.as_bytes());
    Ok(stream.write_all(&frame).await?)
}

/// Reads the other side's greeting; `Err(Version)` unless it is of our own version.
pub async fn read_hello(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), WireError> {
    let frame = read_bytes(stream, MAX_HELLO).await.map_err(|e| match e {
        WireError::TooLarge(_) => WireError::Foreign,
        other => other,
    })?;
    let rest = frame.strip_prefix(MAGIC).ok_or(WireError::Foreign)?;
    let (protocol, version) = rest.split_first_chunk::<4>().ok_or(WireError::Foreign)?;
    let protocol = u32::from_le_bytes(*protocol);
    let version = std::str::from_utf8(version).map_err(|_| WireError::Foreign)?;
    if protocol == PROTOCOL && version == own_version() {
        return Ok(());
    }
    let printable: String = version.chars().filter(|c| !c.is_control()).collect();
    Err(WireError::Version(VersionMismatch {
        owner: printable,
        owner_protocol: protocol,
        own: own_version().to_owned(),
    }))
}

/// A message as a whole frame, its length first.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, WireError> {
    let mut frame = postcard::to_extend(message, vec![0; 4])?;
    let length = frame.len() as u64 - 4;
    let small = u32::try_from(length).ok().filter(|l| *l <= MAX_FRAME).ok_or(WireError::TooLarge(length))?;
    frame[..4].copy_from_slice(&small.to_le_bytes());
    Ok(frame)
}

/// Reads one message.
pub async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<T, WireError> {
    Ok(postcard::from_bytes(&read_bytes(stream, MAX_FRAME).await?)?)
}

/// Memory is taken as bytes arrive, not as a length claims.
async fn read_bytes(stream: &mut (impl AsyncRead + Unpin), limit: u32) -> Result<Vec<u8>, WireError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(closed)?;
    let length = u32::from_le_bytes(length);
    if length > limit {
        return Err(WireError::TooLarge(length.into()));
    }
    let mut frame = Vec::with_capacity(length.min(64 << 10) as usize);
    stream.take(length.into()).read_to_end(&mut frame).await?;
    if frame.len() < length as usize { Err(WireError::Closed) } else { Ok(frame) }
}

/// Lets the other side send so many more; what was never under way cannot be given back.
pub fn add_credit(credit: &Semaphore, more: u32) -> Result<(), WireError> {
    if credit.available_permits() as u64 + u64::from(more) > u64::from(WINDOW) {
        return Err(WireError::Breach("more credit than the window holds"));
    }
    credit.add_permits(more as usize);
    Ok(())
}

/// `bytes` in pieces that a pipe carries.
pub fn pieces(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    match bytes.len() {
        0..=PIECE => vec![bytes],
        _ => bytes.chunks(PIECE).map(<[u8]>::to_vec).collect(),
    }
}

fn closed(error: io::Error) -> WireError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => WireError::Closed,
        _ => WireError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_greeting_tells_versions_apart() {
        let mut bytes = Vec::new();
        send_hello(&mut bytes, own_version()).await.unwrap();
        read_hello(&mut &bytes[..]).await.unwrap();
        bytes.clear();
        send_hello(&mut bytes, "9.9.9\x1b[2J").await.unwrap();
        let error = read_hello(&mut &bytes[..]).await.unwrap_err().to_string();
        assert_eq!(error, "the owner runs mcpdeck 9.9.9[2J (protocol 2), this is 0.1.0 (protocol 2)");
    }

    #[tokio::test]
    async fn what_is_no_greeting_is_told_as_such() {
        let cases: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", b"\x04\0\0\0abcd", b"\x08\0\0\0mcpdeck\n", &[0, 0, 0, 0]];
        for bytes in cases {
            let error = read_hello(&mut &bytes[..]).await.unwrap_err();
            assert!(matches!(error, WireError::Foreign), "{error}");
        }
        assert!(matches!(read_hello(&mut &b"\x04\0"[..]).await, Err(WireError::Closed)));
    }

    #[tokio::test]
    async fn frames_are_bounded_and_garbage_is_an_error() {
        let frame = encode(&ToOwner::Ack(7)).unwrap();
        assert!(matches!(read(&mut &frame[..]).await.unwrap(), ToOwner::Ack(7)));
        let huge = encode(&ToConsole::Denied("x".repeat(MAX_FRAME as usize + 1)));
        assert!(matches!(huge, Err(WireError::TooLarge(_))));
        let claims = u32::MAX.to_le_bytes();
        assert!(matches!(read::<ToOwner>(&mut &claims[..]).await, Err(WireError::TooLarge(_))));
        let cut = [9, 0, 0, 0, 1];
        assert!(matches!(read::<ToOwner>(&mut &cut[..]).await, Err(WireError::Closed)));
        let unknown = [1, 0, 0, 0, 200];
        assert!(matches!(read::<ToOwner>(&mut &unknown[..]).await, Err(WireError::Malformed(_))));
    }
}
