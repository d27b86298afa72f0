//! A fixed exchange between two stacks, back to back and in virtual time: what `cargo xtask instructions` counts under
//! callgrind. The same arguments make the same packets, to the bit, so that two counts can be compared.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use netloom_stack::internet::Route;
use netloom_stack::link::AddressDetection;
use netloom_stack::transport::{
    Keepalive, ListenOptions, Recv, SocketOptions, TcpBind, TcpListenerId, TcpSocketId, UdpBind, UdpSocketId,
};
use netloom_stack::{
    Cidr, DeviceCaps, EthernetAddress, HeadBuf, Instant, InterfaceId, InterfaceSetup, Medium, PIECE_LEN, Rng,
    RxChecksum, RxMeta, Stack, StackConfig, TxChecksum,
};
use netloom_wire::{ArpOperation, ArpPacket, EtherType, EthernetHeader};

const MTU: u16 = 1500;
const PORT: u16 = 7;
/// Where all sockets of a crowd are that share a port, and the first that have one each.
const SHARED_PORT: u16 = 9;
const CROWD_PORT: u16 = 1000;
/// The longest packet that a device takes as one.
const SUPER_SEGMENT_LEN: u32 = 65_535;
/// What is written at once.
static BLOCK: [u8; 65_536] = [b'x'; 65_536];
/// How long a batch of frames is on its way.
const TRIP: Duration = Duration::from_micros(20);
/// What a host takes in before its application has a turn, as a driver does.
const FRAMES_PER_TURN: u64 = 64;
const BYTES_PER_TURN: usize = 1 << 20;
/// Trips without a byte for the application after which the exchange has failed.
const PATIENCE: u32 = 10_000;

/// Exchange packets between two stacks, and print how many they took in.
#[derive(Parser)]
struct Arguments {
    /// What is exchanged.
    #[arg(value_enum)]
    load: Load,
    /// How often: blocks of 64 KiB, round trips, connections or datagrams.
    count: u32,
    /// What each stack has besides: so many idle connections with keepalive, listeners, UDP sockets of one port, of one port
    /// at as many addresses, and of as many ports, routes and neighbours.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    beside: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Load {
    /// One stream of segments, each summed and checked.
    Segments,
    /// One stream of super-segments.
    SuperSegments,
    /// One byte there and back, on one connection.
    RoundTrips,
    /// A connection with a byte there and back.
    Connections,
    /// A datagram of 64 bytes there and back.
    Datagrams,
}

