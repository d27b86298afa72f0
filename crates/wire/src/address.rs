//! Link addresses and address prefixes.

use core::fmt;
use core::hash::Hasher;
use core::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A 48-bit IEEE 802 address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EthernetAddress(pub [u8; 6]);

impl EthernetAddress {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// No station: what ARP asks with.
    pub const UNSPECIFIED: Self = Self([0; 6]);

    /// Whether it names all stations.
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether it names a group; broadcast is one.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether it can be the address of one station.
    pub fn is_unicast(self) -> bool {
        !self.is_group() && self != Self::UNSPECIFIED
    }

    /// The group address that stands for an IP group: RFC 1112 6.4, RFC 2464 7.
    pub fn of_group(group: IpAddr) -> Self {
        match group {
            IpAddr::V4(group) => {
                let [_, b, c, d] = group.octets();
                Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(group) => {
                let [.., a, b, c, d] = group.octets();
                Self([0x33, 0x33, a, b, c, d])
            }
        }
    }
}

/// An address as a number. One of IPv4 is below 2^32, as are those of `::/96`.
#[inline]
pub const fn address_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Hashes an address as one word, or as two where one does not hold it: derived, it is three pieces, its length among them.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
pub fn hash_address<H: Hasher>(address: IpAddr, state: &mut H) {
    let number = address_number(address);
    state.write_u64(number as u64);
    let high = (number >> 64) as u64;
    if high != 0 {
        state.write_u64(high);
    }
}

impl fmt::Display for EthernetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

/// An address and the length of its network prefix, as in `10.0.0.2/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix_len: u8,
}

/// Why a text or pair of numbers is no [`Cidr`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// There is no `/`.
    NoPrefixLength,
    /// What stands before the `/` is no address.
    BadAddress(AddrParseError),
    /// What stands after the `/` is no number, or is beyond 32 or 128.
    BadPrefixLength,
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrefixLength => f.write_str("the prefix length is missing, as in 10.0.0.2/24"),
            Self::BadAddress(error) => error.fmt(f),
            Self::BadPrefixLength => {
                f.write_str("the prefix length is a number up to 32 (IPv4) or 128 (IPv6)")
            }
        }
    }
}

impl core::error::Error for CidrError {}

impl Cidr {
    /// The address and its prefix length in bits.
    pub fn new(address: IpAddr, prefix_len: u8) -> Result<Self, CidrError> {
        if prefix_len > address_bits(address) {
            return Err(CidrError::BadPrefixLength);
        }
        Ok(Self { address, prefix_len })
    }

    /// The prefix of one address alone: /32 or /128.
    pub fn host(address: IpAddr) -> Self {
        Self { address, prefix_len: address_bits(address) }
    }

    /// The address, host bits included.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Bits of the network prefix.
    pub const fn prefix_len(self) -> u8 {
        self.prefix_len
    }

    /// The network: the address with its host bits cleared.
    pub fn network(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & self.mask4()).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & self.mask6()).into(),
        }
    }

    /// Whether `address` lies in the network.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (ours.to_bits() ^ theirs.to_bits()) & self.mask4() == 0,
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits() ^ theirs.to_bits()) & self.mask6() == 0,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// The network's directed broadcast address; IPv6, /31 (RFC 3021) and /32 have none.
    pub fn broadcast(self) -> Option<IpAddr> {
        match self.address {
            IpAddr::V4(address) if self.prefix_len < 31 => {
                Some(Ipv4Addr::from_bits(address.to_bits() | !self.mask4()).into())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }

    fn mask4(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix_len)).unwrap_or(0)
    }

    fn mask6(self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.prefix_len)).unwrap_or(0)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix_len) = text.split_once('/').ok_or(CidrError::NoPrefixLength)?;
        let address = address.parse().map_err(CidrError::BadAddress)?;
        let prefix_len = prefix_len.parse().map_err(|_| CidrError::BadPrefixLength)?;
        Self::new(address, prefix_len)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.prefix_len))
    }
}

const fn address_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Whether both addresses are of one version of IP.
pub const fn is_same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

/// The unspecified address of the same version of IP: what a socket is bound to that takes every address of that version.
pub const fn unspecified_like(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// Whether `address` can belong to one host on a network: not unspecified, loopback, group or broadcast.
pub fn is_global_unicast_candidate(address: IpAddr) -> bool {
    let never = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    match address {
        IpAddr::V4(address) => {
            !never && !address.is_broadcast() && address.octets()[0] != 0 && address.octets()[0] < 240
        }
        IpAddr::V6(address) => !never && address.to_ipv4_mapped().is_none(),
    }
}

/// The solicited-node group of an IPv6 address (RFC 4291 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    const PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(PREFIX | (address.to_bits() & 0x00ff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_contain_their_networks() {
        let net = cidr("10.1.2.3/23");
        assert_eq!(net.network(), "10.1.2.0".parse::<IpAddr>().unwrap());
        assert_eq!(net.broadcast(), Some("10.1.3.255".parse().unwrap()));
        assert!(net.contains("10.1.3.9".parse().unwrap()));
        assert!(!net.contains("10.1.4.0".parse().unwrap()));
        assert!(!net.contains("fd00::1".parse().unwrap()));
        assert!(cidr("0.0.0.0/0").contains("255.255.255.255".parse().unwrap()));
        assert!(cidr("::/0").contains("ff02::1".parse().unwrap()));
        assert_eq!(cidr("10.0.0.0/31").broadcast(), None);
        assert_eq!(cidr("fd00::2/64").to_string(), "fd00::2/64");
    }

    #[test]
    fn wrong_prefixes_are_refused() {
        for text in ["10.0.0.2", "10.0.0.2/33", "fd00::/129", "10.0.0/8", "x/1", "10.0.0.2/-1", "10.0.0.2/"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn families_are_told_apart() {
        let same = |a: &str, b: &str| is_same_family(a.parse().unwrap(), b.parse().unwrap());
        assert!(same("10.0.0.1", "0.0.0.0") && same("::", "fd00::1"));
        assert!(!same("10.0.0.1", "::ffff:10.0.0.1"));
        for (address, unspecified) in [("10.0.0.1", "0.0.0.0"), ("fd00::1", "::")] {
            assert_eq!(unspecified_like(address.parse().unwrap()).to_string(), unspecified);
        }
    }

    #[test]
    fn groups_map_to_link_groups() {
        let of = |text: &str| EthernetAddress::of_group(text.parse().unwrap()).to_string();
        assert_eq!(of("224.128.0.251"), "01:00:5e:00:00:fb");
        assert_eq!(of("ff02::1:ff00:2"), "33:33:ff:00:00:02");
        assert_eq!(
            solicited_node("fd00::12:3456".parse().unwrap()),
            "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap()
        );
    }
}
