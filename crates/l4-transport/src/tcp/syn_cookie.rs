//! SYN cookies (RFC 4987 3.6): a half-open connection that takes no memory, because the peer carries it.
//!
//! # Theory of operation
//! The SYN-ACK's sequence number says when it was made and how large the peer's segments may be, and proves that we made
//! it. The acknowledgment brings it back. What else a SYN-ACK grants stands in the low bits of its timestamp, which the
//! peer echoes; without timestamps there is nothing else.
//!
//! ```text
//!  31      27 26    24 23                                           0
//! +----------+--------+----------------------------------------------+
//! |  period  |  MSS   |  proof: keyed hash of all that must not vary | + keyed hash of the four-tuple + IRS
//! +----------+--------+----------------------------------------------+
//! ```
//!
//! # Limits
//! A cookie is good for 64 to 128 seconds. A guess is right once in 2^28 tries, and earns a connection to a peer that never
//! asked. Two hashes a check.
//!
//! # Not here
//! When cookies are sent and taken: `cookie_handshake.rs`.

use core::hash::{Hash, Hasher};

use netloom_base::{Instant, Rng};
use netloom_wire::SeqNumber;
use siphasher::sip::SipHasher24;

use super::negotiation::Negotiated;
use super::tuple::FourTuple;

/// How long one period lasts. A cookie is good in the one that it was made in and the next.
const PERIOD_MILLIS: u64 = 64_000;
const PERIOD_BITS: u32 = 5;
const PROOF_BITS: u32 = 24;
const PROOF_MASK: u32 = (1 << PROOF_BITS) - 1;

/// Segment sizes that a cookie can name; one is rounded down to the next. They are what is least (536, 1220), and what
/// comes of packets of 9000 and 1500 bytes over both versions of IP and through the usual tunnels. The first is less than
/// what anyone has, so that nobody is ever sent more than it takes.
pub(super) const SEGMENT_SIZES: [u16; 8] = [48, 536, 1220, 1360, 1420, 1440, 1460, 8940];

/// Low bits of a timestamp that carry options.
const OPTION_BITS: u32 = 6;
const OPTION_MASK: u32 = (1 << OPTION_BITS) - 1;
const SHIFT_MASK: u32 = 0b1111;
/// In the place of a shift: windows are not scaled.
const NO_SHIFT: u32 = SHIFT_MASK;
const SACK_BIT: u32 = 1 << 4;
const ECN_BIT: u32 = 1 << 5;

/// Ticks of milliseconds within which the echo of a timestamp can be that of a cookie.
const LONGEST_ECHO_MILLIS: u32 = 2 * 64_000 + 2 * (1 << OPTION_BITS);

/// The secrets.
#[derive(Clone, Debug)]
pub(super) struct SynCookies {
    mask_key: (u64, u64),
    proof_key: (u64, u64),
}

impl SynCookies {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut key = || (rng.next_u64(), rng.next_u64());
        Self { mask_key: key(), proof_key: key() }
    }

    /// The initial sequence number of the answer to a SYN numbered `irs`, from a peer that takes segments of `peer_mss`
    /// bytes.
    pub(super) fn make(&self, now: Instant, tuple: &FourTuple, irs: SeqNumber, peer_mss: u16) -> SeqNumber {
        let period = period_of(now);
        let index = (0..).zip(SEGMENT_SIZES).take_while(|&(_, size)| size <= peer_mss).last();
        let index: u32 = index.map_or(0, |(index, _)| index);
        let plain = (low_half(period) << (u32::BITS - PERIOD_BITS))
            | (index << PROOF_BITS)
            | self.proof(tuple, irs, period, index);
        SeqNumber(plain.wrapping_add(self.mask(tuple, irs)))
    }

    /// The peer's segment size, if `iss` is a cookie for this SYN that is not too old.
    pub(super) fn check(
        &self,
        now: Instant,
        tuple: &FourTuple,
        irs: SeqNumber,
        iss: SeqNumber,
    ) -> Option<u16> {
        let plain = iss.0.wrapping_sub(self.mask(tuple, irs));
        let this = period_of(now);
        let age = low_half(this).wrapping_sub(plain >> (u32::BITS - PERIOD_BITS)) & ((1 << PERIOD_BITS) - 1);
        let period = this.checked_sub(age.into()).filter(|_| age <= 1)?;
        let index = (plain >> PROOF_BITS) & 0b111;
        let size = *SEGMENT_SIZES.get(index as usize)?;
        (plain & PROOF_MASK == self.proof(tuple, irs, period, index)).then_some(size)
    }

    fn mask(&self, tuple: &FourTuple, irs: SeqNumber) -> u32 {
        let mut hasher = SipHasher24::new_with_keys(self.mask_key.0, self.mask_key.1);
        tuple.hash(&mut hasher);
        low_half(hasher.finish()).wrapping_add(irs.0)
    }

    fn proof(&self, tuple: &FourTuple, irs: SeqNumber, period: u64, index: u32) -> u32 {
        let mut hasher = SipHasher24::new_with_keys(self.proof_key.0, self.proof_key.1);
        (tuple, irs.0, period, index).hash(&mut hasher);
        low_half(hasher.finish()) & PROOF_MASK
    }
}

/// How long a cookie that leaves at `sent_at` may still come back.
pub(super) fn may_return(now: Instant, sent_at: Instant) -> bool {
    period_of(now) <= period_of(sent_at) + 1
}

