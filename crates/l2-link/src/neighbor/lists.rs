//! The order in which neighbours make room for others.

/// Why an entry may have to go. An entry stands in one list, or in none while it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Stale, learnt from the wire, and never sent to.
    Unproven,
    /// Stale, and sent to before.
    Proven,
    /// Being asked for, and nothing waits for it.
    Resolving,
    /// Being asked for, and packets wait.
    Waiting,
}

const STANDINGS: usize = 4;

/// One first-in-first-out list for each [`Standing`], linked through the indices of a slab: every operation is O(1).
/// Memory: 16 bytes an index ever used.
#[derive(Debug)]
pub(crate) struct Lists {
    ends: [Ends; STANDINGS],
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    front: Option<u32>,
    back: Option<u32>,
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    standing: Option<Standing>,
    previous: Option<u32>,
    next: Option<u32>,
}

impl Lists {
    pub(crate) fn new() -> Self {
        Self { ends: [Ends::default(); STANDINGS], nodes: Vec::new() }
    }

    /// Who has been in the list longest.
    pub(crate) fn front(&self, standing: Standing) -> Option<u32> {
        self.ends(standing).front
    }

    pub(crate) fn len(&self, standing: Standing) -> usize {
        self.ends(standing).len
    }

    /// Which list `index` is in.
    pub(crate) fn standing(&self, index: u32) -> Option<Standing> {
        self.node(index).standing
    }

    /// Puts `index` at the end of the list, or takes it out of all.
    pub(crate) fn place(&mut self, index: u32, standing: Option<Standing>) {
        self.unlink(index);
        if let Some(standing) = standing {
            self.push_back(index, standing);
        }
    }

    /// The same, if it is not in that list already: who is keeps the place.
    pub(crate) fn keep(&mut self, index: u32, standing: Option<Standing>) {
        if self.standing(index) != standing {
            self.place(index, standing);
        }
    }

    fn push_back(&mut self, index: u32, standing: Standing) {
        let position = index as usize;
        if position >= self.nodes.len() {
            self.nodes.resize(position + 1, Node::default());
        }
        let back = self.ends(standing).back;
        self.set(index, Node { standing: Some(standing), previous: back, next: None });
        match back {
            Some(back) => self.set(back, Node { next: Some(index), ..self.node(back) }),
            None => self.ends_mut(standing).front = Some(index),
        }
        let ends = self.ends_mut(standing);
        ends.back = Some(index);
        ends.len += 1;
    }

    fn unlink(&mut self, index: u32) {
        let Node { standing: Some(standing), previous, next } = self.node(index) else { return };
        match previous {
            Some(previous) => self.set(previous, Node { next, ..self.node(previous) }),
            None => self.ends_mut(standing).front = next,
        }
        match next {
            Some(next) => self.set(next, Node { previous, ..self.node(next) }),
            None => self.ends_mut(standing).back = previous,
        }
        self.ends_mut(standing).len -= 1;
        self.set(index, Node::default());
    }

    fn node(&self, index: u32) -> Node {
        self.nodes.get(index as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, index: u32, node: Node) {
        if let Some(slot) = self.nodes.get_mut(index as usize) {
            *slot = node;
        }
    }

    fn ends(&self, standing: Standing) -> Ends {
        self.ends[standing as usize]
    }

    fn ends_mut(&mut self, standing: Standing) -> &mut Ends {
        &mut self.ends[standing as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const ALL: [Standing; STANDINGS] =
        [Standing::Unproven, Standing::Proven, Standing::Resolving, Standing::Waiting];

    proptest! {
        #[test]
        fn agree_with_plain_queues(steps in prop::collection::vec((0u32..12, 0usize..=STANDINGS, any::<bool>()), 0..200)) {
            let mut lists = Lists::new();
            let mut model: [VecDeque<u32>; STANDINGS] = Default::default();
            for (index, target, keep) in steps {
                let standing = ALL.get(target).copied();
                let there = standing.is_some_and(|standing| model[standing as usize].contains(&index));
                if keep { lists.keep(index, standing) } else { lists.place(index, standing) }
                if !(keep && there) {
                    model.iter_mut().for_each(|queue| queue.retain(|&other| other != index));
                    if let Some(standing) = standing {
                        model[standing as usize].push_back(index);
                    }
                }
                prop_assert_eq!(lists.standing(index), standing);
                for standing in ALL {
                    prop_assert_eq!(lists.front(standing), model[standing as usize].front().copied());
                    prop_assert_eq!(lists.len(standing), model[standing as usize].len());
                }
            }
            for standing in ALL {
                while let Some(front) = lists.front(standing) {
                    prop_assert_eq!(model[standing as usize].pop_front(), Some(front));
                    lists.place(front, None);
                }
            }
        }
    }
}
