//! What can be wrong with bytes.

use core::fmt;

/// Why bytes are not the header they should be. Layers turn it into their own drop reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer bytes than the header needs, or than it says there are.
    Truncated,
    /// Not the version of the protocol that was asked for.
    BadVersion,
    /// A length field that contradicts itself.
    BadLength,
    /// The checksum does not match.
    BadChecksum,
    /// A malformed option or extension.
    BadOption,
    /// A field with a value that it may never have.
    BadValue,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::BadVersion => "wrong version",
            Self::BadLength => "bad length field",
            Self::BadChecksum => "bad checksum",
            Self::BadOption => "malformed option",
            Self::BadValue => "impossible value",
        })
    }
}

impl core::error::Error for ParseError {}
