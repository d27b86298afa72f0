//! A timer that keeps to microseconds: the runtime's own counts milliseconds.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

#[derive(Debug)]
struct Descriptor(TimerFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A timer of the kernel's that goes off once each time that it is set.
#[derive(Debug)]
pub(crate) struct PreciseTimer(AsyncFd<Descriptor>);

impl PreciseTimer {
    /// One that is not set.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let descriptor = Descriptor(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
        #[expect(
            deprecated,
            reason = "its successor is unsafe and asks that the descriptor stays open and the same: a TimerFd does"
        )]
        let timer = AsyncFd::new(descriptor)?;
        Ok(Self(timer))
    }

    /// Goes off after `delay`, and not when it should have before.
    pub(crate) fn set(&self, delay: Duration) -> io::Result<()> {
        // Zero would switch it off.
        let delay = delay.max(Duration::from_nanos(1));
        let once = Expiration::OneShot(TimeSpec::from_duration(delay));
        Ok(self.0.get_ref().0.set(once, TimerSetTimeFlags::empty())?)
    }

    /// Ready once when it has gone off.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.0.poll_read_ready(cx)) {
            Ok(mut guard) => {
                guard.clear_ready();
                Poll::Ready(())
            }
            // The runtime ends.
            Err(_) => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn it_goes_off_within_the_millisecond_each_time() {
        let timer = PreciseTimer::new().unwrap();
        let mut shortest = Duration::MAX;
        for _ in 0..50 {
            let begin = Instant::now();
            timer.set(Duration::from_micros(200)).unwrap();
            poll_fn(|cx| timer.poll(cx)).await;
            let taken = begin.elapsed();
            assert!(taken >= Duration::from_micros(200));
            shortest = shortest.min(taken);
        }
        assert!(shortest < Duration::from_millis(1), "{shortest:?}");
    }
}
