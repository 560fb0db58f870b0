//! By what the items of a list are told apart.
//!
//! The API server knows it from the types (`patchMergeKey` and `+listMapKey` in `staging/src/k8s.io/api`); audit events
//! do not carry types, so it is known here by the list's name.

use serde_json::Value;

/// Sets of members that may tell the items of a list apart, the best first. One is taken if each item has all of them and no
/// two items agree.
pub(super) fn telling(list: &str) -> &'static [&'static [&'static str]] {
    match list {
        "volumeMounts" => &[&["mountPath"]],
        "volumeDevices" => &[&["devicePath"]],
        "ports" => {
            &[&["containerPort", "protocol"], &["containerPort"], &["port", "protocol"], &["port"], &["name"]]
        }
        "conditions" | "addresses" => &[&["type"]],
        "hostAliases" | "podIPs" | "hostIPs" => &[&["ip"]],
        "ownerReferences" => &[&["uid"]],
        "subjects" => &[&["kind", "namespace", "name"], &["kind", "name"]],
        "taints" => &[&["key", "effect"]],
        "topologySpreadConstraints" => &[&["topologyKey", "whenUnsatisfiable"]],
        _ => &[&["name"]],
    }
}

/// The member by which a strategic merge patch joins the items of a list; `None` where it replaces the list
/// (`patchStrategy` in `staging/src/k8s.io/api`).
pub(super) fn merging(list: &str, item: &Value) -> Option<&'static str> {
    Some(match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "secrets"
        | "webhooks"
        | "resourceClaims"
        | "matchConditions" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" if item.get("containerPort").is_some() => "containerPort",
        "ports" => "port",
        "conditions" | "addresses" => "type",
        "hostAliases" | "podIPs" | "hostIPs" => "ip",
        "ownerReferences" => "uid",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    })
}

/// Whether a strategic merge patch adds to a list of plain values.
pub(super) fn is_set(list: &str) -> bool {
    matches!(list, "finalizers" | "podCIDRs")
}

/// The mark of each item, such as `name=app`; `None` unless all differ.
pub(super) fn marks(items: &[Value], keys: &[&str]) -> Option<Vec<String>> {
    let marks: Vec<String> = items.iter().map(|item| mark(item, keys)).collect::<Option<_>>()?;
    let mut sorted: Vec<&String> = marks.iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1]).then_some(marks)
}

fn mark(item: &Value, keys: &[&str]) -> Option<String> {
    let mut parts = Vec::with_capacity(keys.len());
    for key in keys {
        let value = match item.get(key)? {
            Value::String(text) => text.clone(),
            number @ Value::Number(_) => number.to_string(),
            _ => return None,
        };
        // `containerPort=80,protocol=TCP` says no more than `containerPort=80`.
        if *key == "protocol" && value == "TCP" {
            continue;
        }
        parts.push(format!("{key}={value}"));
    }
    Some(parts.join(","))
}
