//! UDP's sockets, and the calls on them.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;
use std::collections::VecDeque;

use netloom_base::{BufferPool, InterfaceId, Rng, Slab};
use netloom_wire::{UdpHeader, is_same_family};

use super::config::{UdpBind, UdpConfig, UdpCounters, UdpOptions};
use super::demux::{Demux, Local, Member};
use super::error::{UdpBindError, UdpConnectError, UdpGroupError, UdpSendError, UdpSocketError};
use super::groups::{Groups, UdpGroupChange};
use super::id::UdpSocketId;
use super::socket::{MAX_TRAIN_LEN, News, Socket, UdpIcmpReport, UdpOutput, UdpSocketInfo};
use crate::offer::{FrameOffer, Loans};
use crate::ports::EphemeralPorts;

/// What a socket has to tell. Events are edges: one comes when something has changed since the last was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpEvent {
    /// A datagram has come: read until [`WouldBlock`](super::UdpRecvError::WouldBlock).
    Readable(UdpSocketId),
    /// There is room again after a send was refused.
    Writable(UdpSocketId),
    /// An error waits for the next call, or in [`Udp::poll_icmp_report`].
    Error(UdpSocketId),
}

/// All UDP sockets of a stack.
#[derive(Debug)]
pub struct Udp {
    pub(super) config: UdpConfig,
    pub(super) sockets: Slab<Socket>,
    pub(super) demux: Demux,
    /// How many sockets there have been.
    socket_number: u64,
    ports: EphemeralPorts,
    groups: Groups,
    /// Sockets with something to tell, each once.
    announced: VecDeque<UdpSocketId>,
    /// Sockets with something to send, each once.
    ready: VecDeque<UdpSocketId>,
    /// Whether all devices cut trains.
    makes_trains: bool,
    /// What waits in all receive queues.
    pub(super) receive_bytes: usize,
    pub(super) offer: FrameOffer,
    pub(super) loans: Loans,
    /// Buffers that came back.
    pub(super) buffers: BufferPool,
    pub(super) counters: UdpCounters,
}

impl Udp {
    /// Without sockets. `rng` must be secret: ephemeral ports and hash keys come from it.
    pub fn new(config: UdpConfig, mut rng: Rng) -> Self {
        let key = rng.hash_key();
        Self {
            config,
            sockets: Slab::new(config.max_sockets),
            demux: Demux::new(key),
            groups: Groups::new(config.max_groups, key),
            socket_number: 0,
            ports: EphemeralPorts::new(config.ephemeral_ports, rng),
            announced: VecDeque::new(),
            ready: VecDeque::new(),
            makes_trains: false,
            receive_bytes: 0,
            offer: FrameOffer::default(),
            loans: Loans::default(),
            buffers: BufferPool::default(),
            counters: UdpCounters::default(),
        }
    }

    /// A new socket. Whether the address is ours is the caller's to know.
    ///
    /// # Errors
    /// When another socket has the address and port, or there are no more ports or sockets.
    // [1122-U012] [1122-U013]
    pub fn bind(&mut self, bind: UdpBind) -> Result<UdpSocketId, UdpBindError> {
        let UdpBind { address, port, share } = bind;
        let Self { demux, config, ports, .. } = self;
        let is_others = |port| !config.sharding.owns_port(port);
        let is_taken = |port| demux.is_taken(Local { port, address }, false);
        let port = match port {
            0 => ports
                .pick(|port| is_others(port) || demux.is_port_used(port))
                .or_else(|_| ports.pick(|port| is_others(port) || is_taken(port))),
            port => Ok(port),
        }
        .map_err(|_| UdpBindError::PortsExhausted)?;
        let local = Local { port, address };
        if self.demux.is_taken(local, share) {
            return Err(UdpBindError::AddressInUse);
        }
        let id = self.insert(local, share)?;
        self.demux.bind(local, share, Member { number: self.socket_number, id });
        Ok(id)
    }

    /// A new socket for every datagram to one host that no other socket takes, whatever its address and port: what it
    /// receives says which those were, and it answers from them by [`send_from`](Self::send_from). Its own port is 0: it
    /// cannot [`send_to`](Self::send_to), nor be connected.
    ///
    /// # Errors
    /// When there is such a socket already, or there are no more sockets.
    pub fn bind_any(&mut self) -> Result<UdpSocketId, UdpBindError> {
        if self.demux.has_any() {
            return Err(UdpBindError::AddressInUse);
        }
        let local = Local { address: None, port: 0 };
        let id = self.insert(local, false)?;
        self.demux.bind_any(id);
        Ok(id)
    }

