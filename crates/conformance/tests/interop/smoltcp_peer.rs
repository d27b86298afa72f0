//! smoltcp as peer, live: a thread with a TAP of its own.
//!
//! One loop: the interface is polled, then each conversation moves what it can, then the thread waits for the TAP, for smoltcp's
//! next timer or to be told to end.

use std::io::{self, PipeReader, PipeWriter};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::thread::JoinHandle;

use netloom::device::{Queue, RECEIVE_BUFFER_LEN, TunTap};
use netloom_base::TxMeta;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smoltcp::iface::{Config, Interface, Route, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use tokio::sync::oneshot;

use crate::conversation::Progress;
use crate::ground::FAMILIES;
use crate::transfer::pattern;

/// An Ethernet header, which smoltcp's MTU includes.
const HEADER_LEN: usize = 14;

/// Who begins a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// smoltcp listens on this port.
    Server(u16),
    /// smoltcp connects to this address from this port.
    Client(SocketAddr, u16),
}

/// Both send, close their half, and read to the end.
pub(crate) struct Conversation {
    pub(crate) role: Role,
    /// How many bytes smoltcp sends of the pattern with this number.
    pub(crate) len: usize,
    pub(crate) seed: u64,
    /// What the socket buffers each way, in bytes.
    pub(crate) buffer_len: usize,
    /// Whom to tell how much has come, and under which number.
    pub(crate) progress: Option<(Progress, usize)>,
    /// Gets what has come when all has, and all was sent.
    pub(crate) received: oneshot::Sender<Vec<u8>>,
}

/// Where smoltcp is.
pub(crate) struct Site {
    /// Its addresses, each with the prefix of its network.
    pub(crate) addresses: Vec<IpCidr>,
    /// Through whom it sends to other networks.
    pub(crate) gateways: Vec<IpAddress>,
}

impl Site {
    /// At the far end of the cable.
    pub(crate) fn near() -> Self {
        let addresses = FAMILIES.map(|it| IpCidr::new(it.far.parse().expect("an address"), it.prefix_len));
        Self { addresses: addresses.to_vec(), gateways: Vec::new() }
    }
}

