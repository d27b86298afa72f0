//! A frame's way up.

use std::ops::Range;

use netloom_base::{DropReason, Instant, InterfaceId, RxMeta};
use netloom_l2_link::LinkInput;
use netloom_l3_internet::{Arrival, Forward, Input};
use netloom_l4_transport::TakenText;
use netloom_wire::{CastKind, Datagram, IcmpErrorKind, Protocol};
use tracing::trace;

use crate::Stack;
use crate::handover::{Kind, Memory};
use crate::steering::Share;

/// Data that a transport took without copying it.
#[derive(Clone, Copy, Debug)]
enum Taken {
    Tcp(TakenText),
    Udp(TakenText),
}

impl Stack {
    /// Takes one frame from a device. Whatever it holds, this neither fails nor panics; what is dropped is counted by
    /// its reason. Drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) afterwards, once a
    /// batch is enough. A shard of several: drain [`poll_handover`](Self::poll_handover) too.
    pub fn handle_frame(&mut self, now: Instant, interface: InterfaceId, frame: &[u8], meta: RxMeta) {
        self.counters.frames_received.increment();
        self.counters.bytes_received.add(frame.len() as u64);
        if let Share::Theirs(to) = self.share_frame(interface, frame, meta) {
            return self.hand_over(to, interface, Kind::Frame(meta), |_| frame.into());
        }
        if let Err(reason) = self.receive(now, interface, frame, meta) {
            self.drop_packet(reason, interface, frame.len());
        }
        self.exchange(now);
    }

    /// The same for the frame in this range of `buffer`, which may be kept, so that its text is copied only once, to its
    /// reader; there is another buffer in its place then, as long as this one.
    pub fn handle_buffer(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        buffer: &mut Box<[u8]>,
        range: Range<usize>,
        meta: RxMeta,
    ) {
        let frame = buffer.get(range.clone()).unwrap_or_default();
        let len = frame.len();
        self.counters.frames_received.increment();
        self.counters.bytes_received.add(len as u64);
        if let Share::Theirs(to) = self.share_frame(interface, frame, meta) {
            return self.hand_over_buffer(to, interface, buffer, range, meta);
        }
        self.offer_buffer(Some(buffer.len()));
        let result = self.receive(now, interface, frame, meta);
        self.offer_buffer(None);
        if let Some(taken) = self.taken() {
            let (size, kept) = (buffer.len(), std::mem::take(buffer));
            self.adopt(now, taken, kept);
            // After it, as one may have been called back that is still in a cache.
            *buffer = self.take_buffer(size);
        }
        if let Err(reason) = result {
            self.drop_packet(reason, interface, len);
        }
        self.exchange(now);
    }

    /// Says whether small text in the next frames may be acknowledged with the answer of whoever reads it. If so,
    /// [`end_round`](Self::end_round) must follow. See [`Tcp::await_answers`](netloom_l4_transport::Tcp::await_answers).
    pub fn await_answers(&mut self, are_awaited: bool) {
        self.tcp.await_answers(are_awaited);
    }

    /// Says whether text may wait for what its writer writes next. If so, [`end_round`](Self::end_round) must follow. See
    /// [`Tcp::auto_cork`](netloom_l4_transport::Tcp::auto_cork).
    pub fn auto_cork(&mut self, is_on: bool) {
        self.tcp.auto_cork(is_on);
    }

    /// Whether [`end_round`](Self::end_round) is to be called.
    pub fn awaits_round(&self) -> bool {
        self.tcp.awaits_round()
    }

    /// Whoever had news could run once; what still waits for its answer or its next words may leave now. Drain
    /// [`poll_transmit`](Self::poll_transmit) next.
    pub fn end_round(&mut self, now: Instant) {
        self.tcp.end_round(now);
    }

    pub(crate) fn receive(
        &mut self,
        now: Instant,
        id: InterfaceId,
        frame: &[u8],
        meta: RxMeta,
    ) -> Result<(), DropReason> {
        let Some(interface) = self.interfaces.get_mut(id.index()) else {
            return Err(DropReason::LinkNotForUs);
        };
        let (packet, cast, link_source) = match &mut interface.link {
            Some(link) => match link.input(now, frame)? {
                LinkInput::Ip { packet, cast, source, ether_type: _ } => (packet, cast, Some(source)),
                LinkInput::Consumed => return Ok(()),
            },
            None => (frame, CastKind::Unicast, None),
        };
        self.receive_packet(now, Arrival { interface: id, packet, cast, link_source, meta })
    }

