//! The leaves of a segment's row tree.
//!
//! A leaf is the SHA-256 of (RFC 6962, section 2.1) a line of custody, `["cluster","source",microseconds]`, a line
//! feed, and the record as it is stored: what was recorded, where it came from and when it was received.

use arrow::array::{AsArray, DictionaryArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use klio_seal::{Hash, leaf_hash_of};

use crate::error::StoreError;

/// What the leaves of one cluster and source begin with.
pub(crate) fn prefix(cluster: &str, source: &str) -> String {
    let quoted = |s: &str| serde_json::Value::from(s).to_string();
    format!("[{},{},", quoted(cluster), quoted(source))
}

/// What the leaf of a row is made of.
pub(crate) fn text(cluster: &str, source: &str, received: i64, raw: &str) -> String {
    format!("{}{received}]\n{raw}", prefix(cluster, source))
}

/// Calls `f` with leaf and record of each row of a batch that has `cluster`, `source`, `received` and `raw`.
pub(crate) fn each(batch: &RecordBatch, f: &mut dyn FnMut(usize, Hash, &str)) -> Result<(), StoreError> {
    let odd =
        || StoreError::Damaged { file: "segment".into(), said: "columns of custody are missing".into() };
    let column = |name: &str| batch.column_by_name(name).ok_or_else(odd);
    let words = |name: &str| column(name)?.as_dictionary_opt::<Int32Type>().ok_or_else(odd);
    let (cluster, source) = (words("cluster")?, words("source")?);
    let received = column("received")?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(odd)?;
    let raw = column("raw")?;
    let (texts, views) = (raw.as_string_opt::<i32>(), raw.as_string_view_opt());
    let record = |row: usize| texts.map(|t| t.value(row)).or_else(|| Some(views?.value(row)));
    let word = |array: &DictionaryArray<Int32Type>, row: usize| -> String {
        let values = array.values().as_string_opt::<i32>();
        array.key(row).and_then(|k| Some(values?.value(k).to_owned())).unwrap_or_default()
    };
    let mut last = None;
    let mut prefix = String::new();
    let mut time = (0, "0".to_owned());
    for row in 0..batch.num_rows() {
        let keys = (cluster.key(row), source.key(row));
        if last != Some(keys) {
            prefix = self::prefix(&word(cluster, row), &word(source, row));
            last = Some(keys);
        }
        if received.value(row) != time.0 {
            time = (received.value(row), received.value(row).to_string());
        }
        let record = record(row).ok_or_else(odd)?;
        let leaf = leaf_hash_of(&[prefix.as_bytes(), time.1.as_bytes(), b"]\n", record.as_bytes()]);
        f(row, leaf, record);
    }
    Ok(())
}
