//! Which socket a datagram is for.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use netloom_base::{HashKey, KeyedMap};
use netloom_wire::is_same_family;

use super::id::UdpSocketId;

/// Where a socket is bound: an address and a port. The address is as in [`UdpBind`](super::UdpBind).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Local {
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

/// A socket, in the order in which they were bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    /// Which of all sockets that there have been.
    pub(super) number: u64,
    pub(super) id: UdpSocketId,
}

/// The sockets at one address and port.
#[derive(Clone, Debug)]
struct Binding {
    address: Option<IpAddr>,
    is_shared: bool,
    /// All of them.
    socket_count: usize,
    /// Those that are not connected.
    open: BTreeSet<Member>,
}

/// Sockets by port, and connected ones by both ends. A port has few bindings: as many as this host has addresses, and
/// two more for "any".
#[derive(Debug)]
pub(super) struct Demux {
    ports: KeyedMap<u16, Vec<Binding>>,
    connected: KeyedMap<(Local, SocketAddr), UdpSocketId>,
    /// The socket for whatever no other takes.
    any: Option<UdpSocketId>,
}

/// Whether a socket bound to `bound` gets what is sent to `address`.
fn covers(bound: Option<IpAddr>, address: IpAddr) -> bool {
    match bound {
        None => true,
        Some(bound) if bound.is_unspecified() => is_same_family(bound, address),
        Some(bound) => bound == address,
    }
}

/// Whether an address exists that both cover.
fn overlaps(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    match (a, b) {
        (None, _) | (_, None) => true,
        (Some(one), Some(other)) => covers(a, other) || covers(b, one),
    }
}

/// How exactly a binding names an address.
fn exactness(bound: Option<IpAddr>) -> u8 {
    match bound {
        None => 0,
        Some(bound) if bound.is_unspecified() => 1,
        Some(_) => 2,
    }
}

impl Demux {
    pub(super) fn new(key: HashKey) -> Self {
        Self { ports: KeyedMap::with_hasher(key), connected: KeyedMap::with_hasher(key), any: None }
    }

    /// Whether a socket cannot have `local` beside those that are there.
    pub(super) fn is_taken(&self, local: Local, share: bool) -> bool {
        self.bindings(local.port)
            .iter()
            .any(|binding| overlaps(binding.address, local.address) && !(share && binding.is_shared))
    }

    /// Whether any socket has the port, at whatever address.
    pub(super) fn is_port_used(&self, port: u16) -> bool {
        self.ports.contains_key(&port)
    }

    /// Binds a socket where [`is_taken`](Self::is_taken) has said that it may be.
    pub(super) fn bind(&mut self, local: Local, share: bool, member: Member) {
        let bindings = self.ports.entry(local.port).or_default();
        match bindings.iter_mut().find(|binding| binding.address == local.address) {
            Some(binding) => {
                binding.socket_count += 1;
                binding.open.insert(member);
            }
            None => bindings.push(Binding {
                address: local.address,
                is_shared: share,
                socket_count: 1,
                open: BTreeSet::from([member]),
            }),
        }
    }

    /// Gives a socket whatever no other takes; `false` if another has that.
    pub(super) fn bind_any(&mut self, id: UdpSocketId) -> bool {
        let is_free = self.any.is_none();
        if is_free {
            self.any = Some(id);
        }
        is_free
    }

    /// Whether a socket has whatever no other takes.
    pub(super) const fn has_any(&self) -> bool {
        self.any.is_some()
    }

    /// Takes a socket out that is not connected.
    pub(super) fn unbind(&mut self, local: Local, member: Member) {
        if self.any == Some(member.id) {
            self.any = None;
        }
        let Some(bindings) = self.ports.get_mut(&local.port) else { return };
        for binding in bindings.iter_mut().filter(|binding| binding.address == local.address) {
            binding.socket_count = binding.socket_count.saturating_sub(1);
            binding.open.remove(&member);
        }
        bindings.retain(|binding| binding.socket_count > 0);
        if bindings.is_empty() {
            self.ports.remove(&local.port);
        }
    }

    /// The socket that is connected with both these ends.
    pub(super) fn peer_of(
        &self,
        local: Local,
        source: Option<IpAddr>,
        remote: SocketAddr,
    ) -> Option<UdpSocketId> {
        self.connected.get(&(Local { address: source, port: local.port }, remote)).copied()
    }

    /// Connects a socket: from now on it gets what `remote` sends to `source`, and nothing else. Both ends must not be
    /// [another's](Self::peer_of).
    pub(super) fn connect(
        &mut self,
        local: Local,
        source: Option<IpAddr>,
        remote: SocketAddr,
        member: Member,
    ) {
        self.connected.insert((Local { address: source, port: local.port }, remote), member.id);
        if let Some(binding) = self.binding_mut(local) {
            binding.open.remove(&member);
        }
    }

    /// Undoes [`connect`](Self::connect).
    pub(super) fn disconnect(
        &mut self,
        local: Local,
        source: Option<IpAddr>,
        remote: SocketAddr,
        member: Member,
    ) {
        self.connected.remove(&(Local { address: source, port: local.port }, remote));
        if let Some(binding) = self.binding_mut(local) {
            binding.open.insert(member);
        }
    }

    /// The socket for a datagram that is for us alone.
    pub(super) fn unicast(&self, address: IpAddr, port: u16, remote: SocketAddr) -> Option<UdpSocketId> {
        self.connected(address, port, remote).or_else(|| {
            self.bindings(port)
                .iter()
                .filter(|binding| covers(binding.address, address) && !binding.open.is_empty())
                .max_by_key(|binding| exactness(binding.address))
                .and_then(|binding| binding.open.first().map(|first| first.id))
                .or(self.any)
        })
    }

    /// The sockets for a datagram to a group or by broadcast.
    pub(super) fn group(
        &self,
        address: IpAddr,
        port: u16,
        remote: SocketAddr,
    ) -> impl Iterator<Item = UdpSocketId> + '_ {
        let open = self.bindings(port).iter().filter(move |binding| covers(binding.address, address));
        let open = open.flat_map(|binding| binding.open.iter().map(|member| member.id));
        open.chain(self.connected(address, port, remote))
    }

    /// The socket that is connected to `remote`, from `address` or from any.
    fn connected(&self, address: IpAddr, port: u16, remote: SocketAddr) -> Option<UdpSocketId> {
        if self.connected.is_empty() {
            return None;
        }
        let get = |address| self.connected.get(&(Local { address, port }, remote)).copied();
        get(Some(address)).or_else(|| get(None))
    }

    fn bindings(&self, port: u16) -> &[Binding] {
        self.ports.get(&port).map_or(&[], Vec::as_slice)
    }

    fn binding_mut(&mut self, local: Local) -> Option<&mut Binding> {
        self.ports.get_mut(&local.port)?.iter_mut().find(|binding| binding.address == local.address)
    }

    /// Whether no socket is known, for tests of leaks.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ports.is_empty() && self.connected.is_empty() && self.any.is_none()
    }
}
