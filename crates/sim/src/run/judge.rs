//! Whether what happened is explained by what was done to the hosts.

use core::time::Duration;

use netloom_base::DropReason;
use netloom_stack::transport::{EndReason, RetransmitCause, TcpCounters, TcpError, TcpUsage};

use super::measure::{CORK_TIME, has_dropped};
use super::patience::Patience;
use super::placement::misplaced;
use super::report::Report;
use crate::conversation::end::{End, Outcome};
use crate::conversation::plan::{Plan, Reading};
use crate::conversation::{Conversation, Side};
use crate::failure::{Failure, FailureKind};
use crate::scenario::{Scenario, Weather};
use crate::world::World;
use netloom_impair::LinkDrop;

/// Frames that must have been lost before a connection may time out: no retry limit is lower.
const LOSSES_FOR_TIMEOUT: u64 = 6;

/// What the links did, all together.
struct Losses {
    /// Frames that did not arrive, or not whole.
    lost: u64,
    corrupted: u64,
    /// Whether anything came late or twice.
    is_disordered: bool,
    /// Whether so much was lost, and meant to be, that connections may time out.
    is_harsh: bool,
    /// Whether anything was lost where much is meant to be: a closed connection whose last bytes nobody takes is given up
    /// after a while, and with timers backed off that takes few losses.
    is_rough: bool,
    /// For each host whether handshakes were given up at its listeners.
    evicted: Vec<bool>,
    /// For each host whether its listeners' queues were full at some time.
    overrun: Vec<bool>,
    /// For each host whether it has answered SYNs with cookies: it has kept nothing of those handshakes, and asks for
    /// nothing.
    has_baked: Vec<bool>,
    /// For each host whether it has reset somebody whose acknowledgment brought no cookie back.
    has_refused: Vec<bool>,
    /// For each host whether a peer has reset a connection of its.
    was_reset: Vec<bool>,
    /// Whether users may take clients for connected whose SYNs are not answered.
    opens_fast: bool,
    /// For each host whether a user has closed a connection before its SYN was answered.
    has_given_up: Vec<bool>,
}

impl Losses {
    fn of(scenario: &Scenario, world: &mut World<'_>) -> Self {
        let corrupted = world.link_counters().map(|counters| counters.corrupted.get()).sum();
        let dropped: u64 = world.link_counters().map(netloom_impair::LinkCounters::dropped_total).sum();
        let lost = dropped + corrupted + world.refused_count();
        let is_rough = match scenario.weather {
            Weather::Clear | Weather::Mild => false,
            Weather::Rough | Weather::Cut => lost > 0,
        };
        let is_harsh = is_rough && lost >= LOSSES_FOR_TIMEOUT;
        let evicted = (0..world.host_count())
            .map(|host| {
                // A host that lost its memory gave up all that it had.
                has_restarted(scenario, host)
                    || world
                        .tcp_counters(host)
                        .iter()
                        .any(|it| it.half_open_evicted.get() + it.half_open_expired.get() > 0)
            })
            .collect();
        let full = [DropReason::TcpAcceptQueueFull, DropReason::TcpSynQueueFull, DropReason::TcpTableFull];
        let overrun = (0..world.host_count()).map(|host| world.dropped(host, &full) > 0).collect();
        let mut for_each = |test: fn(&TcpCounters) -> bool| {
            (0..world.host_count()).map(|host| world.tcp_counters(host).iter().any(test)).collect()
        };
        let has_baked = for_each(|it| it.syn_cookies_sent.get() > 0);
        let has_refused = for_each(|it| it.syn_cookies_refused.get() > 0);
        let was_reset = for_each(|it| it.ended(EndReason::ResetByPeer) > 0);
        let has_given_up = for_each(|it| it.ended(EndReason::ClosedInHandshake) > 0);
        let is_disordered = world.overtaken_count() > 0
            || world.link_counters().any(|it| it.reordered.get() + it.duplicated.get() > 0);
        Self {
            lost,
            corrupted,
            is_disordered,
            is_harsh,
            is_rough,
            evicted,
            overrun,
            has_baked,
            has_refused,
            was_reset,
            opens_fast: opens_fast(scenario),
            has_given_up,
        }
    }

