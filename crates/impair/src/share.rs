//! A share of all frames: a probability that a person writes as a percentage.

use core::fmt;
use core::str::FromStr;

use netloom_base::Rng;

/// How many of a thousand million frames something happens to.
///
/// An exact number and not a float, so that what was typed is what is printed, and a seed means the same on every
/// machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

/// A text that is no [`Share`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareError;

/// One, in parts per billion.
const WHOLE: u32 = 1_000_000_000;
/// Decimal places of a percentage that can be told apart.
const PERCENT_PLACES: usize = 7;

impl Share {
    /// No frame.
    pub const NONE: Self = Self(0);
    /// Every frame.
    pub const ALL: Self = Self(WHOLE);

    /// `parts` of a thousand million; more than all counts as all.
    pub const fn from_parts_per_billion(parts: u32) -> Self {
        Self(if parts > WHOLE { WHOLE } else { parts })
    }

    /// `percent` of a hundred; more than all counts as all.
    pub const fn from_percent(percent: u32) -> Self {
        Self::from_parts_per_billion(percent.saturating_mul(WHOLE / 100))
    }

    /// Parts of a thousand million.
    pub const fn parts_per_billion(self) -> u32 {
        self.0
    }

    /// Whether it is no frame at all.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Draws whether it happens this time. Nothing is drawn where the answer is certain.
    pub fn happens(self, rng: &mut Rng) -> bool {
        match self.0 {
            0 => false,
            WHOLE => true,
            parts => rng.below(WHOLE.into()) < parts.into(),
        }
    }
}

impl FromStr for Share {
    type Err = ShareError;

    /// Reads a percentage: `1%`, `0.05%`, `100%`.
    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.strip_suffix('%').ok_or(ShareError)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || fraction.len() > PERCENT_PLACES {
            return Err(ShareError);
        }
        let whole: u64 = whole.parse().map_err(|_| ShareError)?;
        let fraction: u64 = format!("{fraction:0<PERCENT_PLACES$}").parse().map_err(|_| ShareError)?;
        let parts = whole.checked_mul(u64::from(WHOLE / 100)).and_then(|it| it.checked_add(fraction));
        let parts = parts.and_then(|parts| u32::try_from(parts).ok()).ok_or(ShareError)?;
        if parts > WHOLE { Err(ShareError) } else { Ok(Self(parts)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = WHOLE / 100;
        let (whole, fraction) = (self.0 / unit, self.0 % unit);
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        let fraction = format!("{fraction:0PERCENT_PLACES$}");
        write!(f, "{whole}.{}%", fraction.trim_end_matches('0'))
    }
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a percentage from 0% to 100%, such as 0.5%")
    }
}

impl core::error::Error for ShareError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_printed() {
        for text in ["0%", "1%", "100%", "0.5%", "0.01%", "12.3456789%", "0.0000001%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        assert_eq!("1.50%".parse::<Share>().unwrap().to_string(), "1.5%");
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "%", "1", "-1%", "+1%", "101%", "100.0000001%", "1.%", ".5%", "0.00000001%", "1e2%"]
        {
            assert_eq!(text.parse::<Share>(), Err(ShareError), "{text}");
        }
    }

    #[test]
    fn it_happens_as_often_as_it_says() {
        let mut rng = Rng::from_number(1);
        let share = Share::from_percent(30);
        let count = (0..100_000).filter(|_| share.happens(&mut rng)).count();
        assert!((29_500..30_500).contains(&count), "{count}");
        assert!(!Share::NONE.happens(&mut rng));
        assert!(Share::ALL.happens(&mut rng));
    }
}
