//! TCP ports that are taken by nothing but a name.

use std::collections::HashMap;
use std::net::SocketAddr;

use netloom_stack::LocalEnds;

/// Whether a socket lets others have its port (`SO_REUSEADDR`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Nobody else.
    #[default]
    No,
    /// Those that say so too, as long as only one listens.
    Yes,
}

/// Sockets that are bound, and neither listen nor connect yet. Each is held by a `TcpSocket`.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    last: u64,
    held: HashMap<u64, (SocketAddr, Reuse)>,
    /// Those that let nobody else have their port, and those that do.
    exclusive: LocalEnds,
    shared: LocalEnds,
}

/// Names a reservation.
pub(crate) type ReservationId = u64;

impl Reservations {
    /// Takes a port that is free.
    pub(crate) fn add(&mut self, address: SocketAddr, reuse: Reuse) -> ReservationId {
        self.last += 1;
        self.held.insert(self.last, (address, reuse));
        self.ends_of(reuse).add(Some(address.ip()), address.port());
        self.last
    }

    /// Gives the port back.
    pub(crate) fn remove(&mut self, id: ReservationId) {
        if let Some((address, reuse)) = self.held.remove(&id) {
            self.ends_of(reuse).remove(Some(address.ip()), address.port());
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
            self.ends_of(reuse).remove(Some(address.ip()), address.port());
        }
        let overlaps = |ends: &LocalEnds| ends.overlaps(Some(address.ip()), address.port());
        let is_taken = overlaps(&self.exclusive) || reuse == Reuse::No && overlaps(&self.shared);
        if let Some((address, reuse)) = own {
            self.ends_of(reuse).add(Some(address.ip()), address.port());
        }
        is_taken
    }

    fn ends_of(&mut self, reuse: Reuse) -> &mut LocalEnds {
        match reuse {
            Reuse::No => &mut self.exclusive,
            Reuse::Yes => &mut self.shared,
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
        for (first, second, expected) in [
            (Reuse::No, Reuse::No, true),
            (Reuse::No, Reuse::Yes, true),
            (Reuse::Yes, Reuse::No, true),
            (Reuse::Yes, Reuse::Yes, false),
        ] {
            for (has, asks) in [(one, one), (one, every), (every, one)] {
                let mut reservations = Reservations::default();
                let id = reservations.add(has, first);
                assert_eq!(reservations.is_taken(asks, second, None), expected, "{first:?} {second:?}");
                assert!(!reservations.is_taken(asks, second, Some(id)), "nobody is in his own way");
                assert!(reservations.is_taken(has, Reuse::No, None), "asking changes nothing");
                reservations.remove(id);
                assert!(!reservations.is_taken(asks, Reuse::No, None));
            }
        }
    }
}
