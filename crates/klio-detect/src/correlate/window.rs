//! What a group has seen lately: sorted by event time, however late the events came.

use std::collections::{BTreeMap, HashMap, VecDeque};

use klio_model::{Actor, Evidence, Object};

use super::CorrelationKind;

/// Events kept as evidence from the beginning of a window, and from its end.
const KEEP_FIRST: usize = 32;
const KEEP_LAST: usize = 96;
/// Matches of one rule kept for an ordered correlation.
const KEEP_PER_STEP: usize = 64;
/// Above so many numbers neighbours are added up.
const KEEP_NUMBERS: usize = 512;
/// Late events may complete at most so many windows that end after them.
const LATE_ENDS: usize = 64;

/// One match as it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) time: i64,
    /// Which source.
    pub(super) step: u16,
    /// The counted value: a hash, or the bits of a number.
    pub(super) value: u64,
}

/// One match as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) time: i64,
    pub(super) evidence: Vec<Evidence>,
    pub(super) actor: Actor,
    pub(super) object: Object,
    pub(super) proven: bool,
    pub(super) carried: BTreeMap<String, Vec<String>>,
}

/// Matches kept for show: the first and the last ones.
#[derive(Debug, Default)]
pub(super) struct Keep(VecDeque<Kept>);

impl Keep {
    pub(super) fn push(&mut self, kept: Kept) {
        let at = self.0.partition_point(|k| k.time <= kept.time);
        self.0.insert(at, kept);
        if self.0.len() > KEEP_FIRST + KEEP_LAST {
            self.0.remove(KEEP_FIRST);
        }
    }

    pub(super) fn forget_before(&mut self, time: i64) {
        while self.0.front().is_some_and(|k| k.time < time) {
            self.0.pop_front();
        }
    }

    pub(super) fn between(&self, start: i64, end: i64) -> impl Iterator<Item = &Kept> {
        self.0.iter().filter(move |k| (start..=end).contains(&k.time))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The sliding window of a condition that fires at once.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Sorted by time.
    entries: VecDeque<Entry>,
    /// How many entries each value has, for distinct counts.
    distinct: HashMap<u64, u32, foldhash::fast::RandomState>,
    pub(super) kept: Keep,
    pub(super) first: i64,
    pub(super) newest: i64,
    /// Whether the burst has been reported.
    pub(super) fired: bool,
}

/// A window that satisfies the condition.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Hit {
    pub(super) start: i64,
    pub(super) end: i64,
    /// The number that satisfied it.
    pub(super) number: f64,
}

impl Window {
    pub(super) fn new(time: i64) -> Self {
        Self { first: time, newest: time, ..Self::default() }
    }

    /// Entries and values, for the memory budget.
    pub(super) fn weight(&self) -> usize {
        self.entries.len() + 2 * self.distinct.len()
    }

    /// Nothing more than its bounds is needed of a burst that has been reported.
    pub(super) fn settle(&mut self, start: i64) {
        self.fired = true;
        self.first = start;
        self.entries = VecDeque::new();
        self.distinct = HashMap::default();
        self.kept.clear();
    }

    /// Adds an entry and looks for a window around it that reaches `need`.
    pub(super) fn add(
        &mut self,
        entry: Entry,
        kind: CorrelationKind,
        steps: usize,
        need: f64,
        span: i64,
        slack: i64,
    ) -> Option<Hit> {
        self.newest = self.newest.max(entry.time);
        self.first = self.first.min(entry.time);
        self.forget(self.newest - span - slack);
        let at = self.entries.partition_point(|e| e.time <= entry.time);
        self.entries.insert(at, entry);
        match kind {
            CorrelationKind::EventCount => {
                let hit = self.count(at, need as usize, span);
                if hit.is_none() && self.entries.len() > (2 * need as usize).max(KEEP_FIRST) {
                    self.entries.pop_front();
                }
                hit
            }
            CorrelationKind::ValueSum => {
                let hit = self.sum(at, need, span);
                self.merge_numbers();
                hit
            }
            CorrelationKind::TemporalOrdered => {
                let hit = self.ordered(steps, span);
                self.thin_step(entry.step);
                hit
            }
            _ => {
                *self.distinct.entry(entry.value).or_default() += 1;
                let enough = self.distinct.len() >= need as usize;
                let hit = if enough { self.distinct_values(at, need as usize, span) } else { None };
                self.thin_value(entry.value);
                hit
            }
        }
    }

