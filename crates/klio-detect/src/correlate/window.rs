//! What a group has seen lately: sorted by event time, however late the events came.

use std::collections::{BTreeMap, HashMap, VecDeque};

use klio_model::{Actor, Evidence, Object};

use super::CorrelationKind;
use crate::bound;

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

/// Bytes in a unit of the memory budget.
pub(super) const UNIT: usize = 24;

impl Kept {
    /// The memory it takes, in units of the budget.
    fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let pair = |a: usize, b: usize| 2 * size_of::<String>() + a + b;
        let proofs = self.evidence.iter().map(|one| {
            let fields = one.fields.iter().map(|(name, value)| pair(name.len(), value.len()));
            size_of::<Evidence>() + one.audit_id.len() + one.file.len() + fields.sum::<usize>()
        });
        let carried = self.carried.iter().map(|(name, values)| {
            let values = values.iter().map(|value| size_of::<String>() + value.len());
            pair(name.len(), 0) + values.sum::<usize>()
        });
        let object =
            [&self.object.resource, &self.object.subresource, &self.object.namespace, &self.object.name];
        let bytes = size_of::<Self>()
            + bound::bytes_of(&self.actor)
            + object.into_iter().map(text).sum::<usize>()
            + proofs.sum::<usize>()
            + carried.sum::<usize>();
        bytes / UNIT
    }
}

/// Matches kept for show: the first and the last ones.
#[derive(Debug, Default)]
pub(super) struct Keep {
    kept: VecDeque<Kept>,
    weight: usize,
}

impl Keep {
    pub(super) fn push(&mut self, kept: Kept) {
        self.weight += kept.weight();
        let at = self.kept.partition_point(|k| k.time <= kept.time);
        self.kept.insert(at, kept);
        if self.kept.len() > KEEP_FIRST + KEEP_LAST {
            self.weight -= self.kept.remove(KEEP_FIRST).map_or(0, |kept| kept.weight());
        }
    }

    pub(super) fn forget_before(&mut self, time: i64) {
        while let Some(old) = self.kept.front().filter(|k| k.time < time) {
            self.weight -= old.weight();
            self.kept.pop_front();
        }
    }

    pub(super) fn between(&self, start: i64, end: i64) -> impl Iterator<Item = &Kept> {
        self.kept.iter().filter(move |k| (start..=end).contains(&k.time))
    }

    /// The memory of all, in units of the budget.
    pub(super) fn weight(&self) -> usize {
        self.weight
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

    /// Entries, values and matches, for the memory budget.
    pub(super) fn weight(&self) -> usize {
        self.entries.len() + 2 * self.distinct.len() + self.kept.weight()
    }

    /// Nothing more than its bounds is needed of a burst that has been reported.
    pub(super) fn settle(&mut self, start: i64) {
        self.fired = true;
        self.first = start;
        self.entries = VecDeque::new();
        self.distinct = HashMap::default();
        self.kept = Keep::default();
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
