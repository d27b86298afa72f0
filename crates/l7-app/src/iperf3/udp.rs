//! The UDP port: datagrams of all streams arrive on one socket and are told apart by their sender.
//!
//! # Theory of operation
//! A client announces each stream with a datagram of four bytes, and waits for its answer before it announces the
//! next. While a test [is open](UdpPort::open), announcements from the client's own address make streams; all other
//! datagrams count only when their sender is one. Nothing is answered but announcements, four bytes with four.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::datagrams::{Datagrams, answer_datagrams};
use crate::iperf3::header::DatagramHeader;
use crate::iperf3::tally::{Tally, lock};

/// What announces a stream, since iperf 3.11 or so: "6789" as a number in the client's byte order.
const ANNOUNCEMENT: u32 = 0x3637_3839;
/// Its answer, in the same byte order.
const ANSWER: u32 = 0x3938_3736;
/// What older clients send and expect.
const OLD_ANNOUNCEMENT: u32 = 123_456_789;
const OLD_ANSWER: u32 = 987_654_321;

/// The UDP side of the service.
#[derive(Debug)]
pub(crate) struct UdpPort<D> {
    pub(crate) socket: D,
    /// The zero of the clock by which arrivals are timed and departures stamped.
    pub(crate) epoch: Instant,
    table: Mutex<Option<Table>>,
    joined: Notify,
}

/// The streams of the test that is open.
#[derive(Debug)]
struct Table {
    client: IpAddr,
    wide: bool,
    is_running: bool,
    /// In the order of their announcements; those that nobody has announced come last.
    tallies: Vec<Arc<Tally>>,
    peers: Vec<SocketAddr>,
    by_peer: HashMap<SocketAddr, usize>,
}

/// An open test; dropped, its streams are forgotten.
#[derive(Debug)]
pub(crate) struct OpenTest<'a, D> {
    port: &'a UdpPort<D>,
}

impl<D: Datagrams> UdpPort<D> {
    pub(crate) fn new(socket: D) -> Self {
        Self { socket, epoch: Instant::now(), table: Mutex::new(None), joined: Notify::new() }
    }

    /// Takes datagrams until `shutdown`.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) -> io::Result<()> {
        answer_datagrams(&self.socket, shutdown, |bytes, peer| self.on_datagram(bytes, peer).map(Cow::Owned))
            .await
    }

    /// Waits for the streams that are counted by `tallies` from the host `client`.
    pub(crate) fn open(&self, client: IpAddr, wide: bool, tallies: Vec<Arc<Tally>>) -> OpenTest<'_, D> {
        *lock(&self.table) = Some(Table {
            client: client.to_canonical(),
            wide,
            is_running: false,
            tallies,
            peers: Vec::new(),
            by_peer: HashMap::new(),
        });
        OpenTest { port: self }
    }

    fn on_datagram(&self, bytes: &[u8], peer: SocketAddr) -> Option<Vec<u8>> {
        let mut table = lock(&self.table);
        let table = table.as_mut()?;
        let index = table.by_peer.get(&peer).copied();
        if let Some(answer) = answer_to(bytes) {
            if index.is_none() {
                table.join(peer)?;
                self.joined.notify_one();
            }
            // A stream that announces itself again did not get its answer.
            return Some(answer);
        }
        let tally = table.tallies.get(index?)?;
        if table.is_running && !tally.server_sends {
            let header = DatagramHeader::parse(bytes, table.wide)?;
            tally.on_datagram_received(header, bytes.len(), self.epoch.elapsed());
        }
        None
    }
}

impl Table {
    /// Makes `peer` the next stream, if one is missing and the peer is the client's host.
    fn join(&mut self, peer: SocketAddr) -> Option<()> {
        let index = self.peers.len();
        if index >= self.tallies.len() || peer.ip().to_canonical() != self.client {
            return None;
        }
        self.peers.push(peer);
        self.by_peer.insert(peer, index);
        Some(())
    }
}

impl<D> OpenTest<'_, D> {
    /// Waits until every stream was announced; returns their peers in order.
    pub(crate) async fn all_joined(&self) -> Vec<SocketAddr> {
        loop {
            let joined = self.port.joined.notified();
            if let Some(table) = lock(&self.port.table).as_ref()
                && table.peers.len() == table.tallies.len()
            {
                return table.peers.clone();
            }
            joined.await;
        }
    }

    /// From now on data counts.
    pub(crate) fn start(&self) {
        if let Some(table) = lock(&self.port.table).as_mut() {
            table.is_running = true;
        }
    }
}

impl<D> Drop for OpenTest<'_, D> {
    fn drop(&mut self) {
        *lock(&self.port.table) = None;
    }
}

/// The answer to an announcement in the byte order in which it came, nothing to any other datagram.
fn answer_to(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    for (announcement, answer) in [(ANNOUNCEMENT, ANSWER), (OLD_ANNOUNCEMENT, OLD_ANSWER)] {
        if u32::from_le_bytes(bytes) == announcement {
            return Some(answer.to_le_bytes().to_vec());
        }
        if u32::from_be_bytes(bytes) == announcement {
            return Some(answer.to_be_bytes().to_vec());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::answer_to;

    #[test]
    fn announcements_are_answered_in_their_byte_order_and_version() {
        for (announcement, answer) in [
            (*b"9876", Some(b"6789".to_vec())),
            (*b"6789", Some(b"9876".to_vec())),
            (123_456_789_u32.to_le_bytes(), Some(987_654_321_u32.to_le_bytes().to_vec())),
            (123_456_789_u32.to_be_bytes(), Some(987_654_321_u32.to_be_bytes().to_vec())),
            ([0; 4], None),
        ] {
            assert_eq!(answer_to(&announcement), answer);
        }
        assert_eq!(answer_to(b"98765"), None);
        assert_eq!(answer_to(b""), None);
    }
}
