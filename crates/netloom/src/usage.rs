//! What a stack holds on behalf of its sockets: for those who watch for leaks.

use netloom_stack::transport::TcpUsage;

use crate::Net;
use crate::shard::Shard;

/// What one shard of a [`Net`] holds for its sockets.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// let socket = client.udp_bind("10.0.0.2:53").await?;
/// assert_eq!(client.usage()[0].udp_sockets, 1);
/// drop(socket);
/// assert!(client.usage()[0].is_clear());
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Connections, handshakes, listeners, timers, bytes in buffers.
    pub tcp: TcpUsage,
    /// UDP sockets, those included that were dropped and still send what is left.
    pub udp_sockets: usize,
    /// Sockets that ask for echoes.
    pub icmp_sockets: usize,
    /// Ports that [`TcpSocket`](crate::TcpSocket)s are bound to. They are the whole host's, and counted with the first shard.
    pub reserved_ports: usize,
    /// Bytes of datagrams that are not complete.
    pub reassembly_bytes: usize,
    /// Entries of those who wait: for each connection that a task waits for, and for each other socket, or handshake, that one
    /// has waited for; where several wait for the same thing, one for each beside the first; and each connection's
    /// [`Report`](crate::Report) that nobody has taken.
    pub waits: usize,
}

impl Usage {
    /// Whether nothing is left of any socket: no connection, no buffer, no task that waits, and no timer but those of
    /// TIME-WAIT.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// assert!(!client.usage()[0].is_clear());
    /// drop((listener, outgoing, incoming));
    /// while !client.usage()[0].is_clear() {
    ///     tokio::task::yield_now().await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_clear(&self) -> bool {
        let time_wait = self.tcp.time_wait;
        *self
            == Self {
                tcp: TcpUsage { time_wait, timers: time_wait, ..TcpUsage::default() },
                ..Self::default()
            }
    }
}

impl Net {
    /// What each shard holds now. Walks tables: for tests and tools.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("doc/connected.md")]
    /// let usage = server.usage();
    /// assert_eq!((usage[0].tcp.connections, usage[0].udp_sockets), (1, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn usage(&self) -> Vec<Usage> {
        let mut usages: Vec<Usage> =
            self.host.shards().iter().map(|shard| shard.with(|shard, _| shard.usage())).collect();
        if let Some(first) = usages.first_mut() {
            first.reserved_ports = self.host.reservations().len();
        }
        usages
    }
}

impl Shard {
    /// All but what is the host's.
    fn usage(&mut self) -> Usage {
        Usage {
            tcp: self.stack.transport_usage(),
            udp_sockets: self.stack.udp().sockets().count(),
            icmp_sockets: self.stack.icmp().count(),
            reserved_ports: 0,
            reassembly_bytes: self.stack.internet().reassembly_bytes(),
            waits: self.wakers.entry_count() + self.reports.count(),
        }
    }
}
