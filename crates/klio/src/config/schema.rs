//! The JSON Schema of `klio.yaml`, made from the types that the parser fills: editors complete and check by it.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use serde_json::{Map, Value, json};

use super::Config;

/// An address to listen on, as the schema can tell it: of version 4 or 6, with a port.
pub const ADDRESS: &str = r"^([0-9.]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}$";

/// What a cluster may be called.
pub fn cluster_name() -> Value {
    json!({ "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}$", "not": { "const": klio_web::OWN_CLUSTER } })
}

/// The schema.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().with_transform(empty).into_generator();
    let mut schema = generator.into_root_schema_for::<Config>();
    schema.insert("title".into(), "klio.yaml".into());
    schema.insert("allOf".into(), json!([people(), providers()]));
    schema.to_value()
}

/// Certificates of people need an authority to check them against.
fn people() -> Value {
    let tls = json!({ "type": "object", "required": ["client_ca"], "properties": { "client_ca": { "type": "string" } } });
    needs("certificates", &json!({ "const": true }), "tls", &tls)
}

/// Providers need an address to send browsers back to.
fn providers() -> Value {
    let url = json!({ "type": "string", "pattern": "^https://" });
    needs("oidc", &json!({ "type": "array", "minItems": 1 }), "url", &url)
}

/// If a key of `sign_in` is so, one of `server` must be so.
fn needs(key: &str, is: &Value, server: &str, so: &Value) -> Value {
    let has =
        |key: &str, is: &Value| json!({ "type": "object", "required": [key], "properties": { key: is } });
    json!({ "if": has("sign_in", &has(key, is)), "then": has("server", &has(server, so)) })
}

/// A section, list or map of which nothing stands is nothing in YAML, and its defaults hold.
fn empty(schema: &mut Schema) {
    transform_subschemas(&mut empty, schema);
    let is_optional =
        schema.get("required").and_then(Value::as_array).is_none_or(|required| required.is_empty());
    if let Some(kind) =
        schema.get_mut("type").filter(|kind| is_optional && matches!(kind.as_str(), Some("object" | "array")))
    {
        *kind = json!([kind.clone(), "null"]);
    }
}

/// What a key such as `clusters.prod-eu.token` means, by the schema; nothing if there is no such key.
pub fn explain(key: &str) -> Option<String> {
    let root = schema();
    let found = key.split('.').try_fold(&root, |at, name| member(&root, at, name))?;
    let described = |at: &Value| at.get("description").and_then(Value::as_str).map(str::to_owned);
    let meaning = described(found).or_else(|| described(resolved(&root, found)))?;
    let default = match found.get("default") {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(default) => format!("default: {default}"),
    };
    Some(format!("{meaning}\n{default}\n"))
}

/// The schema of a member: of a section, of an item of a list, or of any name of a map.
fn member<'s>(root: &'s Value, at: &'s Value, name: &str) -> Option<&'s Value> {
    let at = resolved(root, at);
    let at = at.get("items").map_or(at, |items| resolved(root, items));
    let of = |section: &'s Map<String, Value>| section.get(name);
    let own = at.get("properties").and_then(Value::as_object).and_then(of);
    own.or_else(|| at.get("additionalProperties").filter(|any| any.is_object()))
}

/// What a schema refers to, also one that may be null.
fn resolved<'s>(root: &'s Value, at: &'s Value) -> &'s Value {
    let referring = at.get("anyOf").and_then(Value::as_array).into_iter().flatten().chain([at]);
    let mut names = referring.filter_map(|one| one.get("$ref")?.as_str()?.strip_prefix('#'));
    names.next().and_then(|name| root.pointer(name)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
