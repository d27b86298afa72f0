//! A multibit trie with bitmaps and compressed paths: prefixes of fixed-width keys, and which of them match a key.
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
//! Of the prefixes in a node that match a key the longest has the highest bit. A node that would hold no prefix and one
//! child does not exist: its child stands in its place, and knows by its own depth and key which bits were passed over. A
//! look-up therefore costs one visit, a cache line or two, for each level at which prefixes part, and never more than
//! one for each six bits.
//!
//! # Limits
//! A node costs 32 bytes for 32-bit keys and 48 for 128-bit keys; a prefix adds at most two nodes.

use core::fmt::Debug;

use super::blocks::{Blocks, Run};

/// Key bits that a node decides.
const STRIDE: u32 = 6;

/// An address as a number whose most significant bit is the address's first.
pub(super) trait Bits: Copy + Debug + Default {
    const ZERO: Self;

    /// The six bits from `depth` on, filled up with zeros past the end.
    fn chunk(self, depth: u32) -> u32;

    /// How many leading bits both have in common.
    fn common_with(self, other: Self) -> u32;
}

impl Bits for u32 {
    const ZERO: Self = 0;

    #[inline]
    fn chunk(self, depth: u32) -> u32 {
        self.checked_shl(depth).unwrap_or(0) >> (Self::BITS - STRIDE)
    }

    #[inline]
    fn common_with(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }
}

impl Bits for u128 {
    const ZERO: Self = 0;

    #[inline]
    fn chunk(self, depth: u32) -> u32 {
        // Six bits fit any width.
        (self.checked_shl(depth).unwrap_or(0) >> (Self::BITS - STRIDE)) as u32
    }

