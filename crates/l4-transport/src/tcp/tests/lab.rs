//! One stack, and a peer that is whatever a test types.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;
use core::time::Duration;

use netloom_base::{
    DropReason, Gso, GsoKind, Instant, InterfaceId, NextHop, PathInfo, Rng, RxChecksum, RxMeta,
};
use netloom_wire::{
    CastKind, Datagram, HeadBuf, OptionTail, Protocol, SackBlocks, SeqNumber, TcpFlags, TcpHeader,
    TcpOptions, TcpSegment, TcpTimestamps,
};

use crate::tcp::*;

pub(super) const F: TcpFlags = TcpFlags::FIN;
pub(super) const S: TcpFlags = TcpFlags::SYN;
pub(super) const R: TcpFlags = TcpFlags::RST;
pub(super) const A: TcpFlags = TcpFlags::ACK;
pub(super) const P: TcpFlags = TcpFlags::PSH;
pub(super) const U: TcpFlags = TcpFlags::URG;

pub(super) const LOCAL_PORT: u16 = 80;
pub(super) const REMOTE_PORT: u16 = 40_000;
/// The peer's initial sequence number: its stream wraps soon.
pub(super) const IRS: u32 = u32::MAX - 500;
/// Without timestamps over the version that most tests use.
pub(super) const MSS: usize = 1460;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A report of one range.
pub(super) fn one_block(start: SeqNumber, end: SeqNumber) -> OptionTail {
    let mut blocks = SackBlocks::new();
    blocks.push((start, end));
    OptionTail::Sack(blocks)
}

/// A segment that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) header: TcpHeader,
    pub(super) text: Vec<u8>,
    pub(super) gso: Option<Gso>,
    pub(super) traffic_class: u8,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
}

impl Sent {
    pub(super) fn flags(&self) -> TcpFlags {
        self.header.flags
    }

    pub(super) fn sequence(&self) -> u32 {
        self.header.sequence.0
    }

    pub(super) fn acknowledgment(&self) -> u32 {
        self.header.acknowledgment.0
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}

/// Takes the next segment out of `tcp` as a device would.
pub(super) fn transmit(tcp: &mut Tcp, now: Instant) -> Option<Sent> {
    let plan = tcp.poll_transmit(now)?;
    let [first, second] = tcp.payload(&plan);
    let text = [first, second].concat();
    assert_eq!(text.len(), plan.payload.len());
    let SegmentPlan { source, destination, header, gso, traffic_class, .. } = plan;
    // [9293 MUST-65]: whatever a test makes it send.
    assert!(header.options.mss.is_none() || header.flags.contains(S), "the MSS is for SYNs only: {header:?}");
    Some(Sent { header, text, gso, traffic_class, source, destination })
}

/// Puts a segment on the wire as bytes.
pub(super) fn bytes_of(source: IpAddr, destination: IpAddr, header: &TcpHeader, text: &[u8]) -> Vec<u8> {
    let mut head = HeadBuf::new();
    header.emit(&mut head, source, destination, &[text], false);
    [head.as_slice(), text].concat()
}

/// Hands bytes in as the internet layer would.
pub(super) fn deliver(
    tcp: &mut Tcp,
    now: Instant,
    source: IpAddr,
    destination: IpAddr,
    bytes: &[u8],
    meta: RxMeta,
) -> Result<(), DropReason> {
    deliver_marked(tcp, now, (source, destination), (0, 1500), bytes, meta)
}

/// The same with a traffic class, over an interface of another MTU.
pub(super) fn deliver_marked(
    tcp: &mut Tcp,
    now: Instant,
    (source, destination): (IpAddr, IpAddr),
    (traffic_class, mtu): (u8, u16),
    bytes: &[u8],
    meta: RxMeta,
) -> Result<(), DropReason> {
    tcp.input(
        now,
        &Datagram {
            interface: InterfaceId::new(0),
            source,
            destination,
            cast: CastKind::Unicast,
            protocol: Protocol::TCP,
            hop_limit: 64,
            traffic_class,
            mtu,
            payload: bytes,
            packet: bytes,
            meta,
        },
    )
}

/// One stack.
pub(super) struct Lab {
    pub(super) tcp: Tcp,
    pub(super) now: Instant,
    pub(super) local: IpAddr,
    pub(super) remote: IpAddr,
    /// The peer's port.
    pub(super) remote_port: u16,
    /// What the peer's window field says.
    pub(super) window: u16,
}

/// An established connection, with where both ends stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) id: TcpSocketId,
    /// Our next sequence number, as the handshake left it.
    pub(super) ours: u32,
    /// The peer's.
    pub(super) theirs: u32,
}

