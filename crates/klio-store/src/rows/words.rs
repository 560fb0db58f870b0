//! A column of few distinct texts: each is kept once.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// So few texts are looked at one by one.
const FEW: usize = 4;

/// Texts by number, and the number of each row.
#[derive(Default, Debug)]
pub(crate) struct Words {
    table: HashTable<u32>,
    text: String,
    /// Where each text ends in `text`, bytes.
    ends: Vec<usize>,
    /// One more than the text's number; 0 for none.
    pub(crate) codes: Vec<u32>,
}

impl Words {
    /// The text of a number.
    pub(crate) fn word(&self, index: u32) -> &str {
        word(&self.text, &self.ends, index)
    }

    /// How many distinct texts.
    pub(crate) fn distinct(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Bytes of the distinct texts.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Forgets all and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.text.clear();
        self.ends.clear();
        self.codes.clear();
    }

    /// Takes a row.
    pub(crate) fn push(&mut self, value: Option<&str>) {
        let code = match value {
            None => 0,
            // Neighbours are often alike.
            Some(v) => match self.codes.last() {
                Some(&last) if last > 0 && self.word(last - 1) == v => last,
                _ => self.index(v) + 1,
            },
        };
        self.codes.push(code);
    }

    /// Takes the rows of another that `keep` says: each text is looked up once, not each row.
    pub(crate) fn append(&mut self, other: &Self, keep: &[bool]) {
        let mut mine = vec![0; other.ends.len() + 1];
        for (&code, _) in other.codes.iter().zip(keep).filter(|(_, k)| **k) {
            if let Some(slot) = mine.get_mut(code as usize) {
                if *slot == 0 && code > 0 {
                    *slot = self.index(other.word(code - 1)) + 1;
                }
                self.codes.push(*slot);
            }
        }
    }

    /// The number of a text, new or known, without a row.
    pub(crate) fn index(&mut self, value: &str) -> u32 {
        if self.ends.len() <= FEW {
            // Looking at a few is faster than hashing.
            if let Some(index) = (0..self.distinct()).find(|&i| self.word(i) == value) {
                return index;
            }
        }
        let hash = |s: &str| FixedState::with_seed(7).hash_one(s);
        let (text, ends) = (&self.text, &self.ends);
        if let Some(&index) = self.table.find(hash(value), |&i| word(text, ends, i) == value) {
            return index;
        }
        let index = self.ends.len() as u32;
        self.text.push_str(value);
        self.ends.push(self.text.len());
        let (text, ends) = (&self.text, &self.ends);
        self.table.insert_unique(hash(value), index, |&i| hash(word(text, ends, i)));
        index
    }

    /// The place of each text among all in the order of their bytes.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..self.distinct()).collect();
        sorted.sort_unstable_by_key(|&i| self.word(i));
        let mut ranks = vec![0; sorted.len()];
        for (rank, &index) in sorted.iter().enumerate() {
            if let Some(slot) = ranks.get_mut(index as usize) {
                *slot = rank as u32;
            }
        }
        ranks
    }
}

fn word<'w>(text: &'w str, ends: &[usize], index: u32) -> &'w str {
    let end = ends.get(index as usize).copied().unwrap_or(0);
    let start = index.checked_sub(1).and_then(|i| ends.get(i as usize)).copied().unwrap_or(0);
    text.get(start..end).unwrap_or_default()
}
