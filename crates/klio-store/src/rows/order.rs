//! The order of rows in a segment: like beside like.
//!
//! Requests of one client of one kind repeat almost all of their text. Side by side they take half the room that
//! they take in the order of arrival and unpack twice as fast (docs/decisions/0015-layout.md). Within equals the
//! order of arrival stays.

use super::{Cells, Sheet};

/// The columns that rows are sorted by, after the partition.
pub(crate) const KEY: [&str; 11] = [
    "cluster",
    "user_name",
    "agent",
    "verb",
    "resource",
    "subresource",
    "level",
    "stage",
    "code",
    "namespace",
    "name",
];

impl Sheet {
    /// The rows in the order of the file, with the partition of each in ascending order.
    pub(crate) fn order(&self) -> Vec<u32> {
        let mut keys: Vec<(u128, u32)> = (0..self.count as u32).map(|i| (0, i)).collect();
        let mut room = 128;
        let mut take = |ranks: &[u32], codes: &dyn Fn(usize) -> u32| {
            let bits = 32 - (ranks.len() as u32).leading_zeros();
            if bits <= room {
                room -= bits;
                for (key, row) in &mut keys {
                    let code = codes(*row as usize);
                    let rank = code.checked_sub(1).and_then(|c| ranks.get(c as usize)).map_or(0, |r| r + 1);
                    *key |= u128::from(rank) << room;
                }
            }
        };
        let code_of = |codes: &[u32], row: usize| codes.get(row).copied().unwrap_or(0);
        take(&self.partitions.ranks(), &|row| code_of(&self.partitions.codes, row));
        for name in KEY {
            match self.cells(name) {
                Some(Cells::Words(words)) => take(&words.ranks(), &|row| code_of(&words.codes, row)),
                Some(Cells::Numbers(numbers)) => {
                    // Status codes: three digits.
                    let identity: Vec<u32> = (0..1023).collect();
                    take(&identity, &|row| numbers.get(row).map_or(0, |&n| n.clamp(0, 1022) as u32 + 1));
                }
                _ => {}
            }
        }
        keys.sort_unstable();
        keys.into_iter().map(|(_, row)| row).collect()
    }
}