    fn insert(&mut self, local: Local, share: bool) -> Result<UdpSocketId, UdpBindError> {
        let socket = Socket::new(local, share, self.socket_number + 1);
        let id = self.sockets.insert(socket).map_err(|_| UdpBindError::TooManySockets)?;
        self.socket_number += 1;
        Ok(UdpSocketId(id))
    }

    /// Queues a datagram for `remote` that leaves from `local`, address and port: for a socket of
    /// [`bind_any`](Self::bind_any). Whether it may leave from there is the caller's to know. Drain
    /// [`poll_transmit`](Self::poll_transmit) next.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); `InvalidRemote` also for a `local` that nobody can have.
    pub fn send_from(
        &mut self,
        id: UdpSocketId,
        local: SocketAddr,
        remote: SocketAddr,
        data: &[u8],
    ) -> Result<(), UdpSendError> {
        if !is_possible_remote(local) || local.ip().is_multicast() {
            return Err(UdpSendError::InvalidRemote);
        }
        let output = self.output(id, remote, Some(local.ip()), data)?;
        self.enqueue(UdpOutput { source_port: local.port(), ..output }, data)
    }

    /// Connects a socket: it receives from `remote` only, learns of errors, and may [`send`](Self::send). `source` is
    /// the address that the path to `remote` begins at; it counts if the socket is bound to none. A socket may be
    /// connected again, to another peer.
    ///
    /// # Errors
    /// When the peer cannot be one, or another socket has both ends.
    pub fn connect(
        &mut self,
        id: UdpSocketId,
        remote: SocketAddr,
        source: Option<IpAddr>,
    ) -> Result<(), UdpConnectError> {
        let socket = self.open_socket(id).ok_or(UdpConnectError::NoSocket)?;
        if !is_possible_remote(remote) || socket.local.port == 0 {
            return Err(UdpConnectError::InvalidRemote);
        }
        let remote = plain(remote);
        let families = [socket.local.address, source].into_iter().flatten();
        if !families.clone().all(|address| is_same_family(address, remote.ip())) {
            return Err(UdpConnectError::FamilyMismatch);
        }
        let source = socket.bound_address().or(source);
        let (local, member) = (socket.local, socket.member(id));
        if self.demux.peer_of(local, source, remote).is_some_and(|other| other != id) {
            return Err(UdpConnectError::AddressInUse);
        }
        self.disconnect(id);
        self.demux.connect(local, source, remote, member);
        if let Some(socket) = self.sockets.get_mut(id.0) {
            (socket.source, socket.remote) = (source, Some(remote));
        }
        Ok(())
    }

    /// Undoes [`connect`](Self::connect).
    pub fn disconnect(&mut self, id: UdpSocketId) {
        let Some(socket) = self.sockets.get_mut(id.0).filter(|socket| !socket.is_closing) else { return };
        let source = socket.source.take();
        if let Some(remote) = socket.remote.take() {
            self.demux.disconnect(socket.local, source, remote, socket.member(id));
        }
    }

    /// Queues a datagram for the peer that the socket is connected to. Drain [`poll_transmit`](Self::poll_transmit)
    /// next.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), or when it is not connected.
    pub fn send(&mut self, id: UdpSocketId, data: &[u8]) -> Result<(), UdpSendError> {
        self.send_train(id, None, None, usize::MAX, data)
    }

    /// Queues a datagram for `remote`; `source`, one of our addresses, if it must be sent from there. Drain
    /// [`poll_transmit`](Self::poll_transmit) next.
    ///
    /// # Errors
    /// When the queue is full, the datagram too long or the peer impossible, or when an earlier datagram met an error.
    // [1122-U012] [1122-U018]
    pub fn send_to(
        &mut self,
        id: UdpSocketId,
        remote: SocketAddr,
        source: Option<IpAddr>,
        data: &[u8],
    ) -> Result<(), UdpSendError> {
        self.send_train(id, Some(remote), source, usize::MAX, data)
    }

