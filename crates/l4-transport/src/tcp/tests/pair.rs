//! Two stacks on a link with faults, in virtual time; the oracle is that every byte arrives, once and in order.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use netloom_base::{DropReason, Instant, InterfaceId, NextHop, PathInfo, Rng, RxChecksum, RxMeta};
use netloom_wire::ip_header_len;

use super::lab::{Sent, bytes_of, deliver_marked, ms, transmit};
use crate::tcp::*;

/// What a link does to packets; shares are of a thousand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    pub(super) loss: u64,
    pub(super) duplicate: u64,
    pub(super) reorder: u64,
    pub(super) corrupt: u64,
    /// Of those packets that may be marked instead of dropped, how many are.
    pub(super) mark: u64,
    pub(super) delay: Duration,
    /// By how much a reordered packet is late, at most.
    pub(super) late: Duration,
    /// Bytes a second that each direction carries, with a queue without end; 0: any number.
    pub(super) rate: u64,
    /// The largest IP packet that it carries; larger ones vanish.
    pub(super) path_mtu: u16,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            loss: 0,
            duplicate: 0,
            reorder: 0,
            corrupt: 0,
            mark: 0,
            delay: ms(10),
            late: ms(30),
            rate: 0,
            path_mtu: u16::MAX,
        }
    }
}

/// What a user does with its end.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) to_send: Vec<u8>,
    /// The most that it writes before what that lets go has left, and how often it does until something else happens.
    pub(super) write_len: usize,
    pub(super) write_count: u32,
    /// Whether it shuts writing down when all is written, and closes after the peer's end; otherwise it closes only
    /// after both.
    pub(super) half_closes: bool,
    /// The most that it reads at once, and how long it waits then.
    pub(super) read_len: usize,
    pub(super) read_pause: Duration,
}

impl Script {
    pub(super) fn sending(to_send: Vec<u8>) -> Self {
        Self {
            to_send,
            write_len: usize::MAX,
            write_count: u32::MAX,
            half_closes: true,
            read_len: 100_000,
            read_pause: Duration::ZERO,
        }
    }
}

/// One stack and its user.
pub(super) struct Side {
    pub(super) tcp: Tcp,
    pub(super) address: IpAddr,
    pub(super) id: Option<TcpSocketId>,
    pub(super) listener: Option<TcpListenerId>,
    pub(super) script: Script,
    written: usize,
    /// Writes since something else happened.
    write_count: u32,
    pub(super) received: Vec<u8>,
    next_read: Instant,
    has_shut: bool,
    pub(super) has_end: bool,
    pub(super) is_closed: bool,
    pub(super) failure: Option<TcpError>,
}

/// A packet on its way: to which side, as what, with which traffic class.
type Arrival = (usize, Vec<u8>, RxMeta, u8);

pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) sides: [Side; 2],
    pub(super) faults: Faults,
    rng: Rng,
    /// Packets on their way, by when they arrive and in which order they left: to which side, as what.
    wire: BTreeMap<(Instant, u64), Arrival>,
    sent_count: u64,
    /// When each side's direction has carried what was sent.
    idle_at: [Instant; 2],
    /// Whether super-segments arrive whole, as over a device that merges.
    pub(super) merges: bool,
    pub(super) drops: Vec<DropReason>,
    pub(super) mtu: u16,
    /// Whether data may go with SYNs.
    pub(super) fast_open: bool,
    seed: u64,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the run's seed is {}", self.seed);
        }
    }
}

pub(super) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Rng::from_number(seed).fill(&mut bytes);
    bytes
}

impl Side {
    fn new(tcp: Tcp, address: &str, script: Script) -> Self {
        Self {
            tcp,
            address: address.parse().unwrap(),
            id: None,
            listener: None,
            script,
            written: 0,
            write_count: 0,
            received: Vec::new(),
            next_read: Instant::ZERO,
            has_shut: false,
            has_end: false,
            is_closed: false,
            failure: None,
        }
    }

