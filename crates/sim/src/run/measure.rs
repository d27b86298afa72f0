//! What is measured and not only seen: how long transfers take, how much is sent again, how many datagrams come back.

use core::time::Duration;

use netloom_base::DropReason;
use netloom_stack::transport::RetransmitCause;

use super::growth;
use crate::conversation::Side;
use crate::conversation::end::{End, Outcome};
use crate::conversation::plan::{Finish, Order, Reading};
use crate::failure::{Failure, FailureKind};
use crate::scenario::{ConversationPlan, Scenario, ShardPlan, Weather};
use crate::world::World;

/// How many times its least time a transfer may take, and what it may take besides.
const TIMES_IDEAL: u32 = 2;
const BESIDES: Duration = Duration::from_millis(500);
/// How many segments may be sent again for each frame that was lost, refused or came late, and besides for each conversation and
/// for the run: tails, answers that were long in coming, and flights that are sent again whole where there is no SACK.
const REPAIRS_FOR_ONE: u64 = 3;
/// The same where one of the two says little: without SACK a flight is sent again whole, and without timestamps a late
/// original looks like the arrival of its repair, so that RACK takes all that left before the repair for lost.
const REPAIRS_UNSURE: u64 = 8;
const REPAIRS_EACH: u64 = 10;
const REPAIRS_BESIDES: u64 = 60;
/// Header bytes of a segment, with all that stands before it.
const HEADERS_LEN: u64 = 110;
/// What a packet of a host to itself, which crosses no cable, may be as long as.
const LOCAL_MTU: u16 = u16::MAX;
/// How long a cork holds back at most.
pub(super) const CORK_TIME: Duration = Duration::from_millis(200);
/// Segments that a first flight has at least.
const FIRST_FLIGHT: u64 = 4;

/// Causes of what is sent again because it seems to be lost.
const REPAIRS: &[RetransmitCause] = &[
    RetransmitCause::Timeout,
    RetransmitCause::FastRetransmit,
    RetransmitCause::Rack,
    RetransmitCause::LossProbe,
    RetransmitCause::PartialAck,
];
/// Those of them that only reordering or a loss gives rise to, however long a round trip takes.
const NEEDS_DISORDER: &[RetransmitCause] =
    &[RetransmitCause::FastRetransmit, RetransmitCause::Rack, RetransmitCause::PartialAck];

/// Those that ask, when an answer is long in coming, and put something on the wire twice.
const PROBES: &[RetransmitCause] = &[RetransmitCause::Timeout, RetransmitCause::LossProbe];

/// What the cables did to frames, all together.
struct Disturbance {
    lost: u64,
    disordered: u64,
    marked: u64,
}

impl Disturbance {
    fn of(world: &World<'_>) -> Self {
        let mut sum = Self { lost: 0, disordered: 0, marked: 0 };
        for counters in world.link_counters() {
            sum.lost += counters.dropped_total() + counters.corrupted.get();
            sum.disordered += counters.reordered.get() + counters.duplicated.get();
            sum.marked += counters.marked.get();
        }
        sum.lost += world.refused_count();
        sum.disordered += world.overtaken_count();
        sum
    }
}

pub(super) fn check(scenario: &Scenario, world: &mut World<'_>) -> Result<(), Failure> {
    let disturbance = Disturbance::of(world);
    let is_even = is_even(scenario) && disturbance.lost == 0 && !has_dropped(world);
    check_amount(scenario, world, &disturbance)?;
    if is_even {
        // A queue that grows faster than the timer follows is probed, and what comes of that looks like disorder.
        if sent_again(world, PROBES) == 0 && disturbance.disordered == 0 {
            check_order(world)?;
        }
        check_datagrams(world)?;
        if disturbance.marked == 0 && disturbance.disordered == 0 {
            check_times(scenario, world)?;
            growth::check(scenario, world)?;
        }
    }
    Ok(())
}

/// Whether every cable is a queue with an even delay, and takes the packets of every other.
fn is_even(scenario: &Scenario) -> bool {
    let mtu = scenario.cables.first().map(|cable| cable.mtu);
    let mut ways = scenario.cables.iter().flat_map(|cable| &cable.ways);
    scenario.weather == Weather::Clear
        && scenario.cables.iter().all(|cable| Some(cable.mtu) == mtu)
        && ways.all(|way| way.jitter.is_zero())
}

