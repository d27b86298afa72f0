//! The addresses of both ends of the interface, and whether the two ends can talk.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netloom_wire::Cidr;

use crate::failure::Failure;

const OWN_DEFAULT: [&str; 2] = ["10.0.0.2/24", "fd00::2/64"];
const HOST_DEFAULT: [&str; 2] = ["10.0.0.1/24", "fd00::1/64"];

/// Whose address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The stack's.
    Own,
    /// The kernel's.
    Host,
}

impl End {
    fn flag(self) -> &'static str {
        match self {
            Self::Own => "--address",
            Self::Host => "--host-address",
        }
    }

    fn default(self) -> [&'static str; 2] {
        match self {
            Self::Own => OWN_DEFAULT,
            Self::Host => HOST_DEFAULT,
        }
    }
}

/// The addresses of both ends; checked, so each own address has a host address that it can talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addressing {
    /// The stack's own.
    pub(crate) own: Vec<Cidr>,
    /// What the kernel's end gets.
    pub(crate) host: Vec<Cidr>,
    /// Whether either list was asked for, so that IPv6 may not be left out quietly.
    pub(crate) is_explicit: bool,
}

impl Addressing {
    /// Checks what was typed; `None` is the default list.
    pub(crate) fn from_texts(own: Option<&[String]>, host: Option<&[String]>) -> Result<Self, Failure> {
        let addressing = Self {
            own: parse_all(End::Own, own)?,
            host: parse_all(End::Host, host)?,
            is_explicit: own.is_some() || host.is_some(),
        };
        addressing.check_distinct()?;
        addressing.check_reachable()?;
        Ok(addressing)
    }

    /// Whether either end has an IPv6 address.
    pub(crate) fn has_ipv6(&self) -> bool {
        self.own.iter().chain(&self.host).any(|cidr| cidr.address().is_ipv6())
    }

    /// The same without IPv6; if nothing is left, the IPv4 defaults.
    pub(crate) fn ipv4_only(&self) -> Self {
        let four = |list: &[Cidr], [default, _]: [&str; 2]| {
            let kept: Vec<Cidr> = list.iter().copied().filter(|cidr| cidr.address().is_ipv4()).collect();
            if kept.is_empty() { default.parse().into_iter().collect() } else { kept }
        };
        Self {
            own: four(&self.own, OWN_DEFAULT),
            host: four(&self.host, HOST_DEFAULT),
            is_explicit: self.is_explicit,
        }
    }

    /// The flags that ask for these addresses.
    pub(crate) fn flags(&self) -> String {
        let mut text = String::new();
        for (end, list) in [(End::Own, &self.own), (End::Host, &self.host)] {
            for cidr in list {
                let space = if text.is_empty() { "" } else { " " };
                // Writing to a String cannot fail.
                let _ = write!(text, "{space}{} {cidr}", end.flag());
            }
        }
        text
    }

    fn check_distinct(&self) -> Result<(), Failure> {
        let typed = |end: End, list: &[Cidr]| list.iter().map(|&cidr| (end, cidr)).collect::<Vec<_>>();
        let all = [typed(End::Own, &self.own), typed(End::Host, &self.host)].concat();
        for (position, &(end, cidr)) in all.iter().enumerate() {
            let twin = all.iter().take(position).find(|(_, other)| other.address() == cidr.address());
            match twin {
                None => {}
                Some(&(twin_end, _)) if twin_end == end => {
                    return Err(Failure::usage(format_args!(
                        "{} {cidr} is given twice: leave one out",
                        end.flag()
                    )));
                }
                Some(&(_, own)) => {
                    return Err(Failure::usage(format_args!(
                        "{} cannot belong to both ends: type --host-address {}",
                        cidr.address(),
                        neighbor(own)
                    )));
                }
            }
        }
        Ok(())
    }

