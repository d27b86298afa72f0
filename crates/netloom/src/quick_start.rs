//! Stacks in a line: behind an interface of the kernel's, behind a tunnel, or two joined in memory.

use std::io;

use netloom_base::Medium;

use crate::{IntoInterface, Net, NetBuilder, Tunnel};

impl Net {
    /// Starts a stack behind the TAP interface `name`, which is made if it is not there. [`NetBuilder::tap`] says what the
    /// kernel's side of it needs; [`builder`](Self::builder) starts one that is to be told more.
    ///
    /// # Errors
    /// As [`NetBuilder::tap`] and [`NetBuilder::start`].
    ///
    /// # Panics
    /// Outside a tokio runtime with IO and time enabled.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn serve() -> std::io::Result<()> {
    /// let net = netloom::Net::tap("nl0", ["10.0.0.2/24", "fd00::2/64"])?;
    /// let listener = net.tcp_listen("[::]:80").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tap(name: &str, interface: impl IntoInterface) -> io::Result<Self> {
        Self::builder().tap(name, interface)?.start()
    }

    /// Starts a stack behind the TUN interface `name`; as [`tap`](Self::tap) else.
    ///
    /// # Errors
    /// As [`tap`](Self::tap).
    ///
    /// # Panics
    /// As [`tap`](Self::tap).
    ///
    /// # Examples
    /// ```no_run
    /// # async fn look_up() -> std::io::Result<()> {
    /// let net = netloom::Net::tun("nl0", "10.0.0.2/24")?;
    /// let socket = net.udp_bind("10.0.0.2:0").await?;
    /// socket.send_to(b"question", "10.0.0.1:53").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tun(name: &str, interface: impl IntoInterface) -> io::Result<Self> {
        Self::builder().tun(name, interface)?.start()
    }

    /// Starts two stacks that a cable in memory joins, as Ethernet with an MTU of 1500 bytes: for tests, and to try things. No
    /// privilege is needed, and nothing of the machine's network is touched.
    ///
    /// Other cables are two ends of a [`MemoryQueue`](crate::device::MemoryQueue); one with faults is a
    /// [`Cable`](crate::Cable) between two of them.
    ///
    /// # Errors
    /// `InvalidInput` for what is no address, and the kernel's, when it has no descriptors left.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO and time enabled.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (server, client) = netloom::Net::pair("10.0.0.1/24", "10.0.0.2/24")?;
    /// let listener = server.tcp_listen("10.0.0.1:80").await?;
    /// let outgoing = client.tcp_connect("10.0.0.1:80").await?;
    /// assert_eq!(listener.accept().await?.1, outgoing.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pair(left: impl IntoInterface, right: impl IntoInterface) -> io::Result<(Self, Self)> {
        let [left, right] = NetBuilder::pair(left, right)?;
        Ok((left.start()?, right.start()?))
    }

    /// Starts a stack whose packets are the caller's to carry: what it sends comes out of the [`Tunnel`], and what is put in
    /// there it receives. They are IP packets of up to `mtu` bytes; [`Tunnel::pair`] has the same for Ethernet.
    ///
    /// # Errors
    /// As [`pair`](Self::pair).
    ///
    /// # Panics
    /// Outside a tokio runtime with IO and time enabled.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (net, tunnel) = netloom::Net::tunnel(1400, "10.0.0.2/24")?;
    /// let socket = net.udp_bind("10.0.0.2:0").await?;
    /// socket.send_to(b"hello", "10.0.0.1:7").await?;
    /// // Headers of 20 and 8 bytes, and then the text.
    /// let mut packet = [0; 1400];
    /// assert_eq!(tunnel.recv(&mut packet).await?, 33);
    /// assert!(packet[..33].ends_with(b"hello"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn tunnel(mtu: u16, interface: impl IntoInterface) -> io::Result<(Self, Tunnel)> {
        let (device, tunnel) = Tunnel::pair(Medium::Ip, mtu)?;
        Ok((Self::builder().interface(device, interface).start()?, tunnel))
    }
}
