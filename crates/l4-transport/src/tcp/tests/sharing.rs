//! Two flows share a bottleneck with a drop-tail queue, in virtual time. One stack sends both, so that what they get apart is
//! the queue's doing.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use netloom_base::{Instant, InterfaceId, NextHop, PathInfo, Rng, RxMeta};

use super::lab::{Sent, bytes_of, deliver, transmit};
use super::pair::with_segmentation;
use crate::tcp::*;

/// What a full packet takes at 100 Mb/s.
const PACKET_TIME: Duration = Duration::from_nanos(121_120);
/// Packets that wait at most: as many as 20 ms carry.
const QUEUE: u128 = 170;
/// When both flows begin.
const BEGIN: Instant = Instant::from_millis(50_000);

/// The way from both senders to their receivers; the way back has only the delay.
#[derive(Clone, Copy, Debug)]
struct Bottleneck {
    delay: Duration,
    /// By how much delays are longer, evenly drawn.
    swing: Duration,
}

/// A sender and its receiver.
struct Flow {
    ends: [Tcp; 2],
    ids: [Option<TcpSocketId>; 2],
    listener: TcpListenerId,
    /// What the sender's host takes from an acknowledgment to what it lets go.
    lag: Duration,
    received_len: usize,
}

/// A packet that comes somewhere.
enum Arrival {
    AtQueue { flow: usize, bytes: Vec<u8> },
    AtEnd { flow: usize, end: usize, bytes: Vec<u8> },
}

struct Dumbbell {
    now: Instant,
    bottleneck: Bottleneck,
    flows: [Flow; 2],
    wire: BTreeMap<(Instant, u64), Arrival>,
    sent_count: u64,
    /// When the queue will be empty.
    idle_at: Instant,
    /// When the last packet of each way arrives: none overtakes it.
    last_arrival: [Instant; 2],
    rng: Rng,
}

fn address(end: usize) -> IpAddr {
    [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])][end]
}

impl Flow {
    fn new(lag: Duration, rng: &mut Rng) -> Self {
        let mut ends = [(); 2].map(|()| Tcp::new(with_segmentation(TcpConfig::default()), rng.fork()));
        let bind = TcpBind { address: None, port: 80 };
        let listener = ends[1].listen(bind, ListenOptions::default()).unwrap();
        let next_hop = NextHop::Neighbor { interface: InterfaceId::new(0), address: address(1) };
        let path = PathInfo { next_hop, source: address(0), mtu: 1500 };
        let remote = SocketAddr::new(address(1), 80);
        let id = ends[0].connect(BEGIN, TcpBind::default(), &path, remote, &SocketOptions::default());
        Self { ends, ids: [Some(id.unwrap()), None], listener, lag, received_len: 0 }
    }

    /// Writes all that fits and reads all that is there.
    fn run_users(&mut self, now: Instant, buffer: &mut [u8]) {
        let [sender, receiver] = &mut self.ends;
        if let Some(id) = self.ids[0] {
            while let Ok(1..) = sender.send(now, id, buffer) {}
        }
        self.ids[1] = self.ids[1].or_else(|| receiver.accept(self.listener).map(|accepted| accepted.id));
        if let Some(id) = self.ids[1] {
            while let Ok(Recv::Data(count)) = receiver.recv(now, id, buffer) {
                self.received_len += count;
            }
        }
    }
}

impl Dumbbell {
    fn new(seed: u64, lags: [Duration; 2], bottleneck: Bottleneck) -> Self {
        let mut rng = Rng::from_number(seed);
        Self {
            now: BEGIN,
            bottleneck,
            flows: lags.map(|lag| Flow::new(lag, &mut rng)),
            wire: BTreeMap::new(),
            sent_count: 0,
            idle_at: BEGIN,
            last_arrival: [BEGIN; 2],
            rng,
        }
    }

    fn put(&mut self, at: Instant, arrival: Arrival) {
        self.sent_count += 1;
        self.wire.insert((at, self.sent_count), arrival);
    }

    /// Carries a packet to `end`, from where nothing holds it up any more.
    fn carry(&mut self, leaves: Instant, flow: usize, end: usize, bytes: Vec<u8>) {
        let Bottleneck { delay, swing } = self.bottleneck;
        let drawn = self.rng.below(u64::try_from(swing.as_nanos()).unwrap() + 1);
        let at = (leaves + delay + Duration::from_nanos(drawn)).max(self.last_arrival[end]);
        self.last_arrival[end] = at;
        self.put(at, Arrival::AtEnd { flow, end, bytes });
    }

