//! Who waits on which address and port.

use netloom_base::{HashKey, KeyedMap, SlabId};

use super::config::TcpBind;
use super::tuple::FourTuple;

/// Who waits on one address and port.
#[derive(Clone, Debug)]
enum Waiting {
    /// A listener that does not share.
    One(SlabId),
    /// Listeners that share; never none.
    Sharing(Sharing),
}

/// Listeners that share an address and a port, in any order.
#[derive(Clone, Debug)]
struct Sharing {
    ids: Vec<SlabId>,
    /// Where in `ids` each stands.
    places: KeyedMap<SlabId, usize>,
}

impl Sharing {
    fn push(&mut self, id: SlabId) {
        self.places.insert(id, self.ids.len());
        self.ids.push(id);
    }

    /// Takes one out; the last takes its place.
    fn remove(&mut self, id: SlabId) {
        let Some(place) = self.places.remove(&id) else { return };
        self.ids.swap_remove(place);
        if let Some(&moved) = self.ids.get(place) {
            self.places.insert(moved, place);
        }
    }
}

/// Listeners by address and port.
#[derive(Debug)]
pub(super) struct Bound {
    waiting: KeyedMap<TcpBind, Waiting>,
    /// Says which of those that share gets a connection.
    sharing_key: HashKey,
}

impl Bound {
    pub(super) fn new(key: HashKey) -> Self {
        Self { waiting: KeyedMap::with_hasher(key), sharing_key: key }
    }

    /// Whether anybody waits there.
    pub(super) fn contains(&self, bind: &TcpBind) -> bool {
        self.waiting.contains_key(bind)
    }

    /// Whether a listener cannot wait there too.
    pub(super) fn is_taken(&self, bind: &TcpBind, share: bool) -> bool {
        match self.waiting.get(bind) {
            None => false,
            Some(Waiting::One(_)) => true,
            Some(Waiting::Sharing(_)) => !share,
        }
    }

    /// Lets a listener wait where [`is_taken`](Self::is_taken) has said that it may.
    pub(super) fn insert(&mut self, bind: TcpBind, share: bool, id: SlabId) {
        let new = || {
            let places = KeyedMap::with_hasher(self.sharing_key);
            Waiting::Sharing(Sharing { ids: Vec::new(), places })
        };
        if !share {
            self.waiting.insert(bind, Waiting::One(id));
        } else if let Waiting::Sharing(sharing) = self.waiting.entry(bind).or_insert_with(new) {
            sharing.push(id);
        }
    }

    /// Takes a listener away.
    pub(super) fn remove(&mut self, bind: &TcpBind, id: SlabId) {
        let is_empty = match self.waiting.get_mut(bind) {
            None => return,
            Some(Waiting::One(_)) => true,
            Some(Waiting::Sharing(sharing)) => {
                sharing.remove(id);
                sharing.ids.is_empty()
            }
        };
        if is_empty {
            self.waiting.remove(bind);
        }
    }

    /// The listener there that a connection is for. It stays the same as long as the same listeners share.
    pub(super) fn listener(&self, bind: &TcpBind, tuple: &FourTuple) -> Option<SlabId> {
        match self.waiting.get(bind)? {
            Waiting::One(id) => Some(*id),
            Waiting::Sharing(Sharing { ids, places: _ }) => {
                let turn = self.sharing_key.hash(tuple) % u64::try_from(ids.len().max(1)).ok()?;
                ids.get(usize::try_from(turn).ok()?).copied()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use netloom_base::{Rng, Slab};

    use super::*;

    #[test]
    fn all_that_share_are_chosen_until_they_leave() {
        let bind = TcpBind { address: None, port: 7 };
        let tuple_from = |remote_port| FourTuple {
            local_address: [10, 0, 0, 1].into(),
            remote_address: [10, 0, 0, 2].into(),
            local_port: bind.port,
            remote_port,
        };
        let tuples: Vec<FourTuple> = (1..2000).map(tuple_from).collect();
        let mut slab = Slab::new(20);
        let mut left: BTreeSet<SlabId> = (0..20).map(|number| slab.insert(number).unwrap()).collect();
        let mut rng = Rng::from_number(4);
        let mut bound = Bound::new(rng.hash_key());
        for &id in &left {
            bound.insert(bind, true, id);
        }
        while !left.is_empty() {
            let chosen = tuples.iter().map(|tuple| bound.listener(&bind, tuple).unwrap());
            assert_eq!(chosen.collect::<BTreeSet<_>>(), left);
            let leaves = *left.iter().nth(usize::try_from(rng.below(left.len() as u64)).unwrap()).unwrap();
            left.remove(&leaves);
            bound.remove(&bind, leaves);
            bound.remove(&bind, leaves);
        }
        assert!(!bound.contains(&bind));
    }
}
