//! The values of a column by number.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use klio_model::{Field, FieldRef, Json};

use super::tally::Names;
use crate::columns::{COLUMNS, Kind, answering};

/// A number for each row, and for each number the values it stands for, as the tally knows them.
pub(super) struct Codes {
    pub rows: Vec<u32>,
    pub values: Vec<Vec<u32>>,
}

/// The columns of the fields, if each has one that holds its values.
pub(super) fn columns(fields: &[FieldRef]) -> Option<Vec<usize>> {
    let column = |field: &FieldRef| {
        let at = answering(field.field()).filter(|_| field.path().is_empty())?;
        // Times are texts of any form.
        COLUMNS.get(at).filter(|c| c.kind != Kind::Time).map(|_| at)
    };
    fields.iter().map(column).collect()
}

/// `None` when the column does not tell the values of each row.
pub(super) fn codes(field: Field, batch: &RecordBatch, names: &mut Names) -> Option<Codes> {
    let array = batch.column_by_name(COLUMNS.get(answering(field)?)?.name)?;
    // 0 stands for no value.
    let mut values = vec![vec![Names::NONE]];
    let there = |row: usize| array.is_valid(row);
    let rows = if let Some(words) = array.as_dictionary_opt::<Int32Type>() {
        for word in words.values().as_string_opt::<i32>()? {
            values.push(match (word, field) {
                (Some(list), Field::Groups) => texts(list, names)?,
                (Some(word), _) => vec![names.of(word)],
                (None, _) => vec![Names::NONE],
            });
        }
        let keys = words.keys().values();
        match words.nulls() {
            None => keys.iter().map(|&key| key as u32 + 1).collect(),
            Some(nulls) => {
                keys.iter().zip(nulls).map(|(&key, there)| if there { key as u32 + 1 } else { 0 }).collect()
            }
        }
    } else if let Some(bools) = array.as_boolean_opt() {
        values.extend([vec![names.of("false")], vec![names.of("true")]]);
        (0..bools.len()).map(|row| if there(row) { 1 + u32::from(bools.value(row)) } else { 0 }).collect()
    } else if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
        let mut known = hashbrown::HashMap::with_hasher(foldhash::fast::FixedState::with_seed(7));
        let (mut last, mut code) = (None, 0);
        let mut rows = Vec::with_capacity(numbers.len());
        for (row, &number) in numbers.values().iter().enumerate() {
            if !there(row) {
                rows.push(0);
                continue;
            }
            if last != Some(number) {
                last = Some(number);
                code = *known.entry(number).or_insert_with(|| {
                    values.push(vec![names.of(&number.to_string())]);
                    values.len() as u32 - 1
                });
            }
            rows.push(code);
        }
        rows
    } else {
        let texts = array.as_string_opt::<i32>()?;
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            rows.push(text.map_or(0, |text| {
                values.push(vec![names.of(text)]);
                values.len() as u32 - 1
            }));
        }
        rows
    };
    Some(Codes { rows, values })
}

/// The values of a list of texts.
fn texts(json: &str, names: &mut Names) -> Option<Vec<u32>> {
    let list = Json::parse(json).filter(|json| matches!(json, Json::Array(_)))?;
    let texts: Vec<u32> =
        list.items().iter().map(|item| Some(names.of(item.as_str()?))).collect::<Option<_>>()?;
    Some(if texts.is_empty() { vec![Names::NONE] } else { texts })
}
