//! A multibit trie with bitmaps: prefixes of fixed-width keys, and which of them match a key.
//!
//! # Theory of operation
//! A node decides six bits of the key. It holds the prefixes that end within those bits, as a bitmap with one bit for
//! each of the 63 that can (one of no bits, two of one bit, .. 32 of five), and its children, as a bitmap of 64. The
//! children of a node lie side by side in one arena and the values of its prefixes in another, so that counting the
//! bits below one's own gives its place:
//!
//! ```text
//! prefixes:  *  0 1  00 01 10 11  000 ..      bit (1 << len) - 1 + leading bits
//! children:  000000 000001 .. 111111          bit of the six bits
//! ```
//!
//! Of the prefixes in a node that match a key the longest has the highest bit. A look-up therefore costs one visit a
//! six-bit level, each a cache line, and no more: five for an IPv4 /24, nine for an IPv6 /48.
//!
//! # Limits
//! A node costs 32 bytes. A prefix alone in its corner of the space costs one node for each six bits that it shares with
//! no other.

use super::blocks::{Blocks, Run};

/// Key bits that a node decides.
const STRIDE: u32 = 6;

/// Levels that the widest key has: 128 bits.
const MAX_DEPTH: usize = 128 / STRIDE as usize + 1;

/// An address as a number whose most significant bit is the address's first.
pub(super) trait Bits: Copy {
    /// The six bits from `depth` on, filled up with zeros past the end.
    fn chunk(self, depth: u32) -> u32;
}

impl Bits for u32 {
    #[inline]
    fn chunk(self, depth: u32) -> u32 {
        self.checked_shl(depth).unwrap_or(0) >> (Self::BITS - STRIDE)
    }
}

impl Bits for u128 {
    #[inline]
    fn chunk(self, depth: u32) -> u32 {
        // Six bits fit any width.
        (self.checked_shl(depth).unwrap_or(0) >> (Self::BITS - STRIDE)) as u32
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Which prefixes end here.
    prefixes: u64,
    /// Which children there are.
    children: u64,
    values: Run,
    child_nodes: Run,
}

/// The bit of the prefix made of the first `len` (at most five) of six bits.
const fn prefix_bit(chunk: u32, len: u32) -> u64 {
    1 << ((1 << len) - 1 + (chunk >> (STRIDE - len)))
}

/// For each six bits, all prefixes that match them.
const MATCHING: [u64; 64] = {
    let mut table = [0; 64];
    let mut chunk = 0;
    while chunk < 64 {
        let mut len = 0;
        while len < STRIDE {
            table[chunk as usize] |= prefix_bit(chunk, len);
            len += 1;
        }
        chunk += 1;
    }
    table
};

/// How many bits of `map` are below `bit`: the place of its thing in a run.
#[inline]
fn rank(map: u64, bit: u64) -> u32 {
    (map & (bit - 1)).count_ones()
}

impl Node {
    /// The prefixes here that match `chunk`.
    #[inline]
    fn matching(&self, chunk: u32) -> u64 {
        self.prefixes & MATCHING.get(chunk as usize).copied().unwrap_or(0)
    }

    /// Where the child for `chunk` is.
    #[inline]
    fn child(&self, chunk: u32) -> Option<u32> {
        let bit = 1 << chunk;
        (self.children & bit != 0).then(|| self.child_nodes.start + rank(self.children, bit))
    }

    /// Where the value of the prefix with this bit is.
    #[inline]
    fn value(&self, bit: u64) -> u32 {
        self.values.start + rank(self.prefixes, bit)
    }

    fn is_empty(&self) -> bool {
        self.prefixes == 0 && self.children == 0
    }
}

/// Prefixes, each with a value.
#[derive(Clone, Debug)]
pub(super) struct Trie<K> {
    root: Node,
    nodes: Blocks<Node>,
    values: Blocks<u32>,
    key: core::marker::PhantomData<K>,
}

/// Where a node is: the root stands outside the arena, since it has no siblings.
#[derive(Clone, Copy, Debug)]
enum Place {
    Root,
    At(u32),
}

impl<K: Bits> Trie<K> {
    pub(super) const fn new() -> Self {
        Self {
            root: Node {
                prefixes: 0,
                children: 0,
                values: Run { start: 0, len: 0 },
                child_nodes: Run { start: 0, len: 0 },
            },
            nodes: Blocks::new(),
            values: Blocks::new(),
            key: core::marker::PhantomData,
        }
    }

    /// The value of the longest prefix of `key`.
    pub(super) fn longest(&self, key: K) -> Option<u32> {
        let mut node = &self.root;
        let mut depth = 0;
        let mut best = None;
        loop {
            let chunk = key.chunk(depth);
            let matching = node.matching(chunk);
            if matching != 0 {
                best = Some(node.value(1 << matching.ilog2()));
            }
            let Some(child) = node.child(chunk).and_then(|position| self.nodes.get(position)) else { break };
            node = child;
            depth += STRIDE;
        }
        self.values.get(best?).copied()
    }

    /// The values of all prefixes of `key`, shortest first.
    pub(super) fn matching(&self, key: K) -> impl Iterator<Item = u32> + '_ {
        let mut node = Some(&self.root);
        let mut depth = 0;
        let mut left = self.root.matching(key.chunk(0));
        core::iter::from_fn(move || {
            loop {
                let here = node?;
                if left != 0 {
                    let bit = left & left.wrapping_neg();
                    left ^= bit;
                    return self.values.get(here.value(bit)).copied();
                }
                node = here.child(key.chunk(depth)).and_then(|position| self.nodes.get(position));
                depth += STRIDE;
                left = node.map_or(0, |node| node.matching(key.chunk(depth)));
            }
        })
    }