fn main() -> ExitCode {
    let Arguments { load, count, beside } = Arguments::parse();
    match exchange(load, count, beside) {
        Ok(packet_count) => {
            println!("{packet_count}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("netloom-packets: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the load beside so much else; how many packets the stacks took in.
fn exchange(load: Load, count: u32, beside: u16) -> Result<u64, Box<dyn Error>> {
    let mut pair = Pair::new(load == Load::SuperSegments)?;
    pair.crowd(beside)?;
    match load {
        Load::Segments | Load::SuperSegments => pair.stream(count)?,
        Load::RoundTrips => {
            let ends = pair.connect()?;
            for _ in 0..count {
                pair.round_trip(ends)?;
            }
        }
        Load::Connections => {
            for _ in 0..count {
                let ends = pair.connect()?;
                pair.round_trip(ends)?;
                pair.close(ends)?;
            }
        }
        Load::Datagrams => pair.datagrams(count)?,
    }
    Ok(pair.packet_count)
}

/// The two hosts and the time.
struct Pair {
    now: Instant,
    client: Host,
    server: Host,
    listener: TcpListenerId,
    packet_count: u64,
}

/// Both ends of a connection.
#[derive(Clone, Copy)]
struct Ends {
    client: TcpSocketId,
    server: TcpSocketId,
}

impl Pair {
    fn new(offloads: bool) -> Result<Self, Box<dyn Error>> {
        let now = Instant::ZERO + Duration::from_secs(1);
        let client = Host::new(now, 1, offloads)?;
        let mut server = Host::new(now, 2, offloads)?;
        let any = TcpBind { address: None, port: PORT };
        let listener = server.stack.tcp().listen(any, ListenOptions::default())?;
        Ok(Self { now, client, server, listener, packet_count: 0 })
    }

    /// Gives both stacks so many of everything that they look up, time or list.
    fn crowd(&mut self, count: u16) -> Result<(), Box<dyn Error>> {
        for host in [&mut self.client, &mut self.server] {
            host.crowd(self.now, count)?;
        }
        for _ in 0..count {
            self.connect_with(SocketOptions {
                keepalive: Some(Keepalive::default()),
                ..SocketOptions::default()
            })?;
        }
        Ok(())
    }

    /// One trip of frames each way, or, if there are none, the time until something is due.
    fn step(&mut self) {
        let sent = [self.client.send(self.now), self.server.send(self.now)];
        if sent == [0, 0] {
            let due =
                [&self.client, &self.server].into_iter().filter_map(|host| host.stack.poll_timeout()).min();
            self.now = due.unwrap_or(self.now).max(self.now + TRIP);
        } else {
            self.now += TRIP;
        }
        let arrived = self.server.receive(self.now, &mut self.client.sent)
            + self.client.receive(self.now, &mut self.server.sent);
        self.packet_count += arrived;
    }

    /// Steps until `done` has a result.
    fn until<T>(&mut self, mut done: impl FnMut(&mut Self) -> Option<T>) -> Result<T, Box<dyn Error>> {
        for _ in 0..PATIENCE {
            if let Some(result) = done(self) {
                return Ok(result);
            }
            self.step();
        }
        Err("the exchange has come to a halt".into())
    }

    fn connect(&mut self) -> Result<Ends, Box<dyn Error>> {
        self.connect_with(SocketOptions { nodelay: true, ..SocketOptions::default() })
    }

    fn connect_with(&mut self, options: SocketOptions) -> Result<Ends, Box<dyn Error>> {
        let from = TcpBind { address: None, port: 0 };
        let client =
            self.client.stack.tcp().connect(self.now, from, self.server.socket_address(), &options)?;
        let listener = self.listener;
        let server = self.until(|pair| pair.server.stack.tcp().accept(listener))?.id;
        Ok(Ends { client, server })
    }

    fn round_trip(&mut self, ends: Ends) -> Result<(), Box<dyn Error>> {
        self.client.stack.tcp().send(self.now, ends.client, b"x")?;
        self.until(|pair| pair.server.read(pair.now, ends.server))?;
        self.server.stack.tcp().send(self.now, ends.server, b"y")?;
        self.until(|pair| pair.client.read(pair.now, ends.client))?;
        Ok(())
    }

    fn close(&mut self, ends: Ends) -> Result<(), Box<dyn Error>> {
        self.client.stack.tcp().close(self.now, ends.client);
        self.until(|pair| {
            let tcp = pair.server.stack.tcp();
            (tcp.peek(ends.server, &mut [0]) == Ok(Recv::EndOfStream)).then_some(())
        })?;
        self.server.stack.tcp().close(self.now, ends.server);
        self.step();
        self.step();
        Ok(())
    }

    /// `count` blocks from the client to the server.
    fn stream(&mut self, count: u32) -> Result<(), Box<dyn Error>> {
        let ends = self.connect()?;
        let mut left = u64::from(count) * BLOCK.len() as u64;
        let mut unread = left;
        while unread > 0 {
            while left > 0 {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK.len());
                let block = BLOCK.get(..len).unwrap_or(&BLOCK);
                match self.client.stack.tcp().send(self.now, ends.client, block)? {
                    0 => break,
                    sent => left -= sent as u64,
                }
            }
            unread -= self.until(|pair| pair.server.read(pair.now, ends.server))? as u64;
        }
        Ok(())
    }

    fn datagrams(&mut self, count: u32) -> Result<(), Box<dyn Error>> {
        let bind = |port| UdpBind { address: None, port, share: true };
        let client = self.client.stack.udp().bind(bind(PORT + 1))?;
        let server = self.server.stack.udp().bind(bind(PORT))?;
        let mut buffer = [0; 64];
        let (to_server, to_client) =
            (self.server.socket_address(), SocketAddr::from((self.client.address, PORT + 1)));
        for _ in 0..count {
            self.client.stack.udp().send_to(client, to_server, None, &buffer)?;
            self.until(|pair| pair.server.take_datagram(server, &mut buffer))?;
            self.server.stack.udp().send_to(server, to_client, None, &buffer)?;
            self.until(|pair| pair.client.take_datagram(client, &mut buffer))?;
        }
        Ok(())
    }
}

/// A stack, and what it has sent.
struct Host {
    stack: Stack,
    interface: InterfaceId,
    address: Ipv4Addr,
    head: HeadBuf,
    sent: VecDeque<(Vec<u8>, RxMeta)>,
    buffer: Box<[u8]>,
    block: Vec<u8>,
}

impl Host {
    fn new(now: Instant, number: u8, offloads: bool) -> Result<Self, Box<dyn Error>> {
        let mut config = StackConfig::default();
        config.neighbors.max_entries = usize::from(u16::MAX);
        config.tcp.max_listeners = usize::from(u16::MAX);
        config.udp.max_sockets = 4 * usize::from(u16::MAX);
        let mut stack = Stack::new(config, Rng::from_seed([number; 32]));
        let segmentation = offloads.then_some(SUPER_SEGMENT_LEN);
        let interface = stack.add_interface(InterfaceSetup {
            caps: DeviceCaps {
                transmit_checksum: offloads,
                tcp4_segmentation: segmentation,
                tcp6_segmentation: segmentation,
                ..DeviceCaps::plain(Medium::Ethernet, MTU)
            },
            link_address: EthernetAddress([2, 0, 0, 0, 0, number]),
        });
        let address = Ipv4Addr::new(10, 0, 0, number);
        stack.add_address(now, interface, format!("{address}/16").parse()?, AddressDetection::Off)?;
        Ok(Self {
            stack,
            interface,
            address,
            head: HeadBuf::new(),
            sent: VecDeque::new(),
            buffer: vec![0; PIECE_LEN].into_boxed_slice(),
            block: vec![0; BLOCK.len()],
        })
    }

    /// Gives the stack so many listeners, sockets, routes and neighbours.
    fn crowd(&mut self, now: Instant, count: u16) -> Result<(), Box<dyn Error>> {
        for number in 0..count {
            let [high, low] = number.to_be_bytes();
            let port = CROWD_PORT.checked_add(number).ok_or("no so many ports")?;
            self.stack.tcp().listen(TcpBind { address: None, port }, ListenOptions::default())?;
            self.stack.udp().bind(UdpBind { address: None, port, share: false })?;
            self.stack.udp().bind(UdpBind { address: None, port: SHARED_PORT, share: true })?;
            let address = Some(Ipv4Addr::new(10, 0, high + 1, low).into());
            self.stack.udp().bind(UdpBind { address, port: PORT, share: true })?;
            let prefix = Cidr::new(Ipv4Addr::new(10, 128 | high, low, 0).into(), 24)?;
            let gateway = Some(Ipv4Addr::new(10, 0, 1, 1).into());
            let on_link = Route::on_link(prefix, self.interface);
            self.stack.routes_mut().insert(Route { gateway, ..on_link })?;
            self.hear(now, Ipv4Addr::new(10, 0, high + 1, low));
        }
        Ok(())
    }

    /// Lets a neighbour ask for us by ARP, so that the stack knows it.
    fn hear(&mut self, now: Instant, neighbor: Ipv4Addr) {
        let [_, _, high, low] = neighbor.octets();
        let sender_link = EthernetAddress([2, 0, 0, 1, high, low]);
        let request = ArpPacket {
            operation: ArpOperation::Request,
            sender_link,
            sender_ip: neighbor,
            target_link: EthernetAddress([0; 6]),
            target_ip: self.address,
        };
        let mut frame = HeadBuf::new();
        request.emit(&mut frame);
        let destination = EthernetAddress::BROADCAST;
        EthernetHeader { destination, source: sender_link, ether_type: EtherType::ARP }.emit(&mut frame);
        self.stack.handle_frame(now, self.interface, frame.as_slice(), RxMeta::default());
        while self.stack.poll_transmit(now, &mut self.head).is_some() {}
    }

    fn socket_address(&self) -> SocketAddr {
        (self.address, PORT).into()
    }

    /// Lets the stack send all that it has; how many frames.
    fn send(&mut self, now: Instant) -> usize {
        self.stack.handle_timeout(now);
        while let Some(transmit) = self.stack.poll_transmit(now, &mut self.head) {
            let checksum = match transmit.meta.checksum {
                TxChecksum::Complete => RxChecksum::Unknown,
                TxChecksum::Partial { .. } => RxChecksum::Trusted,
            };
            self.sent.push_back((transmit.to_vec(), RxMeta { checksum, gso: transmit.meta.gso }));
        }
        self.sent.len()
    }

    /// Takes in what the other has sent, as much as one turn allows; how many frames.
    fn receive(&mut self, now: Instant, frames: &mut VecDeque<(Vec<u8>, RxMeta)>) -> u64 {
        let (mut count, mut byte_count) = (0, 0);
        while count < FRAMES_PER_TURN
            && byte_count < BYTES_PER_TURN
            && let Some((frame, meta)) = frames.pop_front()
        {
            byte_count += frame.len();
            if let Some(room) = self.buffer.get_mut(..frame.len()) {
                room.copy_from_slice(&frame);
                self.stack.handle_buffer(now, self.interface, &mut self.buffer, 0..frame.len(), meta);
                count += 1;
            }
        }
        while self.stack.poll_event().is_some() {}
        count
    }

    /// Reads what is there; how many bytes.
    fn read(&mut self, now: Instant, id: TcpSocketId) -> Option<usize> {
        match self.stack.tcp().recv(now, id, &mut self.block) {
            Ok(Recv::Data(len)) => Some(len),
            Ok(Recv::WouldBlock | Recv::EndOfStream) | Err(_) => None,
        }
    }

    fn take_datagram(&mut self, id: UdpSocketId, buffer: &mut [u8]) -> Option<usize> {
        self.stack.udp().recv_from(id, buffer).ok().map(|received| received.len)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Load, exchange};

    #[test]
    fn every_load_ends_and_takes_the_same_packets_each_time() {
        for &load in Load::value_variants() {
            let once = exchange(load, 20, 0).unwrap();
            assert!(once >= 20, "{once} packets");
            assert_eq!(exchange(load, 20, 0).unwrap(), once);
            let twice = exchange(load, 40, 0).unwrap();
            assert!(twice > once);
            let beside = [20, 40].map(|count| exchange(load, count, 100).unwrap());
            assert_eq!(beside[1] - beside[0], twice - once, "a crowd sends nothing");
        }
    }
}
