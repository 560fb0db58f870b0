//! Following a dotted path through a JSON tree.

use crate::json::Json;

/// Calls `f` for each value at `path` below `node`; `f` returns true to stop. Returns whether it stopped.
///
/// Lists are entered at every element unless the next segment is an index of it. A key may itself contain
/// dots (`annotations.authorization.k8s.io/decision`): of the keys that begin the path the longest goes first.
pub(super) fn walk<'j, 'a>(node: &'j Json<'a>, path: &str, f: &mut dyn FnMut(&'j Json<'a>) -> bool) -> bool {
    if path.is_empty() {
        return match node {
            Json::Null => false,
            Json::Array(items) => items.iter().any(|item| walk(item, path, f)),
            other => f(other),
        };
    }
    match node {
        Json::Object(members) => {
            let mut matching: Vec<_> =
                members.iter().filter_map(|(k, v)| Some((k.len(), v, rest_after(path, k)?))).collect();
            matching.sort_by_key(|(length, ..)| std::cmp::Reverse(*length));
            matching.into_iter().any(|(_, value, rest)| walk(value, rest, f))
        }
        Json::Array(items) => {
            let (head, rest) = path.split_once('.').unwrap_or((path, ""));
            if let Some(item) = head.parse::<usize>().ok().and_then(|i| items.get(i)) {
                return walk(item, rest, f);
            }
            items.iter().any(|item| walk(item, path, f))
        }
        _ => false,
    }
}

/// What is left of `path` after the key, if the path begins with it.
fn rest_after<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(key)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}
