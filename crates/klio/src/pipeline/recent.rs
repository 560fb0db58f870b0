//! Which records were acknowledged lately: a delivery that is repeated is acknowledged again, and kept once.
//!
//! The audit webhook repeats a batch byte for byte until it hears an answer, five times within 98 seconds, also when the
//! first one is still being written. So a record is first claimed; who finds it claimed by another waits until that one is
//! durable or was refused.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

/// Records that are remembered at least; twice as many at most, in 75 MB. At 20,000 events a second that is 104 seconds, and at
/// 4,000, the most that the webhook of one API server sends, nearly nine minutes.
const HORIZON: usize = 1 << 21;

type Keys = HashSet<u64, RandomState>;

/// The records of the last minutes, by a hash of their content and cluster.
#[derive(Default)]
pub struct Recent {
    known: Mutex<Known>,
    settled: Condvar,
}

#[derive(Default)]
struct Known {
    young: Keys,
    old: Keys,
    /// Being written.
    open: Keys,
}

impl Known {
    fn has(&self, key: u64) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }

    fn add(&mut self, key: u64) {
        if self.young.len() >= HORIZON {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key);
    }
}

impl Recent {
    /// Takes note of a record that is kept.
    pub fn add(&self, key: u64) {
        self.lock().add(key);
    }

    /// Says which records are new, each once. The caller writes those and calls [`Claim::kept`]; without that they may be
    /// delivered again.
    pub fn claim(&self, keys: &[u64]) -> (Claim<'_>, Vec<bool>) {
        let mut known = self.lock();
        while keys.iter().any(|key| known.open.contains(key)) {
            known = self.settled.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
        let is_new: Vec<bool> = keys.iter().map(|&key| !known.has(key) && known.open.insert(key)).collect();
        let places: Vec<usize> = (0..keys.len()).filter(|place| is_new[*place]).collect();
        let keys = places.iter().map(|place| keys[*place]).collect();
        (Claim { of: self, keys, places, forget: Vec::new(), kept: false }, is_new)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records that are being written.
pub struct Claim<'r> {
    of: &'r Recent,
    keys: Vec<u64>,
    /// Which of the asked they are, and which of them need not be remembered.
    places: Vec<usize>,
    forget: Vec<bool>,
    kept: bool,
}

impl Claim<'_> {
    /// They are durable.
    pub fn kept(mut self) {
        self.kept = true;
    }

    /// They are durable, and of those that were asked for the ones marked here may be delivered again.
    pub fn kept_of(mut self, remember: &[bool]) {
        self.kept = true;
        self.forget =
            self.places.iter().map(|place| !remember.get(*place).copied().unwrap_or(true)).collect();
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut known = self.of.lock();
        for (number, key) in self.keys.iter().enumerate() {
            known.open.remove(key);
            if self.kept && !self.forget.get(number).copied().unwrap_or(false) {
                known.add(*key);
            }
        }
        drop(known);
        self.of.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_was_kept_is_known_and_what_was_refused_is_new_again() {
        let recent = Recent::default();
        let (claim, new) = recent.claim(&[1, 2, 1]);
        assert_eq!(new, [true, true, false]);
        drop(claim);
        let (claim, new) = recent.claim(&[1, 2]);
        assert_eq!(new, [true, true]);
        claim.kept();
        assert_eq!(recent.claim(&[2, 3]).1, [false, true]);
    }

    #[test]
    fn a_repeated_delivery_waits_for_the_first() {
        let recent = Recent::default();
        let (first, _) = recent.claim(&[7]);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let (_claim, new) = recent.claim(&[7, 8]);
                assert!(done.load(Ordering::SeqCst));
                new
            });
            done.store(true, Ordering::SeqCst);
            first.kept();
            assert_eq!(second.join().unwrap(), [false, true]);
        });
    }
}
