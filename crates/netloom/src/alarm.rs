//! When the driver wakes up by itself.
//!
//! *Theory of operation.* A deadline that comes before the alarm sets it anew; one that comes later leaves it, and the driver
//! wakes up once for nothing. Deadlines mostly move away: a delayed acknowledgment leaves with the answer, and the next one is due
//! a round trip later. To begin and to take back a timer of the runtime for each costs more than to be woken every 40 ms.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is there from the first deadline on.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// It has not gone off yet.
    is_set: bool,
}

impl Alarm {
    /// Ready at `deadline`, or before.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if !self.is_set || deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
            self.is_set = true;
        }
        let state = sleep.as_mut().poll(cx);
        self.is_set = state.is_pending();
        state
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    async fn wait(alarm: &mut Alarm, deadline: Instant) -> Instant {
        poll_fn(|cx| alarm.poll(cx, Some(deadline))).await;
        Instant::now()
    }

    async fn is_pending(alarm: &mut Alarm, deadline: Option<Instant>) -> bool {
        poll_fn(|cx| Poll::Ready(alarm.poll(cx, deadline).is_pending())).await
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_in_time_and_early_at_most_once() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut alarm = Alarm::default();
        assert!(is_pending(&mut alarm, None).await);
        assert!(is_pending(&mut alarm, Some(at(100))).await);
        assert_eq!(wait(&mut alarm, at(40)).await, at(40), "an earlier deadline counts");
        assert!(is_pending(&mut alarm, Some(at(60))).await);
        assert!(is_pending(&mut alarm, None).await);
        assert_eq!(wait(&mut alarm, at(300)).await, at(60), "it was left where it was");
        assert_eq!(wait(&mut alarm, at(300)).await, at(300));
        assert_eq!(wait(&mut alarm, at(10)).await, at(300), "what is past is due");
    }
}
