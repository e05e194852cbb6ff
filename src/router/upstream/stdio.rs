//! An upstream on two pipes: one child is one MCP session, which callers share by rewritten ids.
//! A writer task and a reader task own the pipes; both end when this is dropped or closed.

use super::lines::{Line, Lines};
use super::serverside::{Heard, Observer, hear};
use super::{Answer, Ask, Expects, Fault};
use crate::model::Era;
use crate::router::flight::{Flight, lock};
use crate::router::wire;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// Messages on their way to the pipe; who comes after waits.
const OUTBOX: usize = 64;

pub struct Stdio {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

struct Shared {
    outbox: mpsc::Sender<Vec<u8>>,
    waiting: Mutex<Waiting>,
    observer: Observer,
    max_message: u64,
}

#[derive(Default)]
struct Waiting {
    calls: HashMap<u64, Waiter>,
    /// Calls that were given up and whose answers may still come.
    left: u32,
    closed: Option<Arc<str>>,
}

struct Waiter {
    answer: oneshot::Sender<Result<Answer, Fault>>,
    flight: Option<Arc<Flight>>,
    expects: Expects,
}

impl Stdio {
    /// Starts the two tasks. Must be called inside a runtime.
    pub fn connect<W, R>(stdin: W, stdout: R, max_message: u64, observer: Observer) -> Self
    where
        W: AsyncWrite + Send + Unpin + 'static,
        R: AsyncRead + Send + Unpin + 'static,
    {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let shared = Arc::new(Shared { outbox, waiting: Mutex::default(), observer, max_message });
        let reader = tokio::spawn(shared.clone().read(Lines::new(stdout, max_message)));
        let writer = tokio::spawn(write(stdin, messages, Arc::downgrade(&shared)));
        Self { shared, tasks: [reader.abort_handle(), writer.abort_handle()] }
    }

    /// See [`super::Upstream::ask`].
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Fault> {
        let shared = &*self.shared;
        if ask.body.len() as u64 > shared.max_message {
            let (len, max) = (ask.body.len(), shared.max_message);
            return Err(Fault::Protocol(format!("the message has {len} bytes; max_message is {max}")));
        }
        let mut line = ask.body;
        wire::to_one_line(&mut line);
        line.push(b'\n');
        if ask.expects == Expects::Nothing {
            self.closed().map_or(Ok(()), |reason| Err(Fault::Closed(reason)))?;
            shared.outbox.send(line).await.map_err(|_| shared.gone())?;
            return Ok(Answer::default());
        }
        let answer = shared.wait_for(ask.id, ask.flight.cloned(), ask.expects)?;
        let mut place = Place { shared, id: ask.id, cancel: false };
        shared.outbox.send(line).await.map_err(|_| shared.gone())?;
        place.cancel = !ask.quiet
            && ask.expects == Expects::Answer
            && !matches!((ask.era, ask.method), (Era::Legacy, "initialize"));
        let answer = answer.await;
        place.cancel = false;
        answer.unwrap_or_else(|_| Err(shared.gone()))
    }

    pub fn closed(&self) -> Option<Arc<str>> {
        lock(&self.shared.waiting).closed.clone()
    }

    pub fn close(&self, reason: &str) {
        self.shared.fail_all(reason);
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.close("the connection was dropped");
    }
}

/// A place among the waiting. Left early (the call was dropped, cancelled or timed out), it cancels upstream.
struct Place<'a> {
    shared: &'a Shared,
    id: u64,
    cancel: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        {
            let mut waiting = lock(&self.shared.waiting);
            let left = waiting.calls.remove(&self.id).is_some();
            waiting.left += u32::from(left);
        }
        if self.cancel {
            let params = format!(r#"{{"requestId":{},"reason":"the caller gave up"}}"#, self.id);
            // A full pipe means that the server does not read: it would not hear the cancel either.
            let _ = self.shared.outbox.try_send(framed(wire::notification("notifications/cancelled", &params)));
        }
    }
}

impl Shared {
    fn wait_for(
        &self,
        id: u64,
        flight: Option<Arc<Flight>>,
        expects: Expects,
    ) -> Result<oneshot::Receiver<Result<Answer, Fault>>, Fault> {
        let (answer, receiver) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        if let Some(reason) = &waiting.closed {
            return Err(Fault::Closed(reason.clone()));
        }
        waiting.calls.insert(id, Waiter { answer, flight, expects });
        Ok(receiver)
    }

    fn gone(&self) -> Fault {
        let reason = lock(&self.waiting).closed.clone();
        Fault::Closed(reason.unwrap_or_else(|| "the connection is gone".into()))
    }

