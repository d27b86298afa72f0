//! Paths that packets have taken lately: most go where others have gone.
//!
//! *Theory of operation.* A path follows from tables that seldom change: own addresses and what was learned about
//! destinations count their changes, and a path is good as long as the sum of both counts, its *version*, is what it was. Before
//! anything else changes that paths follow from, routes above all, the cache is told to forget, which it counts the same way:
//! a hundred thousand routes are put in without a look at any of its places.
//!
//! *Limits.* [`PLACES`] paths, in about 6 KiB. Whoever has many peers finds some of them only in the tables, as if there were no
//! cache.

use core::net::IpAddr;

use netloom_base::PathInfo;
use netloom_wire::address_number;

/// Paths that are remembered at most.
const PLACES: usize = 64;

/// The path to a destination, from a source if one was asked for.
#[derive(Clone, Copy, Debug)]
struct Entry {
    version: u64,
    source: Option<IpAddr>,
    destination: IpAddr,
    path: PathInfo,
}

#[derive(Debug)]
pub(crate) struct PathCache {
    places: [Option<Entry>; PLACES],
    /// How often it was told to forget; part of each entry's version.
    forgotten: u64,
}

/// Where a path to `destination` is, if it is remembered.
const fn place_of(destination: IpAddr) -> usize {
    address_number(destination) as usize % PLACES
}

impl PathCache {
    pub(crate) const fn new() -> Self {
        Self { places: [None; PLACES], forgotten: 0 }
    }

    pub(crate) fn get(&self, version: u64, source: Option<IpAddr>, destination: IpAddr) -> Option<&PathInfo> {
        let entry = self.places.get(place_of(destination))?.as_ref()?;
        let is_it = entry.version == version + self.forgotten
            && entry.destination == destination
            && entry.source == source;
        is_it.then_some(&entry.path)
    }

    pub(crate) fn put(&mut self, version: u64, source: Option<IpAddr>, destination: IpAddr, path: PathInfo) {
        let version = version + self.forgotten;
        if let Some(place) = self.places.get_mut(place_of(destination)) {
            *place = Some(Entry { version, source, destination, path });
        }
    }

    /// Forgets all of them: something has changed that does not count its changes.
    pub(crate) const fn forget(&mut self) {
        self.forgotten += 1;
    }
}