    /// An IP packet from a link, or from this host itself.
    pub(crate) fn receive_packet(&mut self, now: Instant, arrival: Arrival<'_>) -> Result<(), DropReason> {
        match self.internet.input(now, arrival)? {
            Input::Deliver(datagram) => self.deliver(now, &datagram),
            Input::Reassembled(packet) => {
                // It lies in a buffer of its own.
                self.offer_buffer(None);
                let Arrival { interface, cast, link_source, .. } = arrival;
                let meta = RxMeta::default();
                let whole = Arrival { packet: &packet, meta, ..arrival };
                if let Share::Theirs(to) = self.share_packet(&whole) {
                    let kind = Kind::Packet { cast, link_source, meta };
                    self.hand_over(to, interface, kind, |_| packet.into());
                    return Ok(());
                }
                match self.internet.input_reassembled(now, whole)? {
                    Input::Deliver(datagram) => self.deliver(now, &datagram),
                    // A whole packet is neither a fragment again nor forwarded.
                    Input::Reassembled(_) | Input::Forward(_) => Err(DropReason::FragmentMalformed),
                    Input::Consumed => Ok(()),
                }
            }
            Input::Forward(forward) => self.forward(now, forward),
            Input::Consumed => Ok(()),
        }
    }

    /// Has `receive` take the bytes that lie in `memory`, which is kept if text in it is, and of which nobody is in need else.
    pub(crate) fn receive_memory(
        &mut self,
        now: Instant,
        memory: Memory,
        receive: impl FnOnce(&mut Self, &[u8]) -> Result<(), DropReason>,
    ) -> Result<(), DropReason> {
        self.offer_buffer(Some(memory.buffer.len()));
        let result = receive(self, memory.bytes());
        self.offer_buffer(None);
        match self.taken() {
            Some(taken) => self.adopt(now, taken, memory.buffer),
            None => self.tcp.give_back(memory.buffer.into()),
        }
        result
    }

    /// Says whether the data of the next packet may be taken out of the buffer of this size that it lies in.
    fn offer_buffer(&mut self, size: Option<usize>) {
        self.tcp.offer_buffer(size);
        self.udp.offer_buffer(size);
    }

    /// What was taken out of it. [`adopt`](Self::adopt) must follow.
    fn taken(&mut self) -> Option<Taken> {
        self.tcp.taken_text().map(Taken::Tcp).or_else(|| self.udp.taken_text().map(Taken::Udp))
    }

    /// A buffer of `size` bytes for a frame: one that came back, if there is one.
    pub(crate) fn take_buffer(&mut self, size: usize) -> Box<[u8]> {
        self.udp.spare_buffer(size).unwrap_or_else(|| self.tcp.take_buffer(size))
    }

    /// Hands in the buffer.
    fn adopt(&mut self, now: Instant, taken: Taken, buffer: Box<[u8]>) {
        let begin = buffer.as_ptr().addr();
        match taken {
            Taken::Tcp(text) => self.tcp.adopt(now, text, buffer, text.address - begin),
            Taken::Udp(text) => self.udp.adopt(text, buffer, text.address - begin),
        }
    }

    /// A packet for another host, in segments if its way out takes no longer ones.
    fn forward(&mut self, now: Instant, forward: Forward) -> Result<(), DropReason> {
        let exit = self.interfaces.get(forward.interface.index());
        if exit.is_none_or(|exit| !forward.must_be_cut(&exit.caps)) {
            return self.internet.queue_forward(now, forward);
        }
        forward.into_segments().into_iter().try_for_each(|part| self.internet.queue_forward(now, part))
    }

    fn deliver(&mut self, now: Instant, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        match datagram.protocol {
            Protocol::TCP => self.tcp.input(now, datagram),
            Protocol::UDP => {
                let result = self.udp.input(now, datagram);
                if result == Err(DropReason::UdpNoSocket) {
                    // [1122 4.1.3.1]
                    self.refuse(now, IcmpErrorKind::PortUnreachable, datagram);
                }
                result
            }
            Protocol(_) => {
                self.refuse(now, IcmpErrorKind::ProtocolUnreachable, datagram);
                Err(DropReason::IpUnknownProtocol)
            }
        }
    }

    /// Tells the sender why its datagram went nowhere, unless ICMP's own rules forbid that.
    fn refuse(&mut self, now: Instant, kind: IcmpErrorKind, datagram: &Datagram<'_>) {
        if let Err(reason) = self.internet.send_error(now, kind, datagram) {
            self.counters.drops.increment(reason);
        }
    }

    /// Counts what went no further, of `len` bytes: for a caller, a frame that was lost between the stack and a device, for one of the
    /// reasons that begin with `device.`.
    pub fn drop_packet(&mut self, reason: DropReason, interface: InterfaceId, len: usize) {
        self.counters.drops.increment(reason);
        trace!(%reason, %interface, len, "dropped");
    }
}

#[cfg(test)]
mod tests;
