//! Sizes that depend on the version of IP, for layers that do not ask which it is.

use core::net::IpAddr;

/// Bytes of an IP header towards `address`, without options or extension headers.
pub const fn ip_header_len(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}

/// The largest packet, in bytes, that every host takes: 576 (RFC 1122 3.3.2) or 1280 (RFC 8200 5).
pub const fn every_hosts_mtu(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => 576,
        IpAddr::V6(_) => 1280,
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn sizes_are_those_of_the_version() {
        let (four, six) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!((ip_header_len(four), every_hosts_mtu(four)), (20, 576));
        assert_eq!((ip_header_len(six), every_hosts_mtu(six)), (40, 1280));
    }
}
