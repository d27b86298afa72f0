//! What is wrong with a list of faults, in one line.

use core::fmt;

/// Why a text is no [`ImpairSpec`](super::ImpairSpec).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImpairError {
    /// A part without `=`.
    NoValue {
        /// The part.
        part: String,
    },
    /// A key that does not exist.
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A value that the key does not take.
    BadValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it takes, with an example.
        expected: &'static str,
    },
    /// A key twice for the same direction.
    Repeated {
        /// The key.
        key: &'static str,
    },
    /// A key that does nothing without another.
    Alone {
        /// The key.
        key: &'static str,
        /// What it needs.
        needs: &'static str,
    },
}

/// Every key, for the reader of an error.
pub(super) const KNOWN_KEYS: &str =
    "delay, jitter, loss, burst, reorder, reorder-by, dup, corrupt, rate, queue, mark, mtu, seed";

impl fmt::Display for ImpairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue { part } => {
                write!(f, "`{part}` is not key=value as in loss=1%; the keys are {KNOWN_KEYS}")
            }
            Self::UnknownKey { key } => {
                write!(f, "there is no fault `{key}`; the keys are {KNOWN_KEYS}")
            }
            Self::BadValue { key, value, expected } => write!(f, "{key}={value}: {key} takes {expected}"),
            Self::Repeated { key } => write!(f, "{key} is given twice for the same direction"),
            Self::Alone { key, needs } => write!(f, "{key} does nothing without {needs}"),
        }
    }
}

impl core::error::Error for ImpairError {}
