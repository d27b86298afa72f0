//! Scenarios from seeds.
//!
//! Sizes and times are drawn so that each doubling is as likely, and every fault is absent more often than not: a run
//! with one fault shows more than one in which everything goes wrong at once.

use core::num::{NonZeroU32, NonZeroU64};
use core::time::Duration;

use netloom_base::Medium;
use netloom_stack::transport::{Congestion, EcnMode, Keepalive, SocketOptions, SynCookieMode, TcpConfig};

use super::dice::Dice;
use super::model::{
    CablePlan, Change, ConversationPlan, DatagramPlan, HostPlan, ListenerPlan, OffloadPlan, Opening, Restart,
    Scenario, ShardPlan, SteeringPlan, Weather,
};
use crate::conversation::plan::{Finish, Order, Plan, Reading};
use crate::shards::MailPlan;
use netloom_impair::LinkConfig;
use netloom_impair::Share;

/// The port that is listened on.
const PORT: u16 = 80;
/// A port that nobody listens on.
const CLOSED_PORT: u16 = 81;
/// The least MTU that a path over IPv4 has: what TCP falls back to in the end.
const LEAST_MTU: u16 = 552;

impl Scenario {
    /// Draws hosts, cables, faults and conversations.
    pub fn from_seed(seed: u64) -> Self {
        draw(seed)
    }
}

fn draw(seed: u64) -> Scenario {
    let mut dice = Dice::new(seed);
    let weather = match dice.between(0, 99) {
        0..30 => Weather::Clear,
        30..60 => Weather::Mild,
        60..88 => Weather::Rough,
        _ => Weather::Cut,
    };
    let (mut hosts, mut cables, leaves) = topology(&mut dice, weather);
    let has_ipv6 = cables.iter().all(|cable| cable.mtu >= 1280);
    let server = leaves.last().copied().unwrap_or(0);
    let accept_every = if dice.chance(10) { dice.micros(1_000, 500_000) } else { Duration::ZERO };
    let mut listeners: Vec<ListenerPlan> = leaves
        .iter()
        .map(|&host| ListenerPlan {
            host,
            port: PORT,
            backlog: dice.size(1, 128),
            fast_open: 0,
            options: options(&mut dice),
            accept_every,
        })
        .collect();
    let mut conversations = conversations(&mut dice, weather, &leaves, server, has_ipv6);
    let mut changes = changes(&mut dice, weather, &cables);
    let restarts = restarts(&mut dice, weather, &leaves);
    let mut datagrams = datagrams(&mut dice, &leaves, &cables, has_ipv6);
    // Drawn last, so that what other runs are does not depend on it.
    if dice.chance(30) {
        open_fast(&mut dice, &mut listeners, &mut conversations);
    }
    narrow(&mut dice, weather, has_ipv6, &mut cables, &mut changes);
    for options in listeners.iter_mut().map(|it| &mut it.options) {
        tell_more(&mut dice, options);
    }
    for plan in &mut conversations {
        tell_more(&mut dice, &mut plan.options);
        for plan in [&mut plan.client_plan, &mut plan.server_plan] {
            plan.is_urgent = dice.chance(5);
        }
    }
    for host in &mut hosts {
        host.shards = shards(&mut dice);
    }
    if weather == Weather::Clear && hosts.len() == 2 && dice.chance(10) {
        datagrams.clear();
        lengthen(&mut dice, &mut hosts, &mut cables, &mut listeners, &mut conversations);
    }
    Scenario {
        seed,
        weather,
        hosts,
        cables,
        has_ipv6,
        listeners,
        conversations,
        changes,
        datagrams,
        restarts,
    }
}

/// Has most conversations send data with their SYNs, once their client knows a cookie.
fn open_fast(dice: &mut Dice, listeners: &mut [ListenerPlan], conversations: &mut [ConversationPlan]) {
    for listener in listeners {
        listener.fast_open = if dice.chance(80) { dice.size(1, 32) } else { 0 };
    }
    for conversation in conversations {
        conversation.options.fast_open = dice.chance(80);
    }
}

