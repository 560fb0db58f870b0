//! A map from hashes to what is known of them, of bounded size: the least recently seen goes first.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// Room for the fewest entries that a table has.
const LEAST: usize = 16;

/// One thing that is remembered.
pub(super) trait Entry: Serialize + for<'de> Deserialize<'de> {
    /// When it was last seen, in seconds.
    fn last(&self) -> u32;
    /// Bytes outside of the table.
    fn heap(&self) -> usize {
        0
    }
    /// Cuts what came from outside to what this program would have made.
    fn tidy(&mut self) {}
}

/// Entries by hash.
#[derive(Debug)]
pub(super) struct Table<E> {
    map: HashMap<u64, E, foldhash::fast::FixedState>,
    /// Most entries.
    most: usize,
    heap: usize,
    most_heap: usize,
    /// Places of removed entries that may still be taken.
    removed: usize,
    evicted: u64,
}

impl<E: Entry> Table<E> {
    /// For so many bytes, of which entries may have so many outside of the table.
    pub(super) fn new(bytes: usize, heap: usize) -> Self {
        // One byte for each place besides the entry (hashbrown), places by powers of two, seven of eight filled.
        let places = bytes.saturating_sub(heap) / (size_of::<(u64, E)>() + 1);
        let places = if places > LEAST { 1 << places.ilog2() } else { LEAST };
        Self {
            map: HashMap::default(),
            most: places / 8 * 7,
            heap: 0,
            most_heap: heap,
            removed: 0,
            evicted: 0,
        }
    }

    pub(super) fn get(&self, key: u64) -> Option<&E> {
        self.map.get(&key)
    }

    /// An entry, whose heap must not change.
    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut E> {
        self.map.get_mut(&key)
    }

    pub(super) fn remove(&mut self, key: u64) {
        if let Some(old) = self.map.remove(&key) {
            self.heap = self.heap.saturating_sub(old.heap());
            self.removed += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    #[cfg(test)]
    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes that it takes now.
    pub(super) fn bytes(&self) -> usize {
        self.map.allocation_size() + self.heap
    }

    /// The entry, made if it is not there; its heap is counted anew after `f`.
    pub(super) fn update<R>(&mut self, key: u64, make: impl FnOnce() -> E, f: impl FnOnce(&mut E) -> R) -> R {
        if let Some(entry) = self.map.get_mut(&key) {
            let before = entry.heap();
            let out = f(entry);
            self.heap = self.heap.saturating_sub(before).saturating_add(entry.heap());
            if self.heap > self.most_heap {
                self.evict();
            }
            return out;
        }
        let mut entry = make();
        let out = f(&mut entry);
        self.insert(key, entry);
        out
    }

    pub(super) fn insert(&mut self, key: u64, entry: E) {
        if self.removed > self.most / 8 {
            self.renew(|_, _| true);
        }
        if self.map.len() + self.removed >= self.most || self.heap > self.most_heap {
            self.evict();
        }
        self.heap = self.heap.saturating_add(entry.heap());
        if let Some(old) = self.map.insert(key, entry) {
            self.heap = self.heap.saturating_sub(old.heap());
        }
    }

    /// Forgets the eighth that was not seen for the longest time.
    fn evict(&mut self) {
        let mut ages: Vec<(u32, u64)> = self.map.iter().map(|(key, entry)| (entry.last(), *key)).collect();
        let Some(middle) = ages.len().checked_sub(1).map(|last| last / 8) else { return };
        let (_, limit, _) = ages.select_nth_unstable(middle);
        let limit = *limit;
        let before = self.map.len();
        self.renew(|key, entry| (entry.last(), key) > limit);
        self.evicted += (before - self.map.len()) as u64;
    }

    /// Moves what stays to a new map: hashbrown doubles one whose free places are those of removed entries.
    fn renew(&mut self, stays: impl Fn(u64, &E) -> bool) {
        let old = std::mem::take(&mut self.map);
        self.map.reserve(old.len());
        self.map.extend(old.into_iter().filter(|(key, entry)| stays(*key, entry)));
        self.heap = self.map.values().map(Entry::heap).sum();
        self.removed = 0;
    }

    /// All entries in the order of their keys.
    pub(super) fn sorted(&self) -> Vec<(u64, &E)> {
        let mut all: Vec<_> = self.map.iter().map(|(key, entry)| (*key, entry)).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }
}