    /// Each own address lies in the network of a host address, and the other way round.
    fn check_reachable(&self) -> Result<(), Failure> {
        for &own in &self.own {
            let reaches_us = |host: &&Cidr| host.contains(own.address());
            let Some(host) = self.host.iter().find(reaches_us) else {
                return Err(Failure::usage(format_args!(
                    "the kernel could not reach {own}, which is in no network of a --host-address: type --host-address {}",
                    neighbor(own)
                )));
            };
            if !self.host.iter().filter(reaches_us).any(|host| own.contains(host.address())) {
                let wider = Cidr::new(own.address(), host.prefix_len()).unwrap_or(own);
                return Err(Failure::usage(format_args!(
                    "{own} could not answer {}, which is outside its network: type --address {wider}",
                    host.address()
                )));
            }
        }
        Ok(())
    }
}

/// Whether one of the kernel's addresses has `own` in its network, so that it looks for it on the link.
pub(crate) fn is_on_link(own: Cidr, host: &[Cidr]) -> bool {
    host.iter().any(|held| held.contains(own.address()))
}

fn parse_all(end: End, texts: Option<&[String]>) -> Result<Vec<Cidr>, Failure> {
    match texts {
        None => end.default().into_iter().map(|text| parse(end, text)).collect(),
        Some([]) => {
            let [example, _] = end.default();
            Err(Failure::usage(format_args!("{0} is an empty list: type {0} {example}", end.flag())))
        }
        Some(texts) => texts.iter().map(|text| parse(end, text)).collect(),
    }
}

fn parse(end: End, text: &str) -> Result<Cidr, Failure> {
    let [four, six] = end.default();
    let example = if text.contains(':') { six } else { four };
    let flag = end.flag();
    let cidr: Cidr = text
        .parse()
        .map_err(|error| Failure::usage(format_args!("{flag} {text}: {error}: type {flag} {example}")))?;
    match unusable(cidr) {
        None => Ok(cidr),
        Some(reason) => Err(Failure::usage(format_args!("{flag} {text}: {reason}: type {flag} {example}"))),
    }
}

/// Why a host cannot have this address; `None` if it can.
fn unusable(cidr: Cidr) -> Option<&'static str> {
    let address = cidr.address();
    if address.is_unspecified() {
        return Some("that is no address but the absence of one");
    }
    if cidr.prefix_len() == 0 {
        return Some("a prefix length of 0 would be the whole internet");
    }
    if address.is_loopback() {
        return Some("loopback addresses never leave their host");
    }
    if address.is_multicast() {
        return Some("a multicast address names a group, not a host");
    }
    if cidr.broadcast() == Some(address) {
        return Some("that is the broadcast address of its network");
    }
    match address {
        IpAddr::V4(four) => match four.octets() {
            [255, 255, 255, 255] => Some("that is the broadcast address of every network"),
            [240..=255, ..] => Some("240.0.0.0/4 is reserved"),
            [0, ..] => Some("0.0.0.0/8 is reserved"),
            // A network of two addresses (RFC 3021) or one has no address of its own.
            _ if cidr.prefix_len() < 31 && cidr.network() == address => {
                Some("that is the address of the network itself")
            }
            _ => None,
        },
        IpAddr::V6(six) => {
            if six.to_ipv4_mapped().is_some() {
                Some("that is an IPv4 address in IPv6 clothes: give it as IPv4")
            } else if six.is_unicast_link_local() {
                Some("link-local addresses are made by both ends themselves")
            } else if cidr.prefix_len() < 127 && cidr.network() == address {
                // RFC 4291 2.6.1; RFC 6164 frees it in a /127.
                Some("that is the subnet's router anycast address")
            } else {
                None
            }
        }
    }
}

