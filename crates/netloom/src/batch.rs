//! How many frames a turn reads from a device before those run whom they concern.
//!
//! *Theory of operation.* Only asking once more tells that a device is empty, and while that is asked nobody answers what has
//! come. So a turn that has read as many frames as there were when the device was last found empty lets others run first, and
//! asks then: by that time the next frame may be there, so that neither the question is in vain nor does the driver sleep
//! in between. As there may be more by now, every [`SHORT_TURNS_MAX`] turns one reads on until the device is empty.
//!
//! *Limits.* [`FRAMES_PER_TURN`] frames and [`BYTES_PER_TURN`] bytes a turn, however many there are.

/// Frames that one turn takes from a device before it looks at anything else.
pub(crate) const FRAMES_PER_TURN: usize = 64;
/// Bytes of frames after which a turn takes no more, so that super-segments are acknowledged before the window is full, and
/// read while their buffers are in the second-level cache, as those that the next turn fills again.
const BYTES_PER_TURN: usize = 1 << 18;

/// Turns in a row that read no further than is expected.
const SHORT_TURNS_MAX: u8 = 31;

/// What is known of a device that is read again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    /// Frames that were there when the device was last found empty after some.
    expected: usize,
    /// Frames that were read since it was empty.
    since_empty: usize,
    /// Turns in a row that stopped at what was expected.
    short_turns: u8,
}

/// What a turn has read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) frame_count: usize,
    pub(crate) byte_count: usize,
}

/// How far a turn reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// As far as frames are expected: whoever reads comes back when others have run.
    Expected,
    /// As far as a turn may.
    Full,
}

impl Default for Batches {
    fn default() -> Self {
        Self { expected: FRAMES_PER_TURN, since_empty: 0, short_turns: 0 }
    }
}

impl Batches {
    /// Whether a turn reads on that has read `batch`.
    pub(crate) fn goes_on(&self, batch: Batch, depth: Depth) -> bool {
        let most = if self.is_short(depth) { self.expected } else { FRAMES_PER_TURN };
        batch.frame_count < most && batch.byte_count < BYTES_PER_TURN
    }

    /// A turn has read `batch`, and, if so, `found_end`.
    pub(crate) fn on_turn(&mut self, batch: Batch, depth: Depth, found_end: bool) {
        let is_short = self.is_short(depth);
        self.since_empty = (self.since_empty + batch.frame_count).min(FRAMES_PER_TURN);
        if found_end {
            if self.since_empty > 0 {
                self.expected = self.since_empty;
            }
            (self.since_empty, self.short_turns) = (0, 0);
        } else if is_short {
            self.short_turns += 1;
        } else {
            (self.expected, self.short_turns) = (self.since_empty, 0);
        }
    }

    fn is_short(&self, depth: Depth) -> bool {
        depth == Depth::Expected && self.short_turns < SHORT_TURNS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a device to which `arrivals` come, so many before each turn; how many frames each turn reads, and whether it finds
    /// the end.
    fn turns(arrivals: &[usize]) -> Vec<(usize, bool)> {
        let (mut batches, mut waiting) = (Batches::default(), 0);
        let turn = |&count| {
            waiting += count;
            let mut batch = Batch::default();
            let mut found_end = false;
            while batches.goes_on(batch, Depth::Expected) && !found_end {
                found_end = waiting == 0;
                if !found_end {
                    waiting -= 1;
                    batch.frame_count += 1;
                }
            }
            batches.on_turn(batch, Depth::Expected, found_end);
            (batch.frame_count, found_end)
        };
        arrivals.iter().map(turn).collect()
    }

    #[test]
    fn it_asks_for_more_than_came_the_last_time_only_when_others_have_run() {
        assert_eq!(turns(&[1, 1, 0, 1, 0]), [(1, true), (1, false), (0, true), (1, false), (0, true)]);
        // The next one is there each time.
        let steady = turns(&[1; 100]);
        assert!(steady.iter().all(|&(count, _)| count == 1));
        assert_eq!(steady.iter().filter(|&&(_, found_end)| found_end).count(), 7);
    }

    #[test]
    fn it_learns_how_many_come_at_once() {
        assert_eq!(
            turns(&[1, 4, 0, 0, 0, 0, 4, 0]),
            [(1, true), (1, false), (1, false), (1, false), (1, false), (0, true), (4, false), (0, true)]
        );
        let flood = turns(&[&[1][..], &[64; 60]].concat());
        let (learning, known) = flood.split_at(33);
        assert_eq!(learning.iter().map(|&(count, _)| count).sum::<usize>(), 32 + 64);
        assert!(known.iter().all(|&(count, _)| count == 64), "{flood:?}");
    }

    #[test]
    fn a_turn_is_bounded_however_much_there_is() {
        let batches = Batches::default();
        let read = |frame_count, byte_count| Batch { frame_count, byte_count };
        for depth in [Depth::Expected, Depth::Full] {
            assert!(batches.goes_on(read(63, 1000), depth));
            assert!(!batches.goes_on(read(64, 1000), depth));
            assert!(!batches.goes_on(read(1, BYTES_PER_TURN), depth));
        }
        let (mut batches, one) = (Batches::default(), read(1, 100));
        batches.on_turn(one, Depth::Expected, true);
        assert!(!batches.goes_on(one, Depth::Expected));
        assert!(batches.goes_on(one, Depth::Full));
    }
}
