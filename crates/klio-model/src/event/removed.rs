//! What a patch takes away.
//!
//! A removal writes no value, so no other field shows it. Kinds of patches are told by their shape, since the
//! event does not say them: a list is a JSON patch (RFC 6902); an object is a merge patch (RFC 7386), where null
//! removes, or a strategic merge patch with its directives (`apimachinery/pkg/util/strategicpatch/patch.go`).

use super::workload::Stop;
use super::{Event, Recorded, text};
use crate::json::Json;

impl Event<'_> {
    /// Calls `f` with each path that a patch removes or empties, as a JSON pointer without escapes:
    /// `/metadata/labels/app.kubernetes.io/name`. The whole object is `/`.
    pub(crate) fn removed(&self, f: &mut dyn FnMut(&str) -> Stop) -> Recorded {
        if text(&self.verb) != Some("patch") {
            return Recorded::Yes;
        }
        match self.request_object.tree() {
            None => return self.request_recorded(),
            Some(Json::Array(operations)) => {
                operations.iter().any(|operation| of_operation(operation).is_some_and(|path| f(&path)));
            }
            Some(body) => {
                let mut all = true;
                below(body, &mut String::new(), &mut all, f);
                if !all {
                    return Recorded::No;
                }
            }
        }
        Recorded::Yes
    }
}

/// A longer path is no path of a Kubernetes object; what lies below it is not looked at.
const MAX_PATH: usize = 4 << 10;

/// The path that an operation of a JSON patch leaves without what was there.
fn of_operation(operation: &Json<'_>) -> Option<String> {
    let at = |key: &str| operation.get(key).and_then(Json::as_str);
    let pointer = match at("op")? {
        "remove" => at("path")?,
        "move" => at("from")?,
        "add" | "replace" if is_empty(operation.get("value")?) => at("path")?,
        _ => return None,
    };
    let path = pointer.replace("~1", "/").replace("~0", "~");
    Some(if path.is_empty() { "/".to_owned() } else { path })
}

fn is_empty(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::Object(members) => members.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Walks a merge patch; `path` is that of `node` and is left as it was. `all` becomes false when a part of the
/// patch was left out.
fn below(node: &Json<'_>, path: &mut String, all: &mut bool, f: &mut dyn FnMut(&str) -> Stop) -> Stop {
    if path.len() > MAX_PATH {
        *all = false;
        return false;
    }
    let here = path.len();
    let whole = |path: &str, f: &mut dyn FnMut(&str) -> Stop| f(if path.is_empty() { "/" } else { path });
    match node {
        Json::Null => whole(path, f),
        Json::Object(members) => members.iter().any(|(key, value)| {
            if key == "$patch" {
                return matches!(value.as_str(), Some("delete" | "replace")) && whole(path, f);
            }
            if key == "$retainKeys" {
                return whole(path, f);
            }
            path.push('/');
            let stop = if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
                path.push_str(list);
                whole(path, f)
            } else {
                path.push_str(key);
                below(value, path, all, f)
            };
            path.truncate(here);
            stop
        }),
        Json::Array(items) => items.iter().enumerate().any(|(i, item)| {
            // In a list null is an item, and only objects carry directives.
            if !matches!(item, Json::Object(_)) {
                return false;
            }
            path.push_str(&format!("/{i}"));
            let stop = below(item, path, all, f);
            path.truncate(here);
            stop
        }),
        _ => false,
    }
}
