//! What a stack is built from.

use netloom_base::{DeviceCaps, Sharding};
use netloom_l2_link::NeighborConfig;
use netloom_l3_internet::InternetConfig;
use netloom_l4_transport::{TcpConfig, UdpConfig};
use netloom_wire::EthernetAddress;

/// The bounds and choices of one stack; each part documents its own costs.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Which shard of a host this stack is; what the parts below have of the kind is replaced by it.
    pub sharding: Sharding,
    /// Bounds of each link's neighbour cache.
    pub neighbors: NeighborConfig,
    /// Forwarding, reassembly, rate limits.
    pub internet: InternetConfig,
    /// Connections and their buffers.
    pub tcp: TcpConfig,
    /// Datagram sockets and their queues.
    pub udp: UdpConfig,
    /// Packets to this host itself that may wait for their delivery; beyond that the newest is dropped.
    /// Each costs its own length.
    pub loopback_packets: usize,
    /// Frames for other shards that may wait to be fetched; beyond that the newest is dropped. Each costs its own length.
    pub handovers: usize,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            sharding: Sharding::default(),
            neighbors: NeighborConfig::default(),
            internet: InternetConfig::default(),
            tcp: TcpConfig::default(),
            udp: UdpConfig::default(),
            loopback_packets: 256,
            handovers: 256,
        }
    }
}

/// One interface of a stack.
#[derive(Clone, Copy, Debug)]
pub struct InterfaceSetup {
    /// What the device can do.
    pub caps: DeviceCaps,
    /// Our address on an Ethernet link; ignored where the medium is IP.
    pub link_address: EthernetAddress,
}
