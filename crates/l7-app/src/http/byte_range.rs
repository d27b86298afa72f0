//! The `Range` header for one range of bytes (RFC 9110, section 14).

use std::ops::Range;

/// What a `Range` header asks of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RangeRequest {
    /// Nothing that is understood: another unit, a syntax error, or several ranges. The header is to be ignored.
    Whole,
    /// These bytes, never empty.
    Part(Range<u64>),
    /// Bytes of which there are none.
    Unsatisfiable,
}

impl RangeRequest {
    /// Reads `header` for a representation of `len` bytes.
    pub(crate) fn parse(header: &str, len: u64) -> Self {
        Self::parse_single(header, len).unwrap_or(Self::Whole)
    }

    fn parse_single(header: &str, len: u64) -> Option<Self> {
        let (unit, set) = header.split_once('=')?;
        let (first, last) = set.trim().split_once('-')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let range = match (position(first)?, position(last)?) {
            (None, None) => return None,
            // The last so many bytes.
            (None, Some(suffix_len)) => len.saturating_sub(suffix_len)..len,
            (Some(first), None) => first..len,
            (Some(first), Some(last)) if first > last => return None,
            (Some(first), Some(last)) => first..last.saturating_add(1).min(len),
        };
        Some(if range.is_empty() { Self::Unsatisfiable } else { Self::Part(range) })
    }
}

/// A position: `Some(None)` where it is left out, `None` where it is no number.
fn position(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than fit lie beyond every end.
    Some(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::RangeRequest::{self, Part, Unsatisfiable, Whole};

    #[test]
    fn ranges_of_a_hundred_bytes() {
        for (header, expected) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-99", Part(0..100)),
            ("bytes=10-", Part(10..100)),
            ("bytes=-10", Part(90..100)),
            ("bytes=-1000", Part(0..100)),
            ("BYTES=5-6", Part(5..7)),
            ("bytes= 5-6 ", Part(5..7)),
            ("bytes=99-99999999999999999999999999", Part(99..100)),
            ("bytes=100-", Unsatisfiable),
            ("bytes=100-200", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=99999999999999999999999999-", Unsatisfiable),
            ("bytes=6-5", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0-1,3-4", Whole),
            ("lines=0-1", Whole),
            ("0-1", Whole),
            ("", Whole),
        ] {
            assert_eq!(RangeRequest::parse(header, 100), expected, "{header}");
        }
        assert_eq!(RangeRequest::parse("bytes=0-", 0), Unsatisfiable);
        assert_eq!(RangeRequest::parse("bytes=-1", 0), Unsatisfiable);
    }
}