    /// The same for several datagrams at once, to the connected peer if there is no `remote`: `data` is sent in datagrams of
    /// `segment_size` bytes, of which the last may have fewer. A device that cuts such trains is handed one packet. They are queued together or not at all.
    ///
    /// # Errors
    /// As [`send`](Self::send), all data counting as one datagram; when they would be none of a byte or more, or
    /// more than [`MAX_TRAIN_LEN`].
    pub fn send_train(
        &mut self,
        id: UdpSocketId,
        remote: Option<SocketAddr>,
        source: Option<IpAddr>,
        segment_size: usize,
        data: &[u8],
    ) -> Result<(), UdpSendError> {
        let connected = self.open_socket(id).ok_or(UdpSendError::NoSocket)?.remote;
        let remote = remote.or(connected).ok_or(UdpSendError::NotConnected)?;
        let output = self.output(id, remote, source, data)?;
        if output.source_port == 0 {
            return Err(UdpSendError::InvalidRemote);
        }
        if data.len() <= segment_size {
            return self.enqueue(output, data);
        }
        let size = u16::try_from(segment_size).ok().and_then(NonZeroU16::new);
        let Some(size) = size.filter(|_| data.len().div_ceil(segment_size) <= MAX_TRAIN_LEN) else {
            return Err(UdpSendError::TrainTooLong);
        };
        self.enqueue(UdpOutput { segment_size: Some(size), ..output }, data)
    }

    /// Whether datagrams that wait to be sent one after the other are put together in trains: all devices cut them then.
    pub fn set_makes_trains(&mut self, makes_trains: bool) {
        self.makes_trains = makes_trains;
    }

    /// Whether datagrams that wait are put together.
    pub const fn makes_trains(&self) -> bool {
        self.makes_trains
    }

    /// What a socket's datagram is sent with; the data is still to be put in.
    fn output(
        &mut self,
        id: UdpSocketId,
        remote: SocketAddr,
        source: Option<IpAddr>,
        data: &[u8],
    ) -> Result<UdpOutput, UdpSendError> {
        let socket = self.open_socket_mut(id).ok_or(UdpSendError::NoSocket)?;
        if let Some(error) = socket.error.take() {
            return Err(UdpSendError::Socket(error));
        }
        if !is_possible_remote(remote) {
            return Err(UdpSendError::InvalidRemote);
        }
        let families = [socket.local.address, source].into_iter().flatten();
        if !families.clone().all(|address| is_same_family(address, remote.ip())) {
            return Err(UdpSendError::FamilyMismatch);
        }
        if data.len() > UdpHeader::max_payload_len(remote.ip()) {
            return Err(UdpSendError::MessageTooLong);
        }
        // What `connect` chose suits its peer, not another.
        let chosen = if socket.remote == Some(plain(remote)) {
            socket.source_address()
        } else {
            socket.bound_address().filter(|address| !address.is_multicast())
        };
        let options = socket.options;
        Ok(UdpOutput {
            id,
            source: source.or(chosen),
            source_port: socket.local.port,
            remote: plain(remote),
            hop_limit: if remote.ip().is_multicast() {
                Some(options.group_hop_limit.unwrap_or(1))
            } else {
                options.hop_limit
            },
            traffic_class: options.traffic_class,
            dont_fragment: options.dont_fragment,
            loops_to_groups: options.loops_to_groups,
            segment_size: None,
            data: Vec::new(),
        })
    }

    /// Queues `output` with `data`, or lets it join the train at the end of the queue.
    fn enqueue(&mut self, mut output: UdpOutput, data: &[u8]) -> Result<(), UdpSendError> {
        let id = output.id;
        let (max_bytes, max_count) = (self.config.send_queue_bytes, self.config.queue_datagrams);
        let socket = self.sockets.get_mut(id.0).ok_or(UdpSendError::NoSocket)?;
        if !(socket.outgoing.is_empty() || socket.outgoing.fits(data.len(), max_bytes, max_count)) {
            socket.wants_to_send = true;
            return Err(UdpSendError::WouldBlock);
        }
        if self.makes_trains && socket.outgoing.try_append(&output, data) {
            return Ok(());
        }
        output.data = data.to_vec();
        socket.outgoing.push(output);
        if !socket.is_ready {
            socket.is_ready = true;
            self.ready.push_back(id);
        }
        Ok(())
    }

