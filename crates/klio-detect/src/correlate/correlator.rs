//! The state of all correlations: which matches belong to which group, when a group fires, what is forgotten.
//!
//! Time is event time. Events may come late: a window keeps what is up to ten minutes (or, for shorter
//! timespans, one timespan) older than it needs, and each group may have two windows open at far-apart
//! times, since long requests are logged when they end and files are read side by side.
//!
//! One burst is one finding: it is given when the condition first holds, and the group stays silent until it
//! has been quiet for a timespan. Conditions that more events could make false again (`lt`, `lte`, `eq`,
//! `neq`, means, percentiles) are judged when the timespan after the first event is over.
//!
//! A match without a value for a `group-by` field belongs to no group and is not counted; one with several
//! values belongs to each. Memory is bounded by [`MAX_WEIGHT`]: beyond it the groups that were
//! touched longest ago are forgotten, and counted in [`CorrelatorStats::evicted`].

mod renewed;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use klio_model::Timestamp;

use super::Correlation;
use super::finding::{combinations, counted, finding, kept};
use super::tally::Tally;
use super::window::{Entry, Hit, UNIT, Window};
use crate::rule::{Match, RuleSet};

/// Memory in units of [`UNIT`] bytes; the whole state stays near 40 MB.
pub(super) const MAX_WEIGHT: usize = 1_000_000;
/// A group without its key.
const GROUP_WEIGHT: usize = 16;
/// How late an event may come.
const MAX_SLACK: i64 = 600_000_000;

/// What the correlator could not use or had to forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CorrelatorStats {
    /// Groups that were forgotten, while they could still have fired, because memory was full.
    pub evicted: u64,
    /// Matches without a time.
    pub untimed: u64,
    /// Matches without a value for a `group-by` field, or without the value that is counted.
    pub ungrouped: u64,
}

/// The state of all correlations.
#[derive(Debug)]
pub struct Correlator {
    plans: Vec<Correlation>,
    /// Rule id to correlation and step.
    watchers: HashMap<String, Arc<[(usize, u16)]>>,
    groups: HashMap<(usize, Box<str>), Group, foldhash::fast::RandomState>,
    /// Windows that are judged when they are over.
    closing: BinaryHeap<Reverse<Closing>>,
    newest: i64,
    serial: u64,
    weight: usize,
    limit: usize,
    stats: CorrelatorStats,
}

/// When a window is over: end, correlation, group, serial number.
type Closing = (i64, usize, Box<str>, u64);

#[derive(Debug, Default)]
struct Group {
    /// The last is the one touched last; at most two.
    windows: Vec<Window>,
    tallies: Vec<Tally>,
    /// End of the last window that was reported, for those judged when they are over.
    reported: Option<i64>,
    touched: u64,
}

impl Group {
    /// What it takes, with this key.
    fn weight(&self, key: &str) -> usize {
        let windows = self.windows.iter().map(Window::weight);
        let tallies = self.tallies.iter().map(Tally::weight);
        base(key) + windows.chain(tallies).sum::<usize>()
    }

    fn newest(&self) -> i64 {
        let times = self.windows.iter().map(|w| w.newest).chain(self.tallies.iter().map(|t| t.newest));
        times.max().unwrap_or(i64::MIN)
    }
}

/// What a group takes that holds nothing: its key stands here and where its end is awaited.
fn base(key: &str) -> usize {
    GROUP_WEIGHT + 2 * key.len() / UNIT
}

impl Correlator {
    /// Watches the correlations of a rule set.
    pub fn new(set: &RuleSet) -> Self {
        Self::with_limit(set, MAX_WEIGHT)
    }

    pub(super) fn with_limit(set: &RuleSet, limit: usize) -> Self {
        let mut watchers: HashMap<String, Vec<(usize, u16)>> = HashMap::new();
        for (i, correlation) in set.correlations.iter().enumerate() {
            for (step, source) in correlation.sources.iter().enumerate() {
                watchers.entry(source.rule.clone()).or_default().push((i, step as u16));
            }
        }
        Self {
            plans: set.correlations.clone(),
            watchers: watchers.into_iter().map(|(rule, at)| (rule, at.into())).collect(),
            groups: HashMap::default(),
            closing: BinaryHeap::new(),
            newest: i64::MIN,
            serial: 0,
            weight: 0,
            limit,
            stats: CorrelatorStats::default(),
        }
    }

