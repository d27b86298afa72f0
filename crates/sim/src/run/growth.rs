//! Whether windows and buffers grow where path and reader can use it, and never beyond what they may have.

use core::time::Duration;

use netloom_stack::transport::{SynCookieMode, TcpConfig};

use crate::conversation::end::{End, Outcome};
use crate::conversation::plan::{Finish, Order, Reading};
use crate::conversation::{Conversation, Side};
use crate::failure::{Failure, FailureKind};
use crate::scenario::{CablePlan, HostPlan, Scenario};
use crate::world::World;

/// What a socket may be told at least.
const LEAST_BUFFER: u64 = 2048;
/// How many first windows a transfer must have, and its path and its other bounds, to make them grow.
const WINDOWS: u64 = 16;
const WINDOWS_ON_WAY: u64 = 4;
/// Bytes that a socket takes for sending before anything is known of the path. A transfer of eight times as many has use for more.
const FIRST_SEND_BUFFER: u64 = 256 << 10;
/// What windows can say without a scale.
const UNSCALED: u64 = 65_535;

/// What an end may hold for its reader, and for sending.
fn limits(scenario: &Scenario, number: usize, side: Side, end: &End) -> Option<(u64, u64)> {
    let (host, options) = scenario.hosts.get(end.host).zip(scenario.options(number, side))?;
    let limit = |told: Option<u32>, default: usize| told.map_or(default as u64, u64::from).max(LEAST_BUFFER);
    Some((
        limit(options.receive_buffer, host.tcp.receive_buffer),
        limit(options.send_buffer, host.tcp.send_buffer),
    ))
}

/// Checks that no window and no buffer is larger than it may be.
pub(super) fn check_bounds(scenario: &Scenario, world: &mut World<'_>) -> Result<(), Failure> {
    // What brings a cookie back twice opens the connection again, without the scale that was agreed if it echoes a timestamp that
    // came after the cookie's (RFC 4987 3.6): then its windows mean something else.
    let has_baked: Vec<_> = (0..world.host_count())
        .map(|host| world.tcp_counters(host).iter().any(|it| it.syn_cookies_accepted.get() > 1))
        .collect();
    for (conversation, talk) in world.conversations.iter().enumerate() {
        for side in [Side::Client, Side::Server] {
            let end = talk.end(side);
            let Some((receives, sends)) = limits(scenario, conversation, side, end) else { continue };
            let fail = |what, reached, limit| {
                let kind = FailureKind::Overgrown { conversation, side, what, reached, limit };
                Err(world.failure(kind))
            };
            // As its peer was told: rounded up to the scale.
            let (window, unit) = window_of(world, conversation, side);
            let is_unsure = side == Side::Server && has_baked.get(end.host) == Some(&true);
            if window >= receives + unit && !is_unsure {
                return fail("window", window, receives);
            }
            let Some(peaks) = end.peaks else { continue };
            if peaks.send_queue as u64 > sends {
                return fail("send buffer", peaks.send_queue as u64, sends);
            }
            if peaks.receive_queue as u64 > receives {
                return fail("receive buffer", peaks.receive_queue as u64, receives);
            }
        }
    }
    Ok(())
}

/// The widest window of an end that its peer has heard of, and the unit that it was told in.
fn window_of(world: &World<'_>, conversation: usize, side: Side) -> (u64, u64) {
    let (heard, own) = (world.heard(conversation, side.other()), world.heard(conversation, side));
    heard.zip(own).map_or((0, 1), |(heard, own)| heard.widest_window(own))
}

/// Checks that both directions of a conversation that had its cable for itself, and lost nothing, had the windows and buffers that
/// they could use.
pub(super) fn check(scenario: &Scenario, world: &World<'_>) -> Result<(), Failure> {
    let ([talk], [cable], [_, _], []) = (
        world.conversations.as_slice(),
        scenario.cables.as_slice(),
        scenario.hosts.as_slice(),
        scenario.datagrams.as_slice(),
    ) else {
        return Ok(());
    };
    if talk.client.host == talk.server.host || !is_plain(talk) {
        return Ok(());
    }
    for side in [Side::Client, Side::Server] {
        let (end, peer) = (talk.end(side), talk.end(side.other()));
        let hosts = scenario.hosts.get(end.host).zip(scenario.hosts.get(peer.host));
        let Some(hosts) = hosts else { continue };
        let limits = limits(scenario, 0, side, end).zip(limits(scenario, 0, side.other(), peer));
        let Some(((receives, _), (_, sends))) = limits else { continue };
        let pipe = pipe(cable);
        let widest = if may_scale(hosts.0, hosts.1) { receives } else { receives.min(UNSCALED) };
        let stunted = |side, what, reached, expected| {
            let kind = FailureKind::Stunted { conversation: 0, side, what, reached, expected };
            Err(world.failure(kind))
        };

        let first = first_window(scenario, side, hosts.0).min(widest);
        let can_use = sends.min(pipe).min(widest) / WINDOWS_ON_WAY;
        let (window, _) = window_of(world, 0, side);
        // A window moves on by a segment at least (RFC 9293 3.8.6.2.2), so that it seldom is as wide as it may be.
        let expected = (2 * first).saturating_sub(cable.mtu.into());
        if first <= can_use && first <= peer.sent / WINDOWS && window < expected {
            return stunted(side, "window", window, expected);
        }

        // The other way round: what the sender held.
        let is_large = peer.sent / 8 >= FIRST_SEND_BUFFER && pipe.min(widest) / 8 >= FIRST_SEND_BUFFER;
        let expected = (2 * FIRST_SEND_BUFFER).min(sends);
        let held = peer.peaks.map_or(u64::MAX, |peaks| peaks.send_queue as u64);
        if is_large && held < expected {
            return stunted(side.other(), "send buffer", held, expected);
        }
    }
    Ok(())
}

/// Whether windows between two hosts are scaled: a handshake by cookie keeps what timestamps can carry.
pub(super) fn may_scale(one: &HostPlan, other: &HostPlan) -> bool {
    let all = |test: fn(&TcpConfig) -> bool| test(&one.tcp) && test(&other.tcp);
    let bakes = !all(|tcp| tcp.syn_cookies != SynCookieMode::Always);
    all(|tcp| tcp.window_scaling) && (!bakes || all(|tcp| tcp.timestamps))
}

fn first_window(scenario: &Scenario, side: Side, host: &HostPlan) -> u64 {
    let told = scenario.options(0, side).and_then(|options| options.receive_buffer);
    told.map_or((host.tcp.first_window as u64).max(LEAST_BUFFER), |_| u64::MAX)
}

/// Bytes that are on the way, there and back, when the cable is full.
fn pipe(cable: &CablePlan) -> u64 {
    let trip: Duration = cable.ways.iter().map(|way| way.delay).sum();
    let rate = cable.ways.iter().filter_map(|way| way.rate).min();
    let bytes = |rate: u64| u128::from(rate) * trip.as_micros() / 8_000_000;
    rate.map_or(u64::MAX, |rate| u64::try_from(bytes(rate.get())).unwrap_or(u64::MAX))
}

/// Whether both ends write and read as fast as they can, and were done as they meant to.
fn is_plain(talk: &Conversation) -> bool {
    [&talk.client, &talk.server].into_iter().all(|end| {
        let plan = &end.plan;
        plan.reading == Reading::Eager
            && plan.order == Order::Free
            && plan.finish == Finish::InOrder
            && end.outcome == Some(Outcome::Closed { has_read_all: true })
    })
}
