//! Times and rates with their units: `10ms`, `1gbit`.

use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;
use core::time::Duration;

/// A unit's name and how many of the smallest it is, biggest first.
type Unit = (&'static str, u64);

const TIME_UNITS: &[Unit] = &[("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
const RATE_UNITS: &[Unit] = &[("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// A duration as a person types it, to be read and printed: `10ms`, `1.5s`, `50us`, or `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(pub Duration);

/// A number of bits a second to be read and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BitRate(pub(super) NonZeroU64);

/// A text that is no [`TimeSpan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpanError;

impl fmt::Display for TimeSpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time with its unit, such as 10ms (s, ms, us, ns)")
    }
}

impl core::error::Error for TimeSpanError {}

impl FromStr for TimeSpan {
    type Err = TimeSpanError;

    fn from_str(text: &str) -> Result<Self, TimeSpanError> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        read(text, TIME_UNITS).map(|nanos| Self(Duration::from_nanos(nanos))).ok_or(TimeSpanError)
    }
}

impl FromStr for BitRate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        read(text, RATE_UNITS).and_then(NonZeroU64::new).map(Self).ok_or(())
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX), TIME_UNITS)
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0.get(), RATE_UNITS)
    }
}

/// A decimal number and a unit, exactly; `None` if it is none, too big, or finer than the smallest unit.
fn read(text: &str, units: &[Unit]) -> Option<u64> {
    let split = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, name) = text.split_at_checked(split)?;
    let (_, factor) = units.iter().find(|(unit, _)| *unit == name)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let places = 10u64.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = fraction.parse::<u64>().ok()?.checked_mul(*factor)?;
    if !fraction.is_multiple_of(places) {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(*factor)?.checked_add(fraction / places)
}

/// In the biggest unit that needs no fraction.
fn write(f: &mut fmt::Formatter<'_>, value: u64, units: &[Unit]) -> fmt::Result {
    let fitting = units.iter().find(|(_, factor)| value.is_multiple_of(*factor) && (value > 0));
    match fitting.or(units.last()) {
        Some((name, factor)) => write!(f, "{}{name}", value / factor),
        None => write!(f, "{value}"),
    }
}