pub(super) fn plain_config() -> TcpConfig {
    let congestion = Congestion::NewReno;
    TcpConfig { timestamps: false, window_scaling: false, sack: false, congestion, ..TcpConfig::default() }
}

impl Lab {
    /// Without timestamps and scaling: numbers are easier to read.
    pub(super) fn plain() -> Self {
        Self::new(plain_config())
    }

    pub(super) fn new(config: TcpConfig) -> Self {
        Self {
            tcp: Tcp::new(config, Rng::from_number(7)),
            now: Instant::from_millis(1_000_000),
            local: "10.0.0.2".parse().unwrap(),
            remote: "10.0.0.1".parse().unwrap(),
            remote_port: REMOTE_PORT,
            window: 65_535,
        }
    }

    pub(super) fn over_six(mut self) -> Self {
        self.local = "fd00::2".parse().unwrap();
        self.remote = "fd00::1".parse().unwrap();
        self
    }

    pub(super) fn path(&self) -> PathInfo {
        let next_hop = NextHop::Neighbor { interface: InterfaceId::new(0), address: self.remote };
        PathInfo { next_hop, source: self.local, mtu: 1500 }
    }

    pub(super) fn header(&self, flags: TcpFlags, sequence: u32, acknowledgment: u32) -> TcpHeader {
        TcpHeader {
            source_port: self.remote_port,
            destination_port: LOCAL_PORT,
            sequence: SeqNumber(sequence),
            acknowledgment: SeqNumber(acknowledgment),
            flags,
            window: self.window,
            urgent_pointer: 0,
            options: TcpOptions::default(),
        }
    }

    pub(super) fn inject_header(&mut self, header: &TcpHeader, text: &[u8]) -> Result<(), DropReason> {
        let bytes = bytes_of(self.remote, self.local, header, text);
        deliver(&mut self.tcp, self.now, self.remote, self.local, &bytes, RxMeta::default())
    }

    /// A segment from the peer.
    pub(super) fn inject(
        &mut self,
        flags: TcpFlags,
        sequence: u32,
        acknowledgment: u32,
        text: &[u8],
    ) -> Result<(), DropReason> {
        let header = self.header(flags, sequence, acknowledgment);
        self.inject_header(&header, text)
    }

    /// The same with a timestamp.
    pub(super) fn inject_stamped(
        &mut self,
        flags: TcpFlags,
        (sequence, acknowledgment): (u32, u32),
        (value, echo_reply): (u32, u32),
        text: &[u8],
    ) -> Result<(), DropReason> {
        let mut header = self.header(flags, sequence, acknowledgment);
        header.options.timestamps = Some(TcpTimestamps { value, echo_reply });
        self.inject_header(&header, text)
    }

    /// A super-segment from the peer, as GRO makes it.
    pub(super) fn inject_train(
        &mut self,
        flow: Flow,
        offset: u32,
        text: &[u8],
        part_len: u16,
    ) -> Result<(), DropReason> {
        let header = self.header(A, flow.theirs.wrapping_add(offset), flow.ours);
        let bytes = bytes_of(self.remote, self.local, &header, text);
        let segment_size = NonZeroU16::new(part_len).unwrap();
        let gso = Some(Gso { kind: GsoKind::Tcp4, segment_size, ecn: false });
        let meta = RxMeta { checksum: RxChecksum::Trusted, gso };
        deliver(&mut self.tcp, self.now, self.remote, self.local, &bytes, meta)
    }

