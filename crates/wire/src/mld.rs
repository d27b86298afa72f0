//! Multicast listener discovery for IPv6 (RFC 3810): the querier's question and the host's report.

use core::net::Ipv6Addr;
use core::time::Duration;

use crate::{Checksum, ParseError};

const REPORT_V2: u8 = 143;

/// A question which groups somebody listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MldQuery {
    /// Within which time the answer is wanted.
    pub max_response: Duration,
    /// The group asked for; unspecified: all.
    pub group: Ipv6Addr,
    /// Whether the querier speaks version 2; one that speaks version 1 sends a shorter message (RFC 3810 8.1).
    pub is_version_2: bool,
}

impl MldQuery {
    /// Reads what follows type, code and checksum.
    pub(crate) fn parse([high, low, _, _]: [u8; 4], tail: &[u8]) -> Result<Self, ParseError> {
        let (group, rest) = tail.split_first_chunk::<16>().ok_or(ParseError::Truncated)?;
        let code = u16::from_be_bytes([high, low]);
        let is_version_2 = rest.len() >= 4;
        // From 0x8000 on the code is a small floating-point number (RFC 3810 5.1.3).
        let millis = if is_version_2 && code >= 0x8000 {
            let (mantissa, exponent) = (u32::from(code & 0x0fff), u32::from((code >> 12) & 7));
            (mantissa | 0x1000) << (exponent + 3)
        } else {
            u32::from(code)
        };
        let max_response = Duration::from_millis(u64::from(millis));
        Ok(Self { max_response, group: Ipv6Addr::from(*group), is_version_2 })
    }
}

/// What a report says about one group (RFC 3810 5.2.12); netloom never filters sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MldRecord {
    /// In answer to a question: listened to.
    IsListening,
    /// Listened to from now on.
    Joined,
    /// No longer listened to.
    Left,
}

/// A version 2 report about `groups`, ready to be sent from `source` to `destination`. More than 65,535 cannot be
/// expressed and are left out.
pub fn mld_report(source: Ipv6Addr, destination: Ipv6Addr, groups: &[(Ipv6Addr, MldRecord)]) -> Vec<u8> {
    let count = u16::try_from(groups.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(8 + 20 * usize::from(count));
    bytes.extend([REPORT_V2, 0, 0, 0, 0, 0]);
    bytes.extend(count.to_be_bytes());
    for (group, record) in groups.iter().take(usize::from(count)) {
        let record_type = match record {
            MldRecord::IsListening => 2,
            MldRecord::Joined => 4,
            MldRecord::Left => 3,
        };
        bytes.extend([record_type, 0, 0, 0]);
        bytes.extend(group.octets());
    }
    let sum = Checksum::icmpv6(source, destination, bytes.len(), &[&bytes]).finish();
    bytes[2..4].copy_from_slice(&sum);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Icmpv6Message;

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(rest: [u8; 4], tail: Vec<u8>) {
            let parsed = MldQuery::parse(rest, &tail);
            prop_assert_eq!(parsed.is_ok(), tail.len() >= 16);
        }

        #[test]
        fn reports_add_up(source: u128, destination: u128, groups in prop::collection::vec(any::<u128>(), 0..20)) {
            let (source, destination) = (Ipv6Addr::from_bits(source), Ipv6Addr::from_bits(destination));
            let groups: Vec<_> = groups.into_iter().map(|bits| (Ipv6Addr::from_bits(bits), MldRecord::Joined)).collect();
            let bytes = mld_report(source, destination, &groups);
            prop_assert_eq!(bytes.len(), 8 + 20 * groups.len());
            let parsed = Icmpv6Message::parse(&bytes, source, destination);
            prop_assert_eq!(parsed, Ok(Icmpv6Message::Other { message_type: REPORT_V2, code: 0 }));
            let theirs = etherparse::Icmpv6Slice::from_slice(&bytes).unwrap();
            prop_assert!(theirs.is_checksum_valid(source.octets(), destination.octets()));
        }
    }

    #[test]
    fn long_response_times_are_floating_point() {
        let query = |code: u16, extra: usize| {
            let [high, low] = code.to_be_bytes();
            MldQuery::parse([high, low, 0, 0], &vec![0; 16 + extra]).unwrap()
        };
        assert_eq!(query(10_000, 4).max_response, Duration::from_secs(10));
        assert_eq!(query(0x8000, 4).max_response, Duration::from_millis(0x1000 << 3));
        assert_eq!(query(0xffff, 4).max_response, Duration::from_millis(0x1fff << 10));
        assert_eq!(query(0x8000, 0).max_response, Duration::from_millis(0x8000));
        assert!(!query(0, 0).is_version_2);
    }
}
