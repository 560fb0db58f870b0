//! Lets results that are ready in any order be taken in the order of the input, by whichever thread is free.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};

use super::judged::Judged;
use super::lock;
use super::sequence::Sequence;
use crate::failure::Failure;

/// What a thread says that cannot go on since another failed.
pub(super) const ECHO: &str = "another thread could not go on";

/// The queue before the sequence.
pub(super) struct Turns<'e> {
    waiting: Mutex<Waiting>,
    room: Condvar,
    most: usize,
    sequence: Mutex<Sequence<'e>>,
    /// Results that were taken: room for others.
    spare: Mutex<Vec<Judged>>,
}

struct Waiting {
    results: BTreeMap<u64, Judged>,
    next: u64,
    busy: bool,
    failed: bool,
}

impl<'e> Turns<'e> {
    pub(super) fn new(sequence: Sequence<'e>, most: usize) -> Self {
        let waiting = Waiting { results: BTreeMap::new(), next: 0, busy: false, failed: false };
        Self {
            waiting: Mutex::new(waiting),
            room: Condvar::new(),
            most,
            sequence: Mutex::new(sequence),
            spare: Mutex::default(),
        }
    }

    /// A result to be written anew.
    pub(super) fn room(&self) -> Judged {
        lock(&self.spare).pop().unwrap_or_default()
    }

    /// Hands in a result. If nobody is taking results, this thread takes all whose turn it is; else it goes on
    /// at once, unless too many wait.
    pub(super) fn hand_in(&self, number: u64, judged: Judged) -> Result<(), Failure> {
        let mut waiting = lock(&self.waiting);
        waiting.results.insert(number, judged);
        while waiting.results.len() > self.most && waiting.busy && !waiting.failed {
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        while !waiting.busy && !waiting.failed {
            let next = waiting.next;
            let Some(judged) = waiting.results.remove(&next) else { break };
            waiting.busy = true;
            drop(waiting);
            let mut done = Vec::new();
            let outcome = lock(&self.sequence).take(judged, &mut done);
            lock(&self.spare).append(&mut done);
            waiting = lock(&self.waiting);
            waiting.busy = false;
            waiting.next += 1;
            waiting.failed |= outcome.is_err();
            self.room.notify_all();
            outcome?;
        }
        if waiting.failed { Err(Failure::world(ECHO)) } else { Ok(()) }
    }

    pub(super) fn into_sequence(self) -> Sequence<'e> {
        self.sequence.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