/// The thread; it ends when this is dropped.
pub(crate) struct SmoltcpPeer {
    end: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl SmoltcpPeer {
    /// Starts it with all that it is to do.
    pub(crate) fn start(tap: TunTap, site: Site, conversations: Vec<Conversation>) -> Self {
        let (ended, end) = io::pipe().expect("a pipe");
        let thread = std::thread::spawn(move || run(tap, site, conversations, &ended));
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for SmoltcpPeer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(tap: TunTap, site: Site, conversations: Vec<Conversation>, ended: &PipeReader) {
    let mut device = Device { tap, received: vec![0; RECEIVE_BUFFER_LEN], sent: vec![0; RECEIVE_BUFFER_LEN] };
    let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
    config.random_seed = 1;
    let mut interface = Interface::new(config, &mut device, Instant::now());
    interface.update_ip_addrs(|list| list.extend(site.addresses));
    for gateway in site.gateways {
        let route = match gateway {
            IpAddress::Ipv4(gateway) => Route::new_ipv4_gateway(gateway),
            IpAddress::Ipv6(gateway) => Route::new_ipv6_gateway(gateway),
        };
        interface.routes_mut().update(|list| list.push(route).expect("room for a route"));
    }
    let mut sockets = SocketSet::new(Vec::new());
    let mut sides: Vec<Side> = conversations
        .into_iter()
        .map(|conversation| Side::open(conversation, &mut interface, &mut sockets))
        .collect();
    loop {
        let now = Instant::now();
        interface.poll(now, &mut device, &mut sockets);
        let mut has_moved = false;
        for side in &mut sides {
            has_moved |= side.drive(sockets.get_mut(side.handle));
        }
        if has_moved {
            continue;
        }
        let delay = interface.poll_delay(now, &sockets).map(|delay| delay.total_micros().div_ceil(1000));
        let timeout =
            delay.map_or(PollTimeout::NONE, |span| PollTimeout::try_from(span).unwrap_or(PollTimeout::MAX));
        let mut waited_for = [
            PollFd::new(device.tap.as_fd(), PollFlags::POLLIN),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waited_for, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        if waited_for[1].any() != Some(false) {
            return;
        }
    }
}

/// smoltcp's end of a conversation.
struct Side {
    handle: SocketHandle,
    outgoing: Vec<u8>,
    sent: usize,
    is_closed: bool,
    incoming: Vec<u8>,
    progress: Option<(Progress, usize)>,
    received: Option<oneshot::Sender<Vec<u8>>>,
}

impl Side {
    fn open(conversation: Conversation, interface: &mut Interface, sockets: &mut SocketSet<'static>) -> Self {
        let Conversation { role, len, seed, buffer_len, progress, received } = conversation;
        let buffer = || tcp::SocketBuffer::new(vec![0; buffer_len]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        match role {
            Role::Server(port) => socket.listen(port).expect("a port"),
            Role::Client(remote, port) => {
                let remote = (IpAddress::from(remote.ip()), remote.port());
                socket.connect(interface.context(), remote, port).expect("a path");
            }
        }
        let handle = sockets.add(socket);
        Self {
            handle,
            outgoing: pattern(len, seed),
            sent: 0,
            is_closed: false,
            incoming: Vec::new(),
            progress,
            received: Some(received),
        }
    }

    /// Moves what can be moved; whether that was anything.
    fn drive(&mut self, socket: &mut tcp::Socket<'_>) -> bool {
        let mut has_moved = false;
        if socket.may_send() && self.sent < self.outgoing.len() && socket.can_send() {
            self.sent += socket.send_slice(&self.outgoing[self.sent..]).expect("open");
            has_moved = true;
        }
        if socket.may_send() && self.sent == self.outgoing.len() && !self.is_closed {
            socket.close();
            self.is_closed = true;
            has_moved = true;
        }
        while socket.can_recv() {
            let incoming = &mut self.incoming;
            let taken = socket.recv(|bytes| {
                incoming.extend_from_slice(bytes);
                (bytes.len(), bytes.len())
            });
            let len = taken.expect("data");
            if let Some((progress, conversation)) = &self.progress {
                progress.send_modify(|arrived| arrived[*conversation][1] += len);
            }
            has_moved = true;
        }
        let is_opening =
            matches!(socket.state(), tcp::State::Listen | tcp::State::SynSent | tcp::State::SynReceived);
        let is_over = !is_opening && !socket.may_recv();
        if is_over
            && (self.is_closed || !socket.is_open())
            && let Some(received) = self.received.take()
        {
            // Nobody waits any more if the case has failed.
            let _ = received.send(std::mem::take(&mut self.incoming));
        }
        has_moved
    }
}

/// The TAP as smoltcp's device.
struct Device {
    tap: TunTap,
    received: Vec<u8>,
    sent: Vec<u8>,
}

impl phy::Device for Device {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sender<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sender<'_>)> {
        let received = self.tap.recv(&mut self.received).ok()?;
        Some((
            Received(received.bytes_in(&self.received)),
            Sender { tap: &mut self.tap, buffer: &mut self.sent },
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_>> {
        Some(Sender { tap: &mut self.tap, buffer: &mut self.sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(self.tap.caps().mtu) + HEADER_LEN;
        capabilities
    }
}

/// A frame that has come.
struct Received<'a>(&'a [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

/// The chance to send one frame.
struct Sender<'a> {
    tap: &'a mut TunTap,
    buffer: &'a mut [u8],
}

impl phy::TxToken for Sender<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let frame = &mut self.buffer[..len];
        let result = write(frame);
        // A frame for which there is no room is lost, as with smoltcp's own devices.
        let _ = self.tap.send(TxMeta::default(), frame, [&[], &[]]);
        result
    }
}