/// What a stack drops for want of room: something that might be missed.
const FOR_WANT_OF_ROOM: &[DropReason] = &[
    DropReason::NeighborQueueFull,
    DropReason::NeighborUnreachable,
    DropReason::NeighborCacheFull,
    DropReason::IpPacketTooBig,
    DropReason::FragmentTimeout,
    DropReason::FragmentLimit,
    DropReason::TcpSynQueueFull,
    DropReason::TcpAcceptQueueFull,
    DropReason::TcpTableFull,
    DropReason::TcpReceiveBufferFull,
    DropReason::UdpQueueFull,
    DropReason::TransmitQueueFull,
    DropReason::HandoverFull,
];

/// Whether a stack has dropped something that might be missed.
pub(super) fn has_dropped(world: &World<'_>) -> bool {
    (0..world.host_count()).any(|host| world.dropped(host, FOR_WANT_OF_ROOM) > 0)
}

fn sent_again(world: &mut World<'_>, causes: &[RetransmitCause]) -> u64 {
    (0..world.host_count())
        .flat_map(|host| world.tcp_counters(host))
        .map(|counters| causes.iter().map(|&cause| counters.retransmits(cause)).sum::<u64>())
        .sum()
}

/// Checks that nothing was taken for lost in a queue that neither loses nor reorders.
fn check_order(world: &mut World<'_>) -> Result<(), Failure> {
    for host in 0..world.host_count() {
        let counters = world.tcp_counters(host);
        for &cause in NEEDS_DISORDER {
            let count = counters.iter().map(|it| it.retransmits(cause)).sum();
            if count > 0 {
                return Err(world.failure(FailureKind::NeedlessRetransmission { host, cause, count }));
            }
        }
    }
    Ok(())
}

/// Checks that what was sent again is in proportion to what went wrong.
fn check_amount(
    scenario: &Scenario,
    world: &mut World<'_>,
    disturbance: &Disturbance,
) -> Result<(), Failure> {
    let count = sent_again(world, REPAIRS);
    // What a receiver has no room for, or no range left, was sent for nothing, too.
    let refused = (0..world.host_count()).map(|host| world.dropped(host, FOR_WANT_OF_ROOM)).sum::<u64>();
    let wrong = disturbance.lost + disturbance.disordered + refused;
    let conversations = scenario.conversations.len() as u64;
    let tells_all = scenario.hosts.iter().all(|host| host.is_router || host.tcp.sack && host.tcp.timestamps);
    let for_one = if tells_all { REPAIRS_FOR_ONE } else { REPAIRS_UNSURE };
    let explained = REPAIRS_BESIDES + REPAIRS_EACH * conversations + for_one * wrong;
    if count > explained {
        let causes = REPAIRS.iter().map(|&cause| (cause, sent_again(world, &[cause]))).collect();
        return Err(world.failure(FailureKind::TooManyRetransmissions { count, explained, causes }));
    }
    Ok(())
}

fn check_datagrams(world: &World<'_>) -> Result<(), Failure> {
    for (flow, it) in world.flows().iter().enumerate() {
        let count = it.returned.iter().filter(|&&count| count != 1).count();
        if count > 0 {
            return Err(world.failure(FailureKind::DatagramCount { flow, count }));
        }
    }
    Ok(())
}

/// Checks that each transfer between two hosts, or of one with itself, took about as long as its cable, its windows and
/// slow start need.
fn check_times(scenario: &Scenario, world: &World<'_>) -> Result<(), Failure> {
    let [_, _] = scenario.hosts.as_slice() else { return Ok(()) };
    if !scenario.restarts.is_empty() || scenario.listeners.iter().any(|it| !it.accept_every.is_zero()) {
        return Ok(());
    }
    let all = scenario.conversations.iter().map(|it| it.client_plan.outgoing + it.server_plan.outgoing);
    let datagrams = scenario.datagrams.iter().map(|it| 2 * u64::from(it.count) * it.len as u64);
    let all = all.chain(datagrams).sum::<u64>();
    for (number, (plan, talk)) in scenario.conversations.iter().zip(&world.conversations).enumerate() {
        let (Some(over), true) = (over_at(&talk.client, &talk.server), is_plain(plan)) else { continue };
        let took = over.saturating_sub(plan.at);
        let explained = ideal(scenario, number, plan, all) * TIMES_IDEAL + BESIDES;
        if took > explained {
            return Err(world.failure(FailureKind::Slow { conversation: number, took, explained }));
        }
    }
    Ok(())
}

