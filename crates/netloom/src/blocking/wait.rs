//! Waiting for a future with nothing but a thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Wakes one thread.
struct Unpark {
    thread: Thread,
    is_awake: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.is_awake.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    /// One for the thread's whole life: a socket that is asked again and again lists it once.
    static UNPARK: Arc<Unpark> =
        Arc::new(Unpark { thread: std::thread::current(), is_awake: AtomicBool::new(false) });
}

/// Waits on this thread until `future` is done: for the calls of `netloom` that have no blocking form.
///
/// # Examples
/// ```no_run
/// # fn run(net: netloom::Net) -> std::io::Result<()> {
/// let incoming = netloom::blocking::wait(net.tcp_incoming_any())?;
/// let pending = netloom::blocking::wait(incoming.next())?;
/// # Ok(())
/// # }
/// ```
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = wait_until(None, |cx| future.as_mut().poll(cx)) {
            return output;
        }
    }
}

/// Polls until there is something, or `deadline` has passed.
pub(super) fn wait_until<R>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
) -> Option<R> {
    UNPARK.with(|unpark| {
        let waker = Waker::from(Arc::clone(unpark));
        let mut cx = Context::from_waker(&waker);
        loop {
            // Whatever woke before belongs to an earlier call, or is what this poll will see.
            unpark.is_awake.store(false, Ordering::Release);
            if let Poll::Ready(result) = poll(&mut cx) {
                return Some(result);
            }
            while !unpark.is_awake.load(Ordering::Acquire) {
                match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                    None => std::thread::park(),
                    Some(Duration::ZERO) => return None,
                    Some(left) => std::thread::park_timeout(left),
                }
            }
        }
    })
}