    /// Everything that is sent now.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        let sent: Vec<Sent> = std::iter::from_fn(|| transmit(&mut self.tcp, self.now)).take(10_000).collect();
        for segment in &sent {
            // What we send parses to what was meant, and its checksum adds up.
            let bytes = bytes_of(segment.source, segment.destination, &segment.header, &segment.text);
            // [9293 MUST-2]
            assert!(TcpSegment::checksum_is_valid(&bytes, segment.source, segment.destination));
            let parsed = TcpSegment::parse(&bytes).unwrap();
            assert_eq!((parsed.header, parsed.payload), (segment.header, &segment.text[..]));
        }
        sent
    }

    /// The one segment that is sent now.
    #[track_caller]
    pub(super) fn one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "one segment expected: {sent:?}");
        sent.remove(0)
    }

    #[track_caller]
    pub(super) fn none(&mut self) {
        let sent = self.sent();
        assert!(sent.is_empty(), "nothing expected: {sent:?}");
    }

    pub(super) fn events(&mut self) -> Vec<TcpEvent> {
        std::iter::from_fn(|| self.tcp.poll_event()).take(10_000).collect()
    }

    /// Lets time pass, with everything that is due on the way.
    pub(super) fn advance(&mut self, duration: Duration) -> Vec<Sent> {
        let end = self.now + duration;
        let mut sent = self.sent();
        while let Some(deadline) = self.tcp.poll_timeout().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.tcp.handle_timeout(self.now);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }

    pub(super) fn listen(&mut self) -> TcpListenerId {
        self.listen_with(ListenOptions::default())
    }

    pub(super) fn listen_with(&mut self, options: ListenOptions) -> TcpListenerId {
        self.tcp.listen(TcpBind { address: None, port: LOCAL_PORT }, options).unwrap()
    }

    /// The peer connects with these options in its SYN.
    pub(super) fn accept_with(&mut self, options: TcpOptions) -> Flow {
        let known = self.tcp.listeners().map(|info| info.id).next();
        let listener = known.unwrap_or_else(|| self.listen());
        let syn = TcpHeader { options, ..self.header(S, IRS, 0) };
        self.inject_header(&syn, &[]).unwrap();
        let syn_ack = self.one();
        assert_eq!((syn_ack.flags(), syn_ack.acknowledgment()), (S | A, IRS.wrapping_add(1)));
        let mut ack = self.header(A, IRS.wrapping_add(1), syn_ack.sequence().wrapping_add(1));
        ack.options.timestamps = syn_ack
            .header
            .options
            .timestamps
            .map(|ours| TcpTimestamps { value: options.timestamps.unwrap().value, echo_reply: ours.value });
        self.inject_header(&ack, &[]).unwrap();
        self.none();
        let id = self.tcp.accept(listener).unwrap().id;
        Flow { id, ours: syn_ack.sequence().wrapping_add(1), theirs: IRS.wrapping_add(1) }
    }

    /// The peer connects.
    pub(super) fn accept(&mut self) -> Flow {
        self.accept_with(TcpOptions { mss: Some(1460), ..TcpOptions::default() })
    }

    pub(super) fn begin_connect(&mut self) -> TcpSocketId {
        let (remote, path) = (SocketAddr::new(self.remote, self.remote_port), self.path());
        let local = TcpBind { address: None, port: LOCAL_PORT };
        self.tcp.connect(self.now, local, &path, remote, &SocketOptions::default()).unwrap()
    }

    /// We connect; the peer answers with these options.
    pub(super) fn connect_with(&mut self, options: TcpOptions) -> Flow {
        let id = self.begin_connect();
        let syn = self.one();
        assert_eq!(syn.flags(), S);
        let header = TcpHeader { options, ..self.header(S | A, IRS, syn.sequence().wrapping_add(1)) };
        self.inject_header(&header, &[]).unwrap();
        let ack = self.one();
        assert_eq!((ack.flags(), ack.acknowledgment()), (A, IRS.wrapping_add(1)));
        Flow { id, ours: syn.sequence().wrapping_add(1), theirs: IRS.wrapping_add(1) }
    }

    pub(super) fn send(&mut self, flow: Flow, bytes: &[u8]) -> usize {
        self.tcp.send(self.now, flow.id, bytes).unwrap()
    }

    /// The peer acknowledges the first `count` bytes of our stream.
    pub(super) fn ack(&mut self, flow: Flow, count: u32) {
        self.inject(A, flow.theirs, flow.ours.wrapping_add(count), &[]).unwrap();
    }

    /// Everything that there is to read.
    pub(super) fn read(&mut self, flow: Flow) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Recv::Data(count)) = self.tcp.recv(self.now, flow.id, &mut buffer) {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    }

    pub(super) fn recv(&mut self, flow: Flow) -> Result<Recv, RecvError> {
        self.tcp.recv(self.now, flow.id, &mut [0; 4096])
    }

    pub(super) fn info(&self, flow: Flow) -> TcpInfo {
        self.tcp.info(flow.id).unwrap()
    }

    pub(super) fn state(&self, flow: Flow) -> TcpState {
        self.info(flow).state
    }
}
