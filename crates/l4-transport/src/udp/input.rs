//! What comes to UDP from below: datagrams, and ICMP errors about what it sent.

use core::net::SocketAddr;

use netloom_base::{DropReason, Instant, RxChecksum};
use netloom_wire::{CastKind, Datagram, IcmpError, IcmpErrorKind, UdpDatagram};

use super::error::UdpSocketError;
use super::id::UdpSocketId;
use super::layer::Udp;
use super::receive_queue::{ReceiveQueue, UdpReceived};
use super::socket::UdpIcmpReport;

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

    /// Queues the datagram, or of a train of them that a device has glued together as many as fit.
    fn deliver(
        &mut self,
        id: UdpSocketId,
        about: UdpReceived,
        data: &[u8],
        train: usize,
    ) -> Result<(), DropReason> {
        let segment_size = u16::try_from(train.max(1)).unwrap_or(u16::MAX);
        let all_room = self.config.max_receive_bytes.saturating_sub(self.receive_bytes);
        let (max_bytes, max_count) = (self.config.receive_queue_bytes, self.config.queue_datagrams);
        let socket =
            self.sockets.get_mut(id.0).filter(|socket| !socket.is_closing).ok_or(DropReason::UdpNoSocket)?;
        let queue = &mut socket.received;
        let room = max_bytes.saturating_sub(queue.bytes()).min(all_room);
        let (len, count) =
            ReceiveQueue::fitting(data.len(), segment_size, room, max_count.saturating_sub(queue.len()));
        let dropped = (data.len() - len).div_ceil(segment_size.into()).max(usize::from(count == 0)) as u64;
        if dropped > 0 {
            socket.dropped = socket.dropped.wrapping_add(dropped);
            self.counters.queue_full.add(dropped);
            if count == 0 {
                return Err(DropReason::UdpQueueFull);
            }
        }
        let data = data.get(..len).unwrap_or(data);
        let cost_before = queue.bytes();
        if self.offer.size().is_some() && len > 0 {
            queue.promise(about, segment_size, len);
            self.offer.take(data);
            self.offer.sign(id.0);
        } else {
            queue.push_copy(about, segment_size, data);
        }
        self.receive_bytes += queue.bytes() - cost_before;
        socket.news.readable = true;
        self.counters.received.add(count as u64);
        self.counters.bytes_received.add(len as u64);
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