    /// The value of exactly this prefix.
    pub(super) fn get(&self, key: K, len: u32) -> Option<u32> {
        let mut node = &self.root;
        let mut depth = 0;
        while len - depth >= STRIDE {
            node = self.nodes.get(node.child(key.chunk(depth))?)?;
            depth += STRIDE;
        }
        let bit = prefix_bit(key.chunk(depth), len - depth);
        if node.prefixes & bit == 0 {
            return None;
        }
        self.values.get(node.value(bit)).copied()
    }

    /// Stores `value` at a prefix in place of what was there.
    pub(super) fn insert(&mut self, key: K, len: u32, value: u32) {
        let mut place = Place::Root;
        let mut depth = 0;
        while len - depth >= STRIDE {
            let chunk = key.chunk(depth);
            let Some(node) = self.node(place) else { return };
            let position = match node.child(chunk) {
                Some(position) => position,
                None => self.add_child(place, node, chunk),
            };
            place = Place::At(position);
            depth += STRIDE;
        }
        let Some(mut node) = self.node(place) else { return };
        let bit = prefix_bit(key.chunk(depth), len - depth);
        if node.prefixes & bit != 0 {
            if let Some(old) = self.values.get_mut(node.value(bit)) {
                *old = value;
            }
            return;
        }
        node.values = self.values.insert(node.values, rank(node.prefixes, bit) as usize, value);
        node.prefixes |= bit;
        self.set_node(place, node);
    }

    /// Forgets a prefix and gives back its value. Nodes that are left with nothing go too.
    pub(super) fn remove(&mut self, key: K, len: u32) -> Option<u32> {
        let mut path = [Place::Root; MAX_DEPTH];
        let mut place = Place::Root;
        let mut depth = 0;
        while len - depth >= STRIDE {
            *path.get_mut((depth / STRIDE) as usize)? = place;
            place = Place::At(self.node(place)?.child(key.chunk(depth))?);
            depth += STRIDE;
        }
        let mut node = self.node(place)?;
        let bit = prefix_bit(key.chunk(depth), len - depth);
        if node.prefixes & bit == 0 {
            return None;
        }
        let old = self.values.get(node.value(bit)).copied();
        node.values = self.values.remove(node.values, rank(node.prefixes, bit) as usize);
        node.prefixes &= !bit;
        self.set_node(place, node);
        while node.is_empty() && depth > 0 {
            depth -= STRIDE;
            place = *path.get((depth / STRIDE) as usize)?;
            node = self.node(place)?;
            let bit = 1 << key.chunk(depth);
            node.child_nodes = self.nodes.remove(node.child_nodes, rank(node.children, bit) as usize);
            node.children &= !bit;
            self.set_node(place, node);
        }
        old
    }

    /// All values, ordered by prefix: a shorter one before the longer ones that it contains.
    pub(super) fn values(&self) -> impl Iterator<Item = u32> + '_ {
        // What is still to be visited: of each node on the way down, the next of 64 chunks times 7 lengths.
        let mut path = vec![(&self.root, 0)];
        core::iter::from_fn(move || {
            loop {
                let (node, step) = path.last_mut()?;
                let (chunk, len) = (*step / (STRIDE + 1), *step % (STRIDE + 1));
                if chunk >= 64 {
                    path.pop();
                    continue;
                }
                *step += 1;
                let node = *node;
                if len == STRIDE {
                    if let Some(child) = node.child(chunk).and_then(|position| self.nodes.get(position)) {
                        path.push((child, 0));
                    }
                } else if chunk.trailing_zeros() >= STRIDE - len {
                    let bit = prefix_bit(chunk, len);
                    if node.prefixes & bit != 0 {
                        return self.values.get(node.value(bit)).copied();
                    }
                }
            }
        })
    }

    fn node(&self, place: Place) -> Option<Node> {
        match place {
            Place::Root => Some(self.root),
            Place::At(position) => self.nodes.get(position).copied(),
        }
    }

    fn set_node(&mut self, place: Place, node: Node) {
        match place {
            Place::Root => self.root = node,
            Place::At(position) => {
                if let Some(old) = self.nodes.get_mut(position) {
                    *old = node;
                }
            }
        }
    }

    /// Gives the node at `place` an empty child, and says where that is.
    fn add_child(&mut self, place: Place, mut node: Node, chunk: u32) -> u32 {
        let bit = 1 << chunk;
        let rank = rank(node.children, bit);
        node.child_nodes = self.nodes.insert(node.child_nodes, rank as usize, Node::default());
        node.children |= bit;
        self.set_node(place, node);
        node.child_nodes.start + rank
    }

    /// Places in use for nodes and values, and places there are, for tests of leaks and of memory.
    #[cfg(test)]
    pub(super) fn usage(&self) -> [(usize, usize); 2] {
        [self.nodes.usage(), self.values.usage()]
    }

    /// How many nodes [`longest`](Self::longest) looks at, for tests of its cost.
    #[cfg(test)]
    pub(super) fn visited(&self, key: K) -> usize {
        let (mut node, mut count) = (&self.root, 1);
        let mut depth = 0;
        while let Some(position) = node.child(key.chunk(depth)) {
            node = self.nodes.get(position).unwrap();
            count += 1;
            depth += STRIDE;
        }
        count
    }
}