/// The timestamp that carries what was agreed, instead of `clock`: never later, so that the connection's own, which
/// follow the clock, do not go back. [7323-42]
pub(super) fn timestamp_of(clock: u32, negotiated: Negotiated) -> u32 {
    let shift = if negotiated.window_scaling { u32::from(negotiated.snd_shift) } else { NO_SHIFT };
    let sack = if negotiated.sack { SACK_BIT } else { 0 };
    let ecn = if negotiated.ecn { ECN_BIT } else { 0 };
    let options = shift | sack | ecn;
    let rounded = clock & !OPTION_MASK;
    if options > clock & OPTION_MASK { rounded.wrapping_sub(1 << OPTION_BITS) } else { rounded }
        .wrapping_add(options)
}

/// What the peer asked for, as the echo of a cookie's timestamp has it; our own shift is not in it. `None` if it is no
/// such echo.
pub(super) fn asked_for(clock: u32, echo: u32) -> Option<Negotiated> {
    if clock.wrapping_sub(echo) > LONGEST_ECHO_MILLIS {
        return None;
    }
    let shift = u8::try_from(echo & SHIFT_MASK).ok().filter(|&shift| u32::from(shift) != NO_SHIFT);
    Some(Negotiated {
        snd_shift: shift.unwrap_or_default(),
        rcv_shift: 0,
        window_scaling: shift.is_some(),
        timestamps: true,
        sack: echo & SACK_BIT != 0,
        ecn: echo & ECN_BIT != 0,
    })
}

fn period_of(now: Instant) -> u64 {
    now.as_millis() / PERIOD_MILLIS
}

#[expect(clippy::cast_possible_truncation, reason = "of a hash or a counter the low bits are as good as all")]
const fn low_half(number: u64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(remote_port: u16) -> FourTuple {
        FourTuple {
            local_address: "10.0.0.2".parse().unwrap(),
            remote_address: "10.0.0.1".parse().unwrap(),
            local_port: 80,
            remote_port,
        }
    }

    fn cookies(seed: u64) -> SynCookies {
        SynCookies::new(&mut Rng::from_number(seed))
    }

    const IRS: SeqNumber = SeqNumber(0xffff_fff0);

    #[test]
    fn a_cookie_comes_back_for_at_least_one_period_and_never_after_two() {
        let cookies = cookies(1);
        for begin in [0, 1, 63_999, 64_000, 40 * 64_000 + 17] {
            let made = cookies.make(Instant::from_millis(begin), &tuple(1), IRS, 1460);
            let check = |after| cookies.check(Instant::from_millis(begin + after), &tuple(1), IRS, made);
            assert_eq!([0, 1, 64_000].map(check), [Some(1460); 3], "{begin}");
            assert_eq!([128_000, 31 * 64_000, 32 * 64_000, 33 * 64_000].map(check), [None; 4], "{begin}");
        }
    }

    #[test]
    fn a_segment_size_is_rounded_down() {
        let cookies = cookies(1);
        for (mss, expected) in [
            (48, 48),
            (535, 48),
            (536, 536),
            (1219, 536),
            (1220, 1220),
            (1380, 1360),
            (1452, 1440),
            (1460, 1460),
            (8960, 8940),
            (65_535, 8940),
        ] {
            let made = cookies.make(Instant::ZERO, &tuple(1), IRS, mss);
            assert_eq!(cookies.check(Instant::ZERO, &tuple(1), IRS, made), Some(expected));
        }
    }

    #[test]
    fn a_cookie_is_of_one_tuple_one_syn_and_one_stack() {
        let now = Instant::from_millis(1_000_000);
        let ours = cookies(1);
        let made = ours.make(now, &tuple(1), IRS, 1460);
        assert_eq!(ours.check(now, &tuple(2), IRS, made), None);
        assert_eq!(ours.check(now, &tuple(1), IRS + 1, made), None);
        assert_eq!(cookies(2).check(now, &tuple(1), IRS, made), None);
        let lucky = (0..1 << 20).filter(|&guess| {
            ours.check(now, &tuple(1), IRS, SeqNumber(0x1234_5678u32.wrapping_add(guess * 4096))).is_some()
        });
        assert!(lucky.count() <= 1, "guesses are rarely right");
    }

    #[test]
    fn options_ride_on_a_timestamp_that_is_not_late() {
        // [7323-42]
        let both = [false, true];
        for shift in [None, Some(0), Some(7), Some(14)] {
            for (sack, ecn) in both.iter().flat_map(|&sack| both.map(|ecn| (sack, ecn))) {
                let negotiated = Negotiated {
                    snd_shift: shift.unwrap_or(0),
                    rcv_shift: 0,
                    window_scaling: shift.is_some(),
                    timestamps: true,
                    sack,
                    ecn,
                };
                for clock in [0, 5, 63, 64, 1_000_000, u32::MAX] {
                    let value = timestamp_of(clock, negotiated);
                    assert!(clock.wrapping_sub(value) < 128, "{clock} {value}");
                    assert_eq!(asked_for(clock.wrapping_add(100), value), Some(negotiated));
                    assert_eq!(asked_for(clock.wrapping_add(200_000), value), None);
                    assert_eq!(asked_for(value.wrapping_sub(1), value), None);
                }
            }
        }
    }
}
