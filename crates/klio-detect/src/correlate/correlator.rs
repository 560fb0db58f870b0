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

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use klio_model::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::tally::Tally;
use super::window::{Entry, Hit, Keep, Kept, Window};
use super::{Correlation, CorrelationKind};
use crate::rule::{Match, RuleSet};

/// Memory in units of about 24 bytes; the whole state stays near 40 MB.
pub(super) const MAX_WEIGHT: usize = 1_000_000;
/// A match kept as evidence, with its strings.
const KEPT_WEIGHT: usize = 40;
const GROUP_WEIGHT: usize = 16;
/// A match belongs to at most so many groups, and counts at most so many values.
const MAX_COMBINATIONS: usize = 16;
/// How late an event may come.
const MAX_SLACK: i64 = 600_000_000;
/// Evidence in one finding.
const MAX_EVIDENCE: usize = 256;
/// Values of one field in one finding.
const MAX_VALUES: usize = 64;

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
    watchers: HashMap<String, Vec<(usize, u16)>>,
    groups: HashMap<(usize, Box<str>), Group, foldhash::fast::FixedState>,
    /// Windows that are judged when they are over: end, correlation, group, serial number.
    closing: BinaryHeap<Reverse<(i64, usize, Box<str>, u64)>>,
    newest: i64,
    serial: u64,
    weight: usize,
    limit: usize,
    stats: CorrelatorStats,
}

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
    fn weight(&self) -> usize {
        let windows = self.windows.iter().map(|w| w.weight() + KEPT_WEIGHT * w.kept.len());
        let tallies = self.tallies.iter().map(|t| t.weight() + KEPT_WEIGHT * t.kept.len());
        GROUP_WEIGHT + windows.chain(tallies).sum::<usize>()
    }

    fn newest(&self) -> i64 {
        let times = self.windows.iter().map(|w| w.newest).chain(self.tallies.iter().map(|t| t.newest));
        times.max().unwrap_or(i64::MIN)
    }
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
            watchers,
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
        let Some(watchers) = self.watchers.get(m.rule.as_ref()) else { return };
        let Some(time) = m.time.map(Timestamp::micros) else {
            self.stats.untimed += 1;
            return;
        };
        for (plan, step) in watchers.clone() {
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
        let group = match self.groups.get_mut(&GroupKey(plan, key)) {
            Some(group) => group,
            None => {
                self.weight += GROUP_WEIGHT;
                self.groups.entry((plan, key.into())).or_default()
            }
        };
        let before = group.weight();
        group.touched = serial;
        let mut fresh = None;
        if let Some(need) = correlation.need() {
            let reach = |w: &Window| {
                let low = if w.fired { w.first - span } else { w.newest - span - slack };
                (low..=w.newest + span).contains(&entry.time)
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
                if let Some(hit) = window.add(entry, correlation.kind, correlation.sources.len(), need, span, slack) {
                    fresh = finding(correlation, key, &window.kept, hit);
                    window.settle();
                }
            }
            group.windows.push(window);
            if group.windows.len() > 2 {
                group.windows.remove(0);
            }
        } else {
            let reach = |t: &Tally| (t.first - slack..=t.first + span).contains(&entry.time);
            let at = group.tallies.iter().rposition(reach);
            let mut tally = match at {
                Some(at) => group.tallies.remove(at),
                None => {
                    self.closing.push(Reverse((entry.time + span + slack, plan, key.into(), serial)));
                    Tally::new(entry.time, serial)
                }
            };
            tally.kept.push(kept(correlation, entry, m));
            tally.add(entry, correlation.kind);
            group.tallies.push(tally);
            if group.tallies.len() > 2 {
                group.tallies.remove(0);
                self.stats.evicted += 1;
            }
        }
        self.weight = (self.weight + group.weight()).saturating_sub(before);
        fresh
    }

    /// Judges the windows that ended before `time`.
    fn close(&mut self, time: i64, out: &mut Vec<Match>) {
        while self.closing.peek().is_some_and(|Reverse((end, ..))| *end < time) {
            let Some(Reverse((_, plan, key, serial))) = self.closing.pop() else { return };
            let correlation = &self.plans[plan];
            let span = correlation.timespan;
            let Some(group) = self.groups.get_mut(&GroupKey(plan, key.as_ref())) else { continue };
            let before = group.weight();
            let Some(at) = group.tallies.iter().position(|t| t.serial == serial) else { continue };
            let mut tally = group.tallies.remove(at);
            let mut fresh = None;
            if let Some(number) = tally.judge(correlation) {
                let follows = group.reported.is_some_and(|end| tally.first > end - span && tally.first <= end + span);
                group.reported = Some(tally.first + span);
                if !follows {
                    let hit = Hit { start: i64::MIN, end: i64::MAX, number };
                    fresh = finding(correlation, &key, &tally.kept, hit);
                }
            }
            self.weight = (self.weight + group.weight()).saturating_sub(before);
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
        let mut weights: Vec<(u64, usize)> = self.groups.values().map(|g| (g.touched, g.weight())).collect();
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

/// Separates the values of a key; a value that holds it loses it.
const SEPARATOR: char = '\u{1f}';

/// One key for each combination of the values of some fields; none when a field has no value.
fn combinations(names: &[String], m: &Match) -> Vec<String> {
    let mut out = vec![String::new()];
    for (i, name) in names.iter().enumerate() {
        let Some(values) = m.values.get(name) else { return Vec::new() };
        out = out
            .iter()
            .flat_map(|key| {
                values.iter().map(move |v| {
                    let v = v.replace(SEPARATOR, "");
                    if i == 0 { v } else { format!("{key}{SEPARATOR}{v}") }
                })
            })
            .take(MAX_COMBINATIONS)
            .collect();
    }
    out
}

/// What a match adds to the count.
fn counted(kind: CorrelationKind, fields: &[String], step: u16, m: &Match) -> Vec<u64> {
    match kind {
        CorrelationKind::EventCount => vec![0],
        CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => vec![u64::from(step)],
        CorrelationKind::ValueCount | CorrelationKind::ValueShare => {
            combinations(fields, m).iter().map(|v| xxh3_64(v.as_bytes())).collect()
        }
        CorrelationKind::ValueSum | CorrelationKind::ValueAvg | CorrelationKind::ValuePercentile(_) => {
            let values = fields.first().and_then(|f| m.values.get(f)).map(Vec::as_slice).unwrap_or_default();
            let numbers = values.iter().filter_map(|v| v.trim().parse::<f64>().ok()).filter(|n| n.is_finite());
            numbers.map(f64::to_bits).take(MAX_COMBINATIONS).collect()
        }
    }
}

/// A match as evidence, with the values that the correlation hands on.
fn kept(correlation: &Correlation, entry: Entry, m: &Match) -> Kept {
    let source = &correlation.sources[usize::from(entry.step)];
    let names = correlation.carries.iter().map(klio_model::FieldRef::name).chain(source.fields.iter().map(String::as_str));
    let carried = names.filter_map(|n| Some((n.to_owned(), m.values.get(n)?.iter().take(MAX_VALUES).cloned().collect())));
    Kept {
        time: entry.time,
        evidence: m.evidence.clone(),
        actor: m.actor.clone(),
        object: m.object.clone(),
        proven: m.proven,
        carried: carried.collect(),
    }
}

/// The match of a correlation. Its values hold the group keys, what it carries, and `count`: the number that
/// satisfied the condition.
fn finding(correlation: &Correlation, key: &str, keep: &Keep, hit: Hit) -> Option<Match> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut evidence: Vec<klio_model::Evidence> = Vec::new();
    let mut proven = true;
    let mut last = None;
    for kept in keep.between(hit.start, hit.end) {
        for (name, more) in &kept.carried {
            let all = values.entry(name.clone()).or_default();
            for value in more {
                if all.len() < MAX_VALUES && !all.contains(value) {
                    all.push(value.clone());
                }
            }
        }
        for one in &kept.evidence {
            let known = evidence.iter().any(|e| e.audit_id == one.audit_id && e.stage == one.stage && e.line == one.line && e.file == one.file);
            if !known && evidence.len() < MAX_EVIDENCE {
                evidence.push(one.clone());
            }
        }
        proven &= kept.proven;
        last = Some(kept);
    }
    let last = last?;
    for (name, value) in correlation.group_by.iter().zip(key.split(SEPARATOR)) {
        values.insert(name.clone(), vec![value.to_owned()]);
    }
    values.insert("count".to_owned(), vec![hit.number.to_string()]);
    Some(Match {
        rule: Arc::from(correlation.id.as_str()),
        time: Some(Timestamp(last.time)),
        actor: last.actor.clone(),
        object: last.object.clone(),
        values,
        evidence,
        proven,
    })
}
