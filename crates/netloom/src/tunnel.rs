//! Devices of one's own: the user's end of a tunnel, and TUN and TAP interfaces in a line.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use netloom_base::{Medium, TxMeta};
use netloom_device::{MemoryQueue, Offload, Queue, TunTap, TunTapConfig};
use tokio::io::unix::AsyncFd;

use crate::{InterfaceConfig, NetBuilder};

/// The end of a device that is the user's: what the stack sends comes out of it, and what is put into it reaches the stack.
///
/// It is for whatever carries packets without being a device of the kernel: a VPN's tunnel, a channel, a test. Nobody has to
/// implement anything; tasks call [`recv`](Self::recv) and [`send`](Self::send). (Whoever has a descriptor that gives and
/// takes whole packets, such as a UDP socket, may implement [`Queue`] instead, and saves a copy through the kernel.)
///
/// *Limits.* What waits in one direction is bounded as a [`MemoryQueue`]'s is, some 90 packets of 1500 bytes; then whoever
/// sends waits. Dropping it ends the stack at the other end, as pulling a device out does, once it has read what waits.
///
/// # Examples
/// A VPN: each packet of the stack crosses a network as one datagram. (Encryption would go where the copies are.)
///
/// ```
/// use netloom::stack::Medium;
/// use netloom::{InterfaceConfig, Net, Tunnel};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::UdpSocket;
///
/// /// Carries packets both ways, until the stack ends or the socket fails.
/// async fn carry(tunnel: Tunnel, socket: UdpSocket) -> std::io::Result<()> {
///     let (mut out, mut back) = ([0; 1500], [0; 1500]);
///     loop {
///         tokio::select! {
///             len = tunnel.recv(&mut out) => { socket.send(&out[..len?]).await?; }
///             len = socket.recv(&mut back) => tunnel.send(&back[..len?]).await?,
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let mut nets = Vec::new();
/// let sockets = [UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?];
/// sockets[0].connect(sockets[1].local_addr()?).await?;
/// sockets[1].connect(sockets[0].local_addr()?).await?;
/// for (number, socket) in (1..).zip(sockets) {
///     let (device, tunnel) = Tunnel::pair(Medium::Ip, 1400)?;
///     let address = format!("10.9.0.{number}/24").parse().expect("a CIDR");
///     let config = InterfaceConfig { addresses: vec![address], ..InterfaceConfig::default() };
///     nets.push(Net::builder().interface(device, config).start()?);
///     tokio::spawn(carry(tunnel, socket));
/// }
/// let listener = nets[0].tcp_listen("10.9.0.1:80".parse().expect("an address")).await?;
/// let mut outgoing = nets[1].tcp_connect(listener.local_addr()?).await?;
/// outgoing.write_all(b"through the tunnel").await?;
/// outgoing.shutdown().await?;
/// let mut text = String::new();
/// listener.accept().await?.0.read_to_string(&mut text).await?;
/// assert_eq!(text, "through the tunnel");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tunnel {
    queue: Mutex<MemoryQueue>,
    /// A duplicate of its descriptor, to wait for.
    readiness: AsyncFd<OwnedFd>,
}

impl Tunnel {
    /// A device for [`NetBuilder::interface`], and the other end of it. With [`Medium::Ip`] what crosses are IP packets of up
    /// to `mtu` bytes; with [`Medium::Ethernet`] frames, whose header counts beyond that.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptors left.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO enabled.
    pub fn pair(medium: Medium, mtu: u16) -> io::Result<(Box<dyn Queue>, Self)> {
        let (device, queue) = MemoryQueue::pair(medium, mtu)?;
        let descriptor = queue.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe and asks that the descriptor stays open and the same: an OwnedFd does"
        )]
        let readiness = AsyncFd::new(descriptor)?;
        Ok((Box::new(device), Self { queue: Mutex::new(queue), readiness }))
    }

    /// Waits for a packet that the stack sends, copies it to the start of `buffer`, and says how long it is. Cancel safe.
    ///
    /// # Errors
    /// `InvalidData` for a packet that is longer than `buffer`, and is lost; `NotConnected` once the stack has ended.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buffer)).await
    }

    /// The same for `poll` functions. Only the task that asked last is woken.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.readiness.poll_read_ready(cx))?;
            match self.try_recv(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
                result => return Poll::Ready(result),
            }
        }
    }

    /// The same if one is there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and `WouldBlock`.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.queue().recv(buffer).map(|(len, _)| len)
    }

    /// Gives the stack a packet; waits while too many are there. Cancel safe.
    ///
    /// # Errors
    /// `InvalidInput` for an empty one, `NotConnected` once the stack has ended. What is no packet the stack drops, and counts.
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx, packet)).await
    }

    /// The same for `poll` functions. Only the task that asked last is woken.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.readiness.poll_write_ready(cx))?;
            match self.try_send(packet) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
                result => return Poll::Ready(result),
            }
        }
    }

    /// The same if there is room.
    ///
    /// # Errors
    /// As [`send`](Self::send), and `WouldBlock`.
    pub fn try_send(&self, packet: &[u8]) -> io::Result<()> {
        self.queue().send(TxMeta::default(), packet, [&[], &[]])
    }

    fn queue(&self) -> MutexGuard<'_, MemoryQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The MTU of an interface that is made here.
const MTU: u16 = 1500;

impl NetBuilder {
    /// Adds the TAP interface `name`, which is made if it is not there, with whatever offloads the kernel has.
    ///
    /// Its kernel side is the administrator's: `ip addr add 10.0.0.1/24 dev NAME`, `ip link set NAME up`. Making one needs
    /// `CAP_NET_ADMIN`; one that `ip tuntap add` has made for this user needs nothing.
    ///
    /// # Errors
    /// In words that say what to type, of kind `Other`.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn start() -> std::io::Result<()> {
    /// use netloom::{InterfaceConfig, Net};
    ///
    /// let address = "10.0.0.2/24".parse().expect("a CIDR");
    /// let config = InterfaceConfig { addresses: vec![address], ..InterfaceConfig::default() };
    /// let net = Net::builder().tap("nl0", config)?.start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tap(self, name: &str, config: InterfaceConfig) -> io::Result<Self> {
        self.tun_tap(Medium::Ethernet, name, config)
    }

    /// Adds the TUN interface `name`; as [`tap`](Self::tap) else.
    ///
    /// # Errors
    /// As [`tap`](Self::tap).
    pub fn tun(self, name: &str, config: InterfaceConfig) -> io::Result<Self> {
        self.tun_tap(Medium::Ip, name, config)
    }

    fn tun_tap(self, kind: Medium, name: &str, config: InterfaceConfig) -> io::Result<Self> {
        let device = TunTapConfig { kind, name: name.to_owned(), mtu: MTU };
        let device = TunTap::open_offloading(&device, Offload::Full).map_err(io::Error::other)?;
        Ok(self.interface(Box::new(device), config))
    }
}
