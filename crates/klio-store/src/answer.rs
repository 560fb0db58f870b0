//! What a filter can answer for the rows of a row group, from columns alone.
//!
//! Each row gets the set of answers that are possible: true, false, unknown. A row that cannot be true is not read;
//! one that can only be true needs no second look; the others are asked of the record itself, so that the lake says
//! exactly what `MemoryArchive` says.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, Int64Type, TimestampMicrosecondType};
use klio_model::field::Value;
use klio_model::filter::{Matcher, Quantifier, Test};
use klio_model::{Field, Filter, Json, TimeRange, Timestamp};

use crate::columns::answering;
use crate::error::StoreError;
use crate::group::{Cells, Coded, Group};

/// Stands for the cost of a field that columns do not tell.
const BY_RECORD: u64 = 1 << 20;

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

/// The answers of a filter for the rows `within`; what is said of others means nothing.
///
/// Columns are read only while there are rows that they can tell something about.
pub(crate) fn answer(
    filter: &Filter,
    group: &Group<'_>,
    within: &BooleanBuffer,
) -> Result<Answers, StoreError> {
    let rows = group.rows;
    Ok(match filter {
        Filter::All => Answers::all(rows, true, false, false),
        Filter::Nothing => Answers::all(rows, false, true, false),
        Filter::And(parts) => {
            let mut all = Answers::all(rows, true, false, false);
            let mut left = within.clone();
            for part in by_cost(parts, group) {
                if left.count_set_bits() == 0 {
                    break;
                }
                let each = answer(part, group, &left)?;
                // Unknown unless one of them is false. What cannot be true is not looked at again: its other parts may
                // say no, whatever this one does.
                let out = &left & &!&each.yes;
                all.no = &(&all.no | &out) | &(&each.no & &left);
                all.unknown = &all.unknown | &(&each.unknown & &left);
                left = &left & &each.yes;
            }
            Answers { yes: left, ..all }
        }
        Filter::Or(parts) => {
            let mut any = Answers::all(rows, false, true, false);
            let mut left = within.clone();
            for part in by_cost(parts, group) {
                if left.count_set_bits() == 0 {
                    break;
                }
                let each = answer(part, group, &left)?;
                let sure = &each.certain() & &left;
                any.yes = &any.yes | &(&each.yes & &left);
                any.no = &any.no & &(&each.no | &!&left);
                any.unknown = &(&any.unknown | &(&each.unknown & &left)) & &!&sure;
                left = &left & &!&sure;
            }
            any
        }
        Filter::Not(part) => {
            let each = answer(part, group, within)?;
            Answers { yes: each.no, no: each.yes, unknown: each.unknown }
        }
        Filter::Test(test) => {
            of_test(test, group, within)?.unwrap_or_else(|| Answers::all(rows, true, true, true))
        }
        Filter::Keyword(_) => Answers::all(rows, true, true, false),
    })
}

/// What is quickly answered goes first.
fn by_cost<'p>(parts: &'p [Filter], group: &Group<'_>) -> Vec<&'p Filter> {
    let mut parts: Vec<&Filter> = parts.iter().collect();
    parts.sort_by_cached_key(|part| cost(part, group));
    parts
}

/// About how much is read for an answer: the packed bytes of columns that are not at hand.
fn cost(filter: &Filter, group: &Group<'_>) -> u64 {
    let mut cost = 0;
    filter.each_field(&mut |field| {
        let column = answering(field.field());
        let told = field.path().is_empty() && !field.field().info().needs_body;
        cost += column.filter(|_| told).map_or(BY_RECORD, |column| group.cost(column.name));
    });
    cost
}

/// The rows whose time lies in a range, as far as the column tells.
pub(crate) fn in_range(range: TimeRange, group: &Group<'_>) -> Result<BooleanBuffer, StoreError> {
    let column = if range.is_all() { None } else { group.array("time")? };
    let times = column.as_ref().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let Some(times) = times else { return Ok(BooleanBuffer::new_set(group.rows)) };
    let values = times.values();
    let inside = BooleanBuffer::collect_bool(values.len(), |i| range.contains(Timestamp(values[i])));
    Ok(match times.nulls() {
        Some(nulls) => &inside & nulls.inner(),
        None => inside,
    })
}

/// `None` when no column answers the test.
fn of_test(test: &Test, group: &Group<'_>, within: &BooleanBuffer) -> Result<Option<Answers>, StoreError> {
    let field = test.field.field();
    if field == Field::Falco {
        return Ok(None);
    }
    if field.info().needs_body {
        // Without a body there is no value, and without a value nothing is true.
        let all = || BooleanBuffer::new_set(group.rows);
        return Ok(group.flags("body")?.map(|body| Answers { yes: body, no: all(), unknown: all() }));
    }
    if !test.field.path().is_empty() || matches!(test.matcher, Matcher::Same(_)) {
        return Ok(None);
    }
    let Some(column) = answering(field) else { return Ok(None) };
    let Some(cells) = group.cells(column.name)? else { return Ok(None) };
    let told = match &cells {
        Cells::Words(words) => of_words(test, words, within),
        Cells::Array(array) => of_array(test, array),
    };
    let (Some(yes), Some(whole)) = (told, group.flags("whole")?) else { return Ok(None) };
    // Of a record that is not whole nothing is certain: a list may be cut, a time unreadable.
    let odd = !&whole;
    // Where there is no value the answer is false, or unknown if the record might have lost it.
    let unknown = match field {
        // Written with the outcome only.
        Field::Code | Field::Reason | Field::Decision => &cells.missing() | &odd,
        _ => odd.clone(),
    };
    Ok(Some(Answers { no: &!&yes | &odd, unknown, yes: &yes | &odd }))
}

/// Which rows hold: each word that stands in one of them is asked once.
fn of_words(test: &Test, words: &Coded, within: &BooleanBuffer) -> Option<BooleanBuffer> {
    let is_list = test.field.field() == Field::Groups;
    let of = |text: &str| {
        if is_list { of_list(test, text) } else { Some(test.matcher.matches(Value::Text(text))) }
    };
    let mut asked = vec![None; words.words.len() + 1];
    let mut told = true;
    let rows = words.rows_within(within, |code| {
        let Some(slot) = asked.get_mut(code as usize) else { return false };
        *slot.get_or_insert_with(|| {
            // No value is code 0.
            let held = words.word(code).map_or(Some(false), of);
            told &= held.is_some();
            held.unwrap_or_default()
        })
    });
    told.then_some(rows)
}

/// The same of a column of anything else.
fn of_array(test: &Test, array: &ArrayRef) -> Option<BooleanBuffer> {
    let rows = array.len();
    let holds = |value: Value<'_>| test.matcher.matches(value);
    let held = if let Some(texts) = array.as_string_opt::<i32>() {
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
    Some(match array.nulls() {
        Some(nulls) => &held & nulls.inner(),
        None => held,
    })
}

fn over<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    mut f: impl FnMut(T::Native) -> bool,
) -> BooleanBuffer {
    let values = array.values();
    BooleanBuffer::collect_bool(values.len(), |i| f(values[i]))
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
