//! The sockets of a stack: a transport, and the paths that it needs to begin with.

use core::net::{IpAddr, SocketAddr};
use core::ops::{Deref, DerefMut};

use netloom_base::Instant;
use netloom_l3_internet::Internet;
use netloom_l4_transport::{ConnectError, SocketOptions, Tcp, TcpBind, TcpSocketId, Udp};

/// TCP's sockets. Everything that needs no path is [`Tcp`]'s own.
#[derive(Debug)]
pub struct TcpSockets<'a> {
    tcp: &'a mut Tcp,
    internet: &'a Internet,
}

impl<'a> TcpSockets<'a> {
    pub(crate) fn new(tcp: &'a mut Tcp, internet: &'a Internet) -> Self {
        Self { tcp, internet }
    }

    /// Begins a connection to `remote`, from `local` or from the address and port that suit it. It is done at
    /// `TcpEvent::Connected` or `Closed`; drain `poll_transmit` to send the SYN.
    ///
    /// # Errors
    /// Without a route, without a free port, or with a full table.
    pub fn connect(
        &mut self,
        now: Instant,
        local: TcpBind,
        remote: SocketAddr,
        options: &SocketOptions,
    ) -> Result<TcpSocketId, ConnectError> {
        let path = self.internet.path(local.address, remote.ip()).map_err(|_| ConnectError::NoRoute)?;
        self.tcp.connect(now, local, &path, remote, options)
    }
}

impl Deref for TcpSockets<'_> {
    type Target = Tcp;

    fn deref(&self) -> &Tcp {
        self.tcp
    }
}

impl DerefMut for TcpSockets<'_> {
    fn deref_mut(&mut self) -> &mut Tcp {
        self.tcp
    }
}

/// UDP's sockets. Everything that needs no path is [`Udp`]'s own.
#[derive(Debug)]
pub struct UdpSockets<'a> {
    udp: &'a mut Udp,
    internet: &'a Internet,
}

impl<'a> UdpSockets<'a> {
    pub(crate) fn new(udp: &'a mut Udp, internet: &'a Internet) -> Self {
        Self { udp, internet }
    }

    /// The address that datagrams to `remote` leave from; `None` without a route.
    pub fn source_towards(&self, remote: SocketAddr) -> Option<IpAddr> {
        self.internet.path(None, remote.ip()).ok().map(|path| path.source)
    }
}

impl Deref for UdpSockets<'_> {
    type Target = Udp;

    fn deref(&self) -> &Udp {
        self.udp
    }
}

impl DerefMut for UdpSockets<'_> {
    fn deref_mut(&mut self) -> &mut Udp {
        self.udp
    }
}
