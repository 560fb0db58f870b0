//! Rows of an answer, without the library's types.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

/// Some rows of an answer.
#[derive(Debug)]
pub struct Page<'p> {
    columns: &'p [String],
    batch: &'p RecordBatch,
}

impl<'p> Page<'p> {
    pub(super) fn new(columns: &'p [String], batch: &'p RecordBatch) -> Self {
        Self { columns, batch }
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        self.columns
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// A value as text; `None` for NULL.
    pub fn text(&self, row: usize, column: usize) -> Option<String> {
        let array = self.batch.columns().get(column)?;
        if row >= array.len() || array.is_null(row) || *array.data_type() == DataType::Null {
            return None;
        }
        if let Some(texts) = array.as_string_view_opt() {
            return Some(texts.value(row).to_owned());
        }
        let options = FormatOptions::default().with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"));
        let formatter = ArrayFormatter::try_new(array.as_ref(), &options).ok()?;
        formatter.value(row).try_to_string().ok()
    }

    /// A value as JSON: numbers and booleans as such, everything else as text.
    pub fn json(&self, row: usize, column: usize) -> Value {
        let Some(text) = self.text(row, column) else { return Value::Null };
        let Some(array) = self.batch.columns().get(column) else { return Value::Null };
        let to = |data: &DataType| arrow::compute::cast(&array.slice(row, 1), data).ok();
        match array.data_type() {
            DataType::Boolean => Value::Bool(text == "true"),
            DataType::UInt64 => {
                array.as_primitive_opt::<UInt64Type>().map_or(Value::Null, |a| a.value(row).into())
            }
            data if data.is_integer() => {
                let one = to(&DataType::Int64);
                let number = one.as_ref().and_then(|a| a.as_primitive_opt::<Int64Type>());
                number.map_or(Value::Null, |a| a.value(0).into())
            }
            data if data.is_floating() => {
                let one = to(&DataType::Float64);
                let number = one.as_ref().and_then(|a| a.as_primitive_opt::<Float64Type>());
                number.map_or(Value::Null, |a| a.value(0).into())
            }
            _ => Value::String(text),
        }
    }
}
