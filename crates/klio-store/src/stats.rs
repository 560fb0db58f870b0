//! Counting without reading records: how many, of which values, when.
//!
//! Where columns tell both whether an event matches and what its values are, the codes of their dictionaries are
//! counted; other events are read. Fresh events are counted with the rest.
//!
//! Strangers choose some values (paths, clients, names), so that a count holds no more than so many values and so much
//! memory: then what is rare is let go and told in one number. A value of more than 1,024 bytes is counted by its beginning, which
//! ends with an ellipsis.

mod codes;
mod several;
mod tally;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use arrow::array::{Array, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::TimestampMicrosecondType;
use klio_model::{Event, FieldRef, Filter, TimeRange, Timestamp};

use crate::error::StoreError;
use crate::group::Group;
use crate::lake::Lake;
use crate::scan::{Candidates, Question, Scanned};

use several::Sink;
pub use several::{Combination, Counts, Steps};
use tally::{Room, Tally};

/// More buckets than this are no picture any more.
const BUCKETS: i64 = 200_000;

/// The most frequent values of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Value and number of events, the most frequent first.
    pub values: Vec<(String, u64)>,
    /// Events with values that are not among them; an event counts for each of its values.
    pub other: u64,
    /// Those of them whose values were let go since there were too many: counts may be too low by that.
    pub let_go: u64,
    /// Events without a value.
    pub missing: u64,
    /// What was looked at.
    pub scanned: Scanned,
}

/// The combinations of values that occur.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distinct {
    /// Values and number of events, the most frequent first.
    pub rows: Vec<(Vec<Option<String>>, u64)>,
    /// Combinations that were left out; about, if some were let go.
    pub more: u64,
    /// Events of combinations that were let go since there were too many: counts may be too low by that.
    pub let_go: u64,
    /// What was looked at.
    pub scanned: Scanned,
}

/// Numbers of events over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Beginning and number of events of each step, from the first with events to the last.
    pub steps: Vec<(Timestamp, u64)>,
    /// What was looked at.
    pub scanned: Scanned,
}

impl Lake {
    /// How many events match.
    pub fn count(&mut self, filter: &Filter, range: TimeRange) -> Result<Scanned, StoreError> {
        Ok(self.count_each(std::slice::from_ref(filter), range)?.pop().unwrap_or_default())
    }

    /// How many events match each of several filters. A column that several of them ask is read once.
    pub fn count_each(&mut self, filters: &[Filter], range: TimeRange) -> Result<Vec<Scanned>, StoreError> {
        let mut view = self.view(range)?;
        let asked = filters.iter().map(|filter| (Question::new(filter, range, self), view.scanned));
        let mut asked: Vec<_> = asked.collect();
        while let Some(file) = view.next(self)? {
            for group in 0..file.groups() {
                let group = Group::new(&file, group);
                for (question, scanned) in &mut asked {
                    scanned.rows += group.rows as u64;
                    let Some(found) = question.candidates(&group)? else { continue };
                    scanned.matched += found.certain.count_set_bits() as u64;
                    read(question, &group, found, true, scanned, &mut |_| Ok(()))?;
                }
            }
        }
        let each = asked.into_iter().map(|(question, mut scanned)| {
            view.each_fresh(&question, &mut scanned, &mut |_, _| ControlFlow::Continue(()))?;
            Ok(scanned)
        });
        each.collect()
    }

    /// The `n` most frequent values of a field among the events that match.
    pub fn top(
        &mut self,
        field: &FieldRef,
        filter: &Filter,
        range: TimeRange,
        n: usize,
    ) -> Result<Top, StoreError> {
        let (tally, scanned) = self.tally(std::slice::from_ref(field), filter, range)?;
        let let_go = tally.let_go().events;
        let mut top = Top { scanned, other: let_go, let_go, ..Top::default() };
        for (mut values, count) in tally.sorted() {
            match values.pop().flatten() {
                None => top.missing += count,
                Some(value) if top.values.len() < n => top.values.push((value, count)),
                Some(_) => top.other += count,
            }
        }
        Ok(top)
    }

