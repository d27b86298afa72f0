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
    Sharing(Vec<SlabId>),
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
        match self.waiting.get_mut(&bind) {
            Some(Waiting::Sharing(ids)) => ids.push(id),
            Some(Waiting::One(_)) | None => {
                let waiting = if share { Waiting::Sharing(vec![id]) } else { Waiting::One(id) };
                self.waiting.insert(bind, waiting);
            }
        }
    }

    /// Takes a listener away.
    pub(super) fn remove(&mut self, bind: &TcpBind, id: SlabId) {
        let is_empty = match self.waiting.get_mut(bind) {
            None => return,
            Some(Waiting::One(_)) => true,
            Some(Waiting::Sharing(ids)) => {
                ids.retain(|&other| other != id);
                ids.is_empty()
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
            Waiting::Sharing(ids) => {
                let turn = self.sharing_key.hash(tuple) % u64::try_from(ids.len().max(1)).ok()?;
                ids.get(usize::try_from(turn).ok()?).copied()
            }
        }
    }
}
