//! The trees against a naive one that follows the words of RFC 6962 §2.1.

use proptest::prelude::*;

use super::*;
use crate::hash::leaf_hash;

/// MTH by its recursive definition.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
        }
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// The example of RFC 6962 §2.1.3: the proofs of a tree of seven leaves, built by hand.
#[test]
fn rfc6962_example() {
    let d = leaves(7);
    let (a, b, c, e, f) = (d[0], d[1], d[2], d[4], d[5]);
    let g = node_hash(&a, &b);
    let h = node_hash(&c, &d[3]);
    let i = node_hash(&e, &f);
    let j = d[6];
    let k = node_hash(&g, &h);
    let l = node_hash(&i, &j);
    assert_eq!(root(&d), node_hash(&k, &l));
    assert_eq!(inclusion(&d, 0), Some(Path(vec![b, h, l])));
    assert_eq!(inclusion(&d, 3), Some(Path(vec![c, g, l])));
    assert_eq!(inclusion(&d, 4), Some(Path(vec![f, j, k])));
    assert_eq!(inclusion(&d, 6), Some(Path(vec![i, k])));
    assert_eq!(consistency(&d, 3), Some(Path(vec![c, d[3], g, l])));
    assert_eq!(consistency(&d, 4), Some(Path(vec![l])));
    assert_eq!(consistency(&d, 6), Some(Path(vec![i, j, k])));
    assert_eq!(inclusion(&d, 7), None);
    assert_eq!(consistency(&d, 8), None);
}

#[test]
fn every_proof_of_small_trees() {
    for size in 0..70 {
        let leaves = leaves(size);
        let tree = Tree::new(leaves.clone());
        let root = naive(&leaves);
        assert_eq!(super::root(&leaves), root);
        assert_eq!(tree.root(), root);
        for index in 0..size {
            let path = inclusion(&leaves, index).unwrap();
            assert_eq!(tree.inclusion(index).as_ref(), Some(&path));
            let leaf = leaves[index as usize];
            verify_inclusion(leaf, index, size, &path, &root).unwrap();
            for other in (0..size).filter(|other| *other != index) {
                assert!(verify_inclusion(leaf, other, size, &path, &root).is_err());
            }
        }
        for old in 0..=size {
            let path = consistency(&leaves, old).unwrap();
            assert_eq!(tree.consistency(old).as_ref(), Some(&path));
            let before = naive(&leaves[..old as usize]);
            verify_consistency(old, &before, size, &root, &path).unwrap();
            if old > 0 {
                assert!(verify_consistency(old, &leaf_hash(b"other"), size, &root, &path).is_err());
                assert!(verify_consistency(old, &before, size, &leaf_hash(b"other"), &path).is_err());
            }
            let mut longer = path.clone();
            longer.0.push(root);
            assert!(verify_consistency(old, &before, size, &root, &longer).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn larger_trees(size in 1u64..5000, at in any::<prop::sample::Index>(), flip in any::<(u16, u8)>()) {
        let leaves = leaves(size);
        let index = at.index(size as usize) as u64;
        let root = naive(&leaves);
        let tree = Tree::new(leaves.clone());
        let path = tree.inclusion(index).unwrap();
        let leaf = leaves[index as usize];
        prop_assert_eq!(verify_inclusion(leaf, index, size, &path, &root), Ok(()));
        if !path.0.is_empty() {
            let mut bad = path.clone();
            let place = flip.0 as usize % bad.0.len();
            bad.0[place].0[flip.1 as usize % 32] ^= 1;
            prop_assert!(verify_inclusion(leaf, index, size, &bad, &root).is_err());
            bad.0.pop();
            prop_assert!(verify_inclusion(leaf, index, size, &bad, &root).is_err());
        }
        let path = tree.consistency(index).unwrap();
        let before = naive(&leaves[..index as usize]);
        prop_assert_eq!(verify_consistency(index, &before, size, &root, &path), Ok(()));
    }

    #[test]
    fn nonsense_is_refused_quietly(place: u64, size: u64, hashes in prop::collection::vec(any::<[u8; 32]>(), 0..80)) {
        let path = Path(hashes.into_iter().map(Hash).collect());
        let root = leaf_hash(b"root");
        prop_assert!(verify_inclusion(leaf_hash(b"leaf"), place, size, &path, &root).is_err());
        prop_assert!(verify_consistency(place, &leaf_hash(b"old"), size, &root, &path).is_err());
    }
}