    /// Whether the last segment of a handshake by cookie can have come to nothing at a host: lost, late, or without room.
    fn may_miss_cookie(&self, host: usize) -> bool {
        let is_disturbed = self.lost > 0 || self.is_disordered || self.was_overrun(host);
        self.has_baked.get(host).copied().unwrap_or(false) && is_disturbed
    }

    /// Whether a connection can have been reset because its host knew nothing of a handshake by cookie: something else
    /// came before the segment that brings the cookie back. Then the client has heard nothing yet.
    fn may_break_cookie(&self, conversation: &Conversation) -> bool {
        self.may_miss_cookie(conversation.server.host) && conversation.client.received == 0
    }

    /// Whether that has happened to a client, even if its user had closed it and heard nothing of the reset.
    fn may_have_broken_cookie(&self, client: &End, server: usize) -> bool {
        let has_happened = |hosts: &[bool], host: usize| hosts.get(host).copied().unwrap_or(false);
        self.may_miss_cookie(server)
            && client.received == 0
            && has_happened(&self.has_refused, server)
            && has_happened(&self.was_reset, client.host)
    }

    /// Whether nobody has heard of a connection: to its user it was connected, as there was a cookie to show, and it was closed
    /// before the user had written anything for its SYN to carry.
    fn may_have_kept_silent(&self, end: &End) -> bool {
        let has_given_up = self.has_given_up.get(end.host).copied().unwrap_or(false);
        self.opens_fast
            && has_given_up
            && end.sent == 0
            && matches!(end.outcome, Some(Outcome::Closed { .. }))
    }

    fn has_evicted(&self, host: usize) -> bool {
        self.evicted.get(host).copied().unwrap_or(false)
    }

    fn was_overrun(&self, host: usize) -> bool {
        self.overrun.get(host).copied().unwrap_or(false)
    }
}

/// Whether users may take clients for connected whose SYNs are not answered.
fn opens_fast(scenario: &Scenario) -> bool {
    scenario.conversations.iter().any(|plan| plan.options.fast_open)
}

/// Whether a host loses its memory in the run.
fn has_restarted(scenario: &Scenario, host: usize) -> bool {
    scenario.restarts.iter().any(|restart| restart.host == host)
}

/// Ends every end that waits for a peer that is gone; it is a failure if one should not have to wait.
pub(super) fn end_what_waits_in_vain(scenario: &Scenario, world: &mut World<'_>) -> Result<(), Failure> {
    let losses = Losses::of(scenario, world);
    for number in 0..world.conversations.len() {
        // The server first: a client may wait for one that never was.
        for side in [Side::Server, Side::Client] {
            let Some(conversation) = world.conversations.get(number) else { continue };
            let (end, peer) = match side {
                Side::Client => (&conversation.client, &conversation.server),
                Side::Server => (&conversation.server, &conversation.client),
            };
            if end.outcome.is_some() {
                continue;
            }
            let is_explained = if end.socket.is_none() {
                !conversation.is_awaited
                    || may_be_absent(scenario, peer, end.host, &losses)
                    || peer.outcome.is_some()
                        && (losses.lost > 0 || losses.was_overrun(end.host))
                        && is_impatient(scenario, number, side.other())
            } else {
                // The word that the peer was gone must have been lost, and nobody asked after it.
                let has_keepalive = has_keepalive(scenario, number, side);
                let has_closed = matches!(peer.outcome, Some(Outcome::Closed { .. }));
                let is_peer_gone = peer.has_left_rudely()
                    || matches!(peer.outcome, Some(Outcome::Failed(_)))
                    || has_closed && losses.is_rough;
                let is_peer_unaware = matches!(peer.outcome, Some(Outcome::Absent | Outcome::Forgotten))
                    || peer.outcome.is_some() && has_restarted(scenario, peer.host);
                // A client was reset by the very server before what was late opened the connection, or its own reset came
                // before that, and has nothing to say any more.
                let was_reset = matches!(peer.outcome, Some(Outcome::Failed(TcpError::ConnectionReset)))
                    && losses.may_have_broken_cookie(peer, end.host);
                let has_reset = peer.outcome == Some(Outcome::Aborted)
                    && losses.may_miss_cookie(end.host)
                    && peer.received == 0;
                let is_late_cookie = side == Side::Server && (was_reset || has_reset);
                // Who has waited too long says nothing.
                let is_peer_tired = peer.outcome == Some(Outcome::Failed(TcpError::TimedOut))
                    || has_closed && is_impatient(scenario, number, side.other());
                let is_peer_gone = is_peer_tired || is_peer_gone && losses.lost > 0;
                !has_keepalive && (is_peer_unaware || is_peer_gone || is_late_cookie)
            };
            if !is_explained {
                return Err(stuck(world, number, side));
            }
            world.abandon(number, side);
        }
    }
    Ok(())
}

