//! Columns that an older file lacks, computed from its records.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{and, take};
use klio_model::{Event, Timestamp};

use crate::columns::{Column, schema};
use crate::error::StoreError;
use crate::rows::{Custody, Rows};
use crate::segment::as_pushed;

/// Rows of an older file with all columns, in their order: what can be computed from the record is, the rest is null.
pub(super) fn complete(batch: RecordBatch, columns: &'static [Column]) -> Result<RecordBatch, StoreError> {
    let wanted = schema(columns);
    if batch.schema().fields() == wanted.fields() {
        return Ok(batch);
    }
    let computed = computed(&batch, columns)?;
    let arrays = wanted.fields().iter().map(|field| -> Result<ArrayRef, StoreError> {
        let own = batch.column_by_name(field.name());
        let ours = computed.as_ref().and_then(|rows| rows.column_by_name(field.name()));
        Ok(match (own, ours) {
            // What an older version could not know to be lost may be lost in a column that it did not have.
            (Some(own), Some(ours)) if field.name() == "whole" => {
                match (own.as_boolean_opt(), ours.as_boolean_opt()) {
                    (Some(own), Some(ours)) => Arc::new(and(own, ours).map_err(odd)?),
                    _ => Arc::new(BooleanArray::from(vec![false; batch.num_rows()])),
                }
            }
            (Some(own), _) => own.clone(),
            (None, Some(ours)) => ours.clone(),
            (None, None) => new_null_array(field.data_type(), batch.num_rows()),
        })
    });
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(wanted, arrays).map_err(odd)
}

/// The columns that answer fields, and those that say what is missing, of the records of a batch; none for tables that
/// hold no events.
fn computed(batch: &RecordBatch, columns: &'static [Column]) -> Result<Option<RecordBatch>, StoreError> {
    if !columns.iter().any(|column| column.field.is_some()) {
        return Ok(None);
    }
    let raws = batch.column_by_name("raw").and_then(|raw| raw.as_string_opt::<i32>());
    let raws = raws.ok_or_else(|| odd("the column raw is missing"))?;
    let (mut rows, mut places) = (Rows::of(columns), Vec::with_capacity(raws.len()));
    let custody = Custody { cluster: "", source: "", received: Timestamp(0) };
    for raw in raws {
        let event = raw.and_then(|raw| Event::parse(raw).ok());
        places.push(event.is_some().then_some(rows.len() as u32));
        if let Some(event) = event {
            rows.push(&event, custody, "", None);
        }
    }
    let pushed = as_pushed(&rows.sheet).map_err(odd)?;
    let places = UInt32Array::from(places);
    let answers = |column: &&Column| column.field.is_some() || ["body", "whole"].contains(&column.name);
    let mut kept = Vec::new();
    for column in columns.iter().filter(answers) {
        if let Some(array) = pushed.column_by_name(column.name) {
            let array = take(array, &places, None).map_err(odd)?;
            // Of a record that cannot be read nothing is known.
            let array = match (column.name, array.as_boolean_opt()) {
                ("whole", Some(whole)) => Arc::new(BooleanArray::from(
                    whole.iter().map(|whole| whole.unwrap_or(false)).collect::<Vec<_>>(),
                )),
                _ => array,
            };
            kept.push((column.name, array));
        }
    }
    RecordBatch::try_from_iter_with_nullable(kept.into_iter().map(|(name, array)| (name, array, true)))
        .map(Some)
        .map_err(odd)
}

fn odd<E: std::fmt::Display>(e: E) -> StoreError {
    StoreError::damaged("an older data file")(e)
}
