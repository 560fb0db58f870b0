//! What an object holds that says nothing about what somebody wanted of it.

use serde_json::{Map, Value};

/// Members of `metadata` that the API server keeps.
const METADATA: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// Annotations that clients and controllers keep for themselves.
const ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "control-plane.alpha.kubernetes.io/leader",
    "endpoints.kubernetes.io/last-change-trigger-time",
];

/// An object, or a patch of one, without the status and without what [`METADATA`] and [`ANNOTATIONS`] name.
pub(super) fn without(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let mut out = Map::new();
    for (key, value) in members {
        match key.as_str() {
            "status" => {}
            "metadata" => {
                out.insert(key.clone(), metadata(value));
            }
            _ => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(out)
}

/// A lease without what its holder renews every few seconds.
pub(super) fn without_renewal(mut lease: Value) -> Value {
    if let Some(spec) = lease.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| key != "renewTime");
    }
    lease
}

/// The same without what the API server adds and the request's path says: for applying it again.
pub(super) fn for_applying(value: &Value) -> Value {
    let mut value = without(value);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| {
            !matches!(key.as_str(), "deletionTimestamp" | "deletionGracePeriodSeconds" | "generateName")
        });
    }
    value
}

fn metadata(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let mut out = members.clone();
    out.retain(|key, _| !METADATA.contains(&key.as_str()));
    if let Some(annotations) = out.get_mut("annotations").and_then(Value::as_object_mut)
        && !annotations.is_empty()
    {
        annotations.retain(|key, _| !ANNOTATIONS.contains(&key.as_str()));
        if annotations.is_empty() {
            out.shift_remove("annotations");
        }
    }
    Value::Object(out)
}