/// When both ends were done as they meant to, after the beginning.
fn over_at(client: &End, server: &End) -> Option<Duration> {
    let is_done = |end: &End| end.outcome == Some(Outcome::Closed { has_read_all: true });
    let both = client.over_at.zip(server.over_at).filter(|_| is_done(client) && is_done(server))?;
    Some(both.0.max(both.1).saturating_since(netloom_base::Instant::ZERO))
}

/// Whether both ends send at once, read at once, and end in order.
fn is_plain(plan: &ConversationPlan) -> bool {
    [&plan.client_plan, &plan.server_plan]
        .into_iter()
        .all(|it| it.reading == Reading::Eager && it.order == Order::Free && it.finish == Finish::InOrder)
}

/// The least time of a transfer where `all` bytes cross the same cable: on the wire, in round trips that a window needs,
/// and in round trips until the window is there. That of a host with itself only waits for acknowledgments.
fn ideal(scenario: &Scenario, number: usize, plan: &ConversationPlan, all: u64) -> Duration {
    let (Some(cable), Some(one), Some(other)) =
        (scenario.cables.first(), scenario.hosts.get(plan.client), scenario.hosts.get(plan.server))
    else {
        return Duration::MAX;
    };
    let is_local = plan.client == plan.server;
    let mtu = if is_local { LOCAL_MTU } else { cable.mtu };
    let mss = u64::from(mtu).saturating_sub(HEADERS_LEN).max(400);
    let wire_len = all + all.div_ceil(mss) * 2 * HEADERS_LEN;
    let rate = cable.ways.iter().filter_map(|way| way.rate).min();
    let on_wire = rate.map_or(0.0, |rate| wire_len as f64 * 8.0 / rate.get() as f64);
    let moderation: Duration = [one, other].iter().filter_map(|it| it.offload.moderation).sum();
    let delay: Duration = cable.ways.iter().map(|way| way.delay).sum();
    let mail: Duration =
        [one, other].iter().map(|it| it.shards).filter(ShardPlan::is_late).map(|it| it.mail.delay).sum();
    let round_trip = (delay + moderation + mail).as_secs_f64();
    // The first bytes meet whole queues of others.
    let told =
        [Side::Client, Side::Server].map(|side| scenario.options(number, side).copied().unwrap_or_default());
    let buffer = |told: Option<u32>, default: usize| told.map_or(default, |len| len as usize);
    let window = [one, other].into_iter().zip(&told).map(|(host, told)| {
        let sends = buffer(told.send_buffer, host.tcp.send_buffer);
        sends.min(buffer(told.receive_buffer, host.tcp.receive_buffer))
    });
    let window = window.min();
    let limit = if growth::may_scale(one, other) { usize::MAX } else { 65_535 };
    let window = window.unwrap_or(0).min(limit) as f64;
    let largest = plan.client_plan.outgoing.max(plan.server_plan.outgoing);
    let full_windows = largest as f64 / window;
    let narrowest = one.tcp.first_window.min(other.tcp.first_window) as u64;
    let doublings = (largest / narrowest.min(FIRST_FLIGHT * mss).max(1) + 1).ilog2();
    // A neighbour, the handshake, the end.
    let rounds = full_windows + f64::from(doublings) + 4.0;
    let held_back = [one, other].iter().map(|it| it.tcp.delayed_ack).max().unwrap_or_default();
    // A window of few segments is acknowledged late each time.
    let waits = if window < 8.0 * mss as f64 { full_windows + 2.0 } else { 2.0 };
    // What does not fill a segment waits for as long.
    let cork = if told.iter().any(|told| told.cork) { CORK_TIME } else { Duration::ZERO };
    let late = (held_back.min(Duration::from_millis(200)) + cork).as_secs_f64() * waits;
    let on_way = if is_local { 0.0 } else { on_wire + round_trip * rounds };
    Duration::try_from_secs_f64(on_way + late).unwrap_or(Duration::MAX)
}
