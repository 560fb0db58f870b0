//! Combinations of values and how often each occurs.

use arrow::buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use klio_model::{Event, FieldRef};

use super::codes::{Codes, codes};
use crate::error::StoreError;
use crate::group::{Group, Run};
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

    pub(super) fn text(&self, number: u32) -> Option<String> {
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

    /// How many combinations there are so far.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
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

    /// Counts rows of a group from its columns; false if they do not tell, and nothing was counted.
    pub(super) fn columns(&mut self, group: &Group<'_>, rows: &BooleanBuffer) -> Result<bool, StoreError> {
        let mut each = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let Some(codes) = codes(field.field(), group, &mut self.names)? else { return Ok(false) };
            each.push(codes);
        }
        let sizes: Vec<u64> = each.iter().map(|codes| codes.values.len() as u64).collect();
        let Some(total) = sizes.iter().try_fold(1_u64, |all, size| all.checked_mul(*size)) else {
            return Ok(false);
        };
        for (mut key, count) in count(&each, &sizes, rows, total) {
            let mut lists: Vec<&[u32]> = Vec::with_capacity(each.len());
            for (codes, size) in each.iter().zip(&sizes).rev() {
                lists.push(codes.values.get((key % size) as usize).map_or(&[], Vec::as_slice));
                key /= size;
            }
            lists.reverse();
            self.combine(&lists, count);
        }
        Ok(true)
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

/// How often each combination of codes occurs in the rows, as one number each. Neighbours are alike: rows are added up
/// from one end of a run to the next.
fn count(each: &[Codes], sizes: &[u64], rows: &BooleanBuffer, total: u64) -> Vec<(u64, u64)> {
    let dense = total <= DENSE;
    let mut list = vec![0_u64; if dense { total as usize } else { 0 }];
    let mut table: HashMap<u64, u64, FixedState> = HashMap::with_hasher(FixedState::with_seed(7));
    let all = rows.count_set_bits() == rows.len();
    let mut left: Vec<&[Run]> = each.iter().map(|codes| codes.rows.runs.as_slice()).collect();
    let mut from = 0;
    // Until a column ends: all end together.
    while let Some(to) = left.iter().map(|runs| runs.first().map_or(0, |run| run.end as usize)).min() {
        if to <= from {
            break;
        }
        let mut key = 0;
        for (runs, size) in left.iter_mut().zip(sizes) {
            let Some((run, rest)) = runs.split_first() else { continue };
            key = key * size + u64::from(run.code);
            if run.end as usize == to {
                *runs = rest;
            }
        }
        let inside = to.min(rows.len()) - from.min(rows.len());
        let count =
            if all { inside } else { rows.slice(from.min(rows.len()), inside).count_set_bits() } as u64;
        from = to;
        if count > 0 {
            match list.get_mut(key as usize) {
                Some(slot) if dense => *slot += count,
                _ => *table.entry(key).or_default() += count,
            }
        }
    }
    let mut found: Vec<(u64, u64)> = (0..).zip(list).filter(|(_, count)| *count > 0).collect();
    found.extend(table);
    found
}
