//! What a patch makes of an object that is known.
//!
//! Audit events do not carry the patch's content type, so that it is told by its shape. JSON patches (RFC 6902) and merge
//! patches (RFC 7386) are a library's work; strategic merge patches and applied configurations are ours, as far as they can
//! be done without the types.

use serde_json::{Map, Value};

use super::keys;

/// So many bytes may be copied within one patch, as the API server has it
/// (`apiserver/pkg/endpoints/handlers/patch.go`, `AccumulatedCopySizeLimit`).
const MAX_COPIED: usize = 3 << 20;
/// What is nested deeper than any body can be came by copying.
const MAX_DEPTH: usize = 128;

/// What is known of the request beside its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Whether the resource is a built-in one: others know no strategic merge patch.
    pub(super) builtin: bool,
    /// Whether the request named a field manager, as every apply does.
    pub(super) manager: bool,
}

/// The object after the patch, and whether that is certain.
pub(super) fn apply(object: &Value, patch: &Value, asked: Asked) -> Option<(Value, bool)> {
    let mut after = object.clone();
    let certain = match patch {
        Value::Array(operations) => {
            json_patch(&mut after, operations)?;
            true
        }
        Value::Object(members) if has_directive(patch) => {
            strategic(&mut after, members, 0)?;
            true
        }
        Value::Object(members) if asked.manager && is_configuration(members) => {
            strategic(&mut after, members, 0)?;
            false
        }
        Value::Object(members) if asked.builtin && joins(patch, "") => {
            strategic(&mut after, members, 0)?;
            false
        }
        Value::Object(_) => {
            json_patch::merge(&mut after, patch);
            true
        }
        _ => return None,
    };
    Some((after, certain))
}

/// Applies each operation; `None` if one fails, which it did not on the API server, or if it copies too much.
fn json_patch(object: &mut Value, operations: &[Value]) -> Option<()> {
    let mut left = MAX_COPIED;
    for operation in operations {
        let operation: json_patch::PatchOperation = serde_json::from_value(operation.clone()).ok()?;
        if let json_patch::PatchOperation::Copy(copy) = &operation {
            left = left.checked_sub(object.pointer(copy.from.as_str())?.to_string().len())?;
        }
        json_patch::patch_unsafe(object, &[operation]).ok()?;
        if !is_shallow(object, MAX_DEPTH) {
            return None;
        }
    }
    Some(())
}

fn is_shallow(value: &Value, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return false };
    match value {
        Value::Object(members) => members.values().all(|value| is_shallow(value, left)),
        Value::Array(items) => items.iter().all(|value| is_shallow(value, left)),
        _ => true,
    }
}

/// Whether a whole configuration is sent: of an apply patch the API server asks for these.
fn is_configuration(members: &Map<String, Value>) -> bool {
    let text = |key: &str| members.get(key).is_some_and(Value::is_string);
    text("apiVersion") && text("kind")
}

/// Whether an object has directives of a strategic merge patch.
fn has_directive(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(key, value)| is_directive(key) || has_directive(value))
        }
        Value::Array(items) => items.iter().any(has_directive),
        _ => false,
    }
}

/// `$patch`, `$setElementOrder/containers` and the like (`apimachinery/pkg/util/strategicpatch/patch.go`).
pub(super) fn is_directive(key: &str) -> bool {
    key == "$patch"
        || key == "$retainKeys"
        || key.starts_with("$setElementOrder/")
        || key.starts_with("$deleteFromPrimitiveList/")
}

/// Whether there is a list that a strategic merge patch joins and a merge patch replaces.
fn joins(value: &Value, field: &str) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| joins(value, key)),
        Value::Array(items) => {
            keys::is_set(field)
                || items.iter().any(|item| keys::merging(field, item).is_some() || joins(item, ""))
        }
        _ => false,
    }
}