    /// Whether some correlation watches this rule: other matches need not be shown to it.
    pub fn watches(&self, rule: &str) -> bool {
        self.watchers.contains_key(rule)
    }

    /// What could not be used or had to be forgotten.
    pub fn stats(&self) -> CorrelatorStats {
        self.stats
    }

    /// The memory in use, in the units of [`MAX_WEIGHT`].
    #[cfg(test)]
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Takes a match of a rule; returns the matches of correlations that it completes, and of windows that
    /// are over by its time.
    pub fn observe(&mut self, m: &Match) -> Vec<Match> {
        let mut out = Vec::new();
        if let Some(time) = m.time {
            self.newest = self.newest.max(time.micros());
        }
        self.close(self.newest, &mut out);
        self.feed(m, &mut out);
        out
    }

    /// Judges all windows that are still open, at the end of the input.
    pub fn finish(&mut self) -> Vec<Match> {
        let mut out = Vec::new();
        self.close(i64::MAX, &mut out);
        out
    }

    /// Shows a match to its watchers, and what comes of it to theirs.
    fn feed(&mut self, m: &Match, out: &mut Vec<Match>) {
        let mut fired = VecDeque::new();
        self.watch(m, &mut fired);
        while let Some((plan, fresh)) = fired.pop_front() {
            if self.watches(&fresh.rule) {
                self.watch(&fresh, &mut fired);
            }
            if self.plans[plan].reports {
                out.push(fresh);
            }
        }
    }

    fn watch(&mut self, m: &Match, fired: &mut VecDeque<(usize, Match)>) {
        let Some(watchers) = self.watchers.get(m.rule.as_ref()).cloned() else { return };
        let Some(time) = m.time.map(Timestamp::micros) else {
            self.stats.untimed += 1;
            return;
        };
        for &(plan, step) in watchers.iter() {
            let source = &self.plans[plan].sources[usize::from(step)];
            let keys = combinations(&source.keys, m);
            let values = counted(self.plans[plan].kind, &source.fields, step, m);
            if keys.is_empty() || values.is_empty() {
                self.stats.ungrouped += 1;
            }
            for key in keys {
                for value in &values {
                    let entry = Entry { time, step, value: *value };
                    if let Some(fresh) = self.add(plan, &key, entry, m) {
                        fired.push_back((plan, fresh));
                    }
                }
            }
        }
        if self.weight > self.limit {
            self.forget();
        }
    }

    fn add(&mut self, plan: usize, key: &str, entry: Entry, m: &Match) -> Option<Match> {
        self.serial += 1;
        let serial = self.serial;
        let correlation = &self.plans[plan];
        let (span, slack) = (correlation.timespan, correlation.timespan.min(MAX_SLACK));
        let group = if let Some(group) = self.groups.get_mut(&GroupKey(plan, key)) {
            group
        } else {
            self.weight += base(key);
            self.groups.entry((plan, key.into())).or_default()
        };
        let before = group.weight(key);
        group.touched = serial;
        let mut fresh = None;
        if let Some(need) = correlation.need() {
            let reach = |w: &Window| {
                // A reported burst ends when the group is quiet; another window still needs what it remembers.
                let (low, high) = if w.fired {
                    (w.first - span, w.newest + span)
                } else {
                    (w.newest - span - slack, w.newest + span + slack)
                };
                (low..=high).contains(&entry.time)
            };
            let at = group.windows.iter().rposition(reach);
            let mut window = match at {
                Some(at) => group.windows.remove(at),
                None => Window::new(entry.time),
            };
            if window.fired {
                window.newest = window.newest.max(entry.time);
            } else {
                window.kept.push(kept(correlation, entry, m));
                if let Some(hit) =
                    window.add(entry, correlation.kind, correlation.sources.len(), need, span, slack)
                {
                    fresh = finding(correlation, key, &window.kept, hit);
                    window.settle(hit.start);
                }
            }
            group.windows.push(window);
            if group.windows.len() > 2 {
                group.windows.remove(0);
            }
        } else {
            let reach = |t: &Tally| (t.first - slack..=t.first + span).contains(&entry.time);
            let at = group.tallies.iter().rposition(reach);
            let mut tally = if let Some(at) = at {
                group.tallies.remove(at)
            } else {
                self.closing.push(Reverse((entry.time + span + slack, plan, key.into(), serial)));
                Tally::new(entry.time, serial)
            };
            tally.kept.push(kept(correlation, entry, m));
            tally.add(entry, correlation.kind);
            group.tallies.push(tally);
            if group.tallies.len() > 2 {
                group.tallies.remove(0);
                self.stats.evicted += 1;
            }
        }
        self.weight = (self.weight + group.weight(key)).saturating_sub(before);
        fresh
    }