/// Whether the server may never have seen a connection of this client.
fn may_be_absent(scenario: &Scenario, client: &End, server: usize, losses: &Losses) -> bool {
    match client.outcome {
        // Who has said something says it again until it is heard; who only waits may have shaken hands with a cookie, of
        // which nothing was left when the last segment got lost.
        None => {
            let only_waits = client.sent == 0 && client.ended_at.is_none();
            losses.has_evicted(server) || only_waits && losses.may_miss_cookie(server)
        }
        // It may have closed and then forgotten what it had still to send.
        Some(Outcome::Closed { has_read_all: true }) => {
            losses.is_harsh
                || losses.has_evicted(server)
                || has_restarted(scenario, client.host)
                || losses.may_have_broken_cookie(client, server)
                || losses.may_have_kept_silent(client)
                // Its user took it for connected, and does not hear that its SYNs met a full queue every time.
                || losses.opens_fast && losses.was_overrun(server)
        }
        Some(
            Outcome::Closed { has_read_all: false }
            | Outcome::Aborted
            | Outcome::Forgotten
            | Outcome::Failed(_)
            | Outcome::Absent
            | Outcome::Abandoned,
        ) => true,
    }
}

fn has_keepalive(scenario: &Scenario, number: usize, side: Side) -> bool {
    scenario.options(number, side).is_some_and(|options| options.keepalive.is_some())
}

/// Whether the user of an end has set a limit to what may go unacknowledged: it holds after he has closed it, too.
fn is_impatient(scenario: &Scenario, number: usize, side: Side) -> bool {
    scenario.options(number, side).is_some_and(|options| options.user_timeout.is_some())
}

fn stuck(world: &mut World<'_>, number: usize, side: Side) -> Failure {
    let Some(conversation) = world.conversations.get(number) else {
        return world.failure(FailureKind::BadScenario("a conversation is gone".to_owned()));
    };
    let end = conversation.end(side);
    let (sent, received) = ((end.sent, end.plan.outgoing), end.received);
    let (host, shard, socket) = (end.host, end.shard, end.socket);
    let stack = world.shards(host).and_then(|shards| shards.stacks.get_mut(shard));
    let info = match (stack, socket) {
        (Some(stack), Some(socket)) => format!("{:?}", stack.tcp().info(socket)),
        (_, None) => "it has no connection".to_owned(),
        (None, Some(_)) => "it has no host".to_owned(),
    };
    world.failure(FailureKind::Stuck { conversation: number, side, sent, received, info })
}