    #[inline]
    fn common_with(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Node<K> {
    /// Which prefixes end here.
    prefixes: u64,
    /// Which children there are.
    children: u64,
    /// A key that leads here: its first `depth` bits are those of everything in and below the node.
    key: K,
    values: Run,
    child_nodes: Run,
    /// Where its six bits begin; a multiple of six.
    depth: u8,
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

impl<K: Bits> Node<K> {
    const ROOT: Self = Self {
        prefixes: 0,
        children: 0,
        key: K::ZERO,
        values: Run { start: 0, len: 0 },
        child_nodes: Run { start: 0, len: 0 },
        depth: 0,
    };

    /// Without prefixes or children, where the six bits are that hold bit `position` of `key`.
    fn at(key: K, position: u32) -> Self {
        let depth = u8::try_from(position - position % STRIDE).unwrap_or(0);
        Self { key, depth, ..Self::ROOT }
    }

    #[inline]
    fn depth(&self) -> u32 {
        u32::from(self.depth)
    }

    /// Whether `key` leads here.
    #[inline]
    fn is_on_way_to(&self, key: K) -> bool {
        self.key.common_with(key) >= self.depth()
    }

    /// The prefixes here that match a key that leads here.
    #[inline]
    fn matching(&self, key: K) -> u64 {
        self.prefixes & MATCHING.get(key.chunk(self.depth()) as usize).copied().unwrap_or(0)
    }

    /// Where the child is that `key` may lead to.
    #[inline]
    fn child(&self, key: K) -> Option<u32> {
        self.child_at(key.chunk(self.depth()))
    }

    #[inline]
    fn child_at(&self, chunk: u32) -> Option<u32> {
        let bit = 1 << chunk;
        (self.children & bit != 0).then(|| self.child_nodes.start + rank(self.children, bit))
    }

    /// Where the value of the prefix with this bit is.
    #[inline]
    fn value(&self, bit: u64) -> u32 {
        self.values.start + rank(self.prefixes, bit)
    }

    /// The bit of the prefix of `len` bits, if it ends here.
    fn bit_of(&self, key: K, len: u32) -> Option<u64> {
        let rest = len.checked_sub(self.depth()).filter(|&rest| rest < STRIDE)?;
        Some(prefix_bit(key.chunk(self.depth()), rest))
    }
}

/// Where a node is: the root stands outside the arena, since it has no siblings.
#[derive(Clone, Copy, Debug)]
enum Place {
    Root,
    At(u32),
}

/// Prefixes, each with a value.
#[derive(Clone, Debug)]
pub(super) struct Trie<K> {
    root: Node<K>,
    nodes: Blocks<Node<K>>,
    values: Blocks<u32>,
}

impl<K: Bits> Trie<K> {
    pub(super) const fn new() -> Self {
        Self { root: Node::ROOT, nodes: Blocks::new(), values: Blocks::new() }
    }

    /// The child of `node` that `key` leads to.
    #[inline]
    fn next(&self, node: &Node<K>, key: K) -> Option<&Node<K>> {
        self.nodes.get(node.child(key)?).filter(|child| child.is_on_way_to(key))
    }

    /// The value of the longest prefix of `key`.
    pub(super) fn longest(&self, key: K) -> Option<u32> {
        let mut best = None;
        let mut node = Some(&self.root);
        while let Some(here) = node {
            let matching = here.matching(key);
            if matching != 0 {
                best = Some(here.value(1 << matching.ilog2()));
            }
            node = self.next(here, key);
        }
        self.values.get(best?).copied()
    }

    /// The values of all prefixes of `key`, shortest first.
    pub(super) fn matching(&self, key: K) -> impl Iterator<Item = u32> + '_ {
        let mut node = Some(&self.root);
        let mut left = self.root.matching(key);
        core::iter::from_fn(move || {
            loop {
                let here = node?;
                if left != 0 {
                    let bit = left & left.wrapping_neg();
                    left ^= bit;
                    return self.values.get(here.value(bit)).copied();
                }
                node = self.next(here, key);
                left = node.map_or(0, |node| node.matching(key));
            }
        })
    }

    /// The value of exactly this prefix.
    pub(super) fn get(&self, key: K, len: u32) -> Option<u32> {
        let mut node = &self.root;
        loop {
            if let Some(bit) = node.bit_of(key, len) {
                let is_there = node.prefixes & bit != 0;
                return self.values.get(node.value(bit)).copied().filter(|_| is_there);
            }
            node = self.next(node, key)?;
        }
    }

    /// Stores `value` at a prefix in place of what was there.
    pub(super) fn insert(&mut self, key: K, len: u32, value: u32) {
        let mut place = Place::Root;
        while let Some(node) = self.node(place) {
            let shared = node.key.common_with(key).min(len);
            if shared < node.depth() {
                // It parts from the way to this node: a new one comes between.
                self.put_above(place, node, Node::at(key, shared));
                continue;
            }
            if let Some(bit) = node.bit_of(key, len) {
                self.put_value(place, node, bit, value);
                return;
            }
            let position = match node.child(key) {
                Some(position) => position,
                None => self.add_child(place, node, Node::at(key, len)),
            };
            place = Place::At(position);
        }
    }

    /// Forgets a prefix and gives back its value. Nodes that are needed no more go too.
    pub(super) fn remove(&mut self, key: K, len: u32) -> Option<u32> {
        let mut above = None;
        let mut place = Place::Root;
        loop {
            let mut node = self.node(place).filter(|node| node.is_on_way_to(key))?;
            let Some(bit) = node.bit_of(key, len) else {
                above = Some(place);
                place = Place::At(node.child(key).filter(|_| node.depth() < len)?);
                continue;
            };
            if node.prefixes & bit == 0 {
                return None;
            }
            let old = self.values.get(node.value(bit)).copied();
            node.values = self.values.remove(node.values, rank(node.prefixes, bit) as usize);
            node.prefixes &= !bit;
            self.set_node(place, node);
            if node.prefixes == 0 && node.children == 0 {
                if let Some(above) = above {
                    self.remove_child(above, key);
                    self.contract(above);
                }
            } else {
                self.contract(place);
            }
            return old;
        }
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
                    if let Some(child) = node.child_at(chunk).and_then(|position| self.nodes.get(position)) {
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

    fn node(&self, place: Place) -> Option<Node<K>> {
        match place {
            Place::Root => Some(self.root),
            Place::At(position) => self.nodes.get(position).copied(),
        }
    }

    fn set_node(&mut self, place: Place, node: Node<K>) {
        match place {
            Place::Root => self.root = node,
            Place::At(position) => {
                if let Some(old) = self.nodes.get_mut(position) {
                    *old = node;
                }
            }
        }
    }

    /// Puts `upper` where `node` is, and `node` below it.
    fn put_above(&mut self, place: Place, node: Node<K>, mut upper: Node<K>) {
        upper.children = 1 << node.key.chunk(upper.depth());
        upper.child_nodes = self.nodes.insert(Run::default(), 0, node);
        self.set_node(place, upper);
    }

    fn put_value(&mut self, place: Place, mut node: Node<K>, bit: u64, value: u32) {
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

    /// Puts `child` below the node at `place`, and says where it is.
    fn add_child(&mut self, place: Place, mut node: Node<K>, child: Node<K>) -> u32 {
        let bit = 1 << child.key.chunk(node.depth());
        let rank = rank(node.children, bit);
        node.child_nodes = self.nodes.insert(node.child_nodes, rank as usize, child);
        node.children |= bit;
        self.set_node(place, node);
        node.child_nodes.start + rank
    }

    /// Takes out the child that `key` leads to.
    fn remove_child(&mut self, place: Place, key: K) {
        let Some(mut node) = self.node(place) else { return };
        let bit = 1 << key.chunk(node.depth());
        node.child_nodes = self.nodes.remove(node.child_nodes, rank(node.children, bit) as usize);
        node.children &= !bit;
        self.set_node(place, node);
    }

    /// Puts the only child in place of a node that holds nothing else.
    fn contract(&mut self, place: Place) {
        let Place::At(_) = place else { return };
        let Some(node) = self.node(place) else { return };
        if node.prefixes == 0
            && node.children.count_ones() == 1
            && let Some(&child) = self.nodes.get(node.child_nodes.start)
        {
            self.nodes.remove(node.child_nodes, 0);
            self.set_node(place, child);
        }
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
        while let Some(child) = self.next(node, key) {
            node = child;
            count += 1;
        }
        count
    }
}
