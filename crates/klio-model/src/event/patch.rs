//! RFC 6902 JSON patches as the object that they write.

use std::borrow::Cow;

use crate::json::{Json, MAX_DEPTH};

/// Folds `add` and `replace` operations into an empty object, so that a rule reads
/// `spec.containers.image` whether it came by create, merge patch or JSON patch. Removals, moves, copies
/// and tests write no value and are left out. A numeric or `-` token opens an array.
pub(super) fn fold<'a>(operations: &[Json<'a>]) -> Json<'a> {
    let mut target = Json::Object(Vec::new());
    for operation in operations {
        let (Some(op), Some(path)) =
            (operation.get("op").and_then(Json::as_str), operation.get("path").and_then(Json::as_str))
        else {
            continue;
        };
        let Some(value) = operation.get("value") else { continue };
        if !matches!(op, "add" | "replace") {
            continue;
        }
        let tokens: Vec<String> =
            path.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect();
        if tokens.len() < MAX_DEPTH {
            put(&mut target, &tokens, value);
        }
    }
    target
}

fn put<'a>(node: &mut Json<'a>, tokens: &[String], value: &Json<'a>) {
    let Some((token, rest)) = tokens.split_first() else {
        *node = value.clone();
        return;
    };
    let index = token == "-" || (!token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()));
    if index && !matches!(node, Json::Object(members) if !members.is_empty()) {
        if !matches!(node, Json::Array(_)) {
            *node = Json::Array(Vec::new());
        }
        if let Json::Array(items) = node {
            // The real position is unknown without the stored object; what counts is what is written.
            let position = token.parse::<usize>().ok().filter(|&i| i < items.len() && !rest.is_empty());
            if let Some(existing) = position.and_then(|i| items.get_mut(i)) {
                return put(existing, rest, value);
            }
            let mut item = Json::Object(Vec::new());
            put(&mut item, rest, value);
            items.push(item);
        }
        return;
    }
    if !matches!(node, Json::Object(_)) {
        *node = Json::Object(Vec::new());
    }
    if let Json::Object(members) = node {
        if let Some(position) = members.iter().position(|(k, _)| k == token) {
            put(&mut members[position].1, rest, value);
        } else {
            let mut child = Json::Object(Vec::new());
            put(&mut child, rest, value);
            members.push((Cow::Owned(token.clone()), child));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_reads_like_the_object_it_writes() {
        let ops = Json::parse(
            r#"[{"op":"test","path":"/spec/x","value":1},
                {"op":"add","path":"/spec/template/spec/containers/-","value":{"image":"evil"}},
                {"op":"replace","path":"/metadata/labels/a~1b","value":"c"},
                {"op":"remove","path":"/spec/y"}]"#,
        )
        .unwrap();
        let folded = fold(ops.items());
        assert_eq!(
            folded.to_text(),
            r#"{"spec":{"template":{"spec":{"containers":[{"image":"evil"}]}}},"metadata":{"labels":{"a/b":"c"}}}"#
        );
    }
}