/// Makes of a run one conversation over a long path that nothing disturbs: from a first window that is too narrow for it, with
/// buffers that may become as large as it needs.
fn lengthen(
    dice: &mut Dice,
    hosts: &mut [HostPlan],
    cables: &mut [CablePlan],
    listeners: &mut [ListenerPlan],
    conversations: &mut Vec<ConversationPlan>,
) {
    // A large transfer, for the buffers of senders, in large packets, which are fewer.
    let is_large = dice.chance(25);
    let first_window = dice.size(2_048, 1 << 17);
    for host in hosts {
        host.tcp.first_window = first_window;
        host.tcp.receive_buffer = dice.size(1 << 21, 1 << 25);
        host.tcp.send_buffer = dice.size(1 << 20, 1 << 25);
        host.tcp.window_scaling = true;
        host.tcp.max_out_of_order_ranges = TcpConfig::default().max_out_of_order_ranges;
    }
    for cable in cables {
        cable.mtu = if is_large { 9_000 } else { 1_500 };
        let delay = dice.micros(10_000, 100_000);
        // What can hold all of it drops nothing.
        let rate =
            if dice.chance(50) { NonZeroU64::new(dice.spread(50_000_000, 1_000_000_000)) } else { None };
        cable.ways = [(); 2].map(|()| LinkConfig { delay, rate, queue: 1 << 16, ..LinkConfig::default() });
    }
    let tell = |options: &mut SocketOptions| {
        (options.send_buffer, options.receive_buffer, options.user_timeout) = (None, None, None);
    };
    for listener in listeners {
        tell(&mut listener.options);
        listener.accept_every = Duration::ZERO;
    }
    conversations.truncate(1);
    for plan in conversations {
        tell(&mut plan.options);
        let largest = if is_large { 6 << 20 } else { (first_window as u64 * 64).min(1 << 20) };
        let (there, back) = (dice.between(largest / 2, largest), dice.between(0, largest));
        plan.client_plan = Plan { write_len: plan.client_plan.write_len.max(1_000), ..Plan::bulk(there) };
        plan.server_plan = Plan::bulk(if dice.chance(30) { back } else { 0 });
    }
}

/// What few sockets are told.
fn tell_more(dice: &mut Dice, options: &mut SocketOptions) {
    options.cork = dice.chance(5);
    if dice.chance(5) {
        options.user_timeout = Some(dice.micros(2_000_000, 120_000_000));
    }
    if dice.chance(10) {
        options.congestion = Some(dice.pick(Congestion::ALL, Congestion::Cubic));
    }
    for buffer in [&mut options.send_buffer, &mut options.receive_buffer] {
        if dice.chance(10) {
            *buffer = u32::try_from(dice.spread(4_096, 1 << 19)).ok();
        }
    }
}

/// Has a cable of some runs swallow packets that its ends may send: from the beginning, or from some time on.
fn narrow(
    dice: &mut Dice,
    weather: Weather,
    has_ipv6: bool,
    cables: &mut [CablePlan],
    changes: &mut Vec<Change>,
) {
    let percent = match weather {
        Weather::Clear => 0,
        Weather::Mild => 10,
        Weather::Rough => 20,
        Weather::Cut => 30,
    };
    let index = dice.index(cables.len());
    let Some(cable) = cables.get_mut(index).filter(|_| dice.chance(percent)) else { return };
    // Less is no link for IP.
    let least = if has_ipv6 { 1280 } else { LEAST_MTU };
    if cable.mtu <= least {
        return;
    }
    let mtu = u16::try_from(dice.between(least.into(), u64::from(cable.mtu) - 1)).unwrap_or(least);
    let one_way = dice.chance(30).then(|| dice.index(2));
    let set = |ways: &mut [LinkConfig; 2], mtu: Option<u16>| {
        for (number, way) in ways.iter_mut().enumerate() {
            way.mtu = mtu.filter(|_| one_way.is_none_or(|only| only == number));
        }
    };
    if weather != Weather::Cut {
        set(&mut cable.ways, Some(mtu));
        return;
    }
    let from = dice.micros(1_000, 20_000_000);
    let until = if dice.chance(50) { from + dice.micros(10_000, 60_000_000) } else { Duration::MAX };
    // What the cable does at that time but for its MTU.
    let at = |at: Duration, changes: &[Change]| {
        let earlier = changes.iter().filter(|change| change.cable == index && change.at <= at);
        let ways = earlier.max_by_key(|change| change.at).map_or(&cable.ways, |change| &change.ways);
        Change { at, cable: index, ways: ways.clone() }
    };
    let mut turns = vec![at(from, changes)];
    if until < Duration::MAX {
        turns.push(at(until, changes));
    }
    changes.extend(turns);
    for change in changes.iter_mut().filter(|it| it.cable == index && (from..until).contains(&it.at)) {
        set(&mut change.ways, Some(mtu));
    }
}

