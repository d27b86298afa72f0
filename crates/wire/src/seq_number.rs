//! TCP sequence numbers: 32 bits that wrap.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A TCP sequence number (RFC 9293 3.4).
///
/// It has no `Ord`: whether one is before another is only known within half the circle, and `<` would hide that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// Whether `self` comes before `other` on the half circle that ends at it.
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Whether `self` is `other` or before it.
    pub const fn at_or_before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) <= 0
    }

    /// Whether `self` comes after `other`.
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// Whether `self` is `other` or after it.
    pub const fn at_or_after(self, other: Self) -> bool {
        other.at_or_before(self)
    }

    /// How many numbers lie from `self` up to `later`; zero if `later` is in fact earlier.
    pub const fn distance_to(self, later: Self) -> u32 {
        if later.before(self) { 0 } else { later.0.wrapping_sub(self.0) }
    }

    /// Whether `self` is in `start .. start + len`.
    pub const fn is_within(self, start: Self, len: u32) -> bool {
        self.0.wrapping_sub(start.0) < len
    }

    /// The later of both.
    #[must_use]
    pub const fn later_of(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of both.
    #[must_use]
    pub const fn earlier_of(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }
}

impl Add<u32> for SeqNumber {
    type Output = Self;

    fn add(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl AddAssign<u32> for SeqNumber {
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl Sub<u32> for SeqNumber {
    type Output = Self;

    fn sub(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        let (a, b) = (SeqNumber(u32::MAX - 1), SeqNumber(3));
        assert!(a.before(b) && b.after(a) && !b.before(a));
        assert!(a.at_or_before(a) && a.at_or_after(a) && !a.before(a));
        assert_eq!(a.distance_to(b), 5);
        assert_eq!(b.distance_to(a), 0);
        assert_eq!(a + 5, b);
        assert_eq!(b - 5, a);
        assert!(SeqNumber(1).is_within(a, 4));
        assert!(!SeqNumber(2).is_within(a, 4));
        assert!(!a.is_within(a, 0));
        assert_eq!(a.later_of(b), b);
        assert_eq!(a.earlier_of(b), a);
    }
}
