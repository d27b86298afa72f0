//! Source address selection: which of our addresses a packet is sent from (RFC 6724 5).
//!
//! # Theory of operation
//! Candidates are compared in pairs, rule by rule; the first rule that tells two apart decides, and a full tie goes to
//! the candidate that was offered first. IPv4 goes through the same rules, its addresses standing for their
//! IPv4-mapped form as RFC 6724 3.2 scopes them, with one rule before the last: an address in the next hop's own subnet
//! comes first (RFC 1122 3.3.4.3).
//!
//! # Not here
//! Rules 4 and 7: this host has neither home nor temporary addresses. Rule 5.5: which router advertised which prefix
//! is not kept, and RFC 6724 does not ask for it. Section 6, the order of destinations, is the resolver's.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv6Addr};

use netloom_base::InterfaceId;
use netloom_wire::Cidr;

/// One of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCandidate {
    /// The address and the prefix of its subnet.
    pub address: Cidr,
    /// Where it is.
    pub interface: InterfaceId,
    /// Whether it may be used at all.
    pub state: CandidateState,
}

/// How usable an address is (RFC 4862 5.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateState {
    /// Without reserve.
    Preferred,
    /// For what is going on already; new traffic should take another.
    Deprecated,
    /// Not yet: duplicate detection is running.
    Tentative,
}

/// Where a packet goes, as far as its source depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceQuery {
    /// Whom it is for.
    pub destination: IpAddr,
    /// The interface that it leaves by.
    pub interface: InterfaceId,
    /// Who takes it next: a gateway, or the destination itself.
    pub next_hop: IpAddr,
}

/// The address to send from, if there is one of the destination's family that may be used.
///
/// An address of link-local scope on another interface is no candidate: it would mean somebody else there.
pub fn select_source(
    query: &SourceQuery,
    candidates: impl IntoIterator<Item = SourceCandidate>,
) -> Option<IpAddr> {
    let mut best: Option<SourceCandidate> = None;
    for candidate in candidates {
        if is_candidate(query, &candidate)
            && best.is_none_or(|best| compare(query, &candidate, &best) == Ordering::Greater)
        {
            best = Some(candidate);
        }
    }
    best.map(|best| best.address.address())
}

fn is_candidate(query: &SourceQuery, candidate: &SourceCandidate) -> bool {
    let address = candidate.address.address();
    let is_usable = match candidate.state {
        CandidateState::Preferred | CandidateState::Deprecated => true,
        CandidateState::Tentative => false,
    };
    let is_in_zone =
        candidate.interface == query.interface || scope(address) > SCOPE_LINK || address == query.destination;
    is_usable
        && is_in_zone
        && address.is_ipv4() == query.destination.is_ipv4()
        && !address.is_unspecified()
        && !address.is_multicast()
}

/// `Greater` if `a` is to be preferred.
fn compare(query: &SourceQuery, a: &SourceCandidate, b: &SourceCandidate) -> Ordering {
    let destination = query.destination;
    let prefer = |rule: fn(&SourceQuery, &SourceCandidate) -> bool| rule(query, a).cmp(&rule(query, b));
    // Rule 1: the same address.
    prefer(|query, it| it.address.address() == query.destination)
        // Rule 2: appropriate scope.
        .then_with(|| compare_scopes(a.address.address(), b.address.address(), destination))
        // Rule 3: not deprecated.
        .then_with(|| prefer(|_, it| it.state == CandidateState::Preferred))
        // Rule 5: the outgoing interface.
        .then_with(|| prefer(|query, it| it.interface == query.interface))
        // RFC 1122 3.3.4.3: the next hop's subnet.
        .then_with(|| prefer(|query, it| query.next_hop.is_ipv4() && it.address.contains(query.next_hop)))
        // Rule 6: a matching label.
        .then_with(|| prefer(|query, it| label(it.address.address()) == label(query.destination)))
        // Rule 8: the longest matching prefix.
        .then_with(|| {
            common_prefix_len(a.address, destination).cmp(&common_prefix_len(b.address, destination))
        })
}

