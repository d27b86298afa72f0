//! smoltcp as a host of a [`World`](crate::World).

use std::collections::VecDeque;

use netloom_base::Instant;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::{tcp, udp};
use smoltcp::time;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use crate::Host;

/// A smoltcp interface with its sockets.
pub struct Smoltcp {
    /// Its sockets.
    pub sockets: SocketSet<'static>,
    interface: Interface,
    port: Port,
}

impl std::fmt::Debug for Smoltcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smoltcp").finish_non_exhaustive()
    }
}

/// Frames in and out.
struct Port {
    mtu: u16,
    received: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

impl Smoltcp {
    /// A host with these addresses; the last byte of its Ethernet address and its seed are `number`.
    ///
    /// # Panics
    /// If an address makes no sense.
    pub fn new(number: u8, addresses: &[&str]) -> Self {
        Self::with_mtu(number, addresses, 1500)
    }

    /// As [`new`](Self::new), on an interface with this MTU.
    ///
    /// # Panics
    /// If an address makes no sense.
    pub fn with_mtu(number: u8, addresses: &[&str], mtu: u16) -> Self {
        let mut port = Port { mtu, received: VecDeque::new(), sent: Vec::new() };
        let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, number]).into());
        config.random_seed = number.into();
        let mut interface = Interface::new(config, &mut port, time::Instant::ZERO);
        interface.update_ip_addrs(|list| {
            for address in addresses {
                let (address, prefix_len) = address.split_once('/').expect("a CIDR");
                let address: IpAddress = address.parse().expect("an address");
                list.push(IpCidr::new(address, prefix_len.parse().expect("a prefix length"))).expect("room");
            }
        });
        Self { sockets: SocketSet::new(Vec::new()), interface, port }
    }

    /// A TCP socket with 64 KiB each way.
    pub fn add_tcp(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
        self.sockets.add(tcp::Socket::new(buffer(), buffer()))
    }

    /// A UDP socket for 16 datagrams each way.
    pub fn add_udp(&mut self) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 65_535]);
        self.sockets.add(udp::Socket::new(buffer(), buffer()))
    }

    /// The TCP socket.
    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// The UDP socket.
    pub fn udp(&mut self, handle: SocketHandle) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Begins a connection.
    ///
    /// # Panics
    /// If smoltcp refuses.
    pub fn connect(&mut self, handle: SocketHandle, remote: (IpAddress, u16), local_port: u16) {
        let context = self.interface.context();
        self.sockets.get_mut::<tcp::Socket<'_>>(handle).connect(context, remote, local_port).expect("a path");
    }
}

impl Host for Smoltcp {
    fn handle_frame(&mut self, _: Instant, frame: &[u8]) {
        self.port.received.push_back(frame.to_vec());
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.interface.poll(smoltcp_time(now), &mut self.port, &mut self.sockets);
        std::mem::take(&mut self.port.sent)
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(smoltcp_time(now), &self.sockets)?;
        let micros = u64::try_from(at.total_micros()).unwrap_or(0);
        Some(Instant::from_nanos(micros * 1000))
    }
}

fn smoltcp_time(now: Instant) -> time::Instant {
    time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

impl phy::Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: time::Instant) -> Option<(Received, Sender<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Received(frame), Sender(&mut self.sent)))
    }

    fn transmit(&mut self, _: time::Instant) -> Option<Sender<'_>> {
        Some(Sender(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(self.mtu) + 14;
        capabilities
    }
}

/// A frame from the cable.
struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// Room for a frame to the cable.
struct Sender<'a>(&'a mut Vec<Vec<u8>>);

impl phy::TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = vec![0; len];
        let result = write(&mut frame);
        self.0.push(frame);
        result
    }
}
