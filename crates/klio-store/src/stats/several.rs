//! Several counts of the same events in one pass: a screen asks for values of many fields and for the times.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::TimestampMicrosecondType;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use klio_model::{Event, FieldRef, Filter, TimeRange, Timestamp};

use super::codes::{self, codes};
use super::tally::{Names, Tally};
use super::{BUCKETS, Seen};
use crate::error::StoreError;
use crate::group::Group;
use crate::lake::Lake;
use crate::scan::Scanned;

/// Values, or steps of values, that are counted at most. More are no picture and no list, and take a gigabyte.
const MOST: usize = 1_000_000;

/// Values of some fields, and number of events.
pub type Combination = (Vec<Option<String>>, u64);

/// A value, and its steps with numbers of events.
pub type Steps = (Option<String>, Vec<(Timestamp, u64)>);

/// What was counted in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For each list of fields the combinations of their values, the most frequent first. An event with several values of a field
    /// counts for each.
    pub values: Vec<Vec<Combination>>,
    /// For each value of a field the steps that have events, in the order of time; the most frequent value first. Events without a
    /// time are left out.
    pub steps: Vec<Steps>,
    /// What was looked at.
    pub scanned: Scanned,
}

impl Lake {
    /// Counts the combinations of values of each list of fields, and the events in each step of so many microseconds by the value of
    /// one field.
    ///
    /// # Errors
    /// [`StoreError::Query`] when there are too many steps.
    pub fn counts(
        &mut self,
        values: &[Vec<FieldRef>],
        steps: Option<(&FieldRef, i64)>,
        filter: &Filter,
        range: TimeRange,
    ) -> Result<Counts, StoreError> {
        let mut tallies: Vec<Tally> = values.iter().map(|fields| Tally::new(fields)).collect();
        let told: Vec<bool> = values.iter().map(|fields| codes::tell(fields)).collect();
        let mut series = steps.map(|(field, step)| Series::new(field, step));
        let mut sinks: Vec<Box<Sink<'_>>> = Vec::new();
        for (tally, tell) in tallies.iter_mut().zip(told) {
            sinks.push(Box::new(move |seen| match seen {
                Seen::Columns(group, rows) => {
                    let told = tell && tally.columns(group, rows)?;
                    within(tally.len()).map(|()| told)
                }
                Seen::Event(event) => {
                    tally.event(event);
                    within(tally.len()).map(|()| true)
                }
            }));
        }
        if let Some(series) = &mut series {
            sinks.push(Box::new(move |seen| match seen {
                Seen::Columns(group, rows) => {
                    let told = series.columns(group, rows)?;
                    within(series.counts.len()).map(|()| told)
                }
                Seen::Event(event) => {
                    series.event(event);
                    within(series.counts.len()).map(|()| true)
                }
            }));
        }
        let scanned = self.survey_each(filter, range, &mut sinks)?;
        drop(sinks);
        Ok(Counts {
            values: tallies.into_iter().map(Tally::sorted).collect(),
            steps: series.map(Series::sorted).transpose()?.unwrap_or_default(),
            scanned,
        })
    }
}

fn within(values: usize) -> Result<(), StoreError> {
    if values <= MOST {
        return Ok(());
    }
    Err(StoreError::Query(
        "so many different values are no list; ask for another field, or for less time".into(),
    ))
}

/// What takes what a survey comes by; false if the columns did not tell.
pub(super) type Sink<'s> = dyn FnMut(Seen<'_, '_>) -> Result<bool, StoreError> + 's;

/// Events over time, by the value of a field.
struct Series {
    field: FieldRef,
    tell: bool,
    step: i64,
    names: Names,
    counts: HashMap<(u32, i64), u64, FixedState>,
}

impl Series {
    fn new(field: &FieldRef, step: i64) -> Self {
        let tell = codes::tell(std::slice::from_ref(field));
        let counts = HashMap::with_hasher(FixedState::with_seed(7));
        Self { field: field.clone(), tell, step: step.max(1), names: Names::default(), counts }
    }

    fn event(&mut self, event: &Event<'_>) {
        let Some(time) = event.time() else { return };
        let number = time.micros().div_euclid(self.step);
        let mut any = false;
        event.visit(&self.field, &mut |value| {
            any = true;
            *self.counts.entry((self.names.of(&value.to_text()), number)).or_default() += 1;
            false
        });
        if !any {
            *self.counts.entry((Names::NONE, number)).or_default() += 1;
        }
    }

    fn columns(&mut self, group: &Group<'_>, rows: &BooleanBuffer) -> Result<bool, StoreError> {
        if !self.tell {
            return Ok(false);
        }
        let column = group.array("time")?;
        let times = column.as_ref().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(times) = times else { return Ok(false) };
        let Some(codes) = codes(self.field.field(), group, &mut self.names)? else { return Ok(false) };
        let there = times.nulls().map_or_else(|| rows.clone(), |nulls| rows & nulls.inner());
        let mut runs = codes.rows.runs.iter();
        let (mut code, mut end) = (0, 0);
        // Neighbours are alike: those of one step and one code are added up.
        let mut run: Option<(u32, i64, u64)> = None;
        for row in there.set_indices() {
            while row >= end {
                let Some(next) = runs.next() else { break };
                (code, end) = (next.code, next.end as usize);
            }
            let time = times.values().get(row).copied().unwrap_or_default();
            match &mut run {
                Some((of, start, count)) if *of == code && (*start..*start + self.step).contains(&time) => {
                    *count += 1;
                }
                _ => {
                    let start = time.div_euclid(self.step).saturating_mul(self.step);
                    if let Some(run) = run.replace((code, start, 1)) {
                        self.add(&codes.values, run);
                    }
                }
            }
        }
        if let Some(run) = run {
            self.add(&codes.values, run);
        }
        Ok(true)
    }

    fn add(&mut self, values: &[Vec<u32>], (code, start, count): (u32, i64, u64)) {
        for name in values.get(code as usize).map_or(&[][..], Vec::as_slice) {
            *self.counts.entry((*name, start.div_euclid(self.step))).or_default() += count;
        }
    }

    fn sorted(self) -> Result<Vec<Steps>, StoreError> {
        let numbers = self.counts.keys().map(|(_, number)| *number);
        let (first, last) = (numbers.clone().min().unwrap_or(0), numbers.max().unwrap_or(0));
        if last.saturating_sub(first) > BUCKETS {
            return Err(StoreError::Query(
                "so many steps are no picture; ask for longer steps or less time".into(),
            ));
        }
        let mut values: BTreeMap<u32, (u64, BTreeMap<i64, u64>)> = BTreeMap::new();
        for ((name, number), count) in &self.counts {
            let (all, steps) = values.entry(*name).or_default();
            *all += count;
            steps.insert(*number, *count);
        }
        let mut sorted: Vec<_> =
            values.into_iter().map(|(name, (all, steps))| (self.names.text(name), all, steps)).collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let at = |number: i64| Timestamp(number.saturating_mul(self.step));
        let one = |steps: BTreeMap<i64, u64>| steps.into_iter().map(|(n, count)| (at(n), count)).collect();
        Ok(sorted.into_iter().map(|(name, _, steps)| (name, one(steps))).collect())
    }
}
