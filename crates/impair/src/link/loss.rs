//! Which frames the wire loses: one by one, or in bursts by the two-state chain of Gilbert and Elliott.
//!
//! ```text
//!            p
//!   good ---------> bad          good: every frame arrives
//!    ^               |           bad:  every frame is lost
//!    +---------------+
//!            r
//! ```
//! A run of losses lasts 1/r frames on average, and the share p / (p + r) of all frames is lost; so from a mean burst B
//! and a loss L follow r = 1/B and p = L / (B (1 - L)). Where that p would be more than one, no good run is that short:
//! then every good run is one frame long and the bursts are longer than asked, and the loss still holds.

use core::num::NonZeroU32;

use netloom_base::Rng;

use crate::share::Share;

/// The state of the chain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossModel {
    is_bad: bool,
}

impl LossModel {
    /// Draws whether this frame is lost.
    pub(super) fn is_lost(&mut self, loss: Share, burst: NonZeroU32, rng: &mut Rng) -> bool {
        if burst == NonZeroU32::MIN || loss.is_none() || loss == Share::ALL {
            self.is_bad = false;
            return loss.happens(rng);
        }
        let (into_bad, into_good) = transitions(loss, burst);
        let turns = if self.is_bad { into_good } else { into_bad };
        self.is_bad ^= turns.happens(rng);
        self.is_bad
    }
}

/// The probabilities p and r.
fn transitions(loss: Share, burst: NonZeroU32) -> (Share, Share) {
    let whole = u64::from(Share::ALL.parts_per_billion());
    let lost = u64::from(loss.parts_per_billion());
    let burst = u64::from(burst.get());
    let share = |parts: u64| Share::from_parts_per_billion(u32::try_from(parts).unwrap_or(u32::MAX));
    let into_bad = (lost * whole) / (burst * (whole - lost)).max(1);
    if into_bad <= whole {
        (share(into_bad), share(whole / burst))
    } else {
        (Share::ALL, share((whole - lost) * whole / lost.max(1)))
    }
}