fn strategic(object: &mut Value, patch: &Map<String, Value>, depth: usize) -> Option<()> {
    if depth >= MAX_DEPTH {
        return None;
    }
    if !object.is_object() || patch.get("$patch").and_then(Value::as_str) == Some("replace") {
        *object = Value::Object(Map::new());
    }
    let members = object.as_object_mut()?;
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array()?;
            if let Some(items) = members.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if is_directive(key) {
            continue;
        }
        match value {
            Value::Null => {
                members.shift_remove(key);
            }
            Value::Object(part) if part.get("$patch").and_then(Value::as_str) == Some("delete") => {
                members.shift_remove(key);
            }
            Value::Object(part) => {
                strategic(members.entry(key.clone()).or_insert(Value::Null), part, depth + 1)?;
            }
            Value::Array(items) => {
                lists(members.entry(key.clone()).or_insert(Value::Null), items, key, depth + 1)?;
            }
            plain => {
                members.insert(key.clone(), plain.clone());
            }
        }
    }
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        members.retain(|key, _| kept.iter().any(|kept| kept.as_str() == Some(key)));
    }
    for (key, order) in patch {
        if let Some(list) = key.strip_prefix("$setElementOrder/")
            && let Some(items) = members.get_mut(list).and_then(Value::as_array_mut)
        {
            reorder(items, order.as_array()?, list);
        }
    }
    Some(())
}

fn lists(object: &mut Value, patch: &[Value], list: &str, depth: usize) -> Option<()> {
    let replaces = |item: &Value| item.get("$patch").and_then(Value::as_str) == Some("replace");
    let joined = keys::is_set(list) || patch.iter().any(|item| keys::merging(list, item).is_some());
    if !object.is_array() || patch.iter().any(replaces) || !joined {
        *object = Value::Array(Vec::new());
    }
    let items = object.as_array_mut()?;
    for part in patch.iter().filter(|part| !replaces(part)) {
        let Some(members) = part.as_object() else {
            if !joined || !items.contains(part) {
                items.push(part.clone());
            }
            continue;
        };
        let key = keys::merging(list, part);
        let same =
            |item: &Value| key.is_some_and(|key| item.get(key).is_some() && item.get(key) == part.get(key));
        if members.get("$patch").and_then(Value::as_str) == Some("delete") {
            items.retain(|item| !same(item));
        } else if let Some(item) = items.iter_mut().find(|item| same(item)) {
            strategic(item, members, depth)?;
        } else {
            let mut item = Value::Null;
            strategic(&mut item, members, depth)?;
            items.push(item);
        }
    }
    Some(())
}