/// Hosts, cables, and which hosts talk.
fn topology(dice: &mut Dice, weather: Weather) -> (Vec<HostPlan>, Vec<CablePlan>, Vec<usize>) {
    if dice.chance(60) {
        let hosts = (0..2).map(|_| host(dice, false)).collect();
        let mtu = mtu(dice);
        return (hosts, vec![cable(dice, weather, [0, 1], mtu)], vec![0, 1]);
    }
    // A star: the first host routes between the others.
    let leaf_count = dice.index(3) + 2;
    let hosts: Vec<HostPlan> = (0..=leaf_count).map(|number| host(dice, number == 0)).collect();
    let cables = (1..=leaf_count)
        .map(|leaf| {
            let mtu = mtu(dice);
            let mut cable = cable(dice, weather, [0, leaf], mtu);
            if leaf > 1 {
                // Only one cable of a path damages: two flipped bits in one segment can pass its checksum.
                cable.ways.iter_mut().for_each(|way| way.corrupt = Share::NONE);
            }
            cable
        })
        .collect();
    (hosts, cables, (1..=leaf_count).collect())
}

fn mtu(dice: &mut Dice) -> u16 {
    if dice.chance(70) { 1500 } else { dice.pick(&[576, 1280, 1400, 1492, 4000, 9000], 1500) }
}

fn host(dice: &mut Dice, is_router: bool) -> HostPlan {
    let defaults = TcpConfig::default();
    let tcp = TcpConfig {
        max_connections: 1024,
        send_buffer: dice.size(4_096, 1 << 19),
        receive_buffer: dice.size(4_096, 1 << 19),
        max_out_of_order_ranges: dice.size(4, 256),
        time_wait: Duration::from_secs(dice.between(1, 60)),
        delayed_ack: Duration::from_millis(dice.spread(1, 500)),
        window_scaling: !dice.chance(15),
        timestamps: !dice.chance(25),
        sack: !dice.chance(20),
        pacing: !dice.chance(25),
        congestion: dice.pick(Congestion::ALL, defaults.congestion),
        ecn: dice.pick(&[EcnMode::Off, EcnMode::Accept, EcnMode::Request], defaults.ecn),
        syn_cookies: dice.pick(
            &[SynCookieMode::Off, SynCookieMode::WhenFull, SynCookieMode::WhenFull, SynCookieMode::Always],
            defaults.syn_cookies,
        ),
        ..defaults
    };
    HostPlan { tcp, is_router, offload: offload(dice, is_router), shards: ShardPlan::default() }
}

/// Several shards for some hosts.
fn shards(dice: &mut Dice) -> ShardPlan {
    if !dice.chance(25) {
        return ShardPlan::default();
    }
    let all = [SteeringPlan::InTurn, SteeringPlan::ByHash, SteeringPlan::LastWriter];
    let defaults = MailPlan::default();
    ShardPlan {
        count: u16::try_from(dice.between(2, 4)).unwrap_or(2),
        steering: dice.pick(&all, SteeringPlan::InTurn),
        mail: MailPlan {
            delay: if dice.chance(60) { defaults.delay } else { dice.micros(1, 500) },
            room: if dice.chance(80) { defaults.room } else { dice.size(1, 64) },
        },
    }
}

/// What the devices of half of all hosts do. A router's hand on what they get, segment by segment.
fn offload(dice: &mut Dice, is_router: bool) -> OffloadPlan {
    if is_router || dice.chance(50) {
        return OffloadPlan::default();
    }
    OffloadPlan {
        segmentation: dice.chance(75).then(|| dice.pick(&[8_000, 32_000, 65_535], 65_535)),
        moderation: dice
            .chance(75)
            .then(|| if dice.chance(40) { Duration::ZERO } else { dice.micros(5, 500) }),
    }
}