/// Checks that each connection that broke did so for a reason.
pub(super) fn check_outcomes(scenario: &Scenario, world: &mut World<'_>) -> Result<(), Failure> {
    let losses = Losses::of(scenario, world);
    for (number, conversation) in world.conversations.iter().enumerate() {
        if !conversation.is_awaited {
            let is_refused = matches!(
                conversation.client.outcome,
                Some(Outcome::Failed(TcpError::ConnectionRefused) | Outcome::Forgotten)
            );
            // To its user a client with a cookie was connected at once, and may have been closed before the refusal came.
            let opens_fast = scenario.conversations.get(number).is_some_and(|plan| plan.options.fast_open);
            let has_left = opens_fast
                && matches!(conversation.client.outcome, Some(Outcome::Closed { .. } | Outcome::Aborted));
            let client = &conversation.client;
            let has_timed_out = client.outcome == Some(Outcome::Failed(TcpError::TimedOut))
                && Patience::of(scenario, world, number, Side::Client, client).is_users;
            let is_explained = is_refused || has_left || has_timed_out;
            if !is_explained && !losses.is_harsh && losses.corrupted == 0 {
                let outcome = client.outcome;
                return Err(world.failure(FailureKind::NotRefused { conversation: number, outcome }));
            }
            continue;
        }
        for side in [Side::Client, Side::Server] {
            let (end, peer) = match side {
                Side::Client => (&conversation.client, &conversation.server),
                Side::Server => (&conversation.server, &conversation.client),
            };
            let Some(outcome) = end.outcome else { continue };
            let is_explained = match outcome {
                Outcome::Failed(error) => {
                    let patience = Patience::of(scenario, world, number, side, end);
                    let has_forgotten = matches!(peer.outcome, Some(Outcome::Closed { .. }))
                        && (losses.is_rough || is_impatient(scenario, number, side.other()));
                    has_forgotten && matches!(error, TcpError::ConnectionReset | TcpError::ConnectionRefused)
                        || explains(error, peer, patience, losses.may_break_cookie(conversation), &losses)
                }
                Outcome::Closed { .. }
                | Outcome::Aborted
                | Outcome::Forgotten
                | Outcome::Absent
                | Outcome::Abandoned => true,
            };
            if !is_explained {
                let peer = peer.outcome;
                return Err(world.failure(FailureKind::Unexplained {
                    conversation: number,
                    side,
                    outcome,
                    peer,
                }));
            }
        }
    }
    Ok(())
}

/// Whether an error follows from what the peer did and the links lost.
fn explains(error: TcpError, peer: &End, patience: Patience, breaks_cookie: bool, losses: &Losses) -> bool {
    // A reset that was lost leaves the other end to its timers.
    let has_timed_out = peer.outcome == Some(Outcome::Failed(TcpError::TimedOut));
    let has_vanished = losses.lost > 0 && peer.has_left_rudely() && !has_timed_out;
    // SYNs that meet a full queue at every retry.
    let was_kept_out = peer.outcome == Some(Outcome::Absent) && losses.was_overrun(peer.host);
    match error {
        TcpError::ConnectionReset => peer.has_left_rudely() || losses.has_evicted(peer.host) || breaks_cookie,
        TcpError::TimedOut => {
            let is_cut_off = losses.is_rough && patience.has_losses;
            patience.is_users || patience.is_over && (is_cut_off || has_vanished || was_kept_out)
        }
        // A flipped bit in an address or a protocol number makes a router or the peer complain, and a handshake
        // believes that.
        TcpError::HostUnreachable | TcpError::NetworkUnreachable => losses.is_harsh || losses.corrupted > 0,
        // Who gave up, or forgot, before the other's SYN came refuses it.
        TcpError::ConnectionRefused => {
            losses.corrupted > 0
                || peer.has_left_rudely()
                || losses.has_evicted(peer.host)
                || losses.may_have_kept_silent(peer)
        }
        TcpError::ConnectionAborted | _ => false,
    }
}

/// Whether no TCP holds anything any more, and no shard has anything for another.
pub(super) fn is_empty(world: &mut World<'_>) -> bool {
    (0..world.host_count()).all(|host| {
        usage(world, host).iter().all(|usage| *usage == TcpUsage::default())
            && world.shards(host).is_none_or(|shards| shards.mail_due().is_none())
    })
}

/// What each shard of a host holds.
fn usage(world: &mut World<'_>, host: usize) -> Vec<TcpUsage> {
    let stacks = world.shards(host).map(|shards| &mut shards.stacks).into_iter().flatten();
    stacks.map(|stack| stack.tcp().usage()).collect()
}