/// Rule 2: the smallest scope that is not below the destination's, or else the largest.
fn compare_scopes(a: IpAddr, b: IpAddr, destination: IpAddr) -> Ordering {
    let (a, b, destination) = (scope(a), scope(b), scope(destination));
    match a.cmp(&b) {
        Ordering::Less if a < destination => Ordering::Less,
        Ordering::Less => Ordering::Greater,
        Ordering::Greater if b < destination => Ordering::Greater,
        Ordering::Greater => Ordering::Less,
        Ordering::Equal => Ordering::Equal,
    }
}

/// Link-local, as a group's scope field says it (RFC 4291 2.7).
const SCOPE_LINK: u8 = 0x2;
const SCOPE_SITE: u8 = 0x5;
const SCOPE_GLOBAL: u8 = 0xe;

/// How far an address means something (RFC 6724 3.1, 3.2).
fn scope(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) => {
            // 224.0.0.0/24 stays on the link (RFC 5771 4).
            let is_link_group = matches!(address.octets(), [224, 0, 0, _]);
            if is_link_group || address.is_loopback() || address.is_link_local() {
                SCOPE_LINK
            } else {
                SCOPE_GLOBAL
            }
        }
        IpAddr::V6(address) => match address.octets() {
            [0xff, flags_and_scope, ..] => flags_and_scope & 0xf,
            _ if address.is_loopback() || address.is_unicast_link_local() => SCOPE_LINK,
            _ if is_in(address, [0xfec0, 0, 0, 0, 0, 0, 0, 0], 10) => SCOPE_SITE,
            _ => SCOPE_GLOBAL,
        },
    }
}

/// The policy table of RFC 6724 2.1, its precedences left out: prefix, length, label. Longest first.
const POLICY: [([u16; 8], u32, u8); 9] = [
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, 0),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 4),
    ([0; 8], 96, 3),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 5),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 2),
    ([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, 12),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 11),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 13),
    ([0; 8], 0, 1),
];

fn label(address: IpAddr) -> u8 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    POLICY.iter().find(|&&(prefix, len, _)| is_in(address, prefix, len)).map_or(1, |&(_, _, label)| label)
}

/// Whether `address` begins with the first `len` bits of `prefix`.
fn is_in(address: Ipv6Addr, prefix: [u16; 8], len: u32) -> bool {
    (address.to_bits() ^ Ipv6Addr::from(prefix).to_bits()).leading_zeros() >= len
}

