//! The measured services on smoltcp, the baseline among user-space stacks.
//!
//! # Theory of operation
//! One thread: the interface is polled, then the application looks at its sockets, then the thread waits for the TAP or for
//! the next timer. A service has a pool of sockets, as smoltcp has neither a listener nor a backlog: a socket listens
//! until a peer takes it, and again once it is closed.
//!
//! # Not here
//! CUBIC: smoltcp sends as its peer's window allows, as it does by default; with its Reno or CUBIC downloads were as fast.

mod device;
mod iperf3;

use std::collections::VecDeque;
use std::os::fd::AsFd;

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use netloom::Cidr;
use netloom_base::Medium;
use netloom_device::{Offload, TunTap, TunTapConfig};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

use crate::server::{HeadCounter, RESPONSE, ports};
use device::TapDevice;
use iperf3::Iperf3;

/// What a socket of the small services buffers in each direction, in bytes.
const SMALL: usize = 4 << 10;
/// What a socket of iperf3 buffers in each direction, in bytes.
const LARGE: usize = 1 << 20;
/// Connections that the echo service takes at a time.
const ECHO_POOL: usize = 64;
/// Connections that the HTTP service takes at a time: wrk's 64, and what has not closed yet.
const HTTP_POOL: usize = 72;
/// Sockets that listen for connections to be held.
const HOLD_POOL: usize = 16;
/// iperf3's streams, its control connection, and what has not closed yet.
const IPERF3_POOL: usize = 12;
/// Datagrams that wait in each direction.
const DATAGRAM_POOL: usize = 256;

/// What to serve.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// Echo over TCP and UDP.
    Echo,
    /// The bare responder.
    Http,
    /// Connections that stay, and a few echo sockets.
    Hold,
    /// iperf3.
    Iperf3,
}

impl Service {
    /// What is left to the TAP: super-segments are what makes bulk fast, and small frames are cheaper without a virtio header.
    fn offload(self) -> Offload {
        match self {
            Self::Iperf3 => Offload::Tcp,
            Self::Echo | Self::Http | Self::Hold => Offload::Plain,
        }
    }
}

/// Serves until the process is killed.
pub(crate) fn serve(tap: &str, address: Cidr, service: Service) -> Result<()> {
    let tap = TunTapConfig { kind: Medium::Ethernet, name: tap.to_owned(), mtu: 1500 };
    let tap = TunTap::open_offloading(&tap, service.offload()).context("the TAP cannot be opened")?;
    let mut device = TapDevice::new(tap);
    let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
    let mut interface = Interface::new(config, &mut device, Instant::now());
    let mut has_room = true;
    interface.update_ip_addrs(|list| {
        has_room = list.push(IpCidr::new(address.address().into(), address.prefix_len())).is_ok();
    });
    anyhow::ensure!(has_room, "smoltcp takes no address");
    let mut sockets = SocketSet::new(Vec::new());
    let mut application = Application::new(service, &mut sockets);
    println!("ready");
    loop {
        let now = Instant::now();
        interface.poll(now, &mut device, &mut sockets);
        if let Some(error) = device.failure() {
            return Err(anyhow!("the TAP is gone: {error}"));
        }
        if application.turn(&mut sockets) {
            continue;
        }
        let delay = interface.poll_delay(now, &sockets).map(|delay| delay.total_micros().div_ceil(1000));
        wait(&device, delay)?;
    }
}

