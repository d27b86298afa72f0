//! The names of the congestion controls.

use core::fmt;
use core::str::FromStr;

/// Which congestion control a connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Congestion {
    /// CUBIC (RFC 9438): after a loss the window follows a cubic function of time, whatever the round trip is.
    #[default]
    Cubic,
    /// Congestion avoidance of RFC 5681, with recovery after RFC 6582 where the peer has no SACK.
    NewReno,
}

impl Congestion {
    /// All that there are.
    pub const ALL: &'static [Self] = &[Self::Cubic, Self::NewReno];

    /// The name that one types.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::NewReno => "newreno",
        }
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No congestion control has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCongestion;

impl fmt::Display for UnknownCongestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown congestion control; there are:")?;
        Congestion::ALL.iter().try_for_each(|known| write!(f, " {known}"))
    }
}

impl core::error::Error for UnknownCongestion {}

impl FromStr for Congestion {
    type Err = UnknownCongestion;

    fn from_str(name: &str) -> Result<Self, UnknownCongestion> {
        Self::ALL.iter().copied().find(|known| known.name() == name).ok_or(UnknownCongestion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for known in Congestion::ALL {
            assert_eq!(known.to_string().parse(), Ok(*known));
        }
        let unknown = "vegas".parse::<Congestion>().unwrap_err();
        assert_eq!(unknown.to_string(), "unknown congestion control; there are: cubic newreno");
    }
}
