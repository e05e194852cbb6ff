//! The way into a pipe. Who is in a hurry writes a message itself, as far as the pipe takes it at once; what it does not
//! take, and what others leave to it, a task writes together. Messages are never mixed, and no lock is held while one is
//! written.

use crate::router::flight::lock;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

/// Messages on their way to the pipe; a call that comes after waits, an answer to the server is lost. A server may ask as
/// many questions at once.
const WAITING: usize = 1024;
/// Of these so many are written at once.
const TOGETHER: usize = 64;
/// Bytes that a pipe takes at once (Linux).
const PIPE: usize = 64 << 10;

type Pipe = Pin<Box<dyn AsyncWrite + Send>>;

pub struct Inlet {
    rest: Mutex<Rest>,
    /// The pipe is at rest again.
    back: Notify,
    messages: mpsc::Sender<Vec<u8>>,
}

/// The other end of what waits, for [`Inlet::drain`].
pub type Messages = mpsc::Receiver<Vec<u8>>;

#[derive(Default)]
struct Rest {
    /// `None` while somebody writes.
    pipe: Option<Pipe>,
    /// Of a message that the pipe took in part: it goes first.
    torn: Vec<u8>,
    /// The task waits for the pipe.
    wanted: bool,
    /// Nobody writes any more.
    closed: bool,
}

impl Inlet {
    pub fn new<W: AsyncWrite + Send + 'static>(pipe: W) -> (Self, Messages) {
        let (messages, receiver) = mpsc::channel(WAITING);
        let rest = Rest { pipe: Some(Box::pin(pipe)), ..Rest::default() };
        (Self { rest: Mutex::new(rest), back: Notify::new(), messages }, receiver)
    }

    /// Sends a message; `false` if the pipe is gone. `now`: it is written at once, if nobody else is at it and a pipe can
    /// hold it; else with what others send, which costs the thread that writes and the child that reads less for each.
    pub async fn send(&self, message: Vec<u8>, now: bool) -> bool {
        let now = now && message.len() <= PIPE;
        let left = if now { self.write_now(message) } else { Some(message) };
        match left {
            Some(message) => self.messages.send(message).await.is_ok(),
            None => true,
        }
    }

    /// Sends something that nobody waits for; lost if too much waits.
    pub fn say(&self, message: Vec<u8>) {
        let _ = self.messages.try_send(message);
    }

    /// Writes it if the pipe is at rest; else gives it back. What the pipe did not take is the task's to write, as is
    /// any error to tell.
    fn write_now(&self, mut message: Vec<u8>) -> Option<Vec<u8>> {
        let taken = {
            let mut rest = lock(&self.rest);
            if rest.wanted || !rest.torn.is_empty() { None } else { rest.pipe.take() }
        };
        let Some(mut pipe) = taken else { return Some(message) };
        let mut context = Context::from_waker(Waker::noop());
        let mut whole = false;
        while let Poll::Ready(Ok(written @ 1..)) = pipe.as_mut().poll_write(&mut context, &message) {
            message.drain(..written);
            if message.is_empty() {
                whole = matches!(pipe.as_mut().poll_flush(&mut context), Poll::Ready(Ok(())));
                break;
            }
        }
        self.put(pipe, message);
        if !whole {
            // Full: the task looks after the pipe anyway.
            let _ = self.messages.try_send(Vec::new());
        }
        None
    }

    fn put(&self, pipe: Pipe, torn: Vec<u8>) {
        let wanted = {
            let mut rest = lock(&self.rest);
            if !rest.closed {
                (rest.pipe, rest.torn) = (Some(pipe), torn);
            }
            rest.wanted
        };
        if wanted {
            self.back.notify_one();
        }
    }

    /// Closes the pipe, which is how a child learns that it should end; the task, if it is writing, must be ended first.
    pub fn close(&self) {
        let mut rest = lock(&self.rest);
        rest.closed = true;
        let pipe = rest.pipe.take();
        drop(rest);
        drop(pipe);
    }

    /// The pipe, for the task, and what is to go into it first.
    async fn take(&self) -> (Pipe, Vec<u8>) {
        loop {
            {
                let mut rest = lock(&self.rest);
                if let Some(pipe) = rest.pipe.take() {
                    rest.wanted = false;
                    return (pipe, std::mem::take(&mut rest.torn));
                }
                rest.wanted = true;
            }
            self.back.notified().await;
        }
    }

    /// Writes what waits, until nothing more can come or the pipe breaks.
    pub async fn drain(&self, messages: &mut Messages) -> io::Result<()> {
        let mut waiting = Vec::with_capacity(TOGETHER);
        while messages.recv_many(&mut waiting, TOGETHER).await > 0 {
            let (mut pipe, torn) = self.take().await;
            waiting.insert(0, torn);
            write_all(&mut pipe, waiting.drain(..)).await?;
            self.put(pipe, Vec::new());
        }
        Ok(())
    }
}

