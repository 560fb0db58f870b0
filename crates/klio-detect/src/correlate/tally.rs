//! A window that is judged when it is over: upper bounds, means, percentiles and shares.

use std::collections::{BTreeSet, HashMap};

use super::window::{Entry, Keep};
use super::{Correlation, CorrelationKind};

/// Distinct values that are told apart in one window; what comes after them counts as one more.
const MAX_VALUES: usize = 8_192;

/// What has been counted since the window's first event.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) first: i64,
    pub(super) newest: i64,
    /// Tells this window from an earlier one of the same group.
    pub(super) serial: u64,
    pub(super) kept: Keep,
    count: u64,
    sum: f64,
    numbers: Vec<f64>,
    values: HashMap<u64, u64, foldhash::fast::RandomState>,
    steps: BTreeSet<u16>,
    /// Longest ordered chain: the next step that is awaited.
    ordered: Vec<(i64, u16)>,
}

impl Tally {
    pub(super) fn new(time: i64, serial: u64) -> Self {
        Self {
            first: time,
            newest: time,
            serial,
            kept: Keep::default(),
            count: 0,
            sum: 0.0,
            numbers: Vec::new(),
            values: HashMap::default(),
            steps: BTreeSet::new(),
            ordered: Vec::new(),
        }
    }

    pub(super) fn weight(&self) -> usize {
        self.numbers.len() + 2 * self.values.len() + self.ordered.len() + self.kept.weight()
    }

    pub(super) fn add(&mut self, entry: Entry, kind: CorrelationKind) {
        self.newest = self.newest.max(entry.time);
        self.count += 1;
        match kind {
            CorrelationKind::EventCount => {}
            CorrelationKind::ValueCount | CorrelationKind::ValueShare => {
                let full = self.values.len() >= MAX_VALUES && !self.values.contains_key(&entry.value);
                *self.values.entry(if full { 0 } else { entry.value }).or_default() += 1;
            }
            CorrelationKind::Temporal => {
                self.steps.insert(entry.step);
            }
            CorrelationKind::TemporalOrdered => {
                self.steps.insert(entry.step);
                if self.ordered.len() < MAX_VALUES {
                    self.ordered.push((entry.time, entry.step));
                }
            }
            CorrelationKind::ValueSum | CorrelationKind::ValueAvg | CorrelationKind::ValuePercentile(_) => {
                let number = f64::from_bits(entry.value);
                self.sum += number;
                if matches!(kind, CorrelationKind::ValuePercentile(_)) {
                    if self.numbers.len() < MAX_VALUES {
                        self.numbers.push(number);
                    } else {
                        // A fixed stride through the sample: the same input gives the same answer.
                        let i = (self.count as usize).wrapping_mul(0x9E37_79B1) % MAX_VALUES;
                        self.numbers[i] = number;
                    }
                }
            }
        }
    }

    /// The number that satisfies the condition, if one does.
    pub(super) fn judge(&mut self, correlation: &Correlation) -> Option<f64> {
        let number = match correlation.kind {
            CorrelationKind::EventCount => self.count as f64,
            CorrelationKind::ValueCount => self.values.len() as f64,
            CorrelationKind::Temporal => self.steps.len() as f64,
            CorrelationKind::TemporalOrdered => self.chain() as f64,
            CorrelationKind::ValueSum => self.sum,
            CorrelationKind::ValueAvg => self.sum / self.count as f64,
            CorrelationKind::ValuePercentile(p) => {
                self.numbers.sort_by(f64::total_cmp);
                // The nearest rank: the least value with at least p percent of the values at or below it.
                let rank = (p / 100.0 * self.numbers.len() as f64).ceil().max(1.0) as usize;
                *self.numbers.get(rank - 1)?
            }
            CorrelationKind::ValueShare => {
                let mut shares: Vec<f64> =
                    self.values.values().map(|n| 100.0 * *n as f64 / self.count as f64).collect();
                shares.sort_by(f64::total_cmp);
                return shares.into_iter().find(|share| correlation.holds(*share));
            }
        };
        correlation.holds(number).then_some(number)
    }

    /// How many steps were seen in order.
    fn chain(&mut self) -> usize {
        self.ordered.sort_unstable();
        let mut next = 0u16;
        for (_, step) in &self.ordered {
            next += u16::from(*step == next);
        }
        usize::from(next)
    }
}
