//! What `netloom addr` tells of an interface: the values, as JSON names them, and the text, as `ip addr` lays it out.
//!
//! The names of fields and variants are what scripts read from `--json`: they stay.

use std::fmt;

use netloom::InterfaceInfo;
use netloom::stack::internet::{AddressState, LocalAddress};
use netloom_base::{DeviceCaps, Medium};
use serde::{Deserialize, Serialize};

/// One interface of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InterfaceReport {
    /// Its name, as the kernel has it.
    pub(crate) name: String,
    /// Whether it carries Ethernet.
    pub(crate) kind: InterfaceKind,
    /// The stack's address on the link, as `02:00:00:00:00:01`; `null` of a TUN.
    pub(crate) link_address: Option<String>,
    /// Largest IP packet in bytes.
    pub(crate) mtu_bytes: u16,
    /// How many queues it has, each with a stack and a thread of its own.
    pub(crate) queues: usize,
    /// How it is read and written.
    pub(crate) backend: Backend,
    /// What the kernel and the stack leave to each other, in one word.
    pub(crate) offload: OffloadLevel,
    /// The same, one by one.
    pub(crate) offloaded: Vec<OffloadKind>,
    /// The stack's own addresses of both families.
    pub(crate) addresses: Vec<AddressReport>,
}

impl InterfaceReport {
    /// What the stack says of the interface `name`.
    pub(crate) fn new(name: &str, info: &InterfaceInfo) -> Self {
        let offload = OffloadLevel::of(&info.caps);
        Self {
            name: name.to_owned(),
            kind: info.caps.medium.into(),
            link_address: info.link_address.map(|address| address.to_string()),
            mtu_bytes: info.caps.mtu,
            queues: info.queue_count,
            backend: offload.backend(),
            offload,
            offloaded: OffloadKind::all_of(&info.caps),
            addresses: info.addresses.iter().map(AddressReport::from).collect(),
        }
    }

    /// What was chosen once, when the interface was opened, in the words of the banner of `up` and of `netloom addr`.
    pub(crate) fn choice(&self) -> impl fmt::Display {
        let Self { queues, offload, .. } = *self;
        fmt::from_fn(move |f| {
            let unit = if queues == 1 { "queue" } else { "queues" };
            write!(f, "{queues} {unit}, {offload}")
        })
    }

    /// Its paragraph, the `number`th; counted from 1 as `ip` does.
    pub(crate) fn numbered(&self, number: usize) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let Self { name, kind, link_address, mtu_bytes, addresses, .. } = self;
            writeln!(f, "{number}: {name}: <{kind}> mtu {mtu_bytes}")?;
            match link_address {
                Some(address) => writeln!(f, "    link/ether {address}")?,
                None => writeln!(f, "    link/none")?,
            }
            writeln!(f, "    {}", self.choice())?;
            addresses.iter().try_for_each(|address| writeln!(f, "    {address}"))
        })
    }
}

/// What frames of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InterfaceKind {
    /// An Ethernet header.
    Tap,
    /// An IP header.
    Tun,
}

impl From<Medium> for InterfaceKind {
    fn from(medium: Medium) -> Self {
        match medium {
            Medium::Ethernet => Self::Tap,
            Medium::Ip => Self::Tun,
        }
    }
}

impl fmt::Display for InterfaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tap => "TAP",
            Self::Tun => "TUN",
        })
    }
}

/// How an interface is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Backend {
    /// Finished frames of at most an MTU.
    Plain,
    /// Frames behind a virtio header that says what is left to do.
    VirtioHeader,
}

/// What the kernel and the stack leave to each other, less to more; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OffloadLevel {
    /// Nothing: `--offload off`, or a kernel without the virtio header.
    None,
    /// Transport checksums.
    Checksum,
    /// And cutting TCP super-segments.
    Tcp,
    /// And cutting trains of UDP datagrams.
    Full,
}

/// One thing that is left to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OffloadKind {
    /// The checksums of TCP and UDP.
    Checksum,
    /// Cutting TCP super-segments over IPv4 (TSO, GRO).
    Tcp4Segmentation,
    /// The same over IPv6.
    Tcp6Segmentation,
    /// Cutting trains of UDP datagrams (USO).
    UdpSegmentation,
}

impl OffloadKind {
    /// Everything that a device is left to do.
    fn all_of(caps: &DeviceCaps) -> Vec<Self> {
        [
            (caps.transmit_checksum, Self::Checksum),
            (caps.tcp4_segmentation.is_some(), Self::Tcp4Segmentation),
            (caps.tcp6_segmentation.is_some(), Self::Tcp6Segmentation),
            (caps.udp_segmentation, Self::UdpSegmentation),
        ]
        .into_iter()
        .filter_map(|(is_left, kind)| is_left.then_some(kind))
        .collect()
    }
}

impl OffloadLevel {
    /// The level of a device that can do this; a TUN or TAP has no others than these four.
    fn of(caps: &DeviceCaps) -> Self {
        if caps.udp_segmentation {
            Self::Full
        } else if caps.tcp4_segmentation.is_some() {
            Self::Tcp
        } else if caps.transmit_checksum {
            Self::Checksum
        } else {
            Self::None
        }
    }

    const fn backend(self) -> Backend {
        match self {
            Self::None => Backend::Plain,
            Self::Checksum | Self::Tcp | Self::Full => Backend::VirtioHeader,
        }
    }
}

impl fmt::Display for OffloadLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "offload none: plain frames",
            Self::Checksum => "offload checksum: checksums only",
            Self::Tcp => "offload tcp: checksums, TCP segments over IPv4 and IPv6",
            Self::Full => "offload full: checksums, TCP segments over IPv4 and IPv6, UDP segments",
        })
    }
}

