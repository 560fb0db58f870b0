//! Combinations of values and how often each occurs.

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use klio_model::{Event, FieldRef};

use super::codes::{Codes, codes};
use crate::rows::Words;

/// Combinations that are counted in a list and not in a table.
const DENSE: u64 = 1 << 20;

/// Texts, each kept once.
#[derive(Default)]
pub(super) struct Names(Words);

impl Names {
    /// No value.
    pub(super) const NONE: u32 = 0;

    pub(super) fn of(&mut self, text: &str) -> u32 {
        self.0.index(text) + 1
    }

    fn text(&self, number: u32) -> Option<String> {
        number.checked_sub(1).map(|index| self.0.word(index).to_owned())
    }
}

/// Counts of combinations.
pub(super) struct Tally {
    fields: Vec<FieldRef>,
    names: Names,
    counts: HashMap<Box<[u32]>, u64, FixedState>,
}

impl Tally {
    pub(super) fn new(fields: &[FieldRef]) -> Self {
        let counts = HashMap::with_hasher(FixedState::with_seed(7));
        Self { fields: fields.to_vec(), names: Names::default(), counts }
    }

    /// Counts an event.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let mut of_field = Vec::new();
            event.visit(field, &mut |value| {
                of_field.push(self.names.of(&value.to_text()));
                false
            });
            if of_field.is_empty() {
                of_field.push(Names::NONE);
            }
            values.push(of_field);
        }
        let lists: Vec<&[u32]> = values.iter().map(Vec::as_slice).collect();
        self.combine(&lists, 1);
    }

    /// Counts rows of a batch from its columns; false if they do not tell, and nothing was counted.
    pub(super) fn columns(&mut self, batch: &RecordBatch, rows: &BooleanBuffer) -> bool {
        let names = &mut self.names;
        let each: Option<Vec<Codes>> =
            self.fields.iter().map(|field| codes(field.field(), batch, names)).collect();
        let Some(each) = each else { return false };
        let sizes: Vec<u64> = each.iter().map(|codes| codes.values.len() as u64).collect();
        let Some(total) = sizes.iter().try_fold(1_u64, |all, size| all.checked_mul(*size)) else {
            return false;
        };
        let mut found: Vec<(u64, u64)> = Vec::new();
        {
            let mut keys = vec![0_u64; rows.len()];
            for (codes, size) in each.iter().zip(&sizes) {
                for (key, code) in keys.iter_mut().zip(&codes.rows) {
                    *key = *key * size + u64::from(*code);
                }
            }
            count(&keys, rows, total, &mut found);
        }
        for (mut key, count) in found {
            let mut lists: Vec<&[u32]> = Vec::with_capacity(each.len());
            for (codes, size) in each.iter().zip(&sizes).rev() {
                lists.push(codes.values.get((key % size) as usize).map_or(&[], Vec::as_slice));
                key /= size;
            }
            lists.reverse();
            self.combine(&lists, count);
        }
        true
    }

    /// Counts each combination of one value from each list.
    fn combine(&mut self, lists: &[&[u32]], count: u64) {
        let combinations = lists.iter().map(|list| list.len()).product::<usize>();
        for number in 0..combinations {
            let mut left = number;
            let one = |list: &&[u32]| {
                let value = list.get(left % list.len().max(1)).copied().unwrap_or(Names::NONE);
                left /= list.len().max(1);
                value
            };
            let combination: Vec<u32> = lists.iter().map(one).collect();
            match self.counts.get_mut(combination.as_slice()) {
                Some(known) => *known += count,
                None => drop(self.counts.insert(combination.into(), count)),
            }
        }
    }

    /// Values and counts, the most frequent first, equals in the order of their texts.
    pub(super) fn sorted(self) -> Vec<(Vec<Option<String>>, u64)> {
        let texts = |key: &[u32]| key.iter().map(|number| self.names.text(*number)).collect();
        let mut rows: Vec<(Vec<Option<String>>, u64)> =
            self.counts.iter().map(|(key, count)| (texts(key), *count)).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    }
}

/// How often each key occurs in the rows. Neighbours are alike: they are added up before they are looked up.
fn count(keys: &[u64], rows: &BooleanBuffer, total: u64, found: &mut Vec<(u64, u64)>) {
    let dense = total <= DENSE;
    let mut list = vec![0_u64; if dense { total as usize } else { 0 }];
    let mut table: HashMap<u64, u64, FixedState> = HashMap::with_hasher(FixedState::with_seed(7));
    let mut add = |key: u64, count: u64| match list.get_mut(key as usize) {
        Some(slot) if dense => *slot += count,
        _ => *table.entry(key).or_default() += count,
    };
    for (from, to) in rows.set_slices() {
        for run in keys.get(from..to).unwrap_or_default().chunk_by(|a, b| a == b) {
            if let Some(key) = run.first() {
                add(*key, run.len() as u64);
            }
        }
    }
    found.extend((0..).zip(list).filter(|(_, count)| *count > 0));
    found.extend(table);
}
