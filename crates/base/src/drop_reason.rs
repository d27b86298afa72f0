//! Why a packet went no further.

use core::fmt;

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a frame, packet or segment was dropped. Every drop in the stack has one, and each is counted.
        ///
        /// The name (`Display`) is stable: tools and scripts match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// All reasons, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name, `layer.reason`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

drop_reasons! {
    // Device
    /// What the device gave was longer than any frame, or its description of it makes no sense.
    DeviceBadFrame = "device.bad_frame",
    /// The device had no memory for a frame, and lost it.
    DeviceNoMemory = "device.no_memory",
    /// The interface is down: the frame for it is lost.
    DeviceDown = "device.down",
    /// The device failed to send a frame for another reason.
    DeviceRefused = "device.refused",

    // Link
    /// A frame shorter than its header, or an ARP packet that is.
    LinkTruncated = "link.truncated",
    /// The destination is neither this interface, nor broadcast, nor a group it has joined.
    LinkNotForUs = "link.not_for_us",
    /// The source is a group address, which no station may send from (IEEE 802.3).
    LinkBadSource = "link.bad_source",
    /// An EtherType, or an 802.3 length, that nobody here handles.
    LinkUnknownEtherType = "link.unknown_ethertype",
    /// A VLAN tag on an interface without VLANs.
    LinkUnexpectedVlan = "link.unexpected_vlan",
    /// An ARP packet for another kind of network, or with impossible addresses (RFC 826).
    ArpMalformed = "arp.malformed",
    /// An ARP packet that asks for or names somebody else.
    ArpNotForUs = "arp.not_for_us",
    /// An ARP packet of our own that the link sent back (RFC 5227 2.1.1).
    ArpEchoed = "arp.echoed",
    /// The queue of packets that wait for a neighbour's address is full: the oldest goes (RFC 1122 2.3.2.2).
    NeighborQueueFull = "neighbor.queue_full",
    /// The neighbour did not answer (RFC 4861 7.2.2); packets that waited are returned as unreachable.
    NeighborUnreachable = "neighbor.unreachable",
    /// The neighbour cache is full of entries in use.
    NeighborCacheFull = "neighbor.cache_full",

    // Internet
    /// Shorter than its header says, or than a header can be.
    IpTruncated = "ip.truncated",
    /// A version other than the frame announced.
    IpBadVersion = "ip.bad_version",
    /// An IPv4 header length below 20 bytes or beyond the packet.
    IpBadHeaderLength = "ip.bad_header_length",
    /// The IPv4 header checksum is wrong (RFC 1122 3.2.1.2).
    IpBadChecksum = "ip.bad_checksum",
    /// A source that no host may have: a group, broadcast, loopback on a wire (RFC 1122 3.2.1.3).
    IpBadSource = "ip.bad_source",
    /// A destination that no packet may have.
    IpBadDestination = "ip.bad_destination",
    /// Addressed to another host, and this one does not forward.
    IpNotForUs = "ip.not_for_us",
    /// Sent to us by link broadcast though addressed to a unicast address (RFC 1122 3.3.6).
    IpLinkBroadcast = "ip.link_broadcast",
    /// Options that are malformed.
    IpBadOption = "ip.bad_option",
    /// A source route, which this host does not follow.
    IpSourceRoute = "ip.source_route",
    /// An IPv6 extension header that is malformed, out of place or not understood (RFC 8200 4).
    IpBadExtensionHeader = "ip.bad_extension_header",
    /// More extension headers, or longer ones, than this host is willing to walk.
    IpExtensionChainTooLong = "ip.extension_chain_too_long",
    /// TTL or hop limit ran out in forwarding.
    IpTtlExceeded = "ip.ttl_exceeded",
    /// No route to the destination.
    IpNoRoute = "ip.no_route",
    /// Larger than the next link takes, and it may not be fragmented.
    IpPacketTooBig = "ip.packet_too_big",
    /// No handler for the protocol number.
    IpUnknownProtocol = "ip.unknown_protocol",
    /// The address is not usable (yet): duplicate detection is running or has failed (RFC 4862).
    IpTentativeAddress = "ip.tentative_address",
    /// A fragment with an impossible offset or length.
    FragmentMalformed = "fragment.malformed",
    /// Fragments that overlap (RFC 5722).
    FragmentOverlap = "fragment.overlap",
    /// Not all fragments came in time (RFC 1122 3.3.2, RFC 8200 4.5).
    FragmentTimeout = "fragment.timeout",
    /// The bound on memory or datagrams in reassembly was reached.
    FragmentLimit = "fragment.limit",

    // ICMP, NDP
    /// Shorter than its type needs.
    IcmpTruncated = "icmp.truncated",
    /// The checksum is wrong.
    IcmpBadChecksum = "icmp.bad_checksum",
    /// A type or code that this host ignores (RFC 1122 3.2.2, RFC 4443 2.4).
    IcmpUnknownType = "icmp.unknown_type",
    /// An echo request to a broadcast or group, left unanswered (RFC 1122 3.2.2.6).
    IcmpEchoToGroup = "icmp.echo_to_group",
    /// An echo reply or error that no socket waits for.
    IcmpUnexpected = "icmp.unexpected",
    /// An answer that was not sent because of the rate limit (RFC 1812 4.3.2.8, RFC 4443 2.4).
    IcmpRateLimited = "icmp.rate_limited",
    /// A neighbour-discovery message that fails RFC 4861's validation.
    NdpMalformed = "ndp.malformed",
    /// A valid neighbour-discovery or listener message that asks nothing of this host: about another's address, from
    /// or for routers.
    NdpIgnored = "ndp.ignored",
    /// A redirect that names an impossible gateway, or does not come from the gateway in use (RFC 1122 3.2.2.2,
    /// RFC 4861 8.1).
    IcmpBadRedirect = "icmp.bad_redirect",

    // Transport
    /// Shorter than its header, or a data offset that cannot be.
    TcpTruncated = "tcp.truncated",
    /// The checksum is wrong.
    TcpBadChecksum = "tcp.bad_checksum",
    /// To or from a group or broadcast address (RFC 9293 3.9.2.3).
    TcpNotUnicast = "tcp.not_unicast",
    /// A malformed option, or flags that cannot be together.
    TcpMalformed = "tcp.malformed",
    /// No connection and no listener: answered by a reset.
    TcpNoConnection = "tcp.no_connection",
    /// A segment that no rule of its state accepts.
    TcpUnacceptable = "tcp.unacceptable",
    /// Outside the receive window (RFC 9293 3.10.7.4, first).
    TcpOutOfWindow = "tcp.out_of_window",
    /// An old duplicate by its timestamp (RFC 7323 5).
    TcpPaws = "tcp.paws",
    /// A reset whose sequence number is not exactly the next (RFC 5961 3).
    TcpBadReset = "tcp.bad_reset",
    /// A SYN inside a synchronized connection (RFC 5961 4).
    TcpUnexpectedSyn = "tcp.unexpected_syn",
    /// An acknowledgment out of range (RFC 5961 5).
    TcpBadAck = "tcp.bad_ack",
    /// An acknowledgment that brings no valid SYN cookie back, to a listener that sends cookies (RFC 4987 3.6): answered
    /// by a reset.
    TcpBadCookie = "tcp.bad_cookie",
    /// A segment without ACK where one is required.
    TcpNoAck = "tcp.no_ack",
    /// The listener's queue of half-open connections is full.
    TcpSynQueueFull = "tcp.syn_queue_full",
    /// The listener's queue of finished handshakes is full.
    TcpAcceptQueueFull = "tcp.accept_queue_full",
    /// The table of connections is full.
    TcpTableFull = "tcp.table_full",
    /// Data beyond what the receive buffer can hold.
    TcpReceiveBufferFull = "tcp.receive_buffer_full",
    /// Data after the peer's FIN.
    TcpDataAfterFin = "tcp.data_after_fin",
    /// Data for a socket that nobody reads any more: answered by a reset (RFC 9293 3.6.1).
    TcpReceiverClosed = "tcp.receiver_closed",
    /// Shorter than its header, or a length that contradicts the packet (RFC 768).
    UdpTruncated = "udp.truncated",
    /// The checksum is wrong, or absent over IPv6 (RFC 8200 8.1).
    UdpBadChecksum = "udp.bad_checksum",
    /// No socket on the port.
    UdpNoSocket = "udp.no_socket",
    /// The socket's queue is full.
    UdpQueueFull = "udp.queue_full",
    /// The bound on queued transmissions was reached.
    TransmitQueueFull = "transmit.queue_full",
    /// It came to a shard that does not own it, and the owner has too much to take over already.
    HandoverFull = "handover.full",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_positions_match() {
        let names: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
        for (position, &reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, position);
        }
    }
}
