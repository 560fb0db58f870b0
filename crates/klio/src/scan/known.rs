//! Which events and requests have been seen, within a bounded horizon.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

/// Events that are remembered at least; twice as many at most. Retries of the audit webhook arrive within 98
/// seconds, at up to 4,000 events per second. A table of 2^19 places is full then.
const HORIZON: usize = (1 << 19) / 8 * 7;
/// Requests whose second stage may still come.
const REQUESTS: usize = 100_000;

/// Content and request by audit id and stage, all hashed under a key that nobody knows: half of each will do.
type Map = HashMap<u64, (u32, u32), RandomState>;

/// What an event is to those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// Its audit id and stage were not seen.
    New,
    /// The same content was seen: delivered twice.
    Duplicate,
    /// The same request was seen with other content: two audit backends record at different levels.
    Again,
    /// Another request bore the same audit id.
    Reused,
}

/// The latest events by audit id and stage, and the latest requests that were judged.
#[derive(Default)]
pub(super) struct Horizon {
    hasher: RandomState,
    young: Map,
    old: Map,
    judged: [HashSet<u64, RandomState>; 2],
    merged: [HashSet<u64, RandomState>; 2],
}

impl Horizon {
    /// Looks keys up for nothing but to have their places in the cache: in memory that is far away, many questions
    /// at once take hardly longer than one.
    pub(super) fn warm(&self, keys: impl Iterator<Item = u64>) {
        let known = keys.filter(|key| self.young.contains_key(key) | self.old.contains_key(key)).count();
        std::hint::black_box(known);
    }

    /// Takes note of an event. `key` stands for audit id and stage, `content` for everything in it, `request` for
    /// its request.
    pub(super) fn event(&mut self, key: u64, content: u64, request: u64) -> Known {
        if self.young.len() >= HORIZON {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        let (own, content) = (key ^ content.rotate_left(17), (content >> 32) as u32);
        let request = (self.hasher.hash_one(request) >> 32) as u32;
        let Some((first, of)) = self.young.get(&key).or_else(|| self.old.get(&key)).copied() else {
            self.young.insert(key, (content, request));
            return Known::New;
        };
        // Other contents are kept under keys of their own, so that their repeats are duplicates too.
        if first == content || self.young.contains_key(&own) || self.old.contains_key(&own) {
            return Known::Duplicate;
        }
        self.young.insert(own, (content, request));
        if of == request { Known::Again } else { Known::Reused }
    }

    /// Whether a request of which several stages are judged was judged before.
    pub(super) fn request_judged(&mut self, request: u64) -> bool {
        !fresh(&mut self.judged, request)
    }

    /// Whether this rule found this request before, at another stage.
    pub(super) fn finding_made(&mut self, request: u64, rule: u32) -> bool {
        !fresh(&mut self.merged, request ^ u64::from(rule).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

/// Inserts and tells whether the value was new.
fn fresh(generations: &mut [HashSet<u64, RandomState>; 2], value: u64) -> bool {
    if generations[0].len() >= REQUESTS {
        generations.swap(0, 1);
        generations[0].clear();
    }
    !generations[1].contains(&value) && generations[0].insert(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_a_duplicate_and_another_under_the_same_id_is_not() {
        let mut h = Horizon::default();
        let mut event = |key, content: u64, request: u64| h.event(key, content << 32, request << 32);
        assert_eq!(event(1, 10, 7), Known::New);
        assert_eq!(event(1, 10, 7), Known::Duplicate);
        assert_eq!(event(1, 11, 7), Known::Again);
        assert_eq!(event(1, 12, 8), Known::Reused);
        assert_eq!(event(1, 12, 8), Known::Duplicate);
        assert!(!h.request_judged(5));
        assert!(h.request_judged(5));
    }

    #[test]
    fn memory_is_bounded() {
        let mut h = Horizon::default();
        for i in 0..3 * HORIZON as u64 {
            h.event(i, i, i);
        }
        assert!(h.young.len() + h.old.len() <= 2 * HORIZON);
        let last = 3 * HORIZON as u64 - 1;
        assert_eq!(h.event(last, last, last), Known::Duplicate);
    }
}