/// One address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddressReport {
    /// `inet` or `inet6`, as `ip` says.
    pub(crate) family: Family,
    /// The address.
    pub(crate) address: std::net::IpAddr,
    /// Length in bits of its network's prefix.
    pub(crate) prefix_len: u8,
    /// How far it may be used.
    pub(crate) state: UseState,
    /// Whether packets are sent from it and taken for it.
    pub(crate) is_usable: bool,
}

impl From<&LocalAddress> for AddressReport {
    fn from(known: &LocalAddress) -> Self {
        let address = known.cidr.address();
        Self {
            family: if address.is_ipv4() { Family::Inet } else { Family::Inet6 },
            address,
            prefix_len: known.cidr.prefix_len(),
            state: known.state.into(),
            is_usable: known.state.is_usable(),
        }
    }
}

impl fmt::Display for AddressReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, address, prefix_len, state, is_usable: _ } = self;
        write!(f, "{family} {address}/{prefix_len} {state}")
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
        })
    }
}

/// How far an address may be used (RFC 4862 section 2, RFC 4429): [`AddressState`] with names for JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UseState {
    /// Being tried out, and not used yet.
    Tentative,
    /// Being tried out, and used meanwhile.
    Optimistic,
    /// Ours.
    Preferred,
    /// Somebody else's, and not used.
    Duplicate,
}

impl From<AddressState> for UseState {
    fn from(state: AddressState) -> Self {
        match state {
            AddressState::Tentative => Self::Tentative,
            AddressState::Optimistic => Self::Optimistic,
            AddressState::Preferred => Self::Preferred,
            AddressState::Duplicate => Self::Duplicate,
        }
    }
}

impl fmt::Display for UseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tentative => "tentative",
            Self::Optimistic => "optimistic",
            Self::Preferred => "preferred",
            Self::Duplicate => "duplicate",
        })
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// A device that does everything.
    pub(crate) fn full(mtu: u16) -> DeviceCaps {
        DeviceCaps {
            transmit_checksum: true,
            tcp4_segmentation: Some(65_535),
            tcp6_segmentation: Some(65_535),
            udp_segmentation: true,
            ..DeviceCaps::plain(Medium::Ethernet, mtu)
        }
    }

    /// A TAP with two queues and an address of each family.
    pub(crate) fn tap() -> InterfaceReport {
        let address = |family, text: &str, prefix_len, state, is_usable| AddressReport {
            family,
            address: text.parse().unwrap(),
            prefix_len,
            state,
            is_usable,
        };
        InterfaceReport {
            name: "netloom0".to_owned(),
            kind: InterfaceKind::Tap,
            link_address: Some("02:00:00:00:00:01".to_owned()),
            mtu_bytes: 1500,
            queues: 2,
            backend: Backend::VirtioHeader,
            offload: OffloadLevel::Full,
            offloaded: OffloadKind::all_of(&full(1500)),
            addresses: vec![
                address(Family::Inet, "10.0.0.2", 24, UseState::Preferred, true),
                address(Family::Inet6, "fd00::2", 64, UseState::Tentative, false),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_reads_as_that_of_ip() {
        let tap = samples::tap();
        assert_eq!(
            tap.numbered(1).to_string(),
            "1: netloom0: <TAP> mtu 1500\n    link/ether 02:00:00:00:00:01\n    2 queues, \
             offload full: checksums, TCP segments over IPv4 and IPv6, UDP segments\n    \
             inet 10.0.0.2/24 preferred\n    inet6 fd00::2/64 tentative\n"
        );
        let tun = InterfaceReport {
            kind: InterfaceKind::Tun,
            link_address: None,
            queues: 1,
            offload: OffloadLevel::None,
            addresses: Vec::new(),
            ..tap
        };
        assert_eq!(
            tun.numbered(2).to_string(),
            "2: netloom0: <TUN> mtu 1500\n    link/none\n    1 queue, offload none: plain frames\n"
        );
    }

    #[test]
    fn json_has_the_names_that_scripts_read() {
        let text = serde_json::to_string(&samples::tap()).unwrap();
        assert_eq!(
            text,
            r#"{"name":"netloom0","kind":"tap","link_address":"02:00:00:00:00:01","mtu_bytes":1500,"queues":2,"backend":"virtio-header","offload":"full","offloaded":["checksum","tcp4-segmentation","tcp6-segmentation","udp-segmentation"],"addresses":[{"family":"inet","address":"10.0.0.2","prefix_len":24,"state":"preferred","is_usable":true},{"family":"inet6","address":"fd00::2","prefix_len":64,"state":"tentative","is_usable":false}]}"#
        );
        assert_eq!(serde_json::from_str::<InterfaceReport>(&text).unwrap(), samples::tap());
    }

    #[test]
    fn the_level_follows_from_what_the_device_can_do() {
        let full = samples::full(1500);
        let tcp = DeviceCaps { udp_segmentation: false, ..full };
        let plain = DeviceCaps::plain(Medium::Ethernet, 1500);
        for (caps, level, kind_count) in [
            (plain, OffloadLevel::None, 0),
            (DeviceCaps { transmit_checksum: true, ..plain }, OffloadLevel::Checksum, 1),
            (tcp, OffloadLevel::Tcp, 3),
            (full, OffloadLevel::Full, 4),
        ] {
            assert_eq!((OffloadLevel::of(&caps), OffloadKind::all_of(&caps).len()), (level, kind_count));
        }
    }
}
