//! The host's own addresses and how far each may be used.

use core::fmt;
use core::net::IpAddr;

use netloom_base::{HashKey, Instant, InterfaceId, KeyedMap};
use netloom_wire::Cidr;

/// How far an address may be used (RFC 4862 2, RFC 4429).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// Being tried out: neither used nor answered for.
    Tentative,
    /// Being tried out, and used meanwhile.
    Optimistic,
    /// Ours.
    Preferred,
    /// Somebody else's: neither used nor answered for.
    Duplicate,
}

impl AddressState {
    /// Whether packets are sent from it and taken for it.
    pub const fn is_usable(self) -> bool {
        match self {
            Self::Optimistic | Self::Preferred => true,
            Self::Tentative | Self::Duplicate => false,
        }
    }

    /// Whether duplicate detection has still to say.
    pub const fn is_on_trial(self) -> bool {
        match self {
            Self::Tentative | Self::Optimistic => true,
            Self::Preferred | Self::Duplicate => false,
        }
    }
}

impl fmt::Display for AddressState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tentative => "tentative",
            Self::Optimistic => "optimistic",
            Self::Preferred => "preferred",
            Self::Duplicate => "duplicate",
        })
    }
}

/// One of the host's own addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// Which interface it belongs to.
    pub interface: InterfaceId,
    /// The address and its network.
    pub cidr: Cidr,
    /// How far it may be used.
    pub state: AddressState,
    /// Duplicate detection by neighbour solicitations, while it runs.
    pub(crate) trial: Option<Trial>,
}

/// Where duplicate detection of one address stands (RFC 4862 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trial {
    pub(crate) solicitations_left: u8,
    pub(crate) next: Instant,
}

/// Why an address was not added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no such interface.
    UnknownInterface,
    /// No host can have this address: a group, broadcast, loopback, or the network's own.
    NotAHostAddress,
    /// The host has it already.
    InUse,
    /// The host does not have it.
    Unknown,
    /// As many addresses as there may be.
    Full,
    /// As many routes as there may be.
    RoutesFull,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownInterface => "there is no such interface",
            Self::NotAHostAddress => "no host can have this address",
            Self::InUse => "this host has the address already",
            Self::Unknown => "this host does not have the address",
            Self::Full => "this host has as many addresses as it may",
            Self::RoutesFull => "the routing table is full",
        })
    }
}

impl core::error::Error for AddressError {}

/// Own addresses. Each is there once, whatever the interface.
#[derive(Debug)]
pub(crate) struct AddressTable {
    entries: Vec<LocalAddress>,
    /// Position of each address; only asked when there are many.
    positions: KeyedMap<IpAddr, usize>,
    /// Addresses of all hosts of a network, sorted, as [`broadcast_key`] has them: each packet's source is looked for among
    /// them.
    broadcasts: Vec<u64>,
    /// Earliest step of a trial.
    next_step: Option<Instant>,
    max_addresses: usize,
    /// How often it has changed.
    version: u64,
}

/// Up to here comparing beats hashing.
const FEW: usize = 8;