/// Datagrams beside the conversations of some runs.
fn datagrams(dice: &mut Dice, leaves: &[usize], cables: &[CablePlan], has_ipv6: bool) -> Vec<DatagramPlan> {
    let count = if dice.chance(20) { dice.between(1, 3) } else { 0 };
    // Two flipped bits in the fragments of one datagram can pass its checksum.
    let corrupts = cables.iter().flat_map(|it| &it.ways).any(|way| !way.corrupt.is_none());
    let smallest = cables.iter().map(|cable| usize::from(cable.mtu)).min().unwrap_or(576);
    let largest = if corrupts || dice.chance(60) { smallest - 60 } else { 12_000 };
    let flow = |_| DatagramPlan {
        client: dice.pick(leaves, 0),
        server: dice.pick(leaves, 0),
        is_ipv6: has_ipv6 && dice.chance(50),
        at: dice.micros(1, 2_000_000),
        every: dice.micros(100, 200_000),
        count: u32::try_from(dice.spread(1, 60)).unwrap_or(1),
        len: dice.size(8, largest),
    };
    (0..count).map(flow).collect()
}

fn cable(dice: &mut Dice, weather: Weather, ends: [usize; 2], mtu: u16) -> CablePlan {
    let medium = if dice.chance(75) { Medium::Ethernet } else { Medium::Ip };
    let there = way(dice, weather);
    // Most paths are alike both ways.
    let back = if dice.chance(70) { there.clone() } else { way(dice, weather) };
    CablePlan { medium, mtu, ends, ways: [there, back] }
}

fn way(dice: &mut Dice, weather: Weather) -> LinkConfig {
    let mut way = LinkConfig { delay: dice.micros(20, 100_000), ..LinkConfig::default() };
    if dice.chance(50) {
        way.rate = NonZeroU64::new(dice.spread(500_000, 1_000_000_000));
        way.queue = dice.size(8, 1_000);
        if dice.chance(30) {
            way.mark_from = Some(dice.size(2, way.queue));
        }
    }
    if dice.chance(30) {
        way.jitter = way.delay / u32::try_from(dice.between(1, 10)).unwrap_or(1);
    }
    let (loss, burst, reorder, duplicate, corrupt) = match weather {
        Weather::Clear => return way,
        Weather::Mild | Weather::Cut => (2, 1, 5, 2, 1),
        Weather::Rough => (20, 8, 30, 20, 5),
    };
    if dice.chance(60) {
        way.loss = dice.share(loss);
        way.burst =
            NonZeroU32::new(u32::try_from(dice.between(1, burst)).unwrap_or(1)).unwrap_or(NonZeroU32::MIN);
    }
    if dice.chance(35) {
        way.reorder = dice.share(reorder);
        way.reorder_by = dice.micros(100, 50_000);
    }
    if dice.chance(25) {
        way.duplicate = dice.share(duplicate);
    }
    if dice.chance(20) {
        way.corrupt = dice.share(corrupt);
    }
    way
}