/// Has every TCP compare its tables and its memory with its connections, where debug assertions are compiled in; and looks
/// whether each connection is where it belongs, and only there.
pub(super) fn check_tables(world: &mut World<'_>) -> Result<(), Failure> {
    for host in 0..world.host_count() {
        if cfg!(debug_assertions) {
            usage(world, host);
        }
        let misplaced = world.shards(host).and_then(misplaced);
        if let Some((shard, ends)) = misplaced {
            return Err(world.failure(FailureKind::Misplaced { host, shard, ends }));
        }
    }
    Ok(())
}

pub(super) fn check_leftovers(world: &mut World<'_>) -> Result<(), Failure> {
    for host in 0..world.host_count() {
        if let Some(&usage) = usage(world, host).iter().find(|usage| **usage != TcpUsage::default()) {
            return Err(world.failure(FailureKind::Leak { host, usage }));
        }
    }
    Ok(())
}

/// Reasons that say that the sender's stack wrote nonsense.
const NONSENSE: &[DropReason] = &[
    DropReason::LinkTruncated,
    DropReason::LinkBadSource,
    DropReason::LinkUnknownEtherType,
    DropReason::ArpMalformed,
    DropReason::IpTruncated,
    DropReason::IpBadVersion,
    DropReason::IpBadHeaderLength,
    DropReason::IpBadChecksum,
    DropReason::IpBadSource,
    DropReason::IpBadDestination,
    DropReason::IpBadOption,
    DropReason::IpBadExtensionHeader,
    DropReason::IpUnknownProtocol,
    DropReason::FragmentMalformed,
    DropReason::IcmpTruncated,
    DropReason::IcmpBadChecksum,
    DropReason::NdpMalformed,
    DropReason::TcpTruncated,
    DropReason::TcpBadChecksum,
    DropReason::TcpNotUnicast,
    DropReason::TcpMalformed,
];

/// Causes that need a loss, or something that looks like one. A loss probe does, too: the acknowledgment of more than a
/// full segment is never held back, and for that of less the probe waits (RFC 8985 7.2).
const NEEDS_LOSS: &[RetransmitCause] = &[
    RetransmitCause::SynTimeout,
    RetransmitCause::Timeout,
    RetransmitCause::FastRetransmit,
    RetransmitCause::Rack,
    RetransmitCause::LossProbe,
    RetransmitCause::PartialAck,
];

pub(super) fn check_counters(scenario: &Scenario, world: &mut World<'_>) -> Result<(), Failure> {
    let losses = Losses::of(scenario, world);
    let is_undisturbed = is_undisturbed(scenario) && losses.lost == 0;
    for host in 0..world.host_count() {
        let nonsense = NONSENSE.iter().copied().find(|&reason| world.dropped(host, &[reason]) > 0);
        if let Some(reason) = nonsense.filter(|_| losses.corrupted == 0) {
            return Err(world.failure(FailureKind::Nonsense { host, reason }));
        }
    }
    let is_overrun = has_dropped(world)
        || world.overtaken_count() > 0
        || (0..world.host_count()).any(|host| losses.has_evicted(host));
    if !is_undisturbed || is_overrun {
        return Ok(());
    }
    check_pause(scenario, world)?;
    for host in 0..world.host_count() {
        let counters = world.tcp_counters(host);
        for &cause in NEEDS_LOSS {
            let count = counters.iter().map(|it| it.retransmits(cause)).sum();
            if count > 0 {
                return Err(world.failure(FailureKind::NeedlessRetransmission { host, cause, count }));
            }
        }
    }
    Ok(())
}

