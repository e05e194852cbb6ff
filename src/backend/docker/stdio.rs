//! A container's stdin, stdout and stderr over one hijacked connection: frames are split, and nothing is kept but two
//! small buffers. A reader that is slow slows the container.

use super::connect::Client;
use super::provide::LIMIT;
use crate::backend::{Attached, BackendError};
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures_util::{Stream, StreamExt};
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Between the connection and each reader, in bytes: as much as a pipe of the kernel holds.
const BUFFER: usize = 64 << 10;

/// The three pipes, and the connection behind them.
pub struct Pipes {
    pub attached: Attached,
    pub line: Line,
}

/// What can be known of, and done to, the connection.
#[derive(Clone, Default)]
pub struct Line {
    /// It ended.
    pub ended: CancellationToken,
    /// From now on nobody waits for a reader: what finds no room is dropped. An engine cannot end a container whose
    /// output it cannot get rid of.
    pub drain: CancellationToken,
}

/// Attaches to a container that does not run yet.
pub async fn attach(client: &Client, id: &str) -> Result<Pipes, BackendError> {
    let options = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
    let both = client.within(LIMIT, client.docker.attach_container(id, Some(options))).await?;
    let AttachContainerResults { output, input } = both;
    let (out, stdout) = duplex(BUFFER);
    let (err, stderr) = duplex(BUFFER);
    let line = Line::default();
    let (guard, drain) = (line.ended.clone().drop_guard(), line.drain.clone());
    tokio::spawn(async move {
        split(output, out, err, drain).await;
        drop(guard);
    });
    let stdin = Stdin { input: Mutex::new(Some(input)), runtime: Handle::current() };
    let attached = Attached::Stdio { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(stderr) };
    Ok(Pipes { attached, line })
}

/// Until the connection ends. What nobody reads any more is dropped, so that the other pipe goes on.
async fn split<E>(
    mut frames: impl Stream<Item = Result<LogOutput, E>> + Unpin,
    stdout: DuplexStream,
    stderr: DuplexStream,
    drain: CancellationToken,
) {
    let (mut stdout, mut stderr) = (Some(stdout), Some(stderr));
    while let Some(Ok(frame)) = frames.next().await {
        let (pipe, bytes) = match frame {
            LogOutput::StdErr { message } => (&mut stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                (&mut stdout, message)
            }
        };
        let Some(open) = pipe else { continue };
        let written = tokio::select! {
            biased;
            written = open.write_all(&bytes) => written,
            () = drain.cancelled() => Ok(()),
        };
        if written.is_err() {
            *pipe = None;
        }
    }
}

type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// The way in. Dropping it closes the container's stdin: the connection itself stays open for what comes out.
struct Stdin {
    /// Never contended: it makes a writer that only one task may use one that may be shared.
    input: Mutex<Option<Input>>,
    runtime: Handle,
}

impl Stdin {
    fn input(&mut self) -> io::Result<Pin<&mut (dyn AsyncWrite + Send)>> {
        let input = self.input.get_mut().unwrap_or_else(PoisonError::into_inner);
        Ok(input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.as_mut())
    }
}

impl AsyncWrite for Stdin {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().input()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().input()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().input()?.poll_shutdown(cx)
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        let input = self.input.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut input) = input {
            self.runtime.spawn(async move {
                // The container may be gone, and its stdin with it.
                let _ = input.shutdown().await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::convert::Infallible;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    fn frame(stderr: bool, bytes: &'static [u8]) -> Result<LogOutput, Infallible> {
        let message = Bytes::from_static(bytes);
        Ok(if stderr { LogOutput::StdErr { message } } else { LogOutput::StdOut { message } })
    }

    #[tokio::test]
    async fn frames_come_out_where_they_belong() {
        let frames = [frame(false, b"a"), frame(true, b"x"), frame(false, b"b"), frame(true, b"y")];
        let ((out, mut stdout), (err, mut stderr)) = (duplex(8), duplex(8));
        split(futures_util::stream::iter(frames), out, err, CancellationToken::new()).await;
        let (mut one, mut two) = (String::new(), String::new());
        stdout.read_to_string(&mut one).await.unwrap();
        stderr.read_to_string(&mut two).await.unwrap();
        assert_eq!((one.as_str(), two.as_str()), ("ab", "xy"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_holds_the_connection_until_it_leaves_or_nobody_waits_for_it() {
        for leaves in [true, false] {
            let frames = futures_util::stream::iter((0..100).map(|_| frame(false, b"0123456789")));
            let ((out, stdout), (err, _stderr)) = (duplex(64), duplex(64));
            let (drain, mut stdout) = (CancellationToken::new(), Some(stdout));
            let mut splitting = Box::pin(split(frames, out, err, drain.clone()));
            assert!(timeout(Duration::from_secs(60), &mut splitting).await.is_err(), "the buffer is full");
            match leaves {
                true => stdout = None,
                false => drain.cancel(),
            }
            splitting.await;
            let mut kept = Vec::new();
            if let Some(mut stdout) = stdout {
                stdout.read_to_end(&mut kept).await.unwrap();
                assert_eq!(kept.len(), 64, "what found room is kept");
            }
        }
    }
}