fn changes(dice: &mut Dice, weather: Weather, cables: &[CablePlan]) -> Vec<Change> {
    if weather != Weather::Cut {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let mut at = Duration::ZERO;
    for _ in 0..dice.between(1, 3) {
        let index = dice.index(cables.len());
        let Some(cable) = cables.get(index) else { continue };
        at += dice.micros(1_000, 20_000_000);
        let mut cut = cable.ways.clone();
        // Some cables break one way only.
        let one_way = dice.chance(30).then(|| dice.index(2));
        for (number, way) in cut.iter_mut().enumerate() {
            way.is_partitioned = one_way.is_none_or(|only| only == number);
        }
        changes.push(Change { at, cable: index, ways: cut });
        if dice.chance(20) {
            // For good.
            break;
        }
        at += dice.micros(10_000, 60_000_000);
        changes.push(Change { at, cable: index, ways: cable.ways.clone() });
    }
    changes
}

fn restarts(dice: &mut Dice, weather: Weather, leaves: &[usize]) -> Vec<Restart> {
    if weather == Weather::Clear || !dice.chance(8) {
        return Vec::new();
    }
    let host = dice.pick(leaves, 0);
    vec![Restart { at: dice.micros(1_000, 4_000_000), host }]
}

fn options(dice: &mut Dice) -> SocketOptions {
    SocketOptions {
        nodelay: dice.chance(40),
        keepalive: dice.chance(40).then_some(Keepalive {
            idle: Duration::from_secs(dice.between(10, 60)),
            interval: Duration::from_secs(dice.between(5, 20)),
            probes: 9,
        }),
        ..SocketOptions::default()
    }
}

fn conversations(
    dice: &mut Dice,
    weather: Weather,
    leaves: &[usize],
    server: usize,
    has_ipv6: bool,
) -> Vec<ConversationPlan> {
    // A storm: many small conversations at once, for the listener's queues.
    let is_storm = dice.chance(6);
    let count = if is_storm { dice.between(20, 120) } else { dice.spread(1, 6) };
    let largest = if is_storm { 2_000 } else { largest_transfer(dice, weather) };
    let mut conversations = Vec::new();
    for _ in 0..count {
        let others: Vec<usize> = leaves.iter().copied().filter(|&leaf| leaf != server).collect();
        // Once in a while a host talks to itself.
        let client = if dice.chance(2) { server } else { dice.pick(&others, server) };
        let (client_plan, server_plan) = plans(dice, largest);
        conversations.push(ConversationPlan {
            client,
            server,
            port: if dice.chance(3) { CLOSED_PORT } else { PORT },
            opening: if client != server && dice.chance(8) {
                Opening::Simultaneous
            } else {
                Opening::Listener
            },
            is_ipv6: has_ipv6 && dice.chance(50),
            // Never all at one instant: in lockstep the same SYNs would meet the same full queue at every retry.
            at: if is_storm { dice.micros(500_000, 1_500_000) } else { dice.micros(1, 2_000_000) },
            options: options(dice),
            client_plan,
            server_plan,
        });
    }
    conversations
}

fn largest_transfer(dice: &mut Dice, weather: Weather) -> u64 {
    match weather {
        Weather::Clear | Weather::Mild if dice.chance(3) => 4 << 20,
        Weather::Clear | Weather::Mild => 200_000,
        Weather::Rough | Weather::Cut => 60_000,
    }
}

fn plans(dice: &mut Dice, largest: u64) -> (Plan, Plan) {
    let mut client = plan(dice, largest);
    let mut server = plan(dice, largest);
    match dice.between(0, 99) {
        // Both at once.
        0..30 => {}
        // One way.
        30..50 => server.outgoing = 0,
        50..65 => client.outgoing = 0,
        // Question and answer.
        65..90 => {
            let (question, answer) = (dice.spread(1, 4_000), dice.spread(1, (largest / 4).max(2)));
            let rounds = dice.spread(1, 12).min(largest / answer + 1);
            client.outgoing = question * rounds;
            server.outgoing = answer * rounds;
            client.order = Order::Turns { sends: question, awaits: answer, begins: true };
            server.order = Order::Turns { sends: answer, awaits: question, begins: false };
        }
        // Nothing at all.
        _ => {
            client.outgoing = 0;
            server.outgoing = 0;
        }
    }
    for _ in 0..usize::from(dice.chance(25)) {
        let client_ends = dice.chance(50);
        let (ending, other) = if client_ends { (&mut client, &server) } else { (&mut server, &client) };
        let received = dice.between(0, other.outgoing);
        ending.finish = match dice.between(0, 2) {
            0 => Finish::CloseWhenSent,
            1 => Finish::CloseAfter { received },
            _ => Finish::AbortAfter { received },
        };
    }
    (client, server)
}

fn plan(dice: &mut Dice, largest: u64) -> Plan {
    let outgoing = dice.spread(1, largest);
    let reading = match dice.between(0, 99) {
        0..80 => Reading::Eager,
        // Some seconds for all of it.
        80..92 => Reading::Slow {
            len: usize::try_from(largest / 50 + 1).unwrap_or(1),
            every: dice.micros(100, 400_000),
        },
        _ => Reading::Late { by: dice.micros(1_000, 60_000_000) },
    };
    Plan {
        outgoing,
        order: Order::Free,
        write_len: if dice.chance(70) {
            16_384
        } else {
            dice.size(1.max(usize::try_from(outgoing / 200).unwrap_or(1)), 16_384)
        },
        is_urgent: false,
        reading,
        finish: Finish::InOrder,
    }
}
