//! TCP ports that are taken by nothing but a name.

use std::collections::HashMap;
use std::net::SocketAddr;

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
}

/// Names a reservation.
pub(crate) type ReservationId = u64;

impl Reservations {
    /// Takes a port that is free.
    pub(crate) fn add(&mut self, address: SocketAddr, reuse: Reuse) -> ReservationId {
        self.last += 1;
        self.held.insert(self.last, (address, reuse));
        self.last
    }

    /// Gives the port back.
    pub(crate) fn remove(&mut self, id: ReservationId) {
        self.held.remove(&id);
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ReservationId, SocketAddr, Reuse)> + '_ {
        self.held.iter().map(|(&id, &(address, reuse))| (id, address, reuse))
    }
}
