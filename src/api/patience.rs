//! What the other end of a connection must do in time: take what it is sent, for who stops reading in the middle of an
//! answer holds memory of ours; and send its next request, for who does not holds a place.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The requests of one connection. Their ends are noted, not timed: a timer for each would cost more than the rest of it.
pub struct Requests {
    since: Instant,
    under_way: AtomicU32,
    /// When the last one ended, in microseconds after `since`.
    ended: AtomicU64,
}

/// A request under way, until the end of its answer.
pub struct UnderWay(Arc<Requests>);

impl Requests {
    /// Of a connection that begins now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { since: Instant::now(), under_way: AtomicU32::new(0), ended: AtomicU64::new(0) })
    }

    /// The head of one has come, whole.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Relaxed);
        UnderWay(self.clone())
    }

    /// Returns once none was under way for `most`.
    pub async fn overdue(self: Arc<Self>, most: Duration) {
        loop {
            let now = Instant::now();
            let idle = self.under_way.load(Relaxed) == 0;
            let from = if idle { self.since + Duration::from_micros(self.ended.load(Relaxed)) } else { now };
            if idle && now >= from + most {
                return;
            }
            sleep_until(from + most).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Requests { since, under_way, ended } = &*self.0;
        ended.fetch_max(since.elapsed().as_micros().try_into().unwrap_or(u64::MAX), Relaxed);
        under_way.fetch_sub(1, Relaxed);
    }
}

/// A connection that a single write may hold up for so long.
pub struct Patient<S> {
    stream: S,
    most: Duration,
    /// Since a write could not go on.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// A single write may wait for so long.
    pub fn new(stream: S, most: Duration) -> Self {
        Self { stream, most, stuck: None }
    }

    fn judge<T>(&mut self, written: Poll<Result<T>>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let most = self.most;
        ready!(self.stuck.get_or_insert_with(|| Box::pin(sleep(most))).as_mut().poll(cx));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, format!("nothing was read for {most:?}"))))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_sends_no_request_for_so_long_is_overdue_and_nobody_who_waits_for_an_answer() {
        let most = Duration::from_secs(8);
        let requests = Requests::new();
        let overdue = tokio::spawn(requests.clone().overdue(most));
        for _ in 0..3 {
            sleep(Duration::from_secs(7)).await;
            drop(requests.begin());
        }
        let slow = requests.begin();
        sleep(Duration::from_secs(100)).await;
        assert!(!overdue.is_finished());
        drop(slow);
        let since = Instant::now();
        overdue.await.unwrap();
        let late = since.elapsed().checked_sub(most).expect("not before its time");
        assert!(late < Duration::from_millis(10), "{late:?}");
    }
}
