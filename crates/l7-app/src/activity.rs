//! A stream that notes its own progress, so that silence can be noticed, and that closes without cutting off the peer.
//!
//! # Theory of operation
//! [`with_idle_limit`] runs a connection's code on a [`Watched`] stream beside a watchdog. The stream counts calls that
//! moved bytes; the watchdog looks at the count once every `idle` and ends the connection when it stood still. That
//! costs one addition a call instead of a timer a call.
//!
//! A server that closes while the client still sends makes its own TCP answer with a reset, and the reset can overtake
//! the last response. So the shutdown of a [`Watched`] stream sends the FIN, and then reads and drops what still comes
//! until the peer's own FIN, within [`LINGER_TIME`] and [`LINGER_LEN`] (RFC 9112, section 9.6).

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a closed connection waits for the peer's FIN.
const LINGER_TIME: Duration = Duration::from_secs(3);
/// How much a closed connection reads and drops while it waits, in bytes.
const LINGER_LEN: usize = 64 << 20;

/// A stream whose reads and writes are counted; see the file's docs for its shutdown.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    inner: S,
    progress: Arc<AtomicU64>,
    peer_finished: bool,
    closing: Option<Closing>,
}

/// What is left to do after the FIN was sent.
#[derive(Debug)]
struct Closing {
    deadline: Pin<Box<Sleep>>,
    remaining_len: usize,
}

/// Runs `serve` on `stream`, and drops both when no byte has moved for `idle`.
///
/// Returns `None` in that case.
pub(crate) async fn with_idle_limit<S, F, Fut>(stream: S, idle: Duration, serve: F) -> Option<Fut::Output>
where
    F: FnOnce(Watched<S>) -> Fut,
    Fut: Future,
{
    let progress = Arc::new(AtomicU64::new(0));
    let watched =
        Watched { inner: stream, progress: Arc::clone(&progress), peer_finished: false, closing: None };
    let mut served = pin!(serve(watched));
    let mut silence = pin!(silence(&progress, idle));
    // Not `select!`: the watchdog is looked at only when the connection itself has nothing to do.
    poll_fn(|context| {
        if let Poll::Ready(output) = served.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        silence.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// Ends when `progress` stood still for a whole period of `idle`.
async fn silence(progress: &AtomicU64, idle: Duration) {
    let mut seen = progress.load(Ordering::Relaxed);
    loop {
        sleep(idle).await;
        let now = progress.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

impl<S> Watched<S> {
    fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads and drops what the peer still sends, until its FIN, an error, or a limit.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(closing) = &mut self.closing else { return Poll::Ready(()) };
        let mut scratch = [MaybeUninit::uninit(); 8192];
        while !self.peer_finished && closing.remaining_len > 0 {
            if closing.deadline.as_mut().poll(context).is_ready() {
                break;
            }
            let mut buffer = ReadBuf::uninit(&mut scratch);
            match ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => self.peer_finished = true,
                Ok(()) => closing.remaining_len = closing.remaining_len.saturating_sub(buffer.filled().len()),
                Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.note_progress();
        } else if buffer.remaining() > 0 {
            self.peer_finished = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.note_progress();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, slices))?;
        self.note_progress();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
            self.closing =
                Some(Closing { deadline: Box::pin(sleep(LINGER_TIME)), remaining_len: LINGER_LEN });
        }
        self.poll_linger(context).map(Ok)
    }
}