/// Puts the items in the order that the patch names; those that it does not name stay behind the others.
fn reorder(items: &mut [Value], order: &[Value], list: &str) {
    items.sort_by_key(|item| {
        let place = order.iter().position(|named| match keys::merging(list, item) {
            Some(key) => named.get(key).is_some() && named.get(key) == item.get(key),
            None => named == item,
        });
        place.unwrap_or(usize::MAX)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_KUBECTL: Asked = Asked { builtin: true, manager: false };

    #[track_caller]
    fn check(object: &str, patch: &str, asked: Asked, want: &str, certain: bool) {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let got = apply(&value(object), &value(patch), asked);
        assert_eq!(got, Some((value(want), certain)), "{patch}");
    }

    #[test]
    fn each_kind_of_patch_is_told_by_its_shape() {
        check(
            r#"{"spec":{"a":[1]}}"#,
            r#"[{"op":"add","path":"/spec/a/-","value":2},{"op":"test","path":"/spec/a/0","value":1}]"#,
            OF_KUBECTL,
            r#"{"spec":{"a":[1,2]}}"#,
            true,
        );
        check(
            r#"{"metadata":{"labels":{"a":"1","b":"2"}}}"#,
            r#"{"metadata":{"labels":{"a":null,"c":"3"}}}"#,
            OF_KUBECTL,
            r#"{"metadata":{"labels":{"b":"2","c":"3"}}}"#,
            true,
        );
        let two = r#"{"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"y"}]}}"#;
        let image = r#"{"spec":{"containers":[{"name":"b","image":"z"}]}}"#;
        let joined = r#"{"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"z"}]}}"#;
        check(two, image, OF_KUBECTL, joined, false);
        // A custom resource takes merge patches only, which replace lists.
        check(two, image, Asked { builtin: false, manager: false }, image, true);
        let applied = r#"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"b","image":"z"}]}}"#;
        let after = r#"{"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"z"}]},"apiVersion":"v1","kind":"Pod"}"#;
        check(two, applied, Asked { builtin: true, manager: true }, after, false);
    }

    #[test]
    fn directives_do_what_they_say() {
        check(
            r#"{"containers":[{"name":"a"},{"name":"b"}],"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}"#,
            r#"{"$setElementOrder/containers":[{"name":"c"},{"name":"b"}],
                "containers":[{"name":"a","$patch":"delete"},{"name":"c","image":"i"}],
                "strategy":{"$retainKeys":["type"],"type":"Recreate"}}"#,
            OF_KUBECTL,
            r#"{"containers":[{"name":"c","image":"i"},{"name":"b"}],"strategy":{"type":"Recreate"}}"#,
            true,
        );
        check(
            r#"{"metadata":{"finalizers":["a","b"]},"spec":{"x":1,"y":2}}"#,
            r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]},"spec":{"$patch":"replace","y":3}}"#,
            OF_KUBECTL,
            r#"{"metadata":{"finalizers":["b"]},"spec":{"y":3}}"#,
            true,
        );
        check(
            r#"{"tolerations":[{"key":"a"}],"ports":[{"port":1,"nodePort":7}]}"#,
            r#"{"tolerations":[{"key":"b"}],"ports":[{"port":1,"name":"x"},{"port":2}]}"#,
            OF_KUBECTL,
            r#"{"tolerations":[{"key":"b"}],"ports":[{"port":1,"nodePort":7,"name":"x"},{"port":2}]}"#,
            false,
        );
    }

    #[test]
    fn a_patch_that_cannot_be_followed_makes_nothing_up() {
        let apply = |object: &str, patch: &str| {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            apply(&value(object), &value(patch), OF_KUBECTL)
        };
        assert_eq!(apply("{}", r#"[{"op":"replace","path":"/a/b","value":1}]"#), None);
        assert_eq!(apply("{}", "7"), None);
        // Copies that double.
        let ops: Vec<String> =
            (0..60).map(|i| format!(r#"{{"op":"copy","from":"","path":"/k{i}"}}"#)).collect();
        assert_eq!(apply(r#"{"a":"0123456789"}"#, &format!("[{}]", ops.join(","))), None);
        // Copies that nest.
        let ops = vec![r#"{"op":"copy","from":"","path":"/a"}"#; 500].join(",");
        assert_eq!(apply("{}", &format!("[{ops}]")), None);
    }

    proptest::proptest! {
        #[test]
        fn no_patch_panics(object in "[{]\"(a|containers)\":(1|null|[{][}]|[\\[]([{]\"name\":\"x\"[}])?[\\]])[}]", patch in proptest::sample::select(vec![
            r#"{"containers":[{"name":"x","$patch":"delete"}]}"#, r#"{"$patch":"replace"}"#, r#"{"$patch":7}"#,
            r#"{"a":{"$patch":"delete"}}"#, r#"{"$setElementOrder/containers":7}"#, r#"{"containers":[1,{"name":"x"},null]}"#,
            r#"{"$deleteFromPrimitiveList/containers":[1]}"#, r#"{"$retainKeys":["b"]}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
            r#"[{"op":"remove","path":"/containers/-"}]"#, r#"[{"op":"add","path":"/containers/-1","value":1}]"#, "[7]", "[[]]",
        ])) {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            apply(&value(&object), &value(patch), OF_KUBECTL);
        }
    }
}