    /// The combinations of values of some fields among the events that match, at most `limit`. An event with several
    /// values of a field counts for each.
    pub fn distinct(
        &mut self,
        fields: &[FieldRef],
        filter: &Filter,
        range: TimeRange,
        limit: usize,
    ) -> Result<Distinct, StoreError> {
        let (tally, scanned) = self.tally(fields, filter, range)?;
        let let_go = tally.let_go();
        let mut rows = tally.sorted();
        let more = let_go.values + rows.len().saturating_sub(limit) as u64;
        rows.truncate(limit);
        Ok(Distinct { rows, more, let_go: let_go.events, scanned })
    }

    /// Events in each `step` microseconds, counted from 1970. Events without a time are left out.
    ///
    /// # Errors
    /// [`StoreError::Query`] when there are too many steps.
    pub fn histogram(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        step: i64,
    ) -> Result<Histogram, StoreError> {
        let step = step.max(1);
        let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
        let mut add = |number: i64, count: u64| *counts.entry(number).or_default() += count;
        let scanned = self.survey(filter, range, &mut |seen| match seen {
            Seen::Columns(group, rows) => {
                let column = group.array("time")?;
                let times = column.as_ref().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
                // Their records tell, if a file has no such column.
                let Some(times) = times else { return Ok(false) };
                let there = times.nulls().map_or_else(|| rows.clone(), |nulls| rows & nulls.inner());
                count_steps(times.values(), &there, step, &mut add);
                Ok(true)
            }
            Seen::Event(event) => {
                if let Some(time) = event.time() {
                    add(time.micros().div_euclid(step), 1);
                }
                Ok(true)
            }
        })?;
        let (first, last) = (counts.keys().next().copied(), counts.keys().next_back().copied());
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(Histogram { steps: Vec::new(), scanned });
        };
        if last.saturating_sub(first) > BUCKETS {
            return Err(StoreError::Query(
                "so many steps are no picture; ask for longer steps or less time".into(),
            ));
        }
        let at =
            |number: i64| (Timestamp(number.saturating_mul(step)), counts.get(&number).copied().unwrap_or(0));
        Ok(Histogram { steps: (first..=last).map(at).collect(), scanned })
    }

    fn tally(
        &mut self,
        fields: &[FieldRef],
        filter: &Filter,
        range: TimeRange,
    ) -> Result<(Tally, Scanned), StoreError> {
        let mut tally = Tally::new(fields, Room::ALL);
        let tell = codes::tell(fields);
        let scanned = self.survey(filter, range, &mut |seen| match seen {
            Seen::Columns(group, rows) => Ok(tell && tally.columns(group, rows)?),
            Seen::Event(event) => {
                tally.event(event);
                Ok(true)
            }
        })?;
        Ok((tally, scanned))
    }

    /// Calls `f` with the rows of each group that certainly match, and with each other event that matches. Where `f`
    /// says that the columns did not tell what it wants to know, it gets all events of the group.
    fn survey(&mut self, filter: &Filter, range: TimeRange, f: &mut Sink<'_>) -> Result<Scanned, StoreError> {
        self.survey_each(filter, range, &mut [Box::new(f)])
    }

    /// The same for several, in one pass.
    fn survey_each(
        &mut self,
        filter: &Filter,
        range: TimeRange,
        sinks: &mut [Box<Sink<'_>>],
    ) -> Result<Scanned, StoreError> {
        let mut view = self.view(range)?;
        let question = Question::new(filter, range, self);
        let mut scanned = view.scanned;
        while let Some(file) = view.next(self)? {
            for group in 0..file.groups() {
                scanned.rows += file.rows(group) as u64;
                let group = Group::new(&file, group);
                let Some(found) = question.candidates(&group)? else { continue };
                let mut left = Vec::new();
                for (number, sink) in sinks.iter_mut().enumerate() {
                    if !sink(Seen::Columns(&group, &found.certain))? {
                        left.push(number);
                    }
                }
                // Those whom the columns told nothing get the events that the others have counted.
                if !left.is_empty() {
                    let certain = found.certain.clone();
                    let whole = Candidates { may: certain.clone(), certain };
                    let mut again = Scanned::default();
                    read(&question, &group, whole, false, &mut again, &mut |event| {
                        left.iter().try_for_each(|number| match sinks.get_mut(*number) {
                            Some(sink) => sink(Seen::Event(event)).map(drop),
                            None => Ok(()),
                        })
                    })?;
                    scanned.records += again.records;
                }
                scanned.matched += found.certain.count_set_bits() as u64;
                read(&question, &group, found, true, &mut scanned, &mut |event| {
                    sinks.iter_mut().try_for_each(|sink| sink(Seen::Event(event)).map(drop))
                })?;
            }
        }
        let mut failed = Ok(());
        view.each_fresh(&question, &mut scanned, &mut |_, event| {
            failed = sinks.iter_mut().try_for_each(|sink| sink(Seen::Event(event)).map(drop));
            if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        failed.map(|()| scanned)
    }
}

/// What a survey comes by.
enum Seen<'s, 'e> {
    Columns(&'s Group<'s>, &'s BooleanBuffer),
    Event(&'s Event<'e>),
}

/// Reads the candidates of a group; with `rest`, only those that are not certain.
fn read(
    question: &Question<'_>,
    group: &Group<'_>,
    found: Candidates,
    rest: bool,
    scanned: &mut Scanned,
    f: &mut dyn FnMut(&Event<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let none = BooleanBuffer::new_unset(found.may.len());
    let left = if rest { Candidates { may: &found.may & &!&found.certain, certain: none } } else { found };
    if left.may.count_set_bits() == 0 {
        return Ok(());
    }
    let flow = question.records(group, &left, scanned, &mut |row| {
        if let Some(event) = row.event() {
            f(&event)?;
        }
        Ok(ControlFlow::Continue(()))
    });
    flow.map(drop)
}

/// Counts times by step: those of a file lie close together, so that a list does, and a division is a multiplication.
fn count_steps(times: &[i64], rows: &BooleanBuffer, step: i64, add: &mut dyn FnMut(i64, u64)) {
    let all = rows.count_set_bits() == times.len();
    let time = |row: usize| times.get(row).copied().unwrap_or_default();
    let span = |span: (i64, i64), t: i64| (span.0.min(t), span.1.max(t));
    let nothing = (i64::MAX, i64::MIN);
    let (least, greatest) = if all {
        times.iter().copied().fold(nothing, span)
    } else {
        rows.set_indices().map(time).fold(nothing, span)
    };
    if least > greatest {
        return;
    }
    let base = least.div_euclid(step);
    let Some(start) =
        base.checked_mul(step).filter(|s| greatest.checked_sub(*s).is_some_and(|d| d / step <= BUCKETS))
    else {
        return rows.set_indices().for_each(|row| add(time(row).div_euclid(step), 1));
    };
    let mut counts = vec![0_u64; ((greatest - start) / step + 1) as usize];
    let inverse = 1.0 / step as f64;
    let mut count = |t: i64| {
        let after = t - start;
        let mut number = (after as f64 * inverse) as i64;
        // The product may be off by one.
        number -= i64::from(number * step > after);
        number += i64::from((number + 1) * step <= after);
        if let Some(slot) = counts.get_mut(number as usize) {
            *slot += 1;
        }
    };
    if all {
        times.iter().copied().for_each(&mut count);
    } else {
        rows.set_indices().map(time).for_each(&mut count);
    }
    for (number, count) in (base..).zip(counts).filter(|(_, count)| *count > 0) {
        add(number, count);
    }
}
