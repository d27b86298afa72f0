//! The far side of a device with one queue or more, each of which is a tunnel.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use netloom::Tunnel;
use netloom::device::Queue;
use netloom::stack::Medium;

/// Steers each flow to one queue, of which it does not know whose it is.
pub(crate) struct Trunk(Vec<Tunnel>);

/// Where both addresses and ports are, behind headers without options.
fn flow(packet: &[u8]) -> &[u8] {
    let ends = if packet[0] >> 4 == 6 { 8..44 } else { 12..24 };
    packet.get(ends).unwrap_or_default()
}

impl Trunk {
    /// A device for IP packets with so many queues, and its far side.
    pub(crate) fn pair(mtu: u16, queue_count: usize) -> (Vec<Box<dyn Queue>>, Self) {
        let (queues, tunnels) = (0..queue_count).map(|_| Tunnel::pair(Medium::Ip, mtu).unwrap()).unzip();
        (queues, Self(tunnels))
    }

    /// The next packet of any queue.
    pub(crate) async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut polls = self.0.iter().map(|tunnel| tunnel.poll_recv(cx, buffer));
            polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await
    }

    pub(crate) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        let sum: usize = flow(packet).iter().map(|&byte| usize::from(byte)).sum();
        self.0[sum % self.0.len()].send(packet).await
    }
}