    /// Everyone who waits learns why; false if it was closed before.
    fn fail_all(&self, reason: &str) -> bool {
        let reason: Arc<str> = reason.into();
        let calls = {
            let mut waiting = lock(&self.waiting);
            if waiting.closed.is_some() {
                return false;
            }
            waiting.closed = Some(reason.clone());
            std::mem::take(&mut waiting.calls)
        };
        for waiter in calls.into_values() {
            let _ = waiter.answer.send(Err(Fault::Closed(reason.clone())));
        }
        true
    }

    /// The pipes ended though nobody here closed them.
    fn broke(&self, reason: &str) {
        if self.fail_all(reason) {
            self.observer.closed(reason);
        }
    }

    async fn read<R: AsyncRead + Unpin>(self: Arc<Self>, mut lines: Lines<R>) {
        loop {
            match lines.next().await {
                Ok(Line::Whole(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Line::Whole(line)) => self.take(&Bytes::from(line)),
                Ok(Line::TooLong { bytes, head, tail }) => self.too_long(bytes, &head, &tail),
                Ok(Line::End) => return self.broke("it closed its standard output"),
                Err(error) => return self.broke(&format!("reading its standard output: {error}")),
            }
        }
    }

    fn take(&self, line: &Bytes) {
        match hear(line) {
            Heard::Answer(id, answer) => self.deliver(id, Ok(answer)),
            Heard::Stray(answer) => self.deliver_stray(answer),
            // Lost if the pipe is full: a server that does not read waits for nothing.
            Heard::Reply(reply) => drop(self.outbox.try_send(framed(reply))),
            Heard::Progress { token, percent, text } => {
                let flight = lock(&self.waiting).calls.get(&token).and_then(|w| w.flight.clone());
                if let Some(flight) = flight {
                    flight.progress(percent, text);
                }
            }
            Heard::Log { level, text } => self.observer.log(self.only_flight().as_ref(), level, text),
            Heard::ListChanged => self.observer.lists.set_stale(),
            Heard::Nothing => {}
            Heard::Garbage => self.observer.garbage(line),
        }
    }

    fn only_flight(&self) -> Option<Arc<Flight>> {
        let waiting = lock(&self.waiting);
        let only = waiting.calls.values().next().filter(|_| waiting.calls.len() == 1)?;
        only.flight.clone()
    }

    fn deliver(&self, id: u64, answer: Result<Answer, Fault>) {
        let waiter = {
            let mut waiting = lock(&self.waiting);
            let waiter = waiting.calls.remove(&id);
            if waiter.is_none() {
                waiting.left = waiting.left.saturating_sub(1);
            }
            waiter
        };
        // Nobody there: an answer that came after its call was given up.
        if let Some(waiter) = waiter {
            let _ = waiter.answer.send(answer);
        }
    }

    /// An answer to none of our ids belongs to the message that had none of them. One without any id may also belong to
    /// the only call that waits; but not if it could be about one that was given up, and that was another tenant's.
    fn deliver_stray(&self, answer: Answer) {
        let id = {
            let waiting = lock(&self.waiting);
            // With others waiting it may be theirs, and they may be another tenant's.
            let alone = waiting.left == 0 && waiting.calls.len() == 1;
            let only = waiting.calls.iter().next().filter(|_| alone);
            only.filter(|(_, w)| answer.id.is_none() || w.expects == Expects::Anything).map(|(id, _)| *id)
        };
        match id {
            Some(id) => self.deliver(id, Ok(answer)),
            None => self.observer.garbage(&answer.line),
        }
    }

    /// The call whose answer it was, if that can be told, fails; nobody else is concerned.
    fn too_long(&self, bytes: u64, head: &[u8], tail: &[u8]) {
        let fault = format!("a line of {bytes} bytes was dropped; max_message is {}", self.max_message);
        self.observer.garbage(format!("{fault}; it began: {}", String::from_utf8_lossy(head)).as_bytes());
        let id = {
            let waiting = lock(&self.waiting);
            let only = waiting.calls.keys().next().copied().filter(|_| waiting.calls.len() == 1);
            only.or_else(|| wire::id_of_scraps(head, tail))
        };
        if let Some(id) = id {
            self.deliver(id, Err(Fault::Protocol(fault)));
        }
    }
}

fn framed(mut message: String) -> Vec<u8> {
    message.push('\n');
    message.into_bytes()
}

async fn write<W: AsyncWrite + Unpin>(
    mut stdin: W,
    mut messages: mpsc::Receiver<Vec<u8>>,
    shared: std::sync::Weak<Shared>,
) {
    while let Some(message) = messages.recv().await {
        let mut done = stdin.write_all(&message).await;
        if done.is_ok() && messages.is_empty() {
            done = stdin.flush().await;
        }
        if let Err(error) = done {
            if let Some(shared) = shared.upgrade() {
                shared.broke(&format!("writing to its standard input: {error}"));
            }
            return;
        }
    }
}
