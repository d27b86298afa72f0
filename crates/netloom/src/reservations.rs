//! TCP ports that are taken by nothing but a name.

use std::collections::HashMap;
use std::net::SocketAddr;

use netloom_stack::LocalEnds;

/// With whom a socket shares its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reuse {
    /// With those that say so too, as long as only one listens (`SO_REUSEADDR`).
    pub(crate) address: bool,
    /// With those that say so too, even if they listen (`SO_REUSEPORT`).
    pub(crate) port: bool,
}

impl Reuse {
    /// What listeners ask for: connections of an earlier one are not in their way.
    pub(crate) const ADDRESS: Self = Self { address: true, port: false };

    /// Whether two sockets that do not listen may have the same port.
    const fn allows(self, other: Self) -> bool {
        self.address && other.address || self.port && other.port
    }
}

/// Sockets that are bound, and neither listen nor connect yet. Each is held by a `TcpSocket`.
#[derive(Debug)]
pub(crate) struct Reservations {
    last: u64,
    held: HashMap<u64, (SocketAddr, Reuse)>,
    /// What they are bound to, by whom they share it with.
    ends: [(Reuse, LocalEnds); 4],
}

/// Names a reservation.
pub(crate) type ReservationId = u64;

impl Default for Reservations {
    fn default() -> Self {
        let ends = [(false, false), (false, true), (true, false), (true, true)]
            .map(|(address, port)| (Reuse { address, port }, LocalEnds::new()));
        Self { last: 0, held: HashMap::new(), ends }
    }
}

impl Reservations {
    /// Takes a port that is free.
    pub(crate) fn add(&mut self, address: SocketAddr, reuse: Reuse) -> ReservationId {
        self.last += 1;
        self.held.insert(self.last, (address, reuse));
        self.add_end(address, reuse);
        self.last
    }

    /// Gives the port back.
    pub(crate) fn remove(&mut self, id: ReservationId) {
        if let Some((address, reuse)) = self.held.remove(&id) {
            self.remove_end(address, reuse);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether one other than `own` keeps a socket from having `address`.
    pub(crate) fn is_taken(&mut self, address: SocketAddr, reuse: Reuse, own: Option<ReservationId>) -> bool {
        let own = own.and_then(|id| self.held.get(&id).copied());
        if let Some((address, reuse)) = own {
            self.remove_end(address, reuse);
        }
        let is_taken = self
            .ends
            .iter()
            .any(|(other, ends)| !reuse.allows(*other) && ends.overlaps(Some(address.ip()), address.port()));
        if let Some((address, reuse)) = own {
            self.add_end(address, reuse);
        }
        is_taken
    }

    fn add_end(&mut self, address: SocketAddr, reuse: Reuse) {
        for (_, ends) in self.ends.iter_mut().filter(|(shared_with, _)| *shared_with == reuse) {
            ends.add(Some(address.ip()), address.port());
        }
    }

    fn remove_end(&mut self, address: SocketAddr, reuse: Reuse) {
        for (_, ends) in self.ends.iter_mut().filter(|(shared_with, _)| *shared_with == reuse) {
            ends.remove(Some(address.ip()), address.port());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_both_share_may_have_one_port() {
        let one: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let every: SocketAddr = "0.0.0.0:80".parse().unwrap();
        let all = [(false, false), (false, true), (true, false), (true, true)];
        let all = all.map(|(address, port)| Reuse { address, port });
        for (first, second) in all.into_iter().flat_map(|first| all.map(|second| (first, second))) {
            let expected = !(first.address && second.address || first.port && second.port);
            for (has, asks) in [(one, one), (one, every), (every, one)] {
                let mut reservations = Reservations::default();
                let id = reservations.add(has, first);
                assert_eq!(reservations.is_taken(asks, second, None), expected, "{first:?} {second:?}");
                assert!(!reservations.is_taken(asks, second, Some(id)), "nobody is in his own way");
                assert!(reservations.is_taken(has, Reuse::default(), None), "asking changes nothing");
                reservations.remove(id);
                assert!(!reservations.is_taken(asks, Reuse::default(), None));
            }
        }
    }
}
