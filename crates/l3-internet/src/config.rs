//! What an internet layer is built from, and what its bounds cost.

use core::time::Duration;

use netloom_base::Sharding;
use netloom_wire::EthernetAddress;

use crate::reassembly::ReassemblyConfig;

/// The bounds and choices of one internet layer.
#[derive(Clone, Debug)]
pub struct InternetConfig {
    /// Whether packets for others are forwarded (RFC 1812). Off unless somebody asks for it, however many
    /// interfaces there are [1122-I005] [1122-I006] [1122-I007].
    pub forwarding: bool,
    /// Which shard of the host this is. Only the first tries addresses out, announces them, answers solicitations for
    /// them and reports groups; the others' addresses come by [`adopt_address`](crate::Internet::adopt_address).
    pub sharding: Sharding,
    /// TTL and hop limit of packets whose sender does not choose one [1122-I024] [9293 MUST-49]. Zero counts as one.
    pub hop_limit: u8,
    /// Routes; each costs about 100 bytes.
    pub max_routes: usize,
    /// Own addresses on all interfaces; each costs about 100 bytes.
    pub max_addresses: usize,
    /// Groups joined on all interfaces; each costs about 100 bytes.
    pub max_groups: usize,
    /// Destinations whose path MTU or better first hop is remembered; each costs about 150 bytes. When it is full the
    /// one that would expire first goes.
    pub max_destinations: usize,
    /// How long a path MTU or a redirect is believed (RFC 1191 6.3, RFC 8201 4): at least five minutes.
    pub destination_lifetime: Duration,
    /// The smallest path MTU over IPv4 that an ICMP message can make us believe, in bytes; never taken below 68.
    /// Links with less than 552 are not known, and smaller claims are far more often forged than true.
    pub min_path_mtu4: u16,
    /// Whether redirects are followed. A router never follows them (RFC 1812 5.2.7.2).
    pub accept_redirects: bool,
    /// How much may wait for missing fragments, and how long.
    pub reassembly: ReassemblyConfig,
    /// ICMP errors a second [4443-09] [4443-10] [1812-11].
    pub icmp_errors_per_second: u32,
    /// ICMP errors in one burst.
    pub icmp_error_burst: u32,
    /// Solicitations of duplicate address detection over IPv6 (RFC 4862 5.1 DupAddrDetectTransmits).
    pub dad_transmits: u8,
    /// Time between two solicitations (RFC 4861 10 RETRANS_TIMER).
    pub retransmit_interval: Duration,
    /// IPv6 extension headers that are walked in one packet.
    pub max_extension_headers: usize,
    /// Packets of this layer (ICMP, NDP, datagrams, forwarded ones) that wait for the device. Beyond that the newest
    /// is dropped.
    pub max_queued_packets: usize,
    /// Their bytes together.
    pub max_queued_bytes: usize,
    /// Events that wait for the stack; beyond that the newest is dropped.
    pub max_events: usize,
}

impl Default for InternetConfig {
    fn default() -> Self {
        Self {
            forwarding: false,
            sharding: Sharding::default(),
            hop_limit: 64,
            max_routes: 131_072,
            max_addresses: 64,
            max_groups: 256,
            max_destinations: 4096,
            destination_lifetime: Duration::from_secs(600),
            min_path_mtu4: 552,
            accept_redirects: true,
            reassembly: ReassemblyConfig::default(),
            icmp_errors_per_second: 1000,
            icmp_error_burst: 50,
            dad_transmits: 1,
            retransmit_interval: Duration::from_secs(1),
            max_extension_headers: 8,
            max_queued_packets: 1024,
            max_queued_bytes: 4 << 20,
            max_events: 256,
        }
    }
}

/// One interface of an internet layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Largest IP packet that the link takes, in bytes. At least 1280 where IPv6 is used [8200-19].
    pub mtu: u16,
    /// Our address on an Ethernet link. `None` on a medium of bare IP packets (TUN): there are no neighbours to
    /// discover and no duplicates to detect.
    pub link_address: Option<EthernetAddress>,
}