/// Writes `messages` in pieces of a pipe's size: a child that many call reads many messages at once. A larger one is not
/// copied.
async fn write_all(to: &mut Pipe, messages: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
    let mut piece = Vec::new();
    for message in messages {
        if piece.is_empty() {
            piece = message;
        } else if piece.len() + message.len() <= PIPE {
            piece.extend_from_slice(&message);
        } else {
            to.write_all(&piece).await?;
            piece = message;
        }
    }
    to.write_all(&piece).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::io::{AsyncBufReadExt, BufReader};

    #[tokio::test]
    async fn messages_of_many_are_never_mixed_however_little_the_pipe_takes() {
        let (pipe, child) = tokio::io::duplex(7);
        let (inlet, mut messages) = Inlet::new(pipe);
        let inlet = Arc::new(inlet);
        let drained = tokio::spawn({
            let inlet = inlet.clone();
            async move { inlet.drain(&mut messages).await }
        });
        for sender in 0..8 {
            let inlet = inlet.clone();
            tokio::spawn(async move {
                for n in 0..50 {
                    assert!(inlet.send(format!("{sender}:{n}:{}\n", "x".repeat(n)).into_bytes(), n % 3 > 0).await);
                }
            });
        }
        let mut lines = BufReader::new(child).lines();
        for _ in 0..8 * 50 {
            let line = lines.next_line().await.unwrap().unwrap();
            let parts: Vec<_> = line.split(':').collect();
            assert_eq!(parts[2], "x".repeat(parts[1].parse().unwrap()), "{line}");
        }
        drop(lines);
        // Nobody reads any more: who writes next learns it, and so do all after.
        while inlet.send(b"gone\n".to_vec(), true).await {
            tokio::task::yield_now().await;
        }
        assert!(drained.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_closed_pipe_ends_for_its_child_also_while_somebody_holds_the_inlet() {
        let (pipe, child) = tokio::io::duplex(64);
        let (inlet, messages) = Inlet::new(pipe);
        assert!(inlet.send(b"one\n".to_vec(), true).await);
        inlet.close();
        let mut lines = BufReader::new(child).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("one"));
        assert_eq!(lines.next_line().await.unwrap(), None);
        drop(messages);
        assert!(!inlet.send(b"two\n".to_vec(), true).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_pipe_takes_nothing_more_than_may_wait() {
        let (pipe, _child) = tokio::io::duplex(1);
        let (inlet, mut messages) = Inlet::new(pipe);
        let drained = inlet.drain(&mut messages);
        let flood = async {
            for n in 0.. {
                let sent = inlet.send(b"0123456789\n".to_vec(), true);
                if tokio::time::timeout(std::time::Duration::from_millis(50), sent).await.is_err() {
                    return n;
                }
            }
            0
        };
        let sent = tokio::select! {
            sent = flood => sent,
            _ = drained => 0,
        };
        assert!((WAITING..=3 * WAITING).contains(&sent), "{sent}");
    }
}