/// Checks that nothing waited for a timer, other than those which hold acknowledgments and fast SYNs back.
fn check_pause(scenario: &Scenario, world: &World<'_>) -> Result<(), Failure> {
    let plans = scenario.conversations.iter().flat_map(|it| [&it.client_plan, &it.server_plan]);
    // How long a reader lets data lie; `None`: so long that a timer would not be noticed.
    let rest = |plan: &Plan| match plan.reading {
        Reading::Eager => Some(Duration::ZERO),
        Reading::Slow { every, .. } => Some(every),
        Reading::Late { .. } => None,
    };
    let accepts_at_once = scenario.listeners.iter().all(|listener| listener.accept_every.is_zero());
    let Some(rests) = plans.map(rest).collect::<Option<Vec<_>>>().filter(|_| accepts_at_once) else {
        return Ok(());
    };
    let delays = scenario.cables.iter().flat_map(|cable| &cable.ways).map(|way| way.delay);
    // Over all cables there and back, once each for two neighbours, the handshake, and data with its answer.
    let trips = delays.sum::<Duration>() * 5;
    let longest_delay = |delayed_ack: Duration| delayed_ack.max(Duration::from_millis(200));
    let held_back = scenario.hosts.iter().map(|host| longest_delay(host.tcp.delayed_ack)).sum::<Duration>();
    let longest_rest = rests.into_iter().max().unwrap_or_default();
    // A SYN that may carry data waits for a client that has nothing to say.
    let held_syn = if opens_fast(scenario) { Duration::from_millis(200) } else { Duration::ZERO };
    let is_corked = (0..scenario.conversations.len())
        .flat_map(|number| [Side::Client, Side::Server].map(|side| scenario.options(number, side)))
        .flatten()
        .any(|options| options.cork);
    // Once for each end.
    let corked = if is_corked { CORK_TIME * 2 } else { Duration::ZERO };
    let explained = trips + held_back + held_syn + corked + longest_rest + Duration::from_millis(10);
    let is_absent = |it: &Conversation| it.is_awaited && it.server.outcome == Some(Outcome::Absent);
    if opens_fast(scenario) && world.conversations.iter().any(is_absent) {
        // It was waited for a server that never heard of its client.
        return Ok(());
    }
    let pause = world.longest_pause();
    if pause > explained {
        return Err(world.failure(FailureKind::Stall { pause, explained }));
    }
    Ok(())
}

/// Whether nothing in the scenario can make an acknowledgment late: no queue, no swing of the delay, no packet too big
/// for a later cable, and no delay that comes near a retransmission timeout.
fn is_undisturbed(scenario: &Scenario) -> bool {
    let mtu = scenario.cables.first().map(|cable| cable.mtu);
    let is_even = scenario.cables.iter().all(|cable| {
        let is_even = |way: &netloom_impair::LinkConfig| {
            way.rate.is_none() && way.jitter.is_zero() && way.delay <= Duration::from_millis(40)
        };
        Some(cable.mtu) == mtu && cable.ways.iter().all(is_even)
    });
    scenario.weather == Weather::Clear
        && is_even
        && scenario
            .hosts
            .iter()
            .all(|host| host.tcp.delayed_ack <= Duration::from_millis(100) && !host.shards.is_late())
}

pub(super) fn report(world: &World<'_>, duration: Duration) -> Report {
    let is_broken = |end: &End| {
        matches!(
            end.outcome,
            Some(Outcome::Failed(_) | Outcome::Forgotten | Outcome::Absent | Outcome::Abandoned)
        )
    };
    let broken_count =
        world.conversations.iter().filter(|it| is_broken(&it.client) || is_broken(&it.server)).count();
    Report {
        frame_count: world.traffic.frames,
        bytes: world.traffic.bytes,
        dropped_count: LinkDrop::ALL
            .iter()
            .map(|&reason| world.link_counters().map(|counters| counters.dropped(reason)).sum::<u64>())
            .sum(),
        handover_count: (0..world.host_count())
            .flat_map(|host| world.all_shards(host))
            .map(|shards| shards.mail_tally().taken)
            .sum(),
        delivered_bytes: world.conversations.iter().map(|it| it.client.received + it.server.received).sum(),
        conversation_count: world.conversations.len() - broken_count,
        broken_count,
        duration,
    }
}
