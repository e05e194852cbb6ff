//! An upstream on two pipes: one child is one MCP session, which callers share by rewritten ids.
//! A reader task owns the way out, whoever writes the way in ([`Inlet`]); both are closed when this is dropped or closed.

use super::inlet::{Inlet, Messages};
use super::lines::{Line, Lines};
use super::mux::Mux;
use super::serverside::Observer;
use super::{Answer, Ask, Expects, Fault};
use crate::model::Era;
use crate::router::session::Reply;
use crate::router::wire;
use bytes::Bytes;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

pub struct Stdio {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

struct Shared {
    inlet: Inlet,
    mux: Mux,
}

impl Stdio {
    /// Starts the two tasks. Must be called inside a runtime.
    pub fn connect<W, R>(stdin: W, stdout: R, max_message: u64, observer: Observer) -> Self
    where
        W: AsyncWrite + Send + Unpin + 'static,
        R: AsyncRead + Send + Unpin + 'static,
    {
        let (inlet, messages) = Inlet::new(stdin);
        let shared = Arc::new(Shared { inlet, mux: Mux::new(observer, max_message) });
        let reader = tokio::spawn(shared.clone().read(Lines::new(stdout, max_message)));
        let writer = tokio::spawn(shared.clone().write(messages));
        Self { shared, tasks: [reader.abort_handle(), writer.abort_handle()] }
    }

    /// See [`super::Upstream::ask`].
    pub async fn ask(&self, ask: &mut Ask<'_>) -> Result<Answer, Fault> {
        let Shared { inlet, mux } = &*self.shared;
        mux.check_length(&ask.body)?;
        let mut line = std::mem::take(&mut ask.body);
        wire::to_one_line(&mut line);
        line.push(b'\n');
        if ask.expects == Expects::Nothing {
            self.closed().map_or(Ok(()), |reason| Err(Fault::Closed(reason)))?;
            inlet.send(line, false).await.then_some(()).ok_or_else(|| mux.gone())?;
            return Ok(Answer::default());
        }
        let mut place = mux.place(ask.id, ask.flight.cloned(), ask.expects)?;
        inlet.send(line, place.alone).await.then_some(()).ok_or_else(|| mux.gone())?;
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
        self.shared.inlet.close();
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
        self.inlet.say(line);
    }

    fn replier(self: &Arc<Self>) -> Reply {
        let shared = self.clone();
        Box::new(move |text| shared.say(text))
    }

    async fn write(self: Arc<Self>, mut messages: Messages) {
        if let Err(error) = self.inlet.drain(&mut messages).await {
            self.mux.broke(&format!("writing to its standard input: {error}"));
        }
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
