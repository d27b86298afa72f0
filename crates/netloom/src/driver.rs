//! The task that moves frames between the devices and the stack.
//!
//! *Theory of operation.* A turn ([`Shared::turn`]) takes a bounded number of frames, sends a bounded number, and wakes
//! whoever has news. While there is more, the driver only lets others on its runtime run before the next turn; then it
//! looks again for a short while if that pays ([`Spin`]), and then it sleeps until a device, a timer, a socket call or the moment
//! before a frame that is expected ([`Rhythm`]) wakes it.

use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use netloom_stack::InterfaceId;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::time::Instant;
use tracing::debug;

use crate::alarm::Alarm;
use crate::rhythm::Rhythm;
use crate::shard::{Look, Shared, Turn};
use crate::spin::Spin;
use crate::timer_fd::PreciseTimer;

/// Frames after which the runtime looks for what else is ready, in the operating system. A turn counts for two at least.
const FRAMES_WITHOUT_NEWS_MAX: usize = 64;

/// What wakes the driver.
enum WakeUp<'a> {
    /// Frames are waiting in this device. The guard remembers when that was learned: readiness that comes later is
    /// not cleared with it.
    Readable(InterfaceId, AsyncFdReadyGuard<'a, OwnedFd>),
    /// A timer, a socket call, or a device that takes frames again.
    Other,
}

/// Tells whoever waits for the end of the driver, however it comes, that it has let go of the devices.
struct Leaving(Arc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.driver_has_left();
    }
}

/// What a driver holds. Fields are dropped in this order.
struct Held {
    /// Duplicates of the devices' own, in the order of the interfaces.
    descriptors: Vec<AsyncFd<OwnedFd>>,
    leaving: Leaving,
}

/// Runs the driver of shard `index` until it has ended, and with it the host. Its end is told even if its runtime ends before it
/// has begun.
pub(crate) fn run_shard(
    shards: Arc<[Arc<Shared>]>,
    index: usize,
    descriptors: Vec<AsyncFd<OwnedFd>>,
    spin: Duration,
) -> impl Future<Output = ()> + Send {
    let held = shards.get(index).map(|shared| Held { descriptors, leaving: Leaving(Arc::clone(shared)) });
    run_held(shards, held, spin)
}

async fn run_held(shards: Arc<[Arc<Shared>]>, held: Option<Held>, spin: Duration) {
    let Some(held) = held else { return };
    let shared = Arc::clone(&held.leaving.0);
    run(held, spin).await;
    if let Some(why) = shared.look(|shard| shard.ended) {
        for other in shards.iter() {
            other.end(why);
        }
    }
}

/// Runs until the shard has ended; `span` is how long it may look for the next frame before it sleeps.
async fn run(held: Held, span: Duration) {
    let Held { descriptors, leaving } = &held;
    let shared = &leaving.0;
    let mut spin = Spin::new(span);
    let mut rhythm = Rhythm::new(span.is_zero());
    let mut timers = Timers { alarm: Alarm::default(), for_frame: None };
    let mut frames_without_news = 0;
    let mut wake_up = WakeUp::Other;
    loop {
        let mut look = match &wake_up {
            WakeUp::Readable(interface, _) => Look::At(*interface),
            WakeUp::Other => Look::Nowhere,
        };
        let turn = loop {
            let turn = shared.turn(look);
            if turn.has_ended {
                return;
            }
            if turn.frame_count > 0 {
                spin.on_frames(turn.at);
                rhythm.on_frames(turn.at);
            }
            if !turn.is_unfinished && !spin.goes_on(turn.at) && !rhythm.is_due(turn.at) {
                break turn;
            }
            look = Look::Everywhere;
            // Others on this runtime get their turn between two batches.
            frames_without_news += turn.frame_count.max(2);
            if frames_without_news < FRAMES_WITHOUT_NEWS_MAX {
                after_the_others().await;
            } else {
                frames_without_news = 0;
                tokio::task::yield_now().await;
            }
        };
        if let WakeUp::Readable(_, guard) = &mut wake_up {
            // The device was read until it was empty.
            guard.clear_ready();
        }
        timers.expect_frame(rhythm.wake_up(turn.at));
        wake_up = wait(shared, descriptors, &mut timers, &turn).await;
    }
}

/// What wakes the driver by itself.
struct Timers {
    alarm: Alarm,
    /// Where it was needed once.
    for_frame: Option<PreciseTimer>,
}

impl Timers {
    /// Wakes up shortly before a frame, if one is expected. Without a timer the frame itself does.
    fn expect_frame(&mut self, wake_up: Option<Instant>) {
        let Some(at) = wake_up else { return };
        if self.for_frame.is_none() {
            self.for_frame = PreciseTimer::new().ok();
        }
        if let Some(timer) = &self.for_frame
            && let Err(error) = timer.set(at.saturating_duration_since(Instant::now()))
        {
            debug!(%error, "no timer for the next frame");
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        if self.for_frame.as_ref().is_some_and(|timer| timer.poll(cx).is_ready()) {
            return Poll::Ready(());
        }
        self.alarm.poll(cx, deadline)
    }
}

/// Comes back when the tasks that are ready now have run. `yield_now` of tokio also looks for the runtime's timers and
/// descriptors before it comes back, which takes a system call.
async fn after_the_others() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn wait<'a>(
    shared: &Shared,
    descriptors: &'a [AsyncFd<OwnedFd>],
    timers: &mut Timers,
    turn: &Turn,
) -> WakeUp<'a> {
    let mut notified = pin!(shared.rung());
    poll_fn(|cx| {
        if notified.as_mut().poll(cx).is_ready() || timers.poll(cx, turn.deadline).is_ready() {
            return Poll::Ready(WakeUp::Other);
        }
        for (descriptor, index) in descriptors.iter().zip(0..) {
            let interface = InterfaceId::new(index);
            if turn.stalled == Some(interface)
                && let Poll::Ready(Ok(mut guard)) = descriptor.poll_write_ready(cx)
            {
                // Whether it really is writable again shows when the frame is sent.
                guard.clear_ready();
                return Poll::Ready(WakeUp::Other);
            }
            if let Poll::Ready(Ok(guard)) = descriptor.poll_read_ready(cx) {
                return Poll::Ready(WakeUp::Readable(interface, guard));
            }
        }
        Poll::Pending
    })
    .await
}
