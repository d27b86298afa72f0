//! The task that moves frames between the devices and the stack.

use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use netloom_stack::InterfaceId;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use crate::shard::{Shared, Turn};

/// What wakes the driver.
enum WakeUp<'a> {
    /// Frames are waiting in this device. The guard remembers when that was learned: readiness that comes later is
    /// not cleared with it.
    Readable(InterfaceId, AsyncFdReadyGuard<'a, OwnedFd>),
    /// A timer, a socket call, or a device that takes frames again.
    Other,
}

/// Runs until the shard has ended. `descriptors` are duplicates of the devices' own, in the order of the interfaces.
pub(crate) async fn run(shared: Arc<Shared>, descriptors: Vec<AsyncFd<OwnedFd>>) {
    let mut wake_up = WakeUp::Other;
    loop {
        let readable = match &wake_up {
            WakeUp::Readable(interface, _) => Some(*interface),
            WakeUp::Other => None,
        };
        let turn = shared.turn(readable);
        if turn.has_ended {
            return;
        }
        if turn.is_unfinished {
            // Others on this runtime get their turn between two batches.
            tokio::task::yield_now().await;
            continue;
        }
        if let WakeUp::Readable(_, guard) = &mut wake_up {
            // The device was read until it was empty.
            guard.clear_ready();
        }
        wake_up = wait(&shared, &descriptors, &turn).await;
    }
}

async fn wait<'a>(shared: &Shared, descriptors: &'a [AsyncFd<OwnedFd>], turn: &Turn) -> WakeUp<'a> {
    let mut notified = pin!(shared.driver.notified());
    let mut timer = pin!(turn.deadline.map(tokio::time::sleep_until));
    poll_fn(|cx| {
        if notified.as_mut().poll(cx).is_ready() {
            return Poll::Ready(WakeUp::Other);
        }
        if let Some(timer) = timer.as_mut().as_pin_mut()
            && timer.poll(cx).is_ready()
        {
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
