//! What a client remembers of servers for Fast Open (RFC 7413 4.1.3): cookies, and paths on which it failed.
//!
//! # Limits
//! So many servers and so many failing paths as [`TcpConfig`](super::TcpConfig) says, the latest; about 100 bytes each.
//! A path on which a SYN with the option seems to have been lost is left alone for an hour, one that only was not served for a
//! minute; each time in a row twice as long, up to 64 times.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{HashKey, Instant};
use netloom_wire::FastOpenCookie;

use super::recent::Recent;
use super::tuple::FourTuple;

/// How long a path that swallows such SYNs is left alone at first.
const BLACK_HOLE_PENALTY: Duration = Duration::from_secs(3600);
/// How long a server that did not take part is left alone at first.
const REFUSAL_PENALTY: Duration = Duration::from_secs(60);
/// How often a penalty doubles.
const MOST_DOUBLINGS: u32 = 6;

/// Both addresses: cookies do not depend on ports. [7413-06]
type Addresses = (IpAddr, IpAddr);
/// Both addresses and the server's port. [7413-10]
type Path = (IpAddr, IpAddr, u16);

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// Its cookie, and the most that it takes in a segment. [7413-07]
    Cookie(FastOpenCookie, u16),
    /// It is left alone for now.
    Failing,
}

/// How it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server answered, and took no part.
    Refused,
    /// The SYN, or what followed it, seems to have been swallowed.
    Swallowed,
}

#[derive(Clone, Copy, Debug)]
struct Penalty {
    until: Instant,
    count: u32,
}

/// The memory.
#[derive(Debug)]
pub(super) struct FastOpenCache {
    servers: Recent<Addresses, (FastOpenCookie, u16)>,
    penalties: Recent<Path, Penalty>,
}

const fn addresses(tuple: &FourTuple) -> Addresses {
    (tuple.local_address, tuple.remote_address)
}

const fn path(tuple: &FourTuple) -> Path {
    (tuple.local_address, tuple.remote_address, tuple.remote_port)
}

impl FastOpenCache {
    pub(super) fn new(capacity: usize, key: HashKey) -> Self {
        Self { servers: Recent::new(capacity, key), penalties: Recent::new(capacity, key) }
    }

    /// What a connection between these ends can go by.
    pub(super) fn look_up(&mut self, now: Instant, tuple: &FourTuple) -> Known {
        if self.penalties.get(&path(tuple)).is_some_and(|penalty| now < penalty.until) {
            return Known::Failing;
        }
        self.servers
            .get(&addresses(tuple))
            .map_or(Known::Nothing, |&mut (cookie, mss)| Known::Cookie(cookie, mss))
    }

    /// The server gave a cookie. [7413-05] [7413-21]
    pub(super) fn learn(&mut self, tuple: &FourTuple, cookie: FastOpenCookie, mss: u16) {
        self.servers.put(addresses(tuple), (cookie, mss));
    }

    /// The server took part.
    pub(super) fn on_success(&mut self, tuple: &FourTuple) {
        self.penalties.remove(&path(tuple));
    }

    /// It failed. Until when the path is left alone. [7413-09] [7413-10] [7413-16]
    pub(super) fn on_failure(&mut self, now: Instant, tuple: &FourTuple, failure: Failure) -> Instant {
        let count = self.penalties.get(&path(tuple)).map_or(0, |penalty| penalty.count);
        let penalty = match failure {
            Failure::Refused => REFUSAL_PENALTY,
            Failure::Swallowed => BLACK_HOLE_PENALTY,
        };
        let until = now + penalty.saturating_mul(1 << count.min(MOST_DOUBLINGS));
        self.penalties.put(path(tuple), Penalty { until, count: count.saturating_add(1) });
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(remote_port: u16) -> FourTuple {
        FourTuple {
            local_address: "10.0.0.2".parse().unwrap(),
            remote_address: "10.0.0.1".parse().unwrap(),
            local_port: 40_000,
            remote_port,
        }
    }

    fn cache() -> FastOpenCache {
        FastOpenCache::new(8, HashKey::new(1, 2))
    }

    fn cookie(byte: u8) -> FastOpenCookie {
        FastOpenCookie::new(&[byte; 8]).unwrap()
    }

    #[test]
    fn the_latest_cookie_is_known_at_every_port_of_the_server() {
        // [7413-05] [7413-06] [7413-07] [7413-21]
        let mut cache = cache();
        assert_eq!(cache.look_up(Instant::ZERO, &tuple(80)), Known::Nothing);
        cache.learn(&tuple(80), cookie(1), 1000);
        cache.learn(&tuple(443), cookie(2), 1460);
        assert_eq!(cache.look_up(Instant::ZERO, &tuple(80)), Known::Cookie(cookie(2), 1460));
        let other = FourTuple { local_address: "10.0.0.3".parse().unwrap(), ..tuple(80) };
        assert_eq!(cache.look_up(Instant::ZERO, &other), Known::Nothing);
    }

    #[test]
    fn a_path_that_fails_rests_longer_each_time_and_others_do_not() {
        // [7413-09] [7413-10] [7413-16]
        for (failure, seconds) in [(Failure::Swallowed, 3600), (Failure::Refused, 60)] {
            let (mut cache, mut now) = (cache(), Instant::ZERO);
            cache.learn(&tuple(80), cookie(1), 1460);
            for round in 0..9u32 {
                let until = cache.on_failure(now, &tuple(80), failure);
                assert_eq!(until, now + Duration::from_secs(seconds) * (1 << round.min(6)));
                assert_eq!(cache.look_up(now, &tuple(80)), Known::Failing);
                assert_eq!(cache.look_up(now, &tuple(443)), Known::Cookie(cookie(1), 1460));
                now = until;
                assert_eq!(cache.look_up(now, &tuple(80)), Known::Cookie(cookie(1), 1460));
            }
            cache.on_success(&tuple(80));
            let until = cache.on_failure(now, &tuple(80), failure);
            assert_eq!(until, now + Duration::from_secs(seconds), "it begins anew after a success");
        }
    }
}
