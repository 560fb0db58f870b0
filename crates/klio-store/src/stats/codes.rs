//! The values of a column by number.

use std::rc::Rc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::Int64Type;
use klio_model::{Field, FieldRef, Json};

use super::tally::{Names, Room};
use crate::columns::{Kind, answering};
use crate::error::StoreError;
use crate::group::{Cells, Coded, Group, push};

/// Runs of rows with one number, and for each number the values it stands for, as the tally knows them.
pub(super) struct Codes {
    pub rows: Rc<Coded>,
    pub values: Vec<Vec<u32>>,
}

/// Whether columns hold the values of all fields.
pub(super) fn tell(fields: &[FieldRef]) -> bool {
    fields.iter().all(|field| {
        let column = answering(field.field()).filter(|_| field.path().is_empty());
        // Times are texts of any form.
        column.is_some_and(|c| c.kind != Kind::Time)
    })
}

/// `None` when the column does not tell the values of each row, or has more of them than there is room for.
pub(super) fn codes(
    field: Field,
    group: &Group<'_>,
    names: &mut Names,
    room: Room,
) -> Result<Option<Codes>, StoreError> {
    let Some(column) = answering(field) else { return Ok(None) };
    Ok(match group.cells(column.name)? {
        None => None,
        Some(Cells::Words(rows)) if !room.holds(&rows.words) => None,
        Some(Cells::Array(array)) if array.as_string_opt::<i32>().is_some_and(|a| !room.holds(a)) => None,
        Some(Cells::Words(rows)) => of_words(field, rows, names),
        Some(Cells::Array(array)) => of_array(&array, names),
    })
}

fn of_words(field: Field, rows: Rc<Coded>, names: &mut Names) -> Option<Codes> {
    // 0 stands for no value.
    let mut values = vec![vec![Names::NONE]];
    for word in &rows.words {
        values.push(match (word, field) {
            (Some(list), Field::Groups) => texts(list, names)?,
            (Some(word), _) => vec![names.of(word)],
            (None, _) => vec![Names::NONE],
        });
    }
    Some(Codes { rows, values })
}

/// Flags, numbers and long texts: numbered as they come.
fn of_array(array: &ArrayRef, names: &mut Names) -> Option<Codes> {
    let mut values = vec![vec![Names::NONE]];
    let mut runs = Vec::new();
    if let Some(bools) = array.as_boolean_opt() {
        values.extend([vec![names.of("false")], vec![names.of("true")]]);
        for flag in bools {
            push(&mut runs, flag.map_or(0, |flag| 1 + u32::from(flag)), 1);
        }
    } else if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
        let mut known = hashbrown::HashMap::with_hasher(foldhash::fast::FixedState::with_seed(7));
        let (mut last, mut code) = (None, 0);
        for number in numbers {
            if last != Some(number) {
                last = Some(number);
                code = number.map_or(0, |number| {
                    *known.entry(number).or_insert_with(|| {
                        values.push(vec![names.of(&number.to_string())]);
                        values.len() as u32 - 1
                    })
                });
            }
            push(&mut runs, code, 1);
        }
    } else {
        for text in array.as_string_opt::<i32>()? {
            let code = text.map_or(0, |text| {
                values.push(vec![names.of(text)]);
                values.len() as u32 - 1
            });
            push(&mut runs, code, 1);
        }
    }
    let rows = Rc::new(Coded { words: StringArray::new_null(0), runs });
    Some(Codes { rows, values })
}

/// The values of a list of texts.
fn texts(json: &str, names: &mut Names) -> Option<Vec<u32>> {
    let list = Json::parse(json).filter(|json| matches!(json, Json::Array(_)))?;
    let texts: Vec<u32> =
        list.items().iter().map(|item| Some(names.of(item.as_str()?))).collect::<Option<_>>()?;
    Some(if texts.is_empty() { vec![Names::NONE] } else { texts })
}
