//! Events of several inputs in the order of time.

use super::Sequence;
use crate::failure::Failure;
use crate::keep::{Taken, Verdict};
use crate::scan::judged::Judged;

/// A result some of whose events wait for those of other inputs.
pub(super) struct Waiting {
    judged: Judged,
    /// Events that were taken already.
    taken: usize,
    by_user: Vec<u64>,
    /// Whether each event taken is to be kept.
    keep: Vec<bool>,
    /// What was found in them.
    findings: Vec<Verdict>,
}

impl Waiting {
    fn new(judged: Judged) -> Self {
        Self {
            by_user: vec![0; judged.users.len()],
            judged,
            taken: 0,
            keep: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// The time of the event that comes next.
    fn time(&self) -> Option<i64> {
        self.judged.seen.get(self.taken).map(|seen| seen.time)
    }
}

impl Sequence<'_> {
    /// Takes the next chunk's result. Chunks come in the order of their first event, so that all events before it can
    /// be taken now, whichever input they are of. Results that are done with go to `done`.
    pub(in crate::scan) fn take(
        &mut self,
        mut judged: Judged,
        done: &mut Vec<Judged>,
    ) -> Result<(), Failure> {
        if let (Some(head), Some(keeper)) = (judged.head, self.keeper()) {
            keeper.begin(&judged.file, head);
        }
        if let (None, Some(keeper)) = (&judged.spooled, self.keeper()) {
            judged.first = keeper.hand_in(&judged.file, judged.seen.len());
        }
        if let (Some((_, origin)), Some(keeper)) = (&judged.spooled, self.keeper.as_mut()) {
            keeper.judging(origin);
        }
        if judged.begins.is_some() {
            self.until(judged.begins, done)?;
            self.waiting.push(Waiting::new(judged));
            while !self.waiting.is_empty() && self.keeper().is_some_and(|keeper| keeper.is_full()) {
                let mut oldest = self.waiting.remove(0);
                self.run(&mut oldest, i64::MAX)?;
                done.push(self.close(oldest)?);
            }
            return Ok(());
        }
        let mut only = Waiting::new(judged);
        self.run(&mut only, i64::MAX)?;
        done.push(self.close(only)?);
        Ok(())
    }

    /// Takes all events up to a time, or all.
    pub(super) fn until(&mut self, time: Option<i64>, done: &mut Vec<Judged>) -> Result<(), Failure> {
        let time = time.unwrap_or(i64::MAX);
        while let Some((first, begins)) = earliest(&self.waiting).filter(|(_, begins)| *begins <= time) {
            // Of equal times the one that came first goes first; order is kept.
            let mut cursor = self.waiting.remove(first);
            let others = earliest(&self.waiting).map_or(i64::MAX, |(_, t)| t);
            self.run(&mut cursor, others.min(time).max(begins))?;
            if cursor.time().is_some() {
                self.waiting.insert(first, cursor);
            } else {
                done.push(self.close(cursor)?);
            }
        }
        Ok(())
    }

    fn run(&mut self, cursor: &mut Waiting, until: i64) -> Result<(), Failure> {
        let Waiting { judged, taken, by_user, keep, findings } = cursor;
        let rest = judged.seen.get(*taken..).unwrap_or_default();
        let due = rest.iter().position(|seen| seen.time > until).unwrap_or(rest.len());
        let due = rest.get(..due).unwrap_or_default();
        self.horizon.warm(due.iter().map(|seen| seen.key));
        for seen in due {
            let number = judged.first + *taken as u64;
            *taken += 1;
            let new = self.seen(seen, judged, number)?;
            keep.push(new);
            if new && let Some(n) = by_user.get_mut(seen.user as usize) {
                *n += 1;
            }
        }
        findings.extend(self.keeper().map(|keeper| keeper.found()).unwrap_or_default());
        Ok(())
    }

    fn close(&mut self, cursor: Waiting) -> Result<Judged, Failure> {
        let Waiting { mut judged, by_user, keep, findings, .. } = cursor;
        self.count(&mut judged, by_user);
        if let Some(keeper) = self.keeper() {
            let mut taken = Taken { shelf: std::mem::take(&mut judged.shelf), keep, findings };
            judged.shelf = match &judged.spooled {
                Some((seq, origin)) => {
                    keeper.again(*seq, origin, &mut taken);
                    taken.shelf
                }
                None => keeper.take(&judged.file, judged.first, taken)?,
            };
        }
        Ok(judged)
    }
}

/// Which result has the earliest event next, and when. One whose events are all taken comes at once.
fn earliest(waiting: &[Waiting]) -> Option<(usize, i64)> {
    waiting.iter().map(|w| w.time().unwrap_or(i64::MIN)).enumerate().min_by_key(|(_, time)| *time)
}
