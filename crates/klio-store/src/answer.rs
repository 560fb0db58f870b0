//! What a filter can answer for the rows of a batch, from columns alone.
//!
//! Each row gets the set of answers that are possible: true, false, unknown. A row that cannot be true is not read;
//! one that can only be true needs no second look; the others are asked of the record itself, so that the lake says
//! exactly what `MemoryArchive` says.

use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampMicrosecondType};
use klio_model::field::Value;
use klio_model::filter::{Matcher, Quantifier, Test};
use klio_model::{Field, Filter, Json, TimeRange, Timestamp};

use crate::columns::{COLUMNS, answering, place};

/// The rows for which each answer is possible.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub yes: BooleanBuffer,
    pub no: BooleanBuffer,
    pub unknown: BooleanBuffer,
}

impl Answers {
    fn all(rows: usize, yes: bool, no: bool, unknown: bool) -> Self {
        let fill = |b: bool| if b { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) };
        Self { yes: fill(yes), no: fill(no), unknown: fill(unknown) }
    }

    /// The rows that are certainly true.
    pub(crate) fn certain(&self) -> BooleanBuffer {
        &self.yes & &!&(&self.no | &self.unknown)
    }
}

/// The columns that a filter and a range are answered from, by place.
pub(crate) fn columns_for(filter: &Filter, range: TimeRange) -> Vec<usize> {
    let mut places = Vec::new();
    filter.each_field(&mut |field| {
        if let (Some(at), true) = (answering(field.field()), field.path().is_empty()) {
            places.push(at);
            places.extend(place("whole"));
        } else if field.field().info().needs_body {
            places.extend(place("body"));
        }
    });
    if !range.is_all() {
        places.extend(place("time"));
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// The answers of a filter.
pub(crate) fn answer(filter: &Filter, batch: &RecordBatch) -> Answers {
    let rows = batch.num_rows();
    match filter {
        Filter::All => Answers::all(rows, true, false, false),
        Filter::Nothing => Answers::all(rows, false, true, false),
        Filter::And(parts) => parts.iter().fold(Answers::all(rows, true, false, false), |a, part| {
            let b = answer(part, batch);
            // Unknown unless one of them is false.
            Answers { yes: &a.yes & &b.yes, no: &a.no | &b.no, unknown: &a.unknown | &b.unknown }
        }),
        Filter::Or(parts) => parts.iter().fold(Answers::all(rows, false, true, false), |a, part| {
            let b = answer(part, batch);
            let sure = &a.certain() | &b.certain();
            Answers { yes: &a.yes | &b.yes, no: &a.no & &b.no, unknown: &(&a.unknown | &b.unknown) & &!&sure }
        }),
        Filter::Not(part) => {
            let a = answer(part, batch);
            Answers { yes: a.no, no: a.yes, unknown: a.unknown }
        }
        Filter::Test(test) => of_test(test, batch).unwrap_or_else(|| Answers::all(rows, true, true, true)),
        Filter::Keyword(_) => Answers::all(rows, true, true, false),
    }
}

/// The rows whose time lies in a range, as far as the column tells.
pub(crate) fn in_range(range: TimeRange, batch: &RecordBatch) -> BooleanBuffer {
    let rows = batch.num_rows();
    let times = batch.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let Some(times) = times.filter(|_| !range.is_all()) else { return BooleanBuffer::new_set(rows) };
    let values = times.values();
    let inside = BooleanBuffer::collect_bool(rows, |i| range.contains(Timestamp(values[i])));
    match times.nulls() {
        Some(nulls) => &inside & nulls.inner(),
        None => inside,
    }
}

/// `None` when no column answers the test.
fn of_test(test: &Test, batch: &RecordBatch) -> Option<Answers> {
    let rows = batch.num_rows();
    let field = test.field.field();
    if field == Field::Falco {
        return None;
    }
    if field.info().needs_body {
        // Without a body there is no value, and without a value nothing is true.
        let body = batch.column_by_name("body")?.as_boolean_opt()?;
        let all = BooleanBuffer::new_set(rows);
        return Some(Answers { yes: body.values().clone(), no: all.clone(), unknown: all });
    }
    if !test.field.path().is_empty() || matches!(test.matcher, Matcher::Same(_)) {
        return None;
    }
    let column = COLUMNS.get(answering(field)?)?;
    let array = batch.column_by_name(column.name)?;
    let holds = |value: Value<'_>| test.matcher.matches(value);
    let yes = if let Some(words) = array.as_dictionary_opt::<Int32Type>() {
        let values = words.values().as_string_opt::<i32>()?;
        let of = |text: &str| {
            if field == Field::Groups { of_list(test, text) } else { Some(holds(Value::Text(text))) }
        };
        let each: Vec<bool> = values.iter().map(|v| of(v?)).collect::<Option<_>>()?;
        let keys = words.keys().values();
        BooleanBuffer::collect_bool(rows, |i| each.get(keys[i] as usize).copied().unwrap_or(false))
    } else if let Some(texts) = array.as_string_opt::<i32>() {
        BooleanBuffer::collect_bool(rows, |i| texts.is_valid(i) && holds(Value::Text(texts.value(i))))
    } else if let Some(bools) = array.as_boolean_opt() {
        let (set, unset) = (holds(Value::Bool(true)), holds(Value::Bool(false)));
        BooleanBuffer::collect_bool(rows, |i| if bools.value(i) { set } else { unset })
    } else if let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        let Matcher::When(comparison, instant) = &test.matcher else { return None };
        over(times, |t| comparison.holds(Timestamp(t), *instant))
    } else {
        let numbers = array.as_primitive_opt::<Int64Type>()?;
        // Status codes repeat.
        let mut last = None;
        let mut known = |n: i64| match last {
            Some((m, held)) if m == n => held,
            _ => {
                let held = holds(Value::Int(n));
                last = Some((n, held));
                held
            }
        };
        over(numbers, &mut known)
    };
    let whole = batch.column_by_name("whole")?.as_boolean_opt()?;
    Some(with_nulls(array.as_ref(), field, yes, whole))
}

fn over<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    mut f: impl FnMut(T::Native) -> bool,
) -> BooleanBuffer {
    let values = array.values();
    BooleanBuffer::collect_bool(values.len(), |i| f(values[i]))
}