    /// Lets the user do what it can; whether that was anything.
    fn run_user(&mut self, now: Instant) -> bool {
        if let (None, Some(listener)) = (self.id, self.listener) {
            self.id = self.tcp.accept(listener).map(|accepted| accepted.id);
        }
        let Some(id) = self.id.filter(|_| !self.is_closed) else { return false };
        let mut did = self.write(now, id);
        did |= self.read(now, id);
        if let Some(error) = self.tcp.error(id) {
            self.failure = Some(error);
        }
        let is_done = self.has_end && self.written == self.script.to_send.len();
        if is_done || self.failure.is_some() {
            self.tcp.close(now, id);
            self.is_closed = true;
            return true;
        }
        did
    }

    fn write(&mut self, now: Instant, id: TcpSocketId) -> bool {
        let rest = &self.script.to_send[self.written..];
        let rest = &rest[..rest.len().min(self.script.write_len)];
        let mut did = false;
        if !rest.is_empty()
            && self.write_count < self.script.write_count
            && let Ok(count @ 1..) = self.tcp.send(now, id, rest)
        {
            self.written += count;
            self.write_count += 1;
            did = true;
        }
        if self.written == self.script.to_send.len() && self.script.half_closes && !self.has_shut {
            self.has_shut = true;
            let _ = self.tcp.shutdown_write(now, id);
            did = true;
        }
        did
    }

    fn read(&mut self, now: Instant, id: TcpSocketId) -> bool {
        if now < self.next_read || self.has_end {
            return false;
        }
        let mut buffer = vec![0; self.script.read_len];
        match self.tcp.recv(now, id, &mut buffer) {
            Ok(Recv::Data(count)) => {
                self.received.extend_from_slice(&buffer[..count]);
                self.next_read = now + self.script.read_pause;
                true
            }
            Ok(Recv::EndOfStream) => {
                self.has_end = true;
                true
            }
            Ok(Recv::WouldBlock) | Err(_) => false,
        }
    }
}

impl Pair {
    /// Side 0 connects to side 1.
    pub(super) fn new(seed: u64, configs: [TcpConfig; 2], scripts: [Script; 2]) -> Self {
        let mut rng = Rng::from_number(seed);
        let [config_a, config_b] = configs;
        let [script_a, script_b] = scripts;
        let a = Side::new(Tcp::new(config_a, rng.fork()), "10.0.0.1", script_a);
        let b = Side::new(Tcp::new(config_b, rng.fork()), "10.0.0.2", script_b);
        Self {
            now: Instant::from_millis(50_000),
            sides: [a, b],
            faults: Faults::default(),
            rng,
            wire: BTreeMap::new(),
            sent_count: 0,
            idle_at: [Instant::ZERO; 2],
            merges: false,
            drops: Vec::new(),
            mtu: 1500,
            fast_open: false,
            seed,
        }
    }

    /// The same over IPv6.
    pub(super) fn over_six(mut self) -> Self {
        for (side, address) in self.sides.iter_mut().zip(["fd00::1", "fd00::2"]) {
            side.address = address.parse().unwrap();
        }
        self
    }

    pub(super) fn path(&self, from: usize) -> PathInfo {
        let next_hop =
            NextHop::Neighbor { interface: InterfaceId::new(0), address: self.sides[1 - from].address };
        PathInfo { next_hop, source: self.sides[from].address, mtu: self.mtu }
    }

    pub(super) fn open(&mut self) {
        let bind = TcpBind { address: None, port: 80 };
        let options =
            ListenOptions { fast_open: usize::from(self.fast_open) * 16, ..ListenOptions::default() };
        self.sides[1].listener = Some(self.sides[1].tcp.listen(bind, options).unwrap());
        self.connect();
    }

