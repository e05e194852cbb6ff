//! An upstream on two pipes: one child is one MCP session, which callers share by rewritten ids.
//! A writer task and a reader task own the pipes; both end when this is dropped or closed.

use super::lines::{Line, Lines};
use super::mux::Mux;
use super::serverside::Observer;
use super::{Answer, Ask, Expects, Fault};
use crate::model::Era;
use crate::router::session::Reply;
use crate::router::wire;
use bytes::Bytes;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Messages on their way to the pipe; who comes after waits.
const OUTBOX: usize = 64;
/// Bytes that a pipe takes at once (Linux).
const PIPE: usize = 64 << 10;

pub struct Stdio {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

struct Shared {
    outbox: mpsc::Sender<Vec<u8>>,
    mux: Mux,
}

impl Stdio {
    /// Starts the two tasks. Must be called inside a runtime.
    pub fn connect<W, R>(stdin: W, stdout: R, max_message: u64, observer: Observer) -> Self
    where
        W: AsyncWrite + Send + Unpin + 'static,
        R: AsyncRead + Send + Unpin + 'static,
    {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let shared = Arc::new(Shared { outbox, mux: Mux::new(observer, max_message) });
        let reader = tokio::spawn(shared.clone().read(Lines::new(stdout, max_message)));
        let writer = tokio::spawn(write(stdin, messages, Arc::downgrade(&shared)));
        Self { shared, tasks: [reader.abort_handle(), writer.abort_handle()] }
    }

    /// See [`super::Upstream::ask`].
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Fault> {
        let Shared { outbox, mux } = &*self.shared;
        mux.check_length(&ask.body)?;
        let mut line = ask.body;
        wire::to_one_line(&mut line);
        line.push(b'\n');
        if ask.expects == Expects::Nothing {
            self.closed().map_or(Ok(()), |reason| Err(Fault::Closed(reason)))?;
            outbox.send(line).await.map_err(|_| mux.gone())?;
            return Ok(Answer::default());
        }
        let mut place = mux.place(ask.id, ask.flight.cloned(), ask.expects)?;
        outbox.send(line).await.map_err(|_| mux.gone())?;
        let cancels = !ask.quiet
            && ask.expects == Expects::Answer
            && !matches!((ask.era, ask.method), (Era::Legacy, "initialize"));
        // A full pipe means that the server does not read: it would not hear the cancel either.
        place.cancel = cancels.then_some(|text| self.shared.say(text));
        place.answer().await
    }

    pub fn closed(&self) -> Option<Arc<str>> {
        self.shared.mux.closed()
    }

    pub fn close(&self, reason: &str) {
        self.shared.mux.fail_all(reason);
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.close("the connection was dropped");
    }
}

impl Shared {
    /// Sends something that nobody waits for; lost if the pipe is full.
    fn say(&self, message: String) {
        let mut line = message.into_bytes();
        line.push(b'\n');
        let _ = self.outbox.try_send(line);
    }

    fn replier(self: &Arc<Self>) -> Reply {
        let shared = self.clone();
        Box::new(move |text| shared.say(text))
    }

    async fn read<R: AsyncRead + Unpin>(self: Arc<Self>, mut lines: Lines<R>) {
        let mux = &self.mux;
        loop {
            match lines.next().await {
                Ok(Line::Whole(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Line::Whole(line)) => mux.take(&Bytes::from(line), || self.replier()),
                Ok(Line::TooLong { bytes, head, tail }) => mux.too_long(bytes, &head, &tail),
                Ok(Line::End) => return mux.broke("it closed its standard output"),
                Err(error) => return mux.broke(&format!("reading its standard output: {error}")),
            }
        }
    }
}

/// What waits together goes into the pipe together: a child that many call reads many messages at once.
async fn write<W: AsyncWrite + Unpin>(
    mut stdin: W,
    mut messages: mpsc::Receiver<Vec<u8>>,
    shared: std::sync::Weak<Shared>,
) {
    let mut waiting = Vec::with_capacity(OUTBOX);
    while messages.recv_many(&mut waiting, OUTBOX).await > 0 {
        if let Err(error) = write_all(&mut stdin, waiting.drain(..)).await {
            if let Some(shared) = shared.upgrade() {
                shared.mux.broke(&format!("writing to its standard input: {error}"));
            }
            return;
        }
    }
}

/// Writes `messages` in pieces of a pipe's size; a larger one is not copied.
async fn write_all<W: AsyncWrite + Unpin>(to: &mut W, messages: impl Iterator<Item = Vec<u8>>) -> std::io::Result<()> {
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
