//! Cookies of TCP Fast Open (RFC 7413 4.1.1).

use core::fmt;

/// What a client shows a server that it knows, so that it may send data with its SYN: nothing, which asks for one, or 4 to 16
/// bytes that only the server understands.
///
/// ```text
///                                 +---------------+---------------+
///                                 |   Kind = 34   |    Length     |
/// +-------------------------------+---------------+---------------+
/// ~                    Cookie: 0, or 4 to 16 bytes                ~
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FastOpenCookie {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl FastOpenCookie {
    /// Bytes of the longest cookie.
    pub const MAX_LEN: usize = 16;
    /// Bytes of the shortest one that is no request.
    pub const MIN_LEN: usize = 4;
    /// The empty one, by which a client asks for one.
    pub const REQUEST: Self = Self { bytes: [0; Self::MAX_LEN], len: 0 };

    /// A cookie of these bytes, or a request if there are none; `None` if no cookie has so many. [7413-01]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let is_valid = bytes.is_empty()
            || (Self::MIN_LEN..=Self::MAX_LEN).contains(&bytes.len()) && bytes.len().is_multiple_of(2);
        let mut cookie = Self { bytes: [0; Self::MAX_LEN], len: u8::try_from(bytes.len()).ok()? };
        cookie.bytes.get_mut(..bytes.len()).filter(|_| is_valid)?.copy_from_slice(bytes);
        Some(cookie)
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether it asks for a cookie.
    pub const fn is_request(&self) -> bool {
        self.len == 0
    }
}

/// In hexadecimal, as packetdrill and tcpdump write it.
impl fmt::Display for FastOpenCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_has_no_bytes_or_an_even_number_from_4_to_16() {
        // [7413-01]
        let lens: Vec<usize> = (0..=40).filter(|&len| FastOpenCookie::new(&vec![7; len]).is_some()).collect();
        assert_eq!(lens, [0, 4, 6, 8, 10, 12, 14, 16]);
    }

    #[test]
    fn it_reads_as_hexadecimal() {
        let cookie = FastOpenCookie::new(&[0xab, 0xcd, 0x01, 0x23]).unwrap();
        assert_eq!((cookie.to_string().as_str(), cookie.is_request()), ("abcd0123", false));
        assert_eq!(
            (FastOpenCookie::REQUEST.to_string().as_str(), FastOpenCookie::REQUEST.is_request()),
            ("", true)
        );
    }
}
