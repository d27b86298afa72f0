//! What a UDP socket can be told: hop limits, traffic class, broadcast, groups.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netloom_stack::InterfaceId;
use netloom_stack::transport::UdpOptions;
use nix::errno::Errno;

use super::UdpSocket;
use crate::address::canonical;
use crate::error;
use crate::hop_limit::DEFAULT_TTL;
use crate::shard::Shard;

impl UdpSocket {
    fn options<R>(&self, look: impl FnOnce(&UdpOptions) -> R) -> io::Result<R> {
        self.with_open(|shard| shard.stack.udp().options(self.id).as_ref().map(look).ok_or_else(error::gone))
    }

    fn change(&self, change: impl FnOnce(&mut UdpOptions)) -> io::Result<()> {
        self.with_open(|shard| {
            let mut udp = shard.stack.udp();
            let mut options = udp.options(self.id).ok_or_else(error::gone)?;
            change(&mut options);
            udp.set_options(self.id, options);
            Ok(())
        })
    }

    /// Whether datagrams may go to broadcast addresses.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// assert!(!here.broadcast()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast(&self) -> io::Result<bool> {
        self.options(|options| options.may_broadcast)
    }

    /// Allows datagrams to broadcast addresses, or forbids them, as it is at first.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.set_broadcast(true)?;
    /// assert!(there.broadcast()?);
    /// there.send_to(b"anybody?", "10.0.0.255:7").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.change(|options| options.may_broadcast = on)
    }

    /// The TTL, or hop limit, of datagrams to one host.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// assert_eq!(here.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.options(|options| options.hop_limit.map_or(DEFAULT_TTL, u32::from))
    }

    /// Sets the TTL, or hop limit, of datagrams to one host.
    ///
    /// # Errors
    /// `InvalidInput` for 0 and beyond 255.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.set_ttl(1)?;
    /// assert_eq!(there.ttl()?, 1);
    /// assert!(there.set_ttl(256).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = u8::try_from(ttl).ok().filter(|&hops| hops > 0).ok_or(ErrorKind::InvalidInput)?;
        self.change(|options| options.hop_limit = Some(hop_limit))
    }

    /// The TTL of datagrams to a group.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// // They stay on the link.
    /// assert_eq!(here.multicast_ttl_v4()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.options(|options| options.group_hop_limit.map_or(1, u32::from))
    }

    /// Sets the TTL, or hop limit, of datagrams to a group; 1, as at first, stays on the link, and 0 in the host.
    ///
    /// # Errors
    /// `InvalidInput` beyond 255.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.set_multicast_ttl_v4(8)?;
    /// assert_eq!(there.multicast_ttl_v4()?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = u8::try_from(ttl).map_err(|_| ErrorKind::InvalidInput)?;
        self.change(|options| options.group_hop_limit = Some(hop_limit))
    }

    /// Whether this host's own members of a group get what the socket sends there, as they do at first.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// assert!(here.multicast_loop_v4()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.options(|options| options.loops_to_groups)
    }

    /// Has this host's own members of a group get what the socket sends there, or not.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// there.set_multicast_loop_v4(false)?;
    /// assert!(!there.multicast_loop_v4()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.change(|options| options.loops_to_groups = on)
    }

    /// [`multicast_loop_v4`](Self::multicast_loop_v4) by IPv6's name, of a socket for IPv6.
    ///
    /// # Errors
    /// `Unsupported` for one for IPv4, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// let socket = server.udp_bind("[::]:0").await?;
    /// assert!(socket.multicast_loop_v6()?);
    /// assert!(here.multicast_loop_v6().is_err(), "it is IPv4's");
    /// # Ok(())
    /// # }
    /// ```
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.check_v6(Errno::EOPNOTSUPP)?;
        self.multicast_loop_v4()
    }

    /// [`set_multicast_loop_v4`](Self::set_multicast_loop_v4) by IPv6's name, of a socket for IPv6.
    ///
    /// # Errors
    /// `ENOPROTOOPT` for one for IPv4, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// let socket = server.udp_bind("[::]:0").await?;
    /// socket.set_multicast_loop_v6(false)?;
    /// assert!(!socket.multicast_loop_v6()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.check_v6(Errno::ENOPROTOOPT)?;
        self.set_multicast_loop_v4(on)
    }

    /// DSCP and ECN of its datagrams.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// assert_eq!(here.tos_v4()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.options(|options| u32::from(options.traffic_class))
    }

    /// Sets DSCP and ECN of its datagrams: the lowest eight bits of `tos`, as Linux has it.
    ///
    /// # Errors
    /// `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// // Expedited forwarding, DSCP 46.
    /// there.set_tos_v4(46 << 2)?;
    /// assert_eq!(there.tos_v4()?, 0xb8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        let [traffic_class, ..] = tos.to_le_bytes();
        self.change(|options| options.traffic_class = traffic_class)
    }

    /// [`tos_v4`](Self::tos_v4) by IPv6's name, of a socket for IPv6.
    ///
    /// # Errors
    /// `Unsupported` for one for IPv4, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// let socket = server.udp_bind("[::]:0").await?;
    /// assert_eq!(socket.tclass_v6()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.check_v6(Errno::EOPNOTSUPP)?;
        self.tos_v4()
    }

    /// [`set_tos_v4`](Self::set_tos_v4) by IPv6's name, of a socket for IPv6.
    ///
    /// # Errors
    /// `ENOPROTOOPT` for one for IPv4, `InvalidInput` beyond 255, `NotConnected` once the stack has ended.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// let socket = server.udp_bind("[::]:0").await?;
    /// socket.set_tclass_v6(46 << 2)?;
    /// assert_eq!(socket.tclass_v6()?, 0xb8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.check_v6(Errno::ENOPROTOOPT)?;
        self.set_tos_v4(u8::try_from(tclass).map_err(|_| ErrorKind::InvalidInput)?.into())
    }

    /// The former name of [`tos_v4`](Self::tos_v4).
    ///
    /// # Errors
    /// As there.
    #[deprecated(note = "`tos` related methods have been renamed `tos_v4` since they are IPv4-specific.")]
    #[doc(hidden)]
    pub fn tos(&self) -> io::Result<u32> {
        self.tos_v4()
    }

    /// The former name of [`set_tos_v4`](Self::set_tos_v4).
    ///
    /// # Errors
    /// As there.
    #[deprecated(note = "`tos` related methods have been renamed `tos_v4` since they are IPv4-specific.")]
    #[doc(hidden)]
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        self.set_tos_v4(tos)
    }

    /// IPv4's sockets have no options of IPv6's. Linux says so differently to whoever asks and to whoever sets.
    fn check_v6(&self, otherwise: Errno) -> io::Result<()> {
        if self.local_addr()?.is_ipv6() { Ok(()) } else { Err(otherwise.into()) }
    }

    /// Joins a group on the interface that has the address `interface`, or, if that is unspecified, where the route leads.
    ///
    /// # Errors
    /// `InvalidInput` if it is no group, `AddrInUse` if the socket is in it, `ENODEV` if no interface has the address.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/two_hosts.md")]
    /// let group = "239.1.2.3".parse().expect("a group");
    /// let member = server.udp_bind("0.0.0.0:5353").await?;
    /// member.join_multicast_v4(group, "10.0.0.1".parse().expect("an address"))?;
    /// member.set_multicast_ttl_v4(1)?; // it stays on the link
    /// member.send_to(b"hello", (group, 5353)).await?;
    /// // It hears itself, unless `set_multicast_loop_v4(false)` was said.
    /// assert_eq!(member.recv(&mut [0; 16]).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.with_open(|shard| {
            let interface = interface_with(shard, interface)?;
            shard.stack.udp().join_group(self.id, multiaddr.into(), interface).map_err(error::of_udp_group)
        })
    }

    /// Joins a group on the interface with that number, from 1 on in the order in which they were added, or, with 0, where
    /// the route leads.
    ///
    /// # Errors
    /// As [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// # let (server, client) = netloom::Net::pair("fd00::1/64", "fd00::2/64")?;
    /// let group = "ff02::1234".parse().expect("a group");
    /// let member = server.udp_bind("[::]:5353").await?;
    /// member.join_multicast_v6(&group, 1)?;
    /// let other = client.udp_bind("[::]:0").await?;
    /// other.send_to(b"hello", (group, 5353)).await?;
    /// assert_eq!(member.recv(&mut [0; 16]).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.with_open(|shard| {
            let interface = interface_numbered(shard, interface)?;
            let group = IpAddr::V6(*multiaddr);
            shard.stack.udp().join_group(self.id, group, interface).map_err(error::of_udp_group)
        })
    }

    /// Undoes [`join_multicast_v4`](Self::join_multicast_v4) with the same arguments.
    ///
    /// # Errors
    /// `AddrNotAvailable` if the socket is not in the group.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// let (group, any) = ("239.1.2.3".parse().expect("a group"), std::net::Ipv4Addr::UNSPECIFIED);
    /// here.join_multicast_v4(group, any)?;
    /// here.leave_multicast_v4(group, any)?;
    /// assert!(here.leave_multicast_v4(group, any).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.with_open(|shard| {
            let interface = interface_with(shard, interface)?;
            shard.stack.udp().leave_group(self.id, multiaddr.into(), interface).map_err(error::of_udp_group)
        })
    }

    /// Undoes [`join_multicast_v6`](Self::join_multicast_v6) with the same arguments.
    ///
    /// # Errors
    /// `AddrNotAvailable` if the socket is not in the group.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/datagrams.md")]
    /// # let (server, client) = netloom::Net::pair("fd00::1/64", "fd00::2/64")?;
    /// # let here = server.udp_bind("[::]:0").await?;
    /// let group = "ff02::1234".parse().expect("a group");
    /// here.join_multicast_v6(&group, 1)?;
    /// here.leave_multicast_v6(&group, 1)?;
    /// assert!(here.leave_multicast_v6(&group, 1).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.with_open(|shard| {
            let interface = interface_numbered(shard, interface)?;
            let group = IpAddr::V6(*multiaddr);
            shard.stack.udp().leave_group(self.id, group, interface).map_err(error::of_udp_group)
        })
    }

    /// Where a datagram to `remote` goes, if it may: broadcasts only if the socket was told so. [1122-U018]
    pub(super) fn destination(&self, shard: &mut Shard, remote: SocketAddr) -> io::Result<SocketAddr> {
        if self.is_ipv4 && remote.is_ipv6() {
            return Err(Errno::EAFNOSUPPORT.into());
        }
        let remote = canonical(remote);
        let IpAddr::V4(address) = remote.ip() else { return Ok(remote) };
        let is_broadcast = address.is_broadcast()
            || shard.stack.internet().addresses().any(|own| own.cidr.broadcast() == Some(address.into()));
        if is_broadcast && !shard.stack.udp().options(self.id).is_some_and(|it| it.may_broadcast) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        Ok(remote)
    }
}

fn interface_with(shard: &Shard, address: Ipv4Addr) -> io::Result<Option<InterfaceId>> {
    if address.is_unspecified() {
        return Ok(None);
    }
    let own = shard.stack.internet().addresses().find(|own| own.cidr.address() == IpAddr::V4(address));
    own.map(|own| Some(own.interface)).ok_or_else(|| Errno::ENODEV.into())
}

fn interface_numbered(shard: &Shard, number: u32) -> io::Result<Option<InterfaceId>> {
    let Some(index) = number.checked_sub(1) else { return Ok(None) };
    let index = usize::try_from(index).ok().filter(|&index| index < shard.device_count());
    let index = index.and_then(|index| index.try_into().ok()).ok_or(Errno::ENODEV)?;
    Ok(Some(InterfaceId::new(index)))
}
