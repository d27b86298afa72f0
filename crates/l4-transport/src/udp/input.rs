//! What comes to UDP from below: datagrams, and ICMP errors about what it sent.

use core::net::SocketAddr;

use netloom_base::{DropReason, Instant, RxChecksum};
use netloom_wire::{CastKind, Datagram, IcmpError, IcmpErrorKind, UdpDatagram};

use super::error::UdpSocketError;
use super::id::UdpSocketId;
use super::layer::Udp;
use super::socket::{Incoming, UdpIcmpReport, UdpReceived, cost_of};

impl Udp {
    /// Takes a datagram from the internet layer and queues it for its socket, or for every socket that it is for. Drain
    /// [`poll_event`](Self::poll_event) afterwards.
    ///
    /// # Errors
    /// With the reason if nobody got it. After [`DropReason::UdpNoSocket`] the caller answers "port unreachable" if
    /// ICMP's rules let it. `[1122-U001]`
    pub fn input(&mut self, _now: Instant, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        // [768-01]
        let udp = UdpDatagram::parse(datagram.payload).map_err(|_| DropReason::UdpTruncated)?;
        // [1122-U006] [1122-U007] [768-02] [8200-21] [8200-22]
        let is_sound = match datagram.meta.checksum {
            RxChecksum::Trusted => true,
            RxChecksum::Unknown => udp.checksum_is_acceptable(datagram.source, datagram.destination),
        };
        if !is_sound {
            return Err(DropReason::UdpBadChecksum);
        }
        // [1122-U015]
        if datagram.source.is_multicast() {
            return Err(DropReason::IpBadSource);
        }
        let about = UdpReceived {
            len: udp.payload.len(),
            remote: SocketAddr::new(datagram.source, udp.header.source_port),
            local: SocketAddr::new(datagram.destination, udp.header.destination_port),
            interface: datagram.interface,
            hop_limit: datagram.hop_limit,
            traffic_class: datagram.traffic_class,
        };
        let train = datagram.meta.gso.map_or(udp.payload.len(), |gso| usize::from(gso.segment_size.get()));
        match datagram.cast {
            CastKind::Unicast => self.deliver_unicast(about, udp.payload, train),
            CastKind::Broadcast | CastKind::Multicast => {
                self.deliver_to_all(about, udp.payload, train, datagram.cast)
            }
        }
    }

    fn deliver_unicast(&mut self, about: UdpReceived, data: &[u8], train: usize) -> Result<(), DropReason> {
        let UdpReceived { local, remote, .. } = about;
        let id = self.demux.unicast(local.ip(), local.port(), remote).ok_or(DropReason::UdpNoSocket)?;
        self.deliver(id, about, data, train)
    }

    fn deliver_to_all(
        &mut self,
        about: UdpReceived,
        data: &[u8],
        train: usize,
        cast: CastKind,
    ) -> Result<(), DropReason> {
        let UdpReceived { local, remote, interface, .. } = about;
        let is_for = |id: &UdpSocketId| match cast {
            CastKind::Unicast | CastKind::Broadcast => true,
            CastKind::Multicast => {
                self.sockets.get(id.0).is_some_and(|socket| socket.is_member(local.ip(), interface))
            }
        };
        let ids: Vec<UdpSocketId> =
            self.demux.group(local.ip(), local.port(), remote).filter(is_for).collect();
        let mut result = Err(DropReason::UdpNoSocket);
        for id in ids {
            let delivered = self.deliver(id, about, data, train);
            result = result.or(delivered);
        }
        result
    }

    /// Queues the datagram, or each of a train of them that a device has glued together.
    fn deliver(
        &mut self,
        id: UdpSocketId,
        about: UdpReceived,
        data: &[u8],
        train: usize,
    ) -> Result<(), DropReason> {
        if data.is_empty() {
            return self.queue(id, about, data);
        }
        let mut result = Err(DropReason::UdpQueueFull);
        for piece in data.chunks(train.max(1)) {
            let queued = self.queue(id, UdpReceived { len: piece.len(), ..about }, piece);
            result = result.or(queued);
        }
        result
    }

    fn queue(&mut self, id: UdpSocketId, about: UdpReceived, data: &[u8]) -> Result<(), DropReason> {
        let cost = cost_of(data.len());
        let has_room = self.receive_bytes + cost <= self.config.max_receive_bytes;
        let (max_bytes, max_count) = (self.config.receive_queue_bytes, self.config.queue_datagrams);
        let socket = self.open_socket_mut(id).ok_or(DropReason::UdpNoSocket)?;
        if !(has_room && socket.received.fits(cost, max_bytes, max_count)) {
            socket.dropped = socket.dropped.wrapping_add(1);
            self.counters.queue_full.increment();
            return Err(DropReason::UdpQueueFull);
        }
        socket.received.push(Incoming { about, data: data.into() }, cost);
        socket.news.readable = true;
        self.receive_bytes += cost;
        self.counters.received.increment();
        self.counters.bytes_received.add(data.len() as u64);
        self.announce(id);
        Ok(())
    }

    /// Takes an ICMP error about a datagram that seems to be ours. The socket that it quotes can read it; a connected one
    /// whose peer has refused also fails its next call.
    // [1122-U005] [1122-I049] [1122-I050] [1122-I059] [1122-I061] [1122-I153]
    pub fn handle_icmp(&mut self, error: &IcmpError<'_>) {
        let &[source_high, source_low, destination_high, destination_low, ..] = error.quote else { return };
        let port = u16::from_be_bytes([source_high, source_low]);
        let remote =
            SocketAddr::new(error.destination, u16::from_be_bytes([destination_high, destination_low]));
        let Some(id) = self.demux.unicast(error.source, port, remote) else { return };
        let Some(socket) = self.open_socket_mut(id) else { return };
        socket.report(UdpIcmpReport { kind: error.kind, reporter: error.reporter, remote });
        if socket.remote == Some(remote)
            && let Some(fatal) = socket_error(error.kind)
        {
            socket.error = Some(fatal);
        }
        socket.news.error = true;
        self.counters.icmp_errors.increment();
        self.announce(id);
    }
}

/// What a connected socket's next call fails with; `None` for what may pass.
// [1122-I051] a hint, and no more, where another way may be found
fn socket_error(kind: IcmpErrorKind) -> Option<UdpSocketError> {
    match kind {
        IcmpErrorKind::PortUnreachable | IcmpErrorKind::ProtocolUnreachable => {
            Some(UdpSocketError::ConnectionRefused)
        }
        IcmpErrorKind::Prohibited => Some(UdpSocketError::HostUnreachable),
        IcmpErrorKind::NetworkUnreachable
        | IcmpErrorKind::HostUnreachable
        | IcmpErrorKind::PacketTooBig { .. }
        | IcmpErrorKind::SourceRouteFailed
        | IcmpErrorKind::HopLimitExceeded
        | IcmpErrorKind::ReassemblyTimeExceeded
        | IcmpErrorKind::ParameterProblem { .. } => None,
    }
}