    fn connect(&mut self) {
        let (path, remote) = (self.path(0), SocketAddr::new(self.sides[1].address, 80));
        let options = SocketOptions { fast_open: self.fast_open, ..SocketOptions::default() };
        let id = self.sides[0].tcp.connect(self.now, TcpBind::default(), &path, remote, &options);
        self.sides[0].id = Some(id.unwrap());
    }

    /// Opens another connection, with other users.
    pub(super) fn open_again(&mut self, scripts: [Script; 2]) {
        for (side, script) in self.sides.iter_mut().zip(scripts) {
            (side.script, side.id, side.received, side.written) = (script, None, Vec::new(), 0);
            (side.has_shut, side.has_end, side.is_closed, side.failure) = (false, false, false, None);
        }
        self.connect();
    }

    fn chance(&mut self, share: u64) -> bool {
        self.rng.below(1000) < share
    }

    /// Puts a segment on the wire, cut as the device would cut it.
    fn carry(&mut self, to: usize, sent: &Sent) {
        let Some(gso) = sent.gso.filter(|_| !self.merges) else {
            let meta = RxMeta { checksum: RxChecksum::Unknown, gso: sent.gso };
            return self.carry_packet(
                to,
                bytes_of(sent.source, sent.destination, &sent.header, &sent.text),
                meta,
                sent.traffic_class,
            );
        };
        let part_len = usize::from(gso.segment_size.get());
        let parts = sent.text.len().div_ceil(part_len);
        for (index, part) in sent.text.chunks(part_len).enumerate() {
            let mut header = sent.header;
            header.sequence += u32::try_from(index * part_len).unwrap();
            if index + 1 < parts {
                header.flags =
                    header.flags.without(netloom_wire::TcpFlags::FIN | netloom_wire::TcpFlags::PSH);
            }
            if index > 0 && gso.ecn {
                header.flags = header.flags.without(netloom_wire::TcpFlags::CWR);
            }
            let bytes = bytes_of(sent.source, sent.destination, &header, part);
            self.carry_packet(to, bytes, RxMeta::default(), sent.traffic_class);
        }
    }

    fn carry_packet(&mut self, to: usize, mut bytes: Vec<u8>, meta: RxMeta, traffic_class: u8) {
        let text_len = bytes.len() - usize::from(bytes[12] >> 4) * 4;
        let part_len = meta.gso.map_or(text_len, |gso| text_len.min(gso.segment_size.get().into()));
        let packet_len =
            bytes.len() - text_len + part_len + usize::from(ip_header_len(self.sides[to].address));
        assert!(packet_len <= usize::from(self.mtu), "a packet fits its link");
        let Faults { loss, duplicate, reorder, corrupt, mark, delay, late, rate, path_mtu } = self.faults;
        if self.chance(loss) || packet_len > usize::from(path_mtu) {
            return;
        }
        let is_marked = traffic_class & 3 != 0 && self.chance(mark);
        let traffic_class = if is_marked { traffic_class | 3 } else { traffic_class };
        let copies = 1 + u64::from(self.chance(duplicate));
        if self.chance(corrupt) {
            let at = usize::try_from(self.rng.below(bytes.len() as u64)).unwrap();
            bytes[at] ^= 1 << self.rng.below(8);
        }
        let mut leaves = self.now;
        if let Some(nanos) = (bytes.len() as u64 * 1_000_000_000).checked_div(rate) {
            leaves = leaves.max(self.idle_at[to]) + Duration::from_nanos(nanos);
            self.idle_at[to] = leaves;
        }
        for _ in 0..copies {
            let mut arrives = leaves + delay;
            if self.chance(reorder) {
                arrives += Duration::from_nanos(self.rng.below(late.as_nanos() as u64));
            }
            self.sent_count += 1;
            self.wire.insert((arrives, self.sent_count), (to, bytes.clone(), meta, traffic_class));
        }
    }

