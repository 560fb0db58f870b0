//! A patch as it was asked, for objects of which the state before is not known.

use serde_json::Value;

use super::diff::{Changes, How};
use super::{patch, path};

/// Tells what a patch, of any kind, asks for.
pub(super) fn tell(asked: &Value, changes: &mut Changes) {
    match asked {
        Value::Array(operations) => operations.iter().for_each(|operation| of_operation(operation, changes)),
        asked => below(asked, "", &mut String::new(), changes),
    }
}

fn of_operation(operation: &Value, changes: &mut Changes) {
    let at = |key: &str| operation.get(key).and_then(Value::as_str);
    let (Some(op), Some(pointer)) = (at("op"), at("path")) else { return };
    let place = path::of_pointer(pointer);
    let from = at("from").map(|from| Value::from(path::of_pointer(from)));
    match op {
        "add" | "replace" => changes.add(&place, How::Set, None, operation.get("value")),
        "remove" => changes.add(&place, How::Removed, None, None),
        "copy" => changes.add(&place, How::Copied, from.as_ref(), None),
        "move" => changes.add(&place, How::Moved, from.as_ref(), None),
        _ => {}
    }
}

fn below(asked: &Value, field: &str, path: &mut String, changes: &mut Changes) {
    let here = path.len();
    match asked {
        Value::Null => changes.add(path, How::Removed, None, None),
        Value::Object(members) if !members.is_empty() => {
            if members.get("$patch").and_then(Value::as_str) == Some("delete") {
                return changes.add(path, How::Removed, None, None);
            }
            for (key, value) in members {
                if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
                    path::member(path, list);
                    changes.add(path, How::Removed, Some(value), None);
                } else if !patch::is_directive(key) {
                    path::member(path, key);
                    below(value, key, path, changes);
                }
                path.truncate(here);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (i, item) in items.iter().enumerate() {
                let key = super::keys::merging(field, item).filter(|key| item.get(*key).is_some());
                let Some((key, value)) = key.and_then(|key| Some((key, item.get(key)?))) else {
                    path::item(path, &i.to_string());
                    below(item, "", path, changes);
                    path.truncate(here);
                    continue;
                };
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                path::item(path, &format!("{key}={value}"));
                let mut rest = item.clone();
                if let Some(members) = rest.as_object_mut().filter(|members| members.len() > 1) {
                    members.shift_remove(key);
                }
                below(&rest, "", path, changes);
                path.truncate(here);
            }
        }
        value => changes.add(path, How::Set, None, Some(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: &str, want: &[(&str, How)]) {
        let mut changes = Changes::new(20);
        tell(&serde_json::from_str(asked).unwrap(), &mut changes);
        let got: Vec<_> = changes.list.iter().map(|c| (c.path.as_str(), c.how)).collect();
        assert_eq!(got, want, "{asked}");
    }

    #[test]
    fn patches_are_told_by_what_they_ask() {
        check(
            r#"{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"a","image":"x"},{"name":"b","$patch":"delete"}],"x":null}}"#,
            &[
                ("spec.containers[name=a].image", How::Set),
                ("spec.containers[name=b]", How::Removed),
                ("spec.x", How::Removed),
            ],
        );
        check(
            r#"[{"op":"replace","path":"/a/0","value":1},{"op":"remove","path":"/b"},{"op":"move","from":"/c","path":"/d"},{"op":"test","path":"/e","value":1},7]"#,
            &[("a[0]", How::Set), ("b", How::Removed), ("d", How::Moved)],
        );
    }
}