/// Another address of the same network: what the other end could have.
fn neighbor(cidr: Cidr) -> Cidr {
    let candidates = (0..4u8).filter_map(|step| {
        let address: IpAddr = match cidr.network() {
            IpAddr::V4(network) => Ipv4Addr::from_bits(network.to_bits() | u32::from(step)).into(),
            IpAddr::V6(network) => Ipv6Addr::from_bits(network.to_bits() | u128::from(step)).into(),
        };
        Cidr::new(address, cidr.prefix_len()).ok()
    });
    let fits = |other: &Cidr| {
        other.address() != cidr.address() && cidr.contains(other.address()) && unusable(*other).is_none()
    };
    candidates.into_iter().find(fits).unwrap_or_else(|| {
        // A network of one: the wider one that both could share.
        let prefix_len = if cidr.address().is_ipv4() { 24 } else { 64 };
        Cidr::new(cidr.address(), prefix_len).map_or(cidr, neighbor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(own: &[&str], host: &[&str]) -> Result<Addressing, String> {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let given = |list: &[&str]| (!list.is_empty()).then(|| texts(list));
        Addressing::from_texts(given(own).as_deref(), given(host).as_deref())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn defaults_are_both_families() {
        let addressing = check(&[], &[]).unwrap();
        assert_eq!(
            addressing.flags(),
            "--address 10.0.0.2/24 --address fd00::2/64 --host-address 10.0.0.1/24 --host-address fd00::1/64"
        );
        assert!(addressing.has_ipv6() && !addressing.ipv4_only().has_ipv6());
    }

    #[test]
    fn addresses_that_no_host_can_have_are_refused() {
        for (text, word) in [
            ("10.0.0.2", "prefix length is missing"),
            ("10.0.0.256/24", "type --address 10.0.0.2/24"),
            ("10.0.0.2/33", "up to 32"),
            ("fd00::2/129", "type --address fd00::2/64"),
            ("ten/24", "type --address"),
            ("", "prefix length is missing"),
            ("10.0.0.2/0", "whole internet"),
            ("0.0.0.0/0", "absence"),
            ("::/64", "absence"),
            ("10.0.0.0/24", "network itself"),
            ("10.0.0.255/24", "broadcast"),
            ("255.255.255.255/32", "broadcast"),
            ("240.0.0.1/8", "reserved"),
            ("0.1.2.3/8", "reserved"),
            ("127.0.0.2/8", "loopback"),
            ("::1/64", "loopback"),
            ("224.0.0.5/24", "multicast"),
            ("ff02::1/64", "multicast"),
            ("fd00::/64", "anycast"),
            ("fe80::2/64", "link-local"),
            ("::ffff:10.0.0.2/96", "IPv4"),
        ] {
            let line = check(&[text], &[]).unwrap_err();
            assert!(line.contains(word) && line.starts_with("--address"), "{text}: {line}");
            assert!(check(&[], &[text]).unwrap_err().starts_with("--host-address"), "{text}");
        }
    }

    #[test]
    fn ends_that_cannot_talk_are_refused() {
        for (own, host, word) in [
            (&["10.0.0.2/24"][..], &["10.0.0.2/24"][..], "type --host-address 10.0.0.1/24"),
            (&["10.0.0.1/24"], &["10.0.0.1/24"], "type --host-address 10.0.0.2/24"),
            (&["10.0.0.2/24", "10.0.0.2/16"], &["10.0.0.1/24"], "twice"),
            (&["10.1.0.2/24"], &[], "type --host-address 10.1.0.1/24"),
            (&["fd01::9/64"], &["10.0.0.1/24"], "type --host-address fd01::1/64"),
            (&["10.1.0.2/32"], &[], "type --host-address 10.1.0.1/24"),
            (&["10.1.0.2/31"], &[], "type --host-address 10.1.0.3/31"),
            (&["10.0.0.2/30"], &["10.0.0.9/24"], "type --address 10.0.0.2/24"),
        ] {
            let line = check(own, host).unwrap_err();
            assert!(line.contains(word), "{own:?} {host:?}: {line}");
        }
    }

    #[test]
    fn unusual_networks_are_taken() {
        for (own, host) in [
            (&["10.0.0.2/31"][..], &["10.0.0.3/31"][..]),
            (&["fd00::/127"], &["fd00::1/127"]),
            (&["10.0.0.2/24", "10.0.0.3/24", "192.168.9.2/16"], &["10.0.0.1/24", "192.168.0.1/16"]),
            (&["10.0.0.2/24"], &["10.0.0.1/16"]),
            (&["10.0.0.2/24"], &[]),
        ] {
            check(own, host).unwrap();
        }
    }
}
