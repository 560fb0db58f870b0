//! Counting for the summary.

use std::collections::BTreeMap;

use klio_detect::Rule;
use klio_model::{RuleRef, Timestamp};
use serde::Serialize;

/// A silence of this many minutes is a gap.
const GAP_MINUTES: i64 = 5;
/// Gaps that the summary lists.
const GAPS_CAP: usize = 50;

/// When events happened: first, last and count of each minute.
#[derive(Default)]
pub(super) struct Times {
    minutes: BTreeMap<i64, (i64, i64)>,
    /// The minute that the latest event lies in: events come nearly in order.
    current: Option<(i64, i64, i64)>,
    pub untimed: u64,
}

/// A span without a single event.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    /// Last event before.
    pub start: Timestamp,
    /// First event after.
    pub end: Timestamp,
    /// Its length.
    pub seconds: u64,
}

impl Times {
    pub(super) fn add(&mut self, time: i64) {
        if time == i64::MIN {
            self.untimed += 1;
            return;
        }
        let minute = time.div_euclid(60_000_000);
        match &mut self.current {
            Some((m, first, last)) if *m == minute => {
                *first = (*first).min(time);
                *last = (*last).max(time);
            }
            _ => {
                self.flush();
                self.current = Some((minute, time, time));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((minute, first, last)) = self.current.take() {
            let entry = self.minutes.entry(minute).or_insert((first, last));
            *entry = (entry.0.min(first), entry.1.max(last));
        }
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        self.flush();
        other.flush();
        self.untimed += other.untimed;
        for (minute, (first, last)) in other.minutes {
            let entry = self.minutes.entry(minute).or_insert((first, last));
            *entry = (entry.0.min(first), entry.1.max(last));
        }
    }

    /// First and last event, and the longest gaps in the order of time.
    pub(super) fn finish(mut self) -> (Option<(Timestamp, Timestamp)>, Vec<Gap>) {
        self.flush();
        let mut gaps = Vec::new();
        let mut previous: Option<i64> = None;
        for (first, last) in self.minutes.values() {
            if let Some(before) = previous {
                if first - before >= GAP_MINUTES * 60_000_000 {
                    gaps.push(Gap {
                        start: Timestamp(before),
                        end: Timestamp(*first),
                        seconds: (first - before) as u64 / 1_000_000,
                    });
                }
            }
            previous = Some(*last);
        }
        let ends = self.minutes.values().next().zip(self.minutes.values().next_back());
        let range = ends.map(|((first, _), (_, last))| (Timestamp(*first), Timestamp(*last)));
        gaps.sort_by_key(|g| std::cmp::Reverse(g.seconds));
        gaps.truncate(GAPS_CAP);
        gaps.sort_by_key(|g| g.start);
        (range, gaps)
    }
}

/// How a finding names its rule.
pub(super) fn rule_ref(rule: &Rule) -> RuleRef {
    RuleRef { id: rule.id.clone(), title: rule.title.clone(), dialect: rule.dialect.name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_silences_between_events_in_any_order() {
        let mut times = Times::default();
        for minute in [20, 0, 1, 21, 2] {
            times.add(minute * 60_000_000);
        }
        let (range, gaps) = times.finish();
        assert_eq!(range, Some((Timestamp(0), Timestamp(21 * 60_000_000))));
        assert_eq!(gaps.iter().map(|g| g.seconds).collect::<Vec<_>>(), [18 * 60]);
    }
}
