//! What this host sends and is to hear itself: to its own groups, and by broadcast (RFC 1112 6.1, RFC 1122 3.3.6).

use netloom_base::{InterfaceId, RxChecksum, RxMeta};
use netloom_wire::{CastKind, Datagram};

use crate::addressee::Addressee;
use crate::internet::Internet;
use crate::packet::IpSend;

impl Internet {
    /// What leaves by `interface`, as it comes in again to this host's own transports: if it is for a group that the host is
    /// in there, or by broadcast. It never crosses a wire, and is whole.
    pub fn overheard<'a>(
        &self,
        interface: InterfaceId,
        send: &IpSend,
        payload: &'a [u8],
    ) -> Option<Datagram<'a>> {
        let cast = match self.addressee(interface, send.destination) {
            Ok(Addressee::Us(cast @ (CastKind::Multicast | CastKind::Broadcast))) => cast,
            Ok(Addressee::Us(CastKind::Unicast) | Addressee::Other) | Err(_) => return None,
        };
        Some(Datagram {
            interface,
            source: send.source,
            destination: send.destination,
            cast,
            protocol: send.protocol,
            hop_limit: self.hop_limit(send),
            traffic_class: send.traffic_class,
            mtu: self.mtu_of(interface),
            payload,
            // No error is sent about what is for many (RFC 1122 3.2.2).
            packet: &[],
            meta: RxMeta { checksum: RxChecksum::Trusted, gso: None },
        })
    }
}
