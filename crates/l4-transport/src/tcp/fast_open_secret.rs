//! Cookies of Fast Open as a server makes and knows them (RFC 7413 4.1.2): nothing is kept of any client.
//!
//! # Theory of operation
//! A cookie is a keyed hash of both addresses and of the period in which it was made: whoever shows it has heard from us at its
//! address, not long ago. It is no secret of the connection: everybody on the way has seen it, which is why the numbers of
//! connections that it opens are bounded.
//!
//! # Limits
//! A cookie is good for 12 to 24 hours. A guess is right once in 2^63 tries. Two hashes a check.
//!
//! # Not here
//! What a good cookie opens: `fast_open_server.rs`.

use core::fmt;
use core::hash::Hasher;
use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{Instant, Rng};
use netloom_wire::{FastOpenCookie, hash_address};
use siphasher::sip::SipHasher24;

/// How long one period lasts. A cookie is good in the one that it was made in and the next. [7413-04]
const PERIOD: Duration = Duration::from_secs(12 * 3600);

/// What a server makes cookies of: who knows it can open connections in anybody's name. Stacks that are one server, behind one
/// address, need the same one and the same clock; shards of one host have both.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FastOpenSecret(u64, u64);

/// What a cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieVerdict {
    /// It is what we would give now.
    Current,
    /// It is what we gave before: good, and soon no more.
    Previous,
    /// It is none of ours, or too old.
    Bad,
}

impl FastOpenSecret {
    /// One that nobody can guess.
    pub fn random(rng: &mut Rng) -> Self {
        Self(rng.next_u64(), rng.next_u64())
    }

    /// The cookie for a client at `remote` that connects to `local` from now on. [7413-03]
    pub(super) fn make(self, now: Instant, local: IpAddr, remote: IpAddr) -> FastOpenCookie {
        FastOpenCookie::new(&self.tag(period_of(now), local, remote)).unwrap_or_default()
    }

    /// Whether a client's cookie is one of ours for it. However wrong it is, finding out takes the same time.
    pub(super) fn check(
        self,
        now: Instant,
        local: IpAddr,
        remote: IpAddr,
        cookie: &FastOpenCookie,
    ) -> CookieVerdict {
        let Ok(shown) = <[u8; 8]>::try_from(cookie.as_slice()) else { return CookieVerdict::Bad };
        let shown = u64::from_ne_bytes(shown);
        let differs = |period| u64::from_ne_bytes(self.tag(period, local, remote)) ^ shown;
        let period = period_of(now);
        let (current, previous) = (differs(period), differs(period.wrapping_sub(1)));
        if current == 0 {
            CookieVerdict::Current
        } else if previous == 0 {
            CookieVerdict::Previous
        } else {
            CookieVerdict::Bad
        }
    }

    fn tag(self, period: u64, local: IpAddr, remote: IpAddr) -> [u8; 8] {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        hasher.write_u64(period);
        hash_address(local, &mut hasher);
        hash_address(remote, &mut hasher);
        hasher.finish().to_be_bytes()
    }
}

fn period_of(now: Instant) -> u64 {
    now.as_millis() / 1000 / PERIOD.as_secs()
}

/// It stays a secret.
impl fmt::Debug for FastOpenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FastOpenSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(hours * 3600)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn secret(seed: u64) -> FastOpenSecret {
        FastOpenSecret::random(&mut Rng::from_number(seed))
    }

    #[test]
    fn a_cookie_is_good_for_half_a_day_and_bad_after_a_whole_one() {
        // [7413-04]
        let (secret, local, remote) = (secret(1), address("10.0.0.2"), address("10.0.0.1"));
        for begin in [0, 11, 12, 100] {
            let cookie = secret.make(at(begin), local, remote);
            let check = |after| secret.check(at(begin + after), local, remote, &cookie);
            assert_eq!(check(0), CookieVerdict::Current, "{begin}");
            assert_ne!(check(12), CookieVerdict::Bad, "{begin}");
            assert_eq!(check(24), CookieVerdict::Bad, "{begin}");
        }
        let cookie = secret.make(at(1), local, remote);
        assert_eq!(secret.check(at(13), local, remote, &cookie), CookieVerdict::Previous);
    }

    #[test]
    fn a_cookie_is_of_one_client_one_address_of_ours_and_one_secret() {
        // [7413-03]
        let (ours, local, remote) = (secret(1), address("10.0.0.2"), address("10.0.0.1"));
        let cookie = ours.make(at(1), local, remote);
        assert_eq!(cookie.as_slice().len(), 8);
        assert_eq!(ours.check(at(1), local, address("10.0.0.3"), &cookie), CookieVerdict::Bad);
        assert_eq!(ours.check(at(1), address("10.0.0.3"), remote, &cookie), CookieVerdict::Bad);
        assert_eq!(secret(2).check(at(1), local, remote, &cookie), CookieVerdict::Bad);
        for index in 0..8 {
            let mut bytes = cookie.as_slice().to_vec();
            bytes[index] ^= 1;
            let forged = FastOpenCookie::new(&bytes).unwrap();
            assert_eq!(ours.check(at(1), local, remote, &forged), CookieVerdict::Bad);
            let cut = FastOpenCookie::new(&cookie.as_slice()[..index]).unwrap_or_default();
            assert_eq!(ours.check(at(1), local, remote, &cut), CookieVerdict::Bad);
        }
        assert!(!format!("{ours:?}").contains(&ours.0.to_string()), "it is not shown");
    }
}
