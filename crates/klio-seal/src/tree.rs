//! Merkle trees over leaf hashes: a root in one pass, proofs that a leaf is in a tree, and proofs that one
//! tree begins with another. Shapes and checks are those of RFC 6962 §2.1 and RFC 9162 §2.1.

mod proof;

pub(crate) use proof::{Nodes, consistency_in, inclusion_in};
pub use proof::{Path, ProofError, verify_consistency, verify_inclusion};

use std::convert::Infallible;

use crate::hash::{Hash, node_hash};

/// The root of a growing tree in memory of O(log n): one hash for each bit that is set in the size.
#[derive(Debug, Clone)]
pub struct RowTree {
    size: u64,
    /// Roots of the complete subtrees from the left, the largest first.
    edge: Vec<Hash>,
}

/// A tree with all of its inner nodes (64 bytes per leaf), for many proofs over the same leaves.
#[derive(Debug, Clone)]
pub struct Tree {
    /// `levels[0]` holds the leaves, `levels[l]` the roots of the complete subtrees of `2^l` leaves.
    levels: Vec<Vec<Hash>>,
}

/// Proves that leaf `index` is in the tree over `leaves`; `None` when there is no such leaf. Hashes the
/// whole tree once: use [`Tree`] for more than one proof.
pub fn inclusion(leaves: &[Hash], index: u64) -> Option<Path> {
    if index >= leaves.len() as u64 {
        return None;
    }
    let Ok(path) = inclusion_in(&Leaves(leaves), index, leaves.len() as u64);
    Some(path)
}

/// Proves that the tree over `leaves` begins with the tree over its first `old` leaves; `None` when there
/// are fewer.
pub fn consistency(leaves: &[Hash], old: u64) -> Option<Path> {
    if old > leaves.len() as u64 {
        return None;
    }
    let Ok(path) = consistency_in(&Leaves(leaves), old, leaves.len() as u64);
    Some(path)
}

/// The root of the tree over `leaves` (MTH of RFC 6962 §2.1).
pub fn root(leaves: &[Hash]) -> Hash {
    let mut tree = RowTree::new();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

impl Default for RowTree {
    fn default() -> Self {
        Self::new()
    }
}

impl RowTree {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self { size: 0, edge: Vec::with_capacity(64) }
    }

    /// Adds the hash of the next leaf ([`crate::leaf_hash`]).
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // A set bit is a complete subtree as large as what we carry.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.edge.push(hash);
        self.size += 1;
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over the leaves so far.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.edge.iter().rev();
        let Some(last) = subtrees.next() else { return Hash::empty() };
        subtrees.fold(*last, |right, left| node_hash(left, &right))
    }
}

impl Tree {
    /// Hashes the inner nodes over `leaves`.
    pub fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let level = below.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            levels.push(level);
        }
        Self { levels }
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        self.levels.first().map_or_else(Hash::empty, |leaves| root(leaves))
    }

    /// Proves that leaf `index` is in this tree.
    pub fn inclusion(&self, index: u64) -> Option<Path> {
        if index >= self.size() {
            return None;
        }
        inclusion_in(self, index, self.size()).ok()
    }

    /// Proves that this tree begins with its first `old` leaves.
    pub fn consistency(&self, old: u64) -> Option<Path> {
        if old > self.size() {
            return None;
        }
        consistency_in(self, old, self.size()).ok()
    }
}

/// A node outside of the tree was asked for; `proof` never does.
#[derive(Debug)]
pub(crate) struct NoSuchNode;

impl Nodes for Tree {
    type Error = NoSuchNode;

    fn node(&self, level: u32, index: u64) -> Result<Hash, NoSuchNode> {
        let level = self.levels.get(level as usize).ok_or(NoSuchNode)?;
        level.get(usize::try_from(index).map_err(|_| NoSuchNode)?).copied().ok_or(NoSuchNode)
    }
}

/// Inner nodes computed on demand.
struct Leaves<'a>(&'a [Hash]);

impl Nodes for Leaves<'_> {
    type Error = Infallible;

    fn node(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
        let (from, to) = (index << level, (index + 1) << level);
        Ok(self.0.get(from as usize..to as usize).map_or_else(Hash::default, root))
    }
}

#[cfg(test)]
#[path = "tree/tests.rs"]
mod tests;