/// Where there is no value the answer is false, or unknown if the record might have lost it.
fn with_nulls(array: &dyn Array, field: Field, yes: BooleanBuffer, whole: &BooleanArray) -> Answers {
    let lost = match field {
        // Written with the outcome only.
        Field::Code | Field::Reason | Field::Decision => BooleanBuffer::new_set(yes.len()),
        _ => !whole.values(),
    };
    // Of a record that is not whole nothing is certain: a list may be cut, a time unreadable.
    let odd = !whole.values();
    let there = array.nulls().map_or_else(|| BooleanBuffer::new_set(yes.len()), |n| n.inner().clone());
    let yes = &yes & &there;
    Answers { no: &!&yes | &odd, unknown: &(&!&there & &lost) | &odd, yes: &yes | &odd }
}

/// The answer for a list of texts as JSON wrote it; `None` if it is none.
fn of_list(test: &Test, json: &str) -> Option<bool> {
    // A single text stands for a list of one, and a list may hold others: the record says.
    let list = Json::parse(json).filter(|json| matches!(json, Json::Array(_)))?;
    let mut held =
        list.items().iter().map(|item| item.as_str().map(|s| test.matcher.matches(Value::Text(s))));
    if list.items().is_empty() {
        return Some(false);
    }
    match test.quantifier {
        Quantifier::Any => held.try_fold(false, |any, h| Some(any | h?)),
        Quantifier::Every => held.try_fold(true, |every, h| Some(every & h?)),
    }
}
