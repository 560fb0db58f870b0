use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};

use super::*;
use crate::config::reference;

struct Checker(Schemas, SchemaIndex);

impl Checker {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("klio.json", schema()).unwrap();
        let index = compiler.compile("klio.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    /// What the schema has against a text.
    fn check(&self, text: &str) -> Result<(), String> {
        let value: Value = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        self.0.validate(&value, self.1).map_err(|e| e.to_string())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn below(dir: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(dir)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|own| own == ending)).collect()
}

/// Whether a text begins with a section of klio.yaml.
fn is_settings(text: &str) -> bool {
    let schema = schema();
    let sections = schema["properties"].as_object().unwrap();
    text.split_once(':').is_some_and(|(name, _)| sections.contains_key(name.trim_start_matches("# ")))
}

#[test]
fn everything_that_is_shipped_fits() {
    let checker = Checker::new();
    let mut texts = vec![reference::TEXT.to_owned()];
    for path in ["deploy/docker/klio.yaml", "fixtures/lakes/1/klio.yaml"] {
        texts.push(read(&root().join(path)));
    }
    let values: Value = serde_saphyr::from_str(&read(&root().join("deploy/helm/klio/values.yaml"))).unwrap();
    texts.push(values["config"].to_string());
    for path in below("docs", "md") {
        let page = read(&path);
        let blocks =
            page.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()));
        texts.extend(blocks.filter(|text| is_settings(text)));
    }
    assert!(texts.len() > 8, "{}", texts.len());
    for text in texts {
        assert_eq!(checker.check(&text), Ok(()), "{text}");
        Config::parse(&text).map_err(|failure| panic!("{}: {text}", failure.message)).ok();
    }
}

#[test]
fn of_what_the_tests_write_the_schema_says_what_the_parser_says() {
    let (checker, mut count) = (Checker::new(), 0);
    for path in [below("crates/klio/tests", "rs"), below("crates/klio/src", "rs")].concat() {
        for literal in read(&path).split('"').filter(|text| !text.contains('{') && is_settings(text)) {
            let Ok(text) = serde_json::from_str::<String>(&format!("\"{literal}\"")) else { continue };
            if text.ends_with('\n') && serde_saphyr::from_str::<Value>(&text).is_ok() {
                assert_eq!(checker.check(&text).is_ok(), Config::parse(&text).is_ok(), "{text:?}");
                count += 1;
            }
        }
    }
    assert!(count > 8, "{count}");
}

#[test]
fn what_is_right_or_wrong_is_so_by_schema_and_parser() {
    let checker = Checker::new();
    for right in [
        "server:\n",
        "server:\n  tls:\n    names:\n",
        "clusters:\n  prod:\n",
        "clusters:\n  prod_1.eu:\n    apiservers:\n      - url: https://10.0.0.1:6443\n        token: env:TOKEN\n",
        "lake:\n  options:\n  encryption:\n",
        "lake:\n  retention:\n    - {class: a-1, keep_days: 1, severity: high}\n",
        "server:\n  listen: '[::1]:8443'\n",
    ] {
        assert_eq!(checker.check(right), Ok(()), "{right}");
        Config::parse(right).map_err(|failure| panic!("{}: {right}", failure.message)).ok();
    }
    for wrong in [
        "sever: {}\n",
        "server:\n  lisen: 127.0.0.1:1\n",
        "server:\n  listen: nowhere\n",
        "server:\n  listen: klio.example.org:8443\n",
        "server:\n  connections: 0\n",
        "server:\n  connections: -1\n",
        "server:\n  connections: many\n",
        "server:\n  flush_seconds: 0\n",
        "server:\n  body_bytes: 0\n",
        "server:\n  tls:\n    certificate: a.pem\n",
        "server:\n  tls:\n    names: klio.internal\n",
        "clusters:\n  a/b: {}\n",
        "clusters:\n  .a: {}\n",
        "clusters:\n  klio: {}\n",
        "clusters:\n  prod:\n    token: hunter2hunter2\n",
        "clusters:\n  prod:\n    apiservers:\n      - url: http://10.0.0.1:6443\n",
        "clusters:\n  prod:\n    apiservers:\n      - ca: a.pem\n",
        "lake:\n  retention:\n    - keep_days: 1\n",
        "lake:\n  encryption:\n    keys: env:KEY\n",
        "redaction:\n  off: perhaps\n",
        "redaction:\n  rules:\n    secret: true\n",
        "redaction:\n  allow:\n    - rule: env\n",
        "sign_in:\n  mapping:\n    - {kind: oidc, group: a, role: king, scope: prod}\n",
        "sign_in:\n  oidc:\n    - {name: corp, issuer: https://id.example.org, client_id: klio}\n",
        "desk:\n  postgres: postgres://klio:hunter2@db/klio\n",
    ] {
        assert!(checker.check(wrong).is_err(), "schema: {wrong}");
        assert!(Config::parse(wrong).is_err(), "parser: {wrong}");
    }
}

/// The keys of a section and of all below it that are sections too.
fn keys(root: &Value, at: &Value, path: &str, into: &mut Vec<String>) {
    let Some(members) = resolved(root, at).get("properties").and_then(Value::as_object) else { return };
    for (name, member) in members {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        into.push(key.clone());
        keys(root, member, &key, into);
    }
}

#[test]
fn the_page_and_the_schema_know_the_same_keys() {
    let (root, page) = (schema(), reference::keys());
    let mut known = Vec::new();
    keys(&root, &root, "", &mut known);
    for key in &page {
        assert!(known.contains(key), "the schema has no {key}");
    }
    for key in &known {
        // What the page tells of in one sentence, as the rules of redaction, it need not list.
        let is_spread = |section: &str| page.iter().any(|own| own.starts_with(&format!("{section}.")));
        let is_due = key.rsplit_once('.').is_none_or(|(section, _)| is_spread(section));
        assert!(!is_due || page.contains(key), "the page has no {key}");
        assert!(explain(key).is_some_and(|text| text.len() > 5), "{key} is not explained");
    }
    assert!(explain("clusters.prod-eu.apiservers.url").unwrap().contains("balancer"));
    assert!(explain("lake.retention.class").unwrap().contains("small letters"));
    assert!(explain("server.flush_seconds").unwrap().contains("default: 10"));
    assert_eq!(explain("clusters.prod-eu.tokens"), None);
}

#[test]
fn unknown_keys_are_refused_where_the_parser_refuses_them() {
    let root = schema();
    assert_eq!(root["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let sections = root["$defs"].as_object().unwrap().values().chain([&root]);
    let open: Vec<&Value> = sections.filter(|one| one["additionalProperties"] != false).collect();
    assert!(open.is_empty(), "{open:#?}");
}
