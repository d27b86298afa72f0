//! Which socket a datagram is for.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use netloom_base::{HashKey, KeyedMap};
use netloom_wire::{hash_address, is_same_family, unspecified_like};

use super::id::UdpSocketId;

/// Where a socket is bound: an address and a port. The address is as in [`UdpBind`](super::UdpBind).
///
/// In order, the ends with one port stand together: first the one for every address, then those of IPv4, then those of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Local {
    pub(super) port: u16,
    pub(super) address: Option<IpAddr>,
}

/// Each datagram is looked up by it.
impl Hash for Local {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(address) = self.address {
            hash_address(address, state);
        }
        state.write_u16(self.port);
    }
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
    /// All of them.
    socket_count: usize,
    /// Those that are not connected.
    open: BTreeSet<Member>,
}

/// Addresses and ports in use.
#[derive(Clone, Debug, Default)]
struct Ends(BTreeSet<Local>);

/// Sockets by address and port, and connected ones by both ends.
#[derive(Debug)]
pub(super) struct Demux {
    bindings: KeyedMap<Local, Binding>,
    /// How many of those there are of each [`exactness`].
    counts: [usize; 3],
    /// Where they are.
    ends: Ends,
    /// Those that are not shared.
    ends_alone: Ends,
    connected: KeyedMap<(Local, SocketAddr), UdpSocketId>,
    /// The socket for whatever no other takes.
    any: Option<UdpSocketId>,
}

/// Where among the counts of bindings that is: those of one address come first, then those of every one of a family, then
/// those of every one.
fn exactness(local: Local) -> usize {
    match local.address {
        Some(address) if !address.is_unspecified() => 0,
        Some(_) => 1,
        None => 2,
    }
}

impl Ends {
    /// Whether one of these exists that has an address in common with `local`.
    fn overlaps(&self, local: Local) -> bool {
        let Some(address) = local.address else { return self.has_port(local.port) };
        let at = |address| Local { address, ..local };
        let every = at(Some(unspecified_like(address)));
        let is_covered = |next: &Local| {
            let is_like = next.address.is_some_and(|next| is_same_family(next, address));
            next.port == local.port && is_like
        };
        self.0.contains(&at(None))
            || self.0.contains(&every)
            || self.0.contains(&local)
            // Those of its family follow it.
            || local == every && self.0.range(local..).next().is_some_and(is_covered)
    }

    fn has_port(&self, port: u16) -> bool {
        let first = Local { port, address: None };
        self.0.range(first..).next().is_some_and(|next| next.port == port)
    }
}

impl Demux {
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            bindings: KeyedMap::with_hasher(key),
            counts: [0; 3],
            ends: Ends::default(),
            ends_alone: Ends::default(),
            connected: KeyedMap::with_hasher(key),
            any: None,
        }
    }

    /// Whether a socket cannot have `local` beside those that are there.
    pub(super) fn is_taken(&self, local: Local, share: bool) -> bool {
        if share { self.ends_alone.overlaps(local) } else { self.ends.overlaps(local) }
    }

    /// Whether any socket has the port, at whatever address.
    pub(super) fn is_port_used(&self, port: u16) -> bool {
        self.ends.has_port(port)
    }

    /// Binds a socket where [`is_taken`](Self::is_taken) has said that it may be.
    pub(super) fn bind(&mut self, local: Local, share: bool, member: Member) {
        let counts = &mut self.counts;
        let binding = self.bindings.entry(local).or_insert_with(|| {
            counts[exactness(local)] += 1;
            Binding { socket_count: 0, open: BTreeSet::new() }
        });
        binding.socket_count += 1;
        binding.open.insert(member);
        self.ends.0.insert(local);
        if !share {
            self.ends_alone.0.insert(local);
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
        let Some(binding) = self.bindings.get_mut(&local) else { return };
        binding.socket_count = binding.socket_count.saturating_sub(1);
        binding.open.remove(&member);
        if binding.socket_count == 0 {
            self.bindings.remove(&local);
            self.counts[exactness(local)] -= 1;
            self.ends.0.remove(&local);
            self.ends_alone.0.remove(&local);
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
        if let Some(binding) = self.bindings.get_mut(&local) {
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
        if let Some(binding) = self.bindings.get_mut(&local) {
            binding.open.insert(member);
        }
    }

    /// The socket for a datagram that is for us alone.
    pub(super) fn unicast(&self, address: IpAddr, port: u16, remote: SocketAddr) -> Option<UdpSocketId> {
        self.connected(address, port, remote).or_else(|| {
            let first = |binding: &Binding| Some(binding.open.first()?.id);
            self.covering(address, port).find_map(first).or(self.any)
        })
    }

    /// The sockets for a datagram to a group or by broadcast.
    pub(super) fn group(
        &self,
        address: IpAddr,
        port: u16,
        remote: SocketAddr,
    ) -> impl Iterator<Item = UdpSocketId> + '_ {
        let open =
            self.covering(address, port).flat_map(|binding| binding.open.iter().map(|member| member.id));
        open.chain(self.connected(address, port, remote))
    }

    /// The bindings that get what is sent to `address`, the most exact first.
    fn covering(&self, address: IpAddr, port: u16) -> impl Iterator<Item = &Binding> {
        let places = [Some(address), Some(unspecified_like(address)), None].into_iter().zip(self.counts);
        let places = places.filter(|&(_, count)| count > 0);
        places.filter_map(move |(address, _)| self.bindings.get(&Local { port, address }))
    }

    /// The socket that is connected to `remote`, from `address` or from any.
    fn connected(&self, address: IpAddr, port: u16, remote: SocketAddr) -> Option<UdpSocketId> {
        if self.connected.is_empty() {
            return None;
        }
        let get = |address| self.connected.get(&(Local { port, address }, remote)).copied();
        get(Some(address)).or_else(|| get(None))
    }

    /// Whether no socket is known, for tests of leaks.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let ends = self.ends.0.is_empty() && self.ends_alone.0.is_empty();
        ends && self.bindings.is_empty() && self.connected.is_empty() && self.any.is_none()
    }
}
