//! Whether to look again at once, or to sleep.
//!
//! *Theory of operation.* Waking a sleeping processor takes tens of microseconds, asking a device whether a frame has
//! come less than one. So after a frame the driver keeps asking for a short while before it sleeps, but only as long as
//! this pays: when frames have been coming further apart than that while, nothing would be found, and the driver
//! sleeps at once until two of them come close together again.
//!
//! *Limits.* At most [`MISSES_MAX`] spans are spent in vain in a row; an idle stack never spins.

use std::time::Duration;

use tokio::time::Instant;

/// The span unless another is asked for: two and a half times what a wake-up takes.
const SPAN: Duration = Duration::from_micros(50);

/// The span for this process: none, if it has but one processor. Whoever sends the next frame needs it then.
pub(crate) fn default_span() -> Duration {
    match std::thread::available_parallelism() {
        Ok(count) if count.get() == 1 => Duration::ZERO,
        Ok(_) | Err(_) => SPAN,
    }
}

/// Spans in a row in which nothing came before the next ones are not waited for.
const MISSES_MAX: u8 = 3;

/// Remembers how far apart frames have come.
#[derive(Debug)]
pub(crate) struct Spin {
    span: Duration,
    last_frame: Option<Instant>,
    misses: u8,
}

impl Spin {
    /// Looks for at most `span` after a frame; zero: never.
    pub(crate) fn new(span: Duration) -> Self {
        Self { span, last_frame: None, misses: MISSES_MAX }
    }

    /// Frames have come.
    pub(crate) fn on_frames(&mut self, now: Instant) {
        let came_soon = self.last_frame.is_some_and(|last| now.saturating_duration_since(last) <= self.span);
        self.misses = if came_soon { 0 } else { self.misses.saturating_add(1).min(MISSES_MAX) };
        self.last_frame = Some(now);
    }

    /// Whether to look again at once.
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        self.misses < MISSES_MAX
            && self.last_frame.is_some_and(|last| now.saturating_duration_since(last) < self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames so many microseconds after each other; whether it spins after the last.
    fn spins_after(span: u64, gaps: &[u64]) -> bool {
        let mut spin = Spin::new(Duration::from_micros(span));
        let mut now = Instant::now();
        spin.on_frames(now);
        for &gap in gaps {
            now += Duration::from_micros(gap);
            spin.on_frames(now);
        }
        spin.goes_on(now + Duration::from_micros(1))
    }

    #[test]
    fn it_spins_only_while_that_pays() {
        for (gaps, expected) in [
            (&[][..], false),
            (&[10], true),
            (&[1000], false),
            (&[10, 1000], true),
            (&[10, 1000, 1000], true),
            (&[10, 1000, 1000, 1000], false),
            (&[10, 1000, 1000, 1000, 10], true),
        ] {
            assert_eq!(spins_after(50, gaps), expected, "{gaps:?}");
        }
        assert!(!spins_after(0, &[0, 0]));
    }

    #[test]
    fn it_ends_after_its_span() {
        let mut spin = Spin::new(Duration::from_micros(50));
        let now = Instant::now();
        spin.on_frames(now);
        spin.on_frames(now);
        assert!(spin.goes_on(now + Duration::from_micros(49)));
        assert!(!spin.goes_on(now + Duration::from_micros(50)));
    }
}
