//! What the other end of a connection must do in time: take what it is sent, for who stops reading in the middle of an
//! answer holds memory of ours; and send its next request, for who does not holds a place.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The time without a request is measured in so many steps.
const STEPS: u32 = 4;

/// The requests of one connection. Counted, not timed: a timer for each would cost more than the rest of it.
#[derive(Default)]
pub struct Requests {
    begun: AtomicU32,
    under_way: AtomicU32,
}

/// A request under way, until the end of its answer.
pub struct UnderWay(Arc<Requests>);

impl Requests {
    /// The head of one has come, whole.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
        UnderWay(self.clone())
    }

    /// Returns once none was under way, and none began, for `most` (and a step of it, or two).
    pub async fn overdue(self: Arc<Self>, most: Duration) {
        let (mut begun, mut quiet) = (0, 0);
        while quiet <= STEPS {
            sleep(most / STEPS).await;
            let now = self.begun.load(Relaxed);
            let same = now == begun && self.under_way.load(Relaxed) == 0;
            (begun, quiet) = (now, if same { quiet + 1 } else { 0 });
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
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
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn who_sends_no_request_for_so_long_is_overdue_and_nobody_who_waits_for_an_answer() {
        let (began, most) = (Instant::now(), Duration::from_secs(8));
        let requests = Arc::<Requests>::default();
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
        assert!((most..=most * 3 / 2).contains(&since.elapsed()), "{:?} of {:?}", since.elapsed(), began.elapsed());
    }
}
