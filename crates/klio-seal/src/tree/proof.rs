//! Building and checking proofs. Building asks for complete subtrees only, so that the same code serves
//! leaves in memory and tiles on disk.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::hash::{Hash, node_hash};

/// The hashes of a proof in the order of RFC 6962: from the leaf towards the root. JSON shows a list of
/// base64 strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Hash>);

/// A proof does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index or the older size lies outside of the tree.
    #[error("position {position} lies outside of a tree of {size} leaves")]
    Outside {
        /// What was asked for.
        position: u64,
        /// The size of the tree.
        size: u64,
    },
    /// Too many or too few hashes for these positions.
    #[error("the proof has {hashes} hashes, which is not the number that its positions need")]
    Length {
        /// How many there are.
        hashes: usize,
    },
    /// The recomputed root is another one.
    #[error("the proof leads to {computed} and not to {expected}")]
    Root {
        /// Where the proof leads.
        computed: Hash,
        /// The root it should lead to.
        expected: Hash,
    },
}

/// Where complete subtrees come from: `node(level, index)` is the root over leaves
/// `index·2^level .. (index+1)·2^level`.
pub(crate) trait Nodes {
    type Error;
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// PATH(index, D[size]) of RFC 6962 §2.1.1; `index < size` is the caller's duty.
pub(crate) fn inclusion_in<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Path, N::Error> {
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(nodes, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(Path(path))
}

/// PROOF(old, D[size]) of RFC 6962 §2.1.2; `old <= size` is the caller's duty. Nothing needs to be shown
/// for `old` of zero or `size`.
pub(crate) fn consistency_in<N: Nodes>(nodes: &N, old: u64, size: u64) -> Result<Path, N::Error> {
    let mut path = Vec::new();
    if old == 0 || old == size {
        return Ok(Path(path));
    }
    let (mut from, mut to) = (0, size);
    // The verifier knows the old root; a subtree that is all of the old tree need not be sent.
    let mut known = true;
    while old < to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(nodes, from, middle)?);
            from = middle;
            known = false;
        }
    }
    if !known {
        path.push(subtree(nodes, from, to)?);
    }
    path.reverse();
    Ok(Path(path))
}

/// MTH(D[from:to]) of RFC 6962 §2.1 from complete subtrees.
fn subtree<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let size = to - from;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return nodes.node(level, from >> level);
    }
    let middle = from + split(size);
    Ok(node_hash(&subtree(nodes, from, middle)?, &subtree(nodes, middle, to)?))
}

/// The largest power of two smaller than `size`, for `size` of at least two.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Checks that `leaf` stands at `index` of the tree of `size` leaves under `root` (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    path: &Path,
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Outside { position: index, size });
    }
    let wrong = ProofError::Length { hashes: path.0.len() };
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in &path.0 {
        if last == 0 {
            return Err(wrong);
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            let up = if place == 0 { 0 } else { place.trailing_zeros() };
            (place, last) = (place >> up, last >> up);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong);
    }
    same(hash, *root)
}

/// Checks that the tree of `size` leaves under `root` begins with the tree of `old` leaves under `old_root`
/// (RFC 9162 §2.1.4.2; every tree begins with the empty one).
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    size: u64,
    root: &Hash,
    path: &Path,
) -> Result<(), ProofError> {
    if old > size {
        return Err(ProofError::Outside { position: old, size });
    }
    let wrong = ProofError::Length { hashes: path.0.len() };
    if old == size || old == 0 {
        if !path.0.is_empty() {
            return Err(wrong);
        }
        return if old == size { same(*old_root, *root) } else { same(*old_root, Hash::empty()) };
    }
    let mut hashes = path.0.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return Err(wrong) };
    let up = (old - 1).trailing_ones();
    let (mut place, mut last) = ((old - 1) >> up, (size - 1) >> up);
    let (mut before, mut after) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(wrong);
        }
        if place & 1 == 1 || place == last {
            before = node_hash(hash, &before);
            after = node_hash(hash, &after);
            let up = if place == 0 { 0 } else { place.trailing_zeros() };
            (place, last) = (place >> up, last >> up);
        } else {
            after = node_hash(&after, hash);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong);
    }
    same(before, *old_root)?;
    same(after, *root)
}

fn same(computed: Hash, expected: Hash) -> Result<(), ProofError> {
    if computed == expected { Ok(()) } else { Err(ProofError::Root { computed, expected }) }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|hash| hash.to_base64()))
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hashes = Vec::<String>::deserialize(deserializer)?;
        hashes
            .iter()
            .map(|text| Hash::from_base64(text).map_err(D::Error::custom))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
