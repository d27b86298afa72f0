//! The faults of a link as a person types them: `delay=10ms,jitter=1ms,loss=1%,burst=4`.
//!
//! ```text
//! spec      = "none" / part *( "," part )
//! part      = [ direction ] key "=" value / "seed=" number
//! direction = "in:" / "out:" / "both:"
//! ```
//! A direction holds for its own key and all that follow, until the next direction; what comes before any holds for both
//! ways. So `delay=10ms,out:rate=1gbit,queue=1000` delays both ways and limits one, and `in:loss=1%` loses only what
//! comes in. "In" is towards netloom's stack, or, between two TAPs, what goes in at the first and comes out at the second.
//!
//! | key | value | |
//! |---|---|---|
//! | `delay`, `jitter` | `10ms`, `1.5s`, `200us` | time under way, and how far it swings |
//! | `loss` | `1%` | share of frames lost |
//! | `burst` | `4` | mean length of a run of losses |
//! | `reorder`, `reorder-by` | `0.5%`, `2ms` | share of frames that come late, and how late |
//! | `dup`, `corrupt` | `0.1%` | share of frames that come twice, or with a bit wrong |
//! | `rate`, `queue` | `1gbit`, `1000` | bits a second, and frames that wait for their turn |
//! | `mark` | `100` | frames that wait from which on the next is marked instead (ECN), if its sender takes marks |
//! | `mtu` | `1400` | largest IP packet; bigger ones vanish |
//! | `seed` | `7` | the same seed gives the same faults to the same traffic |
//!
//! *Not here.* What the numbers do: [`LinkConfig`].

mod error;
mod parse;
#[cfg(test)]
mod tests;
mod unit;

use core::fmt;
use core::num::NonZeroU32;
use core::str::FromStr;

use netloom_base::{Medium, Rng};

pub use error::ImpairError;
use unit::BitRate;
pub use unit::{TimeSpan, TimeSpanError};

use crate::link::{Link, LinkConfig};

/// The faults of both directions of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImpairSpec {
    /// What happens on the way to the stack.
    pub inbound: LinkConfig,
    /// What happens on the way from it.
    pub outbound: LinkConfig,
    /// Seed of what is random; `None`: the caller's choice.
    pub seed: Option<u64>,
}

impl ImpairSpec {
    /// Both directions of a link of `medium`, inbound first. `fallback` seeds them where no seed was given.
    pub fn links(&self, medium: Medium, fallback: u64) -> [Link; 2] {
        let mut rng = Rng::from_number(self.seed.unwrap_or(fallback));
        [&self.inbound, &self.outbound].map(|config| Link::new(medium, config.clone(), rng.fork()))
    }
}

impl FromStr for ImpairSpec {
    type Err = ImpairError;

    fn from_str(text: &str) -> Result<Self, ImpairError> {
        let parse::Parsed { inbound, outbound, seed } = parse::parse(text)?;
        Ok(Self { inbound, outbound, seed })
    }
}

impl fmt::Display for ImpairSpec {
    /// In the language that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.seed.map(|seed| format!("seed={seed}")).into_iter().collect();
        let (inbound, outbound) = (settings(&self.inbound), settings(&self.outbound));
        if inbound == outbound {
            parts.extend(inbound);
        } else {
            for (direction, mut settings) in [("in:", inbound), ("out:", outbound)] {
                if let Some(first) = settings.first_mut() {
                    first.insert_str(0, direction);
                }
                parts.extend(settings);
            }
        }
        if parts.is_empty() { f.write_str("none") } else { f.write_str(&parts.join(",")) }
    }
}

/// What differs from a perfect cable, as `key=value`.
fn settings(config: &LinkConfig) -> Vec<String> {
    let perfect = LinkConfig::default();
    let LinkConfig {
        rate,
        queue,
        delay,
        jitter,
        loss,
        burst,
        reorder,
        reorder_by,
        duplicate,
        corrupt,
        mtu,
        mark_from,
        // Not for a person to type: `loss=100%` says the first, and the second is a bound of ours.
        is_partitioned: _,
        max_in_flight: _,
    } = config;
    let mut settings = Vec::new();
    let mut add = |is_set: bool, key: &str, value: &dyn fmt::Display| {
        if is_set {
            settings.push(format!("{key}={value}"));
        }
    };
    add(!delay.is_zero(), "delay", &TimeSpan(*delay));
    add(!jitter.is_zero(), "jitter", &TimeSpan(*jitter));
    add(!loss.is_none(), "loss", loss);
    add(*burst != NonZeroU32::MIN, "burst", burst);
    add(!reorder.is_none(), "reorder", reorder);
    add(*reorder_by != perfect.reorder_by, "reorder-by", &TimeSpan(*reorder_by));
    add(!duplicate.is_none(), "dup", duplicate);
    add(!corrupt.is_none(), "corrupt", corrupt);
    if let Some(rate) = rate {
        add(true, "rate", &BitRate(*rate));
    }
    add(*queue != perfect.queue, "queue", queue);
    if let Some(mark) = mark_from {
        add(true, "mark", mark);
    }
    if let Some(mtu) = mtu {
        add(true, "mtu", mtu);
    }
    settings
}