/// Waits for a frame, but no longer than `milliseconds`.
fn wait(device: &TapDevice<TunTap>, milliseconds: Option<u64>) -> Result<()> {
    let timeout = match milliseconds {
        Some(span) => PollTimeout::try_from(span).unwrap_or(PollTimeout::MAX),
        None => PollTimeout::NONE,
    };
    match poll(&mut [PollFd::new(device.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A TCP socket with `len` bytes each way, which sends at once.
fn tcp_socket(len: usize) -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; len]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket
}

/// The service, with the sockets that it looks at.
struct Application {
    echoes: Vec<SocketHandle>,
    responders: Vec<(SocketHandle, HeadCounter)>,
    holders: Vec<SocketHandle>,
    /// What they have taken: connections that are only to be there.
    held: VecDeque<SocketHandle>,
    datagrams: Option<SocketHandle>,
    iperf3: Option<Iperf3>,
    buffer: Vec<u8>,
}

impl Application {
    fn new(service: Service, sockets: &mut SocketSet<'static>) -> Self {
        let mut pool =
            |count: usize, len: usize| (0..count).map(|_| sockets.add(tcp_socket(len))).collect::<Vec<_>>();
        let (mut echoes, mut responders, mut holders, mut iperf3) =
            (Vec::new(), Vec::new(), Vec::new(), None);
        match service {
            Service::Echo => echoes = pool(ECHO_POOL, SMALL),
            Service::Http => {
                responders =
                    pool(HTTP_POOL, SMALL).into_iter().map(|it| (it, HeadCounter::default())).collect();
            }
            Service::Hold => (echoes, holders) = (pool(4, SMALL), pool(HOLD_POOL, SMALL)),
            Service::Iperf3 => iperf3 = Some(Iperf3::new(pool(IPERF3_POOL, LARGE))),
        }
        let datagrams = (service == Service::Echo).then(|| {
            let buffer =
                || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; DATAGRAM_POOL], vec![0; LARGE]);
            sockets.add(udp::Socket::new(buffer(), buffer()))
        });
        Self { echoes, responders, holders, held: VecDeque::new(), datagrams, iperf3, buffer: vec![0; SMALL] }
    }

    /// Does what there is to do; whether that was anything.
    fn turn(&mut self, sockets: &mut SocketSet<'static>) -> bool {
        let mut worked = false;
        for &handle in &self.echoes {
            worked |= echo(sockets.get_mut(handle), &mut self.buffer);
        }
        for (handle, heads) in &mut self.responders {
            worked |= respond(sockets.get_mut(*handle), heads, &mut self.buffer);
        }
        for handle in &mut self.holders {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
            if socket.is_active() {
                self.held.push_back(*handle);
                *handle = sockets.add(tcp_socket(SMALL));
                worked = true;
            }
            worked |= listen(sockets.get_mut(*handle), ports::HOLD);
        }
        self.release(sockets);
        if let Some(handle) = self.datagrams {
            worked |= echo_datagrams(sockets.get_mut(handle), &mut self.buffer);
        }
        if let Some(iperf3) = &mut self.iperf3 {
            worked |= iperf3.turn(sockets);
        }
        worked
    }

    /// Drops connections that are held no more; it looks at one a turn, and at the next if that one was closed.
    fn release(&mut self, sockets: &mut SocketSet<'static>) {
        while let Some(handle) = self.held.pop_front() {
            if sockets.get::<tcp::Socket<'_>>(handle).is_open() {
                self.held.push_back(handle);
                return;
            }
            sockets.remove(handle);
            if self.held.is_empty() {
                self.shrink(sockets);
            }
        }
    }

    /// Makes the set as small as it was: it is passed over for every frame, with the places of those who have left.
    fn shrink(&mut self, sockets: &mut SocketSet<'static>) {
        let mut left = std::mem::replace(sockets, SocketSet::new(Vec::new()));
        // Nobody else is in a set that has holders.
        for handle in self.echoes.iter_mut().chain(&mut self.holders) {
            *handle = sockets.add(left.remove(*handle));
        }
    }
}

/// Makes a closed socket listen again, and closes one whose peer has closed; whether it did.
fn listen(socket: &mut tcp::Socket<'_>, port: u16) -> bool {
    if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
        socket.close();
        return true;
    }
    !socket.is_open() && socket.listen(port).is_ok()
}

fn echo(socket: &mut tcp::Socket<'_>, buffer: &mut [u8]) -> bool {
    let mut worked = false;
    while socket.can_recv() && socket.can_send() {
        let room = (socket.send_capacity() - socket.send_queue()).min(buffer.len());
        let Some(part) = buffer.get_mut(..room) else { break };
        let Ok(len) = socket.recv_slice(part) else { break };
        worked |= socket.send_slice(part.get(..len).unwrap_or_default()).is_ok();
    }
    worked | listen(socket, ports::ECHO)
}

fn respond(socket: &mut tcp::Socket<'_>, heads: &mut HeadCounter, buffer: &mut [u8]) -> bool {
    let mut worked = false;
    while socket.can_recv() {
        let Ok(len) = socket.recv_slice(buffer) else { break };
        for _ in 0..heads.count(buffer.get(..len).unwrap_or_default()) {
            // The buffer is many responses long, and the load asks for one at a time.
            worked |= socket.send_slice(RESPONSE).is_ok();
        }
    }
    if listen(socket, ports::BARE_HTTP) {
        *heads = HeadCounter::default();
        worked = true;
    }
    worked
}

fn echo_datagrams(socket: &mut udp::Socket<'_>, buffer: &mut [u8]) -> bool {
    let mut worked = !socket.is_open() && socket.bind(ports::ECHO).is_ok();
    while socket.can_send() {
        let Ok((len, from)) = socket.recv_slice(buffer) else { break };
        worked |= socket.send_slice(buffer.get(..len).unwrap_or_default(), from.endpoint).is_ok();
    }
    worked
}