    /// Users and stacks do what they can at this moment.
    pub(super) fn settle(&mut self) {
        self.sides.iter_mut().for_each(|side| side.write_count = 0);
        loop {
            let mut did = false;
            for side in 0..2 {
                did |= self.sides[side].run_user(self.now);
                while let Some(sent) = transmit(&mut self.sides[side].tcp, self.now) {
                    self.carry(1 - side, &sent);
                    did = true;
                }
                while self.sides[side].tcp.poll_event().is_some() {}
                while self.sides[side].tcp.poll_advice().is_some() {}
            }
            if !did && !self.end_rounds() {
                return;
            }
        }
    }

    /// Nobody goes on by itself: the round is over. Whether somebody waited for that.
    fn end_rounds(&mut self) -> bool {
        let now = self.now;
        let mut has_waited = false;
        for side in self.sides.iter_mut().filter(|side| side.tcp.awaits_round()) {
            side.tcp.end_round(now);
            has_waited = true;
        }
        has_waited
    }

    /// Goes on to the next thing that happens; `false` if nothing ever will.
    pub(super) fn step(&mut self) -> bool {
        self.settle();
        let arrival = self.wire.keys().next().map(|&(at, _)| at);
        let timers = self.sides.iter().filter_map(|side| side.tcp.poll_timeout());
        let readers = self
            .sides
            .iter()
            .filter(|side| side.next_read > self.now && side.id.is_some() && !side.is_closed && !side.has_end)
            .map(|side| side.next_read);
        let Some(next) = arrival.into_iter().chain(timers).chain(readers).min() else { return false };
        self.now = self.now.max(next);
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, bytes, meta, traffic_class) = entry.remove();
            let ends = (self.sides[1 - to].address, self.sides[to].address);
            let marks = (traffic_class, self.mtu);
            let result = deliver_marked(&mut self.sides[to].tcp, self.now, ends, marks, &bytes, meta);
            self.drops.extend(result.err());
        }
        for side in &mut self.sides {
            if side.tcp.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                side.tcp.handle_timeout(self.now);
            }
        }
        true
    }

    /// Runs until nothing happens any more, but no longer than `limit`.
    #[track_caller]
    pub(super) fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        let mut steps = 0u64;
        while self.step() {
            steps += 1;
            assert!(
                self.now <= end,
                "not done after {limit:?}: {:?}",
                self.sides.each_ref().map(|side| {
                    (
                        side.received.len(),
                        side.written,
                        side.has_end,
                        side.is_closed,
                        side.tcp.connections().next(),
                    )
                })
            );
            assert!(steps < 20_000_000, "too many steps without an end");
        }
    }

    /// Runs to the end and checks that everything arrived and nothing is left.
    #[track_caller]
    pub(super) fn run_and_check(&mut self, limit: Duration) {
        self.run(limit);
        for (from, to) in [(0, 1), (1, 0)] {
            let (sent, received) = (&self.sides[from].script.to_send, &self.sides[to].received);
            let outcomes = self.sides.each_ref().map(|side| (side.failure, side.tcp.counters()));
            assert_eq!(
                received.len(),
                sent.len(),
                "bytes from {from} to {to} at {}: {outcomes:#?}",
                self.now
            );
            assert!(received == sent, "bytes from {from} to {to} differ");
            assert_eq!(self.sides[from].failure, None, "side {from}");
            assert!(self.sides[from].has_end && self.sides[from].is_closed, "side {from} is done");
        }
        self.assert_nothing_left();
    }

    #[track_caller]
    pub(super) fn assert_nothing_left(&self) {
        for side in &self.sides {
            let listeners = usize::from(side.listener.is_some());
            assert_eq!(side.tcp.usage(), TcpUsage { listeners, ..TcpUsage::default() });
        }
    }
}

/// Every super-segment that a device could be asked for.
pub(super) fn with_segmentation(mut config: TcpConfig) -> TcpConfig {
    let limits = TxSegmentation { tcp4: Some(65_535), tcp6: Some(65_535) };
    config.tx_segmentation = limits;
    config
}
