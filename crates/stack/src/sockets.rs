//! The sockets of a stack: a transport, and the paths that it needs to begin with.

use core::net::{IpAddr, SocketAddr};
use core::ops::{Deref, DerefMut};

use netloom_base::Instant;
use netloom_l3_internet::{EchoId, EchoMessage, EchoOpenError, EchoSendError, Internet};
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

/// The sockets that ask for echoes: what [`Internet`] has of them.
#[derive(Debug)]
pub struct IcmpSockets<'a> {
    internet: &'a mut Internet,
}

impl<'a> IcmpSockets<'a> {
    pub(crate) fn new(internet: &'a mut Internet) -> Self {
        Self { internet }
    }

    /// As [`Internet::open_echo`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&mut self, local: IpAddr, identifier: Option<u16>) -> Result<EchoId, EchoOpenError> {
        self.internet.open_echo(local, identifier)
    }

    /// As [`Internet::close_echo`].
    pub fn close(&mut self, id: EchoId) {
        self.internet.close_echo(id);
    }

    /// As [`Internet::send_echo`]; drain `poll_transmit` next.
    ///
    /// # Errors
    /// As there.
    pub fn send(
        &mut self,
        now: Instant,
        id: EchoId,
        remote: IpAddr,
        sequence: u16,
        data: &[u8],
    ) -> Result<(), EchoSendError> {
        self.internet.send_echo(now, id, remote, sequence, data)
    }

    /// As [`Internet::recv_echo`].
    pub fn recv(&mut self, id: EchoId) -> Option<EchoMessage> {
        self.internet.recv_echo(id)
    }

    /// As [`Internet::echo_addr`].
    pub fn addr(&self, id: EchoId) -> Option<(IpAddr, u16)> {
        self.internet.echo_addr(id)
    }

    /// As [`Internet::set_echo_hop_limit`].
    pub fn set_hop_limit(&mut self, id: EchoId, hop_limit: Option<u8>) -> bool {
        self.internet.set_echo_hop_limit(id, hop_limit)
    }

    /// As [`Internet::echo_hop_limit`].
    pub fn hop_limit(&self, id: EchoId) -> Option<u8> {
        self.internet.echo_hop_limit(id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.internet.echo_count()
    }
}
