//! `json_get(raw, 'path')`: the text of a value inside a record.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use klio_model::Json;

/// The function, for a session.
pub(super) fn json_get() -> ScalarUDF {
    create_udf(
        "json_get",
        vec![DataType::Utf8View, DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(call),
    )
}

fn call(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let wrong =
        || DataFusionError::Execution("json_get takes a record and a path, such as 'user.username'".into());
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let [records, paths] = arrays.as_slice() else { return Err(wrong()) };
    let records = records.as_string_view_opt().ok_or_else(wrong)?;
    let paths = paths.as_string_opt::<i32>().ok_or_else(wrong)?;
    let mut out = StringBuilder::new();
    for (record, path) in records.iter().zip(paths) {
        let value = record.zip(path).and_then(|(record, path)| value(record, path));
        out.append_option(value);
    }
    Ok(ColumnarValue::Array(Arc::new(out.finish()) as ArrayRef))
}

fn value(record: &str, path: &str) -> Option<String> {
    let tree = Json::parse(record)?;
    let found = if path.starts_with('/') { tree.pointer(path) } else { at(&tree, path) };
    match found? {
        Json::Null => None,
        Json::String(text) => Some(text.to_string()),
        other => Some(other.to_text()),
    }
}

/// Follows a dotted path. A key may contain dots; of the keys that begin the path the longest goes first. Of a list
/// the element that the path names, else the first that has the rest of the path.
fn at<'j, 'a>(node: &'j Json<'a>, path: &str) -> Option<&'j Json<'a>> {
    if path.is_empty() {
        return Some(node);
    }
    match node {
        Json::Object(members) => {
            let rest = |key: &str| {
                let rest = path.strip_prefix(key)?;
                if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
            };
            let mut fitting: Vec<_> =
                members.iter().filter_map(|(k, v)| Some((k.len(), rest(k)?, v))).collect();
            fitting.sort_by_key(|(length, ..)| std::cmp::Reverse(*length));
            fitting.into_iter().find_map(|(_, rest, value)| at(value, rest))
        }
        Json::Array(items) => {
            let (head, rest) = path.split_once('.').unwrap_or((path, ""));
            match head.parse::<usize>() {
                Ok(index) => at(items.get(index)?, rest),
                Err(_) => items.iter().find_map(|item| at(item, path)),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_values_by_path() {
        let record = r#"{"user":{"username":"eve","groups":["a","b"]},"annotations":{"x.y/z":"1"},"n":{"c":[{"i":7},{"i":8}]},"no":null}"#;
        let check =
            |path: &str, want: Option<&str>| assert_eq!(value(record, path).as_deref(), want, "{path}");
        check("user.username", Some("eve"));
        check("user.groups.1", Some("b"));
        check("user.groups", Some(r#"["a","b"]"#));
        check("annotations.x.y/z", Some("1"));
        check("n.c.i", Some("7"));
        check("/n/c/1/i", Some("8"));
        check("no", None);
        check("user.nobody", None);
        assert_eq!(value("{", "a"), None);
    }
}