    /// Judges the windows that ended before `time`.
    fn close(&mut self, time: i64, out: &mut Vec<Match>) {
        while self.closing.peek().is_some_and(|Reverse((end, ..))| *end < time) {
            let Some(Reverse((_, plan, key, serial))) = self.closing.pop() else { return };
            let correlation = &self.plans[plan];
            let span = correlation.timespan;
            let Some(group) = self.groups.get_mut(&GroupKey(plan, key.as_ref())) else { continue };
            let before = group.weight(&key);
            let Some(at) = group.tallies.iter().position(|t| t.serial == serial) else { continue };
            let mut tally = group.tallies.remove(at);
            let mut fresh = None;
            if let Some(number) = tally.judge(correlation) {
                let follows =
                    group.reported.is_some_and(|end| tally.first > end - span && tally.first <= end + span);
                group.reported = Some(tally.first + span);
                if !follows {
                    let hit = Hit { start: i64::MIN, end: i64::MAX, number };
                    fresh = finding(correlation, &key, &tally.kept, hit);
                }
            }
            self.weight = (self.weight + group.weight(&key)).saturating_sub(before);
            let Some(fresh) = fresh else { continue };
            if self.watches(&fresh.rule) {
                self.feed(&fresh, out);
            }
            if self.plans[plan].reports {
                out.push(fresh);
            }
        }
    }

    /// Forgets groups until a quarter of the memory is free: first those that are over, then those that
    /// were touched longest ago.
    fn forget(&mut self) {
        let (plans, newest) = (&self.plans, self.newest);
        let over = |plan: usize, group: &Group| {
            let span = plans[plan].timespan;
            group.tallies.is_empty() && group.newest().saturating_add(2 * span + MAX_SLACK) < newest
        };
        self.groups.retain(|(plan, _), group| !over(*plan, group));
        let weights = self.groups.iter().map(|((_, key), group)| (group.touched, group.weight(key)));
        let mut weights: Vec<(u64, usize)> = weights.collect();
        weights.sort_unstable();
        self.weight = weights.iter().map(|(_, w)| w).sum();
        let target = self.limit / 4 * 3;
        let mut before = 0;
        for (touched, weight) in weights {
            if self.weight <= target {
                break;
            }
            self.weight -= weight;
            before = touched + 1;
        }
        let live = self.groups.len();
        self.groups.retain(|_, group| group.touched >= before);
        let groups = &self.groups;
        self.closing.retain(|Reverse((_, plan, key, serial))| {
            let group = groups.get(&GroupKey(*plan, key));
            group.is_some_and(|group| group.tallies.iter().any(|tally| tally.serial == *serial))
        });
        self.stats.evicted += (live - self.groups.len()) as u64;
    }
}

/// A group's key by reference, so that a known group costs no allocation.
#[derive(Hash)]
struct GroupKey<'k>(usize, &'k str);

impl hashbrown::Equivalent<(usize, Box<str>)> for GroupKey<'_> {
    fn equivalent(&self, key: &(usize, Box<str>)) -> bool {
        self.0 == key.0 && self.1 == key.1.as_ref()
    }
}
