//! The columns of a table as its log has them, and what becomes of older files when columns are added.
//!
//! A column is added by one commit and never given another meaning. Files that were written before lack it: their
//! records answer instead. When they are merged, the column is computed from the records (`merge/complete.rs`), so that
//! merged rows are like new ones.

use arrow::datatypes::{DataType as Arrow, SchemaRef};
use deltalake_core::kernel::{DataType, StructField};

use crate::error::StoreError;

/// The columns by which the files of a table are divided.
pub(crate) const PARTITION: [&str; 2] = ["class", "day"];

/// Columns as the table's log names them.
pub(crate) fn fields(columns: &SchemaRef) -> Vec<StructField> {
    let stored = columns.fields().iter().map(|field| {
        let data = match field.data_type() {
            Arrow::Timestamp(..) => DataType::TIMESTAMP,
            Arrow::Int64 => DataType::LONG,
            Arrow::Boolean => DataType::BOOLEAN,
            _ => DataType::STRING,
        };
        StructField::nullable(field.name(), data)
    });
    let partition = PARTITION.map(|name| {
        StructField::nullable(name, if name == "day" { DataType::DATE } else { DataType::STRING })
    });
    stored.chain(partition).collect()
}

/// The columns that a table lacks.
///
/// # Errors
/// When it has one that this version does not know, or knows as something else: a newer one wrote there.
pub(crate) fn lacking<'f>(
    table: &'static str,
    columns: &SchemaRef,
    found: impl Iterator<Item = &'f StructField>,
) -> Result<Vec<StructField>, StoreError> {
    let mut known = fields(columns);
    for field in found {
        let Some(at) = known.iter().position(|k| k.name == field.name) else {
            return Err(StoreError::Table {
                table,
                said: format!(
                    "it has the column `{}`, which this Klio does not know: a newer one has written here; use that",
                    field.name
                ),
            });
        };
        let ours = known.swap_remove(at);
        if ours.data_type != field.data_type {
            let said = format!("its column `{}` is of another type than Klio's: verify the lake", field.name);
            return Err(StoreError::Table { table, said });
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
