//! Cases from the written semantics, with rules and events of our own.

use std::sync::Arc;

use klio_model::{Event, Missing, Tri};

use super::*;

mod fields;
mod language;
mod loading;
mod output;
mod real;
mod request;

pub(super) fn file(name: &str, text: &str) -> RuleFile {
    RuleFile { name: name.to_owned(), text: Arc::from(text) }
}

pub(super) fn load(texts: &[&str]) -> (RuleSet, Vec<Problem>) {
    let files: Vec<_> = texts.iter().enumerate().map(|(i, t)| file(&format!("rules{i}.yaml"), t)).collect();
    compile(&files)
}

/// A rule of our source with this condition, on a line of its own.
pub(super) fn rule_text(name: &str, condition: &str) -> String {
    let condition = condition.replace('\'', "''");
    format!(
        "- rule: {name}\n  desc: d\n  condition: '{condition}'\n  output: o\n  priority: WARNING\n  source: k8s_audit\n"
    )
}

pub(super) fn only_rule(condition: &str) -> Rule {
    let (mut set, problems) = load(&[&rule_text("r", condition)]);
    assert!(
        problems.is_empty(),
        "{condition}: {:?}",
        problems.iter().map(|p| &p.message).collect::<Vec<_>>()
    );
    set.rules.remove(0)
}

/// What a reader sees of a rule and an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Quiet,
    Proven,
    Unproven,
}
pub(super) use Verdict::{Proven, Quiet, Unproven};

pub(super) fn verdict(rule: &Rule, json: &str) -> Verdict {
    let event = Event::parse(json).unwrap();
    if rule.filter.eval(&event, Missing::False) != Tri::True {
        return Quiet;
    }
    if rule.filter.eval(&event, Missing::Unknown) == Tri::True { Proven } else { Unproven }
}

/// A pod creation; `spec` is the inside of the spec.
pub(super) fn pod(spec: &str) -> String {
    format!(
        r#"{{"kind":"Event","level":"RequestResponse","auditID":"a1","stage":"ResponseComplete","verb":"create",
        "requestURI":"/api/v1/namespaces/shop/pods","user":{{"username":"carla","groups":["devs","system:authenticated"]}},
        "sourceIPs":["203.0.113.7","10.0.0.4"],"userAgent":"kubectl/v1.36.1",
        "objectRef":{{"resource":"pods","namespace":"shop","apiVersion":"v1"}},
        "responseStatus":{{"metadata":{{}},"code":201}},
        "requestObject":{{"kind":"Pod","spec":{{{spec}}}}},
        "responseObject":{{"kind":"Pod","metadata":{{"name":"cart-1"}}}},
        "stageTimestamp":"2026-03-01T10:20:30.123456Z","requestReceivedTimestamp":"2026-03-01T10:20:30.000001Z",
        "annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: ok"}}}}"#
    )
}

/// The same request as a policy of level Metadata records it.
pub(super) fn bare_pod() -> String {
    let full = pod("");
    let start = full.find(r#""requestObject""#).unwrap();
    let end = full.find(r#""stageTimestamp""#).unwrap();
    format!("{}{}", &full[..start], &full[end..]).replace("RequestResponse", "Metadata")
}