    /// Sends a segment, cut as a device would cut it.
    fn send(&mut self, flow: usize, from: usize, sent: &Sent) {
        let part_len = sent.gso.map_or(sent.text.len(), |gso| gso.segment_size.get().into()).max(1);
        for index in 0..sent.text.len().div_ceil(part_len).max(1) {
            let start = index * part_len;
            let part = &sent.text[start..sent.text.len().min(start + part_len)];
            let mut header = sent.header;
            header.sequence += start as u32;
            let bytes = bytes_of(sent.source, sent.destination, &header, part);
            match from {
                0 => self.put(self.now + self.flows[flow].lag, Arrival::AtQueue { flow, bytes }),
                _ => self.carry(self.now, flow, 0, bytes),
            }
        }
    }

    fn enqueue(&mut self, flow: usize, bytes: Vec<u8>) {
        let waiting = self.idle_at.saturating_since(self.now).as_nanos().div_ceil(PACKET_TIME.as_nanos());
        if waiting >= QUEUE {
            return;
        }
        self.idle_at = self.idle_at.max(self.now) + PACKET_TIME;
        self.carry(self.idle_at, flow, 1, bytes);
    }

    /// Lets everybody do what there is to do now.
    fn settle(&mut self, buffer: &mut [u8]) {
        for flow in 0..2 {
            self.flows[flow].run_users(self.now, buffer);
            for end in 0..2 {
                while let Some(sent) = transmit(&mut self.flows[flow].ends[end], self.now) {
                    self.send(flow, end, &sent);
                }
                let tcp = &mut self.flows[flow].ends[end];
                while tcp.poll_event().is_some() {}
                while tcp.poll_advice().is_some() {}
            }
        }
    }

    fn run(&mut self, duration: Duration) {
        let mut buffer = vec![7; 1 << 16];
        while self.now < BEGIN + duration {
            self.settle(&mut buffer);
            let arrival = self.wire.keys().next().map(|&(at, _)| at);
            let timers = self.flows.iter().flat_map(|flow| flow.ends.iter().filter_map(Tcp::poll_timeout));
            self.now = self.now.max(timers.chain(arrival).min().unwrap());
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                match entry.remove() {
                    Arrival::AtQueue { flow, bytes } => self.enqueue(flow, bytes),
                    Arrival::AtEnd { flow, end, bytes } => {
                        let tcp = &mut self.flows[flow].ends[end];
                        let (from, to) = (address(1 - end), address(end));
                        deliver(tcp, self.now, from, to, &bytes, RxMeta::default()).unwrap();
                    }
                }
            }
            for end in self.flows.iter_mut().flat_map(|flow| &mut flow.ends) {
                if end.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                    end.handle_timeout(self.now);
                }
            }
        }
    }
}

/// The shares of two flows over `bottleneck` whose first sender is later than the other by less than a packet takes, in
/// percent of the whole.
fn share(seed: u64, bottleneck: Bottleneck) -> [usize; 2] {
    let mut dumbbell = Dumbbell::new(seed, [Duration::from_micros(35), Duration::ZERO], bottleneck);
    dumbbell.run(Duration::from_secs(20));
    let received = dumbbell.flows.each_ref().map(|flow| flow.received_len);
    let whole: usize = received.iter().sum();
    let most = Duration::from_secs(20).as_nanos() / PACKET_TIME.as_nanos() * 1448;
    assert!(whole as u128 * 100 > most * 98, "the bottleneck was idle: {whole} of {most} bytes");
    received.map(|len| (len * 100 + whole / 2) / whole)
}

#[test]
fn flows_share_evenly_unless_acknowledgments_are_in_step_with_the_queue() {
    let exact = |micros| Bottleneck { delay: Duration::from_micros(micros), swing: Duration::ZERO };
    // The first one's packets come just after a departure from the queue, the other's just before it.
    let shares = share(1, exact(10_045));
    assert!(shares[0] >= 2 * shares[1], "{shares:?}");
    // Both come between the same two departures.
    let shares = share(1, exact(10_010));
    assert!(shares.iter().all(|share| (40..=60).contains(share)), "{shares:?}");
    // Nobody is in step where delays swing by what a packet takes.
    let swinging = Bottleneck { swing: PACKET_TIME, ..exact(9_985) };
    let sums = (1..=3).map(|seed| share(seed, swinging)).fold([0; 2], |[a, b], [c, d]| [a + c, b + d]);
    assert!(sums.iter().all(|sum| (3 * 40..=3 * 60).contains(sum)), "{sums:?}");
}