/// Leading bits that both have in common, no more than the candidate's prefix has (RFC 6724 2.2).
fn common_prefix_len(candidate: Cidr, destination: IpAddr) -> u32 {
    let common = match (candidate.address(), destination) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    };
    common.min(u32::from(candidate.prefix_len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IF0: InterfaceId = InterfaceId::new(0);
    const IF1: InterfaceId = InterfaceId::new(1);

    /// An address in one word: `ADDRESS/LEN`, then `!` if deprecated, `?` if tentative, `@1` if on the other interface.
    fn candidate(text: &str) -> SourceCandidate {
        let (text, interface) = match text.strip_suffix("@1") {
            Some(text) => (text, IF1),
            None => (text, IF0),
        };
        let state = match text.chars().last() {
            Some('!') => CandidateState::Deprecated,
            Some('?') => CandidateState::Tentative,
            Some(_) | None => CandidateState::Preferred,
        };
        let address = text.trim_end_matches(['!', '?']).parse().unwrap();
        SourceCandidate { address, interface, state }
    }

    /// Checks the choice, in both orders of the candidates.
    fn check(destination: &str, next_hop: &str, candidates: &[&str], expected: Option<&str>) {
        let query = SourceQuery {
            destination: destination.parse().unwrap(),
            interface: IF0,
            next_hop: next_hop.parse().unwrap(),
        };
        let expected: Option<IpAddr> = expected.map(|text| text.parse().unwrap());
        let mut candidates: Vec<SourceCandidate> = candidates.iter().map(|text| candidate(text)).collect();
        assert_eq!(select_source(&query, candidates.clone()), expected, "{destination} {candidates:?}");
        candidates.reverse();
        assert_eq!(select_source(&query, candidates.clone()), expected, "{destination} {candidates:?}");
    }

    #[test]
    fn the_rfc_s_own_scenarios() {
        let gateway = "fe80::ff";
        for (destination, candidates, expected) in [
            ("2001:db8:1::1", ["2001:db8:3::1/64", "fe80::1/64"], "2001:db8:3::1"),
            ("ff05::1", ["2001:db8:3::1/64", "fe80::1/64"], "2001:db8:3::1"),
            ("2001:db8:1::1", ["2001:db8:1::1/64!", "2001:db8:2::1/64"], "2001:db8:1::1"),
            ("fe80::1", ["fe80::2/64!", "2001:db8:1::1/64"], "fe80::2"),
            ("2001:db8:1::1", ["2001:db8:1::2/64", "2001:db8:3::2/64"], "2001:db8:1::2"),
            (
                "2002:c633:6401::1",
                ["2002:c633:6401::d5e3:7953:13eb:22e8/64", "2001:db8:1::2/64"],
                "2002:c633:6401::d5e3:7953:13eb:22e8",
            ),
        ] {
            check(destination, gateway, &candidates, Some(expected));
        }
    }

    #[test]
    fn each_rule_decides_before_the_next() {
        for (destination, candidates, expected) in [
            // 2 before 3: scope before deprecation.
            ("2001:db8:1::1", ["2001:db8:3::1/64!", "fe80::1/64"], "2001:db8:3::1"),
            // 3 before 5: a preferred address on another interface.
            ("2001:db8:1::1", ["2001:db8:2::1/64!", "2001:db8:3::1/64@1"], "2001:db8:3::1"),
            // 5 before 8.
            ("2001:db8:1::1", ["2001:db8:1::2/64@1", "2001:db8:3::1/64"], "2001:db8:3::1"),
            // 6 before 8: a Teredo address shares 31 bits, but not the label.
            ("2001:1::1", ["2001::1/64", "2400::1/64"], "2400::1"),
            // 8 counts no further than the candidate's own prefix.
            ("2001:db8:0:1::1", ["2001:db8::1/32", "2001:db8:0:2::1/64"], "2001:db8:0:2::1"),
            // A destination on the link is reached from a link-local address.
            ("ff02::1", ["2001:db8::1/64", "fe80::1/64"], "fe80::1"),
        ] {
            check(destination, destination, &candidates, Some(expected));
        }
    }

    #[test]
    fn ipv4_prefers_the_subnet_of_the_next_hop() {
        for (destination, next_hop, candidates, expected) in [
            ("192.0.2.9", "10.0.1.1", ["10.0.0.2/24", "10.0.1.2/24"], "10.0.1.2"),
            // Though the other has more bits in common with the destination.
            ("192.0.2.9", "10.0.1.1", ["192.0.3.2/24", "10.0.1.2/24"], "10.0.1.2"),
            ("10.0.0.9", "10.0.0.9", ["10.0.0.2/24", "169.254.0.1/16"], "10.0.0.2"),
            ("169.254.0.9", "169.254.0.9", ["10.0.0.2/24", "169.254.0.1/16"], "169.254.0.1"),
            ("224.0.0.251", "224.0.0.251", ["10.0.0.2/24", "169.254.0.1/16"], "169.254.0.1"),
            ("239.1.2.3", "239.1.2.3", ["10.0.0.2/24", "169.254.0.1/16"], "10.0.0.2"),
        ] {
            check(destination, next_hop, &candidates, Some(expected));
        }
    }

    #[test]
    fn what_may_not_be_used_is_not_chosen() {
        check("2001:db8::1", "fe80::ff", &["2001:db8::2/64?", "10.0.0.2/24"], None);
        check("fe80::9", "fe80::9", &["fe80::2/64@1", "fe80::3/64?"], None);
        check("10.0.0.9", "10.0.0.9", &[], None);
        check("10.0.0.9", "10.0.0.9", &["10.0.0.2/24?", "10.1.0.2/24@1"], Some("10.1.0.2"));
        // An address of our own is reached from itself, wherever it is.
        check("fe80::2", "fe80::2", &["fe80::2/64@1", "fe80::3/64"], Some("fe80::2"));
    }

    #[test]
    fn a_tie_goes_to_the_first() {
        let query = SourceQuery {
            destination: "192.0.2.1".parse().unwrap(),
            interface: IF0,
            next_hop: "10.0.0.1".parse().unwrap(),
        };
        let candidates = ["10.0.0.7/24", "10.0.0.2/24"].map(candidate);
        assert_eq!(select_source(&query, candidates), Some("10.0.0.7".parse().unwrap()));
    }
}