    fn forget(&mut self, before: i64) {
        while let Some(entry) = self.entries.front().copied().filter(|e| e.time < before) {
            self.entries.pop_front();
            self.uncount(entry.value);
        }
        self.kept.forget_before(before);
    }

    fn uncount(&mut self, value: u64) {
        if let Some(n) = self.distinct.get_mut(&value) {
            *n -= 1;
            if *n == 0 {
                self.distinct.remove(&value);
            }
        }
    }

    /// `need` entries in a row, the one at `at` among them, within the span.
    fn count(&self, at: usize, need: usize, span: i64) -> Option<Hit> {
        let last = (at + need).min(self.entries.len());
        (at..last).find_map(|end| {
            let start = (end + 1).checked_sub(need)?;
            let (first, last) = (self.entries[start].time, self.entries[end].time);
            (last - first <= span).then_some(Hit { start: first, end: last, number: need as f64 })
        })
    }

    /// The ends of windows that hold the entry at `at`: itself, and for late ones those after it.
    fn ends(&self, at: usize, span: i64) -> impl Iterator<Item = usize> + '_ {
        let time = self.entries[at].time;
        (at..self.entries.len()).take(LATE_ENDS).take_while(move |e| self.entries[*e].time - time <= span)
    }

    fn distinct_values(&self, at: usize, need: usize, span: i64) -> Option<Hit> {
        let mut values = Vec::new();
        self.ends(at, span).find_map(|end| {
            let last = self.entries[end].time;
            let start = self.entries.partition_point(|e| e.time < last - span);
            values.clear();
            values.extend(self.entries.range(start..=end).map(|e| e.value));
            values.sort_unstable();
            values.dedup();
            (values.len() >= need).then(|| Hit {
                start: self.entries[start].time,
                end: last,
                number: values.len() as f64,
            })
        })
    }

    fn sum(&self, at: usize, need: f64, span: i64) -> Option<Hit> {
        self.ends(at, span).find_map(|end| {
            let last = self.entries[end].time;
            let start = self.entries.partition_point(|e| e.time < last - span);
            let sum: f64 = self.entries.range(start..=end).map(|e| f64::from_bits(e.value)).sum();
            (sum >= need).then(|| Hit { start: self.entries[start].time, end: last, number: sum })
        })
    }

    /// A match of each step, none before that of the step before it, within the span.
    fn ordered(&self, steps: usize, span: i64) -> Option<Hit> {
        // For each step: when the latest chain that reaches it began.
        let mut began: Vec<Option<i64>> = vec![None; steps];
        let mut i = 0;
        while i < self.entries.len() {
            let time = self.entries[i].time;
            let same = self.entries.range(i..).take_while(|e| e.time == time).count();
            // Matches at the same microsecond may stand in any order.
            for step in 0..steps {
                if self.entries.range(i..i + same).any(|e| usize::from(e.step) == step) {
                    began[step] = if step == 0 { Some(time) } else { began[step - 1].max(began[step]) };
                }
            }
            if let Some(start) = began.last().copied().flatten().filter(|start| time - start <= span) {
                return Some(Hit { start, end: time, number: steps as f64 });
            }
            i += same;
        }
        None
    }

    /// Of one value the first and the last entry are enough.
    fn thin_value(&mut self, value: u64) {
        if self.distinct.get(&value).is_some_and(|n| *n > 2) {
            let middle =
                self.entries.iter().enumerate().filter(|(_, e)| e.value == value).nth(1).map(|(i, _)| i);
            if let Some(i) = middle {
                self.entries.remove(i);
                self.uncount(value);
            }
        }
    }

    fn thin_step(&mut self, step: u16) {
        let mut mine = self.entries.iter().enumerate().filter(|(_, e)| e.step == step).map(|(i, _)| i);
        let oldest = mine.next();
        if let (Some(i), true) = (oldest, mine.count() >= KEEP_PER_STEP) {
            self.entries.remove(i);
        }
    }

    /// Adds up pairs of neighbours; the sum stands at the time of the later one.
    fn merge_numbers(&mut self) {
        if self.entries.len() <= KEEP_NUMBERS {
            return;
        }
        let pairs: Vec<Entry> = self
            .entries
            .make_contiguous()
            .chunks(2)
            .map(|pair| {
                let sum: f64 = pair.iter().map(|e| f64::from_bits(e.value)).sum();
                Entry { value: sum.to_bits(), ..pair[pair.len() - 1] }
            })
            .collect();
        self.entries = pairs.into();
    }
}
