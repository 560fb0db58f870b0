//! Several counts of the same events in one pass: a screen asks for values of many fields and for the times.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::TimestampMicrosecondType;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use klio_model::{Event, FieldRef, Filter, TimeRange, Timestamp};

use super::codes::{self, codes};
use super::tally::{Names, Room, Tally, middle};
use super::{BUCKETS, Seen};
use crate::error::StoreError;
use crate::group::Group;
use crate::lake::Lake;
use crate::scan::Scanned;

/// Values of some fields, and number of events.
pub type Combination = (Vec<Option<String>>, u64);

/// A value, and its steps with numbers of events.
pub type Steps = (Option<String>, Vec<(Timestamp, u64)>);

/// Steps of values, and of what was let go.
type Told = (Vec<Steps>, Vec<(Timestamp, u64)>);

/// What was counted in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For each list of fields the combinations of their values, the most frequent first. An event with several values of a field
    /// counts for each.
    pub values: Vec<Vec<Combination>>,
    /// For each list of fields the events of combinations that were let go since there were too many: counts may be too low by that.
    pub other: Vec<u64>,
    /// For each value of a field the steps that have events, in the order of time; the most frequent value first. Events without a
    /// time are left out.
    pub steps: Vec<Steps>,
    /// The steps of values that were let go since there were too many.
    pub other_steps: Vec<(Timestamp, u64)>,
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
        let room = Room::ALL.shared(values.len() + usize::from(steps.is_some()));
        let mut tallies: Vec<Tally> = values.iter().map(|fields| Tally::new(fields, room)).collect();
        let told: Vec<bool> = values.iter().map(|fields| codes::tell(fields)).collect();
        let mut series = steps.map(|(field, step)| Series::new(field, step, room));
        let mut sinks: Vec<Box<Sink<'_>>> = Vec::new();
        for (tally, tell) in tallies.iter_mut().zip(told) {
            sinks.push(Box::new(move |seen| match seen {
                Seen::Columns(group, rows) => Ok(tell && tally.columns(group, rows)?),
                Seen::Event(event) => {
                    tally.event(event);
                    Ok(true)
                }
            }));
        }
        if let Some(series) = &mut series {
            sinks.push(Box::new(move |seen| match seen {
                Seen::Columns(group, rows) => series.columns(group, rows),
                Seen::Event(event) => {
                    series.event(event);
                    Ok(true)
                }
            }));
        }
        let scanned = self.survey_each(filter, range, &mut sinks)?;
        drop(sinks);
        let other = tallies.iter().map(|tally| tally.let_go().events).collect();
        let (steps, other_steps) = series.map(Series::sorted).transpose()?.unwrap_or_default();
        let values = tallies.into_iter().map(Tally::sorted).collect();
        Ok(Counts { values, other, steps, other_steps, scanned })
    }
}

/// What takes what a survey comes by; false if the columns did not tell.
pub(super) type Sink<'s> = dyn FnMut(Seen<'_, '_>) -> Result<bool, StoreError> + 's;

/// Events over time, by the value of a field. If there are too many values, the rarer half is let go, as of a [`Tally`].
struct Series {
    field: FieldRef,
    tell: bool,
    step: i64,
    names: Names,
    counts: HashMap<(u32, i64), u64, FixedState>,
    room: Room,
    /// Of what was let go, the events of each step.
    other: BTreeMap<i64, u64>,
}

impl Series {
    fn new(field: &FieldRef, step: i64, room: Room) -> Self {
        Self {
            field: field.clone(),
            tell: codes::tell(std::slice::from_ref(field)),
            step: step.max(1),
            names: Names::default(),
            counts: HashMap::with_hasher(FixedState::with_seed(7)),
            room,
            other: BTreeMap::new(),
        }
    }

    fn lacks_room(&self, cleared: bool) -> bool {
        let bytes = self.names.bytes() + self.counts.capacity() * size_of::<(u32, i64, u64)>();
        self.room.lacks(self.counts.len(), bytes, cleared)
    }

    /// Makes room if there is none.
    fn make_room(&mut self) {
        if !self.lacks_room(false) {
            return;
        }
        self.rename();
        while self.lacks_room(true) {
            let mut sums: BTreeMap<u32, u64> = BTreeMap::new();
            for ((name, _), count) in self.counts.iter().filter(|((name, _), _)| *name != Names::NONE) {
                *sums.entry(*name).or_default() += count;
            }
            let least = middle(sums.values().copied().collect());
            let before = self.counts.len();
            let other = &mut self.other;
            self.counts.retain(|(name, number), count| {
                let stays = sums.get(name).is_none_or(|sum| *sum > least);
                if !stays {
                    *other.entry(*number).or_default() += *count;
                }
                stays
            });
            if self.counts.len() == before {
                break;
            }
            self.rename();
        }
    }

    fn rename(&mut self) {
        let mut all: Vec<((u32, i64), u64)> = self.counts.drain().collect();
        self.names.keep(all.iter_mut().map(|((name, _), _)| name));
        self.counts = HashMap::with_capacity_and_hasher(all.len(), FixedState::with_seed(7));
        self.counts.extend(all);
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
        self.make_room();
    }

    fn columns(&mut self, group: &Group<'_>, rows: &BooleanBuffer) -> Result<bool, StoreError> {
        if !self.tell {
            return Ok(false);
        }
        let column = group.array("time")?;
        let times = column.as_ref().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(times) = times else { return Ok(false) };
        let Some(codes) = codes(self.field.field(), group, &mut self.names, self.room)? else {
            return Ok(false);
        };
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
                Some((of, start, count))
                    if *of == code && (*start..start.saturating_add(self.step)).contains(&time) =>
                {
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
        self.make_room();
        Ok(true)
    }

    fn add(&mut self, values: &[Vec<u32>], (code, start, count): (u32, i64, u64)) {
        for name in values.get(code as usize).map_or(&[][..], Vec::as_slice) {
            *self.counts.entry((*name, start.div_euclid(self.step))).or_default() += count;
        }
    }

    /// The steps of the values, and those of what was let go.
    fn sorted(self) -> Result<Told, StoreError> {
        let numbers = self.counts.keys().map(|(_, number)| *number).chain(self.other.keys().copied());
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
        let steps = sorted.into_iter().map(|(name, _, steps)| (name, one(steps))).collect();
        Ok((steps, one(self.other)))
    }
}

#[cfg(test)]
mod tests {
    use klio_model::Field;

    use super::*;

    #[test]
    fn steps_of_values_that_are_let_go_are_told_together() {
        let field = FieldRef::of(Field::UserAgent);
        let mut series = Series::new(&field, 10, Room { values: 100, ..Room::ALL });
        let event = |text: &str, time: i64| {
            let time = Timestamp(time).to_string();
            let raw = serde_json::json!({ "userAgent": text, "requestReceivedTimestamp": time });
            raw.to_string()
        };
        for number in 0..2_000 {
            for text in ["kubectl", &format!("invented {number}")] {
                series.event(&Event::parse(&event(text, number % 50)).unwrap());
            }
            assert!(series.counts.len() <= 100);
        }
        let (steps, other) = series.sorted().unwrap();
        let five: Vec<_> = (0..5).map(|step| (Timestamp(step * 10), 400)).collect();
        assert_eq!(steps[0], (Some("kubectl".to_owned()), five));
        let invented = steps[1..].iter().flat_map(|(_, steps)| steps).chain(&other).map(|(_, count)| count);
        assert_eq!(invented.sum::<u64>(), 2_000);
    }
}
