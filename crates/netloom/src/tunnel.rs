//! A device of one's own: one end is a stack's, the other the user's.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use netloom_base::{Medium, TxMeta};
use netloom_device::{MemoryQueue, Queue};
use tokio::io::unix::AsyncFd;

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
/// use netloom::{Net, Tunnel};
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
/// for (address, socket) in ["10.9.0.1/24", "10.9.0.2/24"].into_iter().zip(sockets) {
///     let (net, tunnel) = Net::tunnel(1400, address)?;
///     tokio::spawn(carry(tunnel, socket));
///     nets.push(net);
/// }
/// let listener = nets[0].tcp_listen("10.9.0.1:80").await?;
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
    /// A device for [`NetBuilder::interface`](crate::NetBuilder::interface), and the other end of it. With [`Medium::Ip`]
    /// what crosses are IP packets of up to `mtu` bytes; with [`Medium::Ethernet`] frames, whose header counts beyond that.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptors left.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO enabled.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use netloom::stack::Medium;
    ///
    /// let (device, tunnel) = netloom::Tunnel::pair(Medium::Ethernet, 1500)?;
    /// let net = netloom::Net::builder().interface(device, "10.0.0.2/24").start()?;
    /// // The first frame is addressed to a group: the host asks who else has its address.
    /// let mut frame = [0; 1514];
    /// let len = tunnel.recv(&mut frame).await?;
    /// println!("{:?}", &frame[..len]);
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (net, tunnel) = netloom::Net::tunnel(1400, "10.0.0.2/24")?;
    /// let socket = net.udp_bind("10.0.0.2:5000").await?;
    /// socket.send_to(b"hello", "10.0.0.1:7").await?;
    /// let mut packet = [0; 1400];
    /// let len = tunnel.recv(&mut packet).await?;
    /// assert!(packet[..len].ends_with(b"hello"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buffer)).await
    }

    /// The same for `poll` functions. Only the task that asked last is woken.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (net, tunnel) = netloom::Net::tunnel(1400, "10.0.0.2/24")?;
    /// let socket = net.udp_bind("10.0.0.2:5000").await?;
    /// socket.send_to(b"hello", "10.0.0.1:7").await?;
    /// let mut packet = [0; 1400];
    /// let len = std::future::poll_fn(|cx| tunnel.poll_recv(cx, &mut packet)).await?;
    /// assert!(packet[..len].ends_with(b"hello"));
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (net, tunnel) = netloom::Net::tunnel(1400, "10.0.0.2/24")?;
    /// let socket = net.udp_bind("10.0.0.2:5000").await?;
    /// let nothing = tunnel.try_recv(&mut [0; 1400]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // A cable without offloads: the packet is all that comes.
        self.queue().recv(buffer).map(|received| received.range.len())
    }

    /// Gives the stack a packet; waits while too many are there. Cancel safe.
    ///
    /// # Errors
    /// `InvalidInput` for an empty one, `NotConnected` once the stack has ended. What is no packet the stack drops, and counts.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (net, tunnel) = netloom::Net::tunnel(1400, "10.0.0.2/24")?;
    /// let socket = net.udp_bind("10.0.0.2:5000").await?;
    /// // No packet: it is dropped, with a reason that is counted.
    /// tunnel.send(b"garbage").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx, packet)).await
    }

    /// The same for `poll` functions. Only the task that asked last is woken.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (net, tunnel) = netloom::Net::tunnel(1400, "10.0.0.2/24")?;
    /// let socket = net.udp_bind("10.0.0.2:5000").await?;
    /// std::future::poll_fn(|cx| tunnel.poll_send(cx, b"garbage")).await?;
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (net, tunnel) = netloom::Net::tunnel(1400, "10.0.0.2/24")?;
    /// let socket = net.udp_bind("10.0.0.2:5000").await?;
    /// tunnel.try_send(b"garbage")?;
    /// let error = tunnel.try_send(b"").unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send(&self, packet: &[u8]) -> io::Result<()> {
        self.queue().send(TxMeta::default(), packet, [&[], &[]])
    }

    fn queue(&self) -> MutexGuard<'_, MemoryQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
