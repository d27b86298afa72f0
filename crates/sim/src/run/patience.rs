//! Whether an end that gave up on its peer had waited as long as it must.

use core::time::Duration;

use netloom_stack::transport::SocketOptions;

use crate::conversation::Side;
use crate::conversation::end::End;
use crate::scenario::Scenario;
use crate::world::World;
use crate::world::hearing::Heard;

/// The least that R2 may be, for a SYN and for everything else (RFC 9293 3.8.3).
const SYN_PATIENCE: Duration = Duration::from_secs(3 * 60);
const LEAST_PATIENCE: Duration = Duration::from_secs(100);
/// The first timeout that a SYN has, the least that anything else has, and the most that all have.
const SYN_TIMEOUT: Duration = Duration::from_secs(1);
const LEAST_TIMEOUT: Duration = Duration::from_millis(200);
const MOST_TIMEOUT: Duration = Duration::from_secs(60);
/// Frames that must have been lost in the meantime: no retry limit is lower.
const LOSSES: u64 = 6;

/// What may have made an end give up, of what it had reason to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    /// It was told how long it may wait for an acknowledgment, and none came for so long.
    pub(super) is_users: bool,
    /// It has sent as often as it may, or asked, and heard nothing for as long as that takes.
    pub(super) is_over: bool,
    /// Whether so much was lost meanwhile that this explains it.
    pub(super) has_losses: bool,
}

impl Patience {
    /// That of an end which is over.
    pub(super) fn of(scenario: &Scenario, world: &World<'_>, number: usize, side: Side, end: &End) -> Self {
        let found = (end.over_at, scenario.options(number, side), world.heard(number, side));
        let (Some(over_at), Some(options), Some(heard)) = found else { return Self::default() };
        let Some(host) = scenario.hosts.get(end.host) else { return Self::default() };
        let without_progress = over_at.saturating_since(heard.progress_at);
        let limit = if heard.is_acknowledged() {
            // An acknowledgment of a part may have left the timer as it was.
            (tries(LEAST_TIMEOUT, host.tcp.retries2) - LEAST_TIMEOUT).max(LEAST_PATIENCE)
        } else {
            tries(SYN_TIMEOUT, host.tcp.syn_retries).max(SYN_PATIENCE)
        };
        let is_unanswered = keepalive_limit(options)
            .is_some_and(|limit| heard.is_acknowledged() && over_at.saturating_since(heard.at) >= limit);
        Self {
            is_users: is_users(options, end, heard, over_at.saturating_since(heard.acknowledged_at)),
            is_over: without_progress >= limit || is_unanswered,
            has_losses: heard.lost_since >= LOSSES,
        }
    }
}

/// The time of a first try and `retries` more, each of which waits twice as long.
fn tries(first: Duration, retries: u8) -> Duration {
    (0..=u32::from(retries)).map(|number| (first * 2_u32.saturating_pow(number)).min(MOST_TIMEOUT)).sum()
}

fn keepalive_limit(options: &SocketOptions) -> Option<Duration> {
    options.keepalive.map(|it| it.idle + it.interval * u32::from(it.probes.max(2)))
}

/// Whether the user's own limit is reached, of an end that had something to say.
fn is_users(options: &SocketOptions, end: &End, heard: &Heard, unacknowledged: Duration) -> bool {
    let is_saying = !heard.is_acknowledged() || end.sent > 0 || end.ended_at.is_some();
    is_saying && options.user_timeout.is_some_and(|limit| unacknowledged >= limit)
}