impl AddressTable {
    pub(crate) fn new(max_addresses: usize, key: HashKey) -> Self {
        Self {
            entries: Vec::new(),
            positions: KeyedMap::with_hasher(key),
            broadcasts: Vec::new(),
            next_step: None,
            max_addresses,
            version: 0,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LocalAddress> + Clone {
        self.entries.iter()
    }

    pub(crate) fn get(&self, address: IpAddr) -> Option<&LocalAddress> {
        self.position(address).and_then(|position| self.entries.get(position))
    }

    /// How often it has changed.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Whether the address is ours and usable.
    pub(crate) fn is_usable(&self, address: IpAddr) -> bool {
        self.get(address).is_some_and(|entry| entry.state.is_usable())
    }

    pub(crate) fn insert(&mut self, entry: LocalAddress) -> Result<(), AddressError> {
        let address = entry.cidr.address();
        if self.position(address).is_some() {
            return Err(AddressError::InUse);
        }
        if self.entries.len() >= self.max_addresses {
            return Err(AddressError::Full);
        }
        self.version += 1;
        self.positions.insert(address, self.entries.len());
        self.entries.push(entry);
        self.find_broadcasts();
        self.find_next_step();
        Ok(())
    }

    pub(crate) fn remove(&mut self, address: IpAddr) -> Option<LocalAddress> {
        let position = self.position(address)?;
        self.version += 1;
        let removed = self.entries.remove(position);
        self.positions.clear();
        let addresses = self.entries.iter().map(|entry| entry.cidr.address());
        self.positions.extend(addresses.zip(0..));
        self.find_broadcasts();
        self.find_next_step();
        Some(removed)
    }

    /// Changes how far an address may be used and where its trial stands.
    pub(crate) fn set(&mut self, address: IpAddr, state: AddressState, trial: Option<Trial>) {
        let Some(entry) = self.position(address).and_then(|position| self.entries.get_mut(position)) else {
            return;
        };
        self.version += 1;
        entry.state = state;
        entry.trial = trial;
        self.find_next_step();
    }

    /// When the next trial takes its next step.
    pub(crate) const fn next_step(&self) -> Option<Instant> {
        self.next_step
    }

    /// An address whose trial is to take its next step.
    pub(crate) fn due(&self, now: Instant) -> Option<LocalAddress> {
        if self.next_step.is_none_or(|next| next > now) {
            return None;
        }
        self.entries.iter().find(|entry| entry.trial.is_some_and(|trial| trial.next <= now)).copied()
    }

    fn position(&self, address: IpAddr) -> Option<usize> {
        if self.entries.len() <= FEW {
            return self.entries.iter().position(|entry| entry.cidr.address() == address);
        }
        self.positions.get(&address).copied()
    }

    /// Whether the address is the directed broadcast of a network on the interface, in the form of all ones or of all zeros.
    pub(crate) fn is_directed_broadcast(&self, interface: InterfaceId, address: IpAddr) -> bool {
        broadcast_key(interface, address).is_some_and(|key| self.broadcasts.binary_search(&key).is_ok())
    }

    fn find_broadcasts(&mut self) {
        self.broadcasts.clear();
        for LocalAddress { interface, cidr, .. } in &self.entries {
            if let Some(broadcast) = cidr.broadcast() {
                let both = [broadcast, cidr.network()];
                self.broadcasts.extend(both.into_iter().filter_map(|it| broadcast_key(*interface, it)));
            }
        }
        self.broadcasts.sort_unstable();
    }

    fn find_next_step(&mut self) {
        self.next_step = self.entries.iter().filter_map(|entry| entry.trial.map(|trial| trial.next)).min();
    }
}

/// An interface and an address that may be a broadcast there, as one number.
const fn broadcast_key(interface: InterfaceId, address: IpAddr) -> Option<u64> {
    match address {
        IpAddr::V4(address) => Some((interface.index() as u64) << 32 | address.to_bits() as u64),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::Rng;

    use super::*;

    #[test]
    fn broadcasts_are_those_of_the_networks_that_there_are() {
        let mut table = AddressTable::new(64, Rng::from_number(1).hash_key());
        let address = |number: u8| -> Cidr { format!("10.0.{number}.{number}/24").parse().unwrap() };
        let ip = |text: &str| text.parse().unwrap();
        let mut add = |cidr: Cidr, interface| {
            let entry = LocalAddress { interface, cidr, state: AddressState::Preferred, trial: None };
            table.insert(entry).unwrap();
        };
        let [first, second] = [InterfaceId::new(0), InterfaceId::new(1)];
        (1..=20).for_each(|number| add(address(number), first));
        for other in ["10.0.1.7/24", "10.1.0.1/31", "fd00::1/64"] {
            add(other.parse().unwrap(), first);
        }
        for number in 1..=20 {
            for host in [0, 255] {
                let broadcast = ip(&format!("10.0.{number}.{host}"));
                assert!(table.is_directed_broadcast(first, broadcast));
                assert!(!table.is_directed_broadcast(second, broadcast));
            }
        }
        for none in ["10.0.1.1", "10.0.21.255", "10.1.0.0", "10.1.0.1", "fd00::", "255.255.255.255"] {
            assert!(!table.is_directed_broadcast(first, ip(none)), "{none}");
        }
        // Two addresses have this network.
        table.remove(ip("10.0.1.1"));
        assert!(table.is_directed_broadcast(first, ip("10.0.1.255")));
        table.remove(ip("10.0.1.7"));
        assert!(!table.is_directed_broadcast(first, ip("10.0.1.255")));
    }
}