    /// Closes a socket: it receives nothing more, and its port is free at once. What it has to send is still sent.
    /// Take [`poll_group_change`](Self::poll_group_change) next if it was in groups.
    pub fn close(&mut self, id: UdpSocketId) {
        if self.open_socket_mut(id).is_none() {
            return;
        }
        self.disconnect(id);
        let Some(socket) = self.sockets.get_mut(id.0) else { return };
        self.demux.unbind(socket.local, socket.member(id));
        for group in core::mem::take(&mut socket.groups) {
            self.groups.leave(group);
        }
        self.receive_bytes -= socket.received.clear(&mut self.buffers);
        socket.news = News::default();
        // It may still stand in `announced`, where it is passed over.
        socket.is_closing = true;
        if socket.outgoing.is_empty() {
            self.sockets.remove(id.0);
        }
    }

    /// The next datagram to send, of each socket in turn.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<UdpOutput> {
        if self.ready.is_empty() { None } else { self.next_output() }
    }

    fn next_output(&mut self) -> Option<UdpOutput> {
        loop {
            let id = self.ready.pop_front()?;
            let Some(socket) = self.sockets.get_mut(id.0) else { continue };
            let Some(output) = socket.outgoing.pop() else {
                socket.is_ready = false;
                continue;
            };
            socket.is_ready = !socket.outgoing.is_empty();
            if socket.is_ready {
                self.ready.push_back(id);
            } else if socket.is_closing {
                self.sockets.remove(id.0);
            }
            self.counters.sent.add(output.datagram_count());
            self.counters.bytes_sent.add(output.data.len() as u64);
            self.note_room(id);
            return Some(output);
        }
    }

    /// Tells a socket that was refused once half its queue is free, so that it does not wake for every datagram.
    fn note_room(&mut self, id: UdpSocketId) {
        let (max_bytes, max_count) = (self.config.send_queue_bytes / 2, self.config.queue_datagrams / 2);
        let Some(socket) = self.open_socket_mut(id) else { return };
        let has_room = socket.outgoing.is_empty() || socket.outgoing.fits(0, max_bytes, max_count);
        if socket.wants_to_send && has_room {
            socket.wants_to_send = false;
            socket.news.writable = true;
            self.announce(id);
        }
    }

    /// The next thing that a socket has to tell.
    #[inline]
    pub fn poll_event(&mut self) -> Option<UdpEvent> {
        if self.announced.is_empty() { None } else { self.next_event() }
    }

    fn next_event(&mut self) -> Option<UdpEvent> {
        loop {
            let id = self.announced.pop_front()?;
            let Some(socket) = self.sockets.get_mut(id.0) else { continue };
            socket.is_announced = false;
            let news = &mut socket.news;
            let event = if core::mem::take(&mut news.error) {
                UdpEvent::Error(id)
            } else if core::mem::take(&mut news.readable) {
                UdpEvent::Readable(id)
            } else if core::mem::take(&mut news.writable) {
                UdpEvent::Writable(id)
            } else {
                continue;
            };
            if *news != News::default() {
                self.announce(id);
            }
            return Some(event);
        }
    }

    pub(super) fn announce(&mut self, id: UdpSocketId) {
        if let Some(socket) = self.sockets.get_mut(id.0)
            && !socket.is_announced
        {
            socket.is_announced = true;
            self.announced.push_back(id);
        }
    }

    /// Makes a socket a member of `group`, on `interface` or where the route leads. Take
    /// [`poll_group_change`](Self::poll_group_change) next.
    ///
    /// # Errors
    /// When it is no group, the socket is in it already, or there are too many.
    // [1122-I145]
    pub fn join_group(
        &mut self,
        id: UdpSocketId,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), UdpGroupError> {
        let socket = self.open_socket_mut(id).ok_or(UdpGroupError::NoSocket)?;
        if !group.is_multicast() {
            return Err(UdpGroupError::NotMulticast);
        }
        if socket.groups.contains(&(group, interface)) {
            return Err(UdpGroupError::AlreadyJoined);
        }
        if !self.groups.join((group, interface)) {
            return Err(UdpGroupError::TooManyGroups);
        }
        if let Some(socket) = self.sockets.get_mut(id.0) {
            socket.groups.push((group, interface));
        }
        Ok(())
    }

    /// Undoes [`join_group`](Self::join_group).
    ///
    /// # Errors
    /// When the socket is not in it.
    pub fn leave_group(
        &mut self,
        id: UdpSocketId,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), UdpGroupError> {
        let socket = self.open_socket_mut(id).ok_or(UdpGroupError::NoSocket)?;
        let position = socket.groups.iter().position(|&it| it == (group, interface));
        socket.groups.swap_remove(position.ok_or(UdpGroupError::NotJoined)?);
        self.groups.leave((group, interface));
        Ok(())
    }

    /// The next group that the layers below must join or leave.
    #[inline]
    pub fn poll_group_change(&mut self) -> Option<UdpGroupChange> {
        if self.groups.has_changed() { self.groups.poll_change() } else { None }
    }

    /// Where the socket listens. Without an address of its own, the one that `connect` chose, else `None`.
    pub fn local_addr(&self, id: UdpSocketId) -> Option<UdpBind> {
        self.open_socket(id).map(|socket| socket.info(id).local)
    }

    /// Whom the socket is connected to.
    pub fn peer_addr(&self, id: UdpSocketId) -> Option<SocketAddr> {
        self.open_socket(id)?.remote
    }

    /// What its datagrams are sent with.
    pub fn options(&self, id: UdpSocketId) -> Option<UdpOptions> {
        self.open_socket(id).map(|socket| socket.options)
    }

    /// Changes what its datagrams are sent with, from the next one on; `false` if there is no such socket.
    pub fn set_options(&mut self, id: UdpSocketId, options: UdpOptions) -> bool {
        self.open_socket_mut(id).map(|socket| socket.options = options).is_some()
    }

    /// The error that waits for the next call, which will then not tell it.
    pub fn take_error(&mut self, id: UdpSocketId) -> Option<UdpSocketError> {
        self.open_socket_mut(id)?.error.take()
    }

    /// The oldest ICMP error about the socket's datagrams that was not taken yet; eight are kept.
    // [1122-U005] [1122-I154]
    pub fn poll_icmp_report(&mut self, id: UdpSocketId) -> Option<UdpIcmpReport> {
        self.open_socket_mut(id)?.icmp_reports.pop_front()
    }

    /// Whether a datagram, or an error, waits to be read.
    pub fn is_readable(&self, id: UdpSocketId) -> bool {
        self.open_socket(id).is_some_and(|socket| !socket.received.is_empty() || socket.error.is_some())
    }

    /// Whether a datagram of some length would be queued now. If not, [`UdpEvent::Writable`] comes when half the queue is
    /// free.
    pub fn has_room(&mut self, id: UdpSocketId) -> bool {
        let (max_bytes, max_count) = (self.config.send_queue_bytes, self.config.queue_datagrams);
        let Some(socket) = self.open_socket_mut(id) else { return false };
        let has_room = socket.outgoing.is_empty() || socket.outgoing.fits(0, max_bytes, max_count);
        socket.wants_to_send |= !has_room;
        has_room
    }

    /// What a socket looks like now, for tools.
    pub fn info(&self, id: UdpSocketId) -> Option<UdpSocketInfo> {
        self.sockets.get(id.0).map(|socket| socket.info(id))
    }

    /// Every socket, for tools; those too that only send what is left.
    pub fn sockets(&self) -> impl Iterator<Item = UdpSocketInfo> + '_ {
        self.sockets.iter().map(|(id, socket)| socket.info(UdpSocketId(id)))
    }

    /// Bytes that wait in all receive queues, each datagram counted with what it costs beside its data, and a train that came as one
    /// packet until it is read whole.
    pub const fn receive_bytes(&self) -> usize {
        self.receive_bytes
    }

    /// What was counted.
    pub const fn counters(&self) -> &UdpCounters {
        &self.counters
    }

    fn open_socket(&self, id: UdpSocketId) -> Option<&Socket> {
        self.sockets.get(id.0).filter(|socket| !socket.is_closing)
    }

    pub(super) fn open_socket_mut(&mut self, id: UdpSocketId) -> Option<&mut Socket> {
        self.sockets.get_mut(id.0).filter(|socket| !socket.is_closing)
    }

    /// Whether nothing is left of any socket, for tests of leaks.
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        self.sockets.is_empty() && self.demux.is_empty() && self.ready.is_empty() && self.receive_bytes == 0
    }
}

/// Whether a datagram can be for `remote`.
fn is_possible_remote(remote: SocketAddr) -> bool {
    remote.port() != 0 && !remote.ip().is_unspecified()
}

/// The address without flow label and zone, so that it equals the one that datagrams come from.
fn plain(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(remote.ip(), remote.port())
}
